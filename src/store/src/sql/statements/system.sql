-- Ids, front-ends, schema.

-- statement: IdTake (kind, id_count)
UPDATE id_block SET next_id = next_id + :id_count WHERE kind = :kind RETURNING next_id

-- statement: FrontEndInsert (id, name, started_at, lease_end)
INSERT INTO front_end (id, name, started_at, lease_end) VALUES (:id, :name, :started_at, :lease_end)

-- statement: SchemaVersions ()
SELECT version, name, digest, finished_at FROM schema_version ORDER BY version

-- statement: SchemaInsert (version, name, digest, steps_done, finished_at)
INSERT INTO schema_version (version, name, digest, steps_done, finished_at)
VALUES (:version, :name, :digest, :steps_done, :finished_at)

-- statement: Alive ()
SELECT id FROM schema_lease WHERE id = 1
