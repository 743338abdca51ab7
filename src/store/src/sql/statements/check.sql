-- What `dbmail check` asks. Each statement sees one moment of the database, so what it finds wrong in it is wrong, whatever
-- is committed meanwhile. Pages are ranges above `after` up to `through`.

-- How much there is, and the ids up to which it is looked at: what comes later is the next run's.
-- statement: CheckTotals ()
SELECT (SELECT count(*) FROM account),
       (SELECT count(*) FROM mailbox),
       (SELECT count(*) FROM (SELECT DISTINCT content FROM email) c),
       (SELECT count(*) FROM part),
       (SELECT coalesce(max(id), 0) FROM email),
       (SELECT coalesce(max(id), 0) FROM content),
       (SELECT coalesce(max(id), 0) FROM part)

-- What the database has of tables, columns, constraints, indexes and views. On SQLite as the texts that made them.
-- statement: CheckCatalogue ()
SELECT sql, NULL, NULL, NULL FROM sqlite_master WHERE sql IS NOT NULL
-- dialect: postgres
SELECT CAST(table_name AS text), CAST(column_name AS text), CAST(data_type AS text),
       CASE WHEN is_nullable = 'YES' THEN 1 ELSE 0 END
FROM information_schema.columns WHERE table_schema = current_schema()
UNION ALL
SELECT CAST(c.conname AS text), NULL, NULL, NULL
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = current_schema()
UNION ALL
SELECT CAST(indexname AS text), NULL, NULL, NULL FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT CAST(viewname AS text), NULL, NULL, NULL FROM pg_views WHERE schemaname = current_schema()
-- dialect: mysql
SELECT CAST(table_name AS char(64)), CAST(column_name AS char(64)), CAST(column_type AS char(64)),
       CASE WHEN is_nullable = 'YES' THEN 1 ELSE 0 END
FROM information_schema.columns WHERE table_schema = database()
UNION ALL
SELECT CAST(CASE WHEN constraint_name = 'PRIMARY' THEN concat('pk_', table_name) ELSE constraint_name END AS char(64)),
       NULL, NULL, NULL
FROM information_schema.table_constraints WHERE constraint_schema = database()
UNION ALL
SELECT CAST(index_name AS char(64)), NULL, NULL, NULL
FROM information_schema.statistics WHERE table_schema = database()
UNION ALL
SELECT CAST(table_name AS char(64)), NULL, NULL, NULL
FROM information_schema.tables WHERE table_schema = database() AND table_type = 'VIEW'

-- statement: CheckIds ()
SELECT b.kind, b.next_id, (SELECT max(id) FROM account) FROM id_block b WHERE b.kind = 1
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM address) FROM id_block b WHERE b.kind = 2
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM quota_root) FROM id_block b WHERE b.kind = 3
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM mailbox) FROM id_block b WHERE b.kind = 4
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM content) FROM id_block b WHERE b.kind = 5
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM email) FROM id_block b WHERE b.kind = 6
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM part) FROM id_block b WHERE b.kind = 7
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM upload) FROM id_block b WHERE b.kind = 8
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM front_end) FROM id_block b WHERE b.kind = 9
UNION ALL SELECT b.kind, b.next_id, 0 FROM id_block b WHERE b.kind = 10
UNION ALL SELECT b.kind, b.next_id, (SELECT max(id) FROM outbox) FROM id_block b WHERE b.kind = 11

-- statement: IdsRaise (kind, next_id)
UPDATE id_block SET next_id = :next_id WHERE kind = :kind AND next_id < :next_id

-- Rows of short tables that name what is not there.
-- statement: CheckLooseEnds ()
SELECT 'news', x.front_end, count(*) FROM news x
WHERE NOT EXISTS (SELECT 1 FROM front_end f WHERE f.id = x.front_end) GROUP BY x.front_end
UNION ALL
SELECT 'upload', x.front_end, count(*) FROM upload x
WHERE NOT EXISTS (SELECT 1 FROM front_end f WHERE f.id = x.front_end) GROUP BY x.front_end
UNION ALL
SELECT 'outbox', x.email, count(*) FROM outbox x
WHERE x.email IS NOT NULL AND NOT EXISTS (SELECT 1 FROM email e WHERE e.id = x.email) GROUP BY x.email
UNION ALL
SELECT 'mailbox_seen', x.mailbox, count(*) FROM mailbox_seen x
WHERE NOT EXISTS (SELECT 1 FROM mailbox_user u WHERE u.mailbox = x.mailbox AND u.account = x.account) GROUP BY x.mailbox

