-- Life after EXPUNGE (docs/design/retention.md). Why a message is gone: 1 expunged, 2 moved, 3 replaced, 4 expired,
-- 5 mailbox deleted; of 2 and 3 none is brought back.

-- Purging messages. Of the gone nothing is locked to be looked at; what goes is locked with all that it may be the last to need.

-- Mailboxes of the oldest of those that are due. Not of all: there may be millions.
-- statement: GoneWaiting (gone_before, row_count)
SELECT DISTINCT h.mailbox
FROM (SELECT mailbox FROM message_gone WHERE gone_at < :gone_before ORDER BY gone_at
      FETCH FIRST :row_count ROWS ONLY) h
ORDER BY h.mailbox

-- statement: GoneDue (mailbox, after, gone_before, row_count)
SELECT msg_uid FROM message_gone
WHERE mailbox = :mailbox AND msg_uid > :after AND gone_at < :gone_before
ORDER BY msg_uid
FETCH FIRST :row_count ROWS ONLY

-- Who adds a reference to an email holds its row for sharing until the commit (the foreign key does that). Where somebody does,
-- or another purges it, it is not waited for: it is left to the next run.
-- statement: GoneHold (mailbox, low, high, gone_before)
SELECT g.msg_uid, g.email, e.content, g.msg_size
FROM message_gone g JOIN email e ON e.id = g.email JOIN content c ON c.id = e.content
WHERE g.mailbox = :mailbox AND g.msg_uid BETWEEN :low AND :high AND g.gone_at < :gone_before
ORDER BY g.msg_uid
FOR UPDATE SKIP LOCKED
-- dialect: sqlite
SELECT g.msg_uid, g.email, e.content, g.msg_size
FROM message_gone g CROSS JOIN email e ON e.id = g.email CROSS JOIN content c ON c.id = e.content
WHERE g.mailbox = :mailbox AND g.msg_uid BETWEEN :low AND :high AND g.gone_at < :gone_before
ORDER BY g.msg_uid

-- statement: GonePurge (mailbox, low, high, gone_before)
DELETE FROM message_gone
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high AND gone_at < :gone_before

-- The same for who can't leave it to a next run: it waits.
-- statement: EmailsHold (ids: list)
SELECT e.id FROM email e JOIN content c ON c.id = e.content
WHERE e.id IN (:ids)
ORDER BY e.id
FOR UPDATE

-- Statements of their own: they look at what is there now that the rows are held.
-- statement: EmailsEnd (ids: list)
DELETE FROM email WHERE id IN (:ids)
  AND NOT EXISTS (SELECT 1 FROM message m WHERE m.email = email.id)
  AND NOT EXISTS (SELECT 1 FROM message_gone g WHERE g.email = email.id)
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.email = email.id)

-- statement: ContentsUnused (ids: list)
SELECT c.id, c.content_size FROM content c
WHERE c.id IN (:ids) AND NOT EXISTS (SELECT 1 FROM email e WHERE e.content = c.id)

-- statement: SegmentsDelete (ids: list)
DELETE FROM segment WHERE content IN (:ids)

-- statement: ContentsDelete (ids: list)
DELETE FROM content WHERE id IN (:ids)

-- What would go.

-- statement: GonePlan (gone_before)
SELECT count(*), CAST(coalesce(sum(msg_size), 0) AS bigint) FROM message_gone WHERE gone_at < :gone_before

-- statement: GonePlanOf (account, gone_before)
SELECT count(*), CAST(coalesce(sum(g.msg_size), 0) AS bigint)
FROM mailbox m JOIN message_gone g ON g.mailbox = m.id
WHERE m.account = :account AND g.gone_at < :gone_before

-- Deleted mailboxes.

-- statement: MailboxesDeleted (after, deleted_before, row_count)
SELECT id, account FROM mailbox
WHERE id > :after AND deleted_at < :deleted_before
ORDER BY id
FETCH FIRST :row_count ROWS ONLY

