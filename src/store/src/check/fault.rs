//! What may be wrong with a database: kinds of faults, what each means, and what is done about it.

use std::fmt;

macro_rules! kinds {
    ($($kind:ident $name:literal $means:literal $mend:expr;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $(#[doc = $means] $kind),* }

        impl FaultKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its name, for people and scripts.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// What it means for users.
            #[must_use]
            pub const fn means(self) -> &'static str {
                match self { $(Self::$kind => $means),* }
            }

            /// What a repair does about it; `None`: it is reported and not touched.
            #[must_use]
            pub const fn mend(self) -> Option<&'static str> {
                match self { $(Self::$kind => $mend),* }
            }
        }
    };
}

kinds! {
    Schema "schema"
        "the database is not as the migrations made it: slow, or open to faults that it would refuse"
        None;
    Unreadable "unreadable"
        "the database can't read its own rows, and what comes after them here was not looked at"
        None;
    Ids "ids"
        "an id will be given twice: what is to be stored under it is refused"
        Some("the next id is set above those that were given");
    Orphan "orphan"
        "rows that nobody reaches: they take room"
        None;
    AccountName "account-name"
        "the user can't log in, nor be found by the name that is shown"
        None;
    AccountState "account-state"
        "the user's mailboxes can't be made, renamed or deleted"
        Some("the counter row is made again");
    AccountCounters "account-counters"
        "a UIDVALIDITY or a change number may be given twice"
        Some("the counters are set above what was given");
    AccountLog "account-log"
        "changes of this user's mailboxes are missing in the log, so who asks for them is told less than happened"
        Some("the log's horizon is set above them: who asks is told everything anew");
    QuotaRoot "quota-root"
        "nobody pays for what is stored here, and nothing can be stored"
        None;
    Quota "quota"
        "the user has more room left, or less, than there is"
        Some("what is used is set to what the messages add up to");
    MailboxName "mailbox-name"
        "the mailbox is listed and can't be opened, or the other way round"
        None;
    MailboxState "mailbox-state"
        "the mailbox does not appear and can't be opened; its messages are there"
        Some("the counter row is made again from the messages, with a new UIDVALIDITY");
    MailboxDeleted "mailbox-deleted"
        "a mailbox that was deleted is listed, or holds messages that nobody reaches"
        None;
    Counters "counters"
        "clients are told other numbers of messages or octets than they find"
        Some("the counters are set to what the messages add up to");
    NextUid "next-uid"
        "a UID will be given twice: deliveries to this mailbox are refused"
        Some("the next UID is set above those that were given");
    Modseq "modseq"
        "changes are hidden from clients that synchronise"
        Some("HIGHESTMODSEQ is set to the highest that was given");
    LogGap "log-gap"
        "changes are missing in the log, so clients that synchronise miss them"
        Some("the log's horizon is set above them: clients ask for everything anew");
    LogRow "log-row"
        "a change can't be told, so clients that synchronise from before it are refused"
        None;
    KeywordName "keyword-name"
        "the mailbox can't be opened, because it has a keyword that is none"
        None;
    MarkKeyword "mark-keyword"
        "a message is marked with a keyword that is not there: the mark is not shown"
        None;
    MarkMessage "mark-message"
        "a keyword marks a message that is neither there nor gone: the row takes room"
        Some("the mark is removed");
    MessageEmail "message-email"
        "the message is counted and can't be fetched: its email is missing"
        None;
    MessageContent "message-content"
        "the message is counted and can't be fetched: its content is missing"
        None;
    MessageSize "message-size"
        "clients are told another size than they get"
        Some("the size, the counters and the quota are set right");
    MessageFlags "message-flags"
        "flags that are none: the message may not be shown"
        None;
    MessageTwice "message-twice"
        "the message is there and gone at once: it can't be expunged"
        None;
    Unused "unused"
        "no message has it: it takes room and harms nobody"
        None;
    ContentSize "content-size"
        "the end of the message is not read, or looked for in vain"
        Some("the size is set to that of the stored octets, which are as they arrived");
    HeaderSize "header-size"
        "clients are told another header or text than the message has"
        Some("the size is set to what the message's octets say");
    ContentHeader "content-header"
        "the stored header has not the length that it is noted with: the message can't be put together"
        None;
    ContentBytes "content-bytes"
        "the stored octets are not those that arrived: clients get other mail than was sent"
        None;
    ContentTrees "content-trees"
        "clients are told another envelope or structure than the message has"
        Some("envelope and structure are made again from the octets");
    SegmentGap "segment-gap"
        "octets of the message are missing, so it can't be read"
        None;
    SegmentSize "segment-size"
        "a piece of the message has another length than it is noted with, so it can't be read"
        None;
    SegmentUnreadable "segment-unreadable"
        "a piece of the message can't be unpacked, so it can't be read"
        None;
    SegmentPart "segment-part"
        "a part of the message is missing, so it can't be read"
        None;
    PartUnfinished "part-unfinished"
        "a part of the message was never finished, so it can't be read whole"
        None;
    PartChunks "part-chunks"
        "pieces of a part are missing, so the messages that have it can't be read"
        None;
    PartUnreadable "part-unreadable"
        "a piece of a part can't be unpacked, so the messages that have it can't be read"
        None;
    PartSize "part-size"
        "a part has another length than it is noted with, so the messages that have it may not be read"
        None;
    PartBytes "part-bytes"
        "the octets of a part are not those that were stored: clients get other mail than was sent"
        None;
    PartPacked "part-packed"
        "statistics count other octets than are stored"
        Some("the packed size is set to that of the chunks");
}

