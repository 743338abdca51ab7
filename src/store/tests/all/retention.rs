//! Life after EXPUNGE: purging and undelete, alone and beside everything else.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dbmail_core::limits::{GONE_KEPT_SECONDS_MIN, UNDELETE_MESSAGES_MAX};
use dbmail_core::store::{
    AccountId, Answer, FetchItems, FlagChange, Flags, Keyword, MailboxId, MailboxName, Outcome,
    Recipient, Refusal, Request, SystemFlags, Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{
    Clock, Ended, GoneMailbox, NewUser, Purge, Purged, Retention, Settings, Store, Wanted,
};

use super::world::{World, everything, flags, name, on_each, user};

mod beside;

const START: i64 = 1_700_000_000_000_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// A world with a clock of its own.
struct Aging {
    world: World,
    now: Arc<AtomicI64>,
}

impl Aging {
    async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let told = Arc::clone(&now);
        let world = World::with(|settings| {
            change(Settings {
                clock: Clock::new(move || Timestamp(told.load(Ordering::SeqCst))),
                ..settings
            })
        });
        let world = world.await;
        Self { world, now }
    }

    fn wait(&self, seconds: u64) {
        let micros = i64::try_from(seconds).expect("seconds") * 1_000_000;
        self.now.fetch_add(micros, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    async fn purge(&self) -> Purged {
        let done = self.world.store.purge(all_of_all(), |_| {}).await;
        done.expect("purged")
    }

    /// Marks messages as deleted and expunges them.
    async fn expunge(&self, mailbox: &str, uids: UidSet) {
        let mailbox = self.world.status(mailbox).await.id;
        let how = FlagChange::Add;
        let flags = flags(SystemFlags::DELETED);
        let store = Request::Store {
            mailbox,
            uids,
            how,
            flags,
            unchanged_since: None,
        };
        self.world.ask(store).await.expect("marked");
        let expunge = Request::Expunge {
            mailbox,
            uids: None,
        };
        self.world.ask(expunge).await.expect("expunged");
    }

    async fn create(&self, mailbox: &str) -> MailboxId {
        let create = Request::Create {
            account: self.world.account,
            name: name(mailbox),
            special_use: None,
        };
        self.world.ask(create).await.expect("created");
        self.world.status(mailbox).await.id
    }

    async fn delete(&self, mailbox: &str) {
        let delete = Request::Delete {
            account: self.world.account,
            name: name(mailbox),
        };
        self.world.ask(delete).await.expect("deleted");
    }

    async fn undelete(&self, mailbox: MailboxId, uids: UidSet) -> Result<UidSet, Refusal> {
        let account = self.world.account;
        let back = self.world.store.undelete(account, mailbox, uids, None);
        Ok(back.await?.map_or_else(UidSet::new, |back| back.to))
    }

    async fn listed(&self) -> Vec<GoneMailbox> {
        let account = Some(self.world.account);
        let listed = self.world.store.gone_mailboxes(account).await;
        listed.expect("a list")
    }
}

/// Everything that may go at all.
const fn all_of_all() -> Purge {
    Purge {
        account: None,
        retention: Retention {
            deleted_seconds: 0,
            log_seconds: 0,
        },
    }
}

fn letter(text: &str) -> Vec<u8> {
    format!(
        "Received: x\r\nSubject: {text}\r\nFrom: Otto <otto@example.net>\r\n\r\nBody of {text}\r\n"
    )
    .into_bytes()
}

/// A letter with a body that is stored as a part; `body` says which.
fn long_letter(text: &str, body: usize) -> Vec<u8> {
    let mut octets = format!("Received: x\r\nSubject: {text}\r\n\r\n").into_bytes();
    octets.extend(format!("{body:07x} part\r\n").repeat(1_500).into_bytes());
    octets
}

async fn spent(world: &World, what: &str) -> u64 {
    let counters = world.store.counters();
    let request = counters.requests.iter().find(|r| r.name == what);
    request.map_or(0, |r| r.statements)
}

#[test]
fn what_is_purged_leaves_no_row_and_is_counted() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        for n in 0..300 {
            world.append(&letter(&n.to_string())).await;
        }
        world.append(&long_letter("long", 1)).await;
        let size = world.status("INBOX").await.bytes;
        let kept = UidSet::from_ranges([100..=100]);
        aging.expunge("INBOX", everything().difference(&kept)).await;
        aging.wait(GONE_KEPT_SECONDS_MIN);
        assert_eq!(aging.purge().await.messages, 0, "not before its time");
        aging.wait(3 * DAY);
        let plan = world.store.purge_plan(all_of_all()).await.expect("a plan");
        let mut told = Vec::new();
        let done = world
            .store
            .purge(all_of_all(), |purged| told.push(*purged))
            .await
            .expect("purged");
        let left = world.status("INBOX").await.bytes;
        assert_eq!((done.messages, done.bytes), (300, size - left));
        assert_eq!((plan.messages, plan.bytes), (done.messages, done.bytes));
        assert_eq!((plan.log_rows, plan.mailboxes), (done.log_rows, 0));
        assert_eq!((done.contents, done.parts), (300, 1));
        assert!(done.part_bytes > 0 && told.last() == Some(&done));
        for (table, rows) in [
            ("message", 1),
            ("message_gone", 0),
            ("email", 1),
            ("content", 1),
            ("part", 0),
            ("part_chunk", 0),
            ("change_log", 0),
            ("account_log", 0),
            ("mailbox", 6),
        ] {
            assert_eq!(world.count(table), rows, "{table}");
        }
        let counters = world.store.counters();
        assert_eq!((counters.purged_messages, counters.purge_runs), (300, 2));
        assert_eq!(counters.purged_bytes, done.bytes);
        assert_eq!(counters.purge_last, aging.now().0);
        assert_eq!(aging.purge().await, Purged::default(), "a second run");
    });
}

