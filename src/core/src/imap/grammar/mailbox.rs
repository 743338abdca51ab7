//! Mailboxes: names, and the commands that speak of nothing else.

use super::string::{astring, atom, is_atom_char};
use super::{Parsed, byte, listed, listed_or_empty, run, sp, stop};
use crate::imap::command::{Command, Named, UnfitUse};
use crate::store::SpecialUse;

/// Most uses that CREATE may name: there are not more kinds.
const USES_MAX: usize = 16;

/// ```abnf
/// mailbox         = "INBOX" / astring                                     ; RFC 3501
/// ```
pub(super) fn mailbox(input: &[u8]) -> Parsed<'_, Named> {
    let (rest, written) = astring(input)?;
    Ok((rest, Named(written.into_owned())))
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

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;

    fn name(text: &str) -> Named {
        Named(text.as_bytes().to_vec())
    }

    #[test]
    fn a_mailbox_is_an_astring() {
        known(
            mailbox,
            &[
                (b"inbox", Ok(name("inbox"))),
                (b"\"a b\"", Ok(name("a b"))),
                (b"{5}\r\nInbox", Ok(name("Inbox"))),
                (b"Entw&APw-rfe", Ok(name("Entw&APw-rfe"))),
                ("\"ü\"".as_bytes(), Ok(name("ü"))),
                (b"{1}\r\n\xff", Ok(Named(vec![0xff]))),
                (b"\"\"", Ok(name(""))),
                (b"", Err(0)),
                (b"a%", Err(1)),
            ],
        );
    }

    #[test]
    fn commands_with_mailboxes_take_the_right_ones() {
        use Command as C;
        known(
            super::super::tests::arguments,
            &[
                (b"SELECT a", Ok(C::Select(name("a")))),
                (b"EXAMINE \"a b\"", Ok(C::Examine(name("a b")))),
                (b"DELETE a", Ok(C::Delete(name("a")))),
                (b"SUBSCRIBE a", Ok(C::Subscribe(name("a")))),
                (b"UNSUBSCRIBE a", Ok(C::Unsubscribe(name("a")))),
                (b"RENAME a b", Ok(C::Rename(name("a"), name("b")))),
                (
                    b"RENAME {1}\r\na {1+}\r\nb",
                    Ok(C::Rename(name("a"), name("b"))),
                ),
                (b"SELECT", Err(6)),
                (b"SELECT ", Err(7)),
                (b"SELECT a b", Err(8)),
                (b"SELECT  a", Err(7)),
                (b"RENAME a", Err(8)),
                (b"RENAME a b c", Err(10)),
            ],
        );
    }

    #[test]
    fn create_may_ask_for_a_special_use() {
        let create = |wish| Ok(Command::Create(name("a"), wish));
        let some = |one| create(Ok(Some(one)));
        known(
            super::super::tests::arguments,
            &[
                (b"CREATE a", create(Ok(None))),
                (b"CREATE a (USE ())", create(Ok(None))),
                (b"CREATE a (USE (\\Trash))", some(SpecialUse::Trash)),
                (b"create a (use (\\dRAFTS))", some(SpecialUse::Drafts)),
                (b"CREATE a (USE (\\All))", create(Err(UnfitUse))),
                (b"CREATE a (USE (\\X-Y))", create(Err(UnfitUse))),
                (b"CREATE a (USE (\\Sent \\Junk))", create(Err(UnfitUse))),
                (b"CREATE a/ ", Err(10)),
                (b"CREATE a ()", Err(10)),
                (b"CREATE a (USE \\Sent)", Err(14)),
                (b"CREATE a (USE (Sent))", Err(15)),
                (b"CREATE a (USE (\\))", Err(16)),
                (b"CREATE a (USE (\\Sent)", Err(21)),
                (b"CREATE a (USE (\\Sent) USE ())", Err(22)),
                (b"CREATE a (SIZE (1))", Err(10)),
            ],
        );
    }
}
