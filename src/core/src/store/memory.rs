//! The reference store: what every [`Request`] means, in the plainest code that says it.
//!
//! It is pure (time is an argument, nothing is random), keeps everything in ordered maps, and is as slow as it
//! likes. Every SQL store must answer every sequence of requests as this one does, up to the ids that
//! it chooses and the places where it ends a page.
//!
//! What holds at every moment, and is tested:
//! * A mailbox's UIDs only grow and none is used again. Its MODSEQ grows by one with each change and
//!   never otherwise; a new mailbox begins with 1 (RFC 7162 has no HIGHESTMODSEQ 0) and an empty log.
//! * One request is at most one change of a mailbox: one MODSEQ, and in the log one entry for each kind
//!   of thing that happened, which names only messages to which it truly happened.
//! * What is refused changed nothing, save that an upload named by a request is used up.
//! * An account has INBOX, and every level above each of its mailboxes.

mod delivery;
mod mailboxes;
mod messages;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    AccountId, Answer, Change, ChangeKind, Changes, ContentId, Flags, InternalDate, Keyword,
    Mailbox, MailboxId, MailboxName, ModSeq, Refusal, Reply, Request, Resolved, SpecialUse,
    SystemFlags, Timestamp, Uid, UidSet, UidValidity, UploadId,
};
use crate::limits::{CHANGES_MAX, KEYWORDS_MAX, READ_BYTES_MAX};

/// How long a delivery is remembered, unless told otherwise.
const REPEAT_WINDOW_SECONDS: u64 = 7 * 24 * 60 * 60;
/// The same for a message without a Received field, of which a second copy looks like a repeat: as long as a sender
/// waits for the first reply (RFC 5321 §4.5.3.2.6).
const REPEAT_WINDOW_BARE_SECONDS: u64 = 10 * 60;

/// The reference store.
#[derive(Clone, Debug)]
pub struct Store {
    accounts: BTreeMap<AccountId, Account>,
    mailboxes: BTreeMap<MailboxId, Held>,
    contents: BTreeMap<ContentId, Content>,
    uploads: BTreeMap<UploadId, Vec<u8>>,
    deliveries: BTreeMap<delivery::Identity, delivery::Done>,
    repeat_window_seconds: u64,
    repeat_window_bare_seconds: u64,
    /// The last id given, of any kind.
    last_id: i64,
    changed: BTreeSet<MailboxId>,
    /// The time of the request under way.
    now: Timestamp,
}

/// A user.
#[derive(Clone, Debug)]
struct Account {
    /// As compared.
    name: String,
    /// As compared.
    addresses: BTreeSet<String>,
    enabled: bool,
    /// Most octets of all messages; `None` is no limit.
    quota: Option<u64>,
    subscribed: BTreeSet<MailboxName>,
    /// The UIDVALIDITY that the next mailbox gets.
    next_validity: Option<u32>,
}

/// A mailbox with what is in it, or was.
#[derive(Clone, Debug)]
struct Held {
    account: AccountId,
    name: MailboxName,
    special_use: Option<SpecialUse>,
    validity: UidValidity,
    uid_next: Option<Uid>,
    modseq: ModSeq,
    /// UIDs from here on are recent for whoever claims them; `None` when all UIDs are used and claimed.
    recent_from: Option<Uid>,
    messages: BTreeMap<Uid, Kept>,
    gone: BTreeMap<Uid, Gone>,
    /// Ascending; every change above `log_from`, with its time.
    log: Vec<(Timestamp, Change)>,
    /// Changes up to here were purged from the log.
    log_from: ModSeq,
    /// Keywords by which messages are or were marked, as first written.
    keywords: BTreeSet<Keyword>,
    /// When DELETE ended it; sessions may still fetch what they were not told to be gone.
    deleted: Option<Timestamp>,
}

/// A message that left its mailbox.
#[derive(Clone, Debug)]
struct Gone {
    at: Timestamp,
    /// It went to another place and is there: it is not brought back.
    moved: bool,
    kept: Kept,
}

/// A message in a mailbox.
#[derive(Clone, Debug)]
struct Kept {
    modseq: ModSeq,
    flags: Flags,
    date: InternalDate,
    saved: Timestamp,
    content: ContentId,
    prefix: Bytes,
    /// Prefix and content.
    size: u64,
}

