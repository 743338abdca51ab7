-- Views for reporting, version 1, MySQL and MariaDB.
--
-- The same views and columns stand in ../sqlite, ../postgres and ../oracle; docs/operate/reporting.md
-- describes them for those who read them. What holds for every view:
--
--  * It is for reading only, shows what is there now and no content of mail, and keeps its columns: what has to
--    change comes as version 2 beside it. New columns may be added at the end.
--  * A time comes twice: `..._date` as the database's timestamp and `..._us` as in the tables, microseconds since
--    1970-01-01 UTC. Only the second can be found by an index.
--  * `..._date` is a datetime(6) in UTC, whatever the session's time zone.
--  * A view reads with the rights of its definer: whoever may read the views need not be let at the tables.
--  * Bits are told as columns of 0 and 1, by remainders: not every database has operators for bits.
--  * As in every migration, a statement ends with `;` at the end of a line, and no comment ends with one.

-- A mailbox that is there, with its counters.
CREATE VIEW v1_mailboxes AS
SELECT m.id AS mailbox_id,
       a.name AS user_name,
       a.enabled AS user_enabled,
       m.name AS mailbox_name,
       m.uidvalidity AS uidvalidity,
       s.next_uid AS next_uid,
       s.modseq AS modseq,
       s.messages AS messages,
       s.unseen AS unseen,
       s.deleted AS marked_deleted,
       s.total_size AS total_size,
       CASE WHEN MOD(m.special_use, 2) >= 1 THEN 1 ELSE 0 END AS for_archive,
       CASE WHEN MOD(m.special_use, 4) >= 2 THEN 1 ELSE 0 END AS for_drafts,
       CASE WHEN MOD(m.special_use, 8) >= 4 THEN 1 ELSE 0 END AS for_flagged,
       CASE WHEN MOD(m.special_use, 16) >= 8 THEN 1 ELSE 0 END AS for_junk,
       CASE WHEN MOD(m.special_use, 32) >= 16 THEN 1 ELSE 0 END AS for_sent,
       CASE WHEN MOD(m.special_use, 64) >= 32 THEN 1 ELSE 0 END AS for_trash,
       CASE WHEN MOD(m.special_use, 128) >= 64 THEN 1 ELSE 0 END AS for_all,
       CASE WHEN MOD(m.special_use, 256) >= 128 THEN 1 ELSE 0 END AS for_important,
       TIMESTAMPADD(MICROSECOND, m.created_at, TIMESTAMP '1970-01-01 00:00:00') AS created_date,
       m.created_at AS created_us
FROM mailbox m
JOIN account a ON a.id = m.account
JOIN mailbox_state s ON s.mailbox = m.id
WHERE m.deleted_at IS NULL;

-- A message that is in a mailbox. Those that left it are in v1_changes.
CREATE VIEW v1_messages AS
SELECT g.mailbox AS mailbox_id,
       a.name AS user_name,
       m.name AS mailbox_name,
       g.msg_uid AS msg_uid,
       TIMESTAMPADD(MICROSECOND, g.internal_at, TIMESTAMP '1970-01-01 00:00:00') AS internal_date,
       g.internal_at AS internal_us,
       TIMESTAMPADD(MICROSECOND, g.saved_at, TIMESTAMP '1970-01-01 00:00:00') AS saved_date,
       g.saved_at AS saved_us,
       g.msg_size AS msg_size,
       CASE WHEN MOD(g.flags, 2) >= 1 THEN 1 ELSE 0 END AS seen,
       CASE WHEN MOD(g.flags, 4) >= 2 THEN 1 ELSE 0 END AS answered,
       CASE WHEN MOD(g.flags, 8) >= 4 THEN 1 ELSE 0 END AS flagged,
       CASE WHEN MOD(g.flags, 16) >= 8 THEN 1 ELSE 0 END AS deleted,
       CASE WHEN MOD(g.flags, 32) >= 16 THEN 1 ELSE 0 END AS draft,
       g.modseq AS modseq,
       g.email AS email_id,
       e.content AS content_id
FROM message g
JOIN mailbox m ON m.id = g.mailbox
JOIN account a ON a.id = m.account
JOIN email e ON e.id = g.email;

-- A stored part beside each message that has it; a part that no message has now is one row without a message.
CREATE VIEW v1_parts AS
SELECT p.id AS part_id,
       LOWER(HEX(p.part_hash)) AS part_hash,
       p.part_size AS part_size,
       p.packed_size AS packed_size,
       p.state AS finished,
       TIMESTAMPADD(MICROSECOND, p.last_seen, TIMESTAMP '1970-01-01 00:00:00') AS last_seen_date,
       p.last_seen AS last_seen_us,
       u.mailbox_id AS mailbox_id,
       u.user_name AS user_name,
       u.mailbox_name AS mailbox_name,
       u.msg_uid AS msg_uid,
       u.content_id AS content_id,
       u.seg_start AS seg_start
