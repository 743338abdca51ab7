-- Accounts and addresses.

-- statement: AddressResolve (address: octets)
SELECT 0 AS found_by, c.id, c.enabled, a.ordinal
FROM address a JOIN account c ON c.id = a.account
WHERE a.address_key = :address AND a.enabled = 1
UNION ALL
SELECT 1, c.id, c.enabled, 0 FROM account c WHERE c.name_key = :address
ORDER BY 1, 4

-- statement: CredentialFind (name: octets)
SELECT 0 AS found_by, c.id, c.name, c.password_hash, c.enabled
FROM account c WHERE c.name_key = :name
UNION ALL
SELECT 1, c.id, c.name, c.password_hash, c.enabled
FROM address a JOIN account c ON c.id = a.account
WHERE a.address_key = :name AND a.enabled = 1
ORDER BY 1

-- statement: AccountByName (name: octets)
SELECT id FROM account WHERE name_key = :name

-- statement: AddressOwner (address: octets)
SELECT account FROM address WHERE address_key = :address

-- statement: AccountInsert (id, name_key: octets, name: text, password_hash: text, quota_root, created_at)
INSERT INTO account (id, name_key, name, password_hash, enabled, quota_root, created_at)
VALUES (:id, :name_key, :name, :password_hash, 1, :quota_root, :created_at)

-- statement: AccountStateInsert (account, next_uidvalidity)
INSERT INTO account_state (account, modseq, log_from, next_uidvalidity)
VALUES (:account, 1, 1, :next_uidvalidity)

-- statement: QuotaInsert (id, most_size, most_messages)
INSERT INTO quota_root (id, used_size, most_size, used_messages, most_messages, name)
VALUES (:id, 0, :most_size, 0, :most_messages, NULL)

-- statement: AddressInsert (id, address_key: octets, address: text, account)
INSERT INTO address (id, address_key, ordinal, address, account, forward_to, enabled)
VALUES (:id, :address_key, 0, :address, :account, NULL, 1)

-- statement: AccountSetPassword (account, password_hash: text)
UPDATE account SET password_hash = :password_hash WHERE id = :account

-- statement: AccountSetEnabled (account, enabled)
UPDATE account SET enabled = :enabled WHERE id = :account

-- statement: UsersAll ()
SELECT c.id, c.name, c.enabled, q.most_size, c.created_at, count(s.mailbox),
       CAST(coalesce(sum(s.messages), 0) AS bigint), CAST(coalesce(sum(s.total_size), 0) AS bigint)
FROM account c
JOIN quota_root q ON q.id = c.quota_root
LEFT JOIN mailbox m ON m.account = c.id
LEFT JOIN mailbox_state s ON s.mailbox = m.id
GROUP BY c.id, c.name, c.enabled, q.most_size, c.created_at, c.name_key
ORDER BY c.name_key

-- statement: UserByName (name: octets)
SELECT c.id, c.name, c.enabled, q.most_size, c.created_at, count(s.mailbox),
       CAST(coalesce(sum(s.messages), 0) AS bigint), CAST(coalesce(sum(s.total_size), 0) AS bigint)
FROM account c
JOIN quota_root q ON q.id = c.quota_root
LEFT JOIN mailbox m ON m.account = c.id
LEFT JOIN mailbox_state s ON s.mailbox = m.id
WHERE c.name_key = :name
GROUP BY c.id, c.name, c.enabled, q.most_size, c.created_at, c.name_key

-- statement: AddressesAll ()
SELECT account, address FROM address WHERE account IS NOT NULL ORDER BY account, id

-- statement: AddressesOf (account)
SELECT account, address FROM address WHERE account = :account ORDER BY id

-- statement: AccountLock (account) locks account
SELECT modseq, next_uidvalidity FROM account_state WHERE account = :account FOR UPDATE
-- statement: AccountAdvance (account, validities) locks account
UPDATE account_state
SET modseq = modseq + 1, next_uidvalidity = next_uidvalidity + :validities
WHERE account = :account

-- statement: AccountLogInsert (account, modseq, kind, mailbox, detail: octets, change_id, done_by, done_at, piece)
INSERT INTO account_log (account, modseq, piece, kind, mailbox, detail, change_id, done_by, done_at)
VALUES (:account, :modseq, :piece, :kind, :mailbox, :detail, :change_id, :done_by, :done_at)

-- statement: AccountLogHas (account, modseq, change_id)
SELECT count(*) FROM account_log
WHERE account = :account AND modseq = :modseq AND change_id = :change_id

-- After an older state was restored. Kind 11: renewed.

-- statement: RestoredPage (after, since, row_count)
SELECT c.id, c.name,
       (SELECT count(*) FROM mailbox m WHERE m.account = c.id AND m.deleted_at IS NULL),
       (SELECT count(*) FROM account_log l WHERE l.account = c.id AND l.kind = 11 AND l.done_at >= :since)
FROM account c WHERE c.id > :after ORDER BY c.id FETCH FIRST :row_count ROWS ONLY

-- statement: AccountRenewed (account, since)
SELECT count(*) FROM account_log WHERE account = :account AND kind = 11 AND done_at >= :since

-- statement: MailboxRenew (mailbox, uidvalidity)
UPDATE mailbox SET uidvalidity = :uidvalidity WHERE id = :mailbox

-- What ends a user, after his mailboxes are gone.

-- statement: AccountLogDelete (account)
DELETE FROM account_log WHERE account = :account

-- statement: AccountSubscriptionsDelete (account)
DELETE FROM subscription WHERE account = :account

-- statement: AccountAddressesDelete (account)
DELETE FROM address WHERE account = :account

-- statement: AccountStateDelete (account) locks account
DELETE FROM account_state WHERE account = :account

-- statement: AccountQuota (account)
SELECT quota_root FROM account WHERE id = :account

-- statement: AccountDelete (account)
DELETE FROM account WHERE id = :account

-- statement: QuotaDelete (root)
DELETE FROM quota_root WHERE id = :root AND NOT EXISTS (SELECT 1 FROM account c WHERE c.quota_root = :root)
