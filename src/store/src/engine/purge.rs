//! Purging: what is gone past its time goes for good, in small transactions beside the running service. Why that is safe is
//! in docs/design/retention.md.

use std::collections::BTreeSet;

use dbmail_core::store::{AccountId, MailboxId, Refusal, UidSet};

use super::Runs;
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Value, values};
use crate::sql::{LIST_SIZE, Sql};

/// Messages purged in one transaction: four lists of ids.
pub(crate) const GONE_ROWS: u32 = 128;
/// Rows of a log that are looked at, and go, in one transaction.
const LOG_ROWS: u32 = 500;
/// Of the gone that are due, so many are looked at to find their mailboxes.
const WAITING_ROWS: u32 = 10_000;
/// Mailboxes and accounts found by one question.
const PAGE_ROWS: u32 = 100;

/// Whose are purged; `None`: everybody's.
type Of = Option<AccountId>;

/// What one transaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Went {
    /// Messages that were gone.
    pub(crate) messages: u64,
    /// Their octets.
    pub(crate) bytes: u64,
    /// Contents that nobody had any more.
    pub(crate) contents: u64,
    /// Their octets.
    pub(crate) content_bytes: u64,
    /// Mailboxes.
    pub(crate) mailboxes: u64,
    /// Rows of logs.
    pub(crate) log_rows: u64,
}

/// Purges the gone of a mailbox that are due, above a UID: some of them.
pub(crate) struct PurgeGone {
    pub(crate) mailbox: MailboxId,
    pub(crate) after: u32,
    /// At most so many; [`GONE_ROWS`] or fewer.
    pub(crate) rows: u32,
    /// Only those that went before, in µs.
    pub(crate) gone_before: i64,
}

impl Work for PurgeGone {
    /// What went, and the UID above which there may be more.
    type Done = (Went, Option<u32>);

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        let (mailbox, before) = (self.mailbox.0, self.gone_before);
        let due = db
            .gone_due(self.mailbox, self.after, before, self.rows)
            .await?;
        let full = due.len() as u64 == u64::from(self.rows);
        let (Some(low), Some(high)) = (due.first(), due.last()) else {
            return Ok((Went::default(), None));
        };
        let more = full.then_some(*high);
        let look = values![mailbox, *low, *high, before];
        let mut rows = db.query(Sql::GoneHold, &look).await?;
        let mut went = Went::default();
        let mut held = Vec::with_capacity(rows.len());
        let (mut emails, mut contents) = (BTreeSet::new(), BTreeSet::new());
        for row in rows.each() {
            held.push(row.u32(0)?);
            emails.insert(row.int(1)?);
            contents.insert(row.int(2)?);
            went.messages += 1;
            went.bytes += row.u64(3)?;
        }
        if held.is_empty() {
            return Ok((went, more));
        }
        // All that are due between the first and the last were read: a run over some of them meets no other.
        let mut runs = Runs::new();
        for uid in due {
            if held.binary_search(&uid).is_ok() {
                runs.push((), uid);
            } else {
                runs.interrupt();
            }
        }
        let gone = UidSet::from_ranges(held.iter().map(|uid| *uid..=*uid));
        db.unmark_gone(self.mailbox, &gone).await?;
        let run = |((), low, high)| values![mailbox, low, high, before].into();
        let runs = runs.runs.into_iter().map(run).collect();
        if db.many(Sql::GonePurge, runs).await? != went.messages {
            // Somebody brought one back between the two looks.
            return Err(Failure::Busy.into());
        }
        (went.contents, went.content_bytes) = db.end_emails(&emails, &contents).await?;
        Ok((went, more))
    }
}

/// Ends a deleted mailbox, some of its log at a time.
pub(crate) struct PurgeMailbox {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    /// Only when it was deleted before, in µs.
    pub(crate) deleted_before: i64,
}

