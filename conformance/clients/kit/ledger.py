"""What a server acknowledged, so that it can be held against what is there in the end.

Each copy of a message has an owner, the one client that flags, moves, copies and expunges it; any client may set or clear a
keyword of its own on it. What was under way when a connection was lost may be done or not; all else is certain: OK is done, NO is
not. Messages without an owner (`shared`) are moved by all clients at once, and must be there once.
"""

import collections
import random
import threading

#: Octets of bodies; the last are long enough to be stored apart.
SIZES = (50, 300, 300, 2_000, 2_000, 8_000, 20_000)
SHARED_BODY_OF = 7
REASONS_MAX = 20


def message(ident):
    """The octets of a message, made from its name alone. One in seven shares its body with others."""
    rng = random.Random(ident)
    number = rng.randrange(1 << 30)
    body = random.Random(number % 3) if number % SHARED_BODY_OF == 0 else rng
    size = body.choice(SIZES)
    text = body.randbytes(size * 3 // 8).hex().encode()
    lines = b"".join(text[i:i + 76] + b"\r\n" for i in range(0, len(text), 76))
    return (b"Received: from somewhere by somewhere-else with ESMTP id %s; Fri, 27 Nov 2026 10:00:00 +0000\r\n"
            b"From: <front-ends@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\n%s"
            % (ident, ident, ident, lines))


class Copy:
    """One copy of a message, at a place that is known."""

    def __init__(self, ident, place, owner, flags=()):
        self.ident, self.place, self.owner = ident, place, owner
        # What is known of each flag: True, False, or None where a reply was lost.
        self.flags, self.keywords = dict(flags), {}
        # Being moved; marked for removal, by which anybody's EXPUNGE may take it.
        self.moving = self.doomed = False

    def steady(self):
        return not self.moving and not self.doomed


class Ledger:
    """All copies, and how many more of each message there may be."""

    def __init__(self):
        self.lock = threading.Lock()
        self.copies = {}
        self.gone = {}
        # Of each name: at least and at most so many copies whose places nobody was told.
        self.least, self.most = collections.Counter(), collections.Counter()
        self.seen = {}
        self.known = set()

    def expect(self, ident, least, most):
        """There are so many more copies, somewhere."""
        with self.lock:
            self.known.add(ident)
            self.least[ident] += least
            self.most[ident] += most

    def put(self, copy):
        with self.lock:
            self.known.add(copy.ident)
            self.copies[copy.place] = copy

    def remove(self, copy, why):
        """It is certain that it is no longer at its place."""
        with self.lock:
            self.copies.pop(copy.place, None)
            self.gone[copy.place] = (copy.ident, why)

    def doubt(self, copy, least):
        """Nobody knows where it is now, or, with 0, whether it is there at all."""
        with self.lock:
            self.copies.pop(copy.place, None)
        self.expect(copy.ident, least, 1)

    def saw(self, box, uid, ident):
        """A client was told that this is there; what is wrong with that, if anything."""
        before = self.seen.setdefault((box, uid), ident)
        if before != ident:
            return f"UID {uid} of {box.decode()} is {ident!r} and was {before!r}"
        return None

    def there(self, box):
        """Copies at places in a mailbox that nobody moves or expunges just now."""
        with self.lock:
            return [copy for place, copy in self.copies.items() if place[0] == box and copy.steady()]

    def acknowledged(self):
        return {"copies": len(self.copies), "gone": len(self.gone),
                "flags": sum(value is not None for copy in self.copies.values()
                             for value in (*copy.flags.values(), *copy.keywords.values())),
                "places untold": sum(self.least.values()), "in doubt": sum(self.most.values()) - sum(self.least.values())}

    def judge(self, store):
        """What is wrong with a store's contents, `{(mailbox, UID): (flags, name)}`: sentences."""
        wrong = []
        sure, doomed = collections.Counter(), collections.Counter()
        for place, copy in self.copies.items():
            where = f"{copy.ident.decode()} at UID {place[1]} of {place[0].decode()}"
            if copy.doomed:
                doomed[copy.ident] += 1
                continue
            sure[copy.ident] += 1
            if place not in store:
                wrong.append(f"{where} was acknowledged and is lost")
                continue
            flags, ident = store[place]
            if ident != copy.ident:
                wrong.append(f"{where} is {ident!r}")
            wanted = [(flag, value) for flag, value in copy.flags.items()]
            wanted += [(b"k%d" % client, value) for client, value in copy.keywords.items()]
            for flag, value in wanted:
                if value is not None and value != (flag in flags):
                    wrong.append(f"{where} {'lacks' if value else 'has'} {flag.decode()}")
        for place, (ident, why) in self.gone.items():
            if place in store:
                wrong.append(f"{ident.decode()} was {why} and is still at UID {place[1]} of {place[0].decode()}")
        found = collections.Counter(ident for _, ident in store.values())
        for ident in self.known | set(found):
            least = sure[ident] + self.least[ident]
            most = least + doomed[ident] + self.most[ident] - self.least[ident]
            if ident not in self.known:
                wrong.append(f"{ident!r} is there and nobody sent it")
            elif not least <= found[ident] <= most:
                wrong.append(f"{ident.decode()} is there {found[ident]} times, not {least} to {most}")
        return wrong
