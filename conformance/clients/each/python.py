"""Python's imaplib and smtplib.LMTP."""

import datetime
import imaplib
import re
import smtplib
import ssl
import time

from kit import samples
from kit.samples import utf7
from kit.steps import Client, Failure, expect, same, step, trace_and


def ok(answer):
    """The data of an answer that must be OK."""
    status, data = answer
    expect(status == "OK", f"{status} {data}")
    return data


def quoted(name):
    return '"' + utf7(name).decode() + '"'


class Python(Client):
    name = "python"

    def login(self, box=None):
        imap = imaplib.IMAP4(*self.target.imap, timeout=30)
        ok(imap.login(self.user, self.password))
        if box is not None:
            ok(imap.select(box))
        return imap

    def lmtp(self):
        if isinstance(self.target.lmtp, str):
            return smtplib.LMTP(self.target.lmtp)
        return smtplib.LMTP(*self.target.lmtp)

    @step("smtplib.LMTP delivers eight messages, stored byte for byte")
    def delivers(self):
        with self.lmtp() as lmtp:
            for message in samples.delivered():
                same({}, lmtp.sendmail(samples.sender("anna"), [self.user], message,
                                       mail_options=["BODY=8BITMIME"]), "refused recipients")
        bodies = self.bodies("INBOX")
        same(len(samples.delivered()), len(bodies), "messages in INBOX")
        for wanted, got in zip(samples.delivered(), bodies):
            trace_and(got, wanted)

    @step("smtplib.LMTP: an unknown recipient gets 550, the known one his mail")
    def unknown(self):
        with self.lmtp() as lmtp:
            refused = lmtp.sendmail(samples.sender("anna"), [self.user, "nobody-here@example.test"],
                                    samples.message("for one of two"))
        same(["nobody-here@example.test"], list(refused), "refused")
        same(550, refused["nobody-here@example.test"][0], "code of the refusal")
        expect("for one of two" in self.subjects("INBOX"), "the known recipient got nothing")

    @step("smtplib.LMTP: VRFY, NOOP, RSET, two deliveries in one session, QUIT")
    def lmtp_commands(self):
        with self.lmtp() as lmtp:
            expect(lmtp.noop()[0] == 250, "NOOP")
            code, text = lmtp.verify(self.user)
            # RFC 5321 §4.1.1.6 wants a String here: the bare address that smtplib sends is none,
            # and a strict server says 501. The session must go on either way.
            expect(code in (250, 251, 252, 501, 550), f"VRFY: {code} {text}")
            lmtp.ehlo_or_helo_if_needed()
            expect(lmtp.mail(samples.sender("anna"))[0] == 250, "MAIL")
            expect(lmtp.rset()[0] == 250, "RSET")
            for n in (1, 2):
                lmtp.sendmail(samples.sender("anna"), [self.user], samples.message(f"session {n}"))
            expect(lmtp.quit()[0] == 221, "QUIT")
        expect({"session 1", "session 2"} <= set(self.subjects("INBOX")), "not delivered")

    @step("a wrong password is refused, CAPABILITY and NAMESPACE answer")
    def login_rules(self):
        imap = imaplib.IMAP4(*self.target.imap, timeout=30)
        try:
            imap.login(self.user, "not the password")
            raise Failure("a wrong password was accepted")
        except imaplib.IMAP4.error:
            pass
        ok(imap.login(self.user, self.password))
        capabilities = ok(imap.capability())[0].upper().split()
        expect(b"IMAP4REV1" in capabilities, f"{capabilities}")
        expect(ok(imap.namespace())[0].startswith(b"((\"\""), "NAMESPACE")
        ok(imap.noop())
        imap.logout()

    @step("AUTHENTICATE PLAIN")
    def authenticate(self):
        imap = imaplib.IMAP4(*self.target.imap, timeout=30)
        ok(imap.authenticate("PLAIN", lambda _: f"\0{self.user}\0{self.password}".encode()))
        ok(imap.select("INBOX", readonly=True))
        imap.logout()

    @step("TLS from the first octet, and STARTTLS")
    def tls(self):
        expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
        context = ssl.create_default_context(cafile=self.target.authority)
        imap = imaplib.IMAP4_SSL(self.target.tls_name, self.target.imaps[1], ssl_context=context)
        ok(imap.login(self.user, self.password))
        ok(imap.select())
        imap.logout()
        imap = imaplib.IMAP4(self.target.tls_name, self.target.imap[1], timeout=30)
        ok(imap.starttls(context))
        ok(imap.login(self.user, self.password))
        ok(imap.select())
        imap.logout()

    @step("LIST, LSUB, CREATE, SUBSCRIBE, RENAME, DELETE of names with spaces and non-ASCII")
    def folders(self):
        imap = self.login()
        names = [samples.SPACES, samples.SPACES + "/Sub folder", samples.GREEK, samples.JAPANESE,
                 'quote " and \\ & %', "percent%star"]
        names[4:] = ["Tom & Jerry"]
        for name in names:
            ok(imap.create(quoted(name)))
            ok(imap.subscribe(quoted(name)))
        expect(imap.create(quoted(names[0]))[0] == "NO", "a mailbox was created twice")
        listed = self.boxes()
        for name in names + ["INBOX"]:
            expect(name in listed, f"{name!r} is not in LIST: {listed}")
        subscribed = self.boxes(b"LSUB")
        for name in names:
            expect(name in subscribed, f"{name!r} is not in LSUB: {subscribed}")
        ok(imap.unsubscribe(quoted(names[0])))
        expect(names[0] not in self.boxes(b"LSUB"), "still subscribed")
        found = ok(imap.list('""', '"' + utf7(samples.SPACES).decode() + '/%"'))
        expect(len(found) == 1 and b"Sub folder" in found[0], f"LIST with %: {found}")
        ok(imap.rename(quoted(samples.SPACES), '"Renamed box"'))
        expect("Renamed box/Sub folder" in self.boxes(), "the child did not follow")
        ok(imap.delete('"Renamed box/Sub folder"'))
        ok(imap.delete('"Renamed box"'))
        expect(imap.select('"Renamed box"')[0] == "NO", "a deleted mailbox was selected")
        expect("Renamed box" not in self.boxes(), "still listed")
        imap.logout()

    @step("APPEND with flags and date to a folder with a non-ASCII name, APPENDUID")
    def append_step(self):
        imap = self.login()
        when = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
        answer = ok(imap.append(quoted(samples.JAPANESE), r"(\Seen \Flagged Important)", when,
                                samples.attachment()))
        expect(re.search(rb"\[APPENDUID \d+ \d+\]", answer[0]), f"no APPENDUID: {answer}")
        ok(imap.select(quoted(samples.JAPANESE)))
        data = ok(imap.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE)"))[0]
        flags = {f.decode() for f in imaplib.ParseFlags(data)} - {"\\Recent"}
        same({"\\Seen", "\\Flagged", "Important"}, flags, "flags")
        same(when.timestamp(), time.mktime(imaplib.Internaldate2tuple(data)), "INTERNALDATE")
        expect(b"RFC822.SIZE %d" % len(samples.attachment()) in data, f"size: {data}")
        same([samples.attachment()], self.bodies(utf7(samples.JAPANESE)), "appended")
        expect(imap.append('"No such box"', None, None, b"x: y\r\n\r\n")[0] == "NO",
               "APPEND to a mailbox that is not there")
        imap.logout()

    @step("FETCH of envelope, structure, header fields, sections, parts of sections")
    def reads(self):
        imap = self.login()
        ok(imap.select(quoted(samples.JAPANESE), readonly=True))
        whole = samples.attachment()
        wanted = {
            "BODY.PEEK[]": whole, "RFC822": whole,
            "BODY.PEEK[HEADER]": whole[:whole.index(b"\r\n\r\n") + 4],
            "BODY.PEEK[TEXT]": whole[whole.index(b"\r\n\r\n") + 4:],
            "BODY.PEEK[1]": "Grüße aus Köln".encode(),
            "BODY.PEEK[]<10.20>": whole[10:30],
            "BODY.PEEK[]<99999999.5>": b"",
            "BODY.PEEK[HEADER.FIELDS (Subject)]": b"Subject: an attachment\r\n\r\n",
        }
        for item, octets in wanted.items():
            data = ok(imap.fetch("1", f"({item})"))
            got = data[0][1] if isinstance(data[0], tuple) else \
                re.search(rb'"(.*?)"', data[0])[1]
            same(octets, got, item)
        envelope = ok(imap.fetch("1", "(ENVELOPE)"))[0]
        expect(b'"an attachment"' in envelope and b'"Anna Example"' in envelope, f"{envelope}")
        structure = ok(imap.fetch("1", "(BODYSTRUCTURE)"))[0]
        expect(b'"a b.bin"' in structure and b'"mixed"' in structure.lower(), f"{structure}")
        imap.logout()

    @step("STORE +FLAGS, -FLAGS, FLAGS, .SILENT; keywords; SEARCH finds them")
    def flags_step(self):
        imap = self.login("INBOX")
        ok(imap.store("1:2", "+FLAGS", r"(\Flagged Blue)"))
        ok(imap.store("2", "-FLAGS", r"(Blue)"))
        ok(imap.store("3", "FLAGS", r"(\Answered)"))
        ok(imap.store("4", "+FLAGS.SILENT", r"(\Draft)"))
        same([b"1 2"], ok(imap.search(None, "FLAGGED")), "SEARCH FLAGGED")
        same([b"1"], ok(imap.search(None, "KEYWORD", "Blue")), "SEARCH KEYWORD")
        same([b"3"], ok(imap.search(None, "ANSWERED")), "SEARCH ANSWERED")
        same([b"4"], ok(imap.search(None, "DRAFT")), "SEARCH DRAFT")
        got = self.content("INBOX")
        same([[b"Blue", b"\\Flagged"], [b"\\Flagged"], [b"\\Answered"], [b"\\Draft"]],
             [flags for _, flags in got[:4]], "flags as another session sees them")
        imap.logout()

    @step("SEARCH by subject, text, size, date, in UTF-8, and by UID")
    def searches(self):
        imap = self.login("INBOX")
        same([b"2"], ok(imap.search(None, "SUBJECT", '"dots at"')), "SUBJECT")
        same([b"2"], ok(imap.search(None, "BODY", "hidden")), "BODY")
        same([b"7"], ok(imap.search(None, "LARGER", "100000")), "LARGER")
        same([b"3"], ok(imap.search(None, "HEADER", "Message-ID", "an-empty-body")), "HEADER")
        ok(imap.search(None, "SINCE", "1-Jan-2026", "OR", "SEEN", "NOT", "SEEN"))
        imap.literal = "Köln".encode()
        same([b"7"], ok(imap.search("UTF-8", "TEXT")), "TEXT in UTF-8, by a literal")
        imap.literal = "Grüße".encode()
        same([b"6"], ok(imap.search("UTF-8", "SUBJECT")), "SUBJECT decoded")
        uids = ok(imap.uid("SEARCH", "ALL"))[0].split()
        same(len(self.bodies("INBOX")), len(uids), "UID SEARCH ALL")
        imap.logout()

    @step("SEARCH with RETURN, its result in FETCH and COPY as $, by age")
    def saves_results(self):
        imap = self.login("INBOX")
        count = len(self.bodies("INBOX"))
        same([None], ok(imap.search(None, "RETURN", "(MIN MAX COUNT)", "ALL")), "SEARCH instead")
        told = imap.response("ESEARCH")[1][0]
        expect(told.endswith(b" MIN 1 MAX %d COUNT %d" % (count, count)), f"ESEARCH: {told}")
        ok(imap.search(None, "RETURN", "(SAVE)", "OR", "SUBJECT", '"dots at"', "BODY", "hidden"))
        same([None], imap.response("ESEARCH")[1], "ESEARCH with SAVE alone")
        same([b"2 (UID 2)"], ok(imap.fetch("$", "(UID)")), "FETCH $")
        expect(b"[COPYUID " in ok(imap.copy("$", quoted(samples.GREEK)))[0], "COPY $")
        ok(imap.uid("SEARCH", "RETURN", "()", "YOUNGER", "86400", "NOT", "$"))
        told = imap.response("ESEARCH")[1][0]
        expect(told.endswith(b" UID ALL 1,3:%d" % count), f"ESEARCH: {told}")
        same([b""], ok(imap.search(None, "OLDER", "86400")), "OLDER")
        box = ok(imap.select(quoted(samples.GREEK)))[0]
        same([b""], ok(imap.search(None, "$")), "$ after SELECT")
        ok(imap.store(box.decode(), "+FLAGS.SILENT", r"(\Deleted)"))
        ok(imap.expunge())
        imap.logout()

    @step("LIST of what is subscribed, with status; of special uses; several patterns")
    def lists_more(self):
        imap = self.login()

        def asked(*arguments):
            ok(imap._simple_command("LIST", *arguments))
            return imap.response("LIST")[1], imap.response("STATUS")[1]

        listed, status = asked("(SUBSCRIBED)", '""', "*", "RETURN", "(STATUS (MESSAGES))")
        there = [line for line in listed if b"\\NonExistent" not in line]
        same(len(there), len(status), "a STATUS for each mailbox")
        expect(all(b"\\Subscribed" in line for line in listed), f"LIST: {listed}")
        count = len(self.bodies("INBOX"))
        expect(b"INBOX (MESSAGES %d)" % count in status, f"STATUS: {status}")
        listed, _ = asked("(SPECIAL-USE)", '""', "*")
        expect(any(rb"\Trash" in line for line in listed), f"LIST: {listed}")
        listed, _ = asked('""', "(INBOX Tra% INB%)")
        same(2, len(listed), "names that match several patterns")
        imap.logout()

    @step("COPY keeps flags and bytes, COPYUID")
    def copies(self):
        imap = self.login("INBOX")
        status, data = imap.copy("1:3", quoted(samples.GREEK))
        expect(status == "OK" and re.search(rb"\[COPYUID \d+ \S+ \S+\]", data[0]),
               f"{status} {data}")
        same(self.content("INBOX")[:3], self.content(utf7(samples.GREEK)), "the copies")
        expect(imap.copy("1", '"No such box"')[0] == "NO", "COPY to nowhere")
        imap.logout()

    @step("MOVE and UID MOVE")
    def moves(self):
        before = self.content("INBOX")
        imap = self.login("INBOX")
        uids = ok(imap.uid("SEARCH", "ALL"))[0].split()
        ok(imap.uid("MOVE", uids[0].decode(), "Archive"))
        ok(imap._simple_command("MOVE", "1", "Archive"))
        same(before[:2], self.content("Archive"), "in Archive")
        same(before[2:], self.content("INBOX"), "left in INBOX")
        imap.logout()

    @step("two sessions: one IDLEs and is told of delivery, flags and expunge at once")
    def idles(self):
        imap = self.login("INBOX")
        tag = imap._new_tag()
        imap.send(tag + b" IDLE\r\n")
        expect(imap.readline().startswith(b"+"), "no continuation")

        def wait_line(pattern):
            end = time.monotonic() + 10
            seen = []
            while time.monotonic() < end:
                line = imap.readline()
                seen.append(line)
                if re.match(pattern, line):
                    return
            raise Failure(f"no {pattern!r} within 10 s: {seen}")

        imap.sock.settimeout(10)
        count = len(self.bodies("INBOX"))
        try:
            self.deliver(samples.message("while idle"))
            wait_line(rb"\* %d EXISTS" % (count + 1))
            other = self.login("INBOX")
            ok(other.store(str(count + 1), "+FLAGS", r"(\Flagged)"))
            wait_line(rb"\* %d FETCH .*\\Flagged" % (count + 1))
            ok(other.store(str(count + 1), "+FLAGS", r"(\Deleted)"))
            ok(other.expunge())
            wait_line(rb"\* %d EXPUNGE" % (count + 1))
        except TimeoutError as late:
            raise Failure(f"nothing was told within 10 s: {late}") from None
        imap.send(b"DONE\r\n")
        line = imap.readline()
        while line.startswith(b"*"):
            line = imap.readline()
        expect(line.startswith(tag + b" OK"), f"after DONE: {line}")
        other.logout()
        imap.logout()

    @step("STATUS, \\Deleted, UID EXPUNGE, EXPUNGE, CLOSE, UNSELECT")
    def deletes(self):
        imap = self.login("INBOX")
        count = len(self.bodies("INBOX"))
        status = ok(imap.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"))[0]
        expect(b"MESSAGES %d" % count in status, f"STATUS: {status}")
        uids = ok(imap.uid("SEARCH", "ALL"))[0].split()
        ok(imap.store("1:2", "+FLAGS", r"(\Deleted)"))
        ok(imap.uid("EXPUNGE", uids[0].decode()))
        same(count - 1, len(self.bodies("INBOX")), "after UID EXPUNGE of one")
        imap.response("EXPUNGE")
        same([b"1"], ok(imap.expunge()), "EXPUNGE")
        same(count - 2, len(self.bodies("INBOX")), "after EXPUNGE")
        ok(imap.store("1", "+FLAGS", r"(\Deleted)"))
        ok(imap.unselect())
        same(count - 2, len(self.bodies("INBOX")), "UNSELECT expunged")
        ok(imap.select("INBOX"))
        ok(imap.close())
        same(count - 3, len(self.bodies("INBOX")), "after CLOSE")
        expect(imap.logout()[0] == "BYE", "LOGOUT")
