//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2).
//!
//! A SELECT that fails leaves no mailbox selected (RFC 9051 §6.3.2).

use super::{Begun, Named, list, once};
use crate::imap::response::{self, Code, Condition};
use crate::imap::session::phase::Phase;
use crate::imap::session::run::{Completion, Cx, Then};
use crate::store::{Answer, Keyword, Opened, Request, SystemFlags, UidSet};

/// SELECT when `writable`, else EXAMINE.
pub(super) fn begin(named: &Named, writable: bool, cx: &mut Cx<'_>) -> Begun {
    let name = match named.name(cx.revision) {
        Ok(name) => name,
        Err(why) => return Begun::Done(left(Completion::bad_name(why), cx)),
    };
    let Some(user) = cx.phase.user() else {
        return Begun::Done(Completion::confused());
    };
    let request = Request::Open {
        account: user.account,
        name,
        claim_recent: writable && cx.revision.has_recent(),
    };
    let written = named.0.clone();
    once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Opened(mut opened)) => {
            if !cx.revision.has_recent() {
                opened.recent = UidSet::new();
            }
            tell_closed(cx);
            tell(&opened, writable, cx);
            if cx.revision.lists_selected() {
                let mailbox = &opened.mailbox;
                list::tell_name(&mailbox.name, mailbox.special_use, &written, cx);
            }
            let (code, text) = if writable {
                (Code::ReadWrite, "SELECT completed")
            } else {
                (Code::ReadOnly, "EXAMINE completed")
            };
            Completion::ok(text)
                .with_code(code)
                .then(Then::Select(opened, writable))
        }
        Ok(_) => left(Completion::confused(), cx),
        Err(refusal) => left(Completion::refused(&refusal), cx),
    })
}

/// The mailbox that was selected before is not any more.
fn left(completion: Completion, cx: &mut Cx<'_>) -> Completion {
    tell_closed(cx);
    match (&completion.then, &*cx.phase) {
        (Then::Stay, Phase::Selected(_)) => completion.then(Then::Unselect),
        (_, _) => completion,
    }
}

/// What follows is about another mailbox, or none (RFC 9051 §7.1). To clients of IMAP4rev1 too: they pass over codes that they do not know.
fn tell_closed(cx: &mut Cx<'_>) {
    if cx.phase.selected().is_some() {
        let text = "the mailbox selected before is closed";
        response::status(cx.text(), None, Condition::Ok, Some(&Code::Closed), text);
    }
}

fn tell(opened: &Opened, writable: bool, cx: &mut Cx<'_>) {
    let revision = cx.revision;
    let text = cx.text();
    tell_flags(&opened.keywords, text);
    response::exists(text, opened.uids.len());
    if revision.has_recent() {
        response::recent(text, opened.recent.len());
    }
    let mut ok = |code: &Code<'_>, words| {
        response::status(text, None, Condition::Ok, Some(code), words);
    };
    if let Some(first) = opened.first_unseen.filter(|_| revision.has_unseen_code()) {
        let number = opened.uids.rank(first).saturating_add(1);
        ok(&Code::Unseen(number), "first message not seen");
    }
    ok(
        &Code::UidValidity(opened.mailbox.validity),
        "UIDs stay valid",
    );
    if let Some(next) = opened.mailbox.uid_next {
        ok(&Code::UidNext(next), "next UID");
    }
    tell_permanent(opened.keywords.clone(), writable, text);
}

fn all_flags() -> SystemFlags {
    SystemFlags::NAMES
        .iter()
        .fold(SystemFlags::NONE, |all, (flag, _)| all.with(*flag))
}

/// `* FLAGS (…)`
pub(crate) fn tell_flags<'a>(keywords: impl IntoIterator<Item = &'a Keyword>, text: &mut Vec<u8>) {
    response::flags_list(text, all_flags(), keywords);
}

/// `* OK [PERMANENTFLAGS (…)]`
pub(crate) fn tell_permanent(keywords: Vec<Keyword>, writable: bool, text: &mut Vec<u8>) {
    let (code, words) = if writable {
        (
            Code::PermanentFlags(all_flags(), &keywords, true),
            "these and new ones can be set",
        )
    } else {
        (
            Code::PermanentFlags(SystemFlags::NONE, &[], false),
            "none can be set",
        )
    };
    response::status(text, None, Condition::Ok, Some(&code), words);
}
