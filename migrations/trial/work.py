"""The transactions of the store as plain SQL, on any of the databases.

`Client` is one connection with its blocks of ids. `order` is the order of the locks: "late" takes the counter row
after the content is in and the quota row last of all; "quota-first" and "as-listed" take quota and counter row
before the content (docs/design/schema.md says why the first).
"""
import hashlib
import random
import time

from db import Missing, Referred, Retry, transact

SEEN, FLAGGED, DELETED = 1, 4, 8
EVERYTHING = 2**63 - 1
BLOCK = 1000
CONTENT, EMAIL, PART, CHANGE = 5, 6, 7, 10
_WORDS = random.Random(7)


def text(n):
    """n octets that pack about as well as letters do."""
    words = [bytes(_WORDS.choices(b"etaoinshrdlucmfw", k=_WORDS.randint(2, 9))) for _ in range(400)]
    out = b""
    while len(out) < n:
        out += b" ".join(_WORDS.choices(words, k=11)) + b"\r\n"
    return out[:n]


HEADER = text(2_000)
ENVELOPE, STRUCTURE, SORT, PREFIX = b"\x01" * 250, b"\x01" * 60, b"\x01" * 150, b"R" * 300
BODY = text(3_200)
DAY = 86_400_000_000

CONTENT_COLS = ("id content_size header_size content_hash sent_at sent_zone envelope structure sort_keys header").split()
SEGMENT_COLS = "content ordinal seg_start seg_size part coding coding_line octets".split()
EMAIL_COLS = "id content prefix".split()
MESSAGE_COLS = "mailbox msg_uid modseq flags email msg_size internal_at zone saved_at".split()
GONE_COLS = MESSAGE_COLS + "gone_modseq gone_at gone_by gone_why".split()
LOG_COLS = ("mailbox modseq piece kind low_uid high_uid uid_set flags_on flags_off kw_number audience change_id done_by"
            " done_at").split()
DELIVERY_COLS = "identity recipient reply_code reply_text reply_seen mailbox msg_uid delivered_at".split()
PART_COLS = "id part_hash part_size packed_size state upload last_seen".split()


def now():
    return time.time_ns() // 1000


def digest(text):
    return hashlib.blake2b(str(text).encode(), digest_size=32).digest()


