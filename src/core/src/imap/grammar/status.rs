//! STATUS.

use super::mailbox::mailbox;
use super::{Parsed, WORD_BYTES_MAX, listed, run, sp, stop, word};
use crate::imap::command::{Command, StatusItem};

/// Items that STATUS may name: each several times over.
const ITEMS_MAX: usize = 32;

/// ```abnf
/// status          = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"    ; RFC 3501
/// ```
pub(super) fn status(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (input, name) = mailbox(input)?;
    let (input, ()) = sp(input)?;
    let (input, items) = status_atts(input)?;
    Ok((input, Command::Status(name, items)))
}

/// `"(" status-att *(SP status-att) ")"`
pub(super) fn status_atts(input: &[u8]) -> Parsed<'_, Vec<StatusItem>> {
    listed(status_att, ITEMS_MAX, input)
}

/// ```abnf
/// status-att      = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" /    ; RFC 3501
///                   "DELETED" / "SIZE"                                            ; RFC 9051, 8438
/// ```
fn status_att(input: &[u8]) -> Parsed<'_, StatusItem> {
    let (rest, name) = run(|b| b.is_ascii_alphabetic(), "an item of STATUS", input)?;
    let item = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        _ => return stop(input, "an item of STATUS that is known here"),
    };
    Ok((rest, item))
}

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;
    use crate::imap::command::Named;

    #[test]
    fn status_asks_for_items_in_the_order_written() {
        use StatusItem::{Deleted, Messages, Recent, Size, UidNext, UidValidity, Unseen};
        let status =
            |items: &[StatusItem]| Ok(Command::Status(Named(b"a".to_vec()), items.to_vec()));
        known(
            super::super::tests::arguments,
            &[
                (b"STATUS a (MESSAGES)", status(&[Messages])),
                (
                    b"status a (uidnext Unseen UIDVALIDITY RECENT size DELETED MESSAGES)",
                    status(&[
                        UidNext,
                        Unseen,
                        UidValidity,
                        Recent,
                        Size,
                        Deleted,
                        Messages,
                    ]),
                ),
                (b"STATUS a ()", Err(10)),
                (b"STATUS a (X)", Err(10)),
                (b"STATUS a (MESSAGES", Err(18)),
                (b"STATUS a (MESSAGES )", Err(19)),
                (b"STATUS a MESSAGES", Err(9)),
                (b"STATUS a", Err(8)),
            ],
        );
    }
}
