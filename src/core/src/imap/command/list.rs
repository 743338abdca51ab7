//! LIST (RFC 3501 §6.3.8, RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154) and NAMESPACE (RFC 2342).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::once::{self, Lines};
use super::{Begun, List, ListReturns, ListSelect, status};
use crate::imap::list_pattern::ListPattern;
use crate::imap::response::{self, ListItem, Listing};
use crate::imap::revision::Revision;
use crate::imap::session::run::{Completion, Cx};
use crate::store::{Mailbox, MailboxName, SEPARATOR, SpecialUse};

/// LIST
pub(super) fn list(list: List, cx: &mut Cx<'_>) -> Begun {
    let revision = cx.revision;
    if !list.extended && list.patterns.iter().all(String::is_empty) {
        // RFC 3501 §6.3.8: the separator and the root name. All names are under one root.
        response::list(
            cx.text(),
            revision,
            Listing::List,
            ["\\Noselect"],
            Some(SEPARATOR),
            "",
            None,
        );
        return Begun::Done(Completion::ok("LIST completed"));
    }
    once::mailboxes(cx, move |mailboxes, others| {
        let asked = Arc::new(Asked::new(&list, revision));
        let rows = asked.rows(mailboxes, &others);
        let rows = rows.into_iter().map(|row| (row, Arc::clone(&asked)));
        Lines::new(rows.collect(), write, "LIST completed")
    })
}

/// NAMESPACE
pub(super) fn namespace(cx: &mut Cx<'_>) -> Begun {
    let revision = cx.revision;
    response::namespace(cx.text(), revision, [&[("", Some(SEPARATOR))], &[], &[]]);
    Begun::Done(Completion::ok("NAMESPACE completed"))
}

/// What a LIST asks for.
#[derive(Debug)]
struct Asked {
    revision: Revision,
    patterns: Vec<ListPattern>,
    select: ListSelect,
    returns: ListReturns,
    extended: bool,
}

/// What a LIST response says.
#[derive(Debug)]
struct Row {
    name: MailboxName,
    /// `None`: there is no such mailbox.
    mailbox: Option<Mailbox>,
    subscribed: bool,
    /// There are mailboxes below it.
    children: bool,
    /// It fits the selection options itself.
    fits: bool,
    /// Something below it does, and is to be told of (RFC 5258 §3.5).
    child_fits: bool,
}

impl Asked {
    fn new(list: &List, revision: Revision) -> Self {
        let reference = revision.pattern(&list.reference);
        let patterns = list.patterns.iter().filter(|pattern| !pattern.is_empty());
        Self {
            revision,
            patterns: patterns
                .map(|pattern| ListPattern::new(&reference, &revision.pattern(pattern)))
                .collect(),
            select: list.select,
            returns: list.returns.clone(),
            extended: list.extended,
        }
    }

