//! Messages of a mailbox: SELECT, FETCH, STORE, EXPUNGE, COPY, MOVE.

use std::collections::BTreeSet;

use super::{Gone, Held, Kept, Store};
use crate::limits::{
    GONE_SECONDS, HEADER_BYTES_MAX, INLINE_CONTENT_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ROWS_MAX,
};
use crate::store::{
    AccountId, Answer, ChangeKind, Copied, FetchItems, FlagChange, Flags, Keyword, MailboxId,
    MailboxName, Message, ModSeq, Opened, Page, Refusal, Reply, Stored, SystemFlags, Timestamp,
    Uid, UidSet,
};

impl Store {
    pub(super) fn open(
        &mut self,
        account: AccountId,
        name: &MailboxName,
        claim_recent: bool,
    ) -> Reply {
        let id = self.find(account, name)?;
        let held = self.living_mut(id)?;
        let recent = held.messages.keys().filter(|uid| held.is_recent(**uid));
        let recent: UidSet = recent.copied().collect();
        if claim_recent && !recent.is_empty() {
            held.recent_from = held.uid_next;
        }
        let seen = |m: &Kept| m.flags.system.contains(SystemFlags::SEEN);
        let mut unseen = held.messages.iter().filter(|(_, m)| !seen(m));
        let first_unseen = unseen.next().map(|(uid, _)| *uid);
        let uids = held.uids();
        let keywords = held.keywords.iter().cloned().collect();
        Ok(Answer::Opened(Box::new(Opened {
            mailbox: self.counted(id)?,
            uids,
            first_unseen,
            recent,
            keywords,
        })))
    }

    pub(super) fn fetch(
        &self,
        now: Timestamp,
        mailbox: MailboxId,
        uids: &UidSet,
        items: FetchItems,
    ) -> Page {
        let mut page = Page {
            messages: Vec::new(),
            through: None,
        };
        let Some(held) = self.mailboxes.get(&mailbox) else {
            return page;
        };
        let mut bytes = 0u64;
        for (uid, kept, gone) in held.reachable(now, uids) {
            let message = self.shown(uid, kept, gone, items);
            bytes = bytes.saturating_add(weight(&message));
            let full = page.messages.len() >= PAGE_ROWS_MAX || bytes > PAGE_BYTES_MAX;
            if full && let Some(last) = page.messages.last() {
                page.through = Some(last.uid);
                return page;
            }
            page.messages.push(message);
        }
        page
    }

    fn shown(&self, uid: Uid, kept: &Kept, gone: bool, items: FetchItems) -> Message {
        let content = self.contents.get(&kept.content);
        let octets = content.map(|c| c.octets.clone()).unwrap_or_default();
        let header_size = content.map_or(0, |c| c.header_size);
        let header = content.map(super::Content::header);
        let header = header.filter(|_| items.header && header_size <= HEADER_BYTES_MAX);
        let place = items.has_place();
        let (date, saved, size) = if items.dates {
            (kept.date, kept.saved, kept.size)
        } else {
            Default::default()
        };
        Message {
            uid,
            modseq: if items.is_bare() {
                ModSeq(0)
            } else {
                kept.modseq
            },
            flags: if items.flags {
                kept.flags.clone()
            } else {
                Flags::default()
            },
            date,
            saved,
            size,
            content: if place {
                kept.content
            } else {
                super::ContentId(0)
            },
            prefix: if place {
                kept.prefix.clone()
            } else {
                super::Bytes::new()
            },
            content_size: if place { octets.len() as u64 } else { 0 },
            header_size: if place { header_size as u64 } else { 0 },
            envelope: content
                .filter(|_| items.envelope)
                .map(|c| c.envelope.clone()),
            structure: content
                .filter(|_| items.structure)
                .map(|c| c.structure.clone()),
            header,
            octets: (items.content && octets.len() as u64 <= INLINE_CONTENT_BYTES_MAX)
                .then_some(octets),
            gone,
        }
    }

    pub(super) fn store(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        how: FlagChange,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
    ) -> Reply {
        let held = self.living_mut(mailbox)?;
        let mut done = Stored {
            modseq: None,
            changed: UidSet::new(),
            unchanged: UidSet::new(),
            modified: UidSet::new(),
        };
        for (uid, kept) in held.messages.iter().filter(|(uid, _)| uids.contains(**uid)) {
            if unchanged_since.is_some_and(|since| kept.modseq > since) {
                done.modified.insert(*uid);
            } else if kept.flags.changed(how, flags) == kept.flags {
                done.unchanged.insert(*uid);
            } else {
                done.changed.insert(*uid);
            }
        }
        // Only a keyword that a message now gets is learnt.
        if !done.changed.is_empty() && how != FlagChange::Remove {
            let new = held.new_keywords(&flags.keywords)?;
            held.keywords.extend(new);
        }
        let flags = held.spelled(flags.clone());
        let modseq = held.next_modseq();
        for uid in done.changed.iter() {
            if let Some(kept) = held.messages.get_mut(&uid) {
                kept.flags = kept.flags.changed(how, &flags);
                kept.modseq = modseq;
            }
        }
        done.modseq = self.log(mailbox, [(ChangeKind::Flagged, done.changed.clone())]);
        Ok(Answer::Stored(done))
    }

    pub(super) fn expunge(
        &mut self,
        now: Timestamp,
        mailbox: MailboxId,
        of: Option<&UidSet>,
    ) -> Reply {
        let held = self.living(mailbox)?;
        let deleted = |m: &Kept| m.flags.system.contains(SystemFlags::DELETED);
        let wanted = |uid: Uid| of.is_none_or(|of| of.contains(uid));
        let messages = held.messages.iter();
        let uids: UidSet = messages
            .filter_map(|(uid, m)| (deleted(m) && wanted(*uid)).then_some(*uid))
            .collect();
        self.take_away(now, mailbox, &uids, false);
        let modseq = self.log(mailbox, [(ChangeKind::Vanished, uids.clone())]);
        Ok(Answer::Expunged(uids, modseq))
    }

