//! COPY (RFC 3501 §6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 §3).

use super::{Begun, Copy};
use crate::imap::response::{self, Condition};
use crate::imap::session::run::{Coded, Completion, Cx, Run, Step, mailbox_gone};
use crate::store::{Answer, Copied, Refusal, Reply, Request};

/// COPY, or MOVE when `moves`.
pub(super) fn begin(copy: &Copy, moves: bool, cx: &mut Cx<'_>) -> Begun {
    let to = match copy.to.name(cx.revision) {
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
    cx.ask(request);
    Begun::Running(Box::new(Copying {
        moves,
        here,
        text,
        missing: None,
    }))
}

struct Copying {
    moves: bool,
    /// The target is the selected mailbox.
    here: bool,
    text: &'static str,
    /// The store knows no such mailbox; which of the two was asked for again.
    missing: Option<Completion>,
}

impl Copying {
    fn copied(&self, copied: Copied, cx: &mut Cx<'_>) -> Completion {
        if let Some(selected) = cx.phase.selected_mut() {
            selected.dirty |= self.here || self.moves;
        }
        if copied.from.is_empty() {
            // They are all gone; a COPYUID can't say so.
            return Completion::ok(self.text);
        }
        let code = Coded::CopyUid(Box::new(copied));
        if self.moves {
            // RFC 6851 §4.3: before the EXPUNGEs.
            response::status(cx.text(), None, Condition::Ok, Some(&code.code()), "moved");
            Completion::ok(self.text)
        } else {
            Completion::ok(self.text).with_code(code)
        }
    }
}

impl Run for Copying {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (self.missing.take(), reply) {
            (None, Ok(Answer::Copied(copied))) => self.copied(copied, cx).into(),
            (None, Err(Refusal::NoSuchMailbox)) => {
                // TRYCREATE (RFC 3501 §6.4.7) is true of the target only: is the source still there?
                self.missing = Some(Completion::refused_target(&Refusal::NoSuchMailbox));
                let Some(selected) = cx.phase.selected() else {
                    return Completion::confused().into();
                };
                let (mailbox, since) = (selected.mailbox, selected.view.through());
                cx.ask(Request::Changes { mailbox, since })
            }
            (None, Ok(_)) => Completion::confused().into(),
            (None, Err(refusal)) => Completion::refused_target(&refusal).into(),
            (Some(_), Err(Refusal::NoSuchMailbox)) => mailbox_gone().into(),
            (Some(missing), _) => missing.into(),
        }
    }
}
