//! Undelete: what was expunged comes back (docs/design/retention.md).

use dbmail_core::limits::UNDELETE_MESSAGES_MAX;
use dbmail_core::mail::{Envelope, Needle, decode_field, holds_all};
use dbmail_core::store::{
    AccountId, ContentId, MailboxId, MailboxName, Refusal, SystemFlags, Timestamp, UidSet,
    Undeleted,
};

use super::copy::Taken;
use super::open::{flags, name, use_of};
use super::spans;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, values};
use crate::sql::Sql;
use crate::undelete::{Ended, GoneMailbox, GoneMessage, GonePage};

/// UIDs read and left out rather than asked around.
const GAP: u32 = 64;
/// Of the gone, so many are looked at for one page.
const PAGE_ROWS: u32 = 100;
/// Octets of a page's rows, envelopes mostly.
const PAGE_BYTES: u64 = 1024 * 1024;
/// Mailboxes of one page.
const MAILBOX_ROWS: u32 = 500;
/// Octets of a message that are looked through for a text.
const LOOK_BYTES: u64 = 1024 * 1024;

/// Brings messages back, in one transaction, as the reference store's `undelete` does.
pub(crate) struct Undelete {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) uids: UidSet,
    pub(crate) to: Option<MailboxName>,
}

impl Work for Undelete {
    type Done = Option<Undeleted>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Option<Undeleted>, Error> {
        // Under this lock nobody else brings back, and no mailbox of the account comes or goes.
        let mut tree = db.tree(self.account).await?;
        let mut rows = db
            .query(Sql::MailboxSource, &values![self.mailbox.0])
            .await?;
        let mut row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        if row.int(0)? != self.account.0 {
            return Err(Refusal::NoSuchMailbox.into());
        }
        let (own, uses) = (name(row.text(1)?)?, row.int(2)?);
        let deleted = row.int_or_none(3)?.is_some();
        let wanted = self.to.as_ref().unwrap_or(&own);
        if db
            .returning(self.mailbox, &self.uids)
            .await?
            .uids
            .is_empty()
        {
            return Ok(None);
        }
        let made = !tree.has(wanted);
        if deleted && self.to.is_none() && !made {
            return Err(Refusal::AlreadyExists.into());
        }
        if made {
            let usage = use_of(uses).filter(|usage| deleted && !tree.has_use(*usage));
            db.create_in(self.account, &mut tree, wanted, usage).await?;
        }
        let target = db
            .target(self.account, wanted)
            .await?
            .ok_or(Refusal::NoSuchMailbox)?;
        let mut both = vec![target.mailbox];
        if !deleted && self.mailbox != target.mailbox {
            // Nothing joins the gone between their being read and taken.
            both.push(self.mailbox);
        }
        both.sort_unstable();
        for mailbox in both {
            db.lock_state(mailbox).await?;
        }
        let taken = db.returning(self.mailbox, &self.uids).await?;
        if taken.uids.is_empty() {
            // Purged between the two looks.
            return Err(Failure::Busy.into());
        }
        let (to, modseq, arrived) = db.duplicate(self.mailbox, target.mailbox, &taken).await?;
        let from = UidSet::from_ranges(taken.uids.iter().map(|uid| *uid..=*uid));
        db.unmark_gone(self.mailbox, &from).await?;
        let run = |((), low, high): &((), u32, u32)| values![self.mailbox.0, *low, *high].into();
        let runs = taken.runs.runs.iter().map(run).collect();
        if db.many(Sql::GoneTake, runs).await? != taken.uids.len() as u64 {
            return Err(Failure::Busy.into());
        }
        db.log(target.mailbox, modseq, arrived).await?;
        db.pay(&taken, target.quota_root, None).await?;
        db.finish(self.account, tree).await?;
        Ok(Some(Undeleted {
            mailbox: target.mailbox,
            name: wanted.clone(),
            made,
            from,
            to,
            bytes: u64::try_from(taken.octets).unwrap_or(0),
        }))
    }
}

/// Whether what went so comes back: expunged, expired, or gone with its mailbox; not moved, nor replaced.
const fn returns(why: i64) -> bool {
    matches!(why, 1 | 4 | 5)
}

