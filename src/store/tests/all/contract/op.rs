//! What a test does to a store, as a value with a text form.
//!
//! ```text
//! create a/b \Sent          status INBOX              rename a b
//! append INBOX m1 \Seen     deliver m2 alice>INBOX bob>a
//! store INBOX 1:3 + \Seen Work        store #4 1:3 = - since 5
//! fetch INBOX 1:* fescb     read @1 0 10              changes INBOX 0
//! purge 0 86400             undelete INBOX 1:3        undelete #4 1:* b
//! ```
//! `bob:` before the name of a mailbox makes it bob's instead of alice's. `#4` is the fourth mailbox that was
//! ever seen, `@1` the first content; `m1` is a message, `m1x20000` one of that size, the letter says its [`Look`];
//! `none` is an upload that is not there.

use std::fmt;

use bytes::Bytes;
use dbmail_core::store::{
    FetchItems, FlagChange, Flags, InternalDate, Keyword, MailboxName, ModSeq, SpecialUse,
    SystemFlags, UidSet,
};

/// The users of every test.
pub(crate) const USERS: [(&str, &str, Option<u64>); 2] = [
    ("alice", "alice@example.org", None),
    ("bob", "bob@example.org", Some(100_000)),
];

/// A mailbox of a user by its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// Index in [`USERS`].
    pub(crate) user: usize,
    /// Its name.
    pub(crate) name: MailboxName,
}

/// A mailbox by what stands for its id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Which {
    /// The one that has this name now.
    Named(Named),
    /// The one that was seen as the nth, counted from 1; it may be deleted since. 0 never was.
    Seen(usize),
}

/// What a message looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    /// `m`: text, without a Received field.
    Bare,
    /// `r`: text with a Received field.
    Received,
    /// `p`: text and an attachment in base64, with a Received field. Attachments of one size are equal whatever the number.
    Parts,
    /// `l`: bare LF, 8-bit octets and no empty line at all.
    Loose,
}

const LOOKS: [(Look, char); 4] = [
    (Look::Bare, 'm'),
    (Look::Received, 'r'),
    (Look::Parts, 'p'),
    (Look::Loose, 'l'),
];

/// Octets of a message, made from a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Letter {
    /// Makes it differ from others.
    pub(crate) number: u8,
    /// At least so many octets.
    pub(crate) size: usize,
    /// How it looks.
    pub(crate) look: Look,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct To {
    /// The address as given.
    pub(crate) address: String,
    /// Where to.
    pub(crate) mailbox: Named,
    /// Flags from the start.
    pub(crate) flags: Vec<String>,
}

/// One thing done to a store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Wait(u64),
    Enable(usize, bool),
    Resolve(String),
    List(usize),
    Status(Named),
    Create(Named, Option<SpecialUse>),
    Delete(Named),
    Rename(Named, Named),
    Subscribe(Named, bool),
    Open(Named, bool),
    Changes(Which, ModSeq),
    Fetch(Which, UidSet, FetchItems),
    Read(usize, u64, u64),
    Store(Which, UidSet, FlagChange, Vec<String>, Option<ModSeq>),
    Expunge(Which, Option<UidSet>),
    Transfer(bool, Which, UidSet, Named),
    Append(Named, Option<Letter>, Vec<String>, Option<InternalDate>),
    Deliver(Option<Letter>, Vec<To>),
    /// Of both users, what is gone for so many seconds, and the logs.
    Purge(u64, u64),
    /// Into a mailbox of that name, or where they were.
    Undelete(Which, UidSet, Option<Named>),
}