-- Accounts: the counter row, the log, the UIDVALIDITYs given. The gap is the highest MODSEQ above the horizon and below a row
-- of the log that has no row itself.
-- statement: CheckAccounts (after, account, row_count)
SELECT c.id, c.name, c.name_key, q.id, s.account, s.modseq, s.log_from, s.next_uidvalidity,
       (SELECT max(m.uidvalidity) FROM mailbox m WHERE m.account = c.id),
       (SELECT max(l.modseq) FROM account_log l WHERE l.account = c.id),
       (SELECT max(l.modseq) - 1 FROM account_log l
        WHERE l.account = c.id AND l.modseq > s.log_from + 1
          AND NOT EXISTS (SELECT 1 FROM account_log p WHERE p.account = l.account AND p.modseq = l.modseq - 1))
FROM account c LEFT JOIN quota_root q ON q.id = c.quota_root LEFT JOIN account_state s ON s.account = c.id
WHERE c.id > :after AND (:account = 0 OR c.id = :account)
ORDER BY c.id
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckAccountOrphans (after, through)
SELECT 'account_state', x.account, count(*) FROM account_state x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'account_log', x.account, count(*) FROM account_log x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'address', x.account, count(*) FROM address x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'subscription', x.account, count(*) FROM subscription x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'mailbox', x.account, count(*) FROM mailbox x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'mailbox_user', x.account, count(*) FROM mailbox_user x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account
UNION ALL
SELECT 'outbox', x.account, count(*) FROM outbox x
WHERE x.account > :after AND x.account <= :through
  AND NOT EXISTS (SELECT 1 FROM account c WHERE c.id = x.account) GROUP BY x.account

-- statement: AccountStateSet (account, modseq, log_from, next_uidvalidity) locks account
UPDATE account_state SET modseq = :modseq, log_from = :log_from, next_uidvalidity = :next_uidvalidity
WHERE account = :account

-- Mailboxes, deleted ones too.
-- statement: CheckMailboxes (after, account, row_count)
SELECT m.id, c.id, c.name, m.name, m.name_key, m.deleted_at, q.id, s.mailbox, s.messages
FROM mailbox m LEFT JOIN account c ON c.id = m.account LEFT JOIN quota_root q ON q.id = m.quota_root
LEFT JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.id > :after AND (:account = 0 OR m.account = :account)
ORDER BY m.id
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckMailboxOrphans (after, through)
SELECT 'mailbox_state', x.mailbox, count(*) FROM mailbox_state x
WHERE x.mailbox > :after AND x.mailbox <= :through
  AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.id = x.mailbox) GROUP BY x.mailbox
UNION ALL
SELECT 'mailbox_map', x.mailbox, count(*) FROM mailbox_map x
WHERE x.mailbox > :after AND x.mailbox <= :through
  AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.id = x.mailbox) GROUP BY x.mailbox
UNION ALL
SELECT 'mailbox_user', x.mailbox, count(*) FROM mailbox_user x
WHERE x.mailbox > :after AND x.mailbox <= :through
  AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.id = x.mailbox) GROUP BY x.mailbox
UNION ALL
SELECT 'keyword', x.mailbox, count(*) FROM keyword x
WHERE x.mailbox > :after AND x.mailbox <= :through
  AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.id = x.mailbox) GROUP BY x.mailbox

