"""mutt, driven at a terminal of its own by keys, as a user would."""

import os
import pty
import re
import select
import subprocess
import sys
import time

from kit import samples
from kit.samples import utf7
from kit.steps import Client, Failure, expect, same, step, trace_and

SESSION_SECONDS = 40
# The answers of a server that mean trouble, in mutt's debug log.
REFUSAL = re.compile(r"^\S* ?\S* ?4< (?:a\d+|\*) (?:NO|BAD)\b.*|IMAP.*error.*", re.M | re.I)


def typed(name):
    """A mailbox name as it is typed: a bare space would complete it."""
    return name.replace(" ", "<quote-char> ")


class Mutt(Client):
    name = "mutt"
    binary = "mutt"
    package = "mutt"

    def url(self, box="INBOX", scheme="imap"):
        port = self.target.imaps[1] if scheme == "imaps" else self.target.imap[1]
        return f"{scheme}://{self.target.tls_name}:{port}/{box}"

    def config(self, *lines, scheme="imap"):
        sender = self.write("lmtp-send", f"""#!{sys.executable}
import smtplib, sys
message = sys.stdin.buffer.read().replace(b"\\r\\n", b"\\n").replace(b"\\n", b"\\r\\n")
lmtp = smtplib.LMTP({self.lmtp_arguments()})
recipients = sys.argv[sys.argv.index("--") + 1:]
refused = lmtp.sendmail("{samples.sender('anna')}", recipients, message)
lmtp.quit()
sys.exit(1 if refused else 0)
""", 0o700)
        trust = f'set certificate_file="{self.target.authority}"' if self.target.authority else ""
        return self.write("muttrc", "\n".join((
            f'set imap_user="{self.user}"', f'set imap_pass="{self.password}"',
            f'set folder="{self.url("", scheme)}"', f'set spoolfile="{self.url(scheme=scheme)}"',
            'set ssl_starttls=no', 'set ssl_force_tls=no', trust,
            'set confirmcreate=no', 'set confirmappend=no', 'set delete=yes', 'set quit=yes',
            'set move=no', 'set wait_key=no', 'set sort=mailbox-order', 'set auto_tag=no',
            'set mark_old=no', 'set mail_check=1', 'set timeout=1', 'set pipe_decode=no',
            'set charset=utf-8', 'set header_cache=""', 'set imap_check_subscribed=no',
            'set print=yes', 'set abort_nosubject=no', 'set edit_headers=no', 'set editor=true',
            'set record=""', 'set postpone=no', 'set fast_reply=yes', 'set imap_idle=no',
            'set from="anna@example.org"', 'set realname="Anna Example"', 'set use_envelope_from=no',
            f'set sendmail="{sender}"', 'set tmpdir="' + str(self.home) + '"', *lines)) + "\n")

    def lmtp_arguments(self):
        if isinstance(self.target.lmtp, str):
            return repr(self.target.lmtp)
        return f"{self.target.lmtp[0]!r}, {self.target.lmtp[1]}"

    def mutt(self, keys, *lines, box="INBOX", scheme="imap", url=None, meanwhile=None,
             refusals=False):
        """Opens a mailbox, types `keys` and waits for the end; the debug log."""
        log = self.home / ".muttdebug0"
        log.unlink(missing_ok=True)
        config = self.config(*lines, f"push '{keys}'", scheme=scheme)
        master, slave = pty.openpty()
        process = subprocess.Popen(
            ["mutt", "-n", "-F", str(config), "-d", "2", "-f", url or self.url(box, scheme)],
            cwd=self.home, env=self.environment(), stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True)
        os.close(slave)
        screen = bytearray()
        end = time.monotonic() + SESSION_SECONDS
        try:
            while process.poll() is None:
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        screen += os.read(master, 65536)
                    except OSError:
                        break
                if meanwhile is not None and meanwhile(master, bytes(screen)):
                    meanwhile = None
                if time.monotonic() > end:
                    raise Failure(f"mutt did not end within {SESSION_SECONDS} s; its screen:\n"
                                  + self.readable(screen) + "\n" + self.log_tail(log))
            process.wait(5)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(master)
        said = log.read_text(errors="replace") if log.exists() else ""
        expect(process.returncode == 0, f"exit code {process.returncode}\n"
               + self.readable(screen) + "\n" + self.log_tail(log))
        found = REFUSAL.search(said)
        if found and not refusals:
            raise Failure(f"in the debug log: {found[0]}\n{self.log_tail(log)}")
        return said

    @staticmethod
    def readable(screen):
        text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x00-\x09\x0b-\x1f]",
                      b" ", bytes(screen)[-6000:]).decode("utf-8", "replace")
        return re.sub(r" {3,}", "\n", text)

    @staticmethod
    def log_tail(log):
        if not log.exists():
            return "(no debug log)"
        return "\n".join(log.read_text(errors="replace").splitlines()[-40:])

    @step("opens INBOX, over TLS and STARTTLS too, and reads every message byte for byte")
    def reads(self):
        self.deliver(*samples.delivered())
        expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
        for scheme, lines in (("imap", ()), ("imaps", ()), ("imap", ("set ssl_force_tls=yes",))):
            keys = "".join(
                f"<jump>{n}<enter><pipe-message>cat > {self.home}/m{n}<enter>"
                for n in range(1, 9)) + "<exit>"
            self.mutt(keys, *lines, scheme=scheme)
            for n, wanted in enumerate(samples.delivered(), 1):
                got = (self.home / f"m{n}").read_bytes().replace(b"\n", b"\r\n")
                (self.home / f"m{n}").unlink()
                trace_and(got, wanted)

    @step("shows a message, which marks it \\Seen on the server")
    def shows(self):
        with self.session("INBOX") as imap:
            imap.must(b"STORE 1:* -FLAGS.SILENT (\\Seen)")
        self.mutt("<jump>2<enter><display-message><exit><quit>")
        same({"\\Seen"}, self.flags("INBOX")["dots at line starts"], "flags")

    @step("flags, and takes the flag away")
    def flags_step(self):
        self.mutt("<jump>1<enter><flag-message><jump>3<enter><flag-message><sync-mailbox><quit>")
        flags = self.flags("INBOX")
        expect("\\Flagged" in flags["a plain one"] and "\\Flagged" in flags["an empty body"],
               f"not flagged: {flags}")
        self.mutt("<jump>1<enter><flag-message><quit>")
        expect("\\Flagged" not in self.flags("INBOX")["a plain one"], "still flagged")

    @step("searches on the server (=b)")
    def searches(self):
        self.mutt(f"<limit>=b hidden<enter><pipe-message>cat > {self.home}/found<enter><exit>")
        expect(b"dots at line starts" in (self.home / "found").read_bytes(), "another message")

    @step("copies a message to a new folder with spaces, and one with a non-ASCII name")
    def copies(self):
        self.mutt(f"<jump>7<enter><copy-message>={typed(samples.SPACES)}<enter>"
                  f"<copy-message>={samples.JAPANESE}<enter><exit>", refusals=True)
        wanted = [self.bodies("INBOX")[6]]
        same(wanted, self.bodies(samples.SPACES), "with spaces")
        same(wanted, self.bodies(utf7(samples.JAPANESE)), "non-ASCII")

    @step("saves (moves) tagged messages to Archive")
    def moves(self):
        before = self.bodies("INBOX")
        self.mutt("<jump>1<enter><tag-entry><jump>3<enter><tag-entry>"
                  "<tag-prefix><save-message>=Archive<enter><quit>")
        same([before[0], before[2]], self.bodies("Archive"), "in Archive")
        same([before[1]] + before[3:], self.bodies("INBOX"), "left in INBOX")

    @step("deletes and undeletes, expunges on leaving")
    def deletes(self):
        before = self.subjects("INBOX")
        self.mutt("<jump>1<enter><delete-message><jump>2<enter><delete-message>"
                  "<jump>2<enter><undelete-message><quit>")
        same(before[1:], self.subjects("INBOX"), "left in INBOX")

    @step("appends a local mbox to a folder")
    def appends(self):
        box = b"".join(b"From anna@example.org Mon Jan  5 10:11:12 2026\n"
                       + samples.message(f"local {n}").replace(b"\r\n", b"\n") + b"\n"
                       for n in (1, 2))
        path = self.write("local.mbox", box)
        self.mutt(f"<tag-pattern>~A<enter><tag-prefix><copy-message>{self.url('Uploaded')}<enter>"
                  "<exit>", url=path, refusals=True)
        same(["local 1", "local 2"], self.subjects("Uploaded"), "uploaded")

    @step("creates, renames, subscribes and deletes a mailbox in the browser")
    def browser(self):
        self.mutt("<change-folder>?<create-mailbox>"
                  f"<kill-line>{typed('Größe box')}<enter><exit><exit>", refusals=True)
        expect("Größe box" in self.boxes(), f"not created: {self.boxes()}")
        self.mutt("<change-folder>?<first-entry><search>Gr.*box<enter><subscribe><rename-mailbox>"
                  f"<kill-line>{typed('new name')}<enter><exit><exit>", refusals=True)
        expect("Größe box" in self.boxes(b"LSUB"), f"not subscribed: {self.boxes(b'LSUB')}")
        expect("new name" in self.boxes(), f"not renamed: {self.boxes()}")
        self.mutt("<change-folder>?<first-entry><search>new.name<enter><delete-mailbox>y"
                  "<exit><exit>")
        expect("new name" not in self.boxes(), "still there")

    @step("sends (by LMTP) and keeps a copy in Sent")
    def sends(self):
        config = self.config(f'set record="{self.url("Sent")}"')
        text = self.write("text", "Written in mutt.\n")
        attached = self.write("attached.bin", bytes(range(256)) * 40)
        self.command("mutt", "-n", "-F", config, "-s", "sent by mutt", "-a", attached, "--",
                     self.user, stdin=text.read_bytes())
        same("sent by mutt", self.subjects("INBOX")[-1], "delivered")
        same(["sent by mutt"], self.subjects("Sent"), "in Sent")
        same({"\\Seen"}, self.flags("Sent")["sent by mutt"], "flags in Sent")

    @step("sees a message that arrives while it IDLEs")
    def idles(self):
        state = {}

        def meanwhile(master, screen):
            if "sent" not in state:
                log = self.home / ".muttdebug0"
                if log.exists() and "IDLE" in log.read_text(errors="replace"):
                    self.deliver(samples.message("arrives meanwhile"))
                    state["sent"] = True
                return False
            if b"arrives meanwhile" in screen:
                os.write(master, b"x")
                return True
            return False
        said = self.mutt("<refresh>", "set imap_idle=yes", meanwhile=meanwhile)
        expect("IDLE" in said and state.get("sent"), "mutt never sent IDLE")