class Client:
    def __init__(self, db, seed=0, order="late"):
        self.db, self.order = db, order
        self.random = random.Random(seed)
        self.blocks = {}
        self.tally = {}    # retries by code
        self.waits = []    # seconds that the statement which locks the counter row took
        self.seed = seed
        self.made = 0
        self.quota_of = {}  # mailbox -> quota root, as a front-end would have it in its cache

    # -- small things ---------------------------------------------------------------------------------

    def begin(self, work):
        return transact(self.db, work, self.tally)

    def take_id(self, kind):
        """An id out of a block; a new block in a transaction of its own, before the one that uses it."""
        low, high = self.blocks.get(kind, (0, 0))
        if low == high:
            raise RuntimeError("no ids left: call stock() first")
        self.blocks[kind] = (low + 1, high)
        return low

    def stock(self, n=40):
        for kind in (CONTENT, EMAIL, PART, CHANGE):
            low, high = self.blocks.get(kind, (0, 0))
            if high - low >= n:
                continue

            def work():
                self.db.execute("UPDATE id_block SET next_id = next_id + :n WHERE kind = :kind", n=BLOCK, kind=kind)
                return self.db.query("SELECT next_id FROM id_block WHERE kind = :kind", kind=kind)[0][0]
            high = int(self.begin(work))
            self.blocks[kind] = (high - BLOCK, high)

    def root(self, box):
        if box not in self.quota_of:
            self.quota_of[box] = self.db.query("SELECT quota_root FROM mailbox WHERE id = :box", box=box)[0][0]
        return self.quota_of[box]

    def pay(self, root, size, messages):
        return self.db.execute(
            "UPDATE quota_root SET used_size = used_size + :octets, used_messages = used_messages + :messages"
            " WHERE id = :root AND used_size + :octets <= most_size AND used_messages + :messages <= most_messages",
            octets=size, messages=messages, root=root)

    def charge(self, root, size, messages):
        if self.pay(root, size, messages) == 0:
            raise RuntimeError("over quota")

    def arrive(self, box, k, whole):
        return self.advance(box, uids=k, messages=k, unseen=k, total_size=whole * k)

    def lock_quota(self, roots):
        for root in sorted(roots):
            self.db.query("SELECT id FROM quota_root WHERE id = :root" + self.db.lock, root=root)

    def lock(self, box):
        t = time.perf_counter()
        row = self.db.query("SELECT next_uid, modseq, deleted FROM mailbox_state WHERE mailbox = :box" + self.db.lock, box=box)
        self.waits.append(time.perf_counter() - t)
        return row[0]

    def advance(self, box, uids=0, **by):
        """Advances the counters: MODSEQ by one, others as said."""
        t = time.perf_counter()
        take = "next_uid = next_uid + :uids, modseq = modseq + 1"
        take += "".join(f", {k} = {k} + :{k}" for k in by)
        row = self.db.counter(take, box=box, uids=uids, **by)
        self.waits.append(time.perf_counter() - t)
        return int(row[0]), int(row[1])

    def log(self, box, modseq, kind, low, high, on=0, off=0, keyword=None):
        self.db.insert("change_log", LOG_COLS, [(box, modseq, 0, kind, low, high, None, on, off, keyword, 0,
                                                 self.take_id(CHANGE), 0, now())])

    # -- delivery -------------------------------------------------------------------------------------

    def deliver(self, box, k=1, identity=None, part=None):
        """k small messages to one mailbox in one commit. False: a repeat, answered from what is stored."""
        self.stock()
        at = now()
        names = [identity or digest((self.seed, self.made + i)) for i in range(k)]
        self.made += k
        size = len(HEADER) + len(BODY) + (0 if part is None else 40_000)
        whole = size + len(PREFIX)
        root = self.root(box)

        def work():
            ids = [(self.take_id(CONTENT), self.take_id(EMAIL)) for _ in range(k)]
            rows = [(n, "someone@example.org", 250, None, 0, box, None, at) for n in names]
            if k == 1:
                if not self.db.insert_once("delivery", DELIVERY_COLS, rows[0]):
                    self.db.query("SELECT reply_code, reply_text FROM delivery WHERE identity = :i", i=names[0])
                    return False
            else:
                self.db.insert("delivery", DELIVERY_COLS, rows)
            if self.order != "late":
                self.charge(root, whole * k, k)
                next_uid, modseq = self.arrive(box, k, whole)
            held = self.hold(part, self.random.random() < 0.5) if part is not None else None
            self.db.insert("content", CONTENT_COLS, [(c, size, len(HEADER), names[i], at, 60, ENVELOPE, STRUCTURE, SORT, HEADER)
                                                     for i, (c, _) in enumerate(ids)])
            segs = [(c, 0, len(HEADER), len(BODY), None, 0, None, BODY) for c, _ in ids]
            if held is not None:
                segs += [(c, 1, len(HEADER) + len(BODY), 40_000, held, 0, None, None) for c, _ in ids]
            self.db.insert("segment", SEGMENT_COLS, segs)
            self.db.insert("email", EMAIL_COLS, [(e, c, PREFIX) for c, e in ids])
            if self.order == "late":
                next_uid, modseq = self.arrive(box, k, whole)
            self.db.insert("message", MESSAGE_COLS, [(box, next_uid - k + i, modseq, 0, e, whole, at, 60, at)
                                                     for i, (_, e) in enumerate(ids)])
            self.log(box, modseq, 1, next_uid - k, next_uid - 1)
            if self.order == "late":
                self.charge(root, whole * k, k)
            return True
        try:
            return self.begin(work)
        except Missing:  # STORAGE 17: the part was collected meanwhile; stage it again, once
            self.tally["part gone"] = self.tally.get("part gone", 0) + 1
            return self.begin(work)

    def hold(self, number, touch=True):
        """The id of the part with this content; stored when nobody has it. Without `touch` as if it had been
        seen today, so that only the foreign key stands between the delivery and the collector."""
        key = digest(("part", number))
        for _ in range(3):
            found = self.db.query("SELECT id, last_seen FROM part WHERE part_hash = :key", key=key)
            if found:
                if touch and found[0][1] < now() - DAY:
                    self.db.execute("UPDATE part SET last_seen = :at WHERE id = :id", at=now(), id=found[0][0])
                return found[0][0]
            id = self.take_id(PART)
            if self.db.insert_once("part", PART_COLS, (id, key, 40_000, 30_000, 1, None, now() - 3 * DAY)):
                self.db.insert("part_chunk", ["part", "ordinal", "packing", "octets"], [(id, 0, 1, key * 937 + key[:16])])
                return id
        raise Retry("part came and went")

    def collect(self, most=20):
        """Deletes parts that nothing refers to. Returns how many."""
        edge = now() - 2 * DAY
        found = self.db.query(
            "SELECT p.id, p.part_hash FROM part p WHERE p.last_seen < :edge AND NOT EXISTS"
            " (SELECT 1 FROM segment s WHERE s.part = p.id) ORDER BY p.part_hash" + self.db.limit(most), edge=edge)
        self.db.commit()
        done = 0
        for id, key in found:
            # Locked by its hash, not its id: on InnoDB that takes the index entry before the row, as a writer does
            # who met a twin. The other way round the two deadlock. And in a statement that reads no other table:
            # what it would have read is older than its lock.
            def work():
                if not self.db.query("SELECT id FROM part WHERE part_hash = :key AND last_seen < :edge"
                                     + (" FOR UPDATE" if self.db.lock else ""), key=key, edge=edge):
                    return 0
                if self.db.query("SELECT part FROM segment WHERE part = :id" + self.db.limit(1), id=id):
                    return 0
                self.db.execute("DELETE FROM part_chunk WHERE part = :id", id=id)
                return self.db.execute("DELETE FROM part WHERE id = :id", id=id)
            try:
                done += self.begin(work)
            except Referred:
                self.tally["collector met a link"] = self.tally.get("collector met a link", 0) + 1
        return done

    # -- reading --------------------------------------------------------------------------------------

    def select(self, box, map_piece=False):
        """SELECT fresh: names and counters, keywords, the map, then the log or pages of rows."""
        db = self.db
        head = db.query("SELECT m.name, m.uidvalidity, s.next_uid, s.modseq, s.messages, s.unseen, s.recent_from"
                        " FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id WHERE m.id = :box", box=box)[0]
        db.query("SELECT kw_number, name FROM keyword WHERE mailbox = :box ORDER BY kw_number", box=box)
        pieces = db.query("SELECT piece, modseq, bits FROM mailbox_map WHERE mailbox = :box ORDER BY piece", box=box)
        n = 0
        if map_piece and pieces:
            n = len(db.query("SELECT modseq, piece, kind, low_uid, high_uid, uid_set, flags_on, flags_off FROM change_log"
                             " WHERE mailbox = :box AND modseq > :since ORDER BY modseq, piece", box=box, since=pieces[0][1]))
        else:
            low = 0
            while True:
                page = db.query("SELECT msg_uid, flags FROM message WHERE mailbox = :box AND msg_uid > :low AND modseq <= :top"
                                " ORDER BY msg_uid" + db.limit(5000), box=box, low=low, top=head[3])
                n += len(page)
                if len(page) < 5000:
                    break
                low = page[-1][0]
        db.commit()
        return n

    def fetch(self, box, what, low=1, high=2**32):
        """One page of FETCH: flags, envelopes, or headers with the recipient's own fields."""
        sql = {"flags": "SELECT msg_uid, flags, modseq FROM message WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high"
                        " ORDER BY msg_uid",
               "envelope": "SELECT m.msg_uid, c.envelope FROM message m JOIN email e ON e.id = m.email"
                           " JOIN content c ON c.id = e.content WHERE m.mailbox = :box AND m.msg_uid BETWEEN :low AND :high"
                           " ORDER BY m.msg_uid",
               "header": "SELECT m.msg_uid, e.prefix, c.header FROM message m JOIN email e ON e.id = m.email"
                         " JOIN content c ON c.id = e.content WHERE m.mailbox = :box AND m.msg_uid BETWEEN :low AND :high"
                         " ORDER BY m.msg_uid",
               "body": "SELECT m.msg_uid, e.prefix, c.header, s.ordinal, s.octets FROM message m JOIN email e ON e.id = m.email"
                       " JOIN content c ON c.id = e.content JOIN segment s ON s.content = c.id"
                       " WHERE m.mailbox = :box AND m.msg_uid BETWEEN :low AND :high ORDER BY m.msg_uid, s.ordinal"}[what]
        n = len(self.db.query(sql, box=box, low=low, high=high))
        self.db.commit()
        return n

    # -- changes --------------------------------------------------------------------------------------

    def store(self, box, low, high, bit, on=True):
        """STORE +FLAGS or -FLAGS of a range. Returns how many messages changed."""
        self.stock()
        db = self.db

        def work():
            self.lock(box)
            want = 0 if on else bit
            rows = db.query(f"SELECT msg_uid, flags, modseq FROM message WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high"
                            f" AND {db.has('flags', bit)} = :want ORDER BY msg_uid", box=box, low=low, high=high, want=want)
            if not rows:
                return 0
            sign = 1 if on else -1
            by = {"unseen": -sign * len(rows)} if bit == SEEN else {"deleted": sign * len(rows)} if bit == DELETED else {}
            _, modseq = self.advance(box, **by)
            flags = db.on("flags", bit) if on else db.off("flags", bit)
            n = db.execute(f"UPDATE message SET flags = {flags}, modseq = :modseq WHERE mailbox = :box"
                           f" AND msg_uid BETWEEN :low AND :high AND {db.has('flags', bit)} = :want",
                           box=box, low=low, high=high, want=want, modseq=modseq)
            if n != len(rows):
                raise RuntimeError(f"STORE read {len(rows)} and wrote {n}")
            self.log(box, modseq, 2, rows[0][0], rows[-1][0], bit if on else 0, 0 if on else bit)
            return n
        return self.begin(work)

    def tag(self, box, number, low, high):
        """STORE +FLAGS keyword of a range."""
        self.stock()
        db = self.db

        def work():
            modseq = self.lock(box)[1] + 1
            n = db.execute("UPDATE message SET modseq = :modseq WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high"
                           " AND msg_uid NOT IN (SELECT k.msg_uid FROM message_keyword k WHERE k.mailbox = :same"
                           " AND k.kw_number = :kw AND k.msg_uid BETWEEN :from_uid AND :to_uid)", modseq=modseq, box=box,
                           low=low, high=high, same=box, kw=number, from_uid=low, to_uid=high)
            if n == 0:
                return 0
            db.execute("INSERT INTO message_keyword (mailbox, kw_number, msg_uid) SELECT mailbox, :kw, msg_uid FROM message"
                       " WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high AND modseq = :modseq",
                       kw=number, box=box, low=low, high=high, modseq=modseq)
            self.advance(box)
            self.log(box, modseq, 3, low, high, keyword=number)
            return n
        return self.begin(work)

    def sums(self, box, low, high, more=""):
        db = self.db
        row = db.query(f"SELECT COUNT(*), COALESCE(SUM(msg_size), 0), COALESCE(SUM(1 - {db.has('flags', SEEN)}), 0),"
                       f" COALESCE(SUM({db.has('flags', DELETED)}), 0), MIN(msg_uid), MAX(msg_uid)"
                       f" FROM message WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high{more}", box=box, low=low, high=high)[0]
        n, size, unseen, deleted = (int(v) for v in row[:4])
        return n, size, unseen, deleted // DELETED, row[4], row[5]

    def spread(self, source, target, low, high, base, modseq):
        """Copies the rows of a range to UIDs from `base` on."""
        return self.db.execute(
            "INSERT INTO message (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at)"
            " SELECT :target, :base + ROW_NUMBER() OVER (ORDER BY m.msg_uid) - 1, :modseq, m.flags, m.email, m.msg_size,"
            " m.internal_at, m.zone, :at FROM message m WHERE m.mailbox = :source AND m.msg_uid BETWEEN :low AND :high",
            target=target, base=base, modseq=modseq, at=now(), source=source, low=low, high=high)

    def copy(self, source, target, low, high):
        """COPY of a range. The counters follow from the rows that were written, not from those read before:
        the source is not locked, and changes in between."""
        self.stock()
        if self.order != "late":
            return self.copy_paid_first(source, target, low, high)

        def work():
            base, modseq, _ = self.lock(target)
            if self.spread(source, target, low, high, base, modseq + 1) == 0:
                return 0
            n, size, unseen, deleted, _, _ = self.sums(target, base, 2**32)
            self.advance(target, uids=n, messages=n, unseen=unseen, deleted=deleted, total_size=size)
            self.log(target, modseq + 1, 1, base, base + n - 1)
            self.charge(self.root(target), size, n)
            return n
        return self.begin(work)

    def copy_paid_first(self, source, target, low, high):
        """As STORAGE words it: what is paid was read before the lock, so it may be another sum afterwards."""
        def work():
            n, size, _, _, _, _ = self.sums(source, low, high)
            if n == 0:
                return 0
            self.charge(self.root(target), size, n)
            base, modseq, _ = self.lock(target)
            self.spread(source, target, low, high, base, modseq + 1)
            m, bytes_now, unseen, deleted, _, _ = self.sums(target, base, 2**32)
            if (m, bytes_now) != (n, size):
                raise Retry("source changed")
            self.advance(target, uids=n, messages=n, unseen=unseen, deleted=deleted, total_size=size)
            self.log(target, modseq + 1, 1, base, base + n - 1)
            return n
        return self.begin(work)

    def bury(self, box, low, high, modseq, why, more=""):
        """Moves rows to the gone, with their keywords' end. Returns how many."""
        db = self.db
        n = db.execute(
            "INSERT INTO message_gone (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at,"
            " gone_modseq, gone_at, gone_by, gone_why) SELECT m.mailbox, m.msg_uid, m.modseq, m.flags, m.email, m.msg_size,"
            f" m.internal_at, m.zone, m.saved_at, :modseq, :at, 0, :why FROM message m WHERE m.mailbox = :box"
            f" AND m.msg_uid BETWEEN :low AND :high{more}", modseq=modseq, at=now(), why=why, box=box, low=low, high=high)
        m = db.execute(f"DELETE FROM message WHERE mailbox = :box AND msg_uid BETWEEN :low AND :high{more}",
                       box=box, low=low, high=high)
        if n != m:
            raise RuntimeError(f"moved {n} to the gone and deleted {m}")
        # A whole range goes: what it held of keywords goes with it. Of a part of it, those without a message.
        left = "" if not more else " AND msg_uid NOT IN (SELECT m.msg_uid FROM message m WHERE m.mailbox = :same" \
            " AND m.msg_uid BETWEEN :from_uid AND :to_uid)"
        same = {} if not more else {"same": box, "from_uid": low, "to_uid": high}
        for (number,) in db.query("SELECT kw_number FROM keyword WHERE mailbox = :box", box=box):
            db.execute("DELETE FROM message_keyword WHERE mailbox = :box AND kw_number = :kw AND msg_uid BETWEEN :low AND :high"
                       + left, box=box, kw=number, low=low, high=high, **same)
        return n

    def move(self, source, target, low, high):
        """MOVE of a range: both counter rows by id, then as COPY and EXPUNGE."""
        if source == target:
            return 0
        self.stock()

        def work():
            roots = {self.root(source), self.root(target)}
            if self.order == "quota-first" and len(roots) > 1:
                self.lock_quota(roots)
            rows = {box: self.lock(box) for box in sorted((source, target))}
            n, size, unseen, deleted, first, last = self.sums(source, low, high)
            if n == 0:
                return 0
            base, modseq, _ = rows[target]
            if self.spread(source, target, low, high, base, modseq + 1) != n:
                raise RuntimeError("MOVE copied other rows than it read under both locks")
            self.advance(target, uids=n, messages=n, unseen=unseen, deleted=deleted, total_size=size)
            self.log(target, modseq + 1, 1, base, base + n - 1)
            self.bury(source, low, high, rows[source][1] + 1, 2)
            self.advance(source, messages=-n, unseen=-unseen, deleted=-deleted, total_size=-size)
            self.log(source, rows[source][1] + 1, 5, first, last)
            if len(roots) > 1:
                for root in sorted(roots):
                    sign = 1 if root == self.root(target) else -1
                    self.charge(root, sign * size, sign * n)
            return n
        return self.begin(work)

    def expunge(self, box):
        """EXPUNGE of what is \\Deleted. With "as-listed" the deliveries pay first and this pays last, as
        STORAGE lists the statements: the two orders meet in a deadlock."""
        self.stock()
        db = self.db
        more = f" AND {db.has('flags', DELETED)} = {DELETED}"

        def work():
            if self.order == "quota-first":
                self.lock_quota([self.root(box)])
            _, modseq, deleted = self.lock(box)
            if deleted == 0:
                return 0
            n, size, unseen, _, first, last = self.sums(box, 1, 2**32, more)
            if n != deleted:
                raise RuntimeError(f"the counter says {deleted} \\Deleted, the rows {n}")
            self.bury(box, first, last, modseq + 1, 1, more)
            self.advance(box, messages=-n, unseen=-unseen, deleted=-n, total_size=-size)
            self.log(box, modseq + 1, 5, first, last)
            self.pay(self.root(box), -size, -n)
            return n
        return self.begin(work)
