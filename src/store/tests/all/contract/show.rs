//! One store driven by operations, its answers as text. Ids appear as the order in which they were
//! first seen, so that two stores that differ in ids only say the same.

use std::fmt::Write as _;

use bytes::Bytes;
use dbmail_core::limits::CHANGES_MAX;
use dbmail_core::store::{
    AccountId, Answer, Change, Changes, ContentId, Copied, FetchItems, Flags, Mailbox, MailboxId,
    Message, ModSeq, Opened, Outcome, Page, Recipient, Refusal, Reply, Request, Resolved,
    SpecialUse, Stored, SystemFlags, Timestamp, UidSet, UidValidity, rest_of,
};

use super::op::{Named, Op, To, USERS, Which, flags, prefix, set};
use super::subject::{START, Subject, UPLOAD};

/// A store with what was seen of it.
#[derive(Clone)]
pub(crate) struct Driven<S> {
    pub(crate) store: S,
    /// Stands before the names and addresses of the users, where several tests share a store.
    who: String,
    accounts: Vec<AccountId>,
    mailboxes: Vec<MailboxId>,
    contents: Vec<ContentId>,
    /// By account, because they are an account's own.
    validities: Vec<(usize, UidValidity)>,
}

impl<S: Subject> Driven<S> {
    /// A new store with the users of every test.
    pub(crate) fn new() -> Self {
        Self::with_users(S::new(), "")
    }

    /// The users of every test, made in this store; `who` stands before their names.
    pub(crate) fn with_users(mut store: S, who: &str) -> Self {
        for (name, address, quota) in USERS {
            store.add(
                &format!("{who}{name}"),
                &[&format!("{who}{address}")],
                quota,
            );
        }
        Self::of(store, who)
    }

    /// The users of every test, made before; nothing is seen of them but their mailboxes now.
    pub(crate) fn of(mut store: S, who: &str) -> Self {
        let accounts = USERS
            .iter()
            .map(|(name, ..)| store.account(&format!("{who}{name}")));
        let accounts = accounts.collect();
        let mut driven = Self {
            store,
            who: who.to_owned(),
            accounts,
            mailboxes: Vec::new(),
            contents: Vec::new(),
            validities: Vec::new(),
        };
        for user in 0..USERS.len() {
            driven.run(&Op::List(user));
        }
        driven
    }

    /// The same store and users, for one who has not looked at anything yet.
    pub(crate) fn fresh(&self) -> Self
    where
        S: Clone,
    {
        Self {
            mailboxes: Vec::new(),
            contents: Vec::new(),
            validities: Vec::new(),
            ..self.clone()
        }
    }

    /// Everything that can be seen: mailboxes, their logs, their messages with all columns.
    pub(crate) fn dump(&mut self) -> String {
        let lists = (0..USERS.len()).map(Op::List);
        let mut dump: Vec<String> = lists.map(|op| self.run(&op)).collect();
        for seen in 1..=self.mailboxes.len() {
            dump.extend(self.looks_at(seen).iter().map(|op| self.run(op)));
        }
        dump.join("\n")
    }

    /// The mailboxes of a user with their whole logs and the messages that are there, as they are.
    pub(crate) fn everything(&mut self, user: usize) -> Vec<(Mailbox, Changes, Vec<Message>)> {
        let account = self.accounts[user];
        let listed = self.store.ask(Request::Mailboxes { account }, None);
        let Ok(Answer::Mailboxes(mailboxes, _)) = listed else {
            panic!("no mailboxes: {listed:?}");
        };
        let mut all = Vec::new();
        for mailbox in mailboxes {
            let (id, since) = (mailbox.id, ModSeq(0));
            let asked = self
                .store
                .ask(Request::Changes { mailbox: id, since }, None);
            let Ok(Answer::Changes(changes)) = asked else {
                panic!("no changes: {asked:?}");
            };
            let items = FetchItems {
                flags: true,
                modseq: true,
                dates: true,
                ..FetchItems::default()
            };
            let uids = UidSet::from_ranges([1..=u32::MAX]);
            let request = Request::Fetch {
                mailbox: id,
                uids,
                items,
            };
            let asked = self.store.ask(request, None);
            let Ok(Answer::Messages(Page {
                mut messages,
                through: None,
            })) = asked
            else {
                panic!("no messages, or many: {asked:?}");
            };
            messages.retain(|message| !message.gone);
            all.push((mailbox, changes, messages));
        }
        all
    }