-- The mailboxes that rows of a long table name: from one to the next by the key, without reading the rows between. MySQL and
-- MariaDB do so for GROUP BY, and not for the recursion.
-- statement: LooseMessages (after, row_count)
WITH RECURSIVE walk (mailbox, step_number) AS (
    SELECT min(x.mailbox), 1 FROM message x WHERE x.mailbox > :after
    UNION ALL
    SELECT (SELECT min(x.mailbox) FROM message x WHERE x.mailbox > w.mailbox), w.step_number + 1
    FROM walk w WHERE w.mailbox IS NOT NULL AND w.step_number < :row_count
)
SELECT w.mailbox, m.id, m.deleted_at FROM walk w LEFT JOIN mailbox m ON m.id = w.mailbox
WHERE w.mailbox IS NOT NULL ORDER BY w.mailbox
-- dialect: mysql
SELECT w.mailbox, m.id, m.deleted_at
FROM (SELECT x.mailbox FROM message x WHERE x.mailbox > :after GROUP BY x.mailbox
      ORDER BY x.mailbox FETCH FIRST :row_count ROWS ONLY) w
LEFT JOIN mailbox m ON m.id = w.mailbox ORDER BY w.mailbox

-- statement: LooseGone (after, row_count)
WITH RECURSIVE walk (mailbox, step_number) AS (
    SELECT min(x.mailbox), 1 FROM message_gone x WHERE x.mailbox > :after
    UNION ALL
    SELECT (SELECT min(x.mailbox) FROM message_gone x WHERE x.mailbox > w.mailbox), w.step_number + 1
    FROM walk w WHERE w.mailbox IS NOT NULL AND w.step_number < :row_count
)
SELECT w.mailbox, m.id, NULL FROM walk w LEFT JOIN mailbox m ON m.id = w.mailbox
WHERE w.mailbox IS NOT NULL ORDER BY w.mailbox
-- dialect: mysql
SELECT w.mailbox, m.id, NULL
FROM (SELECT x.mailbox FROM message_gone x WHERE x.mailbox > :after GROUP BY x.mailbox
      ORDER BY x.mailbox FETCH FIRST :row_count ROWS ONLY) w
LEFT JOIN mailbox m ON m.id = w.mailbox ORDER BY w.mailbox

-- statement: LooseMarks (after, row_count)
WITH RECURSIVE walk (mailbox, step_number) AS (
    SELECT min(x.mailbox), 1 FROM message_keyword x WHERE x.mailbox > :after
    UNION ALL
    SELECT (SELECT min(x.mailbox) FROM message_keyword x WHERE x.mailbox > w.mailbox), w.step_number + 1
    FROM walk w WHERE w.mailbox IS NOT NULL AND w.step_number < :row_count
)
SELECT w.mailbox, m.id, NULL FROM walk w LEFT JOIN mailbox m ON m.id = w.mailbox
WHERE w.mailbox IS NOT NULL ORDER BY w.mailbox
-- dialect: mysql
SELECT w.mailbox, m.id, NULL
FROM (SELECT x.mailbox FROM message_keyword x WHERE x.mailbox > :after GROUP BY x.mailbox
      ORDER BY x.mailbox FETCH FIRST :row_count ROWS ONLY) w
LEFT JOIN mailbox m ON m.id = w.mailbox ORDER BY w.mailbox

-- statement: LooseLog (after, row_count)
WITH RECURSIVE walk (mailbox, step_number) AS (
    SELECT min(x.mailbox), 1 FROM change_log x WHERE x.mailbox > :after
    UNION ALL
    SELECT (SELECT min(x.mailbox) FROM change_log x WHERE x.mailbox > w.mailbox), w.step_number + 1
    FROM walk w WHERE w.mailbox IS NOT NULL AND w.step_number < :row_count
)
SELECT w.mailbox, m.id, NULL FROM walk w LEFT JOIN mailbox m ON m.id = w.mailbox
WHERE w.mailbox IS NOT NULL ORDER BY w.mailbox
-- dialect: mysql
SELECT w.mailbox, m.id, NULL
FROM (SELECT x.mailbox FROM change_log x WHERE x.mailbox > :after GROUP BY x.mailbox
      ORDER BY x.mailbox FETCH FIRST :row_count ROWS ONLY) w
