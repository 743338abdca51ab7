//! COPY (RFC 3501 §6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 §3).

use super::{Begun, Copy, once};
use crate::imap::response::{self, Condition};
use crate::imap::session::run::{Coded, Completion, Cx};
use crate::store::{Answer, Request};

/// COPY, or MOVE when `moves`.
pub(super) fn begin(copy: Copy, moves: bool, cx: &mut Cx<'_>) -> Begun {
    let to = match copy.to {
        Ok(to) => to,
        Err(why) => return Begun::Done(Completion::bad_name(why)),
    };
    let Some(selected) = cx.phase.selected() else {
        return Begun::Done(Completion::confused());
    };
    let Some(uids) = super::named(copy.numbers, &copy.set, &selected.view) else {
        return Begun::Done(super::no_such_number());
    };
    if moves && !selected.writable {
        return Begun::Done(super::expunge::read_only());
    }
    let text = if moves {
        "MOVE completed"
    } else {
        "COPY completed"
    };
    if uids.is_empty() {
        return Begun::Done(Completion::ok(text));
    }
    let (mailbox, account) = (selected.mailbox, selected.user.account);
    let here = selected.name == to;
    let request = if moves {
        Request::Move {
            mailbox,
            uids,
            account,
            to,
        }
    } else {
        Request::Copy {
            mailbox,
            uids,
            account,
            to,
        }
    };
    once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Copied(copied)) => {
            if let Some(selected) = cx.phase.selected_mut() {
                selected.dirty |= here || moves;
            }
            if copied.from.is_empty() {
                // They are all gone; a COPYUID can't say so.
                return Completion::ok(text);
            }
            let code = Coded::CopyUid(Box::new(copied));
            if moves {
                // RFC 6851 §4.3: before the EXPUNGEs.
                response::status(cx.text(), None, Condition::Ok, Some(&code.code()), "moved");
                Completion::ok(text)
            } else {
                Completion::ok(text).with_code(code)
            }
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused_target(&refusal),
    })
}
