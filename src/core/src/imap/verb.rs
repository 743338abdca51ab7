//! The table of commands.

use super::command::{Command, Numbers};
use super::session::phase::{Expunges, Phase};

/// The phases in which a command is legal (RFC 9051 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases(u8);

impl Phases {
    const NOT_AUTHENTICATED: Self = Self(1);
    const AUTHENTICATED: Self = Self(2);
    const SELECTED: Self = Self(4);
    const ANY: Self = Self(7);
    const LOGGED_IN: Self = Self(6);

    /// Whether it is legal in some phase after login.
    pub(crate) const fn after_login(self) -> bool {
        self.0 & Self::LOGGED_IN.0 != 0
    }

    /// Whether a phase is among them.
    pub(crate) const fn holds(self, phase: &Phase) -> bool {
        let bit = match phase {
            Phase::NotAuthenticated(_) => Self::NOT_AUTHENTICATED,
            Phase::Authenticated(_) => Self::AUTHENTICATED,
            Phase::Selected(_) => Self::SELECTED,
            Phase::Logout => return false,
        };
        self.0 & bit.0 != 0
    }
}

/// What a command says at its end of changes that others made to the selected mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Nothing: the mailbox is left, or nobody is logged in.
    Nothing,
    /// Everything.
    All,
    /// All but expunges: the command uses sequence numbers (RFC 9051 §7.5.1, §5.5).
    NoExpunge,
}