LEFT JOIN mailbox m ON m.id = w.mailbox ORDER BY w.mailbox

-- Counter rows beside what the rows add up to. The gap as of accounts.
-- statement: CheckCounters (after, through)
SELECT s.mailbox, s.next_uid, s.modseq, s.log_from, s.messages, s.unseen, s.deleted, s.total_size, s.recent_from,
       coalesce(g.messages, 0), coalesce(g.unseen, 0), coalesce(g.deleted, 0), coalesce(g.octets, 0),
       g.last_uid, g.last_modseq, h.last_uid, h.last_modseq, l.last_uid, l.last_modseq, b.gap,
       coalesce(h.messages, 0)
FROM mailbox_state s
LEFT JOIN (SELECT mailbox, count(*) AS messages,
                  CAST(sum(CASE WHEN flags % 2 = 0 THEN 1 ELSE 0 END) AS bigint) AS unseen,
                  CAST(sum(CASE WHEN flags % 16 >= 8 THEN 1 ELSE 0 END) AS bigint) AS deleted,
                  CAST(sum(msg_size) AS bigint) AS octets, max(msg_uid) AS last_uid, max(modseq) AS last_modseq
           FROM message WHERE mailbox > :after AND mailbox <= :through GROUP BY mailbox) g ON g.mailbox = s.mailbox
LEFT JOIN (SELECT mailbox, count(*) AS messages, max(msg_uid) AS last_uid, max(gone_modseq) AS last_modseq
           FROM message_gone WHERE mailbox > :after AND mailbox <= :through GROUP BY mailbox) h ON h.mailbox = s.mailbox
LEFT JOIN (SELECT mailbox, max(high_uid) AS last_uid, max(modseq) AS last_modseq
           FROM change_log WHERE mailbox > :after AND mailbox <= :through GROUP BY mailbox) l ON l.mailbox = s.mailbox
LEFT JOIN (SELECT y.mailbox, max(y.modseq) - 1 AS gap
           FROM change_log y JOIN mailbox_state t ON t.mailbox = y.mailbox
           WHERE y.mailbox > :after AND y.mailbox <= :through AND y.modseq > t.log_from + 1
             AND NOT EXISTS (SELECT 1 FROM change_log p WHERE p.mailbox = y.mailbox AND p.modseq = y.modseq - 1)
           GROUP BY y.mailbox) b ON b.mailbox = s.mailbox
WHERE s.mailbox > :after AND s.mailbox <= :through
ORDER BY s.mailbox

-- statement: StateSet (mailbox, next_uid, modseq, log_from, messages, unseen, deleted, total_size, recent_from) locks counter
UPDATE mailbox_state
SET next_uid = :next_uid, modseq = :modseq, log_from = :log_from, messages = :messages, unseen = :unseen,
    deleted = :deleted, total_size = :total_size, recent_from = :recent_from
WHERE mailbox = :mailbox

-- The UID of the last of some messages: pages of a mailbox end there.
-- statement: MessagePageEnd (mailbox, after, row_count)
SELECT max(x.msg_uid) FROM (
    SELECT g.msg_uid FROM message g WHERE g.mailbox = :mailbox AND g.msg_uid > :after
    ORDER BY g.msg_uid FETCH FIRST :row_count ROWS ONLY) x

-- statement: GonePageEnd (mailbox, after, row_count)
SELECT max(x.msg_uid) FROM (
    SELECT g.msg_uid FROM message_gone g WHERE g.mailbox = :mailbox AND g.msg_uid > :after
    ORDER BY g.msg_uid FETCH FIRST :row_count ROWS ONLY) x

-- Messages with which something is wrong.
-- statement: CheckMessages (after, through, low, high, row_count)
SELECT g.mailbox, g.msg_uid, g.flags, g.msg_size, e.id, c.id, coalesce(length(e.prefix), 0) + c.content_size,
       CASE WHEN EXISTS (SELECT 1 FROM message_gone h WHERE h.mailbox = g.mailbox AND h.msg_uid = g.msg_uid)
            THEN 1 ELSE 0 END