    fn matches(&self, name: &MailboxName) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| pattern.matches(name.as_str()))
    }

    /// Whether a name fits the selection options, all of them; without any, every mailbox does.
    fn fits(&self, mailbox: Option<&Mailbox>, subscribed: bool) -> bool {
        let special = mailbox.is_some_and(|mailbox| mailbox.special_use.is_some());
        (subscribed || !self.select.subscribed)
            && (special || !self.select.special_use)
            && (mailbox.is_some() || self.select.subscribed)
    }

    /// The names that match and fit; with RECURSIVEMATCH also those that match and have below them what fits and does not match. Should a
    /// mailbox have no mailbox above it, LIST without options tells of the name there.
    fn rows(&self, mailboxes: Vec<Mailbox>, others: &[MailboxName]) -> Vec<Row> {
        let mut parents = BTreeSet::new();
        for mailbox in &mailboxes {
            parents.extend(above(&mailbox.name));
        }
        let mut all: BTreeMap<MailboxName, (Option<Mailbox>, bool)> = BTreeMap::new();
        for name in others {
            all.insert(name.clone(), (None, true));
        }
        for mailbox in mailboxes {
            let subscribed = mailbox.subscribed;
            all.insert(mailbox.name.clone(), (Some(mailbox), subscribed));
        }
        // Names above those that fit, and whether one of those is told of by nothing else.
        let mut above_fitting: BTreeMap<MailboxName, bool> = BTreeMap::new();
        if self.select.recursive_match {
            for (name, (mailbox, subscribed)) in &all {
                if self.fits(mailbox.as_ref(), *subscribed) {
                    let hidden = !self.matches(name);
                    for parent in above(name) {
                        *above_fitting.entry(parent).or_default() |= hidden;
                    }
                }
            }
        }
        for name in parents.iter().chain(above_fitting.keys()) {
            all.entry(name.clone()).or_insert((None, false));
        }
        let selects = self.select.subscribed || self.select.special_use;
        let rows = all.into_iter().filter(|(name, _)| self.matches(name));
        rows.filter_map(|(name, (mailbox, subscribed))| {
            let children = parents.contains(&name);
            let bare = mailbox.is_none() && children && !selects;
            let fits = self.fits(mailbox.as_ref(), subscribed) || bare;
            let below = above_fitting.get(&name).copied();
            let child_fits = if fits {
                below.is_some()
            } else {
                below == Some(true)
            };
            (fits || child_fits).then_some(Row {
                name,
                mailbox,
                subscribed,
                children,
                fits,
                child_fits,
            })
        })
        .collect()
    }

    /// The selection options that CHILDINFO names.
    fn options(&self) -> Vec<&'static str> {
        let options = [
            (self.select.subscribed, "SUBSCRIBED"),
            (self.select.special_use, "SPECIAL-USE"),
        ];
        let options = options.into_iter().filter(|(named, _)| *named);
        options.map(|(_, name)| name).collect()
    }
}

fn write((row, asked): &(Row, Arc<Asked>), text: &mut Vec<u8>) {
    let mut attributes: Vec<&str> = Vec::new();
    if row.mailbox.is_none() {
        // \NonExistent says the same and more, to clients that know it.
        attributes.push(if asked.extended {
            "\\NonExistent"
        } else {
            "\\Noselect"
        });
    }
    if row.subscribed && (asked.returns.subscribed || asked.select.subscribed) {
        attributes.push("\\Subscribed");
    }
    attributes.push(if row.children {
        "\\HasChildren"
    } else {
        "\\HasNoChildren"
    });
    let special_use = row.mailbox.as_ref().and_then(|mailbox| mailbox.special_use);
    attributes.extend(special_use.map(SpecialUse::attribute));
    let options = asked.options();
    let item = row.child_fits.then_some(ListItem::ChildInfo(&options));
    let name = row.name.as_str();
    let revision = asked.revision;
    response::list(
        text,
        revision,
        Listing::List,
        attributes,
        Some(SEPARATOR),
        name,
        item,
    );
    // RFC 5819 §2: for mailboxes that match and fit.
    if let Some(mailbox) = row.mailbox.as_ref().filter(|_| row.fits)
        && !asked.returns.status.is_empty()
    {
        status::tell(mailbox, &asked.returns.status, revision, text);
    }
}

/// `* LIST` of one mailbox, to a client that asked for something else; with OLDNAME where it wrote the name in another form (RFC 9051 §6.3.9.7).
pub(super) fn tell_name(
    name: &MailboxName,
    special_use: Option<SpecialUse>,
    written: &[u8],
    cx: &mut Cx<'_>,
) {
    let attributes = special_use.map(SpecialUse::attribute);
    let name = name.as_str();
    let old = old_name(name, written);
    let (revision, separator) = (cx.revision, Some(SEPARATOR));
    let text = cx.text();
    response::list(
        text,
        revision,
        Listing::List,
        attributes,
        separator,
        name,
        old.map(ListItem::OldName),
    );
}

/// What the client called a mailbox, where that is not its name.
pub(super) fn old_name<'w>(name: &str, written: &'w [u8]) -> Option<&'w str> {
    let written = std::str::from_utf8(written).ok();
    written.filter(|written| *written != name)
}

