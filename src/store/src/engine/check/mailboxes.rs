//! Mailboxes: names, counters, messages, keywords, logs. Short mailboxes are looked at together, a long one in pages of its own.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::super::{log, name_key, open};
use super::counters::{Counters, CountersAgain};
use super::{FAULTS, Mend, PAGE_BYTES, ROWS, Walk, orphans};
use crate::check::{FaultKind, Place};
use crate::db::Error;
use crate::driver::{Connection, Failure, Row, Rows, values};
use crate::sql::Sql;
use crate::uid_bytes;

/// Messages that one statement looks at, more or less: bounds its time.
const MESSAGES: u32 = 20_000;
/// Keywords and rows of a log in one page.
const LONG_ROWS: u32 = 5_000;
/// UIDs that are named in a fault.
const UIDS_SHOWN: usize = 5;

/// A mailbox.
struct Mailbox {
    id: i64,
    user: Option<String>,
    name: String,
    key: Vec<u8>,
    has_root: bool,
    deleted: bool,
    has_state: bool,
    messages: i64,
}

/// Names by id, for the places of faults.
type Names = BTreeMap<i64, Place>;

impl Mailbox {
    fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            id: row.int(0)?,
            user: row.text_or_none(2)?,
            name: row.text(3)?,
            key: row.bytes(4)?.to_vec(),
            deleted: row.int_or_none(5)?.is_some(),
            has_root: row.int_or_none(6)?.is_some(),
            has_state: row.int_or_none(7)?.is_some(),
            messages: row.int_or_none(8)?.unwrap_or(0),
        })
    }

    fn place(&self) -> Place {
        Place {
            mailbox: Some(self.name.clone()),
            ..Place::user(self.user.as_deref())
        }
    }

    /// What is wrong with its own row, and with not having a counter row.
    fn faults(&self) -> Vec<(FaultKind, String, Option<Mend>)> {
        let mut faults = Vec::new();
        let id = self.id;
        if !self.has_root {
            let what = format!("the quota root of mailbox {id} is not there");
            faults.push((FaultKind::QuotaRoot, what, None));
        }
        if self.deleted {
            if self.has_state {
                let what = format!("mailbox {id} was deleted, and has a counter row");
                faults.push((FaultKind::MailboxDeleted, what, None));
            }
            return faults;
        }
        let key = open::name(self.name.clone()).map(|name| name_key(&name));
        if !key.is_ok_and(|key| key[..] == self.key[..]) {
            let what = format!("mailbox {id} is kept under the key of another name");
            faults.push((FaultKind::MailboxName, what, None));
        }
        if !self.has_state {
            let what = format!("mailbox {id} has no counter row");
            faults.push((FaultKind::MailboxState, what, Some(Mend::State(id))));
        }
        faults
    }
}

/// What is wrong with a message.
struct Odd {
    mailbox: i64,
    uid: i64,
    flags: i64,
    size: i64,
    has_email: bool,
    right_size: Option<i64>,
    twice: bool,
}

impl Odd {
    fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let has_content = row.int_or_none(5)?.is_some();
        Ok(Self {
            mailbox: row.int(0)?,
            uid: row.int(1)?,
            flags: row.int(2)?,
            size: row.int(3)?,
            has_email: row.int_or_none(4)?.is_some(),
            right_size: if has_content {
                row.int_or_none(6)?
            } else {
                None
            },
            twice: row.int(7)? > 0,
        })
    }

    fn faults(&self, gone: bool) -> Vec<(FaultKind, String, Option<Mend>)> {
        let of = if gone {
            "a message that is gone"
        } else {
            "the message"
        };
        let mut faults = Vec::new();
        match self.right_size {
            _ if !self.has_email => {
                faults.push((FaultKind::MessageEmail, format!("{of} has no email"), None));
            }
            None => faults.push((
                FaultKind::MessageContent,
                format!("the email of {of} has no content"),
                None,
            )),
            Some(right) if right != self.size => {
                let what = format!("{} octets are noted, {right} are there", self.size);
                let mend = Some(Mend::Sizes(self.mailbox));
                faults.push((FaultKind::MessageSize, what, mend));
            }
            Some(_) => {}
        }
        if !(0..=31).contains(&self.flags) {
            let what = format!("the flags of {of} are {}", self.flags);
            faults.push((FaultKind::MessageFlags, what, None));
        }
        if self.twice {
            let what = "the message is among the gone too".to_owned();
            faults.push((FaultKind::MessageTwice, what, None));
        }
        faults
    }
}

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Alive,
    Gone,
}

