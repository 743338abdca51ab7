//! The meaning of requests in sentences. The contract suite of the SQL store has more of them, and runs
//! this store too.

use super::*;
use crate::store::{
    Copied, FetchItems, FlagChange, Message, Opened, Outcome, Recipient, Stored, Undeleted,
};

const NOW: Timestamp = Timestamp(1_000_000_000_000_000);

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn uids(text: &str) -> UidSet {
    UidSet::from_ranges(text.split_terminator(',').map(|range| {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        low.parse().unwrap()..=high.parse().unwrap()
    }))
}

fn flags(text: &str) -> Flags {
    let mut flags = Flags::default();
    for word in text.split_whitespace() {
        match SystemFlags::NAMES.iter().find(|(_, name)| *name == word) {
            Some((flag, _)) => flags.system = flags.system.with(*flag),
            None => {
                flags.keywords.insert(Keyword::new(word).unwrap());
            }
        }
    }
    flags
}

struct World {
    store: Store,
    account: AccountId,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let mut store = Store::new();
        let account = store.add_account("alice", &["Alice@Example.org"]);
        Self {
            store,
            account,
            now: NOW,
        }
    }
    fn ask(&mut self, request: Request) -> Reply {
        self.store.apply(self.now, request)
    }
    fn create(&mut self, text: &str) -> Reply {
        let (account, name) = (self.account, name(text));
        self.ask(Request::Create {
            account,
            name,
            special_use: None,
        })
    }
    fn delete(&mut self, text: &str) -> Reply {
        let (account, name) = (self.account, name(text));
        self.ask(Request::Delete { account, name })
    }
    fn rename(&mut self, from: &str, to: &str) -> Reply {
        let (account, from, to) = (self.account, name(from), name(to));
        self.ask(Request::Rename { account, from, to })
    }
    fn append_with(&mut self, text: &str, with: &str) -> Reply {
        let upload = UploadId(7);
        self.store.stage(upload, b"Subject: a\r\n\r\n");
        self.store.stage(upload, b"body");
        self.ask(Request::Append {
            account: self.account,
            name: name(text),
            flags: flags(with),
            date: None,
            upload,
        })
    }
    fn fill(&mut self, text: &str, count: u32) {
        for _ in 0..count {
            self.append_with(text, "").unwrap();
        }
    }
    fn id(&self, text: &str) -> MailboxId {
        self.store.find(self.account, &name(text)).unwrap()
    }
    fn status(&mut self, text: &str) -> Mailbox {
        let (account, name) = (self.account, name(text));
        match self.ask(Request::Status { account, name }) {
            Ok(Answer::Status(mailbox)) => mailbox,
            other => panic!("{other:?}"),
        }
    }
    fn open(&mut self, text: &str, claim_recent: bool) -> Opened {
        let (account, name) = (self.account, name(text));
        match self.ask(Request::Open {
            account,
            name,
            claim_recent,
        }) {
            Ok(Answer::Opened(opened)) => *opened,
            other => panic!("{other:?}"),
        }
    }
    fn flag(&mut self, text: &str, set: &str, how: FlagChange, with: &str) -> Stored {
        self.flag_since(text, set, how, with, None).unwrap()
    }
    fn flag_since(
        &mut self,
        text: &str,
        set: &str,
        how: FlagChange,
        with: &str,
        since: Option<u64>,
    ) -> Result<Stored, Refusal> {
        let mailbox = self.id(text);
        let Answer::Stored(stored) = self.ask(Request::Store {
            mailbox,
            uids: uids(set),
            how,
            flags: flags(with),
            unchanged_since: since.map(ModSeq),
        })?
        else {
            panic!("no Stored");
        };
        Ok(stored)
    }
    fn expunge(&mut self, text: &str) -> (UidSet, Option<ModSeq>) {
        let mailbox = self.id(text);
        match self.ask(Request::Expunge {
            mailbox,
            uids: None,
        }) {
            Ok(Answer::Expunged(uids, modseq)) => (uids, modseq),
            other => panic!("{other:?}"),
        }
    }
    fn transfer(
        &mut self,
        from: &str,
        set: &str,
        to: &str,
        moves: bool,
    ) -> Result<Copied, Refusal> {
        let (mailbox, account, uids, to) = (self.id(from), self.account, uids(set), name(to));
        let request = if moves {
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
        };
        let Answer::Copied(copied) = self.ask(request)? else {
            panic!("no Copied");
        };
        Ok(copied)
    }
    fn log(&mut self, text: &str) -> String {
        let mailbox = self.id(text);
        let since = ModSeq(0);
        match self.ask(Request::Changes { mailbox, since }) {
            Ok(Answer::Changes(changes)) => {
                assert_eq!(changes.through, self.status(text).modseq);
                let entry = |c: &Change| format!("{} {:?} {}", c.modseq.0, c.what, c.uids);
                let entries: Vec<_> = changes.entries.iter().map(entry).collect();
                entries.join("; ")
            }
            other => panic!("{other:?}"),
        }
    }
    fn fetch(&mut self, text: &str) -> Vec<Message> {
        let mailbox = self.id(text);
        match self.ask(Request::Fetch {
            mailbox,
            uids: uids("1:4294967295"),
            items: FetchItems {
                flags: true,
                modseq: true,
                dates: true,
                content: true,
                ..FetchItems::default()
            },
        }) {
            Ok(Answer::Messages(page)) => page.messages,
            other => panic!("{other:?}"),
        }
    }
    fn deliver(&mut self, octets: &str, addresses: &[&str]) -> Vec<Outcome> {
        let upload = UploadId(9);
        self.store.stage(upload, octets.as_bytes());
        let account = self.account;
        let recipient = |address: &&str| Recipient {
            account,
            address: Bytes::copy_from_slice(address.as_bytes()),
            mailbox: name("INBOX"),
            flags: Flags::default(),
            prefix: Bytes::from(format!("Delivered-To: {address}\r\n")),
        };
        match self.ask(Request::Deliver {
            upload,
            reverse_path: Bytes::from_static(b"bob@example.net"),
            received: self.now,
            recipients: addresses.iter().map(recipient).collect(),
        }) {
            Ok(Answer::Delivered(outcomes)) => outcomes,
            other => panic!("{other:?}"),
        }
    }
}

