//! The parts of a message as a tree of byte spans, and its compact form.
//!
//! Spans tile: a node is its header and its body, which begins where the header ends. The children of a multipart stand in its body,
//! in order; between them are the preamble, the delimiter lines (each with the line end before it, RFC 2046 §5.1.1) and the
//! epilogue. The body of a message/rfc822 is exactly the one node of the message within.

use super::Span;
use super::compact::{Damaged, Reader, Writer};
use super::content_type::{Content, Disposition, Param};
use super::envelope::Envelope;

/// First byte of the compact form.
const VERSION: u8 = 1;

/// What a node's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of one type, opaque to us.
    Leaf,
    /// A multipart with at least one child.
    Multipart,
    /// message/rfc822 or message/global, unencoded, with the message in it as the only child.
    Message,
}

/// A message or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What the body is.
    pub kind: Kind,
    /// How many nodes it stands in; 0 for the message itself.
    pub depth: u32,
    /// Index of the first node after its subtree.
    pub(crate) next: usize,
    /// The header with its blank line.
    pub header: Span,
    /// The body, without the line end that belongs to the delimiter after it.
    pub body: Span,
    /// Lines of the body: the number of LF in it (a last line without LF does not count, as in other servers).
    pub lines: u64,
    /// What its Content-* fields say. An opaque node (one that holds parts but can't be taken apart) says application/octet-stream.
    pub content: Content,
    /// ENVELOPE, for a message that stands in a [`Kind::Message`]; that of the whole message is kept apart from its structure.
    pub envelope: Option<Box<Envelope>>,
}

/// The tree of a message, parents before children, as one list: depth is no depth of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    pub(crate) nodes: Vec<Node>,
}

impl Structure {
    /// All nodes, each before its children; the first is the message itself.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The message itself.
    pub fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// Indexes of the children of a node, in order.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes.get(index).map_or(0, |node| node.next);
        let mut at = index.saturating_add(1);
        std::iter::from_fn(move || {
            let child = (at < end).then_some(at)?;
            at = self.nodes.get(child)?.next;
            Some(child)
        })
    }

    /// The compact form, version byte first.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        // For each depth, where the next node at that depth may begin.
        let mut starts = vec![0];
        for (index, node) in self.nodes.iter().enumerate() {
            starts.truncate(node.depth as usize + 1);
            let start = starts
                .last_mut()
                .map(|at| std::mem::replace(at, node.body.end));
            let children = self.children(index).count();
            write_node(&mut writer, node, start.unwrap_or(0), children as u64);
            starts.push(node.body.start);
        }
        writer.into_bytes()
    }

    /// Reads a compact form back.
    pub fn decode(compact: &[u8]) -> Result<Self, Damaged> {
        let mut walk = Walk::new(compact)?;
        let mut nodes: Vec<Node> = Vec::new();
        while let Some(step) = walk.next()? {
            match step {
                Step::Enter(node) => nodes.push(Node {
                    kind: node.kind,
                    depth: node.depth,
                    next: 0,
                    header: node.header,
                    body: node.body,
                    lines: node.lines,
                    content: node.content.to_content()?,
                    envelope: match node.envelope {
                        Some(mut reader) => Some(Box::new(Envelope::read_compact(&mut reader)?)),
                        None => None,
                    },
                }),
                Step::Leave(_) => {}
            }
        }
        let mut structure = Self { nodes };
        structure.link();
        Ok(structure)
    }

    /// Sets each node's `next` from the depths.
    pub(crate) fn link(&mut self) {
        let len = self.nodes.len();
        // Nodes whose end is not found yet; walking backwards, the last entry is the nearest node after, not deeper.
        let mut after: Vec<(u32, usize)> = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate().rev() {
            while after.last().is_some_and(|&(depth, _)| depth > node.depth) {
                after.pop();
            }
            node.next = after.last().map_or(len, |&(_, at)| at);
            after.push((node.depth, index));
        }
    }
}

const KIND_BITS: u8 = 0x03;
const HAS_ENVELOPE: u8 = 0x04;
const DEFAULT_CONTENT: u8 = 0x08;
const HAS_EXTENSION: u8 = 0x10;

