-- The mail store, Oracle.
--
-- The same tables, columns and names stand in ../sqlite, ../postgres and ../mysql; ../schema.toml says
-- them once for the machine. What holds for every table:
--
--  * A statement ends with `;` at the end of a line, and no comment ends with one. That is how the
--    program that applies this file cuts it.
--  * Ids are made by the program, in blocks taken from `id_block`; no database makes one.
--  * Times (`..._at`, `..._end`) are microseconds since 1970-01-01 UTC. Booleans are 0 or 1.
--  * Keys made from text are octets made by the program (normal form and case folding included), so no
--    collation ever compares or orders anything. Text is for reading only.
--  * A column of text or octets that may be empty is nullable: NULL is read as empty, and empty is
--    written as NULL (Oracle knows no empty string).
--  * No row is longer than 1 MiB. Longer things are rows with an ordinal.
--  * Sizes and lengths (`..._size`) are octets.
--  * Codes (kind, state, why, ...) are small integers whose meanings are listed here and in the store's
--    vocabulary; a code that a program does not know is an error of that row, not of the table.
--  * Whoever applies it leaves the `;` away, and counts each statement: DDL commits by itself.
--  * INITRANS and PCTFREE leave room for concurrent transactions on the rows that are written most.
--  * RAW and VARCHAR2 know their longest; what is a BLOB here is bounded by the program.
--  * Every foreign key has an index that begins with its columns, and none cascades: what is deleted is
--    deleted by name, in the lock order of docs/design/schema.md.

-- ---------------------------------------------------------------------------------------------------
-- Housekeeping of the schema itself
-- ---------------------------------------------------------------------------------------------------

-- One row per migration. On databases where DDL commits by itself (MySQL, MariaDB, Oracle) `steps_done`
-- counts the statements applied, so that a broken migration goes on where it stopped; `finished_at` is
-- NULL until then. A server refuses a version that it does not know or that is not finished.
CREATE TABLE schema_version (
    version      NUMBER(19)          NOT NULL,
    name         VARCHAR2(255 CHAR)  NOT NULL,       -- file name without folder, to say in messages
    digest       RAW(32)             NOT NULL,       -- BLAKE3-256 of the file as applied
    steps_done   NUMBER(10)          NOT NULL,
    finished_at  NUMBER(19),
    CONSTRAINT pk_schema_version PRIMARY KEY (version)
);

-- One row, id 1: who is migrating, until when. A lease and not a row lock, because DDL would commit the
-- lock away on two of the databases. First in the lock order.
CREATE TABLE schema_lease (
    id           NUMBER(19)          NOT NULL,
    holder       VARCHAR2(255 CHAR),                 -- NULL: nobody
    lease_end    NUMBER(19)          NOT NULL,
    CONSTRAINT pk_schema_lease PRIMARY KEY (id)
);

-- Where the program takes ids: one row per kind, advanced by a block (say 1,000) in a transaction of its
-- own, so no change ever waits here. What is left of a block at exit is lost: ids have gaps.
-- Kinds: 1 account, 2 address, 3 quota root, 4 mailbox, 5 content, 6 email, 7 part, 8 upload,
-- 9 front-end, 10 change, 11 outbox.
CREATE TABLE id_block (
    kind         NUMBER(10)          NOT NULL,
    next_id      NUMBER(19)          NOT NULL,
    CONSTRAINT pk_id_block PRIMARY KEY (kind)
) PCTFREE 60 INITRANS 8;

-- ---------------------------------------------------------------------------------------------------
-- Front-ends
-- ---------------------------------------------------------------------------------------------------

-- A running server process. Others believe that it is gone when `lease_end` has passed; its uploads are
-- then collected and its outbox claims free. It may not link an upload after its lease has run out.
CREATE TABLE front_end (
    id           NUMBER(19)          NOT NULL,
    name         VARCHAR2(255 CHAR),                 -- host and process, for people
    started_at   NUMBER(19)          NOT NULL,
    lease_end    NUMBER(19)          NOT NULL,
    CONSTRAINT pk_front_end PRIMARY KEY (id)
);

