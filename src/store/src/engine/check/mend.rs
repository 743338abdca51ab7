//! Repairs. What is to be written is found out again under the lock, in the transaction that writes it, never taken from what the check
//! saw; so a repair that is not needed any more does nothing, and one that broke off is simply run again.

use std::collections::BTreeMap;

use dbmail_core::store::{AccountId, MailboxId};

use super::assembly::Truth;
use super::{FAULTS, Found, Walk};
use crate::check::Stage;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, values};
use crate::sql::Sql;

/// What can be mended, in the order in which it is: what others add up comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mend {
    /// The next id of a kind.
    Ids(i64),
    /// The counter row of an account.
    Account(i64),
    /// Sizes and trees of a content.
    Content(i64),
    /// The packed size of a part.
    Part(i64),
    /// The lost counter row of a mailbox.
    State(i64),
    /// Sizes of messages of a mailbox; its counters and its quota with them.
    Sizes(i64),
    /// Marks in a mailbox without a message.
    Marks(i64),
    /// The counter row of a mailbox.
    Counters(i64),
    /// What a quota root has used.
    Quota(i64),
}

impl Mend {
    /// What is done, for the plan.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Ids(_) => "set the next id of a kind above those that were given",
            Self::Account(_) => "set right the counters of a user",
            Self::Content(_) => {
                "make sizes, envelope and structure of a message again from its octets"
            }
            Self::Part(_) => "set right the packed size of a part",
            Self::State(_) => "make the counter row of a mailbox again, with a new UIDVALIDITY",
            Self::Sizes(_) => {
                "set right the sizes of messages in a mailbox, its counters and quota"
            }
            Self::Marks(_) => "remove marks without a message from a mailbox",
            Self::Counters(_) => "set right the counters of a mailbox",
            Self::Quota(_) => "set right what a quota root has used",
        }
    }
}

/// One repair that is a transaction; whether there was something to be done.
pub(crate) struct MendOne(pub(crate) Mend);

impl Work for MendOne {
    type Done = bool;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<bool, Error> {
        match self.0 {
            Mend::Ids(kind) => db.mend_ids(kind).await,
            Mend::Account(account) => db.mend_account(account).await,
            Mend::Part(part) => db.mend_part(part).await,
            Mend::State(mailbox) => db.mend_state(mailbox).await,
            Mend::Counters(mailbox) => db.mend_counters(mailbox).await,
            Mend::Quota(root) => db.mend_quota(root).await,
            // These read before, and write in transactions of their own.
            Mend::Content(_) | Mend::Sizes(_) | Mend::Marks(_) => Ok(false),
        }
    }
}

/// Writes what the octets of a content say of it.
struct MendContent(i64, Truth);

impl Work for MendContent {
    type Done = ();

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
        let Self(content, truth) = self;
        let row = values![
            *content,
            truth.size,
            truth.header_size,
            truth.envelope.clone(),
            truth.structure.clone()
        ];
        db.execute(Sql::ContentMend, &row).await?;
        Ok(())
    }
}

/// Sets the sizes of messages whose contents are proved.
struct MendSizes(i64, Vec<i64>);

impl Work for MendSizes {
    type Done = ();

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
        let Self(mailbox, uids) = self;
        db.query(Sql::StateLock, &values![*mailbox]).await?;
        let row = |uid: &i64| values![*mailbox, uid.saturating_sub(1), *uid].into();
        db.many(Sql::MessageSizes, uids.iter().map(row).collect())
            .await?;
        db.touch(MailboxId(*mailbox));
        Ok(())
    }
}

/// Removes marks that still have no message.
struct MendMarks(i64, Vec<(i64, i64)>);

impl Work for MendMarks {
    /// How many went.
    type Done = u64;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<u64, Error> {
        let Self(mailbox, marks) = self;
        db.query(Sql::StateLock, &values![*mailbox]).await?;
        let row = |(keyword, uid): &(i64, i64)| values![*mailbox, *keyword, *uid].into();
        let rows = marks.iter().map(row).collect();
        Ok(db.many(Sql::MarkRemove, rows).await?)
    }
}

