//! The names of test databases, which say when they were made: so that what a killed test left can be told from what
//! is in use, whichever machine made it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a test database's name begins.
pub(crate) const PREFIX: &str = "dbmail_test_";
/// A database that is older and that nobody is connected to was left by a test that was killed. The slowest of the
/// tests takes some minutes.
pub(crate) const LEFT_AFTER: Duration = Duration::from_secs(60 * 60);
/// A number in a name that is smaller is no time: such names come from elsewhere.
const FIRST_SECOND: u64 = 1_700_000_000;

/// Sixty-four bits that nobody else has.
pub(crate) fn random() -> u64 {
    // Each state has keys of its own, which the operating system's random numbers began.
    RandomState::new().build_hasher().finish()
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

/// A name that no other test has, on any machine.
pub(crate) fn fresh() -> String {
    named(seconds(SystemTime::now()), random())
}

/// A name of a database that no test run drops.
pub(crate) fn lasting() -> String {
    format!("dbmail_lasting_{:016x}", random())
}

pub(crate) fn named(second: u64, random: u64) -> String {
    format!("{PREFIX}{second}_{random:016x}")
}

/// Whether a database of that name was made so long ago that its test has ended.
pub(crate) fn is_left(name: &str, now: SystemTime) -> bool {
    let made = || -> Option<u64> {
        let (second, random) = name.strip_prefix(PREFIX)?.split_once('_')?;
        u64::from_str_radix(random, 16).ok()?;
        second.parse().ok()
    };
    made().is_some_and(|made| {
        made >= FIRST_SECOND && seconds(now).saturating_sub(made) > LEFT_AFTER.as_secs()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn is_left_now(name: &str) -> bool {
        is_left(name, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn names_are_never_the_same_and_fit_every_database() {
        let mut names: Vec<_> = (0..1000).map(|_| fresh()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1000);
        // PostgreSQL takes 63 octets, the others 64.
        assert!(names.iter().all(|name| name.len() <= 63));
    }

    #[test]
    fn a_database_is_left_after_an_hour() {
        let hour = LEFT_AFTER.as_secs();
        assert!(!is_left_now(&named(NOW, 7)));
        assert!(!is_left_now(&named(NOW - hour, 7)));
        assert!(is_left_now(&named(NOW - hour - 1, 7)));
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nothing_old() {
        assert!(!is_left_now(&named(NOW + 100_000, 7)));
    }

    #[test]
    fn what_the_tests_did_not_make_is_never_left() {
        for name in [
            "dbmail",
            "dbmail_test_",
            "dbmail_test_mine",
            "dbmail_test_4711_3",
            "dbmail_test_1700000000_of_mine",
            "mydbmail_test_1700000000_00",
        ] {
            assert!(!is_left_now(name), "{name}");
        }
    }
}