fn stored(mailbox: MailboxId, uid: u32, repeat: bool) -> Outcome {
    let uid = Uid::new(uid).unwrap();
    Outcome::Stored {
        mailbox,
        uid,
        repeat,
    }
}

#[test]
fn an_address_is_found_without_regard_to_ascii_case_and_a_name_is_an_address() {
    let mut w = World::new();
    let account = w.account;
    let mut resolve = |address: &str| {
        let address = address.to_owned();
        w.store.apply(NOW, Request::Resolve { address })
    };
    let alice = Ok(Answer::Resolved(Resolved::Account(account)));
    assert_eq!(resolve("aLICE@example.ORG"), alice);
    assert_eq!(resolve("Alice"), alice);
    assert_eq!(
        resolve("bob@example.org"),
        Ok(Answer::Resolved(Resolved::Unknown))
    );
    w.store.set_enabled(account, false);
    let address = "alice".to_owned();
    assert_eq!(
        w.ask(Request::Resolve { address }),
        Ok(Answer::Resolved(Resolved::Disabled))
    );
}

#[test]
fn a_new_account_has_inbox_and_the_special_uses_subscribed() {
    let mut w = World::new();
    let account = w.account;
    let Ok(Answer::Mailboxes(all, without)) = w.ask(Request::Mailboxes { account }) else {
        panic!()
    };
    let names: Vec<_> = all.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]
    );
    assert!(all.iter().all(|m| m.subscribed));
    assert!(without.is_empty());
}

#[test]
fn a_mailbox_made_again_is_another_with_another_uidvalidity() {
    let mut w = World::new();
    w.create("a").unwrap();
    let first = w.status("a");
    w.delete("a").unwrap();
    w.create("a").unwrap();
    let second = w.status("a");
    assert!(second.validity > first.validity);
    assert_ne!(second.id, first.id);
}

#[test]
fn create_makes_the_levels_above_and_delete_refuses_while_there_are_levels_below() {
    let mut w = World::new();
    w.create("a/b/c").unwrap();
    assert_eq!(w.create("a/b"), Err(Refusal::AlreadyExists));
    assert_eq!(w.delete("a"), Err(Refusal::HasChildren));
    assert_eq!(w.delete("INBOX"), Err(Refusal::Inbox));
    w.delete("a/b/c").unwrap();
    w.delete("a/b").unwrap();
    w.delete("a").unwrap();
    assert_eq!(w.delete("a"), Err(Refusal::NoSuchMailbox));
}

