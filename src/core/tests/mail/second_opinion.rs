//! What others make of the same messages: `mail-parser` and Python's `email`. Where they differ from our scanner, the kind of difference
//! is one of [`Kind`], each explained in `docs/design/mime.md` with its count; a difference of no known kind fails.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use dbmail_core::mail::{self, Scanned, scan};
use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::generate::{any_message, mutated};
use crate::samples::{Sample, samples};

/// Why another parser sees a message differently; the table in `docs/design/mime.md` has a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// They take every message/* apart (delivery-status into blocks of fields).
    OtherMessageTypes,
    /// They decode a message/rfc822 under base64 or quoted-printable, or read its encoded lines as a message; ours is opaque.
    EncodedMessage,
    /// A multipart without a usable boundary: theirs is a multipart with a body, ours is text.
    NoBoundary,
    /// A multipart without a delimiter line: theirs has no part, ours one text.
    NoDelimiter,
    /// A Content-Type that does not read, or has a comment or a control in it: the body is the same, its type is not; ours is text/plain where
    /// there is no type and subtype (RFC 2045 §5.2).
    TypeSyntax,
    /// Delimiter lines with nothing between, or one as the last line: ours has an empty part there.
    EmptyPart,
    /// The last body of a message that ends without a delimiter: they take its last line end away.
    LastLineEnd,
    /// CR alone ends a line for them.
    BareCr,
    /// A header line that is no field: theirs ends there, ours goes on to the blank line; or the first line is none: ours is then
    /// empty.
    NoField,
    /// A line of nothing but space in a header: the header goes on for us (RFC 5322 §4.2 obs-FWS), not for them.
    SpaceLine,
    /// A boundary folded within its quotes: unfolded by us only.
    FoldedBoundary,
    /// The same boundary within and without: delimiters belong to the inner multipart for us, to the outer one for them.
    SameBoundary,
    /// A line that begins with a delimiter but goes on: a delimiter for them (RFC 2046 §5.1.1's advice), not for us.
    LongerLine,
    /// An inner multipart or message left open: they don't see the outer delimiter in it.
    LeftOpen,
    /// A header that ends with a delimiter instead of a blank line.
    NoBlankLine,
    /// A delimiter in the midst of a line is one for them.
    MidLine,
    /// Two Content-Type fields: the first counts for us, the last for them.
    RepeatedType,
    /// A boundary that holds two dashes: they find the part and lose its body.
    DashesInBoundary,
    /// They panic.
    Panics,
}

/// A node as all three can describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    depth: usize,
    media: String,
    /// Octets and CRC of the body, of a leaf.
    leaf: Option<(usize, u32)>,
}

type Tree = Vec<Node>;

fn of_us(message: &[u8], scanned: &Scanned) -> Tree {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let node = |node: &mail::Node| Node {
        depth: node.depth as usize,
        media: format!(
            "{}/{}",
            text(&node.content.media),
            text(&node.content.subtype)
        ),
        leaf: (node.kind == mail::Kind::Leaf).then(|| digest(node.body.of(message))),
    };
    scanned.structure.nodes().iter().map(node).collect()
}

fn digest(body: &[u8]) -> (usize, u32) {
    (body.len(), crc32(body))
}

/// CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: std::sync::LazyLock<[u32; 256]> = std::sync::LazyLock::new(|| {
        std::array::from_fn(|index| {
            (0..8).fold(index as u32, |crc, _| {
                if crc & 1 == 1 {
                    crc >> 1 ^ 0xedb8_8320
                } else {
                    crc >> 1
                }
            })
        })
    });
    !bytes.iter().fold(!0, |crc, &byte| {
        crc >> 8 ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize]
    })
}

/// `None` where it panics; no node where it finds no message.
fn of_mail_parser(message: &[u8]) -> Option<Tree> {
    let parsed = std::panic::catch_unwind(|| MessageParser::default().parse(message)).ok()?;
    let mut tree = Vec::new();
    if let Some(parsed) = parsed {
        walk(&parsed, 0, 0, message, &mut tree);
    }
    Some(tree)
}

fn walk(
    message: &mail_parser::Message<'_>,
    part: usize,
    depth: usize,
    raw: &[u8],
    tree: &mut Tree,
) {
    let part = &message.parts[part];
    let given = part.content_type().map(|media| {
        format!("{}/{}", media.ctype(), media.subtype().unwrap_or_default()).to_ascii_lowercase()
    });
    let body = raw
        .get(part.offset_body as usize..part.offset_end as usize)
        .unwrap_or_default();
    let default = if matches!(part.body, PartType::Message(_)) {
        "message/rfc822"
    } else {
        "text/plain"
    };
    let media = given.unwrap_or_else(|| default.to_owned());
    let at = tree.len();
    tree.push(Node {
        depth,
        media,
        leaf: None,
    });
    match &part.body {
        PartType::Multipart(parts) => {
            for &part in parts {
                walk(message, part as usize, depth + 1, raw, tree);
            }
        }
        // Its offsets are those of the decoded message, if it was encoded.
        PartType::Message(inner) if part.encoding == mail_parser::Encoding::None => {
            walk(inner, 0, depth + 1, raw, tree);
        }
        PartType::Message(_)
        | PartType::Text(_)
        | PartType::Html(_)
        | PartType::Binary(_)
        | PartType::InlineBinary(_) => tree[at].leaf = Some(digest(body)),
    }
}

