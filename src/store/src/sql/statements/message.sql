-- Messages of a mailbox. `\Deleted` is bit 8 of the flags; not every database has a sign for bits.

-- statement: MessageFlags (mailbox, low, high, row_count) narrow2
SELECT msg_uid, flags FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
ORDER BY msg_uid
FETCH FIRST :row_count ROWS ONLY

-- statement: MessageStates (mailbox, low, high) narrow4
SELECT msg_uid, flags, modseq, msg_size FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
ORDER BY msg_uid

-- statement: MessageSetFlags (mailbox, low, high, flags, modseq) apart
UPDATE message SET flags = :flags, modseq = :modseq
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high

-- statement: MessageDeleted (mailbox, low, high) narrow3
SELECT msg_uid, flags, msg_size FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
  AND (flags BETWEEN 8 AND 15 OR flags BETWEEN 24 AND 31)
ORDER BY msg_uid

-- statement: GoneInsertDeleted (mailbox, low, high, gone_modseq, gone_at, gone_why) apart
INSERT INTO message_gone (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at,
                          gone_modseq, gone_at, gone_by, gone_why)
SELECT mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at,
       :gone_modseq, :gone_at, 0, :gone_why
FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
  AND (flags BETWEEN 8 AND 15 OR flags BETWEEN 24 AND 31)

-- statement: MessageRemoveDeleted (mailbox, low, high) apart
DELETE FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
  AND (flags BETWEEN 8 AND 15 OR flags BETWEEN 24 AND 31)

-- statement: GoneInsert (mailbox, low, high, gone_modseq, gone_at, gone_why) apart
INSERT INTO message_gone (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at,
                          gone_modseq, gone_at, gone_by, gone_why)
SELECT mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at,
       :gone_modseq, :gone_at, 0, :gone_why
FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high

-- statement: MessageRemove (mailbox, low, high) apart
DELETE FROM message WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high

-- statement: MessageInsert (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at)
INSERT INTO message (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at)
VALUES (:mailbox, :msg_uid, :modseq, :flags, :email, :msg_size, :internal_at, :zone, :saved_at)

-- statement: MessageCopy (source, low, high, target, first_uid, modseq, saved_at) apart
INSERT INTO message (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at)
SELECT :target, :first_uid + row_number() OVER (PARTITION BY :low ORDER BY msg_uid) - 1, :modseq, flags, email, msg_size,
       internal_at, zone, :saved_at
FROM message
WHERE mailbox = :source AND msg_uid BETWEEN :low AND :high

-- statement: KeywordMarks (mailbox, low, high)
SELECT k.kw_number, w.name, k.msg_uid
FROM keyword w JOIN message_keyword k ON k.mailbox = w.mailbox AND k.kw_number = w.kw_number
WHERE w.mailbox = :mailbox AND k.msg_uid BETWEEN :low AND :high
ORDER BY k.kw_number, k.msg_uid

-- statement: KeywordMark (mailbox, kw_number, low, high) apart
INSERT INTO message_keyword (mailbox, kw_number, msg_uid)
SELECT :mailbox, :kw_number, msg_uid FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high

-- statement: KeywordMarkOne (mailbox, kw_number, msg_uid)
INSERT INTO message_keyword (mailbox, kw_number, msg_uid) VALUES (:mailbox, :kw_number, :msg_uid)

-- statement: KeywordUnmark (mailbox, kw_number, low, high) apart
DELETE FROM message_keyword
WHERE mailbox = :mailbox AND kw_number = :kw_number AND msg_uid BETWEEN :low AND :high

-- statement: FetchFlags (mailbox, low, high, row_count) narrow3
SELECT msg_uid, modseq, flags FROM message
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
ORDER BY msg_uid
FETCH FIRST :row_count ROWS ONLY

-- statement: FetchNarrow (mailbox, low, high, row_count) narrow7
SELECT m.msg_uid, m.modseq, m.flags, m.internal_at, m.zone, m.saved_at, m.msg_size
FROM message m
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- Fewer columns cost less, on the way and to take apart: those of most FETCHes by themselves.
-- statement: FetchTrees (mailbox, low, high, row_count, envelope, structure)
SELECT m.msg_uid, m.modseq, m.flags,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END
FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- dialect: sqlite
SELECT m.msg_uid, m.modseq, m.flags,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END
FROM message m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
LIMIT :row_count