#[test]
fn rename_takes_the_tree_along_and_keeps_what_is_in_it() {
    let mut w = World::new();
    w.create("a/b").unwrap();
    w.fill("a/b", 2);
    let before = w.status("a/b");
    w.rename("a", "x/y").unwrap();
    let after = w.status("x/y/b");
    assert_eq!(
        after,
        Mailbox {
            name: name("x/y/b"),
            ..before
        }
    );
    assert_eq!(w.rename("x", "INBOX"), Err(Refusal::AlreadyExists));
    assert_eq!(w.rename("x", "x/y/z"), Err(Refusal::AlreadyExists));
    assert_eq!(w.rename("a", "q"), Err(Refusal::NoSuchMailbox));
}

#[test]
fn rename_of_inbox_moves_its_messages_and_leaves_what_is_below() {
    let mut w = World::new();
    w.create("INBOX/below").unwrap();
    w.fill("INBOX", 3);
    w.flag("INBOX", "2", FlagChange::Add, "\\Deleted Work");
    w.expunge("INBOX");
    w.flag("INBOX", "3", FlagChange::Add, "Work");
    w.rename("INBOX", "old/mail").unwrap();
    assert_eq!(w.status("INBOX").messages, 0);
    assert_eq!(w.log("old/mail"), "2 Appeared 1:2");
    assert!(w.log("INBOX").ends_with("Vanished 1,3"));
    assert_eq!(w.fetch("old/mail")[1].flags, flags("Work"));
    w.status("INBOX/below");
}

#[test]
fn what_does_not_change_is_not_logged() {
    let mut w = World::new();
    w.fill("INBOX", 3);
    let first = w.flag("INBOX", "2:9", FlagChange::Add, "\\Seen");
    assert_eq!(first.changed, uids("2:3"));
    assert_eq!(first.modseq, Some(ModSeq(5)));
    let again = w.flag("INBOX", "1:3", FlagChange::Add, "\\Seen");
    assert_eq!((again.changed, again.unchanged), (uids("1"), uids("2:3")));
    let nothing = w.flag("INBOX", "1:3", FlagChange::Add, "\\Seen");
    assert_eq!(nothing.modseq, None);
    assert!(w.store.changed().is_empty());
    assert_eq!(
        w.log("INBOX"),
        "2 Appeared 1; 3 Appeared 2; 4 Appeared 3; 5 Flagged 2:3; 6 Flagged 1"
    );
    assert_eq!(w.expunge("INBOX"), (UidSet::new(), None));
}

#[test]
fn unchangedsince_fails_the_messages_that_changed_since() {
    let mut w = World::new();
    w.fill("INBOX", 3);
    let how = FlagChange::Replace;
    let some = w.flag_since("INBOX", "1:3", how, "\\Flagged", Some(3));
    let some = some.unwrap();
    assert_eq!(
        (some.changed, some.modified, some.modseq),
        (uids("1:2"), uids("3"), Some(ModSeq(5)))
    );
    let none = w.flag_since("INBOX", "1:3", how, "\\Flagged", Some(0));
    assert_eq!(none.unwrap().modified, uids("1:3"));
}

#[test]
fn a_keyword_is_shown_as_first_written_and_there_is_a_most_of_them() {
    let mut w = World::new();
    w.fill("INBOX", 2);
    w.flag("INBOX", "1", FlagChange::Add, "WorK");
    w.flag("INBOX", "2", FlagChange::Add, "work");
    let shown: Vec<_> = w.fetch("INBOX").into_iter().map(|m| m.flags).collect();
    assert_eq!(format!("{:?}", shown[1].keywords), "{WorK}");
    w.flag("INBOX", "1:2", FlagChange::Replace, "");
    assert_eq!(format!("{:?}", w.open("INBOX", false).keywords), "[WorK]");
    let many: Vec<_> = (1..KEYWORDS_MAX).map(|n| format!("k{n}")).collect();
    w.flag("INBOX", "1", FlagChange::Add, &many.join(" "));
    let more = w.flag_since("INBOX", "1", FlagChange::Add, "more", None);
    assert!(matches!(more, Err(Refusal::Limit(_))));
    assert!(w.append_with("INBOX", "more").is_err());
    assert_eq!(w.status("INBOX").messages, 2);
}

