//! STORE, COPY, MOVE, UID EXPUNGE.

use super::flag::{bare_flags, flag_list};
use super::mailbox::mailbox;
use super::number::sequence_set;
use super::{Parsed, WORD_BYTES_MAX, run, sp, stop, word};
use crate::imap::command::{Command, Copy, Numbers, Store};
use crate::store::FlagChange;

/// ```abnf
/// store           = "STORE" SP sequence-set SP store-att-flags            ; RFC 3501
/// store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
/// ```
pub(super) fn store(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (input, set) = sequence_set(input)?;
    let (input, ()) = sp(input)?;
    let (how, after) = match input {
        [b'+', rest @ ..] => (FlagChange::Add, rest),
        [b'-', rest @ ..] => (FlagChange::Remove, rest),
        _ => (FlagChange::Replace, input),
    };
    let (rest, name) = run(|b| b.is_ascii_alphabetic() || b == b'.', "FLAGS", after)?;
    let silent = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return stop(input, "FLAGS, +FLAGS or -FLAGS, with or without .SILENT"),
    };
    let (rest, ()) = sp(rest)?;
    let flags = if rest.starts_with(b"(") {
        flag_list(rest)
    } else {
        bare_flags(rest)
    };
    let (rest, flags) = flags?;
    Ok((
        rest,
        Command::Store(Store {
            numbers,
            set,
            how,
            silent,
            flags,
        }),
    ))
}

fn set_and_mailbox(numbers: Numbers, input: &[u8]) -> Parsed<'_, Copy> {
    let (input, ()) = sp(input)?;
    let (input, set) = sequence_set(input)?;
    let (input, ()) = sp(input)?;
    let (input, to) = mailbox(input)?;
    Ok((input, Copy { numbers, set, to }))
}

/// ```abnf
/// copy            = "COPY" SP sequence-set SP mailbox                     ; RFC 3501
/// ```
pub(super) fn copy(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    set_and_mailbox(numbers, input).map(|(rest, copy)| (rest, Command::Copy(copy)))
}

/// ```abnf
/// move            = "MOVE" SP sequence-set SP mailbox                     ; RFC 6851
/// ```
pub(super) fn r#move(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    set_and_mailbox(numbers, input).map(|(rest, copy)| (rest, Command::Move(copy)))
}

/// ```abnf
/// uid-expunge     = "EXPUNGE" SP sequence-set                             ; RFC 4315
/// ```
pub(super) fn uid_expunge(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (input, set) = sequence_set(input)?;
    Ok((input, Command::Expunge(Some(set))))
}