-- statement: MailboxesDeletedOf (account, after, deleted_before, row_count)
SELECT id, account FROM mailbox
WHERE account = :account AND id > :after AND deleted_at < :deleted_before
ORDER BY id
FETCH FIRST :row_count ROWS ONLY

-- statement: MailboxHolds (mailbox, deleted_before)
SELECT (SELECT count(*) FROM message_gone g WHERE g.mailbox = m.id),
       (SELECT count(*) FROM message s WHERE s.mailbox = m.id)
FROM mailbox m WHERE m.id = :mailbox AND m.deleted_at < :deleted_before

-- statement: MailboxSeenDelete (mailbox)
DELETE FROM mailbox_seen WHERE mailbox = :mailbox

-- statement: MailboxUsersDelete (mailbox)
DELETE FROM mailbox_user WHERE mailbox = :mailbox

-- Logs, from their beginning. The horizon is the last MODSEQ that went.

-- statement: LogsOld (after, done_before, row_count)
SELECT s.mailbox FROM mailbox_state s
WHERE s.mailbox > :after
  AND (SELECT l.done_at FROM change_log l WHERE l.mailbox = s.mailbox ORDER BY l.modseq, l.piece
       FETCH FIRST 1 ROWS ONLY) < :done_before
ORDER BY s.mailbox
FETCH FIRST :row_count ROWS ONLY

-- statement: LogsOldOf (account, after, done_before, row_count)
SELECT s.mailbox FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.account = :account AND m.id > :after
  AND (SELECT l.done_at FROM change_log l WHERE l.mailbox = s.mailbox ORDER BY l.modseq, l.piece
       FETCH FIRST 1 ROWS ONLY) < :done_before
ORDER BY s.mailbox
FETCH FIRST :row_count ROWS ONLY

-- statement: LogHead (mailbox, row_count)
SELECT modseq, done_at FROM change_log WHERE mailbox = :mailbox
ORDER BY modseq, piece
FETCH FIRST :row_count ROWS ONLY

-- statement: LogForget (mailbox, through)
DELETE FROM change_log WHERE mailbox = :mailbox AND modseq <= :through

-- statement: LogHorizon (mailbox, through) locks counter
UPDATE mailbox_state SET log_from = :through WHERE mailbox = :mailbox AND log_from < :through

-- statement: LogPlan (after, done_before, row_count)
SELECT s.mailbox,
       (SELECT count(*) FROM change_log l WHERE l.mailbox = s.mailbox AND l.done_at < :done_before)
FROM mailbox_state s
WHERE s.mailbox > :after
ORDER BY s.mailbox
FETCH FIRST :row_count ROWS ONLY

-- statement: LogPlanOf (account, after, done_before, row_count)
SELECT s.mailbox,
       (SELECT count(*) FROM change_log l WHERE l.mailbox = s.mailbox AND l.done_at < :done_before)
FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.account = :account AND m.id > :after
ORDER BY s.mailbox
FETCH FIRST :row_count ROWS ONLY

-- statement: AccountLogsOld (after, done_before, row_count)
SELECT s.account FROM account_state s
WHERE s.account > :after
  AND (SELECT l.done_at FROM account_log l WHERE l.account = s.account ORDER BY l.modseq, l.piece
       FETCH FIRST 1 ROWS ONLY) < :done_before
ORDER BY s.account
FETCH FIRST :row_count ROWS ONLY

-- statement: AccountLogHead (account, row_count)
SELECT modseq, done_at FROM account_log WHERE account = :account
ORDER BY modseq, piece
FETCH FIRST :row_count ROWS ONLY

-- statement: AccountLogForget (account, through)
DELETE FROM account_log WHERE account = :account AND modseq <= :through

-- statement: AccountLogHorizon (account, through) locks account
UPDATE account_state SET log_from = :through WHERE account = :account AND log_from < :through

