"""What the others notice while somebody misbehaves: their waiting times, and the server's memory."""

import os
import threading
import time

from . import samples, wire

MIB = 1 << 20
SAMPLE_SECONDS = 0.05
NEIGHBOUR_SECONDS = 0.15


def children(pid):
    """A process and all below it."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                parents.setdefault(int(file.read().rpartition(")")[2].split()[1]),
                                   []).append(int(entry))
        except OSError:
            continue
    out, todo = [], [pid]
    while todo:
        one = todo.pop()
        out.append(one)
        todo += parents.get(one, [])
    return out


def memory(pid, family=True):
    """Resident octets of a process; with `family` the proportional share of it and all below."""
    total = 0
    name, word = ("smaps_rollup", "Pss:") if family else ("status", "VmRSS:")
    for one in children(pid) if family else [pid]:
        try:
            with open(f"/proc/{one}/{name}", encoding="ascii", errors="replace") as file:
                for line in file:
                    if line.startswith(word):
                        total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class Memory(threading.Thread):
    """Samples the server's resident memory; `peak` since the last `reset`."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.family = len(children(pid)) > 1
        self.peak = self.now = memory(pid, self.family)
        self.ended = threading.Event()
        self.start()

    def run(self):
        # Of many processes at a tenth of the pace, not to be the load that is measured.
        while not self.ended.wait(SAMPLE_SECONDS * (10 if self.family else 1)):
            self.now = memory(self.pid, self.family)
            self.peak = max(self.peak, self.now)

    def reset(self):
        self.peak = self.now = memory(self.pid, self.family)

    def stop(self):
        self.ended.set()
        self.join()


class Neighbour(threading.Thread):
    """Another user's session that goes on working and notes how long each command took.

    With `box` it works in that mailbox of that account (of the attacked one, to see whether a
    lock is held), else in its own INBOX.
    """

    def __init__(self, target, user, box=b"INBOX", lmtp=True):
        super().__init__(daemon=True)
        self.target = target
        self.user = user
        self.box = box
        self.by_lmtp = lmtp
        self.worst = {}
        self.count = 0
        self.trouble = None
        self.under_way = None
        self.ended = threading.Event()

    def timed(self, name, action):
        started = time.monotonic()
        self.under_way = (name, started)
        action()
        self.under_way = None
        took = time.monotonic() - started
        self.worst[name] = max(took, self.worst.get(name, 0.0))
        self.count += 1

    def run(self):
        try:
            self.work()
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"

    def work(self):
        with self.target.session(self.user, timeout=60) as imap:
            imap.run(b"CREATE " + self.box)
            reply = imap.append(self.box, samples.message("of the neighbour"))
            if not reply.ok:
                raise wire.WireError(f"APPEND: {reply.tagged!r}")
            imap.select(self.box)
            uid = b"%d" % max(imap.uids())
            flag = False
            while not self.ended.wait(NEIGHBOUR_SECONDS):
                flag = not flag
                self.timed("NOOP", lambda: imap.must(b"NOOP"))
                self.timed("STORE", lambda: imap.must(
                    b"UID STORE " + uid + (b" +" if flag else b" -") + b"FLAGS (\\Flagged)"))
                self.timed("FETCH", lambda: imap.must(b"UID FETCH " + uid + b" (FLAGS BODY.PEEK[])"))
                self.timed("APPEND", lambda: self.append(imap))
                if self.by_lmtp:
                    self.timed("LMTP", self.deliver)
            imap.logout()

    def append(self, imap):
        reply = imap.append(b"INBOX", samples.message("one more"))
        if not reply.ok:
            raise wire.WireError(f"APPEND: {reply.tagged!r}")

    def deliver(self):
        lmtp = wire.Lmtp(self.target.lmtp, timeout=60)
        sender = samples.sender(f"neighbour{self.count}").encode()
        reply = lmtp.data(sender, [self.user[0]], samples.message("by the way"))[0]
        if not reply.startswith(b"250"):
            raise wire.WireError(f"LMTP: {reply!r}")
        lmtp.quit()

    def stop(self):
        """Ends, and the worst waiting time by command."""
        self.ended.set()
        self.join(60)
        if self.under_way is not None and self.trouble is None:
            name, started = self.under_way
            self.trouble = f"{name} without an answer for {time.monotonic() - started:.1f} s"
        return {name: round(took, 3) for name, took in self.worst.items()}
