//! What one session was told of its mailbox: the only place where a sequence number becomes a UID.
//!
//! The view changes only when the client is told (RFC 9051 §7.5.1): a message that another session
//! expunged keeps its number here until EXPUNGE is sent, one that arrived has none until EXISTS is
//! sent. What is not told yet is read from the store's log above [`View::through`]; only expunges that
//! were read while they could not be told are held here.

use crate::imap::command::SequenceSet;
use crate::store::{Change, ChangeKind, ModSeq, Uid, UidSet};

/// A message sequence number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u32);

/// What the session was told, and how far it has read the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The messages that have a sequence number, in its order.
    told: UidSet,
    /// Told messages that are gone, which the client was not told yet. A subset of `told`.
    held: UidSet,
    /// Messages that are `\Recent` in this session. A subset of `told`.
    recent: UidSet,
    /// What the last SEARCH with SAVE found (RFC 5182). A subset of `told`.
    saved: UidSet,
    /// Everything up to here was read from the log.
    through: ModSeq,
}

/// What the log says that is still to be told, as one whole: a message that came and went in between
/// is in none of the sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unread {
    /// Messages that came and are still there.
    pub appeared: UidSet,
    /// Told messages whose flags changed, by another hand than this session's.
    pub flagged: UidSet,
}

impl View {
    /// The view right after SELECT or EXAMINE.
    #[must_use]
    pub const fn new(uids: UidSet, recent: UidSet, through: ModSeq) -> Self {
        Self {
            told: uids,
            held: UidSet::new(),
            recent,
            saved: UidSet::new(),
            through,
        }
    }