#[test]
fn what_a_foreign_key_refuses_stays_and_keeps_no_other() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        for n in 0..140 {
            world.append(&letter(&n.to_string())).await;
        }
        aging.create("a").await;
        let refused = aging.create("b").await;
        for mailbox in ["a", "b"] {
            aging.delete(mailbox).await;
        }
        world.execute(
            "CREATE TABLE stranger (email bigint, mailbox bigint,
                 CONSTRAINT fk_stranger FOREIGN KEY (email) REFERENCES email (id),
                 CONSTRAINT fk_stranger_too FOREIGN KEY (mailbox) REFERENCES mailbox (id))",
        );
        let of = |uid: u32| format!("SELECT email FROM message WHERE msg_uid = {uid}");
        for uid in [3, 77, 139] {
            let email = world.number(&of(uid));
            world.execute(&format!("INSERT INTO stranger (email) VALUES ({email})"));
        }
        let refused = refused.0;
        world.execute(&format!(
            "INSERT INTO stranger (mailbox) VALUES ({refused})"
        ));
        aging.expunge("INBOX", everything()).await;
        aging.wait(2 * DAY);
        let done = aging.purge().await;
        assert_eq!((done.messages, done.mailboxes), (137, 1));
        assert_eq!(world.count("message_gone"), 3);
        world.execute("DELETE FROM stranger");
        let done = aging.purge().await;
        assert_eq!((done.messages, done.mailboxes), (3, 1));
        assert_eq!(world.count("email") + world.count("content"), 0);
        world.execute("DROP TABLE stranger");
    });
}

#[test]
fn keywords_go_with_the_gone_and_stay_with_the_living_between_them() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        for n in 0..6 {
            world.append(&letter(&n.to_string())).await;
        }
        let mailbox = world.status("INBOX").await.id;
        for word in ["one", "two"] {
            let keyword = Keyword::new(word).expect("a keyword");
            let flags = Flags {
                keywords: [keyword].into(),
                ..Flags::default()
            };
            let store = Request::Store {
                mailbox,
                uids: everything(),
                how: FlagChange::Add,
                flags,
                unchanged_since: None,
            };
            world.ask(store).await.expect("stored");
        }
        let gone = UidSet::from_ranges([1..=2, 4..=4, 6..=6]);
        aging.expunge("INBOX", gone).await;
        aging.wait(2 * DAY);
        assert_eq!(world.count("message_keyword"), 12);
        assert_eq!(aging.purge().await.messages, 4);
        assert_eq!(world.count("message_keyword"), 4);
        let left =
            "message_keyword k JOIN message m ON m.mailbox = k.mailbox AND m.msg_uid = k.msg_uid";
        assert_eq!(world.count(left), 4);
    });
}

