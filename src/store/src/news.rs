//! News between front-ends that share a server's database: what this one tells, and what it hears (STORAGE 11).
//!
//! A row is written at most every 20 ms, in a transaction of its own, and only while another front-end is there. The others
//! read it by one statement a poll, at once where the database rings a bell. Numbers of a front-end follow one another: who
//! misses one asks about all that it watches. A front-end that dies between its commit and its news is healed by the sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use dbmail_core::store::MailboxId;
use tokio::sync::Notify;

use crate::driver::Failure;
use crate::engine::{Changed, REGISTER_SECONDS, Register, Tell, Told};
use crate::shared::lock;
use crate::store::Inner;

/// Shortest time between two rows of a front-end.
const TELL_EVERY: Duration = Duration::from_millis(20);
/// How often it is looked whether there is another front-end to tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For so long a new front-end asks about everything at each poll: the others may not know yet that it is there.
const NEW_FOR: Duration = Duration::from_secs(5);
/// How often the counter rows of watched mailboxes are looked at, some at a time.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Mailboxes looked at in one sweep; the next goes on from there.
const SWEEP_MAX: usize = 500;

/// What is to be told, and what was heard.
#[derive(Default)]
pub(crate) struct News {
    /// Whether this database needs it.
    on: AtomicBool,
    waiting: Mutex<BTreeSet<MailboxId>>,
    /// Something waits to be told.
    something: Notify,
    /// Another front-end rang.
    pub(crate) doorbell: Notify,
    pub(crate) rows_told: AtomicU64,
    pub(crate) rows_heard: AtomicU64,
    pub(crate) polls: AtomicU64,
    /// Of the newest row heard: from when it was written, by the clock of who did, until it was read; in µs.
    pub(crate) lag: AtomicI64,
}

impl News {
    /// Notes changed mailboxes, after their commit.
    pub(crate) fn note(&self, mailboxes: &[MailboxId]) {
        if mailboxes.is_empty() || !self.on.load(Ordering::Relaxed) {
            return;
        }
        lock(&self.waiting).extend(mailboxes);
        self.something.notify_one();
    }
}

