//! News between front-ends that share a server's database: what this one tells, and what it hears (STORAGE 11).
//!
//! A row is written at most every 20 ms, in a transaction of its own, and only while another front-end is there. The others
//! read it by one statement a poll, at once where the database rings a bell. Numbers of a front-end follow one another: who
//! misses one asks about all that it watches. A front-end that dies between its commit and its news is healed by the sweep.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use dbmail_core::store::{AccountId, MailboxId};
use tokio::sync::Notify;

use crate::db::Db;
use crate::driver::{Connection, Failure};
use crate::engine::{Changed, FrontEnd, Ids, REGISTER_SECONDS, Register, Tell};
use crate::heard::Heard;
use crate::shared::{Shared, lock};
use crate::store::Inner;

/// Shortest time between two writings of a front-end.
const TELL_EVERY: Duration = Duration::from_millis(20);
/// How often it is looked whether there is another front-end to tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For so long a new front-end asks about everything at each poll: the others may not know yet that it is there. Longer
/// than `LOOK_EVERY`, after which they do.
const NEW_FOR: Duration = Duration::from_secs(5);
/// Mailboxes looked at in one sweep; the next goes on from there.
const SWEEP_MAX: usize = 500;
/// How long a store that is closed waits for what is under way, to tell it: a writer may be asking about a lost commit.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What is to be told, and what was heard.
#[derive(Default)]
pub(crate) struct News {
    /// Whether this database needs it.
    on: AtomicBool,
    waiting: Mutex<Changed>,
    /// Something waits to be told.
    something: Notify,
    /// Held while it is told.
    telling: tokio::sync::Mutex<()>,
    /// The number of the newest row.
    number: AtomicI64,
    /// Since when the others can know of us.
    known: Mutex<Option<Instant>>,
    /// Another front-end rang.
    pub(crate) doorbell: Notify,
    pub(crate) rows_told: AtomicU64,
    pub(crate) rows_heard: AtomicU64,
    pub(crate) polls: AtomicU64,
    /// Of the newest row heard: from when it was written, by the clock of who did, until it was read; in µs.
    pub(crate) lag: AtomicI64,
}

impl News {
    fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Notes what changed, after the commit.
    pub(crate) fn note(&self, mailboxes: &[MailboxId], accounts: &[AccountId]) {
        if mailboxes.is_empty() && accounts.is_empty() || !self.is_on() {
            return;
        }
        lock(&self.waiting).add(Changed::Ids(Ids {
            mailboxes: mailboxes.iter().copied().collect(),
            accounts: accounts.iter().copied().collect(),
        }));
        self.something.notify_one();
    }

    fn waits(&self) -> bool {
        !lock(&self.waiting).is_nothing()
    }

    /// What waits.
    fn take(&self) -> Option<Changed> {
        let changed = std::mem::take(&mut *lock(&self.waiting));
        (!changed.is_nothing()).then_some(changed)
    }

    /// Rows for it, under the next numbers. Where nobody is there to be told, none are used: the first row that a
    /// front-end writes is its number 1.
    fn number(&self, changed: Changed) -> Arc<Tell> {
        let tell = Tell::after(self.number.load(Ordering::Relaxed), changed);
        self.number.store(tell.last(), Ordering::Relaxed);
        Arc::new(tell)
    }

    fn told(&self, tell: &Tell) {
        self.rows_told.fetch_add(tell.rows(), Ordering::Relaxed);
    }

    /// It is told later. Its numbers are not used again: whether they were written may not be known, and where they were
    /// not, the gap says so.
    fn put_back(&self, tell: &Tell) {
        lock(&self.waiting).add(tell.changed());
    }

    /// Whether the others may not know of us yet.
    fn is_new(&self) -> bool {
        lock(&self.known).is_none_or(|since| since.elapsed() < NEW_FOR)
    }
}

impl Shared {
    fn own(&self) -> i64 {
        self.front_end.load(Ordering::Relaxed)
    }

    fn registered(&self, row: FrontEnd) {
        self.front_end.store(row.id, Ordering::Relaxed);
        let mut known = lock(&self.news.known);
        if row.made || known.is_none() {
            *known = Some(Instant::now());
        }
    }
}

// --- telling -------------------------------------------------------------------------------

/// Tells what this front-end changes, until the store is closed.
pub(crate) async fn tell(store: Weak<Inner>, mut teller: Teller) {
    let Some(shared) = store.upgrade().map(|inner| Arc::clone(&inner.shared)) else {
        return;
    };
    loop {
        let Some(inner) = store.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        teller.register(&inner).await;
        let pause = teller.tell(&inner).await;
        drop(inner);
        tokio::time::sleep(pause).await;
        // The lease is renewed also when nothing happens.
        let _ = tokio::time::timeout(LOOK_EVERY, shared.news.something.notified()).await;
    }
}

