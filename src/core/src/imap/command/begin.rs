//! From a command to its run.

use bytes::Bytes;

use super::{Command, Numbers, SequenceSet};
use super::{
    copy, expunge, fetch, idle, list, login, lsub, mailbox, misc, search, select, status, store,
};
use crate::imap::session::run::{Completion, Cx, Run, Then};
use crate::imap::view::View;
use crate::store::UidSet;

/// A command that was begun.
pub(crate) enum Begun {
    /// It is done already.
    Done(Completion),
    /// It is under way.
    Running(Box<dyn Run>),
}

impl From<Result<Self, Completion>> for Begun {
    fn from(begun: Result<Self, Completion>) -> Self {
        begun.unwrap_or_else(Self::Done)
    }
}

/// Begins a command that is legal in this phase.
pub(crate) fn begin(command: Command, tag: Bytes, cx: &mut Cx<'_>) -> Begun {
    let ok = |text| Begun::Done(Completion::ok(text));
    match command {
        Command::Capability => misc::capability(cx),
        Command::Noop => ok("NOOP completed"),
        Command::Check => ok("CHECK completed"),
        Command::Logout => misc::logout(cx),
        Command::Id(_) => misc::id(cx),
        Command::StartTls => misc::starttls(cx),
        Command::Authenticate { mechanism, initial } => {
            login::authenticate(&mechanism, initial, cx)
        }
        Command::Login { user, password } => login::login(user, password, cx),
        Command::Select(name) => select::begin(&name, true, cx),
        Command::Examine(name) => select::begin(&name, false, cx),
        Command::Create(name, special_use) => mailbox::create(&name, special_use, cx).into(),
        Command::Delete(name) => mailbox::delete(&name, cx).into(),
        Command::Rename(from, to) => mailbox::rename(&from, &to, cx).into(),
        Command::Subscribe(name) => mailbox::subscribe(&name, true, cx).into(),
        Command::Unsubscribe(name) => mailbox::subscribe(&name, false, cx).into(),
        Command::List(list) => list::list(list, cx),
        Command::Lsub { reference, pattern } => lsub::lsub(&reference, &pattern, cx),
        Command::Namespace => list::namespace(cx),
        Command::Status(name, items) => status::begin(&name, items, cx),
        // An APPEND begins when its literal is announced: here its literal was no literal.
        Command::Append(_) => Begun::Done(Completion::bad("APPEND needs a literal")),
        Command::Idle => idle::begin(cx),
        Command::Close => expunge::close(cx),
        Command::Unselect => Begun::Done(Completion::ok("UNSELECT completed").then(Then::Unselect)),
        Command::Expunge(set) => expunge::begin(set.as_ref(), cx),
        Command::Search(search) => search::begin(&search, tag, cx),
        Command::Fetch(fetch) => fetch::begin(&fetch, cx),
        Command::Store(store) => store::begin(store, cx),
        Command::Copy(copy) => copy::begin(&copy, false, cx),
        Command::Move(copy) => copy::begin(&copy, true, cx),
    }
}

/// The messages that a command names; `None` when a sequence number is among them that does not exist.
pub(super) fn named(numbers: Numbers, set: &SequenceSet, view: &View) -> Option<UidSet> {
    match numbers {
        Numbers::Sequence => view.by_numbers(set),
        Numbers::Uid => Some(view.by_uids(set)),
    }
}

/// The answer to a sequence number that does not exist (RFC 9051 §9, `seq-number`).
pub(super) const fn no_such_number() -> Completion {
    Completion::bad("there is no message with this number")
}
