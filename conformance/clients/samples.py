#!/usr/bin/env python3
"""Every message of the mail samples goes in by LMTP and by APPEND and comes out the same.

Each sample is used as it is and with CRLF line ends. For each: BODY[] equals what was delivered,
octet for octet (by LMTP after trace fields), RFC822.SIZE is true, BODYSTRUCTURE parses, and every
section that it names can be fetched and is its slice of the message. Prints one line a way and
closes with `N passed, N failed` (messages); a message that fails is named with what was wrong.

The account (the first of --users) belongs to the test: its mail is deleted.
"""

import collections
import os
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from kit import samples, structure, target, wire

WAYS = ("data", "bdat", "append")
FORMS = ("as-is", "crlf")
WINDOW = 40
SECTIONS = 100
SHOWN = 5
TRACE = re.compile(rb"(?:(?:Return-Path|Delivered-To|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*\Z",
                   re.I)
RETURN_PATH = re.compile(rb"Return-Path[ \t]*:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*", re.I)


def with_crlf(message):
    """Every line end CRLF: bare LF and bare CR too."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", message)


def without_return_path(message):
    """A message less the Return-Path fields of its header (as src/core/src/lmtp/mod.rs says)."""
    out, at = bytearray(), 0
    while at < len(message):
        found = RETURN_PATH.match(message, at)
        if found and found.end() - at <= 1000:
            at = found.end()
            continue
        end = message.find(b"\n", at)
        if end < 0 or message[at:end + 1] in (b"\n", b"\r\n"):
            break
        out += message[at:end + 1]
        at = end + 1
    return bytes(out) + message[at:]


class Check:
    """What is wrong with one message."""

    def __init__(self):
        self.wrong = []

    def that(self, true, kind, detail=""):
        if not true:
            self.wrong.append((kind, detail))
        return true


def short(data, limit=60):
    return repr(data[:limit]) + (f"… ({len(data)})" if len(data) > limit else "")


def check_whole(check, message, items, by_lmtp):
    """Body, size, header and text, partial fetches."""
    body = bytes(items[b"BODY[]"])
    header, text = items[b"BODY[HEADER]"], items[b"BODY[TEXT]"]
    if by_lmtp:
        kept = message
        if not body.endswith(kept):
            kept = without_return_path(message)
        if check.that(body.endswith(kept), "BODY[] is not what was delivered",
                      difference(kept, body)):
            prefix = body[:len(body) - len(kept)]
            check.that(TRACE.match(prefix), "more than trace fields before it", short(prefix, 300))
    else:
        check.that(body == message, "BODY[] is not what was appended", difference(message, body))
    check.that(int(items[b"RFC822.SIZE"]) == len(body), "RFC822.SIZE is not true",
               f"{items[b'RFC822.SIZE']} {len(body)}")
    check.that(header + text == body, "HEADER and TEXT are not the message",
               f"{len(header)} + {len(text)} of {len(body)}")
    check.that(items[b"BODY[]<0>"] == body[:100], "BODY[]<0.100>")
    check.that(items[b"BODY[]<7>"] == body[7:7 + 60], "BODY[]<7.60>", short(items[b"BODY[]<7>"]))
    past = items[b"BODY[]<999999999>"]
    check.that(past == b"" and past is not None, "a part past the end is not empty", repr(past))
    envelope = items[b"ENVELOPE"]
    check.that(isinstance(envelope, list) and len(envelope) == 10, "ENVELOPE has not ten fields")
    lines = set(header.splitlines())
    fields = items[b"BODY[HEADER.FIELDS (SUBJECT FROM)]"]
    check.that(set(fields.splitlines()) - {b""} <= lines, "HEADER.FIELDS is not of the header",
               short(fields))
    others = items[b"BODY[HEADER.FIELDS.NOT (SUBJECT FROM)]"]
    check.that(set(others.splitlines()) - {b""} <= lines, "HEADER.FIELDS.NOT is not of the header")
    check.that(len(fields) + len(others) >= len(header), "HEADER.FIELDS and its NOT lack octets",
               f"{len(fields)} + {len(others)} < {len(header)}")


def difference(wanted, body):
    got = body[-len(wanted):] if wanted else b""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), -1)
    return (f"wanted {len(wanted)} octets, got {len(body)}; at {at} "
            f"{wanted[max(0, at - 20):at + 30]!r}, not {got[max(0, at - 20):at + 30]!r}")


def sections(root):
    """All sections that a structure names."""
    out = []
    for part in root.walk():
        if part.section:
            out += [part.section, part.section + b".MIME"]
        if part.kind == b"MESSAGE/RFC822":
            out += [part.section + b".HEADER", part.section + b".TEXT"]
    return list(dict.fromkeys(out))


def check_parts(check, body, root, got):
    """Each part is its slice: in the message, in its parent, after its elder sibling."""
    def one(part, container):
        section = part.section.decode() or "whole"
        if part.section:
            data = got.get(b"BODY[" + part.section + b"]")
            mime = got.get(b"BODY[" + part.section + b".MIME]")
            if not check.that(data is not None and mime is not None, "a section is NIL", section):
                return b""
            check.that(mime + data in body or (root is part and data in body),
                       "a part and its MIME fields are no slice of the message",
                       f"{section}: {short(mime + data)}")
            if part.octets is not None:
                check.that(len(data) == part.octets, "octets of BODYSTRUCTURE are not true",
                           f"{section} {part.kind.decode()}: {part.octets}, fetched {len(data)}")
            if part.lines is not None:
                ends = max(data.count(b"\n"), data.count(b"\r\n"))
                check.that(part.lines in (ends, ends + 1, data.count(b"\r\n")),
                           "lines of BODYSTRUCTURE are not true",
                           f"{section}: {part.lines}, counted {ends}")
        else:
            data = body
        check.that(data in container, "a part is not within its parent", section)
        if part.kind == b"MESSAGE/RFC822":
            halves = [got.get(b"BODY[" + part.section + half + b"]")
                      for half in (b".HEADER", b".TEXT")]
            if check.that(None not in halves, "a section is NIL", section):
                check.that(b"".join(halves) == data,
                           "HEADER and TEXT of an enclosed message are not the message",
                           f"{section}: {len(halves[0])} + {len(halves[1])} of {len(data)}")
        at = 0
        for child in part.children:
            inner = one(child, data)
            found = data.find(inner, at)
            check.that(found >= 0, "parts overlap or are out of order", child.section.decode())
            at = max(at, found + len(inner))
        return data
    one(root, body)
    if root.section == b"1" and root.kind != b"MESSAGE/RFC822":
        check.that(got.get(b"BODY[1]") == got.get(b"BODY[TEXT]", got.get(b"BODY[1]")),
                   "BODY[1] of a message of one part is not its text")


FIRST = (b"UID RFC822.SIZE BODYSTRUCTURE ENVELOPE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] "
         b"BODY.PEEK[]<0.100> BODY.PEEK[]<7.60> BODY.PEEK[]<999999999.10> "
         b"BODY.PEEK[HEADER.FIELDS (Subject From)] BODY.PEEK[HEADER.FIELDS.NOT (Subject From)]")


def fetch_each(imap, commands, uids, checks):
    """Sends `[(index, UID FETCH)]`, pipelined; `{index: items}`.

    A server may answer what several pipelined commands ask for together (Dovecot does), so an
    answer belongs to the message that it names, not to the command that it follows.
    """
    replies = list(imap.pipeline([command for _, command in commands], WINDOW))
    by_uid = {}
    for (index, _), reply in zip(commands, replies):
        try:
            for _, items in reply.fetches():
                if b"UID" in items:
                    by_uid.setdefault(int(items[b"UID"]), {}).update(items)
        except (wire.WireError, TypeError, ValueError, IndexError) as error:
            checks[index].that(False, "an answer can't be read", f"{type(error).__name__}: {error}")
    out = {}
    for (index, _), reply in zip(commands, replies):
        if checks[index].that(reply.ok, "FETCH is refused", repr(reply.tagged)) and \
                checks[index].that(uids[index] in by_uid, "FETCH answers nothing"):
            out[index] = by_uid[uids[index]]
    return out


def judged(check, judge):
    """Runs `judge`; an answer that it can't take apart is one more thing wrong."""
    try:
        return judge()
    except (wire.WireError, KeyError, TypeError, ValueError) as error:
        check.that(False, "an answer can't be read", f"{type(error).__name__}: {error}")
        return None


