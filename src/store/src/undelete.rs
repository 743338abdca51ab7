//! Undelete: what could come back, and bringing it back.

use dbmail_core::mail::Needle;
use dbmail_core::store::{
    AccountId, MailboxId, MailboxName, Refusal, Timestamp, Uid, UidSet, Undeleted,
};

use crate::Store;
use crate::engine::Undelete;

/// A mailbox with messages that may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneMailbox {
    /// The mailbox.
    pub id: MailboxId,
    /// Whose.
    pub account: AccountId,
    /// The owner's name.
    pub user: String,
    /// Its name; the last one it had when it was deleted.
    pub name: MailboxName,
    /// When it was deleted, if it was.
    pub deleted: Option<Timestamp>,
    /// Messages that may come back.
    pub messages: u64,
    /// Their octets.
    pub bytes: u64,
    /// When the first of them went.
    pub first: Timestamp,
    /// When the last of them went.
    pub last: Timestamp,
}

/// How a message that may come back left its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was expunged.
    Expunged,
    /// It was removed by a rule of age.
    Expired,
    /// Its mailbox was deleted.
    WithMailbox,
}

/// A message that may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneMessage {
    /// The UID that it had.
    pub uid: Uid,
    /// When it went.
    pub gone: Timestamp,
    /// How.
    pub ended: Ended,
    /// Its octets.
    pub bytes: u64,
    /// INTERNALDATE.
    pub date: Timestamp,
    /// The first address in From; empty when there is none.
    pub from: String,
    /// Subject, decoded; empty when there is none.
    pub subject: String,
}

/// Some messages that may come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GonePage {
    /// By UID.
    pub messages: Vec<GoneMessage>,
    /// There may be more, above this UID.
    pub next: Option<u32>,
}

/// Which messages are to come back.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Those that went then or later.
    pub since: Timestamp,
    /// And before that.
    pub until: Timestamp,
    /// That hold each of these texts, anywhere in their header or in what people wrote; looked for in the first MiB.
    pub texts: Vec<String>,
}

impl Store {
    /// Mailboxes of which messages may come back, of an account or of everybody: by user, then by name; of one name the one that lives
    /// first, then the last deleted.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn gone_mailboxes(&self, of: Option<AccountId>) -> Result<Vec<GoneMailbox>, Refusal> {
        let (mut all, mut after) = (Vec::new(), MailboxId(0));
        loop {
            let page = self
                .0
                .read("undelete", move |db| Box::pin(db.gone_mailboxes(of, after)));
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            all.extend(page);
        }
        all.sort_by(|a: &GoneMailbox, b: &GoneMailbox| {
            let living = |m: &GoneMailbox| m.deleted.map_or(i64::MIN, |at| -at.0);
            let key = |m: &GoneMailbox| (living(m), m.id);
            (&a.user, &a.name, key(a)).cmp(&(&b.user, &b.name, key(b)))
        });
        Ok(all)
    }

    /// Some of the messages of a mailbox that may come back and are wanted, above a UID.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn gone_page(
        &self,
        mailbox: MailboxId,
        after: u32,
        wanted: &Wanted,
    ) -> Result<GonePage, Refusal> {
        let times = (wanted.since, wanted.until);
        let texts: Vec<Needle> = wanted.texts.iter().map(|text| Needle::new(text)).collect();
        self.0
            .read("undelete", move |db| {
                Box::pin(async move { db.gone_page(mailbox, after, times, &texts).await })
            })
            .await
    }

    /// Brings messages back, in one transaction, at most [`dbmail_core::limits::UNDELETE_MESSAGES_MAX`] of them: asked again, the
    /// next. What it means is said by the reference store's `undelete`.
    ///
    /// # Errors
    /// `NoSuchMailbox`, `AlreadyExists`, `Limit`, `OverQuota`: nothing was done then. When the store can't be reached.
    pub async fn undelete(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: UidSet,
        to: Option<MailboxName>,
    ) -> Result<Option<Undeleted>, Refusal> {
        let work = Undelete {
            account,
            mailbox,
            uids,
            to,
        };
        self.0.write("undelete", work).await
    }
}
