//! Front-ends on one database hear of each other's changes (STORAGE 11).

#![allow(clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use dbmail_core::store::{FlagChange, MailboxId, Request, SystemFlags, Timestamp};
use dbmail_store::{Clock, Settings, Store, Watch};
use dbmail_testcontainers::Kind;

use super::world::{World, everything, flags, kind, name, on_each};

/// Longer than anything here takes. Not a measure: who waits so long has failed.
const LONG: Duration = Duration::from_secs(60);
/// For so long a front-end that was opened asks about everything at each poll.
const NEW: Duration = Duration::from_secs(6);

/// Another front-end on the database, which is no new one any more.
async fn settled(world: &World, settings: Settings) -> Store {
    let store = Store::open(settings).await.expect("a store");
    if is_server() {
        let _watch = store.watch(world.status("INBOX").await.id);
        tokio::time::sleep(NEW).await;
    }
    store
}

fn is_server() -> bool {
    kind() != Kind::Sqlite
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the watch is told, within a time.
async fn is_told(watch: &mut Watch, within: Duration) -> bool {
    tokio::time::timeout(within, watch.changed()).await.is_ok()
}

/// A watch that has nothing to tell yet.
async fn quiet(store: &Store, mailbox: MailboxId) -> Watch {
    let mut watch = store.watch(mailbox);
    while is_told(&mut watch, Duration::from_millis(600)).await {}
    watch
}

async fn flag(store: &Store, mailbox: MailboxId, how: FlagChange) {
    let request = Request::Store {
        mailbox,
        uids: everything(),
        how,
        flags: flags(SystemFlags::FLAGGED),
        unchanged_since: None,
    };
    store.apply(request, None).await.expect("stored");
}

#[test]
fn two_front_ends_hear_each_other_and_not_what_they_do_not_watch() {
    on_each(async || {
        let world = World::new().await;
        let other = settled(&world, world.settings.clone()).await;
        let (inbox, drafts) = (
            world.status("INBOX").await.id,
            world.status("Drafts").await.id,
        );
        let mut there = quiet(&other, inbox).await;
        let mut elsewhere = quiet(&other, drafts).await;
        // What was told of the world being made may come late.
        let before = other.counters().news_heard;
        world.append(b"Subject: news\r\n\r\n").await;
        assert!(is_told(&mut there, LONG).await);
        if is_server() {
            assert_eq!(other.counters().news_heard - before, 1);
            assert!(!is_told(&mut elsewhere, Duration::from_millis(600)).await);
        }
        let mut here = quiet(&world.store, inbox).await;
        flag(&other, inbox, FlagChange::Add).await;
        assert!(is_told(&mut here, LONG).await);
        other.close().await;
    });
}

#[test]
fn a_front_end_that_closes_at_once_has_told_what_it_did() {
    on_each(async || {
        let world = World::new().await;
        world.append(b"Subject: news\r\n\r\n").await;
        let settings = Settings {
            // Only what is told can be heard in this test.
            news_sweep_milliseconds: u64::MAX,
            ..world.settings.clone()
        };
        let watcher = settled(&world, settings.clone()).await;
        let inbox = world.status("INBOX").await.id;
        let mut watch = quiet(&watcher, inbox).await;
        // As a command does.
        for how in [FlagChange::Add, FlagChange::Remove] {
            let command = Store::open(settings.clone()).await.expect("a store");
            flag(&command, inbox, how).await;
            command.close().await;
            assert_eq!(command.counters().news_told, u64::from(is_server()));
            assert!(is_told(&mut watch, LONG).await);
        }
        watcher.close().await;
    });
}

#[test]
fn what_a_front_end_that_died_did_not_tell_is_found_by_the_sweep() {
    on_each(async || {
        if !is_server() {
            // There the data version says so at once.
            return;
        }
        let world = World::with(|settings| Settings {
            news_sweep_milliseconds: 100,
            ..settings
        })
        .await;
        let store = settled(&world, world.settings.clone()).await;
        let inbox = world.status("INBOX").await.id;
        let mut watch = quiet(&store, inbox).await;
        // A commit without news.
        let id = inbox.0;
        world.execute(&format!(
            "UPDATE mailbox_state SET modseq = modseq + 1 WHERE mailbox = {id}"
        ));
        assert!(is_told(&mut watch, LONG).await);
        assert_eq!(store.counters().news_heard, 0);
        store.close().await;
    });
}

#[test]
fn a_burst_of_changes_makes_few_rows_and_none_where_nobody_is() {
    on_each(async || {
        let world = World::new().await;
        world.append(b"Subject: news\r\n\r\n").await;
        let inbox = world.status("INBOX").await.id;
        if is_server() {
            // Looks whether anybody is there once before, and again after its two seconds.
            assert_eq!(world.count("news"), 0);
        }
        let other = settled(&world, world.settings.clone()).await;
        let _watch = other.watch(inbox);
        let begun = Instant::now();
        for _ in 0..50 {
            flag(&world.store, inbox, FlagChange::Add).await;
            flag(&world.store, inbox, FlagChange::Remove).await;
        }
        if !is_server() {
            assert_eq!(world.count("news"), 0);
            return;
        }
        let told = |store: &Store| store.counters().news_told;
        until("the burst is told", || {
            let heard = other.counters().news_heard;
            heard > 0 && heard == told(&world.store)
        })
        .await;
        // One row each 20 ms at most, and the first at once.
        let most = begun.elapsed().as_millis() / 20 + 1;
        assert!(u128::from(told(&world.store)) <= most);
        assert_eq!(world.count("news"), told(&world.store) as i64);
        other.close().await;
        assert_eq!(other.counters().news_told, 0, "who hears tells nothing");
    });
}

#[test]
fn changes_of_an_account_are_told_too() {
    on_each(async || {
        if !is_server() {
            return;
        }
        let world = World::new().await;
        let other = settled(&world, world.settings.clone()).await;
        let _watch = other.watch(world.status("INBOX").await.id);
        let (account, name) = (world.account, name("Drafts"));
        let request = Request::Subscribe {
            account,
            name,
            subscribed: false,
        };
        world.ask(request).await.expect("no more subscribed");
        until("the account is told", || other.counters().news_heard == 1).await;
        other.close().await;
    });
}

#[test]
fn the_row_of_a_front_end_that_goes_stays_until_its_news_were_read() {
    on_each(async || {
        if !is_server() {
            return;
        }
        let later = Arc::new(AtomicI64::new(0));
        let (clock, added) = (Clock::system(), Arc::clone(&later));
        let clock = Clock::new(move || Timestamp(clock.now().0 + added.load(Ordering::Relaxed)));
        let world = World::with(|settings| Settings { clock, ..settings }).await;
        world.append(b"Subject: news\r\n\r\n").await;
        let watcher = settled(&world, world.settings.clone()).await;
        let inbox = world.status("INBOX").await.id;
        let gone = Store::open(world.settings.clone()).await.expect("a store");
        flag(&gone, inbox, FlagChange::Add).await;
        gone.close().await;
        // It is not there any more, and what it told is.
        let plan = watcher.restored_plan(Timestamp(0)).await.expect("a plan");
        assert_eq!((plan.front_ends, world.count("front_end")), (1, 3));
        assert_eq!(world.count("news"), 1);
        let sweeping = Settings {
            background_seconds: 1,
            ..world.settings.clone()
        };
        let sweeper = Store::open(sweeping).await.expect("a store");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(world.count("news"), 1);
        // A minute later. Those that live are far from the end of their leases.
        later.store(61_000_000, Ordering::Relaxed);
        let begun = Instant::now();
        while world.count("news") > 0 || world.count("front_end") != 3 {
            assert!(begun.elapsed() < LONG, "the row stays");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sweeper.close().await;
        watcher.close().await;
        world.store.close().await;
        // Who told nothing leaves nothing.
        assert_eq!(world.count("front_end"), 0);
    });
}
