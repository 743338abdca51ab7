//! News rows: what a front-end changed, for the others (STORAGE 11).

use std::collections::BTreeSet;
use std::sync::Arc;

use dbmail_core::store::{AccountId, MailboxId};

use super::stage::LEASE_SECONDS;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Value, values};
use crate::sql::{Dialect, Sql};

/// The version of the packing below, and its first octet.
const VERSION: u8 = 2;
/// Ids in one row: 8 octets each after the two in front, within the column's 2,000.
const NAMED_MAX: usize = 240;
/// Rows written at once; more ids than they name are "everything".
const TOLD_MAX: usize = 8;
/// How long a row is kept for those who poll, in µs. Who has not read it by then finds a number missing, and asks about
/// everything it watches.
pub(super) const KEPT_MICROSECONDS: i64 = 60_000_000;
/// Rows of one poll: what eight busy front-ends tell in three seconds.
const ROWS_MAX: u32 = 1_000;
/// Front-ends whose numbers fit the statement.
pub(crate) const KNOWN_MAX: usize = 8;

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) mailboxes: BTreeSet<MailboxId>,
    pub(crate) accounts: BTreeSet<AccountId>,
}

impl Ids {
    pub(crate) fn extend(&mut self, other: Self) {
        self.mailboxes.extend(other.mailboxes);
        self.accounts.extend(other.accounts);
    }

    fn len(&self) -> usize {
        self.mailboxes.len() + self.accounts.len()
    }
}

/// What rows say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// These changed.
    Ids(Ids),
    /// More than rows can name.
    Everything,
}

impl Default for Changed {
    fn default() -> Self {
        Self::Ids(Ids::default())
    }
}

impl Changed {
    /// Adds to it, until there is more than rows can name.
    pub(crate) fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Ids(ids), Self::Ids(more)) => {
                ids.extend(more);
                if ids.len() > NAMED_MAX * TOLD_MAX {
                    *self = Self::Everything;
                }
            }
            (Self::Everything, _) | (_, Self::Everything) => *self = Self::Everything,
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Ids(ids) if ids.len() == 0)
    }

    /// As rows.
    fn pack(&self) -> Vec<Vec<u8>> {
        let Self::Ids(ids) = self else {
            return vec![vec![VERSION]];
        };
        let mailboxes: Vec<i64> = ids.mailboxes.iter().map(|id| id.0).collect();
        let accounts: Vec<i64> = ids.accounts.iter().map(|id| id.0).collect();
        let row = |of_mailboxes: usize, ids: &[i64]| {
            let mut octets = vec![VERSION, u8::try_from(of_mailboxes).unwrap_or(u8::MAX)];
            octets.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
            octets
        };
        let mailboxes = mailboxes.chunks(NAMED_MAX).map(|ids| row(ids.len(), ids));
        let accounts = accounts.chunks(NAMED_MAX).map(|ids| row(0, ids));
        mailboxes.chain(accounts).collect()
    }

    /// A row of another version, or a broken one, may mean anything.
    fn unpack(octets: &[u8]) -> Self {
        let [VERSION, of_mailboxes, ids @ ..] = octets else {
            return Self::Everything;
        };
        let (ids, rest) = ids.as_chunks::<8>();
        let of_mailboxes = usize::from(*of_mailboxes);
        let (Some((mailboxes, accounts)), []) = (ids.split_at_checked(of_mailboxes), rest) else {
            return Self::Everything;
        };
        let number = |id: &[u8; 8]| i64::from_be_bytes(*id);
        Self::Ids(Ids {
            mailboxes: mailboxes.iter().map(number).map(MailboxId).collect(),
            accounts: accounts.iter().map(number).map(AccountId).collect(),
        })
    }
}

/// Writes rows, under the front-end's own running numbers.
pub(crate) struct Tell {
    changed: Changed,
    rows: Vec<Vec<u8>>,
    /// The number of the first row.
    number: i64,
}

