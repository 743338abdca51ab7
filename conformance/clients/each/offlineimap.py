"""offlineimap: two-way between the server and a tree of Maildirs."""

from kit import samples
from kit.samples import utf7
from kit.steps import expect, step

from .sync import Sync


class Offlineimap(Sync):
    name = "offlineimap"
    binary = "offlineimap"
    package = "offlineimap3"
    adds = (rb"X-OfflineIMAP",)
    harmless = (r"Licensed under the GNU GPL v2.*",)

    # No step uses its STARTTLS: after it imaplib2's reader thread races with the handshake, and
    # now and then the client waits for ever, with any server. The other clients do STARTTLS.
    def config(self, tls=False):
        port = self.target.imaps[1] if tls else self.target.imap[1]
        ssl = "yes" if tls else "no"
        trust = f"sslcacertfile = {self.target.authority}" if tls else ""
        return self.write("config", f"""[general]
accounts = test
ui = basic
metadata = {self.home}/state

[Account test]
localrepository = near
remoterepository = far
utf8foldernames = no

[Repository near]
type = Maildir
localfolders = {self.home}/mail
sep = /

[Repository far]
type = IMAP
remotehost = {self.target.tls_name}
remoteport = {port}
remoteuser = {self.user}
remotepass = {self.password}
ssl = {ssl}
starttls = no
auth_mechanisms = PLAIN, LOGIN
{trust}
expunge = yes
createfolders = yes
""")

    def sync(self, tls=False):
        return self.command("offlineimap", "-o", "-c", self.config(tls))

    def maildir(self, box):
        return self.home / "mail" / utf7(box).decode()

    @step("lists mailboxes")
    def lists(self):
        self.append(utf7(samples.GREEK), samples.attachment(), flags=b"\\Seen")
        self.append(samples.SPACES, samples.message("with spaces"))
        said = self.command("offlineimap", "--info", "-c", self.config())
        for box in ("INBOX", samples.SPACES, utf7(samples.GREEK).decode()):
            expect(box in said, f"no {box!r} in {said}")

    @step("first sync, over TLS: all folders come down, byte for byte")
    def first(self):
        expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
        self.deliver(*samples.delivered())
        self.sync(tls=True)
        self.compare("INBOX", samples.GREEK, samples.SPACES, "Archive")
        expect(len(self.files("INBOX")) == len(samples.delivered()), "messages are missing")

    @step("flags, deletions and new messages on both sides, one sync, both sides equal")
    def both(self):
        self.change_both_sides()
        self.sync()
        self.after_change()

    @step("a second sync, over TLS, changes nothing")
    def nothing(self):
        before = (self.content("INBOX"), self.files("INBOX"))
        said = self.sync(tls=True)
        expect(before == (self.content("INBOX"), self.files("INBOX")), f"something changed\n{said}")

    @step("folders made on either side appear on the other, with their mail")
    def folders(self):
        self.put("made locally", samples.message("not so deep"))
        self.put("made locally/deep down", samples.message("deep down"))
        self.append(utf7(samples.JAPANESE), samples.forwarded())
        self.sync()
        self.compare("made locally", "made locally/deep down", samples.JAPANESE)
        expect("made locally/deep down" in self.boxes(), "not made on the server")
        expect(len(self.files(samples.JAPANESE)) == 1, "not made locally")

    @step("a hundred messages each way")
    def many(self):
        self.append("Many", *[samples.message(f"far {n}") for n in range(100)])
        for n in range(100):
            self.put("Many", samples.message(f"near {n}"), "S" if n % 2 else "")
        self.sync()
        self.compare("Many")
        expect(len(self.files("Many")) == 200, f"{len(self.files('Many'))} messages, not 200")
