#!/usr/bin/env python3
"""A message of 100 MiB goes in by LMTP and by APPEND and comes out by FETCH, octet for octet, and the server's memory stays flat.

    large.py BINARY [--url URL | --on sqlite,postgres,mariadb,mysql] [--mib 100]

Two kinds of message: an attachment in base64 that can't be packed, and lines of text that can. Each way a small message goes
before the large one, so that what any message costs is not counted as growth. Fails when resident memory grows by more than
MOST over that, when an octet differs, or a slice of it. `--on` starts a server of each kind in a container.
"""

import argparse
import base64
import hashlib
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import database, servers, target, wire

MIB = 1 << 20
BLOCK = 57 * 4096
SAMPLE_SECONDS = 0.01
SLICE = 100_000
#: MiB by which memory may grow: with a database server, and with SQLite, whose page cache is in our process (64 MiB of the
#: connection that writes, 32 of one that reads: src/store/src/driver/sqlite.rs).
MOST = (64, 64 + 64 + 32)


class Message:
    """Octets made block by block from a seed, so that nobody holds them all."""

    def __init__(self, kind, octets, seed):
        self.kind, self.seed = kind, seed
        self.head = (b"Received: from somewhere by somewhere-else with ESMTP id %d;\r\n\tFri, 27 Nov 2026 10:00:00 +0000\r\n"
                     b"From: <large@example.org>\r\nSubject: large %d\r\nMIME-Version: 1.0\r\n"
                     b"Content-Type: multipart/mixed; boundary=cut\r\n\r\n--cut\r\n"
                     b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: %s\r\n\r\n"
                     % (seed, seed, b"base64" if kind == "base64" else b"7bit"))
        self.tail = b"\r\n--cut--\r\n"
        self.count = max(1, octets // len(self.block(0)))
        self.size = len(self.head) + self.count * len(self.block(0)) + len(self.tail)

    def block(self, n):
        rng = random.Random(self.seed * 1_000_003 + n)
        if self.kind == "base64":
            text = base64.b64encode(rng.randbytes(BLOCK))
            return b"".join(text[i:i + 76] + b"\r\n" for i in range(0, len(text), 76))
        line = b"%08d The quick brown fox jumps over the lazy dog, and nobody counts how often: %012x\r\n"
        return b"".join(line % (n, rng.getrandbits(48)) for _ in range(2400))

    def blocks(self):
        yield self.head
        for n in range(self.count):
            yield self.block(n)
        yield self.tail

    def digest(self):
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


class Memory(threading.Thread):
    """The most resident memory of a process since `begin`."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path, self.most, self.over = f"/proc/{pid}/statm", 0, threading.Event()
        self.start()

    def now(self):
        with open(self.path, encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def run(self):
        while not self.over.wait(SAMPLE_SECONDS):
            try:
                self.most = max(self.most, self.now())
            except (OSError, IndexError):
                return

    def begin(self):
        self.most = self.now()
        return self.most


def deliver(server, user, message):
    """By LMTP; no line of ours begins with a dot."""
    lmtp = wire.Lmtp(("127.0.0.1", server.lmtp), 600)
    lmtp.envelope(b"large@example.org", [user[0]])
    lmtp.send(b"DATA\r\n")
    lmtp.expect(b"354")
    for block in message.blocks():
        lmtp.send(block)
    lmtp.send(b".\r\n")
    lmtp.expect(b"250")
    lmtp.quit()


def append(server, user, message):
    with wire.Imap(("127.0.0.1", server.imap), *user, timeout=600) as imap:
        imap.send(b"a APPEND INBOX {%d}\r\n" % message.size)
        imap.wait_continue()
        for block in message.blocks():
            imap.send(block)
        imap.send(b"\r\n")
        reply = imap.finish(b"a")
        if not reply.ok:
            raise wire.WireError(f"APPEND: {reply.tagged!r}")


def fetch(server, user, message):
    """Reads the newest message as it comes; what is wrong with it."""
    with wire.Imap(("127.0.0.1", server.imap), *user, timeout=600) as imap:
        newest = imap.select(b"INBOX", b"EXAMINE")
        imap.send(b"f FETCH %d (BODY.PEEK[])\r\n" % newest)
        line = imap.line()
        found = wire.LITERAL_AT_END.search(line)
        if not found:
            return f"FETCH says {line[:200]!r}"
        size, digest = int(found[1]), hashlib.sha256()
        before = size - message.size
        if not 0 <= before < 4096:
            return f"{size} octets of {message.size}"
        imap.octets(before)
        left = message.size
        while left:
            octets = imap.octets(min(left, wire.RECV_BYTES))
            digest.update(octets)
            left -= len(octets)
        # What is behind the literal.
        imap.line()
        if not imap.finish(b"f").ok:
            return "FETCH is refused"
        if digest.hexdigest() != message.digest():
            return "other octets than those that went in"
        # A slice from the middle, which touches only its chunks.
        block, offset = message.block(message.count // 2), before + len(message.head) + message.count // 2 * len(message.block(0))
        reply = imap.must(b"FETCH %d (BODY.PEEK[]<%d.%d>)" % (newest, offset, SLICE))
        _, items = reply.fetches()[0]
        if bytes(items[b"BODY[]<%d>" % offset]) != block[:SLICE]:
            return "another slice than what is there"
        return None


def clear(server, user):
    with wire.Imap(("127.0.0.1", server.imap), *user, timeout=600) as imap:
        if imap.select(b"INBOX"):
            imap.must(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
            imap.must(b"EXPUNGE")


def judge(binary, url, mib, most, record):
    """Sends and reads the messages through a server of its own; how many things are wrong."""
    user = servers.CLIENT_USERS[0] + "@example.test", servers.PASSWORD
    failed = []
    print("| message | way | seconds | MiB/s | memory before / most, MiB |\n| --- | --- | --- | --- | --- |", flush=True)
    with servers.Dbmail(binary, url=url, users=[user]) as server:
        memory = Memory(server.process.pid)
        for number, (kind, way) in enumerate([(kind, way) for kind in ("base64", "text") for way in (deliver, append)]):
            small, large = Message(kind, MIB, 2 * number), Message(kind, mib * MIB, 2 * number + 1)
            way(server, user, small)
            wrong = [fetch(server, user, small)]
            steps = [(f"in by {'LMTP' if way is deliver else 'APPEND'}", lambda: way(server, user, large)),
                     ("out by FETCH BODY[]", lambda: wrong.append(fetch(server, user, large)))]
            for name, step in steps:
                before, start = memory.begin(), time.monotonic()
                step()
                seconds, top = time.monotonic() - start, memory.most
                if top - before > most * MIB:
                    wrong.append(f"memory grows by {(top - before) // MIB} MiB, over {most}")
                record.append({"url": url.split(":")[0], "kind": kind, "step": name, "octets": large.size,
                               "seconds": round(seconds, 2), "before": before, "most": top})
                print(f"| {kind} | {name} | {seconds:.1f} | {large.size / MIB / seconds:.0f} | "
                      f"{before // MIB} / {top // MIB} |", flush=True)
            clear(server, user)
            failed += [f"{kind}, {way.__name__}: {line}" for line in wrong if line]
        checked = server.command("check")
        if checked.returncode:
            failed.append(f"check: {checked.stdout.strip()} {checked.stderr.strip()}")
        memory.over.set()
        code = server.stop()
        if code != 0:
            failed.append(f"the server's exit code after SIGTERM is {code}")
    print()
    for line in failed:
        print("FAIL", line)
    return len(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--url", help="of an empty database")
    parser.add_argument("--on", default="sqlite", help="kinds of databases, each made for it [sqlite]")
    parser.add_argument("--mib", type=int, default=100, help="of the large messages [100]")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too (- is stdout)")
    options = parser.parse_args()
    failed, record = 0, []
    for kind in [options.url.split(":")[0]] if options.url else options.on.split(","):
        with tempfile.TemporaryDirectory(prefix="large-") as folder:
            given = options.url or (f"sqlite:{folder}/mail.db" if kind == "sqlite" else None)
            with database.Given(given) if given else database.Container(kind) as base:
                print(f"{options.mib} MiB on {kind}\n", flush=True)
                failed += judge(options.binary, base.url, options.mib, MOST[kind == "sqlite"], record)
    if options.json:
        target.write_json(options.json, {"failed": failed, "steps": record})
    print("FAILED" if failed else "passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
