#!/usr/bin/env python3
"""Peers that mean harm, or are broken: memory stays bounded and others are served meanwhile.

While each attack runs, a neighbour (another account) and, where it says so, a second session on
the attacked mailbox itself go on with NOOP, STORE, FETCH, APPEND and deliveries: none of these may
wait longer than --latency. The server's resident memory may not rise more than --memory MiB above
what it was before the first attack. At the end the server still serves.

Prints one line an attack and closes with `N passed, N failed`. The accounts belong to the test.
Against a server of its own: `with-dbmail BINARY hostile.py`, `with-dovecot hostile.py`.
"""

import hashlib
import pathlib
import random
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import samples, target, watch, wire
from kit.watch import MIB

GIB = 1 << 30
ATTACKS = []


class Wrong(Exception):
    """What the server did and should not have."""


def attack(title, neighbour_inside=False):
    """Marks a function `(it) -> note` as an attack; inside: somebody else works in the mailbox."""
    def mark(function):
        function.title, function.inside = title, neighbour_inside
        ATTACKS.append(function)
        return function
    return mark


def expect(true, text):
    if not true:
        raise Wrong(text)


class Case:
    """What an attack has at hand."""

    def __init__(self, options):
        self.options = options
        self.target = target.Target(options)
        self.user = self.target.users[0]
        self.rng = random.Random(options.seed)

    def session(self, box=None, timeout=120):
        imap = self.target.session(self.user, timeout)
        if box is not None:
            imap.select(box)
        return imap

    def raw(self, where, timeout=30, tls=False):
        context = wire.tls_context(self.target.authority) if tls else None
        return wire.Stream(wire.connect(where, timeout, context, self.target.tls_name))

    def hears(self, stream, seconds=20):
        """What the peer says until it closes or is silent for a second; (bytes, closed)."""
        said, end = b"", time.monotonic() + seconds
        stream.sock.settimeout(1.0)
        try:
            while time.monotonic() < end:
                data = stream.sock.recv(65536)
                if not data:
                    return said, True
                said += data
        except (TimeoutError, OSError) as error:
            return said, not isinstance(error, TimeoutError)
        return said, False


def pushed(stream, octets, piece=b"x" * 65536):
    """Sends so many octets; how many the peer took before it closed or stopped reading."""
    sent = 0
    stream.sock.settimeout(10)
    try:
        while sent < octets:
            stream.send(piece)
            sent += len(piece)
    except (OSError, wire.WireError):
        pass
    return sent


def served(case):
    """A new session logs in and reads its mail."""
    with case.session(timeout=20) as imap:
        imap.select(b"INBOX")
        imap.must(b"NOOP")
        imap.logout()


# --- before login ------------------------------------------------------------------------------

