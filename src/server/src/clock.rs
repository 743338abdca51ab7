//! The clock. Sessions read none: the shell tells them the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dbmail_core::store::Timestamp;

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How long it is until then; zero when it has passed.
#[must_use]
pub fn until(then: Timestamp) -> Duration {
    let micros = then.0.saturating_sub(now().0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
