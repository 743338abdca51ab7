//! A connection with what every request needs: counting, ids, the lock order, transactions that are run again.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dbmail_core::store::{AccountId, MailboxId, ModSeq, Refusal, Timestamp};

use crate::driver::{Begin, Connection, Failure, Rows, Value, values};
use crate::shared::{CounterLock, Kind, Shared};
use crate::sql::{Dialect, Lock, Rendered, Sql};

/// Rows of one execute-many: bounds a statement's time and what it sends.
const MANY_ROWS_MAX: usize = 1_000;
/// Octets of one execute-many.
const MANY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a transaction is run again that met a lock, a deadlock or a serialisation failure (STORAGE 4).
const TRIES_MAX: u32 = 5;
/// How often the database is asked whether a commit happened: a server that restarts is back within these twenty seconds or
/// so, and who waits for a reply is still there.
pub(crate) const ASK_TRIES_MAX: u32 = 24;
/// Longest pause between two such questions.
const ASK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why a transaction stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// The request is answered no.
    Refused(Refusal),
    /// The database failed.
    Failed(Failure),
    /// So many ids of a kind are needed; taken outside the transaction, which then runs again.
    Ids(Kind, u32),
    /// Something was found that this run could not have known: it runs again, knowing it.
    Again,
    /// The batch holds something that must run alone.
    Split,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a transaction does. It may run more than once, so it takes nothing out of itself.
pub(crate) trait Work: Sync {
    /// What comes of it.
    type Done: Send;
    /// Runs it, within a transaction.
    fn run<C: Connection>(
        &self,
        db: &mut Db<C>,
    ) -> impl Future<Output = Result<Self::Done, Error>> + Send;
}

/// A log row of the transaction under way: whether it is there says whether the transaction was committed.
#[derive(Clone, Copy, Debug)]
enum Witness {
    Mailbox(MailboxId, ModSeq, i64),
    Account(AccountId, ModSeq, i64),
}

/// A connection at work.
pub(crate) struct Db<C> {
    conn: C,
    pub(crate) shared: Arc<Shared>,
    /// Statements since [`Self::take_statements`].
    statements: u64,
    /// The request that is served, by its name.
    request: &'static str,
    witness: Option<Witness>,
    change_id: Option<i64>,
    touched: Vec<MailboxId>,
    touched_accounts: Vec<AccountId>,
    writing: bool,
    /// Unpacked chunks that the page under way needs, by part and ordinal.
    pub(crate) chunks: BTreeMap<(i64, i64), Bytes>,
    /// What the transaction has locked, to assert the order.
    locks: Vec<(Lock, i64)>,
}

impl<C: Connection> Db<C> {
    pub(crate) const fn new(conn: C, shared: Arc<Shared>) -> Self {
        Self {
            conn,
            shared,
            statements: 0,
            request: "",
            witness: None,
            change_id: None,
            touched: Vec::new(),
            touched_accounts: Vec::new(),
            writing: false,
            chunks: BTreeMap::new(),
            locks: Vec::new(),
        }
    }

    /// The connection itself.
    pub(crate) const fn connection(&mut self) -> &mut C {
        &mut self.conn
    }

    /// Whether its calls block the thread.
    pub(crate) fn blocks(&self) -> bool {
        self.conn.dialect() == Dialect::Sqlite
    }