-- What a front-end changed lately, for the others: written at most every 20 ms after its commits, in a
-- transaction of its own. Others read above the number that they know of each front-end. A cache of the
-- logs: losing a row costs time (the sweep), never a change.
CREATE TABLE news (
    front_end    NUMBER(19)          NOT NULL,
    news_number  NUMBER(19)          NOT NULL,       -- the front-end's own running number
    changed      RAW(2000)           NOT NULL,       -- ids of mailboxes and accounts, packed, version octet first
    told_at      NUMBER(19)          NOT NULL,
    CONSTRAINT pk_news PRIMARY KEY (front_end, news_number),
    CONSTRAINT fk_news_front_end FOREIGN KEY (front_end) REFERENCES front_end (id)
);
CREATE INDEX ix_news_told ON news (told_at);

-- ---------------------------------------------------------------------------------------------------
-- Accounts
-- ---------------------------------------------------------------------------------------------------

-- Who pays. The one row of a root is its lock: `used = used + n WHERE used + n <= most`, no row = over.
-- No limit is the largest integer, so that the statement needs no case for it. Narrow, because it is
-- written at every delivery. Locked after the delivery's identity and before the counter rows, by id.
CREATE TABLE quota_root (
    id            NUMBER(19)          NOT NULL,
    used_size     NUMBER(19)          NOT NULL,
    most_size     NUMBER(19)          NOT NULL,
    used_messages NUMBER(19)          NOT NULL,
    most_messages NUMBER(19)          NOT NULL,
    name          VARCHAR2(1000 CHAR),               -- QUOTAROOT's name (RFC 9208); NULL is the empty name
    CONSTRAINT pk_quota_root PRIMARY KEY (id),
    CONSTRAINT ck_quota_root_used CHECK (used_size >= 0 AND used_messages >= 0)
) PCTFREE 60 INITRANS 8;

-- A user. Rarely written; what every change of its folders writes is in `account_state`.
CREATE TABLE account (
    id            NUMBER(19)          NOT NULL,
    name_key      RAW(1000)           NOT NULL,      -- the login name as compared: NFC, folded
    name          VARCHAR2(1000 CHAR) NOT NULL,      -- the login name as shown
    password_hash VARCHAR2(500 CHAR),                -- PHC string (argon2id); NULL: cannot log in by password here
    enabled       NUMBER(10)          NOT NULL,      -- 0: no login, and RCPT is answered 550 5.2.1
    quota_root    NUMBER(19)          NOT NULL,      -- pays for mailboxes made from now on
    created_at    NUMBER(19)          NOT NULL,
    CONSTRAINT pk_account PRIMARY KEY (id),
    CONSTRAINT uq_account_name UNIQUE (name_key),
    CONSTRAINT fk_account_quota_root FOREIGN KEY (quota_root) REFERENCES quota_root (id),
    CONSTRAINT ck_account_enabled CHECK (enabled IN (0, 1))
);
CREATE INDEX ix_account_quota_root ON account (quota_root);

-- The counter row of an account, and its lock: CREATE, DELETE, RENAME, SUBSCRIBE, rights, metadata,
-- disabling. UIDVALIDITY comes from here, so two mailboxes of an account never have had the same one.
CREATE TABLE account_state (
    account          NUMBER(19)          NOT NULL,
    modseq           NUMBER(19)          NOT NULL,   -- of the last row of account_log
    log_from         NUMBER(19)          NOT NULL,   -- horizon: changes up to this MODSEQ may be missing there
    next_uidvalidity NUMBER(19)          NOT NULL,   -- 32 bits: 1 to 4294967295
    CONSTRAINT pk_account_state PRIMARY KEY (account),
    CONSTRAINT fk_account_state_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT ck_account_state_uidv CHECK (next_uidvalidity BETWEEN 1 AND 4294967296)
) PCTFREE 60 INITRANS 8;