    /// How many messages the client believes to be there.
    #[must_use]
    pub fn exists(&self) -> u32 {
        self.told.len()
    }
    /// How many of them are recent.
    #[must_use]
    pub fn recent_count(&self) -> u32 {
        self.recent.len()
    }
    /// Whether a message is `\Recent` in this session.
    #[must_use]
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }
    /// The messages that have a number.
    #[must_use]
    pub const fn told(&self) -> &UidSet {
        &self.told
    }
    /// The recent ones.
    #[must_use]
    pub const fn recent(&self) -> &UidSet {
        &self.recent
    }
    /// Told messages that are known to be gone and still have a number.
    #[must_use]
    pub const fn held(&self) -> &UidSet {
        &self.held
    }
    /// How far the log was read.
    #[must_use]
    pub const fn through(&self) -> ModSeq {
        self.through
    }

    /// The UID of a sequence number.
    #[must_use]
    pub fn uid(&self, seq: Seq) -> Option<Uid> {
        self.told.nth(seq.0.checked_sub(1)?)
    }
    /// The sequence number of a UID.
    #[must_use]
    pub fn seq(&self, uid: Uid) -> Option<Seq> {
        self.told
            .contains(uid)
            .then(|| Seq(self.told.rank(uid).saturating_add(1)))
    }
    /// For walks over many messages.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor {
            range: 0,
            before: 0,
        }
    }

    /// The messages that a set of sequence numbers names; `None` when it names one that does not exist
    /// (RFC 9051 §9 `seq-number`: BAD), which `*` does in an empty mailbox.
    #[must_use]
    pub fn by_numbers(&self, set: &SequenceSet) -> Option<UidSet> {
        let exists = self.exists();
        let Some(numbers) = numbers(set, exists) else {
            return Some(self.saved.clone());
        };
        if exists == 0 || numbers.ranges().any(|(low, high)| low < 1 || high > exists) {
            return None;
        }
        Some(self.at(&numbers))
    }
    /// The messages that a set of sequence numbers names, as far as they exist.
    #[must_use]
    pub fn by_numbers_there(&self, set: &SequenceSet) -> UidSet {
        let exists = self.exists();
        if exists == 0 {
            return UidSet::new();
        }
        let there = UidSet::from_ranges(std::iter::once(1..=exists));
        match numbers(set, exists) {
            Some(numbers) => self.at(&numbers.intersection(&there)),
            None => self.saved.clone(),
        }
    }
    /// The messages that a set of UIDs names; those without a number are left out. `*` is the highest
    /// UID in the mailbox (RFC 9051 §6.4.9).
    #[must_use]
    pub fn by_uids(&self, set: &SequenceSet) -> UidSet {
        let Some(last) = self.told.last() else {
            return UidSet::new();
        };
        match numbers(set, last.number()) {
            Some(numbers) => numbers.intersection(&self.told),
            None => self.saved.clone(),
        }
    }

    /// The sequence numbers of messages, as a set of numbers. Those without one are left out.
    #[must_use]
    pub fn numbers_of(&self, uids: &UidSet) -> UidSet {
        let ours = uids.intersection(&self.told);
        let mut ours = ours.ranges().peekable();
        let (mut before, mut found) = (0u32, Vec::new());
        for (low, high) in self.told.ranges() {
            // Runs of the told are apart, so each run of a part of them lies in one of them.
            while let Some((from, to)) = ours.next_if(|(from, _)| *from <= high) {
                found.push(before + (from - low) + 1..=before + (to - low) + 1);
            }
            before += high - low + 1;
        }
        UidSet::from_ranges(found)
    }

    /// SEARCH with SAVE found these.
    pub fn save(&mut self, uids: &UidSet) {
        self.saved = uids.intersection(&self.told);
    }

    /// The UIDs at places, which are sequence numbers that exist.
    fn at(&self, numbers: &UidSet) -> UidSet {
        let mut wanted = numbers.ranges().peekable();
        let mut found = Vec::new();
        let mut before = 0u32;
        for (low, high) in self.told.ranges() {
            let size = high - low + 1;
            let (first, last) = (before + 1, before + size);
            while let Some(&(from, to)) = wanted.peek() {
                let (from, to_here) = (from.max(first), to.min(last));
                if from <= to_here {
                    found.push(low + (from - first)..=low + (to_here - first));
                }
                if to > last {
                    break;
                }
                wanted.next();
            }
            before = last;
            if wanted.peek().is_none() {
                break;
            }
        }
        UidSet::from_ranges(found)
    }

    /// Takes in a page of the log. Changes of flags by this session itself (`own`) are no news.
    pub fn learn(
        &mut self,
        entries: &[Change],
        through: ModSeq,
        own: &dyn Fn(ModSeq) -> bool,
        unread: &mut Unread,
    ) {
        for change in entries {
            match change.what {
                ChangeKind::Appeared => {
                    let new = change.uids.difference(&self.told);
                    unread.appeared = unread.appeared.union(&new);
                }
                ChangeKind::Flagged if own(change.modseq) => {}
                ChangeKind::Flagged => {
                    let ours = change.uids.intersection(&self.told);
                    unread.flagged = unread.flagged.union(&ours);
                }
                ChangeKind::Vanished => {
                    unread.appeared = unread.appeared.difference(&change.uids);
                    unread.flagged = unread.flagged.difference(&change.uids);
                    let ours = change.uids.intersection(&self.told);
                    self.held = self.held.union(&ours);
                }
            }
        }
        self.through = self.through.max(through);
    }

    /// Takes in the whole mailbox, when the log no longer reaches back to `through`.
    pub fn learn_anew(&mut self, uids: &UidSet, through: ModSeq, unread: &mut Unread) {
        let gone = self.told.difference(uids);
        unread.appeared = uids.difference(&self.told);
        unread.flagged = self.told.intersection(uids);
        self.held = self.held.union(&gone);
        self.through = self.through.max(through);
    }

    /// EXISTS was sent for these.
    pub fn appear(&mut self, uids: &UidSet) {
        self.told = self.told.union(uids);
    }

    /// The last run of numbers among the held expunges: the lowest and highest sequence number and the lowest UID.
    /// Told from the highest number down, no number of the others shifts.
    #[must_use]
    pub fn last_held_run(&self) -> Option<(Seq, Seq, Uid)> {
        let last = self.held.last()?;
        let (held_low, _) = self.held.ranges().next_back()?;
        let (low, high) = (Uid::new(held_low)?, self.seq(last)?);
        // The run must lie in one run of the told: their UIDs are as dense as their numbers, as held is a subset.
        let count = last.number() - low.number();
        Some((Seq(high.0.saturating_sub(count)), high, low))
    }

    /// EXPUNGE was sent for these.
    pub fn expunge(&mut self, uids: &UidSet) {
        self.told = self.told.difference(uids);
        self.held = self.held.difference(uids);
        self.recent = self.recent.difference(uids);
        self.saved = self.saved.difference(uids);
    }
}

/// A set of numbers with `*` as `last`; a range may be written either way round. `None`: it is no numbers, but what was saved.
fn numbers(set: &SequenceSet, last: u32) -> Option<UidSet> {
    let SequenceSet::Ranges(ranges) = set else {
        return None;
    };
    Some(UidSet::from_ranges(ranges.iter().map(|(from, to)| {
        let (from, to) = (from.unwrap_or(last), to.unwrap_or(last));
        from.min(to)..=from.max(to)
    })))
}

/// A place in a view; finds the numbers of ascending UIDs in one walk.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Index of the range that was reached.
    range: usize,
    /// Messages before that range.
    before: u32,
}

