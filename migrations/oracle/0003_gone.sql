-- Rows of message_gone refer to nothing by constraint.
--
-- They are only ever made from rows of message, in the transaction that takes those away and under the mailbox's counter
-- row: what they refer to was there, and one statement that looks at both tables sees one of the two. To check it again,
-- twice for each message, was most of what an EXPUNGE cost (docs/design/schema.md).

ALTER TABLE message_gone DROP CONSTRAINT fk_message_gone_mailbox;

ALTER TABLE message_gone DROP CONSTRAINT fk_message_gone_email;
