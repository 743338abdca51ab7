//! Purging and undelete beside deliveries, changes and one another.

use super::*;

#[test]
fn what_several_remove_the_last_references_to_is_left_by_none() {
    on_each(async || {
        let aging = Arc::new(Aging::new().await);
        let world = &aging.world;
        let bob = world.store.user_add(user("bob")).await.expect("bob");
        for round in 0..12 {
            // One content with an email in each of several mailboxes, and an email that two have.
            let boxes = ["INBOX", "Sent", "Drafts", "Archive"];
            for n in 0..6 {
                let text = format!("{round} {n}");
                world.deliver(&letter(&text), &boxes).await;
                let request = Request::Deliver {
                    upload: UploadId(1),
                    reverse_path: Bytes::new(),
                    received: Timestamp(0),
                    recipients: vec![recipient(bob, "INBOX"), recipient(world.account, "Junk")],
                };
                let mut upload = world.store.upload();
                let octets = letter(&format!("both {text}"));
                upload.write(octets.into()).await.expect("taken");
                let done = world.store.apply(request, Some(upload)).await;
                done.expect("delivered");
            }
            for mailbox in boxes {
                let copy = Request::Copy {
                    mailbox: world.status(mailbox).await.id,
                    uids: everything(),
                    account: world.account,
                    to: name("Trash"),
                };
                world.ask(copy).await.expect("copied");
            }
            for mailbox in boxes.iter().chain(&["Trash", "Junk"]) {
                aging.expunge(mailbox, everything()).await;
            }
            if round == 6 {
                aging.wait(2 * HOUR);
                // A user goes at the same time.
                let (purge, delete) = tokio::join!(
                    world.store.purge(all_of_all(), |_| {}),
                    world.store.user_delete("bob")
                );
                purge.expect("purged");
                delete.expect("deleted");
            } else if round > 6 {
                aging.wait(2 * HOUR);
                let purge = |_| {
                    let store = world.store.clone();
                    tokio::spawn(async move { store.purge(all_of_all(), |_| {}).await })
                };
                let tasks: Vec<_> = (0..4).map(purge).collect();
                for task in tasks {
                    task.await.expect("a task").expect("purged");
                }
            }
        }
        aging.purge().await;
        for table in ["message", "message_gone", "email", "content", "segment"] {
            assert_eq!(world.count(table), 0, "{table}");
        }
    });
}

fn recipient(account: AccountId, mailbox: &str) -> Recipient {
    Recipient {
        account,
        address: Bytes::from(format!("{}@{mailbox}", account.0)),
        mailbox: name(mailbox),
        flags: Flags::default(),
        prefix: Bytes::from_static(b"Delivered-To: x\r\n"),
    }
}

// --- beside everything else ----------------------------------------------------------------

/// UIDs that were given, by mailbox.
type Given = BTreeMap<MailboxId, Vec<Uid>>;

/// Rounds of each task.
const ROUNDS: usize = 30;

