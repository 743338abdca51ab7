//! FETCH: pages of messages.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dbmail_core::limits::{
    GONE_SECONDS, HEADER_BYTES_MAX, INLINE_CONTENT_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ROWS_MAX,
};
use dbmail_core::store::{
    Answer, ContentId, FetchItems, Flags, InternalDate, Keyword, MailboxId, Message, ModSeq, Page,
    SystemFlags, Timestamp, Uid, UidSet,
};

use super::open::{flags, keyword};
use super::{spans, uid};
use crate::db::{Db, Error};
use crate::driver::{Connection, Row, Value, values};
use crate::pack;
use crate::sql::Sql;

/// UIDs that are read and left out rather than asked around, where rows are narrow.
const GAP_NARROW: u32 = 64;
/// The same where rows bring octets along.
const GAP_WIDE: u32 = 4;
/// Messages of a page that brings whole contents: with 4 KiB each it is full.
const CONTENT_ROWS_MAX: usize = 256;

/// A page being made.
struct Draft {
    /// Ascending by UID, but while what is gone is being added.
    messages: Vec<Message>,
    /// What is stored of their headers, where their contents are wanted.
    heads: BTreeMap<Uid, Bytes>,
    /// What was asked for is known up to here; `None`: to the end.
    through: Option<Uid>,
    /// Some may have keywords.
    keywords: bool,
}

impl<C: Connection> Db<C> {
    /// `Request::Fetch`. Of one moment: read in one transaction.
    pub(crate) async fn fetch(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        items: FetchItems,
    ) -> Result<Answer, Error> {
        self.begin_read().await?;
        let page = self.fetch_now(mailbox, uids, items).await;
        self.end_read().await;
        Ok(Answer::Messages(page?))
    }

    async fn fetch_now(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        items: FetchItems,
    ) -> Result<Page, Error> {
        let rows_max = if items.content {
            CONTENT_ROWS_MAX
        } else {
            PAGE_ROWS_MAX
        };
        let known = self.draft_known(mailbox, uids, items, rows_max).await?;
        let mut draft = match known {
            Some(draft) => draft,
            None => self.present(mailbox, uids, items, rows_max).await?,
        };
        let asked = match draft.through {
            Some(through) => uids.intersection(&UidSet::range(Uid::MIN, through)),
            None => uids.clone(),
        };
        let found: UidSet = draft.messages.iter().map(|m| m.uid).collect();
        let missing = asked.difference(&found);
        if !missing.is_empty() {
            self.add_gone(mailbox, &missing, items, rows_max, &mut draft)
                .await?;
        }
        draft.cut(rows_max, items);
        if items.flags && draft.keywords {
            self.add_keywords(mailbox, &mut draft).await?;
        }
        if items.content {
            self.add_contents(mailbox, &mut draft).await?;
        }
        Ok(Page {
            messages: draft.messages,
            through: draft.through,
        })
    }

    /// Flags of many messages in a mailbox that this front-end knows: no row of theirs is read.
    async fn draft_known(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        items: FetchItems,
        rows_max: usize,
    ) -> Result<Option<Draft>, Error> {
        if !items.is_bare() || !self.knows_flags(mailbox, uids) {
            return Ok(None);
        }
        let counters = self.counters(mailbox).await?;
        let Some(known) = self.known_flags(mailbox, &counters, uids).await? else {
            return Ok(None);
        };
        let mut present = uids.intersection(&known.uids);
        let mut through = None;
        let after = u32::try_from(rows_max).ok().and_then(|n| present.nth(n));
        if after.is_some()
            && let Some(last) = u32::try_from(rows_max - 1)
                .ok()
                .and_then(|n| present.nth(n))
        {
            present = present.intersection(&UidSet::range(Uid::MIN, last));
            through = Some(last);
        }
        let Some(by_flags) = known.by_flags(&present) else {
            return Ok(None);
        };
        let mut messages = Vec::with_capacity(present.len() as usize);
        for (system, uids) in by_flags {
            let system = if items.flags {
                system
            } else {
                SystemFlags::NONE
            };
            messages.extend(uids.iter().map(|uid| bare(uid, system, false)));
        }
        messages.sort_unstable_by_key(|message| message.uid);
        Ok(Some(Draft {
            messages,
            heads: BTreeMap::new(),
            through,
            keywords: !known.keywords.is_empty(),
        }))
    }

