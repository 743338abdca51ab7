//! Life after EXPUNGE: what is gone is purged, or brought back.

use std::collections::BTreeSet;

use super::{Held, Kept, Store};
use crate::limits::{GONE_KEPT_SECONDS_MIN, LOG_KEPT_SECONDS_MIN, UNDELETE_MESSAGES_MAX};
use crate::store::{
    AccountId, Change, ChangeKind, ContentId, MailboxId, MailboxName, ModSeq, Refusal, SpecialUse,
    SystemFlags, Timestamp, Uid, UidSet, Undeleted,
};

impl Store {
    /// Removes what of an account is past its time: messages that are gone, mailboxes that were deleted, and changes at the
    /// beginning of the logs, whose horizon is then the last that went. Contents that nobody has any more go too. Nothing goes
    /// before [`GONE_KEPT_SECONDS_MIN`] and [`LOG_KEPT_SECONDS_MIN`].
    pub fn purge(
        &mut self,
        now: Timestamp,
        account: AccountId,
        deleted_seconds: u64,
        log_seconds: u64,
    ) {
        self.changed.clear();
        let gone_before = before(now, deleted_seconds.max(GONE_KEPT_SECONDS_MIN));
        let logged_before = before(now, log_seconds.max(LOG_KEPT_SECONDS_MIN));
        self.mailboxes.retain(|_, held| {
            if held.account != account {
                return true;
            }
            held.gone.retain(|_, gone| gone.at >= gone_before);
            held.purge_log(logged_before);
            held.deleted.is_none_or(|at| at >= gone_before)
        });
        let held = self.mailboxes.values();
        let referred: BTreeSet<_> = held.flat_map(Held::contents).collect();
        self.contents.retain(|id, _| referred.contains(id));
    }

    /// Brings messages back that left a mailbox: those of `uids` that were expunged, or went with it, not those that were moved. They
    /// get new UIDs, keep flags (without `\Deleted`), keywords and INTERNALDATE, are recent, saved now, and of the same content; and
    /// are no longer among the gone. Their owner pays. At most [`UNDELETE_MESSAGES_MAX`] of them, those with the lowest UIDs.
    ///
    /// They come into `to`; without it into the mailbox that they left. A mailbox that is not there is made with the levels above it;
    /// in place of a deleted one, with its special use where that is free. `None`: there was nothing to bring back, and nothing
    /// happened.
    ///
    /// # Errors
    /// The first that holds: `NoSuchMailbox` (never was one of this account, or is purged), `AlreadyExists` (the mailbox was deleted, and
    /// its name is another's now: say where to), `Limit`, `OverQuota`.
    pub fn undelete(
        &mut self,
        now: Timestamp,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        to: Option<&MailboxName>,
    ) -> Result<Option<Undeleted>, Refusal> {
        self.changed.clear();
        self.now = now;
        let source = self.mailboxes.get(&mailbox);
        let source = source.filter(|held| held.account == account);
        let source = source.ok_or(Refusal::NoSuchMailbox)?;
        let (messages, from) = source.returning(uids);
        if from.is_empty() {
            return Ok(None);
        }
        let deleted = source.deleted.is_some();
        let name = to.unwrap_or(&source.name).clone();
        let wanted_use = source.special_use.filter(|_| deleted);
        let there = self.find(account, &name).ok();
        if deleted && to.is_none() && there.is_some() {
            return Err(Refusal::AlreadyExists);
        }
        let bytes = messages.iter().map(|m| m.size).sum();
        let before = self.clone();
        let placed = self.returned(now, account, &name, messages, wanted_use);
        match placed {
            Ok((target, added)) => {
                if let Some(held) = self.mailboxes.get_mut(&mailbox) {
                    held.gone.retain(|uid, _| !from.contains(*uid));
                }
                Ok(Some(Undeleted {
                    mailbox: target,
                    name,
                    made: there.is_none(),
                    from,
                    to: added,
                    bytes,
                }))
            }
            Err(refusal) => {
                *self = before;
                Err(refusal)
            }
        }
    }

    /// Puts the messages into the mailbox of that name, which is made when it is not there.
    fn returned(
        &mut self,
        now: Timestamp,
        account: AccountId,
        name: &MailboxName,
        messages: Vec<Kept>,
        wanted_use: Option<SpecialUse>,
    ) -> Result<(MailboxId, UidSet), Refusal> {
        if self.find(account, name).is_err() {
            let in_use = |usage| self.of(account).any(|(_, h)| h.special_use == Some(usage));
            let special_use = wanted_use.filter(|usage| !in_use(*usage));
            self.create(account, name, special_use)?;
        }
        let target = self.find(account, name)?;
        let added = self.place(now, messages, target)?;
        self.log(target, [(ChangeKind::Appeared, added.clone())]);
        // Counted already.
        if !self.has_room(account, 0) {
            return Err(Refusal::OverQuota);
        }
        Ok((target, added))
    }
}

impl Held {
    /// Those of the gone that may be brought back, as they come back, and their UIDs.
    fn returning(&self, uids: &UidSet) -> (Vec<Kept>, UidSet) {
        let gone = self.gone.iter();
        let gone = gone.filter(|(uid, gone)| uids.contains(**uid) && !gone.moved);
        let back = |kept: &Kept| {
            let mut kept = kept.clone();
            kept.flags.system = kept.flags.system.without(SystemFlags::DELETED);
            kept
        };
        let gone = gone.take(UNDELETE_MESSAGES_MAX);
        let all: Vec<(Uid, Kept)> = gone.map(|(uid, g)| (*uid, back(&g.kept))).collect();
        let from = all.iter().map(|(uid, _)| *uid).collect();
        (all.into_iter().map(|(_, kept)| kept).collect(), from)
    }

    /// Forgets changes at the beginning of the log, up to the first that is not so old, and never a part of one.
    fn purge_log(&mut self, logged_before: Timestamp) {
        let kept = self.log.iter().find(|(at, _)| *at >= logged_before);
        let kept = kept.map_or(ModSeq(u64::MAX), |(_, change)| change.modseq);
        let goes = |change: &Change| change.modseq < kept;
        let last = self.log.iter().rev().find(|(_, change)| goes(change));
        self.log_from = last.map_or(self.log_from, |(_, change)| change.modseq);
        self.log.retain(|(_, change)| !goes(change));
    }

    fn contents(&self) -> impl Iterator<Item = ContentId> + '_ {
        let gone = self.gone.values().map(|gone| &gone.kept);
        self.messages.values().chain(gone).map(|kept| kept.content)
    }
}

/// What is older than so many seconds is before this.
fn before(now: Timestamp, seconds: u64) -> Timestamp {
    let micros = i64::try_from(seconds).map_or(i64::MAX, |s| s.saturating_mul(1_000_000));
    Timestamp(now.0.saturating_sub(micros))
}
