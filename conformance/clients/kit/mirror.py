"""A mailbox as one client sees it: made from what the server says alone, in the order in which it says it.

A client that follows RFC 3501 keeps a list of messages: EXISTS lengthens it, EXPUNGE takes one out, FETCH says what is
known of one (sections 7.3.1, 7.4.1, 7.4.2). What can't be, in a server's answers, is kept in `wrong`.
"""

import re
import select
import time

from . import wire

NUMBERED = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH)\b", re.I)
VALIDITY = re.compile(rb"\[UIDVALIDITY (\d+)\]", re.I)
SUBJECT = re.compile(rb"^Subject: (\S+)", re.I | re.M)
#: Commands in whose answer there may be no EXPUNGE (RFC 3501 section 7.4.1).
NO_EXPUNGE = re.compile(rb"(FETCH|STORE|SEARCH) ", re.I)
#: What a client asks of a message that is new to it.
WANTED = b"(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
SUBJECT_ITEM = b"BODY[HEADER.FIELDS (SUBJECT)]"


class Entry:
    """What is known of a message: its UID, its flags without \\Recent, its subject; None: not told yet."""

    __slots__ = ("uid", "flags", "subject")

    def __init__(self):
        self.uid = self.flags = self.subject = None


class View:
    """An IMAP session and its view of the mailbox that it has selected."""

    def __init__(self, where, user, timeout=60):
        self.imap = wire.Imap(where, user[0], user[1], timeout)
        self.box, self.validity, self.entries, self.wrong = None, None, [], []

    def fault(self, what):
        self.wrong.append(f"{what} in {(self.box or b'no mailbox').decode()}")

    def take(self, parts, command=b""):
        """Takes in an untagged response."""
        found = VALIDITY.search(parts[0])
        if found:
            self.validity = int(found[1])
        found = NUMBERED.match(parts[0])
        if not found:
            return
        number, kind = int(found[1]), found[2].upper()
        if kind == b"EXISTS":
            if number < len(self.entries):
                self.fault(f"EXISTS {number} where {len(self.entries)} were known")
            self.entries.extend(Entry() for _ in range(number - len(self.entries)))
        elif kind == b"EXPUNGE":
            if NO_EXPUNGE.match(command):
                self.fault(f"EXPUNGE in the answer to {command[:30]!r}")
            if not 1 <= number <= len(self.entries):
                self.fault(f"EXPUNGE {number} of {len(self.entries)}")
            else:
                del self.entries[number - 1]
        elif kind == b"FETCH":
            if not 1 <= number <= len(self.entries):
                self.fault(f"FETCH of {number} of {len(self.entries)}")
            else:
                self._learn(number, wire.pairs(wire.parse(parts)[2]))

    def _learn(self, number, items):
        entry = self.entries[number - 1]
        uid = items.get(b"UID")
        if uid is not None:
            uid = int(uid)
            if entry.uid not in (None, uid):
                self.fault(f"message {number} had UID {entry.uid} and now has {uid}")
            entry.uid = uid
        if b"FLAGS" in items:
            entry.flags = frozenset(bytes(flag) for flag in items[b"FLAGS"]) - {b"\\Recent"}
        if SUBJECT_ITEM in items:
            subject = SUBJECT.search(bytes(items[SUBJECT_ITEM] or b""))
            subject = subject[1] if subject else b""
            if entry.subject not in (None, subject):
                self.fault(f"UID {entry.uid} was {entry.subject!r} and now is {subject!r}")
            entry.subject = subject

    def run(self, command):
        """Runs a command and takes in what it says; the Reply."""
        return self._taken(self.imap.run(command), command)

    def append(self, box, message):
        return self._taken(self.imap.append(box, message), b"APPEND")

    def _taken(self, reply, command):
        for parts in reply.untagged:
            self.take(parts, command)
        if any(parts[0].upper().startswith(b"* BYE") for parts in reply.untagged):
            raise wire.WireError("BYE")
        return reply

    def select(self, box):
        """Selects a mailbox and learns all that is in it. False when the server can't just now."""
        self.box, self.entries, self.validity = box, [], None
        reply = self.run(b"SELECT " + wire.quote(box))
        if not reply.ok:
            self.box = None
            return False
        return self.learn()

    def learn(self):
        """Asks for what is not known. False when the server can't just now."""
        while True:
            unknown = [n for n, entry in enumerate(self.entries, 1)
                       if entry.uid is None or entry.flags is None or entry.subject is None]
            if not unknown:
                break
            before = len(unknown)
            reply = self.run(b"FETCH %d:%d %s" % (unknown[0], unknown[-1], WANTED))
            if not reply.ok:
                return False
            rest = sum(entry.uid is None or entry.flags is None or entry.subject is None
                       for entry in self.entries[unknown[0] - 1:unknown[-1]])
            if rest and rest >= before:
                self.fault(f"FETCH {unknown[0]}:{unknown[-1]} leaves {rest} unknown")
                break
        uids = [entry.uid for entry in self.entries if entry.uid is not None]
        if any(a >= b for a, b in zip(uids, uids[1:])):
            self.fault("UIDs that do not grow with the numbers")
        return True

    def idle(self, seconds, until=None):
        """IDLE for so long, or until `until()`; what comes is taken in as it comes. False when it is refused."""
        tag = self.imap.tag()
        self.imap.send(tag + b" IDLE\r\n")
        while True:
            parts = wire.response_parts(self.imap)
            if parts[0].startswith(b"+"):
                break
            if not parts[0].startswith(b"* "):
                return False
            self.take(parts)
        end = time.monotonic() + seconds
        while not (until and until()):
            left = end - time.monotonic()
            waiting = b"\n" in self.imap.buffer[self.imap.at:]
            if not waiting and (left <= 0 or not select.select([self.imap.sock], [], [], max(left, 0))[0]):
                break
            parts = wire.response_parts(self.imap)
            if parts[0].upper().startswith(b"* BYE"):
                raise wire.WireError("BYE")
            self.take(parts)
        self.imap.send(b"DONE\r\n")
        for parts in self.imap.finish(tag).untagged:
            self.take(parts)
        return True

    def apply(self, uids, on, flags):
        """A STORE with .SILENT that was acknowledged: the client knows what became of the flags (RFC 3501 section 6.4.6)."""
        for entry in self.entries:
            if entry.uid in uids and entry.flags is not None:
                entry.flags = entry.flags | flags if on else entry.flags - flags

    def contents(self):
        """`{UID: (flags, subject)}`, as it is known here."""
        return {entry.uid: (entry.flags, entry.subject) for entry in self.entries}

    def close(self):
        self.imap.close()
