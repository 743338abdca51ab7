//! Contents: each put together again from its segments, page by page, one chunk in memory at a time.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::assembly::{Assembly, Content, Segment, Truth, Wrong};
use super::parts::PartWrong;
use super::{PAGE_BYTES, ROWS, Walk};
use crate::check::{FaultKind, Place};
use crate::db::Error;
use crate::driver::{Connection, Failure, values};
use crate::sql::Sql;

/// Segments in one page.
const SEGMENTS: u32 = 2_000;
/// Emails that one statement looks at.
const EMAILS: u32 = 20_000;

/// What there is, and up to which ids it is looked at.
pub(super) struct Totals {
    pub(super) users: u64,
    pub(super) mailboxes: u64,
    pub(super) contents: u64,
    pub(super) parts: u64,
    pub(super) last_email: i64,
    pub(super) last_content: i64,
    pub(super) last_part: i64,
}

/// What became of a page of contents.
#[derive(Default)]
struct Examined {
    /// The last of it; none: there was none.
    last: Option<i64>,
    /// What is wrong, by content.
    wrong: Vec<(i64, Wrong)>,
    /// Parts that are damaged, with the content that has them.
    parts: Vec<(i64, PartWrong)>,
    /// What is true of the last content that was proved.
    truth: Option<Truth>,
    looked: u64,
    unused: u64,
    first_unused: Option<i64>,
}