/// Tells what this front-end changes, until the store is closed.
pub(crate) async fn tell(store: Weak<Inner>) {
    let mut number = 0;
    let (mut others, mut looked) = (true, None::<Instant>);
    let mut registered: Option<Instant> = None;
    let Some(shared) = store.upgrade().map(|inner| Arc::clone(&inner.shared)) else {
        return;
    };
    shared.news.on.store(true, Ordering::Relaxed);
    loop {
        let waits = shared.news.something.notified();
        // The lease is renewed also when nothing happens.
        let _ = tokio::time::timeout(LOOK_EVERY, waits).await;
        let Some(inner) = store.upgrade() else { return };
        let due = |since: Option<Instant>, every| since.is_none_or(|s| s.elapsed() >= every);
        if due(registered, Duration::from_secs(REGISTER_SECONDS)) {
            match inner.write("news", Register).await {
                Ok(id) => {
                    shared.front_end.store(id, Ordering::Relaxed);
                    registered = Some(Instant::now());
                }
                Err(_) if inner.is_closed() => return,
                Err(error) => tracing::debug!(%error, "this front-end is not registered yet"),
            }
        }
        let mailboxes: Vec<MailboxId> = {
            let mut waiting = lock(&shared.news.waiting);
            std::mem::take(&mut *waiting).into_iter().collect()
        };
        if mailboxes.is_empty() {
            continue;
        }
        if due(looked, LOOK_EVERY) {
            let own = shared.front_end.load(Ordering::Relaxed);
            let look = inner
                .read("news", move |db| {
                    Box::pin(async move { Ok(db.others(own).await?) })
                })
                .await;
            // Where it can't be known, there may be others.
            others = look.unwrap_or(true);
            looked = Some(Instant::now());
        }
        if others {
            number += 1;
            match inner
                .write(
                    "news",
                    Tell {
                        mailboxes: mailboxes.clone(),
                        number,
                    },
                )
                .await
            {
                Ok(id) => {
                    shared.front_end.store(id, Ordering::Relaxed);
                    shared.news.rows_told.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) if inner.is_closed() => return,
                Err(error) => {
                    tracing::debug!(%error, "news could not be told; tried again");
                    number += 1;
                    shared.news.note(&mailboxes);
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        drop(inner);
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// Hears what the others tell, until the store is closed.
pub(crate) async fn hear(store: Weak<Inner>, poll: Duration) {
    let begun = Instant::now();
    let mut known: BTreeMap<i64, i64> = BTreeMap::new();
    let mut swept = Instant::now();
    let mut sweep = Sweep::default();
    let Some(shared) = store.upgrade().map(|inner| Arc::clone(&inner.shared)) else {
        return;
    };
    loop {
        let _ = tokio::time::timeout(poll, shared.news.doorbell.notified()).await;
        let Some(inner) = store.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        if shared.hub.is_empty() {
            continue;
        }
        if begun.elapsed() < NEW_FOR {
            shared.hub.all_changed();
        }
        let own = shared.front_end.load(Ordering::Relaxed);
        let numbers: Vec<(i64, i64)> = known.iter().map(|(f, n)| (*f, *n)).collect();
        shared.news.polls.fetch_add(1, Ordering::Relaxed);
        let told = inner
            .read("news", move |db| {
                Box::pin(async move { Ok(db.news(own, &numbers).await?) })
            })
            .await;
        match told {
            Ok(told) => {
                if let Some(last) = told.last() {
                    let lag = shared.clock.now().0.saturating_sub(last.at);
                    shared.news.lag.store(lag, Ordering::Relaxed);
                }
                let rows = told.len() as u64;
                shared.news.rows_heard.fetch_add(rows, Ordering::Relaxed);
                match changed(&mut known, told) {
                    Changed::Mailboxes(mailboxes) => shared.hub.changed(&mailboxes),
                    Changed::Everything => shared.hub.all_changed(),
                }
            }
            // What was told meanwhile is read when the database is back; its rows may be gone by then.
            Err(_) => {
                known.clear();
                shared.hub.all_changed();
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            sweep.look(&inner).await;
        }
    }
}

/// What rows say in all, and the numbers known after them. A number that is missing may have said anything.
fn changed(known: &mut BTreeMap<i64, i64>, told: Vec<Told>) -> Changed {
    let (mut all, mut everything) = (Vec::new(), false);
    for row in told {
        let before = known.insert(row.front_end, row.number);
        if before.is_some_and(|number| row.number <= number) {
            // Of a front-end past those that the statement has room for: told before.
            known.insert(row.front_end, before.unwrap_or(row.number));
            continue;
        }
        everything |= before.is_some_and(|number| number + 1 != row.number);
        match row.changed {
            Changed::Mailboxes(mailboxes) => all.extend(mailboxes),
            Changed::Everything => everything = true,
        }
    }
    if everything {
        Changed::Everything
    } else {
        Changed::Mailboxes(all)
    }
}

/// The slow look at the counter rows of watched mailboxes.
#[derive(Default)]
struct Sweep {
    modseqs: BTreeMap<MailboxId, i64>,
    from: usize,
}

impl Sweep {
    async fn look(&mut self, inner: &Inner) {
        let watched = inner.shared.hub.watched();
        self.modseqs
            .retain(|mailbox, _| watched.binary_search(mailbox).is_ok());
        if self.from >= watched.len() {
            self.from = 0;
        }
        let some: Vec<MailboxId> = watched
            .iter()
            .skip(self.from)
            .take(SWEEP_MAX)
            .copied()
            .collect();
        self.from += some.len();
        let asked = some.clone();
        let seen: Result<Vec<i64>, _> = inner
            .read("news", move |db| {
                Box::pin(async move {
                    let mut seen = Vec::with_capacity(asked.len());
                    for mailbox in asked {
                        seen.push(db.modseq(mailbox).await?);
                    }
                    Ok::<_, crate::db::Error>(seen)
                })
            })
            .await;
        let Ok(seen) = seen else { return };
        for (mailbox, modseq) in some.into_iter().zip(seen) {
            if self.modseqs.insert(mailbox, modseq) != Some(modseq) {
                inner.shared.hub.changed(&[mailbox]);
            }
        }
    }
}

/// The doorbell of PostgreSQL: listens for as long as the store is there, on a connection of its own.
pub(crate) async fn listen(store: Weak<Inner>, options: sqlx::postgres::PgConnectOptions) {
    let Some(shared) = store.upgrade().map(|inner| Arc::clone(&inner.shared)) else {
        return;
    };
    loop {
        let own = || shared.front_end.load(Ordering::Relaxed);
        let heard = |who: &str| {
            if who.parse() != Ok(own()) {
                shared.news.doorbell.notify_one();
            }
        };
        let ended = crate::driver::listen(&options, "dbmail_news", heard, || {
            store.upgrade().is_none_or(|inner| inner.is_closed())
        });
        match ended.await {
            Ok(()) | Err(Failure::Other(_)) if store.upgrade().is_none_or(|i| i.is_closed()) => {
                return;
            }
            Ok(()) => {}
            // The poll goes on meanwhile.
            Err(error) => tracing::debug!(%error, "the doorbell is out of order"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if store.upgrade().is_none_or(|inner| inner.is_closed()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(front_end: i64, number: i64, mailbox: i64) -> Told {
        Told {
            front_end,
            number,
            changed: Changed::Mailboxes(vec![MailboxId(mailbox)]),
            at: 0,
        }
    }

    #[test]
    fn numbers_that_follow_one_another_name_mailboxes_and_a_gap_means_everything() {
        let mut known = BTreeMap::new();
        let first = changed(
            &mut known,
            vec![told(1, 5, 10), told(1, 6, 11), told(2, 1, 12)],
        );
        let named = |ids: &[i64]| Changed::Mailboxes(ids.iter().map(|id| MailboxId(*id)).collect());
        assert_eq!(first, named(&[10, 11, 12]));
        assert_eq!(
            changed(&mut known, vec![told(1, 6, 11), told(2, 2, 13)]),
            named(&[13])
        );
        assert_eq!(
            changed(&mut known, vec![told(1, 8, 14)]),
            Changed::Everything
        );
        assert_eq!(known, BTreeMap::from([(1, 8), (2, 2)]));
        assert_eq!(changed(&mut known, Vec::new()), named(&[]));
    }
}
