//! LSUB (RFC 3501 §6.3.9).

use std::collections::{BTreeMap, BTreeSet};

use super::Begun;
use super::once::{self, Lines};
use crate::imap::list_pattern::ListPattern;
use crate::imap::response::{self, Listing};
use crate::imap::revision::Revision;
use crate::imap::session::run::Cx;
use crate::store::{Mailbox, MailboxName, SEPARATOR};

/// LSUB
pub(super) fn lsub(reference: &str, pattern: &str, cx: &mut Cx<'_>) -> Begun {
    let revision = cx.revision;
    let pattern = ListPattern::new(&revision.pattern(reference), &revision.pattern(pattern));
    once::mailboxes(cx, move |mailboxes, others| {
        let rows = rows(&mailboxes, &others, &pattern).into_iter();
        let rows = rows.map(|(name, above)| (name.to_owned(), above, revision));
        Lines::new(rows.collect(), write, "LSUB completed")
    })
}

/// A name, and whether it is no subscribed one, only above one.
type Row = (String, bool, Revision);

fn write((name, above, revision): &Row, text: &mut Vec<u8>) {
    let attributes = above.then_some("\\Noselect");
    let separator = Some(SEPARATOR);
    response::list(
        text,
        *revision,
        Listing::Lsub,
        attributes,
        separator,
        name,
        None,
    );
}

/// The subscribed names that match. RFC 3501 §6.3.9: where `%` stops above a subscribed name, the name there is listed as `\Noselect`, unless it
/// is subscribed itself.
fn rows<'n>(
    mailboxes: &'n [Mailbox],
    others: &'n [MailboxName],
    pattern: &ListPattern,
) -> BTreeMap<&'n str, bool> {
    let names: BTreeSet<&'n MailboxName> = mailboxes
        .iter()
        .filter(|mailbox| mailbox.subscribed)
        .map(|mailbox| &mailbox.name)
        .chain(others)
        .collect();
    let mut shown = BTreeMap::new();
    for name in &names {
        let name = name.as_str();
        if pattern.matches(name) {
            shown.insert(name, false);
        } else if let Some(parent) = pattern.matching_parent(name) {
            shown.entry(parent).or_insert(true);
        }
    }
    shown
}
