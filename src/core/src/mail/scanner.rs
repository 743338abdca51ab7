//! The MIME scanner: finds the parts of a message in one pass over its bytes, fed in slices of any size.
//!
//! It works by lines and never calls itself: nested parts are entries of a list. It looks at header lines and at body lines that begin
//! with `--`; the rest of a body is passed over by a search for line feed and two dashes. What it keeps is bounded whatever the
//! message is (limits: [`MIME_DEPTH_MAX`], [`MIME_PARTS_MAX`], [`HEADER_BYTES_MAX`], [`MIME_HEADER_BYTES_MAX`],
//! [`DELIMITER_LINE_BYTES_MAX`]); past a limit the rest is one opaque part, so the spans tile any message.
//!
//! Rules for odd input stand in `docs/design/mime.md`.

use memchr::memmem::Finder;

use super::Span;
use super::content_type::Content;
use super::envelope::{Envelope, Wanted};
use super::header::{field_name, is_blank};
use super::structure::{Kind, Node, Structure};
use crate::limits::{
    BOUNDARY_BYTES_MAX, DELIMITER_LINE_BYTES_MAX, HEADER_BYTES_MAX, MIME_DEPTH_MAX,
    MIME_HEADER_BYTES_MAX, MIME_PARTS_MAX,
};

/// The beginning or end of a leaf body. They come in order, each start followed by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A leaf body begins.
    LeafStart {
        /// Offset of its first byte.
        at: u64,
    },
    /// The leaf body begun last ends.
    LeafEnd {
        /// Offset after its last byte.
        at: u64,
    },
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes of the message.
    pub size: u64,
    /// Line feeds in the message.
    pub lines: u64,
    /// The message's header with its blank line.
    pub header: Span,
    /// ENVELOPE of the message.
    pub envelope: Envelope,
    /// The parts.
    pub structure: Structure,
    /// The bodies of all leaves, in order, as the events told them.
    pub leaves: Vec<Span>,
    /// Events that were not fetched before the end.
    pub events: Vec<Event>,
}

/// Scans a message that is held whole.
pub fn scan(message: &[u8]) -> Scanned {
    let mut scanner = Scanner::new();
    scanner.feed(message);
    scanner.finish()
}

/// The scan of one message, at some byte of it.
#[derive(Debug)]
pub struct Scanner {
    nodes: Vec<Node>,
    /// The nodes that the current line stands in, outermost first.
    open: Vec<Open>,
    place: Place,
    line: Line,
    header: HeaderLines,
    /// Bytes of part headers kept so far, the message's own not counted.
    part_header_bytes: usize,
    /// How many open multiparts still wait for a delimiter.
    boundaries: usize,
    /// Bytes fed.
    position: u64,
    /// Line feeds fed.
    line_feeds: u64,
    /// The last two bytes fed.
    tail: [u8; 2],
    envelope: Envelope,
    events: Vec<Event>,
    leaves: Vec<Span>,
    line_feed_dashes: Finder<'static>,
}

/// An open node.
#[derive(Debug)]
struct Open {
    node: usize,
    /// Line feeds before its body.
    line_feeds: u64,
    /// The delimiter without its dashes; `None` for what is no multipart, and after the last delimiter.
    boundary: Option<Vec<u8>>,
}

/// Where the current line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the header of the innermost open node.
    Header,
    /// In a leaf's body, a preamble or an epilogue.
    Body,
}

/// The current line.
#[derive(Debug, Default)]
struct Line {
    start: u64,
    /// Line feeds before it.
    line_feeds: u64,
    /// Length of the line end before it.
    end_before: u64,
    /// Its bytes so far, while it isn't known what it is.
    held: Vec<u8>,
    decided: bool,
}

/// The fields of the header being read that will be looked at.
#[derive(Debug)]
struct HeaderLines {
    kept: Vec<u8>,
    /// Where in `kept` the current line begins.
    line: usize,
    /// Whether the current field is wanted.
    wanted: bool,
    bytes_max: usize,
    /// A wanted line did not fit.
    full: bool,
    /// No line was read yet.
    first: bool,
}