impl Work for PurgeMailbox {
    /// What went, and whether there is more of it.
    type Done = (Went, bool);

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        let mailbox = self.mailbox.0;
        let mut went = Went::default();
        // Under this lock nobody brings it back.
        db.query(Sql::AccountLock, &values![self.account.0]).await?;
        let look = values![mailbox, self.deleted_before];
        let mut rows = db.query(Sql::MailboxHolds, &look).await?;
        match rows.first() {
            Some(row) if row.int(0)? == 0 && row.int(1)? == 0 => {}
            // It is no more, or some of the gone were left to the next run.
            Some(_) | None => return Ok((went, false)),
        }
        let look = values![mailbox, LOG_ROWS];
        let mut rows = db.query(Sql::LogHead, &look).await?;
        if rows.len() as u64 == u64::from(LOG_ROWS) {
            let mut last = 0;
            for row in rows.each() {
                last = row.int(0)?;
            }
            let through = values![mailbox, last];
            went.log_rows = db.execute(Sql::LogForget, &through).await?;
            return Ok((went, true));
        }
        went.log_rows = rows.len() as u64;
        db.end_mailbox(self.mailbox).await?;
        went.mailboxes = 1;
        Ok((went, false))
    }
}

/// Forgets what is old at the beginning of a log, some rows at a time, and moves its horizon, both under its counter row.
#[derive(Clone, Copy)]
pub(crate) struct PurgeLog {
    pub(crate) of: LogOf,
    /// Only rows that were written before, in µs.
    pub(crate) done_before: i64,
}

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogOf {
    Mailbox(MailboxId),
    Account(AccountId),
}

impl Work for PurgeLog {
    /// Rows that went, and whether there may be more.
    type Done = (u64, bool);

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Self::Done, Error> {
        let (of, lock, head, forget, horizon) = match self.of {
            LogOf::Mailbox(of) => (
                of.0,
                Sql::StateLock,
                Sql::LogHead,
                Sql::LogForget,
                Sql::LogHorizon,
            ),
            LogOf::Account(of) => (
                of.0,
                Sql::AccountLock,
                Sql::AccountLogHead,
                Sql::AccountLogForget,
                Sql::AccountLogHorizon,
            ),
        };
        if db.query(lock, &values![of]).await?.len() == 0 {
            return Ok((0, false));
        }
        let mut rows = db.query(head, &values![of, LOG_ROWS]).await?;
        let full = rows.len() as u64 == u64::from(LOG_ROWS);
        let mut all = Vec::with_capacity(rows.len());
        for row in rows.each() {
            all.push((row.int(0)?, row.int(1)?));
        }
        // Clocks differ: a young row before old ones keeps them, and a MODSEQ of which a piece is young stays whole.
        let young = all.iter().find(|(_, at)| *at >= self.done_before);
        let kept = young.map_or(i64::MAX, |(modseq, _)| *modseq);
        let old = all.iter().rev().find(|(modseq, _)| *modseq < kept);
        let Some((last, _)) = old else {
            return Ok((0, false));
        };
        let through = values![of, *last];
        let went = db.execute(forget, &through).await?;
        db.execute(horizon, &through).await?;
        Ok((went, full && young.is_none()))
    }
}

impl<C: Connection> Db<C> {
    /// Takes the keywords from messages that are gone. Exactly from them: between them there may be living ones.
    pub(super) async fn unmark_gone(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
    ) -> Result<(), Error> {
        let (Some(low), Some(high)) = (uids.first(), uids.last()) else {
            return Ok(());
        };
        let look = values![mailbox.0, low.number(), high.number()];
        let mut rows = self.query(Sql::KeywordMarks, &look).await?;
        let mut marks: Vec<Vec<Value>> = Vec::new();
        let mut last: Option<(i64, u32, u32)> = None;
        let mut end = |run: Option<(i64, u32, u32)>| {
            let row = |(keyword, low, high)| values![mailbox.0, keyword, low, high].into();
            marks.extend(run.map(row));
        };
        for row in rows.each() {
            let (keyword, uid) = (row.int(0)?, row.u32(2)?);
            if !super::uid(uid).is_ok_and(|uid| uids.contains(uid)) {
                continue;
            }
            match &mut last {
                Some((of, _, high)) if *of == keyword && high.checked_add(1) == Some(uid) => {
                    *high = uid;
                }
                _ => end(last.replace((keyword, uid, uid))),
            }
        }
        end(last);
        self.many(Sql::KeywordUnmark, marks).await?;
        Ok(())
    }