impl FaultKind {
    /// Whether it harms nobody; it is told all the same.
    #[must_use]
    pub const fn is_note(self) -> bool {
        matches!(self, Self::Unused)
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// Where.
    pub place: Place,
    /// What was found, and what should be there.
    pub what: String,
}

/// Where something is wrong, as far as users and administrators know the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The user's name.
    pub user: Option<String>,
    /// The mailbox.
    pub mailbox: Option<String>,
    /// The message. The widest kind, for a damaged one may be anything.
    pub uid: Option<i64>,
    /// How many more messages have it.
    pub others: u64,
}

impl Place {
    /// A user.
    pub(crate) fn user(name: Option<&str>) -> Self {
        Self {
            user: name.map(str::to_owned),
            ..Self::default()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(user) = &self.user else {
            return f.write_str("no user");
        };
        f.write_str(user)?;
        if let Some(mailbox) = &self.mailbox {
            write!(f, " {mailbox}")?;
        }
        if let Some(uid) = self.uid {
            write!(f, " UID {uid}")?;
        }
        if self.others > 0 {
            write!(f, " (and {} more)", self.others)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    /// One line, whatever stands in the database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, what } = self;
        let line = match kind.mend() {
            Some(mend) => format!(
                "{}: {place}: {what}; {}; --repair: {mend}",
                kind.name(),
                kind.means()
            ),
            None => format!(
                "{}: {place}: {what}; {}; --repair: nothing",
                kind.name(),
                kind.means()
            ),
        };
        let plain = |c: char| if c.is_control() { '?' } else { c };
        f.write_str(&line.chars().map(plain).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_says_what_where_and_what_then() {
        let place = Place {
            user: Some("an\nna".to_owned()),
            mailbox: Some("INBOX".to_owned()),
            uid: Some(7),
            others: 2,
        };
        let fault = Fault {
            kind: FaultKind::MessageSize,
            place,
            what: "12 octets are noted, 10 are there".to_owned(),
        };
        insta::assert_snapshot!(fault.to_string(), @"message-size: an?na INBOX UID 7 (and 2 more): 12 octets are noted, 10 are there; clients are told another size than they get; --repair: the size, the counters and the quota are set right");
    }

    #[test]
    fn names_of_kinds_differ() {
        let mut names: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultKind::ALL.len());
    }

    #[test]
    fn every_kind_is_described_for_operators_in_these_words() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/check.md");
        let page = std::fs::read_to_string(path).unwrap();
        for kind in FaultKind::ALL {
            let mend = kind.mend().unwrap_or("nothing");
            let row = format!("| {} | {} | {mend} |", kind.name(), kind.means());
            assert!(page.contains(&row), "docs/operate/check.md lacks {row}");
        }
    }
}