/// The names above a name.
fn above(name: &MailboxName) -> impl Iterator<Item = MailboxName> {
    std::iter::successors(name.parent(), MailboxName::parent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{MailboxId, ModSeq, UidValidity};

    fn mailbox(name: &MailboxName, subscribed: bool, special_use: Option<SpecialUse>) -> Mailbox {
        Mailbox {
            id: MailboxId(0),
            name: name.clone(),
            special_use,
            subscribed,
            validity: UidValidity(1),
            uid_next: None,
            modseq: ModSeq(1),
            messages: 0,
            unseen: 0,
            deleted: 0,
            recent: 0,
            bytes: 0,
        }
    }

    /// A name with whether it exists, is subscribed, has a special use.
    type Known = BTreeMap<MailboxName, (bool, bool, bool)>;

    fn names() -> impl Strategy<Value = Known> {
        let name = "[ab](/[ab]){0,2}".prop_map(|name| MailboxName::new(&name).unwrap());
        let names = proptest::collection::btree_map(name, any::<(bool, bool, bool)>(), 0..8);
        names.prop_map(|names| {
            let mut all = names.clone();
            // What exists has mailboxes above it.
            for (name, (exists, ..)) in &names {
                for parent in above(name).filter(|_| *exists) {
                    all.entry(parent).or_default().0 = true;
                }
            }
            all
        })
    }

    /// The table of RFC 5258 §3.5, and rule 2B of §3.3: `name`, itself fitting, something below it fitting.
    fn expected(
        known: &Known,
        select: ListSelect,
        patterns: &[ListPattern],
    ) -> Vec<(String, bool, bool)> {
        let fits = |name: &MailboxName| {
            let (exists, subscribed, special) = known.get(name).copied().unwrap_or_default();
            (subscribed || !select.subscribed)
                && (exists && special || !select.special_use)
                && (exists || select.subscribed)
        };
        let matches = |name: &MailboxName| patterns.iter().any(|one| one.matches(name.as_str()));
        let mut all: BTreeSet<MailboxName> = known.keys().cloned().collect();
        all.extend(known.keys().flat_map(above));
        let rows = all.iter().filter(|name| matches(name)).filter_map(|name| {
            let below = || {
                known
                    .keys()
                    .filter(|lower| lower.is_below(name) && fits(lower))
            };
            let child = select.recursive_match && below().next().is_some();
            let hidden = select.recursive_match && below().any(|lower| !matches(lower));
            let itself = fits(name);
            let told = if itself { child } else { hidden };
            (itself || told).then(|| (name.to_string(), itself, told))
        });
        rows.collect()
    }

    proptest! {
        #[test]
        fn names_are_selected_as_the_rfc_says(
            known in names(),
            (subscribed, special_use, recursive) in any::<(bool, bool, bool)>(),
            patterns in proptest::collection::vec("[ab/%*]{1,4}", 1..3),
        ) {
            let select = ListSelect {
                subscribed,
                special_use,
                recursive_match: recursive && (subscribed || special_use),
            };
            let asked = Asked::new(
                &List {
                    select,
                    patterns,
                    extended: true,
                    ..List::default()
                },
                Revision::Rev1,
            );
            let there = known.iter().filter(|(_, (exists, ..))| *exists);
            let there = there.map(|(name, (_, subscribed, special))| {
                mailbox(name, *subscribed, special.then_some(SpecialUse::Junk))
            });
            let others = known.iter().filter(|(_, (exists, subscribed, _))| !exists && *subscribed);
            let others: Vec<_> = others.map(|(name, _)| name.clone()).collect();
            let rows = asked.rows(there.collect(), &others);
            for row in &rows {
                let exists = known.get(&row.name).is_some_and(|(exists, ..)| *exists);
                prop_assert_eq!(row.mailbox.is_some(), exists);
                let children = known.iter().any(|(name, (exists, ..))| *exists && name.is_below(&row.name));
                prop_assert_eq!(row.children, children);
            }
            let rows = rows.into_iter().map(|row| (row.name.to_string(), row.fits, row.child_fits));
            let rows: Vec<_> = rows.collect();
            prop_assert_eq!(rows, expected(&known, select, &asked.patterns));
        }
    }
}
