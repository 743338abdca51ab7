//! Commands that ask one question and reply by its answer.

use super::Begun;
use crate::imap::session::run::{Completion, Cx, Run, Step};
use crate::store::{Answer, Mailbox, MailboxName, Refusal, Reply, Request};

/// What the answer makes of the command.
type Then = Box<dyn FnOnce(Reply, &mut Cx<'_>) -> Completion + Send>;

struct Once(Option<Then>);

impl Run for Once {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match self.0.take() {
            Some(then) => then(reply, cx).into(),
            None => Completion::confused().into(),
        }
    }
}

/// Asks, and ends with what `then` makes of the answer.
pub(super) fn once(
    cx: &mut Cx<'_>,
    request: Request,
    then: impl FnOnce(Reply, &mut Cx<'_>) -> Completion + Send + 'static,
) -> Begun {
    cx.ask(request);
    Begun::Running(Box::new(Once(Some(Box::new(then)))))
}

/// Asks for something to be done.
pub(super) fn done(cx: &mut Cx<'_>, request: Request, text: &'static str) -> Begun {
    once(cx, request, move |reply, _| match reply {
        Ok(Answer::Done) => Completion::ok(text),
        Ok(_) => Completion::confused(),
        Err(refusal) => Completion::refused(&refusal),
    })
}

/// Writes lines as there is room for them.
pub(super) struct Lines<T> {
    rows: std::vec::IntoIter<T>,
    write: fn(&T, &mut Vec<u8>),
    text: &'static str,
}

impl<T: Send> Lines<T> {
    pub(super) fn new(rows: Vec<T>, write: fn(&T, &mut Vec<u8>), text: &'static str) -> Self {
        Self {
            rows: rows.into_iter(),
            write,
            text,
        }
    }
    pub(super) fn tell(&mut self, cx: &mut Cx<'_>) -> Step {
        while !self.rows.as_slice().is_empty() {
            if cx.full() {
                return Step::Wait;
            }
            if let Some(row) = self.rows.next() {
                (self.write)(&row, cx.text());
            }
        }
        Completion::ok(self.text).into()
    }
}

/// A refusal as the end of a command that speaks of the selected mailbox.
pub(super) fn here(refusal: &Refusal) -> Step {
    Completion::refused_here(refusal).into()
}

/// What the account's mailboxes, and its subscribed names that have none, make of the command.
type Listed<T> = Box<dyn FnOnce(Vec<Mailbox>, Vec<MailboxName>) -> Lines<T> + Send>;

struct Lister<T> {
    then: Option<Listed<T>>,
    lines: Option<Lines<T>>,
}

impl<T: Send> Run for Lister<T> {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (self.then.take(), reply) {
            (Some(then), Ok(Answer::Mailboxes(mailboxes, others))) => {
                self.lines.insert(then(mailboxes, others)).tell(cx)
            }
            (_, Ok(_)) | (None, _) => Completion::confused().into(),
            (Some(_), Err(refusal)) => Completion::refused(&refusal).into(),
        }
    }
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        match &mut self.lines {
            Some(lines) => lines.tell(cx),
            None => Step::Wait,
        }
    }
}

/// Asks for the mailboxes, and writes the lines that `then` makes of them.
pub(super) fn mailboxes<T: Send + 'static>(
    cx: &mut Cx<'_>,
    then: impl FnOnce(Vec<Mailbox>, Vec<MailboxName>) -> Lines<T> + Send + 'static,
) -> Begun {
    let Some(user) = cx.phase.user() else {
        return Begun::Done(Completion::confused());
    };
    let request = Request::Mailboxes {
        account: user.account,
    };
    cx.ask(request);
    Begun::Running(Box::new(Lister {
        then: Some(Box::new(then)),
        lines: None,
    }))
}
