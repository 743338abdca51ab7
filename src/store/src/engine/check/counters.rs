//! The counter row of a mailbox beside its rows.

use super::accounts::{differences, horizon, missing_in_log};
use super::{Mend, shown};
use crate::check::FaultKind;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Row, Value, values};
use crate::sql::Sql;

/// One more than the last UID that there may be.
const NEXT_UID_MAX: i64 = 1 << 32;

/// What a counter row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) next_uid: i64,
    pub(super) modseq: i64,
    pub(super) log_from: i64,
    pub(super) messages: i64,
    pub(super) unseen: i64,
    pub(super) deleted: i64,
    pub(super) octets: i64,
    pub(super) recent_from: i64,
}

/// A counter row, and what the rows of the mailbox say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) mailbox: i64,
    pub(super) state: State,
    pub(super) messages: i64,
    unseen: i64,
    deleted: i64,
    octets: i64,
    /// Highest UID of messages, of the gone and in the log.
    last_uid: Option<i64>,
    /// Highest MODSEQ of messages, of the gone and in the log.
    last_modseq: Option<i64>,
    last_logged: Option<i64>,
    gap: Option<i64>,
    pub(super) gone: i64,
}

impl Counters {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let (alive, gone, logged) = (13, 15, 17);
        let last = |first: usize| -> Result<Option<i64>, Failure> {
            let mut last = None;
            for table in [alive, gone, logged] {
                last = last.max(row.int_or_none(table + first)?);
            }
            Ok(last)
        };
        Ok(Self {
            mailbox: row.int(0)?,
            state: State {
                next_uid: row.int(1)?,
                modseq: row.int(2)?,
                log_from: row.int(3)?,
                messages: row.int(4)?,
                unseen: row.int(5)?,
                deleted: row.int(6)?,
                octets: row.int(7)?,
                recent_from: row.int(8)?,
            },
            messages: row.int(9)?,
            unseen: row.int(10)?,
            deleted: row.int(11)?,
            octets: row.int(12)?,
            last_uid: last(0)?,
            last_modseq: last(1)?,
            last_logged: row.int_or_none(logged + 1)?,
            gap: row.int_or_none(19)?,
            gone: row.int(20)?,
        })
    }

    /// What the counter row should say.
    pub(super) fn right(&self) -> State {
        let given = self.last_uid.unwrap_or(0).saturating_add(1);
        let next_uid = self.state.next_uid.max(given).clamp(1, NEXT_UID_MAX);
        let modseq = self.state.modseq.max(self.last_modseq.unwrap_or(0)).max(1);
        let logged = self.last_logged.unwrap_or(0);
        State {
            next_uid,
            modseq,
            log_from: horizon(self.state.log_from, modseq, logged, self.gap),
            messages: self.messages,
            unseen: self.unseen,
            deleted: self.deleted,
            octets: self.octets,
            recent_from: self.state.recent_from.clamp(1, next_uid),
        }
    }

    /// What is wrong with it.
    pub(super) fn faults(&self) -> Vec<(FaultKind, String)> {
        let (is, right) = (&self.state, self.right());
        let mut faults = Vec::new();
        let counters = differences(&[
            ("messages", is.messages, right.messages),
            ("unseen", is.unseen, right.unseen),
            ("deleted", is.deleted, right.deleted),
            ("octets", is.octets, right.octets),
            ("recent from", is.recent_from, right.recent_from),
        ]);
        if !counters.is_empty() {
            faults.push((FaultKind::Counters, counters));
        }
        if is.next_uid != right.next_uid {
            let last = shown(self.last_uid);
            let what = format!("the next UID is {}, and UID {last} is given", is.next_uid);
            faults.push((FaultKind::NextUid, what));
        }
        if is.modseq != right.modseq {
            let last = shown(self.last_modseq);
            let what = format!("HIGHESTMODSEQ is {}, and {last} is given", is.modseq);
            faults.push((FaultKind::Modseq, what));
        }
        if is.log_from != right.log_from {
            let what = missing_in_log(right.log_from, is.log_from, right.modseq);
            faults.push((FaultKind::LogGap, what));
        }
        faults
    }

    /// How all that is mended.
    pub(super) const fn mend(&self) -> Mend {
        Mend::Counters(self.mailbox)
    }
}