#[test]
fn an_expunged_message_may_be_fetched_for_an_hour_and_its_uid_never_comes_back() {
    let mut w = World::new();
    w.fill("INBOX", 2);
    w.flag("INBOX", "2", FlagChange::Add, "\\Deleted");
    assert_eq!(w.expunge("INBOX"), (uids("2"), Some(ModSeq(5))));
    w.fill("INBOX", 1);
    let seen = |w: &mut World| {
        let messages = w.fetch("INBOX");
        let shown = messages.iter().map(|m| (m.uid.number(), m.gone));
        shown.collect::<Vec<_>>()
    };
    w.now = NOW.plus_seconds(3599);
    assert_eq!(seen(&mut w), [(1, false), (2, true), (3, false)]);
    w.now = NOW.plus_seconds(3600);
    assert_eq!(seen(&mut w), [(1, false), (3, false)]);
}

#[test]
fn recent_belongs_to_the_first_session_that_claims_it() {
    let mut w = World::new();
    w.fill("INBOX", 2);
    assert_eq!(w.open("INBOX", false).recent, uids("1:2"));
    assert_eq!(w.open("INBOX", true).recent, uids("1:2"));
    assert_eq!(w.open("INBOX", true).recent, uids(""));
    w.fill("INBOX", 1);
    assert_eq!(w.status("INBOX").recent, 1);
    assert_eq!(w.open("INBOX", true).recent, uids("3"));
}

#[test]
fn copy_is_all_or_nothing_and_copies_flags_and_date() {
    let mut w = World::new();
    w.fill("INBOX", 3);
    w.flag("INBOX", "3", FlagChange::Add, "\\Seen Work");
    w.store.set_quota(w.account, Some(5 * 18 - 1));
    let copied = w.transfer("INBOX", "1:9", "Sent", false);
    assert_eq!(copied, Err(Refusal::OverQuota));
    assert_eq!(w.status("Sent").messages, 0);
    let copied = w.transfer("INBOX", "3:9", "Sent", false).unwrap();
    assert_eq!((copied.from, copied.to), (uids("3"), uids("1")));
    let (from, to) = (w.fetch("INBOX").remove(2), w.fetch("Sent").remove(0));
    assert_eq!((&from.flags, from.date), (&to.flags, to.date));
    assert_eq!(from.content, to.content);
    let nowhere = w.transfer("INBOX", "3", "nowhere", false);
    assert_eq!(nowhere, Err(Refusal::NoSuchMailbox));
}

#[test]
fn move_needs_no_room_and_is_one_change_of_each_mailbox() {
    let mut w = World::new();
    w.fill("INBOX", 3);
    w.store.set_quota(w.account, Some(0));
    let moved = w.transfer("INBOX", "1,3", "Sent", true).unwrap();
    assert_eq!((moved.to, moved.gone), (uids("1:2"), Some(ModSeq(5))));
    assert_eq!(w.log("Sent"), "2 Appeared 1:2");
    let moved = w.transfer("Sent", "1", "Sent", true).unwrap();
    assert_eq!((moved.to, moved.gone), (uids("3"), Some(ModSeq(3))));
    assert_eq!(w.log("Sent"), "2 Appeared 1:2; 3 Appeared 3; 3 Vanished 1");
    assert_eq!(w.store.changed(), []);
}

#[test]
fn a_repeated_delivery_gets_the_first_ones_outcome_while_it_is_remembered() {
    let mut w = World::new();
    let inbox = w.id("INBOX");
    let both = ["alice@example.org", "Alice@Example.org"];
    let first = w.deliver("Received: x\r\n", &both);
    assert_eq!(first, [stored(inbox, 1, false), stored(inbox, 2, false)]);
    assert_eq!(w.log("INBOX"), "2 Appeared 1:2");
    let again = w.deliver(
        "Received: x\r\n",
        &["alice@example.org", "other@example.org"],
    );
    assert_eq!(again, [stored(inbox, 1, true), stored(inbox, 3, false)]);
    assert_eq!(w.deliver("two\r\n", &both[..1]), [stored(inbox, 4, false)]);
    w.now = NOW.plus_seconds(REPEAT_WINDOW_SECONDS);
    assert_eq!(
        w.deliver("Received: x\r\n", &both[..1]),
        [stored(inbox, 5, false)]
    );
}