impl Of {
    const fn check(self) -> Sql {
        match self {
            Self::Alive => Sql::CheckMessages,
            Self::Gone => Sql::CheckGone,
        }
    }
    const fn page_end(self) -> Sql {
        match self {
            Self::Alive => Sql::MessagePageEnd,
            Self::Gone => Sql::GonePageEnd,
        }
    }
    const fn contents(self) -> Sql {
        match self {
            Self::Alive => Sql::CheckContentsOf,
            Self::Gone => Sql::CheckGoneContentsOf,
        }
    }
}

/// Rows of a log, as `CheckLog` and `LogSince` have them.
struct Logged {
    modseq: i64,
    kind: i64,
    low: i64,
    high: i64,
    set: Option<bytes::Bytes>,
}

impl Logged {
    fn read(row: &mut Row<'_>, first: usize) -> Result<Self, Failure> {
        Ok(Self {
            modseq: row.int(first)?,
            kind: row.int(first + 1)?,
            low: row.int(first + 2)?,
            high: row.int(first + 3)?,
            set: row.bytes_or_none(first + 4)?,
        })
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<String> {
        let change = self.modseq;
        if log::kind(self.kind).is_err() {
            return Some(format!("change {change} is of kind {}", self.kind));
        }
        let uid = |n: i64| u32::try_from(n).ok();
        let set = match (uid(self.low), uid(self.high)) {
            (Some(low), Some(high)) => uid_bytes::read(low, high, self.set.as_deref()),
            _ => None,
        };
        set.is_none()
            .then(|| format!("change {change} names no set of UIDs"))
    }
}

impl<C: Connection> Walk<'_, C> {
    /// Mailboxes, and what names them.
    pub(super) async fn mailboxes(&mut self) -> Result<(), Error> {
        let one = self.scope.account();
        let mut after = i64::MIN;
        loop {
            let look = values![after, one, ROWS];
            let mut rows = self.look(Sql::CheckMailboxes, &look).await?;
            let page: Result<Vec<Mailbox>, Failure> =
                rows.each().map(|mut row| Mailbox::read(&mut row)).collect();
            let page = page?;
            let last = page.last().map(|mailbox| mailbox.id);
            if one == 0 {
                let through = last.unwrap_or(i64::MAX);
                let look = values![after, through];
                self.orphans(Sql::CheckMailboxOrphans, &look, "mailbox")
                    .await?;
            }
            let Some(last) = last else { break };
            self.page(after, page).await?;
            after = last;
        }
        if one == 0 {
            for (sql, table) in [
                (Sql::LooseMessages, "message"),
                (Sql::LooseGone, "message_gone"),
                (Sql::LooseMarks, "message_keyword"),
                (Sql::LooseLog, "change_log"),
            ] {
                self.loose(sql, table).await?;
            }
        }
        Ok(())
    }

    /// Mailboxes that rows of a long table name, and that are not there.
    async fn loose(&mut self, sql: Sql, table: &str) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let mut rows = self.look(sql, &values![after, ROWS]).await?;
            let mut found = Vec::new();
            let count = rows.len();
            for row in rows.each() {
                let mailbox = row.int(0)?;
                after = mailbox;
                if row.int_or_none(1)?.is_none() {
                    let what = orphans(1, table, "mailbox", mailbox);
                    found.push((FaultKind::Orphan, what.replacen("1 row", "rows", 1)));
                } else if row.int_or_none(2)?.is_some() {
                    let what = format!("mailbox {mailbox} was deleted, and has messages");
                    found.push((FaultKind::MailboxDeleted, what));
                }
            }
            for (kind, what) in found {
                self.fault(kind, Place::default(), what, None).await?;
            }
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// A page of mailboxes, those that follow one another and are short together.
    async fn page(&mut self, mut after: i64, page: Vec<Mailbox>) -> Result<(), Error> {
        let mut names = Names::new();
        for mailbox in &page {
            names.insert(mailbox.id, mailbox.place());
            for (kind, what, mend) in mailbox.faults() {
                self.fault(kind, mailbox.place(), what, mend).await?;
            }
        }
        let single = self.scope.account.is_some();
        let last = page.last().map(|mailbox| mailbox.id);
        let mut range = None;
        let (mut messages, mut count) = (0i64, 0);
        for mailbox in page {
            // Of one user, the mailboxes between are not his.
            let from = if single {
                mailbox.id.saturating_sub(1)
            } else {
                after
            };
            range.get_or_insert(from);
            messages = messages.saturating_add(mailbox.messages);
            count += 1;
            let full = messages >= i64::from(MESSAGES);
            if (full || single || Some(mailbox.id) == last)
                && let Some(from) = range.take()
            {
                self.range(from, mailbox.id, &names).await?;
                self.gauge.mailboxes.fetch_add(count, Ordering::Relaxed);
                (messages, count) = (0, 0);
            }
            after = mailbox.id;
        }
        Ok(())
    }

