"""One face for five databases: connect, run a statement, retry a transaction, apply a migration.

Statements are written once with `:name` parameters. What differs is in the small methods of each class.
"""
import os
import random
import re
import sqlite3
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MIGRATIONS = os.path.dirname(HERE)
RETRIES = 5  # STORAGE 4: as a whole, five times, with jitter
LOCK_WAIT = 5  # seconds: a wait that long is a fault, and its transaction runs again
PARAM = re.compile(r":([a-z_][a-z0-9_]*)")


class Retry(Exception):
    """Run the transaction again: a deadlock, a lock timeout, a serialisation failure."""

    def __init__(self, code):
        super().__init__(code)
        self.code = str(code)


class Missing(Exception):
    """A foreign key pointed at nothing."""


class Referred(Exception):
    """A row could not be deleted: another refers to it."""


def statements(text):
    """Cuts a migration: `;` at the end of a line ends a statement, comment lines are no part of one."""
    out, now = [], []
    for line in text.splitlines():
        code = line.split("--", 1)[0].rstrip()
        if not code:
            continue
        now.append(code)
        if code.endswith(";"):
            out.append("\n".join(now)[:-1])
            now = []
    if now:
        raise ValueError("the file ends within a statement")
    return out


class Base:
    lock = " FOR UPDATE"
    folder = None
    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, dsn):
        self.dsn, self.cache = dsn, {}
        self.con = self.open()
        self.cur = self.con.cursor()

    def render(self, sql):
        if sql not in self.cache:
            self.cache[sql] = PARAM.sub(r"%(\1)s", sql)
        return self.cache[sql]

    def execute(self, sql, **p):
        try:
            self.cur.execute(self.render(sql), p)
        except Exception as e:  # the drivers' errors have no common class
            self.sort(e)
        return self.cur.rowcount

    def query(self, sql, **p):
        self.execute(sql, **p)
        return self.cur.fetchall()

    def insert(self, table, cols, rows):
        """One multi-row INSERT."""
        one = "(" + ",".join(["%s"] * len(cols)) + ")"
        sql = f"INSERT INTO {table} ({','.join(cols)}) VALUES " + ",".join([one] * len(rows))
        try:
            self.cur.execute(sql, [v for r in rows for v in r])
        except Exception as e:
            self.sort(e)

    def begin(self):
        pass

    def commit(self):
        try:
            self.con.commit()
        except Exception as e:
            self.sort(e)

    def rollback(self):
        try:
            self.con.rollback()
        except Exception:
            pass

    def limit(self, n):
        return f" LIMIT {n}"

    # bits of an integer
    def has(self, col, bits):
        return f"({col} & {bits})"

    def on(self, col, bits):
        return f"{col} | {bits}"

    def off(self, col, bits):
        return f"{col} & ~{bits}"

    def counter(self, take, **p):
        """Advances a counter row and says what it holds afterwards: (next_uid, modseq)."""
        self.execute(f"UPDATE mailbox_state SET {take} WHERE mailbox = :box", **p)
        return self.query("SELECT next_uid, modseq FROM mailbox_state WHERE mailbox = :box", box=p["box"])[0]

    def insert_once(self, table, cols, row):
        """True when the row is new, False when its key was there (after waiting for whoever writes it)."""
        raise NotImplementedError

    def apply(self):
        self.empty()
        with open(f"{MIGRATIONS}/{self.folder}/0001_mail.sql") as f:
            steps = statements(f.read())
        for s in steps:
            try:
                self.cur.execute(s)
            except Exception as e:
                raise RuntimeError(f"{self.folder}: {e}\n{s}") from e
        self.commit()
        return len(steps)

    def analyze(self):
        pass

    def deadlocks(self):
        return 0

    def tables(self):
        with open(f"{MIGRATIONS}/{self.folder}/0001_mail.sql") as f:
            return re.findall(r"^CREATE TABLE (\w+)", f.read(), re.M)