-- One MODSEQ per change of an account, in one or more pieces. Kinds: 1 mailbox created, 2 deleted,
-- 3 renamed, 4 subscribed, 5 unsubscribed, 6 rights, 7 metadata, 8 quota, 9 account (name, password,
-- enabled), 10 special use.
CREATE TABLE account_log (
    account      NUMBER(19)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,
    piece        NUMBER(10)          NOT NULL,       -- 0, 1, ... of this MODSEQ
    kind         NUMBER(10)          NOT NULL,
    mailbox      NUMBER(19),                         -- no foreign key: the log outlives what it names
    detail       RAW(1900),                          -- by kind (old name, new name, ...), version octet first
    change_id    NUMBER(19)          NOT NULL,       -- made by the program: was my commit done?
    done_by      NUMBER(19)          NOT NULL,       -- account that did it, 0: the system
    done_at      NUMBER(19)          NOT NULL,
    CONSTRAINT pk_account_log PRIMARY KEY (account, modseq, piece),
    CONSTRAINT fk_account_log_account FOREIGN KEY (account) REFERENCES account (id)
);

-- Where mail to an address goes. One row per target: an account, or another address to forward to.
-- RCPT asks for all keys of its address at once (whole, without subaddress, `@domain` for a catch-all).
CREATE TABLE address (
    id           NUMBER(19)          NOT NULL,
    address_key  RAW(1000)           NOT NULL,       -- local part and domain as compared
    ordinal      NUMBER(10)          NOT NULL,       -- 0, 1, ... where an address has several targets
    address      VARCHAR2(1000 CHAR) NOT NULL,       -- as shown
    account      NUMBER(19),                         -- deliver here, or
    forward_to   VARCHAR2(1000 CHAR),                -- send on to this address
    enabled      NUMBER(10)          NOT NULL,
    CONSTRAINT pk_address PRIMARY KEY (id),
    CONSTRAINT uq_address_key UNIQUE (address_key, ordinal),
    CONSTRAINT fk_address_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT ck_address_enabled CHECK (enabled IN (0, 1)),
    CONSTRAINT ck_address_target CHECK (account IS NOT NULL OR forward_to IS NOT NULL)
);
CREATE INDEX ix_address_account ON address (account);

-- SUBSCRIBE is by name: the mailbox may not exist, no longer exist, or be another's.
CREATE TABLE subscription (
    account      NUMBER(19)          NOT NULL,
    name_key     RAW(32)             NOT NULL,       -- 32-octet hash of the name, as in mailbox
    name         VARCHAR2(4000)      NOT NULL,
    created_at   NUMBER(19)          NOT NULL,
    CONSTRAINT pk_subscription PRIMARY KEY (account, name_key),
    CONSTRAINT fk_subscription_account FOREIGN KEY (account) REFERENCES account (id)
);

-- ---------------------------------------------------------------------------------------------------
-- Mailboxes
-- ---------------------------------------------------------------------------------------------------

-- A mailbox: its name, and what changes rarely. A change of mail never writes this row (its foreign keys
-- lock it for sharing on MySQL and MariaDB); that is what `mailbox_state` is for.
-- A deleted mailbox stays while its messages may be brought back: `deleted_at` is set, and `name_key`
-- becomes the hash of its id instead of its name (not NULL: with a NULL in it the unique key would hold
-- on Oracle and not elsewhere).
CREATE TABLE mailbox (
    id           NUMBER(19)          NOT NULL,       -- also MAILBOXID (RFC 8474)
    account      NUMBER(19)          NOT NULL,       -- the owner
    name_key     RAW(32)             NOT NULL,       -- 32-octet hash of the full name (NFC, INBOX folded)
    name         VARCHAR2(4000)      NOT NULL,       -- full name, `/` between levels, at most 4000 octets
    uidvalidity  NUMBER(19)          NOT NULL,       -- a new one when renamed onto, recreated or undeleted
    special_use  NUMBER(10)          NOT NULL,       -- bits (RFC 6154): 1 Archive, 2 Drafts, 4 Flagged, 8 Junk,
                                                     -- 16 Sent, 32 Trash, 64 All, 128 Important (RFC 8457)
    quota_root   NUMBER(19)          NOT NULL,       -- who pays for what is in it
    created_at   NUMBER(19)          NOT NULL,
    deleted_at   NUMBER(19),
    CONSTRAINT pk_mailbox PRIMARY KEY (id),
    CONSTRAINT uq_mailbox_name UNIQUE (account, name_key),
    CONSTRAINT fk_mailbox_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT fk_mailbox_quota_root FOREIGN KEY (quota_root) REFERENCES quota_root (id)
);
CREATE INDEX ix_mailbox_quota_root ON mailbox (quota_root);