/// Starts Python once for all messages. `None`, said by name, where there is none; in CI there must be.
fn of_python(test: &str, messages: &[Sample]) -> Option<Vec<Tree>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_opinion.py");
    let started = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut python = match started {
        Ok(python) => python,
        Err(error) => {
            assert!(
                !std::env::var("CI").is_ok_and(|ci| ci == "true"),
                "python3: {error}"
            );
            eprintln!("SKIPPED {test}: no python3 ({error})");
            return None;
        }
    };
    let mut stdin = python.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for message in messages {
                stdin
                    .write_all(&(message.bytes.len() as u32).to_be_bytes())
                    .unwrap();
                stdin.write_all(&message.bytes).unwrap();
            }
        });
        python.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let trees: Vec<Tree> = text
        .lines()
        .map(|line| line.split(' ').map(node).collect())
        .collect();
    assert_eq!(trees.len(), messages.len());
    Some(trees)
}

fn node(text: &str) -> Node {
    let mut parts = text.split(':');
    let mut part = || parts.next().unwrap();
    let (depth, media) = (part().parse().unwrap(), part().to_owned());
    let leaf = parts.next().map(|octets| {
        (
            octets.parse().unwrap(),
            parts.next().unwrap().parse().unwrap(),
        )
    });
    Node { depth, media, leaf }
}

/// Walks both trees and explains each difference that is one of shape.
fn align(message: &[u8], scanned: &Scanned, theirs: &Tree, found: &mut Vec<Kind>) -> bool {
    let ours = of_us(message, scanned);
    let past = |tree: &Tree, at: usize| {
        let depth = tree[at].depth;
        (at + 1..tree.len())
            .find(|&next| tree[next].depth <= depth)
            .unwrap_or(tree.len())
    };
    let (mut i, mut j) = (0, 0);
    while let Some(us) = ours.get(i) {
        let empty = us.leaf == Some((0, 0)) && us.media == "text/plain" && us.depth > 0;
        let Some(them) = theirs.get(j) else {
            if !empty {
                return false;
            }
            found.push(Kind::EmptyPart);
            i += 1;
            continue;
        };
        if us == them {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let node = &scanned.structure.nodes()[i];
        let is_message = matches!(them.media.as_str(), "message/rfc822" | "message/global");
        let alike = us.depth == them.depth && us.media == them.media;
        let kind = if us.depth == them.depth && us.media == "application/octet-stream" && is_message
        {
            Kind::EncodedMessage
        } else if us.depth == them.depth
            && us.leaf.is_some()
            && [us, them]
                .iter()
                .all(|node| node.media.starts_with("message/"))
        {
            Kind::OtherMessageTypes
        } else if us.depth == them.depth && us.leaf == them.leaf && us.leaf.is_some() {
            if us.media == "text/plain" && them.media.starts_with("multipart/") {
                Kind::NoBoundary
            } else {
                Kind::TypeSyntax
            }
        } else if alike
            && them.leaf.is_some()
            && us.leaf.is_none()
            && ours[i + 1].leaf == Some(digest(node.body.of(message)))
        {
            Kind::NoDelimiter
        } else if alike
            && node.body.end == scanned.size
            && us.leaf.is_some()
            && them.leaf == Some(digest(chomp(node.body.of(message))))
        {
            Kind::LastLineEnd
        } else if empty {
            found.push(Kind::EmptyPart);
            i += 1;
            continue;
        } else {
            return false;
        };
        found.push(kind);
        (i, j) = (past(&ours, i), past(theirs, j));
    }
    j == theirs.len()
}

fn chomp(body: &[u8]) -> &[u8] {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    body.strip_suffix(b"\r").unwrap_or(body)
}

/// What in a message is known to be read differently by the other parser.
fn oddity(message: &[u8], scanned: &Scanned, python: bool) -> Option<Kind> {
    let odd = Odd::new(message, scanned);
    let kinds = [
        (Kind::BareCr, python && odd.bare_cr()),
        (Kind::NoField, odd.no_field()),
        (Kind::SpaceLine, odd.space_line()),
        (Kind::FoldedBoundary, odd.folded_boundary()),
        (Kind::SameBoundary, odd.same_boundary()),
        (Kind::RepeatedType, !python && odd.repeated_type()),
        (Kind::LongerLine, !python && odd.longer_line()),
        (Kind::MidLine, !python && odd.mid_line()),
        (Kind::LeftOpen, odd.left_open()),
        (Kind::NoBlankLine, odd.no_blank_line()),
        (Kind::DashesInBoundary, !python && odd.dashes_in_boundary()),
    ];
    kinds
        .into_iter()
        .find_map(|(kind, applies)| applies.then_some(kind))
}

/// A message, looked at for what is odd in it.
struct Odd<'a> {
    message: &'a [u8],
    nodes: &'a [mail::Node],
    boundaries: Vec<(&'a mail::Node, &'a [u8])>,
}

