//! After an older state of the database was restored: what the state that is lost may have given out is never given
//! again. Clients hold UIDs and object ids of that state, which the restored one would give to other messages.

use dbmail_core::store::{AccountId, MailboxId, Refusal};

use crate::db::{Db, Error, Work};
use crate::driver::{Connection, values};
use crate::sql::Sql;

/// Ids of each kind that are passed over: at a thousand a second they would last for 34 years, and there is room for
/// eight million restores.
const IDS_PASSED: i64 = 1 << 40;
/// Accounts looked at in one statement.
const ACCOUNTS: u32 = 500;

/// Passes over ids. Doing it twice does no harm.
pub(crate) struct PassIds;

impl Work for PassIds {
    type Done = ();

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
        db.execute(Sql::IdsPass, &values![IDS_PASSED]).await?;
        // Those in hand are of before.
        db.shared.ids.forget();
        Ok(())
    }
}

/// Gives all mailboxes of an account new UIDVALIDITYs, unless that was done since a time.
pub(crate) struct Renew {
    pub(crate) account: AccountId,
    /// Microseconds.
    pub(crate) since: i64,
}

impl Work for Renew {
    /// How many mailboxes; `None`: it was done already, or the account is no more.
    type Done = Option<u64>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Option<u64>, Error> {
        let mut tree = match db.tree(self.account).await {
            Ok(tree) => tree,
            Err(Error::Refused(Refusal::NoSuchMailbox)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let look = values![self.account.0, self.since];
        let mut rows = db.query(Sql::AccountRenewed, &look).await?;
        if rows.first().map_or(Ok(0), |row| row.int(0))? > 0 {
            return Ok(None);
        }
        let renewed = tree.renew(db.now())?;
        let row = |(mailbox, validity): &(MailboxId, i64)| values![mailbox.0, *validity].into();
        db.many(Sql::MailboxRenew, renewed.iter().map(row).collect())
            .await?;
        for (mailbox, _) in &renewed {
            db.touch(*mailbox);
        }
        db.finish(self.account, tree).await?;
        Ok(Some(renewed.len() as u64))
    }
}

/// An account, as the plan has it.
pub(crate) struct Planned {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) mailboxes: u64,
    /// It was renewed since the time that was named.
    pub(crate) done: bool,
}

impl<C: Connection> Db<C> {
    /// Some accounts, in the order of their ids. None: that was all.
    pub(crate) async fn restored_page(
        &mut self,
        after: AccountId,
        since: i64,
    ) -> Result<Vec<Planned>, Error> {
        let values = values![after.0, since, ACCOUNTS];
        let mut rows = self.query(Sql::RestoredPage, &values).await?;
        let mut page = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            page.push(Planned {
                account: AccountId(row.int(0)?),
                name: row.text(1)?,
                mailboxes: row.u64(2)?,
                done: row.int(3)? > 0,
            });
        }
        Ok(page)
    }
}
