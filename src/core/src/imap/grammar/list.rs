//! LIST with its extensions, and LSUB.

use super::status::status_atts;
use super::string::{astring, is_atom_char, string};
use super::{
    Parsed, WORD_BYTES_MAX, byte, committed, listed, listed_or_empty, run, sp, stop, word,
};
use crate::imap::command::{Command, List, ListReturns, ListSelect};
use crate::limits::LIST_PATTERNS_MAX;

/// Options that LIST may name on either side: each several times over.
const OPTIONS_MAX: usize = 32;

/// A pattern as it is written, in UTF-8; what it means is for the command to say.
///
/// ```abnf
/// list-mailbox    = 1*list-char / string                                  ; RFC 3501
/// list-char       = ATOM-CHAR / list-wildcards / resp-specials
/// ```
fn list_mailbox(input: &[u8]) -> Parsed<'_, String> {
    let list_char = |b| is_atom_char(b) || matches!(b, b'%' | b'*' | b']');
    match input.first() {
        Some(b'"' | b'{') => {
            let (rest, pattern) = string(input)?;
            Ok((rest, utf8(&pattern, input)?))
        }
        _ => {
            let (rest, pattern) = run(list_char, "a mailbox pattern", input)?;
            Ok((rest, utf8(pattern, input)?))
        }
    }
}

fn utf8<'a>(written: &[u8], input: &'a [u8]) -> Result<String, nom::Err<super::Stopped<'a>>> {
    match std::str::from_utf8(written) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => stop(input, "a mailbox pattern in UTF-8").map(|(_, never)| never),
    }
}

/// `SP mailbox`, where it is what patterns are relative to.
fn reference(input: &[u8]) -> Parsed<'_, String> {
    let (input, ()) = sp(input)?;
    let (rest, reference) = astring(input)?;
    Ok((rest, utf8(&reference, input)?))
}

/// ```abnf
/// list            = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
///                     ; RFC 5258
/// mbox-or-pat     = list-mailbox / patterns
/// patterns        = "(" list-mailbox *(SP list-mailbox) ")"
/// list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
/// ```
pub(super) fn list(input: &[u8]) -> Parsed<'_, Command> {
    let mut list = List::default();
    let mut rest = input;
    if input.starts_with(b" (") {
        (rest, ()) = sp(input)?;
        (rest, list.select) = list_select_opts(rest)?;
        list.extended = true;
    }
    (rest, list.reference) = reference(rest)?;
    (rest, ()) = sp(rest)?;
    if rest.starts_with(b"(") {
        (rest, list.patterns) = listed(list_mailbox, LIST_PATTERNS_MAX, rest)?;
        list.extended = true;
    } else {
        let (after, pattern) = list_mailbox(rest)?;
        (rest, list.patterns) = (after, vec![pattern]);
    }
    if rest.starts_with(b" ") {
        (rest, ()) = sp(rest)?;
        let (after, name) = run(|b| b.is_ascii_alphabetic(), "RETURN", rest)?;
        if !name.eq_ignore_ascii_case(b"RETURN") {
            return stop(rest, "RETURN");
        }
        (rest, ()) = sp(after)?;
        let (after, options) = listed_or_empty(return_option, OPTIONS_MAX, rest)?;
        for option in options {
            option.put(&mut list.returns);
        }
        (rest, list.extended) = (after, true);
    }
    Ok((rest, Command::List(list)))
}

/// RECURSIVEMATCH only beside what it may recur for (RFC 5258 §3.1).
///
/// ```abnf
/// list-select-opts = "(" [(*(list-select-opt SP) list-select-base-opt *(SP list-select-opt)) /
///                   (list-select-independent-opt *(SP list-select-independent-opt))] ")"   ; RFC 5258
/// ```
fn list_select_opts(input: &[u8]) -> Parsed<'_, ListSelect> {
    let (rest, options) = listed_or_empty(list_select_opt, OPTIONS_MAX, input)?;
    let mut select = ListSelect::default();
    for option in options {
        option(&mut select);
    }
    if select.recursive_match && !select.subscribed && !select.special_use {
        return committed(stop(
            rest,
            "SUBSCRIBED or SPECIAL-USE with RECURSIVEMATCH before",
        ));
    }
    Ok((rest, select))
}

