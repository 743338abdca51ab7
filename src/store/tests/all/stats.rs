//! `Store::stats` adds up what is there.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use dbmail_core::store::{FlagChange, Flags, Request, SystemFlags, UidSet};
use dbmail_store::Stats;
use dbmail_testcontainers::Kind;

use super::world::{World, everything, kind, name, on_each, user};

/// A message whose body is a part of so many octets, which shrinks.
fn letter(number: u32, octets: usize) -> Vec<u8> {
    let mut letter = format!("Received: x\r\nSubject: {number}\r\n\r\n").into_bytes();
    letter.extend(b"0123456789abcde\n".repeat(octets / 16));
    letter
}

async fn stats(world: &World) -> Stats {
    let stats = world.store.stats().await.expect("stats");
    assert!(stats.database_octets() > stats.stored_octets() / 2);
    let added =
        stats.seen_octets() - stats.saved_by_sharing_messages() - stats.saved_by_sharing_parts
            + stats.unused_octets()
            - stats.saved_by_packing()
            + stats.tree_octets;
    assert_eq!(added, stats.stored_octets(), "{stats:?}");
    stats
}

#[test]
fn what_is_there_is_counted_and_what_sharing_and_packing_save_is_told() {
    on_each(async || {
        let world = World::new().await;
        let empty = stats(&world).await;
        assert_eq!((empty.users, empty.addresses, empty.mailboxes), (1, 1, 6));
        assert_eq!((empty.messages, empty.stored_octets()), (0, 0));
        if kind() == Kind::Sqlite {
            assert!(empty.file_octets.expect("a file") > 100_000 && empty.tables.is_empty());
            assert!(empty.file_free_octets.is_some());
        } else {
            let names: Vec<&str> = empty.tables.iter().map(|t| &*t.name).collect();
            assert!(
                names.contains(&"part_chunk") && names.contains(&"message"),
                "{names:?}"
            );
        }
        // One part in two messages, the first of them in two mailboxes by one delivery.
        let (first, second) = (letter(1, 32_000), letter(2, 32_000));
        world.deliver(&first, &["INBOX", "Sent"]).await;
        world.append(&second).await;
        let prefix = "Return-Path: <>\r\n".len() as u64;
        let (a, b) = (first.len() as u64, second.len() as u64);
        let now = stats(&world).await;
        assert_eq!((now.messages, now.gone), (3, 0));
        assert_eq!(now.message_octets, 2 * (a + prefix) + b);
        assert_eq!((now.emails, now.contents), (3, 2));
        assert_eq!(now.content_octets, a + b);
        assert_eq!(now.prefix_octets, 2 * prefix);
        assert_eq!(now.saved_by_sharing_messages(), a);
        assert_eq!((now.parts, now.part_uses, now.parts_shared), (1, 2, 1));
        assert_eq!(
            (now.part_octets, now.saved_by_sharing_parts),
            (32_000, 32_000)
        );
        assert!(now.saved_by_packing() > 25_000, "{now:?}");
        assert_eq!(now.header_octets, a + b - 64_000);
        // A copy shares all of it; what is expunged is gone, and kept.
        let inbox = world.status("INBOX").await.id;
        let requests = [
            Request::Copy {
                mailbox: inbox,
                uids: UidSet::from_ranges([2..=2]),
                account: world.account,
                to: name("Archive"),
            },
            Request::Store {
                mailbox: inbox,
                uids: everything(),
                how: FlagChange::Add,
                flags: Flags {
                    system: SystemFlags::DELETED,
                    ..Flags::default()
                },
                unchanged_since: None,
            },
            Request::Expunge {
                mailbox: inbox,
                uids: None,
            },
        ];
        for request in requests {
            world.ask(request).await.expect("done");
        }
        let now = stats(&world).await;
        assert_eq!((now.messages, now.gone), (2, 2));
        assert_eq!(now.gone_octets, a + prefix + b);
        assert_eq!((now.emails, now.saved_by_sharing_messages()), (3, a + b));
        let delete = Request::Delete {
            account: world.account,
            name: name("Sent"),
        };
        world.ask(delete).await.expect("deleted");
        world.store.user_add(user("bob")).await.expect("bob");
        world
            .store
            .user_enable("bob", false)
            .await
            .expect("disabled");
        let now = stats(&world).await;
        assert_eq!((now.users, now.users_disabled, now.addresses), (2, 1, 2));
        assert_eq!((now.mailboxes, now.mailboxes_deleted), (11, 1));
        // When nobody has it any more, it waits for the collector.
        world.store.user_delete("alice").await.expect("removed");
        let now = stats(&world).await;
        assert_eq!((now.parts, now.unused_octets()), (1, 32_000));
        assert_eq!((now.contents, now.messages, now.gone), (0, 0, 0));
    });
}

#[test]
fn what_packing_saves_is_told_of_what_is_no_part_too() {
    on_each(async || {
        let world = World::new().await;
        world.append(&letter(1, 10_000)).await;
        let now = stats(&world).await;
        assert_eq!((now.parts, now.segment_octets_arrived), (0, 10_000));
        let saved = now.saved_by_packing();
        assert!((8_000..10_000).contains(&saved), "{saved}");
    });
}
