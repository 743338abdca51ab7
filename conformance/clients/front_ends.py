#!/usr/bin/env python3
"""Several `dbmail serve` on one database, used by many clients at once, killed with -9 one after another while the
database is restarted in between: nothing acknowledged is lost, nothing doubled, every client sees what is there.

    front_ends.py BINARY [--url URL [--restart COMMAND] | --own postgres|mariadb|mysql] [--seconds 600]

`--own` starts a durable server of that kind in a container for this run. `--url` names an empty database; without either
the front-ends share a file of SQLite. `--restart` is the command that restarts the server of `--url` (MODE=kill in its
environment asks for one that loses power), such as `systemctl restart mariadb`.

1. News at rest: a session on one front-end idles while messages are appended through another: from the reply to EXISTS.
2. Clients append, deliver by LMTP, flag, set keywords on each other's messages, copy, move (some messages all at once),
   expunge and fetch in the same mailboxes, each keeping its view of them from the wire alone. Every `--kill-every`
   seconds a front-end is killed with -9 and started again; `--restarts` times the database is, the second time by a kill.
   A delivery whose reply was lost is repeated, as a sender does. News are timed meanwhile too.
3. In the end each view equals what a new session reads, without a command for those who idle; everything acknowledged is
   there once with its flags, nothing that went is, and `dbmail check` finds no fault.
"""

import argparse
import collections
import json
import multiprocessing
import pathlib
import random
import re
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import database, ledger, mirror, servers, target, wire

BOXES = (b"INBOX", b"Work", b"Archive")
NEWS = b"News"
FLAGS = (b"\\Flagged", b"\\Seen", b"\\Answered")
SHARED = 8
#: Above so many messages a client rather expunges than adds.
CROWDED = 400
OPERATIONS_IN_A_BOX = 40
#: Seconds: how long a client idles at most.
IDLE = 1.0
#: The sweep that heals lost news comes every 30 s.
HEARD = 40
TRY_AGAIN = 0.2
PLACED = re.compile(rb"\[COPYUID \d+ (\d+) (\d+)\]", re.I)
APPENDED = re.compile(rb"\[APPENDUID \d+ (\d+)\]", re.I)
REFUSED = re.compile(rb"\S+ NO (\[[A-Z]+\])?", re.I)
SHOWN = 20


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

    def kill(self):
        self.process.kill()
        self.process.wait()


class Lost(Exception):
    """The connection went, and with it the outcome of what was under way."""