/// What a message is, whoever has it.
#[derive(Clone, Debug)]
struct Content {
    octets: Bytes,
    header_size: usize,
    envelope: Bytes,
    structure: Bytes,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// A store without accounts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            accounts: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            contents: BTreeMap::new(),
            uploads: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            repeat_window_seconds: REPEAT_WINDOW_SECONDS,
            repeat_window_bare_seconds: REPEAT_WINDOW_BARE_SECONDS,
            last_id: 0,
            changed: BTreeSet::new(),
            now: Timestamp(0),
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The request's own refusals; see there.
    pub fn apply(&mut self, now: Timestamp, request: Request) -> Reply {
        self.changed.clear();
        self.now = now;
        match request {
            Request::Resolve { address } => Ok(Answer::Resolved(self.resolve(&address))),
            Request::Mailboxes { account } => Ok(self.list(account)),
            Request::Status { account, name } => {
                Ok(Answer::Status(self.counted(self.find(account, &name)?)?))
            }
            Request::Create {
                account,
                name,
                special_use,
            } => self.create(account, &name, special_use),
            Request::Delete { account, name } => self.delete(now, account, &name),
            Request::Rename { account, from, to } => self.rename(now, account, &from, &to),
            Request::Subscribe {
                account,
                name,
                subscribed,
            } => self.subscribe(account, name, subscribed),
            Request::Open {
                account,
                name,
                claim_recent,
            } => self.open(account, &name, claim_recent),
            Request::Changes { mailbox, since } => self.changes(mailbox, since),
            Request::Fetch {
                mailbox,
                uids,
                items,
            } => Ok(Answer::Messages(self.fetch(now, mailbox, &uids, items))),
            Request::Read {
                content,
                start,
                end,
            } => self.read(content, start, end),
            Request::Store {
                mailbox,
                uids,
                how,
                flags,
                unchanged_since,
            } => self.store(mailbox, &uids, how, &flags, unchanged_since),
            Request::Expunge { mailbox, uids } => self.expunge(now, mailbox, uids.as_ref()),
            Request::Copy {
                mailbox,
                uids,
                account,
                to,
            } => self.copy(now, mailbox, &uids, account, &to),
            Request::Move {
                mailbox,
                uids,
                account,
                to,
            } => self.move_messages(now, mailbox, &uids, account, &to),
            Request::Append {
                account,
                name,
                flags,
                date,
                upload,
            } => self.append(now, account, &name, flags, date, upload),
            Request::Deliver {
                upload,
                reverse_path,
                received,
                recipients,
            } => self.deliver(now, upload, &reverse_path, received, recipients),
        }
    }

    /// Takes the next octets of an upload; the first call begins it, also with none.
    pub fn stage(&mut self, upload: UploadId, bytes: &[u8]) {
        self.uploads.entry(upload).or_default().extend(bytes);
    }

    /// Forgets an upload.
    pub fn discard(&mut self, upload: UploadId) {
        self.uploads.remove(&upload);
    }

    /// The mailboxes that the last request changed, ascending: those whose log it wrote, and one that it deleted.
    #[must_use]
    pub fn changed(&self) -> Vec<MailboxId> {
        self.changed.iter().copied().collect()
    }

    // --- administration --------------------------------------------------------------------

    /// Makes an account with INBOX and a mailbox for each special use, all subscribed. Mail to its addresses is
    /// its, and mail to its name where that is nobody's address.
    pub fn add_account(&mut self, name: &str, addresses: &[&str]) -> AccountId {
        let account = AccountId(self.new_id());
        let made = Account {
            name: folded(name),
            addresses: addresses.iter().map(|a| folded(a)).collect(),
            enabled: true,
            quota: None,
            subscribed: BTreeSet::new(),
            next_validity: Some(1),
        };
        self.accounts.insert(account, made);
        let uses = SpecialUse::ALL.map(|(usage, _, _, name)| (name, Some(usage)));
        for (name, usage) in [("INBOX", None)].into_iter().chain(uses) {
            if let Ok(name) = MailboxName::new(name) {
                self.make(account, name.clone(), usage);
                if let Some(owner) = self.accounts.get_mut(&account) {
                    owner.subscribed.insert(name);
                }
            }
        }
        account
    }

