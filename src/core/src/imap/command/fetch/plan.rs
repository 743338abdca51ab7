//! What a FETCH asks of the store, and what it writes of each message.

use std::sync::Arc;

use bytes::Bytes;

use crate::imap::command::{Fetch, FetchItem, Numbers};
use crate::imap::response;
use crate::limits::FETCH_BY_PART_MESSAGES_MAX;
use crate::mail::{FieldFilter, Section, SectionText};
use crate::store::{FetchItems, UidSet};

/// The items, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    pub(super) columns: FetchItems,
    pub(super) marks_seen: bool,
    pub(super) shows_flags: bool,
    /// Some section can only be found by the structure.
    pub(super) needs_structure: bool,
    /// Messages of this page whose `\Seen` this command has set.
    pub(super) marked: UidSet,
}

/// One item.
#[derive(Debug)]
pub(super) enum Item {
    Flags,
    Uid,
    InternalDate,
    Size,
    Envelope,
    Structure { extended: bool },
    Text(Text),
}

/// Octets of the message.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: Name,
    pub(super) section: Section,
    pub(super) partial: Option<(u32, u32)>,
    /// The fields that are wanted, of a section that is fields.
    pub(super) fields: Arc<FieldFilter>,
}

impl Text {
    fn new(name: Name, section: Section, partial: Option<(u32, u32)>) -> Self {
        let (names, not) = match &section.text {
            Some(SectionText::HeaderFields(names)) => (names.clone(), false),
            Some(SectionText::HeaderFieldsNot(names)) => (names.clone(), true),
            None | Some(SectionText::Header | SectionText::Text | SectionText::Mime) => {
                (Vec::new(), false)
            }
        };
        Self {
            name,
            section,
            partial,
            fields: Arc::new(FieldFilter { names, not }),
        }
    }
}

/// How an item is called in the reply.
#[derive(Debug)]
pub(super) enum Name {
    /// `BODY[…]`
    Section(Bytes),
    /// `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`
    Old(&'static str),
}

impl Name {
    pub(super) fn begin(&self, text: &mut Vec<u8>, origin: Option<u32>, size: u64) {
        match self {
            Self::Section(written) => response::section_begin(text, written, origin, size),
            Self::Old(name) => response::item_begin(text, name, size),
        }
    }
    pub(super) fn nil(&self, text: &mut Vec<u8>, origin: Option<u32>) {
        match self {
            Self::Section(written) => response::section_nil(text, written, origin),
            Self::Old(name) => {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(b" NIL");
            }
        }
    }
}

const fn section(text: Option<SectionText>) -> Section {
    Section {
        part: Vec::new(),
        text,
    }
}

impl Plan {
    pub(super) fn new(fetch: &Fetch, writable: bool, messages: u32) -> Self {
        let mut items = Vec::with_capacity(fetch.items.len() + 1);
        if fetch.numbers == Numbers::Uid && !fetch.items.contains(&FetchItem::Uid) {
            // RFC 3501 §6.4.8
            items.push(Item::Uid);
        }
        let mut marks = false;
        for item in &fetch.items {
            let old = |name, text| Item::Text(Text::new(Name::Old(name), section(text), None));
            items.push(match item {
                FetchItem::Flags => Item::Flags,
                FetchItem::Uid => Item::Uid,
                FetchItem::InternalDate => Item::InternalDate,
                FetchItem::Rfc822Size => Item::Size,
                FetchItem::Envelope => Item::Envelope,
                FetchItem::Body => Item::Structure { extended: false },
                FetchItem::BodyStructure => Item::Structure { extended: true },
                FetchItem::Rfc822 => {
                    marks = true;
                    old("RFC822", None)
                }
                FetchItem::Rfc822Header => old("RFC822.HEADER", Some(SectionText::Header)),
                FetchItem::Rfc822Text => {
                    marks = true;
                    old("RFC822.TEXT", Some(SectionText::Text))
                }
                FetchItem::Section {
                    peek,
                    section,
                    partial,
                    written,
                } => {
                    marks |= !peek;
                    Item::Text(Text::new(
                        Name::Section(written.clone()),
                        section.clone(),
                        *partial,
                    ))
                }
            });
        }
        let marks_seen = marks && writable;
        let shows_flags = items.iter().any(|item| matches!(item, Item::Flags));
        let mut plan = Self {
            columns: columns(&items, messages),
            needs_structure: false,
            items,
            marks_seen,
            shows_flags,
            marked: UidSet::new(),
        };
        let needs_structure = plan.texts().any(|text| !text.section.part.is_empty());
        plan.needs_structure = needs_structure;
        plan.columns.structure |= plan.needs_structure;
        plan.columns.flags |= marks_seen;
        plan
    }

