//! Reading mailboxes: LIST, STATUS, SELECT, and who gets mail for an address.

use std::sync::Arc;

use dbmail_core::store::{
    AccountId, Answer, Keyword, Mailbox, MailboxId, MailboxName, ModSeq, Opened, Refusal, Resolved,
    SpecialUse, SystemFlags, Uid, UidSet, UidValidity,
};

use super::known::{Found, Known};
use super::name_key;
use crate::db::{Db, Error};
use crate::driver::{Connection, Failure, Row, values};
use crate::sql::Sql;

/// A special use as the bit that is stored.
pub(super) const fn use_bit(usage: SpecialUse) -> i64 {
    match usage {
        SpecialUse::Archive => 1,
        SpecialUse::Drafts => 2,
        SpecialUse::Junk => 8,
        SpecialUse::Sent => 16,
        SpecialUse::Trash => 32,
    }
}

/// The special use in stored bits; of several the first.
pub(super) fn use_of(bits: i64) -> Option<SpecialUse> {
    let all = SpecialUse::ALL.into_iter().map(|(usage, ..)| usage);
    all.into_iter().find(|usage| bits & use_bit(*usage) != 0)
}

/// A mailbox as it is opened, and from which UID on messages are recent.
pub(crate) struct Reading {
    pub(crate) opened: Opened,
    pub(crate) recent_from: i64,
    /// What its map should say, when that is to be written.
    pub(crate) map: Option<Arc<Known>>,
}

impl<C: Connection> Db<C> {
    /// `Request::Resolve`.
    pub(crate) async fn resolve(&mut self, address: &str) -> Result<Answer, Error> {
        let key = super::account::folded(address);
        let mut rows = self.query(Sql::AddressResolve, &values![key]).await?;
        Ok(Answer::Resolved(match rows.first() {
            None => Resolved::Unknown,
            Some(row) if row.int(2)? == 0 => Resolved::Disabled,
            Some(row) => Resolved::Account(AccountId(row.int(1)?)),
        }))
    }

    /// `Request::Mailboxes`.
    pub(crate) async fn mailboxes(&mut self, account: AccountId) -> Result<Answer, Error> {
        let mut rows = self.query(Sql::MailboxesOf, &values![account.0]).await?;
        let (mut mailboxes, mut names) = (Vec::new(), Vec::new());
        for mut row in rows.each() {
            if row.int_or_none(0)?.is_some() {
                mailboxes.push(mailbox(&mut row)?.0);
            } else {
                names.push(name(row.text(1)?)?);
            }
        }
        mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
        names.sort();
        Ok(Answer::Mailboxes(mailboxes, names))
    }

    async fn find(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<(Mailbox, i64, ModSeq), Error> {
        let values = values![account.0, name_key(name)];
        let mut rows = self.query(Sql::MailboxByName, &values).await?;
        let mut row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        let (found, recent_from) = mailbox(&mut row)?;
        Ok((found, recent_from, ModSeq(row.u64(13)?)))
    }

    /// `Request::Status`.
    pub(crate) async fn status(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Answer, Error> {
        Ok(Answer::Status(self.find(account, name).await?.0))
    }

    /// `Request::Open`, without the claim. All of one moment: read in one transaction.
    pub(crate) async fn open(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Reading, Error> {
        self.begin_read().await?;
        let reading = self.open_now(account, name).await;
        self.end_read().await;
        reading
    }

    async fn open_now(&mut self, account: AccountId, name: &MailboxName) -> Result<Reading, Error> {
        let (mailbox, recent_from, log_from) = self.find(account, name).await?;
        let Found { known, map_due } = self.know(&mailbox, log_from).await?;
        let uids = known.uids.clone();
        let recent = u32::try_from(recent_from).ok().and_then(Uid::new);
        let recent = recent.map_or_else(UidSet::new, |from| {
            uids.intersection(&UidSet::range(from, Uid::MAX))
        });
        let opened = Opened {
            mailbox,
            uids,
            first_unseen: known.unseen.first(),
            recent,
            keywords: known.keywords.clone(),
        };
        Ok(Reading {
            opened,
            recent_from,
            map: map_due.then_some(known),
        })
    }
}

/// Flags in a column.
pub(super) fn flags(row: &Row<'_>, column: usize) -> Result<SystemFlags, Failure> {
    u8::try_from(row.int(column)?)
        .map(SystemFlags::from_bits)
        .map_err(|_| Failure::Damaged("flags are no bits".to_owned()))
}

/// A keyword that was stored.
pub(super) fn keyword(name: &str) -> Result<Keyword, Failure> {
    Keyword::new(name).ok_or_else(|| Failure::Damaged("a keyword is none".to_owned()))
}

/// A mailbox name that was stored.
pub(super) fn name(stored: String) -> Result<MailboxName, Failure> {
    MailboxName::new(&stored).map_err(|_| Failure::Damaged("a mailbox name is none".to_owned()))
}

/// A mailbox out of a row, and from which UID on its messages are recent.
fn mailbox(row: &mut Row<'_>) -> Result<(Mailbox, i64), Failure> {
    let next_uid = row.int(4)?;
    let mailbox = Mailbox {
        id: MailboxId(row.int(0)?),
        name: name(row.text(1)?)?,
        special_use: use_of(row.int(2)?),
        subscribed: row.int(12)? > 0,
        validity: UidValidity(row.u32(3)?),
        uid_next: u32::try_from(next_uid).ok().and_then(Uid::new),
        modseq: ModSeq(row.u64(5)?),
        messages: row.u32(6)?,
        unseen: row.u32(7)?,
        deleted: row.u32(8)?,
        recent: row.u32(11)?,
        bytes: row.u64(9)?,
    };
    Ok((mailbox, row.int(10)?))
}
