//! What is to be done after an older state of the database was restored.

use dbmail_core::store::{AccountId, Refusal, Timestamp};

use crate::driver::values;
use crate::engine::{PassIds, Planned, Renew};
use crate::sql::Sql;
use crate::{AdminError, Store};

/// What [`Store::restored`] would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredPlan {
    /// Users whose mailboxes are to be renewed.
    pub users: u64,
    /// Their mailboxes.
    pub mailboxes: u64,
    /// Users that were renewed already.
    pub done: u64,
    /// Front-ends whose lease has not run out: they may be serving.
    pub front_ends: u64,
}

impl Store {
    /// What is to be done after an older state was restored. Users renewed since a time are left alone: a run that was
    /// begun then goes on.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn restored_plan(&self, since: Timestamp) -> Result<RestoredPlan, AdminError> {
        let mut plan = RestoredPlan::default();
        let mut after = AccountId(0);
        loop {
            let page = self.restored_page(after, since).await?;
            let Some(last) = page.last() else { break };
            after = last.account;
            for account in page {
                if account.done {
                    plan.done += 1;
                } else {
                    plan.users += 1;
                    plan.mailboxes += account.mailboxes;
                }
            }
        }
        let alive = self.0.read("admin", |db| {
            Box::pin(async move {
                let own = db
                    .shared
                    .front_end
                    .load(std::sync::atomic::Ordering::Relaxed);
                let look = values![own, db.now().0];
                let mut rows = db.query(Sql::FrontEndsAlive, &look).await?;
                Ok(rows.first().map_or(Ok(0), |row| row.u64(0))?)
            })
        });
        plan.front_ends = alive.await?;
        Ok(plan)
    }

    /// Passes over all ids that the lost state may have given, and gives every mailbox a new UIDVALIDITY, each user in a
    /// transaction of its own; how many mailboxes of how many users.
    ///
    /// # Errors
    /// When the store can't be reached, or a user's UIDVALIDITYs are used up, whom it names. What was done stays done.
    pub async fn restored(&self, since: Timestamp) -> Result<(u64, u64), AdminError> {
        self.0.write("admin", PassIds).await?;
        let (mut mailboxes, mut users) = (0, 0);
        let mut after = AccountId(0);
        loop {
            let page = self.restored_page(after, since).await?;
            let Some(last) = page.last() else { break };
            after = last.account;
            for Planned { account, name, .. } in page {
                let renew = Renew {
                    account,
                    since: since.0,
                };
                match self.0.write("admin", renew).await {
                    Ok(Some(renewed)) => {
                        users += 1;
                        mailboxes += renewed;
                    }
                    Ok(None) => {}
                    Err(Refusal::Limit(why)) => {
                        return Err(AdminError::Bad(format!("user {name}: {why}")));
                    }
                    Err(refusal) => return Err(refusal.into()),
                }
            }
        }
        Ok((mailboxes, users))
    }

    async fn restored_page(
        &self,
        after: AccountId,
        since: Timestamp,
    ) -> Result<Vec<Planned>, Refusal> {
        self.0
            .read("admin", move |db| {
                Box::pin(async move { db.restored_page(after, since.0).await })
            })
            .await
    }
}
