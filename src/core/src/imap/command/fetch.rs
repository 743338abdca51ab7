//! FETCH (RFC 3501 §6.4.5, §7.4.2).
//!
//! The store gives pages; a page is written out message by message as the peer takes it, while the store reads the next one. Octets that are not in the page are read in slices while their literal is being written. `\Seen` is set page by page, before the page is
//! written, so that a client that goes away does not find everything read.

mod plan;
mod source;

use std::sync::Arc;

use super::{Begun, Fetch, Numbers};
use crate::imap::response::{self, Code};
use crate::imap::session::phase::Selected;
use crate::imap::session::run::{Completion, Cx, Run, Step};
use crate::imap::view::Cursor;
use crate::limits::{HEADER_LOOK_BYTES_MAX, READ_BYTES_MAX};
use crate::mail::{FieldFilter, select_fields, write_body_structure, write_envelope};
use crate::store::{
    Answer, ContentId, FlagChange, Flags, MailboxId, Message, Refusal, Reply, Request, Stored,
    SystemFlags, UidSet, rest_of,
};
use plan::{Item, Plan, Text};
use source::{Found, Source};

/// Octets that the fields of a message usually have which clients show in a list.
const FIELDS_BYTES_USUAL: usize = 1024;

/// FETCH
pub(super) fn begin(fetch: &Fetch, cx: &Cx<'_>) -> Begun {
    let Some(selected) = cx.phase.selected() else {
        return Begun::Done(Completion::confused());
    };
    let Some(uids) = super::named(fetch.numbers, &fetch.set, &selected.view) else {
        return Begun::Done(super::no_such_number());
    };
    let plan = Plan::new(fetch, selected.writable, uids.len());
    Begun::Running(Box::new(Fetching {
        by_number: fetch.numbers == Numbers::Sequence,
        plan,
        missing: uids.len(),
        left: uids,
        cursor: selected.view.cursor(),
        page: Vec::new().into_iter(),
        ahead: Ahead::No,
        stage: Stage::Rows,
        trouble: None,
    }))
}

/// A FETCH under way.
struct Fetching {
    /// By sequence numbers: then messages that the store no longer has are missed.
    by_number: bool,
    plan: Plan,
    /// Not asked for yet.
    left: UidSet,
    /// Not answered yet, in number.
    missing: u32,
    cursor: Cursor,
    /// Rows that were not begun.
    page: std::vec::IntoIter<Message>,
    ahead: Ahead,
    stage: Stage,
    /// What could not be told of some message.
    trouble: Option<Completion>,
}

/// The page after the one that is being written.
#[derive(Debug)]
enum Ahead {
    /// It was not asked for.
    No,
    /// It was.
    Asked,
    /// It is here, or was refused.
    Here(Reply),
}

#[derive(Debug)]
enum Stage {
    /// Rows are being written.
    Rows,
    /// A page was asked for.
    Page,
    /// `\Seen` is being set for the rows of the page.
    Marking,
    /// A message is being written.
    Row(Box<Row>),
}

/// A message that is being written.
#[derive(Debug)]
struct Row {
    message: Message,
    /// The next of the plan's items.
    item: usize,
    /// Some item was written.
    any: bool,
    /// `\Seen` was set: flags are told even if not asked for.
    marked: bool,
    source: Source,
    reading: Option<Reading>,
}

/// Octets of a content on their way.
#[derive(Debug)]
struct Reading {
    content: ContentId,
    at: u64,
    end: u64,
    /// The end of the slice that was asked for.
    asked: u64,
    /// Fields are to be selected from these octets when they are all here; otherwise they go out as they come.
    gather: Option<Gather>,
}

#[derive(Debug)]
struct Gather {
    octets: Vec<u8>,
    filter: Arc<FieldFilter>,
}

/// How far a row is.
enum Written {
    /// To its end.
    Whole,
    /// A slice was asked for, or there is no room.
    Waits,
}

impl Fetching {
    fn ask_page(&mut self, cx: &mut Cx<'_>) -> Step {
        let Some(selected) = cx.phase.selected() else {
            return Completion::confused().into();
        };
        self.stage = Stage::Page;
        let request = self.next_page(selected.mailbox);
        cx.ask(request)
    }

    fn next_page(&self, mailbox: MailboxId) -> Request {
        Request::Fetch {
            mailbox,
            uids: self.left.clone(),
            items: self.plan.columns,
        }
    }

