//! Flags and keywords of a message (RFC 9051 §2.3.2).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A set of system flags, as the bits that are stored. `\Recent` is not among them.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);
    /// Every flag with its name, in the order in which they are shown.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// From stored bits; unknown bits are dropped.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }
    /// The bits to store.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
    /// All of `other` are in `self`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Those in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Those in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// No flag at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for SystemFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

/// A keyword: an atom, compared without regard to ASCII case, shown as first written in its mailbox.
#[derive(Clone)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// `None` when it is no keyword: empty, longer than [`crate::limits::KEYWORD_BYTES_MAX`], or not an atom (RFC 9051
    /// `flag-keyword`: no controls, space, `( ) { % * " \ ]`, 8-bit).
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        let fits = !name.is_empty() && name.len() <= crate::limits::KEYWORD_BYTES_MAX;
        (fits && name.bytes().all(legal)).then(|| Self(name.into()))
    }
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// What it is compared by: ASCII lower case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let lower = |k: &Self| {
            k.0.bytes()
                .map(|b| b.to_ascii_lowercase())
                .collect::<Vec<_>>()
        };
        lower(self).cmp(&lower(other))
    }
}

/// All flags of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// System flags.
    pub system: SystemFlags,
    /// Keywords.
    pub keywords: BTreeSet<Keyword>,
}

/// What STORE does with the flags that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Replace,
}

impl Flags {
    /// What the flags are after a STORE.
    #[must_use]
    pub fn changed(&self, how: FlagChange, named: &Self) -> Self {
        match how {
            FlagChange::Replace => named.clone(),
            FlagChange::Add => Self {
                system: self.system.with(named.system),
                keywords: self.keywords.union(&named.keywords).cloned().collect(),
            },
            FlagChange::Remove => Self {
                system: self.system.without(named.system),
                keywords: self.keywords.difference(&named.keywords).cloned().collect(),
            },
        }
    }
}
