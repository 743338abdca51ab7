//! Names of mailboxes (STORAGE 19): Unicode NFC without controls, `/` between levels, INBOX folded.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::limits::{MAILBOX_DEPTH_MAX, MAILBOX_LEVEL_BYTES_MAX};

/// What stands between the levels of a name.
pub const SEPARATOR: char = '/';

/// A mailbox name in the one form in which names are stored and compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Empty, or a level of it is.
    #[error("a level of the mailbox name is empty")]
    Empty,
    /// More than [`MAILBOX_DEPTH_MAX`] levels.
    #[error("the mailbox name has more than 20 levels")]
    Deep,
    /// A level is longer than [`MAILBOX_LEVEL_BYTES_MAX`] octets.
    #[error("a level of the mailbox name is longer than 255 octets")]
    Long,
    /// A control character, `%`, `*`, or a code point that is not for interchange.
    #[error("the mailbox name holds a character that mailbox names can't have")]
    Character,
}

impl MailboxName {
    /// The user's INBOX.
    #[must_use]
    pub fn inbox() -> Self {
        Self("INBOX".to_owned())
    }

    /// From UTF-8 as a client wrote it. A first level that reads INBOX in any case becomes `INBOX`. A
    /// trailing separator (RFC 9051 §6.3.4: "further names will be made under it") is dropped.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn new(written: &str) -> Result<Self, BadName> {
        let written = written.strip_suffix(SEPARATOR).unwrap_or(written);
        let name: String = written.nfc().collect();
        let mut levels: Vec<&str> = name.split(SEPARATOR).collect();
        if levels.len() > MAILBOX_DEPTH_MAX {
            return Err(BadName::Deep);
        }
        for level in &levels {
            if level.is_empty() {
                return Err(BadName::Empty);
            }
            if level.len() > MAILBOX_LEVEL_BYTES_MAX {
                return Err(BadName::Long);
            }
        }
        let unfit = |c: char| {
            c.is_control()
                || matches!(c, '%' | '*' | '\u{2028}' | '\u{2029}' | '\u{feff}')
                || (0xfdd0..=0xfdef).contains(&u32::from(c))
                || u32::from(c) & 0xfffe == 0xfffe
        };
        if name.chars().any(unfit) {
            return Err(BadName::Character);
        }
        if let Some(first) = levels.first_mut()
            && first.eq_ignore_ascii_case("INBOX")
        {
            *first = "INBOX";
        }
        Ok(Self(levels.join("/")))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The name one level up.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once(SEPARATOR)
            .map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Whether `self` lies below `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// The name that `self`, being `from` or below it, has after `from` is renamed to `to`.
    ///
    /// # Errors
    /// [`BadName`] when the new name would be too deep.
    pub fn moved(&self, from: &Self, to: &Self) -> Result<Self, BadName> {
        let rest = self.0.strip_prefix(from.as_str()).unwrap_or_default();
        Self::new(&format!("{to}{rest}"))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_folded_only_as_a_whole_first_level() {
        assert!(MailboxName::new("inBox").unwrap().is_inbox());
        assert_eq!(MailboxName::new("inbox/a").unwrap().as_str(), "INBOX/a");
        assert_eq!(MailboxName::new("inboxes").unwrap().as_str(), "inboxes");
        assert_eq!(MailboxName::new("a/inbox").unwrap().as_str(), "a/inbox");
    }

    #[test]
    fn a_name_is_normalised_to_nfc() {
        assert_eq!(
            MailboxName::new("e\u{301}").unwrap(),
            MailboxName::new("\u{e9}").unwrap()
        );
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        assert_eq!(MailboxName::new(""), Err(BadName::Empty));
        assert_eq!(MailboxName::new("a//b"), Err(BadName::Empty));
        assert_eq!(MailboxName::new("/a"), Err(BadName::Empty));
        assert_eq!(MailboxName::new("a\0"), Err(BadName::Character));
        assert_eq!(MailboxName::new("a*"), Err(BadName::Character));
        assert_eq!(MailboxName::new(&"a/".repeat(21)), Err(BadName::Deep));
        assert_eq!(MailboxName::new(&"a".repeat(256)), Err(BadName::Long));
        assert_eq!(MailboxName::new("a/").unwrap().as_str(), "a");
    }

    #[test]
    fn a_renamed_tree_keeps_its_lower_levels() {
        let n = |s| MailboxName::new(s).unwrap();
        assert_eq!(n("a/b/c").moved(&n("a"), &n("x/y")).unwrap(), n("x/y/b/c"));
        assert!(n("a/b").is_below(&n("a")) && !n("ab").is_below(&n("a")));
    }
}
