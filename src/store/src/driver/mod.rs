//! What the store needs of a database: statements in, rows out, transactions. All mail logic is above this trait.
//!
//! A driver is thin: it takes rendered statements ([`crate::sql`]) and plain values, and says of an error only what the
//! store acts on ([`Failure`]). The futures of an embedded database are ready at once; those of a database over a network
//! wait for it.

mod any;
#[cfg(test)]
mod faulty;
mod mysql;
mod postgres;
mod run;
mod server;
mod sqlite;
mod value;

pub(crate) use any::AnyConnection;
#[cfg(test)]
pub(crate) use faulty::{Fault, Faulty};
pub(crate) use mysql::options as mysql_options;
pub(crate) use postgres::{listen, options as postgres_options};
pub(crate) use run::{Owner, Queue, block_on};
pub(crate) use server::Server;
pub(crate) use sqlite::{Sqlite, SqliteFile};
pub(crate) use value::{Row, Rows, Value, values};

use std::time::Duration;

use crate::sql::{Dialect, Rendered};

/// What a transaction is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Read one moment of the database.
    Read,
    /// Change it. On SQLite this takes the one lock there is.
    Write,
}

/// What went wrong, as far as the store acts on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A lock was not to be had, a deadlock, a serialisation failure: the transaction may be run again.
    #[error("the database is busy")]
    Busy,
    /// A unique or primary key is there already.
    #[error("a row is there already: {0}")]
    Unique(String),
    /// A row that is referred to is not there, or is still referred to.
    #[error("a row is not there or still in use: {0}")]
    Foreign(String),
    /// The connection broke; of a commit the outcome is unknown.
    #[error("the database was lost: {0}")]
    Lost(String),
    /// The database, or what it gave, is not what it must be.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Anything else: no room, no rights, a mistake of ours.
    #[error("{0}")]
    Other(String),
}

/// One connection to a database. Not shared, and nothing is held on it while a peer is waited for.
pub(crate) trait Connection: Send {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;
    /// Begins a transaction.
    fn begin(&mut self, kind: Begin) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Commits. `Failure::Lost`: nobody knows whether it happened.
    fn commit(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Rolls back; also when the database has done so itself, and then does nothing.
    fn rollback(&mut self) -> impl Future<Output = ()> + Send;
    /// Rows of a statement. Reading stops after the row by which their octets reach `octets_max`; [`Rows::cut`] says so.
    fn query(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> impl Future<Output = Result<Rows, Failure>> + Send;
    /// Runs a statement and returns how many rows it touched.
    fn execute(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
    ) -> impl Future<Output = Result<u64, Failure>> + Send;
    /// Runs a statement once for each row of values, in one go, and returns how many rows were touched in all.
    fn execute_many(
        &mut self,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> impl Future<Output = Result<u64, Failure>> + Send;
    /// Runs several statements, each for its rows, in order and on as few ways there and back as the database allows. None of
    /// them may read what another writes. How many rows each touched.
    fn execute_together(
        &mut self,
        group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> impl Future<Output = Result<Vec<u64>, Failure>> + Send {
        async move {
            let mut touched = Vec::with_capacity(group.len());
            for (statement, rows) in group {
                touched.push(self.execute_many(statement, rows).await?);
            }
            Ok(touched)
        }
    }
    /// What it was at when a request broke off is not known: nothing of that may be left.
    fn distrust(&mut self) -> impl Future<Output = ()> + Send;
    /// A new connection in place of a broken one.
    fn reconnect(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Waits, before something is tried again.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send;
    /// A number that is another one after another process has committed.
    fn foreign_version(&mut self) -> impl Future<Output = Result<i64, Failure>> + Send;
}
