//! STATUS (RFC 3501 §6.3.10, RFC 8438).

use super::{Begun, Named, StatusItem, once};
use crate::imap::response;
use crate::imap::revision::Revision;
use crate::imap::session::run::{Completion, Cx};
use crate::store::{Answer, Mailbox, Request, Uid};

/// STATUS
pub(super) fn begin(name: &Named, items: Vec<StatusItem>, cx: &mut Cx<'_>) -> Begun {
    let name = match name.name(cx.revision) {
        Ok(name) => name,
        Err(why) => return Begun::Done(Completion::bad_name(why)),
    };
    let Some(user) = cx.phase.user() else {
        return Begun::Done(Completion::confused());
    };
    let request = Request::Status {
        account: user.account,
        name,
    };
    once::once(cx, request, move |reply, cx| match reply {
        Ok(Answer::Status(mailbox)) => {
            tell(&mailbox, &items, cx.revision, cx.text());
            Completion::ok("STATUS completed")
        }
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    })
}

/// The STATUS response.
pub(super) fn tell(
    mailbox: &Mailbox,
    items: &[StatusItem],
    revision: Revision,
    text: &mut Vec<u8>,
) {
    let told = items.iter().map(|item| (*item, value(mailbox, *item)));
    response::status_data(text, revision, mailbox.name.as_str(), told);
}

fn value(mailbox: &Mailbox, item: StatusItem) -> u64 {
    match item {
        StatusItem::Messages => mailbox.messages.into(),
        StatusItem::Recent => mailbox.recent.into(),
        // When the UIDs are used up there is no next one; the syntax has no way to say so.
        StatusItem::UidNext => mailbox.uid_next.map_or(u32::MAX, Uid::number).into(),
        StatusItem::UidValidity => mailbox.validity.0.into(),
        StatusItem::Unseen => mailbox.unseen.into(),
        StatusItem::Deleted => mailbox.deleted.into(),
        StatusItem::Size => mailbox.bytes,
    }
}