-- The counter row of a mailbox, and its lock. A change locks it first and takes UIDs and its MODSEQ from
-- it. Narrow and apart from names and rights; no counter is in an index. STATUS is this row.
CREATE TABLE mailbox_state (
    mailbox       NUMBER(19)          NOT NULL,
    next_uid      NUMBER(19)          NOT NULL,
    modseq        NUMBER(19)          NOT NULL,      -- HIGHESTMODSEQ: of the last change
    log_from      NUMBER(19)          NOT NULL,      -- horizon: changes up to this MODSEQ may be missing in the log
    messages      NUMBER(19)          NOT NULL,
    unseen        NUMBER(19)          NOT NULL,      -- for the owner
    deleted       NUMBER(19)          NOT NULL,      -- messages with \Deleted: none, and EXPUNGE is one statement
    total_size    NUMBER(19)          NOT NULL,
    recent_from   NUMBER(19)          NOT NULL,      -- UIDs from here on are \Recent for the session that claims them
    CONSTRAINT pk_mailbox_state PRIMARY KEY (mailbox),
    CONSTRAINT fk_mailbox_state_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT ck_mailbox_state_counts CHECK (messages >= 0 AND unseen >= 0 AND deleted >= 0 AND total_size >= 0)
) PCTFREE 60 INITRANS 8;

-- A cache for a first SELECT: UIDs and system flags as bitmaps, in pieces of 64 Ki UIDs (piece n holds
-- UIDs n * 65536 to n * 65536 + 65535), each with the MODSEQ that it is true for. Wrong or missing pieces
-- are made again from the rows.
CREATE TABLE mailbox_map (
    mailbox      NUMBER(19)          NOT NULL,
    piece        NUMBER(10)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,
    bits         BLOB                NOT NULL,       -- version octet, then one bitmap for UIDs and one per flag
    CONSTRAINT pk_mailbox_map PRIMARY KEY (mailbox, piece),
    CONSTRAINT fk_mailbox_map_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id)
);

-- What another user than the owner has of his own in a shared mailbox: his counters here, his \Seen set
-- in mailbox_seen. The owner's \Seen is a bit of the message.
CREATE TABLE mailbox_user (
    mailbox      NUMBER(19)          NOT NULL,
    account      NUMBER(19)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,       -- of the last change that only he was told
    unseen       NUMBER(19)          NOT NULL,
    CONSTRAINT pk_mailbox_user PRIMARY KEY (mailbox, account),
    CONSTRAINT fk_mailbox_user_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_mailbox_user_account FOREIGN KEY (account) REFERENCES account (id)
);
CREATE INDEX ix_mailbox_user_account ON mailbox_user (account);

-- The UIDs that this user has seen, in pieces of 64 Ki UIDs, as bitmaps.
CREATE TABLE mailbox_seen (
    mailbox      NUMBER(19)          NOT NULL,
    account      NUMBER(19)          NOT NULL,
    piece        NUMBER(10)          NOT NULL,
    bits         BLOB                NOT NULL,
    CONSTRAINT pk_mailbox_seen PRIMARY KEY (mailbox, account, piece),
    CONSTRAINT fk_mailbox_seen_user FOREIGN KEY (mailbox, account) REFERENCES mailbox_user (mailbox, account)
);

