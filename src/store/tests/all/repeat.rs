//! Deliveries that are repeated: how long they are recognised, and not at all where that is switched off.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dbmail_core::store::{Outcome, Timestamp};
use dbmail_store::Clock;

use super::world::{World, on_each};

/// With a `Received` field, as an MTA sends it.
const RECEIVED: &[u8] = b"Received: x\r\nSubject: a\r\n\r\n";
/// Without: by hand, or from a program that speaks LMTP itself.
const BARE: &[u8] = b"Subject: b\r\n\r\n";

/// A store that remembers deliveries for so many seconds, and its time in seconds.
async fn remembering(seconds: u64) -> (World, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(1_700_000_000));
    let told = Arc::clone(&time);
    let world = World::with(|mut settings| {
        settings.repeat_window_seconds = seconds;
        let now = move || Timestamp(told.load(Ordering::SeqCst) * 1_000_000);
        settings.clock = Clock::new(now);
        settings
    })
    .await;
    (world, time)
}

async fn repeats(world: &World, octets: &[u8]) -> bool {
    match world.deliver(octets, &["INBOX"]).await.remove(0) {
        Outcome::Stored { repeat, .. } => repeat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delivery_is_remembered_for_its_window_and_a_bare_one_for_the_shorter_of_two() {
    on_each(async || {
        for (window, bare) in [(7 * 24 * 3600, 600), (60, 60)] {
            let (world, time) = remembering(window).await;
            for (octets, window) in [(RECEIVED, window), (BARE, bare)] {
                assert!(!repeats(&world, octets).await);
                time.fetch_add(i64::try_from(window).expect("a time") - 1, Ordering::SeqCst);
                assert!(repeats(&world, octets).await);
                time.fetch_add(1, Ordering::SeqCst);
                assert!(!repeats(&world, octets).await);
            }
            assert_eq!(world.status("INBOX").await.messages, 4);
        }
    });
}

#[test]
fn where_it_is_switched_off_nothing_is_a_repeat() {
    on_each(async || {
        let (world, _) = remembering(0).await;
        let world = Arc::new(world);
        for octets in [RECEIVED, BARE] {
            assert!(!repeats(&world, octets).await);
            assert!(!repeats(&world, octets).await);
        }
        // Nor of those that are linked together.
        let send = |_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { repeats(&world, RECEIVED).await })
        };
        let tasks: Vec<_> = (0..12).map(send).collect();
        for task in tasks {
            assert!(!task.await.expect("a task"));
        }
        assert_eq!(world.status("INBOX").await.messages, 16);
    });
}