fn write_node(writer: &mut Writer, node: &Node, start: u64, children: u64) {
    let content = &node.content;
    let default = *content == Content::default();
    let extension = content.md5.is_some()
        || content.disposition.is_some()
        || !content.language.is_empty()
        || content.location.is_some();
    let mut flags = match node.kind {
        Kind::Leaf => 0,
        Kind::Multipart => 1,
        Kind::Message => 2,
    };
    for (set, flag) in [
        (node.envelope.is_some(), HAS_ENVELOPE),
        (default, DEFAULT_CONTENT),
        (extension, HAS_EXTENSION),
    ] {
        flags |= if set { flag } else { 0 };
    }
    writer.byte(flags);
    writer.number(node.header.start.saturating_sub(start));
    writer.number(node.header.len());
    writer.number(node.body.len());
    writer.number(node.lines);
    if node.kind == Kind::Multipart {
        writer.number(children);
    }
    if !default {
        write_content(writer, content, extension);
    }
    if let Some(envelope) = &node.envelope {
        envelope.write(writer);
    }
}

fn write_content(writer: &mut Writer, content: &Content, extension: bool) {
    writer.string(&content.media);
    writer.string(&content.subtype);
    write_params(writer, &content.params);
    writer.nstring(content.id.as_deref());
    writer.nstring(content.description.as_deref());
    writer.string(&content.encoding);
    if !extension {
        return;
    }
    writer.nstring(content.md5.as_deref());
    writer.nstring(
        content
            .disposition
            .as_ref()
            .map(|disposition| disposition.kind.as_slice()),
    );
    if let Some(disposition) = &content.disposition {
        write_params(writer, &disposition.params);
    }
    writer.number(content.language.len() as u64);
    for tag in &content.language {
        writer.string(tag);
    }
    writer.nstring(content.location.as_deref());
}

fn write_params(writer: &mut Writer, params: &[Param]) {
    writer.number(params.len() as u64);
    for param in params {
        writer.string(&param.name);
        writer.string(&param.value);
    }
}

/// Strings that stand one after another in a compact form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strings<'a> {
    pub(crate) count: usize,
    reader: Reader<'a>,
}

impl<'a> Strings<'a> {
    /// `unit` strings for each counted thing.
    fn read(reader: &mut Reader<'a>, unit: usize) -> Result<Self, Damaged> {
        let count = reader.count()?.saturating_mul(unit);
        let strings = Self {
            count,
            reader: *reader,
        };
        for _ in 0..count {
            reader.string()?;
        }
        Ok(strings)
    }

    pub(crate) fn each(mut self, mut take: impl FnMut(&'a [u8])) -> Result<(), Damaged> {
        for _ in 0..self.count {
            take(self.reader.string()?);
        }
        Ok(())
    }

    fn to_params(self) -> Result<Vec<Param>, Damaged> {
        let mut params: Vec<Param> = Vec::new();
        let mut name = None;
        self.each(|string| match name.take() {
            None => name = Some(string.to_vec()),
            Some(name) => params.push(Param {
                name,
                value: string.to_vec(),
            }),
        })?;
        Ok(params)
    }
}

/// A node's [`Content`] where it stands in a compact form.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CompactContent<'a> {
    Default,
    Given(Given<'a>),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) media: &'a [u8],
    pub(crate) subtype: &'a [u8],
    pub(crate) params: Strings<'a>,
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) description: Option<&'a [u8]>,
    pub(crate) encoding: &'a [u8],
    pub(crate) extension: Option<Extension<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension<'a> {
    pub(crate) md5: Option<&'a [u8]>,
    pub(crate) disposition: Option<(&'a [u8], Strings<'a>)>,
    pub(crate) language: Strings<'a>,
    pub(crate) location: Option<&'a [u8]>,
}

impl<'a> Given<'a> {
    fn read(reader: &mut Reader<'a>, extension: bool) -> Result<Self, Damaged> {
        Ok(Self {
            media: reader.string()?,
            subtype: reader.string()?,
            params: Strings::read(reader, 2)?,
            id: reader.nstring()?,
            description: reader.nstring()?,
            encoding: reader.string()?,
            extension: if extension {
                Some(Extension::read(reader)?)
            } else {
                None
            },
        })
    }
}

impl<'a> Extension<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Damaged> {
        Ok(Self {
            md5: reader.nstring()?,
            disposition: match reader.nstring()? {
                Some(kind) => Some((kind, Strings::read(reader, 2)?)),
                None => None,
            },
            language: Strings::read(reader, 1)?,
            location: reader.nstring()?,
        })
    }
}