impl Letter {
    /// The message.
    pub(crate) fn octets(self) -> Vec<u8> {
        let n = self.number;
        let mut octets = Vec::new();
        match self.look {
            Look::Loose => octets.extend(format!("Subject: {n}\nX: \u{e9}\n").bytes()),
            Look::Received | Look::Parts => {
                octets.extend(b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n");
            }
            Look::Bare => {}
        }
        match self.look {
            Look::Loose => lines(&mut octets, self.size, n, "X: ", "\n"),
            Look::Bare | Look::Received => {
                let text = format!("From: a@example.net\r\nSubject: {n}\r\n\r\nText {n}\r\n");
                octets.extend(text.bytes());
                lines(&mut octets, self.size, n, "", "\r\n");
            }
            Look::Parts => {
                octets.extend(
                    format!(
                        "From: a@example.net\r\nTo: b@example.net\r\nSubject: {n}\r\n\
                         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n--b\r\n\r\n\
                         Text {n}\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\
                         Content-Transfer-Encoding: base64\r\n\r\n"
                    )
                    .bytes(),
                );
                let begun = octets.len();
                lines(&mut octets, begun + self.size, 0, "", "\r\n");
                octets.extend(b"--b--\r\n");
            }
        }
        octets
    }
}

/// Lines of 76 octets that are base64, until there are so many octets; they differ, so that they do not pack to nothing.
fn lines(octets: &mut Vec<u8>, size: usize, seed: u8, before: &str, after: &str) {
    let mut state = u64::from(seed);
    while octets.len() < size {
        octets.extend(before.bytes());
        for _ in 0..4 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            octets.extend(format!("{state:016x}abc").bytes());
        }
        octets.extend(after.bytes());
    }
}

/// Flags from their names.
pub(crate) fn flags(names: &[String]) -> Flags {
    let mut flags = Flags::default();
    for word in names {
        match SystemFlags::NAMES.iter().find(|(_, name)| name == word) {
            Some((flag, _)) => flags.system = flags.system.with(*flag),
            None => {
                flags.keywords.insert(Keyword::new(word).expect(word));
            }
        }
    }
    flags
}

/// UIDs from IMAP's way of writing them; `*` is the largest there can be.
pub(crate) fn uids(text: &str) -> UidSet {
    let number = |text: &str| match text {
        "*" => u32::MAX,
        digits => digits.parse().expect("a UID"),
    };
    let range = |text: &str| match text.split_once(':') {
        Some((low, high)) => number(low)..=number(high),
        None => number(text)..=number(text),
    };
    UidSet::from_ranges(text.split(',').filter(|t| *t != "-").map(range))
}

fn named(text: &str) -> Named {
    let (user, name) = match text.split_once(':') {
        Some((user, name)) => (user_index(user), name),
        None => (0, text),
    };
    Named {
        user,
        name: MailboxName::new(name).expect("a mailbox name"),
    }
}

fn user_index(name: &str) -> usize {
    let known = USERS.iter().position(|(user, ..)| *user == name);
    known.expect("a user")
}

fn which(text: &str) -> Which {
    match text.strip_prefix('#') {
        Some(number) => Which::Seen(number.parse().expect("a number")),
        None => Which::Named(named(text)),
    }
}

fn letter(text: &str) -> Option<Letter> {
    if text == "none" {
        return None;
    }
    let (kind, rest) = text.split_at(1);
    let (number, size) = rest.split_once('x').unwrap_or((rest, "0"));
    let known = LOOKS.iter().find(|(_, letter)| kind.starts_with(*letter));
    Some(Letter {
        number: number.parse().expect("a number"),
        size: size.parse().expect("a size"),
        look: known.expect("a look").0,
    })
}

fn to(text: &str) -> To {
    let (address, rest) = text.split_once('>').expect("address>mailbox");
    let mut words = rest.split('+').map(str::to_owned);
    To {
        address: address.to_owned(),
        mailbox: named(&words.next().expect("a mailbox")),
        flags: words.collect(),
    }
}

fn modseq(text: &str) -> ModSeq {
    ModSeq(text.parse().expect("a MODSEQ"))
}

fn date(text: &str) -> InternalDate {
    let (seconds, zone) = text.split_once('/').expect("seconds/zone");
    InternalDate {
        at: dbmail_core::store::Timestamp(seconds.parse::<i64>().expect("seconds") * 1_000_000),
        zone_minutes: zone.parse().expect("minutes"),
    }
}