def verify(imap, uids, messages, by_lmtp):
    """Fetches and judges messages; `{index: [(kind, detail)]}`."""
    checks = {index: Check() for index in messages}
    commands = [(index, b"UID FETCH %d (%s)" % (uids[index], FIRST)) for index in messages]
    roots, first = {}, fetch_each(imap, commands, uids, checks)
    for index, items in first.items():
        judged(checks[index], lambda: check_whole(checks[index], messages[index], items, by_lmtp))
        root = judged(checks[index], lambda: structure.message(items[b"BODYSTRUCTURE"]))
        if root is not None:
            roots[index] = root
    commands = []
    for index, root in roots.items():
        names = sections(root)
        for some in (names[i:i + SECTIONS] for i in range(0, len(names), SECTIONS)):
            asked = b" ".join(b"BODY.PEEK[" + name + b"]" for name in some)
            commands.append((index, b"UID FETCH %d (UID %s)" % (uids[index], asked)))
    for index, items in fetch_each(imap, commands, uids, checks).items():
        body, text = first[index][b"BODY[]"], first[index][b"BODY[TEXT]"]
        judged(checks[index], lambda: check_parts(
            checks[index], bytes(body), roots[index], items | {b"BODY[TEXT]": text}))
    return {index: check.wrong for index, check in checks.items()}


