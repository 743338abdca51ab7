//! The syntax of commands (RFC 3501 §9, RFC 9051 §9, and the extensions that are served).
//!
//! Complete parsers over one whole command, as the lexer gives it. Each function has the name of its
//! ABNF rule and shows it. Letters match in either case. Nothing here knows the session's state: whether a command is
//! allowed now is not syntax.

mod append;
mod auth;
mod date;
mod fetch;
mod flag;
mod id;
mod list;
mod mailbox;
mod number;
mod search;
mod status;
mod store;
mod string;

use std::fmt;

use bytes::Bytes;
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult};

pub use append::append_prefix;
pub use auth::base64;

use super::command::{Command, Numbers, Tagged};

/// Why a text is no command: for the answer BAD, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCommand {
    /// The command's tag; `None` when it begins with none.
    pub tag: Option<Bytes>,
    /// Octets of the text before the place where it goes wrong.
    pub at: usize,
    /// What would be right there.
    pub expected: &'static str,
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at octet {}", self.expected, self.at + 1)
    }
}

/// A place in a command, and what would be right there.
#[derive(Debug)]
struct Stopped<'a> {
    rest: &'a [u8],
    expected: &'static str,
}

impl<'a> ParseError<&'a [u8]> for Stopped<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Self {
            rest,
            expected: "something else",
        }
    }
    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
    /// Of two alternatives, the one that came further says what is wrong.
    fn or(self, other: Self) -> Self {
        if other.rest.len() < self.rest.len() {
            other
        } else {
            self
        }
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Stopped<'a>>;

/// This is not it; another alternative may be.
fn stop<'a, T>(rest: &'a [u8], expected: &'static str) -> Parsed<'a, T> {
    Err(Err::Error(Stopped { rest, expected }))
}

/// After this point there is no other alternative.
fn committed<T>(parsed: Parsed<'_, T>) -> Parsed<'_, T> {
    match parsed {
        Err(Err::Error(stopped)) => Err(Err::Failure(stopped)),
        other => other,
    }
}

fn byte<'a>(wanted: u8, expected: &'static str, input: &'a [u8]) -> Parsed<'a, ()> {
    match input.split_first() {
        Some((&first, rest)) if first == wanted => Ok((rest, ())),
        _ => stop(input, expected),
    }
}

/// Exactly one space (RFC 9051 §9 note 2).
fn sp(input: &[u8]) -> Parsed<'_, ()> {
    byte(b' ', "a space", input)
}

/// A run of at least one octet of a kind.
fn run<'a>(
    kind: impl Fn(u8) -> bool,
    expected: &'static str,
    input: &'a [u8],
) -> Parsed<'a, &'a [u8]> {
    let size = input.iter().position(|&b| !kind(b)).unwrap_or(input.len());
    match input.split_at_checked(size) {
        Some((run, rest)) if size > 0 => Ok((rest, run)),
        _ => stop(input, expected),
    }
}

/// Longest word of the syntax, in octets (`HEADER.FIELDS.NOT` has 17).
const WORD_BYTES_MAX: usize = 24;

/// A word of the syntax in upper case, to be matched against those that are known. Too long a word is the empty one.
fn word<'b>(written: &[u8], buffer: &'b mut [u8; WORD_BYTES_MAX]) -> &'b str {
    let Some(upper) = buffer.get_mut(..written.len()) else {
        return "";
    };
    upper.copy_from_slice(written);
    upper.make_ascii_uppercase();
    std::str::from_utf8(upper).unwrap_or_default()
}

/// `item *(SP item)`, at most `max` of them.
fn spaced<'a, T>(
    mut item: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
    max: usize,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    let (mut rest, first) = item(input)?;
    let mut items = vec![first];
    while let Ok((after, ())) = sp(rest) {
        if items.len() >= max {
            return committed(stop(after, "fewer items"));
        }
        let (after, next) = committed(item(after))?;
        items.push(next);
        rest = after;
    }
    Ok((rest, items))
}

/// `"(" item *(SP item) ")"`, at most `max` of them.
fn listed<'a, T>(
    item: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
    max: usize,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    let (rest, ()) = byte(b'(', "an opening parenthesis", input)?;
    let (rest, items) = committed(spaced(item, max, rest))?;
    let (rest, ()) = committed(byte(b')', "a space or a closing parenthesis", rest))?;
    Ok((rest, items))
}

/// `"(" [item *(SP item)] ")"`, at most `max` of them.
fn listed_or_empty<'a, T>(
    item: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
    max: usize,
    input: &'a [u8],
) -> Parsed<'a, Vec<T>> {
    match input.strip_prefix(b"()") {
        Some(rest) => Ok((rest, Vec::new())),
        None => listed(item, max, input),
    }
}

/// Whether an octet may stand in a tag.
///
/// ```abnf
/// tag             = 1*<any ASTRING-CHAR except "+">     ; RFC 3501
/// ```
#[must_use]
pub const fn is_tag_char(byte: u8) -> bool {
    string::is_astring_char(byte) && byte != b'+'
}

fn tag(input: &[u8]) -> Parsed<'_, &[u8]> {
    run(is_tag_char, "a tag", input)
}