    /// Asks for the next page while this one is being written. Not where each page is marked as seen first.
    fn read_ahead(&mut self, cx: &mut Cx<'_>) {
        if self.left.is_empty() || self.plan.marks_seen {
            return;
        }
        if let Some(selected) = cx.phase.selected() {
            let request = self.next_page(selected.mailbox);
            self.ahead = Ahead::Asked;
            cx.ask(request);
        }
    }

    /// A page, asked for when it was needed or before.
    fn begin_page(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match reply {
            Ok(Answer::Messages(page)) => {
                self.left = match page.through {
                    Some(through) => rest_of(&self.left, through),
                    None => UidSet::new(),
                };
                self.page = page.messages.into_iter();
                self.read_ahead(cx);
                self.mark(cx)
            }
            Err(refusal) => super::once::here(&refusal),
            Ok(_) => Completion::confused().into(),
        }
    }

    /// A page is here: is `\Seen` to be set for some of it?
    fn mark(&mut self, cx: &mut Cx<'_>) -> Step {
        self.stage = Stage::Rows;
        if !self.plan.marks_seen {
            return self.go_on(cx);
        }
        let unseen =
            |message: &&Message| !message.gone && !message.flags.system.contains(SystemFlags::SEEN);
        let uids: UidSet = self
            .page
            .as_slice()
            .iter()
            .filter(unseen)
            .map(|m| m.uid)
            .collect();
        let Some(selected) = cx.phase.selected().filter(|_| !uids.is_empty()) else {
            return self.go_on(cx);
        };
        self.stage = Stage::Marking;
        let request = Request::Store {
            mailbox: selected.mailbox,
            uids,
            how: FlagChange::Add,
            flags: Flags {
                system: SystemFlags::SEEN,
                ..Flags::default()
            },
            unchanged_since: None,
        };
        cx.ask(request)
    }

    fn marked(&mut self, stored: &Stored, cx: &mut Cx<'_>) -> Step {
        if let Some(selected) = cx.phase.selected_mut() {
            selected.changed_flags(stored.modseq);
        }
        let mut page: Vec<Message> = std::mem::take(&mut self.page).collect();
        for message in &mut page {
            if stored.changed.contains(message.uid) {
                message.flags.system = message.flags.system.with(SystemFlags::SEEN);
            }
        }
        self.page = page.into_iter();
        self.plan.marked = stored.changed.clone();
        self.stage = Stage::Rows;
        self.go_on(cx)
    }

    fn end(&mut self) -> Step {
        if let Some(trouble) = self.trouble.take() {
            return trouble.into();
        }
        if self.by_number && self.missing > 0 {
            // RFC 2180 §4.1.2, RFC 5530.
            return Completion::no(Code::ExpungeIssued, "some of the messages are gone").into();
        }
        Completion::ok("FETCH completed").into()
    }

    /// Begins the line of a message; `None` when it has no number.
    fn begin_row(&mut self, message: Message, cx: &mut Cx<'_>) -> Option<Box<Row>> {
        let selected = cx.phase.selected_mut()?;
        let seq = self.cursor.seq(&selected.view, message.uid)?;
        self.missing = self.missing.saturating_sub(1);
        let marked = self.plan.marked.contains(message.uid);
        let text = cx.wire.text();
        if self.plan.columns.flags {
            selected.learn_keywords(&message.flags, text);
        }
        response::fetch_begin(text, seq.0);
        let source = Source::new(&message, self.plan.needs_structure);
        Some(Box::new(Row {
            message,
            item: 0,
            any: false,
            marked,
            source,
            reading: None,
        }))
    }

    fn write_row(&mut self, row: &mut Row, cx: &mut Cx<'_>) -> Written {
        if row.reading.is_some() {
            return self.read_on(row, cx);
        }
        while let Some(item) = self.plan.items.get(row.item) {
            if cx.full() {
                return Written::Waits;
            }
            row.item += 1;
            let selected = cx.phase.selected();
            let text = cx.wire.text();
            if let Err(trouble) = row.write_item(item, selected, text) {
                self.trouble.get_or_insert(trouble);
            }
            if let Item::Text(wanted) = item {
                row.next(cx.wire.text());
                if let Err(trouble) = row.write_section(wanted, cx) {
                    self.trouble.get_or_insert(trouble);
                }
                if row.reading.is_some() {
                    return self.read_on(row, cx);
                }
            }
        }
        if row.marked && !self.plan.shows_flags {
            let selected = cx.phase.selected();
            row.flags(selected, cx.wire.text());
        }
        response::fetch_end(cx.wire.text());
        Written::Whole
    }

    /// Asks for the row's next slice, once there is no other question open.
    fn read_on(&self, row: &mut Row, cx: &mut Cx<'_>) -> Written {
        if !self.reads_ahead() {
            row.read_on(cx);
        }
        Written::Waits
    }

