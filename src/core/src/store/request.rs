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

    /// As LIST shows it.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(usage, ..)| *usage == self)
            .map_or("", |(_, attribute, ..)| attribute)
    }
}

/// What columns of messages a page of FETCH needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchItems {
    /// Flags with keywords.
    pub flags: bool,
    /// The MODSEQ; everything but a page of flags alone brings it along, which without it needs no row of a mailbox that the front-end knows.
    pub modseq: bool,
    /// INTERNALDATE, the save date and RFC822.SIZE; they bring the MODSEQ along.
    pub dates: bool,
    /// What reading the message's octets needs: its content, its prefix, and the sizes of both. A page with none of the columns
    /// from here on is narrow, and much cheaper.
    pub place: bool,
    /// The ENVELOPE in its compact form.
    pub envelope: bool,
    /// The BODYSTRUCTURE in its compact form.
    pub structure: bool,
    /// The header of the content; it brings the place along.
    pub header: bool,
    /// The whole content, with its place, where it has at most [`crate::limits::INLINE_CONTENT_BYTES_MAX`] octets.
    pub content: bool,
}

/// Fields of a [`super::Message`] that were not asked for mean nothing: they are empty, or 0.
impl FetchItems {
    /// `content`, `prefix`, `content_size` and `header_size` are asked for.
    #[must_use]
    pub const fn has_place(self) -> bool {
        self.place || self.header || self.content
    }

    /// Only what a message's own row says.
    #[must_use]
    pub const fn is_narrow(self) -> bool {
        !(self.has_place() || self.envelope || self.structure)
    }

