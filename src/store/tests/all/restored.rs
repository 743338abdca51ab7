//! After an older state was restored, nothing that the lost state gave is given again.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt as _;

use dbmail_core::store::{AccountId, Answer, FetchItems, Request, Timestamp, UidValidity};
use dbmail_store::{AdminError, RestoredPlan, Store};
use dbmail_testcontainers::Kind;

use super::world::{World, everything, kind, name, on_each, user};

/// Before anything that a test does.
const LONG_AGO: Timestamp = Timestamp(0);
/// After everything that a test does: nobody was renewed since then.
const NEVER: Timestamp = Timestamp(i64::MAX);

async fn validities(store: &Store, account: AccountId) -> Vec<UidValidity> {
    match store.apply(Request::Mailboxes { account }, None).await {
        Ok(Answer::Mailboxes(mailboxes, _)) => mailboxes.iter().map(|m| m.validity).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_mailbox_gets_a_new_uidvalidity_beyond_the_present_second_and_keeps_its_mail() {
    on_each(async || {
        let world = World::new().await;
        let other = world.store.user_add(user("bob")).await.expect("a user");
        let uid = world.append(b"Subject: kept\r\n\r\n").await;
        let before = validities(&world.store, world.account).await;
        let plan = world.store.restored_plan(NEVER).await.expect("a plan");
        let boxes = 2 * before.len() as u64;
        assert_eq!((plan.users, plan.mailboxes, plan.done), (2, boxes, 0));
        let second = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock")
            .as_secs();
        let done = world.store.restored(NEVER).await.expect("renewed");
        assert_eq!(done, (boxes, 2));
        for account in [world.account, other] {
            let mut after = validities(&world.store, account).await;
            let beyond = |v: &UidValidity| u64::from(v.0) > second && !before.contains(v);
            assert!(after.iter().all(beyond), "{after:?} {second}");
            after.sort();
            after.dedup();
            assert_eq!(after.len(), before.len(), "no two the same");
        }
        let items = FetchItems::default();
        let kept = world.fetch("INBOX", &everything(), items).await;
        assert_eq!(kept.iter().map(|m| m.uid).collect::<Vec<_>>(), [uid]);
        let told = "v1_changes WHERE change_of = 'user' AND what = 'UIDVALIDITY renewed'";
        assert_eq!(world.count(told), 2 + done.0 as i64);
    });
}

#[test]
fn a_run_that_is_named_again_does_only_what_is_left() {
    on_each(async || {
        let world = World::new().await;
        world.store.restored(NEVER).await.expect("renewed");
        let once = validities(&world.store, world.account).await;
        world.store.user_add(user("bob")).await.expect("a user");
        let plan = world.store.restored_plan(LONG_AGO).await.expect("a plan");
        let RestoredPlan {
            users,
            mailboxes,
            done,
            ..
        } = plan;
        assert_eq!((users, mailboxes, done), (1, once.len() as u64, 1));
        let done = world.store.restored(LONG_AGO).await.expect("the rest");
        assert_eq!(done, (once.len() as u64, 1));
        assert_eq!(validities(&world.store, world.account).await, once);
        let nothing = world.store.restored(LONG_AGO).await;
        assert_eq!(nothing.expect("nothing"), (0, 0));
        // A run of its own renews again, beyond the one before, though the same second may not be over.
        world.store.restored(NEVER).await.expect("renewed");
        let again = validities(&world.store, world.account).await;
        assert!(again.iter().min() > once.iter().max());
    });
}

#[test]
fn ids_that_a_lost_state_gave_are_not_given_again() {
    on_each(async || {
        let world = World::new().await;
        world.append(b"Subject: one\r\n\r\n").await;
        let far = 1_i64 << 40;
        assert_eq!(world.count(&format!("email WHERE id >= {far}")), 0);
        world.store.restored(NEVER).await.expect("renewed");
        world.append(b"Subject: two\r\n\r\n").await;
        for table in ["email", "content"] {
            let beyond = world.count(&format!("{table} WHERE id >= {far}"));
            assert_eq!(beyond, 1, "{table}");
        }
        assert_eq!(world.count(&format!("id_block WHERE next_id < {far}")), 0);
        let mailbox = Request::Create {
            account: world.account,
            name: name("New"),
            special_use: None,
        };
        world.ask(mailbox).await.expect("created");
        assert!(world.status("New").await.id.0 >= far);
    });
}

#[test]
fn a_user_whose_uidvalidities_are_used_up_is_named() {
    on_each(async || {
        let world = World::new().await;
        world.execute("UPDATE account_state SET next_uidvalidity = 4294967290");
        let refused = world.store.restored(NEVER).await.expect_err("used up");
        let named = matches!(&refused, AdminError::Bad(why) if why.contains("alice"));
        assert!(named, "{refused}");
        assert_eq!(world.count("account_log WHERE kind = 11"), 0);
    });
}

#[tokio::test]
async fn a_uid_given_after_the_backup_names_no_other_message_after_the_restore() {
    assert_eq!(kind(), Kind::Sqlite);
    let mut world = World::new().await;
    world.append(b"Subject: in the backup\r\n\r\n").await;
    let backup = world.path().with_extension("backup");
    world.execute(&format!("VACUUM INTO '{}'", backup.display()));
    let lost = world.append(b"Subject: lost\r\n\r\n").await;
    let before = world.status("INBOX").await.validity;
    world.store.close().await;
    // What stands beside the file is of the lost state.
    for end in ["mail.db-wal", "mail.db-shm"] {
        let _ = std::fs::remove_file(world.path().with_file_name(end));
    }
    std::fs::rename(&backup, world.path()).expect("restored");
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(world.path(), own).expect("chmod");
    world.reopen().await;
    assert_eq!(world.status("INBOX").await.validity, before);
    world.store.restored(NEVER).await.expect("renewed");
    assert_eq!(world.append(b"Subject: another\r\n\r\n").await, lost);
    assert!(world.status("INBOX").await.validity > before);
}