    /// A slice that a row needs.
    fn slice(&mut self, mut row: Box<Row>, octets: bytes::Bytes, cx: &mut Cx<'_>) -> Step {
        let wanted = row
            .reading
            .as_ref()
            .map_or(0, |reading| reading.asked - reading.at);
        if octets.len() as u64 != wanted {
            // Stored data is shorter than it says, and the literal is announced.
            return Completion::broken().into();
        }
        row.arrived(octets, &self.plan, cx);
        self.stage = Stage::Row(row);
        self.go_on(cx)
    }
}

impl Row {
    /// The space before an item.
    fn next(&mut self, text: &mut Vec<u8>) {
        if std::mem::replace(&mut self.any, true) {
            response::fetch_next(text);
        }
    }

    fn flags(&mut self, selected: Option<&Selected>, text: &mut Vec<u8>) {
        self.next(text);
        let uid = self.message.uid;
        let recent = selected.is_some_and(|selected| selected.view.is_recent(uid));
        response::flags(text, &self.message.flags, recent);
    }

    /// Writes an item that is in the row; sections are written elsewhere.
    fn write_item(
        &mut self,
        item: &Item,
        selected: Option<&Selected>,
        text: &mut Vec<u8>,
    ) -> Result<(), Completion> {
        match item {
            Item::Text(_) => return Ok(()),
            Item::Flags => self.flags(selected, text),
            Item::Uid => {
                self.next(text);
                response::uid(text, self.message.uid);
            }
            Item::InternalDate => {
                self.next(text);
                response::internal_date(text, self.message.date);
            }
            Item::Size => {
                self.next(text);
                response::rfc822_size(text, self.message.size);
            }
            Item::Envelope => {
                let before = (text.len(), self.any);
                self.next(text);
                text.extend_from_slice(b"ENVELOPE ");
                let compact = self.message.envelope.as_deref().unwrap_or_default();
                if write_envelope(compact, text).is_err() {
                    return Err(self.take_back(before, text));
                }
            }
            Item::Structure { extended } => {
                let before = (text.len(), self.any);
                self.next(text);
                text.extend_from_slice(if *extended {
                    b"BODYSTRUCTURE ".as_slice()
                } else {
                    b"BODY "
                });
                let compact = self.message.structure.as_deref().unwrap_or_default();
                if write_body_structure(compact, *extended, text).is_err() {
                    return Err(self.take_back(before, text));
                }
            }
        }
        Ok(())
    }

    /// The item can't be shown.
    fn take_back(&mut self, before: (usize, bool), text: &mut Vec<u8>) -> Completion {
        text.truncate(before.0);
        self.any = before.1;
        Completion::no(Code::Corruption, "stored data is damaged")
    }

    /// Writes a section as far as it is at hand, and begins to read the rest.
    fn write_section(&mut self, wanted: &Text, cx: &mut Cx<'_>) -> Result<(), Completion> {
        let origin = wanted.partial.map(|(origin, _)| origin);
        let text = cx.wire.text();
        match self.source.find(&wanted.section) {
            Ok(Found::Nothing) => {
                wanted.name.nil(text, origin);
                Ok(())
            }
            Err(source::Damaged) => {
                wanted.name.nil(text, origin);
                Err(Completion::no(Code::Corruption, "stored data is damaged"))
            }
            Ok(Found::Octets(whole)) => {
                let part = whole.part(wanted.partial);
                wanted.name.begin(text, origin, part.len());
                cx.wire.octets(part.prefix);
                self.send(part.content.start, part.content.end, cx);
                Ok(())
            }
            Ok(Found::Fields { prefix, header }) => {
                let filter = Arc::clone(&wanted.fields);
                let end = header
                    .end
                    .min(header.start.saturating_add(HEADER_LOOK_BYTES_MAX));
                let mut octets = Vec::with_capacity(FIELDS_BYTES_USUAL);
                select_fields(&prefix, &filter.names, filter.not, &mut octets);
                match self.source.at_hand(header.start, end) {
                    Some(header) => {
                        select_fields(&header, &filter.names, filter.not, &mut octets);
                        write_fields(wanted, &octets, cx);
                    }
                    None => {
                        self.reading = Some(Reading {
                            content: self.message.content,
                            at: header.start,
                            end,
                            asked: header.start,
                            gather: Some(Gather {
                                octets: Vec::new(),
                                filter,
                            }),
                        });
                    }
                }
                if end < header.end {
                    return Err(Completion::no(
                        Code::Limit,
                        "a header is too long to be looked through",
                    ));
                }
                Ok(())
            }
        }
    }

