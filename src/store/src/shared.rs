//! What all connections of a store share: clock, ids, watchers, figures.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dbmail_core::store::FetchItems;
use tokio::sync::watch;

use crate::db::backoff;
use crate::engine::Memory;
use crate::hub::Hub;
use crate::news::News;
use crate::settings::{Clock, Settings};
use crate::slow::Slow;

/// Ids taken from the database at a time.
const ID_BLOCK: u32 = 1_000;
/// Unpacked chunks kept for whoever reads on: a large body is read in slices smaller than its chunks.
const CHUNKS_KEPT: usize = 4;

/// Kinds of ids, as `id_block` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub(crate) enum Kind {
    Account = 1,
    Address = 2,
    QuotaRoot = 3,
    Mailbox = 4,
    Content = 5,
    Email = 6,
    Part = 7,
    Upload = 8,
    FrontEnd = 9,
    Change = 10,
}

/// What is common to a store's connections.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) hub: Hub,
    pub(crate) news: News,
    pub(crate) tally: Tally,
    pub(crate) repeat_window_seconds: u64,
    pub(crate) repeat_window_bare_seconds: u64,
    pub(crate) message_bytes_max: u64,
    pub(crate) front_end_name: String,
    /// Id of our row in `front_end`; 0 until it is registered: at once where there are news, else when something is staged.
    pub(crate) front_end: AtomicI64,
    /// Connections that write and are at work.
    pub(crate) writing: watch::Sender<usize>,
    /// What says whether another process has written.
    pub(crate) foreign_version: AtomicI64,
    /// What is known of mailboxes, for SELECT.
    pub(crate) known: Memory,
    /// Messages from which on a mailbox has a stored map.
    pub(crate) map_messages: u32,
    /// Messages from which on flags are taken from what is known.
    pub(crate) known_messages: u32,
    /// How long the messages of a page are.
    pub(crate) widths: Widths,
    /// Statements that take long.
    pub(crate) slow: Slow,
    chunks: Mutex<Vec<((i64, i64), Bytes)>>,
    random: RandomState,
    draws: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            clock: settings.clock.clone(),
            ids: Ids::default(),
            hub: Hub::default(),
            news: News::default(),
            tally: Tally::default(),
            repeat_window_seconds: settings.repeat_window_seconds,
            repeat_window_bare_seconds: settings.repeat_window_bare_seconds,
            message_bytes_max: settings.message_bytes_max,
            front_end_name: settings.front_end.clone(),
            front_end: AtomicI64::new(0),
            writing: watch::Sender::new(0),
            foreign_version: AtomicI64::new(0),
            known: Memory::default(),
            map_messages: settings.map_messages,
            known_messages: settings.known_messages,
            widths: Widths::default(),
            slow: Slow::new(settings.slow_milliseconds),
            chunks: Mutex::default(),
            random: RandomState::new(),
            draws: AtomicU64::new(0),
        }
    }

    /// Time to wait before a try.
    pub(crate) fn jitter(&self, tries: u32) -> Duration {
        backoff(tries, self.draw())
    }

    /// A number that nobody can foretell.
    pub(crate) fn draw(&self) -> u64 {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed);
        self.random.hash_one(draw)
    }

    /// An unpacked chunk that was read lately.
    pub(crate) fn chunk(&self, part: i64, ordinal: i64) -> Option<Bytes> {
        let chunks = lock(&self.chunks);
        let kept = chunks.iter().find(|(key, _)| *key == (part, ordinal));
        kept.map(|(_, octets)| octets.clone())
    }

    /// Keeps an unpacked chunk for a while.
    pub(crate) fn keep_chunk(&self, part: i64, ordinal: i64, octets: Bytes) {
        let mut chunks = lock(&self.chunks);
        chunks.retain(|(key, _)| *key != (part, ordinal));
        chunks.truncate(CHUNKS_KEPT - 1);
        chunks.insert(0, ((part, ordinal), octets));
    }
}

/// Fewest rows that a page asks for: a mailbox may have messages far from the average.
const ROWS_MIN: u64 = 16;

/// How many octets a message brings into a page, by what is asked of it: so that a page reads about as many rows as it has
/// room for. Averages that follow what is read; a wrong one makes a page shorter, or reads some rows for nothing.
#[derive(Default)]
pub(crate) struct Widths([AtomicU64; 8]);

impl Widths {
    fn of(&self, items: FetchItems) -> Option<&AtomicU64> {
        let wide = usize::from(items.envelope || items.structure);
        let place = wide + 2 * usize::from(items.header) + 4 * usize::from(items.content);
        self.0.get(place)
    }

    /// How many rows to ask for, where so many octets have room.
    pub(crate) fn rows(&self, items: FetchItems, octets: u64) -> usize {
        let known = self
            .of(items)
            .map_or(0, |width| width.load(Ordering::Relaxed));
        if known == 0 {
            return usize::MAX;
        }
        usize::try_from((octets / known).max(ROWS_MIN) + 1).unwrap_or(usize::MAX)
    }

