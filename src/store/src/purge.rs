//! Purging: what of the gone, the deleted and the logs is past its time goes, beside the running service. Each transaction is
//! small (`engine/purge.rs`), and between two of them the store rests, so that service goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dbmail_core::limits::{GONE_KEPT_SECONDS_MIN, LOG_KEPT_SECONDS_MIN};
use dbmail_core::store::{AccountId, MailboxId, Refusal, Timestamp};

use crate::db::{Db, Error, Work, refusal};
use crate::driver::{AnyConnection, Failure};
use crate::engine::{GONE_ROWS, LogOf, PurgeGone, PurgeLog, PurgeMailbox, Sweep, Went};
use crate::settings::Retention;
use crate::store::Inner;
use crate::workers::Future;
use crate::{AdminError, Store};

/// Rest after a transaction, as a multiple of the time it took with its wait in the queue: a server purges in a fifth of the time at
/// most, and less the busier it is.
const REST_OF_SERVER: u32 = 4;
/// The same of a command, for which somebody waits.
const REST_OF_COMMAND: u32 = 1;
/// Longest rest.
const REST_MAX: Duration = Duration::from_secs(2);
/// Transactions of one run; the rest is the next run's. With 128 messages each, more than a hundred million.
const TRANSACTIONS_MAX: u32 = 1_000_000;

/// What is to be purged.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// Whose; `None`: everybody's.
    pub account: Option<AccountId>,
    /// What is kept. Never less than what sessions need.
    pub retention: Retention,
}

/// What was purged, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Messages that were gone.
    pub messages: u64,
    /// Their octets, each message counted by itself.
    pub bytes: u64,
    /// Contents that nobody had any more. Not known of a plan, as the next three.
    pub contents: u64,
    /// Their octets, long parts included though these may be kept for others.
    pub content_bytes: u64,
    /// Parts that no content had any more.
    pub parts: u64,
    /// Their octets as they were stored.
    pub part_bytes: u64,
    /// Deleted mailboxes.
    pub mailboxes: u64,
    /// Rows of logs.
    pub log_rows: u64,
}

impl Purged {
    const fn add(&mut self, went: Went) {
        self.messages += went.messages;
        self.bytes += went.bytes;
        self.contents += went.contents;
        self.content_bytes += went.content_bytes;
        self.mailboxes += went.mailboxes;
        self.log_rows += went.log_rows;
    }
}

/// From when on what is gone is kept, and what is logged, in µs.
fn kept_from(now: Timestamp, retention: Retention) -> (i64, i64) {
    let before = |seconds: u64| Timestamp(0).plus_seconds(seconds).0;
    (
        now.0
            .saturating_sub(before(retention.deleted_seconds.max(GONE_KEPT_SECONDS_MIN))),
        now.0
            .saturating_sub(before(retention.log_seconds.max(LOG_KEPT_SECONDS_MIN))),
    )
}

impl Store {
    /// What [`Self::purge`] would remove. Contents and parts are not known before. It looks at every row of the logs.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn purge_plan(&self, what: Purge) -> Result<Purged, AdminError> {
        let of = what.account;
        let (gone_before, done_before) = kept_from(self.0.shared.clock.now(), what.retention);
        let mut plan = Purged::default();
        (plan.messages, plan.bytes) = self
            .0
            .read("purge", move |db| Box::pin(db.gone_plan(of, gone_before)))
            .await?;
        let mut after = MailboxId(0);
        loop {
            let page = self.0.read("purge", move |db| {
                Box::pin(db.mailboxes_deleted(of, after, gone_before))
            });
            let page = page.await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            plan.mailboxes += page.len() as u64;
        }
        for mut after in [LogOf::Mailbox(MailboxId(0)), LogOf::Account(AccountId(0))] {
            loop {
                let page = self.0.read("purge", move |db| {
                    Box::pin(db.log_plan(of, after, done_before))
                });
                let Some((old, last)) = page.await? else {
                    break;
                };
                after = last;
                plan.log_rows += old;
            }
        }
        Ok(plan)
    }

    /// Removes what is past its time, in small transactions with a rest between them, and unused parts. `told` hears after each
    /// what went so far. What was removed stays so when it breaks off; it may be called again at any time, also by several at once.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn purge(
        &self,
        what: Purge,
        told: impl FnMut(&Purged) + Send,
    ) -> Result<Purged, AdminError> {
        let mut run = Run::new(&self.0, what, REST_OF_COMMAND, told);
        run.everything().await?;
        run.parts().await?;
        Ok(run.purged)
    }
}