def put_lmtp(server, user, messages, way, form):
    """Delivers all; `{index: refusal}` of those refused."""
    refused = {}
    lmtp = wire.Lmtp(server.lmtp)
    for number, (index, message) in enumerate(messages.items()):
        deliver = lmtp.data if way == "data" else lmtp.bdat
        # A sender of its own for each: none is a repeated delivery of another.
        sender = samples.sender(f"{way}.{form}.{number}").encode()
        reply = deliver(sender, [user[0]], message)[0]
        if not reply.startswith(b"250"):
            refused[index] = reply.decode(errors="replace").strip()
    lmtp.quit()
    return refused


def put_append(imap, box, messages):
    """Appends all, pipelined by non-synchronising literals where offered."""
    refused = {}
    capabilities = imap.must(b"CAPABILITY").untagged[0][0].upper().split()
    if b"LITERAL+" not in capabilities:
        for index, message in messages.items():
            reply = imap.append(box, message)
            if not reply.ok:
                refused[index] = reply.tagged.decode(errors="replace").strip()
        return refused
    commands = [b"APPEND %s {%d+}\r\n%s" % (box, len(m), m) for m in messages.values()]
    for index, reply in zip(messages, imap.pipeline(commands, WINDOW)):
        if not reply.ok:
            refused[index] = reply.tagged.decode(errors="replace").strip()
    return refused


def one_way(server, user, way, form, messages):
    """All messages by one way; `({index: wrong}, seconds)`."""
    started = time.monotonic()
    target.empty(server, user)
    box = b"Samples" if way == "append" else b"INBOX"
    with server.session(user, timeout=300) as imap:
        if way == "append":
            imap.must(b"CREATE " + box)
            refused = put_append(imap, box, messages)
        else:
            refused = put_lmtp(server, user, messages, way, form)
        imap.select(box)
        uids = imap.uids()
        kept = [index for index in messages if index not in refused]
        wrong = {}
        for index, text in refused.items():
            # RFC 9051 §4.3.1: NUL is no CHAR8, so a literal may not have it.
            if way == "append" and b"\0" in messages[index]:
                continue
            wrong[index] = [("refused", text)]
        if len(uids) != len(kept):
            raise wire.WireError(f"{len(kept)} messages were taken, {len(uids)} are there")
        wrong |= verify(imap, dict(zip(kept, uids)), {i: messages[i] for i in kept}, way != "append")
        imap.logout()
    return {i: w for i, w in wrong.items() if w}, refused, time.monotonic() - started


