//! A connection to whichever database the URL names.

use std::time::Duration;

use super::mysql::MySql;
use super::postgres::Postgres;
use super::server::Server;
use super::{Begin, Connection, Failure, Rows, Sqlite, Value};
use crate::sql::{Dialect, Rendered, Sql};

/// A connection to one of the databases.
pub(crate) enum AnyConnection {
    /// SQLite.
    Sqlite(Box<Sqlite>),
    /// PostgreSQL.
    Postgres(Box<Server<Postgres>>),
    /// MySQL or MariaDB.
    MySql(Box<Server<MySql>>),
}

impl AnyConnection {
    /// Takes a lock by name, for as long as the connection lives; on SQLite each transaction that writes has the lock of
    /// the whole database anyway.
    pub(crate) async fn hold(&mut self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(inner) => inner.hold(name).await,
            Self::MySql(inner) => inner.hold(name).await,
        }
    }

    /// Runs the text of a migration.
    pub(crate) async fn define(&mut self, text: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(inner) => inner.define(text),
            Self::Postgres(inner) => inner.run(text).await,
            Self::MySql(inner) => inner.run(text).await,
        }
    }

    /// The tables that there are.
    pub(crate) async fn tables(&mut self) -> Result<Vec<String>, Failure> {
        let statement = Sql::Tables.rendered(self.dialect());
        let mut rows = self.query(statement, &[], u64::MAX).await?;
        rows.each().map(|mut row| row.text(0)).collect()
    }

    /// Whether a database with our tables is marked as ours; a server's is not marked.
    pub(crate) fn is_ours(&self) -> Result<bool, Failure> {
        match self {
            Self::Sqlite(inner) => inner.is_ours(),
            Self::Postgres(_) | Self::MySql(_) => Ok(true),
        }
    }

    /// Says good-bye: what is left to do before the connection is closed.
    pub(crate) async fn leave(&mut self) {
        match self {
            Self::Sqlite(inner) => inner.checkpoint(),
            Self::Postgres(inner) => inner.leave().await,
            Self::MySql(inner) => inner.leave().await,
        }
    }
}

/// Hands a call on to the connection that there is. The futures of the servers are boxed: they are large.
macro_rules! each {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self {
            AnyConnection::Sqlite($inner) => $call.await,
            AnyConnection::Postgres($inner) => Box::pin($call).await,
            AnyConnection::MySql($inner) => Box::pin($call).await,
        }
    };
}

impl Connection for AnyConnection {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(inner) => inner.dialect(),
            Self::Postgres(inner) => inner.dialect(),
            Self::MySql(inner) => inner.dialect(),
        }
    }
    async fn begin(&mut self, kind: Begin) -> Result<(), Failure> {
        each!(self, inner => inner.begin(kind))
    }
    async fn commit(&mut self) -> Result<(), Failure> {
        each!(self, inner => inner.commit())
    }
    async fn rollback(&mut self) {
        each!(self, inner => inner.rollback());
    }
    async fn distrust(&mut self) {
        each!(self, inner => inner.distrust());
    }
    async fn query(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        each!(self, inner => inner.query(statement, values, octets_max))
    }
    async fn execute(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
    ) -> Result<u64, Failure> {
        each!(self, inner => inner.execute(statement, values))
    }
    async fn execute_many(
        &mut self,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, Failure> {
        each!(self, inner => inner.execute_many(statement, rows))
    }
    async fn execute_together(
        &mut self,
        group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> Result<Vec<u64>, Failure> {
        each!(self, inner => inner.execute_together(group))
    }
    async fn reconnect(&mut self) -> Result<(), Failure> {
        each!(self, inner => inner.reconnect())
    }
    async fn pause(&mut self, time: Duration) {
        each!(self, inner => inner.pause(time));
    }
    async fn foreign_version(&mut self) -> Result<i64, Failure> {
        each!(self, inner => inner.foreign_version())
    }
}
