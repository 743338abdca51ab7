//! Where the octets of a message's sections are: its prefix, then its content.

use bytes::Bytes;

use crate::mail::{Section, SectionText, Span, Structure, locate};
use crate::store::Message;

/// What of a message is at hand.
#[derive(Debug)]
pub(super) struct Source {
    prefix: Bytes,
    content_size: u64,
    header_size: u64,
    /// The content from its beginning, as far as it came with the page: all of it, or the header, or nothing.
    head: Bytes,
    structure: Option<Result<Structure, Damaged>>,
}

/// What is stored is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// A section.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// It is these octets.
    Octets(Octets),
    /// It is those fields that are wanted of the prefix and of a header in the content.
    Fields { prefix: Bytes, header: Span },
}

/// Octets of the prefix, then octets of the content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Octets {
    pub(super) prefix: Bytes,
    pub(super) content: Span,
}

impl Octets {
    pub(super) fn len(&self) -> u64 {
        (self.prefix.len() as u64).saturating_add(self.content.len())
    }

    /// What a partial leaves of them.
    pub(super) fn part(mut self, partial: Option<(u32, u32)>) -> Self {
        let Some((origin, count)) = partial else {
            return self;
        };
        let prefix = self.prefix.len() as u64;
        let (from, to) = (
            u64::from(origin),
            u64::from(origin).saturating_add(count.into()),
        );
        let in_prefix = from.min(prefix)..to.min(prefix);
        let Span { start, end } = self.content;
        let at = |n: u64| start.saturating_add(n.saturating_sub(prefix)).min(end);
        self.content = Span::new(at(from), at(to));
        self.prefix = slice(&self.prefix, in_prefix.start, in_prefix.end);
        self
    }
}

fn slice(octets: &Bytes, start: u64, end: u64) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(octets.len());
    let (start, end) = (index(start), index(end));
    octets.slice(start..end.max(start))
}

impl Source {
    pub(super) fn new(message: &Message, needs_structure: bool) -> Self {
        let head = message.octets.as_ref().or(message.header.as_ref());
        let structure = needs_structure.then(|| {
            let compact = message.structure.as_deref().unwrap_or_default();
            Structure::decode(compact).map_err(|_| Damaged)
        });
        Self {
            prefix: message.prefix.clone(),
            content_size: message.content_size,
            header_size: message.header_size,
            head: head.cloned().unwrap_or_default(),
            structure,
        }
    }

    /// Octets of the content, when they came with the page.
    pub(super) fn at_hand(&self, start: u64, end: u64) -> Option<Bytes> {
        (end <= self.head.len() as u64).then(|| slice(&self.head, start, end))
    }

    /// Where a section is.
    pub(super) fn find(&self, section: &Section) -> Result<Found, Damaged> {
        if !section.part.is_empty() {
            return self.find_part(section);
        }
        let header = Span::new(0, self.header_size.min(self.content_size));
        let octets = |prefix: Bytes, content| Found::Octets(Octets { prefix, content });
        let whole = Span::new(0, self.content_size);
        Ok(match &section.text {
            None => octets(self.prefix.clone(), whole),
            Some(SectionText::Header) => octets(self.prefix.clone(), header),
            Some(SectionText::Text) => octets(Bytes::new(), Span::new(header.end, whole.end)),
            Some(SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)) => Found::Fields {
                prefix: self.prefix.clone(),
                header,
            },
            Some(SectionText::Mime) => Found::Nothing,
        })
    }

    fn find_part(&self, section: &Section) -> Result<Found, Damaged> {
        let structure = match &self.structure {
            Some(structure) => structure.as_ref().map_err(|damaged| *damaged)?,
            None => return Err(Damaged),
        };
        let Some(located) = locate(structure, section) else {
            return Ok(Found::Nothing);
        };
        if located.span.end > self.content_size {
            return Err(Damaged);
        }
        // `1.MIME` of a message that is no multipart shows the message's own header, but trace fields are none of a part.
        Ok(match located.filter {
            None => Found::Octets(Octets {
                prefix: Bytes::new(),
                content: located.span,
            }),
            Some(_) => Found::Fields {
                prefix: Bytes::new(),
                header: located.span,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(prefix: &'static [u8], start: u64, end: u64) -> Octets {
        Octets {
            prefix: Bytes::from_static(prefix),
            content: Span::new(start, end),
        }
    }

    #[test]
    fn a_partial_counts_over_prefix_and_content() {
        let whole = octets(b"abcd", 10, 16);
        assert_eq!(whole.clone().part(Some((0, 4))), octets(b"abcd", 10, 10));
        assert_eq!(whole.clone().part(Some((2, 4))), octets(b"cd", 10, 12));
        assert_eq!(whole.clone().part(Some((4, 2))), octets(b"", 10, 12));
        assert_eq!(whole.clone().part(Some((8, 99))), octets(b"", 14, 16));
        assert_eq!(whole.clone().part(Some((99, 1))).len(), 0);
        assert_eq!(whole.clone().part(None), whole);
    }
}
