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
    /// Ascending by UID.
    messages: BTreeMap<Uid, Message>,
    /// What is stored of their headers, where their contents are wanted.
    heads: BTreeMap<Uid, Bytes>,
    /// What was asked for is known up to here; `None`: to the end.
    through: Option<Uid>,
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
        let mut draft = self.present(mailbox, uids, items, rows_max).await?;
        let asked = match draft.through {
            Some(through) => uids.intersection(&UidSet::range(Uid::MIN, through)),
            None => uids.clone(),
        };
        let found: UidSet = draft.messages.keys().copied().collect();
        let missing = asked.difference(&found);
        if !missing.is_empty() {
            self.add_gone(mailbox, &missing, items, rows_max, &mut draft)
                .await?;
        }
        draft.cut(rows_max, items);
        if items.flags {
            self.add_keywords(mailbox, &mut draft).await?;
        }
        if items.content {
            self.add_contents(mailbox, &mut draft).await?;
        }
        Ok(Page {
            messages: draft.messages.into_values().collect(),
            through: draft.through,
        })
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
            messages: BTreeMap::new(),
            heads: BTreeMap::new(),
            through: None,
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
                draft.through = draft.messages.last_key_value().map(|(uid, _)| *uid);
                break;
            }
            let mut rows = if wide {
                let values = values![
                    mailbox.0,
                    low,
                    high,
                    room as u64,
                    items.envelope,
                    items.structure,
                    items.header || items.content
                ];
                self.query_some(Sql::FetchPage, &values, left).await?
            } else {
                let values = values![mailbox.0, low, high, room as u64];
                self.query_some(Sql::FetchNarrow, &values, left).await?
            };
            octets += rows.octets();
            let ended = rows.cut || rows.len() == room;
            let count = rows.len() as u64;
            let mut last = None;
            for mut row in rows.each() {
                let (message, head) = if wide {
                    message(&mut row, items, false)?
                } else {
                    (narrow(&row, 6, items, false)?, Bytes::new())
                };
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
                let (message, head) = message(&mut row, items, true)?;
                last = Some(message.uid);
                if missing.contains(message.uid) {
                    draft.add(message, head, items);
                }
            }
            // More may be gone above; the page ends here.
            if ended && let Some(last) = last {
                draft.end_at(last);
                break;
            }
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
            if let Some(message) = draft.messages.get_mut(&uid(row.u32(2)?)?) {
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
        let present = draft.messages.values().filter(|m| !m.gone);
        let present: UidSet = present.map(|m| m.uid).collect();
        for (low, high) in spans(&present, 1 + GAP_WIDE) {
            let values = values![mailbox.0, low, high, INLINE_CONTENT_BYTES_MAX];
            let mut rows = self.query(Sql::FetchSegments, &values).await?;
            let mut parts = 0;
            for mut row in rows.each() {
                let uid = uid(row.u32(0)?)?;
                if draft.messages.contains_key(&uid) {
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
        for message in draft.messages.values_mut() {
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
        self.messages.insert(message.uid, message);
    }
    fn first(&self) -> Option<Uid> {
        self.messages.first_key_value().map(|(uid, _)| *uid)
    }
    fn last(&self) -> Option<Uid> {
        self.messages.last_key_value().map(|(uid, _)| *uid)
    }

    /// Nothing is said of what is above.
    fn end_at(&mut self, last: Uid) {
        if let Some(next) = last.next() {
            self.messages.split_off(&next);
        }
        self.through = Some(self.through.map_or(last, |through| through.min(last)));
    }

    /// Ends the page where it is full, after one message at least.
    fn cut(&mut self, rows_max: usize, items: FetchItems) {
        let mut octets = 0;
        let mut last: Option<Uid> = None;
        for (count, message) in self.messages.values().enumerate() {
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

/// What the message's own row says, its size in the column `size_at`.
fn narrow(row: &Row<'_>, size_at: usize, items: FetchItems, gone: bool) -> Result<Message, Error> {
    let system = if items.flags {
        flags(row, 2)?
    } else {
        SystemFlags::NONE
    };
    Ok(Message {
        uid: uid(row.u32(0)?)?,
        modseq: ModSeq(row.u64(1)?),
        flags: Flags {
            system,
            keywords: BTreeSet::new(),
        },
        date: InternalDate {
            at: Timestamp(row.int(3)?),
            zone_minutes: i16::try_from(row.int(4)?).unwrap_or(0),
        },
        saved: Timestamp(row.int(5)?),
        size: row.u64(size_at)?,
        content: ContentId(0),
        prefix: Bytes::new(),
        content_size: 0,
        header_size: 0,
        envelope: None,
        structure: None,
        header: None,
        octets: None,
        gone,
    })
}

/// A message out of a row, and what is stored of its header.
fn message(row: &mut Row<'_>, items: FetchItems, gone: bool) -> Result<(Message, Bytes), Error> {
    let own = narrow(row, 13, items, gone)?;
    if items.is_narrow() {
        return Ok((own, Bytes::new()));
    }
    let header_size = row.u64(9)?;
    let head = row.bytes(12)?;
    let whole = header_size <= HEADER_BYTES_MAX as u64;
    let message = Message {
        content: ContentId(row.int(6)?),
        prefix: row.bytes(7)?,
        content_size: row.u64(8)?,
        header_size,
        envelope: if items.envelope {
            Some(row.bytes(10)?)
        } else {
            None
        },
        structure: if items.structure {
            Some(row.bytes(11)?)
        } else {
            None
        },
        header: (items.header && whole).then(|| head.clone()),
        ..own
    };
    Ok((message, head))
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