@attack("random bytes to every listener")
def random_bytes(case):
    beginnings = [b"", b"a LOGIN ", b"a AUTHENTICATE PLAIN ", b"a FETCH 1:* (", b"LHLO x\r\n",
                  b"LHLO x\r\nMAIL FROM:<", b"\x16\x03\x01", b"a UID SEARCH ((((", b"EHLO\r\n"]
    count = closed = 0
    for round_ in range(case.options.connections // 4):
        for where, tls in ((case.target.imap, False), (case.target.lmtp, False),
                           (case.target.imaps, True), (case.target.imaps, False)):
            if where is None:
                continue
            stream = None
            try:
                stream = case.raw(where, 10, tls)
                stream.send(case.rng.choice(beginnings)
                            + case.rng.randbytes(case.rng.choice((10, 300, 5_000, 70_000))))
                stream.send(b"\r\n" * 3)
                if round_ % 5 == 0:
                    closed += case.hears(stream, 1)[1]
            except OSError:
                closed += 1
            finally:
                count += 1
                if stream is not None:
                    stream.close()
    return f"{count} connections"


@attack("a 1 GiB literal is announced before login, with and without +")
def literal_before_login(case):
    notes = []
    for plus in (b"", b"+"):
        stream = case.raw(case.target.imap)
        stream.line()
        stream.send(b"a LOGIN {%d%s}\r\n" % (GIB, plus))
        if not plus:
            said, closed = case.hears(stream, 5)
            expect(closed or not said.startswith(b"+"), f"it asked for the literal: {said!r}")
            expect(closed or said, "no answer to the literal")
        else:
            taken = pushed(stream, 256 * MIB)
            said, closed = case.hears(stream, 5)
            expect(closed or b"BAD" in said or b"NO" in said or b"BYE" in said or taken < 256 * MIB,
                   f"no refusal after {taken} octets: {said!r}")
        notes.append(f"{{N{plus.decode()}}}: {said.strip()[:70].decode(errors='replace')!r}"
                     + (" and closed" if closed else ""))
        stream.close()
    return "; ".join(notes)


@attack("a line of 64 MiB: before login, after login, LMTP")
def endless_line(case):
    notes = []
    for what in ("before login", "after login", "LMTP"):
        if what == "after login":
            stream = case.session()
            stream.send(b"a SEARCH SUBJECT ")
        else:
            stream = case.raw(case.target.lmtp if what == "LMTP" else case.target.imap)
            stream.line()
        taken = pushed(stream, 64 * MIB)
        # A server may refuse at once, or read past the line to its end and refuse then.
        pushed(stream, 1, b"\r\n")
        said, closed = case.hears(stream, 5)
        expect(closed or said or taken < 64 * MIB, f"{what}: {taken} octets taken without a word")
        notes.append(f"{what}: {said.strip()[:40].decode(errors='replace')!r}"
                     + (" and closed" if closed else ""))
        stream.close()
    return "; ".join(notes)


@attack("slow loris: 200 connections, one octet a second each")
def slow_loris(case):
    streams = []
    words = b"a LOGIN nobody-of-this-name-at-all " + b"x" * 500
    for n in range(200):
        streams.append(case.raw(case.target.lmtp if n % 4 == 0 else case.target.imap))
    gone = 0
    for second in range(case.options.loris_seconds):
        for stream in list(streams):
            try:
                stream.send(words[second % len(words):][:1])
            except OSError:
                streams.remove(stream)
                gone += 1
        time.sleep(1)
    served(case)
    for stream in streams:
        stream.close()
    return f"{case.options.loris_seconds} s, {gone} were closed by the server"


@attack("500 connections reset in the middle of a command or of DATA")
def resets(case):
    for n in range(500):
        where = case.target.lmtp if n % 2 else case.target.imap
        stream = case.raw(where)
        stream.send(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: half\r\n\r\nha"
                    % case.user[0].encode() if n % 2 else b"a LOGIN {5}\r\nab")
        stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.close()
    served(case)
    with case.session(b"INBOX") as imap:
        found = imap.must(b'SEARCH SUBJECT "half"').lines(b"SEARCH")
        expect(not found or len(wire.parse(found[0])) == 1, "half a message was delivered")
    return ""


@attack("deliveries whose sender leaves before the reply, then tries again: each is there once")
def lost_replies(case):
    sender = samples.sender("leaves").encode()
    # Of one length: SUBJECT finds substrings.
    subjects = [f"nobody waited {samples.RUN} {n:02}" for n in range(50)]
    for n, subject in enumerate(subjects):
        lmtp = wire.Lmtp(case.target.lmtp)
        lmtp.envelope(sender, [case.user[0]])
        lmtp.send(b"DATA\r\n")
        lmtp.expect(b"354")
        lmtp.send(wire.dot_stuffed(samples.message(subject))[0])
        if n % 2:
            lmtp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lmtp.close()
    time.sleep(1)
    with case.session(b"INBOX") as imap:
        before = count_subjects(imap, subjects)
    lmtp = wire.Lmtp(case.target.lmtp)
    for subject in subjects:
        reply = lmtp.data(sender, [case.user[0]], samples.message(subject))[0]
        expect(reply.startswith(b"250"), f"{reply!r}")
    lmtp.quit()
    with case.session(b"INBOX") as imap:
        after = count_subjects(imap, subjects)
    expect(set(after) == {1}, f"copies of each: {after}")
    return f"{sum(before)} of 50 were stored the first time"


def count_subjects(imap, subjects):
    """How many messages there are with each subject."""
    return [len(wire.parse(imap.must(b"SEARCH SUBJECT " + wire.quote(s))
                           .lines(b"SEARCH")[0])) - 1 for s in subjects]


# --- after login -------------------------------------------------------------------------------

@attack("a 1 GiB literal is announced to APPEND, and 1 GiB to LMTP by SIZE and BDAT")
def literal_append(case):
    notes = []
    with case.session() as imap:
        imap.send(b"a APPEND INBOX {%d}\r\n" % GIB)
        line = imap.line()
        expect(not line.startswith(b"+"), "it asked for a message of 1 GiB")
        notes.append(line.strip()[:60].decode(errors="replace"))
    with case.session() as imap:
        imap.send(b"a APPEND INBOX {%d+}\r\n" % GIB)
        taken = pushed(imap, 256 * MIB)
        said, closed = case.hears(imap, 5)
        expect(closed or said or taken < 256 * MIB, f"no refusal after {taken} octets")
        notes.append(f"+: {said.strip()[:60].decode(errors='replace')!r}"
                     + (" and closed" if closed else ""))
    lmtp = wire.Lmtp(case.target.lmtp)
    lmtp.send(b"MAIL FROM:<> SIZE=%d\r\n" % GIB)
    reply = lmtp.reply()
    if reply.startswith(b"250"):
        lmtp.send(b"RCPT TO:<%s>\r\nBDAT %d LAST\r\n" % (case.user[0].encode(), GIB))
    else:
        lmtp.send(b"MAIL FROM:<>\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n"
                  % (case.user[0].encode(), GIB))
    notes.append(f"SIZE: {reply.strip()[:50].decode(errors='replace')!r}")
    pushed(lmtp, 300 * MIB)
    lmtp.close()
    served(case)
    return "; ".join(notes)


@attack("10,000 commands in one go, the answers read afterwards", neighbour_inside=True)
def pipelined(case):
    with case.session(b"INBOX") as imap:
        tags = [imap.tag() for _ in range(10_000)]
        kinds = (b"NOOP", b"UID FETCH 1:* (FLAGS)", b"STATUS Archive (MESSAGES)", b"CAPABILITY",
                 b"UID STORE 1 +FLAGS (\\Seen)")
        data = b"".join(tag + b" " + kinds[n % len(kinds)] + b"\r\n" for n, tag in enumerate(tags))
        thread = threading.Thread(target=lambda: imap.send(data), daemon=True)
        thread.start()
        time.sleep(3)
        # RFC 9051 §5.5 lets independent commands end in another order.
        waiting = set(tags)
        while waiting:
            reply = imap.finish(None)
            tag = reply.tagged.split(b" ", 1)[0]
            expect(tag in waiting, f"a tag that nobody waits for: {reply.tagged!r}")
            expect(reply.ok, f"{reply.tagged!r}")
            waiting.remove(tag)
        thread.join(10)
        imap.logout()
    lmtp = wire.Lmtp(case.target.lmtp)
    thread = threading.Thread(target=lambda: lmtp.send(b"RSET\r\n" * 10_000), daemon=True)
    thread.start()
    for _ in range(10_000):
        lmtp.expect(b"250")
    lmtp.quit()
    return "10,000 of IMAP, 10,000 of LMTP, all answered"


@attack("1,000 connections in IDLE on one mailbox, all told of a delivery", neighbour_inside=True)
def idle(case):
    count = case.options.idle
    streams = []
    started = time.monotonic()
    try:
        for _ in range(count):
            imap = case.session(b"INBOX")
            imap.send(b"i IDLE\r\n")
            streams.append(imap)
        for imap in streams:
            imap.wait_continue()
        opened = time.monotonic() - started
        per = (watch.memory(case.target.pid, case.memory.family) - case.before) / count / 1024 \
            if case.target.pid else 0
        started = time.monotonic()
        lmtp = wire.Lmtp(case.target.lmtp)
        lmtp.data(samples.sender("x").encode(), [case.user[0]], samples.message("to all who wait"))
        lmtp.quit()
        for imap in streams:
            imap.sock.settimeout(20)
            while b"EXISTS" not in imap.line():
                pass
        told = time.monotonic() - started
        for imap in streams:
            imap.send(b"DONE\r\n")
        for imap in streams:
            expect(imap.finish(b"i").ok, "DONE")
    finally:
        for imap in streams:
            imap.close()
    return f"opened in {opened:.1f} s, all told in {told:.2f} s, {per:.0f} KiB a connection"


def big_mailbox(case):
    """A mailbox of `--big` MiB in messages of 1 MiB, made once."""
    with case.session() as imap:
        if imap.run(b"CREATE Big").ok:
            for n in range(case.options.big):
                body = random.Random(n).randbytes(MIB * 3 // 8).hex()
                lines = "\r\n".join(body[i:i + 76] for i in range(0, len(body), 76))
                reply = imap.append(b"Big", samples.message(f"big {n}", lines + "\r\n"))
                expect(reply.ok, f"{reply.tagged!r}")
        imap.logout()


@attack("FETCH 1:* BODY[] of a big mailbox by ten who do not read", neighbour_inside=True)
def does_not_read(case):
    streams = []
    for _ in range(10):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(case.target.imap)
        imap = wire.Imap.__new__(wire.Imap)
        wire.Stream.__init__(imap, sock)
        imap.serial = 0
        imap.line()
        imap.must(b"LOGIN " + wire.quote(case.user[0]) + b" " + wire.quote(case.user[1]))
        imap.select(b"Big")
        imap.send(b"f FETCH 1:* (UID BODY.PEEK[])\r\n")
        streams.append(imap)
    time.sleep(case.options.stall_seconds)
    with case.session(b"Big") as other:
        started = time.monotonic()
        other.must(b"STORE 1:* +FLAGS.SILENT (\\Flagged)")
        other.must(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.must(b"EXPUNGE")
        took = time.monotonic() - started
        expect(took < 10 * case.options.latency, f"STORE and EXPUNGE of all took {took:.1f} s")
        reply = other.append(b"Big", samples.message("instead of the first", "x\r\n" * 1000))
        expect(reply.ok, f"{reply.tagged!r}")
        other.logout()
    first = streams[0]
    reply = first.finish(b"f")
    expect(reply.ok or b"EXPUNGEISSUED" in reply.tagged, f"{reply.tagged!r}")
    got = sum(1 for _, items in reply.fetches() if b"BODY[]" in items)
    expect(got >= case.options.big - 1, f"{got} messages of {case.options.big} came")
    for imap in streams:
        imap.close()
    served(case)
    return f"{case.options.stall_seconds} s; then one read on and got {got} messages"


def hundred_mib(seed):
    """A message of 100 MiB: an attachment of lines that do not compress."""
    line = random.Random(seed).randbytes(57 * 256).hex().encode()
    block = b"".join(line[i:i + 76] + b"\r\n" for i in range(0, len(line), 76))
    body = block * (100 * MIB // len(block))
    return samples.message(f"a hundred MiB, {seed}", "",
                           "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n") + body


@attack("a 100 MiB APPEND, slow at first: 10 KiB/s", neighbour_inside=True)
def slow_append(case):
    message = hundred_mib(1)
    slow = 10 * 1024 * case.options.slow_seconds
    with case.session(timeout=600) as imap:
        imap.run(b"CREATE Slow")
        imap.send(b"a APPEND Slow {%d}\r\n" % len(message))
        imap.wait_continue()
        for at in range(0, slow, 1024):
            imap.send(message[at:at + 1024])
            time.sleep(0.1)
        imap.send(message[slow:])
        imap.send(b"\r\n")
        reply = imap.finish(b"a")
        expect(reply.ok, f"{reply.tagged!r}")
        imap.logout()
    check_big(case, b"Slow", message)
    return f"{case.options.slow_seconds} s slow, then at full speed"


def check_big(case, box, message):
    """The last message of a mailbox ends with these octets; read as a stream."""
    wanted = hashlib.sha256(message).digest()
    with case.session(box, timeout=300) as imap:
        uid = int(wire.parse(imap.must(b"UID SEARCH LARGER %d" % (90 * MIB)).lines(b"SEARCH")[0])[-1])
        size = int(imap.must(b"UID FETCH %d (RFC822.SIZE)" % uid).fetches()[0][1][b"RFC822.SIZE"])
        imap.send(b"g UID FETCH %d (UID BODY.PEEK[])\r\n" % uid)
        found = wire.LITERAL_AT_END.search(imap.line())
        expect(found, "BODY[] came without a literal")
        expect(int(found[1]) == size, f"RFC822.SIZE {size}, literal {found[1]}")
        skip = size - len(message)
        expect(0 <= skip < 4096, f"{size} octets of {len(message)}")
        imap.octets(skip)
        digest, left = hashlib.sha256(), len(message)
        while left:
            data = imap.octets(min(left, MIB))
            digest.update(data)
            left -= len(data)
        expect(imap.line() == b")\r\n", "something follows the literal")
        expect(imap.finish(b"g").ok, "FETCH")
        expect(digest.digest() == wanted, "other octets came back")
        part = imap.body_part(uid, 50 * MIB, 1000)
        at = 50 * MIB - skip
        expect(part == message[at:at + 1000], "a partial FETCH in the middle is not its slice")
        imap.must(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
        imap.must(b"UID EXPUNGE %d" % uid)
        imap.logout()


@attack("100 MiB in by DATA, by BDAT, by APPEND, and out", neighbour_inside=True)
def hundred(case):
    notes = []
    for way in ("DATA", "BDAT", "APPEND"):
        message = hundred_mib(way)
        started = time.monotonic()
        if way == "APPEND":
            with case.session(timeout=300) as imap:
                reply = imap.append(b"Archive", message)
                expect(reply.ok, f"{reply.tagged!r}")
                imap.logout()
        else:
            lmtp = wire.Lmtp(case.target.lmtp, timeout=300)
            if way == "DATA":
                reply = lmtp.data(samples.sender("x").encode(), [case.user[0]], message)[0]
            else:
                reply = lmtp.bdat(samples.sender("x").encode(), [case.user[0]], message, chunk=MIB)[0]
            expect(reply.startswith(b"250"), f"{way}: {reply!r}")
            lmtp.quit()
        into = time.monotonic() - started
        started = time.monotonic()
        check_big(case, b"Archive" if way == "APPEND" else b"INBOX", message)
        out = time.monotonic() - started
        notes.append(f"{way} {100 / into:.0f} MiB/s in, {100 / out:.0f} out")
    return "; ".join(notes)


def nested_multiparts(depth):
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
                    for n in range(depth))
    tail = b"".join(b"\r\n--b%d--\r\n" % n for n in reversed(range(depth)))
    return b"Subject: nested\r\nMIME-Version: 1.0\r\n" + head + b"\r\ninnermost\r\n" + tail


def nested_messages(depth):
    return b"".join(b"Subject: %d\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" % n
                    for n in range(depth)) + b"Subject: innermost\r\n\r\ntext\r\n"


def sibling_parts(count):
    return (b"Subject: siblings\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            + b"".join(b"--b\r\nContent-Type: text/plain; x=%d\r\n\r\ntext %d\r\n" % (n, n)
                       for n in range(count)) + b"--b--\r\n")


@attack("messages of 100,000 parts: nested, messages in messages, siblings; and huge headers")
def parts(case):
    count = case.options.parts
    messages = {
        "nested": nested_multiparts(count),
        "messages": nested_messages(count),
        "siblings": sibling_parts(count),
        "fields": b"".join(b"X-Field-%d: value\r\n" % n for n in range(count)) + b"\r\nbody\r\n",
        "one field": b"Subject: " + b"word word word\r\n " * count + b"end\r\n\r\nbody\r\n",
        "addresses": b"To: " + b",\r\n ".join(b"a%d@example.org" % n for n in range(count))
                     + b"\r\n\r\nbody\r\n",
        "references": b"References: " + b"\r\n ".join(b"<%d@example.org>" % n
                                                      for n in range(count)) + b"\r\n\r\nbody\r\n",
        "parameters": b"Content-Type: text/plain" + b"".join(b";\r\n p*%d=x" % n
                                                             for n in range(count)) + b"\r\n\r\nx\r\n",
        "comments": b"From: " + b"(" * count + b" a@example.org\r\n\r\nx\r\n",
    }
    notes = []
    for name, message in messages.items():
        started = time.monotonic()
        lmtp = wire.Lmtp(case.target.lmtp, timeout=120)
        reply = lmtp.data(samples.sender("x").encode(), [case.user[0]], message)[0]
        expect(reply.startswith(b"250"), f"{name}: {reply!r}")
        lmtp.quit()
        with case.session(timeout=120) as imap:
            reply = imap.append(b"Archive", message)
            expect(reply.ok, f"{name}: {reply.tagged!r}")
            imap.select(b"Archive")
            uid = max(imap.uids())
            # The answer may be nested deeply: its size is looked at, not its structure.
            size = len(imap.must(b"UID FETCH %d (BODYSTRUCTURE ENVELOPE)" % uid).text())
            expect(imap.body(uid) == message, f"{name}: other octets came back")
            imap.must(b"UID FETCH %d (BODY.PEEK[1] BODY.PEEK[1.1.1.1.1.MIME] BODY.PEEK[99999])" % uid)
            imap.must(b'UID SEARCH TEXT "not in any message"')
            deep = imap.run(b"UID FETCH %d (BODY.PEEK[%s])" % (uid, b".".join([b"1"] * 1000)))
            expect(deep.status in (b"OK", b"NO", b"BAD"), f"{deep.tagged!r}")
            imap.logout()
        notes.append(f"{name} {len(message) // 1024} KiB {time.monotonic() - started:.1f} s "
                     f"(answer {size // 1024} KiB)")
    return "; ".join(notes)


@attack("commands that nest, repeat or range without measure", neighbour_inside=True)
def commands(case):
    hard = [
        b"SEARCH " + b"NOT " * 5_000 + b"SEEN",
        b"SEARCH " + b"(" * 5_000 + b"SEEN" + b")" * 5_000,
        b"SEARCH " + b"OR SEEN " * 3_000 + b"SEEN",
        b"FETCH 1:* (" + b" ".join([b"BODY.PEEK[]"] * 2_000) + b")",
        b"FETCH " + b",".join(b"%d:*" % n for n in range(1, 5_000)) + b" (FLAGS)",
        b"UID FETCH 1:4294967295,1:4294967295 (FLAGS)",
        b"UID SEARCH UID " + b",".join(b"%d" % (2 * n + 1) for n in range(10_000)),
        b"STORE 1 +FLAGS (" + b" ".join(b"k%d" % n for n in range(5_000)) + b")",
        b'LIST "" "' + b"*%" * 500 + b'x"',
        b'LIST "" "' + b"*" * 200 + b'"',
        b"CREATE " + b"/".join([b"d"] * 1_000),
        b"CREATE " + b"n" * 3_000,
        b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (" + b" ".join(b"x%d" % n for n in range(3_000)) + b")])",
        b"FETCH 1:* BODY.PEEK[]<0.99999999999999999999>",
        b"UID FETCH 0 (FLAGS)",
        b"STATUS INBOX (" + b" ".join([b"MESSAGES"] * 5_000) + b")",
    ]
    slowest = (0.0, b"")
    answers = {}
    silent = []
    for command in hard:
        with case.session(b"INBOX", timeout=case.options.command_seconds) as imap:
            started = time.monotonic()
            try:
                status = imap.run(command).status.decode()
            except wire.WireError:
                status = "closed"
            except TimeoutError:
                silent.append(command[:60])
                status = "silent"
            answers[status] = answers.get(status, 0) + 1
            slowest = max(slowest, (time.monotonic() - started, command[:40]))
    expect(not silent, f"no answer within {case.options.command_seconds} s: {silent}")
    return (f"{answers}, slowest {slowest[0]:.2f} s ({slowest[1].decode()})")


def run_attack(case, function, memory):
    """One attack with its neighbours; the record of it."""
    record = {"attack": function.title}
    wrong = []
    if function is does_not_read:
        big_mailbox(case)
    neighbours = [watch.Neighbour(case.target, case.target.users[1])]
    if function.inside:
        box = b"Big" if function is does_not_read else b"Slow" if function is slow_append \
            else b"INBOX"
        neighbours.append(watch.Neighbour(case.target, case.user, box,
                                          lmtp=box != b"INBOX"))
    for neighbour in neighbours:
        neighbour.start()
    time.sleep(0.5)
    if memory:
        memory.reset()
    started = time.monotonic()
    try:
        record["note"] = function(case)
        served(case)
    except (Wrong, wire.WireError, OSError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    record["seconds"] = round(time.monotonic() - started, 1)
    for neighbour, name in zip(neighbours, ("neighbour", "neighbour inside")):
        waits = neighbour.stop()
        record[name] = {"commands": neighbour.count, "worst": waits}
        if neighbour.trouble:
            wrong.append(f"the {name}: {neighbour.trouble}")
        late = {n: w for n, w in waits.items() if w > case.options.latency}
        if late:
            wrong.append(f"the {name} waited: {late} (at most {case.options.latency} s)")
        if not neighbour.count and record["seconds"] > 2:
            wrong.append(f"the {name} got nothing done")
    if memory:
        record["peak_mib"] = round((memory.peak - case.before) / MIB, 1)
        if record["peak_mib"] > case.options.memory:
            wrong.append(f"memory rose by {record['peak_mib']} MiB (at most {case.options.memory})")
    record["wrong"] = wrong
    return record


def main():
    parser = target.parser(__doc__)
    target.add_options(parser)
    names = ",".join(function.__name__ for function in ATTACKS)
    parser.add_argument("--only", default=names, help=f"[{names}]")
    parser.add_argument("--memory", type=float, default=256, help="MiB over the start [256]")
    parser.add_argument("--latency", type=float, default=2.0, help="seconds that others wait [2]")
    parser.add_argument("--connections", type=int, default=400, help="of random bytes [400]")
    parser.add_argument("--idle", type=int, default=1000, help="connections in IDLE [1000]")
    parser.add_argument("--big", type=int, default=200, help="MiB of the big mailbox [200]")
    parser.add_argument("--stall-seconds", type=int, default=15, help="of not reading [15]")
    parser.add_argument("--slow-seconds", type=int, default=60,
                        help="of the APPEND that go at 10 KiB/s; 10240 is all of it [60]")
    parser.add_argument("--loris-seconds", type=int, default=20)
    parser.add_argument("--command-seconds", type=int, default=20,
                        help="for the hardest command [20]")
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too (- is stdout)")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    case = Case(options)
    if len(case.target.users) < 2:
        parser.error("two --users at least")
    for user in case.target.users[:2]:
        target.empty(case.target, user)
    for n in range(20):
        with case.session() as imap:
            imap.append(b"INBOX", samples.message(f"already there {n}"))
    memory = watch.Memory(case.target.pid) if case.target.pid else None
    if not memory:
        print("no --pid: memory is not watched")
    case.memory = memory
    case.before = memory.now if memory else 0
    records = []
    for function in ATTACKS:
        if function.__name__ not in options.only.split(","):
            continue
        record = run_attack(case, function, memory)
        records.append(record)
        waits = max((w for key in ("neighbour", "neighbour inside") if key in record
                     for w in record[key]["worst"].values()), default=0.0)
        print(f"{'FAIL' if record['wrong'] else 'ok  '} {record['attack']} "
              f"({record['seconds']} s, others waited {waits:.2f} s at most, memory "
              f"+{record.get('peak_mib', '?')} MiB)", flush=True)
        if record.get("note"):
            print(f"     | {record['note']}", flush=True)
        for sentence in record["wrong"]:
            print(f"     | WRONG: {sentence}"[:1000], flush=True)
    failed = sum(1 for record in records if record["wrong"])
    after = None
    if memory:
        time.sleep(3)
        after = round((watch.memory(case.target.pid, memory.family) - case.before) / MIB, 1)
        memory.stop()
        print(f"memory afterwards: +{after} MiB over {case.before / MIB:.1f} MiB before")
    if options.json:
        target.write_json(options.json, {
            "server": case.target.name, "seed": options.seed, "passed": len(records) - failed,
            "failed": failed, "before_mib": round(case.before / MIB, 1), "after_mib": after,
            "attacks": records})
    print(f"{len(records) - failed} passed, {failed} failed")
    return 1 if failed or not records else 0


if __name__ == "__main__":
    sys.exit(main())
