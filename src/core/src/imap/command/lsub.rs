//! LSUB (RFC 3501 §6.3.9).

use std::collections::{BTreeMap, BTreeSet};

use super::Begun;
use super::once::{self, Lines};
use crate::imap::list_pattern::ListPattern;
use crate::imap::mutf7;
use crate::imap::response::{self, Listing};
use crate::imap::session::run::Cx;
use crate::store::{Mailbox, MailboxName, SEPARATOR};

/// LSUB
pub(super) fn lsub(reference: &str, pattern: &str, cx: &mut Cx<'_>) -> Begun {
    let pattern = ListPattern::new(&mutf7::pattern(reference), &mutf7::pattern(pattern));
    once::mailboxes(cx, move |mailboxes, others| {
        Lines::new(rows(&mailboxes, &others, &pattern), write, "LSUB completed")
    })
}

/// A name, and whether it is no subscribed one, only above one.
type Row = (String, bool);

fn write((name, above): &Row, text: &mut Vec<u8>) {
    let attributes = above.then_some("\\Noselect");
    response::list(text, Listing::Lsub, attributes, Some(SEPARATOR), name, None);
}

/// The subscribed names that match. RFC 3501 §6.3.9: where `%` stops above a subscribed name, the name there is listed as `\Noselect`, unless it
/// is subscribed itself.
fn rows(mailboxes: &[Mailbox], others: &[MailboxName], pattern: &ListPattern) -> Vec<Row> {
    let names: BTreeSet<&MailboxName> = mailboxes
        .iter()
        .filter(|mailbox| mailbox.subscribed)
        .map(|mailbox| &mailbox.name)
        .chain(others)
        .collect();
    let mut shown: BTreeMap<&str, bool> = BTreeMap::new();
    for name in &names {
        let name = name.as_str();
        if pattern.matches(name) {
            shown.insert(name, false);
        } else if let Some(parent) = pattern.matching_parent(name) {
            shown.entry(parent).or_insert(true);
        }
    }
    let shown = shown.into_iter();
    shown
        .map(|(name, above)| (name.to_owned(), above))
        .collect()
}
