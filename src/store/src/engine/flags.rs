//! STORE.

use std::collections::BTreeMap;

use dbmail_core::limits::KEYWORDS_MAX;
use dbmail_core::store::{
    Answer, FlagChange, Flags, Keyword, MailboxId, ModSeq, Refusal, Stored, SystemFlags, UidSet,
};

use super::log::Entry;
use super::{Runs, spans, uid};
use crate::db::{Db, Error};
use crate::driver::{Connection, Value, values};
use crate::sql::Sql;

/// UIDs read and left out rather than asked around.
const GAP: u32 = 64;
/// Refusal of a keyword too many.
pub(super) const TOO_MANY_KEYWORDS: Refusal = Refusal::Limit("the mailbox has too many keywords");

/// A message as STORE finds it.
struct Found {
    uid: u32,
    flags: SystemFlags,
    modseq: ModSeq,
    /// Read because it lies between others.
    stranger: bool,
    /// Nothing is known of the UIDs before it.
    first: bool,
}

/// The keywords that a mailbox knows.
pub(super) struct Keywords {
    numbers: BTreeMap<Keyword, i64>,
    new: Vec<(i64, Keyword)>,
    last: i64,
}

impl Keywords {
    pub(super) fn number(&self, keyword: &Keyword) -> Option<i64> {
        self.numbers.get(keyword).copied()
    }
    /// Whether so many more may be learnt.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.numbers.len() + more <= KEYWORDS_MAX
    }
    /// Learns a keyword, if there is room.
    pub(super) fn learn(&mut self, keyword: &Keyword) -> Option<i64> {
        if let Some(number) = self.number(keyword) {
            return Some(number);
        }
        if self.numbers.len() >= KEYWORDS_MAX {
            return None;
        }
        self.last += 1;
        self.numbers.insert(keyword.clone(), self.last);
        self.new.push((self.last, keyword.clone()));
        Some(self.last)
    }
}

/// What becomes of the messages.
struct Decision {
    done: Stored,
    /// New flags, for runs of messages whose row is written.
    runs: Runs<SystemFlags>,
    /// Messages by system flags set and cleared.
    system: BTreeMap<(SystemFlags, SystemFlags), UidSet>,
    unseen: i64,
    deleted: i64,
}