-- The log: one MODSEQ per change, in one or more pieces, each a set of messages that the same thing
-- happened to. CONDSTORE, QRESYNC, NOTIFY, audit and news between front-ends all read it.
-- Kinds: 1 arrived, 2 system flags, 3 keyword set, 4 keyword cleared, 5 gone, 6 seen by one user.
CREATE TABLE change_log (
    mailbox      NUMBER(19)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,
    piece        NUMBER(10)          NOT NULL,       -- 0, 1, ... of this MODSEQ
    kind         NUMBER(10)          NOT NULL,
    low_uid      NUMBER(19)          NOT NULL,
    high_uid     NUMBER(19)          NOT NULL,
    uid_set      RAW(1900),                          -- packed UIDs between the two; NULL: every one of them
    flags_on     NUMBER(10)          NOT NULL,       -- bits that all these messages got (arrived: all that they have)
    flags_off    NUMBER(10)          NOT NULL,       -- and lost; so nobody has to read their rows to know
    kw_number    NUMBER(10),                         -- the keyword, for kinds 3 and 4 (and 1: one piece per keyword)
    audience     NUMBER(19)          NOT NULL,       -- 0: everybody, else the account that this is told to
    change_id    NUMBER(19)          NOT NULL,       -- made by the program: was my commit done?
    done_by      NUMBER(19)          NOT NULL,       -- account that did it, 0: the system
    done_at      NUMBER(19)          NOT NULL,
    CONSTRAINT pk_change_log PRIMARY KEY (mailbox, modseq, piece),
    CONSTRAINT fk_change_log_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id)
) INITRANS 8;

-- ---------------------------------------------------------------------------------------------------
-- Content: what a message is, whoever has it
-- ---------------------------------------------------------------------------------------------------

-- The octets after the trace fields, shared by all recipients. Everything in it follows from them.
-- The small columns come first and the header last, so that a long row's beginning answers ENVELOPE and
-- BODYSTRUCTURE without following overflow pages. A tree that would be longer than its column is NULL,
-- and is made again from the octets when asked for.
CREATE TABLE content (
    id           NUMBER(19)          NOT NULL,
    content_size NUMBER(19)          NOT NULL,
    header_size  NUMBER(19)          NOT NULL,       -- the whole top-level header with its empty line
    content_hash RAW(32)             NOT NULL,       -- BLAKE3-256 of the octets: what is read must be what was stored
    sent_at      NUMBER(19),                         -- the Date field; NULL: none, or not to be read
    sent_zone    NUMBER(10),                         -- its zone in minutes (SENTBEFORE and others disregard it)
    envelope     BLOB,                               -- compact tree, version octet first
    structure    BLOB,                               -- compact tree of the MIME parts with spans, version octet first
    sort_keys    BLOB,                               -- base subject, addresses, Message-ID, references; version octet
    header       BLOB,                               -- the first 65536 octets at most; segments hold what follows
    CONSTRAINT pk_content PRIMARY KEY (id)
);

-- A stored leaf body. `part_hash` is NULL until the last chunk is in; its uniqueness is what makes two
-- copies one, and a writer who meets an unfinished twin cannot see it and stores his own. Inserted in
-- order of hash. A delivery writes nothing here, save `last_seen` when that is over a day old. The
-- collector takes parts with no segment that were last seen over two days ago.
CREATE TABLE part (
    id           NUMBER(19)          NOT NULL,
    part_hash    RAW(32),                            -- BLAKE3-256 of the part's octets as stored (decoded, unpacked)
    part_size    NUMBER(19)          NOT NULL,       -- octets as stored, before packing; grows while staged
    packed_size  NUMBER(19)          NOT NULL,       -- octets in the chunks
    state        NUMBER(10)          NOT NULL,       -- 0 being staged, 1 finished
    upload       NUMBER(19),                         -- who stages or staged it. No foreign key: linking removes
                                                     -- the upload and must not write here
    last_seen    NUMBER(19)          NOT NULL,
    CONSTRAINT pk_part PRIMARY KEY (id),
    CONSTRAINT uq_part_hash UNIQUE (part_hash),
    CONSTRAINT ck_part_state CHECK ((state = 0 AND part_hash IS NULL) OR (state = 1 AND part_hash IS NOT NULL))
);
CREATE INDEX ix_part_last_seen ON part (last_seen);

