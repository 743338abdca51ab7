//! SEARCH.

use std::cell::Cell;

use super::date::date;
use super::flag::flag_keyword;
use super::number::{number64, sequence_set};
use super::string::astring;
use super::{Parsed, WORD_BYTES_MAX, byte, committed, run, sp, stop, word};
use crate::imap::command::{Command, Numbers, Search, SearchKey};
use crate::limits::{NESTING_MAX, SEARCH_KEYS_MAX};
use crate::store::SystemFlags;

/// What holds for all keys of one command.
struct Rules {
    /// Strings are UTF-8. In another charset they are not looked into: the session refuses the command (NO [BADCHARSET]).
    utf8: bool,
    /// How many more keys there may be.
    keys_left: Cell<usize>,
}

/// Strings are UTF-8 also when no charset or US-ASCII is named: clients do so, and ASCII is UTF-8.
///
/// ```abnf
/// search          = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)  ; RFC 3501
/// ```
pub(super) fn search(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    let (mut input, ()) = sp(input)?;
    let mut charset = None;
    let name = input.get(..8).unwrap_or_default();
    if name.eq_ignore_ascii_case(b"CHARSET ") {
        let (rest, written) = astring(input.get(8..).unwrap_or_default())?;
        charset = Some(String::from_utf8_lossy(&written).to_ascii_uppercase());
        (input, ()) = sp(rest)?;
    }
    let utf8 = matches!(charset.as_deref(), None | Some("UTF-8" | "US-ASCII"));
    let rules = Rules {
        utf8,
        keys_left: Cell::new(SEARCH_KEYS_MAX),
    };
    let (input, keys) = search_keys(&rules, NESTING_MAX, input)?;
    Ok((
        input,
        Command::Search(Search {
            numbers,
            charset,
            keys,
        }),
    ))
}

/// `search-key *(SP search-key)`
fn search_keys<'a>(rules: &Rules, depth: usize, input: &'a [u8]) -> Parsed<'a, Vec<SearchKey>> {
    super::spaced(
        |input| search_key(rules, depth, input),
        SEARCH_KEYS_MAX,
        input,
    )
}

/// `depth`: how many levels of keys within keys there may still be.
///
/// ```abnf
/// search-key      = "ALL" / "ANSWERED" / "BCC" SP astring / "BEFORE" SP date / "BODY" SP astring /
///                   "CC" SP astring / "DELETED" / "FLAGGED" / "FROM" SP astring /
///                   "KEYWORD" SP flag-keyword / "NEW" / "OLD" / "ON" SP date / "RECENT" / "SEEN" /
///                   "SINCE" SP date / "SUBJECT" SP astring / "TEXT" SP astring / "TO" SP astring /
///                   "UNANSWERED" / "UNDELETED" / "UNFLAGGED" / "UNKEYWORD" SP flag-keyword /
///                   "UNSEEN" / "DRAFT" / "HEADER" SP header-fld-name SP astring /
///                   "LARGER" SP number / "NOT" SP search-key / "OR" SP search-key SP search-key /
///                   "SENTBEFORE" SP date / "SENTON" SP date / "SENTSINCE" SP date /
///                   "SMALLER" SP number / "UID" SP sequence-set / "UNDRAFT" / sequence-set /
///                   "(" search-key *(SP search-key) ")"                   ; RFC 3501; number64: RFC 9051
/// ```
fn search_key<'a>(rules: &Rules, depth: usize, input: &'a [u8]) -> Parsed<'a, SearchKey> {
    let Some(left) = rules.keys_left.get().checked_sub(1) else {
        return committed(stop(input, "fewer search keys"));
    };
    rules.keys_left.set(left);
    match input.first() {
        Some(b'(') => {
            let (rest, ()) = byte(b'(', "a parenthesis", input)?;
            let (rest, keys) = search_keys(rules, deeper(depth, input)?, rest)?;
            let (rest, ()) = byte(b')', "a space or a closing parenthesis", rest)?;
            return Ok((rest, SearchKey::And(keys)));
        }
        Some(b'0'..=b'9' | b'*') => {
            return sequence_set(input).map(|(rest, set)| (rest, SearchKey::Sequence(set)));
        }
        _ => {}
    }
    let (rest, name) = run(|b| b.is_ascii_alphabetic(), "a search key", input)?;
    match word(name, &mut [0; WORD_BYTES_MAX]) {
        "NOT" => {
            let (rest, ()) = sp(rest)?;
            let (rest, key) = search_key(rules, deeper(depth, input)?, rest)?;
            Ok((rest, SearchKey::Not(Box::new(key))))
        }
        "OR" => {
            let depth = deeper(depth, input)?;
            let (rest, ()) = sp(rest)?;
            let (rest, one) = search_key(rules, depth, rest)?;
            let (rest, ()) = sp(rest)?;
            let (rest, other) = search_key(rules, depth, rest)?;
            Ok((rest, SearchKey::Or(Box::new(one), Box::new(other))))
        }
        name => simple_key(rules, name, input, rest),
    }
}