impl HeaderLines {
    fn new(bytes_max: usize) -> Self {
        Self {
            kept: Vec::new(),
            line: 0,
            wanted: false,
            bytes_max,
            full: false,
            first: true,
        }
    }

    /// The beginning of a line, or all of it.
    fn begin(&mut self, line: &[u8]) {
        self.first = false;
        self.line = self.kept.len();
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.wanted = field_name(line).is_some_and(|(name, _)| is_wanted(name));
        }
        self.more(line);
    }

    /// Lines are kept whole or not at all; after one that is too long, nothing more is kept.
    fn more(&mut self, bytes: &[u8]) {
        if !self.wanted || self.full {
            return;
        }
        if self.kept.len() + bytes.len() > self.bytes_max {
            self.kept.truncate(self.line);
            self.full = true;
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }
}

/// Whether ENVELOPE or BODYSTRUCTURE shows the field.
fn is_wanted(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"content-";
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        || Wanted::of(name).is_some()
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the first byte of a message.
    pub fn new() -> Self {
        let mut scanner = Self {
            nodes: Vec::new(),
            open: Vec::new(),
            place: Place::Header,
            line: Line::default(),
            header: HeaderLines::new(HEADER_BYTES_MAX),
            part_header_bytes: 0,
            boundaries: 0,
            position: 0,
            line_feeds: 0,
            tail: [0; 2],
            envelope: Envelope::default(),
            events: Vec::new(),
            leaves: Vec::new(),
            line_feed_dashes: Finder::new(b"\n--"),
        };
        scanner.push(0);
        scanner
    }

    /// Takes the next slice.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match (self.place, self.line.decided) {
                (Place::Header, false) => self.header_line(rest),
                (Place::Header, true) => self.header_line_rest(rest),
                (Place::Body, false) => self.body_line(rest),
                (Place::Body, true) => self.body_rest(rest),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Takes the leaf boundaries that were decided since the last call, in order.
    pub fn events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }

    /// No further event will name an offset before this one.
    pub fn settled(&self) -> u64 {
        let after_cr = u64::from(self.tail[1] == b'\r');
        match self.place {
            // A header may end with the line before this one; in its midst only at bytes to come.
            Place::Header if self.line.decided => self.position,
            Place::Header => self.line.start,
            Place::Body if self.boundaries == 0 => self.position,
            // The line end before a delimiter belongs to the delimiter.
            Place::Body if self.line.decided => self.position - after_cr,
            Place::Body => self.line.start - self.line.end_before,
        }
        // A leaf that has just begun can't end before its beginning.
        .max(self.innermost_body_start())
    }

    fn innermost_body_start(&self) -> u64 {
        match self.place {
            Place::Header => 0,
            Place::Body => {
                let node = self.open.last().and_then(|open| self.nodes.get(open.node));
                node.map_or(0, |node| node.body.start)
            }
        }
    }

    /// The end of the message.
    pub fn finish(mut self) -> Scanned {
        if !self.line.decided && !self.line.held.is_empty() {
            match self.place {
                Place::Header => self.header_line_decide(false),
                Place::Body => {
                    self.body_line_decide();
                }
            }
        }
        self.end_headers(self.position, self.line_feeds);
        self.close(0, self.position, self.line_feeds);
        let mut structure = Structure { nodes: self.nodes };
        structure.link();
        Scanned {
            size: self.position,
            lines: self.line_feeds,
            header: structure.root().map(|root| root.header).unwrap_or_default(),
            envelope: self.envelope,
            structure,
            leaves: self.leaves,
            events: self.events,
        }
    }

    /// Counts bytes as passed.
    fn advance(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        self.line_feeds += memchr::memchr_iter(b'\n', bytes).count() as u64;
        match bytes {
            [.., before, last] => self.tail = [*before, *last],
            [last] => self.tail = [self.tail[1], *last],
            [] => {}
        }
    }

    /// A line begins at the current position, after a line feed.
    fn begin_line(&mut self) {
        self.line.start = self.position;
        self.line.line_feeds = self.line_feeds;
        self.line.end_before = if self.tail[0] == b'\r' { 2 } else { 1 };
        self.line.held.clear();
        self.line.decided = false;
    }

    /// Adds to the held line up to its line feed or to the length at which it can be no delimiter. Returns how many bytes were taken, and
    /// whether the line is whole.
    fn hold(&mut self, bytes: &[u8]) -> (usize, bool) {
        let room = DELIMITER_LINE_BYTES_MAX.saturating_sub(self.line.held.len());
        let window = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let end = memchr::memchr(b'\n', window).map(|at| at + 1);
        let taken = window
            .get(..end.unwrap_or(window.len()))
            .unwrap_or_default();
        self.line.held.extend_from_slice(taken);
        self.advance(taken);
        (taken.len(), end.is_some())
    }

    fn held_is_full(&self) -> bool {
        self.line.held.len() >= DELIMITER_LINE_BYTES_MAX
    }

    // ---- bodies ----

    /// The beginning of a body line, which may be a delimiter.
    fn body_line(&mut self, bytes: &[u8]) -> usize {
        let dashes = self.line.held.len();
        if self.boundaries == 0 || (dashes < 2 && bytes.first() != Some(&b'-')) {
            self.line.decided = true;
            return 0;
        }
        if dashes < 2 {
            self.line.held.push(b'-');
            self.advance(b"-");
            return 1;
        }
        let (taken, whole) = self.hold(bytes);
        if whole {
            if !self.body_line_decide() {
                self.begin_line();
            }
        } else if self.held_is_full() {
            self.line.decided = true;
        }
        taken
    }

    /// The held body line is whole, or the message ends with it. Says whether it was a delimiter.
    fn body_line_decide(&mut self) -> bool {
        match self.delimiter() {
            Some((level, last)) => self.delimited(level, last),
            None => false,
        }
    }

    /// Bytes of a body after the beginning of a line: on to the next line that begins with dashes.
    fn body_rest(&mut self, bytes: &[u8]) -> usize {
        if self.boundaries == 0 {
            self.advance(bytes);
            return bytes.len();
        }
        let line_end = match self.line_feed_dashes.find(bytes) {
            Some(at) => Some(at + 1),
            None if bytes.ends_with(b"\n") => Some(bytes.len()),
            None if bytes.ends_with(b"\n-") => Some(bytes.len() - 1),
            None => None,
        };
        let taken = line_end.unwrap_or(bytes.len());
        self.advance(bytes.get(..taken).unwrap_or_default());
        if line_end.is_some() {
            self.begin_line();
        }
        taken
    }

    // ---- headers ----

    /// The beginning of a header line.
    fn header_line(&mut self, bytes: &[u8]) -> usize {
        let (taken, whole) = self.hold(bytes);
        if whole || self.held_is_full() {
            self.header_line_decide(whole);
        }
        taken
    }

    /// The held header line is whole, or too long to be a delimiter, or the message ends with it.
    fn header_line_decide(&mut self, whole: bool) {
        let full = !whole && self.held_is_full();
        if !full
            && self.line.held.starts_with(b"--")
            && let Some((level, last)) = self.delimiter()
            && self.delimited(level, last)
        {
            return;
        }
        let line = std::mem::take(&mut self.line.held);
        if self.place == Place::Header && is_blank(&line) {
            self.end_header(self.position, self.line_feeds);
        } else {
            // A header whose first line is none is empty, and that line belongs to the body; so it is for a message without a header
            // in a part of a digest that has none either.
            while self.place == Place::Header && self.header.first && !is_header_like(&line) {
                self.end_header(self.line.start, self.line.line_feeds);
            }
            if self.place == Place::Header {
                self.header.begin(&line);
            }
        }
        self.line.held = line;
        if whole {
            self.begin_line();
        } else {
            self.line.decided = true;
        }
    }

    /// More of a long header line.
    fn header_line_rest(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let taken = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        self.header.more(taken);
        self.advance(taken);
        if end.is_some() {
            self.begin_line();
        }
        taken.len()
    }

    /// Ends the header of the innermost node at `at`, its body begins there. The body of a message is a node of its own, whose header
    /// begins there too.
    fn end_header(&mut self, at: u64, line_feeds: u64) {
        let header = std::mem::replace(&mut self.header, HeaderLines::new(0));
        let depth = self.open.len();
        let (in_digest, in_message) = self.around();
        let Some(open) = self.open.last_mut() else {
            return;
        };
        open.line_feeds = line_feeds;
        let root = open.node == 0;
        if !root {
            self.part_header_bytes += header.kept.len();
        }
        // The last part that the limits allow takes all that follows.
        let rest = self.nodes.len() >= MIME_PARTS_MAX
            || (!root && header.full && header.bytes_max < HEADER_BYTES_MAX);
        let Some(node) = self.nodes.get_mut(open.node) else {
            return;
        };
        node.header = Span::new(node.header.start, at);
        node.body = Span::new(at, at);
        node.content = Content::read(&header.kept, in_digest);
        if root {
            self.envelope = Envelope::read(&header.kept);
        } else if in_message {
            node.envelope = Some(Box::new(Envelope::read(&header.kept)));
        }
        node.kind = kind(
            &mut node.content,
            depth >= MIME_DEPTH_MAX,
            rest,
            &mut open.boundary,
        );
        match node.kind {
            Kind::Leaf => {
                self.place = Place::Body;
                self.events.push(Event::LeafStart { at });
            }
            Kind::Multipart => {
                self.place = Place::Body;
                self.boundaries += 1;
            }
            Kind::Message => self.push(at),
        }
        if rest {
            self.boundaries = 0;
            for open in &mut self.open {
                open.boundary = None;
            }
        }
    }

    /// Whether the innermost node stands directly in a digest, and whether it is the message in a message/rfc822.
    fn around(&self) -> (bool, bool) {
        let parent = self
            .open
            .len()
            .checked_sub(2)
            .and_then(|level| self.open.get(level));
        let Some(parent) = parent.and_then(|open| self.nodes.get(open.node)) else {
            return (false, false);
        };
        let digest = parent.kind == Kind::Multipart
            && parent.content.subtype.eq_ignore_ascii_case(b"digest");
        (digest, parent.kind == Kind::Message)
    }

    /// Ends the header that is being read, if there is one, and those of the messages that begin in it.
    fn end_headers(&mut self, at: u64, line_feeds: u64) {
        while self.place == Place::Header {
            self.end_header(at, line_feeds);
        }
    }

    // ---- the tree ----

    /// Opens a node whose header begins at `at`.
    fn push(&mut self, at: u64) {
        let bytes_max = if self.nodes.is_empty() {
            HEADER_BYTES_MAX
        } else {
            HEADER_BYTES_MAX.min(MIME_HEADER_BYTES_MAX.saturating_sub(self.part_header_bytes))
        };
        let node = self.nodes.len();
        self.nodes.push(Node {
            kind: Kind::Leaf,
            depth: u32::try_from(self.open.len()).unwrap_or(u32::MAX),
            next: 0,
            header: Span::new(at, at),
            body: Span::new(at, at),
            lines: 0,
            content: Content::default(),
            envelope: None,
        });
        self.open.push(Open {
            node,
            line_feeds: 0,
            boundary: None,
        });
        self.header = HeaderLines::new(bytes_max);
        self.place = Place::Header;
    }

    /// Which open multipart the held line delimits, the innermost first, and whether as the last delimiter.
    ///
    /// ```abnf
    /// delimiter := CRLF "--" boundary ["--"] transport-padding
    /// ```
    fn delimiter(&self) -> Option<(usize, bool)> {
        let line = self.line.held.trim_ascii_end().strip_prefix(b"--")?;
        let last = line.strip_suffix(b"--");
        self.open
            .iter()
            .enumerate()
            .rev()
            .find_map(|(level, open)| {
                let boundary = open.boundary.as_deref()?;
                if boundary == line {
                    Some((level, false))
                } else {
                    (Some(boundary) == last).then_some((level, true))
                }
            })
    }

    /// The current line is a delimiter of the open multipart at `level`. False when a header that ended with it met a limit, so that
    /// the line belongs to the opaque rest.
    fn delimited(&mut self, level: usize, last: bool) -> bool {
        let (at, line_feeds) = (self.line.start, self.line.line_feeds);
        self.end_headers(at, line_feeds);
        if self
            .open
            .get(level)
            .is_none_or(|open| open.boundary.is_none())
        {
            return false;
        }
        let before = at.saturating_sub(self.line.end_before);
        self.close(level + 1, before, line_feeds.saturating_sub(1));
        if last {
            if let Some(open) = self.open.get_mut(level) {
                open.boundary = None;
            }
            self.boundaries -= 1;
            self.place = Place::Body;
        } else {
            self.push(self.position);
        }
        self.begin_line();
        true
    }

    /// Closes the open nodes from `level` inwards. Their bodies end at `at`, before which stand `line_feeds` line feeds, or where the last
    /// header in them ended, if that is later.
    fn close(&mut self, level: usize, at: u64, line_feeds: u64) {
        let mut end = (at, line_feeds);
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            self.boundaries -= usize::from(open.boundary.is_some());
            let nodes = self.nodes.len();
            let Some(node) = self.nodes.get_mut(open.node) else {
                return;
            };
            if node.body.start > end.0 {
                end = (node.body.start, open.line_feeds);
            }
            node.body.end = end.0;
            node.lines = end.1 - open.line_feeds;
            match node.kind {
                Kind::Leaf => {
                    self.leaves.push(node.body);
                    self.events.push(Event::LeafEnd { at: end.0 });
                }
                // A multipart without a delimiter: all of it is shown as one text (BODYSTRUCTURE has no multipart without parts).
                Kind::Multipart if open.node + 1 == nodes => {
                    let text = Node {
                        kind: Kind::Leaf,
                        depth: node.depth + 1,
                        header: Span::new(node.body.start, node.body.start),
                        content: Content::default(),
                        envelope: None,
                        ..*node
                    };
                    self.nodes.push(text);
                }
                Kind::Multipart | Kind::Message => {}
            }
        }
    }
}