/// What it knows of the others, and of itself.
#[derive(Default)]
pub(crate) struct Teller {
    others: bool,
    looked: Option<Instant>,
    registered: Option<Instant>,
}

fn is_due(since: Option<Instant>, every: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= every)
}

impl Teller {
    /// Begins to keep changes to be told, and registers. Where that fails, it is tried again beside.
    pub(crate) async fn begin(inner: &Inner) -> Self {
        inner.shared.news.on.store(true, Ordering::Relaxed);
        let mut teller = Self::default();
        teller.register(inner).await;
        teller
    }

    async fn register(&mut self, inner: &Inner) {
        if !is_due(self.registered, Duration::from_secs(REGISTER_SECONDS)) {
            return;
        }
        let last = inner.shared.news.number.load(Ordering::Relaxed);
        match inner.write("news", Register { last }).await {
            Ok(row) => {
                inner.shared.registered(row);
                self.registered = Some(Instant::now());
            }
            Err(_) if inner.is_closed() => {}
            Err(error) => tracing::debug!(%error, "this front-end is not registered yet"),
        }
    }

    /// Whether anybody is there to be told.
    async fn looks(&mut self, inner: &Inner) -> bool {
        if is_due(self.looked, LOOK_EVERY) {
            let own = inner.shared.own();
            let look = inner.read("news", move |db| {
                Box::pin(async move { Ok(db.others(own).await?) })
            });
            // Where it can't be known, there may be others.
            self.others = look.await.unwrap_or(true);
            self.looked = Some(Instant::now());
        }
        self.others
    }

    /// Tells what waits; how long to pause then.
    async fn tell(&mut self, inner: &Inner) -> Duration {
        let news = &inner.shared.news;
        if !news.waits() {
            return Duration::ZERO;
        }
        // Taken before it is looked: who comes later is new, and asks about everything.
        let telling = news.telling.lock().await;
        let Some(changed) = news.take() else {
            return Duration::ZERO;
        };
        let mut pause = TELL_EVERY;
        if self.looks(inner).await {
            let tell = news.number(changed);
            match inner.write("news", Arc::clone(&tell)).await {
                Ok(row) => {
                    inner.shared.registered(row);
                    news.told(&tell);
                }
                Err(error) => {
                    tracing::debug!(%error, "news could not be told; tried again");
                    news.put_back(&tell);
                    pause = LOOK_EVERY;
                }
            }
        }
        drop(telling);
        pause
    }
}

/// The last of a front-end that closes, on a connection that writes: what was not told yet, and that it is gone.
pub(crate) async fn leave<C: Connection>(db: &mut Db<C>) {
    let shared = Arc::clone(&db.shared);
    let news = &shared.news;
    if news.is_on() {
        let done = async {
            let mut writing = shared.writing.subscribe();
            // The sender is in `shared`.
            let _ = writing.wait_for(|count| *count == 0).await;
            news.telling.lock().await
        };
        let telling = tokio::time::timeout(LEAVE_MAX, done).await;
        if let Some(changed) = news.take()
            && db.others(shared.own()).await.unwrap_or(true)
        {
            let tell = news.number(changed);
            match db.transact(&tell).await {
                Ok(row) => {
                    shared.registered(row);
                    news.told(&tell);
                }
                Err(error) => {
                    tracing::debug!(?error, "the others hear of the last changes by their sweep");
                }
            }
        }
        drop(telling);
    }
    let told = news.rows_told.load(Ordering::Relaxed) > 0;
    let own = shared.own();
    if own != 0
        && let Err(error) = db.sign_off(own, told).await
    {
        tracing::debug!(%error, "the front-end's row stays until its lease ends");
    }
}

// --- hearing -------------------------------------------------------------------------------

/// Hears what the others tell, until the store is closed.
pub(crate) async fn hear(store: Weak<Inner>, poll: Duration, sweep_every: Duration) {
    let Some(shared) = store.upgrade().map(|inner| Arc::clone(&inner.shared)) else {
        return;
    };
    let mut heard = Heard::default();
    let mut swept = Instant::now();
    let mut sweep = Sweep::default();
    loop {
        let _ = tokio::time::timeout(poll, shared.news.doorbell.notified()).await;
        let Some(inner) = store.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        if shared.hub.is_empty() {
            continue;
        }
        if shared.news.is_new() {
            shared.hub.all_changed();
        }
        if !look(&inner, &mut heard).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if swept.elapsed() >= sweep_every {
            swept = Instant::now();
            sweep.look(&inner).await;
        }
    }
}

