//! IMAP's grammar as served: `grammar/abnf/imap.abnf` and what it says in prose; and what lexer and parser make of octets, for comparison.

use dbmail_core::imap::command::Command;
use dbmail_core::imap::grammar;
use dbmail_core::imap::lexer::{Lexed, Lexer};

use dbmail_grammar::abnf::{ByHand, Grammar, Narrowed, Prose, Tape};

/// The rules.
pub const ABNF: &str = include_str!("../grammar/abnf/imap.abnf");

const PROSE: Prose = Prose {
    narrowed: &[
        Narrowed {
            rule: "number",
            holds: is_number,
            examples: &["4294967295", "4294967289"],
        },
        Narrowed {
            rule: "nz-number",
            holds: is_number,
            examples: &["4294967295", "4294967289"],
        },
        Narrowed {
            rule: "number64",
            holds: is_number64,
            examples: &["9223372036854775807"],
        },
        Narrowed {
            rule: "flag-keyword",
            holds: is_keyword,
            examples: &["$Forwarded", KEYWORD],
        },
        Narrowed {
            rule: "reference",
            holds: is_utf8,
            examples: &["a/", "\"\u{e4}\"", "{2}\r\n\u{e4}"],
        },
        Narrowed {
            rule: "list-mailbox",
            holds: is_utf8,
            examples: &["%", "\"\u{20ac}*\""],
        },
        Narrowed {
            rule: "search-string",
            holds: is_utf8,
            examples: &["\"a b\"", "{4+}\r\n\u{1f600}"],
        },
        Narrowed {
            rule: "charset",
            holds: is_known_charset,
            examples: &["UTF-8", "\"us-ascii\"", "{5}\r\nutf-8"],
        },
        Narrowed {
            rule: "date-text",
            holds: is_date,
            examples: &[
                "29-Feb-2024",
                "30-Apr-2023",
                "1-jan-0000",
                "31-DEC-9999",
                "29-Feb-2000",
            ],
        },
        Narrowed {
            rule: "date-time",
            holds: is_date_time,
            examples: &[
                "\" 1-Jan-2024 23:59:60 -2359\"",
                "\"29-Feb-2000 09:19:29 +1959\"",
            ],
        },
        Narrowed {
            rule: "base64",
            holds: has_no_odd_bits,
            examples: &["AGEAYg==", "AGEAYmM="],
        },
    ],
    by_hand: &[ByHand {
        rule: "literal",
        make: make_literal,
        sizes: literal_sizes,
    }],
};

/// The grammar; its start is `command`.
///
/// # Errors
/// The file is not what it should be.
pub fn grammar() -> Result<Grammar, String> {
    Grammar::read(&[ABNF], PROSE)
}

/// The longest keyword.
const KEYWORD: &str = match std::str::from_utf8(&[b'k'; 255]) {
    Ok(keyword) => keyword,
    Err(_) => "",
};

fn is_keyword(text: &[u8]) -> bool {
    text.len() <= 255
}

fn is_number(digits: &[u8]) -> bool {
    is_below(digits, 1 << 32)
}

fn is_number64(digits: &[u8]) -> bool {
    is_below(digits, 1 << 63)
}

fn is_utf8(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok()
}

fn is_below(digits: &[u8], bound: u128) -> bool {
    let significant = digits.iter().skip_while(|digit| **digit == b'0').count();
    // 38 digits fit in 128 bits.
    significant <= 38 && number(digits) < bound
}

/// The number that so few digits are, others passed over.
fn number(text: &[u8]) -> u128 {
    let digits = text.iter().filter(|octet| octet.is_ascii_digit());
    digits.fold(0, |value: u128, digit| {
        value
            .wrapping_mul(10)
            .wrapping_add(u128::from(digit - b'0'))
    })
}

fn is_known_charset(text: &[u8]) -> bool {
    let name = match text {
        [b'{', ..] => text
            .splitn(2, |octet| *octet == b'\n')
            .nth(1)
            .unwrap_or_default(),
        [b'"', inner @ .., b'"'] => inner,
        atom => atom,
    };
    let name: Vec<u8> = match text.first() {
        // An escape before a letter is no quoted string, so there is none to undo.
        Some(b'"') if name.contains(&b'\\') => Vec::new(),
        _ => name.to_ascii_uppercase(),
    };
    name == b"UTF-8" || name == b"US-ASCII"
}

/// `day-Mon-year`
fn is_date(text: &[u8]) -> bool {
    let mut pieces = text.split(|octet| *octet == b'-');
    let (Some(day), Some(month), Some(year)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return false;
    };
    let (day, year) = (number(day), number(year));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month.to_ascii_lowercase().as_slice() {
        b"feb" if leap => 29,
        b"feb" => 28,
        b"apr" | b"jun" | b"sep" | b"nov" => 30,
        _ => 31,
    };
    (1..=last).contains(&day)
}