fn items(text: &str) -> FetchItems {
    FetchItems {
        flags: text.contains('f'),
        modseq: !text.contains('m'),
        dates: !text.contains('d'),
        // Narrow is what is asked for by name.
        place: !text.contains('n'),
        envelope: text.contains('e'),
        structure: text.contains('s'),
        header: text.contains('h'),
        content: text.contains('c'),
    }
}

/// What follows `key` in the words, both taken out.
fn option(words: &mut Vec<&str>, key: &str) -> Option<String> {
    let at = words.iter().position(|word| *word == key)?;
    words.remove(at);
    Some(words.remove(at).to_owned())
}

impl std::str::FromStr for Op {
    type Err = String;
    /// Tests write it, so what is wrong panics where it stands.
    fn from_str(line: &str) -> Result<Self, String> {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let since = option(&mut words, "since");
        let dated = option(&mut words, "date");
        let verb = words.remove(0);
        let rest = |from: usize| words[from..].iter().map(|w| (*w).to_owned()).collect();
        Ok(match verb {
            "wait" => Self::Wait(words[0].parse().expect("seconds")),
            "enable" => Self::Enable(user_index(words[0]), true),
            "disable" => Self::Enable(user_index(words[0]), false),
            "resolve" => Self::Resolve(words[0].to_owned()),
            "list" => Self::List(user_index(words[0])),
            "status" => Self::Status(named(words[0])),
            "create" => {
                let usage = words.get(1).map(|word| {
                    let known = SpecialUse::ALL.iter().find(|(_, name, ..)| name == word);
                    known.expect("a special use").0
                });
                Self::Create(named(words[0]), usage)
            }
            "delete" => Self::Delete(named(words[0])),
            "rename" => Self::Rename(named(words[0]), named(words[1])),
            "subscribe" => Self::Subscribe(named(words[0]), true),
            "unsubscribe" => Self::Subscribe(named(words[0]), false),
            "select" => Self::Open(named(words[0]), true),
            "examine" => Self::Open(named(words[0]), false),
            "changes" => Self::Changes(which(words[0]), modseq(words[1])),
            "fetch" => Self::Fetch(which(words[0]), uids(words[1]), items(words[2])),
            "read" => {
                let number = |text: &str| text.parse().expect("a number");
                let content = words[0].strip_prefix('@').expect("@content");
                Self::Read(
                    content.parse().expect("a number"),
                    number(words[1]),
                    number(words[2]),
                )
            }
            "store" => {
                let how = match words[2] {
                    "+" => FlagChange::Add,
                    "-" => FlagChange::Remove,
                    _ => FlagChange::Replace,
                };
                let since = since.as_deref().map(modseq);
                Self::Store(which(words[0]), uids(words[1]), how, rest(3), since)
            }
            "expunge" => Self::Expunge(which(words[0]), words.get(1).map(|set| uids(set))),
            "copy" | "move" => Self::Transfer(
                verb == "move",
                which(words[0]),
                uids(words[1]),
                named(words[2]),
            ),
            "append" => {
                let dated = dated.as_deref().map(date);
                Self::Append(named(words[0]), letter(words[1]), rest(2), dated)
            }
            "purge" => {
                let seconds = |n: usize| words[n].parse().expect("seconds");
                Self::Purge(seconds(0), seconds(1))
            }
            "undelete" => {
                let to = words.get(2).map(|to| named(to));
                Self::Undelete(which(words[0]), uids(words[1]), to)
            }
            "deliver" => Self::Deliver(
                letter(words[0]),
                words[1..].iter().map(|word| to(word)).collect(),
            ),
            other => return Err(format!("no operation: {other}")),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            0 => write!(f, "{}", self.name),
            user => write!(f, "{}:{}", USERS[user].0, self.name),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(named) => named.fmt(f),
            Self::Seen(number) => write!(f, "#{number}"),
        }
    }
}

/// A set as scripts write it.
pub(crate) fn set(uids: &UidSet) -> String {
    if uids.is_empty() {
        "-".to_owned()
    } else {
        uids.to_string()
    }
}

fn letter_text(letter: Option<Letter>) -> String {
    let Some(letter) = letter else {
        return "none".to_owned();
    };
    let known = LOOKS.iter().find(|(look, _)| *look == letter.look);
    let kind = known.expect("a look").1;
    let size = match letter.size {
        0 => String::new(),
        size => format!("x{size}"),
    };
    format!("{kind}{}{size}", letter.number)
}

fn words(words: &[String]) -> String {
    words.iter().map(|word| format!(" {word}")).collect()
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(seconds) => write!(f, "wait {seconds}"),
            Self::Enable(user, true) => write!(f, "enable {}", USERS[*user].0),
            Self::Enable(user, false) => write!(f, "disable {}", USERS[*user].0),
            Self::Resolve(address) => write!(f, "resolve {address}"),
            Self::List(user) => write!(f, "list {}", USERS[*user].0),
            Self::Status(named) => write!(f, "status {named}"),
            Self::Create(named, None) => write!(f, "create {named}"),
            Self::Create(named, Some(usage)) => {
                let known = SpecialUse::ALL.iter().find(|(u, ..)| u == usage);
                write!(f, "create {named} {}", known.expect("a use").1)
            }
            Self::Delete(named) => write!(f, "delete {named}"),
            Self::Rename(from, to) => write!(f, "rename {from} {to}"),
            Self::Subscribe(named, true) => write!(f, "subscribe {named}"),
            Self::Subscribe(named, false) => write!(f, "unsubscribe {named}"),
            Self::Open(named, true) => write!(f, "select {named}"),
            Self::Open(named, false) => write!(f, "examine {named}"),
            Self::Changes(which, since) => write!(f, "changes {which} {}", since.0),
            Self::Fetch(which, uids, items) => {
                let all = [
                    (items.flags, 'f'),
                    (items.envelope, 'e'),
                    (items.structure, 's'),
                    (items.header, 'h'),
                    (items.content, 'c'),
                    (!items.place, 'n'),
                    (!items.modseq, 'm'),
                    (!items.dates, 'd'),
                ];
                let letters: String = all.iter().filter(|(on, _)| *on).map(|(_, c)| c).collect();
                write!(f, "fetch {which} {} {letters}_", set(uids))
            }
            Self::Read(content, start, end) => write!(f, "read @{content} {start} {end}"),
            Self::Store(which, uids, how, flags, since) => {
                let how = match how {
                    FlagChange::Add => '+',
                    FlagChange::Remove => '-',
                    FlagChange::Replace => '=',
                };
                write!(f, "store {which} {} {how}{}", set(uids), words(flags))?;
                since.map_or(Ok(()), |since| write!(f, " since {}", since.0))
            }
            Self::Expunge(which, None) => write!(f, "expunge {which}"),
            Self::Expunge(which, Some(uids)) => write!(f, "expunge {which} {}", set(uids)),
            Self::Transfer(moves, which, uids, to) => {
                let verb = if *moves { "move" } else { "copy" };
                write!(f, "{verb} {which} {} {to}", set(uids))
            }
            Self::Append(named, letter, flags, date) => {
                write!(f, "append {named} {}{}", letter_text(*letter), words(flags))?;
                date.map_or(Ok(()), |date| {
                    write!(f, " date {}/{}", date.at.0 / 1_000_000, date.zone_minutes)
                })
            }
            Self::Purge(deleted, log) => write!(f, "purge {deleted} {log}"),
            Self::Undelete(which, uids, to) => {
                write!(f, "undelete {which} {}", set(uids))?;
                to.as_ref().map_or(Ok(()), |to| write!(f, " {to}"))
            }
            Self::Deliver(letter, recipients) => {
                write!(f, "deliver {}", letter_text(*letter))?;
                for to in recipients {
                    write!(f, " {}>{}", to.address, to.mailbox)?;
                    to.flags.iter().try_for_each(|flag| write!(f, "+{flag}"))?;
                }
                Ok(())
            }
        }
    }
}

/// The trace fields that a test gives a recipient.
pub(crate) fn prefix(address: &str) -> Bytes {
    Bytes::from(format!("Delivered-To: {address}\r\n"))
}