    /// Gives an account one more address.
    pub fn add_address(&mut self, account: AccountId, address: &str) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.addresses.insert(folded(address));
        }
    }

    /// Lets an account get mail, or no longer. Its sessions are the directory's affair.
    pub fn set_enabled(&mut self, account: AccountId, enabled: bool) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.enabled = enabled;
        }
    }

    /// Limits the octets of an account's messages. What is there already stays.
    pub fn set_quota(&mut self, account: AccountId, quota: Option<u64>) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.quota = quota;
        }
    }

    /// Removes an account and all that is its.
    pub fn remove_account(&mut self, account: AccountId) {
        self.accounts.remove(&account);
        self.changed = self
            .mailboxes
            .iter()
            .filter_map(|(id, held)| {
                (held.account == account && held.deleted.is_none()).then_some(*id)
            })
            .collect();
        self.mailboxes.retain(|_, held| held.account != account);
    }

    /// How long a delivery is remembered; and one of a message without a Received field.
    pub const fn set_repeat_windows(&mut self, seconds: u64, bare_seconds: u64) {
        self.repeat_window_seconds = seconds;
        self.repeat_window_bare_seconds = bare_seconds;
    }

    // --- questions -------------------------------------------------------------------------

    fn resolve(&self, address: &str) -> Resolved {
        let wanted = folded(address);
        let by_address = self
            .accounts
            .iter()
            .find(|(_, account)| account.addresses.contains(&wanted));
        let by_name = || self.accounts.iter().find(|(_, a)| a.name == wanted);
        match by_address.or_else(by_name) {
            None => Resolved::Unknown,
            Some((_, account)) if !account.enabled => Resolved::Disabled,
            Some((id, _)) => Resolved::Account(*id),
        }
    }

    fn changes(&self, mailbox: MailboxId, since: ModSeq) -> Reply {
        let held = self.living(mailbox)?;
        let after = held.log.iter().map(|(_, entry)| entry);
        let after = after.filter(|entry| entry.modseq > since);
        let mut entries: Vec<Change> = after.take(CHANGES_MAX + 1).cloned().collect();
        let mut through = held.modseq;
        // A MODSEQ is not torn: the change that has no room comes whole with the next answer.
        let cut = entries.get(CHANGES_MAX).map(|entry| entry.modseq);
        if let Some(cut) = cut {
            entries.retain(|entry| entry.modseq < cut);
            through = entries.last().map_or(since, |entry| entry.modseq);
        }
        Ok(Answer::Changes(Changes {
            entries,
            through,
            more: cut.is_some(),
            forgotten: since < held.log_from,
        }))
    }

    fn read(&self, content: ContentId, start: u64, end: u64) -> Reply {
        let Some(content) = self.contents.get(&content) else {
            return Err(Refusal::Damaged("no such content".to_owned()));
        };
        let end = end.min(start.saturating_add(READ_BYTES_MAX));
        let size = content.octets.len();
        let place = |n: u64| usize::try_from(n).unwrap_or(size).min(size);
        let (start, end) = (place(start), place(end));
        Ok(Answer::Octets(content.octets.slice(start..end.max(start))))
    }

    // --- the pieces ------------------------------------------------------------------------

    fn new_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// The mailbox of that name.
    fn find(&self, account: AccountId, name: &MailboxName) -> Result<MailboxId, Refusal> {
        self.of(account)
            .find_map(|(id, held)| (held.name == *name).then_some(id))
            .ok_or(Refusal::NoSuchMailbox)
    }

    /// The mailboxes of an account.
    fn of(&self, account: AccountId) -> impl Iterator<Item = (MailboxId, &Held)> {
        let theirs = move |held: &Held| held.account == account && held.deleted.is_none();
        self.mailboxes
            .iter()
            .filter_map(move |(id, held)| theirs(held).then_some((*id, held)))
    }

    fn living(&self, mailbox: MailboxId) -> Result<&Held, Refusal> {
        let held = self.mailboxes.get(&mailbox);
        held.filter(|held| held.deleted.is_none())
            .ok_or(Refusal::NoSuchMailbox)
    }

    fn living_mut(&mut self, mailbox: MailboxId) -> Result<&mut Held, Refusal> {
        let held = self.mailboxes.get_mut(&mailbox);
        held.filter(|held| held.deleted.is_none())
            .ok_or(Refusal::NoSuchMailbox)
    }

    /// The mailbox with its counters, which are counted.
    fn counted(&self, mailbox: MailboxId) -> Result<Mailbox, Refusal> {
        let held = self.living(mailbox)?;
        let owner = self.accounts.get(&held.account);
        let count = |counts: &dyn Fn(&Uid, &Kept) -> bool| {
            let n = held.messages.iter().filter(|(uid, m)| counts(uid, m));
            u32::try_from(n.count()).unwrap_or(u32::MAX)
        };
        let has = |m: &Kept, flag| m.flags.system.contains(flag);
        Ok(Mailbox {
            id: mailbox,
            name: held.name.clone(),
            special_use: held.special_use,
            subscribed: owner.is_some_and(|owner| owner.subscribed.contains(&held.name)),
            validity: held.validity,
            uid_next: held.uid_next,
            modseq: held.modseq,
            messages: count(&|_, _| true),
            unseen: count(&|_, m| !has(m, SystemFlags::SEEN)),
            deleted: count(&|_, m| has(m, SystemFlags::DELETED)),
            recent: count(&|uid, _| held.is_recent(*uid)),
            bytes: held.messages.values().map(|m| m.size).sum(),
        })
    }

    /// Whether the account may have so many octets more.
    fn has_room(&self, account: AccountId, more: u64) -> bool {
        let Some(most) = self.accounts.get(&account).and_then(|owner| owner.quota) else {
            return true;
        };
        let messages = self
            .of(account)
            .flat_map(|(_, held)| held.messages.values());
        let used: u64 = messages.map(|m| m.size).sum();
        used.saturating_add(more) <= most
    }

    /// Writes one change into the log of a mailbox and advances its MODSEQ, if anything happened.
    fn log<const N: usize>(
        &mut self,
        mailbox: MailboxId,
        happened: [(ChangeKind, UidSet); N],
    ) -> Option<ModSeq> {
        let now = self.now;
        let held = self.mailboxes.get_mut(&mailbox)?;
        if happened.iter().all(|(_, uids)| uids.is_empty()) {
            return None;
        }
        let modseq = held.next_modseq();
        held.modseq = modseq;
        for (what, uids) in happened {
            if !uids.is_empty() {
                held.log.push((now, Change { modseq, what, uids }));
            }
        }
        self.changed.insert(mailbox);
        Some(modseq)
    }
}

