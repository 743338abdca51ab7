-- Rows of message_gone refer to nothing by constraint.
--
-- They are only ever made from rows of message, in the transaction that takes those away and under the mailbox's counter
-- row: what they refer to was there, and one statement that looks at both tables sees one of the two. To check it again,
-- twice for each message, was most of what an EXPUNGE cost (docs/design/schema.md).
-- SQLite takes no constraint away: the table is made again.

CREATE TABLE message_gone_before AS SELECT * FROM message_gone;

DROP TABLE message_gone;

CREATE TABLE message_gone (
    mailbox      INTEGER NOT NULL,
    msg_uid      INTEGER NOT NULL,
    modseq       INTEGER NOT NULL,           -- as it was while the message was there
    flags        INTEGER NOT NULL,
    email        INTEGER NOT NULL,
    msg_size     INTEGER NOT NULL,
    internal_at  INTEGER NOT NULL,
    zone         INTEGER NOT NULL,
    saved_at     INTEGER NOT NULL,
    gone_modseq  INTEGER NOT NULL,           -- of the change that ended it
    gone_at      INTEGER NOT NULL,
    gone_by      INTEGER NOT NULL,           -- account, 0: the system
    gone_why     INTEGER NOT NULL,
    CONSTRAINT pk_message_gone PRIMARY KEY (mailbox, msg_uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX ix_message_gone_email ON message_gone (email);
CREATE INDEX ix_message_gone_at ON message_gone (gone_at);

INSERT INTO message_gone SELECT * FROM message_gone_before;

DROP TABLE message_gone_before;
