-- Contents, segments, parts and uploads.

-- statement: ContentInsert (id, content_size, header_size, content_hash: octets, envelope: octets, structure: octets, header: octets)
INSERT INTO content (id, content_size, header_size, content_hash, sent_at, sent_zone, envelope, structure,
                     sort_keys, header)
VALUES (:id, :content_size, :header_size, :content_hash, NULL, NULL, :envelope, :structure, NULL, :header)

-- statement: SegmentInsert (content, ordinal, seg_start, seg_size, part, coding, octets: octets)
INSERT INTO segment (content, ordinal, seg_start, seg_size, part, coding, coding_line, octets)
VALUES (:content, :ordinal, :seg_start, :seg_size, :part, :coding, NULL, :octets)

-- statement: EmailInsert (id, content, prefix: octets)
INSERT INTO email (id, content, prefix) VALUES (:id, :content, :prefix)

-- statement: ContentHead (content)
SELECT content_size, header FROM content WHERE id = :content

-- statement: SegmentSpan (content, span_start, span_end)
SELECT seg_start, seg_size, part, coding, octets FROM segment
WHERE content = :content AND seg_start < :span_end AND seg_start + seg_size > :span_start
ORDER BY ordinal

-- statement: ChunkSpan (part, first_chunk, last_chunk)
SELECT ordinal, packing, octets FROM part_chunk
WHERE part = :part AND ordinal BETWEEN :first_chunk AND :last_chunk
ORDER BY ordinal
-- dialect: postgres
SELECT k.ordinal, k.packing, k.octets || coalesce((
    SELECT string_agg(t.octets || t.tail, '' ORDER BY t.ordinal) FROM part_chunk t
    WHERE t.part = k.part AND t.ordinal BETWEEN (k.ordinal + 1) * 65536 AND (k.ordinal + 1) * 65536 + 65535), '')
FROM part_chunk k
WHERE k.part = :part AND k.ordinal BETWEEN :first_chunk AND :last_chunk
ORDER BY k.ordinal
-- dialect: mysql
SELECT ordinal, packing, concat(octets, coalesce(tail, '')) FROM part_chunk
WHERE part = :part AND ordinal BETWEEN :first_chunk AND :last_chunk
ORDER BY ordinal

-- statement: PartTwin (part_hash: octets)
SELECT id, part_size, last_seen FROM part WHERE part_hash = :part_hash

-- statement: PartInsert (id, part_hash: octets, part_size, packed_size, state, upload, last_seen)
INSERT INTO part (id, part_hash, part_size, packed_size, state, upload, last_seen)
VALUES (:id, :part_hash, :part_size, :packed_size, :state, :upload, :last_seen)

-- Where there is a tail, and where there are further rows of a chunk: src/store/src/pages.rs.
-- statement: ChunkInsert (part, ordinal, packing, octets: octets, tail: octets)
INSERT INTO part_chunk (part, ordinal, packing, octets, tail) VALUES (:part, :ordinal, :packing, :octets, :tail)

-- statement: PartFinish (id, part_hash: octets, part_size, packed_size, last_seen)
UPDATE part
SET part_hash = :part_hash, part_size = :part_size, packed_size = :packed_size, state = 1, last_seen = :last_seen
WHERE id = :id

-- statement: PartSeen (id, last_seen)
UPDATE part SET last_seen = :last_seen WHERE id = :id

-- statement: PartChunksDelete (part)
DELETE FROM part_chunk WHERE part = :part

-- statement: PartDelete (id)
DELETE FROM part WHERE id = :id

-- statement: UploadInsert (id, front_end, lease_end, started_at)
INSERT INTO upload (id, front_end, lease_end, started_at)
VALUES (:id, :front_end, :lease_end, :started_at)

-- statement: UploadExtend (id, lease_end, now)
UPDATE upload SET lease_end = :lease_end WHERE id = :id AND lease_end > :now

-- Linking takes the upload away, and only while its lease runs.
-- statement: UploadLink (id, now)
DELETE FROM upload WHERE id = :id AND lease_end > :now
