//! EXPUNGE, and what else ends a message's life in its mailbox: it moves to the gone.

use dbmail_core::store::{AccountId, Answer, MailboxId, ModSeq, Refusal, SystemFlags, Uid, UidSet};

use super::log::Entry;
use crate::db::{Db, Error};
use crate::driver::{Connection, values};
use crate::sql::Sql;

/// Why a message is gone (codes of `message_gone`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Expunged = 1,
    Moved = 2,
    MailboxDeleted = 5,
}

/// A mailbox as a change of it begins.
pub(super) struct Owner {
    pub(super) account: AccountId,
    pub(super) quota_root: i64,
    pub(super) deleted: i64,
}

impl<C: Connection> Db<C> {
    /// Whose mailbox it is. Locks nothing.
    pub(super) async fn owner(&mut self, mailbox: MailboxId) -> Result<Owner, Error> {
        let mut rows = self.query(Sql::MailboxOwner, &values![mailbox.0]).await?;
        let row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        Ok(Owner {
            account: AccountId(row.int(0)?),
            quota_root: row.int(1)?,
            deleted: row.int(2)?,
        })
    }

    /// Locks the counter row; its MODSEQ.
    pub(super) async fn lock_state(&mut self, mailbox: MailboxId) -> Result<ModSeq, Error> {
        let mut rows = self.query(Sql::StateLock, &values![mailbox.0]).await?;
        let row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        Ok(ModSeq(row.u64(1)?))
    }

    /// `Request::Expunge`.
    pub(super) async fn expunge(
        &mut self,
        mailbox: MailboxId,
        of: Option<&UidSet>,
    ) -> Result<Answer, Error> {
        let owner = self.owner(mailbox).await?;
        if owner.deleted == 0 {
            return Ok(Answer::Expunged(UidSet::new(), None));
        }
        let modseq = ModSeq(self.lock_state(mailbox).await?.0 + 1);
        let all = UidSet::range(Uid::MIN, Uid::MAX);
        let ranges: Vec<(u32, u32)> = of.unwrap_or(&all).ranges().collect();
        let mut expunged: Vec<u32> = Vec::new();
        let (mut unseen, mut octets) = (0i64, 0i64);
        for (low, high) in &ranges {
            let mut rows = self
                .query(Sql::MessageDeleted, &values![mailbox.0, *low, *high])
                .await?;
            for row in rows.each() {
                expunged.push(row.u32(0)?);
                let seen = super::open::flags(&row, 1)?.contains(SystemFlags::SEEN);
                unseen += i64::from(!seen);
                octets += row.int(2)?;
            }
        }
        if expunged.is_empty() {
            return Ok(Answer::Expunged(UidSet::new(), None));
        }
        let count = expunged.len() as i64;
        let expunged = UidSet::from_ranges(expunged.into_iter().map(|n| n..=n));
        let now = self.now().0;
        let why = Why::Expunged as i64;
        let gone =
            |(low, high): &(u32, u32)| values![mailbox.0, *low, *high, modseq.0, now, why].into();
        self.many(Sql::GoneInsertDeleted, ranges.iter().map(gone).collect())
            .await?;
        let range = |(low, high): &(u32, u32)| values![mailbox.0, *low, *high].into();
        self.many(
            Sql::MessageRemoveDeleted,
            ranges.iter().map(range).collect(),
        )
        .await?;
        let state = values![mailbox.0, true, -count, -unseen, -count, -octets];
        self.execute(Sql::StateChanged, &state).await?;
        self.log(mailbox, modseq, vec![(Entry::Gone, expunged.clone())])
            .await?;
        // What is expunged pays back at once (STORAGE 7). Its keywords stay with it, for who was not told and for undelete.
        let back = values![owner.quota_root, -octets, -count];
        self.execute(Sql::QuotaMove, &back).await?;
        Ok(Answer::Expunged(expunged, Some(modseq)))
    }
}