#[test]
fn a_deleted_mailbox_goes_with_all_that_is_kept_of_it() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let other = aging.create("b").await;
        aging.create("a").await;
        for n in 0..3 {
            world.deliver(&letter(&n.to_string()), &["a", "b"]).await;
        }
        // More of a log than goes in one transaction.
        let mailbox = world.status("a").await.id;
        for n in 0..600 {
            let how = if n % 2 == 0 {
                FlagChange::Add
            } else {
                FlagChange::Remove
            };
            let store = Request::Store {
                mailbox,
                uids: everything(),
                how,
                flags: flags(SystemFlags::SEEN),
                unchanged_since: None,
            };
            world.ask(store).await.expect("stored");
        }
        aging.delete("a").await;
        let log = format!("change_log WHERE mailbox = {}", mailbox.0);
        assert!(world.count(&log) > 600);
        aging.wait(2 * DAY);
        let keep = Purge {
            account: None,
            retention: Retention {
                deleted_seconds: 3 * DAY,
                log_seconds: 3 * DAY,
            },
        };
        let kept = world.store.purge(keep, |_| {}).await.expect("purged");
        assert_eq!(kept, Purged::default());
        let plan = world.store.purge_plan(all_of_all()).await.expect("a plan");
        assert_eq!((plan.messages, plan.mailboxes), (3, 1));
        let done = aging.purge().await;
        assert_eq!((done.messages, done.mailboxes, done.contents), (3, 1, 0));
        assert_eq!(world.count(&log), 0);
        assert_eq!(world.count("mailbox"), 7);
        // Its messages are there for the other mailbox.
        let items = FetchItems {
            content: true,
            ..FetchItems::default()
        };
        assert_eq!(world.fetch("b", &everything(), items).await.len(), 3);
        assert_eq!(world.status("b").await.id, other);
    });
}

#[test]
fn of_one_user_only_what_is_his_is_purged() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let bob = world.store.user_add(user("bob")).await.expect("bob");
        world.append(&letter("alice")).await;
        aging.expunge("INBOX", everything()).await;
        aging.create("a").await;
        aging.delete("a").await;
        aging.wait(2 * DAY);
        let of = |account| Purge {
            account: Some(account),
            ..all_of_all()
        };
        let plan = world.store.purge_plan(of(bob)).await.expect("a plan");
        let none = world.store.purge(of(bob), |_| {}).await.expect("purged");
        assert_eq!((none.messages, none.mailboxes), (0, 0));
        assert_eq!(none.log_rows, plan.log_rows);
        assert!(plan.log_rows > 0, "his own log");
        let plan = world.store.purge_plan(of(world.account)).await;
        let done = world.store.purge(of(world.account), |_| {}).await;
        let (plan, done) = (plan.expect("a plan"), done.expect("purged"));
        assert_eq!((done.messages, done.mailboxes), (1, 1));
        assert_eq!(done.log_rows, plan.log_rows);
    });
}

#[test]
fn the_horizon_is_the_last_change_that_went_and_no_log_row_below_it_is_left() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        for n in 0..700 {
            world.append(&letter(&n.to_string())).await;
        }
        let old = world.status("INBOX").await.modseq;
        aging.wait(2 * DAY);
        world.append(&letter("young")).await;
        let done = aging.purge().await;
        assert!(done.log_rows >= 700);
        let mailbox = world.status("INBOX").await.id.0;
        let horizon = format!("SELECT log_from FROM mailbox_state WHERE mailbox = {mailbox}");
        assert_eq!(world.number(&horizon), i64::try_from(old.0).expect("small"));
        assert_eq!(world.count("change_log"), 1);
        let horizon = "SELECT log_from - modseq FROM account_state";
        assert_eq!((world.number(horizon), world.count("account_log")), (0, 0));
        // A clock that was behind: what looks old after a young row stays with it.
        aging.now.fetch_sub(2 * 86_400_000_000, Ordering::SeqCst);
        world.append(&letter("looks old")).await;
        aging.now.fetch_add(2 * 86_400_000_000, Ordering::SeqCst);
        assert_eq!(aging.purge().await.log_rows, 0);
        assert_eq!(world.count("change_log"), 2);
    });
}