impl Held {
    fn is_recent(&self, uid: Uid) -> bool {
        self.recent_from.is_some_and(|from| from <= uid)
    }

    const fn next_modseq(&self) -> ModSeq {
        ModSeq(self.modseq.0 + 1)
    }

    fn uids(&self) -> UidSet {
        self.messages.keys().copied().collect()
    }

    /// Those of the keywords that the mailbox does not know; refused when they are too many.
    fn new_keywords(&self, wanted: &BTreeSet<Keyword>) -> Result<Vec<Keyword>, Refusal> {
        let new: Vec<Keyword> = wanted.difference(&self.keywords).cloned().collect();
        if self.keywords.len() + new.len() > KEYWORDS_MAX {
            return Err(Refusal::Limit("the mailbox has too many keywords"));
        }
        Ok(new)
    }

    /// The flags with each keyword as the mailbox writes it.
    fn spelled(&self, flags: Flags) -> Flags {
        let written = |k: Keyword| self.keywords.get(&k).cloned().unwrap_or(k);
        Flags {
            system: flags.system,
            keywords: flags.keywords.into_iter().map(written).collect(),
        }
    }

    /// Takes `count` UIDs; none when there are not so many left.
    fn take_uids(&mut self, count: usize) -> Result<Vec<Uid>, Refusal> {
        let mut next = self.uid_next;
        let mut taken = Vec::new();
        for _ in 0..count {
            let uid = next.ok_or(Refusal::Limit("the mailbox has no UIDs left"))?;
            taken.push(uid);
            next = uid.next();
        }
        self.uid_next = next;
        Ok(taken)
    }
}

/// Addresses and names of accounts are compared so.
fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}
