//! A database that is reached over a network: what PostgreSQL, MySQL and MariaDB have in common. A connection that met
//! anything but an error told by the database is given up, and the next transaction begins on a new one.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use sqlx::Connection as _;

use super::{Begin, Connection, Failure, Rows, Value};
use crate::sql::{Dialect, Rendered, Step};

/// How long a connection may take to be made. A database that is starting refuses at once; one that does not answer at
/// all is treated as not there.
const CONNECT_SECONDS: u64 = 5;
/// How long one statement may take, the way there and back included: the longest is a COPY of a mailbox of a million
/// messages. What takes longer is hung, and the connection is given up.
pub(super) const STATEMENT_SECONDS: u64 = 120;
/// How long a statement waits for a lock: longer than any transaction of ours holds one, and short of a client's patience.
pub(super) const LOCK_SECONDS: u64 = 10;
/// Statements kept prepared on a connection: all that there are, with the sizes of many-row INSERTs.
pub(super) const PREPARED_MAX: usize = 500;

/// One kind of database server.
pub(crate) trait Flavour: Send + Sync + Sized + 'static {
    /// How to reach it.
    type Options: Clone + Send + Sync;
    /// A connection of sqlx.
    type Link: sqlx::Connection + Send;
    /// Which SQL it speaks.
    const DIALECT: Dialect;

    /// Connects, and sets what a session of ours needs.
    fn connect(
        options: &Self::Options,
    ) -> impl Future<Output = Result<Self::Link, sqlx::Error>> + Send;
    /// What an error that the database told means to the store.
    fn told(error: &dyn sqlx::error::DatabaseError) -> Failure;
    /// Runs a text without values.
    fn run(
        link: &mut Self::Link,
        text: &'static str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// The texts that begin a transaction.
    fn begin(kind: Begin) -> &'static [&'static str];
    /// Rows of a text.
    fn query(
        link: &mut Self::Link,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
        octets_max: u64,
    ) -> impl Future<Output = Result<Rows, sqlx::Error>> + Send;
    /// Runs a text; how many rows it touched.
    fn execute(
        link: &mut Self::Link,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
    /// Runs a statement for many rows; how many it touched.
    fn insert(
        link: &mut Self::Link,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
    /// Runs several statements for many rows each on one way there and back, in order; how many rows each touched. None:
    /// this kind of database does not.
    fn together(
        _link: &mut Self::Link,
        _group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> impl Future<Output = Result<Option<Vec<u64>>, sqlx::Error>> + Send {
        async { Ok(None) }
    }
}

/// A connection to a server, or the lack of one.
pub(crate) struct Server<F: Flavour> {
    options: F::Options,
    link: Option<F::Link>,
    /// Within a transaction: what is lost then can't be run again by itself.
    within: bool,
    asked: i64,
}

impl<F: Flavour> fmt::Debug for Server<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", F::DIALECT)
    }
}

/// Waits for an answer of the database, and no longer than it may take.
async fn within<T>(
    seconds: u64,
    future: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {seconds} seconds"),
        ))),
    }
}

impl<F: Flavour> Server<F> {
    /// Not connected yet: the first transaction or [`Connection::reconnect`] does that.
    pub(crate) const fn new(options: F::Options) -> Self {
        Self {
            options,
            link: None,
            within: false,
            asked: 0,
        }
    }

    /// Closes the connection.
    pub(crate) async fn leave(&mut self) {
        if let Some(link) = self.link.take() {
            // Told that we go, the server does not wait for us; whether it hears does not matter.
            let _ = tokio::time::timeout(Duration::from_secs(1), link.close()).await;
        }
    }

    /// What an error means; anything but one that the database told ends the connection.
    fn failed(&mut self, error: sqlx::Error) -> Failure {
        let failure = meaning::<F>(&error);
        if !matches!(error, sqlx::Error::Database(_)) || matches!(failure, Failure::Lost(_)) {
            self.link = None;
        }
        failure
    }

    async fn connected(&mut self) -> Result<&mut F::Link, Failure> {
        if self.link.is_none() {
            if self.within {
                return Err(Failure::Lost("the connection broke".to_owned()));
            }
            self.reconnect().await?;
        }
        let gone = || Failure::Lost("no connection".to_owned());
        self.link.as_mut().ok_or_else(gone)
    }

    /// Runs a text without values: of a migration, or of ours.
    pub(crate) async fn run(&mut self, text: &'static str) -> Result<(), Failure> {
        let link = self.connected().await?;
        let done = within(STATEMENT_SECONDS, F::run(link, text)).await;
        done.map_err(|error| self.failed(error))
    }

