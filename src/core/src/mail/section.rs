//! Sections of a message (RFC 9051 §6.4.5.1), and where they stand in it.

use super::Span;
use super::structure::{Kind, Node, Structure};

/// The part that is named by `BODY[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty for the message itself.
    pub part: Vec<u32>,
    /// What of it; `None` with an empty `part` is the whole message.
    pub text: Option<SectionText>,
}

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS`
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT`
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`
    Text,
    /// `MIME`, of a part only
    Mime,
}

/// Where a section stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its bytes; with a filter, the header that is filtered.
    pub span: Span,
    /// The fields to select from the span by [`select_fields`](super::select_fields).
    pub filter: Option<FieldFilter>,
}

/// The arguments of [`select_fields`](super::select_fields).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFilter {
    /// Field names.
    pub names: Vec<Vec<u8>>,
    /// Whether those fields are left out rather than taken.
    pub not: bool,
}

/// Finds a section. `None` means that the message has no such part, or that the part has no such text (HEADER and TEXT belong to
/// messages only, RFC 3501 §6.4.5; MIME to parts): FETCH answers NIL for it.
///
/// A message that is no multipart has one part, 1, which is its body; `1.MIME` is then its header. The same holds for a message in a
/// message/rfc822.
pub fn locate(structure: &Structure, section: &Section) -> Option<Located> {
    let located = |span| Some(Located { span, filter: None });
    let filtered = |span, names: &Vec<Vec<u8>>, not| {
        Some(Located {
            span,
            filter: Some(FieldFilter {
                names: names.clone(),
                not,
            }),
        })
    };
    let part = if section.part.is_empty() {
        None
    } else {
        Some(find(structure, &section.part)?)
    };
    let message = match part {
        None => structure.root()?,
        Some(index) => {
            let node = structure.nodes().get(index)?;
            match section.text {
                None => return located(node.body),
                Some(SectionText::Mime) => return located(node.header),
                Some(
                    SectionText::Header
                    | SectionText::HeaderFields(_)
                    | SectionText::HeaderFieldsNot(_)
                    | SectionText::Text,
                ) => within(structure, index)?.1,
            }
        }
    };
    match &section.text {
        None => located(Span::new(message.header.start, message.body.end)),
        Some(SectionText::Header) => located(message.header),
        Some(SectionText::Text) => located(message.body),
        Some(SectionText::HeaderFields(names)) => filtered(message.header, names, false),
        Some(SectionText::HeaderFieldsNot(names)) => filtered(message.header, names, true),
        Some(SectionText::Mime) => None,
    }
}

/// The message in a message/rfc822.
fn within(structure: &Structure, index: usize) -> Option<(usize, &Node)> {
    let node = structure.nodes().get(index)?;
    let child = index.checked_add(1)?;
    (node.kind == Kind::Message).then_some((child, structure.nodes().get(child)?))
}

/// The index of the node that the part numbers name.
pub fn find(structure: &Structure, part: &[u32]) -> Option<usize> {
    // The node in which the next number counts, and whether that is a message (or a part of a multipart).
    let mut at = 0;
    let mut in_message = true;
    for &number in part {
        if !in_message {
            match within(structure, at) {
                Some((message, _)) => at = message,
                None if structure.nodes().get(at)?.kind != Kind::Multipart => return None,
                None => {}
            }
        }
        let number = usize::try_from(number).ok()?.checked_sub(1)?;
        if structure.nodes().get(at)?.kind == Kind::Multipart {
            at = structure.children(at).nth(number)?;
        } else if number != 0 {
            return None;
        }
        in_message = false;
    }
    Some(at)
}

/// Calls `each` with the part numbers of every part that BODYSTRUCTURE names, and its node's index, in order.
pub fn for_each_part(structure: &Structure, mut each: impl FnMut(&[u32], usize)) {
    // The number of the last child met at each depth, 0 for none; nodes that share their parent's number have none of their own.
    let mut path: Vec<u32> = Vec::new();
    let mut open: Vec<Level> = Vec::new();
    for (index, node) in structure.nodes().iter().enumerate() {
        open.truncate(node.depth as usize);
        let numbered = match open.last_mut() {
            // A message that is no multipart is its own part 1.
            None => node.kind != Kind::Multipart,
            Some(level) => {
                path.truncate(level.path);
                level.children = level.children.saturating_add(1);
                !level.message || node.kind != Kind::Multipart
            }
        };
        if numbered {
            path.push(open.last().map_or(1, |level| level.children));
            each(&path, index);
        }
        open.push(Level {
            path: path.len(),
            children: 0,
            message: node.kind == Kind::Message,
        });
    }
}

/// A node that others stand in.
struct Level {
    /// How many numbers name it.
    path: usize,
    children: u32,
    message: bool,
}
