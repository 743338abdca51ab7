-- Mailboxes: names, counters, subscriptions, keywords.

-- statement: MailboxesOf (account)
SELECT m.id, m.name, m.special_use, m.uidvalidity, s.next_uid, s.modseq, s.messages, s.unseen, s.deleted,
       s.total_size, s.recent_from,
       (SELECT count(*) FROM message g WHERE g.mailbox = m.id AND g.msg_uid >= s.recent_from),
       (SELECT count(*) FROM subscription u WHERE u.account = m.account AND u.name_key = m.name_key)
FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.account = :account
UNION ALL
SELECT NULL, u.name, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
FROM subscription u
WHERE u.account = :account
  AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account = u.account AND m.name_key = u.name_key)

-- statement: MailboxByName (account, name_key: octets)
SELECT m.id, m.name, m.special_use, m.uidvalidity, s.next_uid, s.modseq, s.messages, s.unseen, s.deleted,
       s.total_size, s.recent_from,
       (SELECT count(*) FROM message g WHERE g.mailbox = m.id AND g.msg_uid >= s.recent_from),
       (SELECT count(*) FROM subscription u WHERE u.account = m.account AND u.name_key = m.name_key),
       s.log_from
FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.account = :account AND m.name_key = :name_key

-- statement: MailboxTarget (account, name_key: octets)
SELECT c.enabled, m.id, m.uidvalidity, m.quota_root
FROM account c LEFT JOIN mailbox m ON m.account = c.id AND m.name_key = :name_key
WHERE c.id = :account

-- statement: MailboxOwner (mailbox)
SELECT m.account, m.quota_root, s.deleted, s.modseq
FROM mailbox m JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.id = :mailbox

-- statement: MailboxNames (account)
SELECT m.id, m.name, m.special_use, m.quota_root, c.quota_root
FROM account c LEFT JOIN mailbox m ON m.account = c.id AND m.deleted_at IS NULL
WHERE c.id = :account

-- statement: MailboxIds (account)
SELECT id FROM mailbox WHERE account = :account ORDER BY id

-- statement: MailboxInsert (id, account, name_key: octets, name: text, uidvalidity, special_use, quota_root, created_at)
INSERT INTO mailbox (id, account, name_key, name, uidvalidity, special_use, quota_root, created_at, deleted_at)
VALUES (:id, :account, :name_key, :name, :uidvalidity, :special_use, :quota_root, :created_at, NULL)

-- statement: StateInsert (mailbox)
INSERT INTO mailbox_state (mailbox, next_uid, modseq, log_from, messages, unseen, deleted, total_size, recent_from)
VALUES (:mailbox, 1, 1, 0, 0, 0, 0, 0, 1)

-- statement: MailboxRename (mailbox, name_key: octets, name: text)
UPDATE mailbox SET name_key = :name_key, name = :name WHERE id = :mailbox

-- statement: MailboxEnd (mailbox, name_key: octets, deleted_at)
UPDATE mailbox SET name_key = :name_key, deleted_at = :deleted_at WHERE id = :mailbox

-- statement: StateDelete (mailbox) locks counter
DELETE FROM mailbox_state WHERE mailbox = :mailbox

-- statement: SubscriptionHas (account, name_key: octets)
SELECT (SELECT count(*) FROM subscription WHERE account = :account AND name_key = :name_key),
       (SELECT count(*) FROM subscription WHERE account = :account)
FROM account WHERE id = :account

-- statement: SubscriptionInsert (account, name_key: octets, name: text, created_at)
INSERT INTO subscription (account, name_key, name, created_at)
VALUES (:account, :name_key, :name, :created_at)

-- statement: SubscriptionDelete (account, name_key: octets)
DELETE FROM subscription WHERE account = :account AND name_key = :name_key

-- statement: KeywordsOf (mailbox)
SELECT kw_number, name FROM keyword WHERE mailbox = :mailbox ORDER BY name_key

-- statement: KeywordInsert (mailbox, kw_number, name_key: octets, name: text)
INSERT INTO keyword (mailbox, kw_number, name_key, name)
VALUES (:mailbox, :kw_number, :name_key, :name)

-- statement: MapPieces (mailbox)
SELECT piece, modseq, bits FROM mailbox_map WHERE mailbox = :mailbox ORDER BY piece

-- statement: MapInsert (mailbox, piece, modseq, bits: octets)
INSERT INTO mailbox_map (mailbox, piece, modseq, bits) VALUES (:mailbox, :piece, :modseq, :bits)