/// A run under way.
struct Run<F> {
    /// Not held while it rests: a store that is given up is not kept open by it.
    store: Weak<Inner>,
    of: Option<AccountId>,
    gone_before: i64,
    done_before: i64,
    rest: u32,
    told: F,
    purged: Purged,
    transactions: u32,
}

impl<F: FnMut(&Purged) + Send> Run<F> {
    fn new(store: &Arc<Inner>, what: Purge, rest: u32, told: F) -> Self {
        let (gone_before, done_before) = kept_from(store.shared.clock.now(), what.retention);
        Self {
            store: Arc::downgrade(store),
            of: what.account,
            gone_before,
            done_before,
            rest,
            told,
            purged: Purged::default(),
            transactions: 0,
        }
    }

    fn open(&self) -> Result<Arc<Inner>, Refusal> {
        let store = self.store.upgrade();
        store
            .filter(|store| !store.is_closed())
            .ok_or(Refusal::Unavailable)
    }

    /// Asks a question.
    async fn ask<T, A>(&self, ask: A) -> Result<T, Refusal>
    where
        T: Send + 'static,
        A: for<'a> FnOnce(&'a mut Db<AnyConnection>) -> Future<'a, Result<T, Error>>
            + Send
            + 'static,
    {
        self.open()?.read("purge", ask).await
    }

    fn is_spent(&self) -> bool {
        self.transactions >= TRANSACTIONS_MAX
    }

    /// Runs one transaction and rests. `None`: a foreign key says that somebody refers to what was to go, and was right to.
    async fn step<W>(&mut self, work: W) -> Result<Option<W::Done>, Refusal>
    where
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        let begun = Instant::now();
        let done = self.open()?.transact("purge", work).await?;
        self.transactions += 1;
        let done = match done {
            Ok(done) => Some(done),
            Err(Error::Failed(Failure::Foreign(why))) => {
                tracing::warn!(why, "what was to be purged is in use and stays");
                None
            }
            Err(error) => return Err(refusal(error)),
        };
        let rest = begun.elapsed().saturating_mul(self.rest);
        tokio::time::sleep(rest.min(REST_MAX)).await;
        Ok(done)
    }

    fn went(&mut self, went: Went) -> Result<(), Refusal> {
        let store = self.open()?;
        let tally = &store.shared.tally;
        tally
            .purged_messages
            .fetch_add(went.messages, Ordering::Relaxed);
        tally.purged_bytes.fetch_add(went.bytes, Ordering::Relaxed);
        self.purged.add(went);
        (self.told)(&self.purged);
        Ok(())
    }

    /// All but parts.
    async fn everything(&mut self) -> Result<(), Refusal> {
        self.gone().await?;
        self.mailboxes().await?;
        self.logs(LogOf::Mailbox(MailboxId(0))).await?;
        self.logs(LogOf::Account(AccountId(0))).await?;
        let store = self.open()?;
        let tally = &store.shared.tally;
        tally.purge_runs.fetch_add(1, Ordering::Relaxed);
        let now = store.shared.clock.now().0;
        tally.purge_last.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Messages that are gone.
    async fn gone(&mut self) -> Result<(), Refusal> {
        loop {
            let (of, before) = (self.of, self.gone_before);
            let waiting = self.ask(move |db| Box::pin(db.gone_waiting(of, before)));
            let waiting = waiting.await?;
            let purged = self.purged.messages;
            for mailbox in waiting {
                self.gone_of(mailbox).await?;
            }
            // Those that were left are held by somebody. Of one account all mailboxes were looked at.
            if self.purged.messages == purged || of.is_some() || self.is_spent() {
                return Ok(());
            }
        }
    }

    async fn gone_of(&mut self, mailbox: MailboxId) -> Result<(), Refusal> {
        let before = self.gone_before;
        let (mut after, mut one_by_one) = (Some(0), 0);
        while let Some(above) = after.take()
            && !self.is_spent()
        {
            let work = PurgeGone {
                mailbox,
                after: above,
                rows: if one_by_one > 0 { 1 } else { GONE_ROWS },
                gone_before: before,
            };
            match self.step(work).await? {
                Some((went, more)) => {
                    after = more;
                    self.went(went)?;
                }
                // One of them is refused, and must not keep the others.
                None if one_by_one == 0 => {
                    one_by_one = GONE_ROWS + 1;
                    after = Some(above);
                }
                None => {
                    let due = self.ask(move |db| Box::pin(db.gone_due(mailbox, above, before, 1)));
                    after = due.await?.first().copied();
                }
            }
            one_by_one = one_by_one.saturating_sub(1);
        }
        Ok(())
    }

    /// Deleted mailboxes.
    async fn mailboxes(&mut self) -> Result<(), Refusal> {
        let (of, deleted_before) = (self.of, self.gone_before);
        let mut after = MailboxId(0);
        while !self.is_spent() {
            let page =
                self.ask(move |db| Box::pin(db.mailboxes_deleted(of, after, deleted_before)));
            let page = page.await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (mailbox, account) in page {
                let mut more = true;
                while std::mem::take(&mut more) && !self.is_spent() {
                    let work = PurgeMailbox {
                        account,
                        mailbox,
                        deleted_before,
                    };
                    if let Some((went, rest)) = self.step(work).await? {
                        more = rest;
                        self.went(went)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Logs above an id: of mailboxes, or of accounts.
    async fn logs(&mut self, mut after: LogOf) -> Result<(), Refusal> {
        let (of, done_before) = (self.of, self.done_before);
        while !self.is_spent() {
            let page = self.ask(move |db| Box::pin(db.logs_old(of, after, done_before)));
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = *last;
            for log in page {
                let mut more = true;
                while std::mem::take(&mut more) && !self.is_spent() {
                    let work = PurgeLog {
                        of: log,
                        done_before,
                    };
                    if let Some((log_rows, rest)) = self.step(work).await? {
                        more = rest;
                        self.went(Went {
                            log_rows,
                            ..Went::default()
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Parts that no content has and that nobody saw for two days. A server collects them by itself, each minute.
    async fn parts(&mut self) -> Result<(), Refusal> {
        while !self.is_spent() {
            // Looked for without the writer's lock; mostly there are none.
            let look = self.ask(|db| {
                Box::pin(async move { Ok(Sweep::UnusedParts.candidates(db).await?.len()) })
            });
            if look.await? == 0 {
                break;
            }
            match self.step(Sweep::UnusedParts).await? {
                Some(swept) if swept.rows > 0 => {
                    self.purged.parts += swept.rows;
                    self.purged.part_bytes += swept.bytes;
                    (self.told)(&self.purged);
                }
                Some(_) | None => break,
            }
        }
        Ok(())
    }
}

/// Purges now and then, as long as the store is open. Of the front-ends that share a database the oldest does it: the others would
/// find nothing to do, or wait for it. That several do does no harm.
pub(crate) async fn beside(store: Weak<Inner>, retention: Retention, pause: Duration) {
    // Not at once: a server that starts has other things to do, and may be restarted again and again.
    let mut wait = pause / 10;
    loop {
        let Some(jitter) = store.upgrade().map(|inner| inner.shared.draw() % 512) else {
            return;
        };
        // From three quarters to five quarters of it.
        let jitter = u32::try_from(jitter).unwrap_or(0);
        tokio::time::sleep(wait.saturating_mul(768 + jitter) / 1024).await;
        wait = pause;
        let Some(inner) = store.upgrade().filter(|inner| !inner.is_closed()) else {
            return;
        };
        let elder = inner.read("purge", |db| Box::pin(db.has_elder())).await;
        if elder.unwrap_or(true) {
            continue;
        }
        let what = Purge {
            account: None,
            retention,
        };
        let mut run = Run::new(&inner, what, REST_OF_SERVER, |_: &Purged| {});
        drop(inner);
        match run.everything().await {
            Ok(()) if run.purged == Purged::default() => {}
            Ok(()) => {
                let Purged {
                    messages,
                    bytes,
                    mailboxes,
                    log_rows,
                    ..
                } = run.purged;
                tracing::info!(
                    messages,
                    bytes,
                    mailboxes,
                    log_rows,
                    "purged what is past its time"
                );
            }
            // Closed meanwhile, or the database is away.
            Err(why) => tracing::warn!(%why, "purging broke off; the next run goes on"),
        }
    }
}

#[cfg(test)]
mod tests;
