//! How a store is opened, and why it may not be.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dbmail_core::limits::MESSAGE_BYTES_MAX;
use dbmail_core::store::Timestamp;

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:///var/lib/dbmail/mail.db`, or `sqlite:mail.db` for a path relative to the working directory;
    /// `postgres://USER:PASSWORD@HOST/DATABASE`, `mysql://…` for MySQL and MariaDB.
    pub url: String,
    /// Connections that read, beside those that write.
    pub readers: usize,
    /// Connections for changes of sessions; SQLite has one for everything that writes.
    pub writers: usize,
    /// Connections that link messages, each for a share of the accounts; none on SQLite.
    pub committers: usize,
    /// Largest message, in octets; an upload past it is refused with `Limit`.
    pub message_bytes_max: u64,
    /// How long a delivery's identity is kept, so that a repeat is recognised (STORAGE 8); 0: none is.
    pub repeat_window_seconds: u64,
    /// The same for a message without a Received field, where a second copy looks like a repeat: only so long may a
    /// sender be waiting for the first reply. RFC 5321 §4.5.3.2.6 lets it wait ten minutes.
    pub repeat_window_bare_seconds: u64,
    /// Messages from which on a mailbox's UIDs are kept as a map beside the rows, for a first SELECT (STORAGE 10): below it the
    /// rows cost as little.
    pub map_messages: u32,
    /// Messages from which on flags are taken from what this front-end knows of a mailbox and its log, instead of the rows: for
    /// fewer a statement costs as much as their rows.
    pub known_messages: u32,
    /// Name of this process among those that share the database, for people.
    pub front_end: String,
    /// Pause between two runs of the background work (collecting parts, uploads, identities); 0 for none.
    pub background_seconds: u64,
    /// How long what is gone is kept.
    pub retention: Retention,
    /// Pause between two runs in which what is past its time is purged; 0, or no background work, for none.
    pub purge_seconds: u64,
    /// From how many milliseconds on a statement is told in the log as slow; 0: never.
    pub slow_milliseconds: u64,
    /// Pause between two looks for other front-ends' news, in milliseconds (STORAGE 11).
    pub poll_milliseconds: u64,
    /// Pause between two looks at the counter rows of watched mailboxes, in milliseconds: heals what a front-end that died
    /// did not tell.
    pub news_sweep_milliseconds: u64,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            readers: 4,
            writers: 4,
            committers: 4,
            message_bytes_max: MESSAGE_BYTES_MAX,
            repeat_window_seconds: 7 * 24 * 3600,
            repeat_window_bare_seconds: 10 * 60,
            map_messages: 4_096,
            known_messages: 256,
            front_end: format!("process {}", std::process::id()),
            background_seconds: 60,
            retention: Retention::default(),
            purge_seconds: 3600,
            slow_milliseconds: 1_000,
            poll_milliseconds: 250,
            news_sweep_milliseconds: 30_000,
            clock: Clock::system(),
        }
    }
}

/// How long what is gone is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Messages that were expunged, and deleted mailboxes, in seconds. Whatever is said here, they stay as long as sessions may
    /// still ask for them: [`dbmail_core::limits::GONE_KEPT_SECONDS_MIN`].
    pub deleted_seconds: u64,
    /// Rows of the logs, in seconds; at least [`dbmail_core::limits::LOG_KEPT_SECONDS_MIN`]. Clients that were away for longer compare
    /// their mailbox as a whole.
    pub log_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            deleted_seconds: 30 * 24 * 3600,
            log_seconds: 90 * 24 * 3600,
        }
    }
}

/// Tells the time: the system's, or in tests any.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let micros = since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
            Timestamp(micros)
        })
    }
    /// A clock of one's own.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Why a database could not be opened. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The schema is older than this program.
    #[error(
        "the database has schema version {have}, this program needs {want}: run `dbmail migrate`"
    )]
    TooOld {
        /// Version found.
        have: i64,
        /// Version needed.
        want: i64,
    },
    /// The schema is newer than this program.
    #[error(
        "the database has schema version {have}, this program knows up to {want}: run a newer dbmail"
    )]
    TooNew {
        /// Version found.
        have: i64,
        /// Newest version known.
        want: i64,
    },
    /// There is no schema yet.
    #[error("the database is empty: run `dbmail migrate`, or add the first user")]
    Empty,
    /// Another process holds the database for longer than we wait.
    #[error(
        "the database is locked by another process: stop it, or wait until it is done, and try again"
    )]
    Locked,
    /// The file is a database of something else, or damaged.
    #[error("{0}")]
    NotOurs(String),
    /// The URL names no database that this program can open.
    #[error("{0}")]
    Url(String),
    /// The database can't be reached; why.
    #[error("the database can't be opened: {0}")]
    Unreachable(String),
    /// The database server can't be used as it is.
    #[error("the database server can't be used: {0}")]
    Server(String),
    /// Others may read the mail; how.
    #[error("the database is not safe from others: {0}")]
    Insecure(String),
    /// A migration differs from the one that was applied.
    #[error(
        "migration {name} was applied in another form than this program knows it; this database needs the program that made it"
    )]
    Changed {
        /// Its file name.
        name: String,
    },
}

/// A migration that was applied, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// Its file name.
    pub name: String,
    /// Statements in it.
    pub statements: usize,
}
