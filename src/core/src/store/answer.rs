//! What the store answers.

use bytes::Bytes;

use super::{
    AccountId, ContentId, Flags, InternalDate, Keyword, MailboxId, MailboxName, ModSeq, SpecialUse,
    Timestamp, Uid, UidSet, UidValidity,
};

/// An answer, or why there is none.
pub type Reply = Result<Answer, Refusal>;

/// What the store says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is done, durably.
    Done,
    /// Who gets mail for an address.
    Resolved(Resolved),
    /// The mailboxes of an account, by name (octets of UTF-8 ascending); and subscribed names without a mailbox.
    Mailboxes(Vec<Mailbox>, Vec<MailboxName>),
    /// One mailbox.
    Status(Mailbox),
    /// A mailbox as it is at the moment of selection.
    Opened(Box<Opened>),
    /// What happened.
    Changes(Changes),
    /// A page of messages.
    Messages(Page),
    /// Octets of a content.
    Octets(Bytes),
    /// What STORE did.
    Stored(Stored),
    /// What was expunged, and the MODSEQ of that; `None` when nothing was to expunge.
    Expunged(UidSet, Option<ModSeq>),
    /// What was copied or moved.
    Copied(Copied),
    /// Where the message is.
    Appended {
        /// UIDVALIDITY of the mailbox.
        validity: UidValidity,
        /// Its UID there.
        uid: Uid,
    },
    /// An outcome for each recipient, in order.
    Delivered(Vec<Outcome>),
}

/// Who gets mail for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This account.
    Account(AccountId),
    /// An account that is disabled.
    Disabled,
    /// Nobody.
    Unknown,
}

/// A mailbox and its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its name.
    pub name: MailboxName,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// The account is subscribed to the name.
    pub subscribed: bool,
    /// UIDVALIDITY
    pub validity: UidValidity,
    /// The UID that the next message gets at least; `None` when the UIDs are used up.
    pub uid_next: Option<Uid>,
    /// HIGHESTMODSEQ
    pub modseq: ModSeq,
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Messages that no session has claimed as recent.
    pub recent: u32,
    /// Octets of all messages, trace fields included.
    pub bytes: u64,
}

/// A mailbox at the moment of SELECT or EXAMINE. All of it is true for `mailbox.modseq`.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Counters and all.
    pub mailbox: Mailbox,
    /// Its messages.
    pub uids: UidSet,
    /// The first message without `\Seen`.
    pub first_unseen: Option<Uid>,
    /// The messages that are recent in this session: no earlier session claimed them.
    pub recent: UidSet,
    /// The keywords that messages have or once had, as first written; in the order of [`Keyword`].
    pub keywords: Vec<Keyword>,
}

/// What happened to a mailbox, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The entries, ascending by MODSEQ; a MODSEQ may have several entries.
    pub entries: Vec<Change>,
    /// Everything up to here is in `entries`.
    pub through: ModSeq,
    /// There is more above `through`.
    pub more: bool,
    /// The log no longer reaches back to what was asked for: changes above it were purged. The entries are those that are
    /// left, and tell only a part; the session must compare its messages with `Open`, which is full and of one moment.
    pub forgotten: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in the order of the mailbox.
    pub modseq: ModSeq,
    /// What.
    pub what: ChangeKind,
    /// To which messages.
    pub uids: UidSet,
}

/// What may happen to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// They came: delivered, appended, copied or moved here.
    Appeared,
    /// Their flags changed.
    Flagged,
    /// They are no longer here: expunged or moved away.
    Vanished,
}

/// A page of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Ascending by UID.
    pub messages: Vec<Message>,
    /// The last UID that the page speaks for: UIDs asked for up to here and not among the messages do not exist. The session goes on
    /// with [`super::rest_of`]; `None` when the page is the last.
    pub through: Option<Uid>,
}