    /// Looks at everything of a mailbox.
    pub(crate) fn looks_at(&self, seen: usize) -> [Op; 2] {
        let all = FetchItems {
            flags: true,
            modseq: true,
            dates: true,
            place: true,
            envelope: true,
            structure: true,
            header: true,
            content: true,
        };
        let every = UidSet::from_ranges([1..=u32::MAX]);
        [
            Op::Changes(Which::Seen(seen), ModSeq(0)),
            Op::Fetch(Which::Seen(seen), every, all),
        ]
    }

    /// Does it and says what came of it.
    pub(crate) fn run(&mut self, op: &Op) -> String {
        match op {
            Op::Wait(seconds) => {
                self.store.wait(*seconds);
                "done".to_owned()
            }
            Op::Enable(user, enabled) => {
                let name = format!("{}{}", self.who, USERS[*user].0);
                self.store.enable(&name, *enabled);
                "done".to_owned()
            }
            Op::Purge(deleted, log) => {
                for account in self.accounts.clone() {
                    self.store.purge(account, *deleted, *log);
                }
                "done".to_owned()
            }
            Op::Undelete(which, uids, to) => self.undelete(which, uids, to.as_ref()),
            Op::Fetch(which, uids, items) => self.fetch(which, uids, *items),
            Op::Changes(which, since) => self.changes(which, *since),
            _ => {
                let (user, request, octets) = self.request(op);
                let reply = self.store.ask(request, octets.as_deref());
                self.show(user, reply)
            }
        }
    }

    /// The request, whose account it is about, and the octets of its upload.
    fn request(&mut self, op: &Op) -> (usize, Request, Option<Vec<u8>>) {
        let mut octets = None;
        let mut about = 0;
        let request = match op {
            Op::Wait(_)
            | Op::Enable(..)
            | Op::Fetch(..)
            | Op::Changes(..)
            | Op::Purge(..)
            | Op::Undelete(..) => {
                unreachable!("not one request")
            }
            Op::Resolve(address) => Request::Resolve {
                address: format!("{}{address}", self.who),
            },
            Op::List(user) => {
                about = *user;
                Request::Mailboxes {
                    account: self.accounts[*user],
                }
            }
            Op::Status(Named { user, name }) => {
                about = *user;
                Request::Status {
                    account: self.accounts[*user],
                    name: name.clone(),
                }
            }
            Op::Create(Named { user, name }, special_use) => Request::Create {
                account: self.accounts[*user],
                name: name.clone(),
                special_use: *special_use,
            },
            Op::Delete(Named { user, name }) => Request::Delete {
                account: self.accounts[*user],
                name: name.clone(),
            },
            Op::Rename(Named { user, name }, to) => Request::Rename {
                account: self.accounts[*user],
                from: name.clone(),
                to: to.name.clone(),
            },
            Op::Subscribe(Named { user, name }, subscribed) => Request::Subscribe {
                account: self.accounts[*user],
                name: name.clone(),
                subscribed: *subscribed,
            },
            Op::Open(Named { user, name }, claim_recent) => {
                about = *user;
                Request::Open {
                    account: self.accounts[*user],
                    name: name.clone(),
                    claim_recent: *claim_recent,
                }
            }
            Op::Read(content, start, end) => {
                let seen = content.checked_sub(1).and_then(|at| self.contents.get(at));
                Request::Read {
                    content: seen.copied().unwrap_or(ContentId(i64::MAX)),
                    start: *start,
                    end: *end,
                }
            }
            Op::Store(which, uids, how, names, since) => Request::Store {
                mailbox: self.mailbox(which),
                uids: uids.clone(),
                how: *how,
                flags: flags(names),
                unchanged_since: *since,
            },
            Op::Expunge(which, uids) => Request::Expunge {
                mailbox: self.mailbox(which),
                uids: uids.clone(),
            },
            Op::Transfer(moves, which, uids, target) => {
                about = target.user;
                let mailbox = self.mailbox(which);
                let (account, to) = (self.accounts[target.user], target.name.clone());
                let uids = uids.clone();
                if *moves {
                    Request::Move {
                        mailbox,
                        uids,
                        account,
                        to,
                    }
                } else {
                    Request::Copy {
                        mailbox,
                        uids,
                        account,
                        to,
                    }
                }
            }
            Op::Append(Named { user, name }, letter, names, date) => {
                about = *user;
                octets = letter.map(|letter| letter.octets());
                Request::Append {
                    account: self.accounts[*user],
                    name: name.clone(),
                    flags: flags(names),
                    date: *date,
                    upload: UPLOAD,
                }
            }
            Op::Deliver(letter, recipients) => {
                octets = letter.map(|letter| letter.octets());
                let recipient = |to: &To| Recipient {
                    account: self.accounts[to.mailbox.user],
                    address: Bytes::from(format!("{}{}", self.who, to.address)),
                    mailbox: to.mailbox.name.clone(),
                    flags: flags(&to.flags),
                    prefix: prefix(&to.address),
                };
                Request::Deliver {
                    upload: UPLOAD,
                    reverse_path: Bytes::from_static(b"sender@example.net"),
                    received: START,
                    recipients: recipients.iter().map(recipient).collect(),
                }
            }
        };
        (about, request, octets)
    }

