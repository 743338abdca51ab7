//! Work beside the running service, in small transactions: expired uploads, unused parts, old identities, dead
//! front-ends (STORAGE 1, 8, 17).

use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Rows, Value, values};
use crate::sql::Sql;

use super::news::KEPT_MICROSECONDS;
use super::stage::LEASE_SECONDS;

/// Rows taken up in one transaction.
const ROWS: u32 = 100;
/// Transactions of one kind in one run; the rest is the next run's.
const TRANSACTIONS_MAX: u32 = 50;
/// A part is collected when nobody has seen it for so long, in µs: two days.
const UNSEEN_MICROSECONDS: i64 = 2 * 24 * 3_600_000_000;

/// What a transaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) rows: u64,
    /// Of parts: their octets as they were stored.
    pub(crate) bytes: u64,
}

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    Lease,
    Uploads,
    FrontEnds,
    StaleParts,
    UnusedParts,
    Deliveries,
}

/// Runs all there is to do, each piece in a transaction of its own; how many rows went.
pub(crate) async fn sweep<C: Connection>(db: &mut Db<C>) -> Result<u64, Error> {
    let mut gone = 0;
    for kind in [
        Sweep::Lease,
        Sweep::Uploads,
        Sweep::FrontEnds,
        Sweep::StaleParts,
        Sweep::UnusedParts,
        Sweep::Deliveries,
    ] {
        for _ in 0..TRANSACTIONS_MAX {
            // Looked for without the writer's lock; mostly there is nothing.
            if kind != Sweep::Lease && kind.candidates(db).await?.is_empty() {
                break;
            }
            match db.transact(&kind).await {
                Ok(Swept { rows: 0, .. }) => break,
                Ok(swept) => gone += swept.rows,
                // Somebody linked what was to be collected, and was right to.
                Err(Error::Failed(Failure::Foreign(_))) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(gone)
}

impl Sweep {
    pub(crate) async fn candidates<C: Connection>(
        self,
        db: &mut Db<C>,
    ) -> Result<Vec<Value>, Error> {
        let now = db.now().0;
        let unseen = now.saturating_sub(UNSEEN_MICROSECONDS);
        let window = i64::try_from(db.shared.repeat_window_seconds).unwrap_or(i64::MAX);
        let window = window.saturating_mul(1_000_000);
        let (sql, before) = match self {
            Self::Lease => return Ok(Vec::new()),
            Self::Uploads => (Sql::UploadsExpired, now),
            // What it told last is kept for those who poll.
            Self::FrontEnds => (Sql::FrontEndsExpired, now.saturating_sub(KEPT_MICROSECONDS)),
            Self::StaleParts => {
                let lease = i64::try_from(LEASE_SECONDS).unwrap_or(i64::MAX);
                (
                    Sql::PartsStale,
                    now.saturating_sub(lease.saturating_mul(1_000_000)),
                )
            }
            Self::UnusedParts => (Sql::PartsUnused, unseen),
            Self::Deliveries => (Sql::DeliveriesOld, now.saturating_sub(window)),
        };
        let mut rows: Rows = db.query(sql, &values![before, ROWS]).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            keys.push(if self == Self::Deliveries {
                Value::Bytes(row.bytes(0)?)
            } else {
                Value::Int(row.int(0)?)
            });
        }
        Ok(keys)
    }
}

impl Work for Sweep {
    type Done = Swept;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Swept, Error> {
        let now = db.now();
        if *self == Self::Lease {
            let own = db
                .shared
                .front_end
                .load(std::sync::atomic::Ordering::Relaxed);
            if own != 0 {
                let lease = now.plus_seconds(LEASE_SECONDS).0;
                db.execute(Sql::FrontEndExtend, &values![own, lease])
                    .await?;
            }
            return Ok(Swept::default());
        }
        let mut swept = Swept::default();
        for key in self.candidates(db).await? {
            let of = [key.clone()];
            swept.rows += match self {
                Self::Lease => 0,
                Self::Uploads => db.execute(Sql::UploadExpire, &[key, now.0.into()]).await?,
                Self::FrontEnds => {
                    db.execute(Sql::NewsDelete, &of).await?;
                    db.execute(Sql::FrontEndDelete, &of).await?
                }
                Self::StaleParts | Self::UnusedParts => {
                    let unseen = if *self == Self::UnusedParts {
                        now.0.saturating_sub(UNSEEN_MICROSECONDS)
                    } else {
                        now.0
                    };
                    let look = [key, unseen.into()];
                    let mut rows = db.query(Sql::PartCollect, &look).await?;
                    let Some(packed) = rows.first() else { continue };
                    let octets = packed.u64(0)?;
                    // Looked again, now that it is locked: it may have been linked in between.
                    let mut referred = db.query(Sql::PartReferred, &of).await?;
                    if referred.first().map_or(Ok(0), |row| row.int(0))? > 0 {
                        continue;
                    }
                    db.execute(Sql::PartChunksDelete, &of).await?;
                    swept.bytes += octets;
                    db.execute(Sql::PartDelete, &of).await?
                }
                Self::Deliveries => db.execute(Sql::DeliveryForget, &of).await?,
            };
        }
        Ok(swept)
    }
}
