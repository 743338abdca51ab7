//! What holds for every message, well-formed or not.

use dbmail_core::mail::{
    Envelope, Event, Kind, Located, Scanned, Scanner, Section, SectionText, Span, Structure, find,
    for_each_part, locate, scan, write_body_structure, write_envelope,
};
use proptest::prelude::*;

use crate::client;
use crate::generate::{any_message, mutated};

/// Asserts all laws. `cuts` are lengths of slices, used in turn.
pub(crate) fn hold(message: &[u8], cuts: &[usize]) -> Scanned {
    let scanned = scan(message);
    tiles(message, &scanned);
    assert_eq!(
        in_slices(message, cuts),
        scanned,
        "another slicing gave another result"
    );
    compact_forms(&scanned);
    sections(&scanned);
    scanned
}

/// The spans cover the message once and in order.
fn tiles(message: &[u8], scanned: &Scanned) {
    let size = message.len() as u64;
    let nodes = scanned.structure.nodes();
    let root = &nodes[0];
    assert_eq!(
        (scanned.size, root.header.start, root.body.end),
        (size, 0, size)
    );
    assert_eq!(scanned.header, root.header);
    let line_feeds = |span: Span| span.of(message).iter().filter(|&&b| b == b'\n').count() as u64;
    assert_eq!(scanned.lines, line_feeds(Span::new(0, size)));
    let mut leaves = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.header.end, node.body.start);
        assert!(node.header.start <= node.header.end && node.body.start <= node.body.end);
        assert_eq!(node.lines, line_feeds(node.body), "lines of node {index}");
        let children: Vec<_> = scanned
            .structure
            .children(index)
            .map(|at| &nodes[at])
            .collect();
        match node.kind {
            Kind::Leaf => {
                assert!(children.is_empty());
                leaves.push(node.body);
            }
            Kind::Message => {
                assert_eq!(children.len(), 1);
                assert_eq!(children[0].header.start, node.body.start);
                assert_eq!(children[0].body.end, node.body.end);
                assert!(children[0].envelope.is_some());
            }
            Kind::Multipart => {
                let whole = |child: &Span| *child == node.body;
                if children.len() == 1 && children[0].header.is_empty() && whole(&children[0].body)
                {
                    // A multipart without a delimiter: its text is a part, but no leaf that the scan told of.
                    leaves.retain(|leaf| leaf != &node.body);
                    leaves.push(node.body);
                    continue;
                }
                let mut at = node.body.start;
                for (number, child) in children.iter().enumerate() {
                    let gap = Span::new(at, child.header.start).of(message);
                    delimiter(gap, number == 0);
                    assert!(child.header.start > at, "no delimiter before part {number}");
                    at = child.body.end;
                }
                assert!(at <= node.body.end);
            }
        }
    }
    told(scanned, &nodes_leaves(&scanned.structure));
}

/// What stands before a child ends with one delimiter line.
fn delimiter(gap: &[u8], first: bool) {
    let line_start = |end: usize| {
        gap[..end]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1)
    };
    let content = if gap.ends_with(b"\n") {
        gap.len() - 1
    } else {
        gap.len()
    };
    let start = line_start(content);
    assert!(
        gap[start..].starts_with(b"--"),
        "{:?}",
        String::from_utf8_lossy(gap)
    );
    if !first {
        assert!(
            matches!(&gap[..start], b"" | b"\n" | b"\r\n"),
            "{:?}",
            String::from_utf8_lossy(gap)
        );
    }
}

/// Bodies of the leaves, without the text that stands for a multipart that has no delimiter.
fn nodes_leaves(structure: &Structure) -> Vec<Span> {
    let nodes = structure.nodes();
    let mut leaves = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if node.kind == Kind::Leaf {
            let stands_for_parent = index > 0 && {
                let parent = &nodes[index - 1];
                parent.kind == Kind::Multipart
                    && parent.depth + 1 == node.depth
                    && node.header.is_empty()
                    && parent.body == node.body
            };
            if !stands_for_parent {
                leaves.push(node.body);
            }
        }
    }
    leaves
}

