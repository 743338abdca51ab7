//! A check beside what others do: no false alarm, and repairs that lose nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dbmail_core::store::{
    FlagChange, Flags, Keyword, Refusal, Request, SystemFlags, Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{Check, Clock, NewUser, Purge, Retention, Settings};

use super::{assert_clean, checked};
use crate::world::{World, name, on_each};

/// How long others work beside the check.
const TIME: Duration = Duration::from_secs(4);

/// Octets of a message, some with a part.
fn octets(worker: u64, n: u64) -> Vec<u8> {
    let mut octets = format!("Received: x\r\nSubject: {worker} {n}\r\n\r\n").into_bytes();
    let lines = if n.is_multiple_of(5) { 1_500 } else { 2 };
    for line in 0..lines {
        octets.extend(format!("line {line} of {}\r\n", n % 3).bytes());
    }
    octets
}

/// Delivers, flags, copies, moves and expunges until it is told to stop.
async fn work(world: Arc<World>, worker: u64, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let own = format!("own{worker}");
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        world.deliver(&octets(worker, n), &["INBOX", "Sent"]).await;
        let inbox = world.status("INBOX").await;
        let last = inbox
            .uid_next
            .map_or(1, Uid::number)
            .saturating_sub(3)
            .max(1);
        let uids = UidSet::from_ranges([last..=last + 1]);
        let flags = Flags {
            system: SystemFlags::SEEN.with(SystemFlags::DELETED),
            keywords: [Keyword::new(&format!("k{}", n % 4)).expect("a keyword")].into(),
        };
        let account = world.account;
        let requests = [
            Request::Store {
                mailbox: inbox.id,
                uids: uids.clone(),
                how: FlagChange::Add,
                flags,
                unchanged_since: None,
            },
            Request::Create {
                account,
                name: name(&own),
                special_use: None,
            },
            Request::Copy {
                mailbox: inbox.id,
                uids: UidSet::from_ranges([1..=last]),
                account,
                to: name(&own),
            },
            Request::Move {
                mailbox: inbox.id,
                uids: UidSet::from_ranges([last..=last]),
                account,
                to: name("Trash"),
            },
            Request::Expunge {
                mailbox: inbox.id,
                uids: None,
            },
            Request::Delete {
                account,
                name: name(&own),
            },
        ];
        for request in requests {
            match world.ask(request).await {
                Ok(_) | Err(Refusal::NoSuchMailbox | Refusal::AlreadyExists) => {}
                Err(refusal) => panic!("{refusal}"),
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        let back = world.store.undelete(account, inbox.id, uids, None).await;
        back.expect("an undelete");
    }
}

/// A clock on which a second is two days: what is gone and logged is soon past its time.
fn fast() -> Clock {
    const FASTER: i64 = 2 * 24 * 3_600;
    let begun = Instant::now();
    Clock::new(move || {
        let micros = i64::try_from(begun.elapsed().as_micros()).expect("a short test");
        Timestamp(1_700_000_000_000_000 + micros * FASTER)
    })
}

/// Purges what is past its time until it is told to stop; how many messages went.
async fn purge(world: Arc<World>, stop: Arc<AtomicBool>) -> u64 {
    let what = Purge {
        account: None,
        retention: Retention {
            deleted_seconds: 0,
            log_seconds: 0,
        },
    };
    let mut messages = 0;
    while !stop.load(Ordering::Relaxed) {
        let purged = world.store.purge(what, |_| ()).await.expect("purged");
        messages += purged.messages;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    messages
}

/// Users come, get mail, and go with all that is theirs.
async fn guests(world: Arc<World>, stop: Arc<AtomicBool>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let user = NewUser {
            name: format!("guest{n}"),
            password_hash: None,
            addresses: vec![],
            quota_bytes: None,
        };
        let guest = world.store.user_add(user).await.expect("a user");
        for letter in 0..5 {
            let mut upload = world.store.upload();
            let octets = octets(99, n * 10 + letter);
            upload.write(octets.into()).await.expect("taken");
            let request = Request::Append {
                account: guest,
                name: name("INBOX"),
                flags: Flags::default(),
                date: None,
                upload: UploadId(1),
            };
            world
                .store
                .apply(request, Some(upload))
                .await
                .expect("appended");
        }
        let name = format!("guest{n}");
        world.store.user_delete(&name).await.expect("removed");
    }
}

#[test]
fn beside_deliveries_moves_expunges_purges_and_users_that_go_no_fault_is_told() {
    on_each(async || {
        let clock = fast();
        let world = World::with(|settings| Settings { clock, ..settings }).await;
        let world = Arc::new(world);
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut tasks = Vec::new();
        for worker in 0..3 {
            let (world, stop, done) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&done));
            tasks.push(tokio::spawn(work(world, worker, stop, done)));
        }
        tasks.push(tokio::spawn(guests(Arc::clone(&world), Arc::clone(&stop))));
        let purging = tokio::spawn(purge(Arc::clone(&world), Arc::clone(&stop)));
        let (begun, mut checks) = (Instant::now(), 0);
        while begun.elapsed() < TIME {
            for quick in [false, true] {
                let what = Check { user: None, quick };
                let (_, faults) = checked(&world.store, &what).await;
                assert_eq!(faults, vec![], "check {checks}");
                checks += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("a task");
        }
        let (done, purged) = (done.load(Ordering::Relaxed), purging.await.expect("a task"));
        eprintln!("{checks} checks beside {done} requests, {purged} messages purged");
        assert!(checks >= 2 && done > 20, "{checks} checks, {done} requests");
        assert!(purged > 0);
        assert_clean(&world.store, "at rest").await;
    });
}

#[test]
fn counters_and_quotas_are_set_right_beside_deliveries() {
    on_each(async || {
        let world = Arc::new(World::new().await);
        world.append(b"Subject: first\r\n\r\n").await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut tasks = Vec::new();
        for worker in 0..2 {
            let (world, stop, done) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&done));
            tasks.push(tokio::spawn(work(world, worker, stop, done)));
        }
        let inbox = world.status("INBOX").await.id.0;
        for _ in 0..3 {
            world.execute(&format!(
                "UPDATE mailbox_state SET messages = messages + 5, total_size = total_size + 100 WHERE mailbox = {inbox}"
            ));
            world.execute("UPDATE quota_root SET used_size = used_size + 11");
            let (found, _) = checked(&world.store, &Check::default()).await;
            assert!(found.faults() >= 2);
            let mended = world.store.repair(&found.plan, &mut |_| ()).await;
            assert!(mended.expect("mended") >= 2);
            let (_, faults) = checked(&world.store, &Check::default()).await;
            assert_eq!(faults, vec![]);
        }
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("a task");
        }
        assert_clean(&world.store, "at rest").await;
    });
}
