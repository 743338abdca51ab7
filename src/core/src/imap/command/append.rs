//! APPEND (RFC 3501 §6.3.11, RFC 4315 §3).
//!
//! When the message is announced the session asks whether the mailbox is there, and only then takes the
//! message: a client need not send 100 MiB to hear NO. The message passes by as slices of an upload; so
//! many octets as [`STAGE_AHEAD_BYTES_MAX`] may be under way, then the peer waits.

use bytes::Bytes;

use super::{Append, Begun, Command, Tagged};
use crate::imap::lexer::Literal;
use crate::imap::response::Code;
use crate::imap::session::run::{Completion, Cx, Run, Step, Takes};
use crate::limits::STAGE_AHEAD_BYTES_MAX;
use crate::session::Output;
use crate::store::{Answer, MailboxId, MailboxName, Reply, Request, UploadId};

/// A message is announced.
pub(crate) fn begin(append: Append, literal: Literal, cx: &mut Cx<'_>) -> Begun {
    let name = match append.mailbox.name(cx.revision) {
        Ok(name) => name,
        Err(why) => return Begun::Done(Completion::bad_name(why)),
    };
    if literal.literal8 {
        return Begun::Done(Completion::bad("binary literals are not for APPEND here"));
    }
    if literal.size > cx.config.message_bytes_max {
        return Begun::Done(Completion::no(
            Code::TooBig,
            "the message is larger than allowed",
        ));
    }
    if literal.size == 0 {
        return Begun::Done(Completion::no(Code::Cannot, "a message can't be empty"));
    }
    let Some(user) = cx.phase.user() else {
        return Begun::Done(Completion::confused());
    };
    let request = Request::Status {
        account: user.account,
        name: name.clone(),
    };
    cx.ask(request);
    let upload = cx.tickets.upload();
    Begun::Running(Box::new(Appending {
        append,
        name,
        mailbox: None,
        upload,
        stage: Stage::Asked,
        given: 0,
        safe: 0,
    }))
}

#[derive(Debug)]
enum Stage {
    /// Whether the mailbox is there.
    Asked,
    /// The message is taken.
    Taking,
    /// It will not be stored, for this reason; the rest of it is read and dropped.
    Failed(Option<Completion>),
    /// The store links it.
    Linking,
}

struct Appending {
    append: Append,
    name: MailboxName,
    /// What had this name when it was asked for.
    mailbox: Option<MailboxId>,
    upload: UploadId,
    stage: Stage,
    /// Octets handed out.
    given: u64,
    /// Octets acknowledged.
    safe: u64,
}

impl Appending {
    fn fail(&mut self, completion: Completion, cx: &mut Cx<'_>) {
        if matches!(self.stage, Stage::Taking) {
            if self.given > 0 {
                cx.out.push(Output::Discard(self.upload));
            }
            self.stage = Stage::Failed(Some(completion));
        }
    }
}

impl Run for Appending {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (&self.stage, reply) {
            (Stage::Asked, Ok(Answer::Status(mailbox))) => {
                self.mailbox = Some(mailbox.id);
                self.stage = Stage::Taking;
                Step::Welcome
            }
            (Stage::Linking, Ok(Answer::Appended { validity, uid })) => {
                if let Some(selected) = cx.phase.selected_mut()
                    && Some(selected.mailbox) == self.mailbox
                {
                    selected.dirty = true;
                }
                Completion::ok("APPEND completed")
                    .with_code(Code::AppendUid(validity, uid))
                    .into()
            }
            (_, Err(refusal)) => Completion::refused_target(&refusal).into(),
            (_, Ok(_)) => Completion::confused().into(),
        }
    }

    fn takes(&self) -> Takes {
        match self.stage {
            Stage::Asked | Stage::Linking => Takes::Nothing,
            Stage::Taking => {
                let ahead = self.given.saturating_sub(self.safe);
                Takes::Literal(STAGE_AHEAD_BYTES_MAX.saturating_sub(ahead))
            }
            Stage::Failed(_) => Takes::Literal(u64::MAX),
        }
    }

    fn literal(&mut self, octets: &[u8], cx: &mut Cx<'_>) -> Step {
        if octets.contains(&0) {
            // RFC 3501 §9: CHAR8 is any octet but NUL.
            self.fail(Completion::bad("a message can't hold NUL"), cx);
        }
        if matches!(self.stage, Stage::Taking) {
            self.given = self.given.saturating_add(octets.len() as u64);
            cx.out
                .push(Output::Stage(self.upload, Bytes::copy_from_slice(octets)));
        }
        Step::Wait
    }

    fn staged(&mut self, upload: UploadId, total: Option<u64>, cx: &mut Cx<'_>) -> Step {
        if upload == self.upload {
            match total {
                Some(total) => self.safe = self.safe.max(total),
                None => self.fail(
                    Completion::no(Code::Unavailable, "the message can't be stored now"),
                    cx,
                ),
            }
        }
        Step::Wait
    }

    fn whole(&mut self, command: Result<Tagged, Completion>, cx: &mut Cx<'_>) -> Step {
        match command {
            Ok(Tagged {
                command: Command::Append(_),
                ..
            }) => {}
            Ok(_) => self.fail(Completion::bad("this is no APPEND"), cx),
            Err(bad) => self.fail(bad, cx),
        }
        if let Stage::Failed(completion) = &mut self.stage {
            return completion
                .take()
                .unwrap_or_else(Completion::confused)
                .into();
        }
        let Some(user) = cx.phase.user() else {
            return Completion::confused().into();
        };
        self.stage = Stage::Linking;
        let request = Request::Append {
            account: user.account,
            name: self.name.clone(),
            flags: self.append.flags.clone(),
            date: self.append.date,
            upload: self.upload,
        };
        cx.ask(request)
    }

    fn abandon(&mut self, cx: &mut Cx<'_>) {
        self.fail(Completion::confused(), cx);
    }
}