FROM message g LEFT JOIN email e ON e.id = g.email LEFT JOIN content c ON c.id = e.content
WHERE g.mailbox > :after AND g.mailbox <= :through AND g.msg_uid > :low AND g.msg_uid <= :high
  AND (c.id IS NULL OR g.msg_size <> coalesce(length(e.prefix), 0) + c.content_size OR g.flags < 0 OR g.flags > 31
       OR EXISTS (SELECT 1 FROM message_gone h WHERE h.mailbox = g.mailbox AND h.msg_uid = g.msg_uid))
ORDER BY g.mailbox, g.msg_uid
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckGone (after, through, low, high, row_count)
SELECT g.mailbox, g.msg_uid, g.flags, g.msg_size, e.id, c.id, g.msg_size, 0
FROM message_gone g LEFT JOIN email e ON e.id = g.email LEFT JOIN content c ON c.id = e.content
WHERE g.mailbox > :after AND g.mailbox <= :through AND g.msg_uid > :low AND g.msg_uid <= :high
  AND (c.id IS NULL OR g.flags < 0 OR g.flags > 31)
ORDER BY g.mailbox, g.msg_uid
FETCH FIRST :row_count ROWS ONLY

-- statement: MessageSizes (mailbox, low, high)
UPDATE message
SET msg_size = (SELECT coalesce(length(e.prefix), 0) + c.content_size
                FROM email e JOIN content c ON c.id = e.content WHERE e.id = message.email)
WHERE mailbox = :mailbox AND msg_uid > :low AND msg_uid <= :high
  AND msg_size <> (SELECT coalesce(length(e.prefix), 0) + c.content_size
                   FROM email e JOIN content c ON c.id = e.content WHERE e.id = message.email)

-- The contents of some messages of a mailbox.
-- statement: CheckContentsOf (mailbox, low, high)
SELECT DISTINCT e.content FROM message g JOIN email e ON e.id = g.email
WHERE g.mailbox = :mailbox AND g.msg_uid > :low AND g.msg_uid <= :high
ORDER BY e.content

-- statement: CheckGoneContentsOf (mailbox, low, high)
SELECT DISTINCT e.content FROM message_gone g JOIN email e ON e.id = g.email
WHERE g.mailbox = :mailbox AND g.msg_uid > :low AND g.msg_uid <= :high
ORDER BY e.content

-- Marks of keywords without a keyword, or without a message that is there or gone.
-- statement: CheckMarks (after, through, row_count)
SELECT k.mailbox, k.kw_number, k.msg_uid, CASE WHEN w.kw_number IS NULL THEN 1 ELSE 0 END
FROM message_keyword k LEFT JOIN keyword w ON w.mailbox = k.mailbox AND w.kw_number = k.kw_number
WHERE k.mailbox > :after AND k.mailbox <= :through
  AND (w.kw_number IS NULL
       OR (NOT EXISTS (SELECT 1 FROM message g WHERE g.mailbox = k.mailbox AND g.msg_uid = k.msg_uid)
           AND NOT EXISTS (SELECT 1 FROM message_gone h WHERE h.mailbox = k.mailbox AND h.msg_uid = k.msg_uid)))
ORDER BY k.mailbox, k.kw_number, k.msg_uid
FETCH FIRST :row_count ROWS ONLY

-- statement: MarkRemove (mailbox, kw_number, msg_uid)
DELETE FROM message_keyword
WHERE mailbox = :mailbox AND kw_number = :kw_number AND msg_uid = :msg_uid
  AND NOT EXISTS (SELECT 1 FROM message g WHERE g.mailbox = :mailbox AND g.msg_uid = :msg_uid)
  AND NOT EXISTS (SELECT 1 FROM message_gone h WHERE h.mailbox = :mailbox AND h.msg_uid = :msg_uid)

