//! Parts: their chunks, whether these unpack, and whether what comes out is what was stored.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use dbmail_core::limits::CHUNK_BYTES;

use super::assembly::Wanted;
use super::{BAD_PARTS_MAX, Mend, ROWS, Walk};
use crate::check::{FaultKind, Place};
use crate::db::Error;
use crate::driver::{Connection, Failure, Row, values};
use crate::pack;
use crate::sql::Sql;

/// Octets of a chunk that is not the last.
const CHUNK: i64 = CHUNK_BYTES as i64;

/// A part that is damaged.
pub(super) struct PartWrong {
    part: i64,
    kind: FaultKind,
    what: String,
}

/// A part beside its chunks.
struct Part {
    id: i64,
    hash: Bytes,
    size: i64,
    packed_size: i64,
    finished: bool,
    chunks: i64,
    first: Option<i64>,
    last: Option<i64>,
    octets: i64,
    used: bool,
}

impl Part {
    fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            id: row.int(0)?,
            hash: row.bytes(1)?,
            size: row.int(2)?,
            packed_size: row.int(3)?,
            finished: row.int(4)? == 1,
            chunks: row.int(5)?,
            first: row.int_or_none(6)?,
            last: row.int_or_none(7)?,
            octets: row.int(8)?,
            used: row.int(9)? > 0,
        })
    }

    /// What is missing of a part that is finished.
    fn missing(&self) -> Option<PartWrong> {
        let chunks = chunks(self.size);
        let ends = (self.first, self.last) == (Some(0), Some(chunks - 1));
        let all = self.chunks == chunks && (chunks == 0 || ends);
        (!all).then(|| PartWrong {
            part: self.id,
            kind: FaultKind::PartChunks,
            what: format!(
                "part {} of {} octets has {} chunks instead of {chunks}",
                self.id, self.size, self.chunks
            ),
        })
    }
}

/// How many chunks so many octets have.
fn chunks(size: i64) -> i64 {
    let whole = size.max(0) / CHUNK;
    whole + i64::from(size.max(0) % CHUNK > 0)
}

impl<C: Connection> Walk<'_, C> {
    /// All parts up to an id. The octets of those that a content has are read with it.
    pub(super) async fn parts(&mut self, through: i64) -> Result<(), Error> {
        let mut after = i64::MIN;
        while after < through {
            let look = values![after, through, ROWS];
            let mut rows = self.look(Sql::CheckParts, &look).await?;
            let page: Result<Vec<Part>, Failure> =
                rows.each().map(|mut row| Part::read(&mut row)).collect();
            let page = page?;
            let last = page.last().map_or(i64::MAX, |part| part.id);
            let look = values![after, last];
            self.orphans(Sql::CheckChunkOrphans, &look, "part").await?;
            for part in page {
                self.part(part).await?;
            }
            after = last;
        }
        let look = values![after.min(i64::MAX - 1), i64::MAX];
        self.orphans(Sql::CheckChunkOrphans, &look, "part").await
    }

    async fn part(&mut self, part: Part) -> Result<(), Error> {
        self.gauge.parts.fetch_add(1, Ordering::Relaxed);
        if !part.finished {
            // It grows, or the collector takes it.
            return Ok(());
        }
        if let Some(wrong) = part.missing() {
            return self.part_is_bad(wrong).await;
        }
        if part.packed_size != part.octets {
            let what = format!(
                "part {} is noted with {} packed octets, and has {}",
                part.id, part.packed_size, part.octets
            );
            let mend = Some(Mend::Part(part.id));
            self.fault(FaultKind::PartPacked, Place::default(), what, mend)
                .await?;
        }
        if self.scope.bodies && !part.used {
            let wanted = Wanted {
                part: part.id,
                size: part.size,
                hash: part.hash,
            };
            // The collector may take it meanwhile; then it has no chunks at the second look.
            if self.read_part(&wanted, |_| ()).await?.is_some()
                && self.is_there(part.id).await?
                && let Some(wrong) = self.read_part(&wanted, |_| ()).await?
                && self.is_there(part.id).await?
            {
                self.part_is_bad(wrong).await?;
            }
        }
        Ok(())
    }

    async fn is_there(&mut self, part: i64) -> Result<bool, Error> {
        let look = values![part.saturating_sub(1), part, 1u32];
        Ok(self.look(Sql::CheckParts, &look).await?.len() > 0)
    }

    /// Tells of a damaged part, once.
    pub(super) async fn part_is_bad(&mut self, wrong: PartWrong) -> Result<(), Error> {
        if self.bad_parts.len() < BAD_PARTS_MAX && !self.bad_parts.insert(wrong.part) {
            return Ok(());
        }
        let mut rows = self.look(Sql::PartContent, &values![wrong.part]).await?;
        let (content, contents) = match rows.first() {
            Some(row) => (row.int_or_none(0)?, row.int(1)?),
            None => (None, 0),
        };
        let place = match content {
            Some(content) => self.content_place(content).await?,
            None => Place::default(),
        };
        let what = format!("{}; {contents} contents have it", wrong.what);
        self.fault(wrong.kind, place, what, None).await
    }

    /// Reads a part chunk by chunk, and hands its octets on. What is wrong with it.
    pub(super) async fn read_part(
        &mut self,
        wanted: &Wanted,
        mut feed: impl FnMut(&[u8]) + Send,
    ) -> Result<Option<PartWrong>, Error> {
        let part = wanted.part;
        let wrong = |kind, what| Ok(Some(PartWrong { part, kind, what }));
        let mut hasher = blake3::Hasher::new();
        for number in 0..chunks(wanted.size) {
            let look = values![part, number, number];
            let mut rows = self.look(Sql::ChunkSpan, &look).await?;
            let Some(mut row) = rows.first() else {
                let what = format!("chunk {number} of part {part} is not there");
                return wrong(FaultKind::PartChunks, what);
            };
            let (packing, stored) = (row.int(1)?, row.bytes(2)?);
            let Some(octets) = pack::unpack(packing, stored) else {
                let what = format!("chunk {number} of part {part} can't be unpacked");
                return wrong(FaultKind::PartUnreadable, what);
            };
            let left = wanted.size.saturating_sub(number * CHUNK).min(CHUNK);
            if octets.len() as i64 != left {
                let length = octets.len();
                let what =
                    format!("chunk {number} of part {part} has {length} octets instead of {left}");
                return wrong(FaultKind::PartSize, what);
            }
            hasher.update(&octets);
            feed(&octets);
        }
        if hasher.finalize().as_bytes()[..] != wanted.hash[..] {
            let what = format!("part {part} has another digest");
            return wrong(FaultKind::PartBytes, what);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_to_the_last_octet() {
        let sizes = [0, 1, CHUNK, CHUNK + 1, -5];
        assert_eq!(sizes.map(chunks), [0, 1, 1, 2, 0]);
    }
}
