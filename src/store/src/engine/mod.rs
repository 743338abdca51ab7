//! What each request means in SQL. Written once, for every database.
//!
//! Reads run on a connection of the readers, changes in a transaction of the writer. Each change locks what it needs in
//! one order (docs/design/schema.md): account counter rows by id, delivery identities, parts by hash, mailbox counter rows
//! by id, quota roots by id. A change of a mailbox takes its MODSEQ from the counter row and writes the log.

mod account;
mod background;
mod change;
mod check;
mod copy;
mod expunge;
mod fetch;
mod flags;
mod known;
mod link;
mod linking;
mod log;
mod mailbox;
mod news;
mod open;
mod purge;
mod read;
mod restored;
mod stage;
mod stats;
mod undelete;

pub(crate) use account::{Admin, AdminDone};
pub(crate) use background::{Sweep, sweep};
pub(crate) use change::{Change, Claim, NextId};
#[cfg(test)]
pub(crate) use check::Mend;
pub(crate) use check::{Found, Scope, Walk};
pub(crate) use known::{Known, Memory, WriteMap};
pub(crate) use link::{Link, LinkBatch, LinkKind};
#[cfg(test)]
pub(crate) use news::Told;
pub(crate) use news::{Changed, FrontEnd, Ids, KNOWN_MAX, Page, REGISTER_SECONDS, Register, Tell};
pub(crate) use purge::{GONE_ROWS, LogOf, PurgeGone, PurgeLog, PurgeMailbox, Went};
pub(crate) use restored::{PassIds, Planned, Renew};
pub(crate) use stage::{Stage, StagedChunk, StagedPart, Unstage};
pub(crate) use undelete::Undelete;

use dbmail_core::store::{MailboxName, Uid, UidSet};

use crate::driver::Failure;

/// Key under which a mailbox name is compared.
fn name_key(name: &MailboxName) -> [u8; 32] {
    *blake3::hash(name.as_str().as_bytes()).as_bytes()
}

/// A UID out of a row.
fn uid(number: u32) -> Result<Uid, Failure> {
    Uid::new(number).ok_or_else(|| Failure::Damaged("a UID is 0".to_owned()))
}

/// The ranges of a set, neighbours that are at most `gap` apart taken as one: what lies between is read too and left out
/// by the program, which is cheaper than another statement.
fn spans(uids: &UidSet, gap: u32) -> Vec<(u32, u32)> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for (low, high) in uids.ranges() {
        match spans.last_mut() {
            Some((_, last)) if low - *last <= gap => *last = high,
            _ => spans.push((low, high)),
        }
    }
    spans
}

/// Collects runs of messages for statements with BETWEEN. A run holds messages that follow one another among those
/// that exist and are alike; UIDs between them are gone for ever, so a range over them selects no stranger.
struct Runs<K> {
    runs: Vec<(K, u32, u32)>,
    open: bool,
}

impl<K> Default for Runs<K> {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            open: false,
        }
    }
}

impl<K: PartialEq> Runs<K> {
    const fn new() -> Self {
        Self {
            runs: Vec::new(),
            open: false,
        }
    }
    /// The next message that exists.
    fn push(&mut self, kind: K, uid: u32) {
        match self.runs.last_mut() {
            Some((last, _, high)) if self.open && *last == kind => *high = uid,
            _ => self.runs.push((kind, uid, uid)),
        }
        self.open = true;
    }
    /// A number that is held or not, and whether it follows the one before.
    fn hold(&mut self, held: bool, number: u32, follows: bool)
    where
        K: Default,
    {
        if !held || !follows {
            self.interrupt();
        }
        if held {
            self.push(K::default(), number);
        }
    }
    /// A message that must not be in a run, or UIDs of which nothing is known.
    const fn interrupt(&mut self) {
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_read_as_one() {
        let set = UidSet::from_ranges([1..=3, 5..=6, 20..=20]);
        assert_eq!(spans(&set, 1), vec![(1, 3), (5, 6), (20, 20)]);
        assert_eq!(spans(&set, 2), vec![(1, 6), (20, 20)]);
        assert_eq!(spans(&set, 100), vec![(1, 20)]);
    }

    #[test]
    fn a_run_ends_where_another_kind_or_a_stranger_stands() {
        let mut runs = Runs::new();
        runs.push('a', 1);
        runs.push('a', 4);
        runs.push('b', 5);
        runs.interrupt();
        runs.push('b', 7);
        assert_eq!(runs.runs, vec![('a', 1, 4), ('b', 5, 5), ('b', 7, 7)]);
    }
}
