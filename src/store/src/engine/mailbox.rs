//! CREATE, DELETE, RENAME, SUBSCRIBE: changes of an account's mailboxes, under its counter row.

use dbmail_core::limits::MAILBOXES_MAX;
use dbmail_core::store::{
    AccountId, Answer, MailboxId, MailboxName, ModSeq, Refusal, SpecialUse, Timestamp, Uid, UidSet,
};

use super::name_key;
use super::open::{name, use_bit};
use crate::db::{Db, Error};
use crate::driver::{Connection, values};
use crate::shared::Kind;
use crate::sql::Sql;

const TOO_MANY: Refusal = Refusal::Limit("the account has too many mailboxes");
const TOO_MANY_NAMES: Refusal = Refusal::Limit("the account has too many subscriptions");
const NO_VALIDITY: Refusal = Refusal::Limit("the account's UIDVALIDITY is used up");
/// UIDVALIDITYs passed over when a state that is lost may have given some: more than an account may have mailboxes, and
/// seldom needed, because the counter is set beyond the present second, which it reaches only at a mailbox a second.
const VALIDITIES_PASSED: i64 = 65_536;
/// Octets of an account's log entry beside its version octet.
const DETAIL_BYTES_MAX: usize = 1_899;

/// What happened to an account (codes of `account_log`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Created = 1,
    Deleted = 2,
    Renamed = 3,
    Subscribed = 4,
    Unsubscribed = 5,
    Account = 9,
    Renewed = 11,
}

/// A mailbox among its account's.
struct Named {
    id: MailboxId,
    name: MailboxName,
    uses: i64,
    quota_root: i64,
}

/// An account's mailboxes, its counter row locked.
pub(super) struct Tree {
    mailboxes: Vec<Named>,
    /// Who pays for new ones.
    quota_root: i64,
    modseq: ModSeq,
    next_validity: i64,
    /// UIDVALIDITYs taken.
    taken: i64,
    pub(super) events: Vec<(Event, Option<MailboxId>, String)>,
}

impl Tree {
    fn find(&self, name: &MailboxName) -> Option<&Named> {
        self.mailboxes.iter().find(|m| m.name == *name)
    }

    /// Whether there is a mailbox of that name.
    pub(super) fn has(&self, name: &MailboxName) -> bool {
        self.find(name).is_some()
    }

    /// Whether a mailbox has that special use.
    pub(super) fn has_use(&self, usage: SpecialUse) -> bool {
        self.mailboxes.iter().any(|m| m.uses & use_bit(usage) != 0)
    }

    /// The names above that have no mailbox, the highest first.
    fn missing_above(&self, name: &MailboxName) -> Vec<MailboxName> {
        let above = std::iter::successors(name.parent(), MailboxName::parent);
        let mut missing: Vec<_> = above.filter(|name| self.find(name).is_none()).collect();
        missing.reverse();
        missing
    }

    fn room_for(&self, more: usize) -> Result<(), Refusal> {
        if more > 0 && self.mailboxes.len() + more > MAILBOXES_MAX {
            return Err(TOO_MANY);
        }
        let last = self.next_validity + self.taken + more as i64 - 1;
        if last > i64::from(u32::MAX) {
            Err(NO_VALIDITY)
        } else {
            Ok(())
        }
    }

    /// A new UIDVALIDITY for one mailbox.
    pub(super) fn renew_one(&mut self, mailbox: MailboxId) -> Result<i64, Refusal> {
        let validity = self.next_validity + self.taken;
        if validity > i64::from(u32::MAX) {
            return Err(NO_VALIDITY);
        }
        self.taken += 1;
        let name = self.mailboxes.iter().find(|known| known.id == mailbox);
        let name = name.map_or_else(String::new, |known| known.name.as_str().to_owned());
        self.events.push((Event::Renewed, Some(mailbox), name));
        Ok(validity)
    }

