//! The two revisions of IMAP, and all that differs between them for a server that speaks both (RFC 9051 app. A and E).
//!
//! What IMAP4rev2 only took in from extensions is served to both. What it took out (LSUB, CHECK, `RFC822`, SEARCH NEW) is answered to whoever asks for it.

use std::borrow::Cow;

use super::command::SearchReturns;
use super::{mutf7, response};
use crate::store::{BadName, MailboxName};

/// What a client speaks: IMAP4rev1 until it enables the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revision {
    /// RFC 3501
    #[default]
    Rev1,
    /// RFC 9051
    Rev2,
}

impl Revision {
    const fn is_rev2(self) -> bool {
        matches!(self, Self::Rev2)
    }

    /// `\Recent` and RECENT exist (RFC 9051 app. E 12). Where they do not, a session leaves recent messages to others.
    #[must_use]
    pub const fn has_recent(self) -> bool {
        !self.is_rev2()
    }

    /// SELECT tells of the first unseen message (app. E 11).
    #[must_use]
    pub const fn has_unseen_code(self) -> bool {
        !self.is_rev2()
    }

    /// SELECT tells the mailbox's name in a LIST response (app. E 10), and so does CREATE of a name that is stored in another form: clients know OLDNAME.
    #[must_use]
    pub const fn lists_selected(self) -> bool {
        self.is_rev2()
    }

    /// What SEARCH returns: ESEARCH also when the client has not said RETURN (app. E 4).
    #[must_use]
    pub fn returns(self, asked: Option<SearchReturns>) -> Option<SearchReturns> {
        asked.or_else(|| self.is_rev2().then(SearchReturns::default))
    }

    /// The name that a client means.
    ///
    /// IMAP4rev2: UTF-8, in which `&` is an ampersand. IMAP4rev1: modified UTF-7, with quirks: octets above 127 are taken as UTF-8
    /// (careless clients), and then `&` is an ampersand; an `&` that begins nothing like a shift sequence is an ampersand too (`R&D`), as
    /// long as no other `&` in the name does. What looks like modified UTF-7 and is not legal is no name.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn name(self, written: &[u8]) -> Result<MailboxName, BadName> {
        let written = std::str::from_utf8(written).map_err(|_| BadName::Character)?;
        if self.is_rev2() || !written.is_ascii() {
            return MailboxName::new(written);
        }
        match mutf7::decode(written) {
            Some(name) => MailboxName::new(&name),
            None if mutf7::has_shift(written) => Err(BadName::Character),
            None => MailboxName::new(written),
        }
    }

    /// A reference or pattern of LIST. What is not legal modified UTF-7 stands for itself (and will match little).
    #[must_use]
    pub fn pattern(self, written: &str) -> Cow<'_, str> {
        if self.is_rev2() {
            return Cow::Borrowed(written);
        }
        mutf7::decode(written).map_or(Cow::Borrowed(written), Cow::Owned)
    }

    /// Writes a name as the client reads names (app. A: no UTF-8 in quoted strings before it is enabled), as an atom where it can be one.
    pub fn write_name(self, out: &mut Vec<u8>, name: &str) {
        let name = self.encode(name);
        if name.is_ascii() {
            response::astring(out, name.as_bytes());
        } else {
            response::utf8_string(out, &name);
        }
    }

    /// A name as the client reads names.
    #[must_use]
    pub fn encode(self, name: &str) -> Cow<'_, str> {
        if self.is_rev2() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(mutf7::encode(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Revision::{Rev1, Rev2};
    use super::*;
    use crate::imap::grammar;

    fn written(revision: Revision, name: &str) -> String {
        let mut out = Vec::new();
        revision.write_name(&mut out, name);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_travels_in_modified_utf_7_or_in_utf_8() {
        for (name, rev1, rev2) in [
            ("INBOX", "INBOX", "INBOX"),
            ("a b", "\"a b\"", "\"a b\""),
            ("Entwürfe", "Entw&APw-rfe", "\"Entwürfe\""),
            ("R&D", "R&-D", "R&D"),
            ("&APw-", "&-APw-", "&APw-"),
            ("台\"\\北", "\"&U,A-\\\"\\\\&Uxc-\"", "\"台\\\"\\\\北\""),
        ] {
            assert_eq!(written(Rev1, name), rev1);
            assert_eq!(written(Rev2, name), rev2);
        }
    }

    #[test]
    fn in_rev1_a_name_that_is_not_modified_utf_7_is_taken_as_it_is_when_it_can_mean_nothing_else() {
        let name = |text| MailboxName::new(text);
        let character = || Err(BadName::Character);
        for (text, rev1, rev2) in [
            (&b"inbox"[..], name("INBOX"), name("INBOX")),
            (b"Entw&APw-rfe", name("Entwürfe"), name("Entw&APw-rfe")),
            (b"A&-B", name("A&B"), name("A&-B")),
            (b"R&D", name("R&D"), name("R&D")),
            (b"a & b", name("a & b"), name("a & b")),
            (b"a&", name("a&"), name("a&")),
            (
                "Entwürfe & mehr".as_bytes(),
                name("Entwürfe & mehr"),
                name("Entwürfe & mehr"),
            ),
            ("ü&-".as_bytes(), name("ü&-"), name("ü&-")),
            (b"&AGE-", character(), name("&AGE-")),
            (b"R&D-1", character(), name("R&D-1")),
            (b"a&b&-", character(), name("a&b&-")),
            (b"&2D0-", character(), name("&2D0-")),
            (b"&AAA-", character(), name("&AAA-")),
            (b"\xff", character(), character()),
            (b"", Err(BadName::Empty), Err(BadName::Empty)),
            (b"a\tb", character(), character()),
        ] {
            assert_eq!(Rev1.name(text), rev1, "{}", text.escape_ascii());
            assert_eq!(Rev2.name(text), rev2, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_is_read_as_names_are() {
        for (written, rev1) in [
            ("&APw-%", "ü%"),
            ("a/*", "a/*"),
            ("ü*", "ü*"),
            ("&APw%", "&APw%"),
            ("R&D*", "R&D*"),
        ] {
            assert_eq!(Rev1.pattern(written), rev1);
            assert_eq!(Rev2.pattern(written), written);
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_written_is_read_as_the_same_in_either_revision(name in "[a-zA-Z&ü台\u{301}\u{1f600} /\"\\\\\\[\\](){}-]{1,12}") {
            prop_assume!(MailboxName::new(&name).is_ok());
            let name = MailboxName::new(&name).unwrap();
            for revision in [Rev1, Rev2] {
                let mut text = b"a SELECT ".to_vec();
                revision.write_name(&mut text, name.as_str());
                let tagged = grammar::command(&text).unwrap();
                let crate::imap::command::Command::Select(named) = tagged.command else {
                    panic!("no SELECT");
                };
                prop_assert_eq!(named.name(revision), Ok(name.clone()));
            }
        }
    }
}
