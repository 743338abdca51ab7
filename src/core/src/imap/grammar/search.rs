//! SEARCH.

use std::cell::Cell;

use super::date::date;
use super::flag::flag_keyword;
use super::number::{number64, nz_number, sequence_set};
use super::string::astring;
use super::{Parsed, WORD_BYTES_MAX, byte, committed, listed_or_empty, run, sp, stop, word};
use crate::imap::command::{Command, Numbers, Search, SearchKey, SearchReturns};
use crate::limits::{NESTING_MAX, SEARCH_KEYS_MAX};
use crate::store::SystemFlags;

/// Options that RETURN may name: each several times over.
const RETURNS_MAX: usize = 32;

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
/// search          = "SEARCH" [search-return-opts] [SP "CHARSET" SP astring] 1*(SP search-key)
///                     ; RFC 3501, 4731
/// search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
/// ```
pub(super) fn search(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    let (mut input, ()) = sp(input)?;
    let mut returns = None;
    if let Some(rest) = after_word(b"RETURN ", input) {
        let (rest, options) = committed(listed_or_empty(search_return_opt, RETURNS_MAX, rest))?;
        let mut all = SearchReturns::default();
        for set in options {
            set(&mut all);
        }
        returns = Some(all);
        (input, ()) = sp(rest)?;
    }
    let mut charset = None;
    if let Some(rest) = after_word(b"CHARSET ", input) {
        let (rest, written) = astring(rest)?;
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
            returns,
            charset,
            keys,
        }),
    ))
}

/// What follows a word that may stand here.
fn after_word<'a>(wanted: &[u8], input: &'a [u8]) -> Option<&'a [u8]> {
    let (word, rest) = input.split_at_checked(wanted.len())?;
    word.eq_ignore_ascii_case(wanted).then_some(rest)
}

