//! LOGIN (RFC 3501 §6.2.3) and AUTHENTICATE PLAIN (RFC 3501 §6.2.2, RFC 4616, RFC 4959).

use super::Begun;
use crate::imap::grammar;
use crate::imap::response::{self, Code};
use crate::imap::session::run::{Completion, Cx, Run, Step, Takes, Then};
use crate::session::{Admitted, Credentials, Denied};
use crate::store::Reply;

/// LOGIN
pub(super) fn login(user: Vec<u8>, password: Vec<u8>, cx: &mut Cx<'_>) -> Begun {
    if !cx.config.login_allowed() {
        return Begun::Done(privacy_required());
    }
    cx.authenticate(Credentials {
        authorization: Vec::new(),
        user,
        password,
    });
    Begun::Running(Box::new(Login {
        waits_for_line: false,
        text: "LOGIN completed",
    }))
}

/// AUTHENTICATE
pub(super) fn authenticate(mechanism: &str, initial: Option<Vec<u8>>, cx: &mut Cx<'_>) -> Begun {
    if !cx.config.login_allowed() {
        return Begun::Done(privacy_required());
    }
    if mechanism != "PLAIN" {
        return Begun::Done(Completion::no(
            Code::Cannot,
            "this mechanism is not supported",
        ));
    }
    let mut run = Login {
        waits_for_line: initial.is_none(),
        text: "AUTHENTICATE completed",
    };
    match initial {
        Some(response) => match run.plain(&response, cx) {
            Step::Done(completion) => return Begun::Done(completion),
            Step::Wait | Step::Welcome => {}
        },
        None => response::challenge(cx.text(), b""),
    }
    Begun::Running(Box::new(run))
}

/// RFC 5530 §3.
fn privacy_required() -> Completion {
    Completion::no(Code::PrivacyRequired, "start TLS first")
}

struct Login {
    waits_for_line: bool,
    text: &'static str,
}

impl Login {
    /// ```abnf
    /// message   = [authzid] UTF8NUL authcid UTF8NUL passwd      ; RFC 4616 §2
    /// ```
    fn plain(&mut self, message: &[u8], cx: &mut Cx<'_>) -> Step {
        self.waits_for_line = false;
        let mut parts = message.split(|byte| *byte == 0);
        let (Some(authorization), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Completion::bad("this is no PLAIN message").into();
        };
        if user.is_empty() {
            return Completion::bad("this PLAIN message names no user").into();
        }
        cx.authenticate(Credentials {
            authorization: authorization.to_vec(),
            user: user.to_vec(),
            password: password.to_vec(),
        })
    }
}

impl Run for Login {
    fn answer(&mut self, _: Reply, _: &mut Cx<'_>) -> Step {
        Completion::confused().into()
    }
    fn authenticated(&mut self, result: Result<Admitted, Denied>, _: &mut Cx<'_>) -> Step {
        match result {
            Ok(who) => Completion::ok(self.text).then(Then::Admit(who)),
            Err(Denied::Credentials) => {
                Completion::no(Code::AuthenticationFailed, "wrong user name or password")
                    .then(Then::Deny)
            }
            Err(Denied::Unavailable) => {
                Completion::no(Code::Unavailable, "logins can't be checked now")
            }
        }
        .into()
    }
    fn takes(&self) -> Takes {
        if self.waits_for_line {
            Takes::Line
        } else {
            Takes::Nothing
        }
    }
    fn line(&mut self, line: Option<&[u8]>, cx: &mut Cx<'_>) -> Step {
        match line {
            Some(b"*") => Completion::bad("AUTHENTICATE cancelled").into(),
            Some(line) => match grammar::base64(line) {
                Some(message) => self.plain(&message, cx),
                None => Completion::bad("this is not base64").into(),
            },
            None => Completion::bad("the response is too long").into(),
        }
    }
    fn is_waiting_for_client(&self) -> bool {
        self.waits_for_line
    }
}
