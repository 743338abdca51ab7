//! CAPABILITY, ID, LOGOUT, STARTTLS (RFC 3501 §6.1, §6.2.1, RFC 2971).

use super::Begun;
use crate::imap::capability;
use crate::imap::response::{self, Code, Condition};
use crate::imap::session::TlsState;
use crate::imap::session::run::{Completion, Cx, Then};
use crate::session::Farewell;

/// CAPABILITY
pub(super) fn capability(cx: &mut Cx<'_>) -> Begun {
    let list = capability::list(cx.config, cx.phase.user().is_some());
    response::capability(cx.text(), list);
    Begun::Done(Completion::ok("CAPABILITY completed"))
}

/// ID: says who we are; what the client says of itself is not needed.
pub(super) fn id(cx: &mut Cx<'_>) -> Begun {
    let config = cx.config;
    let fields = [
        ("name", Some(&*config.name)),
        ("version", Some(&*config.version)),
    ];
    response::id(cx.text(), &fields);
    Begun::Done(Completion::ok("ID completed"))
}

/// LOGOUT
pub(super) fn logout(cx: &mut Cx<'_>) -> Begun {
    response::status(cx.text(), None, Condition::Bye, None, "see you");
    Begun::Done(Completion::ok("LOGOUT completed").then(Then::Close(Farewell::Asked)))
}

/// STARTTLS
pub(super) fn starttls(cx: &Cx<'_>) -> Begun {
    Begun::Done(match cx.config.tls {
        TlsState::Available => Completion::ok("begin TLS now").then(Then::StartTls),
        TlsState::Active => Completion::bad("TLS is active already"),
        TlsState::None => Completion::no(Code::Unavailable, "there is no TLS here"),
    })
}