-- statement: CheckKeywords (after, through, row_count)
SELECT mailbox, kw_number, name, name_key FROM keyword
WHERE mailbox > :after AND mailbox <= :through
ORDER BY mailbox, kw_number
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckLog (after, through, row_count)
SELECT mailbox, modseq, kind, low_uid, high_uid, uid_set FROM change_log
WHERE mailbox > :after AND mailbox <= :through
ORDER BY mailbox, modseq, piece
FETCH FIRST :row_count ROWS ONLY

-- Roots beside what the messages add up to that they pay for.
-- statement: CheckQuotaPage (after, account, row_count)
SELECT q.id, q.used_messages FROM quota_root q
WHERE q.id > :after
  AND (:account = 0 OR EXISTS (SELECT 1 FROM account c WHERE c.quota_root = q.id AND c.id = :account)
       OR EXISTS (SELECT 1 FROM mailbox m WHERE m.quota_root = q.id AND m.account = :account))
ORDER BY q.id
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckQuotas (after, through)
SELECT q.id, q.used_size, q.used_messages, coalesce(r.octets, 0), coalesce(r.messages, 0),
       (SELECT min(c.name) FROM account c WHERE c.quota_root = q.id)
FROM quota_root q
LEFT JOIN (SELECT m.quota_root, count(*) AS messages, CAST(sum(g.msg_size) AS bigint) AS octets
           FROM mailbox m JOIN message g ON g.mailbox = m.id
           WHERE m.quota_root > :after AND m.quota_root <= :through GROUP BY m.quota_root) r ON r.quota_root = q.id
WHERE q.id > :after AND q.id <= :through
  AND (q.used_size <> coalesce(r.octets, 0) OR q.used_messages <> coalesce(r.messages, 0))
ORDER BY q.id

-- statement: QuotaLock (root) locks quota
SELECT used_size FROM quota_root WHERE id = :root FOR UPDATE

-- statement: QuotaSet (root, used_size, used_messages) locks quota
UPDATE quota_root SET used_size = :used_size, used_messages = :used_messages WHERE id = :root

-- statement: EmailPageEnd (after, row_count)
SELECT max(x.id) FROM (SELECT e.id FROM email e WHERE e.id > :after ORDER BY e.id FETCH FIRST :row_count ROWS ONLY) x

-- Emails that nothing has.
-- statement: CheckEmails (after, through)
SELECT min(e.id), count(*) FROM email e
WHERE e.id > :after AND e.id <= :through
  AND NOT EXISTS (SELECT 1 FROM message g WHERE g.email = e.id)
  AND NOT EXISTS (SELECT 1 FROM message_gone h WHERE h.email = e.id)
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.email = e.id)

-- Contents, their octets where they are wanted.
-- statement: CheckContents (after, through, row_count, bodies)
SELECT c.id, c.content_size, c.header_size, c.content_hash, coalesce(length(c.header), 0),
       CASE WHEN EXISTS (SELECT 1 FROM email e WHERE e.content = c.id) THEN 1 ELSE 0 END,
       CASE WHEN :bodies = 1 THEN c.envelope END, CASE WHEN :bodies = 1 THEN c.structure END,
       CASE WHEN :bodies = 1 THEN c.header END
FROM content c WHERE c.id > :after AND c.id <= :through
ORDER BY c.id
FETCH FIRST :row_count ROWS ONLY

-- Segments from one on, in order.
-- statement: CheckSegments (first, after_ordinal, last, row_count, bodies)
SELECT s.content, s.ordinal, s.seg_start, s.seg_size, s.part, s.coding, coalesce(length(s.octets), 0),
       p.id, p.state, p.part_size, p.part_hash, CASE WHEN :bodies = 1 THEN s.octets END
FROM segment s LEFT JOIN part p ON p.id = s.part
WHERE s.content >= :first AND s.content <= :last AND (s.content > :first OR s.ordinal > :after_ordinal)
ORDER BY s.content, s.ordinal
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckSegmentOrphans (after, through)
SELECT 'segment', x.content, count(*) FROM segment x
WHERE x.content > :after AND x.content <= :through
  AND NOT EXISTS (SELECT 1 FROM content c WHERE c.id = x.content) GROUP BY x.content

