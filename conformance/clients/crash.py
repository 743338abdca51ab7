#!/usr/bin/env python3
"""kill -9 of `dbmail serve` at a random moment of a thousand deliveries, several times over.

Four LMTP clients deliver messages, one in five to two recipients. The server is killed after a
random number of replies and started again over the same database. Then: every recipient whose
delivery got 250 has the message exactly once, octet for octet; what got no reply is there at most
once. Then all that got no reply is delivered again, unchanged, to the recipients that got none, as a
sender does: afterwards every message is there exactly once for each recipient.

    crash.py BINARY [--rounds 10] [--messages 1000] [--seed N]
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import servers, target, wire

CLIENTS = 4
IDENT = re.compile(rb"^X-Crash: (\S+)\r\n", re.M)
SHOWN = 5


class Message:
    """One delivery: what is sent, to whom, and what is known of it."""

    def __init__(self, ident, rng, users, shared):
        self.ident = ident
        size = rng.choice((200, 2_000, 20_000, 20_000, 200_000))
        if rng.random() < 0.2:
            body = shared
        else:
            body = rng.randbytes(size * 3 // 8).hex().encode()
        lines = b"".join(body[i:i + 76] + b"\r\n" for i in range(0, len(body), 76))
        self.octets = (b"X-Crash: %s\r\nFrom: <crash@example.org>\r\nSubject: %s\r\n"
                       b"Message-ID: <%s@example.org>\r\n\r\n%s"
                       % (ident, ident, ident, lines))
        self.digest = hashlib.sha256(self.octets).digest()
        self.recipients = [rng.choice(users)]
        if rng.random() < 0.2:
            self.recipients = list(users[:2])
        self.acknowledged = set()
        self.refused = []


def sender(where, queue, replies, pause):
    """Delivers from the queue until it is empty or the server is gone."""
    try:
        lmtp = wire.Lmtp(where, timeout=60)
        while True:
            try:
                message = queue.popleft()
            except IndexError:
                break
            recipients = [r for r in message.recipients if r not in message.acknowledged]
            lmtp.envelope(b"crash@example.org", recipients)
            lmtp.send(b"DATA\r\n")
            lmtp.expect(b"354")
            lmtp.send(wire.dot_stuffed(message.octets)[0])
            for recipient in recipients:
                reply = lmtp.reply()
                if reply.startswith(b"250"):
                    message.acknowledged.add(recipient)
                else:
                    message.refused.append(reply)
                replies.release()
        lmtp.quit()
    except (wire.WireError, OSError) as error:
        if not pause.is_set():
            print(f"     a client ended before the kill: {type(error).__name__}: {error}")


def deliver(server, messages, kill_after=None, delay=0.0):
    """Delivers by four clients; kills the server after so many replies."""
    queue = collections.deque(messages)
    replies = threading.Semaphore(0)
    killed = threading.Event()
    threads = [threading.Thread(target=sender,
                                args=(("127.0.0.1", server.lmtp), queue, replies, killed))
               for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    if kill_after is not None:
        for _ in range(kill_after):
            if not replies.acquire(timeout=60):
                break
        time.sleep(delay)
        killed.set()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    for thread in threads:
        thread.join()


def found(server, user, password):
    """`{ident: [digest of what follows the trace fields]}` of an INBOX."""
    out = collections.defaultdict(list)
    with wire.Imap(("127.0.0.1", server.imap), user, password, timeout=300) as imap:
        if imap.select(b"INBOX", b"EXAMINE"):
            uids = imap.uids()
            step = 50
            commands = [b"UID FETCH %s (UID BODY.PEEK[])"
                        % b",".join(b"%d" % uid for uid in uids[i:i + step])
                        for i in range(0, len(uids), step)]
            for reply in imap.pipeline(commands, 4):
                if not reply.ok:
                    raise wire.WireError(f"FETCH: {reply.tagged!r}")
                for _, items in reply.fetches():
                    body = bytes(items[b"BODY[]"])
                    at = IDENT.search(body)
                    ident = at[1] if at else b"no ident: " + body[:80]
                    out[ident].append(hashlib.sha256(body[at.start() if at else 0:]).digest())
        imap.logout()
    return out


def judge(server, messages, complete):
    """What is wrong in the mailboxes: a list of sentences."""
    wrong = []
    there = {user: found(server, user, password) for user, password in server.users}
    for message in messages:
        for recipient in message.recipients:
            copies = there[recipient].get(message.ident, [])
            name = f"{message.ident.decode()} for {recipient}"
            if any(copy != message.digest for copy in copies):
                wrong.append(f"{name} is not whole")
            if len(copies) > 1:
                wrong.append(f"{name} is there {len(copies)} times")
            if not copies and (complete or recipient in message.acknowledged):
                wrong.append(f"{name} got 250 and is not there"
                             if recipient in message.acknowledged else f"{name} is not there")
    known = {message.ident for message in messages}
    for user, idents in there.items():
        wrong += [f"{user} has a message that nobody sent: {ident!r}"
                  for ident in idents if ident not in known and ident.split(b"-")[0] ==
                  messages[0].ident.split(b"-")[0]]
    return wrong


def one_round(server, number, count, seed):
    """One round; `(sentences of what is wrong, record)`."""
    rng = random.Random(seed)
    users = [name for name, _ in server.users]
    shared = rng.randbytes(40_000).hex().encode()
    messages = [Message(b"r%d.%d-%d" % (number, seed, n), rng, users, shared)
                for n in range(count)]
    total = sum(len(message.recipients) for message in messages)
    kill_after, delay = rng.randrange(1, total), rng.random() * 0.01
    deliver(server, messages, kill_after, delay)
    acknowledged = sum(len(message.acknowledged) for message in messages)
    started = time.monotonic()
    server.spawn()
    restart = time.monotonic() - started
    wrong = judge(server, messages, complete=False)
    rest = [m for m in messages if len(m.acknowledged) < len(m.recipients)]
    deliver(server, rest)
    wrong += [f"refused: {m.refused[0]!r}" for m in messages if m.refused]
    wrong += judge(server, messages, complete=True)
    return wrong, {"round": number, "seed": seed, "killed_after": kill_after,
                   "acknowledged": acknowledged, "delivered_again": len(rest),
                   "restart_seconds": round(restart, 2), "wrong": wrong}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="path of the dbmail program")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--messages", type=int, default=1000, help="of one round")
    parser.add_argument("--seed", type=int, default=None, help="of the first round [random]")
    parser.add_argument("--keep", action="store_true", help="leave the server's folder")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON too (- is stdout)")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.randrange(1 << 32)
    record = []
    failed = 0
    users = [(f"{name}@example.test", servers.PASSWORD) for name in ("anna", "ben", "cleo", "dora")]
    with servers.Dbmail(options.binary, users=users, keep=options.keep) as server:
        for number in range(1, options.rounds + 1):
            seed = first + number - 1
            try:
                wrong, entry = one_round(server, number, options.messages, seed)
            except (wire.WireError, OSError, RuntimeError) as error:
                wrong = [f"{type(error).__name__}: {error}", server.tail(10)]
                entry = {"round": number, "seed": seed, "wrong": wrong}
            record.append(entry)
            failed += bool(wrong)
            known = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in entry.items()
                              if key not in ("round", "wrong"))
            print(f"{'FAIL' if wrong else 'ok  '} round {number}: {known}", flush=True)
            for sentence in wrong[:SHOWN]:
                print(f"     | {sentence}")
            if len(wrong) > SHOWN:
                print(f"     | and {len(wrong) - SHOWN} more")
            if not server.alive():
                server.spawn()
        code = server.stop()
        if code != 0:
            print(f"FAIL the server's exit code after SIGTERM is {code}")
            failed += 1
    if options.json:
        target.write_json(options.json, {"passed": options.rounds - failed, "failed": failed,
                                         "rounds": record})
    print(f"{len(record) - min(failed, len(record))} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
