//! The commands of IMAP as values: what the grammar makes and the session runs.

pub(crate) mod append;
mod begin;
mod copy;
mod expunge;
mod fetch;
mod idle;
mod list;
mod login;
mod lsub;
mod mailbox;
mod misc;
mod once;
mod search;
pub(crate) mod select;
mod status;
mod store;

use bytes::Bytes;

pub(crate) use begin::{Begun, begin};
use begin::{named, no_such_number};

use crate::imap::revision::Revision;
use crate::mail::Section;
use crate::store::{BadName, FlagChange, Flags, InternalDate, MailboxName, SpecialUse};

/// A command with its tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged {
    /// As the client wrote it.
    pub tag: Bytes,
    /// The command.
    pub command: Command,
}

/// A mailbox argument as it was written: its syntax is right; whether it can be a name, and which, is for the command to answer (NO, not BAD).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named(pub Vec<u8>);

impl Named {
    /// The name that the client means.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn name(&self, revision: Revision) -> Result<MailboxName, BadName> {
        revision.name(&self.0)
    }
}

/// CREATE asked for a use that mailboxes can't be given here (`\\All`, `\\Flagged`, an unknown one), or for several: the
/// answer is NO [USEATTR] (RFC 6154 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfitUse;

/// Messages as the client names them (RFC 9051 `sequence-set`). Whether numbers are sequence numbers or UIDs is for the command to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceSet {
    /// Numbers; `None` is `*`. At most [`crate::limits::SEQUENCE_RANGES_MAX`] ranges.
    Ranges(Vec<(Option<u32>, Option<u32>)>),
    /// `$`: what the last SEARCH with SAVE found (RFC 5182). The same messages, whichever numbers the command speaks of.
    Saved,
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID, with the client's fields.
    Id(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE, with the initial response decoded (`Some(empty)` for `=`).
    Authenticate {
        /// Upper case.
        mechanism: String,
        /// RFC 4959.
        initial: Option<Vec<u8>>,
    },
    /// LOGIN
    Login {
        /// As sent.
        user: Vec<u8>,
        /// As sent.
        password: Vec<u8>,
    },
    /// SELECT
    Select(Named),
    /// EXAMINE
    Examine(Named),
    /// CREATE, with the special use of RFC 6154 §3 where given.
    Create(Named, Result<Option<SpecialUse>, UnfitUse>),
    /// DELETE
    Delete(Named),
    /// RENAME
    Rename(Named, Named),
    /// SUBSCRIBE
    Subscribe(Named),
    /// UNSUBSCRIBE
    Unsubscribe(Named),
    /// LIST
    List(List),
    /// LSUB
    Lsub {
        /// What patterns are relative to, as written.
        reference: String,
        /// With `%` and `*`.
        pattern: String,
    },
    /// NAMESPACE
    Namespace,
    /// STATUS
    Status(Named, Vec<StatusItem>),
    /// APPEND; the message itself is the literal that the lexer streams.
    Append(Append),
    /// IDLE
    Idle,
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with a set.
    Expunge(Option<SequenceSet>),
    /// SEARCH and UID SEARCH.
    Search(Search),
    /// FETCH and UID FETCH.
    Fetch(Fetch),
    /// STORE and UID STORE.
    Store(Store),
    /// COPY and UID COPY.
    Copy(Copy),
    /// MOVE and UID MOVE.
    Move(Copy),
}

/// LIST (RFC 9051 §6.3.9). Reference and patterns are as they were written, in UTF-8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// Which names.
    pub select: ListSelect,
    /// What patterns are relative to.
    pub reference: String,
    /// With `%` and `*`: at least one, at most [`crate::limits::LIST_PATTERNS_MAX`].
    pub patterns: Vec<String>,
    /// What is told beside each name.
    pub returns: ListReturns,
    /// It has options of either kind or a list of patterns.
    pub extended: bool,
}

/// What names LIST is to select. REMOTE says nothing here: no mailbox is elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// SPECIAL-USE (RFC 6154)
    pub special_use: bool,
    /// RECURSIVEMATCH: only with one of the others.
    pub recursive_match: bool,
}

/// What LIST is to tell. CHILDREN and SPECIAL-USE say nothing here: both are told in any case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListReturns {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// STATUS (RFC 5819); empty without it.
    pub status: Vec<StatusItem>,
}

/// Whether a command speaks of sequence numbers or of UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers.
    Sequence,
    /// UIDs (the UID form of the command).
    Uid,
}