/// The events told the leaves.
fn told(scanned: &Scanned, leaves: &[Span]) {
    assert_eq!(scanned.leaves, leaves);
    let events: Vec<_> = leaves
        .iter()
        .flat_map(|leaf| {
            [
                Event::LeafStart { at: leaf.start },
                Event::LeafEnd { at: leaf.end },
            ]
        })
        .collect();
    assert_eq!(scanned.events, events);
}

/// Scans in slices, fetching events on the way: none names an offset that was settled before.
fn in_slices(message: &[u8], cuts: &[usize]) -> Scanned {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    let mut settled = 0;
    let mut fed = 0;
    let mut cuts = cuts.iter().copied().cycle();
    let mut rest = message;
    let mut fetch = |new: Vec<Event>, settled: u64| {
        for event in &new {
            let (Event::LeafStart { at } | Event::LeafEnd { at }) = *event;
            assert!(at >= settled, "{event:?} after {settled} was settled");
        }
        events.extend(new);
    };
    while !rest.is_empty() {
        let (slice, after) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
        scanner.feed(slice);
        rest = after;
        fed += slice.len() as u64;
        fetch(scanner.events().collect(), settled);
        let now = scanner.settled();
        assert!(
            now >= settled && now <= fed,
            "settled went from {settled} to {now} of {fed}"
        );
        assert!(fed - now <= 1_002, "{} bytes are held back", fed - now);
        settled = now;
    }
    let mut scanned = scanner.finish();
    fetch(std::mem::take(&mut scanned.events), settled);
    scanned.events = events;
    scanned
}

/// Compact forms decode to what was encoded, and are written as legal syntax.
fn compact_forms(scanned: &Scanned) {
    let envelope = scanned.envelope.encode();
    assert_eq!(Envelope::decode(&envelope).as_ref(), Ok(&scanned.envelope));
    let mut out = Vec::new();
    write_envelope(&envelope, &mut out).unwrap();
    assert_eq!(client::read(&out).list().len(), 10);
    let structure = scanned.structure.encode();
    assert_eq!(
        Structure::decode(&structure).as_ref(),
        Ok(&scanned.structure)
    );
}

/// Every part that BODYSTRUCTURE names is found, as long as it says.
fn sections(scanned: &Scanned) {
    let structure = &scanned.structure;
    let compact = structure.encode();
    for extended in [false, true] {
        let mut out = Vec::new();
        write_body_structure(&compact, extended, &mut out).unwrap();
        let parts = client::parts(&client::read(&out));
        let mut numbered = Vec::new();
        for_each_part(structure, |path, index| {
            assert_eq!(find(structure, path), Some(index));
            numbered.push(path.to_vec());
        });
        assert_eq!(
            parts
                .iter()
                .map(|part| part.path.clone())
                .collect::<Vec<_>>(),
            numbered
        );
        for part in parts {
            let of = |text| {
                locate(
                    structure,
                    &Section {
                        part: part.path.clone(),
                        text,
                    },
                )
            };
            let body = span(of(None));
            assert!(body.end <= scanned.size);
            if let Some(octets) = part.octets {
                assert_eq!(body.len(), octets, "octets of {:?}", part.path);
            }
            assert_eq!(span(of(Some(SectionText::Mime))).end, body.start);
            let (header, text) = (of(Some(SectionText::Header)), of(Some(SectionText::Text)));
            if part.message {
                let (header, text) = (span(header), span(text));
                assert_eq!(
                    (header.start, header.end, text.end),
                    (body.start, text.start, body.end)
                );
            } else {
                assert_eq!((header, text), (None, None));
            }
            let beyond = [part.path.as_slice(), &[1_000_000]].concat();
            assert_eq!(find(structure, &beyond), None);
        }
    }
    let whole = locate(
        structure,
        &Section {
            part: vec![],
            text: None,
        },
    );
    assert_eq!(span(whole), Span::new(0, scanned.size));
    assert_eq!(find(structure, &[0]), None);
}

