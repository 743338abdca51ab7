//! Mailboxes: names, patterns, and the commands that speak of nothing else.

use super::string::{astring, atom, is_atom_char, string};
use super::{Parsed, byte, listed, listed_or_empty, run, sp, stop};
use crate::imap::command::{Command, Named, UnfitUse};
use crate::imap::mutf7;
use crate::store::{BadName, MailboxName, SpecialUse};

/// Most uses that CREATE may name: there are not more kinds.
const USES_MAX: usize = 16;

/// ```abnf
/// mailbox         = "INBOX" / astring                                     ; RFC 3501
/// ```
pub(super) fn mailbox(input: &[u8]) -> Parsed<'_, Named> {
    let (rest, written) = astring(input)?;
    Ok((rest, named(&written)))
}

/// The name that a client means.
///
/// Quirks: octets above 127 are taken as UTF-8 (clients of RFC 9051, and careless ones), and then `&` is an ampersand; an
/// `&` that begins nothing like a shift sequence is an ampersand too (`R&D`), as long as no other `&` in the name does.
/// What looks like modified UTF-7 and is not legal is no name.
fn named(written: &[u8]) -> Named {
    let written = std::str::from_utf8(written).map_err(|_| BadName::Character)?;
    if !written.is_ascii() {
        return MailboxName::new(written);
    }
    match mutf7::decode(written) {
        Some(name) => MailboxName::new(&name),
        None if mutf7::has_shift(written) => Err(BadName::Character),
        None => MailboxName::new(written),
    }
}

/// A pattern as UTF-8. What is not legal modified UTF-7 stands for itself (and will match little).
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
            Ok((rest, pattern_text(&pattern, input)?))
        }
        _ => {
            let (rest, pattern) = run(list_char, "a mailbox pattern", input)?;
            Ok((rest, pattern_text(pattern, input)?))
        }
    }
}

fn pattern_text<'a>(
    written: &[u8],
    input: &'a [u8],
) -> Result<String, nom::Err<super::Stopped<'a>>> {
    match std::str::from_utf8(written) {
        Ok(text) => Ok(mutf7::decode(text).unwrap_or_else(|| text.to_owned())),
        Err(_) => stop(input, "a mailbox pattern in UTF-8").map(|(_, never)| never),
    }
}

/// `SP mailbox`
fn one(input: &[u8]) -> Parsed<'_, Named> {
    let (input, ()) = sp(input)?;
    mailbox(input)
}

/// ```abnf
/// select          = "SELECT" SP mailbox                                   ; RFC 3501
/// ```
pub(super) fn select(input: &[u8]) -> Parsed<'_, Command> {
    one(input).map(|(rest, name)| (rest, Command::Select(name)))
}

/// ```abnf
/// examine         = "EXAMINE" SP mailbox                                  ; RFC 3501
/// ```
pub(super) fn examine(input: &[u8]) -> Parsed<'_, Command> {
    one(input).map(|(rest, name)| (rest, Command::Examine(name)))
}

/// ```abnf
/// delete          = "DELETE" SP mailbox                                   ; RFC 3501
/// ```
pub(super) fn delete(input: &[u8]) -> Parsed<'_, Command> {
    one(input).map(|(rest, name)| (rest, Command::Delete(name)))
}

/// ```abnf
/// subscribe       = "SUBSCRIBE" SP mailbox                                ; RFC 3501
/// ```
pub(super) fn subscribe(input: &[u8]) -> Parsed<'_, Command> {
    one(input).map(|(rest, name)| (rest, Command::Subscribe(name)))
}

/// ```abnf
/// unsubscribe     = "UNSUBSCRIBE" SP mailbox                              ; RFC 3501
/// ```
pub(super) fn unsubscribe(input: &[u8]) -> Parsed<'_, Command> {
    one(input).map(|(rest, name)| (rest, Command::Unsubscribe(name)))
}

/// ```abnf
/// rename          = "RENAME" SP mailbox SP mailbox                        ; RFC 3501
/// ```
pub(super) fn rename(input: &[u8]) -> Parsed<'_, Command> {
    let (input, from) = one(input)?;
    let (input, to) = one(input)?;
    Ok((input, Command::Rename(from, to)))
}

/// ```abnf
/// create          = "CREATE" SP mailbox [create-params]                   ; RFC 4466
/// create-params   = SP "(" create-param *(SP create-param) ")"
/// ```
pub(super) fn create(input: &[u8]) -> Parsed<'_, Command> {
    let (input, name) = one(input)?;
    if !input.starts_with(b" ") {
        return Ok((input, Command::Create(name, Ok(None))));
    }
    let (input, ()) = sp(input)?;
    // The only parameter that is served; twice is once too often.
    let (input, uses) = listed(create_param, 1, input)?;
    let uses: Vec<_> = uses.into_iter().flatten().collect();
    let wish = match *uses.as_slice() {
        [] => Ok(None),
        [Some(one)] => Ok(Some(one)),
        [..] => Err(UnfitUse),
    };
    Ok((input, Command::Create(name, wish)))
}

/// ```abnf
/// create-param    =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"           ; RFC 6154
/// ```
fn create_param(input: &[u8]) -> Parsed<'_, Vec<Option<SpecialUse>>> {
    let (rest, name) = run(is_atom_char, "USE", input)?;
    if !name.eq_ignore_ascii_case(b"USE") {
        return stop(input, "USE");
    }
    let (rest, ()) = sp(rest)?;
    listed_or_empty(use_attr, USES_MAX, rest)
}

/// `None` for a use that mailboxes can't be given here.
///
/// ```abnf
/// use-attr        = "\All" / "\Archive" / "\Drafts" / "\Flagged" / "\Junk" / "\Sent" / "\Trash" /
///                   use-attr-ext                                          ; RFC 6154
/// use-attr-ext    = "\" atom
/// ```
fn use_attr(input: &[u8]) -> Parsed<'_, Option<SpecialUse>> {
    let (rest, ()) = byte(b'\\', "a special use", input)?;
    let (rest, name) = atom(rest)?;
    let written = input.get(..=name.len()).unwrap_or_default();
    let known = SpecialUse::ALL.iter();
    let mut known = known.filter(|(_, attr, ..)| attr.as_bytes().eq_ignore_ascii_case(written));
    Ok((rest, known.next().map(|(special_use, ..)| *special_use)))
}

/// `SP mailbox SP list-mailbox`
fn reference_and_pattern(input: &[u8]) -> Parsed<'_, (String, String)> {
    let (input, ()) = sp(input)?;
    let (rest, reference) = astring(input)?;
    let reference = pattern_text(&reference, input)?;
    let (rest, ()) = sp(rest)?;
    let (rest, pattern) = list_mailbox(rest)?;
    Ok((rest, (reference, pattern)))
}

/// ```abnf
/// list            = "LIST" SP mailbox SP list-mailbox                     ; RFC 3501
/// ```
pub(super) fn list(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (reference, pattern)) = reference_and_pattern(input)?;
    Ok((rest, Command::List { reference, pattern }))
}

/// ```abnf
/// lsub            = "LSUB" SP mailbox SP list-mailbox                     ; RFC 3501
/// ```
pub(super) fn lsub(input: &[u8]) -> Parsed<'_, Command> {
    let (rest, (reference, pattern)) = reference_and_pattern(input)?;
    Ok((rest, Command::Lsub { reference, pattern }))
}