    /// A new UIDVALIDITY for each mailbox, beyond any that a state which is lost may have given.
    pub(super) fn renew(&mut self, now: Timestamp) -> Result<Vec<(MailboxId, i64)>, Refusal> {
        let passed = self.next_validity + self.taken + VALIDITIES_PASSED;
        let first = passed.max(now.0 / 1_000_000 + 1);
        let end = first + self.mailboxes.len() as i64;
        if end - 1 > i64::from(u32::MAX) {
            return Err(NO_VALIDITY);
        }
        self.taken = end - self.next_validity;
        let ids = self.mailboxes.iter().map(|mailbox| mailbox.id);
        let renewed = ids.zip(first..).collect();
        self.events.push((Event::Renewed, None, String::new()));
        for mailbox in &self.mailboxes {
            let name = mailbox.name.as_str().to_owned();
            self.events.push((Event::Renewed, Some(mailbox.id), name));
        }
        Ok(renewed)
    }
}

impl<C: Connection> Db<C> {
    /// Locks the account's counter row and reads what mailboxes there are.
    pub(super) async fn tree(&mut self, account: AccountId) -> Result<Tree, Error> {
        let mut rows = self.query(Sql::AccountLock, &values![account.0]).await?;
        let row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        let (modseq, next_validity) = (ModSeq(row.u64(0)?), row.int(1)?);
        let mut rows = self.query(Sql::MailboxNames, &values![account.0]).await?;
        let mut tree = Tree {
            mailboxes: Vec::with_capacity(rows.len()),
            quota_root: 0,
            modseq,
            next_validity,
            taken: 0,
            events: Vec::new(),
        };
        for mut row in rows.each() {
            tree.quota_root = row.int(4)?;
            if let Some(id) = row.int_or_none(0)? {
                tree.mailboxes.push(Named {
                    id: MailboxId(id),
                    name: name(row.text(1)?)?,
                    uses: row.int(2)?,
                    quota_root: row.int(3)?,
                });
            }
        }
        Ok(tree)
    }

    /// Writes what happened to the account, if anything did.
    pub(super) async fn finish(&mut self, account: AccountId, tree: Tree) -> Result<Answer, Error> {
        if tree.events.is_empty() {
            return Ok(Answer::Done);
        }
        self.execute(Sql::AccountAdvance, &values![account.0, tree.taken])
            .await?;
        let modseq = ModSeq(tree.modseq.0 + 1);
        let change_id = self.change_id()?;
        let now = self.now().0;
        let mut rows = Vec::with_capacity(tree.events.len());
        for (piece, (event, mailbox, name)) in tree.events.iter().enumerate() {
            let mut detail = vec![1];
            detail.extend(name.bytes().take(DETAIL_BYTES_MAX));
            let mailbox = mailbox.map(|id| id.0);
            rows.push(
                values![
                    account.0,
                    modseq.0,
                    *event as i64,
                    mailbox,
                    detail,
                    change_id,
                    account.0,
                    now,
                    piece as u64
                ]
                .into(),
            );
        }
        self.many(Sql::AccountLogInsert, rows).await?;
        self.witness_account(account, modseq, change_id);
        Ok(Answer::Done)
    }

    /// A new, empty mailbox. The caller has checked that there may be one.
    pub(super) async fn make(
        &mut self,
        account: AccountId,
        tree: &mut Tree,
        name: MailboxName,
        usage: Option<SpecialUse>,
    ) -> Result<MailboxId, Error> {
        let id = MailboxId(self.ids(Kind::Mailbox, 1)?);
        let validity = tree.next_validity + tree.taken;
        tree.taken += 1;
        let uses = usage.map_or(0, use_bit);
        let now = self.now().0;
        let key = name_key(&name);
        let row = values![
            id.0,
            account.0,
            key,
            name.as_str(),
            validity,
            uses,
            tree.quota_root,
            now
        ];
        self.execute(Sql::MailboxInsert, &row).await?;
        self.execute(Sql::StateInsert, &values![id.0]).await?;
        tree.events
            .push((Event::Created, Some(id), name.as_str().to_owned()));
        let quota_root = tree.quota_root;
        tree.mailboxes.push(Named {
            id,
            name,
            uses,
            quota_root,
        });
        Ok(id)
    }

    /// `Request::Create`.
    pub(super) async fn create(
        &mut self,
        account: AccountId,
        name: &MailboxName,
        usage: Option<SpecialUse>,
    ) -> Result<Answer, Error> {
        let mut tree = self.tree(account).await?;
        self.create_in(account, &mut tree, name, usage).await?;
        self.finish(account, tree).await
    }