    pub(super) fn copy(
        &mut self,
        now: Timestamp,
        mailbox: MailboxId,
        uids: &UidSet,
        account: AccountId,
        to: &MailboxName,
    ) -> Reply {
        let from = self.living(mailbox)?.uids().intersection(uids);
        let target = self.find(account, to)?;
        let bytes = self.size_of(mailbox, &from)?;
        if !from.is_empty() && !self.has_room(account, bytes) {
            return Err(Refusal::OverQuota);
        }
        let added = self.duplicate(now, mailbox, &from, target)?;
        self.log(target, [(ChangeKind::Appeared, added.clone())]);
        Ok(Answer::Copied(Copied {
            validity: self.living(target)?.validity,
            from,
            to: added,
            gone: None,
        }))
    }

    pub(super) fn move_messages(
        &mut self,
        now: Timestamp,
        mailbox: MailboxId,
        uids: &UidSet,
        account: AccountId,
        to: &MailboxName,
    ) -> Reply {
        let source = self.living(mailbox)?;
        let from = source.uids().intersection(uids);
        // Within an account nothing is added, so there is always room.
        let same_account = source.account == account;
        let target = self.find(account, to)?;
        let bytes = self.size_of(mailbox, &from)?;
        if !from.is_empty() && !same_account && !self.has_room(account, bytes) {
            return Err(Refusal::OverQuota);
        }
        let added = self.duplicate(now, mailbox, &from, target)?;
        self.take_away(now, mailbox, &from, true);
        let appeared = (ChangeKind::Appeared, added.clone());
        let vanished = (ChangeKind::Vanished, from.clone());
        let gone = if target == mailbox {
            self.log(mailbox, [appeared, vanished])
        } else {
            self.log(target, [appeared]);
            self.log(mailbox, [vanished])
        };
        Ok(Answer::Copied(Copied {
            validity: self.living(target)?.validity,
            from,
            to: added,
            gone,
        }))
    }

    fn size_of(&self, mailbox: MailboxId, uids: &UidSet) -> Result<u64, Refusal> {
        let held = self.living(mailbox)?;
        let sizes = held.messages.iter().filter(|(uid, _)| uids.contains(**uid));
        Ok(sizes.map(|(_, m)| m.size).sum())
    }

    /// Puts the messages into the target too, with new UIDs in the same order. All of them or none.
    /// The caller logs it.
    pub(super) fn duplicate(
        &mut self,
        now: Timestamp,
        mailbox: MailboxId,
        uids: &UidSet,
        target: MailboxId,
    ) -> Result<UidSet, Refusal> {
        let source = self.living(mailbox)?;
        let messages = source.messages.iter();
        let copies: Vec<Kept> = messages
            .filter(|(uid, _)| uids.contains(**uid))
            .map(|(_, kept)| kept.clone())
            .collect();
        self.place(now, copies, target)
    }

    /// Puts messages into a mailbox, with new UIDs in their order. All of them or none. The caller logs it.
    pub(super) fn place(
        &mut self,
        now: Timestamp,
        copies: Vec<Kept>,
        target: MailboxId,
    ) -> Result<UidSet, Refusal> {
        let keywords: BTreeSet<Keyword> = copies
            .iter()
            .flat_map(|m| m.flags.keywords.iter().cloned())
            .collect();
        let held = self.living_mut(target)?;
        let new = held.new_keywords(&keywords)?;
        let added = held.take_uids(copies.len())?;
        held.keywords.extend(new);
        let modseq = held.next_modseq();
        for (uid, mut kept) in added.iter().zip(copies) {
            kept.flags = held.spelled(kept.flags);
            kept.modseq = modseq;
            kept.saved = now;
            held.messages.insert(*uid, kept);
        }
        Ok(added.into_iter().collect())
    }

    /// Moves the messages to the gone. The caller logs it.
    pub(super) fn take_away(
        &mut self,
        now: Timestamp,
        mailbox: MailboxId,
        uids: &UidSet,
        moved: bool,
    ) {
        if let Some(held) = self.mailboxes.get_mut(&mailbox) {
            for uid in uids.iter() {
                if let Some(kept) = held.messages.remove(&uid) {
                    let at = now;
                    held.gone.insert(uid, Gone { at, moved, kept });
                }
            }
        }
    }
}

impl Held {
    /// Of these UIDs those that are there or went less than an hour ago, ascending; and which.
    fn reachable(&self, now: Timestamp, uids: &UidSet) -> Vec<(Uid, &Kept, bool)> {
        let there = self.messages.iter().map(|(uid, m)| (*uid, m, false));
        let gone = self
            .gone
            .iter()
            .filter(|(_, gone)| now < gone.at.plus_seconds(GONE_SECONDS))
            .map(|(uid, gone)| (*uid, &gone.kept, true));
        let mut all: Vec<_> = there
            .chain(gone)
            .filter(|(uid, _, _)| uids.contains(*uid))
            .collect();
        all.sort_by_key(|(uid, _, _)| *uid);
        all
    }
}

/// Octets of a message in a page.
fn weight(message: &Message) -> u64 {
    let columns = [
        &message.envelope,
        &message.structure,
        &message.header,
        &message.octets,
    ];
    let asked = columns.into_iter().flatten();
    asked.fold(message.prefix.len() as u64, |sum, octets| {
        sum.saturating_add(octets.len() as u64)
    })
}