#[test]
fn a_delivery_that_was_not_stored_is_not_remembered() {
    let mut w = World::new();
    let inbox = w.id("INBOX");
    w.store.set_quota(w.account, Some(3));
    assert_eq!(
        w.deliver("Received: x\r\n", &["alice"]),
        [Outcome::OverQuota]
    );
    w.store.set_enabled(w.account, false);
    assert_eq!(
        w.deliver("Received: x\r\n", &["alice"]),
        [Outcome::Disabled]
    );
    w.store.set_enabled(w.account, true);
    w.store.set_quota(w.account, None);
    assert_eq!(
        w.deliver("Received: x\r\n", &["alice"]),
        [stored(inbox, 1, false)]
    );
    w.store.remove_account(w.account);
    assert_eq!(w.deliver("two\r\n", &["alice"]), [Outcome::Unknown]);
}

#[test]
fn an_upload_is_used_up_also_by_a_refusal() {
    let mut w = World::new();
    assert_eq!(w.append_with("no", ""), Err(Refusal::NoSuchMailbox));
    let (account, name) = (w.account, name("INBOX"));
    let gone = w.ask(Request::Append {
        account,
        name,
        flags: Flags::default(),
        date: None,
        upload: UploadId(7),
    });
    assert_eq!(gone, Err(Refusal::Upload));
}

#[test]
fn the_log_comes_in_answers_that_tear_no_change() {
    let mut w = World::new();
    w.fill("INBOX", 1);
    for uid in 1..=600 {
        w.transfer("INBOX", &uid.to_string(), "INBOX", true)
            .unwrap();
    }
    let mailbox = w.id("INBOX");
    let (mut since, mut seen) = (ModSeq(0), Vec::new());
    loop {
        let Ok(Answer::Changes(part)) = w.ask(Request::Changes { mailbox, since }) else {
            panic!()
        };
        assert!(part.entries.len() <= CHANGES_MAX);
        seen.extend(part.entries);
        since = part.through;
        if !part.more {
            break;
        }
    }
    assert_eq!(since, w.status("INBOX").modseq);
    assert_eq!(seen.len(), 1201);
    let log = w.store.mailboxes[&mailbox].log.iter();
    assert!(seen.iter().eq(log.map(|(_, change)| change)));
}

#[test]
fn a_page_ends_before_it_grows_too_large_and_says_how_far_it_speaks() {
    let mut w = World::new();
    let body = "x".repeat(200_000);
    for n in 1..=3 {
        w.deliver(&format!("{n}{body}"), &["alice"]);
    }
    let mailbox = w.id("INBOX");
    let items = FetchItems {
        content: true,
        ..FetchItems::default()
    };
    let mut ask = |set: &str| {
        let uids = uids(set);
        let request = Request::Fetch {
            mailbox,
            uids,
            items,
        };
        let Ok(Answer::Messages(page)) = w.ask(request) else {
            panic!()
        };
        (page.messages.len(), page.through.map(Uid::number))
    };
    assert_eq!(ask("1:9"), (2, Some(2)));
    assert_eq!(ask("3:9"), (1, None));
}

#[test]
fn a_deleted_mailbox_is_told_to_its_sessions_by_refusing_its_log() {
    let mut w = World::new();
    w.create("a").unwrap();
    w.fill("a", 1);
    let mailbox = w.id("a");
    w.delete("a").unwrap();
    assert_eq!(w.store.changed(), [mailbox]);
    let since = ModSeq(0);
    assert_eq!(
        w.ask(Request::Changes { mailbox, since }),
        Err(Refusal::NoSuchMailbox)
    );
}

#[test]
fn a_mailbox_whose_uids_are_used_up_takes_no_more() {
    let mut w = World::new();
    w.fill("INBOX", 2);
    let inbox = w.id("INBOX");
    w.store.mailboxes.get_mut(&inbox).unwrap().uid_next = Some(Uid::MAX);
    let twins = w.transfer("INBOX", "1:2", "INBOX", false);
    assert!(matches!(twins, Err(Refusal::Limit(_))));
    w.fill("INBOX", 1);
    assert_eq!(w.status("INBOX").uid_next, None);
    let more = w.append_with("INBOX", "");
    assert!(matches!(more, Err(Refusal::Limit(_))));
    assert_eq!(w.deliver("x", &["alice"]), [Outcome::Unavailable]);
    assert_eq!(w.open("INBOX", true).recent, uids("1:2,4294967295"));
    assert_eq!(w.open("INBOX", true).recent, uids(""));
    assert_eq!(w.status("INBOX").messages, 3);
}

