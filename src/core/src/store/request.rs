//! What sessions ask of the store.

use bytes::Bytes;

use super::{
    AccountId, ContentId, FlagChange, Flags, InternalDate, MailboxId, MailboxName, ModSeq,
    Timestamp, Uid, UidSet, UploadId,
};

/// A special use of a mailbox (RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// Every use, with its attribute, the number it is stored as, and the name of the mailbox that a new user gets for it.
    pub const ALL: [(Self, &'static str, i64, &'static str); 5] = [
        (Self::Archive, "\\Archive", 1, "Archive"),
        (Self::Drafts, "\\Drafts", 2, "Drafts"),
        (Self::Junk, "\\Junk", 3, "Junk"),
        (Self::Sent, "\\Sent", 4, "Sent"),
        (Self::Trash, "\\Trash", 5, "Trash"),
    ];
}

/// What columns of messages a page of FETCH needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchItems {
    /// Flags with keywords.
    pub flags: bool,
    /// The ENVELOPE in its compact form.
    pub envelope: bool,
    /// The BODYSTRUCTURE in its compact form.
    pub structure: bool,
    /// The header of the content.
    pub header: bool,
    /// The whole content, where it has at most [`crate::limits::INLINE_CONTENT_BYTES_MAX`] octets.
    pub content: bool,
}

/// One recipient of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Whose mailbox.
    pub account: AccountId,
    /// The address as it was given in RCPT, for the delivery's identity.
    pub address: Bytes,
    /// Where to. When it does not exist, INBOX.
    pub mailbox: MailboxName,
    /// Flags from the start.
    pub flags: Flags,
    /// The trace fields of this recipient; at most [`crate::limits::PREFIX_BYTES_MAX`] octets.
    pub prefix: Bytes,
}

/// A question for the store. Its meaning is what `memory.rs` does.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    // --- addresses -------------------------------------------------------------------------
    /// Who gets mail for this address? ASCII case is folded, on both sides of the `@`.
    /// Answer: `Resolved`.
    Resolve {
        /// `local@domain` or a bare local part, unquoted, in UTF-8.
        address: String,
    },

    // --- mailboxes of an account -----------------------------------------------------------
    /// Every mailbox with its counters, by name, and subscribed names that have no mailbox.
    /// Answer: `Mailboxes`.
    Mailboxes {
        /// Whose.
        account: AccountId,
    },
    /// One mailbox with its counters. Answer: `Status`. Refusals: `NoSuchMailbox`.
    Status {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
    },
    /// CREATE, with the missing levels above. Answer: `Done`.
    /// Refusals: `AlreadyExists`, `Limit`, `BadName`, `UseInUse`.
    Create {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
        /// Its special use.
        special_use: Option<SpecialUse>,
    },
    /// DELETE. The messages go to the gone. A mailbox with others below it is refused (`HasChildren`).
    /// Answer: `Done`. Refusals: `NoSuchMailbox`, `Inbox`, `HasChildren`.
    Delete {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
    },
    /// RENAME with all that is below, missing levels above made. INBOX: its messages move to the new mailbox (RFC 9051 §6.3.6). The renamed mailbox keeps its id,
    /// its UIDVALIDITY and its messages' UIDs (INBOX's messages get new ones).
    /// Answer: `Done`. Refusals: `NoSuchMailbox`, `AlreadyExists`, `BadName`, `Limit`.
    Rename {
        /// Whose.
        account: AccountId,
        /// Which.
        from: MailboxName,
        /// What it is called then.
        to: MailboxName,
    },
    /// SUBSCRIBE and UNSUBSCRIBE; the mailbox need not exist. Answer: `Done`. Refusals: `Limit`.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// Which name.
        name: MailboxName,
        /// Or no longer.
        subscribed: bool,
    },

    // --- a mailbox -------------------------------------------------------------------------
    /// SELECT and EXAMINE. Answer: `Opened`. Refusals: `NoSuchMailbox`.
    Open {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
        /// SELECT, which claims the recent messages; EXAMINE does not.
        claim_recent: bool,
    },
    /// What happened above a MODSEQ, oldest first, at most [`crate::limits::CHANGES_MAX`] entries. Answer: `Changes`.
    /// Refusals: `NoSuchMailbox` (deleted meanwhile).
    Changes {
        /// Which.
        mailbox: MailboxId,
        /// Above this.
        since: ModSeq,
    },
    /// A page of messages, ascending by UID: those of `uids` that are there, or that are gone since less than an hour
    /// (a session that was not told yet may still ask for them). At most [`crate::limits::PAGE_ROWS_MAX`] rows and about
    /// [`crate::limits::PAGE_BYTES_MAX`] octets, at least one row. Answer: `Messages`.
    Fetch {
        /// Which.
        mailbox: MailboxId,
        /// Of these.
        uids: UidSet,
        /// What columns.
        items: FetchItems,
    },
    /// Octets of a content, at most [`crate::limits::READ_BYTES_MAX`]; less than asked for only at its end.
    /// Answer: `Octets`. Refusals: `Damaged`.
    Read {
        /// Which.
        content: ContentId,
        /// First octet, counted from 0.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// STORE. Only those of `uids` that exist are touched; one MODSEQ for all that truly change; what does not change is not logged.
    /// Answer: `Stored`. Refusals: `NoSuchMailbox`, `Limit` (keywords).
    Store {
        /// Which.
        mailbox: MailboxId,
        /// Of these.
        uids: UidSet,
        /// How.
        how: FlagChange,
        /// With these.
        flags: Flags,
        /// Only messages whose MODSEQ is at most this (RFC 7162 §3.1.3).
        unchanged_since: Option<ModSeq>,
    },
    /// EXPUNGE (all with `\Deleted`) and UID EXPUNGE (those with `\Deleted` of these). Answer: `Expunged`.
    /// Refusals: `NoSuchMailbox`.
    Expunge {
        /// Which.
        mailbox: MailboxId,
        /// Of these only.
        uids: Option<UidSet>,
    },
    /// COPY: all of the messages that exist, in ascending order, or none. Flags, keywords and INTERNALDATE go along. Answer: `Copied`.
    /// Refusals: `NoSuchMailbox` (the target: TRYCREATE), `OverQuota`, `Limit`.
    Copy {
        /// From here.
        mailbox: MailboxId,
        /// These.
        uids: UidSet,
        /// Whose is the target.
        account: AccountId,
        /// There.
        to: MailboxName,
    },
    /// MOVE (RFC 6851): as Copy, and gone from the source in the same transaction. Answer: `Copied`.
    Move {
        /// From here.
        mailbox: MailboxId,
        /// These.
        uids: UidSet,
        /// Whose is the target.
        account: AccountId,
        /// There. May be the source itself.
        to: MailboxName,
    },
    /// APPEND. Answer: `Appended`. Refusals: `NoSuchMailbox` (TRYCREATE), `OverQuota`, `Limit`, `Upload`.
    Append {
        /// Whose.
        account: AccountId,
        /// There.
        name: MailboxName,
        /// With these flags.
        flags: Flags,
        /// With this date; the time of storing when absent.
        date: Option<InternalDate>,
        /// The message, staged before.
        upload: UploadId,
    },

    // --- delivery --------------------------------------------------------------------------
    /// One message for several recipients, each on its own. The identity of each (address, reverse-path, octets received) is kept;
    /// a repeat gets the first's outcome. Answer: `Delivered`, an outcome for each recipient in order. Refusals: `Upload`.
    Deliver {
        /// The message, staged before.
        upload: UploadId,
        /// The reverse-path as given.
        reverse_path: Bytes,
        /// When it was received.
        received: Timestamp,
        /// For whom.
        recipients: Vec<Recipient>,
    },
}

