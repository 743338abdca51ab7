//! SELECT from what a front-end knows, from the stored map and from the rows: the same answer (STORAGE 10).

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use dbmail_core::store::{
    Answer, FetchItems, FlagChange, Flags, Keyword, MailboxName, Message, Opened, Request,
    SystemFlags, UidSet,
};
use dbmail_store::{Settings, Store};

use super::world::{World, everything, flags, on_each};

/// Twelve messages in a store with these settings.
async fn world_of_twelve(change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(|mut settings| {
        change(&mut settings);
        settings
    })
    .await;
    for n in 0..12 {
        world
            .append(format!("Subject: {n}\r\n\r\n").as_bytes())
            .await;
    }
    world
}

/// Mailboxes of five are mapped.
async fn mapped_world() -> World {
    world_of_twelve(|settings| settings.map_messages = 5).await
}

/// Whatever flags can be taken from memory are.
async fn knowing_world() -> World {
    world_of_twelve(|settings| settings.known_messages = 1).await
}

async fn open(world: &World, store: &Store) -> Opened {
    let request = Request::Open {
        account: world.account,
        name: MailboxName::inbox(),
        claim_recent: false,
    };
    match store.apply(request, None).await.expect("open") {
        Answer::Opened(opened) => *opened,
        other => panic!("{other:?}"),
    }
}

async fn store_flags(world: &World, ranges: &[(u32, u32)], how: FlagChange, set: Flags) {
    let request = Request::Store {
        mailbox: world.status("INBOX").await.id,
        uids: UidSet::from_ranges(ranges.iter().map(|(low, high)| *low..=*high)),
        how,
        flags: set,
        unchanged_since: None,
    };
    world.ask(request).await.expect("store");
}

/// Flags, keywords, messages that come and go.
async fn change(world: &World) {
    store_flags(
        world,
        &[(2, 5), (9, 9)],
        FlagChange::Add,
        flags(SystemFlags::SEEN),
    )
    .await;
    store_flags(
        world,
        &[(4, 4)],
        FlagChange::Remove,
        flags(SystemFlags::SEEN),
    )
    .await;
    let work = Flags {
        keywords: [Keyword::new("Work").expect("a keyword")].into(),
        ..Flags::default()
    };
    store_flags(world, &[(1, 3)], FlagChange::Add, work).await;
    store_flags(
        world,
        &[(6, 7), (9, 9)],
        FlagChange::Add,
        flags(SystemFlags::DELETED),
    )
    .await;
    let request = Request::Expunge {
        mailbox: world.status("INBOX").await.id,
        uids: None,
    };
    world.ask(request).await.expect("expunge");
    world.append(b"Subject: later\r\n\r\n").await;
}