impl Tell {
    /// What changed, in rows that come after a number.
    pub(crate) fn after(number: i64, changed: Changed) -> Self {
        Self {
            rows: changed.pack(),
            changed,
            number: number + 1,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The number of the last row.
    pub(crate) fn last(&self) -> i64 {
        self.number + self.rows.len() as i64 - 1
    }

    /// What was to be told.
    pub(crate) fn changed(&self) -> Changed {
        self.changed.clone()
    }
}

impl Work for Arc<Tell> {
    /// The front-end that told.
    type Done = FrontEnd;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<FrontEnd, Error> {
        let now = db.now();
        let (id, made) = db.front_end(now).await?;
        forget(db, id, self.last()).await?;
        let rows = (self.number..).zip(&self.rows);
        let rows = rows.map(|(number, row)| values![id, number, row.clone(), now.0].into());
        db.many(Sql::NewsInsert, rows.collect()).await?;
        if db.dialect() == Dialect::Postgres {
            db.query(Sql::NewsRing, &values![id]).await?;
        }
        Ok(FrontEnd { id, made })
    }
}

/// Removes a front-end's rows that were kept long enough. Never its newest: who was away for longer than that finds a
/// number there that is not the next one.
async fn forget<C: Connection>(db: &mut Db<C>, id: i64, last: i64) -> Result<(), Error> {
    let kept = db.now().0.saturating_sub(KEPT_MICROSECONDS);
    db.execute(Sql::NewsForget, &values![id, kept, last])
        .await?;
    Ok(())
}

/// Our row among the front-ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrontEnd {
    pub(crate) id: i64,
    /// It is new: the others do not know of it yet.
    pub(crate) made: bool,
}

/// Registers this front-end, or says that it still lives.
pub(crate) struct Register {
    /// The number of its newest row.
    pub(crate) last: i64,
}

impl Work for Register {
    type Done = FrontEnd;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<FrontEnd, Error> {
        let now = db.now();
        let (id, made) = db.front_end(now).await?;
        if !made {
            forget(db, id, self.last).await?;
        }
        Ok(FrontEnd { id, made })
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

/// What one poll read.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Told>,
    /// There may be more.
    pub(crate) full: bool,
}

impl<C: Connection> Db<C> {
    /// What others told since. One statement.
    pub(crate) async fn news(&mut self, own: i64, known: &[(i64, i64)]) -> Result<Page, Failure> {
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
        let full = rows.len() >= ROWS_MAX as usize;
        let rows = rows.each().map(told).collect::<Result<_, _>>()?;
        Ok(Page { rows, full })
    }

    /// Whether any other front-end may be alive.
    pub(crate) async fn others(&mut self, own: i64) -> Result<bool, Failure> {
        let now = self.now().0;
        let mut rows = self.query(Sql::FrontEndsAlive, &values![own, now]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.int(0))? > 0)
    }

    /// The front-end goes. Its news, if it told any, are kept until the others have read them; then the background work
    /// removes both.
    pub(crate) async fn sign_off(&mut self, id: i64, told: bool) -> Result<(), Failure> {
        if told {
            let now = self.now().0;
            self.execute(Sql::FrontEndExtend, &values![id, now]).await?;
        } else {
            self.execute(Sql::FrontEndDelete, &values![id]).await?;
        }
        Ok(())
    }
}

/// The lease is renewed well before it ends.
pub(crate) const REGISTER_SECONDS: u64 = LEASE_SECONDS / 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(mailboxes: std::ops::Range<i64>, accounts: std::ops::Range<i64>) -> Changed {
        Changed::Ids(Ids {
            mailboxes: mailboxes.map(MailboxId).collect(),
            accounts: accounts.map(AccountId).collect(),
        })
    }

    fn unpacked(rows: &[Vec<u8>]) -> Changed {
        let mut all = Changed::default();
        for row in rows {
            assert!(row.len() <= 2_000);
            all.add(Changed::unpack(row));
        }
        all
    }

    #[test]
    fn what_is_packed_is_unpacked_in_as_many_rows_as_it_needs() {
        for (changed, rows) in [
            (ids(1..2, 0..0), 1),
            (ids(0..0, i64::MAX - 1..i64::MAX), 1),
            (ids(0..NAMED_MAX as i64, 0..0), 1),
            (ids(0..500, 0..300), 5),
            (Changed::Everything, 1),
        ] {
            let packed = changed.pack();
            assert_eq!((packed.len(), unpacked(&packed)), (rows, changed));
        }
        assert!(Changed::default().is_nothing() && Changed::default().pack().is_empty());
    }

    #[test]
    fn too_much_is_everything_and_stays_so() {
        let mut waiting = Changed::default();
        for n in 0..(NAMED_MAX * TOLD_MAX) as i64 {
            waiting.add(ids(n..n + 1, 0..0));
        }
        assert_eq!(waiting.pack().len(), TOLD_MAX);
        waiting.add(ids(0..0, 1..2));
        assert_eq!(waiting, Changed::Everything);
        waiting.add(ids(1..2, 0..0));
        assert_eq!(waiting, Changed::Everything);
    }

    #[test]
    fn a_row_that_is_not_understood_is_everything() {
        for row in [
            &b""[..],
            b"\x02",
            b"\x01abcdefgh",
            b"\x03\x00abcdefgh",
            b"\x02\x01abc",
            b"\x02\x02abcdefgh",
        ] {
            assert_eq!(Changed::unpack(row), Changed::Everything, "{row:?}");
        }
    }
}
