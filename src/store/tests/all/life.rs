//! Opening, closing, migrating; many at once; administration.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use dbmail_core::store::{
    Answer, ChangeKind, FetchItems, Flags, MailboxName, ModSeq, Outcome, Refusal, Request,
    Resolved, SystemFlags, Uid, UidSet,
};
use dbmail_store::{AdminError, NewUser, OpenError, Settings, Store};
use dbmail_testcontainers::Kind;
use tempfile::TempDir;

use super::world::{World, everything, flags, kind, name, on_each, user};

fn settings(folder: &TempDir) -> Settings {
    let url = format!("sqlite://{}", folder.path().join("mail.db").display());
    Settings {
        url,
        background_seconds: 0,
        ..Settings::default()
    }
}

fn execute(world: &World, sql: &str) {
    let database = rusqlite::Connection::open(world.path()).expect("the database");
    database.execute_batch(sql).expect(sql);
}

#[tokio::test]
async fn a_database_that_is_not_there_or_empty_asks_for_migrate() {
    let folder = TempDir::new().expect("a folder");
    let settings = settings(&folder);
    assert_eq!(
        Store::open(settings.clone()).await.expect_err("empty"),
        OpenError::Empty
    );
    let planned = Store::migrate(&settings, true).await.expect("a plan");
    assert!(!planned.is_empty() && !folder.path().join("mail.db").exists());
    assert_eq!(
        Store::migrate(&settings, false).await.expect("migrated"),
        planned
    );
    assert_eq!(
        Store::migrate(&settings, false).await.expect("again"),
        vec![]
    );
    Store::open(settings).await.expect("open").close().await;
}

#[tokio::test]
async fn a_new_database_is_for_its_owners_eyes_only_and_another_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let mode = |path| {
        std::fs::metadata(path)
            .expect("the file")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(world.path()), 0o600);
    world.store.close().await;
    std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let refused = Store::open(world.settings.clone())
        .await
        .expect_err("exposed");
    assert!(matches!(refused, OpenError::Insecure(_)), "{refused}");
}

#[tokio::test]
async fn a_schema_too_new_too_old_or_changed_is_refused_with_what_to_do() {
    let world = World::new().await;
    world.store.close().await;
    execute(
        &world,
        "INSERT INTO schema_version VALUES (9, '0009_x.sql', x'00', 1, 1)",
    );
    let refused = Store::open(world.settings.clone())
        .await
        .expect_err("too new");
    assert_eq!(refused, OpenError::TooNew { have: 9, want: 5 });
    assert!(refused.to_string().contains("newer dbmail"));
    let refused = Store::migrate(&world.settings, false)
        .await
        .expect_err("too new");
    assert_eq!(refused, OpenError::TooNew { have: 9, want: 5 });
    execute(
        &world,
        "DELETE FROM schema_version WHERE version = 9; UPDATE schema_version SET digest = x'00'",
    );
    let refused = Store::open(world.settings.clone())
        .await
        .expect_err("changed");
    assert_eq!(
        refused,
        OpenError::Changed {
            name: "0001_mail.sql".to_owned()
        }
    );
    execute(&world, "DELETE FROM schema_version");
    assert_eq!(
        Store::open(world.settings.clone())
            .await
            .expect_err("empty"),
        OpenError::Empty
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_of_ours_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("mail.db");
    let settings = settings(&folder);
    let own = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    };
    std::fs::write(&path, "hello ".repeat(1_000)).expect("a file");
    own(&path);
    let refused = Store::migrate(&settings, false)
        .await
        .expect_err("no database");
    assert!(matches!(refused, OpenError::NotOurs(_)), "{refused}");
    std::fs::remove_file(&path).expect("removed");
    let other = rusqlite::Connection::open(&path).expect("a database");
    other
        .execute_batch("CREATE TABLE recipes (name TEXT)")
        .expect("a table");
    drop(other);
    own(&path);
    let refused = Store::migrate(&settings, false)
        .await
        .expect_err("another's");
    assert!(matches!(refused, OpenError::NotOurs(_)), "{refused}");
    let url = Settings {
        url: "oracle://localhost/mail".to_owned(),
        ..settings
    };
    assert!(matches!(Store::open(url).await, Err(OpenError::Url(_))));
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    on_each(async || {
        let mut world = World::new().await;
        let uid = world.append(b"Subject: a\r\n\r\nkept\r\n").await;
        let before = world.status("INBOX").await;
        world.reopen().await;
        assert_eq!(world.status("INBOX").await, before);
        let items = FetchItems {
            content: true,
            ..FetchItems::default()
        };
        let message = world
            .fetch("INBOX", &UidSet::range(uid, uid), items)
            .await
            .remove(0);
        assert_eq!(
            message.octets.expect("content"),
            &b"Subject: a\r\n\r\nkept\r\n"[..]
        );
        assert_eq!(world.append(b"second").await.number(), 2);
    });
}