    /// So many rows had so many octets.
    pub(crate) fn learn(&self, items: FetchItems, rows: u64, octets: u64) {
        let Some(width) = self.of(items) else { return };
        if rows < ROWS_MIN {
            return;
        }
        let (new, old) = ((octets / rows).max(1), width.load(Ordering::Relaxed));
        // Others may learn at the same time: any of the averages will do.
        width.store(
            if old == 0 { new } else { (3 * old + new) / 4 },
            Ordering::Relaxed,
        );
    }
}

/// What is behind our mutexes is whole at every moment, whatever happened to who held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ids taken from the database and not given yet. What is left at exit is lost: ids have gaps.
#[derive(Default)]
pub(crate) struct Ids(Mutex<BTreeMap<Kind, (i64, i64)>>);

impl Ids {
    /// So many ids, one after another; the first of them. `None`: the block must be refilled.
    pub(crate) fn take(&self, kind: Kind, count: u32) -> Option<i64> {
        let mut blocks = lock(&self.0);
        let (next, end) = blocks.get_mut(&kind)?;
        let first = *next;
        let after = first
            .checked_add(i64::from(count))
            .filter(|after| *after <= *end)?;
        *next = after;
        Some(first)
    }
    /// Forgets what is in hand.
    pub(crate) fn forget(&self) {
        lock(&self.0).clear();
    }
    /// How many to take from the database for `count`.
    pub(crate) fn block(&self, count: u32) -> u32 {
        count.max(ID_BLOCK)
    }
    /// Puts in a block, `next` to `end` less one.
    pub(crate) fn refill(&self, kind: Kind, next: i64, end: i64) {
        lock(&self.0).insert(kind, (next, end));
    }
}

/// Figures of what was done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: Mutex<BTreeMap<&'static str, crate::RequestCount>>,
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) linked: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) asked: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) opaque: AtomicU64,
    /// Requests that broke off by a fault of the program.
    pub(crate) broken_off: AtomicU64,
    pub(crate) purged_messages: AtomicU64,
    pub(crate) purged_bytes: AtomicU64,
    pub(crate) purge_runs: AtomicU64,
    /// When the last one ended, in µs.
    pub(crate) purge_last: AtomicI64,
    pub(crate) counter_locks: AtomicU64,
    pub(crate) counter_lock_microseconds: AtomicU64,
    /// Statements under way that lock a counter row.
    pub(crate) counter_locks_under_way: AtomicU64,
}

/// A statement under way that locks a counter row.
pub(crate) struct CounterLock(Arc<Shared>, Instant);

impl CounterLock {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let under_way = &shared.tally.counter_locks_under_way;
        under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared), Instant::now())
    }
}

impl Drop for CounterLock {
    fn drop(&mut self) {
        let tally = &self.0.tally;
        let took = u64::try_from(self.1.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally
            .counter_locks_under_way
            .fetch_sub(1, Ordering::Relaxed);
        tally.counter_locks.fetch_add(1, Ordering::Relaxed);
        tally
            .counter_lock_microseconds
            .fetch_add(took, Ordering::Relaxed);
    }
}

impl Tally {
    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
    /// Notes statements of a request of that name, before [`Self::answered`].
    pub(crate) fn spent(&self, name: &'static str, statements: u64) {
        let mut requests = lock(&self.requests);
        let count = requests.entry(name).or_default();
        count.name = name;
        count.statements += statements;
    }
    /// Notes that a request was answered.
    pub(crate) fn answered(&self, name: &'static str, took: Duration, failed: bool) {
        let mut requests = lock(&self.requests);
        let count = requests.entry(name).or_default();
        count.name = name;
        count.requests += 1;
        count.microseconds += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count.failed += u64::from(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_for_about_as_many_rows_as_it_has_room_for() {
        let widths = Widths::default();
        let headers = FetchItems {
            header: true,
            ..FetchItems::default()
        };
        // Nothing is known: the page's own limits hold.
        assert_eq!(widths.rows(headers, 1 << 20), usize::MAX);
        // Too few to go by.
        widths.learn(headers, ROWS_MIN - 1, 1 << 20);
        assert_eq!(widths.rows(headers, 1 << 20), usize::MAX);
        widths.learn(headers, 100, 100_000);
        assert_eq!(widths.rows(headers, 1_000_000), 1_001);
        // What comes after moves the average by a quarter.
        widths.learn(headers, 100, 500_000);
        assert_eq!(widths.rows(headers, 1_000_000), 501);
        // Never so few that a mailbox of others goes on row by row; and never for nothing.
        assert_eq!(widths.rows(headers, 0), ROWS_MIN as usize + 1);
        widths.learn(headers, 1_000, 0);
        assert!(widths.rows(headers, 1) > 0);
        // Other items have an average of their own.
        let contents = FetchItems {
            content: true,
            ..FetchItems::default()
        };
        assert_eq!(widths.rows(contents, 1 << 20), usize::MAX);
    }
}
