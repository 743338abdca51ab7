"""Laws that hold of the tables between transactions, whatever ran. Each query finds what breaks its law."""


def laws(db):
    deleted, unseen = db.has("flags", 8), db.has("flags", 1)
    # what the rows of a mailbox add up to, beside what its counter row says
    yield "counters are what the rows add up to", (
        "SELECT s.mailbox, s.messages, s.unseen, s.deleted, s.total_size, r.n, r.unseen_n, r.deleted_n, r.size_n"
        " FROM mailbox_state s LEFT JOIN (SELECT mailbox, COUNT(*) n, SUM(1 - " + unseen + ") unseen_n, SUM(" + deleted + ")"
        " deleted_n, SUM(msg_size) size_n FROM message GROUP BY mailbox) r ON r.mailbox = s.mailbox"
        " WHERE s.messages <> COALESCE(r.n, 0) OR s.unseen <> COALESCE(r.unseen_n, 0)"
        " OR s.deleted * 8 <> COALESCE(r.deleted_n, 0) OR s.total_size <> COALESCE(r.size_n, 0)")
    yield "quota is what the mailboxes of a root hold", (
        "SELECT q.id, q.used_size, q.used_messages, r.size_n, r.n FROM quota_root q LEFT JOIN (SELECT b.quota_root,"
        " COUNT(*) n, SUM(m.msg_size) size_n FROM message m JOIN mailbox b ON b.id = m.mailbox GROUP BY b.quota_root) r"
        " ON r.quota_root = q.id WHERE q.used_size <> COALESCE(r.size_n, 0) OR q.used_messages <> COALESCE(r.n, 0)")
    yield "no UID lives and is gone", (
        "SELECT m.mailbox, m.msg_uid FROM message m JOIN message_gone g ON g.mailbox = m.mailbox AND g.msg_uid = m.msg_uid")
    yield "every UID given is a message or gone, none twice, none missing", (
        "SELECT s.mailbox, s.next_uid, r.n, r.top FROM mailbox_state s JOIN (SELECT mailbox, COUNT(*) n, MAX(msg_uid) top FROM"
        " (SELECT mailbox, msg_uid FROM message UNION ALL SELECT mailbox, msg_uid FROM message_gone) u GROUP BY mailbox) r"
        " ON r.mailbox = s.mailbox WHERE s.next_uid <> r.n + 1 OR r.top <> r.n")
    yield "each MODSEQ has its log row, once", (
        "SELECT s.mailbox, s.modseq, s.log_from, r.n, r.low, r.high FROM mailbox_state s LEFT JOIN (SELECT mailbox, COUNT(*) n,"
        " MIN(modseq) low, MAX(modseq) high FROM change_log WHERE piece = 0 GROUP BY mailbox) r ON r.mailbox = s.mailbox"
        " WHERE s.modseq - s.log_from <> COALESCE(r.n, 0) OR s.modseq <> COALESCE(r.high, s.modseq)"
        " OR s.log_from + 1 <> COALESCE(r.low, s.log_from + 1)")
    yield "a message's MODSEQ is that of a change that names it", (
        "SELECT m.mailbox, m.msg_uid, m.modseq FROM message m LEFT JOIN change_log l ON l.mailbox = m.mailbox"
        " AND l.modseq = m.modseq AND m.msg_uid BETWEEN l.low_uid AND l.high_uid WHERE l.modseq IS NULL")
    yield "what is gone is in the log as gone", (
        "SELECT g.mailbox, g.msg_uid FROM message_gone g LEFT JOIN change_log l ON l.mailbox = g.mailbox"
        " AND l.modseq = g.gone_modseq AND l.kind = 5 AND g.msg_uid BETWEEN l.low_uid AND l.high_uid WHERE l.modseq IS NULL")
    yield "no segment without its part or content", (
        "SELECT s.content, s.ordinal FROM segment s LEFT JOIN part p ON p.id = s.part LEFT JOIN content c ON c.id = s.content"
        " WHERE c.id IS NULL OR (s.part IS NOT NULL AND (p.id IS NULL OR p.state <> 1))")
    yield "no part without its chunk, no chunk without its part", (
        "SELECT p.id, c.part FROM part p LEFT JOIN part_chunk c ON c.part = p.id WHERE c.part IS NULL"
        " UNION ALL SELECT p.id, c.part FROM part_chunk c LEFT JOIN part p ON p.id = c.part WHERE p.id IS NULL")
    yield "segments tile the content after its header", (
        "SELECT c.id FROM content c LEFT JOIN (SELECT content, SUM(seg_size) n FROM segment GROUP BY content) s"
        " ON s.content = c.id WHERE c.content_size <> c.header_size + COALESCE(s.n, 0)")
    yield "no keyword of a message that is not there", (
        "SELECT k.mailbox, k.kw_number, k.msg_uid FROM message_keyword k LEFT JOIN message m ON m.mailbox = k.mailbox"
        " AND m.msg_uid = k.msg_uid WHERE m.msg_uid IS NULL")
    yield "a delivery answered 250 is there as often as it was answered", (
        "SELECT d.n, c.n FROM (SELECT COUNT(*) n FROM delivery) d CROSS JOIN (SELECT COUNT(*) n FROM content) c WHERE d.n <> c.n")


def all_laws(db):
    """The laws that are broken, each with its first rows: {} is what is wanted."""
    broken = {}
    for name, sql in laws(db):
        rows = db.query(sql)
        if rows:
            broken[name] = [[str(v) for v in r] for r in rows[:3]] + [f"{len(rows)} rows"]
    db.commit()
    return broken
