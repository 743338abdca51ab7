//! EXPUNGE (RFC 3501 §6.4.3), UID EXPUNGE (RFC 4315 §2.1) and CLOSE (RFC 3501 §6.4.2).

use super::{Begun, SequenceSet, once};
use crate::imap::response::Code;
use crate::imap::session::run::{Completion, Cx, Then};
use crate::store::{Answer, Request};

/// EXPUNGE, of all with `\Deleted` or of those of a set. The news at its end tell which.
pub(super) fn begin(set: Option<&SequenceSet>, cx: &mut Cx<'_>) -> Begun {
    let Some(selected) = cx.phase.selected() else {
        return Begun::Done(Completion::confused());
    };
    if !selected.writable {
        return Begun::Done(read_only());
    }
    let uids = set.map(|set| selected.view.by_uids(set));
    if uids.as_ref().is_some_and(crate::store::UidSet::is_empty) {
        return Begun::Done(Completion::ok("EXPUNGE completed"));
    }
    let request = Request::Expunge {
        mailbox: selected.mailbox,
        uids,
    };
    once::once(cx, request, |reply, cx| match reply {
        Ok(Answer::Expunged(..)) => {
            if let Some(selected) = cx.phase.selected_mut() {
                selected.dirty = true;
            }
            Completion::ok("EXPUNGE completed")
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused_here(&refusal),
    })
}

/// CLOSE: expunges in silence where the mailbox is not read-only, and leaves it. When the store can't expunge, the mailbox stays
/// selected: OK would say that the messages are gone.
pub(super) fn close(cx: &mut Cx<'_>) -> Begun {
    let Some(selected) = cx.phase.selected() else {
        return Begun::Done(Completion::confused());
    };
    let closed = || Completion::ok("CLOSE completed").then(Then::Unselect);
    if !selected.writable {
        return Begun::Done(closed());
    }
    let request = Request::Expunge {
        mailbox: selected.mailbox,
        uids: None,
    };
    once::once(cx, request, move |reply, _| match reply {
        Ok(Answer::Expunged(..)) | Err(crate::store::Refusal::NoSuchMailbox) => closed(),
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    })
}

/// A change was asked for in a mailbox that was opened by EXAMINE.
pub(super) fn read_only() -> Completion {
    Completion::no(Code::ReadOnly, "the mailbox is selected read-only")
}
