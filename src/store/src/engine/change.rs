//! Changes asked for by sessions, each in a transaction of its own.

use dbmail_core::store::{Answer, MailboxId, Refusal, Request};

use crate::db::{Db, Error, Work};
use crate::driver::{Connection, values};
use crate::shared::Kind;
use crate::sql::Sql;

/// A request that changes something and brings no message.
pub(crate) struct Change(pub(crate) Request);

impl Work for Change {
    type Done = Answer;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Answer, Error> {
        match &self.0 {
            Request::Create {
                account,
                name,
                special_use,
            } => db.create(*account, name, *special_use).await,
            Request::Delete { account, name } => db.delete(*account, name).await,
            Request::Rename { account, from, to } => db.rename(*account, from, to).await,
            Request::Subscribe {
                account,
                name,
                subscribed,
            } => db.subscribe(*account, name, *subscribed).await,
            Request::Store {
                mailbox,
                uids,
                how,
                flags,
                unchanged_since,
            } => {
                db.store(*mailbox, uids, *how, flags, *unchanged_since)
                    .await
            }
            Request::Expunge { mailbox, uids } => db.expunge(*mailbox, uids.as_ref()).await,
            Request::Copy {
                mailbox,
                uids,
                account,
                to,
            } => db.copy(*mailbox, uids, *account, to, false).await,
            Request::Move {
                mailbox,
                uids,
                account,
                to,
            } => db.copy(*mailbox, uids, *account, to, true).await,
            Request::Resolve { .. }
            | Request::Mailboxes { .. }
            | Request::Status { .. }
            | Request::Open { .. }
            | Request::Changes { .. }
            | Request::Fetch { .. }
            | Request::Read { .. }
            | Request::Append { .. }
            | Request::Deliver { .. } => Err(Refusal::Unavailable.into()),
        }
    }
}

/// Claims what is recent (STORAGE 18): no MODSEQ, no log, no news.
pub(crate) struct Claim {
    pub(crate) mailbox: MailboxId,
    pub(crate) recent_from: i64,
    pub(crate) next_uid: i64,
}

impl Work for Claim {
    /// Whether this session has them; another may have been faster.
    type Done = bool;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<bool, Error> {
        let values = values![self.mailbox.0, self.recent_from, self.next_uid];
        Ok(db.execute(Sql::StateClaim, &values).await? == 1)
    }
}

/// One id, from the block at hand or a new one.
pub(crate) struct NextId(pub(crate) Kind);

impl Work for NextId {
    type Done = i64;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<i64, Error> {
        db.ids(self.0, 1)
    }
}