-- statement: FetchHeaders (mailbox, low, high, row_count, header)
SELECT m.msg_uid, m.modseq, m.flags, e.content, e.prefix, c.content_size, c.header_size,
       CASE WHEN :header = 1 THEN c.header END
FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- dialect: sqlite
SELECT m.msg_uid, m.modseq, m.flags, e.content, e.prefix, c.content_size, c.header_size,
       CASE WHEN :header = 1 THEN c.header END
FROM message m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
LIMIT :row_count

-- statement: FetchPage (mailbox, low, high, row_count, envelope, structure, header)
SELECT m.msg_uid, m.modseq, m.flags, m.internal_at, m.zone, m.saved_at, e.content, e.prefix, c.content_size,
       c.header_size,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END,
       CASE WHEN :header = 1 THEN c.header END,
       m.msg_size
FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- dialect: sqlite
SELECT m.msg_uid, m.modseq, m.flags, m.internal_at, m.zone, m.saved_at, e.content, e.prefix, c.content_size,
       c.header_size,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END,
       CASE WHEN :header = 1 THEN c.header END,
       m.msg_size
FROM message m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high
ORDER BY m.msg_uid
LIMIT :row_count

-- statement: FetchGone (mailbox, low, high, gone_after, row_count, envelope, structure, header)
SELECT m.msg_uid, m.modseq, m.flags, m.internal_at, m.zone, m.saved_at, e.content, e.prefix, c.content_size,
       c.header_size,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END,
       CASE WHEN :header = 1 THEN c.header END,
       m.msg_size
FROM message_gone m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND m.gone_at > :gone_after
ORDER BY m.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- dialect: sqlite
SELECT m.msg_uid, m.modseq, m.flags, m.internal_at, m.zone, m.saved_at, e.content, e.prefix, c.content_size,
       c.header_size,
       CASE WHEN :envelope = 1 THEN c.envelope END,
       CASE WHEN :structure = 1 THEN c.structure END,
       CASE WHEN :header = 1 THEN c.header END,
       m.msg_size
FROM message_gone m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND m.gone_at > :gone_after
ORDER BY m.msg_uid
LIMIT :row_count

-- statement: FetchSegments (mailbox, low, high, size_max)
SELECT m.msg_uid, s.seg_start, s.seg_size, s.part, s.coding, s.octets
FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
JOIN segment s ON s.content = c.id
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max
ORDER BY m.msg_uid, s.ordinal
-- dialect: sqlite
SELECT m.msg_uid, s.seg_start, s.seg_size, s.part, s.coding, s.octets
FROM message m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
CROSS JOIN segment s ON s.content = c.id
WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max
ORDER BY m.msg_uid, s.ordinal

-- The chunks of the parts of the same messages, each part once.
-- statement: FetchChunks (mailbox, low, high, size_max)
SELECT k.part, k.ordinal, k.packing, k.octets FROM part_chunk k
WHERE k.part IN (
    SELECT s.part
    FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
    JOIN segment s ON s.content = c.id
    WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max)
ORDER BY k.part, k.ordinal
-- dialect: postgres
SELECT k.part, k.ordinal, k.packing, k.octets || coalesce((
    SELECT string_agg(t.octets || t.tail, '' ORDER BY t.ordinal) FROM part_chunk t
    WHERE t.part = k.part AND t.ordinal BETWEEN (k.ordinal + 1) * 65536 AND (k.ordinal + 1) * 65536 + 65535), '')
FROM part_chunk k
WHERE k.part IN (
    SELECT s.part
    FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
    JOIN segment s ON s.content = c.id
    WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max)
  AND k.ordinal < 65536
ORDER BY k.part, k.ordinal
-- dialect: mysql
SELECT k.part, k.ordinal, k.packing, concat(k.octets, coalesce(k.tail, '')) FROM part_chunk k
WHERE k.part IN (
    SELECT s.part
    FROM message m JOIN email e ON e.id = m.email JOIN content c ON c.id = e.content
    JOIN segment s ON s.content = c.id
    WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max)
ORDER BY k.part, k.ordinal
-- dialect: sqlite
SELECT k.part, k.ordinal, k.packing, k.octets FROM part_chunk k
WHERE k.part IN (
    SELECT s.part
    FROM message m CROSS JOIN email e ON e.id = m.email CROSS JOIN content c ON c.id = e.content
    CROSS JOIN segment s ON s.content = c.id
    WHERE m.mailbox = :mailbox AND m.msg_uid BETWEEN :low AND :high AND c.content_size <= :size_max)
ORDER BY k.part, k.ordinal