/// One whole command, as the lexer gives it: without its last CRLF, with the literals that were accepted inside, with a
/// streamed literal as its announcement alone.
///
/// ```abnf
/// command         = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
///                     ; RFC 3501
/// ```
///
/// # Errors
/// [`BadCommand`]: it is none, and where.
pub fn command(input: &[u8]) -> Result<Tagged, BadCommand> {
    whole(input, |input| {
        let (rest, name) = run(string::is_atom_char, "a command", input)?;
        let Some((_, arguments)) = find(COMMANDS, name) else {
            return stop(input, "a command that is known here");
        };
        arguments(rest)
    })
}

/// A tag, a space, and `body` up to the end.
fn whole<'a>(
    input: &'a [u8],
    body: impl FnOnce(&'a [u8]) -> Parsed<'a, Command>,
) -> Result<Tagged, BadCommand> {
    let mut known = None;
    let parsed = tag(input).and_then(|(rest, tag)| {
        let tag = Bytes::copy_from_slice(tag);
        if rest.is_empty() || rest.starts_with(b" ") {
            known = Some(tag.clone());
        }
        let (rest, ()) = sp(rest)?;
        let (rest, command) = body(rest)?;
        if rest.is_empty() {
            Ok((rest, Tagged { tag, command }))
        } else {
            stop(rest, "the end of the command")
        }
    });
    match parsed {
        Ok((_, tagged)) => Ok(tagged),
        Err(Err::Error(stopped) | Err::Failure(stopped)) => Err(BadCommand {
            tag: known,
            at: input.len() - stopped.rest.len(),
            expected: stopped.expected,
        }),
        // Complete parsers say no such thing.
        Err(Err::Incomplete(_)) => Err(BadCommand {
            tag: known,
            at: input.len(),
            expected: "more",
        }),
    }
}

/// What follows a command's name.
type Arguments = fn(&[u8]) -> Parsed<'_, Command>;
type Table = [(&'static str, Arguments)];

fn find(table: &'static Table, name: &[u8]) -> Option<&'static (&'static str, Arguments)> {
    table
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
}

/// ```abnf
/// command-any     = "CAPABILITY" / "LOGOUT" / "NOOP" / id                        ; RFC 3501, 2971
/// command-auth    = append / create / delete / examine / list / lsub / rename / select / status /
///                   subscribe / unsubscribe / "NAMESPACE" / "IDLE"               ; RFC 3501, 2342, 2177
/// command-nonauth = login / authenticate / "STARTTLS"                            ; RFC 3501
/// command-select  = "CHECK" / "CLOSE" / "EXPUNGE" / copy / fetch / store / uid / search /
///                   move / "UNSELECT"                                            ; RFC 3501, 6851, 3691
/// ```
const COMMANDS: &Table = &[
    ("APPEND", append::append),
    ("AUTHENTICATE", auth::authenticate),
    ("CAPABILITY", |i| Ok((i, Command::Capability))),
    ("CHECK", |i| Ok((i, Command::Check))),
    ("CLOSE", |i| Ok((i, Command::Close))),
    ("COPY", |i| store::copy(Numbers::Sequence, i)),
    ("CREATE", mailbox::create),
    ("DELETE", mailbox::delete),
    ("EXAMINE", mailbox::examine),
    ("EXPUNGE", |i| Ok((i, Command::Expunge(None)))),
    ("FETCH", |i| fetch::fetch(Numbers::Sequence, i)),
    ("ID", id::id),
    ("IDLE", |i| Ok((i, Command::Idle))),
    ("LIST", list::list),
    ("LOGIN", auth::login),
    ("LOGOUT", |i| Ok((i, Command::Logout))),
    ("LSUB", list::lsub),
    ("MOVE", |i| store::r#move(Numbers::Sequence, i)),
    ("NAMESPACE", |i| Ok((i, Command::Namespace))),
    ("NOOP", |i| Ok((i, Command::Noop))),
    ("RENAME", mailbox::rename),
    ("SEARCH", |i| search::search(Numbers::Sequence, i)),
    ("SELECT", mailbox::select),
    ("STARTTLS", |i| Ok((i, Command::StartTls))),
    ("STATUS", status::status),
    ("STORE", |i| store::store(Numbers::Sequence, i)),
    ("SUBSCRIBE", mailbox::subscribe),
    ("UID", uid),
    ("UNSELECT", |i| Ok((i, Command::Unselect))),
    ("UNSUBSCRIBE", mailbox::unsubscribe),
];

const UID_COMMANDS: &Table = &[
    ("COPY", |i| store::copy(Numbers::Uid, i)),
    ("EXPUNGE", store::uid_expunge),
    ("FETCH", |i| fetch::fetch(Numbers::Uid, i)),
    ("MOVE", |i| store::r#move(Numbers::Uid, i)),
    ("SEARCH", |i| search::search(Numbers::Uid, i)),
    ("STORE", |i| store::store(Numbers::Uid, i)),
];

/// ```abnf
/// uid             = "UID" SP (copy / fetch / search / store / move / uid-expunge)
///                     ; RFC 3501, 6851, 4315
/// ```
fn uid(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (rest, name) = run(string::is_atom_char, "a command", input)?;
    match find(UID_COMMANDS, name) {
        Some((_, arguments)) => arguments(rest),
        None => stop(input, "a command that has a UID form"),
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
