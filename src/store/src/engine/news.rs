//! News rows: what a front-end changed, for the others (STORAGE 11).

use dbmail_core::store::MailboxId;

use super::stage::LEASE_SECONDS;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Value, values};
use crate::sql::{Dialect, Sql};

/// The version of the packing below, and its first octet.
const VERSION: u8 = 1;
/// Mailboxes named in one row: 8 octets each, within the column's 2,000.
const NAMED_MAX: usize = 240;
/// How long a row is kept for those who poll, in µs. Who has not read it by then finds a number missing, and asks about
/// everything it watches.
const KEPT_MICROSECONDS: i64 = 60_000_000;
/// Rows of one poll: what eight busy front-ends tell in three seconds.
const ROWS_MAX: u32 = 1_000;
/// Front-ends whose numbers fit the statement.
const KNOWN_MAX: usize = 8;

/// What a row names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// These mailboxes.
    Mailboxes(Vec<MailboxId>),
    /// More than a row can name.
    Everything,
}

impl Changed {
    fn pack(mailboxes: &[MailboxId]) -> Vec<u8> {
        let mut octets = vec![VERSION];
        if mailboxes.len() <= NAMED_MAX {
            octets.extend(mailboxes.iter().flat_map(|mailbox| mailbox.0.to_be_bytes()));
        }
        octets
    }

    /// A row of a later version, or a broken one, may mean anything.
    fn unpack(octets: &[u8]) -> Self {
        match octets.split_first() {
            Some((&VERSION, named)) if !named.is_empty() && named.len() % 8 == 0 => {
                let ids = named.as_chunks::<8>().0.iter();
                Self::Mailboxes(ids.map(|id| MailboxId(i64::from_be_bytes(*id))).collect())
            }
            _ => Self::Everything,
        }
    }
}

/// Writes a row, under the front-end's own running number.
pub(crate) struct Tell {
    pub(crate) mailboxes: Vec<MailboxId>,
    pub(crate) number: i64,
}

impl Work for Tell {
    /// The front-end that told.
    type Done = i64;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<i64, Error> {
        let now = db.now();
        let id = db.front_end(now).await?.0;
        let old = values![id, now.0.saturating_sub(KEPT_MICROSECONDS)];
        db.execute(Sql::NewsForget, &old).await?;
        let changed = Changed::pack(&self.mailboxes);
        db.execute(Sql::NewsInsert, &values![id, self.number, changed, now.0])
            .await?;
        if db.dialect() == Dialect::Postgres {
            db.query(Sql::NewsRing, &values![id]).await?;
        }
        Ok(id)
    }
}

/// Registers this front-end, or says that it still lives.
pub(crate) struct Register;

impl Work for Register {
    /// Its id.
    type Done = i64;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<i64, Error> {
        let now = db.now();
        Ok(db.front_end(now).await?.0)
    }
}

/// One row of another front-end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) front_end: i64,
    pub(crate) number: i64,
    pub(crate) changed: Changed,
    /// By the clock of who told it, in µs.
    pub(crate) at: i64,
}

impl<C: Connection> Db<C> {
    /// What others told since. One statement.
    pub(crate) async fn news(
        &mut self,
        own: i64,
        known: &[(i64, i64)],
    ) -> Result<Vec<Told>, Failure> {
        let mut given: Vec<Value> = vec![own.into()];
        for n in 0..KNOWN_MAX {
            let (front_end, number) = known.get(n).copied().unwrap_or((0, 0));
            given.extend([Value::Int(front_end), Value::Int(number)]);
        }
        given.push(ROWS_MAX.into());
        let mut rows = self.query(Sql::NewsSince, &given).await?;
        let told = |mut row: crate::driver::Row<'_>| {
            Ok(Told {
                front_end: row.int(0)?,
                number: row.int(1)?,
                changed: Changed::unpack(&row.bytes(2)?),
                at: row.int(3)?,
            })
        };
        rows.each().map(told).collect()
    }

    /// Whether any other front-end may be alive.
    pub(crate) async fn others(&mut self, own: i64) -> Result<bool, Failure> {
        let now = self.now().0;
        let mut rows = self.query(Sql::FrontEndsAlive, &values![own, now]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.int(0))? > 0)
    }
}

/// The lease is renewed well before it ends.
pub(crate) const REGISTER_SECONDS: u64 = LEASE_SECONDS / 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_too_much_is_everything() {
        let some = vec![MailboxId(1), MailboxId(i64::MAX)];
        let packed = Changed::pack(&some);
        assert_eq!(Changed::unpack(&packed), Changed::Mailboxes(some));
        let many: Vec<_> = (0..1_000).map(MailboxId).collect();
        assert_eq!(Changed::unpack(&Changed::pack(&many)), Changed::Everything);
        let full: Vec<_> = (0..NAMED_MAX as i64).map(MailboxId).collect();
        assert!(Changed::pack(&full).len() <= 2_000);
        assert_eq!(Changed::unpack(b"\x02abcdefgh"), Changed::Everything);
        assert_eq!(Changed::unpack(b"\x01abc"), Changed::Everything);
        assert_eq!(Changed::unpack(b""), Changed::Everything);
    }
}
