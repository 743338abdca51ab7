//! LIST (RFC 3501 §6.3.8, RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154) and NAMESPACE (RFC 2342).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::once::{self, Lines};
use super::{Begun, List, ListReturns, ListSelect, status};
use crate::imap::list_pattern::ListPattern;
use crate::imap::mutf7;
use crate::imap::response::{self, ListItem, Listing};
use crate::imap::session::run::{Completion, Cx};
use crate::store::{Mailbox, MailboxName, SEPARATOR, SpecialUse};

/// LIST
pub(super) fn list(list: List, cx: &mut Cx<'_>) -> Begun {
    if !list.extended && list.patterns.iter().all(String::is_empty) {
        // RFC 3501 §6.3.8: the separator and the root name. All names are under one root.
        response::list(
            cx.text(),
            Listing::List,
            ["\\Noselect"],
            Some(SEPARATOR),
            "",
            None,
        );
        return Begun::Done(Completion::ok("LIST completed"));
    }
    once::mailboxes(cx, move |mailboxes, others| {
        let asked = Arc::new(Asked::new(&list));
        let rows = asked.rows(mailboxes, &others);
        let rows = rows.into_iter().map(|row| (row, Arc::clone(&asked)));
        Lines::new(rows.collect(), write, "LIST completed")
    })
}

/// NAMESPACE
pub(super) fn namespace(cx: &mut Cx<'_>) -> Begun {
    response::namespace(cx.text(), [&[("", Some(SEPARATOR))], &[], &[]]);
    Begun::Done(Completion::ok("NAMESPACE completed"))
}

/// What a LIST asks for.
#[derive(Debug)]
struct Asked {
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
    fn new(list: &List) -> Self {
        let reference = mutf7::pattern(&list.reference);
        let patterns = list.patterns.iter().filter(|pattern| !pattern.is_empty());
        Self {
            patterns: patterns
                .map(|pattern| ListPattern::new(&reference, &mutf7::pattern(pattern)))
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
    response::list(text, Listing::List, attributes, Some(SEPARATOR), name, item);
    // RFC 5819 §2: for mailboxes that match and fit.
    if let Some(mailbox) = row.mailbox.as_ref().filter(|_| row.fits)
        && !asked.returns.status.is_empty()
    {
        status::tell(mailbox, &asked.returns.status, text);
    }
}

/// The names above a name.
fn above(name: &MailboxName) -> impl Iterator<Item = MailboxName> {
    std::iter::successors(name.parent(), MailboxName::parent)
}
