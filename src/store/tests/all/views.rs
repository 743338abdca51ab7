//! The views for reporting (migration 2), and the way to them from the release before.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use dbmail_core::store::{FlagChange, Flags, Keyword, Request, SystemFlags, Uid, UidSet};
use dbmail_store::{OpenError, Store};
use dbmail_testcontainers::Kind;

use super::world::{World, kind, name, on_each};

/// A message with an attachment that is stored as a part.
fn with_attachment() -> Vec<u8> {
    let mut octets = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsee\r\n--x\r\n\
        Content-Type: application/pdf\r\n\r\n"
        .to_vec();
    for line in 0..2_000 {
        octets.extend(format!("a line of the attachment, number {line}\r\n").into_bytes());
    }
    octets.extend(b"--x--\r\n");
    octets
}

async fn store(world: &World, uid: Uid, flags: Flags) {
    let request = Request::Store {
        mailbox: world.status("INBOX").await.id,
        uids: UidSet::range(uid, uid),
        how: FlagChange::Add,
        flags,
        unchanged_since: None,
    };
    world.ask(request).await.expect("stored");
}

/// Mail with flags and a part, a keyword, something expunged, a mailbox made and deleted.
async fn busy() -> World {
    let world = World::new().await;
    let account = world.account;
    let create = Request::Create {
        account,
        name: name("Old"),
        special_use: None,
    };
    world.ask(create).await.expect("created");
    let delete = Request::Delete {
        account,
        name: name("Old"),
    };
    world.ask(delete).await.expect("deleted");
    let first = world.append(&with_attachment()).await;
    world.append(&with_attachment()).await;
    let third = world.append(b"Subject: third\r\n\r\n").await;
    let seen_and_draft = Flags {
        system: SystemFlags::SEEN.with(SystemFlags::DRAFT),
        keywords: [Keyword::new("Work").expect("a keyword")].into(),
    };
    store(&world, first, seen_and_draft).await;
    let deleted = Flags {
        system: SystemFlags::DELETED,
        ..Flags::default()
    };
    store(&world, third, deleted).await;
    let marked =
        "v1_mailboxes WHERE mailbox_name = 'INBOX' AND messages = 3 AND marked_deleted = 1";
    assert_eq!(world.count(marked), 1);
    let expunge = Request::Expunge {
        mailbox: world.status("INBOX").await.id,
        uids: None,
    };
    world.ask(expunge).await.expect("expunged");
    world
}

#[test]
fn the_views_tell_what_was_done() {
    on_each(async || {
        let world = busy().await;
        for (from, rows) in [
            (
                "v1_mailboxes WHERE user_name = 'alice' AND user_enabled = 1",
                6,
            ),
            (
                "v1_mailboxes WHERE mailbox_name = 'Junk' AND for_junk = 1 AND for_sent = 0",
                1,
            ),
            ("v1_mailboxes WHERE mailbox_name = 'Old'", 0),
            (
                "v1_messages WHERE mailbox_name = 'INBOX' AND user_name = 'alice'",
                2,
            ),
            (
                "v1_messages WHERE seen = 1 AND draft = 1 AND answered + flagged + deleted = 0",
                1,
            ),
            ("v1_messages WHERE msg_uid = 2 AND seen + draft = 0", 1),
            (
                "v1_messages WHERE internal_date IS NULL OR saved_date IS NULL",
                0,
            ),
            (
                "(SELECT DISTINCT part_id FROM v1_parts WHERE finished = 1) x",
                1,
            ),
            (
                "v1_parts WHERE user_name = 'alice' AND part_size > 50000 AND packed_size < part_size",
                2,
            ),
            (
                "v1_addresses WHERE address = 'alice@example.org' AND user_name = 'alice' AND enabled = 1",
                1,
            ),
            (
                "v1_changes WHERE change_of = 'user' AND what = 'mailbox deleted' AND mailbox_name = 'Old'",
                1,
            ),
            (
                "v1_changes WHERE what = 'messages arrived' AND mailbox_name = 'INBOX'",
                3,
            ),
            (
                "v1_changes WHERE what = 'flags changed' AND flags_set = 'Seen Draft' AND flags_cleared IS NULL",
                1,
            ),
            (
                "v1_changes WHERE what = 'flags changed' AND flags_set = 'Deleted' AND every_uid = 1",
                1,
            ),
            (
                "v1_changes WHERE what = 'keyword set' AND keyword = 'Work'",
                1,
            ),
            (
                "v1_changes WHERE what = 'messages gone' AND low_uid = 3 AND high_uid = 3",
                1,
            ),
            (
                "v1_changes WHERE what = 'something newer' OR done_date IS NULL",
                0,
            ),
        ] {
            assert_eq!(world.count(from), rows, "{from} on {}", kind().name());
        }
    });
}

