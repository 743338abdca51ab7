//! A command under way: what it may use, and how it ends.

use std::borrow::Cow;

use super::phase::Phase;
use super::wire::Wire;
use crate::imap::command::Tagged;
use crate::imap::response::{Code, Condition};
use crate::imap::revision::Revision;
use crate::imap::session::Config;
use crate::session::{Admitted, Credentials, Denied, Farewell, Output, Ticket};
use crate::store::{Copied, Opened, Refusal, Reply, Request, Timestamp, UploadId};

/// Hands out the names of questions, and knows the one that is open: a session asks one at a time.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    last: u64,
    last_upload: u64,
    pub(crate) open: Option<Ticket>,
}

impl Tickets {
    fn next(&mut self) -> Ticket {
        self.last = self.last.wrapping_add(1);
        let ticket = Ticket(self.last);
        self.open = Some(ticket);
        ticket
    }
    /// A name for an upload.
    pub(crate) const fn upload(&mut self) -> UploadId {
        self.last_upload = self.last_upload.wrapping_add(1);
        UploadId(self.last_upload)
    }
}

/// What a command may use of its session.
pub(crate) struct Cx<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now: Timestamp,
    pub(crate) revision: Revision,
    pub(crate) phase: &'a mut Phase,
    pub(crate) wire: &'a mut Wire,
    pub(crate) tickets: &'a mut Tickets,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Cx<'_> {
    /// Asks the store. No other question may be open.
    pub(crate) fn ask(&mut self, request: Request) -> Step {
        let ticket = self.tickets.next();
        self.out.push(Output::Ask(ticket, request));
        Step::Wait
    }
    /// Asks the directory.
    pub(crate) fn authenticate(&mut self, credentials: Credentials) -> Step {
        let ticket = self.tickets.next();
        self.out.push(Output::Authenticate(ticket, credentials));
        Step::Wait
    }
    /// Where replies are written.
    pub(crate) const fn text(&mut self) -> &mut Vec<u8> {
        self.wire.text()
    }
    /// Whether no more may be produced until there is room.
    pub(crate) fn full(&mut self) -> bool {
        self.wire.full(self.out)
    }
}

/// What a command under way waits for from the peer, beyond room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: input stays where it is.
    Nothing,
    /// A line that is no command (AUTHENTICATE, IDLE).
    Line,
    /// Octets of a literal, at most so many now, and the rest of the command.
    Literal(u64),
}

/// How far a command is.
#[derive(Debug)]
pub(crate) enum Step {
    /// It waits: for the answer to a question, for room, or for the peer.
    Wait,
    /// APPEND: the literal that was announced is welcome.
    Welcome,
    /// It is done.
    Done(Completion),
}

/// A response code that owns what it shows.
#[derive(Debug)]
pub(crate) enum Coded {
    /// One that needs nothing, or little.
    Plain(Code<'static>),
    /// CAPABILITY
    Capability(Vec<&'static str>),
    /// COPYUID
    CopyUid(Box<Copied>),
}

impl Coded {
    pub(crate) fn code(&self) -> Code<'_> {
        match self {
            Self::Plain(code) => code.clone(),
            Self::Capability(list) => Code::Capability(list),
            Self::CopyUid(copied) => Code::CopyUid(copied.validity, &copied.from, &copied.to),
        }
    }
}

impl From<Code<'static>> for Coded {
    fn from(code: Code<'static>) -> Self {
        Self::Plain(code)
    }
}

/// The end of a command: its tagged reply, and what becomes of the session.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) condition: Condition,
    /// What stands in brackets.
    pub(crate) code: Option<Coded>,
    pub(crate) text: Cow<'static, str>,
    pub(crate) then: Then,
}

/// What becomes of the session when a command is done.
#[derive(Debug)]
pub(crate) enum Then {
    /// It goes on as it is.
    Stay,
    /// Somebody is logged in. The reply gets the capabilities.
    Admit(Admitted),
    /// Nobody is: wrong credentials.
    Deny,
    /// A mailbox is selected, for writing or not.
    Select(Box<Opened>, bool),
    /// No mailbox is selected.
    Unselect,
    /// TLS begins.
    StartTls,
    /// It ends after the tagged reply.
    Close(Farewell),
    /// It ends without a tagged reply, with BYE.
    Bye(Farewell),
    /// It ends at once and without a word: a literal was announced that can't be completed.
    Break,
}