class Postgres(Base):
    folder = "postgres"
    lock = " FOR NO KEY UPDATE"

    def open(self):
        import psycopg

        class Binary(psycopg.Cursor):  # octets come as they are, not in hexadecimal digits
            def __init__(self, *a, **k):
                super().__init__(*a, **k)
                self.format = psycopg.pq.Format.BINARY
        return psycopg.connect(self.dsn, prepare_threshold=1, cursor_factory=Binary,
                               options="-c default_transaction_isolation=read\\ committed"
                               f" -c lock_timeout={LOCK_WAIT}s")

    def sort(self, e):
        state = getattr(e, "sqlstate", None)
        if state in ("40001", "40P01", "55P03"):
            raise Retry(state)
        if state == "23503":
            raise (Referred if "still referenced" in str(e) else Missing)(str(e))
        raise e

    def counter(self, take, **p):
        return self.query(f"UPDATE mailbox_state SET {take} WHERE mailbox = :box RETURNING next_uid, modseq", **p)[0]

    def insert_once(self, table, cols, row):
        try:
            self.cur.execute(f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join(['%s'] * len(cols))})"
                             " ON CONFLICT DO NOTHING", row)
        except Exception as e:
            self.sort(e)
        return self.cur.rowcount == 1

    def empty(self):
        self.cur.execute("DROP SCHEMA public CASCADE")
        self.cur.execute("CREATE SCHEMA public")
        self.con.commit()

    def analyze(self):
        self.con.commit()
        self.con.autocommit = True
        self.cur.execute("VACUUM ANALYZE")
        self.con.autocommit = False

    def deadlocks(self):
        self.con.commit()
        return int(self.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0])


class MySql(Base):
    folder = "mysql"

    def open(self):
        import pymysql
        con = pymysql.connect(**self.dsn, client_flag=2)  # FOUND_ROWS: rows matched, as elsewhere
        with con.cursor() as c:
            c.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            c.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}")
        return con

    def sort(self, e):
        code = e.args[0] if e.args else None
        if code in (1213, 1205, 1020):
            raise Retry(code)
        if code == 1452:
            raise Missing(str(e))
        if code == 1451:
            raise Referred(str(e))
        raise e

    def insert_once(self, table, cols, row):
        try:
            self.cur.execute(f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join(['%s'] * len(cols))})", row)
        except Exception as e:
            if e.args and e.args[0] == 1062:
                return False
            self.sort(e)
        return True

    def empty(self):
        self.cur.execute("SET foreign_key_checks = 0")
        self.cur.execute("SHOW TABLES")
        for (t,) in self.cur.fetchall():
            self.cur.execute(f"DROP TABLE {t}")
        self.cur.execute("SET foreign_key_checks = 1")

    def analyze(self):
        for t in self.tables():
            self.cur.execute(f"ANALYZE TABLE {t}")
            self.cur.fetchall()
        self.commit()

    def deadlocks(self):
        self.con.commit()
        rows = self.query("SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
        return int(rows[0][0])


class Oracle(Base):
    folder = "oracle"

    def open(self):
        import oracledb
        oracledb.defaults.fetch_lobs = False
        return oracledb.connect(**self.dsn)

    def render(self, sql):
        return sql

    def sort(self, e):
        code = getattr(e.args[0], "code", None) if e.args else None
        if code in (60, 8177, 54, 30006):
            raise Retry(f"ORA-{code:05}")
        if code == 2291:
            raise Missing(str(e))
        if code == 2292:
            raise Referred(str(e))
        raise e

    def insert(self, table, cols, rows):
        sql = f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join(f':{i + 1}' for i in range(len(cols)))})"
        try:
            if len(rows) == 1:
                self.cur.execute(sql, rows[0])
            else:
                self.cur.executemany(sql, rows)
        except Exception as e:
            self.sort(e)

    def limit(self, n):
        return f" FETCH FIRST {n} ROWS ONLY"

    def has(self, col, bits):
        return f"BITAND({col}, {bits})"

    def on(self, col, bits):
        return f"{col} + {bits} - BITAND({col}, {bits})"

    def off(self, col, bits):
        return f"{col} - BITAND({col}, {bits})"

    def counter(self, take, **p):
        a, b = self.cur.var(int), self.cur.var(int)
        self.execute(f"UPDATE mailbox_state SET {take} WHERE mailbox = :box RETURNING next_uid, modseq INTO :a, :b",
                     a=a, b=b, **p)
        return a.getvalue()[0], b.getvalue()[0]

    def insert_once(self, table, cols, row):
        sql = f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join(f':{i + 1}' for i in range(len(cols)))})"
        try:
            self.cur.execute(sql, row)
        except Exception as e:
            if getattr(e.args[0], "code", None) == 1:
                return False
            self.sort(e)
        return True

    def empty(self):
        have = {r[0].lower() for r in self.query("SELECT table_name FROM user_tables")}
        for t in reversed(self.tables()):
            if t in have:
                self.cur.execute(f"DROP TABLE {t} CASCADE CONSTRAINTS")