fn deeper(depth: usize, input: &[u8]) -> Result<usize, nom::Err<super::Stopped<'_>>> {
    match depth.checked_sub(1) {
        Some(depth) => Ok(depth),
        None => committed(stop(input, "less nesting")).map(|(_, never)| never),
    }
}

/// A key without others in it; `rest` follows its name.
fn simple_key<'a>(
    rules: &Rules,
    name: &str,
    input: &'a [u8],
    rest: &'a [u8],
) -> Parsed<'a, SearchKey> {
    use SearchKey as Key;
    let header = |field: &str| {
        let (rest, value) = text(rules, rest)?;
        Ok((rest, Key::Header(field.as_bytes().to_vec(), value)))
    };
    let flag = |flag, has| Ok((rest, Key::Flag(flag, has)));
    match name {
        "ALL" => Ok((rest, Key::All)),
        "ANSWERED" => flag(SystemFlags::ANSWERED, true),
        "UNANSWERED" => flag(SystemFlags::ANSWERED, false),
        "DELETED" => flag(SystemFlags::DELETED, true),
        "UNDELETED" => flag(SystemFlags::DELETED, false),
        "DRAFT" => flag(SystemFlags::DRAFT, true),
        "UNDRAFT" => flag(SystemFlags::DRAFT, false),
        "FLAGGED" => flag(SystemFlags::FLAGGED, true),
        "UNFLAGGED" => flag(SystemFlags::FLAGGED, false),
        "SEEN" => flag(SystemFlags::SEEN, true),
        "UNSEEN" => flag(SystemFlags::SEEN, false),
        "NEW" => Ok((
            rest,
            Key::And(vec![Key::Recent(true), Key::Flag(SystemFlags::SEEN, false)]),
        )),
        "OLD" => Ok((rest, Key::Recent(false))),
        "RECENT" => Ok((rest, Key::Recent(true))),
        "KEYWORD" => after_space(flag_keyword, |keyword| Key::Keyword(keyword, true), rest),
        "UNKEYWORD" => after_space(flag_keyword, |keyword| Key::Keyword(keyword, false), rest),
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => header(name),
        "HEADER" => {
            let (rest, field) = after_space(astring, std::borrow::Cow::into_owned, rest)?;
            let (rest, value) = text(rules, rest)?;
            Ok((rest, Key::Header(field, value)))
        }
        "BODY" => text(rules, rest).map(|(rest, value)| (rest, Key::Body(value))),
        "TEXT" => text(rules, rest).map(|(rest, value)| (rest, Key::Text(value))),
        "BEFORE" => after_space(date, Key::Before, rest),
        "ON" => after_space(date, Key::On, rest),
        "SINCE" => after_space(date, Key::Since, rest),
        "SENTBEFORE" => after_space(date, Key::SentBefore, rest),
        "SENTON" => after_space(date, Key::SentOn, rest),
        "SENTSINCE" => after_space(date, Key::SentSince, rest),
        "LARGER" => after_space(number64, Key::Larger, rest),
        "SMALLER" => after_space(number64, Key::Smaller, rest),
        "UID" => after_space(sequence_set, Key::Uid, rest),
        _ => stop(input, "a search key that is known here"),
    }
}

fn after_space<'a, T, U>(
    parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    made: impl FnOnce(T) -> U,
    input: &'a [u8],
) -> Parsed<'a, U> {
    let (input, ()) = sp(input)?;
    parser(input).map(|(rest, value)| (rest, made(value)))
}

/// `SP astring`, decoded.
fn text<'a>(rules: &Rules, input: &'a [u8]) -> Parsed<'a, String> {
    let (input, ()) = sp(input)?;
    let (rest, octets) = astring(input)?;
    match String::from_utf8(octets.into_owned()) {
        Ok(text) => Ok((rest, text)),
        Err(error) if !rules.utf8 => {
            Ok((rest, String::from_utf8_lossy(error.as_bytes()).into_owned()))
        }
        Err(_) => stop(input, "a string in UTF-8"),
    }
}
