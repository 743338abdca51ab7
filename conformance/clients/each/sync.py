"""What mbsync and offlineimap share: a Maildir beside the server, and how the two compare."""

import os
import re

from kit import samples
from kit.samples import utf7
from kit.steps import Client, difference, expect, same

FLAGS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}


class Sync(Client):
    """A client that keeps a tree of Maildirs equal to the server's mailboxes."""

    # Header fields that the client itself adds to what it uploads.
    adds = ()

    def maildir(self, box):
        """The folder of a mailbox; a name as the user reads it."""
        return self.home / "mail" / box

    def files(self, box):
        """`{path: flags}` of a Maildir."""
        out = {}
        for part in ("cur", "new"):
            folder = self.maildir(box) / part
            for entry in sorted(os.listdir(folder)) if folder.is_dir() else ():
                letters = entry.partition(":2,")[2]
                out[folder / entry] = {FLAGS[c] for c in letters if c in FLAGS}
        return out

    def find(self, box, title):
        """The file of the message with this subject."""
        for path in self.files(box):
            if samples.subject(path.read_bytes()) == title:
                return path
        expect(False, f"no {title!r} in the Maildir {box}: {sorted(self.files(box))}")

    def put(self, box, message, flags=""):
        """A new local message."""
        folder = self.maildir(box) / "cur"
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("new", "tmp"):
            (self.maildir(box) / part).mkdir(exist_ok=True)
        ident = re.sub(r"[^a-z0-9]+", "-", samples.subject(message).lower())
        (folder / f"1700000000.{ident}.localhost:2,{flags}").write_bytes(
            message.replace(b"\r\n", b"\n"))

    def set_flags(self, path, letters):
        """Renames a file of the Maildir to have these flags."""
        base = path.name.partition(":2,")[0]
        target = path.parent.parent / "cur" / f"{base}:2,{''.join(sorted(letters))}"
        path.rename(target)
        return target

    def delete(self, path):
        """Deletes a local message as this client's users do."""
        path.unlink()

    def bare(self, message):
        """A message as a Maildir has it: LF line ends, without what the client adds."""
        message = message.replace(b"\r\n", b"\n")
        head, mark, rest = message.partition(b"\n\n")
        for field in self.adds:
            head = re.sub(rb"(?im)^" + field + rb":[^\n]*\n?", b"", head + b"\n").rstrip(b"\n")
        return head + mark + rest

    def compare(self, *boxes):
        """Fails unless both sides hold the same messages, byte for byte, with the same flags."""
        for box in boxes:
            remote = sorted((self.bare(body), sorted(f.decode() for f in flags
                                                     if f.decode() in FLAGS.values()))
                            for body, flags in self.content(utf7(box)))
            local = sorted((self.bare(path.read_bytes()), sorted(flags))
                           for path, flags in self.files(box).items())
            same(len(remote), len(local), f"{box}: messages on the server and in the Maildir")
            for (body, flags), (copy, letters) in zip(remote, local):
                expect(body == copy, f"{box}: {difference(body, copy)}")
                same(flags, letters, f"{box}: flags of {samples.subject(body)!r}")

    def change_both_sides(self):
        """Flags, deletions and new messages on both sides at once."""
        self.set_flags(self.find("INBOX", "a plain one"), "FS")
        self.delete(self.find("INBOX", "an empty body"))
        self.put("INBOX", samples.message("written locally", "One\r\nTwo\r\n"), "S")
        with self.session("INBOX") as imap:
            imap.must(b'STORE 2 +FLAGS (\\Answered \\Seen)')
            imap.must(b'STORE 4 +FLAGS (\\Deleted)')
            imap.must(b"EXPUNGE")
            imap.logout()
        self.append("INBOX", samples.message("written on the server"), flags=b"\\Flagged")

    def after_change(self):
        """What both sides must be after `change_both_sides` and a sync."""
        self.compare("INBOX")
        flags = self.flags("INBOX")
        same({"\\Flagged", "\\Seen"}, flags["a plain one"], "flags from the Maildir")
        same({"\\Answered", "\\Seen"},
             self.files("INBOX")[self.find("INBOX", "dots at line starts")],
             "flags from the server")
        expect("an empty body" not in flags, "what was deleted locally is on the server")
        expect("From in the text" not in flags, "what was expunged is back on the server")
        same({"\\Seen"}, flags["written locally"], "flags of a new local message")
        self.find("INBOX", "written on the server")