    /// Asks something that only this kind of database knows. As long as it takes: what is asked has its own limit.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut F::Link) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let link = self.connected().await?;
        question(link).await.map_err(|error| self.failed(error))
    }

    async fn begin_once(&mut self, kind: Begin) -> Result<(), Failure> {
        for text in F::begin(kind) {
            self.run(text).await?;
        }
        Ok(())
    }

    async fn query_once(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        let link = self.connected().await?;
        let mut rows = Rows::default();
        for (n, step) in statement.steps.iter().enumerate() {
            let answer = if n + 1 < statement.steps.len() {
                // A change, before the question that tells what it made.
                match within(STATEMENT_SECONDS, F::execute(link, statement, step, values)).await {
                    Ok(0) => return Ok(Rows::default()),
                    Ok(_) => continue,
                    Err(error) => Err(error),
                }
            } else {
                let query = F::query(link, statement, step, values, octets_max);
                within(STATEMENT_SECONDS, query).await
            };
            rows = answer.map_err(|error| self.failed(error))?;
            break;
        }
        Ok(rows)
    }
}

/// What an error means to the store.
fn meaning<F: Flavour>(error: &sqlx::Error) -> Failure {
    // Exhaustive matching is not possible on a foreign enum that may grow.
    #[allow(clippy::wildcard_enum_match_arm)]
    match error {
        sqlx::Error::Database(told) => F::told(&**told),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            Failure::Other(error.to_string())
        }
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            Failure::Damaged(error.to_string())
        }
        other => Failure::Lost(other.to_string()),
    }
}

impl<F: Flavour> Connection for Server<F> {
    fn dialect(&self) -> Dialect {
        F::DIALECT
    }

    async fn begin(&mut self, kind: Begin) -> Result<(), Failure> {
        self.within = false;
        let begun = match self.begin_once(kind).await {
            // The connection died while it was idle: nothing was asked on it yet.
            Err(Failure::Lost(_)) => self.begin_once(kind).await,
            begun => begun,
        };
        self.within = begun.is_ok();
        begun
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let done = self.run("COMMIT").await;
        self.within = false;
        done
    }

    async fn rollback(&mut self) {
        if self.link.is_some()
            && let Err(error) = self.run("ROLLBACK").await
        {
            tracing::debug!(%error, "a transaction was not rolled back; its connection is given up");
            self.link = None;
        }
        self.within = false;
    }

    async fn query(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        let within = self.within;
        match self.query_once(statement, values, octets_max).await {
            Err(Failure::Lost(_)) if !within && statement.steps.len() == 1 => {
                self.query_once(statement, values, octets_max).await
            }
            answer => answer,
        }
    }

    async fn execute(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
    ) -> Result<u64, Failure> {
        let link = self.connected().await?;
        let mut touched = 0;
        for step in &statement.steps {
            match within(STATEMENT_SECONDS, F::execute(link, statement, step, values)).await {
                Ok(rows) => touched = rows,
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(touched)
    }

    async fn execute_many(
        &mut self,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, Failure> {
        if rows.len() > 1 && statement.many.is_some() {
            let link = self.connected().await?;
            let done = within(STATEMENT_SECONDS, F::insert(link, statement, rows)).await;
            return done.map_err(|error| self.failed(error));
        }
        let mut touched = 0;
        for row in rows {
            touched += self.execute(statement, row).await?;
        }
        Ok(touched)
    }

    async fn execute_together(
        &mut self,
        group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> Result<Vec<u64>, Failure> {
        let link = self.connected().await?;
        match within(STATEMENT_SECONDS, F::together(link, group)).await {
            Ok(Some(touched)) => return Ok(touched),
            Ok(None) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let mut touched = Vec::with_capacity(group.len());
        for (statement, rows) in group {
            touched.push(self.execute_many(statement, rows).await?);
        }
        Ok(touched)
    }

    async fn distrust(&mut self) {
        // The server rolls back when it sees the connection end.
        self.link = None;
        self.within = false;
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        self.within = false;
        self.leave().await;
        let made = within(CONNECT_SECONDS, F::connect(&self.options)).await;
        // Whatever kept it from being made: there is no connection.
        self.link = Some(made.map_err(|error| Failure::Lost(error.to_string()))?);
        Ok(())
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn foreign_version(&mut self) -> Result<i64, Failure> {
        // It has no such number: somebody may always have written.
        self.asked = self.asked.wrapping_add(1);
        Ok(self.asked)
    }
}
