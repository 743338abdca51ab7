//! Octets of a content: the stored header, then segments, some of which are parts in chunks.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use dbmail_core::limits::{CHUNK_BYTES, READ_BYTES_MAX};
use dbmail_core::store::{Answer, ContentId, Refusal};

use super::fetch::{Segment, segment};
use crate::db::{Db, Error};
use crate::driver::{Connection, Failure, values};
use crate::pack;
use crate::sql::Sql;

impl<C: Connection> Db<C> {
    /// `Request::Read`.
    pub(crate) async fn read(
        &mut self,
        content: ContentId,
        start: u64,
        end: u64,
    ) -> Result<Answer, Error> {
        let end = end.min(start.saturating_add(READ_BYTES_MAX));
        Ok(Answer::Octets(self.content(content, start, end).await?))
    }

    /// Octets of a content from `start` to `end`, or to its own end.
    pub(super) async fn content(
        &mut self,
        content: ContentId,
        start: u64,
        end: u64,
    ) -> Result<Bytes, Error> {
        let mut rows = self.query(Sql::ContentHead, &values![content.0]).await?;
        let damaged = || Refusal::Damaged("no such content".to_owned());
        let mut row = rows.first().ok_or_else(damaged)?;
        let (size, header) = (row.u64(0)?, row.bytes(1)?);
        let end = end.min(size);
        if start >= end {
            return Ok(Bytes::new());
        }
        if end <= header.len() as u64 {
            return Ok(cut(&header, 0, start, end));
        }
        let values = values![content.0, start, end];
        let mut rows = self.query(Sql::SegmentSpan, &values).await?;
        let mut segments = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            segments.push(segment(&mut row, 0)?);
        }
        self.assemble(&header, &segments, start, end).await
    }

    /// Puts octets from `start` to `end` together. What does not fit together is damage: it is never padded.
    pub(super) async fn assemble(
        &mut self,
        header: &Bytes,
        segments: &[Segment],
        start: u64,
        end: u64,
    ) -> Result<Bytes, Error> {
        let capacity = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        let head = cut(header, 0, start, end);
        if head.len() == capacity {
            return Ok(head);
        }
        let mut out = BytesMut::with_capacity(capacity);
        out.extend_from_slice(&head);
        for segment in segments {
            let from = segment.start.max(start);
            let to = end.min(segment.start.saturating_add(segment.size));
            if from >= to {
                continue;
            }
            if from != start + out.len() as u64 {
                return Err(damaged("segments do not follow one another"));
            }
            match segment.part {
                None => {
                    let octets = pack::unpack(segment.coding, segment.octets.clone())
                        .ok_or_else(|| damaged("a segment can't be unpacked"))?;
                    if octets.len() as u64 != segment.size {
                        return Err(damaged("a segment has not its size"));
                    }
                    out.extend_from_slice(&cut(&octets, segment.start, from, to));
                }
                Some(part) => {
                    let span = from - segment.start..to - segment.start;
                    self.part(part, segment.size, span, &mut out).await?;
                }
            }
        }
        if out.len() != capacity {
            return Err(damaged("a content is shorter than its size"));
        }
        Ok(out.freeze())
    }

    /// Appends a span of the octets of a part.
    async fn part(
        &mut self,
        part: i64,
        size: u64,
        Range { start, end }: Range<u64>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        const CHUNK: u64 = CHUNK_BYTES as u64;
        let (first, last) = (start / CHUNK, (end - 1) / CHUNK);
        for number in first..=last {
            let at = number * CHUNK;
            let octets = self.chunk(part, number).await?;
            // One of its rows may be missing, and the others would be taken for it.
            if octets.len() as u64 != size.saturating_sub(at).min(CHUNK) {
                return Err(damaged("a chunk has not its size"));
            }
            out.extend_from_slice(&cut(&octets, at, start.max(at), end.min(at + CHUNK)));
        }
        Ok(())
    }

    /// Hashes some chunks of a part from `number` on, as they are stored; false when there was no further one.
    pub(crate) async fn hash_chunks(
        &mut self,
        part: i64,
        number: u64,
        count: u64,
        hasher: &mut blake3::Hasher,
    ) -> Result<bool, Error> {
        for number in number..number + count {
            let mut rows = self
                .query(Sql::ChunkSpan, &values![part, number, number])
                .await?;
            let Some(mut row) = rows.first() else {
                return Ok(false);
            };
            let (packing, stored) = (row.int(1)?, row.bytes(2)?);
            let octets = pack::unpack(packing, stored);
            hasher.update(&octets.ok_or_else(|| damaged("a chunk can't be unpacked"))?);
        }
        Ok(true)
    }

    async fn chunk(&mut self, part: i64, number: u64) -> Result<Bytes, Error> {
        let ordinal = i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(octets) = self.chunks.get(&(part, ordinal)) {
            return Ok(octets.clone());
        }
        if let Some(octets) = self.shared.chunk(part, ordinal) {
            return Ok(octets);
        }
        let mut rows = self
            .query(Sql::ChunkSpan, &values![part, ordinal, ordinal])
            .await?;
        let mut row = rows.first().ok_or_else(|| damaged("a chunk is missing"))?;
        let (packing, stored) = (row.int(1)?, row.bytes(2)?);
        let octets =
            pack::unpack(packing, stored).ok_or_else(|| damaged("a chunk can't be unpacked"))?;
        self.shared.keep_chunk(part, ordinal, octets.clone());
        Ok(octets)
    }
}

/// The octets from `start` to `end` of a stretch that begins at `at`.
fn cut(octets: &Bytes, at: u64, start: u64, end: u64) -> Bytes {
    let place = |n: u64| {
        usize::try_from(n.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(octets.len())
    };
    let (from, to) = (place(start), place(end));
    octets.slice(from..to.max(from))
}

fn damaged(what: &str) -> Error {
    Failure::Damaged(what.to_owned()).into()
}
