//! Users: their counter rows, their logs, and the roots that pay for their mail.

use std::sync::atomic::Ordering;

use dbmail_core::store::Timestamp;

use super::super::account::folded;
use super::{Mend, ROWS, Walk};
use crate::check::{FaultKind, Place};
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Row, Rows, values};
use crate::sql::Sql;

/// Messages that the roots of one statement pay for, more or less: bounds its time.
const QUOTA_MESSAGES: i64 = 50_000;

/// An account beside its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: i64,
    pub(super) name: String,
    key: Vec<u8>,
    has_root: bool,
    /// Its counter row.
    pub(super) state: Option<AccountState>,
    last_validity: i64,
    last_modseq: i64,
    gap: Option<i64>,
}

/// What the counter row of an account says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountState {
    pub(super) modseq: i64,
    pub(super) log_from: i64,
    pub(super) next_validity: i64,
}

impl Account {
    fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        let state = match row.int_or_none(4)? {
            Some(_) => Some(AccountState {
                modseq: row.int(5)?,
                log_from: row.int(6)?,
                next_validity: row.int(7)?,
            }),
            None => None,
        };
        Ok(Self {
            id: row.int(0)?,
            name: row.text(1)?,
            key: row.bytes(2)?.to_vec(),
            has_root: row.int_or_none(3)?.is_some(),
            state,
            last_validity: row.int_or_none(8)?.unwrap_or(0),
            last_modseq: row.int_or_none(9)?.unwrap_or(0),
            gap: row.int_or_none(10)?,
        })
    }

    /// What the counter row should say. One that is lost begins anew, with UIDVALIDITYs beyond the present second, as those of a new
    /// user do.
    pub(super) fn right(&self, now: Timestamp) -> AccountState {
        let state = self.state.clone().unwrap_or_else(|| AccountState {
            modseq: 1,
            log_from: self.last_modseq.max(1),
            next_validity: now.0 / 1_000_000,
        });
        let modseq = state.modseq.max(self.last_modseq).max(1);
        AccountState {
            modseq,
            log_from: horizon(state.log_from, modseq, self.last_modseq, self.gap),
            next_validity: state
                .next_validity
                .max(self.last_validity.saturating_add(1))
                .clamp(1, 1 << 32),
        }
    }

    /// What is wrong with it.
    fn faults(&self) -> Vec<(FaultKind, String, Option<Mend>)> {
        let mut faults = Vec::new();
        if self.key != folded(&self.name) {
            let what = format!("user {} is kept under the key of another name", self.id);
            faults.push((FaultKind::AccountName, what, None));
        }
        if !self.has_root {
            let what = format!("the quota root of user {} is not there", self.id);
            faults.push((FaultKind::QuotaRoot, what, None));
        }
        let mend = Some(Mend::Account(self.id));
        let Some(state) = &self.state else {
            let what = format!("user {} has no counter row", self.id);
            faults.push((FaultKind::AccountState, what, mend));
            return faults;
        };
        let right = self.right(Timestamp(0));
        if state.modseq != right.modseq || state.next_validity != right.next_validity {
            let what = differences(&[
                ("last change", state.modseq, right.modseq),
                ("next UIDVALIDITY", state.next_validity, right.next_validity),
            ]);
            faults.push((FaultKind::AccountCounters, what, mend));
        }
        if state.log_from != right.log_from {
            let what = missing_in_log(right.log_from, state.log_from, right.modseq);
            faults.push((FaultKind::AccountLog, what, mend));
        }
        faults
    }
}

/// The horizon that a log must have: as it is, where there is a row for every change above it. MODSEQ 1 is that of a new mailbox, and has
/// none.
pub(super) fn horizon(log_from: i64, modseq: i64, last: i64, gap: Option<i64>) -> i64 {
    let known = log_from.max(1);
    if log_from > modseq || last.max(known) < modseq {
        return modseq;
    }
    gap.filter(|gap| *gap > known).unwrap_or(log_from)
}

/// What there is to say of a log whose horizon is not where it must be.
pub(super) fn missing_in_log(right: i64, log_from: i64, modseq: i64) -> String {
    if log_from > modseq {
        return format!("the log's horizon is {log_from}, beyond the last change, {modseq}");
    }
    format!("change {right} is missing in the log, which is said to have all above {log_from}")
}

/// What counters say, and what they should.
pub(super) fn differences(counters: &[(&str, i64, i64)]) -> String {
    let differ = counters.iter().filter(|(_, is, should)| is != should);
    let words = differ.map(|(name, is, should)| format!("{name} {is}, should be {should}"));
    words.collect::<Vec<_>>().join(", ")
}

/// A root beside the messages that it pays for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) root: i64,
    used: (i64, i64),
    pub(super) right: (i64, i64),
    user: Option<String>,
}

impl Quota {
    fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            root: row.int(0)?,
            used: (row.int(1)?, row.int(2)?),
            right: (row.int(3)?, row.int(4)?),
            user: row.text_or_none(5)?,
        })
    }
}

/// Looks at one account again, its counter row locked.
struct AccountAgain(i64);

impl Work for AccountAgain {
    type Done = Option<Account>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        db.account_locked(self.0).await
    }
}

/// Looks at one root again, locked.
struct QuotaAgain(i64);

impl Work for QuotaAgain {
    type Done = Option<Quota>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        db.quota_locked(self.0).await
    }
}