impl<C: Connection> Db<C> {
    /// Those of the gone that come back, as they come back.
    async fn returning(&mut self, mailbox: MailboxId, uids: &UidSet) -> Result<Taken, Error> {
        let mut taken = Taken::of_gone();
        for (low, high) in spans(uids, GAP) {
            taken.runs.interrupt();
            let mut rows = self
                .query(Sql::GoneStates, &values![mailbox.0, low, high])
                .await?;
            for row in rows.each() {
                let uid = super::uid(row.u32(0)?)?;
                if !uids.contains(uid) || !returns(row.int(3)?) {
                    taken.runs.interrupt();
                    continue;
                }
                if taken.uids.len() == UNDELETE_MESSAGES_MAX {
                    return Ok(taken);
                }
                let flags = flags(&row, 1)?.without(SystemFlags::DELETED);
                taken.take(uid.number(), flags, row.int(2)?);
            }
        }
        Ok(taken)
    }

    // --- questions -------------------------------------------------------------------------

    /// Some mailboxes with messages that may come back, above an id. None: that was all.
    pub(crate) async fn gone_mailboxes(
        &mut self,
        of: Option<AccountId>,
        after: MailboxId,
    ) -> Result<Vec<GoneMailbox>, Error> {
        let mut rows = match of {
            None => {
                let look = values![after.0, MAILBOX_ROWS];
                self.query(Sql::GoneByMailbox, &look).await?
            }
            Some(account) => {
                let look = values![account.0, after.0, MAILBOX_ROWS];
                self.query(Sql::GoneByMailboxOf, &look).await?
            }
        };
        let mut mailboxes = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            mailboxes.push(GoneMailbox {
                id: MailboxId(row.int(0)?),
                account: AccountId(row.int(1)?),
                user: row.text(2)?,
                name: name(row.text(3)?)?,
                deleted: row.int_or_none(4)?.map(Timestamp),
                messages: row.u64(5)?,
                bytes: row.u64(6)?,
                first: Timestamp(row.int(7)?),
                last: Timestamp(row.int(8)?),
            });
        }
        Ok(mailboxes)
    }

    /// A page of the messages of a mailbox that may come back, above a UID, that went between two times and hold all the texts.
    pub(crate) async fn gone_page(
        &mut self,
        mailbox: MailboxId,
        after: u32,
        (since, until): (Timestamp, Timestamp),
        texts: &[Needle],
    ) -> Result<GonePage, Error> {
        let look = values![mailbox.0, after, since.0, until.0, PAGE_ROWS];
        let mut rows = self.query_some(Sql::GonePage, &look, PAGE_BYTES).await?;
        let ended = rows.cut || rows.len() as u64 == u64::from(PAGE_ROWS);
        let mut page = GonePage::default();
        let mut looked = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            let uid = super::uid(row.u32(0)?)?;
            page.next = ended.then_some(uid.number());
            let envelope = row.bytes_or_none(9)?;
            let envelope = envelope.and_then(|octets| Envelope::decode(&octets).ok());
            let envelope = envelope.unwrap_or_default();
            let from = envelope.from.first().map(|address| {
                let part = |part: &Option<Vec<u8>>| {
                    String::from_utf8_lossy(part.as_deref().unwrap_or_default()).into_owned()
                };
                let (mailbox, host) = (part(&address.mailbox), part(&address.host));
                if host.is_empty() {
                    mailbox
                } else {
                    format!("{mailbox}@{host}")
                }
            });
            let subject = envelope.subject.as_deref().map(decode_field);
            let message = GoneMessage {
                uid,
                gone: Timestamp(row.int(1)?),
                ended: match row.int(2)? {
                    1 => Ended::Expunged,
                    4 => Ended::Expired,
                    _ => Ended::WithMailbox,
                },
                bytes: row.u64(4)?,
                date: Timestamp(row.int(5)?),
                from: from.unwrap_or_default(),
                subject: subject.unwrap_or_default(),
            };
            looked.push((message, row.int(6)?, row.bytes(7)?, row.u64(8)?));
        }
        for (message, content, prefix, size) in looked {
            if !texts.is_empty() {
                let end = size.min(LOOK_BYTES);
                let octets = match self.content(ContentId(content), 0, end).await {
                    Ok(octets) => octets,
                    // What is damaged matches nothing.
                    Err(Error::Refused(Refusal::Damaged(_))) => continue,
                    Err(Error::Failed(Failure::Damaged(_))) => continue,
                    Err(error) => return Err(error),
                };
                if !holds_all(&prefix, &octets, texts) {
                    continue;
                }
            }
            page.messages.push(message);
        }
        Ok(page)
    }
}
