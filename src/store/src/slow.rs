//! Statements that took long, for the operator: which, for which request, how long. Never what they were asked for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::shared::lock;

/// Pause between two lines of the log: where everything is slow, a few lines say so as well as thousands.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at how long statements take.
pub(crate) struct Slow {
    /// From here on a statement is slow; none: no statement is.
    limit: Option<Duration>,
    /// How many were.
    pub(crate) count: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    /// Slow ones since then that were not told.
    untold: u64,
}

impl Slow {
    /// Slow is what takes so many milliseconds; 0: nothing is.
    pub(crate) fn new(milliseconds: u64) -> Self {
        Self {
            limit: (milliseconds > 0).then(|| Duration::from_millis(milliseconds)),
            count: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    /// A statement of a request has ended now.
    pub(crate) fn look(&self, request: &str, statement: &str, begun: Instant) {
        let took = begun.elapsed();
        if self.limit.is_none_or(|limit| took < limit) {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let Some(untold) = self.due(Instant::now()) else {
            return;
        };
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            request,
            statement,
            milliseconds,
            untold,
            "a statement was slow: waiting for the network, for a lock and for the database are all in its time \
             (database.slow_milliseconds; docs/operate/databases.md)"
        );
    }

    /// Whether a line may be written; then how many were not told since the last one.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut told = lock(&self.told);
        if told.last.is_some_and(|last| now < last + PAUSE) {
            told.untold += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_counted_and_told_once_a_second() {
        let slow = Slow::new(50);
        let count = || slow.count.load(Ordering::Relaxed);
        let begun = Instant::now();
        slow.look("fetch", "FetchPage", begun);
        assert_eq!(count(), 0);
        std::thread::sleep(Duration::from_millis(51));
        slow.look("fetch", "FetchPage", begun);
        slow.look("fetch", "FetchPage", begun);
        assert_eq!(count(), 2);
        let now = Instant::now();
        assert_eq!(slow.due(now), None);
        assert_eq!(slow.due(now + PAUSE), Some(2));
        assert_eq!(slow.due(now + PAUSE * 2), Some(0));
        let never = Slow::new(0);
        never.look("fetch", "FetchPage", begun);
        assert_eq!(never.count.load(Ordering::Relaxed), 0);
    }
}