impl Cursor {
    /// The sequence number of a UID that is not below the one asked for before. The view must not have changed meanwhile.
    pub fn seq(&mut self, view: &View, uid: Uid) -> Option<Seq> {
        let n = uid.number();
        for (low, high) in view.told.ranges().skip(self.range) {
            if n < low {
                return None;
            }
            if n <= high {
                return Some(Seq(self.before + (n - low) + 1));
            }
            self.before += high - low + 1;
            self.range += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uids(numbers: &[u32]) -> UidSet {
        numbers.iter().filter_map(|n| Uid::new(*n)).collect()
    }
    fn view(numbers: &[u32]) -> View {
        View::new(uids(numbers), UidSet::new(), ModSeq(1))
    }
    fn change(modseq: u64, what: ChangeKind, numbers: &[u32]) -> Change {
        Change {
            modseq: ModSeq(modseq),
            what,
            uids: uids(numbers),
        }
    }
    fn none_own(_: ModSeq) -> bool {
        false
    }

    #[test]
    fn what_was_saved_stays_the_same_messages_until_they_are_told_gone() {
        let mut view = view(&[2, 4, 6]);
        let saved = SequenceSet::Saved;
        assert_eq!(view.by_numbers(&saved), Some(UidSet::new()));
        view.save(&uids(&[4, 6, 9]));
        assert_eq!(view.by_numbers(&saved), Some(uids(&[4, 6])));
        assert_eq!(view.by_uids(&saved), uids(&[4, 6]));
        let gone = change(2, ChangeKind::Vanished, &[2, 4]);
        view.learn(&[gone], ModSeq(2), &none_own, &mut Unread::default());
        assert_eq!(view.by_numbers_there(&saved), uids(&[4, 6]));
        view.expunge(&uids(&[2, 4]));
        assert_eq!(view.by_numbers(&saved), Some(uids(&[6])));
        view.appear(&uids(&[9]));
        assert_eq!(view.by_uids(&saved), uids(&[6]));
        view.expunge(&uids(&[6, 9]));
        assert_eq!(view.by_numbers(&saved), Some(UidSet::new()));
        assert_eq!(view.by_uids(&saved), UidSet::new());
    }

    proptest! {
        #[test]
        fn the_numbers_of_a_set_are_those_of_its_messages(
            told in proptest::collection::btree_set(1..60_u32, 0..40),
            asked in proptest::collection::btree_set(1..60_u32, 0..40),
        ) {
            let list = |set: &std::collections::BTreeSet<u32>| set.iter().copied().collect::<Vec<_>>();
            let view = view(&list(&told));
            let asked = uids(&list(&asked));
            let each: UidSet = asked
                .iter()
                .filter_map(|uid| Uid::new(view.seq(uid)?.0))
                .collect();
            prop_assert_eq!(view.numbers_of(&asked), each);
        }
    }

    #[test]
    fn numbers_and_uids_correspond() {
        let view = view(&[3, 4, 9]);
        assert_eq!(view.uid(Seq(3)), Uid::new(9));
        assert_eq!(view.uid(Seq(0)), None);
        assert_eq!(view.uid(Seq(4)), None);
        assert_eq!(view.seq(Uid::new(4).unwrap()), Some(Seq(2)));
        assert_eq!(view.seq(Uid::new(5).unwrap()), None);
        let mut cursor = view.cursor();
        assert_eq!(cursor.seq(&view, Uid::new(3).unwrap()), Some(Seq(1)));
        assert_eq!(cursor.seq(&view, Uid::new(8).unwrap()), None);
        assert_eq!(cursor.seq(&view, Uid::new(9).unwrap()), Some(Seq(3)));
    }

    #[test]
    fn a_number_that_does_not_exist_is_told_apart_from_a_uid_that_does_not() {
        let view = view(&[3, 4, 9]);
        let set = |ranges: &[(Option<u32>, Option<u32>)]| SequenceSet::Ranges(ranges.to_vec());
        assert_eq!(view.by_numbers(&set(&[(Some(4), Some(4))])), None);
        assert_eq!(view.by_numbers(&set(&[(Some(4), None)])), None);
        assert_eq!(
            view.by_numbers(&set(&[(None, Some(2))])),
            Some(uids(&[4, 9]))
        );
        assert_eq!(view.by_uids(&set(&[(Some(5), Some(8))])), UidSet::new());
        // RFC 9051 §6.4.9: 559:* names the last message even when 559 is above it.
        assert_eq!(view.by_uids(&set(&[(Some(559), None)])), uids(&[9]));
    }

    #[test]
    fn an_empty_mailbox_has_no_star() {
        let (view, star) = (view(&[]), SequenceSet::Ranges(vec![(Some(1), None)]));
        assert_eq!(view.by_numbers(&star), None);
        assert!(view.by_uids(&star).is_empty());
        assert!(view.by_numbers_there(&star).is_empty());
    }

    #[test]
    fn a_message_that_vanished_keeps_its_number_until_told() {
        let mut view = view(&[1, 2, 3]);
        let mut unread = Unread::default();
        let entries = [change(2, ChangeKind::Vanished, &[2, 7])];
        view.learn(&entries, ModSeq(2), &none_own, &mut unread);
        assert_eq!(view.exists(), 3);
        assert_eq!(view.seq(Uid::new(3).unwrap()), Some(Seq(3)));
        assert_eq!(
            view.last_held_run(),
            Some((Seq(2), Seq(2), Uid::new(2).unwrap()))
        );
        view.expunge(&uids(&[2]));
        assert_eq!(view.seq(Uid::new(3).unwrap()), Some(Seq(2)));
        assert_eq!(view.last_held_run(), None);
    }

    #[test]
    fn what_came_and_went_between_two_looks_is_never_told() {
        let mut view = view(&[1]);
        let mut unread = Unread::default();
        let entries = [
            change(2, ChangeKind::Appeared, &[5, 6]),
            change(3, ChangeKind::Flagged, &[1, 5]),
            change(4, ChangeKind::Vanished, &[5]),
        ];
        view.learn(&entries, ModSeq(4), &none_own, &mut unread);
        assert_eq!(unread.appeared, uids(&[6]));
        assert_eq!(unread.flagged, uids(&[1]));
        assert!(view.held().is_empty());
    }

    #[test]
    fn own_changes_of_flags_are_no_news() {
        let mut view = view(&[1, 2]);
        let mut unread = Unread::default();
        let entries = [
            change(2, ChangeKind::Flagged, &[1]),
            change(3, ChangeKind::Flagged, &[2]),
        ];
        view.learn(&entries, ModSeq(3), &|m| m == ModSeq(2), &mut unread);
        assert_eq!(unread.flagged, uids(&[2]));
        assert_eq!(view.through(), ModSeq(3));
    }

    proptest! {
        #[test]
        fn sets_of_numbers_name_what_each_number_names(
            told in proptest::collection::btree_set(1u32..60, 1..30),
            ranges in proptest::collection::vec((1u32..35, 1u32..35), 1..6),
        ) {
            let told: Vec<u32> = told.into_iter().collect();
            let view = view(&told);
            let set = SequenceSet::Ranges(ranges.iter().map(|(a, b)| (Some(*a), Some(*b))).collect());
            let mut named: Vec<u32> = Vec::new();
            let mut all_there = true;
            for (a, b) in &ranges {
                for n in *a.min(b)..=*a.max(b) {
                    match view.uid(Seq(n)) {
                        Some(uid) => named.push(uid.number()),
                        None => all_there = false,
                    }
                }
            }
            prop_assert_eq!(view.by_numbers_there(&set), uids(&named));
            prop_assert_eq!(view.by_numbers(&set), all_there.then(|| uids(&named)));
        }

        #[test]
        fn a_cursor_finds_the_same_numbers_as_a_search(told in proptest::collection::btree_set(1u32..80, 0..40)) {
            let view = view(&told.iter().copied().collect::<Vec<_>>());
            let mut cursor = view.cursor();
            for uid in (1..85).filter_map(Uid::new) {
                prop_assert_eq!(cursor.seq(&view, uid), view.seq(uid));
            }
        }

        #[test]
        fn expunges_told_from_the_last_down_leave_the_same_as_all_at_once(
            told in proptest::collection::btree_set(1u32..60, 1..30),
            gone in proptest::collection::btree_set(1u32..60, 0..30),
        ) {
            let told: Vec<u32> = told.into_iter().collect();
            let gone: Vec<u32> = gone.into_iter().collect();
            let mut view = view(&told);
            view.learn(&[change(2, ChangeKind::Vanished, &gone)], ModSeq(2), &none_own, &mut Unread::default());
            let mut client: Vec<u32> = told.clone();
            while let Some((low, high, first)) = view.last_held_run() {
                for seq in (low.0..=high.0).rev() {
                    client.remove(seq as usize - 1);
                }
                view.expunge(&UidSet::range(first, Uid::new(first.number() + high.0 - low.0).unwrap()));
            }
            prop_assert_eq!(&uids(&client), view.told());
            prop_assert_eq!(view.told(), &uids(&told).difference(&uids(&gone)));
        }
    }
}
