//! Messages made from a known tree, and messages made from those by harm.

use dbmail_core::mail::{Kind, Scanned};
use proptest::collection::vec;
use proptest::prelude::*;

/// A part, before it has a boundary and line ends.
#[derive(Debug, Clone)]
enum Part {
    Leaf {
        header: String,
        body: Vec<String>,
    },
    Multipart {
        subtype: &'static str,
        preamble: Vec<String>,
        parts: Vec<Self>,
        epilogue: Option<Vec<String>>,
    },
    Message {
        header: String,
        message: Box<Self>,
    },
}

/// A message and the tree it was made from.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// As [`shape`] writes it.
    pub(crate) shape: String,
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    vec(
        prop_oneof![
            4 => "[ -~]{0,12}",
            1 => Just(String::new()),
            1 => Just("--".to_owned()),
            1 => Just("--x-".to_owned()),
            1 => Just("--x1.1.9".to_owned()),
            1 => Just("-".to_owned()),
            1 => Just("\u{e4}\u{0}\r ".to_owned()),
        ],
        0..4,
    )
}

fn fields() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            Just("Subject: =?utf-8?q?a?= b"),
            Just("X-Long: one\n\ttwo\n three"),
            Just("From: \"A B\" <a@b>, G: c@d;, (x) e@f"),
            Just("To : a@b"),
            Just(
                "content-disposition: attachment; filename*0*=utf-8''%41; filename*1=\"b \\\" c\""
            ),
            Just("Content-Language: en, de"),
            Just("Content-ID: <1@x>"),
            Just("Content-Description: \u{e4} text"),
            Just("Content-Transfer-Encoding: 8bit"),
            Just("X: \u{0}"),
        ],
        0..4,
    )
    .prop_map(|fields| {
        fields
            .into_iter()
            .map(|field| format!("{field}\n"))
            .collect()
    })
}

fn leaf() -> impl Strategy<Value = Part> {
    let types = prop_oneof![
        Just("Content-Type: text/plain; charset=utf-8\n"),
        Just("Content-Type: application/pdf;\n\tname=\"x.pdf\"\n"),
        Just("Content-Type: text/html; x=y (comment)\n"),
        Just("Content-Type: message/delivery-status\n"),
    ];
    (types, fields(), lines()).prop_map(|(media, fields, body)| Part::Leaf {
        header: format!("{media}{fields}"),
        body,
    })
}

fn part() -> impl Strategy<Value = Part> {
    leaf().prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            3 => (
                prop_oneof![Just("mixed"), Just("alternative"), Just("digest"), Just("signed")],
                lines(),
                vec(inner.clone(), 1..4),
                proptest::option::of(lines()),
            )
                .prop_map(|(subtype, preamble, parts, epilogue)| Part::Multipart {
                    subtype, preamble, parts, epilogue
                }),
            1 => (fields(), inner)
                .prop_map(|(header, message)| Part::Message { header, message: Box::new(message) }),
        ]
    })
}

/// A well-formed message with LF or CRLF line ends; each boundary begins with that of the part around it.
pub(crate) fn any_message() -> impl Strategy<Value = Made> {
    (part(), any::<bool>()).prop_map(|(part, crlf)| {
        let (mut text, mut shape) = (String::new(), String::new());
        write(&part, "x1", &mut text, &mut shape);
        let text = if crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        };
        Made {
            bytes: text.into_bytes(),
            shape,
        }
    })
}

fn write(part: &Part, boundary: &str, text: &mut String, shape: &mut String) {
    match part {
        Part::Leaf { header, body } => {
            text.push_str(&format!("{header}\n{}", body.join("\n")));
            shape.push_str(header.split([' ', ';', '\n']).nth(1).unwrap_or_default());
            shape.push(' ');
        }
        Part::Message { header, message } => {
            text.push_str(&format!("Content-Type: message/rfc822\n{header}\n"));
            shape.push_str("message/rfc822 ( ");
            write(message, boundary, text, shape);
            shape.push_str(") ");
        }
        Part::Multipart {
            subtype,
            preamble,
            parts,
            epilogue,
        } => {
            text.push_str(&format!(
                "Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\n\n"
            ));
            shape.push_str(&format!("multipart/{subtype} ( "));
            for line in preamble {
                text.push_str(&format!("{line}\n"));
            }
            for (number, part) in parts.iter().enumerate() {
                text.push_str(if number == 0 { "" } else { "\n" });
                text.push_str(&format!(
                    "--{boundary}{}\n",
                    if number % 2 == 1 { " \t" } else { "" }
                ));
                write(part, &format!("{boundary}.{}", number + 1), text, shape);
            }
            if let Some(epilogue) = epilogue {
                text.push_str(&format!("\n--{boundary}--"));
                for line in epilogue {
                    text.push_str(&format!("\n{line}"));
                }
            }
            shape.push_str(") ");
        }
    }
}

/// The tree of types, children in parentheses.
pub(crate) fn shape(scanned: &Scanned) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for node in scanned.structure.nodes() {
        close(&mut out, &mut depth, node.depth);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
        out.push_str(&format!(
            "{}/{} ",
            text(&node.content.media),
            text(&node.content.subtype)
        ));
        if node.kind != Kind::Leaf {
            out.push_str("( ");
            depth += 1;
        }
    }
    close(&mut out, &mut depth, 0);
    out
}

fn close(out: &mut String, depth: &mut u32, to: u32) {
    while *depth > to {
        out.push_str(") ");
        *depth -= 1;
    }
}

/// A message with bytes lost, doubled, moved or replaced.
pub(crate) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let harm = (0..6u8, any::<usize>(), 0..60usize, any::<usize>());
    (any_message(), vec(harm, 1..6)).prop_map(|(made, harms)| {
        let mut bytes = made.bytes;
        for (kind, at, len, other) in harms {
            let at = at % (bytes.len() + 1);
            let end = (at + len).min(bytes.len());
            let other = other % (bytes.len() + 1);
            match kind {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(other..other, piece);
                }
                2 => drop(bytes.splice(at..at, *b"\n--")),
                3 => drop(bytes.splice(at..at, *b"\r\n\r\n")),
                4 => bytes.truncate(end),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = (other & 0xff) as u8;
                    }
                }
            }
        }
        bytes
    })
}
