-- Ids, front-ends, schema.

-- statement: IdTake (kind, id_count)
UPDATE id_block SET next_id = next_id + :id_count WHERE kind = :kind RETURNING next_id
-- dialect: mysql
UPDATE id_block SET next_id = next_id + :id_count WHERE kind = :kind
-- then
SELECT next_id FROM id_block WHERE kind = :kind

-- statement: IdsPass (id_count)
UPDATE id_block SET next_id = next_id + :id_count

-- statement: FrontEndInsert (id, name: text, started_at, lease_end)
INSERT INTO front_end (id, name, started_at, lease_end) VALUES (:id, :name, :started_at, :lease_end)

-- statement: SchemaVersions ()
SELECT version, name, digest, finished_at, steps_done FROM schema_version ORDER BY version

-- statement: SchemaInsert (version, name: text, digest: octets, steps_done, finished_at)
INSERT INTO schema_version (version, name, digest, steps_done, finished_at)
VALUES (:version, :name, :digest, :steps_done, :finished_at)

-- statement: SchemaStep (version, steps_done, finished_at)
UPDATE schema_version SET steps_done = :steps_done, finished_at = :finished_at WHERE version = :version

-- statement: Alive ()
SELECT id FROM schema_lease WHERE id = 1

-- statement: Tables ()
SELECT CAST(table_name AS varchar(64)) FROM information_schema.tables WHERE table_schema = current_schema()
-- dialect: sqlite
SELECT name FROM sqlite_master WHERE type = 'table'
-- dialect: mysql
SELECT CAST(table_name AS char(64)) FROM information_schema.tables WHERE table_schema = database()

-- What a server is and how it is set, as far as promises hang on it.
-- statement: ServerSettings ()
SELECT holder, holder FROM schema_lease WHERE id = 0
-- dialect: postgres
SELECT name, setting FROM pg_settings
WHERE name IN ('server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit')
-- dialect: mysql
SHOW GLOBAL VARIABLES WHERE Variable_name IN
    ('version', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog', 'binlog_format')