-- statement: AccountLogPlan (after, done_before, row_count)
SELECT s.account,
       (SELECT count(*) FROM account_log l WHERE l.account = s.account AND l.done_at < :done_before)
FROM account_state s
WHERE s.account > :after
ORDER BY s.account
FETCH FIRST :row_count ROWS ONLY

-- Front-ends that live and are older: one of all purges, the oldest.
-- statement: FrontEndsElder (own, now)
SELECT count(*) FROM front_end WHERE id < :own AND lease_end > :now

-- Undelete.

-- statement: MailboxSource (mailbox)
SELECT account, name, special_use, deleted_at FROM mailbox WHERE id = :mailbox

-- statement: GoneStates (mailbox, low, high)
SELECT msg_uid, flags, msg_size, gone_why FROM message_gone
WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high
ORDER BY msg_uid

-- Without `\Deleted`, bit 8.
-- statement: GoneReturn (source, low, high, target, first_uid, modseq, saved_at) apart
INSERT INTO message (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at)
SELECT :target, :first_uid + row_number() OVER (PARTITION BY :low ORDER BY msg_uid) - 1, :modseq,
       CASE WHEN flags BETWEEN 8 AND 15 OR flags BETWEEN 24 AND 31 THEN flags - 8 ELSE flags END,
       email, msg_size, internal_at, zone, :saved_at
FROM message_gone
WHERE mailbox = :source AND msg_uid BETWEEN :low AND :high

-- statement: GoneTake (mailbox, low, high) apart
DELETE FROM message_gone WHERE mailbox = :mailbox AND msg_uid BETWEEN :low AND :high

-- statement: GoneByMailbox (after, row_count)
SELECT m.id, m.account, c.name, m.name, m.deleted_at, count(*), CAST(sum(g.msg_size) AS bigint), min(g.gone_at), max(g.gone_at)
FROM mailbox m JOIN account c ON c.id = m.account JOIN message_gone g ON g.mailbox = m.id
WHERE m.id > :after AND g.gone_why IN (1, 4, 5)
GROUP BY m.id, m.account, c.name, m.name, m.deleted_at
ORDER BY m.id
FETCH FIRST :row_count ROWS ONLY

-- statement: GoneByMailboxOf (account, after, row_count)
SELECT m.id, m.account, c.name, m.name, m.deleted_at, count(*), CAST(sum(g.msg_size) AS bigint), min(g.gone_at), max(g.gone_at)
FROM mailbox m JOIN account c ON c.id = m.account JOIN message_gone g ON g.mailbox = m.id
WHERE m.account = :account AND m.id > :after AND g.gone_why IN (1, 4, 5)
GROUP BY m.id, m.account, c.name, m.name, m.deleted_at
ORDER BY m.id
FETCH FIRST :row_count ROWS ONLY

-- statement: GonePage (mailbox, after, since, until, row_count)
SELECT g.msg_uid, g.gone_at, g.gone_why, g.flags, g.msg_size, g.internal_at, e.content, e.prefix, c.content_size, c.envelope
FROM message_gone g JOIN email e ON e.id = g.email JOIN content c ON c.id = e.content
WHERE g.mailbox = :mailbox AND g.msg_uid > :after AND g.gone_at >= :since AND g.gone_at < :until
  AND g.gone_why IN (1, 4, 5)
ORDER BY g.msg_uid
FETCH FIRST :row_count ROWS ONLY
-- dialect: sqlite
SELECT g.msg_uid, g.gone_at, g.gone_why, g.flags, g.msg_size, g.internal_at, e.content, e.prefix, c.content_size, c.envelope
FROM message_gone g CROSS JOIN email e ON e.id = g.email CROSS JOIN content c ON c.id = e.content
WHERE g.mailbox = :mailbox AND g.msg_uid > :after AND g.gone_at >= :since AND g.gone_at < :until
  AND g.gone_why IN (1, 4, 5)
ORDER BY g.msg_uid
LIMIT :row_count
