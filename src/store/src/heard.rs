//! What was heard of other front-ends, by the numbers of their rows (STORAGE 11). No change that was told is lost to who
//! polls on: a number that is missing may have said anything, and then everything is taken to have changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::{Changed, Ids, KNOWN_MAX, Page};

/// A front-end that tells nothing for so long is forgotten. Longer than rows are kept by one that lives, so that its old
/// rows are not taken for new ones; of a dead one they may be, once each time.
const KNOWN_FOR: Duration = Duration::from_secs(15 * 60);

/// The last row heard of each front-end.
#[derive(Default)]
pub(crate) struct Heard(BTreeMap<i64, Last>);

#[derive(Clone, Copy)]
struct Last {
    number: i64,
    heard: Instant,
}

/// Rows of a poll that were not heard before.
#[derive(Default)]
pub(crate) struct New {
    pub(crate) rows: u64,
    /// When the newest was written, by the clock of who did, in µs.
    pub(crate) newest: Option<i64>,
}

impl Heard {
    /// Front-ends with their numbers, for the places that the statement has: those that told something last.
    pub(crate) fn places(&self) -> Vec<(i64, i64)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(_, last)| std::cmp::Reverse(last.heard));
        let places = all.into_iter().take(KNOWN_MAX);
        places.map(|(id, last)| (*id, last.number)).collect()
    }

    /// Takes what one poll read; what it says in all, and what of it is new.
    pub(crate) fn take(&mut self, page: Page, now: Instant) -> (Changed, New) {
        let (mut all, mut everything, mut new) = (Ids::default(), page.full, New::default());
        for row in page.rows {
            let before = self.0.get(&row.front_end).map_or(0, |last| last.number);
            if row.number <= before {
                // Of a front-end that had no place in the statement: heard before.
                continue;
            }
            // The first one's number is 1: who is heard for the first time, later than that, has told something before.
            everything |= row.number != before + 1;
            new.rows += 1;
            new.newest = new.newest.max(Some(row.at));
            let last = Last {
                number: row.number,
                heard: now,
            };
            self.0.insert(row.front_end, last);
            match row.changed {
                Changed::Ids(ids) => all.extend(ids),
                Changed::Everything => everything = true,
            }
        }
        let known = |last: &Last| now.saturating_duration_since(last.heard) < KNOWN_FOR;
        self.0.retain(|_, last| known(last));
        let changed = if everything {
            Changed::Everything
        } else {
            Changed::Ids(all)
        };
        (changed, new)
    }

    /// Forgets all: what was told meanwhile may be gone.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbmail_core::store::MailboxId;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Told;

    fn told(front_end: i64, number: i64, mailbox: i64) -> Told {
        Told {
            front_end,
            number,
            changed: named(&[mailbox]),
            at: 0,
        }
    }

    fn named(mailboxes: &[i64]) -> Changed {
        let mut ids = Ids::default();
        ids.mailboxes
            .extend(mailboxes.iter().map(|id| MailboxId(*id)));
        Changed::Ids(ids)
    }

    fn page(rows: Vec<Told>) -> Page {
        Page { rows, full: false }
    }

    #[test]
    fn numbers_that_follow_one_another_name_mailboxes_and_a_gap_means_everything() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let first = page(vec![told(1, 1, 10), told(1, 2, 11), told(2, 1, 12)]);
        assert_eq!(heard.take(first, now).0, named(&[10, 11, 12]));
        let second = page(vec![told(1, 2, 11), told(2, 2, 13)]);
        assert_eq!(heard.take(second, now).0, named(&[13]));
        let gap = page(vec![told(1, 4, 14)]);
        assert_eq!(heard.take(gap, now).0, Changed::Everything);
        assert_eq!(heard.take(page(Vec::new()), now).0, named(&[]));
        let mut places = heard.places();
        places.sort_unstable();
        assert_eq!(places, [(1, 4), (2, 2)]);
    }

    #[test]
    fn a_front_end_that_is_heard_late_for_the_first_time_means_everything() {
        let mut heard = Heard::default();
        let late = page(vec![told(1, 7, 10)]);
        assert_eq!(heard.take(late, Instant::now()).0, Changed::Everything);
    }

    #[test]
    fn a_restarted_front_end_begins_its_numbers_under_another_id() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        heard.take(page(vec![told(1, 1, 10), told(1, 2, 10)]), now);
        let again = page(vec![told(2, 1, 11)]);
        assert_eq!(heard.take(again, now).0, named(&[11]));
    }

    #[test]
    fn places_are_for_those_who_told_last_and_the_silent_are_forgotten() {
        let (mut heard, begun) = (Heard::default(), Instant::now());
        let many = 3 * KNOWN_MAX as i64;
        for id in 1..=many {
            let at = begun + Duration::from_secs(id.unsigned_abs());
            heard.take(page(vec![told(id, 1, 10)]), at);
        }
        let places: Vec<i64> = heard.places().into_iter().map(|(id, _)| id).collect();
        let last: Vec<i64> = (1..=many).rev().take(KNOWN_MAX).collect();
        assert_eq!(places, last);
        heard.take(page(Vec::new()), begun + KNOWN_FOR + KNOWN_FOR);
        assert_eq!(heard.places(), []);
    }

    #[test]
    fn a_page_that_is_full_may_have_left_something_out() {
        let mut heard = Heard::default();
        let full = Page {
            rows: vec![told(1, 1, 10)],
            full: true,
        };
        assert_eq!(heard.take(full, Instant::now()).0, Changed::Everything);
    }

    // --- many front-ends, one who hears --------------------------------------------------------

    /// Front-ends that tell: more than have a place.
    const FRONT_ENDS: usize = KNOWN_MAX + 4;
    /// Rows of a poll.
    const ROWS: usize = 16;

    #[derive(Clone, Debug)]
    enum Step {
        /// A front-end commits changes of mailboxes and tells them in so many rows.
        Tell(usize, Vec<i64>),
        /// A front-end can't write its row: numbers are used up, the changes are told with the next one.
        Fail(usize, i64),
        /// A minute passes for a front-end: only its newest row stays.
        Forget(usize),
        /// A front-end begins again, under another id.
        Restart(usize),
        Poll,
        /// The database was away for who hears.
        Away,
        /// Time passes for who hears.
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let who = 0..FRONT_ENDS;
        prop_oneof![
            8 => (who.clone(), prop::collection::vec(0..50i64, 1..4)).prop_map(|(w, m)| Step::Tell(w, m)),
            1 => (who.clone(), 0..50i64).prop_map(|(w, m)| Step::Fail(w, m)),
            2 => who.clone().prop_map(Step::Forget),
            1 => who.prop_map(Step::Restart),
            6 => Just(Step::Poll),
            1 => Just(Step::Away),
            1 => (0..2 * KNOWN_FOR.as_secs()).prop_map(Step::Pass),
        ]
    }

    struct Teller {
        id: i64,
        number: i64,
        /// Committed and not told yet.
        waiting: BTreeSet<i64>,
    }

    struct World {
        tellers: Vec<Teller>,
        table: Vec<(i64, i64, BTreeSet<i64>)>,
        heard: Heard,
        now: Instant,
        /// Told, and not heard yet.
        unheard: BTreeSet<i64>,
    }

    impl World {
        fn new() -> Self {
            let teller = |n: usize| Teller {
                id: n as i64 + 1,
                number: 0,
                waiting: BTreeSet::new(),
            };
            Self {
                tellers: (0..FRONT_ENDS).map(teller).collect(),
                table: Vec::new(),
                heard: Heard::default(),
                now: Instant::now(),
                unheard: BTreeSet::new(),
            }
        }

        fn tell(&mut self, who: usize, mailboxes: impl IntoIterator<Item = i64>) {
            let teller = &mut self.tellers[who];
            teller.waiting.extend(mailboxes);
            for mailbox in std::mem::take(&mut teller.waiting) {
                teller.number += 1;
                self.table
                    .push((teller.id, teller.number, [mailbox].into()));
                self.unheard.insert(mailbox);
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Tell(who, mailboxes) => self.tell(who, mailboxes),
                Step::Fail(who, mailbox) => {
                    let teller = &mut self.tellers[who];
                    teller.number += 1;
                    teller.waiting.insert(mailbox);
                }
                Step::Forget(who) => {
                    let id = self.tellers[who].id;
                    let of = self.table.iter().filter(|row| row.0 == id);
                    let newest = of.map(|row| row.1).max();
                    self.table
                        .retain(|row| row.0 != id || Some(row.1) == newest);
                }
                Step::Restart(who) => {
                    // It tells all before it goes: who dies instead is healed by the sweep.
                    self.tell(who, []);
                    let next = self.tellers.iter().map(|t| t.id).max().unwrap_or(0) + 1;
                    let teller = &mut self.tellers[who];
                    (teller.id, teller.number) = (next, 0);
                }
                Step::Poll => self.poll(),
                // Whoever watches is told to look.
                Step::Away => {
                    self.heard.clear();
                    self.unheard.clear();
                }
                Step::Pass(seconds) => self.now += Duration::from_secs(seconds),
            }
        }

        /// As the statement has it.
        fn poll(&mut self) {
            let places = self.heard.places();
            let wanted = |row: &&(i64, i64, BTreeSet<i64>)| {
                let place = places.iter().find(|(id, _)| *id == row.0);
                place.is_none_or(|(_, number)| row.1 > *number)
            };
            let mut rows: Vec<_> = self.table.iter().filter(wanted).cloned().collect();
            rows.sort();
            let full = rows.len() >= ROWS;
            rows.truncate(ROWS);
            let told = |(front_end, number, mailboxes): (i64, i64, BTreeSet<i64>)| Told {
                front_end,
                number,
                changed: named(&mailboxes.into_iter().collect::<Vec<_>>()),
                at: 0,
            };
            let rows = rows.into_iter().map(told).collect();
            match self.heard.take(Page { rows, full }, self.now).0 {
                Changed::Everything => self.unheard.clear(),
                Changed::Ids(ids) => self
                    .unheard
                    .retain(|m| !ids.mailboxes.contains(&MailboxId(*m))),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_change_that_was_told_is_lost_to_who_polls_on(steps in prop::collection::vec(step(), 1..120)) {
            let mut world = World::new();
            for step in steps {
                world.step(step);
            }
            for who in 0..FRONT_ENDS {
                world.tell(who, []);
            }
            // One poll for each page that the table can fill.
            for _ in 0..=world.table.len() / ROWS {
                world.poll();
            }
            prop_assert_eq!(world.unheard, BTreeSet::new());
        }
    }
}