/// One poll; whether the database answered.
async fn look(inner: &Inner, heard: &mut Heard) -> bool {
    let shared = &inner.shared;
    let (own, places) = (shared.own(), heard.places());
    shared.news.polls.fetch_add(1, Ordering::Relaxed);
    let page = inner.read("news", move |db| {
        Box::pin(async move { Ok(db.news(own, &places).await?) })
    });
    let Ok(page) = page.await else {
        // What was told meanwhile is read when the database is back; its rows may be gone by then.
        heard.clear();
        shared.hub.all_changed();
        return false;
    };
    let (changed, new) = heard.take(page, Instant::now());
    if let Some(newest) = new.newest {
        let lag = shared.clock.now().0.saturating_sub(newest);
        shared.news.lag.store(lag, Ordering::Relaxed);
    }
    let rows = &shared.news.rows_heard;
    rows.fetch_add(new.rows, Ordering::Relaxed);
    match changed {
        // Nobody watches accounts yet.
        Changed::Ids(ids) => {
            let mailboxes: Vec<MailboxId> = ids.mailboxes.into_iter().collect();
            shared.hub.changed(&mailboxes);
        }
        Changed::Everything => shared.hub.all_changed(),
    }
    true
}

/// The slow look at the counter rows of watched mailboxes.
#[derive(Default)]
struct Sweep {
    modseqs: BTreeMap<MailboxId, i64>,
    /// The last mailbox looked at.
    last: Option<MailboxId>,
}

impl Sweep {
    /// Those to look at now: some after the last one, or from the beginning.
    fn next(&mut self, watched: &[MailboxId]) -> Vec<MailboxId> {
        self.modseqs
            .retain(|mailbox, _| watched.binary_search(mailbox).is_ok());
        let after = |last| watched.partition_point(|mailbox| *mailbox <= last);
        let from = self.last.map_or(0, after);
        let from = if from >= watched.len() { 0 } else { from };
        let some: Vec<MailboxId> = watched.iter().skip(from).take(SWEEP_MAX).copied().collect();
        self.last = some.last().copied();
        some
    }

    /// Whether a mailbox has another MODSEQ than when it was last looked at, or was never looked at.
    fn differs(&mut self, mailbox: MailboxId, modseq: i64) -> bool {
        self.modseqs.insert(mailbox, modseq) != Some(modseq)
    }

    async fn look(&mut self, inner: &Inner) {
        let some = self.next(&inner.shared.hub.watched());
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
        let changed = some.into_iter().zip(seen);
        let changed = changed.filter(|(mailbox, modseq)| self.differs(*mailbox, *modseq));
        let changed: Vec<MailboxId> = changed.map(|(mailbox, _)| mailbox).collect();
        inner.shared.hub.changed(&changed);
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

    #[test]
    fn a_sweep_comes_to_every_mailbox_whatever_others_do_meanwhile() {
        let mut sweep = Sweep::default();
        let many: Vec<MailboxId> = (0..3 * SWEEP_MAX as i64).map(MailboxId).collect();
        assert_eq!(sweep.next(&many), many[..SWEEP_MAX]);
        // Those that were looked at are watched no more.
        let fewer = &many[SWEEP_MAX..];
        assert_eq!(sweep.next(fewer), fewer[..SWEEP_MAX]);
        assert_eq!(sweep.next(&many), many[2 * SWEEP_MAX..]);
        assert_eq!(sweep.next(&many), many[..SWEEP_MAX]);
        assert!(sweep.next(&[]).is_empty());
    }

    #[test]
    fn a_sweep_tells_of_what_it_sees_first_and_of_what_differs() {
        let mut sweep = Sweep::default();
        assert!(sweep.differs(MailboxId(1), 5));
        assert!(!sweep.differs(MailboxId(1), 5));
        assert!(sweep.differs(MailboxId(1), 6));
        // Watched no more, and again: it may have changed between.
        sweep.next(&[]);
        assert!(sweep.differs(MailboxId(1), 6));
    }

    #[test]
    fn what_could_not_be_told_is_told_later_under_other_numbers() {
        let news = News::default();
        news.note(&[MailboxId(1)], &[]);
        assert!(
            news.take().is_none(),
            "on SQLite nothing is kept to be told"
        );
        news.on.store(true, Ordering::Relaxed);
        news.note(&[MailboxId(1)], &[AccountId(2)]);
        let first = news.number(news.take().unwrap());
        assert!(news.take().is_none());
        news.put_back(&first);
        news.note(&[MailboxId(3)], &[]);
        let second = news.number(news.take().unwrap());
        let both = Ids {
            mailboxes: [MailboxId(1), MailboxId(3)].into(),
            accounts: [AccountId(2)].into(),
        };
        assert_eq!(second.changed(), Changed::Ids(both));
        // A row of mailboxes and one of accounts, each time.
        assert_eq!((first.last(), second.last()), (2, 4));
    }
}