impl<'a> Odd<'a> {
    fn new(message: &'a [u8], scanned: &'a Scanned) -> Self {
        let nodes = scanned.structure.nodes();
        let multiparts = nodes
            .iter()
            .filter(|node| node.kind == mail::Kind::Multipart);
        let boundaries = multiparts
            .filter_map(|node| Some((node, node.content.param(b"boundary")?.trim_ascii_end())))
            .collect();
        Self {
            message,
            nodes,
            boundaries,
        }
    }

    fn header_lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.nodes.iter().map(|node| node.header.of(self.message));
        headers.flat_map(|header| header.split_inclusive(|&byte| byte == b'\n'))
    }

    /// What follows the delimiter in a line that begins with one: dashes and space of a delimiter line not counted.
    fn after_delimiter(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let line = line.trim_ascii_end().strip_prefix(b"--")?;
        let exact =
            |boundary: &&[u8]| line == *boundary || line.strip_suffix(b"--") == Some(boundary);
        let mut boundaries = self.boundaries.iter().map(|(_, boundary)| *boundary);
        if boundaries.clone().any(|boundary| exact(&boundary)) {
            return Some(b"");
        }
        boundaries.find_map(|boundary| line.strip_prefix(boundary))
    }

    fn bare_cr(&self) -> bool {
        let next = self.message.iter().skip(1).chain([&0]);
        self.message
            .iter()
            .zip(next)
            .any(|(&byte, &next)| byte == b'\r' && next != b'\n')
    }

    fn no_field(&self) -> bool {
        let is_field = |line: &[u8]| {
            let name = line
                .iter()
                .take_while(|&&b| b > b' ' && b < 0x7f && b != b':')
                .count();
            matches!(line, [b' ' | b'\t', ..] | b"\n" | b"\r\n")
                || (name > 0 && line.get(name) == Some(&b':'))
        };
        let headless = |node: &mail::Node| node.header.is_empty() && !node.body.is_empty();
        !self.header_lines().all(is_field) || self.nodes.iter().any(headless)
    }

    fn space_line(&self) -> bool {
        self.header_lines()
            .any(|line| matches!(line, [b' ' | b'\t', ..]) && line.trim_ascii().is_empty())
    }

    fn folded_boundary(&self) -> bool {
        let stands = |node: &mail::Node, boundary| contains(node.header.of(self.message), boundary);
        self.boundaries
            .iter()
            .any(|(node, boundary)| !stands(node, boundary))
    }

    fn same_boundary(&self) -> bool {
        let mut sorted: Vec<_> = self
            .boundaries
            .iter()
            .map(|(_, boundary)| boundary)
            .collect();
        sorted.sort_unstable();
        sorted.windows(2).any(|pair| pair[0] == pair[1])
    }

    fn repeated_type(&self) -> bool {
        self.nodes.iter().any(|node| {
            let header = mail::fields(node.header.of(self.message));
            header.filter(|field| field.is(b"content-type")).count() > 1
        })
    }

    fn longer_line(&self) -> bool {
        let mut lines = self.message.split(|&byte| byte == b'\n');
        lines.any(|line| {
            self.after_delimiter(line)
                .is_some_and(|more| !more.is_empty())
        })
    }

    fn mid_line(&self) -> bool {
        self.boundaries.iter().any(|(_, boundary)| {
            let delimiter = [b"--", *boundary].concat();
            let mut lines = self.message.split(|&byte| byte == b'\n');
            lines.any(|line| contains(line.get(1..).unwrap_or_default(), &delimiter))
        })
    }

    fn left_open(&self) -> bool {
        self.boundaries.iter().any(|(node, boundary)| {
            !contains(
                node.body.of(self.message),
                &[b"--", *boundary, b"--"].concat(),
            )
        })
    }

    fn no_blank_line(&self) -> bool {
        self.nodes.iter().any(|node| {
            let header = node.header.of(self.message);
            !(matches!(header, b"\n" | b"\r\n")
                || header.ends_with(b"\n\n")
                || header.ends_with(b"\n\r\n"))
        })
    }

    fn dashes_in_boundary(&self) -> bool {
        self.boundaries
            .iter()
            .any(|(_, boundary)| contains(boundary, b"--"))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// Messages made by the generators, the same in each run.
fn made() -> Vec<Sample> {
    let mut runner = TestRunner::deterministic();
    let mut messages = Vec::new();
    for number in 0..500 {
        let bytes = any_message().new_tree(&mut runner).unwrap().current().bytes;
        messages.push(Sample {
            name: format!("generated {number}"),
            bytes,
        });
        let bytes = mutated().new_tree(&mut runner).unwrap().current();
        messages.push(Sample {
            name: format!("mutated {number}"),
            bytes,
        });
    }
    messages
}

/// Compares all messages and counts the kinds of difference; one without a kind fails, and so do fewer than `same_min` messages without
/// any: a kind that excuses everything would show.
fn compare(
    name: &str,
    python: bool,
    same_min: usize,
    messages: &[Sample],
    theirs: &[Option<Tree>],
) {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let (mut same, mut unknown) = (0, Vec::new());
    for (message, theirs) in messages.iter().zip(theirs) {
        let scanned = scan(&message.bytes);
        let mut kinds = Vec::new();
        match theirs {
            None => kinds.push(Kind::Panics),
            Some(theirs) if !align(&message.bytes, &scanned, theirs, &mut kinds) => {
                match oddity(&message.bytes, &scanned, python) {
                    Some(kind) => kinds = vec![kind],
                    None => unknown.push((&message.name, of_us(&message.bytes, &scanned), theirs)),
                }
            }
            Some(_) => {}
        }
        same += usize::from(kinds.is_empty());
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *counts.entry(kind).or_default() += 1;
        }
    }
    eprintln!(
        "{name}: {} messages, {same} the same; messages by kind of difference: {counts:?}",
        messages.len()
    );
    for (name, ours, theirs) in &unknown {
        eprintln!(
            "{name}\n   ours   {}\n   theirs {}",
            shown(ours),
            shown(theirs)
        );
    }
    assert!(
        unknown.is_empty(),
        "{} differences of no known kind",
        unknown.len()
    );
    assert!(same >= same_min, "only {same} are alike");
}