    /// Messages that are in the mailbox.
    async fn present(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        items: FetchItems,
        rows_max: usize,
    ) -> Result<Draft, Error> {
        let wide = !items.is_narrow();
        let mut draft = Draft {
            messages: Vec::new(),
            heads: BTreeMap::new(),
            through: None,
            keywords: true,
        };
        let mut octets = 0;
        let mut weights = 0;
        for (low, high) in spans(uids, if wide { GAP_WIDE } else { GAP_NARROW }) {
            let room = rows_max.saturating_sub(draft.messages.len()) + 1;
            let left = PAGE_BYTES_MAX.saturating_sub(octets);
            // What is over the page's octets was read for nothing.
            let room = if wide {
                room.min(self.shared.widths.rows(items, left))
            } else {
                room
            };
            if room <= 1 || left == 0 {
                draft.through = draft.last();
                break;
            }
            let range = [mailbox.0, low.into(), high.into()].map(Value::Int);
            let mut values = range.to_vec();
            values.push(Value::Int(room as i64));
            let layout = Layout::of(items, &mut values);
            let mut rows = self.query_some(layout.statement, &values, left).await?;
            octets += rows.octets();
            let ended = rows.cut || rows.len() == room;
            let count = rows.len() as u64;
            let mut last = None;
            for mut row in rows.each() {
                let (message, head) = layout.message(&mut row, items, false)?;
                weights += weight(&message, items);
                last = Some(message.uid);
                if uids.contains(message.uid) {
                    draft.add(message, head, items);
                }
            }
            if wide {
                self.shared.widths.learn(items, count, octets.max(weights));
            }
            if ended {
                draft.through = last;
                break;
            }
        }
        Ok(draft)
    }

    /// Messages that went lately, among those that were not found.
    async fn add_gone(
        &mut self,
        mailbox: MailboxId,
        missing: &UidSet,
        items: FetchItems,
        rows_max: usize,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let gone_after = Timestamp(0).plus_seconds(GONE_SECONDS);
        let after = self.now().0.saturating_sub(gone_after.0);
        let mut octets = 0;
        let mut count = 0;
        let mut end = None;
        for (low, high) in spans(missing, GAP_NARROW) {
            let room = rows_max.saturating_sub(count) + 1;
            let left = PAGE_BYTES_MAX.saturating_sub(octets);
            let values = values![
                mailbox.0,
                low,
                high,
                after,
                room as u64,
                items.envelope,
                items.structure,
                items.header || items.content
            ];
            let mut rows = self.query_some(Sql::FetchGone, &values, left).await?;
            octets += rows.octets();
            count += rows.len();
            let ended =
                rows.cut || rows.len() == room || octets >= PAGE_BYTES_MAX || count > rows_max;
            let mut last = None;
            for mut row in rows.each() {
                let (message, head) = GONE.message(&mut row, items, true)?;
                last = Some(message.uid);
                if missing.contains(message.uid) {
                    draft.add(message, head, items);
                }
            }
            // More may be gone above; the page ends here.
            if ended && last.is_some() {
                end = last;
                break;
            }
        }
        // Two runs, each in its order.
        draft.messages.sort_by_key(|message| message.uid);
        if let Some(last) = end {
            draft.end_at(last);
        }
        Ok(())
    }

    async fn add_keywords(&mut self, mailbox: MailboxId, draft: &mut Draft) -> Result<(), Error> {
        let (Some(low), Some(high)) = (draft.first(), draft.last()) else {
            return Ok(());
        };
        let values = values![mailbox.0, low.number(), high.number()];
        let mut rows = self.query(Sql::KeywordMarks, &values).await?;
        let mut known: Option<(i64, Keyword)> = None;
        for mut row in rows.each() {
            let number = row.int(0)?;
            let keyword = match &known {
                Some((last, keyword)) if *last == number => keyword.clone(),
                _ => keyword(&row.text(1)?)?,
            };
            if let Some(message) = draft.of(uid(row.u32(2)?)?) {
                message.flags.keywords.insert(keyword.clone());
            }
            known = Some((number, keyword));
        }
        Ok(())
    }

    /// Puts the contents together that are short enough.
    async fn add_contents(&mut self, mailbox: MailboxId, draft: &mut Draft) -> Result<(), Error> {
        let done = self.put_together(mailbox, draft).await;
        self.chunks.clear();
        done
    }

