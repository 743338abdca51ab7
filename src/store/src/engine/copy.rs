//! COPY and MOVE.

use std::collections::BTreeMap;

use dbmail_core::store::{
    AccountId, Answer, Copied, Keyword, MailboxId, MailboxName, ModSeq, Refusal, SystemFlags, Uid,
    UidSet, UidValidity,
};

use super::expunge::Why;
use super::flags::TOO_MANY_KEYWORDS;
use super::log::Entry;
use super::{Runs, name_key, spans};
use crate::db::{Db, Error};
use crate::driver::{Connection, Failure, Value, values};
use crate::sql::Sql;

/// UIDs read and left out rather than asked around.
const GAP: u32 = 64;
/// Refusal when the UIDs are used up.
pub(super) const NO_UIDS: Refusal = Refusal::Limit("the mailbox has no UIDs left");

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) mailbox: MailboxId,
    pub(super) validity: UidValidity,
    pub(super) quota_root: i64,
}

/// Messages to be copied, or brought back.
#[derive(Default)]
pub(super) struct Taken {
    /// They are among the gone.
    gone: bool,
    pub(super) runs: Runs<()>,
    pub(super) uids: Vec<u32>,
    /// Messages by system flags, as places in `uids`.
    by_flags: BTreeMap<SystemFlags, Vec<u32>>,
    pub(super) octets: i64,
    unseen: i64,
    deleted: i64,
}

impl Taken {
    /// None of those that are gone.
    pub(super) fn of_gone() -> Self {
        Self {
            gone: true,
            ..Self::default()
        }
    }

    /// The next one, by UID.
    pub(super) fn take(&mut self, uid: u32, flags: SystemFlags, octets: i64) {
        self.runs.push((), uid);
        let place = u32::try_from(self.uids.len()).unwrap_or(u32::MAX);
        self.by_flags.entry(flags).or_default().push(place);
        self.uids.push(uid);
        self.octets += octets;
        self.unseen += i64::from(!flags.contains(SystemFlags::SEEN));
        self.deleted += i64::from(flags.contains(SystemFlags::DELETED));
    }
}

impl<C: Connection> Db<C> {
    /// `Request::Copy` and, with `moves`, `Request::Move`.
    pub(super) async fn copy(
        &mut self,
        source: MailboxId,
        uids: &UidSet,
        account: AccountId,
        to: &MailboxName,
        moves: bool,
    ) -> Result<Answer, Error> {
        let owner = self.owner(source).await?;
        let target = self
            .target(account, to)
            .await?
            .ok_or(Refusal::NoSuchMailbox)?;
        let mut modseq = BTreeMap::new();
        let mut both = [source, target.mailbox];
        both.sort_unstable();
        for mailbox in both {
            if let std::collections::btree_map::Entry::Vacant(free) = modseq.entry(mailbox) {
                free.insert(self.lock_state(mailbox).await?);
            }
        }
        let taken = self.taken(source, uids).await?;
        let from = UidSet::from_ranges(taken.uids.iter().map(|n| *n..=*n));
        let mut copied = Copied {
            validity: target.validity,
            from,
            to: UidSet::new(),
            gone: None,
        };
        if taken.uids.is_empty() {
            return Ok(Answer::Copied(copied));
        }
        let (added, modseq, mut arrived) = self.duplicate(source, target.mailbox, &taken).await?;
        copied.to = added;
        if moves && target.mailbox == source {
            // One change: its messages come and go under one MODSEQ.
            self.take_away(source, modseq, &taken, Why::Moved, false)
                .await?;
            arrived.push((Entry::Gone, copied.from.clone()));
            copied.gone = Some(modseq);
        }
        self.log(target.mailbox, modseq, arrived).await?;
        if moves && target.mailbox != source {
            let gone = ModSeq(self.lock_state(source).await?.0 + 1);
            self.take_away(source, gone, &taken, Why::Moved, true)
                .await?;
            self.log(source, gone, vec![(Entry::Gone, copied.from.clone())])
                .await?;
            copied.gone = Some(gone);
        }
        // Within one account a move adds nothing, so there is always room.
        if !(moves && owner.account == account) {
            let from = moves.then_some(owner.quota_root);
            self.pay(&taken, target.quota_root, from).await?;
        }
        Ok(Answer::Copied(copied))
    }