    /// Removes emails and contents that nobody refers to any more, of those whose rows are held for this transaction alone.
    /// How many contents went, and their octets.
    pub(super) async fn end_emails(
        &mut self,
        emails: &BTreeSet<i64>,
        contents: &BTreeSet<i64>,
    ) -> Result<(u64, u64), Error> {
        for ids in lists(emails) {
            self.execute(Sql::EmailsEnd, &ids).await?;
        }
        let (mut unused, mut octets) = (BTreeSet::new(), 0);
        for ids in lists(contents) {
            let mut rows = self.query(Sql::ContentsUnused, &ids).await?;
            for row in rows.each() {
                unused.insert(row.int(0)?);
                octets += row.u64(1)?;
            }
        }
        for ids in lists(&unused) {
            self.execute(Sql::SegmentsDelete, &ids).await?;
            self.execute(Sql::ContentsDelete, &ids).await?;
        }
        Ok((unused.len() as u64, octets))
    }

    /// Removes a mailbox that holds no message, with all that is kept of it.
    pub(super) async fn end_mailbox(&mut self, mailbox: MailboxId) -> Result<(), Error> {
        let of = values![mailbox.0];
        for sql in [
            Sql::StateDelete,
            Sql::MailboxMarksDelete,
            Sql::MailboxKeywordsDelete,
            Sql::MailboxLogDelete,
            Sql::MailboxMapDelete,
            Sql::MailboxSeenDelete,
            Sql::MailboxUsersDelete,
            Sql::MailboxRemove,
        ] {
            self.execute(sql, &of).await?;
        }
        Ok(())
    }

    // --- questions -------------------------------------------------------------------------

    /// Mailboxes of which some of the gone are due: of everybody those that wait longest, of one account all mailboxes.
    pub(crate) async fn gone_waiting(
        &mut self,
        of: Of,
        gone_before: i64,
    ) -> Result<Vec<MailboxId>, Error> {
        let mut rows = match of {
            None => {
                let look = values![gone_before, WAITING_ROWS];
                self.query(Sql::GoneWaiting, &look).await?
            }
            Some(account) => self.query(Sql::MailboxIds, &values![account.0]).await?,
        };
        let mut mailboxes = Vec::with_capacity(rows.len());
        for row in rows.each() {
            mailboxes.push(MailboxId(row.int(0)?));
        }
        Ok(mailboxes)
    }

    /// UIDs of some of the gone of a mailbox that are due, above a UID.
    pub(crate) async fn gone_due(
        &mut self,
        mailbox: MailboxId,
        after: u32,
        gone_before: i64,
        most: u32,
    ) -> Result<Vec<u32>, Error> {
        let look = values![mailbox.0, after, gone_before, most];
        let mut rows = self.query(Sql::GoneDue, &look).await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows.each() {
            due.push(row.u32(0)?);
        }
        Ok(due)
    }

    /// Some mailboxes that were deleted before, above an id, with their owners. None: that was all.
    pub(crate) async fn mailboxes_deleted(
        &mut self,
        of: Of,
        after: MailboxId,
        deleted_before: i64,
    ) -> Result<Vec<(MailboxId, AccountId)>, Error> {
        let mut rows = match of {
            None => {
                let look = values![after.0, deleted_before, PAGE_ROWS];
                self.query(Sql::MailboxesDeleted, &look).await?
            }
            Some(account) => {
                let look = values![account.0, after.0, deleted_before, PAGE_ROWS];
                self.query(Sql::MailboxesDeletedOf, &look).await?
            }
        };
        let mut mailboxes = Vec::with_capacity(rows.len());
        for row in rows.each() {
            mailboxes.push((MailboxId(row.int(0)?), AccountId(row.int(1)?)));
        }
        Ok(mailboxes)
    }

    /// Some logs that begin with an old row, above an id: of mailboxes, or of accounts. None: that was all.
    pub(crate) async fn logs_old(
        &mut self,
        of: Of,
        after: LogOf,
        done_before: i64,
    ) -> Result<Vec<LogOf>, Error> {
        let mut rows = match (after, of) {
            (LogOf::Mailbox(after), None) => {
                let look = values![after.0, done_before, PAGE_ROWS];
                self.query(Sql::LogsOld, &look).await?
            }
            (LogOf::Mailbox(after), Some(account)) => {
                let look = values![account.0, after.0, done_before, PAGE_ROWS];
                self.query(Sql::LogsOldOf, &look).await?
            }
            (LogOf::Account(after), None) => {
                let look = values![after.0, done_before, PAGE_ROWS];
                self.query(Sql::AccountLogsOld, &look).await?
            }
            // It is looked at when it is purged.
            (LogOf::Account(after), Some(account)) if after < account => {
                return Ok(vec![LogOf::Account(account)]);
            }
            (LogOf::Account(_), Some(_)) => return Ok(Vec::new()),
        };
        let mut logs = Vec::with_capacity(rows.len());
        for row in rows.each() {
            let id = row.int(0)?;
            logs.push(match after {
                LogOf::Mailbox(_) => LogOf::Mailbox(MailboxId(id)),
                LogOf::Account(_) => LogOf::Account(AccountId(id)),
            });
        }
        Ok(logs)
    }