    fn texts(&self) -> impl Iterator<Item = &Text> {
        self.items.iter().filter_map(|item| match item {
            Item::Text(text) => Some(text),
            Item::Flags
            | Item::Uid
            | Item::InternalDate
            | Item::Size
            | Item::Envelope
            | Item::Structure { .. } => None,
        })
    }
}

/// What the store must give for these items.
fn columns(items: &[Item], messages: u32) -> FetchItems {
    let mut columns = FetchItems::default();
    for item in items {
        match item {
            Item::Flags => columns.flags = true,
            Item::Uid => {}
            Item::InternalDate | Item::Size => columns.dates = true,
            Item::Envelope => columns.envelope = true,
            Item::Structure { .. } => columns.structure = true,
            Item::Text(text) => match (text.section.part.is_empty(), &text.section.text) {
                (
                    true,
                    Some(
                        SectionText::Header
                        | SectionText::HeaderFields(_)
                        | SectionText::HeaderFieldsNot(_),
                    ),
                ) => columns.header = true,
                (is_message, _) => {
                    columns.place = true;
                    let whole = is_message && text.partial.is_none();
                    columns.content |= whole || messages > FETCH_BY_PART_MESSAGES_MAX;
                }
            },
        }
    }
    // The content begins with the header.
    columns.header &= !columns.content;
    // These bring the place along.
    columns.place &= !columns.content && !columns.header;
    columns
}

/// What a partial leaves of octets.
pub(super) fn clip(octets: &[u8], partial: Option<(u32, u32)>) -> &[u8] {
    let Some((origin, count)) = partial else {
        return octets;
    };
    let rest = octets.get(origin as usize..).unwrap_or_default();
    rest.get(..count as usize).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::SequenceSet;

    fn plan(items: Vec<FetchItem>, numbers: Numbers, messages: u32) -> Plan {
        let set = SequenceSet::Ranges(vec![(Some(1), None)]);
        Plan::new(
            &Fetch {
                numbers,
                set,
                items,
            },
            true,
            messages,
        )
    }
    fn body(part: Vec<u32>, text: Option<SectionText>, peek: bool) -> FetchItem {
        let section = Section { part, text };
        FetchItem::Section {
            peek,
            section,
            partial: None,
            written: Bytes::new(),
        }
    }

    #[test]
    fn uid_fetch_always_tells_the_uid() {
        let plan = plan(vec![FetchItem::Flags], Numbers::Uid, 1);
        assert!(matches!(plan.items.as_slice(), [Item::Uid, Item::Flags]));
    }

    #[test]
    fn only_the_columns_that_are_needed_are_asked_for() {
        let columns = |items, messages| plan(items, Numbers::Sequence, messages).columns;
        let none = FetchItems::default();
        assert_eq!(columns(vec![FetchItem::Uid], 9), none);
        assert_eq!(
            columns(vec![FetchItem::Uid, FetchItem::Rfc822Size], 9),
            FetchItems {
                dates: true,
                ..none
            }
        );
        assert_eq!(
            columns(vec![body(vec![], Some(SectionText::Header), true)], 9),
            FetchItems {
                header: true,
                ..none
            }
        );
        assert_eq!(
            columns(vec![body(vec![], None, true)], 9),
            FetchItems {
                content: true,
                ..none
            }
        );
        // One part of one message is read by itself; of many messages it comes with the page.
        let part = || vec![body(vec![1], None, true)];
        assert_eq!(
            columns(part(), 1),
            FetchItems {
                place: true,
                structure: true,
                ..none
            }
        );
        assert_eq!(
            columns(part(), 9),
            FetchItems {
                structure: true,
                content: true,
                ..none
            }
        );
    }

    #[test]
    fn only_sections_that_are_not_peeked_at_mark_messages_as_seen() {
        assert!(!plan(vec![body(vec![], None, true)], Numbers::Sequence, 1).marks_seen);
        assert!(!plan(vec![FetchItem::Rfc822Header], Numbers::Sequence, 1).marks_seen);
        let marking = plan(vec![body(vec![], None, false)], Numbers::Sequence, 1);
        assert!(marking.marks_seen && marking.columns.flags && !marking.shows_flags);
    }

    #[test]
    fn a_partial_beyond_the_end_is_empty() {
        assert_eq!(clip(b"abcdef", Some((2, 3))), b"cde");
        assert_eq!(clip(b"abcdef", Some((4, 9))), b"ef");
        assert_eq!(clip(b"abcdef", Some((9, 1))), b"");
        assert_eq!(clip(b"abcdef", None), b"abcdef");
    }
}