    /// Sends octets of the content, now or as they come.
    fn send(&mut self, start: u64, end: u64, cx: &mut Cx<'_>) {
        if start >= end {
            return;
        }
        match self.source.at_hand(start, end) {
            Some(octets) => cx.wire.octets(octets),
            None => {
                let content = self.message.content;
                self.reading = Some(Reading {
                    content,
                    at: start,
                    end,
                    asked: start,
                    gather: None,
                });
            }
        }
    }

    /// Asks for the next slice when there is room for it.
    fn read_on(&mut self, cx: &mut Cx<'_>) {
        if let Some(reading) = &mut self.reading
            && !cx.full()
        {
            reading.asked = reading.end.min(reading.at.saturating_add(READ_BYTES_MAX));
            let request = Request::Read {
                content: reading.content,
                start: reading.at,
                end: reading.asked,
            };
            cx.ask(request);
        }
    }

    fn arrived(&mut self, octets: bytes::Bytes, plan: &Plan, cx: &mut Cx<'_>) {
        let Some(mut reading) = self.reading.take() else {
            return;
        };
        reading.at = reading.asked;
        match &mut reading.gather {
            None => cx.wire.octets(octets),
            Some(gather) => {
                gather.octets.extend_from_slice(&octets);
                if reading.at == reading.end {
                    let FieldFilter { names, not } = &*gather.filter;
                    let mut selected = Vec::new();
                    let is_message = matches!(
                        plan.items.get(self.item.wrapping_sub(1)),
                        Some(Item::Text(text)) if text.section.part.is_empty()
                    );
                    if is_message {
                        select_fields(&self.message.prefix, names, *not, &mut selected);
                    }
                    select_fields(&gather.octets, names, *not, &mut selected);
                    if let Some(Item::Text(wanted)) = plan.items.get(self.item.wrapping_sub(1)) {
                        write_fields(wanted, &selected, cx);
                    }
                }
            }
        }
        if reading.at < reading.end {
            self.reading = Some(reading);
        }
    }
}

fn write_fields(wanted: &Text, octets: &[u8], cx: &mut Cx<'_>) {
    let part = plan::clip(octets, wanted.partial);
    let text = cx.wire.text();
    wanted.name.begin(
        text,
        wanted.partial.map(|(origin, _)| origin),
        part.len() as u64,
    );
    text.extend_from_slice(part);
}

impl Run for Fetching {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        if self.reads_ahead() {
            self.ahead = Ahead::Here(reply);
            return self.go_on(cx);
        }
        match (std::mem::replace(&mut self.stage, Stage::Rows), reply) {
            (Stage::Page, reply) => self.begin_page(reply, cx),
            (Stage::Marking, Ok(Answer::Stored(stored))) => self.marked(&stored, cx),
            // The messages can be read all the same.
            (Stage::Marking, Err(Refusal::OutcomeUnknown)) => {
                super::once::here(&Refusal::OutcomeUnknown)
            }
            (Stage::Marking, Err(_)) => self.go_on(cx),
            (Stage::Row(row), Ok(Answer::Octets(octets))) => self.slice(row, octets, cx),
            (Stage::Row(_), _) => Completion::broken().into(),
            (_, Err(refusal)) => super::once::here(&refusal),
            (_, Ok(_)) => Completion::confused().into(),
        }
    }

    fn reads_ahead(&self) -> bool {
        matches!(self.ahead, Ahead::Asked)
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        loop {
            let mut row = match std::mem::replace(&mut self.stage, Stage::Rows) {
                Stage::Row(row) => row,
                stage @ (Stage::Page | Stage::Marking) => {
                    self.stage = stage;
                    return Step::Wait;
                }
                Stage::Rows if self.page.as_slice().is_empty() => {
                    match std::mem::replace(&mut self.ahead, Ahead::No) {
                        Ahead::No => {}
                        Ahead::Asked => {
                            self.ahead = Ahead::Asked;
                            return Step::Wait;
                        }
                        Ahead::Here(reply) => return self.begin_page(reply, cx),
                    }
                    if self.left.is_empty() {
                        return self.end();
                    }
                    return self.ask_page(cx);
                }
                Stage::Rows => {
                    if cx.full() {
                        return Step::Wait;
                    }
                    let Some(message) = self.page.next() else {
                        continue;
                    };
                    match self.begin_row(message, cx) {
                        Some(row) => row,
                        None => continue,
                    }
                }
            };
            if matches!(self.write_row(&mut row, cx), Written::Waits) {
                self.stage = Stage::Row(row);
                return Step::Wait;
            }
        }
    }
}
