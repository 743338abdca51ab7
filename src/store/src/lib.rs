//! The store of DBMail: requests of `dbmail_core::store`, answered from an SQL database.
//!
//! - [`Store`] takes requests; changes wait in a queue for the one thread that writes (messages that wait together are
//!   linked in one commit), questions go to threads that read.
//! - `engine` says what each request means in SQL, once for every database; `sql` holds the statements, `driver` the
//!   databases, `db` what every request needs of a connection.
//! - [`Upload`] takes a message while it arrives, whatever its size, in bounded memory.
//!
//! What every request means is said by `dbmail_core::store::memory`; the design is `docs/design/store.md`.

mod account;
mod check;
mod content;
mod counters;
mod cutter;
mod db;
mod driver;
mod engine;
#[cfg(test)]
mod faults;
mod heard;
mod hub;
mod map;
mod migrate;
mod news;
mod pack;
mod pages;
mod purge;
mod restored;
mod server_settings;
mod settings;
mod shared;
mod slow;
mod sql;
mod stats;
mod store;
mod uid_bytes;
mod undelete;
mod upload;
mod workers;

pub use account::{AdminError, Credential, NewUser, User};
pub use check::{
    Check, CheckNews, Checked, Fault, FaultKind, Looked, Place, Progress, RepairPlan, Stage,
};
pub use counters::{Counters, RequestCount};
pub use hub::Watch;
pub use purge::{Purge, Purged};
pub use restored::RestoredPlan;
pub use settings::{Applied, Clock, OpenError, Retention, Settings};
pub use stats::{Stats, TableSize};
pub use store::Store;
pub use undelete::{Ended, GoneMailbox, GoneMessage, GonePage, Wanted};
pub use upload::Upload;