#[test]
fn a_closed_store_refuses_and_does_not_hang() {
    on_each(async || {
        let world = World::new().await;
        world.store.close().await;
        assert_eq!(world.store.ready().await, Err(Refusal::Unavailable));
        let request = Request::Status {
            account: world.account,
            name: MailboxName::inbox(),
        };
        assert_eq!(world.ask(request).await, Err(Refusal::Unavailable));
        assert_eq!(
            world.append_slices(b"x", 1).await,
            Err(Refusal::Unavailable)
        );
    });
}

#[test]
fn deliveries_that_wait_together_are_linked_together_each_once() {
    on_each(async || {
        let world = std::sync::Arc::new(World::new().await);
        let mut tasks = Vec::new();
        for task in 0..16 {
            let world = std::sync::Arc::clone(&world);
            tasks.push(tokio::spawn(async move {
                let mut uids = Vec::new();
                for n in 0..20 {
                    let octets = format!("Received: x\r\nSubject: {task} {n}\r\n\r\ntext\r\n");
                    let mailbox = if n % 4 == 0 { "Sent" } else { "INBOX" };
                    match world.deliver(octets.as_bytes(), &[mailbox]).await.remove(0) {
                        Outcome::Stored {
                            mailbox,
                            uid,
                            repeat: false,
                        } => uids.push((mailbox, uid)),
                        other => panic!("{other:?}"),
                    }
                }
                uids
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            let uids = task.await.expect("a task");
            let inbox: Vec<_> = uids.iter().filter(|(m, _)| *m == uids[1].0).collect();
            assert!(inbox.is_sorted(), "a sender's messages keep their order");
            all.extend(uids);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 320);
        assert_eq!(
            (
                world.status("INBOX").await.messages,
                world.status("Sent").await.messages
            ),
            (240, 80)
        );
        let counters = world.store.counters();
        assert_eq!(counters.linked, 320);
        assert!(counters.batches < 320, "nothing was linked together");
    });
}

#[test]
fn of_one_delivery_sent_at_once_one_is_stored_and_the_others_repeat_it() {
    on_each(async || {
        let world = std::sync::Arc::new(World::new().await);
        let send = |_| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                world
                    .deliver(b"Received: x\r\n\r\nsame\r\n", &["INBOX"])
                    .await
            })
        };
        let tasks: Vec<_> = (0..12).map(send).collect();
        let mut first = 0;
        for task in tasks {
            match task.await.expect("a task").remove(0) {
                Outcome::Stored { uid, repeat, .. } => {
                    assert_eq!(uid, Uid::MIN);
                    first += u32::from(!repeat);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((first, world.status("INBOX").await.messages), (1, 1));
    });
}

#[test]
fn changes_told_to_a_watcher_lead_to_what_is_there() {
    on_each(async || {
        let world = std::sync::Arc::new(World::new().await);
        let mailbox = world.status("INBOX").await.id;
        let writers: Vec<_> = (0..4)
            .map(|task: u32| {
                let world = std::sync::Arc::clone(&world);
                tokio::spawn(async move {
                    for n in 0..30u32 {
                        let uid = world
                            .append(format!("Subject: {task} {n}\r\n\r\n").as_bytes())
                            .await;
                        let uids = UidSet::range(uid, uid);
                        let how = dbmail_core::store::FlagChange::Add;
                        let flags = flags(SystemFlags::DELETED);
                        let store = Request::Store {
                            mailbox,
                            uids,
                            how,
                            flags,
                            unchanged_since: None,
                        };
                        world.ask(store).await.expect("stored");
                        if n % 3 == 0 {
                            world
                                .ask(Request::Expunge {
                                    mailbox,
                                    uids: None,
                                })
                                .await
                                .expect("expunged");
                        }
                    }
                })
            })
            .collect();
        let watcher = {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                let mut watch = world.store.watch(mailbox);
                let (mut known, mut since) = (UidSet::new(), ModSeq(0));
                loop {
                    let Answer::Changes(changes) = world
                        .ask(Request::Changes { mailbox, since })
                        .await
                        .expect("changes")
                    else {
                        panic!("no changes");
                    };
                    assert!(
                        changes
                            .entries
                            .iter()
                            .all(|e| e.modseq > since && e.modseq <= changes.through)
                    );
                    for entry in &changes.entries {
                        known = match entry.what {
                            ChangeKind::Appeared => known.union(&entry.uids),
                            ChangeKind::Flagged => known,
                            ChangeKind::Vanished => known.difference(&entry.uids),
                        };
                    }
                    since = changes.through;
                    if changes.more {
                        continue;
                    }
                    let wait = tokio::time::timeout(Duration::from_secs(3), watch.changed());
                    if wait.await.is_err() {
                        return (known, since);
                    }
                }
            })
        };
        for writer in writers {
            writer.await.expect("a writer");
        }
        let (known, since) = watcher.await.expect("the watcher");
        let open = Request::Open {
            account: world.account,
            name: name("INBOX"),
            claim_recent: false,
        };
        let Answer::Opened(opened) = world.ask(open).await.expect("opened") else {
            panic!()
        };
        assert_eq!((known, since), (opened.uids, opened.mailbox.modseq));
        assert_eq!(
            world.status("INBOX").await.messages,
            opened.mailbox.messages
        );
    });
}

#[test]
fn another_process_at_the_same_database_is_noticed() {
    on_each(async || {
        let world = World::new().await;
        let other = Store::open(world.settings.clone())
            .await
            .expect("a second store");
        let mailbox = world.status("INBOX").await.id;
        let mut watch = other.watch(mailbox);
        // The first look only learns the version; on a server a new front-end asks about everything for five seconds.
        let first = if kind() == Kind::Sqlite { 600 } else { 6_000 };
        tokio::time::sleep(Duration::from_millis(first)).await;
        let quiet = tokio::time::timeout(Duration::from_millis(10), watch.changed()).await;
        drop(quiet);
        world.append(b"from elsewhere").await;
        let told = tokio::time::timeout(Duration::from_secs(5), watch.changed()).await;
        assert!(told.is_ok(), "nobody was told");
        other.close().await;
    });
}

#[test]
fn recent_messages_are_claimed_by_one_session() {
    on_each(async || {
        let world = std::sync::Arc::new(World::new().await);
        for _ in 0..3 {
            world.append(b"x").await;
        }
        let open = |claim_recent| {
            let world = std::sync::Arc::clone(&world);
            async move {
                let request = Request::Open {
                    account: world.account,
                    name: name("INBOX"),
                    claim_recent,
                };
                let Answer::Opened(opened) = world.ask(request).await.expect("opened") else {
                    panic!()
                };
                opened.recent.len()
            }
        };
        assert_eq!(open(false).await, 3, "EXAMINE does not claim");
        let claims = [open(true), open(true), open(true), open(true)];
        let mut recent = Vec::new();
        for claim in claims.map(tokio::spawn) {
            recent.push(claim.await.expect("opened"));
        }
        recent.sort_unstable();
        assert_eq!(recent, [0, 0, 0, 3]);
    });
}

#[test]
fn users_are_made_shown_changed_and_removed() {
    on_each(async || {
        let world = World::new().await;
        let store = &world.store;
        let bob = NewUser {
            quota_bytes: Some(100),
            addresses: vec!["Bob@Example.org".to_owned(), "b@example.org".to_owned()],
            ..user("Bob")
        };
        let account = store.user_add(bob).await.expect("bob");
        assert_eq!(
            store.user_add(user("BOB")).await,
            Err(AdminError::UserExists("BOB".to_owned()))
        );
        let thief = NewUser {
            addresses: vec!["B@example.org".to_owned()],
            ..user("thief")
        };
        assert_eq!(
            store.user_add(thief).await,
            Err(AdminError::AddressInUse("B@example.org".to_owned()))
        );
        // Names and addresses are one space: login looks for names first, delivery for addresses.
        assert_eq!(
            store.user_add(user("b@EXAMPLE.org")).await,
            Err(AdminError::UserExists("b@EXAMPLE.org".to_owned()))
        );
        let shadow = NewUser {
            addresses: vec!["BOB".to_owned()],
            ..user("shadow")
        };
        assert_eq!(
            store.user_add(shadow).await,
            Err(AdminError::AddressInUse("BOB".to_owned()))
        );
        let own = NewUser {
            addresses: vec!["own@example.org".to_owned()],
            ..user("own@example.org")
        };
        assert!(store.user_add(own).await.is_ok());
        store.user_delete("own@example.org").await.expect("removed");
        assert!(matches!(
            store.user_add(user("")).await,
            Err(AdminError::Bad(_))
        ));
        let shown = store.user_show("bob").await.expect("asked").expect("bob");
        assert_eq!(
            (
                shown.name.as_str(),
                shown.quota,
                shown.mailboxes,
                shown.messages
            ),
            ("Bob", Some(100), 6, 0)
        );
        assert_eq!(shown.addresses.len(), 2);
        assert_eq!(store.user_list().await.expect("asked").len(), 2);
        for login in ["bob", "BOB@example.ORG", "b@example.org"] {
            let credential = store.credential(login).await.expect("asked").expect(login);
            assert_eq!(
                (credential.account, credential.password_hash.as_deref()),
                (account, Some("hash"))
            );
            assert!(!format!("{credential:?}").contains("hash"));
        }
        store.user_password("bob", "other").await.expect("changed");
        store.user_enable("bob", false).await.expect("disabled");
        let credential = store.credential("bob").await.expect("asked").expect("bob");
        assert_eq!(
            (credential.password_hash.as_deref(), credential.enabled),
            (Some("other"), false)
        );
        let resolve = Request::Resolve {
            address: "bob@example.org".to_owned(),
        };
        assert_eq!(
            world.ask(resolve.clone()).await,
            Ok(Answer::Resolved(Resolved::Disabled))
        );
        assert_eq!(
            store.user_enable("eve", true).await,
            Err(AdminError::NoSuchUser("eve".to_owned()))
        );
        store.user_delete("bob").await.expect("removed");
        assert_eq!(
            world.ask(resolve).await,
            Ok(Answer::Resolved(Resolved::Unknown))
        );
        assert_eq!(store.user_show("bob").await, Ok(None));
    });
}

#[test]
fn a_removed_user_leaves_no_row_and_others_keep_what_they_share() {
    on_each(async || {
        let world = World::new().await;
        world.store.user_add(user("bob")).await.expect("bob");
        let body = vec![b'x'; 20_000];
        let octets = [b"Subject: x\r\nReceived: x\r\n\r\n".to_vec(), body].concat();
        world.append(&octets).await;
        for n in 0..1_200u32 {
            let mut upload = world.store.upload();
            upload
                .write(format!("Subject: {n}\r\n\r\nx").into())
                .await
                .expect("taken");
            let bob = world
                .store
                .user_show("bob")
                .await
                .expect("asked")
                .expect("bob")
                .account;
            let append = Request::Append {
                account: bob,
                name: name("INBOX"),
                flags: Flags::default(),
                date: None,
                upload: dbmail_core::store::UploadId(1),
            };
            world
                .store
                .apply(append, Some(upload))
                .await
                .expect("appended");
            if n > 600 {
                break;
            }
        }
        world.store.user_delete("bob").await.expect("removed");
        for (table, rows) in [
            ("account", 1),
            ("mailbox", 6),
            ("mailbox_state", 6),
            ("message", 1),
            ("email", 1),
            ("content", 1),
            ("address", 1),
            ("quota_root", 1),
        ] {
            assert_eq!(world.count(table), rows, "{table}");
        }
        assert_eq!(
            world
                .fetch("INBOX", &everything(), FetchItems::default())
                .await
                .len(),
            1
        );
    });
}

#[test]
fn a_removal_that_broke_off_leaves_counters_and_quota_that_are_true() {
    on_each(async || {
        let world = World::new().await;
        for n in 0..5 {
            world
                .append(format!("Subject: {n}\r\n\r\nx").as_bytes())
                .await;
        }
        let inbox = world.status("INBOX").await.id;
        for _ in 0..7 {
            let double = Request::Copy {
                mailbox: inbox,
                uids: everything(),
                account: world.account,
                to: name("INBOX"),
            };
            world.ask(double).await.expect("copied");
        }
        let all = 5 << 7;
        assert_eq!(world.count("message"), all);
        {
            // Asked once, and never again: one transaction is run.
            let mut removal = Box::pin(world.store.user_delete("alice"));
            let asked = tokio::time::timeout(Duration::ZERO, &mut removal).await;
            assert!(asked.is_err(), "it was done at once");
            while world.count("message") == all {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let left = world.count("message");
        assert!(left > 0 && left < all, "{left}");
        let status = world.status("INBOX").await;
        assert_eq!(i64::from(status.messages), left);
        assert_eq!(i64::from(status.unseen), left);
        assert_eq!(status.bytes, u64::from(status.messages) * 15);
        assert_eq!(world.number("SELECT used_messages FROM quota_root"), left);
        assert_eq!(world.number("SELECT used_size FROM quota_root"), left * 15);
        world.store.user_delete("alice").await.expect("removed");
        assert_eq!(world.count("message"), 0);
    });
}