    /// The mailbox that is meant; one that never was when there is none.
    pub(crate) fn mailbox(&mut self, which: &Which) -> MailboxId {
        let nowhere = MailboxId(i64::MAX);
        match which {
            Which::Seen(number) => {
                let seen = number.checked_sub(1).and_then(|at| self.mailboxes.get(at));
                seen.copied().unwrap_or(nowhere)
            }
            Which::Named(Named { user, name }) => {
                let request = Request::Status {
                    account: self.accounts[*user],
                    name: name.clone(),
                };
                let Ok(Answer::Status(mailbox)) = self.store.ask(request, None) else {
                    return nowhere;
                };
                self.show_mailbox(*user, &mailbox);
                mailbox.id
            }
        }
    }

    /// How many mailboxes were seen.
    pub(crate) fn mailboxes_seen(&self) -> usize {
        self.mailboxes.len()
    }

    /// All pages: where one ends is the store's choice, within the limits.
    fn fetch(&mut self, which: &Which, uids: &UidSet, items: FetchItems) -> String {
        let mailbox = self.mailbox(which);
        let mut rest = uids.clone();
        let mut messages = Vec::new();
        loop {
            let request = Request::Fetch {
                mailbox,
                uids: rest.clone(),
                items,
            };
            let page = match self.store.ask(request, None) {
                Ok(Answer::Messages(page)) => page,
                other => return self.show(0, other),
            };
            let Page {
                messages: more,
                through,
            } = page;
            check_page(&more);
            let last = more.last().map(|message| message.uid);
            messages.extend(more);
            let Some(through) = through else { break };
            assert!(last.is_some_and(|uid| uid <= through), "an empty page");
            rest = rest_of(&rest, through);
        }
        let ascending = messages.windows(2).all(|pair| pair[0].uid < pair[1].uid);
        assert!(ascending, "not ascending");
        let lines: Vec<String> = messages.iter().map(|m| self.show_message(m)).collect();
        if lines.is_empty() {
            return "no messages".to_owned();
        }
        lines.join("\n")
    }

    /// Of whose mailbox is as `to` says, or the first user's: who has no such mailbox is refused.
    fn undelete(&mut self, which: &Which, uids: &UidSet, to: Option<&Named>) -> String {
        let user = to.map_or_else(
            || match which {
                Which::Named(named) => named.user,
                Which::Seen(_) => 0,
            },
            |to| to.user,
        );
        let (account, mailbox) = (self.accounts[user], self.mailbox(which));
        let to = to.map(|to| &to.name);
        match self.store.undelete(account, mailbox, uids, to) {
            Err(refusal) => show_refusal(&refusal),
            Ok(None) => "nothing".to_owned(),
            Ok(Some(back)) => {
                assert_eq!(back.from.len(), back.to.len());
                let id = number(&mut self.mailboxes, back.mailbox);
                let (from, to) = (set(&back.from), set(&back.to));
                let made = if back.made { " made" } else { "" };
                format!(
                    "{from} as {to} in {} #{id}{made} bytes {}",
                    back.name, back.bytes
                )
            }
        }
    }

    /// All answers: where one ends is the store's choice, but no MODSEQ is torn.
    fn changes(&mut self, which: &Which, since: ModSeq) -> String {
        let mailbox = self.mailbox(which);
        let (mut since, mut text) = (since, String::new());
        loop {
            let changes = match self.store.ask(Request::Changes { mailbox, since }, None) {
                Ok(Answer::Changes(changes)) => changes,
                other => return self.show(0, other),
            };
            assert!(changes.entries.len() <= CHANGES_MAX);
            let between = |c: &Change| since < c.modseq && c.modseq <= changes.through;
            assert!(
                changes.entries.iter().all(between),
                "entries outside of the answer"
            );
            text.extend(changes.entries.iter().map(show_change));
            text.push_str(if changes.forgotten { "forgotten; " } else { "" });
            if !changes.more {
                return format!("{text}through {}", changes.through.0);
            }
            assert!(since < changes.through, "no progress");
            since = changes.through;
        }
    }