    /// How many messages that are gone are due, and their octets.
    pub(crate) async fn gone_plan(
        &mut self,
        of: Of,
        gone_before: i64,
    ) -> Result<(u64, u64), Error> {
        let mut rows = match of {
            None => self.query(Sql::GonePlan, &values![gone_before]).await?,
            Some(account) => {
                let look = values![account.0, gone_before];
                self.query(Sql::GonePlanOf, &look).await?
            }
        };
        let row = rows.first().ok_or(Refusal::Unavailable)?;
        Ok((row.u64(0)?, row.u64(1)?))
    }

    /// How many rows are old in some logs, those above an id; and the last of these logs. `None`: that was all.
    pub(crate) async fn log_plan(
        &mut self,
        of: Of,
        after: LogOf,
        done_before: i64,
    ) -> Result<Option<(u64, LogOf)>, Error> {
        let mut rows = match (after, of) {
            (LogOf::Mailbox(after), None) => {
                let look = values![after.0, done_before, PAGE_ROWS];
                self.query(Sql::LogPlan, &look).await?
            }
            (LogOf::Mailbox(after), Some(account)) => {
                let look = values![account.0, after.0, done_before, PAGE_ROWS];
                self.query(Sql::LogPlanOf, &look).await?
            }
            (LogOf::Account(after), None) => {
                let look = values![after.0, done_before, PAGE_ROWS];
                self.query(Sql::AccountLogPlan, &look).await?
            }
            (LogOf::Account(after), Some(account)) if after < account => {
                let look = values![account.0 - 1, done_before, 1u32];
                self.query(Sql::AccountLogPlan, &look).await?
            }
            (LogOf::Account(_), Some(_)) => return Ok(None),
        };
        let (mut old, mut last) = (0, None);
        for row in rows.each() {
            let id = row.int(0)?;
            old += row.u64(1)?;
            last = Some(match after {
                LogOf::Mailbox(_) => LogOf::Mailbox(MailboxId(id)),
                LogOf::Account(_) => LogOf::Account(AccountId(id)),
            });
        }
        Ok(last.map(|last| (old, last)))
    }

    /// Whether a front-end that is older lives.
    pub(crate) async fn has_elder(&mut self) -> Result<bool, Error> {
        let own = &self.shared.front_end;
        let own = own.load(std::sync::atomic::Ordering::Relaxed);
        let look = values![own, self.now().0];
        let mut rows = self.query(Sql::FrontEndsElder, &look).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.int(0))? > 0)
    }
}

/// Ids in lists as statements take them; the last is filled up with its own first.
pub(super) fn lists(ids: &BTreeSet<i64>) -> Vec<Vec<Value>> {
    let ids: Vec<i64> = ids.iter().copied().collect();
    let list = |some: &[i64]| {
        let first = some.first().copied().unwrap_or(0);
        let filled = some.iter().copied().chain(std::iter::repeat(first));
        filled.take(LIST_SIZE).map(Value::Int).collect()
    };
    ids.chunks(LIST_SIZE).map(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_full_and_names_no_stranger() {
        assert!(lists(&BTreeSet::new()).is_empty());
        let all: BTreeSet<i64> = (5..45).collect();
        let named = lists(&all);
        assert_eq!(named.len(), 2);
        assert!(named.iter().all(|list| list.len() == LIST_SIZE));
        let named: BTreeSet<i64> = named
            .into_iter()
            .flatten()
            .map(|value| match value {
                Value::Int(id) => id,
                Value::Null | Value::Bytes(_) | Value::Text(_) => 0,
            })
            .collect();
        assert_eq!(named, all);
    }
}
