//! Mailboxes of an account: LIST, CREATE, DELETE, RENAME, SUBSCRIBE.

use std::collections::BTreeMap;

use super::{Gone, Held, Store};
use crate::limits::MAILBOXES_MAX;
use crate::store::{
    AccountId, Answer, ChangeKind, MailboxId, MailboxName, ModSeq, Refusal, Reply, SpecialUse,
    Timestamp, Uid, UidValidity,
};

const TOO_MANY: Refusal = Refusal::Limit("the account has too many mailboxes");

impl Store {
    pub(super) fn list(&self, account: AccountId) -> Answer {
        let mut mailboxes: Vec<_> = self
            .of(account)
            .filter_map(|(id, _)| self.counted(id).ok())
            .collect();
        mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
        let names = self.accounts.get(&account).into_iter();
        let without = names
            .flat_map(|owner| &owner.subscribed)
            .filter(|name| self.find(account, name).is_err());
        let without = without.cloned().collect();
        Answer::Mailboxes(mailboxes, without)
    }

    pub(super) fn create(
        &mut self,
        account: AccountId,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Reply {
        self.known(account)?;
        if self.find(account, name).is_ok() {
            return Err(Refusal::AlreadyExists);
        }
        let in_use = |usage| self.of(account).any(|(_, h)| h.special_use == Some(usage));
        if special_use.is_some_and(in_use) {
            return Err(Refusal::UseInUse);
        }
        let missing = self.missing_above(account, name);
        self.room_for(account, missing.len() + 1)?;
        for above in missing {
            self.make(account, above, None);
        }
        self.make(account, name.clone(), special_use);
        Ok(Answer::Done)
    }

    pub(super) fn delete(
        &mut self,
        now: Timestamp,
        account: AccountId,
        name: &MailboxName,
    ) -> Reply {
        if name.is_inbox() {
            return Err(Refusal::Inbox);
        }
        let mailbox = self.find(account, name)?;
        if self.of(account).any(|(_, held)| held.name.is_below(name)) {
            return Err(Refusal::HasChildren);
        }
        let held = self.living_mut(mailbox)?;
        let messages = std::mem::take(&mut held.messages);
        let gone = |kept| Gone {
            at: now,
            moved: false,
            kept,
        };
        held.gone
            .extend(messages.into_iter().map(|(uid, m)| (uid, gone(m))));
        held.deleted = Some(now);
        self.changed.insert(mailbox);
        Ok(Answer::Done)
    }

    pub(super) fn rename(
        &mut self,
        now: Timestamp,
        account: AccountId,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Reply {
        let mailbox = self.find(account, from)?;
        if self.find(account, to).is_ok() || (to.is_below(from) && !from.is_inbox()) {
            return Err(Refusal::AlreadyExists);
        }
        if from.is_inbox() {
            return self.rename_inbox(now, account, mailbox, to);
        }
        let mut renamed = BTreeMap::new();
        for (id, held) in self.of(account) {
            if id == mailbox || held.name.is_below(from) {
                let name = held.name.moved(from, to).map_err(Refusal::BadName)?;
                renamed.insert(id, name);
            }
        }
        let missing = self.missing_above(account, to);
        self.room_for(account, missing.len())?;
        for above in missing {
            self.make(account, above, None);
        }
        for (id, name) in renamed {
            self.living_mut(id)?.name = name;
        }
        Ok(Answer::Done)
    }

    /// Makes the mailbox and moves all messages of INBOX there. What is below INBOX stays.
    fn rename_inbox(
        &mut self,
        now: Timestamp,
        account: AccountId,
        inbox: MailboxId,
        to: &MailboxName,
    ) -> Reply {
        self.create(account, to, None)?;
        let target = self.find(account, to)?;
        let uids = self.living(inbox)?.uids();
        let added = self.duplicate(now, inbox, &uids, target)?;
        self.log(target, [(ChangeKind::Appeared, added)]);
        self.take_away(now, inbox, &uids, true);
        self.log(inbox, [(ChangeKind::Vanished, uids)]);
        Ok(Answer::Done)
    }

    pub(super) fn subscribe(
        &mut self,
        account: AccountId,
        name: MailboxName,
        subscribed: bool,
    ) -> Reply {
        let owner = self.accounts.get_mut(&account);
        let names = &mut owner.ok_or(Refusal::NoSuchMailbox)?.subscribed;
        if !subscribed {
            names.remove(&name);
        } else if !names.contains(&name) {
            if names.len() >= MAILBOXES_MAX {
                return Err(Refusal::Limit("the account has too many subscriptions"));
            }
            names.insert(name);
        }
        Ok(Answer::Done)
    }

    fn known(&self, account: AccountId) -> Result<(), Refusal> {
        let known = self.accounts.contains_key(&account);
        known.then_some(()).ok_or(Refusal::NoSuchMailbox)
    }

    /// The names above that have no mailbox, the highest first.
    pub(super) fn missing_above(&self, account: AccountId, name: &MailboxName) -> Vec<MailboxName> {
        let mut missing = Vec::new();
        let mut above = name.parent();
        while let Some(name) = above {
            above = name.parent();
            if self.find(account, &name).is_err() {
                missing.push(name);
            }
        }
        missing.reverse();
        missing
    }

    /// Whether the account may have so many mailboxes more.
    pub(super) fn room_for(&self, account: AccountId, more: usize) -> Result<(), Refusal> {
        if more > 0 && self.of(account).count() + more > MAILBOXES_MAX {
            return Err(TOO_MANY);
        }
        let next = self.accounts.get(&account).and_then(|a| a.next_validity);
        let left = next.map_or(0, |next| u64::from(u32::MAX - next) + 1);
        if (more as u64) > left {
            return Err(Refusal::Limit("the account's UIDVALIDITY is used up"));
        }
        Ok(())
    }

    /// A new, empty mailbox. The caller has checked that there may be one.
    pub(super) fn make(
        &mut self,
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) {
        let id = MailboxId(self.new_id());
        let Some(owner) = self.accounts.get_mut(&account) else {
            return;
        };
        let Some(validity) = owner.next_validity else {
            return;
        };
        owner.next_validity = validity.checked_add(1);
        let held = Held {
            account,
            name,
            special_use,
            validity: UidValidity(validity),
            uid_next: Some(Uid::MIN),
            modseq: ModSeq(1),
            recent_from: Some(Uid::MIN),
            messages: BTreeMap::new(),
            gone: BTreeMap::new(),
            log: Vec::new(),
            log_from: ModSeq(0),
            keywords: std::collections::BTreeSet::new(),
            deleted: None,
        };
        self.mailboxes.insert(id, held);
    }
}
