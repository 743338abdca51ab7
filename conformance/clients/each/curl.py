"""curl's imap:// and imaps://."""

from urllib.parse import quote

from kit import samples
from kit.samples import utf7
from kit.steps import Client, expect, same, step, trace_and


class Curl(Client):
    name = "curl"
    binary = "curl"
    package = "curl"

    def url(self, path="", scheme="imap"):
        port = self.target.imap[1] if scheme == "imap" else self.target.imaps[1]
        return f"{scheme}://{self.target.tls_name}:{port}/{path}"

    def curl(self, path, *options, scheme="imap", **more):
        login = self.write("login", f'user = "{self.user}:{self.password}"\n')
        trust = ["--cacert", self.target.authority] if self.target.authority else []
        return self.command("curl", "--silent", "--show-error", "--config", login, *trust,
                            *options, self.url(path, scheme), raw=True, **more)

    @step("lists mailboxes, and over TLS and STARTTLS")
    def lists(self):
        self.deliver(*samples.delivered())
        for options, scheme in (((), "imap"), ((), "imaps"), (("--ssl-reqd",), "imap")):
            if scheme == "imaps":
                expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
            said = self.curl("", *options, scheme=scheme)
            expect(b"INBOX" in said and said.startswith(b"* LIST"), f"{scheme} {options}: {said}")

    @step("refuses to go on after a wrong password (exit code 67)")
    def wrong_password(self):
        self.command("curl", "--silent", "--user", f"{self.user}:wrong", self.url(),
                     codes=(67,), raw=True)

    @step("EXAMINE, STATUS, NOOP, CAPABILITY by custom request")
    def custom(self):
        count = len(samples.delivered())
        expect(b"* %d EXISTS" % count in self.curl("", "-X", "EXAMINE INBOX"), "EXAMINE")
        expect(b"MESSAGES %d" % count in self.curl("", "-X", "STATUS INBOX (MESSAGES)"), "STATUS")
        self.curl("", "-X", "NOOP")
        expect(b"IMAP4rev1" in self.curl("", "-X", "CAPABILITY"), "CAPABILITY")

    @step("reads whole messages, sections, and a part of one")
    def reads(self):
        for number, wanted in enumerate(samples.delivered(), 1):
            trace_and(self.curl(f"INBOX;MAILINDEX={number}"), wanted)
        whole = samples.attachment()
        text = whole[whole.index(b"\r\n\r\n") + 4:]
        same(text, self.curl("INBOX;MAILINDEX=7;SECTION=TEXT"), "SECTION=TEXT")
        same("Grüße aus Köln".encode(), self.curl("INBOX;MAILINDEX=7;SECTION=1"), "SECTION=1")
        same(text[5:25], self.curl("INBOX;MAILINDEX=7;SECTION=TEXT;PARTIAL=5.20"), "PARTIAL")

    @step("searches")
    def searches(self):
        said = self.curl("INBOX?" + quote('SUBJECT "dots at"'))
        same(b"* SEARCH 2\r\n", said, "the answer")

    @step("creates, subscribes, lists and appends to a folder with a non-ASCII name")
    def appends(self):
        coded = utf7(samples.GREEK).decode()
        self.curl("", "-X", f'CREATE "{coded}"')
        self.curl("", "-X", f'SUBSCRIBE "{coded}"')
        expect(samples.GREEK in self.boxes(b"LSUB"), "not subscribed")
        file = self.write("upload", samples.forwarded())
        self.curl(quote(coded, safe=""), "-T", file)
        same([samples.forwarded()], self.bodies(coded), "appended")
        same(samples.forwarded(), self.curl(quote(coded, safe="") + ";MAILINDEX=1"), "read back")

    @step("flags, copies, moves, deletes and expunges by custom request")
    def changes(self):
        before = self.bodies("INBOX")
        self.curl("INBOX", "-X", r"STORE 1 +FLAGS (\Flagged)")
        expect("\\Flagged" in self.flags("INBOX")["a plain one"], "not flagged")
        self.curl("INBOX", "-X", "COPY 2 Archive")
        same(before[1:2], self.bodies("Archive"), "in Archive")
        self.curl("INBOX", "-X", "MOVE 3 Archive")
        same([before[1], before[2]], self.bodies("Archive"), "in Archive after MOVE")
        self.curl("INBOX", "-X", r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.curl("INBOX", "-X", "EXPUNGE")
        same(before[1:2] + before[3:], self.bodies("INBOX"), "left in INBOX")

    @step("renames and deletes a folder")
    def folders(self):
        self.curl("", "-X", f'RENAME "{utf7(samples.GREEK).decode()}" "Old things"')
        same([samples.forwarded()], self.bodies("Old things"), "after RENAME")
        self.curl("", "-X", 'DELETE "Old things"')
        expect("Old things" not in self.boxes(), "still listed")