def given(message, way, normalised):
    """What the server has been given when a message goes this way."""
    if way == "data":
        message = wire.dot_stuffed(message)[1]
    if normalised:
        message = re.sub(rb"(?<!\r)\n", b"\r\n", message)
    return message


def samples_folder():
    root = HERE.parent.parent
    return pathlib.Path(os.environ.get("DBMAIL_MAIL_SAMPLES")
                        or root.parent / "shared" / "mail-samples")


def main():
    parser = target.parser(__doc__)
    target.add_options(parser)
    parser.add_argument("--samples", type=pathlib.Path, default=samples_folder(),
                        help="folder of .eml files [../shared/mail-samples beside the repository, "
                             "or DBMAIL_MAIL_SAMPLES]")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"[{','.join(WAYS)}]")
    parser.add_argument("--forms", default=",".join(FORMS), help=f"[{','.join(FORMS)}]")
    parser.add_argument("--match", default="", help="only files whose name has this in it")
    parser.add_argument("--normalised", action="store_true",
                        help="the server turns bare LF into CRLF (Dovecot does)")
    parser.add_argument("--all", action="store_true", help="name every message that fails")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too (- is stdout)")
    options = parser.parse_args()
    files = sorted(options.samples.glob("*.eml")) if options.samples.is_dir() else []
    files = [file for file in files if options.match in file.name]
    if not files:
        beside = (HERE.parent.parent.parent / "shared").exists()
        must = os.environ.get("CI") == "true" and beside
        print(f"{'FAIL' if must else 'skipped'} samples.py: no samples in {options.samples}")
        print(f"0 passed, {int(must)} failed, {int(not must)} skipped")
        return int(must)
    server = target.Target(options)
    passed = failed = 0
    report = []
    for form in options.forms.split(","):
        originals = {file.name: file.read_bytes() for file in files}
        if form == "crlf":
            originals = {name: with_crlf(message) for name, message in originals.items()}
        for way in options.ways.split(","):
            messages = {name: given(m, way, options.normalised) for name, m in originals.items()}
            try:
                wrong, refused, seconds = one_way(server, server.users[0], way, form, messages)
            except (wire.WireError, OSError) as error:
                print(f"FAIL {way} {form}: {type(error).__name__}: {error}", flush=True)
                failed += len(messages)
                report.append({"way": way, "form": form, "error": str(error)})
                continue
            passed += len(messages) - len(wrong)
            failed += len(wrong)
            nul = sorted(name for name in refused if name not in wrong)
            note = f"; refused for their NUL, as the rule is: {', '.join(nul)}" if nul else ""
            print(f"{'FAIL' if wrong else 'ok  '} {way} {form}: {len(messages) - len(wrong)} of "
                  f"{len(messages)} messages ({seconds:.1f} s){note}", flush=True)
            kinds = collections.defaultdict(list)
            for name, problems in wrong.items():
                for kind, detail in problems:
                    kinds[kind].append((name, detail))
            for kind, cases in sorted(kinds.items(), key=lambda k: -len(k[1])):
                print(f"     | {kind}: {len(cases)}")
                for name, detail in cases if options.all else cases[:SHOWN]:
                    print(f"     |   {name}: {detail}")
            report.append({"way": way, "form": form, "messages": len(messages),
                           "seconds": round(seconds, 1), "refused_for_nul": nul,
                           "wrong": {name: problems for name, problems in wrong.items()}})
    if options.json:
        target.write_json(options.json, {"server": server.name, "passed": passed,
                                         "failed": failed, "ways": report})
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