class Client(threading.Thread):
    """Works through one front-end after another; `tally` counts what it did, `wrong` says what can't be."""

    OPERATIONS = (("append", 14), ("deliver", 8), ("flag", 18), ("keyword", 16), ("copy", 6), ("move", 10),
                  ("shared", 8), ("expunge", 12), ("body", 8), ("noop", 4), ("idle", 6))

    def __init__(self, number, options, front_ends, user, book, stop):
        super().__init__(daemon=True)
        self.number, self.front_ends, self.user, self.book, self.stop_ = number, front_ends, user, book, stop
        self.rng, self.pause = random.Random(f"{options.seed}-{number}"), options.pause
        self.view, self.lmtp, self.made = None, None, 0
        self.tally, self.refused, self.wrong = collections.Counter(), collections.Counter(), []
        self.unplaced, self.undelivered = set(), []
        self.idled = None

    # --- its connections

    def connect(self):
        """A session on a front-end that answers, in a mailbox; None when it is time to stop."""
        while not self.stop_.is_set():
            server = self.rng.choice(self.front_ends)
            try:
                self.view = mirror.View(("127.0.0.1", server.imap), self.user)
                if self.view.select(self.rng.choice(BOXES)):
                    return
                self.drop()
            except (OSError, wire.WireError):
                self.drop()
            time.sleep(TRY_AGAIN)

    def drop(self):
        if self.view:
            self.wrong += self.view.wrong
            self.view.close()
        self.view = None

    def run(self):
        try:
            while not self.stop_.is_set():
                if self.view is None:
                    self.connect()
                    continue
                try:
                    self.work()
                except Lost:
                    self.tally["connections lost"] += 1
                    self.drop()
        except Exception as error:  # A thread's error is the run's.
            self.wrong.append(f"client {self.number} broke: {type(error).__name__}: {error}")

    def work(self):
        for _ in range(OPERATIONS_IN_A_BOX):
            if self.stop_.is_set():
                return
            names, weights = zip(*self.OPERATIONS)
            name = self.rng.choices(names, weights)[0]
            if len(self.book.copies) > CROWDED and name in ("append", "deliver", "copy"):
                name = "expunge"
            if getattr(self, "do_" + name)():
                self.tally[name] += 1
            if not self.lost(self.view.learn):
                time.sleep(TRY_AGAIN)
            self.look()
            time.sleep(self.rng.uniform(0, self.pause))
        box = self.rng.choice(BOXES)
        while not self.lost(lambda: self.view.select(box)):
            if self.stop_.is_set():
                raise Lost
            time.sleep(TRY_AGAIN)

    def lost(self, ask):
        """Asks, and says `Lost` when the connection goes."""
        try:
            return ask()
        except (OSError, wire.WireError) as error:
            text = str(error)
            if isinstance(error, wire.WireError) and not ("closed" in text or "BYE" in text):
                self.wrong.append(f"client {self.number}: {text}")
            raise Lost from error

    def done(self, reply):
        """Whether a command is done; a NO is counted by its code, anything else is wrong."""
        if reply.ok:
            return True
        found = REFUSED.match(reply.tagged)
        if found:
            self.refused[(found[1] or reply.tagged.strip()).decode()] += 1
            time.sleep(TRY_AGAIN)
        else:
            self.wrong.append(f"client {self.number} heard {reply.tagged!r}")
        return False

    # --- what it knows

    def look(self):
        """Holds what the view shows against what others saw, and finds its own deliveries there."""
        box = self.view.box
        for entry in self.view.entries:
            if entry.uid is None or entry.subject is None:
                continue
            fault = self.book.saw(box, entry.uid, entry.subject)
            if fault:
                self.wrong.append(fault)
            if entry.subject in self.unplaced:
                self.unplaced.discard(entry.subject)
                self.book.expect(entry.subject, -1, -1)
                self.book.put(ledger.Copy(entry.subject, (box, entry.uid), self.number,
                                          {flag: False for flag in FLAGS}))

    def own(self):
        return [copy for copy in self.book.there(self.view.box) if copy.owner == self.number]

    def seen_here(self):
        """Copies of anybody that are in this client's view."""
        here = {entry.uid for entry in self.view.entries}
        return [copy for copy in self.book.there(self.view.box) if copy.place[1] in here]

    def name(self, kind):
        self.made += 1
        return b"%s%d.%d" % (kind, self.number, self.made)

    # --- what it does

    def do_append(self):
        ident, box = self.name(b"a"), self.rng.choice(BOXES)
        self.book.expect(ident, 0, 1)
        octets = ledger.message(ident)
        reply = self.lost(lambda: self.view.append(box, octets))
        self.book.expect(ident, 0, -1)
        if not self.done(reply):
            return False
        found = APPENDED.search(reply.tagged)
        if not found:
            self.wrong.append(f"APPEND without APPENDUID: {reply.tagged!r}")
            self.book.expect(ident, 1, 1)
            return True
        self.book.put(ledger.Copy(ident, (box, int(found[1])), self.number, {flag: False for flag in FLAGS}))
        return True

    def do_deliver(self):
        """By LMTP; what got no reply, or 4xx, is delivered again until it has its 250."""
        if self.undelivered:
            ident = self.undelivered.pop(0)
        else:
            ident = self.name(b"d")
            self.book.expect(ident, 0, 1)
        try:
            if self.lmtp is None:
                self.lmtp = wire.Lmtp(("127.0.0.1", self.rng.choice(self.front_ends).lmtp), 60)
            reply = self.lmtp.data(b"front-ends@example.org", [self.user[0]], ledger.message(ident))[0]
        except (OSError, wire.WireError):
            if self.lmtp is not None:
                self.lmtp.close()
            self.lmtp = None
            self.undelivered.append(ident)
            self.tally["deliveries to repeat"] += 1
            return False
        if reply.startswith(b"250"):
            self.book.expect(ident, 1, 0)
            self.unplaced.add(ident)
            return True
        if not reply.startswith(b"4"):
            self.wrong.append(f"LMTP said {reply!r}")
        self.refused[reply[:9].decode()] += 1
        self.undelivered.append(ident)
        time.sleep(TRY_AGAIN)
        return False

    def do_flag(self):
        """Sets or clears a flag of up to five of its own messages, in one command."""
        mine = self.own()
        if not mine:
            return False
        copies = self.rng.sample(mine, min(len(mine), self.rng.choice((1, 1, 2, 5))))
        flag, on, silent = self.rng.choice(FLAGS), self.rng.random() < 0.7, self.rng.random() < 0.5
        before = [copy.flags.get(flag) for copy in copies]
        for copy in copies:
            copy.flags[flag] = None
        uids = {copy.place[1] for copy in copies}
        done = self.store(uids, on, flag, silent)
        for copy, value in zip(copies, before):
            copy.flags[flag] = on if done else value
        return done

    def store(self, uids, on, flag, silent):
        reply = self.lost(lambda: self.view.run(b"UID STORE %s %sFLAGS%s (%s)" % (
            b",".join(b"%d" % uid for uid in sorted(uids)), b"+" if on else b"-", b".SILENT" if silent else b"", flag)))
        done = self.done(reply)
        if done and silent:
            self.view.apply(uids, on, {flag})
        return done

    def do_keyword(self):
        """Sets or clears a keyword of its own on a message of anybody."""
        there = self.seen_here()
        if not there:
            return False
        copy, on = self.rng.choice(there), self.rng.random() < 0.7
        place, before = copy.place, copy.keywords.get(self.number)
        copy.keywords[self.number] = None
        done = self.store({place[1]}, on, b"k%d" % self.number, self.rng.random() < 0.5)
        # Certain only if its owner did nothing to it meanwhile.
        if copy.place == place and copy.steady():
            copy.keywords[self.number] = on if done else before
        return done

    def elsewhere(self):
        return self.rng.choice([box for box in BOXES if box != self.view.box])

    def do_copy(self):
        mine = self.own()
        if not mine:
            return False
        copy, box = self.rng.choice(mine), self.rng.choice(BOXES)
        self.book.expect(copy.ident, 0, 1)
        reply = self.lost(lambda: self.view.run(b"UID COPY %d %s" % (copy.place[1], wire.quote(box))))
        self.book.expect(copy.ident, 0, -1)
        if not self.done(reply):
            return False
        found = PLACED.search(reply.text())
        if not found:
            self.wrong.append(f"COPY of {copy.ident.decode()}, which is there, says {reply.tagged!r}")
            return True
        self.book.put(ledger.Copy(copy.ident, (box, int(found[2])), self.number, copy.flags))
        return True

    def do_move(self):
        mine = self.own()
        if not mine:
            return False
        copy, box = self.rng.choice(mine), self.elsewhere()
        copy.moving = True
        try:
            reply = self.lost(lambda: self.view.run(b"UID MOVE %d %s" % (copy.place[1], wire.quote(box))))
        except Lost:
            self.book.doubt(copy, 1)
            raise
        if not self.done(reply):
            copy.moving = False
            return False
        found = PLACED.search(reply.text())
        if not found:
            self.wrong.append(f"MOVE of {copy.ident.decode()}, which is there, says {reply.tagged!r}")
            self.book.doubt(copy, 1)
            return True
        self.book.remove(copy, "moved")
        moved = ledger.Copy(copy.ident, (box, int(found[2])), self.number, copy.flags)
        moved.keywords = copy.keywords
        # Who sets a keyword at the old place while this goes on finds the copy moving for ever, and leaves it in doubt.
        self.book.put(moved)
        return True

    def do_shared(self):
        """Moves a message that others move too: one of them does, the others find nothing."""
        here = [entry.uid for entry in self.view.entries if (entry.subject or b"").startswith(b"shared")]
        if not here:
            return False
        reply = self.lost(lambda: self.view.run(
            b"UID MOVE %d %s" % (self.rng.choice(here), wire.quote(self.elsewhere()))))
        return self.done(reply)

    def do_expunge(self):
        """Marks up to three of its own and expunges: these by UID, or whatever is marked."""
        mine = self.own()
        if not mine:
            return False
        copies = self.rng.sample(mine, min(len(mine), self.rng.choice((1, 1, 3))))
        for copy in copies:
            copy.doomed = True
        uids = {copy.place[1] for copy in copies}
        if not self.store(uids, True, b"\\Deleted", self.rng.random() < 0.5):
            return False
        by_uid = self.rng.random() < 0.5
        command = b"UID EXPUNGE " + b",".join(b"%d" % uid for uid in uids) if by_uid else b"EXPUNGE"
        if not self.done(self.lost(lambda: self.view.run(command))):
            return False
        for copy in copies:
            self.book.remove(copy, "expunged")
        return True

    def do_body(self):
        """Reads a message whole; its own is \\Seen by that in half of the cases."""
        there = self.seen_here()
        if not there:
            return False
        copy = self.rng.choice(there)
        uid, peek = copy.place[1], copy.owner != self.number or self.rng.random() < 0.5
        before = copy.flags.get(b"\\Seen")
        if not peek:
            copy.flags[b"\\Seen"] = None
        reply = self.lost(lambda: self.view.run(b"UID FETCH %d (UID BODY%s[])" % (uid, b".PEEK" if peek else b"")))
        done = self.done(reply)
        if not peek:
            copy.flags[b"\\Seen"] = True if done else before
        for _, items in reply.fetches():
            if b"BODY[]" in items and items.get(b"UID") == b"%d" % uid:
                if not bytes(items[b"BODY[]"]).endswith(ledger.message(copy.ident)):
                    self.wrong.append(f"{copy.ident.decode()} is not what was sent")
        return done

    def do_noop(self):
        return self.done(self.lost(lambda: self.view.run(b"NOOP")))

    def do_idle(self):
        return self.lost(lambda: self.view.idle(self.rng.uniform(0, IDLE)))

    # --- the end

    def settle(self, store):
        """Holds its view against `{(mailbox, UID): (flags, name)}`; clients of even numbers are told in IDLE."""
        if self.view is None:
            return
        view = self.view
        wanted = {uid: found for (box, uid), found in store.items() if box == view.box}

        def told():
            return len(view.entries) == len(wanted) and all(
                entry.uid is None or entry.flags is None or
                (entry.uid in wanted and wanted[entry.uid][0] == entry.flags) for entry in view.entries)

        try:
            if self.number % 2 == 0:
                start = time.monotonic()
                view.idle(HEARD, told)
                self.idled = time.monotonic() - start
                if not told():
                    self.wrong.append(f"client {self.number} was not told within {HEARD} s of IDLE")
            if not self.done(view.run(b"NOOP")) or not view.learn():
                self.wrong.append(f"client {self.number} is refused in the end")
            there = view.contents()
            for uid in sorted(there.keys() | wanted.keys(), key=lambda uid: uid or 0):
                if there.get(uid) != wanted.get(uid):
                    self.wrong.append(f"client {self.number} sees {there.get(uid)} at UID {uid} of "
                                      f"{view.box.decode()}, where {wanted.get(uid)} is")
                    break
            self.wrong += view.wrong
            view.wrong = []
            view.close()
        except (OSError, wire.WireError) as error:
            self.wrong.append(f"client {self.number} lost its connection in the end: {error}")