#[test]
fn an_account_has_a_most_of_mailboxes_levels_made_above_included() {
    use crate::limits::MAILBOXES_MAX;
    let mut w = World::new();
    for n in 6..MAILBOXES_MAX - 2 {
        w.store.make(w.account, name(&format!("m{n}")), None);
    }
    assert!(matches!(w.create("a/b/c"), Err(Refusal::Limit(_))));
    assert!(matches!(w.rename("m6", "a/b/c/d"), Err(Refusal::Limit(_))));
    w.create("a/b").unwrap();
    assert!(matches!(w.create("c"), Err(Refusal::Limit(_))));
    assert!(matches!(w.rename("INBOX", "c"), Err(Refusal::Limit(_))));
    w.rename("m6", "c").unwrap();
    w.delete("c").unwrap();
    w.create("c").unwrap();
}

#[test]
fn the_uidvalidity_of_an_account_never_comes_again() {
    let mut w = World::new();
    w.store.accounts.get_mut(&w.account).unwrap().next_validity = Some(u32::MAX);
    assert!(matches!(w.create("a/b"), Err(Refusal::Limit(_))));
    w.create("a").unwrap();
    assert_eq!(w.status("a").validity, UidValidity(u32::MAX));
    w.delete("a").unwrap();
    assert!(matches!(w.create("a"), Err(Refusal::Limit(_))));
}

const DAY: u64 = 86_400;

impl World {
    fn purge(&mut self, deleted_seconds: u64, log_seconds: u64) {
        let (now, account) = (self.now, self.account);
        self.store.purge(now, account, deleted_seconds, log_seconds);
    }
    fn undelete(
        &mut self,
        from: MailboxId,
        set: &str,
        to: Option<&str>,
    ) -> Result<Option<Undeleted>, Refusal> {
        let (now, account) = (self.now, self.account);
        let to = to.map(name);
        self.store
            .undelete(now, account, from, &uids(set), to.as_ref())
    }
    fn changes(&mut self, text: &str, since: u64) -> Changes {
        let mailbox = self.id(text);
        let since = ModSeq(since);
        match self.ask(Request::Changes { mailbox, since }) {
            Ok(Answer::Changes(changes)) => changes,
            other => panic!("{other:?}"),
        }
    }
    fn expunge_all(&mut self, text: &str) {
        self.flag(text, "1:4294967295", FlagChange::Add, "\\Deleted");
        self.expunge(text);
    }
}

#[test]
fn what_is_gone_is_purged_after_its_time_and_never_while_it_may_be_fetched() {
    let mut w = World::new();
    w.fill("INBOX", 2);
    w.expunge_all("INBOX");
    let content = w.fetch("INBOX")[0].content;
    let read = Request::Read {
        content,
        start: 0,
        end: 1,
    };
    w.now = NOW.plus_seconds(3_899);
    w.purge(0, DAY);
    assert_eq!(w.ask(read.clone()), Ok(Answer::Octets("S".into())));
    w.now = NOW.plus_seconds(2 * DAY);
    w.purge(2 * DAY, DAY);
    assert!(w.ask(read.clone()).is_ok(), "it stays as long as it is to");
    w.now = NOW.plus_seconds(2 * DAY + 1);
    w.purge(2 * DAY, DAY);
    assert!(matches!(w.ask(read), Err(Refusal::Damaged(_))));
    let inbox = w.id("INBOX");
    assert_eq!(w.undelete(inbox, "1:9", None), Ok(None));
}

#[test]
fn a_content_stays_as_long_as_one_has_it() {
    let mut w = World::new();
    w.fill("INBOX", 1);
    w.transfer("INBOX", "1", "Sent", true).unwrap();
    w.now = NOW.plus_seconds(3 * DAY);
    w.purge(0, DAY);
    assert_eq!(
        w.fetch("Sent")[0].octets.as_deref(),
        Some(&b"Subject: a\r\n\r\nbody"[..])
    );
}

