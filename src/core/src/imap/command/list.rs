//! LIST (RFC 3501 §6.3.8, RFC 3348, RFC 6154), LSUB (RFC 3501 §6.3.9) and NAMESPACE (RFC 2342).

use std::collections::{BTreeMap, BTreeSet};

use super::Begun;
use super::once::Lines;
use crate::imap::list_pattern::ListPattern;
use crate::imap::response::{self, Listing};
use crate::imap::session::run::{Completion, Cx, Run, Step};
use crate::store::{Answer, Mailbox, MailboxName, Reply, Request, SEPARATOR, SpecialUse};

/// What a LIST or LSUB response says.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    word: Listing,
    name: String,
    /// There is no such mailbox: only others below it.
    absent: bool,
    /// `\HasChildren`; LSUB does not say.
    children: Option<bool>,
    special_use: Option<SpecialUse>,
}

/// LIST
pub(super) fn list(reference: &str, pattern: &str, cx: &mut Cx<'_>) -> Begun {
    if pattern.is_empty() {
        // RFC 3501 §6.3.8: the separator and the root name. All names are under one root.
        response::list(
            cx.text(),
            Listing::List,
            ["\\Noselect"],
            Some(SEPARATOR),
            "",
        );
        return Begun::Done(Completion::ok("LIST completed"));
    }
    ask(reference, pattern, false, cx)
}

/// LSUB
pub(super) fn lsub(reference: &str, pattern: &str, cx: &mut Cx<'_>) -> Begun {
    ask(reference, pattern, true, cx)
}

/// NAMESPACE
pub(super) fn namespace(cx: &mut Cx<'_>) -> Begun {
    response::namespace(cx.text(), [&[("", Some(SEPARATOR))], &[], &[]]);
    Begun::Done(Completion::ok("NAMESPACE completed"))
}

fn ask(reference: &str, pattern: &str, subscribed: bool, cx: &mut Cx<'_>) -> Begun {
    let Some(user) = cx.phase.user() else {
        return Begun::Done(Completion::confused());
    };
    let request = Request::Mailboxes {
        account: user.account,
    };
    cx.ask(request);
    let pattern = ListPattern::new(reference, pattern);
    Begun::Running(Box::new(Lister {
        pattern,
        subscribed,
        lines: None,
    }))
}

struct Lister {
    pattern: ListPattern,
    /// LSUB.
    subscribed: bool,
    lines: Option<Lines<Row>>,
}

impl Run for Lister {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        let (mailboxes, others) = match reply {
            Ok(Answer::Mailboxes(mailboxes, others)) => (mailboxes, others),
            Ok(_) => return Completion::confused().into(),
            Err(refusal) => return Completion::refused(&refusal).into(),
        };
        let (rows, text) = if self.subscribed {
            (
                subscribed_rows(&mailboxes, &others, &self.pattern),
                "LSUB completed",
            )
        } else {
            (rows(&mailboxes, &self.pattern), "LIST completed")
        };
        self.lines.insert(Lines::new(rows, write, text)).tell(cx)
    }
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        match &mut self.lines {
            Some(lines) => lines.tell(cx),
            None => Step::Wait,
        }
    }
}

fn write(row: &Row, text: &mut Vec<u8>) {
    let mut attributes: Vec<&str> = Vec::new();
    if row.absent {
        attributes.push("\\Noselect");
    }
    match row.children {
        Some(true) => attributes.push("\\HasChildren"),
        Some(false) => attributes.push("\\HasNoChildren"),
        None => {}
    }
    let attribute = |usage| {
        SpecialUse::ALL
            .iter()
            .find(|(u, ..)| *u == usage)
            .map(|(_, name, ..)| *name)
    };
    attributes.extend(row.special_use.and_then(attribute));
    response::list(text, row.word, attributes, Some(SEPARATOR), &row.name);
}

/// The mailboxes that match; and the names above mailboxes that are none themselves, should there be any.
fn rows(mailboxes: &[Mailbox], pattern: &ListPattern) -> Vec<Row> {
    let parents: BTreeSet<MailboxName> = mailboxes
        .iter()
        .flat_map(|mailbox| above(&mailbox.name))
        .collect();
    let there: BTreeMap<&MailboxName, &Mailbox> = mailboxes
        .iter()
        .map(|mailbox| (&mailbox.name, mailbox))
        .collect();
    let mut all: BTreeSet<&MailboxName> = there.keys().copied().collect();
    all.extend(&parents);
    all.into_iter()
        .filter(|name| pattern.matches(name.as_str()))
        .map(|name| {
            let mailbox = there.get(name);
            Row {
                word: Listing::List,
                name: name.to_string(),
                absent: mailbox.is_none(),
                children: Some(parents.contains(name)),
                special_use: mailbox.and_then(|mailbox| mailbox.special_use),
            }
        })
        .collect()
}

/// The subscribed names that match. RFC 3501 §6.3.9: where `%` stops above a subscribed name, the name there is listed as `\Noselect`, unless it
/// is subscribed itself.
fn subscribed_rows(
    mailboxes: &[Mailbox],
    others: &[MailboxName],
    pattern: &ListPattern,
) -> Vec<Row> {
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
    shown
        .into_iter()
        .map(|(name, absent)| Row {
            word: Listing::Lsub,
            name: name.to_owned(),
            absent,
            children: None,
            special_use: None,
        })
        .collect()
}

/// The names above a name.
fn above(name: &MailboxName) -> impl Iterator<Item = MailboxName> {
    std::iter::successors(name.parent(), MailboxName::parent)
}