    async fn put_together(&mut self, mailbox: MailboxId, draft: &mut Draft) -> Result<(), Error> {
        let mut bodies: BTreeMap<Uid, Vec<Segment>> = BTreeMap::new();
        let present = draft.messages.iter().filter(|m| !m.gone);
        let present: UidSet = present.map(|m| m.uid).collect();
        for (low, high) in spans(&present, 1 + GAP_WIDE) {
            let values = values![mailbox.0, low, high, INLINE_CONTENT_BYTES_MAX];
            let mut rows = self.query(Sql::FetchSegments, &values).await?;
            let mut parts = 0;
            for mut row in rows.each() {
                let uid = uid(row.u32(0)?)?;
                if draft.of(uid).is_some() {
                    let segment = segment(&mut row, 1)?;
                    parts += usize::from(segment.part.is_some());
                    bodies.entry(uid).or_default().push(segment);
                }
            }
            if parts > 1 {
                // Read together; a single one is read by who puts its message together.
                self.take_chunks(&values).await?;
            }
        }
        for message in &mut draft.messages {
            if message.content_size > INLINE_CONTENT_BYTES_MAX {
                continue;
            }
            let header = draft.heads.remove(&message.uid).unwrap_or_default();
            let octets = if message.gone {
                self.content(message.content, 0, message.content_size)
                    .await?
            } else {
                let segments = bodies.remove(&message.uid).unwrap_or_default();
                self.assemble(&header, &segments, 0, message.content_size)
                    .await?
            };
            message.octets = Some(octets);
        }
        Ok(())
    }

    /// Reads the chunks of the parts of some messages, to have them at hand.
    async fn take_chunks(&mut self, of: &[Value]) -> Result<(), Error> {
        let mut rows = self.query(Sql::FetchChunks, of).await?;
        for mut row in rows.each() {
            let (part, ordinal, packing) = (row.int(0)?, row.int(1)?, row.int(2)?);
            let octets = pack::unpack(packing, row.bytes(3)?);
            // What can't be unpacked is missed, and said, where it is needed.
            if let Some(octets) = octets {
                self.chunks.insert((part, ordinal), octets);
            }
        }
        Ok(())
    }
}

impl Draft {
    fn add(&mut self, message: Message, head: Bytes, items: FetchItems) {
        if items.content {
            self.heads.insert(message.uid, head);
        }
        self.messages.push(message);
    }
    fn place(&self, uid: Uid) -> Result<usize, usize> {
        self.messages
            .binary_search_by_key(&uid, |message| message.uid)
    }
    fn of(&mut self, uid: Uid) -> Option<&mut Message> {
        let place = self.place(uid).ok()?;
        self.messages.get_mut(place)
    }
    fn first(&self) -> Option<Uid> {
        self.messages.first().map(|message| message.uid)
    }
    fn last(&self) -> Option<Uid> {
        self.messages.last().map(|message| message.uid)
    }

    /// Nothing is said of what is above.
    fn end_at(&mut self, last: Uid) {
        let kept = self.messages.partition_point(|message| message.uid <= last);
        self.messages.truncate(kept);
        self.through = Some(self.through.map_or(last, |through| through.min(last)));
    }

    /// Ends the page where it is full, after one message at least.
    fn cut(&mut self, rows_max: usize, items: FetchItems) {
        let mut octets = 0;
        let mut last: Option<Uid> = None;
        for (count, message) in self.messages.iter().enumerate() {
            octets += weight(message, items);
            if let Some(last) = last
                && (count >= rows_max || octets > PAGE_BYTES_MAX)
            {
                self.end_at(last);
                return;
            }
            last = Some(message.uid);
        }
    }
}

/// Octets that a message brings into the page.
fn weight(message: &Message, items: FetchItems) -> u64 {
    let columns = [&message.envelope, &message.structure, &message.header];
    let columns = columns.into_iter().flatten().map(|c| c.len() as u64);
    let inline = items.content && message.content_size <= INLINE_CONTENT_BYTES_MAX;
    let content = if inline { message.content_size } else { 0 };
    columns.sum::<u64>() + content + message.prefix.len() as u64
}

/// A message of which no more is known than its flags.
const fn bare(uid: Uid, system: SystemFlags, gone: bool) -> Message {
    Message {
        uid,
        modseq: ModSeq(0),
        flags: Flags {
            system,
            keywords: BTreeSet::new(),
        },
        date: InternalDate {
            at: Timestamp(0),
            zone_minutes: 0,
        },
        saved: Timestamp(0),
        size: 0,
        content: ContentId(0),
        prefix: Bytes::new(),
        content_size: 0,
        header_size: 0,
        envelope: None,
        structure: None,
        header: None,
        octets: None,
        gone,
    }
}