    /// Charges a root for the messages, and gives back to another; by id, as roots are locked.
    pub(super) async fn pay(
        &mut self,
        taken: &Taken,
        to: i64,
        from: Option<i64>,
    ) -> Result<(), Error> {
        let count = taken.uids.len() as i64;
        let back = from.map(|root| values![root, -taken.octets, -count]);
        if let Some(back) = &back
            && from < Some(to)
        {
            self.execute(Sql::QuotaMove, back).await?;
        }
        let charge = values![to, taken.octets, count];
        if self.execute(Sql::QuotaCharge, &charge).await? == 0 {
            return Err(Refusal::OverQuota.into());
        }
        if let Some(back) = &back
            && from >= Some(to)
        {
            self.execute(Sql::QuotaMove, back).await?;
        }
        Ok(())
    }

    /// The mailbox of that name.
    pub(super) async fn target(
        &mut self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<Target>, Error> {
        let values = values![account.0, name_key(name)];
        let mut rows = self.query(Sql::MailboxTarget, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let Some(id) = row.int_or_none(1)? else {
            return Ok(None);
        };
        Ok(Some(Target {
            mailbox: MailboxId(id),
            validity: UidValidity(row.u32(2)?),
            quota_root: row.int(3)?,
        }))
    }

    async fn taken(&mut self, mailbox: MailboxId, uids: &UidSet) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        for (low, high) in spans(uids, GAP) {
            taken.runs.interrupt();
            let mut rows = self
                .query(Sql::MessageStates, &values![mailbox.0, low, high])
                .await?;
            for row in rows.each() {
                let uid = super::uid(row.u32(0)?)?;
                if !uids.contains(uid) {
                    taken.runs.interrupt();
                    continue;
                }
                let flags = super::open::flags(&row, 1)?;
                taken.take(uid.number(), flags, row.int(3)?);
            }
        }
        Ok(taken)
    }

    /// Puts the messages into the target too, under new UIDs in the same order. The UIDs, the MODSEQ, and what to log.
    pub(super) async fn duplicate(
        &mut self,
        source: MailboxId,
        target: MailboxId,
        taken: &Taken,
    ) -> Result<(UidSet, ModSeq, Vec<(Entry, UidSet)>), Error> {
        let marks = self.marks_for(source, target, taken).await?;
        let count = u32::try_from(taken.uids.len()).map_err(|_| NO_UIDS)?;
        let advance = values![target.0, count, taken.unseen, taken.deleted, taken.octets];
        let mut rows = self.query(Sql::StateArrived, &advance).await?;
        let row = rows.first().ok_or(NO_UIDS)?;
        let first = u32::try_from(row.int(0)? - i64::from(count)).map_err(|_| NO_UIDS)?;
        let modseq = ModSeq(row.u64(1)?);
        let now = self.now().0;
        let mut next = first;
        let mut places = taken.uids.iter();
        let mut copies: Vec<Vec<Value>> = Vec::new();
        for ((), low, high) in &taken.runs.runs {
            copies.push(values![source.0, *low, *high, target.0, next, modseq.0, now].into());
            let length = places.by_ref().take_while(|uid| *uid < high).count();
            next += u32::try_from(length).unwrap_or(0) + 1;
        }
        let copy = if taken.gone {
            Sql::GoneReturn
        } else {
            Sql::MessageCopy
        };
        let written: u64 = self.many(copy, copies).await?;
        if written != u64::from(count) {
            if taken.gone {
                // Some were purged meanwhile: what is left is looked at again.
                return Err(Failure::Busy.into());
            }
            return Err(Refusal::Damaged("messages changed under their lock".to_owned()).into());
        }
        let of_places = |places: &[u32]| {
            UidSet::from_ranges(places.iter().map(|place| first + place..=first + place))
        };
        let marked = marks.iter().flat_map(|(number, places)| {
            places
                .iter()
                .map(|place| values![target.0, *number, first + place].into())
        });
        self.many(Sql::KeywordMarkOne, marked.collect()).await?;
        let arrived: Vec<(Entry, UidSet)> = taken
            .by_flags
            .iter()
            .map(|(flags, places)| (Entry::Arrived(*flags), of_places(places)))
            .chain(
                marks
                    .iter()
                    .map(|(n, places)| (Entry::ArrivedWith(*n), of_places(places))),
            )
            .collect();
        Ok((
            UidSet::from_ranges([first..=first + (count - 1)]),
            modseq,
            arrived,
        ))
    }

    /// The keywords of the messages, as the target numbers them, with places in the list of UIDs.
    async fn marks_for(
        &mut self,
        source: MailboxId,
        target: MailboxId,
        taken: &Taken,
    ) -> Result<Vec<(i64, Vec<u32>)>, Error> {
        let (Some(low), Some(high)) = (taken.uids.first(), taken.uids.last()) else {
            return Ok(Vec::new());
        };
        let mut rows = self
            .query(Sql::KeywordMarks, &values![source.0, *low, *high])
            .await?;
        let mut marks: BTreeMap<Keyword, Vec<u32>> = BTreeMap::new();
        for mut row in rows.each() {
            let name = row.text(1)?;
            let Ok(place) = taken.uids.binary_search(&row.u32(2)?) else {
                continue;
            };
            let keyword = super::open::keyword(&name)?;
            marks
                .entry(keyword)
                .or_default()
                .push(u32::try_from(place).unwrap_or(u32::MAX));
        }
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        let mut known = self.keywords(target).await?;
        let mut numbered = Vec::with_capacity(marks.len());
        for (keyword, places) in marks {
            numbered.push((known.learn(&keyword).ok_or(TOO_MANY_KEYWORDS)?, places));
        }
        self.add_keywords_to(target, &mut known).await?;
        Ok(numbered)
    }

    /// Moves the messages to the gone. The caller logs it.
    async fn take_away(
        &mut self,
        mailbox: MailboxId,
        modseq: ModSeq,
        taken: &Taken,
        why: Why,
        advances: bool,
    ) -> Result<(), Error> {
        let now = self.now().0;
        let why = why as i64;
        let runs = &taken.runs.runs;
        let gone = |((), low, high): &((), u32, u32)| {
            values![mailbox.0, *low, *high, modseq.0, now, why].into()
        };
        self.many(Sql::GoneInsert, runs.iter().map(gone).collect())
            .await?;
        let range = |((), low, high): &((), u32, u32)| values![mailbox.0, *low, *high].into();
        self.many(Sql::MessageRemove, runs.iter().map(range).collect())
            .await?;
        let count = taken.uids.len() as i64;
        let state = values![
            mailbox.0,
            advances,
            -count,
            -taken.unseen,
            -taken.deleted,
            -taken.octets
        ];
        self.execute(Sql::StateChanged, &state).await?;
        Ok(())
    }

    /// DELETE's messages move to the gone and pay back. There is no log of a mailbox that is no more.
    pub(super) async fn end_messages(
        &mut self,
        mailbox: MailboxId,
        quota_root: i64,
    ) -> Result<(), Error> {
        let modseq = ModSeq(self.lock_state(mailbox).await?.0 + 1);
        let taken = self
            .taken(mailbox, &UidSet::range(Uid::MIN, Uid::MAX))
            .await?;
        if taken.uids.is_empty() {
            return Ok(());
        }
        self.take_away(mailbox, modseq, &taken, Why::MailboxDeleted, true)
            .await?;
        let back = values![quota_root, -taken.octets, -(taken.uids.len() as i64)];
        self.execute(Sql::QuotaMove, &back).await?;
        Ok(())
    }
}
