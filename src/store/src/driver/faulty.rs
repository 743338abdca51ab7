//! A connection that fails as it is told, for tests of what the store does then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Begin, Connection, Failure, Rows, Value};
use crate::shared::lock;
use crate::sql::{Dialect, Rendered};

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// BEGIN meets a lock.
    Busy,
    /// COMMIT meets a lock or a conflict.
    CommitBusy,
    /// COMMIT happens and its reply is lost.
    LostAfter,
    /// COMMIT does not happen and its reply is lost.
    LostBefore,
    /// The next connection can't be made.
    NoConnection,
    /// The statement of that name fails for good.
    Statement(&'static str),
    /// The statement of that name meets a lock.
    StatementBusy(&'static str),
    /// The connection breaks at the statement of that name.
    StatementLost(&'static str),
    /// The database can't read what the statement of that name asks for.
    StatementDamaged(&'static str),
}

/// A connection with faults to come, in order.
pub(crate) struct Faulty<C> {
    inner: C,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl<C> Faulty<C> {
    pub(crate) fn new(inner: C, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            inner,
            faults: Arc::new(Mutex::new(faults.into_iter().collect())),
        }
    }

    /// Whether the next fault is one of these; then it is used up.
    fn next(&self, of: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let fault = faults.front().copied().filter(|fault| of(*fault))?;
        faults.pop_front();
        Some(fault)
    }

    fn statement(&self, statement: &Rendered) -> Result<(), Failure> {
        let name = statement.name;
        let fails = |fault| match fault {
            Fault::Statement(of)
            | Fault::StatementBusy(of)
            | Fault::StatementLost(of)
            | Fault::StatementDamaged(of) => of == name,
            _ => false,
        };
        let told = || "told to fail".to_owned();
        match self.next(fails) {
            None => Ok(()),
            Some(Fault::StatementBusy(_)) => Err(Failure::Busy),
            Some(Fault::StatementLost(_)) => Err(Failure::Lost(told())),
            Some(Fault::StatementDamaged(_)) => Err(Failure::Damaged(told())),
            Some(_) => Err(Failure::Other(told())),
        }
    }
}

impl<C: Connection> Connection for Faulty<C> {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }
    async fn begin(&mut self, kind: Begin) -> Result<(), Failure> {
        if self.next(|f| f == Fault::Busy).is_some() {
            return Err(Failure::Busy);
        }
        self.inner.begin(kind).await
    }
    async fn commit(&mut self) -> Result<(), Failure> {
        let fails = |f| matches!(f, Fault::CommitBusy | Fault::LostAfter | Fault::LostBefore);
        match self.next(fails) {
            None => self.inner.commit().await,
            Some(Fault::CommitBusy) => Err(Failure::Busy),
            Some(Fault::LostAfter) => {
                self.inner.commit().await?;
                Err(Failure::Lost("told to".to_owned()))
            }
            Some(_) => {
                self.inner.rollback().await;
                Err(Failure::Lost("told to".to_owned()))
            }
        }
    }
    async fn rollback(&mut self) {
        self.inner.rollback().await;
    }
    async fn query(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        self.statement(statement)?;
        self.inner.query(statement, values, octets_max).await
    }
    async fn execute(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
    ) -> Result<u64, Failure> {
        self.statement(statement)?;
        self.inner.execute(statement, values).await
    }
    async fn execute_many(
        &mut self,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, Failure> {
        self.statement(statement)?;
        self.inner.execute_many(statement, rows).await
    }
    async fn execute_together(
        &mut self,
        group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> Result<Vec<u64>, Failure> {
        for (statement, _) in group {
            self.statement(statement)?;
        }
        self.inner.execute_together(group).await
    }
    async fn distrust(&mut self) {
        self.inner.distrust().await;
    }
    async fn reconnect(&mut self) -> Result<(), Failure> {
        if self.next(|f| f == Fault::NoConnection).is_some() {
            return Err(Failure::Lost("no connection".to_owned()));
        }
        self.inner.reconnect().await
    }
    async fn pause(&mut self, _time: Duration) {}
    async fn foreign_version(&mut self) -> Result<i64, Failure> {
        self.inner.foreign_version().await
    }
}
