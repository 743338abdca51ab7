//! A set of UIDs as sorted, disjoint, non-adjacent ranges: compact for the dense sets that
//! mailboxes are, and what SQL takes as BETWEEN.

use std::fmt;
use std::ops::RangeInclusive;

use super::Uid;

/// A set of UIDs. Every operation keeps the ranges sorted, disjoint and not adjacent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    /// Lowest and highest number of each range.
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// One range.
    #[must_use]
    pub fn range(low: Uid, high: Uid) -> Self {
        let (low, high) = if low <= high {
            (low, high)
        } else {
            (high, low)
        };
        Self {
            ranges: vec![(low.number(), high.number())],
        }
    }

    /// From ranges in any order, overlapping or not.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Self {
        let mut sorted: Vec<(u32, u32)> = ranges
            .into_iter()
            .filter(|r| !r.is_empty())
            .map(|r| ((*r.start()).max(1), *r.end()))
            .filter(|(low, high)| low <= high)
            .collect();
        sorted.sort_unstable();
        let mut set = Self::new();
        for (low, high) in sorted {
            set.push_range(low, high);
        }
        set
    }

    /// Adds a range that begins at or after the beginning of the last one.
    fn push_range(&mut self, low: u32, high: u32) {
        match self.ranges.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => self.ranges.push((low, high)),
        }
    }

    /// No UID at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs. The whole space has 2^32 - 1, which fits.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.ranges.iter().fold(0u32, |n, (low, high)| {
            n.saturating_add(high - low).saturating_add(1)
        })
    }

    /// How many ranges.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + DoubleEndedIterator + '_ {
        self.ranges.iter().copied()
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        self.ranges
            .iter()
            .flat_map(|(low, high)| (*low..=*high).filter_map(Uid::new))
    }

    /// Lowest UID.
    #[must_use]
    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().and_then(|(low, _)| Uid::new(*low))
    }

    /// Highest UID.
    #[must_use]
    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().and_then(|(_, high)| Uid::new(*high))
    }

    /// Index of the first range that ends at or after `number`.
    fn at_or_after(&self, number: u32) -> usize {
        self.ranges.partition_point(|(_, high)| *high < number)
    }

    /// Whether the UID is in the set.
    #[must_use]
    pub fn contains(&self, uid: Uid) -> bool {
        let n = uid.number();
        self.ranges
            .get(self.at_or_after(n))
            .is_some_and(|(low, _)| *low <= n)
    }

    /// Adds one UID; true when it was not there.
    pub fn insert(&mut self, uid: Uid) -> bool {
        let n = uid.number();
        if self.ranges.last().is_none_or(|(_, high)| *high < n) {
            self.push_range(n, n);
            return true;
        }
        if self.contains(uid) {
            return false;
        }
        *self = self.union(&Self {
            ranges: vec![(n, n)],
        });
        true
    }

    /// Removes one UID; true when it was there.
    pub fn remove(&mut self, uid: Uid) -> bool {
        let n = uid.number();
        let at = self.at_or_after(n);
        let Some(&(low, high)) = self.ranges.get(at) else {
            return false;
        };
        if low > n {
            return false;
        }
        let left = (low < n).then(|| (low, n - 1));
        let right = (n < high).then(|| (n + 1, high));
        self.ranges.splice(at..=at, left.into_iter().chain(right));
        true
    }

    /// Those in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        let (mut a, mut b) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => {
                    if x.0 <= y.0 {
                        a.next()
                    } else {
                        b.next()
                    }
                }
                (Some(_), None) => a.next(),
                (None, _) => b.next(),
            };
            match next {
                Some(range) => all.push(*range),
                None => break,
            }
        }
        let mut set = Self {
            ranges: Vec::with_capacity(all.len()),
        };
        for (low, high) in all {
            set.push_range(low, high);
        }
        set
    }

    /// Those in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let (mut a, mut b) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (low, high) = (x.0.max(y.0), x.1.min(y.1));
            if low <= high {
                ranges.push((low, high));
            }
            if x.1 <= y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        Self { ranges }
    }

    /// Those in `self` and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let mut holes = other.ranges.iter().copied().peekable();
        for &(low, high) in &self.ranges {
            let mut from = Some(low);
            while let (Some(start), Some(&(hole_low, hole_high))) = (from, holes.peek()) {
                if hole_high < start {
                    holes.next();
                    continue;
                }
                if hole_low > high {
                    break;
                }
                if hole_low > start {
                    ranges.push((start, hole_low - 1));
                }
                from = hole_high.checked_add(1).filter(|next| *next <= high);
                if from.is_some() {
                    holes.next();
                } else {
                    break;
                }
            }
            if let Some(start) = from {
                ranges.push((start, high));
            }
        }
        Self { ranges }
    }

    /// The UID at a place, counted from 0, ascending.
    #[must_use]
    pub fn nth(&self, index: u32) -> Option<Uid> {
        let mut left = index;
        for &(low, high) in &self.ranges {
            let size_less_one = high - low;
            if left <= size_less_one {
                return Uid::new(low + left);
            }
            left -= size_less_one + 1;
        }
        None
    }

    /// How many UIDs of the set are below `uid`.
    #[must_use]
    pub fn rank(&self, uid: Uid) -> u32 {
        let n = uid.number();
        let mut rank = 0u32;
        for &(low, high) in &self.ranges {
            if high < n {
                rank += high - low + 1;
            } else {
                return rank + n.saturating_sub(low);
            }
        }
        rank
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut numbers: Vec<u32> = uids.into_iter().map(Uid::number).collect();
        numbers.sort_unstable();
        let mut set = Self::new();
        for n in numbers {
            set.push_range(n, n);
        }
        set
    }
}