/// ```abnf
/// list-select-opt = list-select-base-opt / list-select-independent-opt / list-select-mod-opt
///                     ; RFC 5258
/// list-select-base-opt = "SUBSCRIBED" / "SPECIAL-USE"                     ; RFC 5258, 6154
/// list-select-independent-opt = "REMOTE"
/// list-select-mod-opt = "RECURSIVEMATCH"
/// ```
fn list_select_opt(input: &[u8]) -> Parsed<'_, fn(&mut ListSelect)> {
    let (rest, name) = run(is_atom_char, "an option of LIST", input)?;
    let option: fn(&mut ListSelect) = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "SUBSCRIBED" => |select| select.subscribed = true,
        "SPECIAL-USE" => |select| select.special_use = true,
        // No mailbox is elsewhere.
        "REMOTE" => |_| {},
        "RECURSIVEMATCH" => |select| select.recursive_match = true,
        _ => return stop(input, "an option of LIST that is known here"),
    };
    Ok((rest, option))
}

/// An option of RETURN.
enum ReturnOption {
    Plain(fn(&mut ListReturns)),
    Status(Vec<crate::imap::command::StatusItem>),
}

impl ReturnOption {
    fn put(self, returns: &mut ListReturns) {
        match self {
            Self::Plain(put) => put(returns),
            Self::Status(items) => returns.status = items,
        }
    }
}

/// ```abnf
/// return-option   = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE"             ; RFC 5258, 6154
/// return-option   =/ "STATUS" SP "(" status-att *(SP status-att) ")"      ; RFC 5819
/// ```
fn return_option(input: &[u8]) -> Parsed<'_, ReturnOption> {
    let (rest, name) = run(is_atom_char, "an option of RETURN", input)?;
    let option: fn(&mut ListReturns) = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "SUBSCRIBED" => |returns| returns.subscribed = true,
        // Both are told in any case.
        "CHILDREN" | "SPECIAL-USE" => |_| {},
        "STATUS" => {
            let (rest, ()) = byte(b' ', "a space", rest)?;
            let (rest, items) = status_atts(rest)?;
            return Ok((rest, ReturnOption::Status(items)));
        }
        _ => return stop(input, "an option of RETURN that is known here"),
    };
    Ok((rest, ReturnOption::Plain(option)))
}

