//! What `dbmail check` does on one connection: a walk over everything, in pages, beside the running service.
//!
//! A page is one statement, which sees one moment, so no transaction is held while the next is fetched. What is found wrong
//! by several statements, one after another, is looked at again before it is told: counters and quotas under their lock,
//! contents and parts once more from the beginning.

mod accounts;
mod assembly;
mod contents;
mod counters;
mod mailboxes;
mod mend;
mod parts;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbmail_core::store::{AccountId, Refusal};
use tokio::sync::mpsc::Sender;

pub(crate) use mend::Mend;

use crate::check::{Fault, FaultKind, Gauge, Place, Stage};
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Rows, Value};
use crate::sql::Sql;

/// Rows of a narrow page.
const ROWS: u32 = 500;
/// Faults of one kind that a statement may return; more are fetched by the next.
const FAULTS: u32 = 1_000;
/// Octets of one page.
const PAGE_BYTES: u64 = 1024 * 1024;
/// How often a page is asked for that met a lock or a broken connection.
const LOOK_TRIES_MAX: u32 = 8;
/// Repairs that one run takes up: bounds the plan's memory. What is beyond is the next run's.
const MENDS_MAX: usize = 100_000;
/// Damaged parts that are remembered, so that each is told once and not for each message that has it.
const BAD_PARTS_MAX: usize = 10_000;

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Of one user, or everything.
    pub(crate) account: Option<AccountId>,
    /// Whether octets of mail are read.
    pub(crate) bodies: bool,
}

impl Scope {
    /// The account as statements take it: 0 is everybody.
    fn account(&self) -> i64 {
        self.account.map_or(0, |account| account.0)
    }
}

/// What came of a walk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Faults by kind.
    pub(crate) kinds: BTreeMap<FaultKind, u64>,
    /// What can be done about them.
    pub(crate) mends: BTreeSet<Mend>,
    /// There were more repairs than one run takes up.
    pub(crate) more: bool,
    /// Repairs that were done.
    pub(crate) mended: u64,
}

/// A walk under way.
pub(crate) struct Walk<'a, C> {
    db: &'a mut Db<C>,
    scope: Scope,
    told: Sender<Fault>,
    gauge: Arc<Gauge>,
    found: Found,
    /// Parts that were found damaged.
    bad_parts: BTreeSet<i64>,
}

impl<'a, C: Connection> Walk<'a, C> {
    pub(crate) fn new(
        db: &'a mut Db<C>,
        scope: Scope,
        told: Sender<Fault>,
        gauge: Arc<Gauge>,
    ) -> Self {
        Self {
            db,
            scope,
            told,
            gauge,
            found: Found::default(),
            bad_parts: BTreeSet::new(),
        }
    }

    /// Walks over everything there is to look at.
    pub(crate) async fn run(mut self) -> Result<Found, Error> {
        let totals = self.totals().await?;
        let all = self.scope.account.is_none();
        if all {
            self.gauge.enter(Stage::Schema, None);
            let done = self.schema().await;
            self.ended("the schema", done).await?;
        }
        self.gauge.enter(Stage::Users, all.then_some(totals.users));
        let done = self.accounts().await;
        self.ended("users", done).await?;
        self.gauge
            .enter(Stage::Mailboxes, all.then_some(totals.mailboxes));
        let done = self.mailboxes().await;
        self.ended("mailboxes", done).await?;
        self.gauge.enter(Stage::Quotas, None);
        let done = self.quotas().await;
        self.ended("quotas", done).await?;
        if all {
            self.gauge.enter(Stage::Parts, Some(totals.parts));
            let done = self.parts(totals.last_part).await;
            self.ended("parts", done).await?;
            self.gauge.enter(Stage::Contents, Some(totals.contents));
            let done = self.emails(totals.last_email).await;
            self.ended("emails", done).await?;
            let done = self.contents(totals.last_content).await;
            self.ended("contents", done).await?;
        }
        Ok(self.found)
    }

    /// What the database can't read is a fault like another; what comes after it in the same stage stays unknown.
    async fn ended(&mut self, what: &str, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Err(Error::Failed(Failure::Damaged(why)) | Error::Refused(Refusal::Damaged(why))) => {
                let what = format!("{what}: {why}");
                self.fault(FaultKind::Unreadable, Place::default(), what, None)
                    .await
            }
            done => done,
        }
    }

    /// Tells of a fault, and plans its repair.
    async fn fault(
        &mut self,
        kind: FaultKind,
        place: Place,
        what: String,
        mend: Option<Mend>,
    ) -> Result<(), Error> {
        *self.found.kinds.entry(kind).or_default() += 1;
        if let Some(mend) = mend
            && !self.found.mends.contains(&mend)
        {
            if self.found.mends.len() < MENDS_MAX {
                self.found.mends.insert(mend);
            } else {
                self.found.more = true;
            }
        }
        let fault = Fault { kind, place, what };
        // Nobody listens any more: there is nobody to check for.
        let told = self.told.send(fault).await;
        told.map_err(|_| Refusal::Unavailable.into())
    }

    /// Rows of a page; asked for again where that may help.
    async fn look(&mut self, sql: Sql, values: &[Value]) -> Result<Rows, Error> {
        self.look_some(sql, values, u64::MAX).await
    }

    /// Rows of a page until their octets reach a limit.
    async fn look_some(
        &mut self,
        sql: Sql,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Error> {
        let mut tries = 0;
        loop {
            let failure = match self.db.query_some(sql, values, octets_max).await {
                Err(failure @ (Failure::Busy | Failure::Lost(_))) if tries < LOOK_TRIES_MAX => {
                    failure
                }
                answer => return Ok(answer?),
            };
            tries += 1;
            let pause = self.db.shared.jitter(tries);
            self.db.connection().pause(pause).await;
            if matches!(failure, Failure::Lost(_))
                && let Err(error) = self.db.connection().reconnect().await
            {
                tracing::debug!(%error, "the database is away");
            }
        }
    }

    /// Runs a look under a lock, or a repair; again when nobody knows whether it was committed, for it does nothing twice.
    async fn transact<W: Work>(&mut self, work: &W) -> Result<W::Done, Error> {
        let mut tries = 0;
        loop {
            match self.db.transact(work).await {
                Err(Error::Refused(Refusal::Unavailable)) if tries < LOOK_TRIES_MAX => {
                    tries += 1;
                    let pause = self.db.shared.jitter(tries);
                    self.db.connection().pause(pause).await;
                }
                done => return done,
            }
        }
    }

    /// Tells of rows that name what is not there, as statements for orphans return them.
    async fn orphans(&mut self, sql: Sql, values: &[Value], of: &str) -> Result<(), Error> {
        let mut rows = self.look_some(sql, values, PAGE_BYTES).await?;
        let mut found = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            let (table, key, count) = (row.text(0)?, row.int(1)?, row.int(2)?);
            found.push(orphans(count, &table, of, key));
        }
        for what in found {
            self.fault(FaultKind::Orphan, Place::default(), what, None)
                .await?;
        }
        Ok(())
    }
}

/// What there is to say of rows that name what is not there.
fn orphans(count: i64, table: &str, of: &str, key: i64) -> String {
    let rows = if count == 1 { "row" } else { "rows" };
    format!("{count} {rows} of {table} with {of} {key}, which is not there")
}

/// A number that may be missing.
fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}
