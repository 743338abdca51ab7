-- The mail store, MySQL and MariaDB.
--
-- The same tables, columns and names stand in ../sqlite, ../postgres and ../oracle; ../schema.toml says
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
--  * InnoDB clusters a table by its primary key: that of message, change_log, segment and others is chosen
--    so that what is read together lies together. Binary order everywhere, though nothing relies on it.
--  * Octets over 2048 are mediumblob, which knows no smaller limit: a CHECK does.
--  * Every foreign key has an index that begins with its columns, and none cascades: what is deleted is
--    deleted by name, in the lock order of docs/design/schema.md.

-- ---------------------------------------------------------------------------------------------------
-- Housekeeping of the schema itself
-- ---------------------------------------------------------------------------------------------------

-- One row per migration. On databases where DDL commits by itself (MySQL, MariaDB, Oracle) `steps_done`
-- counts the statements applied, so that a broken migration goes on where it stopped; `finished_at` is
-- NULL until then. A server refuses a version that it does not know or that is not finished.
CREATE TABLE schema_version (
    version      bigint          NOT NULL,
    name         varchar(255)    NOT NULL,     -- file name without folder, to say in messages
    digest       varbinary(32)   NOT NULL,     -- BLAKE3-256 of the file as applied
    steps_done   integer         NOT NULL,
    finished_at  bigint,
    CONSTRAINT pk_schema_version PRIMARY KEY (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row, id 1: who is migrating, until when. A lease and not a row lock, because DDL would commit the
-- lock away on two of the databases. First in the lock order.
CREATE TABLE schema_lease (
    id           bigint          NOT NULL,
    holder       varchar(255),                 -- NULL: nobody
    lease_end    bigint          NOT NULL,
    CONSTRAINT pk_schema_lease PRIMARY KEY (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Where the program takes ids: one row per kind, advanced by a block (say 1,000) in a transaction of its
-- own, so no change ever waits here. What is left of a block at exit is lost: ids have gaps.
-- Kinds: 1 account, 2 address, 3 quota root, 4 mailbox, 5 content, 6 email, 7 part, 8 upload,
-- 9 front-end, 10 change, 11 outbox.
CREATE TABLE id_block (
    kind         integer         NOT NULL,
    next_id      bigint          NOT NULL,
    CONSTRAINT pk_id_block PRIMARY KEY (kind)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- ---------------------------------------------------------------------------------------------------
-- Front-ends
-- ---------------------------------------------------------------------------------------------------

-- A running server process. Others believe that it is gone when `lease_end` has passed; its uploads are
-- then collected and its outbox claims free. It may not link an upload after its lease has run out.
CREATE TABLE front_end (
    id           bigint          NOT NULL,
    name         varchar(255),                 -- host and process, for people
    started_at   bigint          NOT NULL,
    lease_end    bigint          NOT NULL,
    CONSTRAINT pk_front_end PRIMARY KEY (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a front-end changed lately, for the others: written at most every 20 ms after its commits, in a
-- transaction of its own. Others read above the number that they know of each front-end. A cache of the
-- logs: losing a row costs time (the sweep), never a change.
CREATE TABLE news (
    front_end    bigint          NOT NULL,
    news_number  bigint          NOT NULL,     -- the front-end's own running number
    changed      varbinary(2000) NOT NULL,     -- ids of mailboxes and accounts, packed, version octet first
    told_at      bigint          NOT NULL,
    CONSTRAINT pk_news PRIMARY KEY (front_end, news_number),
    CONSTRAINT fk_news_front_end FOREIGN KEY (front_end) REFERENCES front_end (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_news_told ON news (told_at);

-- ---------------------------------------------------------------------------------------------------
-- Accounts
-- ---------------------------------------------------------------------------------------------------

-- Who pays. The one row of a root is its lock: `used = used + n WHERE used + n <= most`, no row = over.
-- No limit is the largest integer, so that the statement needs no case for it. Narrow, because it is
-- written at every delivery. Locked after the delivery's identity and before the counter rows, by id.
CREATE TABLE quota_root (
    id            bigint          NOT NULL,
    used_size     bigint          NOT NULL,
    most_size     bigint          NOT NULL,
    used_messages bigint          NOT NULL,
    most_messages bigint          NOT NULL,
    name          varchar(1000),               -- QUOTAROOT's name (RFC 9208); NULL is the empty name
    CONSTRAINT pk_quota_root PRIMARY KEY (id),
    CONSTRAINT ck_quota_root_used CHECK (used_size >= 0 AND used_messages >= 0)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A user. Rarely written; what every change of its folders writes is in `account_state`.
CREATE TABLE account (
    id            bigint          NOT NULL,
    name_key      varbinary(1000) NOT NULL,    -- the login name as compared: NFC, folded
    name          varchar(1000)   NOT NULL,    -- the login name as shown
    password_hash varchar(500),                -- PHC string (argon2id); NULL: cannot log in by password here
    enabled       integer         NOT NULL,    -- 0: no login, and RCPT is answered 550 5.2.1
    quota_root    bigint          NOT NULL,    -- pays for mailboxes made from now on
    created_at    bigint          NOT NULL,
    CONSTRAINT pk_account PRIMARY KEY (id),
    CONSTRAINT uq_account_name UNIQUE (name_key),
    CONSTRAINT fk_account_quota_root FOREIGN KEY (quota_root) REFERENCES quota_root (id),
    CONSTRAINT ck_account_enabled CHECK (enabled IN (0, 1))
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_account_quota_root ON account (quota_root);

-- The counter row of an account, and its lock: CREATE, DELETE, RENAME, SUBSCRIBE, rights, metadata,
-- disabling. UIDVALIDITY comes from here, so two mailboxes of an account never have had the same one.
CREATE TABLE account_state (
    account          bigint          NOT NULL,
    modseq           bigint          NOT NULL,  -- of the last row of account_log
    log_from         bigint          NOT NULL,  -- horizon: changes up to this MODSEQ may be missing there
    next_uidvalidity bigint          NOT NULL,  -- 32 bits: 1 to 4294967295
    CONSTRAINT pk_account_state PRIMARY KEY (account),
    CONSTRAINT fk_account_state_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT ck_account_state_uidv CHECK (next_uidvalidity BETWEEN 1 AND 4294967296)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One MODSEQ per change of an account, in one or more pieces. Kinds: 1 mailbox created, 2 deleted,
-- 3 renamed, 4 subscribed, 5 unsubscribed, 6 rights, 7 metadata, 8 quota, 9 account (name, password,
-- enabled), 10 special use.
CREATE TABLE account_log (
    account      bigint          NOT NULL,
    modseq       bigint          NOT NULL,
    piece        integer         NOT NULL,     -- 0, 1, ... of this MODSEQ
    kind         integer         NOT NULL,
    mailbox      bigint,                       -- no foreign key: the log outlives what it names
    detail       varbinary(1900),              -- by kind (old name, new name, ...), version octet first
    change_id    bigint          NOT NULL,     -- made by the program: was my commit done?
    done_by      bigint          NOT NULL,     -- account that did it, 0: the system
    done_at      bigint          NOT NULL,
    CONSTRAINT pk_account_log PRIMARY KEY (account, modseq, piece),
    CONSTRAINT fk_account_log_account FOREIGN KEY (account) REFERENCES account (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Where mail to an address goes. One row per target: an account, or another address to forward to.
-- RCPT asks for all keys of its address at once (whole, without subaddress, `@domain` for a catch-all).
CREATE TABLE address (
    id           bigint          NOT NULL,
    address_key  varbinary(1000) NOT NULL,     -- local part and domain as compared
    ordinal      integer         NOT NULL,     -- 0, 1, ... where an address has several targets
    address      varchar(1000)   NOT NULL,     -- as shown
    account      bigint,                       -- deliver here, or
    forward_to   varchar(1000),                -- send on to this address
    enabled      integer         NOT NULL,
    CONSTRAINT pk_address PRIMARY KEY (id),
    CONSTRAINT uq_address_key UNIQUE (address_key, ordinal),
    CONSTRAINT fk_address_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT ck_address_enabled CHECK (enabled IN (0, 1)),
    CONSTRAINT ck_address_target CHECK (account IS NOT NULL OR forward_to IS NOT NULL)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_address_account ON address (account);

-- SUBSCRIBE is by name: the mailbox may not exist, no longer exist, or be another's.
CREATE TABLE subscription (
    account      bigint          NOT NULL,
    name_key     varbinary(32)   NOT NULL,     -- 32-octet hash of the name, as in mailbox
    name         varchar(4000)   NOT NULL,
    created_at   bigint          NOT NULL,
    CONSTRAINT pk_subscription PRIMARY KEY (account, name_key),
    CONSTRAINT fk_subscription_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT ck_subscription_name_key CHECK (octet_length(name_key) = 32)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- ---------------------------------------------------------------------------------------------------
-- Mailboxes
-- ---------------------------------------------------------------------------------------------------

-- A mailbox: its name, and what changes rarely. A change of mail never writes this row (its foreign keys
-- lock it for sharing on MySQL and MariaDB); that is what `mailbox_state` is for.
-- A deleted mailbox stays while its messages may be brought back: `deleted_at` is set, and `name_key`
-- becomes the hash of its id instead of its name (not NULL: with a NULL in it the unique key would hold
-- on Oracle and not elsewhere).
CREATE TABLE mailbox (
    id           bigint          NOT NULL,     -- also MAILBOXID (RFC 8474)
    account      bigint          NOT NULL,     -- the owner
    name_key     varbinary(32)   NOT NULL,     -- 32-octet hash of the full name (NFC, INBOX folded)
    name         varchar(4000)   NOT NULL,     -- full name, `/` between levels, at most 4000 octets
    uidvalidity  bigint          NOT NULL,     -- a new one when renamed onto, recreated or undeleted
    special_use  integer         NOT NULL,     -- bits (RFC 6154): 1 Archive, 2 Drafts, 4 Flagged, 8 Junk,
                                               -- 16 Sent, 32 Trash, 64 All, 128 Important (RFC 8457)
    quota_root   bigint          NOT NULL,     -- who pays for what is in it
    created_at   bigint          NOT NULL,
    deleted_at   bigint,
    CONSTRAINT pk_mailbox PRIMARY KEY (id),
    CONSTRAINT uq_mailbox_name UNIQUE (account, name_key),
    CONSTRAINT fk_mailbox_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT fk_mailbox_quota_root FOREIGN KEY (quota_root) REFERENCES quota_root (id),
    CONSTRAINT ck_mailbox_name_key CHECK (octet_length(name_key) = 32)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_mailbox_quota_root ON mailbox (quota_root);

-- The counter row of a mailbox, and its lock. A change locks it first and takes UIDs and its MODSEQ from
-- it. Narrow and apart from names and rights; no counter is in an index. STATUS is this row.
CREATE TABLE mailbox_state (
    mailbox       bigint          NOT NULL,
    next_uid      bigint          NOT NULL,
    modseq        bigint          NOT NULL,    -- HIGHESTMODSEQ: of the last change
    log_from      bigint          NOT NULL,    -- horizon: changes up to this MODSEQ may be missing in the log
    messages      bigint          NOT NULL,
    unseen        bigint          NOT NULL,    -- for the owner
    deleted       bigint          NOT NULL,    -- messages with \Deleted: none, and EXPUNGE is one statement
    total_size    bigint          NOT NULL,
    recent_from   bigint          NOT NULL,    -- UIDs from here on are \Recent for the session that claims them
    CONSTRAINT pk_mailbox_state PRIMARY KEY (mailbox),
    CONSTRAINT fk_mailbox_state_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT ck_mailbox_state_counts CHECK (messages >= 0 AND unseen >= 0 AND deleted >= 0 AND total_size >= 0)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A cache for a first SELECT: UIDs and system flags as bitmaps, in pieces of 64 Ki UIDs (piece n holds
-- UIDs n * 65536 to n * 65536 + 65535), each with the MODSEQ that it is true for. Wrong or missing pieces
-- are made again from the rows.
CREATE TABLE mailbox_map (
    mailbox      bigint          NOT NULL,
    piece        integer         NOT NULL,
    modseq       bigint          NOT NULL,
    bits         mediumblob      NOT NULL,     -- version octet, then one bitmap for UIDs and one per flag
    CONSTRAINT pk_mailbox_map PRIMARY KEY (mailbox, piece),
    CONSTRAINT fk_mailbox_map_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT ck_mailbox_map_bits CHECK (octet_length(bits) <= 262144)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What another user than the owner has of his own in a shared mailbox: his counters here, his \Seen set
-- in mailbox_seen. The owner's \Seen is a bit of the message.
CREATE TABLE mailbox_user (
    mailbox      bigint          NOT NULL,
    account      bigint          NOT NULL,
    modseq       bigint          NOT NULL,     -- of the last change that only he was told
    unseen       bigint          NOT NULL,
    CONSTRAINT pk_mailbox_user PRIMARY KEY (mailbox, account),
    CONSTRAINT fk_mailbox_user_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_mailbox_user_account FOREIGN KEY (account) REFERENCES account (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_mailbox_user_account ON mailbox_user (account);

-- The UIDs that this user has seen, in pieces of 64 Ki UIDs, as bitmaps.
CREATE TABLE mailbox_seen (
    mailbox      bigint          NOT NULL,
    account      bigint          NOT NULL,
    piece        integer         NOT NULL,
    bits         mediumblob      NOT NULL,
    CONSTRAINT pk_mailbox_seen PRIMARY KEY (mailbox, account, piece),
    CONSTRAINT fk_mailbox_seen_user FOREIGN KEY (mailbox, account) REFERENCES mailbox_user (mailbox, account),
    CONSTRAINT ck_mailbox_seen_bits CHECK (octet_length(bits) <= 262144)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The log: one MODSEQ per change, in one or more pieces, each a set of messages that the same thing
-- happened to. CONDSTORE, QRESYNC, NOTIFY, audit and news between front-ends all read it.
-- Kinds: 1 arrived, 2 system flags, 3 keyword set, 4 keyword cleared, 5 gone, 6 seen by one user.
CREATE TABLE change_log (
    mailbox      bigint          NOT NULL,
    modseq       bigint          NOT NULL,
    piece        integer         NOT NULL,     -- 0, 1, ... of this MODSEQ
    kind         integer         NOT NULL,
    low_uid      bigint          NOT NULL,
    high_uid     bigint          NOT NULL,
    uid_set      varbinary(1900),              -- packed UIDs between the two; NULL: every one of them
    flags_on     integer         NOT NULL,     -- bits that all these messages got (arrived: all that they have)
    flags_off    integer         NOT NULL,     -- and lost; so nobody has to read their rows to know
    kw_number    integer,                      -- the keyword, for kinds 3 and 4 (and 1: one piece per keyword)
    audience     bigint          NOT NULL,     -- 0: everybody, else the account that this is told to
    change_id    bigint          NOT NULL,     -- made by the program: was my commit done?
    done_by      bigint          NOT NULL,     -- account that did it, 0: the system
    done_at      bigint          NOT NULL,
    CONSTRAINT pk_change_log PRIMARY KEY (mailbox, modseq, piece),
    CONSTRAINT fk_change_log_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- ---------------------------------------------------------------------------------------------------
-- Content: what a message is, whoever has it
-- ---------------------------------------------------------------------------------------------------

-- The octets after the trace fields, shared by all recipients. Everything in it follows from them.
-- The small columns come first and the header last, so that a long row's beginning answers ENVELOPE and
-- BODYSTRUCTURE without following overflow pages. A tree that would be longer than its column is NULL,
-- and is made again from the octets when asked for.
CREATE TABLE content (
    id           bigint          NOT NULL,
    content_size bigint          NOT NULL,
    header_size  bigint          NOT NULL,     -- the whole top-level header with its empty line
    content_hash varbinary(32)   NOT NULL,     -- BLAKE3-256 of the octets: what is read must be what was stored
    sent_at      bigint,                       -- the Date field; NULL: none, or not to be read
    sent_zone    integer,                      -- its zone in minutes (SENTBEFORE and others disregard it)
    envelope     mediumblob,                   -- compact tree, version octet first
    structure    mediumblob,                   -- compact tree of the MIME parts with spans, version octet first
    sort_keys    mediumblob,                   -- base subject, addresses, Message-ID, references; version octet
    header       mediumblob,                   -- the first 65536 octets at most; segments hold what follows
    CONSTRAINT pk_content PRIMARY KEY (id),
    CONSTRAINT ck_content_hash CHECK (octet_length(content_hash) = 32),
    CONSTRAINT ck_content_envelope CHECK (octet_length(envelope) <= 262144),
    CONSTRAINT ck_content_structure CHECK (octet_length(structure) <= 262144),
    CONSTRAINT ck_content_sort_keys CHECK (octet_length(sort_keys) <= 65536),
    CONSTRAINT ck_content_header CHECK (octet_length(header) <= 65536)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A stored leaf body. `part_hash` is NULL until the last chunk is in; its uniqueness is what makes two
-- copies one, and a writer who meets an unfinished twin cannot see it and stores his own. Inserted in
-- order of hash. A delivery writes nothing here, save `last_seen` when that is over a day old. The
-- collector takes parts with no segment that were last seen over two days ago.
CREATE TABLE part (
    id           bigint          NOT NULL,
    part_hash    varbinary(32),                -- BLAKE3-256 of the part's octets as stored (decoded, unpacked)
    part_size    bigint          NOT NULL,     -- octets as stored, before packing; grows while staged
    packed_size  bigint          NOT NULL,     -- octets in the chunks
    state        integer         NOT NULL,     -- 0 being staged, 1 finished
    upload       bigint,                       -- who stages or staged it. No foreign key: linking removes
                                               -- the upload and must not write here
    last_seen    bigint          NOT NULL,
    CONSTRAINT pk_part PRIMARY KEY (id),
    CONSTRAINT uq_part_hash UNIQUE (part_hash),
    CONSTRAINT ck_part_hash CHECK (part_hash IS NULL OR octet_length(part_hash) = 32),
    CONSTRAINT ck_part_state CHECK ((state = 0 AND part_hash IS NULL) OR (state = 1 AND part_hash IS NOT NULL))
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_part_last_seen ON part (last_seen);

-- The octets of a part: 524288 in each chunk before packing, less in the last, so that a partial read
-- knows its chunks. Each is packed by itself, or not when that does not pay.
CREATE TABLE part_chunk (
    part         bigint          NOT NULL,
    ordinal      integer         NOT NULL,     -- 0, 1, ...
    packing      integer         NOT NULL,     -- 0 as it is, 1 zstd, 2 DEFLATE, 3 base64, 4 both
    octets       mediumblob      NOT NULL,
    CONSTRAINT pk_part_chunk PRIMARY KEY (part, ordinal),
    CONSTRAINT fk_part_chunk_part FOREIGN KEY (part) REFERENCES part (id),
    CONSTRAINT ck_part_chunk_octets CHECK (octet_length(octets) <= 524288)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What follows the stored header, in order and without a gap: octets of its own, or a part. The foreign
-- key to the part is what keeps a part alive.
CREATE TABLE segment (
    content      bigint          NOT NULL,
    ordinal      integer         NOT NULL,     -- 0, 1, ...
    seg_start    bigint          NOT NULL,     -- offset in the content
    seg_size     bigint          NOT NULL,     -- octets in the content, as they arrived
    part         bigint,                       -- NULL: `octets` holds them
    coding       integer         NOT NULL,     -- how the part becomes these octets: 0 as it is, 1 base64
    coding_line  integer,                      -- base64: characters a line, CRLF between lines
    octets       mediumblob,                   -- at most 262144
    CONSTRAINT pk_segment PRIMARY KEY (content, ordinal),
    CONSTRAINT fk_segment_content FOREIGN KEY (content) REFERENCES content (id),
    CONSTRAINT fk_segment_part FOREIGN KEY (part) REFERENCES part (id),
    CONSTRAINT ck_segment_octets CHECK (octet_length(octets) <= 262144)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_segment_part ON segment (part);

-- An upload being staged. Linking deletes this row where its lease has not run out, and only then may
-- make anything visible; the collector deletes it where the lease has run out, and then the parts.
CREATE TABLE upload (
    id           bigint          NOT NULL,
    front_end    bigint          NOT NULL,
    lease_end    bigint          NOT NULL,
    started_at   bigint          NOT NULL,
    CONSTRAINT pk_upload PRIMARY KEY (id),
    CONSTRAINT fk_upload_front_end FOREIGN KEY (front_end) REFERENCES front_end (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_upload_front_end ON upload (front_end);
CREATE INDEX ix_upload_lease_end ON upload (lease_end);

-- One recipient's message: his trace fields before the shared content. EMAILID (RFC 8474) names it, COPY
-- and MOVE keep it. A table of its own and not columns of the message, because a few hundred octets of
-- trace fields in every message row made STORE five times and COPY and EXPUNGE three times as dear.
CREATE TABLE email (
    id           bigint          NOT NULL,
    content      bigint          NOT NULL,
    prefix       varbinary(2000),              -- at most 2000 octets (Oracle's RAW); NULL: none (APPEND)
    CONSTRAINT pk_email PRIMARY KEY (id),
    CONSTRAINT fk_email_content FOREIGN KEY (content) REFERENCES content (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_email_content ON email (content);

-- ---------------------------------------------------------------------------------------------------
-- Messages
-- ---------------------------------------------------------------------------------------------------

-- A message in a mailbox. Dense: what is expunged moves to message_gone. Neither MODSEQ nor flags are in
-- an index: a STORE of ten thousand rows would pay for it, and the log answers what an index would.
-- Flag bits: 1 \Seen (the owner's), 2 \Answered, 4 \Flagged, 8 \Deleted, 16 \Draft.
CREATE TABLE message (
    mailbox      bigint          NOT NULL,
    msg_uid      bigint          NOT NULL,
    modseq       bigint          NOT NULL,
    flags        integer         NOT NULL,
    email        bigint          NOT NULL,
    msg_size     bigint          NOT NULL,     -- RFC822.SIZE: prefix and content
    internal_at  bigint          NOT NULL,     -- INTERNALDATE
    zone         integer         NOT NULL,     -- and its zone, minutes east of UTC
    saved_at     bigint          NOT NULL,     -- SAVEDATE (RFC 8514)
    CONSTRAINT pk_message PRIMARY KEY (mailbox, msg_uid),
    CONSTRAINT fk_message_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_message_email FOREIGN KEY (email) REFERENCES email (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_message_email ON message (email);

-- A message that left its mailbox. Serves FETCH by sessions that were not told yet (rows younger than an
-- hour are never purged), undelete and audit. Never read for VANISHED: that is the log's.
-- Why: 1 expunged, 2 moved, 3 replaced, 4 expired, 5 mailbox deleted. Of 2 and 3 none is brought back.
CREATE TABLE message_gone (
    mailbox      bigint          NOT NULL,
    msg_uid      bigint          NOT NULL,
    modseq       bigint          NOT NULL,     -- as it was while the message was there
    flags        integer         NOT NULL,
    email        bigint          NOT NULL,
    msg_size     bigint          NOT NULL,
    internal_at  bigint          NOT NULL,
    zone         integer         NOT NULL,
    saved_at     bigint          NOT NULL,
    gone_modseq  bigint          NOT NULL,     -- of the change that ended it
    gone_at      bigint          NOT NULL,
    gone_by      bigint          NOT NULL,     -- account, 0: the system
    gone_why     integer         NOT NULL,
    CONSTRAINT pk_message_gone PRIMARY KEY (mailbox, msg_uid),
    CONSTRAINT fk_message_gone_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id),
    CONSTRAINT fk_message_gone_email FOREIGN KEY (email) REFERENCES email (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_message_gone_email ON message_gone (email);
CREATE INDEX ix_message_gone_at ON message_gone (gone_at);

-- The keywords of a mailbox: at most 1,000, never renumbered.
CREATE TABLE keyword (
    mailbox      bigint          NOT NULL,
    kw_number    integer         NOT NULL,     -- 1, 2, ...
    name_key     varbinary(255)  NOT NULL,     -- the name in lower case: keywords are compared so
    name         varchar(255)    NOT NULL,     -- as first written
    CONSTRAINT pk_keyword PRIMARY KEY (mailbox, kw_number),
    CONSTRAINT uq_keyword_name UNIQUE (mailbox, name_key),
    CONSTRAINT fk_keyword_mailbox FOREIGN KEY (mailbox) REFERENCES mailbox (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Which messages have a keyword, keyed so that one keyword's messages lie together. No foreign key to the
-- message: it would need a second index, and a message that is gone keeps its keywords until it is purged.
CREATE TABLE message_keyword (
    mailbox      bigint          NOT NULL,
    kw_number    integer         NOT NULL,
    msg_uid      bigint          NOT NULL,
    CONSTRAINT pk_message_keyword PRIMARY KEY (mailbox, kw_number, msg_uid),
    CONSTRAINT fk_message_keyword_keyword FOREIGN KEY (mailbox, kw_number) REFERENCES keyword (mailbox, kw_number)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- ---------------------------------------------------------------------------------------------------
-- Delivery
-- ---------------------------------------------------------------------------------------------------

-- Deliveries that were done, so that a repeat after a lost reply is answered and not stored again. The
-- first thing a linking transaction inserts: a concurrent repeat waits here for the first one's outcome.
CREATE TABLE delivery (
    identity     varbinary(32)   NOT NULL,     -- 32-octet digest of recipient, reverse-path and octets received
    recipient    varchar(1000)   NOT NULL,     -- as given, for people
    reply_code   integer         NOT NULL,     -- what was answered: 250, 552, ...
    reply_text   varchar(1000),
    reply_seen   integer         NOT NULL,     -- 1: the reply is known to have arrived
    mailbox      bigint,                       -- where it went; no foreign key: it may be gone before this
    msg_uid      bigint,
    delivered_at bigint          NOT NULL,
    CONSTRAINT pk_delivery PRIMARY KEY (identity),
    CONSTRAINT ck_delivery_identity CHECK (octet_length(identity) = 32),
    CONSTRAINT ck_delivery_reply_seen CHECK (reply_seen IN (0, 1))
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX ix_delivery_at ON delivery (delivered_at);

-- What a delivery causes besides mail in a mailbox, written in its transaction and sent afterwards.
-- Kinds: 1 redirect (its octets: the email), 2 vacation, 3 notify, 4 reject (their octets: `octets`).
CREATE TABLE outbox (
    id           bigint          NOT NULL,
    kind         integer         NOT NULL,
    account      bigint          NOT NULL,     -- on whose behalf
    email        bigint,                       -- keeps the content while it is still to be sent
    sender       varchar(1000),                -- reverse-path; NULL is the null one
    recipient    varchar(1000)   NOT NULL,
    octets       mediumblob,                   -- at most 524288
    attempts     integer         NOT NULL,
    due_at       bigint          NOT NULL,
    front_end    bigint,                       -- who is sending it, until its lease_end below; no foreign key:
    lease_end    bigint          NOT NULL,     -- a front-end that is gone has simply lost it
    created_at   bigint          NOT NULL,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT fk_outbox_account FOREIGN KEY (account) REFERENCES account (id),
    CONSTRAINT fk_outbox_email FOREIGN KEY (email) REFERENCES email (id),
    CONSTRAINT ck_outbox_octets CHECK (octet_length(octets) <= 524288)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
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
