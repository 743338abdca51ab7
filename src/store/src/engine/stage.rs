//! Staging: parts of a long upload are stored while it arrives (STORAGE 1). Nothing of it is visible before it is linked.

use bytes::Bytes;
use dbmail_core::store::{Refusal, Timestamp};

use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Value, values};
use crate::pages::laid_out;
use crate::shared::Kind;
use crate::sql::Sql;

/// Seconds for which an upload, and a front-end, is believed to be alive after its last sign.
pub(super) const LEASE_SECONDS: u64 = 3_600;

/// A chunk to be stored.
pub(crate) struct StagedChunk {
    pub(crate) part: i64,
    pub(crate) ordinal: u32,
    pub(crate) packing: i64,
    pub(crate) octets: Bytes,
}

/// A part that is complete.
pub(crate) struct StagedPart {
    pub(crate) id: i64,
    pub(crate) hash: [u8; 32],
    pub(crate) size: u64,
    pub(crate) packed_size: u64,
}

/// What of an upload is stored in one transaction.
pub(crate) struct Stage {
    pub(crate) upload: i64,
    /// The upload's first.
    pub(crate) begins: bool,
    /// Parts that begin.
    pub(crate) parts: Vec<i64>,
    pub(crate) chunks: Vec<StagedChunk>,
    pub(crate) finished: Vec<StagedPart>,
}

/// What came of it.
pub(crate) struct Staged {
    /// Our row among the front-ends, when it was made or made again.
    pub(crate) front_end: Option<i64>,
    /// Parts that are there already, by the ids that were not needed.
    pub(crate) twins: Vec<(i64, i64)>,
}

impl Work for Stage {
    type Done = Staged;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Staged, Error> {
        let now = db.now();
        let lease = now.plus_seconds(LEASE_SECONDS).0;
        let mut front_end = None;
        if self.begins {
            let (id, made) = db.front_end(now).await?;
            front_end = made.then_some(id);
            db.execute(Sql::UploadInsert, &values![self.upload, id, lease, now.0])
                .await?;
        } else if db
            .execute(Sql::UploadExtend, &values![self.upload, lease, now.0])
            .await?
            == 0
        {
            return Err(Refusal::Upload.into());
        }
        let part =
            |id: &i64| values![*id, Value::Null, 0u32, 0u32, 0u32, self.upload, now.0].into();
        db.many(Sql::PartInsert, self.parts.iter().map(part).collect())
            .await?;
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            for row in laid_out(db.dialect(), chunk.ordinal, chunk.octets.clone()) {
                let values = values![chunk.part, row.ordinal, chunk.packing, row.octets, row.tail];
                chunks.push(values.into());
            }
        }
        db.many(Sql::ChunkInsert, chunks).await?;
        let mut finished: Vec<&StagedPart> = self.finished.iter().collect();
        finished.sort_by_key(|part| part.hash);
        let mut twins = Vec::new();
        for part in finished {
            if let Some(twin) = db.twin(part.hash, part.size).await? {
                db.execute(Sql::PartChunksDelete, &values![part.id]).await?;
                db.execute(Sql::PartDelete, &values![part.id]).await?;
                twins.push((part.id, twin));
            } else {
                let row = values![part.id, part.hash, part.size, part.packed_size, now.0];
                db.execute(Sql::PartFinish, &row).await?;
            }
        }
        Ok(Staged { front_end, twins })
    }
}

/// Forgets an upload whose session gave it up. Its finished parts stay for the collector: another may need them.
pub(crate) struct Unstage {
    pub(crate) upload: i64,
    /// Parts that were not finished.
    pub(crate) unfinished: Option<i64>,
}

impl Work for Unstage {
    type Done = ();

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
        db.execute(Sql::UploadDrop, &values![self.upload]).await?;
        if let Some(part) = self.unfinished {
            db.execute(Sql::PartChunksDelete, &values![part]).await?;
            db.execute(Sql::PartDelete, &values![part]).await?;
        }
        Ok(())
    }
}

impl<C: Connection> Db<C> {
    /// Our row among the front-ends; whether it had to be made.
    pub(super) async fn front_end(&mut self, now: Timestamp) -> Result<(i64, bool), Error> {
        use std::sync::atomic::Ordering::Relaxed;
        let lease = now.plus_seconds(LEASE_SECONDS).0;
        let known = self.shared.front_end.load(Relaxed);
        // Others may have taken it for dead, and been right to.
        if known != 0
            && self
                .execute(Sql::FrontEndExtend, &values![known, lease])
                .await?
                > 0
        {
            return Ok((known, false));
        }
        let id = self.ids(Kind::FrontEnd, 1)?;
        let name = self.shared.front_end_name.clone();
        let row = values![id, name.as_str(), now.0, lease];
        self.execute(Sql::FrontEndInsert, &row).await?;
        Ok((id, true))
    }
}