FROM part p
LEFT JOIN (
    SELECT s.part AS part,
           g.mailbox AS mailbox_id,
           a.name AS user_name,
           m.name AS mailbox_name,
           g.msg_uid AS msg_uid,
           s.content AS content_id,
           s.seg_start AS seg_start
    FROM segment s
    JOIN email e ON e.content = s.content
    JOIN message g ON g.email = e.id
    JOIN mailbox m ON m.id = g.mailbox
    JOIN account a ON a.id = m.account
) u ON u.part = p.id;

-- An address and where its mail goes: a user, or another address.
CREATE VIEW v1_addresses AS
SELECT d.id AS address_id,
       d.address AS address,
       d.ordinal AS ordinal,
       d.enabled AS enabled,
       a.name AS user_name,
       a.enabled AS user_enabled,
       d.forward_to AS forward_to
FROM address d
LEFT JOIN account a ON a.id = d.account;

-- What happened, of mailboxes and of users, as far back as the logs go. One row per piece of a change.
CREATE VIEW v1_changes AS
SELECT 'mailbox' AS change_of,
       a.name AS user_name,
       c.mailbox AS mailbox_id,
       m.name AS mailbox_name,
       c.modseq AS modseq,
       c.piece AS piece,
       TIMESTAMPADD(MICROSECOND, c.done_at, TIMESTAMP '1970-01-01 00:00:00') AS done_date,
       c.done_at AS done_us,
       b.name AS done_by,
       CASE c.kind
           WHEN 1 THEN 'messages arrived'
           WHEN 2 THEN 'flags changed'
           WHEN 3 THEN 'keyword set'
           WHEN 4 THEN 'keyword cleared'
           WHEN 5 THEN 'messages gone'
           WHEN 6 THEN 'seen by one user'
           ELSE 'something newer'
       END AS what,
       c.low_uid AS low_uid,
       c.high_uid AS high_uid,
       CASE WHEN c.uid_set IS NULL THEN 1 ELSE 0 END AS every_uid,
       NULLIF(TRIM(CONCAT(
           CASE WHEN MOD(c.flags_on, 2) >= 1 THEN 'Seen ' ELSE '' END,
           CASE WHEN MOD(c.flags_on, 4) >= 2 THEN 'Answered ' ELSE '' END,
           CASE WHEN MOD(c.flags_on, 8) >= 4 THEN 'Flagged ' ELSE '' END,
           CASE WHEN MOD(c.flags_on, 16) >= 8 THEN 'Deleted ' ELSE '' END,
           CASE WHEN MOD(c.flags_on, 32) >= 16 THEN 'Draft ' ELSE '' END)), '') AS flags_set,
       NULLIF(TRIM(CONCAT(
           CASE WHEN MOD(c.flags_off, 2) >= 1 THEN 'Seen ' ELSE '' END,
           CASE WHEN MOD(c.flags_off, 4) >= 2 THEN 'Answered ' ELSE '' END,
           CASE WHEN MOD(c.flags_off, 8) >= 4 THEN 'Flagged ' ELSE '' END,
           CASE WHEN MOD(c.flags_off, 16) >= 8 THEN 'Deleted ' ELSE '' END,
           CASE WHEN MOD(c.flags_off, 32) >= 16 THEN 'Draft ' ELSE '' END)), '') AS flags_cleared,
       k.name AS keyword
FROM change_log c
JOIN mailbox m ON m.id = c.mailbox
JOIN account a ON a.id = m.account
LEFT JOIN account b ON b.id = c.done_by
LEFT JOIN keyword k ON k.mailbox = c.mailbox AND k.kw_number = c.kw_number
UNION ALL
SELECT 'user',
       a.name,
       c.mailbox,
       m.name,
       c.modseq,
       c.piece,
       TIMESTAMPADD(MICROSECOND, c.done_at, TIMESTAMP '1970-01-01 00:00:00'),
       c.done_at,
       b.name,
       CASE c.kind
           WHEN 1 THEN 'mailbox created'
           WHEN 2 THEN 'mailbox deleted'
           WHEN 3 THEN 'mailbox renamed'
           WHEN 4 THEN 'subscribed'
           WHEN 5 THEN 'unsubscribed'
           WHEN 6 THEN 'rights changed'
           WHEN 7 THEN 'metadata changed'
           WHEN 8 THEN 'quota changed'
           WHEN 9 THEN 'user changed'
           WHEN 10 THEN 'special use changed'
           WHEN 11 THEN 'UIDVALIDITY renewed'
           ELSE 'something newer'
       END,
       CAST(NULL AS SIGNED),
       CAST(NULL AS SIGNED),
       CAST(NULL AS SIGNED),
       CAST(NULL AS CHAR(255)),
       CAST(NULL AS CHAR(255)),
       CAST(NULL AS CHAR(255))
FROM account_log c
JOIN account a ON a.id = c.account
LEFT JOIN mailbox m ON m.id = c.mailbox
LEFT JOIN account b ON b.id = c.done_by;
