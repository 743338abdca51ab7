//! What servers may say: `abnf/imap-replies.abnf`, `abnf/lmtp-replies.abnf`, and a [`Listener`] that holds a connection to one of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::abnf::{ByHand, Grammar, Narrowed, Prose, Tape};

const IMAP_PROSE: Prose = Prose {
    narrowed: &[
        Narrowed {
            rule: "number",
            holds: |text| is_at_most(text, u32::MAX.into()),
            examples: &["0", "4294967295"],
        },
        Narrowed {
            rule: "nz-number",
            holds: |text| is_at_most(text, u32::MAX.into()),
            examples: &["1", "4294967295"],
        },
        Narrowed {
            rule: "number64",
            holds: |text| is_at_most(text, i64::MAX.cast_unsigned()),
            examples: &["0", "9223372036854775807"],
        },
        Narrowed {
            rule: "mod-sequence-value",
            holds: |text| is_at_most(text, i64::MAX.cast_unsigned()),
            examples: &["1", "9223372036854775807"],
        },
        Narrowed {
            rule: "media-basic",
            holds: is_basic,
            examples: &["\"APPLICATION\" \"OCTET-STREAM\""],
        },
    ],
    by_hand: &[
        ByHand {
            rule: "literal",
            make: |tape, out| make_literal("", tape, out),
            sizes: |octets| literal_size("", octets).into_iter().collect(),
        },
        ByHand {
            rule: "literal8",
            make: |tape, out| make_literal("~", tape, out),
            sizes: |octets| literal_size("~", octets).into_iter().collect(),
        },
    ],
};

const LMTP_PROSE: Prose = Prose {
    narrowed: &[
        Narrowed {
            rule: "positive",
            holds: has_one_code,
            examples: &["250-2.1.0 a\r\n250 2.1.0 b\r\n"],
        },
        Narrowed {
            rule: "transient",
            holds: has_one_code,
            examples: &["450-4.2.1 a\r\n450 4.2.1 b\r\n"],
        },
        Narrowed {
            rule: "permanent",
            holds: has_one_code,
            examples: &["550-5.1.1 a\r\n550 5.1.1 b\r\n"],
        },
    ],
    by_hand: &[],
};

fn is_at_most(digits: &[u8], bound: u64) -> bool {
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    number.is_some_and(|number: u64| number <= bound)
}

/// A text has lines, a message its parts: they have no basic form.
fn is_basic(media: &[u8]) -> bool {
    let media = media.to_ascii_lowercase();
    !media.starts_with(b"\"text\" ")
        && !matches!(
            media.as_slice(),
            b"\"message\" \"rfc822\"" | b"\"message\" \"global\""
        )
}

/// `"{" number "}" CRLF *OCTET`, with as many octets as are said. NUL is only in a literal8.
fn make_literal(sign: &str, tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    let size = tape.choose(8);
    out.extend_from_slice(format!("{sign}{{{size}}}\r\n").as_bytes());
    for _ in 0..size {
        out.push(u8::try_from(1 + tape.choose(255)).unwrap_or(1));
    }
}

fn literal_size(sign: &str, octets: &[u8]) -> Option<usize> {
    let rest = octets.strip_prefix(sign.as_bytes())?.strip_prefix(b"{")?;
    let close = rest.iter().position(|octet| *octet == b'}')?;
    let (digits, rest) = rest.split_at_checked(close)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let rest = rest.strip_prefix(b"}\r\n")?;
    let content = rest.get(..size)?;
    (!sign.is_empty() || !content.contains(&0)).then_some(octets.len() - rest.len() + size)
}

/// A grammar of replies.
#[derive(Debug)]
pub struct Replies {
    grammar: Grammar,
    start: &'static str,
    /// How many octets the first reply has, when it is whole.
    size: fn(&[u8]) -> Option<usize>,
}

static IMAP: LazyLock<Result<Replies, String>> = LazyLock::new(|| {
    Ok(Replies {
        grammar: Grammar::read(&[include_str!("../abnf/imap-replies.abnf")], IMAP_PROSE)?,
        start: "response",
        size: response_size,
    })
});

static LMTP: LazyLock<Result<Replies, String>> = LazyLock::new(|| {
    Ok(Replies {
        grammar: Grammar::read(&[include_str!("../abnf/lmtp-replies.abnf")], LMTP_PROSE)?,
        start: "reply",
        size: reply_size,
    })
});