impl<C: Connection> Db<C> {
    /// `Request::Store`.
    pub(super) async fn store(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        how: FlagChange,
        named: &Flags,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Answer, Error> {
        let mut rows = self.query(Sql::StateLock, &values![mailbox.0]).await?;
        let state = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        let modseq = ModSeq(state.u64(1)? + 1);
        let found = self.found(mailbox, uids).await?;
        let fits =
            |m: &&Found| !m.stranger && unchanged_since.is_none_or(|since| m.modseq <= since);
        let fit: UidSet = found
            .iter()
            .filter(fits)
            .filter_map(|m| uid(m.uid).ok())
            .collect();
        let touches_keywords = how == FlagChange::Replace || !named.keywords.is_empty();
        let mut keywords = None;
        let (mut on, mut off) = (BTreeMap::new(), BTreeMap::new());
        if touches_keywords && !fit.is_empty() {
            let mut known = self.keywords(mailbox).await?;
            let marked = self.marked(mailbox, &fit, &known).await?;
            (on, off) = self.keyword_changes(how, named, &fit, &marked, &mut known);
            keywords = Some(known);
        }
        let by_keyword = on.values().chain(off.values());
        let by_keyword = by_keyword.fold(UidSet::new(), |all, (_, set)| all.union(set));
        let decision = decide(&found, &fit, how, named.system, &by_keyword)?;
        let Decision {
            mut done,
            runs,
            system,
            unseen,
            deleted,
        } = decision;
        if done.changed.is_empty() {
            return Ok(Answer::Stored(done));
        }
        if let Some(known) = keywords
            && how != FlagChange::Remove
        {
            let mut known = known;
            self.learn(mailbox, &mut known, named).await?;
        }
        self.set_flags(mailbox, modseq, runs).await?;
        self.mark(mailbox, &found, &on, &off).await?;
        let values = values![mailbox.0, true, 0i64, unseen, deleted, 0i64];
        self.execute(Sql::StateChanged, &values).await?;
        let system = system
            .into_iter()
            .map(|((on, off), set)| (Entry::Flags(on, off), set));
        let on = on
            .into_values()
            .map(|(number, set)| (Entry::KeywordOn(number), set));
        let off = off
            .into_values()
            .map(|(number, set)| (Entry::KeywordOff(number), set));
        let entries: Vec<_> = system.chain(on).chain(off).collect();
        self.log(mailbox, modseq, entries).await?;
        done.modseq = Some(modseq);
        Ok(Answer::Stored(done))
    }

    async fn found(&mut self, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for (low, high) in spans(uids, GAP) {
            let mut rows = self
                .query(Sql::MessageStates, &values![mailbox.0, low, high])
                .await?;
            let mut first = true;
            for row in rows.each() {
                let uid = uid(row.u32(0)?)?;
                found.push(Found {
                    uid: uid.number(),
                    flags: super::open::flags(&row, 1)?,
                    modseq: ModSeq(row.u64(2)?),
                    stranger: !uids.contains(uid),
                    first: std::mem::take(&mut first),
                });
            }
        }
        Ok(found)
    }

    /// The keywords of a mailbox.
    pub(super) async fn keywords(&mut self, mailbox: MailboxId) -> Result<Keywords, Error> {
        let mut rows = self.query(Sql::KeywordsOf, &values![mailbox.0]).await?;
        let mut known = Keywords {
            numbers: BTreeMap::new(),
            new: Vec::new(),
            last: 0,
        };
        for mut row in rows.each() {
            let number = row.int(0)?;
            known.last = known.last.max(number);
            known
                .numbers
                .insert(super::open::keyword(&row.text(1)?)?, number);
        }
        Ok(known)
    }

    /// Writes the keywords that were learnt.
    pub(super) async fn add_keywords_to(
        &mut self,
        mailbox: MailboxId,
        known: &mut Keywords,
    ) -> Result<(), Error> {
        let new = std::mem::take(&mut known.new);
        let row = |(number, keyword): (i64, Keyword)| {
            values![
                mailbox.0,
                number,
                keyword.key().into_bytes(),
                keyword.as_str()
            ]
            .into()
        };
        self.many(Sql::KeywordInsert, new.into_iter().map(row).collect())
            .await?;
        Ok(())
    }

    /// Learns every keyword that STORE names, as the mailbox's list of keywords has them all or none.
    async fn learn(
        &mut self,
        mailbox: MailboxId,
        known: &mut Keywords,
        named: &Flags,
    ) -> Result<(), Error> {
        for keyword in &named.keywords {
            known.learn(keyword).ok_or(TOO_MANY_KEYWORDS)?;
        }
        self.add_keywords_to(mailbox, known).await
    }

    /// Which messages have which keywords.
    async fn marked(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        known: &Keywords,
    ) -> Result<BTreeMap<i64, UidSet>, Error> {
        let mut marked: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let (Some(low), Some(high), false) = (uids.first(), uids.last(), known.numbers.is_empty())
        else {
            return Ok(BTreeMap::new());
        };
        let values = values![mailbox.0, low.number(), high.number()];
        let mut rows = self.query(Sql::KeywordMarks, &values).await?;
        for row in rows.each() {
            marked.entry(row.int(0)?).or_default().push(row.u32(2)?);
        }
        let set = |numbers: Vec<u32>| UidSet::from_ranges(numbers.into_iter().map(|n| n..=n));
        Ok(marked
            .into_iter()
            .map(|(number, uids)| (number, set(uids)))
            .collect())
    }

    /// Which messages get which keywords, and which lose them.
    #[allow(clippy::type_complexity)]
    fn keyword_changes(
        &self,
        how: FlagChange,
        named: &Flags,
        fit: &UidSet,
        marked: &BTreeMap<i64, UidSet>,
        known: &mut Keywords,
    ) -> (
        BTreeMap<Keyword, (i64, UidSet)>,
        BTreeMap<Keyword, (i64, UidSet)>,
    ) {
        let (mut on, mut off) = (BTreeMap::new(), BTreeMap::new());
        let none = UidSet::new();
        let having = |number: i64| marked.get(&number).unwrap_or(&none);
        if how != FlagChange::Remove {
            for keyword in &named.keywords {
                // One that finds no room is refused when the keywords are learnt, before anything is written.
                let number = known
                    .number(keyword)
                    .or_else(|| known.learn(keyword))
                    .unwrap_or(0);
                on.insert(keyword.clone(), (number, fit.difference(having(number))));
            }
        }
        for (keyword, number) in &known.numbers {
            let goes = match how {
                FlagChange::Add => false,
                FlagChange::Remove => named.keywords.contains(keyword),
                FlagChange::Replace => !named.keywords.contains(keyword),
            };
            if goes {
                off.insert(
                    keyword.clone(),
                    (*number, fit.intersection(having(*number))),
                );
            }
        }
        on.retain(|_, (_, set)| !set.is_empty());
        off.retain(|_, (_, set)| !set.is_empty());
        (on, off)
    }

    async fn set_flags(
        &mut self,
        mailbox: MailboxId,
        modseq: ModSeq,
        runs: Runs<SystemFlags>,
    ) -> Result<(), Error> {
        let row = |(flags, low, high): (SystemFlags, u32, u32)| {
            values![mailbox.0, low, high, i64::from(flags.bits()), modseq.0].into()
        };
        self.many(
            Sql::MessageSetFlags,
            runs.runs.into_iter().map(row).collect(),
        )
        .await?;
        Ok(())
    }

    async fn mark(
        &mut self,
        mailbox: MailboxId,
        found: &[Found],
        on: &BTreeMap<Keyword, (i64, UidSet)>,
        off: &BTreeMap<Keyword, (i64, UidSet)>,
    ) -> Result<(), Error> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for (number, set) in on.values() {
            let mut runs = Runs::new();
            for message in found {
                if message.first {
                    runs.interrupt();
                }
                if uid(message.uid).is_ok_and(|uid| set.contains(uid)) {
                    runs.push((), message.uid);
                } else {
                    runs.interrupt();
                }
            }
            let row = |((), low, high)| values![mailbox.0, *number, low, high].into();
            rows.extend(runs.runs.into_iter().map(row));
        }
        self.many(Sql::KeywordMark, rows).await?;
        // The gone keep their keywords: the ranges are those of the set itself.
        let ranges = off.values().flat_map(|(number, set)| {
            set.ranges()
                .map(|(low, high)| values![mailbox.0, *number, low, high].into())
        });
        self.many(Sql::KeywordUnmark, ranges.collect()).await?;
        Ok(())
    }
}