    /// No more than which messages there are, with their flags or without.
    #[must_use]
    pub const fn is_bare(self) -> bool {
        self.is_narrow() && !self.dates && !self.modseq
    }
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
///
/// One request is at most one change of a mailbox, with one MODSEQ. An account that does not exist (any more) has no
/// mailboxes: lists are empty, everything else is `NoSuchMailbox`.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    // --- addresses -------------------------------------------------------------------------
    /// Who gets mail for this address? ASCII case is folded, on both sides of the `@`. What is nobody's address may be an
    /// account's name.
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
    /// CREATE, with the missing levels above (made first, from the top). Each new mailbox takes the next UIDVALIDITY of the account and
    /// begins with MODSEQ 1 and an empty log. Subscriptions stay as they are, here as in DELETE and RENAME.
    /// Answer: `Done`. Refusals, the first that holds: `AlreadyExists`, `UseInUse`, `Limit`.
    Create {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
        /// Its special use.
        special_use: Option<SpecialUse>,
    },
    /// DELETE. The messages go to the gone, and give back their quota. A mailbox with others below it is refused (`HasChildren`).
    /// Answer: `Done`. Refusals, the first that holds: `Inbox`, `NoSuchMailbox`, `HasChildren`.
    Delete {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
    },
    /// RENAME with all that is below, missing levels above made. INBOX: its messages move to the new mailbox (RFC 9051 §6.3.6). The renamed mailbox keeps its id,
    /// its UIDVALIDITY, special use, log and its messages' UIDs (INBOX's messages get new ones; what is below INBOX stays).
    /// A UIDVALIDITY belongs to one mailbox of the account for ever, so a name that was another mailbox's shows another one.
    /// Answer: `Done`. Refusals, the first that holds: `NoSuchMailbox`, `AlreadyExists` (also when `to` lies below `from`, unless that is INBOX), `BadName`, `Limit`.
    Rename {
        /// Whose.
        account: AccountId,
        /// Which.
        from: MailboxName,
        /// What it is called then.
        to: MailboxName,
    },
    /// SUBSCRIBE and UNSUBSCRIBE; the mailbox need not exist, and it may be so already. At most
    /// [`crate::limits::MAILBOXES_MAX`] names. Answer: `Done`. Refusals: `Limit`.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// Which name.
        name: MailboxName,
        /// Or no longer.
        subscribed: bool,
    },

    // --- a mailbox -------------------------------------------------------------------------
    /// SELECT and EXAMINE. Claiming recent messages is no change: no MODSEQ, no log, no news; the counters are those after it.
    /// Answer: `Opened`. Refusals: `NoSuchMailbox`.
    Open {
        /// Whose.
        account: AccountId,
        /// Which.
        name: MailboxName,
        /// SELECT, which claims the recent messages; EXAMINE sees them too, but leaves them to others.
        claim_recent: bool,
    },
    /// What happened above a MODSEQ, oldest first, at most [`crate::limits::CHANGES_MAX`] entries: by MODSEQ, then in the order of
    /// [`super::ChangeKind`], one for each kind. The entries of a MODSEQ are never torn apart. Answer: `Changes`.
    /// Refusals: `NoSuchMailbox` (deleted meanwhile).
    Changes {
        /// Which.
        mailbox: MailboxId,
        /// Above this.
        since: ModSeq,
    },
    /// A page of messages, ascending by UID: those of `uids` that are there, or that are gone since less than an hour
    /// (a session that was not told yet may still ask for them). At most [`crate::limits::PAGE_ROWS_MAX`] rows and about
    /// [`crate::limits::PAGE_BYTES_MAX`] octets, at least one row. Where a page ends is the store's choice. The messages of a deleted mailbox
    /// are gone messages; one that never was has none. Answer: `Messages`.
    Fetch {
        /// Which.
        mailbox: MailboxId,
        /// Of these.
        uids: UidSet,
        /// What columns.
        items: FetchItems,
    },
    /// Octets of a content, at most [`crate::limits::READ_BYTES_MAX`]; less than asked for only at its end.
    /// Past the end there are none. Answer: `Octets`. Refusals: `Damaged`, also when there is no such content.
    Read {
        /// Which.
        content: ContentId,
        /// First octet, counted from 0.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// STORE. Only those of `uids` that exist are touched; one MODSEQ for all that truly change; what does not change is not logged.
    /// A keyword is learnt by the mailbox when a message gets it (not by an attempt), and stays known. A message that fails
    /// UNCHANGEDSINCE is `modified` whether or not its flags would change.
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
    /// COPY: all of the messages that exist, in ascending order, or none. Flags, keywords and INTERNALDATE go along; the copies are recent, saved now,
    /// and of the same content. The target may be the source. When none of them exists, nothing happens. The target's owner pays.
    /// Answer: `Copied`. Refusals: `NoSuchMailbox` (the target: TRYCREATE), `OverQuota`, `Limit`.
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
    /// MOVE (RFC 6851): as Copy, and gone from the source in the same transaction. Within an account it needs no room. Into the source itself it
    /// is one change with one MODSEQ: messages appear with new UIDs and the old ones vanish. Answer and refusals: as Copy.
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
    /// APPEND. Answer: `Appended`. Refusals, the first that holds: `Upload`, `NoSuchMailbox` (TRYCREATE), `OverQuota`, `Limit`. The upload is used up in any
    /// case.
    Append {
        /// Whose.
        account: AccountId,
        /// There.
        name: MailboxName,
        /// With these flags.
        flags: Flags,
        /// With this date; the time of storing, in UTC, when absent.
        date: Option<InternalDate>,
        /// The message, staged before.
        upload: UploadId,
    },

    // --- delivery --------------------------------------------------------------------------
    /// One message for several recipients, in order and each on its own; what comes into one mailbox is one change of it. The identity of each that
    /// was stored (address, reverse-path, octets received) is kept for the store's repeat window (7 days; 10 minutes where the message has no Received field); a repeat, also within the request, gets the first's outcome, whatever became of
    /// the account or the message meanwhile. What was not stored is not kept. A keyword that has no room in the mailbox is left off.
    /// Answer: `Delivered`, an outcome for each recipient in order (`Unavailable`: also when the UIDs are used up). Refusals: `Upload`.
    Deliver {
        /// The message, staged before.
        upload: UploadId,
        /// The reverse-path as given.
        reverse_path: Bytes,
        /// When it was received: INTERNALDATE, in UTC.
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