class Sqlite(Base):
    folder = "sqlite"
    lock = ""
    skip_locked = ""

    def open(self):
        con = sqlite3.connect(self.dsn, isolation_level=None, timeout=30)
        for p in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            con.execute(f"PRAGMA {p}")
        return con

    def render(self, sql):
        return sql

    def sort(self, e):
        text = str(e)
        if "locked" in text or "busy" in text:
            raise Retry("BUSY")
        if "FOREIGN KEY" in text:
            raise Missing(text)
        raise e

    def begin(self):
        self.cur.execute("BEGIN IMMEDIATE")

    def commit(self):
        if self.con.in_transaction:
            self.cur.execute("COMMIT")

    def rollback(self):
        if self.con.in_transaction:
            self.cur.execute("ROLLBACK")

    def insert(self, table, cols, rows):
        try:
            self.cur.executemany(f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join('?' * len(cols))})", rows)
        except Exception as e:
            self.sort(e)

    def counter(self, take, **p):
        return self.query(f"UPDATE mailbox_state SET {take} WHERE mailbox = :box RETURNING next_uid, modseq", **p)[0]

    def insert_once(self, table, cols, row):
        self.cur.execute(f"INSERT INTO {table} ({','.join(cols)}) VALUES ({','.join('?' * len(cols))})"
                         " ON CONFLICT DO NOTHING", row)
        return self.cur.rowcount == 1

    def empty(self):
        self.con.close()
        for s in ("", "-wal", "-shm"):
            if os.path.exists(self.dsn + s):
                os.remove(self.dsn + s)
        self.con = self.open()
        self.cur = self.con.cursor()


def transact(db, work, tally):
    """Runs `work` in a transaction, again when the database asks for it; counts why."""
    for attempt in range(RETRIES + 1):
        try:
            db.begin()
            done = work()
            db.commit()
            return done
        except Retry as e:
            db.rollback()
            tally[e.code] = tally.get(e.code, 0) + 1
            if attempt == RETRIES:
                raise
            time.sleep(random.uniform(0.001, 0.010) * (attempt + 1))
        except BaseException:
            db.rollback()
            raise


def connect(target):
    kind, _, rest = target.partition(":")
    if kind == "postgres":
        return Postgres(rest)
    if kind in ("mariadb", "mysql"):
        user, password, host, port, name = rest.split(",")
        return MySql(dict(user=user, password=password, host=host, port=int(port), database=name))
    if kind == "oracle":
        user, password, dsn = rest.split(",")
        return Oracle(dict(user=user, password=password, dsn=dsn))
    if kind == "sqlite":
        return Sqlite(rest)
    raise ValueError(target)