    /// Which SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.conn.dialect()
    }

    /// Statements since the last call.
    pub(crate) const fn take_statements(&mut self) -> u64 {
        std::mem::replace(&mut self.statements, 0)
    }

    /// A request of this name is served from now on.
    pub(crate) const fn serves(&mut self, request: &'static str) {
        self.request = request;
    }

    /// What was under way broke off by a fault of the program: nothing of it is left.
    pub(crate) async fn broke_off(&mut self) {
        tracing::error!(
            request = self.request,
            "a request of the store broke off by a fault of the program; it was given up, and others go on"
        );
        let tally = &self.shared.tally;
        tally.broken_off.fetch_add(1, Ordering::Relaxed);
        let statements = std::mem::take(&mut self.statements);
        tally.spent(self.request, statements);
        self.witness = None;
        self.change_id = None;
        self.touched.clear();
        self.touched_accounts.clear();
        self.writing = false;
        self.chunks.clear();
        self.locks.clear();
        self.conn.distrust().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    // --- statements ------------------------------------------------------------------------

    fn prepare(&mut self, sql: Sql) -> &'static Rendered {
        self.statements += 1;
        sql.rendered(self.conn.dialect())
    }

    /// All rows of a statement.
    pub(crate) async fn query(&mut self, sql: Sql, values: &[Value]) -> Result<Rows, Failure> {
        self.query_some(sql, values, u64::MAX).await
    }

    /// Rows of a statement until their octets reach a limit.
    pub(crate) async fn query_some(
        &mut self,
        sql: Sql,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        let statement = self.prepare(sql);
        self.locking(statement, values.first());
        let waits = self.waiting(statement);
        let begun = Instant::now();
        let rows = self.conn.query(statement, values, octets_max).await;
        drop(waits);
        self.shared.slow.look(self.request, statement.name, begun);
        rows
    }

    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: Sql, values: &[Value]) -> Result<u64, Failure> {
        let statement = self.prepare(sql);
        self.locking(statement, values.first());
        let waits = self.waiting(statement);
        let begun = Instant::now();
        let touched = self.conn.execute(statement, values).await;
        drop(waits);
        self.shared.slow.look(self.request, statement.name, begun);
        touched
    }

    /// Runs a statement for each row, in batches; how many rows were touched in all.
    pub(crate) async fn many(
        &mut self,
        sql: Sql,
        mut rows: Vec<Vec<Value>>,
    ) -> Result<u64, Failure> {
        let mut touched = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(batch(&rows));
            let statement = self.prepare(sql);
            for row in &rows {
                self.locking(statement, row.first());
            }
            let waits = self.waiting(statement);
            let begun = Instant::now();
            let done = self.conn.execute_many(statement, &rows).await;
            drop(waits);
            self.shared.slow.look(self.request, statement.name, begun);
            touched += done?;
            rows = rest;
        }
        Ok(touched)
    }

    /// Runs several statements, each for its rows, in order; those without rows are left out. None of them may read what
    /// another writes. How many rows each touched.
    pub(crate) async fn together<const N: usize>(
        &mut self,
        group: [(Sql, Vec<Vec<Value>>); N],
    ) -> Result<[u64; N], Failure> {
        let mut touched = [0; N];
        let rows = group.iter().flat_map(|(_, rows)| rows);
        let octets: u64 = rows.flatten().map(Value::octets).sum();
        if octets > MANY_BYTES_MAX as u64 || group.iter().any(|(_, r)| r.len() > MANY_ROWS_MAX) {
            for ((sql, rows), count) in group.into_iter().zip(&mut touched) {
                *count = self.many(sql, rows).await?;
            }
            return Ok(touched);
        }
        let mut wanted = Vec::with_capacity(N);
        let mut places = Vec::with_capacity(N);
        for (place, (sql, rows)) in group.into_iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let statement = self.prepare(sql);
            for row in &rows {
                self.locking(statement, row.first());
            }
            wanted.push((statement, rows));
            places.push(place);
        }
        let begun = Instant::now();
        let counts = match wanted.as_slice() {
            [] => Vec::new(),
            [(statement, rows)] => vec![self.conn.execute_many(statement, rows).await?],
            all => self.conn.execute_together(all).await?,
        };
        if let Some((first, _)) = wanted.first() {
            self.shared.slow.look(self.request, first.name, begun);
        }
        for (place, count) in places.into_iter().zip(counts) {
            if let Some(touched) = touched.get_mut(place) {
                *touched = count;
            }
        }
        Ok(touched)
    }

    /// Others may hold the counter row that the statement locks.
    fn waiting(&self, statement: &'static Rendered) -> Option<CounterLock> {
        let locks = self.writing && statement.lock == Some(Lock::Counter);
        locks.then(|| CounterLock::new(&self.shared))
    }

    /// Asserts the lock order (STORAGE 6) where assertions are on.
    fn locking(&mut self, statement: &'static Rendered, key: Option<&Value>) {
        if !cfg!(debug_assertions) || !self.writing {
            return;
        }
        let Some(lock) = statement.lock else { return };
        let key = match key {
            Some(Value::Int(id)) => *id,
            Some(Value::Null | Value::Bytes(_) | Value::Text(_)) | None => 0,
        };
        let wanted = (lock, key);
        if !self.locks.contains(&wanted) {
            let before = self.locks.last();
            assert!(
                before.is_none_or(|held| *held <= wanted),
                "{} locks {wanted:?} after {before:?}",
                statement.name
            );
            self.locks.push(wanted);
        }
    }

    // --- transactions ----------------------------------------------------------------------

    /// Begins to read one moment of the database.
    pub(crate) async fn begin_read(&mut self) -> Result<(), Failure> {
        self.conn.begin(Begin::Read).await
    }

    /// Ends reading.
    pub(crate) async fn end_read(&mut self) {
        self.conn.rollback().await;
    }

    /// Runs work in a transaction and commits it; run again whole where that may help. Watchers hear of it after the commit.
    pub(crate) async fn transact<W: Work>(&mut self, work: &W) -> Result<W::Done, Error> {
        let mut tries = 0;
        loop {
            match self.attempt(work).await {
                Ok(done) => {
                    self.shared.tally.committed();
                    let touched = std::mem::take(&mut self.touched);
                    self.shared.hub.changed(&touched);
                    let accounts = std::mem::take(&mut self.touched_accounts);
                    self.shared.news.note(&touched, &accounts);
                    return Ok(done);
                }
                Err(Error::Ids(kind, count)) => self.take_ids(kind, count).await?,
                // Who says so bounds it.
                Err(Error::Again) => {}
                // A key that was not there a moment ago, or is no more: somebody was faster.
                Err(Error::Failed(Failure::Busy | Failure::Unique(_) | Failure::Foreign(_)))
                    if tries < TRIES_MAX =>
                {
                    tries += 1;
                    self.shared.tally.retried();
                    self.conn.pause(self.shared.jitter(tries)).await;
                }
                // Nothing was committed. A database that is back by then is asked again.
                Err(Error::Failed(Failure::Lost(_))) if tries < TRIES_MAX => {
                    tries += 1;
                    self.shared.tally.retried();
                    self.conn.pause(self.shared.jitter(tries)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt<W: Work>(&mut self, work: &W) -> Result<W::Done, Error> {
        self.witness = None;
        self.change_id = None;
        self.touched.clear();
        self.touched_accounts.clear();
        self.locks.clear();
        self.conn.begin(Begin::Write).await?;
        self.writing = true;
        let done = work.run(self).await;
        self.writing = false;
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                self.conn.rollback().await;
                return Err(error);
            }
        };
        match self.conn.commit().await {
            Ok(()) => Ok(done),
            Err(Failure::Lost(why)) => {
                tracing::warn!(%why, "the database was lost at commit; asking whether it happened");
                self.shared.tally.asked();
                if self.was_committed().await? {
                    Ok(done)
                } else {
                    Err(Failure::Busy.into())
                }
            }
            Err(failure) => {
                self.conn.rollback().await;
                Err(failure.into())
            }
        }
    }

    /// Asks on a new connection, under the counter row's lock, whether the transaction's log row is there (STORAGE 5).
    async fn was_committed(&mut self) -> Result<bool, Error> {
        let Some(witness) = self.witness else {
            // Nothing that anybody can see was changed: parts of an upload at most, which is then given up.
            return Err(Refusal::Unavailable.into());
        };
        for tries in 1..=ASK_TRIES_MAX {
            match self.ask(witness).await {
                Ok(there) => return Ok(there),
                Err(error) => tracing::warn!(%error, "could not ask whether a commit happened"),
            }
            let pause = self.shared.jitter(tries) + Duration::from_millis(200) * tries;
            self.conn.pause(pause.min(ASK_PAUSE_MAX)).await;
        }
        Err(Refusal::OutcomeUnknown.into())
    }

    async fn ask(&mut self, witness: Witness) -> Result<bool, Failure> {
        self.conn.reconnect().await?;
        self.conn.begin(Begin::Write).await?;
        let (lock, has, of, modseq, change_id) = match witness {
            Witness::Mailbox(of, modseq, id) => (Sql::StateLock, Sql::LogHas, of.0, modseq, id),
            Witness::Account(of, modseq, id) => {
                (Sql::AccountLock, Sql::AccountLogHas, of.0, modseq, id)
            }
        };
        let there = async {
            self.query(lock, &values![of]).await?;
            let mut rows = self.query(has, &values![of, modseq.0, change_id]).await?;
            rows.first().map_or(Ok(0), |row| row.int(0))
        };
        let there = there.await;
        self.conn.rollback().await;
        Ok(there? > 0)
    }

    // --- ids -------------------------------------------------------------------------------

    /// So many ids, one after another; the first of them.
    pub(crate) fn ids(&self, kind: Kind, count: u32) -> Result<i64, Error> {
        self.shared
            .ids
            .take(kind, count)
            .ok_or(Error::Ids(kind, count))
    }

    /// The change id of the transaction under way.
    pub(crate) fn change_id(&mut self) -> Result<i64, Error> {
        let id = match self.change_id {
            Some(id) => id,
            None => self.ids(Kind::Change, 1)?,
        };
        self.change_id = Some(id);
        Ok(id)
    }

    /// Takes a block of ids in a transaction of its own, so no change ever waits for another's.
    async fn take_ids(&mut self, kind: Kind, count: u32) -> Result<(), Error> {
        let block = self.shared.ids.block(count);
        self.conn.begin(Begin::Write).await?;
        let taken = self.query(Sql::IdTake, &values![kind as i64, block]).await;
        let end = match taken.and_then(|mut rows| {
            rows.first().map_or_else(
                || {
                    Err(Failure::Damaged(format!(
                        "id_block has no kind {}",
                        kind as i64
                    )))
                },
                |row| row.int(0),
            )
        }) {
            Ok(end) => end,
            Err(failure) => {
                self.conn.rollback().await;
                return Err(failure.into());
            }
        };
        self.conn.commit().await?;
        self.shared.ids.refill(kind, end - i64::from(block), end);
        Ok(())
    }

    /// Watchers of the mailbox are told after the commit.
    pub(crate) fn touch(&mut self, mailbox: MailboxId) {
        if !self.touched.contains(&mailbox) {
            self.touched.push(mailbox);
        }
    }

    /// The other front-ends hear of the account after the commit.
    pub(crate) fn touch_account(&mut self, account: AccountId) {
        if !self.touched_accounts.contains(&account) {
            self.touched_accounts.push(account);
        }
    }

    /// The transaction writes this row of a mailbox's log.
    pub(crate) fn witness_mailbox(&mut self, mailbox: MailboxId, modseq: ModSeq, change_id: i64) {
        self.touch(mailbox);
        self.witness = Some(Witness::Mailbox(mailbox, modseq, change_id));
    }

    /// The transaction writes this row of an account's log.
    pub(crate) fn witness_account(&mut self, account: AccountId, modseq: ModSeq, id: i64) {
        self.touch_account(account);
        self.witness = Some(Witness::Account(account, modseq, id));
    }
}

/// How many of the rows go in one execute-many.
fn batch(rows: &[Vec<Value>]) -> usize {
    let mut octets = 0;
    for (n, row) in rows.iter().enumerate().take(MANY_ROWS_MAX) {
        octets += row.iter().map(Value::octets).sum::<u64>();
        if octets > MANY_BYTES_MAX as u64 && n > 0 {
            return n;
        }
    }
    rows.len().min(MANY_ROWS_MAX)
}

/// What a failure means to whoever asked.
pub(crate) fn refusal(error: Error) -> Refusal {
    match error {
        Error::Refused(refusal) => refusal,
        Error::Failed(Failure::Damaged(what)) => {
            tracing::error!(%what, "stored data is damaged");
            Refusal::Damaged(what)
        }
        Error::Failed(Failure::Busy) => {
            tracing::warn!("the database was busy for too long");
            Refusal::Unavailable
        }
        Error::Failed(
            failure @ (Failure::Unique(_)
            | Failure::Foreign(_)
            | Failure::Lost(_)
            | Failure::Other(_)),
        ) => {
            tracing::error!(%failure, "the database failed");
            Refusal::Unavailable
        }
        Error::Ids(..) | Error::Again | Error::Split => Refusal::Unavailable,
    }
}

/// Pause before trying again: grows, and differs so that two who met do not meet again.
pub(crate) fn backoff(tries: u32, random: u64) -> Duration {
    let most = 5u64 << tries.min(6);
    Duration::from_millis(1 + random % most)
}