impl Tells {
    pub(crate) const fn expunges(self) -> Option<Expunges> {
        match self {
            Self::Nothing => None,
            Self::All => Some(Expunges::Tell),
            Self::NoExpunge => Some(Expunges::Hold),
        }
    }
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Verb {
    /// As in metrics and in the text of replies.
    pub name: &'static str,
    /// Where it is legal.
    pub phases: Phases,
    /// What it says of others' changes.
    pub tells: Tells,
}

const fn verb(name: &'static str, phases: Phases, tells: Tells) -> Verb {
    Verb {
        name,
        phases,
        tells,
    }
}

use Tells::{All, NoExpunge, Nothing};

static CAPABILITY: Verb = verb("CAPABILITY", Phases::ANY, All);
static NOOP: Verb = verb("NOOP", Phases::ANY, All);
static LOGOUT: Verb = verb("LOGOUT", Phases::ANY, Nothing);
static ID: Verb = verb("ID", Phases::ANY, All);
static STARTTLS: Verb = verb("STARTTLS", Phases::NOT_AUTHENTICATED, Nothing);
static AUTHENTICATE: Verb = verb("AUTHENTICATE", Phases::NOT_AUTHENTICATED, Nothing);
static LOGIN: Verb = verb("LOGIN", Phases::NOT_AUTHENTICATED, Nothing);
static SELECT: Verb = verb("SELECT", Phases::LOGGED_IN, Nothing);
static EXAMINE: Verb = verb("EXAMINE", Phases::LOGGED_IN, Nothing);
static CREATE: Verb = verb("CREATE", Phases::LOGGED_IN, All);
static DELETE: Verb = verb("DELETE", Phases::LOGGED_IN, All);
static RENAME: Verb = verb("RENAME", Phases::LOGGED_IN, All);
static SUBSCRIBE: Verb = verb("SUBSCRIBE", Phases::LOGGED_IN, All);
static UNSUBSCRIBE: Verb = verb("UNSUBSCRIBE", Phases::LOGGED_IN, All);
static LIST: Verb = verb("LIST", Phases::LOGGED_IN, All);
static LSUB: Verb = verb("LSUB", Phases::LOGGED_IN, All);
static NAMESPACE: Verb = verb("NAMESPACE", Phases::LOGGED_IN, All);
static STATUS: Verb = verb("STATUS", Phases::LOGGED_IN, All);
/// APPEND's row, which the session needs before the command is whole.
pub(crate) static APPEND: Verb = verb("APPEND", Phases::LOGGED_IN, All);
static IDLE: Verb = verb("IDLE", Phases::LOGGED_IN, All);
static CHECK: Verb = verb("CHECK", Phases::SELECTED, All);
static CLOSE: Verb = verb("CLOSE", Phases::SELECTED, Nothing);
static UNSELECT: Verb = verb("UNSELECT", Phases::SELECTED, Nothing);
static EXPUNGE: Verb = verb("EXPUNGE", Phases::SELECTED, All);
static UID_EXPUNGE: Verb = verb("UID EXPUNGE", Phases::SELECTED, All);
static SEARCH: Verb = verb("SEARCH", Phases::SELECTED, NoExpunge);
static UID_SEARCH: Verb = verb("UID SEARCH", Phases::SELECTED, All);
static FETCH: Verb = verb("FETCH", Phases::SELECTED, NoExpunge);
static UID_FETCH: Verb = verb("UID FETCH", Phases::SELECTED, All);
static STORE: Verb = verb("STORE", Phases::SELECTED, NoExpunge);
static UID_STORE: Verb = verb("UID STORE", Phases::SELECTED, All);
// COPY may tell of expunges; it does not, so that a client may send it together with the STORE that marks what it copied.
static COPY: Verb = verb("COPY", Phases::SELECTED, NoExpunge);
static UID_COPY: Verb = verb("UID COPY", Phases::SELECTED, All);
// MOVE tells of its own expunges (RFC 6851 §3.3), so of others' as well.
static MOVE: Verb = verb("MOVE", Phases::SELECTED, All);
static UID_MOVE: Verb = verb("UID MOVE", Phases::SELECTED, All);

/// Every command.
pub static VERBS: [&Verb; 35] = [
    &CAPABILITY,
    &NOOP,
    &LOGOUT,
    &ID,
    &STARTTLS,
    &AUTHENTICATE,
    &LOGIN,
    &SELECT,
    &EXAMINE,
    &CREATE,
    &DELETE,
    &RENAME,
    &SUBSCRIBE,
    &UNSUBSCRIBE,
    &LIST,
    &LSUB,
    &NAMESPACE,
    &STATUS,
    &APPEND,
    &IDLE,
    &CHECK,
    &CLOSE,
    &UNSELECT,
    &EXPUNGE,
    &UID_EXPUNGE,
    &SEARCH,
    &UID_SEARCH,
    &FETCH,
    &UID_FETCH,
    &STORE,
    &UID_STORE,
    &COPY,
    &UID_COPY,
    &MOVE,
    &UID_MOVE,
];

/// The row of a command.
#[must_use]
pub fn of(command: &Command) -> &'static Verb {
    let by = |numbers: Numbers, sequence: &'static Verb, uid: &'static Verb| match numbers {
        Numbers::Sequence => sequence,
        Numbers::Uid => uid,
    };
    match command {
        Command::Capability => &CAPABILITY,
        Command::Noop => &NOOP,
        Command::Logout => &LOGOUT,
        Command::Id(_) => &ID,
        Command::StartTls => &STARTTLS,
        Command::Authenticate { .. } => &AUTHENTICATE,
        Command::Login { .. } => &LOGIN,
        Command::Select(_) => &SELECT,
        Command::Examine(_) => &EXAMINE,
        Command::Create(..) => &CREATE,
        Command::Delete(_) => &DELETE,
        Command::Rename(..) => &RENAME,
        Command::Subscribe(_) => &SUBSCRIBE,
        Command::Unsubscribe(_) => &UNSUBSCRIBE,
        Command::List(_) => &LIST,
        Command::Lsub { .. } => &LSUB,
        Command::Namespace => &NAMESPACE,
        Command::Status(..) => &STATUS,
        Command::Append(_) => &APPEND,
        Command::Idle => &IDLE,
        Command::Check => &CHECK,
        Command::Close => &CLOSE,
        Command::Unselect => &UNSELECT,
        Command::Expunge(None) => &EXPUNGE,
        Command::Expunge(Some(_)) => &UID_EXPUNGE,
        Command::Search(search) => by(search.numbers, &SEARCH, &UID_SEARCH),
        Command::Fetch(fetch) => by(fetch.numbers, &FETCH, &UID_FETCH),
        Command::Store(store) => by(store.numbers, &STORE, &UID_STORE),
        Command::Copy(copy) => by(copy.numbers, &COPY, &UID_COPY),
        Command::Move(copy) => by(copy.numbers, &MOVE, &UID_MOVE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expunges_are_held_by_exactly_the_commands_that_use_sequence_numbers() {
        let holding: Vec<_> = VERBS
            .iter()
            .filter(|v| v.tells == NoExpunge)
            .map(|v| v.name)
            .collect();
        assert_eq!(holding, ["SEARCH", "FETCH", "STORE", "COPY"]);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = VERBS.iter().map(|v| v.name).collect();
        assert_eq!(names.len(), VERBS.len());
    }
}