#[test]
fn a_server_purges_by_itself() {
    on_each(async || {
        let aging = Aging::with(|settings| Settings {
            background_seconds: 3_600,
            purge_seconds: 1,
            retention: Retention {
                deleted_seconds: 2 * DAY,
                log_seconds: 2 * DAY,
            },
            ..settings
        });
        let aging = aging.await;
        let world = &aging.world;
        world.append(&letter("x")).await;
        aging.expunge("INBOX", everything()).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(world.count("message_gone"), 1, "not before its time");
        aging.wait(2 * DAY + 1);
        let patience = tokio::time::timeout(Duration::from_secs(20), async {
            while world.count("message_gone") + world.count("change_log") > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        patience.await.expect("it purges");
        assert!(world.store.counters().purge_runs > 0);
        world.store.close().await;
    });
}

#[test]
fn of_several_front_ends_the_oldest_purges() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        world.append(&letter("x")).await;
        aging.expunge("INBOX", everything()).await;
        let other = Settings {
            background_seconds: 3_600,
            purge_seconds: 1,
            ..world.settings.clone()
        };
        let other = Store::open(other).await.expect("a second store");
        aging.wait(40 * DAY);
        // The first one's lease has to be renewed at the new time: it lives.
        let lease = aging.now().0 + 3_600_000_000;
        let (_, first) = world.store.front_end();
        if first > 0 {
            world.execute(&format!("UPDATE front_end SET lease_end = {lease}"));
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            assert_eq!(world.count("message_gone"), 1, "the older one lives");
            world.execute(&format!(
                "UPDATE front_end SET lease_end = 0 WHERE id = {first}"
            ));
        }
        let patience = tokio::time::timeout(Duration::from_secs(20), async {
            while world.count("message_gone") > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        patience.await.expect("the next one does");
        other.close().await;
    });
}

#[test]
fn what_could_come_back_is_listed_and_looked_through() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let box_a = aging.create("a").await;
        for text in ["apples", "pears", "Äpfel"] {
            world.deliver(&letter(text), &["a"]).await;
            aging.wait(60);
        }
        let first = aging.now();
        aging.expunge("a", UidSet::from_ranges([2..=2])).await;
        aging.wait(HOUR);
        let last = aging.now();
        aging.delete("a").await;
        world.append(&letter("moved")).await;
        let moves = Request::Move {
            mailbox: world.status("INBOX").await.id,
            uids: everything(),
            account: world.account,
            to: name("Sent"),
        };
        world.ask(moves).await.expect("moved");
        let listed = aging.listed().await;
        assert_eq!(listed.len(), 1, "what was moved does not come back");
        let GoneMailbox {
            id,
            user,
            name,
            deleted,
            messages,
            ..
        } = &listed[0];
        assert_eq!((*id, user.as_str(), name.as_str()), (box_a, "alice", "a"));
        assert_eq!((*deleted, *messages), (Some(last), 3));
        assert_eq!((listed[0].first, listed[0].last), (first, last));
        let everybody = world.store.gone_mailboxes(None).await.expect("a list");
        assert_eq!(everybody, listed);
        let found = async |since: Timestamp, until: Timestamp, texts: &[&str]| {
            let wanted = Wanted {
                since,
                until,
                texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            };
            let page = world.store.gone_page(box_a, 0, &wanted).await;
            let page = page.expect("a page");
            assert_eq!(page.next, None);
            let uids = page.messages.iter().map(|m| m.uid.number());
            uids.collect::<Vec<_>>()
        };
        let (begin, end) = (Timestamp(0), Timestamp(i64::MAX));
        assert_eq!(found(begin, end, &[]).await, [1, 2, 3]);
        assert_eq!(found(begin, last, &[]).await, [2]);
        assert_eq!(found(last, end, &[]).await, [1, 3]);
        assert_eq!(found(begin, end, &["body of", "otto@"]).await, [1, 2, 3]);
        assert_eq!(found(begin, end, &["PEARS"]).await, [2]);
        assert_eq!(found(begin, end, &["äpfel"]).await, [3]);
        assert!(found(begin, end, &["apples", "pears"]).await.is_empty());
        let wanted = Wanted {
            since: begin,
            until: end,
            texts: Vec::new(),
        };
        let page = world.store.gone_page(box_a, 1, &wanted).await;
        let page = page.expect("a page").messages;
        assert_eq!(
            (page[0].subject.as_str(), page[0].ended),
            ("pears", Ended::Expunged)
        );
        assert_eq!(page[0].from, "otto@example.net");
        assert_eq!(page[1].ended, Ended::WithMailbox);
    });
}