-- The octets of a part: 524288 in each chunk before packing, less in the last, so that a partial read
-- knows its chunks. Each is packed by itself, or not when that does not pay.
CREATE TABLE part_chunk (
    part         NUMBER(19)          NOT NULL,
    ordinal      NUMBER(10)          NOT NULL,       -- 0, 1, ...
    packing      NUMBER(10)          NOT NULL,       -- 0 as it is, 1 zstd, 2 DEFLATE, 3 base64, 4 both
    octets       BLOB                NOT NULL,
    CONSTRAINT pk_part_chunk PRIMARY KEY (part, ordinal),
    CONSTRAINT fk_part_chunk_part FOREIGN KEY (part) REFERENCES part (id)
);

-- What follows the stored header, in order and without a gap: octets of its own, or a part. The foreign
-- key to the part is what keeps a part alive.
CREATE TABLE segment (
    content      NUMBER(19)          NOT NULL,
    ordinal      NUMBER(10)          NOT NULL,       -- 0, 1, ...
    seg_start    NUMBER(19)          NOT NULL,       -- offset in the content
    seg_size     NUMBER(19)          NOT NULL,       -- octets in the content, as they arrived
    part         NUMBER(19),                         -- NULL: `octets` holds them
    coding       NUMBER(10)          NOT NULL,       -- how the part becomes these octets: 0 as it is, 1 base64
    coding_line  NUMBER(10),                         -- base64: characters a line, CRLF between lines
    octets       BLOB,                               -- at most 262144
    CONSTRAINT pk_segment PRIMARY KEY (content, ordinal),
    CONSTRAINT fk_segment_content FOREIGN KEY (content) REFERENCES content (id),
    CONSTRAINT fk_segment_part FOREIGN KEY (part) REFERENCES part (id)
);
CREATE INDEX ix_segment_part ON segment (part);

-- An upload being staged. Linking deletes this row where its lease has not run out, and only then may
-- make anything visible; the collector deletes it where the lease has run out, and then the parts.
CREATE TABLE upload (
    id           NUMBER(19)          NOT NULL,
    front_end    NUMBER(19)          NOT NULL,
    lease_end    NUMBER(19)          NOT NULL,
    started_at   NUMBER(19)          NOT NULL,
    CONSTRAINT pk_upload PRIMARY KEY (id),
    CONSTRAINT fk_upload_front_end FOREIGN KEY (front_end) REFERENCES front_end (id)
);
CREATE INDEX ix_upload_front_end ON upload (front_end);
CREATE INDEX ix_upload_lease_end ON upload (lease_end);

