#!/usr/bin/env python3
"""Several `dbmail serve` on one database: how long until a session of one hears what came through another, and
whether anything is lost while one after another is killed with -9.

    front_ends.py BINARY --url URL [--front-ends 3] [--rounds 20] [--seconds 30]

The URL names an empty database of a server. First a session on the first front-end idles, and messages are
appended through the last; the times to EXISTS are shown. Then clients deliver, flag and expunge through all of
them, each with marks of its own, while every five seconds a front-end is killed and started again: at the end
each acknowledged message that its owner did not expunge is there once, with the flags that were acknowledged, and
`dbmail check` finds no fault.
"""

import argparse
import collections
import imaplib
import pathlib
import random
import re
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import servers

KILL_EVERY_SECONDS = 5
CLIENTS = 6
SUBJECT = re.compile(rb"Subject: (\S+)")


class FrontEnd(servers.Dbmail):
    """One of several: the first makes the schema and the users."""

    def __init__(self, *arguments, first, **options):
        super().__init__(*arguments, **options)
        self.first = first

    def start(self):
        self.configure()
        if self.first:
            self.migrate()
            self.add_users()
        self.spawn()


def login(server, user):
    imap = imaplib.IMAP4("127.0.0.1", server.imap, timeout=60)
    imap.login(*user)
    return imap


def latency(front_ends, user, rounds):
    """Seconds from the reply to APPEND at the last front-end to EXISTS at the first."""
    idle = socket.create_connection(("127.0.0.1", front_ends[0].imap), 30)
    lines = idle.makefile("rb")
    lines.readline()
    for command in (b'a LOGIN "%s" "%s"\r\n' % tuple(w.encode() for w in user),
                    b"b SELECT INBOX\r\n"):
        idle.sendall(command)
        while not lines.readline().startswith(command[:2]):
            pass
    idle.sendall(b"c IDLE\r\n")
    lines.readline()
    heard = []
    thread = threading.Thread(
        target=lambda: [heard.append(time.monotonic()) for line in lines if b"EXISTS" in line], daemon=True)
    thread.start()
    imap = login(front_ends[-1], user)
    # A new front-end asks about everything for its first seconds: what is measured is what comes after.
    time.sleep(7)
    times = []
    for n in range(rounds):
        before = len(heard)
        imap.append("INBOX", None, None, b"Subject: news-%d\r\n\r\nx\r\n" % n)
        done = time.monotonic()
        while len(heard) == before and time.monotonic() - done < 40:
            time.sleep(0.0005)
        if len(heard) == before:
            return None
        times.append(max(0.0, heard[before] - done))
        time.sleep(random.uniform(0.05, 0.35))
    idle.close()
    imap.logout()
    return times


class Client(threading.Thread):
    """Appends, flags and expunges its own messages through whichever front-end it reaches."""

    def __init__(self, number, front_ends, user, stop):
        super().__init__(daemon=True)
        self.number, self.front_ends, self.user, self.stop_ = number, front_ends, user, stop
        self.kept, self.gone, self.unsure = {}, set(), set()
        self.lost, self.random = 0, random.Random(number)

    def run(self):
        n = 0
        while not self.stop_.is_set():
            try:
                imap = login(self.random.choice(self.front_ends), self.user)
                imap.select("INBOX")
                while not self.stop_.is_set():
                    n += 1
                    self.one(imap, b"%d-%d" % (self.number, n))
            except (OSError, imaplib.IMAP4.error):
                self.lost += 1
                time.sleep(0.1)

    def one(self, imap, text):
        self.unsure.add(text)
        code, said = imap.append("INBOX", None, None, b"Subject: %s\r\n\r\nx\r\n" % text)
        if code != "OK":
            return
        uid = re.search(rb"APPENDUID \d+ (\d+)", said[0]).group(1).decode()
        self.unsure.discard(text)
        self.kept[text] = False
        if imap.uid("STORE", uid, "+FLAGS.SILENT", "(\\Flagged)")[0] == "OK":
            self.kept[text] = True
        if self.random.random() < 0.3:
            # Unsure from the first octet: it may be done though its reply is lost.
            flagged = self.kept.pop(text)
            self.unsure.add(text)
            if imap.uid("MOVE", uid, "Trash")[0] == "OK":
                self.unsure.discard(text)
                self.gone.add(text)
            else:
                self.unsure.discard(text)
                self.kept[text] = flagged