/// What a task does beside purging: brings, copies, moves, expunges, deletes mailboxes, brings back.
async fn churn(aging: Arc<Aging>, task: usize) -> Given {
    let world = &aging.world;
    let account = world.account;
    let inbox = world.status("INBOX").await.id;
    let mut given = Given::new();
    let boxed = format!("box{task}");
    for round in 0..ROUNDS {
        let text = format!("{task} {round}");
        let octets = if round % 2 == 0 {
            letter(&text)
        } else {
            // Bodies come again, by other tasks and after days.
            long_letter(&text, (round + task) % 5)
        };
        for outcome in world.deliver(&octets, &["INBOX", "Archive"]).await {
            match outcome {
                Outcome::Stored { mailbox, uid, .. } => given.entry(mailbox).or_default().push(uid),
                other => panic!("{other:?}"),
            }
        }
        let low = u32::try_from(round * 3 + 1).expect("small");
        let some = UidSet::from_ranges([low..=low + 9]);
        let to = ["Sent", "Trash", "INBOX"][(round + task) % 3];
        let target = world.status(to).await.id;
        let request = if (round + task).is_multiple_of(2) {
            Request::Copy {
                mailbox: inbox,
                uids: some.clone(),
                account,
                to: name(to),
            }
        } else {
            Request::Move {
                mailbox: inbox,
                uids: some.clone(),
                account,
                to: name(to),
            }
        };
        match world.ask(request).await.expect("copied") {
            Answer::Copied(copied) => given.entry(target).or_default().extend(copied.to.iter()),
            other => panic!("{other:?}"),
        }
        let emptied = ["INBOX", "Sent", "Archive", "Trash"][(round + task) % 4];
        aging.expunge(emptied, some).await;
        if round % 3 == 0 {
            let made = aging.create(&boxed).await;
            let copy = Request::Copy {
                mailbox: inbox,
                uids: everything(),
                account,
                to: name(&boxed),
            };
            world.ask(copy).await.expect("copied");
            aging.delete(&boxed).await;
            if round % 2 == 0 {
                let all = everything();
                let back = world.store.undelete(account, made, all, None).await;
                match back {
                    Ok(Some(back)) => {
                        given
                            .entry(back.mailbox)
                            .or_default()
                            .extend(back.to.iter());
                        aging.delete(&boxed).await;
                    }
                    // It was purged already.
                    Ok(None) | Err(Refusal::NoSuchMailbox) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        for mailbox in [emptied, "INBOX"] {
            let from = world.status(mailbox).await.id;
            let some = UidSet::from_ranges([low..=low + 3, 40..=60]);
            let back = aging.undelete(from, some).await.expect("no refusal");
            given.entry(from).or_default().extend(back.iter());
        }
    }
    given
}

#[test]
fn purging_beside_everything_else_loses_nothing_and_leaves_nothing() {
    on_each(async || {
        let aging = Arc::new(Aging::new().await);
        let world = &aging.world;
        let stop = Arc::new(AtomicBool::new(false));
        let mut purgers = Vec::new();
        for _ in 0..2 {
            let (store, stop) = (world.store.clone(), Arc::clone(&stop));
            purgers.push(tokio::spawn(async move {
                let mut messages = 0;
                while !stop.load(Ordering::SeqCst) {
                    let done = store.purge(all_of_all(), |_| {}).await;
                    messages += done.expect("purged").messages;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                messages
            }));
        }
        let clock = {
            let (aging, stop) = (Arc::clone(&aging), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    aging.wait(HOUR);
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
            })
        };
        let tasks: Vec<_> = (0..4)
            .map(|task| tokio::spawn(churn(Arc::clone(&aging), task)))
            .collect();
        let mut given = Given::new();
        for task in tasks {
            for (mailbox, uids) in task.await.expect("a task") {
                assert!(uids.is_sorted(), "UIDs go back in {mailbox:?}");
                given.entry(mailbox).or_default().extend(uids);
            }
        }
        stop.store(true, Ordering::SeqCst);
        clock.await.expect("the clock");
        let mut purged = 0;
        for purger in purgers {
            purged += purger.await.expect("a purger");
        }
        assert!(purged > 0, "nothing was purged meanwhile");
        for (mailbox, mut uids) in given {
            let count = uids.len();
            uids.sort_unstable();
            uids.dedup();
            assert_eq!(uids.len(), count, "a UID was given twice in {mailbox:?}");
        }
        consistent(&aging).await;
        // When nobody has anything any more, nothing is left.
        for mailbox in ["INBOX", "Archive", "Sent", "Trash"] {
            aging.expunge(mailbox, everything()).await;
        }
        aging.wait(3 * DAY);
        aging.purge().await;
        for table in [
            "message",
            "message_gone",
            "message_keyword",
            "email",
            "content",
            "segment",
            "part",
            "part_chunk",
            "change_log",
        ] {
            assert_eq!(world.count(table), 0, "{table}");
        }
        assert_eq!(world.count("mailbox WHERE deleted_at IS NOT NULL"), 0);
    });
}

/// What must hold at every moment.
async fn consistent(aging: &Aging) {
    let world = &aging.world;
    for nothing in [
        "email e WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.email = e.id)
         AND NOT EXISTS (SELECT 1 FROM message_gone g WHERE g.email = e.id)",
        "content c WHERE NOT EXISTS (SELECT 1 FROM email e WHERE e.content = c.id)",
        "message m WHERE NOT EXISTS (SELECT 1 FROM email e WHERE e.id = m.email)",
        "message_gone m WHERE NOT EXISTS (SELECT 1 FROM email e WHERE e.id = m.email)",
        "segment s WHERE s.part IS NOT NULL AND NOT EXISTS (SELECT 1 FROM part_chunk c WHERE c.part = s.part)",
        "message m JOIN message_gone g ON g.mailbox = m.mailbox AND g.msg_uid = m.msg_uid",
        "message_keyword k WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.mailbox = k.mailbox AND m.msg_uid = k.msg_uid)
         AND NOT EXISTS (SELECT 1 FROM message_gone g WHERE g.mailbox = k.mailbox AND g.msg_uid = k.msg_uid)",
        "mailbox_state s WHERE s.messages <> (SELECT count(*) FROM message m WHERE m.mailbox = s.mailbox)",
        "mailbox_state s WHERE s.total_size <> (SELECT coalesce(sum(m.msg_size), 0) FROM message m WHERE m.mailbox = s.mailbox)",
        "change_log l JOIN mailbox_state s ON s.mailbox = l.mailbox WHERE l.modseq <= s.log_from OR l.modseq > s.modseq",
        "mailbox_state s WHERE s.log_from > s.modseq",
        "message m JOIN mailbox_state s ON s.mailbox = m.mailbox WHERE m.modseq > s.modseq OR m.msg_uid >= s.next_uid",
        "quota_root q WHERE q.used_messages <> (SELECT count(*) FROM message)",
    ] {
        assert_eq!(world.count(nothing), 0, "{nothing}");
    }
    // Every message that is there has its octets.
    let items = FetchItems {
        content: true,
        ..FetchItems::default()
    };
    for mailbox in ["INBOX", "Archive", "Sent", "Trash"] {
        for message in world.fetch(mailbox, &everything(), items).await {
            let octets = message.octets.expect("octets");
            assert_eq!(octets.len() as u64, message.content_size);
            assert!(octets.starts_with(b"Received: x\r\nSubject: "));
        }
    }
}

// --- what it costs -------------------------------------------------------------------------
