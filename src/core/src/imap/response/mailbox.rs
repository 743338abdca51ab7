//! Responses about mailboxes.

use super::{number, string, utf8_string};
use crate::imap::command::StatusItem;
use crate::imap::revision::Revision;
use crate::store::{Keyword, SystemFlags};

/// Which of the two list responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// LIST
    List,
    /// LSUB
    Lsub,
}

/// An extended item of a LIST response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListItem<'a> {
    /// CHILDINFO: the selection options that something below fits.
    ChildInfo(&'a [&'a str]),
    /// OLDNAME: what the client called it (RFC 9051 §6.3.9.7).
    OldName(&'a str),
}

/// `* LIST (\HasNoChildren) "/" name`. Attributes with their backslash; `separator` is none in a flat namespace.
///
/// ```abnf
/// mailbox-list    = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
///                   [SP mbox-list-extended]                               ; RFC 5258
/// mbox-list-extended = "(" [mbox-list-extended-item *(SP mbox-list-extended-item)] ")"
/// ```
pub fn list<'a>(
    out: &mut Vec<u8>,
    revision: Revision,
    listing: Listing,
    attributes: impl IntoIterator<Item = &'a str>,
    separator: Option<char>,
    name: &str,
    item: Option<ListItem<'_>>,
) {
    out.extend_from_slice(match listing {
        Listing::List => b"* LIST (",
        Listing::Lsub => b"* LSUB (",
    });
    for (index, attribute) in attributes.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(attribute.as_bytes());
    }
    out.extend_from_slice(b") ");
    delimiter(out, separator);
    out.push(b' ');
    revision.write_name(out, name);
    match item {
        None => {}
        // childinfo-extended-item = "CHILDINFO" SP "(" list-select-base-opt-quoted
        //                           *(SP list-select-base-opt-quoted) ")"       ; RFC 5258
        Some(ListItem::ChildInfo(options)) => {
            out.extend_from_slice(b" (\"CHILDINFO\" (");
            for (index, option) in options.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                string(out, option.as_bytes());
            }
            out.extend_from_slice(b"))");
        }
        // oldname-extended-item = "OLDNAME" SP "(" mailbox ")"                 ; RFC 9051
        Some(ListItem::OldName(old)) => {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            revision.write_name(out, old);
            out.extend_from_slice(b"))");
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn delimiter(out: &mut Vec<u8>, separator: Option<char>) {
    match separator {
        Some(separator) => string(out, separator.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `* STATUS name (MESSAGES 231 UIDNEXT 44292)`
///
/// ```abnf
/// status-att-list = status-att SP number *(SP status-att SP number)       ; RFC 3501
/// ```
pub fn status_data(
    out: &mut Vec<u8>,
    revision: Revision,
    name: &str,
    items: impl IntoIterator<Item = (StatusItem, u64)>,
) {
    out.extend_from_slice(b"* STATUS ");
    revision.write_name(out, name);
    out.extend_from_slice(b" (");
    for (index, (item, value)) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(match item {
            StatusItem::Messages => b"MESSAGES ",
            StatusItem::Recent => b"RECENT ",
            StatusItem::UidNext => b"UIDNEXT ",
            StatusItem::UidValidity => b"UIDVALIDITY ",
            StatusItem::Unseen => b"UNSEEN ",
            StatusItem::Deleted => b"DELETED ",
            StatusItem::Size => b"SIZE ",
        });
        number(out, value);
    }
    out.extend_from_slice(b")\r\n");
}

/// `* NAMESPACE (("" "/")) NIL NIL`: personal, other users', shared; each a list of prefix and separator.
///
/// ```abnf
/// namespace       = nil / "(" 1*namespace-descr ")"                       ; RFC 9051
/// ```
pub fn namespace(out: &mut Vec<u8>, revision: Revision, kinds: [&[(&str, Option<char>)]; 3]) {
    out.extend_from_slice(b"* NAMESPACE");
    for kind in kinds {
        out.push(b' ');
        if kind.is_empty() {
            out.extend_from_slice(b"NIL");
            continue;
        }
        out.push(b'(');
        for (prefix, separator) in kind {
            out.push(b'(');
            utf8_string(out, &revision.encode(prefix));
            out.push(b' ');
            delimiter(out, *separator);
            out.push(b')');
        }
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
}

/// `* FLAGS (\Answered \Seen $Work)`
pub fn flags_list<'a>(
    out: &mut Vec<u8>,
    system: SystemFlags,
    keywords: impl IntoIterator<Item = &'a Keyword>,
) {
    out.extend_from_slice(b"* FLAGS (");
    flag_names(out, system, keywords);
    out.extend_from_slice(b")\r\n");
}

/// The names, with spaces between them. Says whether there was any.
pub(super) fn flag_names<'a>(
    out: &mut Vec<u8>,
    system: SystemFlags,
    keywords: impl IntoIterator<Item = &'a Keyword>,
) -> bool {
    let start = out.len();
    for (flag, name) in SystemFlags::NAMES {
        if system.contains(flag) {
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(name.as_bytes());
        }
    }
    for keyword in keywords {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(keyword.as_str().as_bytes());
    }
    out.len() > start
}