def news(ports, user, results, stop, pause, count):
    """A process: a session idles through one front-end, messages come through the next; sends the seconds from the reply
    to APPEND to EXISTS. None where it took over HEARD seconds."""
    turn, sent = 0, 0
    while not stop.is_set() and (count is None or sent < count):
        turn += 1
        try:
            idler = wire.Imap(("127.0.0.1", ports[turn % len(ports)]), user[0], user[1], HEARD)
            sender = wire.Imap(("127.0.0.1", ports[(turn + 1) % len(ports)]), user[0], user[1], HEARD)
            idler.select(NEWS)
            idler.send(b"i IDLE\r\n")
            idler.wait_continue()
            time.sleep(pause[0])
            while not stop.is_set() and (count is None or sent < count):
                if not sender.append(NEWS, b"Subject: news\r\n\r\nx\r\n").ok:
                    time.sleep(TRY_AGAIN)
                    continue
                start = time.monotonic()
                try:
                    while b"EXISTS" not in idler.line():
                        pass
                except TimeoutError:
                    results.put(None)
                    raise
                results.put(max(0.0, time.monotonic() - start))
                sent += 1
                time.sleep(random.uniform(*pause[1:]))
            sender.logout()
            idler.close()
        except (OSError, wire.WireError):
            time.sleep(TRY_AGAIN)