/// No child reaches beyond its parent or before the child before it.
fn nests(structure: &Structure) {
    for (index, node) in structure.nodes().iter().enumerate() {
        let mut at = node.body.start;
        for child in structure
            .children(index)
            .map(|child| &structure.nodes()[child])
        {
            assert!(at <= child.header.start && child.body.end <= node.body.end);
            at = child.body.end;
        }
    }
}

fn span(located: Option<Located>) -> Span {
    located.expect("a part that BODYSTRUCTURE names").span
}

#[test]
fn the_laws_hold_around_the_length_at_which_a_line_can_be_no_delimiter() {
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for length in [996, 997, 998, 999, 1_000, 1_001, 1_002, 1_003, 3_000] {
        let padded = format!("--b{}", " ".repeat(length - 3));
        let long = |start: &str| format!("{start}{}", "x".repeat(length - start.len()));
        let messages = [
            format!("{multipart}--b\r\n\r\none\r\n{padded}\r\n\r\ntwo\r\n--b--"),
            format!("{multipart}{padded}"),
            format!(
                "{multipart}--b\r\n{padded}\r\n--b\r\n\r\n{}\r\n--b--",
                long("--")
            ),
            format!("{multipart}--b\r\n{}\r\n\r\nx\r\n--b--\r\n", long("A: ")),
            format!("{multipart}--b\r\n{}\r\n--b--\r\n", long("no field ")),
            format!("{}\r\nA: b\r\n\r\n", long("")),
            format!(
                "{}\r\n folded\r\n{multipart}--b\r\n\r\nx\r\n--b--",
                long("Subject: ")
            ),
        ];
        for message in &messages {
            for cuts in [&[1][..], &[7], &[999], &[1_000], &[1_001], &[2, 500, 3]] {
                hold(message.as_bytes(), cuts);
            }
        }
        // The line's end counts towards the limit.
        let parts = scan(messages[0].as_bytes()).leaves.len();
        assert_eq!(
            parts,
            if length <= 998 { 2 } else { 1 },
            "a delimiter of {length} bytes"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_laws_hold_for_generated_messages(
        message in any_message(),
        cuts in proptest::collection::vec(1usize..40, 1..8),
    ) {
        let scanned = hold(&message.bytes, &cuts);
        prop_assert_eq!(crate::generate::shape(&scanned), message.shape);
    }

    #[test]
    fn the_laws_hold_for_mutated_messages(
        message in mutated(),
        cuts in proptest::collection::vec(1usize..40, 1..8),
    ) {
        hold(&message, &cuts);
    }

    #[test]
    fn the_laws_hold_for_any_bytes(bytes: Vec<u8>, cuts in proptest::collection::vec(1usize..9, 1..4)) {
        hold(&bytes, &cuts);
    }

    #[test]
    fn damaged_compact_forms_never_panic(message in any_message(), at: usize, byte: u8, cut: usize) {
        let scanned = scan(&message.bytes);
        for mut compact in [scanned.structure.encode(), scanned.envelope.encode()] {
            let len = compact.len();
            compact[at % len] = byte;
            compact.truncate(len - (cut % len) / 4);
            let mut out = Vec::new();
            let structure = Structure::decode(&compact);
            prop_assert_eq!(structure.is_ok(), write_body_structure(&compact, true, &mut out).is_ok());
            if let Ok(structure) = structure {
                nests(&structure);
                client::read(&out);
                prop_assert_eq!(structure.encode(), compact);
            } else {
                prop_assert!(out.is_empty());
                if write_envelope(&compact, &mut out).is_ok() {
                    client::read(&out);
                }
            }
        }
    }
}