#[test]
fn many_come_back_some_at_a_time_and_sessions_hear_of_it() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let mailbox = world.status("INBOX").await.id;
        world.append(&letter("x")).await;
        // Copies of one message: as many as a batch brings back, and some more.
        for _ in 0..10 {
            let copy = Request::Copy {
                mailbox,
                uids: UidSet::from_ranges([1..=60]),
                account: world.account,
                to: MailboxName::inbox(),
            };
            world.ask(copy).await.expect("copied");
            if world.status("INBOX").await.messages as usize > UNDELETE_MESSAGES_MAX + 20 {
                break;
            }
            let copy = Request::Copy {
                mailbox,
                uids: everything(),
                account: world.account,
                to: MailboxName::inbox(),
            };
            if world.status("INBOX").await.messages < 300 {
                world.ask(copy).await.expect("copied");
            }
        }
        let count = world.status("INBOX").await.messages;
        assert!(count as usize > UNDELETE_MESSAGES_MAX);
        aging.expunge("INBOX", everything()).await;
        let used = "SELECT used_messages FROM quota_root";
        assert_eq!(world.number(used), 0);
        let mut watch = world.store.watch(mailbox);
        let first = aging.undelete(mailbox, everything()).await.expect("back");
        assert_eq!(first.len() as usize, UNDELETE_MESSAGES_MAX);
        let heard = tokio::time::timeout(Duration::from_secs(5), watch.changed()).await;
        assert!(heard.is_ok(), "nobody was told");
        let rest = aging.undelete(mailbox, everything()).await.expect("back");
        assert!(first.last() < rest.first());
        assert_eq!(first.len() + rest.len(), count);
        assert_eq!(
            aging.undelete(mailbox, everything()).await,
            Ok(UidSet::new())
        );
        assert_eq!(world.status("INBOX").await.messages, count);
        assert_eq!(world.number(used), i64::from(count));
    });
}

#[test]
fn two_who_bring_back_the_same_bring_it_back_once() {
    on_each(async || {
        let aging = Arc::new(Aging::new().await);
        let world = &aging.world;
        for n in 0..40 {
            world.append(&letter(&n.to_string())).await;
        }
        let mailbox = world.status("INBOX").await.id;
        aging.expunge("INBOX", everything()).await;
        let task = |_| {
            let aging = Arc::clone(&aging);
            tokio::spawn(async move { aging.undelete(mailbox, everything()).await })
        };
        let tasks: Vec<_> = (0..6).map(task).collect();
        let mut back = 0;
        for task in tasks {
            back += task.await.expect("a task").expect("no refusal").len();
        }
        assert_eq!((back, world.status("INBOX").await.messages), (40, 40));
    });
}