class News:
    """`news` as a process of its own, so that the clients' work does not keep it waiting."""

    def __init__(self, front_ends, user, pause, count=None):
        context = multiprocessing.get_context("spawn")
        self.results, self.stop, self.times = context.Queue(), context.Event(), []
        self.process = context.Process(target=news, daemon=True, args=(
            [server.imap for server in front_ends], user, self.results, self.stop, pause, count))
        self.process.start()

    def gather(self):
        while not self.results.empty():
            self.times.append(self.results.get())

    def join(self, seconds):
        """The times; stops the process after so long."""
        end = time.monotonic() + seconds
        while self.process.is_alive() and time.monotonic() < end:
            self.gather()
            time.sleep(0.05)
        self.stop.set()
        end = time.monotonic() + HEARD + 5
        while self.process.is_alive() and time.monotonic() < end:
            self.gather()
            time.sleep(0.05)
        self.gather()
        self.process.terminate()
        return self.times


def summary(times):
    """Median, 99th percentile and longest of the news, in ms."""
    heard = sorted(time for time in times if time is not None)
    if not heard:
        return None
    return {"count": len(heard), "not heard": len(times) - len(heard),
            "median": round(statistics.median(heard) * 1000, 1),
            "p99": round(heard[min(len(heard) - 1, len(heard) * 99 // 100)] * 1000, 1),
            "longest": round(heard[-1] * 1000, 1)}


def contents(server, user):
    """What a new session reads: `{(mailbox, UID): (flags, name)}`."""
    found = {}
    for box in BOXES:
        view = mirror.View(("127.0.0.1", server.imap), user)
        if not view.select(box):
            raise RuntimeError(f"{box.decode()} can't be read in the end")
        if view.wrong:
            raise RuntimeError(view.wrong[0])
        found |= {(box, uid): seen for uid, seen in view.contents().items()}
        view.close()
    return found


def prepare(server, user, book):
    """Makes the mailboxes and the messages that nobody owns."""
    with wire.Imap(("127.0.0.1", server.imap), *user) as imap:
        for box in (NEWS, *BOXES):
            if not imap.run(b"STATUS " + wire.quote(box) + b" (MESSAGES)").ok:
                imap.must(b"CREATE " + wire.quote(box))
        for n in range(SHARED):
            ident = b"shared%d" % n
            if not imap.append(BOXES[n % len(BOXES)], ledger.message(ident)).ok:
                raise RuntimeError("APPEND is refused")
            book.expect(ident, 1, 1)


def disturb(options, base, front_ends, clients, report):
    """Kills front-ends and restarts the database until the time is over; shows how it goes."""
    rng = random.Random(options.seed)
    start = time.monotonic()
    kills = [options.kill_every * n for n in range(1, int(options.seconds / options.kill_every) + 1)
             if options.kill_every * n < options.seconds]
    restarts = [options.seconds * n / (options.restarts + 1) for n in range(1, options.restarts + 1)]
    events = sorted([(at, "kill") for at in kills] + [(at + 0.5, "restart") for at in restarts])
    shown = 0
    while True:
        now = time.monotonic() - start
        if now >= options.seconds:
            break
        if now >= shown + options.show:
            shown = now
            done = sum((client.tally for client in clients), collections.Counter())
            print(f"{now:5.0f} s: {sum(done[name] for name, _ in Client.OPERATIONS):,} operations, "
                  f"{report['kills']} kills, {len(report['restarts'])} restarts, "
                  f"{done['connections lost']} connections lost, "
                  f"{sum(len(client.wrong) for client in clients)} wrong", flush=True)
        if not events or now < events[0][0]:
            time.sleep(min(0.2, options.seconds - now))
            continue
        _, what = events.pop(0)
        if what == "kill":
            server = front_ends[report["kills"] % len(front_ends)]
            time.sleep(rng.uniform(0, 1))
            server.kill()
            server.spawn()
            report["kills"] += 1
        else:
            before = [server.process.pid for server in front_ends]
            took = base.restart(kill=len(report["restarts"]) % 2 == 1)
            back = time.monotonic()
            for server in front_ends:
                servers.wait_for(60, server.ready, server.alive)
            if before != [server.process.pid for server in front_ends]:
                raise RuntimeError("a front-end ended with its database")
            report["restarts"].append({"down": round(took, 1), "ready_after": round(time.monotonic() - back, 2)})


def compare(front_ends, user, book, clients, report):
    """Holds what new sessions read against the clients' views and what was acknowledged; sentences of what is wrong."""
    store = contents(front_ends[0], user)
    report["messages in the end"] = len(store)
    wrong = book.judge(store)
    if any(contents(server, user) != store for server in front_ends[1:]):
        wrong.append("two front-ends show different mailboxes in the end")
    report["views"] = sum(client.view is not None for client in clients)
    threads = [threading.Thread(target=client.settle, args=(store,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report["longest until told in IDLE"] = round(max(client.idled or 0 for client in clients), 2)
    return wrong


def run(options, base, folder, report):
    """The run; sentences of what is wrong."""
    wrong = []
    user = servers.CLIENT_USERS[0] + "@example.test", servers.PASSWORD
    url = base.url or f"sqlite:{folder}/mail.db"
    front_ends = [FrontEnd(options.binary, url=url, users=[user], first=n == 0) for n in range(options.front_ends)]
    book, stop = ledger.Ledger(), threading.Event()
    try:
        for server in front_ends:
            server.start()
        prepare(front_ends[0], user, book)
        # A new front-end asks about everything for its first seconds: what is measured is what comes after.
        at_rest = News(front_ends, user, (7, 0.05, 0.35), options.rounds).join(HEARD * 2)
        report["news at rest"] = summary(at_rest)
        print("news at rest, ms:", json.dumps(report["news at rest"]), flush=True)
        busy = News(front_ends, user, (0.2, 0.2, 0.8))
        clients = [Client(n, options, front_ends, user, book, stop) for n in range(options.clients)]
        for client in clients:
            client.start()
        disturb(options, base, front_ends, clients, report)
        stop.set()
        for client in clients:
            client.join(120)
            if client.is_alive():
                wrong.append(f"client {client.number} does not end")
        report["news meanwhile"] = summary(busy.join(0))
        print("news meanwhile, ms:", json.dumps(report["news meanwhile"]), flush=True)
        for name in ("news at rest", "news meanwhile"):
            found = report[name]
            if not found or found["not heard"]:
                wrong.append(f"{name}: not heard within {HEARD} s")
            elif options.news_within and found["median"] > options.news_within:
                wrong.append(f"{name}: median {found['median']} ms, over {options.news_within}")
        try:
            wrong += compare(front_ends, user, book, clients, report)
        except (OSError, RuntimeError, wire.WireError) as error:
            wrong.append(f"the mailboxes can't be read in the end: {error}")
        for client in clients:
            wrong += client.wrong
        report["operations"] = dict(sum((client.tally for client in clients), collections.Counter()))
        report["refused"] = dict(sum((client.refused for client in clients), collections.Counter()))
        report["acknowledged"] = book.acknowledged()
        # Beside the front-ends, with all that the killed ones left behind.
        checked = front_ends[0].command("check")
        report["check"] = checked.stdout.strip()
        if checked.returncode != 0:
            wrong.append(f"check: exit code {checked.returncode}: {checked.stdout.strip()} {checked.stderr.strip()}")
        for server in front_ends:
            code = server.stop()
            if code != 0:
                wrong.append(f"a server's exit code after SIGTERM is {code}")
            if "panicked" in server.log.read_text(errors="replace"):
                wrong.append("a panic in a server's log")
        if wrong and options.logs:
            for n, server in enumerate(front_ends):
                pathlib.Path(options.logs).mkdir(parents=True, exist_ok=True)
                (pathlib.Path(options.logs) / f"front-end-{n}.log").write_bytes(server.log.read_bytes())
    finally:
        stop.set()
        for server in front_ends:
            server.__exit__()
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--url", help="of an empty database")
    parser.add_argument("--restart", metavar="COMMAND", help="restarts the server of --url")
    parser.add_argument("--own", choices=sorted(database.IMAGES), help="a server in a container of its own")
    parser.add_argument("--front-ends", type=int, default=3)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.2, metavar="SECONDS",
                        help="of a client between two operations, at most [0.2]")
    parser.add_argument("--rounds", type=int, default=20, help="messages by which news at rest are timed [20]")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kill-every", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--restarts", type=int, help="of the database [2 where it can be]")
    parser.add_argument("--news-within", type=float, metavar="MS", help="fail when the median is over this")
    parser.add_argument("--seed", type=int, default=None, help="[random]")
    parser.add_argument("--show", type=float, default=30, metavar="SECONDS", help="between two lines of progress [30]")
    parser.add_argument("--logs", metavar="FOLDER", help="keep the front-ends' logs there when something is wrong")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON too (- is stdout)")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    able = bool(options.own or options.restart)
    if options.restarts is None:
        options.restarts = 2 if able else 0
    if options.restarts and not able:
        parser.error("--restarts needs --own or --restart")
    report = {"seed": options.seed, "front_ends": options.front_ends, "clients": options.clients,
              "seconds": options.seconds, "kills": 0, "restarts": []}
    own = database.Container(options.own) if options.own else database.Given(options.url, options.restart)
    with own as base, tempfile.TemporaryDirectory(prefix="front-ends-") as folder:
        report["database"] = base.kind
        print(f"{base.kind}, {options.front_ends} front-ends, {options.clients} clients, seed {options.seed}", flush=True)
        wrong = run(options, base, folder, report)
    report["wrong"] = wrong
    for key, value in report.items():
        if key != "wrong" and not key.startswith("news"):
            print(f"{key}: {json.dumps(value) if isinstance(value, (dict, list)) else value}")
    for line, count in list(collections.Counter(wrong).items())[:SHOWN]:
        print("FAIL", line, f"({count} times)" if count > 1 else "")
    if len(wrong) > SHOWN:
        print(f"FAIL and more, {len(wrong)} in all")
    if options.json:
        target.write_json(options.json, report)
    print("FAILED" if wrong else "passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
