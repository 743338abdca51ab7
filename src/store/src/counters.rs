//! What a store has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Store;
use crate::shared::lock;

/// What the store has done, for metrics. All figures only grow, save `queued`, the news' lag and the locks
/// under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// For each request by name.
    pub requests: Vec<RequestCount>,
    /// Transactions committed.
    pub commits: u64,
    /// Those of them that linked messages (deliveries and APPENDs).
    pub batches: u64,
    /// Messages linked by them, counted for each mailbox.
    pub linked: u64,
    /// Write requests that wait now.
    pub queued: u64,
    /// Transactions run again after a lock, deadlock or serialisation failure.
    pub retries: u64,
    /// Commits whose reply was lost and that were asked about.
    pub asked: u64,
    /// Deliveries recognised as repeats.
    pub repeats: u64,
    /// News rows written for other front-ends.
    pub news_told: u64,
    /// News rows of other front-ends that were read.
    pub news_heard: u64,
    /// Looks for news.
    pub news_polls: u64,
    /// Of the newest row heard: microseconds from its writing to its reading, by two clocks.
    pub news_lag_microseconds: i64,
    /// Statements that locked a mailbox's counter row.
    pub counter_locks: u64,
    /// Time that they took, in microseconds: waiting for others who held it, and the way to the database and back.
    pub counter_lock_microseconds: u64,
    /// Those that are under way now.
    pub counter_locks_under_way: u64,
    /// Statements that took longer than `slow_milliseconds`.
    pub slow: u64,
    /// Requests that broke off by a fault of the program.
    pub broken_off: u64,
    /// Messages that did not go together again from their parts: stored whole, or refused when they were staged.
    pub opaque: u64,
    /// Mailboxes opened from what this front-end knew of them, and the log since.
    pub opened_from_memory: u64,
    /// Times that flags of many messages were taken from what was known of their mailbox, by FETCH and STORE.
    pub flags_from_memory: u64,
    /// Mailboxes opened from their stored map, and the log since.
    pub opened_from_map: u64,
    /// Mailboxes opened by reading a row for each message.
    pub opened_from_rows: u64,
    /// Messages that were purged past their time.
    pub purged_messages: u64,
    /// Their octets.
    pub purged_bytes: u64,
    /// Runs of purging that came to their end.
    pub purge_runs: u64,
    /// When the last of them did, in microseconds since 1970 UTC; 0: none did.
    pub purge_last: i64,
}

/// What requests of one name cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCount {
    /// [`Request::name`].
    pub name: &'static str,
    /// How many were answered.
    pub requests: u64,
    /// Statements that they took.
    pub statements: u64,
    /// Time that they took, in microseconds, waiting in the queue included.
    pub microseconds: u64,
    /// How many were refused as unavailable, damaged or of unknown outcome.
    pub failed: u64,
}

impl Store {
    /// What the store has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let tally = &self.0.shared.tally;
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counters {
            requests: lock(&tally.requests).values().cloned().collect(),
            commits: read(&tally.commits),
            batches: read(&tally.batches),
            linked: read(&tally.linked),
            queued: self
                .0
                .committers
                .iter()
                .map(|queue| queue.len())
                .sum::<usize>() as u64
                + self.0.writer.len() as u64,
            retries: read(&tally.retries),
            asked: read(&tally.asked),
            repeats: read(&tally.repeats),
            news_told: read(&self.0.shared.news.rows_told),
            news_heard: read(&self.0.shared.news.rows_heard),
            news_polls: read(&self.0.shared.news.polls),
            news_lag_microseconds: self.0.shared.news.lag.load(Ordering::Relaxed),
            counter_locks: read(&tally.counter_locks),
            counter_lock_microseconds: read(&tally.counter_lock_microseconds),
            counter_locks_under_way: read(&tally.counter_locks_under_way),
            slow: read(&self.0.shared.slow.count),
            broken_off: read(&tally.broken_off),
            opaque: read(&tally.opaque),
            opened_from_memory: read(&self.0.shared.known.from_memory),
            flags_from_memory: read(&self.0.shared.known.flags),
            opened_from_map: read(&self.0.shared.known.from_map),
            opened_from_rows: read(&self.0.shared.known.from_rows),
            purged_messages: read(&tally.purged_messages),
            purged_bytes: read(&tally.purged_bytes),
            purge_runs: read(&tally.purge_runs),
            purge_last: tally.purge_last.load(Ordering::Relaxed),
        }
    }
}