/// What STATUS may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED (RFC 9051)
    Deleted,
    /// SIZE (RFC 8438)
    Size,
}

/// APPEND without its message.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// There.
    pub mailbox: Named,
    /// `\Recent` is not among them.
    pub flags: Flags,
    /// Date and time, when given.
    pub date: Option<InternalDate>,
}

/// FETCH.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// What `set` means.
    pub numbers: Numbers,
    /// Which.
    pub set: SequenceSet,
    /// What; macros (ALL, FAST, FULL) are resolved. In the order written.
    pub items: Vec<FetchItem>,
}

/// One thing to FETCH.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchItem {
    /// `BODY` (structure without extension data)
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `ENVELOPE`
    Envelope,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `UID`
    Uid,
    /// `RFC822`: as `BODY[]`, under its own name
    Rfc822,
    /// `RFC822.HEADER`: as `BODY.PEEK[HEADER]`, under its own name
    Rfc822Header,
    /// `RFC822.TEXT`: as `BODY[TEXT]`, under its own name
    Rfc822Text,
    /// `BODY[…]<…>` and `BODY.PEEK[…]<…>`
    Section {
        /// Do not set `\Seen`.
        peek: bool,
        /// Which.
        section: Section,
        /// Offset and count of `<offset.count>`; count is not 0.
        partial: Option<(u32, u32)>,
        /// The section as it is echoed in the reply (`HEADER.FIELDS (TO CC)`), with field names as the client wrote them.
        written: Bytes,
    },
}

/// STORE.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What `set` means.
    pub numbers: Numbers,
    /// Which.
    pub set: SequenceSet,
    /// How.
    pub how: FlagChange,
    /// `.SILENT`
    pub silent: bool,
    /// With these; `\Recent` is refused by the grammar.
    pub flags: Flags,
}

/// COPY and MOVE.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// What `set` means.
    pub numbers: Numbers,
    /// Which.
    pub set: SequenceSet,
    /// There.
    pub to: Named,
}

/// SEARCH.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What the answer's numbers mean.
    pub numbers: Numbers,
    /// RETURN when given (RFC 4731): the reply is an ESEARCH response with these.
    pub returns: Option<SearchReturns>,
    /// CHARSET when given, upper case. The session refuses all but US-ASCII and UTF-8.
    pub charset: Option<String>,
    /// All must hold. At most [`crate::limits::SEARCH_KEYS_MAX`] keys in all, nested at most [`crate::limits::NESTING_MAX`] deep.
    pub keys: Vec<SearchKey>,
}

/// What SEARCH is to return (RFC 9051 §6.4.4). With none of them, and with `RETURN ()`, it is ALL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturns {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// COUNT
    pub count: bool,
    /// ALL
    pub all: bool,
    /// SAVE (RFC 5182): not to be told, but to be kept for `$`.
    pub save: bool,
}

/// A calendar date as IMAP writes it (`1-Feb-1994`), without zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Four digits.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, legal in its month.
    pub day: u8,
}

/// A key of SEARCH. ANSWERED, UNSEEN and so on are `Flag` with `has` true or false.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchKey {
    /// ALL
    All,
    /// All of these: parentheses.
    And(Vec<Self>),
    /// OR
    Or(Box<Self>, Box<Self>),
    /// NOT
    Not(Box<Self>),
    /// A system flag is there, or is not.
    Flag(crate::store::SystemFlags, bool),
    /// A keyword is there, or is not (KEYWORD, UNKEYWORD).
    Keyword(crate::store::Keyword, bool),
    /// RECENT (true), OLD (false). NEW is `And([Recent(true), Flag(SEEN, false)])`.
    Recent(bool),
    /// BCC, CC, FROM, SUBJECT, TO, HEADER: the field's name and the string, decoded to UTF-8.
    Header(Vec<u8>, String),
    /// BODY
    Body(String),
    /// TEXT
    Text(String),
    /// BEFORE, by INTERNALDATE in its zone.
    Before(Date),
    /// ON
    On(Date),
    /// SINCE
    Since(Date),
    /// SENTBEFORE, by the Date field.
    SentBefore(Date),
    /// SENTON
    SentOn(Date),
    /// SENTSINCE
    SentSince(Date),
    /// OLDER (RFC 5032): seconds.
    Older(u32),
    /// YOUNGER
    Younger(u32),
    /// LARGER
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// A sequence set.
    Sequence(SequenceSet),
    /// UID
    Uid(SequenceSet),
}
