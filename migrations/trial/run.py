"""Runs the store's transactions against databases and prints what they took. See README.md."""
import argparse
import json
import multiprocessing
import os
import random
import statistics
import time

import check
from db import Retry, connect
from work import DAY, DELETED, EVERYTHING, FLAGGED, SEEN, Client, digest, now

WORKERS = 16
SMALL, BIG = 16, 10_000  # mailboxes of the concurrent runs; messages of the large mailbox


def fill(target, messages):
    """Applies the migration to an empty database; accounts, mailboxes, and a large mailbox of `messages`."""
    db = connect(target)
    steps = db.apply()
    at = now()
    boxes = range(1, SMALL + 3)  # SMALL of them, then the large one and one to copy to
    db.begin()
    db.insert("quota_root", ["id", "used_size", "most_size", "used_messages", "most_messages", "name"],
              [(i, 0, EVERYTHING, 0, EVERYTHING, None) for i in boxes])
    db.insert("account", ["id", "name_key", "name", "password_hash", "enabled", "quota_root", "created_at"],
              [(i, b"user%d" % i, f"user{i}", None, 1, i, at) for i in boxes])
    db.insert("account_state", ["account", "modseq", "log_from", "next_uidvalidity"], [(i, 1, 1, 2) for i in boxes])
    # mailboxes share a quota root in fours, as folders of one user do
    db.insert("mailbox", ["id", "account", "name_key", "name", "uidvalidity", "special_use", "quota_root", "created_at",
                          "deleted_at"], [(i, 1 + (i - 1) // 4, digest(i), f"box{i}", 1, 0, 1 + (i - 1) // 4, at, None)
                                          for i in boxes])
    db.insert("mailbox_state", ["mailbox", "next_uid", "modseq", "log_from", "messages", "unseen", "deleted", "total_size",
                                "recent_from"], [(i, 1, 0, 0, 0, 0, 0, 0, 1) for i in boxes])
    db.insert("keyword", ["mailbox", "kw_number", "name_key", "name"], [(i, 1, b"$work", "$Work") for i in boxes])
    db.commit()
    client = Client(db, "fill")
    for _ in range(messages // 16):
        client.deliver(SMALL + 1, 16)
    db.begin()
    db.insert("mailbox_map", ["mailbox", "piece", "modseq", "bits"],
              [(SMALL + 1, 0, db.query("SELECT modseq FROM mailbox_state WHERE mailbox = :b", b=SMALL + 1)[0][0], bytes(49_153))])
    db.commit()
    db.analyze()
    return steps


# -- what a worker does: one call is one operation, named ---------------------------------------------

def one_box(client, me):
    client.deliver(1)
    return "deliver"


def own_box(client, me):
    client.deliver(1 + me % SMALL)
    return "deliver"


def own_box_batch(client, me):
    client.deliver(1 + me % SMALL, 16)
    return "deliver 16"


def one_box_batch(client, me):
    client.deliver(1, 16)
    return "deliver 16"


def repeats(client, me):
    """Everybody delivers the same things at the same time."""
    client.repeat = getattr(client, "repeat", 0) + 1
    return "first" if client.deliver(1 + client.repeat % SMALL, identity=digest(("repeat", client.repeat))) else "repeat"


def mixed(client, me):
    r = client.random
    box, other = r.randint(1, 8), r.randint(1, 8)
    top = client.db.query("SELECT next_uid FROM mailbox_state WHERE mailbox = :box", box=box)[0][0]
    client.db.commit()
    low = r.randint(1, max(1, top - 1))
    dice = r.random()
    if dice < 0.40:
        client.deliver(box)
        return "deliver"
    if dice < 0.50:
        client.select(box)
        return "select"
    if dice < 0.70:
        client.store(box, low, low + 50, r.choice([SEEN, SEEN, FLAGGED, DELETED]), r.random() < 0.8)
        return "store"
    if dice < 0.75:
        client.tag(box, 1, low, low + 50)
        return "keyword"
    if dice < 0.82:
        client.copy(box, other, low, low + 20)
        return "copy"
    if dice < 0.92:
        client.move(box, other, low, low + 20)
        return "move"
    client.expunge(box)
    return "expunge"


def parts(client, me):
    """Worker 0 collects, worker 1 stages parts that nobody may come to refer to, the others deliver with them."""
    if me == 0:
        client.tally["collected"] = client.tally.get("collected", 0) + client.collect()
        return "collect"
    number = int(time.time() * 50) - client.random.randint(0, 20)
    if me == 1:
        client.stock()
        client.begin(lambda: client.hold(number))
        return "stage"
    client.deliver(1 + me % SMALL, part=number)
    return "deliver"


def reader(client, me):
    """SQLite: worker 0 writes, the others read."""
    if me == 0:
        return mixed(client, me)
    if me == 1:
        client.select(SMALL + 1)
        return "select 10000 beside"
    client.fetch(SMALL + 1, "envelope", 1, 1000)
    return "envelopes 1000 beside"


RUNS = {f.__name__: f for f in (one_box, own_box, one_box_batch, own_box_batch, repeats, mixed, parts, reader)}


def worker(target, run, me, seconds, order, gate, out):
    try:
        client = Client(connect(target), (run, me, os.getpid(), time.time()).__hash__(), order)
        took = {}
        gate.wait()
        end = time.perf_counter() + seconds
        while (t := time.perf_counter()) < end:
            try:
                name = RUNS[run](client, me)
            except Retry as e:  # tried as often as we try
                client.tally["gave up"] = client.tally.get("gave up", 0) + 1
                name = f"gave up, {e.code}"
            took.setdefault(name, []).append(time.perf_counter() - t)
        out.put((took, client.tally, client.waits, None))
    except BaseException as e:  # the parent must hear of it, whatever it was
        gate.abort()
        out.put(({}, {}, [], repr(e)))


ACKNOWLEDGED = ("deliver", "deliver 16", "first")


def delivered(db):
    n = int(db.query("SELECT COUNT(*) FROM delivery")[0][0])
    db.commit()
    return n


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))] if values else 0.0


