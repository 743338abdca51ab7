//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 §6.3.3 to §6.3.7).

use super::{Begun, Named, UnfitUse, list, once};
use crate::imap::response::{self, Code, Condition};
use crate::imap::session::run::{Completion, Cx, Then};
use crate::store::{AccountId, Answer, MailboxName, Request, SpecialUse};

fn account(cx: &Cx<'_>) -> Result<AccountId, Completion> {
    cx.phase
        .user()
        .map(|user| user.account)
        .ok_or_else(Completion::confused)
}

fn named(name: &Named, cx: &Cx<'_>) -> Result<MailboxName, Completion> {
    name.name(cx.revision).map_err(Completion::bad_name)
}

/// CREATE (RFC 6154 §3 with USE).
pub(super) fn create(
    name: &Named,
    special_use: Result<Option<SpecialUse>, UnfitUse>,
    cx: &mut Cx<'_>,
) -> Result<Begun, Completion> {
    let special_use = special_use.map_err(|UnfitUse| {
        Completion::no(Code::UseAttr, "mailboxes can't be given this special use")
    })?;
    let (name, written) = (named(name, cx)?, name.0.clone());
    let request = Request::Create {
        account: account(cx)?,
        name: name.clone(),
        special_use,
    };
    Ok(once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Done) => {
            // RFC 9051 §6.3.9.7: it is not called as the client thinks.
            let renamed = list::old_name(name.as_str(), &written).is_some();
            if renamed && cx.revision.lists_selected() {
                list::tell_name(&name, special_use, &written, cx);
            }
            Completion::ok("CREATE completed")
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    }))
}

/// DELETE. Where it is the selected mailbox, that is selected no longer.
pub(super) fn delete(name: &Named, cx: &mut Cx<'_>) -> Result<Begun, Completion> {
    let name = named(name, cx)?;
    let request = Request::Delete {
        account: account(cx)?,
        name: name.clone(),
    };
    Ok(once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Done) => {
            let done = Completion::ok("DELETE completed");
            if cx
                .phase
                .selected()
                .is_none_or(|selected| selected.name != name)
            {
                return done;
            }
            let text = "the selected mailbox is deleted";
            response::status(cx.text(), None, Condition::Ok, Some(&Code::Closed), text);
            done.then(Then::Unselect)
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    }))
}

/// RENAME. A mailbox stays selected under its new name; INBOX stays INBOX.
pub(super) fn rename(from: &Named, to: &Named, cx: &mut Cx<'_>) -> Result<Begun, Completion> {
    let (from, to) = (named(from, cx)?, named(to, cx)?);
    let request = Request::Rename {
        account: account(cx)?,
        from: from.clone(),
        to: to.clone(),
    };
    Ok(once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Done) => {
            if let Some(selected) = cx.phase.selected_mut() {
                // INBOX's messages have left it.
                selected.dirty = true;
                let renamed = selected.name == from || selected.name.is_below(&from);
                if renamed
                    && !from.is_inbox()
                    && let Ok(name) = selected.name.moved(&from, &to)
                {
                    selected.name = name;
                }
            }
            Completion::ok("RENAME completed")
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    }))
}

/// SUBSCRIBE, or UNSUBSCRIBE.
pub(super) fn subscribe(
    name: &Named,
    subscribed: bool,
    cx: &mut Cx<'_>,
) -> Result<Begun, Completion> {
    let request = Request::Subscribe {
        account: account(cx)?,
        name: named(name, cx)?,
        subscribed,
    };
    let text = if subscribed {
        "SUBSCRIBE completed"
    } else {
        "UNSUBSCRIBE completed"
    };
    Ok(once::done(cx, request, text))
}
