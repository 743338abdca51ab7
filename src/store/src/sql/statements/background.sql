-- Work beside the running service, in small transactions (STORAGE 17).

-- statement: FrontEndExtend (id, lease_end)
UPDATE front_end SET lease_end = :lease_end WHERE id = :id

-- statement: FrontEndDelete (id)
DELETE FROM front_end WHERE id = :id AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.front_end = :id)

-- statement: FrontEndsExpired (now, row_count)
SELECT id FROM front_end WHERE lease_end < :now ORDER BY id FETCH FIRST :row_count ROWS ONLY
-- statement: NewsDelete (front_end)
DELETE FROM news WHERE front_end = :front_end

-- statement: UploadsExpired (now, row_count)
SELECT id FROM upload WHERE lease_end <= :now ORDER BY lease_end FETCH FIRST :row_count ROWS ONLY
-- statement: UploadExpire (id, now)
DELETE FROM upload WHERE id = :id AND lease_end <= :now

-- statement: UploadDrop (id)
DELETE FROM upload WHERE id = :id

-- Parts being staged whose upload is gone: nobody will finish them.
-- statement: PartsStale (seen_before, row_count)
SELECT p.id FROM part p
WHERE p.state = 0 AND p.last_seen < :seen_before AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.id = p.upload)
ORDER BY p.last_seen
FETCH FIRST :row_count ROWS ONLY
-- statement: PartsUnused (seen_before, row_count)
SELECT p.id FROM part p
WHERE p.state = 1 AND p.last_seen < :seen_before AND NOT EXISTS (SELECT 1 FROM segment s WHERE s.part = p.id)
ORDER BY p.last_seen
FETCH FIRST :row_count ROWS ONLY
-- Locks; the segments are looked for in a statement of its own, which sees all that was committed before. It does not wait: who
-- holds the part links it, or collects it too. So it may lock parts in any order.
-- statement: PartCollect (id, seen_before)
SELECT p.packed_size FROM part p WHERE p.id = :id AND p.last_seen < :seen_before FOR UPDATE SKIP LOCKED

-- statement: PartReferred (id)
SELECT count(*) FROM segment s WHERE s.part = :id

-- statement: DeliveriesOld (delivered_before, row_count)
SELECT identity FROM delivery WHERE delivered_at < :delivered_before ORDER BY delivered_at
FETCH FIRST :row_count ROWS ONLY
-- Ending a user's mail, some messages at a time.

-- statement: MessagesSome (mailbox, row_count)
SELECT m.msg_uid, m.email, e.content, m.flags, m.msg_size FROM message m JOIN email e ON e.id = m.email
WHERE m.mailbox = :mailbox ORDER BY m.msg_uid FETCH FIRST :row_count ROWS ONLY
-- statement: GoneSome (mailbox, row_count)
SELECT m.msg_uid, m.email, e.content FROM message_gone m JOIN email e ON e.id = m.email
WHERE m.mailbox = :mailbox ORDER BY m.msg_uid FETCH FIRST :row_count ROWS ONLY
-- statement: GoneRemove (mailbox, msg_uid)
DELETE FROM message_gone WHERE mailbox = :mailbox AND msg_uid = :msg_uid

-- statement: MailboxMarksDelete (mailbox)
DELETE FROM message_keyword WHERE mailbox = :mailbox

-- statement: MailboxKeywordsDelete (mailbox)
DELETE FROM keyword WHERE mailbox = :mailbox

-- statement: MailboxLogDelete (mailbox)
DELETE FROM change_log WHERE mailbox = :mailbox

-- statement: MailboxMapDelete (mailbox)
DELETE FROM mailbox_map WHERE mailbox = :mailbox

-- statement: MailboxRemove (mailbox)
DELETE FROM mailbox WHERE id = :mailbox