impl<C: Connection> Walk<'_, C> {
    pub(super) async fn totals(&mut self) -> Result<Totals, Error> {
        let mut rows = self.look(Sql::CheckTotals, &[]).await?;
        let none = || Failure::Damaged("no totals".to_owned());
        let row = rows.first().ok_or_else(none)?;
        Ok(Totals {
            users: row.u64(0)?,
            mailboxes: row.u64(1)?,
            contents: row.u64(2)?,
            parts: row.u64(3)?,
            last_email: row.int(4)?,
            last_content: row.int(5)?,
            last_part: row.int(6)?,
        })
    }

    /// Emails that nothing has.
    pub(super) async fn emails(&mut self, through: i64) -> Result<(), Error> {
        let mut after = i64::MIN;
        let (mut first, mut unused) = (None, 0);
        while after < through {
            let mut rows = self
                .look(Sql::EmailPageEnd, &values![after, EMAILS])
                .await?;
            let end = match rows.first() {
                Some(row) => row.int_or_none(0)?,
                None => None,
            };
            let Some(end) = end else { break };
            let mut rows = self.look(Sql::CheckEmails, &values![after, end]).await?;
            if let Some(row) = rows.first() {
                first = first.or(row.int_or_none(0)?);
                unused += row.u64(1)?;
            }
            after = end;
        }
        self.unused("emails that no message has", unused, first)
            .await
    }

    async fn unused(&mut self, what: &str, count: u64, first: Option<i64>) -> Result<(), Error> {
        let Some(first) = first else { return Ok(()) };
        let what = format!("{count} {what}, the first of them {first}");
        self.fault(FaultKind::Unused, Place::default(), what, None)
            .await
    }

    /// All contents up to an id.
    pub(super) async fn contents(&mut self, through: i64) -> Result<(), Error> {
        let mut after = i64::MIN;
        let (mut first_unused, mut unused) = (None, 0);
        while after < through {
            let examined = self.examine(after, through, ROWS).await?;
            let last = examined.last.unwrap_or(i64::MAX);
            let look = values![after, last];
            self.orphans(Sql::CheckSegmentOrphans, &look, "content")
                .await?;
            first_unused = first_unused.or(examined.first_unused);
            unused += examined.unused;
            self.tell_contents(examined).await?;
            after = last;
        }
        let look = values![after.min(i64::MAX - 1), i64::MAX];
        self.orphans(Sql::CheckSegmentOrphans, &look, "content")
            .await?;
        self.unused("contents that no email has", unused, first_unused)
            .await
    }

    /// The contents of some messages of a mailbox.
    pub(super) async fn contents_of(
        &mut self,
        sql: Sql,
        mailbox: i64,
        low: i64,
        high: i64,
    ) -> Result<(), Error> {
        let mut rows = self.look(sql, &values![mailbox, low, high]).await?;
        let ids: Result<Vec<i64>, Failure> = rows.each().map(|row| row.int(0)).collect();
        for id in ids? {
            let examined = self.examine(id.saturating_sub(1), id, 1).await?;
            self.tell_contents(examined).await?;
        }
        Ok(())
    }

    /// Tells what is wrong with contents, once it was seen twice: they may have gone while they were read.
    async fn tell_contents(&mut self, examined: Examined) -> Result<(), Error> {
        let looked = examined.looked;
        self.gauge.contents.fetch_add(looked, Ordering::Relaxed);
        let mut suspects: Vec<i64> = examined.wrong.iter().map(|(id, _)| *id).collect();
        suspects.extend(examined.parts.iter().map(|(id, _)| *id));
        suspects.sort_unstable();
        suspects.dedup();
        for id in suspects {
            let again = self.examine(id.saturating_sub(1), id, 1).await?;
            for (_, part) in again.parts {
                self.part_is_bad(part).await?;
            }
            let place = if again.wrong.is_empty() {
                Place::default()
            } else {
                self.content_place(id).await?
            };
            for (_, (kind, what, mend)) in again.wrong {
                self.fault(kind, place.clone(), what, mend).await?;
            }
        }
        Ok(())
    }

    /// What the octets of a content say of it, where they are those that arrived.
    pub(super) async fn truth(&mut self, content: i64) -> Result<Option<Truth>, Error> {
        let examined = self.examine(content.saturating_sub(1), content, 1).await?;
        Ok(examined.truth)
    }

    /// Puts a page of contents together.
    async fn examine(&mut self, after: i64, through: i64, rows: u32) -> Result<Examined, Error> {
        let bodies = self.scope.bodies;
        let look = values![after, through, rows, bodies];
        let mut rows = self
            .look_some(Sql::CheckContents, &look, PAGE_BYTES)
            .await?;
        let contents: Result<VecDeque<Content>, Failure> =
            rows.each().map(|mut row| Content::read(&mut row)).collect();
        drop(rows);
        let contents = contents?;
        let mut page = Examined::default();
        let (Some(first), Some(last)) = (contents.front(), contents.back()) else {
            return Ok(page);
        };
        let (first, last) = (first.id, last.id);
        page.last = Some(last);
        let mut under_way = UnderWay {
            contents,
            assembly: None,
            bodies,
        };
        let mut from = (first, i64::MIN);
        loop {
            let look = values![from.0, from.1, last, SEGMENTS, bodies];
            let mut rows = self
                .look_some(Sql::CheckSegments, &look, PAGE_BYTES)
                .await?;
            let more = rows.cut || rows.len() >= SEGMENTS as usize;
            let mut segments = Vec::with_capacity(rows.len());
            for mut row in rows.each() {
                segments.push(Segment::read(&mut row)?);
            }
            drop(rows);
            for segment in segments {
                from = (segment.content, segment.ordinal);
                while let Some(ended) = under_way.come_to(segment.content) {
                    self.ended_content(ended, &mut page);
                }
                self.take(&mut under_way, segment, &mut page).await?;
            }
            if !more {
                break;
            }
        }
        while let Some(ended) = under_way.come_to(i64::MAX) {
            self.ended_content(ended, &mut page);
        }
        Ok(page)
    }

    /// Takes a segment, and reads its part.
    async fn take(
        &mut self,
        under_way: &mut UnderWay,
        segment: Segment,
        page: &mut Examined,
    ) -> Result<(), Error> {
        let content = segment.content;
        // One that came after the page was read is the next run's.
        let current = under_way.assembly.as_mut();
        let Some(assembly) = current.filter(|assembly| assembly.content.id == content) else {
            return Ok(());
        };
        let Some(wanted) = assembly.segment(segment) else {
            return Ok(());
        };
        if self.bad_parts.contains(&wanted.part) {
            assembly.lost();
            return Ok(());
        }
        let feed = |octets: &[u8]| assembly.feed(octets);
        if let Some(wrong) = self.read_part(&wanted, feed).await? {
            assembly.lost();
            page.parts.push((content, wrong));
        }
        Ok(())
    }

    fn ended_content(&self, assembly: Assembly, page: &mut Examined) {
        let (id, used) = (assembly.content.id, assembly.content.used);
        let octets = assembly.octets();
        self.gauge.octets.fetch_add(octets, Ordering::Relaxed);
        page.looked += 1;
        if !used {
            page.unused += 1;
            page.first_unused.get_or_insert(id);
        }
        let (wrong, truth) = assembly.end();
        page.wrong
            .extend(wrong.into_iter().map(|wrong| (id, wrong)));
        page.truth = truth;
    }

    /// Who has a content.
    pub(super) async fn content_place(&mut self, content: i64) -> Result<Place, Error> {
        for sql in [Sql::ContentPlace, Sql::ContentPlaceGone] {
            let mut rows = self.look(sql, &values![content]).await?;
            if let Some(mut row) = rows.first() {
                return Ok(Place {
                    mailbox: Some(row.text(1)?),
                    uid: Some(row.int(2)?),
                    others: row.u64(4)?.saturating_sub(1),
                    ..Place::user(Some(&row.text(0)?))
                });
            }
        }
        Ok(Place::default())
    }
}

/// A page of contents while its segments come.
struct UnderWay {
    contents: VecDeque<Content>,
    assembly: Option<Assembly>,
    bodies: bool,
}

impl UnderWay {
    /// Goes on to a content, a step at a time: an assembly that is complete, as segments of a later content came. `None`: it is there.
    fn come_to(&mut self, content: i64) -> Option<Assembly> {
        if let Some(assembly) = self
            .assembly
            .take_if(|assembly| assembly.content.id < content)
        {
            return Some(assembly);
        }
        if self.assembly.is_none() {
            let next = self.contents.pop_front_if(|next| next.id <= content)?;
            let assembly = Assembly::begin(next, self.bodies);
            if assembly.content.id < content {
                // It has no segment.
                return Some(assembly);
            }
            self.assembly = Some(assembly);
        }
        None
    }
}