/// `"day-Mon-year hh:mm:ss +hhmm"`; the day may begin with a space.
fn is_date_time(text: &[u8]) -> bool {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    is_date(part(1, 12))
        && number(part(13, 15)) <= 23
        && number(part(16, 18)) <= 59
        && number(part(19, 21)) <= 60
        && number(part(23, 25)) <= 23
        && number(part(25, 27)) <= 59
}

/// The bits of the last character before the padding that belong to no octet are 0 (RFC 4648 §3.5).
fn has_no_odd_bits(text: &[u8]) -> bool {
    let last = |padding: usize| {
        text.len()
            .checked_sub(padding + 1)
            .and_then(|at| text.get(at))
    };
    match text {
        [.., b'=', b'='] => last(2).is_some_and(|char| b"AQgw".contains(char)),
        [.., b'='] => last(1).is_some_and(|char| b"AEIMQUYcgkosw048".contains(char)),
        _ => true,
    }
}

/// `"{" number64 ["+"] "}" CRLF *CHAR8`, with as many octets as are said.
fn make_literal(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    let size = tape.choose(8);
    let plus = if tape.choose(2) == 1 { "+" } else { "" };
    out.extend_from_slice(format!("{{{size}{plus}}}\r\n").as_bytes());
    for _ in 0..size {
        out.push(u8::try_from(1 + tape.choose(255)).unwrap_or(1));
    }
}

/// At most one: the number decides. A number that the lexer does not look at (more than 28 digits) makes no literal.
fn literal_sizes(octets: &[u8]) -> Vec<usize> {
    let size = || {
        let rest = octets.strip_prefix(b"{")?;
        let digits = rest
            .iter()
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        let (digits, rest) = rest.split_at_checked(digits)?;
        if digits.is_empty() || digits.len() > 28 || !is_below(digits, 1 << 63) {
            return None;
        }
        let rest = rest.strip_prefix(b"+").unwrap_or(rest).strip_prefix(b"}")?;
        let rest = rest
            .strip_prefix(b"\r")
            .unwrap_or(rest)
            .strip_prefix(b"\n")?;
        let content = rest.get(..usize::try_from(number(digits)).ok()?)?;
        (!content.contains(&0)).then_some(octets.len() - rest.len() + content.len())
    };
    size().into_iter().collect()
}

/// What lexer and parser make of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// No command is whole yet.
    Incomplete,
    /// They are one command.
    Command,
    /// Something in them is refused, or more than one command is there.
    Refused,
}

/// Reads octets as a session does: an APPEND's message is streamed and may not hold NUL, other literals are kept; a charset that is not known is refused.
#[must_use]
pub fn read(octets: &[u8]) -> Reading {
    let mut lexer = Lexer::new();
    lexer.set_authenticated(true);
    let mut rest = octets;
    while !rest.is_empty() {
        let (taken, lexed) = lexer.feed(rest);
        rest = rest.get(taken..).unwrap_or_default();
        let streamed = match lexed {
            Lexed::NeedMore => return Reading::Incomplete,
            Lexed::Stream { bytes, .. } if !bytes.contains(&0) => continue,
            Lexed::Stream { .. } | Lexed::Bad { .. } | Lexed::Line(_) => return Reading::Refused,
            Lexed::Command(text) if rest.is_empty() && is_command(text) => return Reading::Command,
            Lexed::Command(_) => return Reading::Refused,
            Lexed::Literal { so_far, .. } => grammar::append_prefix(so_far),
        };
        match streamed {
            Some(Ok(_)) => lexer.stream_literal(),
            Some(Err(_)) => return Reading::Refused,
            None if lexer.accept_literal().is_err() => return Reading::Refused,
            None => {}
        }
    }
    Reading::Incomplete
}

/// The texts of commands that the lexer finds, given so many octets at a time; a command that is bad is its error. Literals are kept, or
/// streamed where an APPEND's message is.
#[must_use]
pub fn texts(octets: &[u8], slice: usize) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new();
    lexer.set_authenticated(true);
    let mut texts = Vec::new();
    for mut rest in octets.chunks(slice.max(1)) {
        while !rest.is_empty() && !lexer.is_flooded() {
            let (taken, lexed) = lexer.feed(rest);
            rest = rest.get(taken..).unwrap_or_default();
            let stream = match lexed {
                Lexed::NeedMore | Lexed::Stream { .. } => continue,
                Lexed::Command(text) | Lexed::Line(text) => {
                    texts.push(text.to_vec());
                    continue;
                }
                Lexed::Bad { error, .. } => {
                    texts.push(error.to_string().into_bytes());
                    continue;
                }
                Lexed::Literal { so_far, .. } => grammar::append_prefix(so_far).is_some(),
            };
            if stream {
                lexer.stream_literal();
            } else if let Err(error) = lexer.accept_literal() {
                texts.push(error.to_string().into_bytes());
            }
        }
    }
    texts
}

fn is_command(text: &[u8]) -> bool {
    match grammar::command(text).map(|tagged| tagged.command) {
        Ok(Command::Search(search)) => {
            matches!(search.charset.as_deref(), None | Some("UTF-8" | "US-ASCII"))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}