def concurrent(target, run, seconds, workers, order):
    watch = connect(target)
    before, stored = watch.deadlocks(), delivered(watch)
    gate, out = multiprocessing.Barrier(workers), multiprocessing.Queue()
    procs = [multiprocessing.Process(target=worker, args=(target, run, i, seconds, order, gate, out)) for i in range(workers)]
    for p in procs:
        p.start()
    got = [out.get() for _ in procs]
    for p in procs:
        p.join()
    errors = [g[3] for g in got if g[3]]
    took, tally = {}, {}
    for t, c, _, _ in got:
        for k, v in t.items():
            took.setdefault(k, []).extend(v)
        for k, v in c.items():
            tally[k] = tally.get(k, 0) + v
    waits = [w for g in got for w in g[2]]
    broken = check.all_laws(watch)
    acknowledged = sum(len(v) * (16 if k.endswith("16") else 1) for k, v in took.items() if k in ACKNOWLEDGED)
    if delivered(watch) - stored != acknowledged:
        broken["what was acknowledged is what is stored"] = [acknowledged, delivered(watch) - stored]
    return {"run": run, "workers": workers, "order": order, "errors": errors, "retries": tally,
            "deadlocks": watch.deadlocks() - before,
            "counter_ms": [round(percentile(waits, p) * 1e3, 2) for p in (0.5, 0.99)],
            "ops": {k: {"rate": round(len(v) / seconds, 1), "p50_ms": round(percentile(v, 0.5) * 1e3, 2),
                        "p99_ms": round(percentile(v, 0.99) * 1e3, 2)} for k, v in sorted(took.items())},
            "broken": broken}


def large(target, times):
    """One connection, one mailbox of ten thousand: medians in milliseconds."""
    client = Client(connect(target), "large")
    box, other = SMALL + 1, SMALL + 2
    top = BIG + 1_000_000
    took = {}

    def timed(name, f, *a, **k):
        t = time.perf_counter()
        n = f(*a, **k)
        took.setdefault(name, []).append((time.perf_counter() - t) * 1e3)
        return n
    for _ in range(times):
        timed("select rows", client.select, box)
        timed("select map", client.select, box, True)
        for what in ("flags", "envelope", "header", "body"):
            timed("fetch " + what, client.fetch, box, what, 1, top)
        timed("store seen", client.store, box, 1, top, SEEN)
        timed("store unseen", client.store, box, 1, top, SEEN, False)
        timed("keyword", client.tag, box, 1, 1, top)
        timed("copy", client.copy, box, other, 1, top)
        client.store(other, 1, top, DELETED)
        timed("expunge", client.expunge, other)
        timed("move", client.move, box, other, 1, top)
        timed("move back", client.move, other, box, 1, top)
    return {"run": "large", "messages": BIG, "p50_ms": {k: round(statistics.median(v), 1) for k, v in took.items()},
            "max_ms": {k: round(max(v), 1) for k, v in took.items()}, "broken": check.all_laws(connect(target))}


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("target", help="postgres:DSN | mariadb|mysql:user,password,host,port,name | oracle:user,password,dsn | sqlite:file")
    a.add_argument("--runs", default="one_box,own_box,one_box_batch,own_box_batch,repeats,mixed,parts,large")
    a.add_argument("--seconds", type=float, default=5)
    a.add_argument("--workers", type=int, default=WORKERS)
    a.add_argument("--times", type=int, default=3)
    a.add_argument("--order", default="late", choices=["late", "quota-first", "as-listed"])
    a.add_argument("--json", help="append each result as a line to this file")
    o = a.parse_args()
    random.seed()
    for run in o.runs.split(","):
        steps = fill(o.target, BIG if run in ("large", "reader") else 0)
        results = [large(o.target, o.times)] if run == "large" else \
            [concurrent(o.target, run, o.seconds, o.workers, o.order) for _ in range(o.times)]
        for r in results:
            r["database"], r["statements_applied"] = o.target.split(":")[0], steps
            print(json.dumps(r), flush=True)
            if o.json:
                with open(o.json, "a") as f:
                    f.write(json.dumps(r) + "\n")
            if r.get("errors") or r["broken"]:
                raise SystemExit(f"failed: {r.get('errors')} {r['broken']}")


if __name__ == "__main__":
    main()