/// Where a statement's columns are, after UID, MODSEQ and flags.
struct Layout {
    statement: Sql,
    /// INTERNALDATE, its zone, the save date; and the size.
    dates: Option<(usize, usize)>,
    /// Content, prefix, size of the content and of its header.
    place: Option<usize>,
    /// ENVELOPE, BODYSTRUCTURE.
    trees: Option<usize>,
    header: Option<usize>,
}

const GONE: Layout = Layout {
    statement: Sql::FetchGone,
    ..PAGE
};
const PAGE: Layout = Layout {
    statement: Sql::FetchPage,
    dates: Some((3, 13)),
    place: Some(6),
    trees: Some(10),
    header: Some(12),
};
const HEADERS: Layout = Layout {
    statement: Sql::FetchHeaders,
    dates: None,
    place: Some(3),
    trees: None,
    header: Some(7),
};
const TREES: Layout = Layout {
    statement: Sql::FetchTrees,
    trees: Some(3),
    ..FLAGS
};
const NARROW: Layout = Layout {
    statement: Sql::FetchNarrow,
    dates: Some((3, 6)),
    ..FLAGS
};
const FLAGS: Layout = Layout {
    statement: Sql::FetchFlags,
    dates: None,
    place: None,
    trees: None,
    header: None,
};

impl Layout {
    /// The narrowest statement that has what is asked for; what it takes besides the range is added to the values.
    fn of(items: FetchItems, values: &mut Vec<Value>) -> Self {
        let trees = [items.envelope, items.structure].map(|item| Value::Int(item.into()));
        let header = Value::Int((items.header || items.content).into());
        if items.is_narrow() {
            return if items.dates { NARROW } else { FLAGS };
        }
        if !items.dates && !items.has_place() {
            values.extend(trees);
            return TREES;
        }
        if !items.dates && !items.envelope && !items.structure {
            values.push(header);
            return HEADERS;
        }
        values.extend(trees);
        values.push(header);
        PAGE
    }

    /// A message out of a row, and what is stored of its header. Of what was not asked for nothing is taken.
    fn message(
        &self,
        row: &mut Row<'_>,
        items: FetchItems,
        gone: bool,
    ) -> Result<(Message, Bytes), Error> {
        let system = if items.flags {
            flags(row, 2)?
        } else {
            SystemFlags::NONE
        };
        let mut message = bare(uid(row.u32(0)?)?, system, gone);
        if !items.is_bare() {
            message.modseq = ModSeq(row.u64(1)?);
        }
        if let Some((at, size)) = self.dates.filter(|_| items.dates) {
            message.date = InternalDate {
                at: Timestamp(row.int(at)?),
                zone_minutes: i16::try_from(row.int(at + 1)?).unwrap_or(0),
            };
            message.saved = Timestamp(row.int(at + 2)?);
            message.size = row.u64(size)?;
        }
        if let Some(at) = self.place.filter(|_| items.has_place()) {
            message.content = ContentId(row.int(at)?);
            message.prefix = row.bytes(at + 1)?;
            message.content_size = row.u64(at + 2)?;
            message.header_size = row.u64(at + 3)?;
        }
        if let Some(at) = self.trees {
            message.envelope = items.envelope.then(|| row.bytes(at)).transpose()?;
            message.structure = items.structure.then(|| row.bytes(at + 1)).transpose()?;
        }
        let mut head = Bytes::new();
        if let Some(at) = self.header.filter(|_| items.header || items.content) {
            head = row.bytes(at)?;
            let whole = message.header_size <= HEADER_BYTES_MAX as u64;
            message.header = (items.header && whole).then(|| head.clone());
        }
        Ok((message, head))
    }
}

/// A stretch of a content: octets, or a part that holds them.
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) part: Option<i64>,
    /// How its own octets are packed.
    pub(super) coding: i64,
    pub(super) octets: Bytes,
}

/// A segment out of a row, its columns from `at` on.
pub(super) fn segment(row: &mut Row<'_>, at: usize) -> Result<Segment, Error> {
    Ok(Segment {
        start: row.u64(at)?,
        size: row.u64(at + 1)?,
        part: row.int_or_none(at + 2)?,
        coding: row.int(at + 3)?,
        octets: row.bytes(at + 4)?,
    })
}