#[test]
fn below_the_horizon_of_a_purged_log_the_answer_says_that_it_is_not_all() {
    let mut w = World::new();
    w.fill("INBOX", 3);
    w.now = NOW.plus_seconds(DAY);
    w.fill("INBOX", 1);
    w.now = NOW.plus_seconds(DAY + 1);
    w.purge(0, 0);
    for (since, forgotten) in [(0, true), (3, true), (4, false), (5, false)] {
        let changes = w.changes("INBOX", since);
        assert_eq!((changes.forgotten, changes.through), (forgotten, ModSeq(5)));
        let left: Vec<u64> = changes.entries.iter().map(|c| c.modseq.0).collect();
        assert_eq!(left, if since < 5 { vec![5] } else { vec![] });
    }
    w.now = NOW.plus_seconds(9 * DAY);
    w.purge(0, 0);
    assert!(w.changes("INBOX", 4).forgotten && !w.changes("INBOX", 5).forgotten);
}

#[test]
fn what_was_expunged_comes_back_once_with_new_uids_and_what_was_moved_does_not() {
    let mut w = World::new();
    for n in 1..=3 {
        w.append_with("INBOX", &format!("\\Flagged k{n}")).unwrap();
    }
    w.transfer("INBOX", "2", "Sent", true).unwrap();
    w.expunge_all("INBOX");
    let before = w.fetch("INBOX");
    let before = before.iter().find(|m| m.uid.number() == 3).unwrap().clone();
    w.now = NOW.plus_seconds(DAY);
    let inbox = w.id("INBOX");
    let back = w.undelete(inbox, "1:9", None).unwrap().unwrap();
    assert_eq!((back.from, back.to), (uids("1,3"), uids("4:5")));
    assert_eq!((back.mailbox, back.made, back.bytes), (inbox, false, 36));
    assert_eq!(w.store.changed(), [inbox]);
    let messages = w.fetch("INBOX");
    let last = messages.last().unwrap();
    assert_eq!(last.flags, flags("\\Flagged k3"));
    assert_eq!((last.content, last.date), (before.content, before.date));
    assert_eq!((last.saved, last.gone), (w.now, false));
    assert!(w.log("INBOX").ends_with("Appeared 4:5"));
    assert_eq!(w.status("INBOX").recent, 2);
    assert_eq!(w.undelete(inbox, "1:9", None), Ok(None), "twice");
}

#[test]
fn a_deleted_mailbox_comes_back_under_its_name_or_another() {
    let mut w = World::new();
    w.create("a/b").unwrap();
    w.fill("a/b", 2);
    let (old, was) = (w.id("a/b"), w.status("a/b").validity);
    w.delete("a/b").unwrap();
    w.delete("a").unwrap();
    let back = w.undelete(old, "1", None).unwrap().unwrap();
    assert!(back.made && back.name == name("a/b") && back.mailbox != old);
    assert!(w.status("a/b").validity > was, "clients ask anew");
    // Its name is another's now, if only that of the first message's.
    assert_eq!(w.undelete(old, "2", None), Err(Refusal::AlreadyExists));
    let back = w.undelete(old, "2", Some("a/b")).unwrap().unwrap();
    assert!(!back.made);
    assert_eq!(w.status("a/b").messages, 2);
    let archive = w.status("Archive").special_use;
    w.fill("Archive", 1);
    let old = w.id("Archive");
    w.delete("Archive").unwrap();
    w.undelete(old, "1", None).unwrap();
    assert_eq!(w.status("Archive").special_use, archive);
    w.now = NOW.plus_seconds(3 * DAY);
    w.purge(0, DAY);
    assert_eq!(w.undelete(old, "1", None), Err(Refusal::NoSuchMailbox));
}

#[test]
fn what_finds_no_room_stays_gone_and_may_come_back_later() {
    let mut w = World::new();
    w.create("a").unwrap();
    w.fill("a", 2);
    let old = w.id("a");
    w.delete("a").unwrap();
    w.store.set_quota(w.account, Some(35));
    assert_eq!(w.undelete(old, "1:2", None), Err(Refusal::OverQuota));
    assert!(w.store.find(w.account, &name("a")).is_err());
    w.store.set_quota(w.account, Some(36));
    assert!(w.undelete(old, "1:2", None).unwrap().unwrap().made);
}