impl<C: Connection> Db<C> {
    async fn mend_ids(&mut self, kind: i64) -> Result<bool, Error> {
        let mut rows = self.query(Sql::CheckIds, &[]).await?;
        let mut last = None;
        for row in rows.each() {
            if row.int(0)? == kind {
                last = row.int_or_none(2)?;
            }
        }
        let Some(last) = last else { return Ok(false) };
        let raise = values![kind, last.saturating_add(1)];
        let raised = self.execute(Sql::IdsRaise, &raise).await?;
        // Those in hand may be among those that were given.
        self.shared.ids.forget();
        Ok(raised > 0)
    }

    async fn mend_account(&mut self, id: i64) -> Result<bool, Error> {
        let Some(account) = self.account_locked(id).await? else {
            return Ok(false);
        };
        let right = account.right(self.now());
        if account.state.as_ref() == Some(&right) {
            return Ok(false);
        }
        if account.state.is_none() {
            let row = values![id, right.next_validity];
            self.execute(Sql::AccountStateInsert, &row).await?;
        }
        let row = values![id, right.modseq, right.log_from, right.next_validity];
        self.execute(Sql::AccountStateSet, &row).await?;
        self.touch_account(AccountId(id));
        Ok(true)
    }

    async fn mend_part(&mut self, part: i64) -> Result<bool, Error> {
        let look = values![part.saturating_sub(1), part, 1u32];
        let mut rows = self.query(Sql::CheckParts, &look).await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let set = values![part, row.int(8)?];
        Ok(self.execute(Sql::PartPackedSet, &set).await? > 0)
    }

    /// Makes a counter row that was lost. How far UIDs and MODSEQs had come is not known for certain, so the mailbox gets a new UIDVALIDITY:
    /// clients forget what they know of it.
    async fn mend_state(&mut self, mailbox: i64) -> Result<bool, Error> {
        let look = values![mailbox.saturating_sub(1), 0i64, 1u32];
        let mut rows = self.query(Sql::CheckMailboxes, &look).await?;
        let account = match rows.first() {
            Some(row) if row.int(0)? == mailbox => row.int_or_none(1)?,
            Some(_) | None => None,
        };
        let Some(account) = account.map(AccountId) else {
            return Ok(false);
        };
        let mut tree = self.tree(account).await?;
        // Again, now that its account is locked.
        let mut rows = self.query(Sql::CheckMailboxes, &look).await?;
        let lost = match rows.first() {
            Some(row) => {
                row.int(0)? == mailbox && row.int_or_none(5)?.or(row.int_or_none(7)?).is_none()
            }
            None => false,
        };
        if !lost {
            return Ok(false);
        }
        let validity = tree.renew_one(MailboxId(mailbox))?;
        self.execute(Sql::MailboxRenew, &values![mailbox, validity])
            .await?;
        self.execute(Sql::StateInsert, &values![mailbox]).await?;
        let made = self.counters_locked(mailbox).await?;
        let unmade = || Failure::Damaged("a counter row was made and is not there".to_owned());
        let mut right = made.ok_or_else(unmade)?.right();
        // Nobody knows who was told what: nothing is recent.
        right.recent_from = right.next_uid;
        self.execute(Sql::StateSet, &right.values(mailbox)).await?;
        self.touch(MailboxId(mailbox));
        self.finish(account, tree).await?;
        Ok(true)
    }

    async fn mend_counters(&mut self, mailbox: i64) -> Result<bool, Error> {
        let Some(counters) = self.counters_locked(mailbox).await? else {
            return Ok(false);
        };
        let right = counters.right();
        if right == counters.state {
            return Ok(false);
        }
        self.execute(Sql::StateSet, &right.values(mailbox)).await?;
        self.touch(MailboxId(mailbox));
        Ok(true)
    }

