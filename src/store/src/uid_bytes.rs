//! UID sets as the log stores them: pieces of at most [`PIECE_BYTES_MAX`] octets between a lowest and a highest UID.
//!
//! ```text
//! set   = *range                ; ascending; the first begins at the piece's lowest UID
//! range = skip [more]
//! skip  = varint                ; UIDs left out since the range before, times 2, plus 1 when `more` follows
//! more  = varint                ; UIDs of the range, less 2
//! ```
//! A varint has 7 bits in each octet, lowest first; the highest bit says that another octet follows.

use dbmail_core::store::{Uid, UidSet};

/// Octets of one piece; leaves room below Oracle's RAW(2000).
pub(crate) const PIECE_BYTES_MAX: usize = 1_900;
/// Octets that one range takes at most.
const RANGE_BYTES_MAX: usize = 11;

/// A piece of a set. `packed` is `None` when every UID between the two is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) low: u32,
    pub(crate) high: u32,
    pub(crate) packed: Option<Vec<u8>>,
}

/// Cuts a set into pieces.
pub(crate) fn pieces(set: &UidSet) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut open: Option<(u32, u32, Vec<u8>, usize)> = None;
    for (low, high) in set.ranges() {
        let piece = match open.take() {
            Some((first, last, mut packed, ranges))
                if packed.len() + RANGE_BYTES_MAX <= PIECE_BYTES_MAX =>
            {
                write(&mut packed, low - last - 1, low, high);
                (first, high, packed, ranges + 1)
            }
            full => {
                pieces.extend(full.map(closed));
                let mut packed = Vec::new();
                write(&mut packed, 0, low, high);
                (low, high, packed, 1)
            }
        };
        open = Some(piece);
    }
    pieces.extend(open.map(closed));
    pieces
}

fn closed((low, high, packed, ranges): (u32, u32, Vec<u8>, usize)) -> Piece {
    Piece {
        low,
        high,
        packed: (ranges > 1).then_some(packed),
    }
}

fn write(out: &mut Vec<u8>, skip: u32, low: u32, high: u32) {
    let more = high > low;
    varint(out, u64::from(skip) * 2 + u64::from(more));
    if more {
        varint(out, u64::from(high - low - 1));
    }
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads a piece back; `None` when it is not one.
pub(crate) fn read(low: u32, high: u32, packed: Option<&[u8]>) -> Option<UidSet> {
    let Some(mut rest) = packed else {
        return (low <= high && low > 0).then(|| UidSet::from_ranges([low..=high]));
    };
    let mut ranges = Vec::new();
    let mut next = u64::from(low);
    while !rest.is_empty() {
        let skip = take(&mut rest)?;
        let first = next.checked_add(skip >> 1)?;
        let more = if skip & 1 == 1 {
            take(&mut rest)?.checked_add(1)?
        } else {
            0
        };
        let last = first.checked_add(more)?;
        ranges.push(u32::try_from(first).ok()?..=u32::try_from(last).ok()?);
        next = last.checked_add(1)?;
    }
    let set = UidSet::from_ranges(ranges);
    let bounds = (set.first().map(Uid::number), set.last().map(Uid::number));
    (bounds == (Some(low), Some(high))).then_some(set)
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..63).step_by(7) {
        let (octet, tail) = rest.split_first()?;
        *rest = tail;
        n |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(set: &UidSet) -> UidSet {
        let mut whole = UidSet::new();
        for piece in pieces(set) {
            assert!(
                piece
                    .packed
                    .as_ref()
                    .is_none_or(|p| p.len() <= PIECE_BYTES_MAX)
            );
            whole = whole.union(&read(piece.low, piece.high, piece.packed.as_deref()).unwrap());
        }
        whole
    }

    #[test]
    fn a_dense_set_needs_no_octets() {
        let set = UidSet::from_ranges([5..=9]);
        assert_eq!(
            pieces(&set),
            vec![Piece {
                low: 5,
                high: 9,
                packed: None
            }]
        );
    }

    #[test]
    fn every_second_uid_takes_an_octet_each() {
        let set = UidSet::from_ranges((1..=100).map(|n| n * 2..=n * 2));
        assert_eq!(pieces(&set)[0].packed.as_ref().unwrap().len(), 100);
        assert_eq!(back(&set), set);
    }

    #[test]
    fn the_ends_of_the_uid_space_survive() {
        let set = UidSet::from_ranges([1..=1, u32::MAX - 1..=u32::MAX]);
        assert_eq!(back(&set), set);
    }

    proptest! {
        #[test]
        fn pieces_go_together_to_the_set(
            ranges in proptest::collection::vec((1u32..5_000_000, 0u32..50), 0..1_500)
        ) {
            let set = UidSet::from_ranges(ranges.into_iter().map(|(low, n)| low..=low + n));
            prop_assert_eq!(back(&set), set);
        }

        #[test]
        fn octets_that_are_no_piece_are_refused_or_read_within_bounds(
            low in 0u32.., high in 0u32.., octets in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            if let Some(set) = read(low, high, Some(&octets)) {
                prop_assert_eq!(set.first().map(Uid::number), Some(low));
                prop_assert_eq!(set.last().map(Uid::number), Some(high));
            }
        }
    }
}