-- statement: ContentMend (content, content_size, header_size, envelope: octets, structure: octets)
UPDATE content
SET content_size = :content_size, header_size = :header_size, envelope = :envelope, structure = :structure
WHERE id = :content

-- Parts beside their chunks.
-- statement: CheckParts (after, through, row_count)
SELECT p.id, p.part_hash, p.part_size, p.packed_size, p.state, count(c.part), min(c.ordinal), max(c.ordinal),
       CAST(coalesce(sum(length(c.octets)), 0) AS bigint),
       CASE WHEN EXISTS (SELECT 1 FROM segment s WHERE s.part = p.id) THEN 1 ELSE 0 END
FROM part p LEFT JOIN part_chunk c ON c.part = p.id
WHERE p.id > :after AND p.id <= :through
GROUP BY p.id, p.part_hash, p.part_size, p.packed_size, p.state
ORDER BY p.id
FETCH FIRST :row_count ROWS ONLY
-- dialect: postgres
SELECT p.id, p.part_hash, p.part_size, p.packed_size, p.state, count(CASE WHEN c.ordinal < 65536 THEN 1 END), min(c.ordinal),
       max(CASE WHEN c.ordinal < 65536 THEN c.ordinal END),
       CAST(coalesce(sum(length(c.octets) + coalesce(length(c.tail), 0)), 0) AS bigint),
       CASE WHEN EXISTS (SELECT 1 FROM segment s WHERE s.part = p.id) THEN 1 ELSE 0 END
FROM part p LEFT JOIN part_chunk c ON c.part = p.id
WHERE p.id > :after AND p.id <= :through
GROUP BY p.id, p.part_hash, p.part_size, p.packed_size, p.state
ORDER BY p.id
FETCH FIRST :row_count ROWS ONLY
-- dialect: mysql
SELECT p.id, p.part_hash, p.part_size, p.packed_size, p.state, count(c.part), min(c.ordinal), max(c.ordinal),
       CAST(coalesce(sum(length(c.octets) + coalesce(length(c.tail), 0)), 0) AS bigint),
       CASE WHEN EXISTS (SELECT 1 FROM segment s WHERE s.part = p.id) THEN 1 ELSE 0 END
FROM part p LEFT JOIN part_chunk c ON c.part = p.id
WHERE p.id > :after AND p.id <= :through
GROUP BY p.id, p.part_hash, p.part_size, p.packed_size, p.state
ORDER BY p.id
FETCH FIRST :row_count ROWS ONLY

-- statement: CheckChunkOrphans (after, through)
SELECT 'part_chunk', x.part, count(*) FROM part_chunk x
WHERE x.part > :after AND x.part <= :through
  AND NOT EXISTS (SELECT 1 FROM part p WHERE p.id = x.part) GROUP BY x.part

-- statement: PartPackedSet (part, packed_size) locks part
UPDATE part SET packed_size = :packed_size WHERE id = :part

-- Who has a content: the first message, one that is there before one that is gone, and how many more.
-- statement: ContentPlace (content)
SELECT c.name, m.name, g.msg_uid, 0,
       (SELECT count(*) FROM email x JOIN message y ON y.email = x.id WHERE x.content = :content)
FROM email e JOIN message g ON g.email = e.id JOIN mailbox m ON m.id = g.mailbox JOIN account c ON c.id = m.account
WHERE e.content = :content
ORDER BY g.mailbox, g.msg_uid
FETCH FIRST 1 ROWS ONLY

-- statement: ContentPlaceGone (content)
SELECT c.name, m.name, g.msg_uid, 1,
       (SELECT count(*) FROM email x JOIN message_gone y ON y.email = x.id WHERE x.content = :content)
FROM email e JOIN message_gone g ON g.email = e.id JOIN mailbox m ON m.id = g.mailbox JOIN account c ON c.id = m.account
WHERE e.content = :content
ORDER BY g.mailbox, g.msg_uid
FETCH FIRST 1 ROWS ONLY

-- statement: PartContent (part)
SELECT min(content), count(DISTINCT content) FROM segment WHERE part = :part
