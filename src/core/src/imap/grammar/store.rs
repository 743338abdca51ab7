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

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::command::Named;
    use crate::imap::command::SequenceSet;
    use crate::store::{Flags, Keyword, SystemFlags};

    fn one() -> SequenceSet {
        SequenceSet::Ranges(vec![(Some(1), Some(1))])
    }

    #[test]
    fn store_says_how_and_whether_silently() {
        let store = |numbers, how, silent| {
            let flags = Flags {
                system: SystemFlags::SEEN,
                ..Flags::default()
            };
            Ok(Command::Store(Store {
                numbers,
                set: one(),
                how,
                silent,
                flags,
            }))
        };
        let (seq, uid) = (Numbers::Sequence, Numbers::Uid);
        known(
            arguments,
            &[
                (
                    b"STORE 1 FLAGS (\\Seen)",
                    store(seq, FlagChange::Replace, false),
                ),
                (b"STORE 1 +FLAGS \\Seen", store(seq, FlagChange::Add, false)),
                (
                    b"STORE 1 -flags.silent (\\Seen)",
                    store(seq, FlagChange::Remove, true),
                ),
                (
                    b"uid store 1 FLAGS.SILENT \\Seen",
                    store(uid, FlagChange::Replace, true),
                ),
                (b"STORE 1 +FLAGS (\\Recent)", Err(16)),
                (b"STORE 1 +FLAGS \\Foo", Err(15)),
                (b"STORE 1 +FLAGS ", Err(15)),
                (b"STORE 1 +FLAGS", Err(14)),
                (b"STORE 1 + FLAGS a", Err(9)),
                (b"STORE 1 FLAGS.LOUD a", Err(8)),
                (b"STORE 1 (UNCHANGEDSINCE 1) FLAGS a", Err(8)),
                (b"STORE x FLAGS a", Err(6)),
            ],
        );
    }

    #[test]
    fn an_empty_list_of_flags_is_one() {
        let (how, silent) = (FlagChange::Replace, false);
        let store = |flags| {
            Ok(Command::Store(Store {
                numbers: Numbers::Sequence,
                set: one(),
                how,
                silent,
                flags,
            }))
        };
        let mut keyword = Flags::default();
        keyword.keywords.insert(Keyword::new("$Junk").unwrap());
        known(
            arguments,
            &[
                (b"STORE 1 FLAGS ()", store(Flags::default())),
                (b"STORE 1 FLAGS ($junk)", store(keyword)),
            ],
        );
    }

    #[test]
    fn copy_and_move_have_a_set_and_a_mailbox() {
        let copy = |numbers| Copy {
            numbers,
            set: one(),
            to: Named(b"a".to_vec()),
        };
        let (seq, uid) = (Numbers::Sequence, Numbers::Uid);
        known(
            arguments,
            &[
                (b"COPY 1 a", Ok(Command::Copy(copy(seq)))),
                (b"UID COPY 1 a", Ok(Command::Copy(copy(uid)))),
                (b"MOVE 1 a", Ok(Command::Move(copy(seq)))),
                (b"uid move 1 a", Ok(Command::Move(copy(uid)))),
                (b"UID EXPUNGE 1", Ok(Command::Expunge(Some(one())))),
                (b"UID EXPUNGE", Err(11)),
                (b"EXPUNGE 1", Err(7)),
                (b"COPY 1", Err(6)),
                (b"COPY 0 a", Err(5)),
                (b"MOVE 1 a b", Err(8)),
            ],
        );
    }
}
