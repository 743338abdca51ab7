//! Pieces of a mailbox's map (STORAGE 10): which of 64 Ki UIDs are there, and which of these have no `\Seen`.
//!
//! ```text
//! piece = version digest uids unseen ; version is 1
//! digest = 16 octets            ; of BLAKE3 over mailbox, piece, MODSEQ (8 octets each, highest first), uids and unseen
//! uids, unseen = 8192 octets    ; bit n of octet k, from the lowest: UID piece * 65536 + 8 * k + n
//! ```

use dbmail_core::store::{MailboxId, ModSeq, UidSet};

/// UIDs of one piece.
pub(crate) const PIECE_UIDS: u32 = 1 << 16;
const VERSION: u8 = 1;
const DIGEST: usize = 16;
const HEAD: usize = 1 + DIGEST;
const BITMAP: usize = PIECE_UIDS as usize / 8;

/// Whose map, and of which moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of {
    pub(crate) mailbox: MailboxId,
    pub(crate) modseq: ModSeq,
}

fn digest(of: Of, piece: u32, bits: &[u8]) -> [u8; DIGEST] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&of.mailbox.0.to_be_bytes());
    hasher.update(&u64::from(piece).to_be_bytes());
    hasher.update(&of.modseq.0.to_be_bytes());
    hasher.update(bits);
    let whole = *hasher.finalize().as_bytes();
    whole.first_chunk().copied().unwrap_or_default()
}

/// What a map's pieces say.
#[derive(Default)]
pub(crate) struct Pieces {
    uids: Vec<std::ops::RangeInclusive<u32>>,
    unseen: Vec<std::ops::RangeInclusive<u32>>,
}

impl Pieces {
    /// Adds a piece, in order; `None` when it is not one, or one of another mailbox, place or moment.
    pub(crate) fn add(&mut self, of: Of, piece: u32, bits: &[u8]) -> Option<()> {
        let base = piece.checked_mul(PIECE_UIDS)?;
        let (version, bits) = bits.split_first()?;
        let (said, bits) = bits.split_at_checked(DIGEST)?;
        let (uids, unseen) = bits.split_at_checked(BITMAP)?;
        if *version != VERSION || unseen.len() != BITMAP || said != digest(of, piece, bits) {
            return None;
        }
        read(base, uids, &mut self.uids);
        read(base, unseen, &mut self.unseen);
        Some(())
    }

    /// The UIDs that are there, and those without `\Seen`.
    pub(crate) fn sets(self) -> (UidSet, UidSet) {
        (
            UidSet::from_ranges(self.uids),
            UidSet::from_ranges(self.unseen),
        )
    }
}

/// The pieces of a mailbox with these messages: number and octets. A piece without messages is left out.
pub(crate) fn pieces(of: Of, uids: &UidSet, unseen: &UidSet) -> Vec<(u32, Vec<u8>)> {
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    write(uids, HEAD, &mut pieces);
    write(unseen, HEAD + BITMAP, &mut pieces);
    for (piece, octets) in &mut pieces {
        if let Some((head, bits)) = octets.split_at_mut_checked(HEAD)
            && let Some((version, said)) = head.split_first_mut()
        {
            *version = VERSION;
            said.copy_from_slice(&digest(of, *piece, bits));
        }
    }
    pieces
}

fn write(set: &UidSet, at: usize, pieces: &mut Vec<(u32, Vec<u8>)>) {
    let mut next = 0;
    for (low, high) in set.ranges() {
        for piece in low / PIECE_UIDS..=high / PIECE_UIDS {
            while pieces.get(next).is_some_and(|(number, _)| *number < piece) {
                next += 1;
            }
            if pieces.get(next).is_none_or(|(number, _)| *number != piece) {
                pieces.insert(next, (piece, vec![0; HEAD + 2 * BITMAP]));
            }
            let from = low.max(piece * PIECE_UIDS) % PIECE_UIDS;
            let to = high.min(piece * PIECE_UIDS + (PIECE_UIDS - 1)) % PIECE_UIDS;
            let Some((_, bits)) = pieces.get_mut(next) else {
                continue;
            };
            for uid in from..=to {
                if let Some(octet) = bits.get_mut(at + uid as usize / 8) {
                    *octet |= 1 << (uid % 8);
                }
            }
        }
    }
}

/// The bits that are set, as ranges.
fn read(base: u32, bits: &[u8], ranges: &mut Vec<std::ops::RangeInclusive<u32>>) {
    let mut open: Option<u32> = None;
    let mut at = base;
    for octet in bits {
        match (*octet, open) {
            (0, None) | (0xff, Some(_)) => {}
            _ => {
                for bit in 0..8 {
                    let set = octet & (1 << bit) != 0;
                    match open {
                        None if set => open = Some(at + bit),
                        Some(low) if !set => {
                            ranges.push(low..=at + bit - 1);
                            open = None;
                        }
                        None | Some(_) => {}
                    }
                }
            }
        }
        // The last octet of all ends at the highest UID.
        at = at.saturating_add(8);
    }
    if let Some(low) = open {
        ranges.push(low..=base + (PIECE_UIDS - 1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF: Of = Of {
        mailbox: MailboxId(7),
        modseq: ModSeq(9),
    };

    fn there_and_back(uids: &UidSet, unseen: &UidSet) -> (UidSet, UidSet) {
        let mut read = Pieces::default();
        for (piece, bits) in pieces(OF, uids, unseen) {
            assert!(read.add(OF, piece, &bits).is_some());
        }
        read.sets()
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let (piece, bits) = pieces(OF, &UidSet::from_ranges([1..=1]), &UidSet::new()).remove(0);
        let refused = |bits: &[u8]| Pieces::default().add(OF, piece, bits).is_none();
        assert!(!refused(&bits));
        assert!(refused(&bits[..bits.len() - 1]));
        assert!(refused(&[&bits[..], &[0]].concat()));
        assert!(refused(&[]));
        let mut other = bits.clone();
        other[0] = 2;
        assert!(refused(&other));
        let mut flipped = bits.clone();
        flipped[100] ^= 1;
        assert!(refused(&flipped));
        for (of, piece) in [
            (OF, 1),
            (OF, 1 << 16),
            (
                Of {
                    modseq: ModSeq(8),
                    ..OF
                },
                piece,
            ),
            (
                Of {
                    mailbox: MailboxId(8),
                    ..OF
                },
                piece,
            ),
        ] {
            assert!(Pieces::default().add(of, piece, &bits).is_none());
        }
    }

    #[test]
    fn the_ends_of_pieces_and_of_all_uids_come_back() {
        let uids = UidSet::from_ranges([
            1..=1,
            65_535..=65_536,
            131_072..=300_000,
            u32::MAX - 9..=u32::MAX,
        ]);
        let unseen = UidSet::from_ranges([65_536..=65_536, u32::MAX..=u32::MAX]);
        assert_eq!(there_and_back(&uids, &unseen), (uids, unseen));
    }

    proptest! {
        #[test]
        fn any_set_comes_back(starts in prop::collection::vec((1u32..400_000, 0u32..70_000), 0..20), odd in any::<bool>()) {
            let ranges = |step: u32| starts.iter().map(move |(low, more)| *low..=*low + *more / step);
            let uids = UidSet::from_ranges(ranges(1));
            let unseen = if odd { UidSet::from_ranges(ranges(3)) } else { UidSet::new() };
            prop_assert_eq!(there_and_back(&uids, &unseen), (uids, unseen));
        }
    }
}
