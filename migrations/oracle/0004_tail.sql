-- The end of a chunk beside the rest of it.
--
-- How a chunk lies in rows so that the database's pages are full is said in src/store/src/pages.rs and docs/design/schema.md: a
-- chunk's octets are those of its rows in order, in each `octets` and then `tail`. On SQLite and Oracle a chunk is one row
-- without a tail.

ALTER TABLE part_chunk ADD tail BLOB;