def verify(server, user, clients):
    """What is wrong, in words."""
    imap = login(server, user)
    there = {}
    for mailbox in ("INBOX", "Trash"):
        imap.select(mailbox, readonly=True)
        found = collections.Counter()
        flagged = set()
        _, answer = imap.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        for part in answer:
            if isinstance(part, tuple):
                subject = SUBJECT.search(part[1])
                if subject:
                    found[subject.group(1)] += 1
                    if b"\\Flagged" in part[0]:
                        flagged.add(subject.group(1))
        there[mailbox] = (found, flagged)
    wrong = []
    (inbox, flagged), (trash, _) = there["INBOX"], there["Trash"]
    for text, count in (inbox + trash).items():
        if count > 1:
            wrong.append(f"{text} is there {count} times")
    for client in clients:
        for text, flag in client.kept.items():
            if inbox[text] != 1:
                wrong.append(f"{text} was acknowledged and is lost")
            elif flag and text not in flagged:
                wrong.append(f"{text} lost its flag")
        for text in client.gone:
            if trash[text] != 1 or inbox[text]:
                wrong.append(f"{text} was moved and is not where it went")
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--url", required=True)
    parser.add_argument("--front-ends", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    user = servers.CLIENT_USERS[0] + "@example.test", servers.PASSWORD
    front_ends = [FrontEnd(options.binary, url=options.url, users=[user], first=n == 0)
                  for n in range(options.front_ends)]
    failed = 0
    try:
        for server in front_ends:
            server.start()
        times = latency(front_ends, user, options.rounds)
        if times is None:
            print("FAIL news: not heard within 40 s")
            failed = 1
        else:
            print(f"news: median {statistics.median(times) * 1000:.0f} ms, "
                  f"longest {max(times) * 1000:.0f} ms of {len(times)}")
        stop = threading.Event()
        clients = [Client(n, front_ends, user, stop) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        kills, end = 0, time.monotonic() + options.seconds
        while time.monotonic() < end:
            time.sleep(KILL_EVERY_SECONDS)
            server = front_ends[kills % len(front_ends)]
            server.process.kill()
            server.process.wait()
            server.spawn()
            kills += 1
        stop.set()
        for client in clients:
            client.join(60)
        wrong = verify(front_ends[-1], user, clients)
        acknowledged = sum(len(c.kept) + len(c.gone) for c in clients)
        unsure = sum(len(c.unsure) for c in clients)
        print(f"{kills} kills, {acknowledged} messages acknowledged, {unsure} of unknown outcome, "
              f"{sum(c.lost for c in clients)} connections lost, {len(wrong)} wrong")
        for line in wrong[:10]:
            print("FAIL", line)
        failed |= bool(wrong)
        # Beside the front-ends, with all that the killed ones left behind.
        checked = front_ends[0].command("check")
        print(f"check: {checked.stdout.strip()}")
        if checked.returncode != 0:
            print(f"FAIL check: exit code {checked.returncode}: {checked.stderr.strip()}")
            failed = 1
        for server in front_ends:
            code = server.stop()
            if code != 0:
                print(f"FAIL server: exit code {code}")
                failed = 1
            if "panicked" in server.log.read_text(errors="replace"):
                print("FAIL server: a panic in its log")
                failed = 1
    finally:
        for server in front_ends:
            server.__exit__()
    print("FAILED" if failed else "passed")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