/// A message, with the columns that were asked for. The message's octets are `prefix`, then the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// MODSEQ of its last change.
    pub modseq: ModSeq,
    /// Its flags; empty unless asked for.
    pub flags: Flags,
    /// INTERNALDATE
    pub date: InternalDate,
    /// When it came into this mailbox (RFC 8514).
    pub saved: Timestamp,
    /// RFC822.SIZE: octets of prefix and content.
    pub size: u64,
    /// Its content; means nothing in a narrow page, as the next three.
    pub content: ContentId,
    /// Trace fields of this recipient.
    pub prefix: Bytes,
    /// Octets of the content.
    pub content_size: u64,
    /// Octets of the content's header, its blank line included.
    pub header_size: u64,
    /// ENVELOPE, compact.
    pub envelope: Option<Bytes>,
    /// BODYSTRUCTURE, compact.
    pub structure: Option<Bytes>,
    /// The content's header; absent when not asked for, or longer than what is kept beside the message
    /// ([`crate::limits::HEADER_BYTES_MAX`]): then it is read from the content.
    pub header: Option<Bytes>,
    /// The content; absent when not asked for or too long.
    pub octets: Option<Bytes>,
    /// The message is gone from the mailbox.
    pub gone: bool,
}

/// What STORE did.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// MODSEQ of the change; `None` when nothing changed.
    pub modseq: Option<ModSeq>,
    /// Messages whose flags changed.
    pub changed: UidSet,
    /// Messages that were there and already as wanted.
    pub unchanged: UidSet,
    /// Messages that failed UNCHANGEDSINCE.
    pub modified: UidSet,
}

/// What COPY or MOVE did. Both sets have the same size and correspond in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub validity: UidValidity,
    /// UIDs in the source.
    pub from: UidSet,
    /// UIDs in the target.
    pub to: UidSet,
    /// MOVE: the MODSEQ in the source.
    pub gone: Option<ModSeq>,
}

/// Messages that were brought back, in one transaction. Both sets have the same size and correspond in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// The mailbox in which they are now.
    pub mailbox: MailboxId,
    /// Its name.
    pub name: MailboxName,
    /// The mailbox was made for them.
    pub made: bool,
    /// UIDs that they had where they were.
    pub from: UidSet,
    /// UIDs that they have now.
    pub to: UidSet,
    /// Their octets.
    pub bytes: u64,
}

/// What became of a delivery to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the mailbox, durably.
    Stored {
        /// The mailbox.
        mailbox: MailboxId,
        /// Its UID there.
        uid: Uid,
        /// It was there already: this delivery repeats an earlier one.
        repeat: bool,
    },
    /// The account has gone meanwhile.
    Unknown,
    /// The account was disabled meanwhile.
    Disabled,
    /// No room in the quota.
    OverQuota,
    /// Not now; try again.
    Unavailable,
}

/// Why the store did not do what was asked. Nothing was changed, save for `OutcomeUnknown`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such mailbox (any more).
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// There is already one.
    #[error("the mailbox exists already")]
    AlreadyExists,
    /// The mailbox has others below it.
    #[error("the mailbox has mailboxes below it")]
    HasChildren,
    /// INBOX can't be deleted.
    #[error("INBOX can't be deleted")]
    Inbox,
    /// The name can't be.
    #[error("{0}")]
    BadName(super::BadName),
    /// Another mailbox of the account has this special use.
    #[error("another mailbox has this special use")]
    UseInUse,
    /// The quota has no room.
    #[error("over quota")]
    OverQuota,
    /// A limit of the store; which one.
    #[error("{0}")]
    Limit(&'static str),
    /// The upload is not there (any more), or broke off.
    #[error("the upload is gone")]
    Upload,
    /// Stored data is not what it must be; what was seen.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The database can't be reached or is too busy; nothing was done.
    #[error("the store can't be reached")]
    Unavailable,
    /// The database was lost at commit and could not be asked whether it happened.
    #[error("the store was lost while it committed")]
    OutcomeUnknown,
}