    async fn mend_quota(&mut self, root: i64) -> Result<bool, Error> {
        let Some(quota) = self.quota_locked(root).await? else {
            return Ok(false);
        };
        let (octets, messages) = quota.right;
        let row = values![quota.root, octets, messages];
        Ok(self.execute(Sql::QuotaSet, &row).await? > 0)
    }
}

impl<C: Connection> Walk<'_, C> {
    /// Mends what was planned, and says how much of it there was to be done.
    pub(crate) async fn mend(mut self, mut plan: Found) -> Result<Found, Error> {
        let mends = std::mem::take(&mut plan.mends);
        self.gauge.enter(Stage::Repair, Some(mends.len() as u64));
        for mend in mends {
            let mended = match mend {
                Mend::Content(content) => self.mend_content(content).await?,
                Mend::Sizes(mailbox) => self.mend_sizes(mailbox).await?,
                Mend::Marks(mailbox) => self.mend_marks(mailbox).await?,
                Mend::Ids(_)
                | Mend::Account(_)
                | Mend::Part(_)
                | Mend::State(_)
                | Mend::Counters(_)
                | Mend::Quota(_) => self.transact(&MendOne(mend)).await?,
            };
            plan.mended += u64::from(mended);
            self.gauge.step();
        }
        Ok(plan)
    }

    async fn mend_content(&mut self, content: i64) -> Result<bool, Error> {
        let Some(truth) = self.truth(content).await? else {
            return Ok(false);
        };
        self.transact(&MendContent(content, truth)).await?;
        Ok(true)
    }

    /// A size is set where the content is proved, and its size with it.
    async fn mend_sizes(&mut self, mailbox: i64) -> Result<bool, Error> {
        let (mut low, mut mended) = (i64::MIN, false);
        loop {
            let look = values![mailbox.saturating_sub(1), mailbox, low, i64::MAX, FAULTS];
            let mut rows = self.look(Sql::CheckMessages, &look).await?;
            let full = rows.len() >= FAULTS as usize;
            let mut odd = Vec::with_capacity(rows.len());
            for row in rows.each() {
                low = row.int(1)?;
                if let Some(content) = row.int_or_none(5)?
                    && row.int_or_none(6)? != Some(row.int(3)?)
                {
                    odd.push((low, content));
                }
            }
            let mut proved = Vec::with_capacity(odd.len());
            // Copies have one content.
            let mut known = BTreeMap::new();
            for (uid, content) in odd {
                let is_true = match known.get(&content) {
                    Some(is_true) => *is_true,
                    None => self.is_true_size(content).await?,
                };
                known.insert(content, is_true);
                if is_true {
                    proved.push(uid);
                }
            }
            if !proved.is_empty() {
                mended = true;
                self.transact(&MendSizes(mailbox, proved)).await?;
            }
            if !full {
                break;
            }
        }
        self.transact(&MendOne(Mend::Counters(mailbox))).await?;
        let mut rows = self.look(Sql::MailboxOwner, &values![mailbox]).await?;
        if let Some(row) = rows.first() {
            let root = row.int(1)?;
            self.transact(&MendOne(Mend::Quota(root))).await?;
        }
        Ok(mended)
    }

    async fn is_true_size(&mut self, content: i64) -> Result<bool, Error> {
        let Some(truth) = self.truth(content).await? else {
            return Ok(false);
        };
        let mut rows = self.look(Sql::ContentHead, &values![content]).await?;
        Ok(match rows.first() {
            Some(row) => row.int(0)? == truth.size,
            None => false,
        })
    }

    async fn mend_marks(&mut self, mailbox: i64) -> Result<bool, Error> {
        let mut mended = false;
        loop {
            let look = values![mailbox.saturating_sub(1), mailbox, FAULTS];
            let mut rows = self.look(Sql::CheckMarks, &look).await?;
            let mut marks = Vec::with_capacity(rows.len());
            for row in rows.each() {
                if row.int(3)? == 0 {
                    marks.push((row.int(1)?, row.int(2)?));
                }
            }
            if marks.is_empty() || self.transact(&MendMarks(mailbox, marks)).await? == 0 {
                return Ok(mended);
            }
            mended = true;
        }
    }
}