/// ```abnf
/// search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT"                     ; RFC 4731
/// search-return-opt =/ "SAVE"                                             ; RFC 5182
/// ```
fn search_return_opt(input: &[u8]) -> Parsed<'_, fn(&mut SearchReturns)> {
    let (rest, name) = run(|b| b.is_ascii_alphabetic(), "an option of RETURN", input)?;
    let option: fn(&mut SearchReturns) = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "MIN" => |returns| returns.min = true,
        "MAX" => |returns| returns.max = true,
        "ALL" => |returns| returns.all = true,
        "COUNT" => |returns| returns.count = true,
        "SAVE" => |returns| returns.save = true,
        _ => return stop(input, "an option of RETURN that is known here"),
    };
    Ok((rest, option))
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
/// search-key      =/ ("OLDER" / "YOUNGER") SP nz-number                   ; RFC 5032
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
        Some(b'0'..=b'9' | b'*' | b'$') => {
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
        "OLDER" => after_space(nz_number, Key::Older, rest),
        "YOUNGER" => after_space(nz_number, Key::Younger, rest),
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

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::command::{Date, SequenceSet};
    use crate::store::Keyword;
    use SearchKey as Key;

    fn found(keys: Vec<SearchKey>) -> Result<Command, usize> {
        Ok(Command::Search(Search {
            numbers: Numbers::Sequence,
            returns: None,
            charset: None,
            keys,
        }))
    }

    #[test]
    fn each_key_is_known() {
        let day = Date {
            year: 2024,
            month: 2,
            day: 29,
        };
        let set = || SequenceSet::Ranges(vec![(Some(1), Some(2)), (None, None)]);
        let junk = || Keyword::new("$Junk").unwrap();
        let header = |name: &str| Key::Header(name.into(), "x y".to_owned());
        for (text, key) in [
            ("ALL", Key::All),
            ("answered", Key::Flag(SystemFlags::ANSWERED, true)),
            ("UNANSWERED", Key::Flag(SystemFlags::ANSWERED, false)),
            ("DELETED", Key::Flag(SystemFlags::DELETED, true)),
            ("UNDELETED", Key::Flag(SystemFlags::DELETED, false)),
            ("DRAFT", Key::Flag(SystemFlags::DRAFT, true)),
            ("UNDRAFT", Key::Flag(SystemFlags::DRAFT, false)),
            ("FLAGGED", Key::Flag(SystemFlags::FLAGGED, true)),
            ("UNFLAGGED", Key::Flag(SystemFlags::FLAGGED, false)),
            ("SEEN", Key::Flag(SystemFlags::SEEN, true)),
            ("UNSEEN", Key::Flag(SystemFlags::SEEN, false)),
            (
                "NEW",
                Key::And(vec![Key::Recent(true), Key::Flag(SystemFlags::SEEN, false)]),
            ),
            ("OLD", Key::Recent(false)),
            ("RECENT", Key::Recent(true)),
            ("KEYWORD $Junk", Key::Keyword(junk(), true)),
            ("UNKEYWORD $Junk", Key::Keyword(junk(), false)),
            ("BCC \"x y\"", header("BCC")),
            ("cc \"x y\"", header("CC")),
            ("FROM \"x y\"", header("FROM")),
            ("SUBJECT {3}\r\nx y", header("SUBJECT")),
            ("TO {3+}\r\nx y", header("TO")),
            ("HEADER Message-ID \"x y\"", header("Message-ID")),
            ("HEADER \"To\" \"x y\"", header("To")),
            ("BODY x", Key::Body("x".to_owned())),
            ("TEXT \"Grüße\"", Key::Text("Grüße".to_owned())),
            ("BEFORE 29-Feb-2024", Key::Before(day)),
            ("ON \"29-Feb-2024\"", Key::On(day)),
            ("SINCE 29-Feb-2024", Key::Since(day)),
            ("SENTBEFORE 29-Feb-2024", Key::SentBefore(day)),
            ("SENTON 29-Feb-2024", Key::SentOn(day)),
            ("SENTSINCE 29-Feb-2024", Key::SentSince(day)),
            ("OLDER 1", Key::Older(1)),
            ("younger 4294967295", Key::Younger(u32::MAX)),
            ("$", Key::Sequence(SequenceSet::Saved)),
            ("UID $", Key::Uid(SequenceSet::Saved)),
            ("LARGER 0", Key::Larger(0)),
            ("SMALLER 9223372036854775807", Key::Smaller(i64::MAX as u64)),
            ("1:2,*", Key::Sequence(set())),
            ("UID 1:2,*", Key::Uid(set())),
            ("NOT ALL", Key::Not(Box::new(Key::All))),
            (
                "OR ALL OLD",
                Key::Or(Box::new(Key::All), Box::new(Key::Recent(false))),
            ),
            ("(ALL)", Key::And(vec![Key::All])),
            (
                "(ALL (OLD ALL))",
                Key::And(vec![Key::All, Key::And(vec![Key::Recent(false), Key::All])]),
            ),
        ] {
            let one = format!("SEARCH {text}");
            let two = format!("SEARCH ALL {text}");
            known(
                arguments,
                &[
                    (one.as_bytes(), found(vec![key.clone()])),
                    (two.as_bytes(), found(vec![Key::All, key])),
                ],
            );
        }
    }

    #[test]
    fn what_is_no_search_is_refused_where_it_goes_wrong() {
        known(
            arguments,
            &[
                (b"SEARCH", Err(6)),
                (b"SEARCH ", Err(7)),
                (b"SEARCH FOO", Err(7)),
                (b"SEARCH ALL ", Err(11)),
                (b"SEARCH ALL FOO", Err(11)),
                (b"SEARCH ()", Err(8)),
                (b"SEARCH (ALL", Err(11)),
                (b"SEARCH (ALL))", Err(12)),
                (b"SEARCH NOT", Err(10)),
                (b"SEARCH OR ALL", Err(13)),
                (b"SEARCH OR ALL (ALL OR OLD)", Err(25)),
                (b"SEARCH FROM", Err(11)),
                (b"SEARCH HEADER To", Err(16)),
                (b"SEARCH BEFORE 30-Feb-2024", Err(14)),
                (b"SEARCH LARGER -1", Err(14)),
                (b"SEARCH KEYWORD \\Seen", Err(15)),
                (b"SEARCH TEXT {1}\r\n\xff", Err(12)),
                (b"SEARCH OLDER 0", Err(13)),
                (b"SEARCH YOUNGER", Err(14)),
                (b"SEARCH RETURN", Err(7)),
                (b"SEARCH RETURN ALL", Err(14)),
                (b"SEARCH RETURN (ALL)", Err(19)),
                (b"SEARCH RETURN (FIRST) ALL", Err(15)),
                (b"SEARCH RETURN (MIN ) ALL", Err(19)),
                (b"SEARCH RETURN (MIN) RETURN (MAX) ALL", Err(20)),
                (b"SEARCH CHARSET UTF-8 RETURN (MIN) ALL", Err(21)),
                (b"SEARCH CHARSET", Err(7)),
                (b"SEARCH CHARSET UTF-8", Err(20)),
                (b"SEARCH ALL CHARSET UTF-8 ALL", Err(11)),
            ],
        );
    }

    #[test]
    fn return_says_what_is_to_be_told() {
        let search = |returns: SearchReturns| {
            Ok(Command::Search(Search {
                numbers: Numbers::Sequence,
                returns: Some(returns),
                charset: None,
                keys: vec![Key::All],
            }))
        };
        let none = SearchReturns::default();
        known(
            arguments,
            &[
                (b"SEARCH RETURN () ALL", search(none)),
                (
                    b"SEARCH return (Max save) ALL",
                    search(SearchReturns {
                        max: true,
                        save: true,
                        ..none
                    }),
                ),
                (
                    b"SEARCH RETURN (COUNT MIN ALL MIN) ALL",
                    search(SearchReturns {
                        min: true,
                        count: true,
                        all: true,
                        ..none
                    }),
                ),
            ],
        );
    }

    #[test]
    fn a_charset_is_named_and_strings_are_utf_8() {
        let search = |charset: &str, text: &str| {
            let charset = Some(charset.to_owned());
            let keys = vec![Key::Body(text.to_owned())];
            Ok(Command::Search(Search {
                numbers: Numbers::Uid,
                returns: None,
                charset,
                keys,
            }))
        };
        known(
            arguments,
            &[
                (
                    b"UID SEARCH CHARSET utf-8 BODY {2}\r\n\xc3\xbc",
                    search("UTF-8", "ü"),
                ),
                (
                    b"UID SEARCH CHARSET \"US-ASCII\" BODY x",
                    search("US-ASCII", "x"),
                ),
                (
                    b"UID SEARCH CHARSET US-ASCII BODY {2}\r\n\xc3\xbc",
                    search("US-ASCII", "ü"),
                ),
                (
                    b"UID SEARCH CHARSET latin1 BODY {1}\r\n\xfc",
                    search("LATIN1", "\u{fffd}"),
                ),
                (b"UID SEARCH CHARSET UTF-8 BODY {1}\r\n\xfc", Err(30)),
            ],
        );
    }

    #[test]
    fn nesting_and_number_of_keys_have_limits() {
        let nested = |levels: usize, open: &str, close: &str| {
            format!("SEARCH {}ALL{}", open.repeat(levels), close.repeat(levels)).into_bytes()
        };
        for (open, close) in [("(", ")"), ("NOT ", ""), ("OR ALL ", ""), ("OR ", " ALL")] {
            assert!(arguments(&nested(NESTING_MAX, open, close)).is_ok());
            assert!(arguments(&nested(NESTING_MAX + 1, open, close)).is_err());
        }
        let many = |count| format!("SEARCH {}", vec!["ALL"; count].join(" ")).into_bytes();
        assert!(arguments(&many(SEARCH_KEYS_MAX)).is_ok());
        assert!(arguments(&many(SEARCH_KEYS_MAX + 1)).is_err());
        let within = |count| format!("SEARCH ({})", vec!["ALL"; count].join(" ")).into_bytes();
        assert!(arguments(&within(SEARCH_KEYS_MAX - 1)).is_ok());
        assert!(arguments(&within(SEARCH_KEYS_MAX)).is_err());
    }
}
