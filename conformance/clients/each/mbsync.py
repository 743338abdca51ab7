"""mbsync (isync): two-way between the server and a tree of Maildirs."""

from kit import samples
from kit.samples import utf7
from kit.steps import expect, step

from .sync import Sync


class Mbsync(Sync):
    name = "mbsync"
    binary = "mbsync"
    package = "isync"
    adds = (rb"X-TUID",)

    def config(self, tls="None", name="config"):
        port = self.target.imaps[1] if tls == "IMAPS" else self.target.imap[1]
        trust = f"CertificateFile {self.target.authority}\n" if tls != "None" else ""
        return self.write(name, f"""
IMAPAccount far
Host {self.target.tls_name}
Port {port}
User {self.user}
Pass "{self.password}"
SSLType {tls}
{trust}
IMAPStore far
Account far

MaildirStore near
Path {self.home}/mail/
Inbox {self.home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")

    def prepare(self):
        (self.home / "mail").mkdir()

    def sync(self, tls="None"):
        return self.command("mbsync", "-c", self.config(tls), "all")

    def maildir(self, box):
        return self.home / "mail" / utf7(box).decode()

    def delete(self, path):
        self.set_flags(path, "T")

    @step("lists mailboxes, over TLS and STARTTLS too")
    def lists(self):
        self.append(utf7(samples.GREEK), samples.attachment(), flags=b"\\Seen")
        self.append(samples.SPACES, samples.message("with spaces"))
        for tls in ("None", "IMAPS", "STARTTLS"):
            if tls == "IMAPS":
                expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
            said = self.command("mbsync", "-c", self.config(tls), "-l", "all")
            for box in ("INBOX", samples.SPACES, utf7(samples.GREEK).decode()):
                expect(box in said.splitlines(), f"{tls}: no {box!r} in {said}")

    @step("first sync: all folders come down, byte for byte")
    def first(self):
        self.deliver(*samples.delivered())
        self.sync()
        self.compare("INBOX", samples.GREEK, samples.SPACES, "Archive")
        expect(len(self.files("INBOX")) == len(samples.delivered()), "messages are missing")

    @step("flags, deletions and new messages on both sides, one sync, both sides equal")
    def both(self):
        self.change_both_sides()
        self.sync()
        self.after_change()

    @step("a second sync changes nothing")
    def nothing(self):
        before = (self.content("INBOX"), self.files("INBOX"))
        said = self.sync()
        expect(before == (self.content("INBOX"), self.files("INBOX")), f"something changed\n{said}")

    @step("folders made on either side appear on the other, with their mail")
    def folders(self):
        self.put("made locally/deep down", samples.attachment())
        self.append(utf7(samples.JAPANESE), samples.forwarded())
        self.sync()
        self.compare("made locally/deep down", samples.JAPANESE)
        expect("made locally/deep down" in self.boxes(), "not made on the server")
        expect(len(self.files(samples.JAPANESE)) == 1, "not made locally")

    @step("a folder emptied and removed on the server goes locally")
    def removes(self):
        with self.session() as imap:
            imap.select(utf7(samples.JAPANESE))
            imap.must(b"STORE 1:* +FLAGS (\\Deleted)")
            imap.must(b"EXPUNGE")
            imap.logout()
        self.sync()
        with self.session() as imap:
            imap.must(b"DELETE " + b'"' + utf7(samples.JAPANESE) + b'"')
            imap.logout()
        self.sync()
        expect(not (self.maildir(samples.JAPANESE) / "cur").exists(), "the Maildir is still there")
        expect(samples.JAPANESE not in self.boxes(), "the mailbox is back")

    @step("two hundred messages each way, over STARTTLS")
    def many(self):
        self.append("Many", *[samples.message(f"far {n}") for n in range(200)])
        for n in range(200):
            self.put("Many", samples.message(f"near {n}"), "S" if n % 2 else "")
        self.sync("STARTTLS")
        self.compare("Many")
        expect(len(self.files("Many")) == 400, f"{len(self.files('Many'))} messages, not 400")