async fn map_written(world: &World) -> i64 {
    for _ in 0..500 {
        let pieces = world.count("mailbox_map");
        if pieces > 0 {
            return pieces;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no map was written");
}

/// How often mailboxes were opened from memory, map and rows.
fn ways(store: &Store) -> [u64; 3] {
    let counters = store.counters();
    [
        counters.opened_from_memory,
        counters.opened_from_map,
        counters.opened_from_rows,
    ]
}

#[test]
fn memory_map_and_rows_say_the_same() {
    on_each(async || {
        let world = mapped_world().await;
        let first = open(&world, &world.store).await;
        assert_eq!(ways(&world.store), [0, 0, 1]);
        assert_eq!(first.uids.len(), 12);
        map_written(&world).await;
        change(&world).await;

        let known = open(&world, &world.store).await;
        assert_eq!(ways(&world.store), [1, 0, 1]);
        let other = Store::open(world.settings.clone()).await.expect("a store");
        let mapped = open(&world, &other).await;
        assert_eq!(ways(&other), [0, 1, 0]);
        world.execute("DELETE FROM mailbox_map");
        let third = Store::open(world.settings.clone()).await.expect("a store");
        let read = open(&world, &third).await;
        assert_eq!(ways(&third), [0, 0, 1]);
        assert_eq!(known, read);
        assert_eq!(mapped, read);
        assert_eq!(read.uids, UidSet::from_ranges([1..=5, 8..=8, 10..=13]));
        assert_eq!(read.first_unseen.map(|uid| uid.number()), Some(1));
        assert_eq!(read.keywords.len(), 1);
        other.close().await;
        third.close().await;
    });
}

#[test]
fn a_map_that_is_wrong_or_of_another_time_is_not_believed() {
    on_each(async || {
        let world = mapped_world().await;
        let right = open(&world, &world.store).await;
        for wrong in [
            // A moment that is still to come, one that the log does not reach, and pieces of other UIDs.
            "UPDATE mailbox_map SET modseq = modseq + 5",
            "UPDATE mailbox_state SET log_from = modseq + 1",
            "UPDATE mailbox_map SET piece = piece + 1",
        ] {
            map_written(&world).await;
            world.execute(wrong);
            let store = Store::open(world.settings.clone()).await.expect("a store");
            let opened = open(&world, &store).await;
            assert_eq!(ways(&store), [0, 0, 1], "{wrong}");
            assert_eq!(opened, right, "{wrong}");
            // It is written again.
            store.close().await;
            world.execute("UPDATE mailbox_state SET log_from = 0");
            world.execute("DELETE FROM mailbox_map");
            let store = Store::open(world.settings.clone()).await.expect("a store");
            open(&world, &store).await;
            map_written(&world).await;
            store.close().await;
        }
    });
}

#[test]
fn a_front_end_that_lags_behind_the_log_reads_the_rows() {
    on_each(async || {
        let world = World::new().await;
        for n in 0..3 {
            world
                .append(format!("Subject: {n}\r\n\r\n").as_bytes())
                .await;
        }
        open(&world, &world.store).await;
        let known = ways(&world.store);
        change(&world).await;
        world.execute("UPDATE mailbox_state SET log_from = modseq");
        let opened = open(&world, &world.store).await;
        assert_eq!(ways(&world.store), [known[0], known[1], known[2] + 1]);
        // No map of a mailbox that is small.
        assert_eq!(world.count("mailbox_map"), 0);
        let again = open(&world, &world.store).await;
        assert_eq!(opened, again);
        assert_eq!(ways(&world.store), [known[0] + 1, known[1], known[2] + 1]);
    });
}

async fn flags_of(world: &World, store: &Store, uids: &UidSet) -> Vec<Message> {
    let request = Request::Fetch {
        mailbox: world.status("INBOX").await.id,
        uids: uids.clone(),
        items: FetchItems {
            flags: true,
            ..FetchItems::default()
        },
    };
    match store.apply(request, None).await.expect("fetch") {
        Answer::Messages(page) => page.messages,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_from_memory_and_from_rows_are_the_same() {
    on_each(async || {
        let world = knowing_world().await;
        let taken = || world.store.counters().flags_from_memory;
        open(&world, &world.store).await;
        let before = taken();
        change(&world).await;
        let answered = flags(SystemFlags::ANSWERED.with(SystemFlags::DRAFT));
        store_flags(&world, &[(3, 11)], FlagChange::Add, answered).await;
        store_flags(
            &world,
            &[(4, 8)],
            FlagChange::Replace,
            flags(SystemFlags::FLAGGED),
        )
        .await;
        let known = flags_of(&world, &world.store, &everything()).await;
        // Six times STORE, and FETCH.
        assert_eq!(taken() - before, 7);
        // Another front-end has opened nothing, so it reads the rows.
        let other = Store::open(world.settings.clone()).await.expect("a store");
        let read = flags_of(&world, &other, &everything()).await;
        assert_eq!(other.counters().flags_from_memory, 0);
        assert_eq!(known, read);
        assert_eq!(known.iter().filter(|message| !message.gone).count(), 10);
        // What the other changes is in the log.
        let request = Request::Store {
            mailbox: world.status("INBOX").await.id,
            uids: UidSet::from_ranges([1..=4]),
            how: FlagChange::Remove,
            flags: flags(SystemFlags::SEEN.with(SystemFlags::FLAGGED)),
            unchanged_since: None,
        };
        other.apply(request, None).await.expect("store");
        let known = flags_of(&world, &world.store, &everything()).await;
        assert_eq!(known, flags_of(&world, &other, &everything()).await);
        assert_eq!(taken() - before, 8);
        other.close().await;
    });
}

#[test]
fn memory_that_does_not_agree_with_the_counters_is_not_believed() {
    on_each(async || {
        for wrong in [
            "UPDATE mailbox_state SET deleted = deleted + 1",
            "UPDATE mailbox_state SET unseen = unseen - 1 WHERE unseen > 0",
            "UPDATE mailbox_state SET messages = messages + 1",
        ] {
            let world = knowing_world().await;
            open(&world, &world.store).await;
            world.execute(wrong);
            let before = world.store.counters().flags_from_memory;
            assert_eq!(
                flags_of(&world, &world.store, &everything()).await.len(),
                12
            );
            store_flags(
                &world,
                &[(2, 5)],
                FlagChange::Add,
                flags(SystemFlags::FLAGGED),
            )
            .await;
            assert_eq!(world.store.counters().flags_from_memory, before, "{wrong}");
        }
    });
}

#[test]
fn flags_of_a_known_mailbox_cost_one_statement() {
    on_each(async || {
        let world = knowing_world().await;
        let uids = UidSet::from_ranges([1..=12]);
        open(&world, &world.store).await;
        flags_of(&world, &world.store, &uids).await;
        let spent = || {
            let counters = world.store.counters();
            let fetch = counters.requests.iter().find(|r| r.name == "fetch");
            fetch.map_or(0, |request| request.statements)
        };
        let before = spent();
        flags_of(&world, &world.store, &uids).await;
        assert_eq!(spent() - before, 1);
    });
}
