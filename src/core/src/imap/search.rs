//! SEARCH keys, evaluated with what is known so far (RFC 3501 §6.4.4).
//!
//! A key is true, false, or not known yet. What the view knows is decided for all messages at once, by sets; the rest message
//! by message, from cheap columns to dear ones, and only as long as a message is undecided.
//!
//! Texts are compared as `core::mail` folds them: decoded from transfer encoding, charset and encoded-words, without regard to case. BODY
//! looks into every part that is text (text/*, message/*) and into the headers of parts; TEXT also into the message's header.

use std::sync::Arc;

use super::civil;
use super::command::{Date, SearchKey};
use super::view::View;
use crate::mail::{Needle, decode_field, fields, first_value, parse_date};
use crate::store::{Keyword, Message, SystemFlags, Timestamp, UidSet};

/// What must be read to decide on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// A narrow row.
    Row,
    /// The header.
    Header,
    /// The content.
    Content,
}

/// A search, made ready for a view.
#[derive(Debug)]
pub(crate) struct Plan {
    root: Node,
    leaves: Vec<Leaf>,
    /// For BODY and TEXT, by the indexes in their leaves.
    needles: Arc<[Needle]>,
}

#[derive(Debug)]
enum Node {
    /// Decided by the view: these match.
    Among(UidSet),
    Leaf(usize),
    And(Vec<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

#[derive(Debug)]
enum Leaf {
    Flag(SystemFlags, bool),
    Keyword(Keyword, bool),
    Arrived(Order, Date),
    /// INTERNALDATE is not after this second (true), or not before it.
    Until(i64, bool),
    Larger(u64),
    Smaller(u64),
    Field(Vec<u8>, Box<Needle>),
    Sent(Order, Date),
    Body(usize),
    Text(usize),
}

/// How a date compares.
#[derive(Clone, Copy, Debug)]
enum Order {
    Before,
    On,
    Since,
}

impl Order {
    fn holds<T: Ord>(self, date: &T, than: &T) -> bool {
        match self {
            Self::Before => date < than,
            Self::On => date == than,
            Self::Since => date >= than,
        }
    }
}

/// What is known of a message: a value for each leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Vec<Option<bool>>);

impl Known {
    fn set(&mut self, leaf: usize, value: bool) {
        if let Some(known) = self.0.get_mut(leaf) {
            *known = Some(value);
        }
    }
    fn of(&self, leaf: usize) -> Option<bool> {
        self.0.get(leaf).copied().flatten()
    }
}

impl Plan {
    /// Sequence numbers mean what they mean in this view. Numbers that do not exist match nothing (quirk `search-beyond`: RFC 9051 would have BAD; clients
    /// search `1:*` in empty mailboxes, and the answer is the same as that of every message being elsewhere).
    pub(crate) fn new(keys: &[SearchKey], view: &View, now: Timestamp) -> Self {
        let mut builder = Builder {
            view,
            now,
            leaves: Vec::new(),
            needles: Vec::new(),
        };
        let root = Node::And(keys.iter().map(|key| builder.node(key)).collect());
        Self {
            root,
            leaves: builder.leaves,
            needles: builder.needles.into(),
        }
    }

    /// The texts that BODY and TEXT look for.
    pub(crate) fn needles(&self) -> Arc<[Needle]> {
        Arc::clone(&self.needles)
    }

    /// By the view alone: the messages that match, and those that may.
    pub(crate) fn narrow(&self, told: &UidSet) -> (UidSet, UidSet) {
        let (must, may) = bounds(&self.root, told);
        let undecided = may.difference(&must);
        (must, undecided)
    }

    /// Whether a pass of this depth, before that over contents, can decide anything.
    pub(crate) fn has(&self, depth: Depth) -> bool {
        self.leaves.iter().any(|leaf| match leaf {
            Leaf::Flag(..)
            | Leaf::Keyword(..)
            | Leaf::Arrived(..)
            | Leaf::Until(..)
            | Leaf::Larger(_)
            | Leaf::Smaller(_) => depth == Depth::Row,
            Leaf::Field(..) | Leaf::Sent(..) => depth == Depth::Header,
            Leaf::Body(_) => false,
            // It may be in the header.
            Leaf::Text(_) => depth == Depth::Header,
        })
    }

    /// Whether flags are asked about.
    pub(crate) fn needs_flags(&self) -> bool {
        self.leaves
            .iter()
            .any(|leaf| matches!(leaf, Leaf::Flag(..) | Leaf::Keyword(..)))
    }

    /// What a row says.
    pub(crate) fn know_row(&self, message: &Message, known: &mut Known) {
        known.0.clear();
        known.0.resize(self.leaves.len(), None);
        let size = message.size;
        for (index, leaf) in self.leaves.iter().enumerate() {
            let value = match leaf {
                Leaf::Flag(flag, has) => message.flags.system.contains(*flag) == *has,
                Leaf::Keyword(keyword, has) => message.flags.keywords.contains(keyword) == *has,
                Leaf::Arrived(order, date) => order.holds(&civil::local(message.date).0, date),
                Leaf::Until(second, older) => {
                    let arrived = whole_seconds(message.date.at);
                    arrived == *second || (arrived < *second) == *older
                }
                Leaf::Larger(than) => size > *than,
                Leaf::Smaller(than) => size < *than,
                Leaf::Field(..) | Leaf::Sent(..) | Leaf::Body(_) | Leaf::Text(_) => continue,
            };
            known.set(index, value);
        }
    }

    /// What the header says: the trace fields, then the content's.
    pub(crate) fn know_header(&self, prefix: &[u8], header: &[u8], known: &mut Known) {
        let all = || fields(prefix).chain(fields(header));
        for (index, leaf) in self.leaves.iter().enumerate() {
            match leaf {
                Leaf::Field(name, needle) => {
                    let found = all()
                        .filter(|field| field.is(name))
                        .any(|field| needle.is_empty() || needle.is_in(&decode_field(field.value)));
                    known.set(index, found);
                }
                Leaf::Sent(order, date) => {
                    let sent = first_value(header, b"Date").and_then(parse_date);
                    let holds = sent.is_some_and(|sent| {
                        let than = (i32::from(date.year), date.month, date.day);
                        let sent = (sent.local.year, sent.local.month, sent.local.day);
                        order.holds(&sent, &than)
                    });
                    known.set(index, holds);
                }
                Leaf::Flag(..)
                | Leaf::Keyword(..)
                | Leaf::Arrived(..)
                | Leaf::Until(..)
                | Leaf::Larger(_)
                | Leaf::Smaller(_)
                | Leaf::Body(_)
                | Leaf::Text(_) => {}
            }
        }
        if self.leaves.iter().any(|leaf| matches!(leaf, Leaf::Text(_))) {
            for field in all() {
                let text = header_text(field.name, field.value);
                for (index, leaf) in self.leaves.iter().enumerate() {
                    if let Leaf::Text(needle) = leaf
                        && known.of(index).is_none()
                        && self
                            .needles
                            .get(*needle)
                            .is_some_and(|needle| needle.is_in(&text))
                    {
                        known.set(index, true);
                    }
                }
            }
        }
    }

    /// What was found of the body so far; at its end, what was not found is not there.
    pub(crate) fn know_body(&self, found: &[bool], at_end: bool, known: &mut Known) {
        for (index, leaf) in self.leaves.iter().enumerate() {
            let (Leaf::Body(needle) | Leaf::Text(needle)) = leaf else {
                continue;
            };
            if known.of(index).is_none() {
                match found.get(*needle) {
                    Some(true) => known.set(index, true),
                    Some(false) | None if at_end => known.set(index, false),
                    Some(false) | None => {}
                }
            }
        }
    }

    /// Whether a message matches, when that is known.
    pub(crate) fn decide(&self, uid: crate::store::Uid, known: &Known) -> Option<bool> {
        decide(&self.root, uid, known)
    }
}

const fn whole_seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// A field as it is searched by TEXT.
pub(crate) fn header_text(name: &[u8], value: &[u8]) -> String {
    format!("{}: {}", String::from_utf8_lossy(name), decode_field(value))
}

/// Messages that match, and messages that may, by sets alone.
fn bounds(node: &Node, told: &UidSet) -> (UidSet, UidSet) {
    match node {
        Node::Among(uids) => (uids.clone(), uids.clone()),
        Node::Leaf(_) => (UidSet::new(), told.clone()),
        Node::And(nodes) => {
            let mut both = (told.clone(), told.clone());
            for node in nodes {
                let (must, may) = bounds(node, told);
                both = (both.0.intersection(&must), both.1.intersection(&may));
            }
            both
        }
        Node::Or(one, other) => {
            let (one, other) = (bounds(one, told), bounds(other, told));
            (one.0.union(&other.0), one.1.union(&other.1))
        }
        Node::Not(node) => {
            let (must, may) = bounds(node, told);
            (told.difference(&may), told.difference(&must))
        }
    }
}

fn decide(node: &Node, uid: crate::store::Uid, known: &Known) -> Option<bool> {
    match node {
        Node::Among(uids) => Some(uids.contains(uid)),
        Node::Leaf(leaf) => known.of(*leaf),
        Node::And(nodes) => {
            let mut all = Some(true);
            for node in nodes {
                match decide(node, uid, known) {
                    Some(false) => return Some(false),
                    Some(true) => {}
                    None => all = None,
                }
            }
            all
        }
        Node::Or(one, other) => match (decide(one, uid, known), decide(other, uid, known)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            (_, _) => None,
        },
        Node::Not(node) => decide(node, uid, known).map(|value| !value),
    }
}

struct Builder<'a> {
    view: &'a View,
    now: Timestamp,
    leaves: Vec<Leaf>,
    needles: Vec<Needle>,
}

impl Builder<'_> {
    fn leaf(&mut self, leaf: Leaf) -> Node {
        self.leaves.push(leaf);
        Node::Leaf(self.leaves.len() - 1)
    }
    fn needle(&mut self, text: &str) -> usize {
        self.needles.push(Needle::new(text));
        self.needles.len() - 1
    }
    /// Older than so many seconds, or younger (RFC 5032): exactly so old is both.
    fn aged(&mut self, seconds: u32, older: bool) -> Node {
        let second = whole_seconds(self.now).saturating_sub(seconds.into());
        self.leaf(Leaf::Until(second, older))
    }
    fn node(&mut self, key: &SearchKey) -> Node {
        let told = self.view.told();
        match key {
            SearchKey::All => Node::Among(told.clone()),
            SearchKey::Sequence(set) => Node::Among(self.view.by_numbers_there(set)),
            SearchKey::Uid(set) => Node::Among(self.view.by_uids(set)),
            SearchKey::Recent(true) => Node::Among(self.view.recent().clone()),
            SearchKey::Recent(false) => Node::Among(told.difference(self.view.recent())),
            SearchKey::And(keys) => Node::And(keys.iter().map(|key| self.node(key)).collect()),
            SearchKey::Or(one, other) => {
                Node::Or(Box::new(self.node(one)), Box::new(self.node(other)))
            }
            SearchKey::Not(key) => Node::Not(Box::new(self.node(key))),
            SearchKey::Flag(flag, has) => self.leaf(Leaf::Flag(*flag, *has)),
            SearchKey::Keyword(keyword, has) => self.leaf(Leaf::Keyword(keyword.clone(), *has)),
            SearchKey::Header(name, text) => {
                self.leaf(Leaf::Field(name.clone(), Box::new(Needle::new(text))))
            }
            SearchKey::Body(text) => {
                let needle = self.needle(text);
                self.leaf(Leaf::Body(needle))
            }
            SearchKey::Text(text) => {
                let needle = self.needle(text);
                self.leaf(Leaf::Text(needle))
            }
            SearchKey::Before(date) => self.leaf(Leaf::Arrived(Order::Before, *date)),
            SearchKey::On(date) => self.leaf(Leaf::Arrived(Order::On, *date)),
            SearchKey::Since(date) => self.leaf(Leaf::Arrived(Order::Since, *date)),
            SearchKey::SentBefore(date) => self.leaf(Leaf::Sent(Order::Before, *date)),
            SearchKey::SentOn(date) => self.leaf(Leaf::Sent(Order::On, *date)),
            SearchKey::SentSince(date) => self.leaf(Leaf::Sent(Order::Since, *date)),
            SearchKey::Older(seconds) => self.aged(*seconds, true),
            SearchKey::Younger(seconds) => self.aged(*seconds, false),
            SearchKey::Larger(than) => self.leaf(Leaf::Larger(*than)),
            SearchKey::Smaller(than) => self.leaf(Leaf::Smaller(*than)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::SequenceSet;
    use crate::store::{ModSeq, Uid};

    fn uids(numbers: &[u32]) -> UidSet {
        numbers.iter().filter_map(|n| Uid::new(*n)).collect()
    }
    fn view() -> View {
        View::new(uids(&[2, 4, 6, 8]), uids(&[8]), ModSeq(1))
    }
    fn set(low: u32, high: u32) -> SequenceSet {
        SequenceSet::Ranges(vec![(Some(low), Some(high))])
    }
    fn seen() -> SearchKey {
        SearchKey::Flag(SystemFlags::SEEN, true)
    }

    #[test]
    fn what_the_view_knows_is_decided_without_a_question() {
        let view = view();
        let narrow = |keys: &[SearchKey]| Plan::new(keys, &view, Timestamp(0)).narrow(view.told());
        let none = UidSet::new();
        assert_eq!(
            narrow(&[SearchKey::All]),
            (uids(&[2, 4, 6, 8]), none.clone())
        );
        assert_eq!(
            narrow(&[SearchKey::Sequence(set(2, 9))]),
            (uids(&[4, 6, 8]), none.clone())
        );
        assert_eq!(
            narrow(&[SearchKey::Recent(false)]),
            (uids(&[2, 4, 6]), none.clone())
        );
        let not = SearchKey::Not(Box::new(SearchKey::Uid(set(3, 7))));
        assert_eq!(narrow(&[not]), (uids(&[2, 8]), none.clone()));
        // Only messages that may match are read.
        assert_eq!(
            narrow(&[SearchKey::Uid(set(3, 7)), seen()]),
            (none, uids(&[4, 6]))
        );
        let or = SearchKey::Or(Box::new(SearchKey::Uid(set(3, 7))), Box::new(seen()));
        assert_eq!(narrow(&[or]), (uids(&[4, 6]), uids(&[2, 8])));
    }

    #[test]
    fn a_message_is_decided_as_soon_as_it_can_be() {
        let view = view();
        let body = SearchKey::Body("x".to_owned());
        let both = Plan::new(&[seen(), body.clone()], &view, Timestamp(0));
        let either = Plan::new(
            &[SearchKey::Or(Box::new(seen()), Box::new(body))],
            &view,
            Timestamp(0),
        );
        let uid = Uid::new(2).unwrap();
        let mut known = Known(vec![Some(false), None]);
        assert_eq!(both.decide(uid, &known), Some(false));
        assert_eq!(either.decide(uid, &known), None);
        known.set(0, true);
        assert_eq!(both.decide(uid, &known), None);
        assert_eq!(either.decide(uid, &known), Some(true));
    }

    fn header_matches(key: SearchKey, header: &[u8]) -> bool {
        let plan = Plan::new(&[key], &view(), Timestamp(0));
        let mut known = Known(vec![None]);
        plan.know_header(b"Return-Path: <a@b.example>\r\n", header, &mut known);
        known.0[0] == Some(true)
    }

    #[test]
    fn header_keys_see_decoded_text_in_any_case() {
        let header = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus\r\n =?iso-8859-1?q?K=F6ln?=\r\nDate: Tue, 1 Jul 2003 23:30:00 -0700\r\n\r\n";
        let key = |name: &str, text: &str| SearchKey::Header(name.into(), text.to_owned());
        assert!(
            header_matches(key("subject", "GRÜSSE"), header)
                || header_matches(key("subject", "GRÜßE"), header)
        );
        assert!(header_matches(key("SUBJECT", "aus köln"), header));
        assert!(!header_matches(key("subject", "bonn"), header));
        assert!(header_matches(key("date", ""), header));
        assert!(!header_matches(key("x-none", ""), header));
        assert!(header_matches(key("return-path", "B.EXAMPLE"), header));
        assert!(header_matches(
            SearchKey::Text("return-path: <a@".to_owned()),
            header
        ));
        let date = |day| Date {
            year: 2003,
            month: 7,
            day,
        };
        assert!(header_matches(SearchKey::SentOn(date(1)), header));
        assert!(!header_matches(SearchKey::SentOn(date(2)), header));
        assert!(header_matches(SearchKey::SentBefore(date(2)), header));
        assert!(!header_matches(
            SearchKey::SentSince(date(1)),
            b"Subject: x\r\n\r\n"
        ));
    }
}