    fn show(&mut self, user: usize, reply: Reply) -> String {
        let answer = match reply {
            Ok(answer) => answer,
            Err(refusal) => return show_refusal(&refusal),
        };
        match answer {
            Answer::Done => "done".to_owned(),
            Answer::Resolved(Resolved::Unknown) => "unknown".to_owned(),
            Answer::Resolved(Resolved::Disabled) => "disabled".to_owned(),
            Answer::Resolved(Resolved::Account(account)) => {
                let at = self.accounts.iter().position(|known| *known == account);
                at.map_or("a stranger", |at| USERS[at].0).to_owned()
            }
            Answer::Mailboxes(mailboxes, without) => {
                let lines = mailboxes.iter().map(|m| self.show_mailbox(user, m));
                let mut lines: Vec<String> = lines.collect();
                lines.extend(without.iter().map(|name| format!("{name} subscribed")));
                lines.join("\n")
            }
            Answer::Status(mailbox) => self.show_mailbox(user, &mailbox),
            Answer::Opened(opened) => self.show_opened(user, &opened),
            Answer::Changes(_) => unreachable!("changes show their own"),
            Answer::Messages(_) => unreachable!("fetch shows its own"),
            Answer::Octets(octets) => show_octets(&octets),
            Answer::Stored(stored) => show_stored(&stored),
            Answer::Expunged(uids, None) => {
                assert!(uids.is_empty());
                "nothing".to_owned()
            }
            Answer::Expunged(uids, Some(modseq)) => {
                format!("expunged {} modseq {}", set(&uids), modseq.0)
            }
            Answer::Copied(copied) => self.show_copied(user, &copied),
            Answer::Appended { validity, uid } => {
                let validity = self.validity(user, validity);
                format!("uid {} validity {validity}", uid.number())
            }
            Answer::Delivered(outcomes) => {
                let words = outcomes.iter().map(|outcome| self.show_outcome(outcome));
                let words: Vec<String> = words.collect();
                format!("to [{}]", words.join(", "))
            }
        }
    }

    fn show_mailbox(&mut self, user: usize, m: &Mailbox) -> String {
        let id = number(&mut self.mailboxes, m.id);
        let validity = self.validity(user, m.validity);
        let next = m.uid_next.map_or(0, |uid| uid.number());
        let mut text = format!("{} #{id} validity {validity} next {next}", m.name);
        let _ = write!(
            text,
            " modseq {} messages {} unseen {} deleted {} recent {} bytes {}",
            m.modseq.0, m.messages, m.unseen, m.deleted, m.recent, m.bytes
        );
        if m.subscribed {
            text.push_str(" subscribed");
        }
        if let Some(usage) = m.special_use {
            let known = SpecialUse::ALL.iter().find(|(u, ..)| *u == usage);
            let _ = write!(text, " {}", known.map_or("?", |(_, name, ..)| name));
        }
        text
    }

    fn show_opened(&mut self, user: usize, opened: &Opened) -> String {
        let mut text = self.show_mailbox(user, &opened.mailbox);
        let unseen = opened.first_unseen.map_or(0, |uid| uid.number());
        let _ = write!(
            text,
            "\nuids {} first unseen {unseen} recent {} keywords {:?}",
            set(&opened.uids),
            set(&opened.recent),
            opened.keywords
        );
        text
    }

    fn show_message(&mut self, m: &Message) -> String {
        let content = number(&mut self.contents, m.content);
        let mut text = format!(
            "{} modseq {} {}",
            m.uid.number(),
            m.modseq.0,
            show_flags(&m.flags)
        );
        let _ = write!(
            text,
            " @{content} size {}={}+{} header {} date {} zone {} saved {}",
            m.size,
            m.prefix.len(),
            m.content_size,
            m.header_size,
            since_start(m.date.at),
            m.date.zone_minutes,
            since_start(m.saved)
        );
        let columns = [
            ("envelope", &m.envelope),
            ("structure", &m.structure),
            ("fields", &m.header),
            ("octets", &m.octets),
        ];
        for (name, column) in columns {
            if let Some(octets) = column {
                let _ = write!(text, " {name} {}", show_octets(octets));
            }
        }
        if !m.prefix.is_empty() {
            let _ = write!(text, " prefix {}", show_octets(&m.prefix));
        }
        if m.gone {
            text.push_str(" gone");
        }
        text
    }