impl<C: Connection> Db<C> {
    /// An account as it is now; nobody changes it before the transaction's end.
    pub(super) async fn account_locked(&mut self, id: i64) -> Result<Option<Account>, Error> {
        self.query(Sql::AccountLock, &values![id]).await?;
        let look = values![id.saturating_sub(1), id, 1u32];
        let mut rows = self.query(Sql::CheckAccounts, &look).await?;
        let found = rows.first();
        Ok(found.map(|mut row| Account::read(&mut row)).transpose()?)
    }

    /// A root that has not what it should, as it is now; nobody changes it before the transaction's end. Whoever comes or takes away
    /// messages waits for it before the commit, so what is seen of them is what it was charged for.
    pub(super) async fn quota_locked(&mut self, root: i64) -> Result<Option<Quota>, Error> {
        self.query(Sql::QuotaLock, &values![root]).await?;
        let look = values![root.saturating_sub(1), root];
        let mut rows = self.query(Sql::CheckQuotas, &look).await?;
        let found = rows.first();
        Ok(found.map(|mut row| Quota::read(&mut row)).transpose()?)
    }
}

fn read_all<T>(
    rows: &mut Rows,
    read: impl Fn(&mut Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    rows.each().map(|mut row| read(&mut row)).collect()
}

impl<C: Connection> Walk<'_, C> {
    /// Accounts, and what names them.
    pub(super) async fn accounts(&mut self) -> Result<(), Error> {
        let one = self.scope.account();
        let mut after = i64::MIN;
        loop {
            let mut rows = self
                .look(Sql::CheckAccounts, &values![after, one, ROWS])
                .await?;
            let page = read_all(&mut rows, Account::read)?;
            let last = page.last().map(|account| account.id);
            if one == 0 {
                let through = last.unwrap_or(i64::MAX);
                self.orphans(
                    Sql::CheckAccountOrphans,
                    &values![after, through],
                    "account",
                )
                .await?;
            }
            for account in page {
                self.account(account).await?;
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    async fn account(&mut self, mut account: Account) -> Result<(), Error> {
        if !account.faults().is_empty() {
            let Some(again) = self.transact(&AccountAgain(account.id)).await? else {
                return Ok(());
            };
            account = again;
        }
        for (kind, what, mend) in account.faults() {
            let place = Place::user(Some(&account.name));
            self.fault(kind, place, what, mend).await?;
        }
        self.gauge.users.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Quota roots.
    pub(super) async fn quotas(&mut self) -> Result<(), Error> {
        let one = self.scope.account();
        let mut after = i64::MIN;
        loop {
            let mut rows = self
                .look(Sql::CheckQuotaPage, &values![after, one, ROWS])
                .await?;
            let page = read_all(&mut rows, |row| Ok((row.int(0)?, row.int(1)?)))?;
            let Some((last, _)) = page.last().copied() else {
                return Ok(());
            };
            let mut range = None;
            let mut messages = 0i64;
            for (root, used) in page {
                // Of one user, the roots between are not his.
                let from = if one == 0 {
                    after
                } else {
                    root.saturating_sub(1)
                };
                range.get_or_insert(from);
                messages = messages.saturating_add(used);
                if (messages >= QUOTA_MESSAGES || root == last || one != 0)
                    && let Some(from) = range.take()
                {
                    self.quota_range(from, root).await?;
                    messages = 0;
                }
                after = root;
            }
        }
    }

    async fn quota_range(&mut self, after: i64, through: i64) -> Result<(), Error> {
        let mut rows = self
            .look(Sql::CheckQuotas, &values![after, through])
            .await?;
        for found in read_all(&mut rows, Quota::read)? {
            let Some(quota) = self.transact(&QuotaAgain(found.root)).await? else {
                continue;
            };
            let what = differences(&[
                ("octets", quota.used.0, quota.right.0),
                ("messages", quota.used.1, quota.right.1),
            ]);
            let what = format!("quota root {}: {what}", quota.root);
            let place = Place::user(quota.user.as_deref());
            let mend = Some(Mend::Quota(quota.root));
            self.fault(FaultKind::Quota, place, what, mend).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_horizon_stays_where_the_log_has_all_above_it_and_rises_above_what_is_missing() {
        // New, with an empty log.
        assert_eq!(horizon(0, 1, 0, None), 0);
        assert_eq!(horizon(1, 1, 0, None), 1);
        // All there: a row of MODSEQ 2 has none before it.
        assert_eq!(horizon(0, 5, 5, Some(1)), 0);
        assert_eq!(horizon(3, 5, 5, None), 3);
        // Missing in the midst, at the end, all of it.
        assert_eq!(horizon(0, 5, 5, Some(3)), 3);
        assert_eq!(horizon(0, 5, 4, Some(1)), 5);
        assert_eq!(horizon(0, 5, 0, None), 5);
        // Everything is forgotten, and rightly.
        assert_eq!(horizon(5, 5, 0, None), 5);
        assert_eq!(horizon(9, 5, 5, None), 5);
    }

    #[test]
    fn only_counters_that_differ_are_told() {
        let told = differences(&[("a", 1, 1), ("b", 1, 2), ("c", 3, 0)]);
        assert_eq!(told, "b 1, should be 2, c 3, should be 0");
    }
}