/// As IMAP writes it: `1:3,7`.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (low, high)) in self.ranges.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if low == high {
                write!(f, "{low}")?;
            } else {
                write!(f, "{low}:{high}")?;
            }
        }
        Ok(())
    }
}
impl fmt::Debug for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<u32>) -> UidSet {
        numbers.iter().filter_map(|n| Uid::new(*n)).collect()
    }
    fn numbers() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(
            prop_oneof![1u32..40, Just(u32::MAX), Just(u32::MAX - 1)],
            0..30,
        )
    }
    fn back(set: &UidSet) -> BTreeSet<u32> {
        for pair in set.ranges.windows(2) {
            assert!(pair[0].1 < pair[1].0 - 1, "ranges touch: {set:?}");
        }
        set.iter().map(Uid::number).collect()
    }

    proptest! {
        #[test]
        fn a_uid_set_behaves_as_a_set_of_numbers(a in numbers(), b in numbers(), n in 1u32..45) {
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(&back(&x), &a);
            prop_assert_eq!(x.len() as usize, a.len());
            prop_assert_eq!(back(&x.union(&y)), a.union(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(back(&x.intersection(&y)), a.intersection(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(back(&x.difference(&y)), a.difference(&b).copied().collect::<BTreeSet<_>>());
            let uid = Uid::new(n).unwrap();
            prop_assert_eq!(x.contains(uid), a.contains(&n));
            prop_assert_eq!(x.rank(uid) as usize, a.range(..n).count());
            for (i, m) in a.iter().enumerate() {
                prop_assert_eq!(x.nth(i as u32).map(Uid::number), Some(*m));
            }
            prop_assert_eq!(x.nth(a.len() as u32), None);
            let (mut more, mut less) = (x.clone(), x);
            prop_assert_eq!(more.insert(uid), !a.contains(&n));
            prop_assert_eq!(less.remove(uid), a.contains(&n));
            let mut with = a.clone();
            with.insert(n);
            let mut without = a;
            without.remove(&n);
            prop_assert_eq!(back(&more), with);
            prop_assert_eq!(back(&less), without);
        }
    }

    #[test]
    fn a_set_is_shown_as_imap_writes_it() {
        let set = UidSet::from_ranges([7..=7, 1..=2, 3..=3]);
        assert_eq!(set.to_string(), "1:3,7");
    }
}