impl CompactContent<'_> {
    fn to_content(self) -> Result<Content, Damaged> {
        let Self::Given(given) = self else {
            return Ok(Content::default());
        };
        let mut content = Content {
            media: given.media.to_vec(),
            subtype: given.subtype.to_vec(),
            params: given.params.to_params()?,
            id: given.id.map(<[u8]>::to_vec),
            description: given.description.map(<[u8]>::to_vec),
            encoding: given.encoding.to_vec(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        };
        if let Some(extension) = given.extension {
            content.md5 = extension.md5.map(<[u8]>::to_vec);
            content.disposition = match extension.disposition {
                Some((kind, params)) => Some(Disposition {
                    kind: kind.to_vec(),
                    params: params.to_params()?,
                }),
                None => None,
            };
            extension
                .language
                .each(|tag| content.language.push(tag.to_vec()))?;
            content.location = extension.location.map(<[u8]>::to_vec);
        }
        Ok(content)
    }
}

/// A node where it stands in a compact form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompactNode<'a> {
    pub(crate) kind: Kind,
    pub(crate) depth: u32,
    pub(crate) header: Span,
    pub(crate) body: Span,
    pub(crate) lines: u64,
    pub(crate) content: CompactContent<'a>,
    /// Stands at the envelope's first string.
    pub(crate) envelope: Option<Reader<'a>>,
}

/// A step of the way through a compact form.
pub(crate) enum Step<'a> {
    /// A node, before its children.
    Enter(CompactNode<'a>),
    /// The same node again, after its children; every node is left.
    Leave(CompactNode<'a>),
}

/// Goes through a compact form, node by node, and checks that spans nest.
pub(crate) struct Walk<'a> {
    reader: Reader<'a>,
    /// The nodes that the next one stands in.
    open: Vec<Open<'a>>,
    started: bool,
}

struct Open<'a> {
    node: CompactNode<'a>,
    children: u64,
    /// Where the next child may begin.
    start: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(compact: &'a [u8]) -> Result<Self, Damaged> {
        Ok(Self {
            reader: Reader::new(compact, VERSION)?,
            open: Vec::new(),
            started: false,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Step<'a>>, Damaged> {
        match self.open.last() {
            None if self.started && self.reader.is_empty() => Ok(None),
            None if self.started => Err(Damaged),
            Some(open) if open.children == 0 => {
                let node = open.node;
                self.open.pop();
                Ok(Some(Step::Leave(node)))
            }
            None | Some(_) => self.enter().map(Some),
        }
    }

    fn enter(&mut self) -> Result<Step<'a>, Damaged> {
        self.started = true;
        let (start, limit, in_message) = match self.open.last_mut() {
            Some(open) => {
                open.children = open.children.saturating_sub(1);
                (
                    open.start,
                    open.node.body.end,
                    open.node.kind == Kind::Message,
                )
            }
            None => (0, u64::MAX, false),
        };
        let (node, children) = self.read_node(start)?;
        let fills = node.header.start == start && node.body.end == limit;
        if node.body.end > limit || node.envelope.is_some() != in_message || (in_message && !fills)
        {
            return Err(Damaged);
        }
        if let Some(open) = self.open.last_mut() {
            open.start = node.body.end;
        }
        self.open.push(Open {
            node,
            children,
            start: node.body.start,
        });
        Ok(Step::Enter(node))
    }

    fn read_node(&mut self, start: u64) -> Result<(CompactNode<'a>, u64), Damaged> {
        let reader = &mut self.reader;
        let flags = reader.byte()?;
        let kind = match flags & KIND_BITS {
            0 => Kind::Leaf,
            1 => Kind::Multipart,
            2 => Kind::Message,
            _ => return Err(Damaged),
        };
        let header_start = start.checked_add(reader.number()?).ok_or(Damaged)?;
        let body_start = header_start.checked_add(reader.number()?).ok_or(Damaged)?;
        let body_end = body_start.checked_add(reader.number()?).ok_or(Damaged)?;
        let lines = reader.number()?;
        let children = match kind {
            Kind::Leaf => 0,
            Kind::Message => 1,
            Kind::Multipart => reader.number()?,
        };
        if kind == Kind::Multipart && children == 0 {
            return Err(Damaged);
        }
        let content = match (flags & DEFAULT_CONTENT, flags & HAS_EXTENSION) {
            (0, extension) => CompactContent::Given(Given::read(reader, extension != 0)?),
            (_, 0) => CompactContent::Default,
            _ => return Err(Damaged),
        };
        let envelope = (flags & HAS_ENVELOPE != 0).then_some(*reader);
        if envelope.is_some() {
            Envelope::skip_compact(reader)?;
        }
        let node = CompactNode {
            kind,
            depth: u32::try_from(self.open.len()).map_err(|_| Damaged)?,
            header: Span::new(header_start, body_start),
            body: Span::new(body_start, body_end),
            lines,
            content,
            envelope,
        };
        Ok((node, children))
    }
}
