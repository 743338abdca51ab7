//! Names of things: newtypes, never bare integers.

use std::num::NonZeroU32;

/// An account (a user), in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

/// A mailbox, in this store. Never used again for another mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub i64);

/// A message's content without its trace prefix, shared by all who received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub i64);

/// An upload under way, named by the session that feeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u64);

/// Unique identifier of a message in a mailbox (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The first UID.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The last UID.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// `None` for 0, which is no UID.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The next UID, if there is one.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The UID before, if there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        Self::new(self.0.get() - 1)
    }
}

/// UIDVALIDITY of a mailbox (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(pub u32);

/// Modification sequence (RFC 7162 §3): 0 means "before every change". At most 2^63 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(pub u64);

/// A moment: microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment so many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        let micros = if seconds > 9_000_000_000_000 {
            i64::MAX
        } else {
            seconds as i64 * 1_000_000
        };
        Self(self.0.saturating_add(micros))
    }
}

/// INTERNALDATE: a moment and the zone it is shown in (RFC 9051 §2.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalDate {
    /// The moment; IMAP shows whole seconds.
    pub at: Timestamp,
    /// Minutes east of UTC, from -1,439 to 1,439.
    pub zone_minutes: i16,
}