/// The responses of IMAP.
///
/// # Panics
/// When the file is not what it should be.
#[must_use]
#[expect(clippy::panic, reason = "only tests and fuzzers come here")]
pub fn imap() -> &'static Replies {
    IMAP.as_ref()
        .unwrap_or_else(|error| panic!("imap-replies.abnf: {error}"))
}

/// The replies of LMTP.
///
/// # Panics
/// When the file is not what it should be.
#[must_use]
#[expect(clippy::panic, reason = "only tests and fuzzers come here")]
pub fn lmtp() -> &'static Replies {
    LMTP.as_ref()
        .unwrap_or_else(|error| panic!("lmtp-replies.abnf: {error}"))
}

/// The octets up to and with the first line end.
fn line_size(octets: &[u8]) -> Option<usize> {
    let at = octets.windows(2).position(|pair| pair == b"\r\n")?;
    Some(at + 2)
}

/// A line, and where it ends in the size of a literal, that and what follows it. In a status response's text such a size is a text.
fn response_size(octets: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let rest = octets.get(end..)?;
        let line = rest.get(..line_size(rest)?)?;
        end += line.len();
        match announced(line) {
            Some(size) if !(end == line.len() && is_status(line)) => end = end.checked_add(size)?,
            _ => return Some(end),
        }
    }
}

/// The size of the literal that a line announces.
fn announced(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(line.get(open + 1..)?)
        .ok()?
        .parse()
        .ok()
}

/// Whether a line is a status response or a continuation, which have no literals.
fn is_status(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |octet| *octet == b' ');
    let (first, second) = (words.next(), words.next().unwrap_or_default());
    let conditions: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
    first != Some(b"*")
        || conditions
            .iter()
            .any(|word| second.eq_ignore_ascii_case(word))
}

/// Lines, up to one whose code is not followed by a hyphen.
fn reply_size(octets: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let rest = octets.get(end..)?;
        end += line_size(rest)?;
        if rest.get(3) != Some(&b'-') {
            return Some(end);
        }
    }
}

/// All lines of a reply have the same code (RFC 5321 §4.2.1).
fn has_one_code(reply: &[u8]) -> bool {
    let mut lines = reply.split_inclusive(|octet| *octet == b'\n');
    lines.all(|line| line.get(..3) == reply.get(..3))
}

impl Replies {
    /// A sentence from these choices, and the rules that went into it.
    #[must_use]
    pub fn sentence(&self, tape: &[u8]) -> (Vec<u8>, BTreeSet<String>) {
        self.grammar.sentence(self.start, tape)
    }

    /// Whether octets are one whole reply.
    #[must_use]
    pub fn recognises(&self, octets: &[u8]) -> bool {
        self.grammar.recognises(self.start, octets)
    }

    /// How many octets the first reply has, when it is whole.
    #[must_use]
    pub fn size(&self, octets: &[u8]) -> Option<usize> {
        (self.size)(octets)
    }
}

/// Hears what a server says on a connection, in whatever pieces, and looks at each reply once it is whole.
#[derive(Debug)]
pub struct Listener {
    replies: &'static Replies,
    /// What has come of a reply that is not whole.
    begun: Vec<u8>,
    /// Short replies that were right: many are said again and again.
    known: BTreeSet<Vec<u8>>,
}

/// Replies up to so many octets are remembered, and so many of them: what repeats is short.
const KNOWN_BYTES_MAX: usize = 200;
const KNOWN_MAX: usize = 1_000;

impl Listener {
    /// At the beginning of a connection.
    #[must_use]
    pub const fn new(replies: &'static Replies) -> Self {
        Self {
            replies,
            begun: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// The next octets.
    ///
    /// # Panics
    /// When a reply is whole and none that the grammar knows.
    pub fn hear(&mut self, octets: &[u8]) {
        self.begun.extend_from_slice(octets);
        let mut start = 0;
        while let Some(rest) = self.begun.get(start..)
            && let Some(size) = self.replies.size(rest)
        {
            let reply = rest.get(..size).unwrap_or_default();
            if !self.known.contains(reply) {
                assert!(
                    self.replies.recognises(reply),
                    "the grammar of replies refuses {}",
                    reply.escape_ascii()
                );
                if size <= KNOWN_BYTES_MAX && self.known.len() < KNOWN_MAX {
                    self.known.insert(reply.to_vec());
                }
            }
            start += size;
        }
        self.begun.drain(..start);
    }
}

#[cfg(test)]
mod tests;
