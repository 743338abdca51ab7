-- What `dbmail stats` asks: sums over rows, those of long tables a page at a time, so that no statement takes long and no
-- moment of the database is kept for it.

-- statement: StatsCounts ()
SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM account WHERE enabled = 0),
       (SELECT count(*) FROM address),
       (SELECT count(*) FROM mailbox WHERE deleted_at IS NULL),
       (SELECT count(*) FROM mailbox WHERE deleted_at IS NOT NULL),
       CAST(coalesce(sum(s.messages), 0) AS bigint), CAST(coalesce(sum(s.total_size), 0) AS bigint)
FROM mailbox_state s

-- statement: StatsMailboxEnd (after, row_count)
SELECT max(x.id) FROM (SELECT m.id FROM mailbox m WHERE m.id > :after ORDER BY m.id FETCH FIRST :row_count ROWS ONLY) x

-- statement: StatsGone (after, through)
SELECT count(*), CAST(coalesce(sum(msg_size), 0) AS bigint) FROM message_gone
WHERE mailbox > :after AND mailbox <= :through

-- statement: StatsEmails (after, row_count)
SELECT max(x.id), count(*), CAST(coalesce(sum(x.octets), 0) AS bigint)
FROM (SELECT id, coalesce(length(prefix), 0) AS octets FROM email
      WHERE id > :after ORDER BY id FETCH FIRST :row_count ROWS ONLY) x

-- statement: StatsContents (after, row_count)
SELECT max(x.id), count(*), CAST(coalesce(sum(x.content_size), 0) AS bigint),
       CAST(coalesce(sum(x.header_octets), 0) AS bigint), CAST(coalesce(sum(x.tree_octets), 0) AS bigint)
FROM (SELECT id, content_size, coalesce(length(header), 0) AS header_octets,
             coalesce(length(envelope), 0) + coalesce(length(structure), 0) AS tree_octets
      FROM content WHERE id > :after ORDER BY id FETCH FIRST :row_count ROWS ONLY) x

-- statement: StatsSegments (after, through)
SELECT count(*), CAST(coalesce(sum(length(octets)), 0) AS bigint),
       CAST(coalesce(sum(CASE WHEN part IS NULL THEN seg_size END), 0) AS bigint)
FROM segment
WHERE content > :after AND content <= :through

-- statement: StatsParts (after, row_count)
SELECT max(x.id), count(*), CAST(coalesce(sum(x.part_size), 0) AS bigint),
       CAST(coalesce(sum(x.packed_size), 0) AS bigint)
FROM (SELECT id, part_size, packed_size FROM part WHERE id > :after ORDER BY id FETCH FIRST :row_count ROWS ONLY) x

-- Parts that segments have: how often, which of them more than once, and the octets of those once and beyond once.
-- statement: StatsReferences (after, through)
SELECT CAST(coalesce(sum(r.uses), 0) AS bigint),
       CAST(coalesce(sum(CASE WHEN r.uses > 1 THEN 1 ELSE 0 END), 0) AS bigint),
       CAST(coalesce(sum(p.part_size), 0) AS bigint),
       CAST(coalesce(sum((r.uses - 1) * p.part_size), 0) AS bigint)
FROM (SELECT s.part AS part, count(*) AS uses FROM segment s
      WHERE s.part > :after AND s.part <= :through GROUP BY s.part) r
JOIN part p ON p.id = r.part

-- Octets of tables and of their indexes, as the database counts them. SQLite: of the file, and of it what is free.
-- statement: StatsTables ()
SELECT NULL, c.page_count * s.page_size, f.freelist_count * s.page_size
FROM pragma_page_count c, pragma_page_size s, pragma_freelist_count f
-- dialect: postgres
SELECT CAST(c.relname AS text), pg_table_size(c.oid), pg_indexes_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'
ORDER BY c.relname
-- dialect: mysql
SELECT CAST(table_name AS char(64)), CAST(coalesce(data_length, 0) AS signed), CAST(coalesce(index_length, 0) AS signed)
FROM information_schema.tables
WHERE table_schema = database() AND table_type = 'BASE TABLE'
ORDER BY table_name
