//! How a chunk lies in rows, so that the database's pages are full.
//!
//! A chunk's octets are those of its rows in order, in each `octets` and then `tail`. The first row has the chunk's number as
//! its ordinal; further ones of chunk n follow from (n + 1) * 65,536 on.
//!
//! - InnoDB keeps a value that is too long for its row on pages of 16 KiB that are that value's alone: a chunk of 100 KiB has
//!   seven, the last a quarter full, and takes 15 % more room than it has octets. So what would begin another page is the
//!   row's `tail`, as long as it is short enough to stay in the row, which shares its page with others.
//! - PostgreSQL keeps a long value in pieces of 1,996 octets with an index entry each, which takes 5 % more room. So most of a
//!   chunk is in further rows that fill a page of 8 KiB each. What is left is in the first row, and long enough to be moved out
//!   of it: the row itself must stay so small that a page has room for it beside one of the others.
//! - SQLite fills its pages by itself.

use bytes::Bytes;

use crate::sql::Dialect;

/// What one page of InnoDB holds of a value. MySQL has a little less room in the first page (15,680) and in the others (16,327)
/// than MariaDB (16,330): what fits here fits there.
const FIRST_PAGE_BYTES: usize = 15_680;
const PAGE_BYTES: usize = 16_327;
/// What may stay in the row. InnoDB puts columns elsewhere, the longest first, until a row has at most 8,126 octets; the other
/// columns and the place of the longest are some 60.
const TAIL_BYTES_MAX: usize = 7_500;
/// Octets in a row that fills a page of PostgreSQL: a page has room for 8,160 octets of rows, of which 48 are beside the `tail`,
/// one of them in `octets`, which may not be empty.
const PIECE_BYTES: usize = 8_112;
/// In the first of them, beside which a page has room for the 68 octets of a chunk's first row whose `octets` are elsewhere.
const FIRST_PIECE_BYTES: usize = 8_040;
const PIECE_HEAD_BYTES: usize = 1;
/// PostgreSQL moves a value out of a row that is longer than 2,032 octets.
const REST_BYTES_MIN: usize = 2_048;
/// Ordinals between the further rows of one chunk and those of the next.
const ORDINALS: u32 = 65_536;

/// A row of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    pub(crate) ordinal: u32,
    pub(crate) octets: Bytes,
    /// Empty where there is none.
    pub(crate) tail: Bytes,
}

/// The rows of a chunk.
pub(crate) fn laid_out(dialect: Dialect, ordinal: u32, mut octets: Bytes) -> Vec<ChunkRow> {
    let mut rows = Vec::new();
    match dialect {
        Dialect::Sqlite => {}
        Dialect::MySql => {
            let whole = full_pages(octets.len());
            if whole > 0 && octets.len() - whole <= TAIL_BYTES_MAX {
                let tail = octets.split_off(whole);
                return vec![ChunkRow {
                    ordinal,
                    octets,
                    tail,
                }];
            }
        }
        Dialect::Postgres => {
            let sizes = pieces(octets.len());
            let mut rest = octets.split_off(octets.len() - sizes.iter().sum::<usize>());
            let first = ordinal.saturating_add(1).saturating_mul(ORDINALS);
            for (ordinal, size) in (first..).zip(sizes) {
                let mut piece = rest.split_to(size);
                let tail = piece.split_off(PIECE_HEAD_BYTES);
                rows.push(ChunkRow {
                    ordinal,
                    octets: piece,
                    tail,
                });
            }
        }
    }
    let tail = Bytes::new();
    rows.insert(
        0,
        ChunkRow {
            ordinal,
            octets,
            tail,
        },
    );
    rows
}

/// Octets in each of the further rows that a chunk of so many has on PostgreSQL.
fn pieces(octets: usize) -> Vec<usize> {
    let Some(more) = octets.checked_sub(REST_BYTES_MIN + FIRST_PIECE_BYTES) else {
        return Vec::new();
    };
    let mut sizes = vec![FIRST_PIECE_BYTES];
    sizes.resize(1 + more / PIECE_BYTES, PIECE_BYTES);
    sizes
}

/// How many of so many octets fill whole pages of InnoDB.
const fn full_pages(octets: usize) -> usize {
    if octets < FIRST_PAGE_BYTES {
        return 0;
    }
    octets - (octets - FIRST_PAGE_BYTES) % PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use dbmail_core::limits::CHUNK_BYTES;
    use proptest::prelude::*;

    use super::*;

    const DIALECTS: [Dialect; 3] = [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql];

    fn lengths(dialect: Dialect, octets: usize) -> Vec<(u32, usize, usize)> {
        let rows = laid_out(dialect, 3, vec![1; octets].into()).into_iter();
        rows.map(|row| (row.ordinal, row.octets.len(), row.tail.len()))
            .collect()
    }

    #[test]
    fn on_innodb_what_begins_another_page_stays_in_the_row() {
        let three = FIRST_PAGE_BYTES + 2 * PAGE_BYTES;
        assert_eq!(lengths(Dialect::MySql, three), [(3, three, 0)]);
        assert_eq!(lengths(Dialect::MySql, three + 1), [(3, three, 1)]);
        let most = three + TAIL_BYTES_MAX;
        let full = (3, three, TAIL_BYTES_MAX);
        assert_eq!(lengths(Dialect::MySql, most), [full]);
        assert_eq!(lengths(Dialect::MySql, most + 1), [(3, most + 1, 0)]);
    }

    #[test]
    fn on_innodb_less_than_a_page_has_no_tail() {
        let less = FIRST_PAGE_BYTES - 1;
        assert_eq!(lengths(Dialect::MySql, 100), [(3, 100, 0)]);
        assert_eq!(lengths(Dialect::MySql, less), [(3, less, 0)]);
    }

    #[test]
    fn on_postgres_rows_fill_pages_and_the_first_has_what_is_left() {
        let first = (4 * 65_536, 1, FIRST_PIECE_BYTES - 1);
        let second = (4 * 65_536 + 1, 1, PIECE_BYTES - 1);
        let least = REST_BYTES_MIN + FIRST_PIECE_BYTES;
        assert_eq!(lengths(Dialect::Postgres, least - 1), [(3, least - 1, 0)]);
        assert_eq!(
            lengths(Dialect::Postgres, least),
            [(3, REST_BYTES_MIN, 0), first]
        );
        assert_eq!(
            lengths(Dialect::Postgres, least + PIECE_BYTES + 7),
            [(3, REST_BYTES_MIN + 7, 0), first, second]
        );
        let most = lengths(Dialect::Postgres, CHUNK_BYTES);
        assert!(most.len() < ORDINALS as usize);
    }

    #[test]
    fn sqlite_has_a_chunk_in_one_row() {
        assert_eq!(lengths(Dialect::Sqlite, 100_000), [(3, 100_000, 0)]);
    }

    proptest! {
        #[test]
        fn no_octet_is_lost_and_none_changes_its_place(octets in prop::collection::vec(any::<u8>(), 0..70_000)) {
            for dialect in DIALECTS {
                let rows = laid_out(dialect, 0, octets.clone().into());
                prop_assert!(rows.is_sorted_by_key(|row| row.ordinal));
                let mut back = Vec::new();
                for row in rows {
                    prop_assert!(row.tail.len() < 8_192);
                    prop_assert!(!row.octets.is_empty() || octets.is_empty());
                    back.extend_from_slice(&row.octets);
                    back.extend_from_slice(&row.tail);
                }
                prop_assert_eq!(&back, &octets);
            }
        }
    }
}