    fn show_copied(&mut self, user: usize, copied: &Copied) -> String {
        assert_eq!(copied.from.len(), copied.to.len());
        let validity = self.validity(user, copied.validity);
        let (from, to) = (set(&copied.from), set(&copied.to));
        let mut text = format!("{from} as {to} validity {validity}");
        if let Some(gone) = copied.gone {
            let _ = write!(text, " gone {}", gone.0);
        }
        text
    }

    fn show_outcome(&mut self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Stored {
                mailbox,
                uid,
                repeat,
            } => {
                let id = number(&mut self.mailboxes, *mailbox);
                let repeat = if *repeat { " again" } else { "" };
                format!("#{id} uid {}{repeat}", uid.number())
            }
            Outcome::Unknown => "unknown".to_owned(),
            Outcome::Disabled => "disabled".to_owned(),
            Outcome::OverQuota => "over quota".to_owned(),
            Outcome::Unavailable => "unavailable".to_owned(),
        }
    }

    fn validity(&mut self, user: usize, validity: UidValidity) -> usize {
        number(&mut self.validities, (user, validity))
    }
}

/// The order in which the id was first seen, counted from 1.
fn number<T: PartialEq>(seen: &mut Vec<T>, id: T) -> usize {
    match seen.iter().position(|known| *known == id) {
        Some(at) => at + 1,
        None => {
            seen.push(id);
            seen.len()
        }
    }
}

/// Seconds since the beginning of the test.
fn since_start(at: Timestamp) -> i64 {
    (at.0 - START.0) / 1_000_000
}

fn show_refusal(refusal: &Refusal) -> String {
    // The words are the store's own.
    match refusal {
        Refusal::Limit(_) => "NO Limit".to_owned(),
        Refusal::Damaged(_) => "NO Damaged".to_owned(),
        other => format!("NO {other:?}"),
    }
}

fn show_change(change: &Change) -> String {
    format!(
        "{} {:?} {}; ",
        change.modseq.0,
        change.what,
        set(&change.uids)
    )
}

fn show_stored(stored: &Stored) -> String {
    let modseq = stored.modseq.map(|modseq| format!("modseq {}", modseq.0));
    let mut words: Vec<String> = modseq.into_iter().collect();
    let sets = [
        ("changed", &stored.changed),
        ("unchanged", &stored.unchanged),
        ("modified", &stored.modified),
    ];
    for (name, uids) in sets {
        if !uids.is_empty() {
            words.push(format!("{name} {uids}"));
        }
    }
    if words.is_empty() {
        words.push("nothing".to_owned());
    }
    words.join(" ")
}

/// Flags as they are spelled: keywords compare without regard to case, and a store must not change it.
fn show_flags(flags: &Flags) -> String {
    let system = SystemFlags::NAMES
        .iter()
        .filter(|(flag, _)| flags.system.contains(*flag));
    let mut words: Vec<&str> = system.map(|(_, name)| *name).collect();
    words.extend(flags.keywords.iter().map(|keyword| keyword.as_str()));
    format!("({})", words.join(" "))
}

fn show_octets(octets: &Bytes) -> String {
    if octets.len() <= 80 {
        return format!("{:?}", String::from_utf8_lossy(octets));
    }
    let hash = blake3::hash(octets).to_hex();
    format!("<{} octets {}>", octets.len(), &hash[..8])
}

/// A page keeps to its limits.
fn check_page(messages: &[Message]) {
    use dbmail_core::limits::{INLINE_CONTENT_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ROWS_MAX};
    assert!(messages.len() <= PAGE_ROWS_MAX, "a page of too many rows");
    let columns = |m: &Message| {
        let all = [&m.envelope, &m.structure, &m.header, &m.octets];
        all.into_iter()
            .flatten()
            .map(|octets| octets.len() as u64)
            .sum::<u64>()
    };
    let octets: u64 = messages.iter().map(columns).sum();
    let most = if messages.len() == 1 {
        u64::MAX
    } else {
        // "About": a store may find out with the row that goes over it.
        PAGE_BYTES_MAX + 2 * INLINE_CONTENT_BYTES_MAX
    };
    assert!(octets <= most, "a page of {octets} octets");
}