-- One recipient's message: his trace fields before the shared content. EMAILID (RFC 8474) names it, COPY
-- and MOVE keep it. A table of its own and not columns of the message, because a few hundred octets of
-- trace fields in every message row made STORE five times and COPY and EXPUNGE three times as dear.
CREATE TABLE email (
    id           NUMBER(19)          NOT NULL,
    content      NUMBER(19)          NOT NULL,
    prefix       RAW(2000),                          -- at most 2000 octets (Oracle's RAW); NULL: none (APPEND)
    CONSTRAINT pk_email PRIMARY KEY (id),
    CONSTRAINT fk_email_content FOREIGN KEY (content) REFERENCES content (id)
);
CREATE INDEX ix_email_content ON email (content);

-- ---------------------------------------------------------------------------------------------------
-- Messages
-- ---------------------------------------------------------------------------------------------------

-- A message in a mailbox. Dense: what is expunged moves to message_gone. Neither MODSEQ nor flags are in
-- an index: a STORE of ten thousand rows would pay for it, and the log answers what an index would.
-- Flag bits: 1 \Seen (the owner's), 2 \Answered, 4 \Flagged, 8 \Deleted, 16 \Draft.
CREATE TABLE message (
    mailbox      NUMBER(19)          NOT NULL,
    msg_uid      NUMBER(19)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,
    flags        NUMBER(10)          NOT NULL,
    email        NUMBER(19)          NOT NULL,
    msg_size     NUMBER(19)          NOT NULL,       -- RFC822.SIZE: prefix and content
    internal_at  NUMBER(19)          NOT NULL,       -- INTERNALDATE
    zone         NUMBER(10)          NOT NULL,       -- and its zone, minutes east of UTC
    saved_at     NUMBER(19)          NOT NULL,       -- SAVEDATE (RFC 8514)
    CONSTRAINT pk_message PRIMARY KEY (mailbox, msg_uid),
    CONSTRAINT fk_message_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_message_email FOREIGN KEY (email) REFERENCES email (id)
) PCTFREE 20 INITRANS 8;
CREATE INDEX ix_message_email ON message (email);

-- A message that left its mailbox. Serves FETCH by sessions that were not told yet (rows younger than an
-- hour are never purged), undelete and audit. Never read for VANISHED: that is the log's.
-- Why: 1 expunged, 2 moved, 3 replaced, 4 expired, 5 mailbox deleted. Of 2 and 3 none is brought back.
CREATE TABLE message_gone (
    mailbox      NUMBER(19)          NOT NULL,
    msg_uid      NUMBER(19)          NOT NULL,
    modseq       NUMBER(19)          NOT NULL,       -- as it was while the message was there
    flags        NUMBER(10)          NOT NULL,
    email        NUMBER(19)          NOT NULL,
    msg_size     NUMBER(19)          NOT NULL,
    internal_at  NUMBER(19)          NOT NULL,
    zone         NUMBER(10)          NOT NULL,
    saved_at     NUMBER(19)          NOT NULL,
    gone_modseq  NUMBER(19)          NOT NULL,       -- of the change that ended it
    gone_at      NUMBER(19)          NOT NULL,
    gone_by      NUMBER(19)          NOT NULL,       -- account, 0: the system
    gone_why     NUMBER(10)          NOT NULL,
    CONSTRAINT pk_message_gone PRIMARY KEY (mailbox, msg_uid),
    CONSTRAINT fk_message_gone_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_message_gone_email FOREIGN KEY (email) REFERENCES email (id)
);
CREATE INDEX ix_message_gone_email ON message_gone (email);
CREATE INDEX ix_message_gone_at ON message_gone (gone_at);

-- The keywords of a mailbox: at most 1,000, never renumbered.
CREATE TABLE keyword (
    mailbox      NUMBER(19)          NOT NULL,
    kw_number    NUMBER(10)          NOT NULL,       -- 1, 2, ...
    name_key     RAW(255)            NOT NULL,       -- the name in lower case: keywords are compared so
    name         VARCHAR2(255 CHAR)  NOT NULL,       -- as first written
    CONSTRAINT pk_keyword PRIMARY KEY (mailbox, kw_number),
    CONSTRAINT uq_keyword_name UNIQUE (mailbox, name_key),
    CONSTRAINT fk_keyword_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id)
);

-- Which messages have a keyword, keyed so that one keyword's messages lie together. No foreign key to the
-- message: it would need a second index, and a message that is gone keeps its keywords until it is purged.
CREATE TABLE message_keyword (
    mailbox      NUMBER(19)          NOT NULL,
    kw_number    NUMBER(10)          NOT NULL,
    msg_uid      NUMBER(19)          NOT NULL,
    CONSTRAINT pk_message_keyword PRIMARY KEY (mailbox, kw_number, msg_uid),
    CONSTRAINT fk_message_keyword_keyword FOREIGN KEY (mailbox, kw_number) REFERENCES keyword (mailbox, kw_number)
);

-- ---------------------------------------------------------------------------------------------------
-- Delivery
-- ---------------------------------------------------------------------------------------------------

-- Deliveries that were done, so that a repeat after a lost reply is answered and not stored again. The
-- first thing a linking transaction inserts: a concurrent repeat waits here for the first one's outcome.
CREATE TABLE delivery (
    identity     RAW(32)             NOT NULL,       -- 32-octet digest of recipient, reverse-path and octets received
    recipient    VARCHAR2(1000 CHAR) NOT NULL,       -- as given, for people
    reply_code   NUMBER(10)          NOT NULL,       -- what was answered: 250, 552, ...
    reply_text   VARCHAR2(1000 CHAR),
    reply_seen   NUMBER(10)          NOT NULL,       -- 1: the reply is known to have arrived
    mailbox      NUMBER(19),                         -- where it went; no foreign key: it may be gone before this
    msg_uid      NUMBER(19),
    delivered_at NUMBER(19)          NOT NULL,
    CONSTRAINT pk_delivery PRIMARY KEY (identity),
    CONSTRAINT ck_delivery_reply_seen CHECK (reply_seen IN (0, 1))
) INITRANS 8;
CREATE INDEX ix_delivery_at ON delivery (delivered_at);

-- What a delivery causes besides mail in a mailbox, written in its transaction and sent afterwards.
-- Kinds: 1 redirect (its octets: the email), 2 vacation, 3 notify, 4 reject (their octets: `octets`).
CREATE TABLE outbox (
    id           NUMBER(19)          NOT NULL,
    kind         NUMBER(10)          NOT NULL,
    account      NUMBER(19)          NOT NULL,       -- on whose behalf
    email        NUMBER(19),                         -- keeps the content while it is still to be sent
    sender       VARCHAR2(1000 CHAR),                -- reverse-path; NULL is the null one
    recipient    VARCHAR2(1000 CHAR) NOT NULL,
    octets       BLOB,                               -- at most 524288
    attempts     NUMBER(10)          NOT NULL,
    due_at       NUMBER(19)          NOT NULL,
    front_end    NUMBER(19),                         -- who is sending it, until its lease_end below; no foreign key:
    lease_end    NUMBER(19)          NOT NULL,       -- a front-end that is gone has simply lost it
    created_at   NUMBER(19)          NOT NULL,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT fk_outbox_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT fk_outbox_email FOREIGN KEY (email) REFERENCES email (id)
);
CREATE INDEX ix_outbox_account ON outbox (account);
CREATE INDEX ix_outbox_email ON outbox (email);
CREATE INDEX ix_outbox_due ON outbox (due_at);

-- ---------------------------------------------------------------------------------------------------
-- First rows
-- ---------------------------------------------------------------------------------------------------

INSERT INTO schema_lease (id, holder, lease_end) VALUES (1, NULL, 0);
INSERT INTO id_block (kind, next_id) VALUES (1, 1);
INSERT INTO id_block (kind, next_id) VALUES (2, 1);
INSERT INTO id_block (kind, next_id) VALUES (3, 1);
INSERT INTO id_block (kind, next_id) VALUES (4, 1);
INSERT INTO id_block (kind, next_id) VALUES (5, 1);
INSERT INTO id_block (kind, next_id) VALUES (6, 1);
INSERT INTO id_block (kind, next_id) VALUES (7, 1);
INSERT INTO id_block (kind, next_id) VALUES (8, 1);
INSERT INTO id_block (kind, next_id) VALUES (9, 1);
INSERT INTO id_block (kind, next_id) VALUES (10, 1);
INSERT INTO id_block (kind, next_id) VALUES (11, 1);