/// Decides what a node is; one that can't be taken apart is shown as what it then is.
fn kind(content: &mut Content, too_deep: bool, rest: bool, boundary: &mut Option<Vec<u8>>) -> Kind {
    let multipart = content.is_media(b"multipart");
    if rest || (too_deep && (multipart || content.is_message())) {
        content.set_type(b"APPLICATION", b"OCTET-STREAM");
    } else if multipart {
        *boundary = content
            .boundary()
            .filter(|boundary| boundary.len() <= BOUNDARY_BYTES_MAX);
        if boundary.is_some() {
            return Kind::Multipart;
        }
        // RFC 2045 §5.2: a Content-Type that is not valid is plain text.
        let Content {
            media,
            subtype,
            params,
            ..
        } = Content::default();
        (content.media, content.subtype, content.params) = (media, subtype, params);
    } else if content.is_message() {
        if !content.is_encoded() {
            return Kind::Message;
        }
        // RFC 3501 §9: "MESSAGE" "RFC822" must be written with the message's own structure.
        content.set_type(b"APPLICATION", b"OCTET-STREAM");
    }
    Kind::Leaf
}

/// Whether a first line begins a header: a field, or the line before each message of an mbox.
fn is_header_like(line: &[u8]) -> bool {
    field_name(line).is_some() || line.starts_with(b"From ") || line.starts_with(b">From ")
}

#[cfg(test)]
mod tests;
