-- Identities of deliveries (STORAGE 8).

-- No row touched: the identity is there already. A concurrent repeat waits here for the first one's outcome.
-- statement: DeliveryInsert (identity: octets, recipient: text, delivered_at) locks delivery
INSERT INTO delivery (identity, recipient, reply_code, reply_text, reply_seen, mailbox, msg_uid, delivered_at)
VALUES (:identity, :recipient, 0, NULL, 0, NULL, NULL, :delivered_at)
ON CONFLICT (identity) DO NOTHING
-- dialect: mysql
INSERT IGNORE INTO delivery (identity, recipient, reply_code, reply_text, reply_seen, mailbox, msg_uid, delivered_at)
VALUES (:identity, :recipient, 0, NULL, 0, NULL, NULL, :delivered_at)

-- statement: DeliveryOutcome (identity: octets)
SELECT mailbox, msg_uid, delivered_at FROM delivery WHERE identity = :identity

-- Out of its window: it counts as new.
-- statement: DeliveryRenew (identity: octets, delivered_at) locks delivery
UPDATE delivery SET reply_code = 0, mailbox = NULL, msg_uid = NULL, delivered_at = :delivered_at
WHERE identity = :identity

-- statement: DeliverySettle (identity: octets, mailbox, msg_uid) apart
UPDATE delivery SET reply_code = 250, mailbox = :mailbox, msg_uid = :msg_uid WHERE identity = :identity

-- statement: DeliveryForget (identity: octets) apart
DELETE FROM delivery WHERE identity = :identity
