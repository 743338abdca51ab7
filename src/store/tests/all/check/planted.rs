//! Each kind of fault, planted by a statement past the store: found, named, and mended or reported.

use std::collections::BTreeSet;

use bytes::Bytes;
use dbmail_core::store::{
    FetchItems, FlagChange, Flags, Keyword, MailboxName, Recipient, Request, SystemFlags,
    Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{Check, CheckNews, FaultKind, Place};
use dbmail_testcontainers::Kind;

use super::plants::{Known, Plant, Planted, Then, of_octets, of_tables, orphans};
use super::{assert_clean, checked, kinds};
use crate::world::{World, everything, kind, name, on_each};

/// Octets that do not shrink, as base64 lines or as they are.
fn noise(size: usize) -> Vec<u8> {
    let mut octets = vec![0; size];
    blake3::Hasher::new().finalize_xof().fill(&mut octets);
    octets
}

/// A message of text, an attachment that is a part, and text after it.
fn with_attachment(lines: usize) -> Vec<u8> {
    let mut octets = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nFrom: a@example.net\r\nSubject: with\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsee\r\n--x\r\n\
        Content-Type: application/pdf\r\n\r\n"
        .to_vec();
    for line in 0..lines {
        octets.extend(format!("a line of the attachment, number {line}\r\n").into_bytes());
    }
    octets.extend(b"--x--\r\nbehind it\r\n");
    octets
}

impl World {
    /// Another bit in a column of octets; the same again undoes it.
    fn flip(&self, table: &str, column: &str, place: usize, of: &str) {
        if kind() != Kind::Sqlite {
            let new = if kind() == Kind::Postgres {
                format!("set_byte({column}, {place}, get_byte({column}, {place}) # 1)")
            } else {
                let at = place + 1;
                format!("insert({column}, {at}, 1, char(ascii(substring({column}, {at}, 1)) ^ 1))")
            };
            return self.execute(&format!("UPDATE {table} SET {column} = {new} WHERE {of}"));
        }
        let database = rusqlite::Connection::open(self.path()).expect("the database");
        let select = format!("SELECT {column} FROM {table} WHERE {of}");
        let octets = database.query_row(&select, [], |row| row.get(0));
        let mut octets: Vec<u8> = octets.expect(&select);
        octets[place] ^= 1;
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {of}");
        assert_eq!(database.execute(&update, [octets]).expect(&update), 1);
    }

    /// Runs a text while foreign keys are not looked at.
    fn unguarded(&self, sql: &str) {
        let off = match kind() {
            Kind::Sqlite => "PRAGMA foreign_keys = OFF",
            Kind::Postgres => "SET session_replication_role = replica",
            Kind::MariaDb | Kind::MySql => "SET foreign_key_checks = 0",
        };
        self.execute(&format!("{off}; {sql}"));
    }

    async fn change(&self, mailbox: i64, uid: u32, flags: Flags) {
        let request = Request::Store {
            mailbox: dbmail_core::store::MailboxId(mailbox),
            uids: UidSet::from_ranges([uid..=uid]),
            how: FlagChange::Add,
            flags,
            unchanged_since: None,
        };
        self.ask(request).await.expect("stored");
    }
}

/// A sum as a whole number.
fn sum(column: &str) -> String {
    let kind = match kind() {
        Kind::Sqlite | Kind::Postgres => "bigint",
        Kind::MariaDb | Kind::MySql => "signed",
    };
    format!("CAST(sum({column}) AS {kind})")
}

/// A store with some of everything.
async fn furnished(world: &World) -> Known {
    // Ids of one kind are not those of another.
    for (of, next) in [(5, 5_001), (6, 60_001), (7, 701)] {
        world.execute(&format!(
            "UPDATE id_block SET next_id = {next} WHERE kind = {of}"
        ));
    }
    world
        .append(b"From: a@example.net\r\nSubject: text\r\n\r\nSome text.\r\n")
        .await;
    world
        .deliver(&with_attachment(2_000), &["INBOX", "Sent"])
        .await;
    let mut long = b"Subject: long\r\n\r\n".to_vec();
    long.extend(noise(700_000).iter().map(|octet| b'a' + octet % 26));
    world.append(&long).await;
    world.append(b"Subject: gone\r\n\r\nIt goes.\r\n").await;
    world.append(b"Subject: last\r\n\r\n").await;
    let inbox = world.status("INBOX").await.id.0;
    let keyword = Flags {
        keywords: [Keyword::new("Work").expect("a keyword")].into(),
        ..Flags::default()
    };
    world.change(inbox, 1, keyword.clone()).await;
    world.change(inbox, 4, keyword).await;
    let system = |system| Flags {
        system,
        ..Flags::default()
    };
    world.change(inbox, 2, system(SystemFlags::SEEN)).await;
    world.change(inbox, 4, system(SystemFlags::DELETED)).await;
    let mailbox = dbmail_core::store::MailboxId(inbox);
    let expunge = Request::Expunge {
        mailbox,
        uids: None,
    };
    world.ask(expunge).await.expect("expunged");
    world.change(inbox, 5, system(SystemFlags::DELETED)).await;
    let create = Request::Create {
        account: world.account,
        name: name("Work/2026"),
        special_use: None,
    };
    world.ask(create).await.expect("created");
    let number = |sql: String| world.number(&sql);
    let of = |what: &str, uid: u32| {
        number(format!(
            "SELECT {what} FROM message g JOIN email e ON e.id = g.email WHERE g.mailbox = {inbox} AND g.msg_uid = {uid}"
        ))
    };
    let (text, mixed, long) = (of("e.content", 1), of("e.content", 2), of("e.content", 3));
    let part = |content: i64| {
        number(format!(
            "SELECT max(part) FROM segment WHERE content = {content}"
        ))
    };
    // For what is undone.
    for table in ["part", "part_chunk", "content"] {
        world.execute(&format!(
            "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
        ));
    }
    Known {
        account: world.account.0,
        inbox,
        archive: world.status("Archive").await.id.0,
        root: number("SELECT min(id) FROM quota_root".to_owned()),
        text,
        mixed,
        email: of("e.id", 1),
        part: part(mixed),
        long_part: part(long),
    }
}

impl Planted {
    fn plant(&self, world: &World) -> String {
        match &self.plant {
            Plant::Sql(sql) => {
                world.execute(sql);
                sql.clone()
            }
            Plant::Unguarded(sql) => {
                world.unguarded(sql);
                sql.clone()
            }
            Plant::Flip(table, column, place, of) => {
                world.flip(table, column, *place, of);
                format!("another bit in {table}.{column} where {of}")
            }
        }
    }
}

async fn one(world: &World, fault: &Planted) {
    let planted = fault.plant(world);
    let (found, told) = checked(&world.store, &Check::default()).await;
    let lines: Vec<String> = told.iter().map(ToString::to_string).collect();
    let wanted = fault.found.iter().copied().collect();
    assert_eq!(kinds(&found), wanted, "{planted}: {lines:#?}");
    let harms = fault.found.iter().any(|kind| !kind.is_note());
    assert_eq!(found.faults() > 0, harms, "{planted}");
    let count: u64 = found.kinds.values().sum();
    assert_eq!(count, told.len() as u64);
    for line in &lines {
        eprintln!("  {line}");
        assert!(!line.contains('\n'));
    }
    let mendable = fault.found.iter().any(|kind| kind.mend().is_some());
    assert_eq!(found.plan.is_empty(), !mendable, "{planted}");
    match &fault.then {
        Then::Mended => {
            assert!(mendable, "{planted}");
            let mended = world.store.repair(&found.plan, &mut |_| ()).await;
            assert!(mended.expect("mended") > 0, "{planted}");
        }
        Then::Undone(sql) => world.unguarded(sql),
        Then::Flipped => {
            fault.plant(world);
        }
    }
    assert_clean(&world.store, &planted).await;
}

async fn all(faults: impl Fn(&Known) -> Vec<Planted>) {
    let world = World::new().await;
    let ids = furnished(&world).await;
    let clean = assert_clean(&world.store, "before").await;
    assert_eq!((clean.looked.users, clean.looked.messages), (1, 6));
    assert_eq!((clean.looked.contents, clean.looked.parts), (5, 2));
    let octets = world.number(&format!("SELECT {} FROM content", sum("content_size")));
    assert_eq!(i64::try_from(clean.looked.octets), Ok(octets));
    let inbox = world.status("INBOX").await;
    let before = world
        .fetch("INBOX", &everything(), FetchItems::default())
        .await;
    for fault in faults(&ids) {
        one(&world, &fault).await;
    }
    // As if nothing had happened, save that clients ask anew.
    let after = world.status("INBOX").await;
    assert_eq!(
        (
            after.messages,
            after.unseen,
            after.deleted,
            after.bytes,
            after.uid_next
        ),
        (
            inbox.messages,
            inbox.unseen,
            inbox.deleted,
            inbox.bytes,
            inbox.uid_next
        )
    );
    let now = world
        .fetch("INBOX", &everything(), FetchItems::default())
        .await;
    let sizes = |all: &[dbmail_core::store::Message]| -> Vec<(Uid, u64)> {
        all.iter().map(|m| (m.uid, m.size)).collect()
    };
    assert_eq!(sizes(&now), sizes(&before));
    world.append(b"Subject: on\r\n\r\n").await;
    assert_clean(&world.store, "at last").await;
}

#[test]
fn faults_of_users_mailboxes_and_messages_are_found_and_mended_or_reported() {
    on_each(async || all(of_tables).await);
}

#[test]
fn rows_that_name_what_is_not_there_are_reported() {
    on_each(async || all(|_| orphans()).await);
}

#[test]
fn faults_of_contents_and_parts_are_found_and_mended_or_reported() {
    on_each(async || all(of_octets).await);
}

#[test]
fn each_kind_of_fault_is_planted() {
    let ids = Known {
        account: 1,
        inbox: 1,
        archive: 1,
        root: 1,
        text: 1,
        mixed: 1,
        email: 1,
        part: 1,
        long_part: 1,
    };
    let lists = [of_tables(&ids), orphans(), of_octets(&ids)];
    let planted: BTreeSet<FaultKind> = lists
        .iter()
        .flatten()
        .flat_map(|planted| planted.found.iter().copied())
        .collect();
    // What the database can't read is a matter of its driver: src/faults.rs.
    let other: Vec<FaultKind> = FaultKind::ALL
        .iter()
        .copied()
        .filter(|kind| !planted.contains(kind))
        .collect();
    assert_eq!(other, [FaultKind::Unreadable]);
}

#[test]
fn another_bit_anywhere_in_a_chunk_is_found_and_placed() {
    on_each(async || {
        let world = World::new().await;
        let ids = furnished(&world).await;
        for (part, ordinal, size) in [
            (ids.part, 0, 3_000),
            (ids.long_part, 0, 300_000),
            (ids.long_part, 1, 90_000),
        ] {
            let of = format!("part = {part} AND ordinal = {ordinal}");
            // On PostgreSQL most of a chunk is in further rows, which begin with an octet in `octets`.
            let more = (ordinal + 1) * 65_536;
            let further = format!("part = {part} AND ordinal = {more}");
            let all = format!(
                "part = {part} AND (ordinal = {ordinal} OR ordinal BETWEEN {more} AND {more} + 65535)"
            );
            let stored = sum("length(octets) + coalesce(length(tail), 0)");
            let stored = world.number(&format!("SELECT {stored} FROM part_chunk WHERE {all}"));
            assert!(stored > size, "{stored}");
            let length = sum("length(octets)");
            let length = world.number(&format!("SELECT {length} FROM part_chunk WHERE {of}"));
            let first_row =
                [0, 1, 11, length / 2, length - 5].map(|place| ("octets", place, of.clone()));
            let others = [("octets", 0, further.clone()), ("tail", 7_000, further)];
            let has_further = kind() == Kind::Postgres && part == ids.long_part;
            let others = others.into_iter().filter(|_| has_further);
            for (column, place, of) in first_row.into_iter().chain(others) {
                let place = usize::try_from(place).expect("a place");
                world.flip("part_chunk", column, place, &of);
                let (found, told) = checked(&world.store, &Check::default()).await;
                let kinds = kinds(&found);
                let of_parts = [
                    FaultKind::PartBytes,
                    FaultKind::PartUnreadable,
                    FaultKind::PartSize,
                ];
                assert!(
                    kinds.len() == 1 && of_parts.iter().any(|kind| kinds.contains(kind)),
                    "{place} of {of}: {told:?}"
                );
                let place_told = &told[0].place;
                assert_eq!(place_told.user.as_deref(), Some("alice"));
                assert_eq!(place_told.mailbox.as_deref(), Some("INBOX"));
                let (uid, others) = if part == ids.part { (2, 1) } else { (3, 0) };
                assert_eq!((place_told.uid, place_told.others), (Some(uid), others));
                // A quick check does not read it.
                let quick = Check {
                    quick: true,
                    ..Check::default()
                };
                assert_eq!(checked(&world.store, &quick).await.1, vec![]);
                world.flip("part_chunk", column, place, &of);
            }
        }
        assert_clean(&world.store, "flipped back").await;
    });
}

#[test]
fn a_fault_of_one_user_is_not_told_of_another() {
    on_each(async || {
        let world = World::new().await;
        let ids = furnished(&world).await;
        world
            .store
            .user_add(crate::world::user("bob"))
            .await
            .expect("bob");
        world.execute(&format!(
            "UPDATE mailbox_state SET unseen = 0 WHERE mailbox = {}",
            ids.inbox
        ));
        world.execute("UPDATE quota_root SET used_size = used_size + 1 WHERE used_size > 0");
        world.flip(
            "segment",
            "octets",
            1,
            &format!("content = {} AND ordinal = 0", ids.text),
        );
        let of = |user: &str| Check {
            user: Some(user.to_owned()),
            quick: false,
        };
        let (_, bob) = checked(&world.store, &of("bob")).await;
        assert_eq!(bob, vec![]);
        // By address as well.
        let (found, told) = checked(&world.store, &of("alice@example.org")).await;
        let wanted = [
            FaultKind::Quota,
            FaultKind::Counters,
            FaultKind::ContentBytes,
        ];
        assert_eq!(kinds(&found), wanted.into(), "{told:?}");
        let bytes = told
            .iter()
            .find(|fault| fault.kind == FaultKind::ContentBytes);
        let place = Place {
            user: Some("alice".to_owned()),
            mailbox: Some("INBOX".to_owned()),
            uid: Some(1),
            others: 0,
        };
        assert_eq!(bytes.map(|fault| &fault.place), Some(&place));
        let unknown = world.store.check(&of("eve"), &mut |_| ()).await;
        assert!(matches!(
            unknown,
            Err(dbmail_store::AdminError::NoSuchUser(_))
        ));
    });
}

#[test]
fn a_quick_check_finds_what_needs_no_octets_and_mends_no_size_that_is_not_proved() {
    on_each(async || {
        let world = World::new().await;
        let ids = furnished(&world).await;
        let quick = Check {
            quick: true,
            ..Check::default()
        };
        let (found, _) = checked(&world.store, &quick).await;
        assert_eq!(found.faults(), 0);
        assert_eq!(found.looked.octets, 0);
        // The content is what is wrong, and not the messages that have it.
        world.execute(&format!(
            "UPDATE content SET content_size = 9 WHERE id = {}",
            ids.mixed
        ));
        let sizes = world.number("SELECT max(msg_size) FROM message");
        let (found, told) = checked(&world.store, &quick).await;
        let wanted = [FaultKind::MessageSize, FaultKind::SegmentGap];
        assert_eq!(kinds(&found), wanted.into(), "{told:?}");
        world
            .store
            .repair(&found.plan, &mut |_| ())
            .await
            .expect("ran");
        let after = world.number("SELECT max(msg_size) FROM message");
        assert_eq!(after, sizes);
        let (found, _) = checked(&world.store, &Check::default()).await;
        world
            .store
            .repair(&found.plan, &mut |_| ())
            .await
            .expect("mended");
        assert_clean(&world.store, "mended").await;
    });
}

#[test]
fn who_watches_a_mailbox_hears_that_its_counters_were_set_right() {
    on_each(async || {
        let world = World::new().await;
        let ids = furnished(&world).await;
        world.execute(&format!(
            "UPDATE mailbox_state SET messages = 0 WHERE mailbox = {}",
            ids.inbox
        ));
        let (found, _) = checked(&world.store, &Check::default()).await;
        let mut watch = world.store.watch(dbmail_core::store::MailboxId(ids.inbox));
        // What came before.
        let soon = std::time::Duration::from_millis(50);
        drop(tokio::time::timeout(soon, watch.changed()).await);
        let mut steps = Vec::new();
        let mut tell = |news| {
            if let CheckNews::Progress(progress) = news {
                steps.push(progress);
            }
        };
        world
            .store
            .repair(&found.plan, &mut tell)
            .await
            .expect("mended");
        let last = steps.last().expect("progress");
        assert_eq!((last.done, last.of), (1, Some(1)));
        let told = tokio::time::timeout(std::time::Duration::from_secs(5), watch.changed()).await;
        assert!(told.is_ok());
        assert_eq!(world.status("INBOX").await.messages, 4);
    });
}

#[test]
fn a_message_that_is_shared_is_told_once() {
    on_each(async || {
        let world = World::new().await;
        let to = |mailbox: &str| Recipient {
            account: world.account,
            address: Bytes::from(format!("{mailbox}@example.org")),
            mailbox: MailboxName::new(mailbox).expect("a name"),
            flags: Flags::default(),
            prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
        };
        let mut upload = world.store.upload();
        upload
            .write(Bytes::from_static(b"Subject: x\r\n\r\nshared"))
            .await
            .expect("taken");
        let request = Request::Deliver {
            upload: UploadId(1),
            reverse_path: Bytes::new(),
            received: Timestamp(1),
            recipients: ["Archive", "INBOX", "Sent", "Junk"].map(to).into(),
        };
        world
            .store
            .apply(request, Some(upload))
            .await
            .expect("delivered");
        world.execute("UPDATE content SET structure = NULL");
        let (_, told) = checked(&world.store, &Check::default()).await;
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].kind, told[0].place.others),
            (FaultKind::ContentTrees, 3)
        );
    });
}