/// Who changes, who is as wanted already, who failed UNCHANGEDSINCE.
fn decide(
    found: &[Found],
    fit: &UidSet,
    how: FlagChange,
    named: SystemFlags,
    by_keyword: &UidSet,
) -> Result<Decision, Error> {
    let (mut changed, mut unchanged, mut modified) = (Vec::new(), Vec::new(), Vec::new());
    let mut runs = Runs::new();
    let mut system: BTreeMap<(SystemFlags, SystemFlags), Vec<u32>> = BTreeMap::new();
    let (mut unseen, mut deleted) = (0, 0);
    let differs = |old: SystemFlags, new: SystemFlags, flag| {
        i64::from(new.contains(flag)) - i64::from(old.contains(flag))
    };
    for message in found {
        if message.first {
            runs.interrupt();
        }
        let uid = uid(message.uid)?;
        if message.stranger {
            runs.interrupt();
            continue;
        }
        if !fit.contains(uid) {
            modified.push(message.uid);
            runs.interrupt();
            continue;
        }
        let old = message.flags;
        let new = match how {
            FlagChange::Add => old.with(named),
            FlagChange::Remove => old.without(named),
            FlagChange::Replace => named,
        };
        if new == old && !by_keyword.contains(uid) {
            unchanged.push(message.uid);
            runs.interrupt();
            continue;
        }
        changed.push(message.uid);
        runs.push(new, message.uid);
        if new != old {
            let key = (new.without(old), old.without(new));
            system.entry(key).or_default().push(message.uid);
            unseen -= differs(old, new, SystemFlags::SEEN);
            deleted += differs(old, new, SystemFlags::DELETED);
        }
    }
    let set = |numbers: Vec<u32>| UidSet::from_ranges(numbers.into_iter().map(|n| n..=n));
    Ok(Decision {
        done: Stored {
            modseq: None,
            changed: set(changed),
            unchanged: set(unchanged),
            modified: set(modified),
        },
        runs,
        system: system
            .into_iter()
            .map(|(key, uids)| (key, set(uids)))
            .collect(),
        unseen,
        deleted,
    })
}