fn shown(tree: &Tree) -> String {
    let node = |node: &Node| match node.leaf {
        Some((octets, _)) => format!("{}:{}:{octets}", node.depth, node.media),
        None => format!("{}:{}", node.depth, node.media),
    };
    tree.iter().map(node).collect::<Vec<_>>().join(" ")
}

#[test]
fn mail_parser_sees_the_same_parts_in_generated_messages() {
    let messages = made();
    let theirs: Vec<_> = messages
        .iter()
        .map(|message| of_mail_parser(&message.bytes))
        .collect();
    compare("mail-parser, generated", false, 400, &messages, &theirs);
}

#[test]
fn mail_parser_sees_the_same_parts_in_the_samples() {
    let Some(messages) = samples("mail_parser_sees_the_same_parts_in_the_samples") else {
        return;
    };
    let theirs: Vec<_> = messages
        .iter()
        .map(|message| of_mail_parser(&message.bytes))
        .collect();
    compare(
        "mail-parser, samples",
        false,
        messages.len() * 9 / 10,
        &messages,
        &theirs,
    );
}

#[test]
fn python_sees_the_same_parts_in_generated_messages() {
    const TEST: &str = "python_sees_the_same_parts_in_generated_messages";
    let messages = made();
    let Some(theirs) = of_python(TEST, &messages) else {
        return;
    };
    compare(
        "Python, generated",
        true,
        300,
        &messages,
        &theirs.into_iter().map(Some).collect::<Vec<_>>(),
    );
}

#[test]
fn python_sees_the_same_parts_in_the_samples() {
    const TEST: &str = "python_sees_the_same_parts_in_the_samples";
    let Some(messages) = samples(TEST) else {
        return;
    };
    let Some(theirs) = of_python(TEST, &messages) else {
        return;
    };
    compare(
        "Python, samples",
        true,
        messages.len() * 8 / 10,
        &messages,
        &theirs.into_iter().map(Some).collect::<Vec<_>>(),
    );
}

#[test]
fn every_kind_of_difference_is_explained_in_the_design_notes() {
    let notes = include_str!("../../../../docs/design/mime.md");
    let source = include_str!("second_opinion.rs");
    let (_, kinds) = source.split_once("enum Kind {").unwrap();
    let (kinds, _) = kinds.split_once("\n}").unwrap();
    let names = kinds
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let names: Vec<_> = names.filter_map(|line| line.strip_suffix(',')).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(notes.contains(&format!("| {name} |")), "{name}");
    }
}