impl State {
    /// The values of `StateSet`.
    pub(super) fn values(&self, mailbox: i64) -> [Value; 9] {
        values![
            mailbox,
            self.next_uid,
            self.modseq,
            self.log_from,
            self.messages,
            self.unseen,
            self.deleted,
            self.octets,
            self.recent_from
        ]
    }
}

/// Looks at a mailbox again, its counter row locked.
pub(super) struct CountersAgain(pub(super) i64);

impl Work for CountersAgain {
    type Done = Option<Counters>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        db.counters_locked(self.0).await
    }
}

impl<C: Connection> Db<C> {
    /// A mailbox's counters as they are now; nobody changes them before the transaction's end. `None`: it is no more.
    pub(super) async fn counters_locked(
        &mut self,
        mailbox: i64,
    ) -> Result<Option<Counters>, Error> {
        // Locked first, and read in a statement of its own: one that waits sees what was before.
        if self.query(Sql::StateLock, &values![mailbox]).await?.len() == 0 {
            return Ok(None);
        }
        let look = values![mailbox.saturating_sub(1), mailbox];
        let mut rows = self.query(Sql::CheckCounters, &look).await?;
        let found = rows.first();
        Ok(found.map(|row| Counters::read(&row)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters {
            mailbox: 7,
            state: State {
                next_uid: 11,
                modseq: 20,
                log_from: 0,
                messages: 3,
                unseen: 2,
                deleted: 1,
                octets: 300,
                recent_from: 11,
            },
            messages: 3,
            unseen: 2,
            deleted: 1,
            octets: 300,
            last_uid: Some(10),
            last_modseq: Some(20),
            last_logged: Some(20),
            gap: Some(1),
            gone: 7,
        }
    }

    #[test]
    fn counters_that_are_right_stay_as_they_are() {
        let right = counters();
        assert_eq!(right.right(), right.state);
        assert_eq!(right.faults(), vec![]);
        let mut new = counters();
        new.state = State {
            next_uid: 1,
            modseq: 1,
            log_from: 0,
            messages: 0,
            unseen: 0,
            deleted: 0,
            octets: 0,
            recent_from: 1,
        };
        (new.messages, new.unseen, new.deleted, new.octets) = (0, 0, 0, 0);
        (new.last_uid, new.last_modseq, new.last_logged, new.gap) = (None, None, None, None);
        assert_eq!(new.faults(), vec![]);
        // All UIDs are used up.
        let mut full = counters();
        full.state.next_uid = 1 << 32;
        full.last_uid = Some((1 << 32) - 1);
        assert_eq!(full.faults(), vec![]);
    }

    #[test]
    fn each_counter_that_is_wrong_is_named_and_set_right() {
        let kinds = |counters: &Counters| -> Vec<FaultKind> {
            counters
                .faults()
                .into_iter()
                .map(|(kind, _)| kind)
                .collect()
        };
        let mut wrong = counters();
        wrong.state.unseen = 9;
        wrong.state.octets = 0;
        let told = wrong.faults();
        assert_eq!(told[0].1, "unseen 9, should be 2, octets 0, should be 300");
        assert_eq!(wrong.right(), counters().state);
        let mut wrong = counters();
        wrong.state.next_uid = 10;
        assert_eq!(kinds(&wrong), [FaultKind::NextUid]);
        assert_eq!(wrong.right().next_uid, 11);
        let mut wrong = counters();
        wrong.state.modseq = 19;
        assert_eq!(kinds(&wrong), [FaultKind::Modseq]);
        assert_eq!(wrong.right(), counters().state);
        let mut wrong = counters();
        wrong.gap = Some(12);
        assert_eq!(kinds(&wrong), [FaultKind::LogGap]);
        assert_eq!(wrong.right().log_from, 12);
        // A MODSEQ of a row that no log has: the horizon passes it.
        let mut wrong = counters();
        wrong.last_modseq = Some(25);
        assert_eq!(kinds(&wrong), [FaultKind::Modseq, FaultKind::LogGap]);
        let right = wrong.right();
        assert_eq!((right.modseq, right.log_from), (25, 25));
    }
}