impl Request {
    /// Name for logs, metrics and statement budgets.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => "resolve",
            Self::Mailboxes { .. } => "mailboxes",
            Self::Status { .. } => "status",
            Self::Create { .. } => "create",
            Self::Delete { .. } => "delete",
            Self::Rename { .. } => "rename",
            Self::Subscribe { .. } => "subscribe",
            Self::Open { .. } => "open",
            Self::Changes { .. } => "changes",
            Self::Fetch { .. } => "fetch",
            Self::Read { .. } => "read",
            Self::Store { .. } => "store",
            Self::Expunge { .. } => "expunge",
            Self::Copy { .. } => "copy",
            Self::Move { .. } => "move",
            Self::Append { .. } => "append",
            Self::Deliver { .. } => "deliver",
        }
    }

    /// The upload that the request uses up.
    #[must_use]
    pub const fn upload(&self) -> Option<UploadId> {
        match self {
            Self::Append { upload, .. } | Self::Deliver { upload, .. } => Some(*upload),
            Self::Resolve { .. }
            | Self::Mailboxes { .. }
            | Self::Status { .. }
            | Self::Create { .. }
            | Self::Delete { .. }
            | Self::Rename { .. }
            | Self::Subscribe { .. }
            | Self::Open { .. }
            | Self::Changes { .. }
            | Self::Fetch { .. }
            | Self::Read { .. }
            | Self::Store { .. }
            | Self::Expunge { .. }
            | Self::Copy { .. }
            | Self::Move { .. } => None,
        }
    }
}

/// Where a page goes on: the UIDs not answered yet. Sessions ask with the rest of their set.
#[must_use]
pub fn rest_of(uids: &UidSet, after: Uid) -> UidSet {
    match after.next() {
        Some(next) => uids.intersection(&UidSet::range(next, Uid::MAX)),
        None => UidSet::new(),
    }
}
