//! STORE.

use std::collections::BTreeMap;

use dbmail_core::limits::KEYWORDS_MAX;
use dbmail_core::store::{
    Answer, FlagChange, Flags, Keyword, MailboxId, ModSeq, Refusal, Stored, SystemFlags, Uid,
    UidSet,
};

use super::known::Counters;
use super::log::Entry;
use super::{spans, uid};
use crate::db::{Db, Error};
use crate::driver::{Connection, Value, values};
use crate::sql::Sql;

/// UIDs read and left out rather than asked around.
const GAP: u32 = 64;
/// Refusal of a keyword too many.
pub(super) const TOO_MANY_KEYWORDS: Refusal = Refusal::Limit("the mailbox has too many keywords");

/// The messages as STORE finds them.
struct Present {
    /// Those that are named.
    by_flags: BTreeMap<SystemFlags, UidSet>,
    /// Those of them that failed UNCHANGEDSINCE.
    modified: UidSet,
    /// Who is not to be touched: other messages, and UIDs of which nothing is known.
    fence: UidSet,
}

impl Present {
    fn all(&self) -> UidSet {
        let sets = self.by_flags.values();
        sets.fold(UidSet::new(), |all, set| all.union(set))
    }

    /// Ranges that select some of these messages and no other.
    fn ranges_of(&self, some: &UidSet) -> Vec<(u32, u32)> {
        let others = self.all().difference(some).union(&self.fence);
        bridged(some, &others)
    }
}

