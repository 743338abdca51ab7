-- Counter rows, quota and the log: what every change writes.

-- statement: StateLock (mailbox) locks counter
SELECT next_uid, modseq, messages, unseen, deleted, total_size, log_from
FROM mailbox_state WHERE mailbox = :mailbox FOR UPDATE
-- statement: StateRead (mailbox)
SELECT modseq, log_from, messages, unseen, deleted FROM mailbox_state WHERE mailbox = :mailbox

-- Messages come: their UIDs and the MODSEQ are taken. No row: no mailbox, or not so many UIDs left.
-- statement: StateArrived (mailbox, arrived, unseen, deleted, octets) locks counter
UPDATE mailbox_state
SET next_uid = next_uid + :arrived, modseq = modseq + 1, messages = messages + :arrived,
    unseen = unseen + :unseen, deleted = deleted + :deleted, total_size = total_size + :octets
WHERE mailbox = :mailbox AND next_uid + :arrived <= 4294967296
RETURNING next_uid, modseq
-- dialect: mysql
UPDATE mailbox_state
SET next_uid = next_uid + :arrived, modseq = modseq + 1, messages = messages + :arrived,
    unseen = unseen + :unseen, deleted = deleted + :deleted, total_size = total_size + :octets
WHERE mailbox = :mailbox AND next_uid + :arrived <= 4294967296
-- then
SELECT next_uid, modseq FROM mailbox_state WHERE mailbox = :mailbox

-- Flags change, or messages go: differences, below 0 for less. `changes` is 1, or 0 where the MODSEQ was taken already.
-- statement: StateChanged (mailbox, changes, messages, unseen, deleted, octets) locks counter
UPDATE mailbox_state
SET modseq = modseq + :changes, messages = messages + :messages, unseen = unseen + :unseen,
    deleted = deleted + :deleted, total_size = total_size + :octets
WHERE mailbox = :mailbox

-- statement: StateClaim (mailbox, recent_from, next_uid) locks counter
UPDATE mailbox_state SET recent_from = :next_uid
WHERE mailbox = :mailbox AND recent_from = :recent_from

-- statement: QuotaCharge (root, octets, messages) locks quota apart
UPDATE quota_root
SET used_size = used_size + :octets, used_messages = used_messages + :messages
WHERE id = :root AND used_size + :octets <= most_size AND used_messages + :messages <= most_messages

-- A move within the database: it is charged whatever the limit says.
-- statement: QuotaMove (root, octets, messages) locks quota
UPDATE quota_root
SET used_size = used_size + :octets, used_messages = used_messages + :messages
WHERE id = :root

-- statement: LogInsert (mailbox, modseq, piece, kind, low_uid, high_uid, uid_set: octets, flags_on, flags_off, kw_number, change_id, done_at)
INSERT INTO change_log (mailbox, modseq, piece, kind, low_uid, high_uid, uid_set, flags_on, flags_off,
                        kw_number, audience, change_id, done_by, done_at)
VALUES (:mailbox, :modseq, :piece, :kind, :low_uid, :high_uid, :uid_set, :flags_on, :flags_off,
        :kw_number, 0, :change_id, 0, :done_at)

-- With the horizon of the same moment: between two statements the log may be purged.
-- statement: LogSince (mailbox, since, through, row_count)
SELECT l.modseq, l.kind, l.low_uid, l.high_uid, l.uid_set, l.flags_on, l.flags_off, l.kw_number, s.log_from
FROM mailbox_state s JOIN change_log l ON l.mailbox = s.mailbox
WHERE s.mailbox = :mailbox AND l.modseq > :since AND l.modseq <= :through
ORDER BY l.modseq, l.piece
FETCH FIRST :row_count ROWS ONLY
-- statement: LogHas (mailbox, modseq, change_id)
SELECT count(*) FROM change_log
WHERE mailbox = :mailbox AND modseq = :modseq AND change_id = :change_id
