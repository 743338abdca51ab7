//! Looking for texts in a message's content, slice by slice.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::imap::search::{Known, Plan, header_text};
use crate::limits::{HEADER_LOOK_BYTES_MAX, READ_BYTES_MAX};
use crate::mail::{Kind, LeafDecoder, Needle, Node, Span, Structure, TextMatcher, fields};
use crate::store::{ContentId, Message, Uid};

/// A message whose content is searched, from its beginning to its end.
#[derive(Debug)]
pub(super) struct BodySearch {
    uid: Uid,
    content: ContentId,
    content_size: u64,
    prefix: Bytes,
    /// What is still to be looked at, in the order in which it stands in the content.
    places: VecDeque<Place>,
    matcher: TextMatcher<Arc<[Needle]>>,
    /// Octets of the content, from `octets_at` on.
    octets: Bytes,
    octets_at: u64,
    /// So far is the content asked for.
    asked: u64,
}

/// A place in the content that holds text.
#[derive(Debug)]
struct Place {
    /// What is left of it.
    span: Span,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The message's header; these octets of it are here.
    Header(Vec<u8>),
    /// The header of a part.
    PartHeader(Vec<u8>),
    /// A part's text.
    Text(Box<LeafDecoder>),
}

/// What a search needs to go on.
#[derive(Debug, PartialEq)]
pub(super) enum Wants {
    /// It is decided.
    Nothing(bool),
    /// These octets.
    Octets {
        content: ContentId,
        start: u64,
        end: u64,
    },
}

/// The places of a message, by its structure.
fn places(message: &Message) -> VecDeque<Place> {
    let looked = |span: Span| {
        Span::new(
            span.start,
            span.end
                .min(span.start.saturating_add(HEADER_LOOK_BYTES_MAX)),
        )
    };
    let header = Span::new(0, message.header_size.min(message.content_size));
    let mut places = VecDeque::from([Place {
        span: looked(header),
        what: What::Header(Vec::new()),
    }]);
    let structure = Structure::decode(message.structure.as_deref().unwrap_or_default());
    let nodes = structure.as_ref().map_or(&[][..], Structure::nodes);
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            places.push_back(Place {
                span: looked(node.header),
                what: What::PartHeader(Vec::new()),
            });
        }
        if is_text(node) {
            let decoder = LeafDecoder::of(&node.content);
            places.push_back(Place {
                span: node.body,
                what: What::Text(Box::new(decoder)),
            });
        }
    }
    places.retain(|place| place.span.end <= message.content_size);
    places
}

/// Parts that people write: text/*, and message/* that was not taken apart (delivery reports).
fn is_text(node: &Node) -> bool {
    node.kind == Kind::Leaf && (node.content.is_media(b"text") || node.content.is_media(b"message"))
}

impl BodySearch {
    pub(super) fn new(message: Message, plan: &Plan) -> Self {
        Self {
            uid: message.uid,
            content: message.content,
            content_size: message.content_size,
            places: places(&message),
            matcher: TextMatcher::new(plan.needles()),
            octets: message.octets.unwrap_or_default(),
            octets_at: 0,
            asked: 0,
            prefix: message.prefix,
        }
    }

    pub(super) const fn uid(&self) -> Uid {
        self.uid
    }

    /// The octets that were wanted. Fewer than that means that there are no more: what is missing matches nothing.
    pub(super) fn arrived(&mut self, octets: Bytes) {
        if octets.is_empty() {
            self.places.clear();
        }
        self.octets = octets;
        self.octets_at = self.asked;
    }

    /// Looks at what is here.
    pub(super) fn go_on(&mut self, plan: &Plan, known: &mut Known) -> Wants {
        while let Some(place) = self.places.front_mut() {
            if place.span.is_empty() {
                self.end_place(plan, known);
                if let Some(decided) = plan.decide(self.uid, known) {
                    return Wants::Nothing(decided);
                }
                continue;
            }
            let from = place.span.start;
            let here = Span::new(
                from.saturating_sub(self.octets_at),
                place.span.end.saturating_sub(self.octets_at),
            );
            let piece = if from < self.octets_at {
                &[][..]
            } else {
                here.of(&self.octets)
            };
            if piece.is_empty() {
                self.asked = from;
                let end = self.content_size.min(from.saturating_add(READ_BYTES_MAX));
                return Wants::Octets {
                    content: self.content,
                    start: from,
                    end,
                };
            }
            place.span.start = from.saturating_add(piece.len() as u64);
            match &mut place.what {
                What::Header(octets) | What::PartHeader(octets) => octets.extend_from_slice(piece),
                What::Text(decoder) => self.matcher.feed(piece, decoder),
            }
        }
        plan.know_body(self.matcher.found(), true, known);
        Wants::Nothing(plan.decide(self.uid, known) == Some(true))
    }

    fn end_place(&mut self, plan: &Plan, known: &mut Known) {
        let Some(place) = self.places.pop_front() else {
            return;
        };
        match place.what {
            What::Header(octets) => plan.know_header(&self.prefix, &octets, known),
            What::PartHeader(octets) => {
                for field in fields(&octets) {
                    self.matcher
                        .feed_text(&header_text(field.name, field.value));
                    self.matcher.feed_text("\n");
                }
                self.matcher.end_text();
            }
            What::Text(mut decoder) => self.matcher.end_leaf(&mut decoder),
        }
        plan.know_body(self.matcher.found(), false, known);
    }
}