    pub(super) async fn create_in(
        &mut self,
        account: AccountId,
        tree: &mut Tree,
        name: &MailboxName,
        usage: Option<SpecialUse>,
    ) -> Result<MailboxId, Error> {
        if tree.find(name).is_some() {
            return Err(Refusal::AlreadyExists.into());
        }
        if usage.is_some_and(|usage| tree.has_use(usage)) {
            return Err(Refusal::UseInUse.into());
        }
        let missing = tree.missing_above(name);
        tree.room_for(missing.len() + 1)?;
        for above in missing {
            self.make(account, tree, above, None).await?;
        }
        self.make(account, tree, name.clone(), usage).await
    }

    /// `Request::Delete`. The counter row goes, so that whoever waits for it finds no mailbox; the mailbox's own row stays
    /// for undelete, under a key that no name has.
    pub(super) async fn delete(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Answer, Error> {
        if name.is_inbox() {
            return Err(Refusal::Inbox.into());
        }
        let mut tree = self.tree(account).await?;
        let found = tree.find(name).ok_or(Refusal::NoSuchMailbox)?;
        let (id, root) = (found.id, found.quota_root);
        if tree.mailboxes.iter().any(|m| m.name.is_below(name)) {
            return Err(Refusal::HasChildren.into());
        }
        self.end_messages(id, root).await?;
        let key = *blake3::hash(&id.0.to_be_bytes()).as_bytes();
        let now = self.now().0;
        self.execute(Sql::StateDelete, &values![id.0]).await?;
        self.execute(Sql::MailboxEnd, &values![id.0, key, now])
            .await?;
        self.touch(id);
        tree.events
            .push((Event::Deleted, Some(id), name.as_str().to_owned()));
        self.finish(account, tree).await
    }

    /// `Request::Rename`.
    pub(super) async fn rename(
        &mut self,
        account: AccountId,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Answer, Error> {
        let mut tree = self.tree(account).await?;
        let source = tree.find(from).ok_or(Refusal::NoSuchMailbox)?.id;
        if tree.find(to).is_some() || (to.is_below(from) && !from.is_inbox()) {
            return Err(Refusal::AlreadyExists.into());
        }
        if from.is_inbox() {
            // RFC 9051 §6.3.6: INBOX stays, empty; what is below it stays too.
            self.create_in(account, &mut tree, to, None).await?;
            let all = UidSet::range(Uid::MIN, Uid::MAX);
            self.copy(source, &all, account, to, true).await?;
            return self.finish(account, tree).await;
        }
        let mut renamed = Vec::new();
        for mailbox in &tree.mailboxes {
            if mailbox.id == source || mailbox.name.is_below(from) {
                let name = mailbox.name.moved(from, to).map_err(Refusal::BadName)?;
                renamed.push((mailbox.id, name));
            }
        }
        let missing = tree.missing_above(to);
        tree.room_for(missing.len())?;
        for above in missing {
            self.make(account, &mut tree, above, None).await?;
        }
        let row = |(id, name): &(MailboxId, MailboxName)| {
            values![id.0, name_key(name), name.as_str()].into()
        };
        self.many(Sql::MailboxRename, renamed.iter().map(row).collect())
            .await?;
        for (id, name) in renamed {
            tree.events
                .push((Event::Renamed, Some(id), name.as_str().to_owned()));
        }
        self.finish(account, tree).await
    }

    /// `Request::Subscribe`.
    pub(super) async fn subscribe(
        &mut self,
        account: AccountId,
        name: &MailboxName,
        subscribed: bool,
    ) -> Result<Answer, Error> {
        let mut tree = self.tree(account).await?;
        let key = name_key(name);
        let mut rows = self
            .query(Sql::SubscriptionHas, &values![account.0, key])
            .await?;
        let row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        let (has, count) = (row.int(0)? > 0, row.int(1)?);
        if has == subscribed {
            return Ok(Answer::Done);
        }
        let event = if subscribed {
            if count >= MAILBOXES_MAX as i64 {
                return Err(TOO_MANY_NAMES.into());
            }
            let now = self.now().0;
            let row = values![account.0, key, name.as_str(), now];
            self.execute(Sql::SubscriptionInsert, &row).await?;
            Event::Subscribed
        } else {
            self.execute(Sql::SubscriptionDelete, &values![account.0, key])
                .await?;
            Event::Unsubscribed
        };
        tree.events.push((event, None, name.as_str().to_owned()));
        self.finish(account, tree).await
    }
}