/// The ranges of a set, those taken together between which nobody of the others stands: UIDs that are no more.
fn bridged(set: &UidSet, others: &UidSet) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut others = others.ranges().peekable();
    for (low, high) in set.ranges() {
        let last = ranges.last_mut();
        let after = last.as_ref().map_or(0, |(_, high)| *high);
        while others.next_if(|(_, other)| *other <= after).is_some() {}
        let free = others.peek().is_none_or(|(other, _)| *other > low);
        match last {
            Some(last) if free => last.1 = high,
            _ => ranges.push((low, high)),
        }
    }
    ranges
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
    /// Messages whose row is written, by their new flags.
    by_new: BTreeMap<SystemFlags, UidSet>,
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
        let counters = Counters::locked(&state)?;
        let modseq = ModSeq(counters.modseq.0 + 1);
        // Nothing changed after what all changes came before.
        let unchanged_since = unchanged_since.filter(|since| *since < counters.modseq);
        let present = self
            .named(mailbox, uids, &counters, unchanged_since)
            .await?;
        let fit = present.all().difference(&present.modified);
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
        let decision = decide(&present, how, named.system, &by_keyword);
        let Decision {
            mut done,
            by_new,
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
        self.set_flags(mailbox, modseq, &present, &by_new).await?;
        self.mark(mailbox, &present, &on, &off).await?;
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

    /// The messages that are named: from what is known where they are many, else from their rows.
    async fn named(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        counters: &Counters,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Present, Error> {
        if unchanged_since.is_none()
            && self.knows_flags(mailbox, uids)
            && let Some(known) = self.known_flags(mailbox, counters, uids).await?
            && let Some(by_flags) = known.by_flags(uids)
        {
            return Ok(Present {
                by_flags,
                modified: UidSet::new(),
                fence: known.uids.difference(uids),
            });
        }
        self.named_rows(mailbox, uids, unchanged_since).await
    }

    async fn named_rows(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Present, Error> {
        let mut by_flags: BTreeMap<SystemFlags, Vec<u32>> = BTreeMap::new();
        let (mut modified, mut strangers) = (Vec::new(), Vec::new());
        let spans = spans(uids, GAP);
        for (low, high) in &spans {
            let mut rows = if unchanged_since.is_some() {
                let values = values![mailbox.0, *low, *high];
                self.query(Sql::MessageStates, &values).await?
            } else {
                let values = values![mailbox.0, *low, *high, u32::MAX];
                self.query(Sql::MessageFlags, &values).await?
            };
            for row in rows.each() {
                let uid = uid(row.u32(0)?)?;
                if !uids.contains(uid) {
                    strangers.push(uid.number());
                    continue;
                }
                let flags = super::open::flags(&row, 1)?;
                by_flags.entry(flags).or_default().push(uid.number());
                if let Some(since) = unchanged_since
                    && ModSeq(row.u64(2)?) > since
                {
                    modified.push(uid.number());
                }
            }
        }
        let read = UidSet::from_ranges(spans.iter().map(|(low, high)| *low..=*high));
        let unread = UidSet::range(Uid::MIN, Uid::MAX).difference(&read);
        Ok(Present {
            by_flags: by_flags
                .into_iter()
                .map(|(f, uids)| (f, set_of(uids)))
                .collect(),
            modified: set_of(modified),
            fence: unread.union(&set_of(strangers)),
        })
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
        Ok(marked
            .into_iter()
            .map(|(number, uids)| (number, set_of(uids)))
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
        present: &Present,
        by_new: &BTreeMap<SystemFlags, UidSet>,
    ) -> Result<(), Error> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for (flags, uids) in by_new {
            let row = |(low, high)| {
                values![mailbox.0, low, high, i64::from(flags.bits()), modseq.0].into()
            };
            rows.extend(present.ranges_of(uids).into_iter().map(row));
        }
        self.many(Sql::MessageSetFlags, rows).await?;
        Ok(())
    }

    async fn mark(
        &mut self,
        mailbox: MailboxId,
        present: &Present,
        on: &BTreeMap<Keyword, (i64, UidSet)>,
        off: &BTreeMap<Keyword, (i64, UidSet)>,
    ) -> Result<(), Error> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for (number, uids) in on.values() {
            let row = |(low, high)| values![mailbox.0, *number, low, high].into();
            rows.extend(present.ranges_of(uids).into_iter().map(row));
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

fn set_of(numbers: Vec<u32>) -> UidSet {
    UidSet::from_ranges(numbers.into_iter().map(|n| n..=n))
}

/// Who changes, who is as wanted already, who failed UNCHANGEDSINCE.
fn decide(present: &Present, how: FlagChange, named: SystemFlags, by_keyword: &UidSet) -> Decision {
    let mut decision = Decision {
        done: Stored {
            modseq: None,
            changed: UidSet::new(),
            unchanged: UidSet::new(),
            modified: present.modified.clone(),
        },
        by_new: BTreeMap::new(),
        system: BTreeMap::new(),
        unseen: 0,
        deleted: 0,
    };
    let done = &mut decision.done;
    for (old, uids) in &present.by_flags {
        let old = *old;
        let fit = uids.difference(&present.modified);
        let new = match how {
            FlagChange::Add => old.with(named),
            FlagChange::Remove => old.without(named),
            FlagChange::Replace => named,
        };
        if new == old {
            let changed = fit.intersection(by_keyword);
            done.unchanged = done.unchanged.union(&fit.difference(&changed));
            add(&mut decision.by_new, new, &changed);
            done.changed = done.changed.union(&changed);
            continue;
        }
        let differs = |flag| {
            let difference = i64::from(new.contains(flag)) - i64::from(old.contains(flag));
            difference * i64::from(fit.len())
        };
        decision.unseen -= differs(SystemFlags::SEEN);
        decision.deleted += differs(SystemFlags::DELETED);
        add(&mut decision.by_new, new, &fit);
        let key = (new.without(old), old.without(new));
        add(&mut decision.system, key, &fit);
        done.changed = done.changed.union(&fit);
    }
    decision
}

fn add<K: Ord>(sets: &mut BTreeMap<K, UidSet>, key: K, uids: &UidSet) {
    if !uids.is_empty() {
        let set = sets.entry(key).or_default();
        *set = set.union(uids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u32, u32)]) -> UidSet {
        UidSet::from_ranges(ranges.iter().map(|(low, high)| *low..=*high))
    }

    #[test]
    fn ranges_reach_over_uids_that_are_no_more_and_over_nobody() {
        let some = set(&[(2, 3), (5, 5), (9, 10), (20, 20), (30, 31)]);
        assert_eq!(bridged(&some, &set(&[])), [(2, 31)]);
        assert_eq!(
            bridged(&some, &set(&[(1, 1), (7, 7), (40, u32::MAX)])),
            [(2, 5), (9, 31)]
        );
        assert_eq!(
            bridged(&some, &set(&[(4, 4), (11, 19), (21, 22), (25, 26)])),
            [(2, 3), (5, 10), (20, 20), (30, 31)]
        );
        assert!(bridged(&set(&[]), &set(&[(1, 9)])).is_empty());
    }
}