#[test]
fn purging_and_undelete_cost_what_the_table_says() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let mailbox = world.status("INBOX").await.id;
        let mut table = String::new();
        for n in 0..128 {
            world.append(&letter(&n.to_string())).await;
        }
        let keyword = Keyword::new("Work").expect("a keyword");
        let store = Request::Store {
            mailbox,
            uids: everything(),
            how: FlagChange::Add,
            flags: Flags {
                keywords: [keyword].into(),
                ..Flags::default()
            },
            unchanged_since: None,
        };
        world.ask(store).await.expect("stored");
        let mut row = |what: &str, statements: u64| {
            table.push_str(&format!("{what:<58}{statements}\n"));
        };
        let cost = async |request: &str| spent(world, request).await;
        aging.expunge("INBOX", everything()).await;
        let before = cost("undelete").await;
        aging.undelete(mailbox, everything()).await.expect("back");
        row(
            "undelete of 128 messages with a keyword",
            cost("undelete").await - before,
        );
        let before = cost("undelete").await;
        aging.undelete(mailbox, everything()).await.expect("back");
        row("undelete of nothing", cost("undelete").await - before);
        let before = cost("purge").await;
        aging.purge().await;
        row("purge, nothing due", cost("purge").await - before);
        let old = aging.create("a").await;
        world.deliver(&letter("a"), &["a"]).await;
        aging.delete("a").await;
        let before = cost("undelete").await;
        aging.undelete(old, everything()).await.expect("back");
        row(
            "undelete of a mailbox with a message",
            cost("undelete").await - before,
        );
        aging.delete("a").await;
        // Nothing but messages: logs are young.
        aging.wait(2 * HOUR);
        let of = Purge {
            account: None,
            retention: Retention {
                deleted_seconds: 0,
                log_seconds: 9 * DAY,
            },
        };
        aging.expunge("INBOX", everything()).await;
        let before = cost("purge").await;
        aging.purge().await;
        row(
            "purge of two deleted mailboxes with a message",
            cost("purge").await - before,
        );
        aging.wait(2 * HOUR);
        let before = cost("purge").await;
        world.store.purge(of, |_| {}).await.expect("purged");
        row(
            "purge of 128 messages with a keyword",
            cost("purge").await - before,
        );
        aging.wait(2 * DAY);
        let before = cost("purge").await;
        let done = aging.purge().await;
        assert!(done.log_rows > 100 && done.log_rows < 500);
        row(
            "purge of the logs of a mailbox and a user",
            cost("purge").await - before,
        );
        // The same table on every database.
        insta::assert_snapshot!("purging_and_undelete_cost_what_the_table_says", table);
    });
}

/// A user with so much room.
fn roomy(name: &str, quota: u64) -> NewUser {
    NewUser {
        quota_bytes: Some(quota),
        ..user(name)
    }
}

#[test]
fn over_quota_a_batch_is_not_half_done() {
    on_each(async || {
        let aging = Aging::new().await;
        let world = &aging.world;
        let bob = roomy("bob", 400);
        let bob = world.store.user_add(bob).await.expect("bob");
        let append = async |octets: Vec<u8>| {
            let request = Request::Append {
                account: bob,
                name: MailboxName::inbox(),
                flags: flags(SystemFlags::DELETED),
                date: None,
                upload: UploadId(1),
            };
            let mut upload = world.store.upload();
            upload.write(octets.into()).await.expect("taken");
            world.store.apply(request, Some(upload)).await
        };
        for n in 0..4 {
            append(letter(&n.to_string())).await.expect("appended");
        }
        let status = Request::Status {
            account: bob,
            name: MailboxName::inbox(),
        };
        let Ok(Answer::Status(inbox)) = world.ask(status.clone()).await else {
            panic!("no INBOX");
        };
        let mailbox = inbox.id;
        let expunge = Request::Expunge {
            mailbox,
            uids: None,
        };
        world.ask(expunge).await.expect("expunged");
        append(letter("something else")).await.expect("appended");
        append(letter("and more")).await.expect("appended");
        let before = world.ask(status.clone()).await;
        let all = everything();
        let refused = world.store.undelete(bob, mailbox, all, None).await;
        assert_eq!(refused, Err(Refusal::OverQuota));
        assert_eq!(world.ask(status).await, before);
        assert_eq!(world.count("message_gone"), 4);
        let two = UidSet::from_ranges([1..=2]);
        let back = world.store.undelete(bob, mailbox, two, None).await;
        assert_eq!(back.expect("room for two").expect("two").to.len(), 2);
        let wrong =
            "quota_root WHERE most_size = 400 AND used_size <> (SELECT sum(msg_size) FROM message)";
        assert_eq!(world.count(wrong), 0);
    });
}
