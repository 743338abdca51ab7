//! The store of DBMail: requests of `dbmail_core::store`, answered from an SQL database.

mod account;
mod settings;
mod store;

pub use account::{AdminError, Credential, NewUser, User};
pub use settings::{Applied, Clock, OpenError, Settings};
pub use store::{Counters, RequestCount, Store, Upload, Watch};