/// ```abnf
/// lsub            = "LSUB" SP mailbox SP list-mailbox                     ; RFC 3501
/// ```
pub(super) fn lsub(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, reference) = reference(input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, pattern) = list_mailbox(rest)?;
    Ok((rest, Command::Lsub { reference, pattern }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::command::StatusItem;

    fn list(list: List) -> Result<Command, usize> {
        Ok(Command::List(list))
    }
    fn basic(reference: &str, pattern: &str) -> List {
        List {
            reference: reference.to_owned(),
            patterns: vec![pattern.to_owned()],
            ..List::default()
        }
    }
    fn extended(select: ListSelect, patterns: &[&str], returns: ListReturns) -> List {
        List {
            select,
            reference: String::new(),
            patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
            returns,
            extended: true,
        }
    }

    #[test]
    fn list_has_a_reference_and_a_pattern() {
        let list = |reference, pattern| list(basic(reference, pattern));
        known(
            arguments,
            &[
                (br#"LIST "" """#, list("", "")),
                (br#"LIST "" *"#, list("", "*")),
                (br#"LIST a/ %]b"#, list("a/", "%]b")),
                (br#"LIST "" "a b/%""#, list("", "a b/%")),
                (b"LIST \"\" {1}\r\n*", list("", "*")),
                (br#"LIST &APw-/ &APw-%"#, list("&APw-/", "&APw-%")),
                ("LIST \"ü\" \"ü*\"".as_bytes(), list("ü", "ü*")),
                (br#"LIST """#, Err(7)),
                (br#"LIST "" "#, Err(8)),
                (b"LIST \"\" {1}\r\n\xff", Err(8)),
                (b"LIST {1}\r\n\xff a", Err(5)),
                (
                    br#"LSUB "" %"#,
                    Ok(Command::Lsub {
                        reference: String::new(),
                        pattern: "%".to_owned(),
                    }),
                ),
                (br#"LSUB "" (%)"#, Err(8)),
                (br#"LSUB "" % RETURN ()"#, Err(9)),
            ],
        );
    }

    #[test]
    fn list_may_select_and_say_what_is_to_be_returned() {
        let select = ListSelect::default();
        let returns = ListReturns::default;
        known(
            arguments,
            &[
                (br#"LIST () "" *"#, list(extended(select, &["*"], returns()))),
                (br#"LIST "" (a "b c" *)"#, list(extended(select, &["a", "b c", "*"], returns()))),
                (br#"LIST "" * RETURN ()"#, list(extended(select, &["*"], returns()))),
                (
                    br#"LIST (subscribed REMOTE RecursiveMatch SUBSCRIBED) "" ("") return (Children subscribed)"#,
                    list(extended(
                        ListSelect {
                            subscribed: true,
                            recursive_match: true,
                            ..select
                        },
                        &[""],
                        ListReturns {
                            subscribed: true,
                            ..returns()
                        },
                    )),
                ),
                (
                    br#"LIST (RECURSIVEMATCH SPECIAL-USE) "" % RETURN (SPECIAL-USE STATUS (MESSAGES size) CHILDREN)"#,
                    list(extended(
                        ListSelect {
                            special_use: true,
                            recursive_match: true,
                            ..select
                        },
                        &["%"],
                        ListReturns {
                            status: vec![StatusItem::Messages, StatusItem::Size],
                            ..returns()
                        },
                    )),
                ),
            ],
        );
    }

    #[test]
    fn what_is_no_list_is_refused_where_it_goes_wrong() {
        known(
            arguments,
            &[
                (br#"LIST (RECURSIVEMATCH) "" *"#, Err(21)),
                (br#"LIST (REMOTE RECURSIVEMATCH) "" *"#, Err(28)),
                (br#"LIST (CHILDREN) "" *"#, Err(6)),
                (br#"LIST (SUBSCRIBED "" *"#, Err(17)),
                (br#"LIST (SUBSCRIBED)"#, Err(17)),
                (br#"LIST ( SUBSCRIBED) "" *"#, Err(6)),
                (br#"LIST "" ()"#, Err(9)),
                (br#"LIST "" (a"#, Err(10)),
                (br#"LIST "" (a (b))"#, Err(11)),
                (br#"LIST "" * "#, Err(10)),
                (br#"LIST "" * CHILDREN"#, Err(10)),
                (br#"LIST "" * RETURN"#, Err(16)),
                (br#"LIST "" * RETURN CHILDREN"#, Err(17)),
                (br#"LIST "" * RETURN (REMOTE)"#, Err(18)),
                (br#"LIST "" * RETURN (STATUS)"#, Err(24)),
                (br#"LIST "" * RETURN (STATUS ())"#, Err(26)),
                (br#"LIST "" * RETURN (STATUS (X))"#, Err(26)),
                (br#"LIST "" * RETURN (CHILDREN) "#, Err(27)),
            ],
        );
    }

    #[test]
    fn patterns_have_a_limit() {
        let many = |count| format!("LIST \"\" ({})", vec!["*"; count].join(" ")).into_bytes();
        assert!(arguments(&many(LIST_PATTERNS_MAX)).is_ok());
        assert!(arguments(&many(LIST_PATTERNS_MAX + 1)).is_err());
    }
}