#[test]
fn a_time_in_a_view_is_the_time_in_the_table() {
    on_each(async || {
        let world = World::new().await;
        world.deliver(b"Received: x\r\n\r\n", &["INBOX"]).await;
        // As `deliver` has it: 1700000000 seconds and no microsecond.
        let shown = match kind() {
            Kind::Sqlite => "internal_date = '2023-11-14 22:13:20.000'",
            Kind::Postgres => "internal_date = TIMESTAMPTZ '2023-11-14 22:13:20+00'",
            Kind::MariaDb | Kind::MySql => "internal_date = TIMESTAMP '2023-11-14 22:13:20'",
        };
        let from = format!("v1_messages WHERE internal_us = 1700000000000000 AND {shown}");
        assert_eq!(world.count(&from), 1, "on {}", kind().name());
    });
}

#[test]
fn a_database_of_the_release_before_is_brought_up_to_date() {
    on_each(async || {
        let world = World::new().await;
        world.append(b"Subject: kept\r\n\r\n").await;
        world.store.close().await;
        for view in ["changes", "addresses", "parts", "messages", "mailboxes"] {
            world.execute(&format!("DROP VIEW v1_{view}"));
        }
        if kind() != Kind::Sqlite {
            for name in ["mailbox", "email"] {
                world.execute(&format!(
                    "ALTER TABLE message_gone ADD CONSTRAINT fk_message_gone_{name} FOREIGN KEY ({name}) REFERENCES {name} (id)"
                ));
            }
        }
        if kind() != Kind::Sqlite {
            world.execute("ALTER TABLE part_chunk DROP CONSTRAINT ck_part_chunk_tail");
        }
        world.execute("ALTER TABLE part_chunk DROP COLUMN tail");
        world.execute("DELETE FROM schema_version WHERE version >= 2");
        let refused = Store::open(world.settings.clone()).await.expect_err("old");
        assert_eq!(refused, OpenError::TooOld { have: 1, want: 5 });
        let applied = Store::migrate(&world.settings, false).await.expect("new");
        let names: Vec<_> = applied.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "0002_views.sql",
                "0003_gone.sql",
                "0004_tail.sql",
                "0005_room.sql"
            ]
        );
        let store = Store::open(world.settings.clone()).await.expect("open");
        store.close().await;
        assert_eq!(world.count("v1_messages"), 1);
    });
}

#[test]
fn each_sample_query_of_the_documentation_is_one_that_each_database_answers() {
    let page = include_str!("../../../../docs/operate/reporting.md");
    let blocks = page.split("```sql\n").skip(1);
    let blocks: Vec<String> = blocks
        .filter_map(|rest| {
            let block = rest.split("```").next()?;
            let lines = block.lines().filter(|line| !line.starts_with("--"));
            let query = lines.collect::<Vec<_>>().join(" ");
            Some(query.trim_end_matches(';').to_owned())
        })
        .filter(|query| query.starts_with("SELECT "))
        .collect();
    assert!(blocks.len() >= 8, "{} queries", blocks.len());
    on_each(async || {
        let world = busy().await;
        for query in &blocks {
            // Fails when the database does not take it.
            assert!(world.count(&format!("({query}) q")) >= 0);
        }
        let largest = blocks.iter().find(|query| query.contains("COUNT(msg_uid)"));
        let largest = largest.expect("that query");
        assert_eq!(world.count(&format!("({largest}) q")), 1);
    });
}