    /// Some mailboxes.
    async fn range(&mut self, after: i64, through: i64, names: &Names) -> Result<(), Error> {
        let look = values![after, through];
        let mut rows = self.look(Sql::CheckCounters, &look).await?;
        let all: Result<Vec<Counters>, Failure> =
            rows.each().map(|row| Counters::read(&row)).collect();
        let all = all?;
        for counters in &all {
            if !counters.faults().is_empty() {
                self.counters(counters.mailbox, names).await?;
            }
        }
        self.messages(Of::Alive, after, through, &all, names)
            .await?;
        self.messages(Of::Gone, after, through, &all, names).await?;
        self.marks(after, through, names).await?;
        self.keywords(after, through, names).await?;
        self.log(after, through, names).await
    }

    /// A mailbox whose counters differ: looked at again under its lock before it is told.
    async fn counters(&mut self, mailbox: i64, names: &Names) -> Result<(), Error> {
        let Some(counters) = self.transact(&CountersAgain(mailbox)).await? else {
            return Ok(());
        };
        for (kind, what) in counters.faults() {
            let mend = Some(counters.mend());
            self.fault(kind, place(names, mailbox, None), what, mend)
                .await?;
        }
        Ok(())
    }

    /// Messages of some mailboxes: of short ones all at once, else page by page.
    async fn messages(
        &mut self,
        of: Of,
        after: i64,
        through: i64,
        all: &[Counters],
        names: &Names,
    ) -> Result<(), Error> {
        let count = |counters: &Counters| match of {
            Of::Alive => counters.messages,
            Of::Gone => counters.gone,
        };
        let messages: i64 = all.iter().map(count).sum();
        // Of one user, the contents are found by way of the messages.
        let single = self.scope.account.is_some();
        if messages <= 2 * i64::from(MESSAGES) && !single {
            let odd = self.odd(of, (after, through), (i64::MIN, i64::MAX)).await?;
            if odd.len() < FAULTS as usize {
                self.tell_odd(of, odd, names).await?;
                let messages = u64::try_from(messages).unwrap_or(0);
                self.gauge.messages.fetch_add(messages, Ordering::Relaxed);
                return Ok(());
            }
        }
        for counters in all.iter().filter(|counters| count(counters) > 0) {
            self.messages_of(of, counters.mailbox, names).await?;
            let messages = u64::try_from(count(counters)).unwrap_or(0);
            self.gauge.messages.fetch_add(messages, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The messages of one mailbox, page by page.
    async fn messages_of(&mut self, of: Of, mailbox: i64, names: &Names) -> Result<(), Error> {
        let mut low = i64::MIN;
        loop {
            let look = values![mailbox, low, MESSAGES];
            let mut rows = self.look(of.page_end(), &look).await?;
            let end = match rows.first() {
                Some(row) => row.int_or_none(0)?,
                None => None,
            };
            let Some(end) = end else { return Ok(()) };
            let mut from = low;
            loop {
                let mailboxes = (mailbox.saturating_sub(1), mailbox);
                let odd = self.odd(of, mailboxes, (from, end)).await?;
                let full = odd.len() >= FAULTS as usize;
                from = odd.last().map_or(from, |odd| odd.uid);
                self.tell_odd(of, odd, names).await?;
                if !full {
                    break;
                }
            }
            if self.scope.account.is_some() {
                self.contents_of(of.contents(), mailbox, low, end).await?;
            }
            low = end;
        }
    }

    async fn odd(
        &mut self,
        of: Of,
        (after, through): (i64, i64),
        (low, high): (i64, i64),
    ) -> Result<Vec<Odd>, Error> {
        let look = values![after, through, low, high, FAULTS];
        let mut rows = self.look(of.check(), &look).await?;
        let odd: Result<Vec<Odd>, Failure> = rows.each().map(|row| Odd::read(&row)).collect();
        Ok(odd?)
    }

    async fn tell_odd(&mut self, of: Of, all: Vec<Odd>, names: &Names) -> Result<(), Error> {
        for odd in all {
            for (kind, what, mend) in odd.faults(of == Of::Gone) {
                let place = place(names, odd.mailbox, Some(odd.uid));
                self.fault(kind, place, what, mend).await?;
            }
        }
        Ok(())
    }

    /// Marks of keywords without keyword or message, told for each keyword.
    async fn marks(&mut self, mut after: i64, through: i64, names: &Names) -> Result<(), Error> {
        loop {
            let look = values![after, through, FAULTS];
            let mut rows = self.look(Sql::CheckMarks, &look).await?;
            let full = rows.len() >= FAULTS as usize;
            let mut marks: BTreeMap<(i64, i64, bool), Vec<i64>> = BTreeMap::new();
            for row in rows.each() {
                after = row.int(0)?;
                let key = (after, row.int(1)?, row.int(3)? > 0);
                marks.entry(key).or_default().push(row.int(2)?);
            }
            for ((mailbox, keyword, lost), uids) in marks {
                let place = place(names, mailbox, uids.first().copied());
                let more = if full && mailbox == after {
                    " at least"
                } else {
                    ""
                };
                let count = uids.len();
                let shown: Vec<String> = uids.iter().take(UIDS_SHOWN).map(i64::to_string).collect();
                let dots = if count > UIDS_SHOWN { ", …" } else { "" };
                let what = format!(
                    "keyword {keyword} marks {count}{more}: UID {}{dots}",
                    shown.join(", ")
                );
                let (kind, mend) = if lost {
                    (FaultKind::MarkKeyword, None)
                } else {
                    (FaultKind::MarkMessage, Some(Mend::Marks(mailbox)))
                };
                self.fault(kind, place, what, mend).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Keywords that are none.
    async fn keywords(&mut self, mut after: i64, through: i64, names: &Names) -> Result<(), Error> {
        loop {
            let look = values![after, through, LONG_ROWS];
            let mut rows = self.look(Sql::CheckKeywords, &look).await?;
            let full = rows.len() >= LONG_ROWS as usize;
            let mut odd = Vec::new();
            let (mut first, mut last) = (None, after);
            for mut row in rows.each() {
                last = row.int(0)?;
                first.get_or_insert(last);
                let number = row.int(1)?;
                let keyword = open::keyword(&row.text(2)?);
                let key = row.bytes(3)?;
                if !keyword.is_ok_and(|keyword| keyword.key().as_bytes() == &key[..]) {
                    odd.push((last, number));
                }
            }
            // The last mailbox may have more; when it is the only one, it has far more than it may.
            let cut = full && first != Some(last);
            for (mailbox, number) in odd {
                if cut && mailbox == last {
                    continue;
                }
                let what = format!("keyword {number} has a name that is none, or another's key");
                let place = place(names, mailbox, None);
                self.fault(FaultKind::KeywordName, place, what, None)
                    .await?;
            }
            if !full {
                return Ok(());
            }
            after = if cut { last.saturating_sub(1) } else { last };
        }
    }

    /// Rows of logs that can't be told.
    async fn log(&mut self, mut after: i64, through: i64, names: &Names) -> Result<(), Error> {
        loop {
            let look = values![after, through, LONG_ROWS];
            let mut rows = self.look_some(Sql::CheckLog, &look, PAGE_BYTES).await?;
            let more = rows.cut || rows.len() >= LONG_ROWS as usize;
            let (mut odd, mut last) = (Vec::new(), None);
            for mut row in rows.each() {
                let mailbox = row.int(0)?;
                let logged = Logged::read(&mut row, 1)?;
                last = Some((mailbox, logged.modseq));
                odd.extend(logged.fault().map(|what| (mailbox, logged.modseq, what)));
            }
            // The last change is read again with the rest of its mailbox.
            let rest = last.filter(|_| more);
            odd.retain(|(mailbox, modseq, _)| Some((*mailbox, *modseq)) != rest);
            for (mailbox, _, what) in odd {
                let place = place(names, mailbox, None);
                self.fault(FaultKind::LogRow, place, what, None).await?;
            }
            let Some((mailbox, modseq)) = rest else {
                return Ok(());
            };
            self.log_of(mailbox, modseq, names).await?;
            after = mailbox;
        }
    }

    /// The log of one mailbox from a change on.
    async fn log_of(&mut self, mailbox: i64, from: i64, names: &Names) -> Result<(), Error> {
        let mut since = from.saturating_sub(1);
        let mut wanted = u64::from(LONG_ROWS);
        loop {
            let look = values![mailbox, since, i64::MAX, wanted];
            let mut rows: Rows = self.look(Sql::LogSince, &look).await?;
            let full = rows.len() as u64 >= wanted;
            let mut all = Vec::with_capacity(rows.len());
            for mut row in rows.each() {
                all.push(Logged::read(&mut row, 0)?);
            }
            let last = all.last().map_or(since, |logged| logged.modseq);
            if full {
                // The last change may have more rows.
                all.retain(|logged| logged.modseq < last);
                if all.is_empty() {
                    wanted = wanted.saturating_mul(4);
                    continue;
                }
            }
            for what in all.iter().filter_map(Logged::fault) {
                let place = place(names, mailbox, None);
                self.fault(FaultKind::LogRow, place, what, None).await?;
            }
            if !full {
                return Ok(());
            }
            since = last.saturating_sub(1);
        }
    }
}

fn place(names: &Names, mailbox: i64, uid: Option<i64>) -> Place {
    let known = names.get(&mailbox).cloned();
    Place {
        uid,
        ..known.unwrap_or_default()
    }
}