impl Completion {
    pub(crate) const fn new(condition: Condition, text: &'static str) -> Self {
        Self {
            condition,
            code: None,
            text: Cow::Borrowed(text),
            then: Then::Stay,
        }
    }
    pub(crate) const fn ok(text: &'static str) -> Self {
        Self::new(Condition::Ok, text)
    }
    pub(crate) const fn bad(text: &'static str) -> Self {
        Self::new(Condition::Bad, text)
    }
    /// NO with a response code (RFC 5530, RFC 9051 §7.1).
    pub(crate) fn no(code: Code<'static>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::No,
            code: Some(Coded::Plain(code)),
            text: text.into(),
            then: Then::Stay,
        }
    }
    pub(crate) fn with_code(mut self, code: impl Into<Coded>) -> Self {
        self.code = Some(code.into());
        self
    }
    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
    /// The session ends now.
    pub(crate) fn bye(code: Code<'static>, text: &'static str, farewell: Farewell) -> Self {
        Self::no(code, text).then(Then::Bye(farewell))
    }
    /// A literal was announced and can't be completed: any word now would be taken for a part of it.
    pub(crate) fn broken() -> Self {
        Self::no(Code::ServerBug, "").then(Then::Break)
    }
    /// The store answered a question that was not asked.
    pub(crate) fn confused() -> Self {
        Self::no(
            Code::ServerBug,
            "the store gave an answer that does not fit",
        )
    }
    /// A mailbox argument that can't be a name.
    pub(crate) fn bad_name(why: crate::store::BadName) -> Self {
        Self::no(Code::Cannot, why.to_string())
    }
    /// The store refused, in a command that speaks of an existing mailbox.
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::NoSuchMailbox => Code::NonExistent,
            Refusal::AlreadyExists => Code::AlreadyExists,
            Refusal::HasChildren => Code::HasChildren,
            Refusal::Inbox | Refusal::BadName(_) => Code::Cannot,
            Refusal::UseInUse => Code::UseAttr,
            Refusal::OverQuota => Code::OverQuota,
            Refusal::Limit(_) => Code::Limit,
            Refusal::Damaged(_) => {
                // What was seen is for the log, not for the client.
                return Self::no(Code::Corruption, "stored data is damaged");
            }
            Refusal::Upload | Refusal::Unavailable => Code::Unavailable,
            Refusal::OutcomeUnknown => {
                return Self::bye(
                    Code::Unavailable,
                    "the store was lost and can't say whether the command was carried out",
                    Farewell::Broken,
                );
            }
        };
        Self::no(code, refusal.to_string())
    }
    /// The store refused, in a command that puts messages into a mailbox which the client may create (RFC 9051 §6.3.12, §6.4.7).
    pub(crate) fn refused_target(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NoSuchMailbox => Self::refused(refusal).with_code(Code::TryCreate),
            Refusal::AlreadyExists
            | Refusal::HasChildren
            | Refusal::Inbox
            | Refusal::BadName(_)
            | Refusal::UseInUse
            | Refusal::OverQuota
            | Refusal::Limit(_)
            | Refusal::Upload
            | Refusal::Damaged(_)
            | Refusal::Unavailable
            | Refusal::OutcomeUnknown => Self::refused(refusal),
        }
    }
    /// The store refused something about the selected mailbox.
    pub(crate) fn refused_here(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NoSuchMailbox => mailbox_gone(),
            Refusal::AlreadyExists
            | Refusal::HasChildren
            | Refusal::Inbox
            | Refusal::BadName(_)
            | Refusal::UseInUse
            | Refusal::OverQuota
            | Refusal::Limit(_)
            | Refusal::Upload
            | Refusal::Damaged(_)
            | Refusal::Unavailable
            | Refusal::OutcomeUnknown => Self::refused(refusal),
        }
    }
}

/// The selected mailbox was deleted. BYE, as RFC 2180 §3.3 has it: a client of IMAP4rev1 knows no other way out of a
/// selected mailbox that it did not ask for, and every client can connect again.
pub(crate) fn mailbox_gone() -> Completion {
    Completion::bye(
        Code::NonExistent,
        "the selected mailbox was deleted",
        Farewell::Asked,
    )
}

impl From<Completion> for Step {
    fn from(completion: Completion) -> Self {
        Self::Done(completion)
    }
}

/// A command under way.
pub(crate) trait Run: Send {
    /// The answer to its question.
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step;
    /// There is room again. Called only while no question is open, or [`Run::reads_ahead`].
    fn go_on(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// The open question is for what comes later: there is something to write meanwhile.
    fn reads_ahead(&self) -> bool {
        false
    }
    /// What the directory says.
    fn authenticated(&mut self, _result: Result<Admitted, Denied>, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// What it takes from the peer.
    fn takes(&self) -> Takes {
        Takes::Nothing
    }
    /// A line that is no command; `None` when it was too long to be one.
    fn line(&mut self, _line: Option<&[u8]>, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// Octets of its literal.
    fn literal(&mut self, _octets: &[u8], _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// The literal and the line after it are here: the whole command, or why it is none.
    fn whole(&mut self, _command: Result<Tagged, Completion>, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// So many octets of the upload are safe; `None`: it failed.
    fn staged(&mut self, _upload: UploadId, _total: Option<u64>, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// The selected mailbox changed.
    fn changed(&mut self, _cx: &mut Cx<'_>) -> Step {
        Step::Wait
    }
    /// It only waits for its client (IDLE, AUTHENTICATE): a server that stops need not wait for it.
    fn is_waiting_for_client(&self) -> bool {
        false
    }
    /// The session ends before the command does.
    fn abandon(&mut self, _cx: &mut Cx<'_>) {}
}
