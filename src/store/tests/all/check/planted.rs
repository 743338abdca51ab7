//! Each kind of fault, planted by a statement past the store: found, named, and mended or reported.

use bytes::Bytes;
use dbmail_core::store::{
    FetchItems, FlagChange, Flags, Keyword, MailboxName, Recipient, Request, SystemFlags,
    Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{Check, CheckNews, FaultKind, Place};
use dbmail_testcontainers::Kind;

use super::{assert_clean, checked, kinds};
use crate::world::{World, everything, kind, name, on_each};

/// What becomes of a fault.
enum Then {
    /// It is mended.
    Mended,
    /// It stays, until this is run.
    Undone(String),
    /// It stays, until it is planted once more.
    Flipped,
}

/// How a fault is planted.
enum Plant {
    /// By a statement.
    Sql(String),
    /// By a statement with foreign keys out of force.
    Unguarded(String),
    /// By another bit in a column of octets: table, column, place, condition.
    Flip(&'static str, &'static str, usize, String),
}

struct Planted {
    plant: Plant,
    /// What is found; of several where the octets decide, all that may be.
    found: &'static [FaultKind],
    then: Then,
}

fn planted(sql: String, found: &'static [FaultKind], then: Then) -> Planted {
    Planted {
        plant: Plant::Sql(sql),
        found,
        then,
    }
}

fn unguarded(sql: String, found: &'static [FaultKind], undo: String) -> Planted {
    Planted {
        plant: Plant::Unguarded(sql),
        found,
        then: Then::Undone(undo),
    }
}

fn flipped(
    table: &'static str,
    column: &'static str,
    place: usize,
    of: String,
    found: &'static [FaultKind],
) -> Planted {
    Planted {
        plant: Plant::Flip(table, column, place, of),
        found,
        then: Then::Flipped,
    }
}

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

/// Ids that the statements name.
struct Known {
    account: i64,
    inbox: i64,
    archive: i64,
    root: i64,
    /// The content of UID 1, of UID 2 (with an attachment) and their emails.
    text: i64,
    mixed: i64,
    email: i64,
    part: i64,
    /// A part of more than one chunk.
    long_part: i64,
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
    for table in ["part", "part_chunk"] {
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

/// Faults of users, mailboxes, messages.
fn of_tables(ids: &Known) -> Vec<Planted> {
    use FaultKind::*;
    let Known {
        account,
        inbox,
        archive,
        root,
        text,
        email,
        ..
    } = ids;
    let state = |set: &str| format!("UPDATE mailbox_state SET {set} WHERE mailbox = {inbox}");
    let message = |set: &str, uid: u32| {
        format!("UPDATE message SET {set} WHERE mailbox = {inbox} AND msg_uid = {uid}")
    };
    let index = match kind() {
        Kind::Sqlite | Kind::Postgres => "DROP INDEX ix_message_gone_at",
        Kind::MariaDb | Kind::MySql => "DROP INDEX ix_message_gone_at ON message_gone",
    };
    vec![
        planted(
            state("messages = messages + 1, total_size = total_size + 7"),
            &[Counters],
            Then::Mended,
        ),
        planted(state("unseen = 0"), &[Counters], Then::Mended),
        planted(state("deleted = 0"), &[Counters], Then::Mended),
        planted(
            state("recent_from = next_uid + 1"),
            &[Counters],
            Then::Mended,
        ),
        planted(state("next_uid = 5"), &[NextUid], Then::Mended),
        planted(state("modseq = modseq - 1"), &[Modseq], Then::Mended),
        planted(
            format!("DELETE FROM change_log WHERE mailbox = {inbox} AND modseq = 9"),
            &[LogGap],
            Then::Mended,
        ),
        planted(state("modseq = modseq + 1"), &[LogGap], Then::Mended),
        planted(state("log_from = modseq + 5"), &[LogGap], Then::Mended),
        planted(
            format!("UPDATE change_log SET kind = 77 WHERE mailbox = {inbox} AND kind = 5"),
            &[LogRow],
            Then::Undone(format!(
                "UPDATE change_log SET kind = 5 WHERE mailbox = {inbox} AND kind = 77"
            )),
        ),
        planted(
            format!("UPDATE change_log SET low_uid = 0 WHERE mailbox = {inbox} AND kind = 5"),
            &[LogRow],
            Then::Undone(format!(
                "UPDATE change_log SET low_uid = high_uid WHERE mailbox = {inbox} AND kind = 5"
            )),
        ),
        planted(
            format!("DELETE FROM mailbox_state WHERE mailbox = {inbox}"),
            &[MailboxState],
            Then::Mended,
        ),
        planted(
            format!("UPDATE mailbox SET deleted_at = 1 WHERE id = {archive}"),
            &[MailboxDeleted],
            Then::Undone(format!(
                "UPDATE mailbox SET deleted_at = NULL WHERE id = {archive}"
            )),
        ),
        planted(
            format!("UPDATE mailbox SET name = 'Other' WHERE id = {archive}"),
            &[MailboxName],
            Then::Undone(format!(
                "UPDATE mailbox SET name = 'Archive' WHERE id = {archive}"
            )),
        ),
        unguarded(
            format!("UPDATE mailbox SET quota_root = 999 WHERE id = {archive}"),
            &[QuotaRoot],
            format!("UPDATE mailbox SET quota_root = {root} WHERE id = {archive}"),
        ),
        unguarded(
            format!("UPDATE account SET quota_root = 999 WHERE id = {account}"),
            &[QuotaRoot],
            format!("UPDATE account SET quota_root = {root} WHERE id = {account}"),
        ),
        planted(
            format!("DELETE FROM account_state WHERE account = {account}"),
            &[AccountState],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET next_uidvalidity = 1 WHERE account = {account}"),
            &[AccountCounters],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET modseq = 1 WHERE account = {account}"),
            &[AccountCounters],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET modseq = modseq + 1 WHERE account = {account}"),
            &[AccountLog],
            Then::Mended,
        ),
        planted(
            "UPDATE account SET name = 'someone'".to_owned(),
            &[AccountName],
            Then::Undone("UPDATE account SET name = 'alice'".to_owned()),
        ),
        planted(
            "UPDATE quota_root SET used_size = used_size + 1".to_owned(),
            &[Quota],
            Then::Mended,
        ),
        planted(
            "UPDATE quota_root SET used_messages = 0".to_owned(),
            &[Quota],
            Then::Mended,
        ),
        planted(
            "UPDATE keyword SET name = 'a b'".to_owned(),
            &[KeywordName],
            Then::Undone("UPDATE keyword SET name = 'Work'".to_owned()),
        ),
        planted(
            format!(
                "INSERT INTO message_keyword (mailbox, kw_number, msg_uid) VALUES ({inbox}, 1, 4000)"
            ),
            &[MarkMessage],
            Then::Mended,
        ),
        unguarded(
            format!(
                "INSERT INTO message_keyword (mailbox, kw_number, msg_uid) VALUES ({inbox}, 99, 1)"
            ),
            &[MarkKeyword],
            "DELETE FROM message_keyword WHERE kw_number = 99".to_owned(),
        ),
        planted(
            message("msg_size = msg_size + 3", 1),
            &[MessageSize, Counters, Quota],
            Then::Mended,
        ),
        planted(
            message("flags = flags + 64", 1),
            &[MessageFlags],
            Then::Undone(message("flags = flags - 64", 1)),
        ),
        planted(
            format!(
                "INSERT INTO message_gone (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at, \
                 gone_modseq, gone_at, gone_by, gone_why) SELECT mailbox, msg_uid, modseq, flags, email, msg_size, \
                 internal_at, zone, saved_at, modseq, 0, 0, 1 FROM message WHERE mailbox = {inbox} AND msg_uid = 1"
            ),
            &[MessageTwice],
            Then::Undone(format!(
                "DELETE FROM message_gone WHERE mailbox = {inbox} AND msg_uid = 1"
            )),
        ),
        unguarded(
            message("email = 888", 1),
            &[MessageEmail, Unused],
            message(&format!("email = {email}"), 1),
        ),
        unguarded(
            format!("UPDATE email SET content = 888 WHERE id = {email}"),
            &[MessageContent, Unused],
            format!("UPDATE email SET content = {text} WHERE id = {email}"),
        ),
        planted(
            format!("INSERT INTO email (id, content, prefix) VALUES (900, {text}, NULL)"),
            &[Unused],
            Then::Undone("DELETE FROM email WHERE id = 900".to_owned()),
        ),
        planted(
            "UPDATE id_block SET next_id = 1 WHERE kind = 5".to_owned(),
            &[Ids],
            Then::Mended,
        ),
        planted(
            index.to_owned(),
            &[Schema],
            Then::Undone("CREATE INDEX ix_message_gone_at ON message_gone (gone_at)".to_owned()),
        ),
    ]
}

/// Rows that name what is not there.
fn orphans() -> Vec<Planted> {
    let insert = |table: &str, columns: &str, values: &str| {
        unguarded(
            format!("INSERT INTO {table} ({columns}) VALUES ({values})"),
            &[FaultKind::Orphan],
            format!(
                "DELETE FROM {table} WHERE {} = 888",
                columns.split(',').next().unwrap_or("")
            ),
        )
    };
    vec![
        insert(
            "account_state",
            "account, modseq, log_from, next_uidvalidity",
            "888, 1, 1, 1",
        ),
        insert(
            "account_log",
            "account, modseq, piece, kind, change_id, done_by, done_at",
            "888, 1, 0, 1, 1, 0, 0",
        ),
        insert(
            "mailbox_state",
            "mailbox, next_uid, modseq, log_from, messages, unseen, deleted, total_size, recent_from",
            "888, 1, 1, 0, 0, 0, 0, 0, 1",
        ),
        insert(
            "message",
            "mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at",
            "888, 1, 1, 0, 1, 0, 0, 0, 0",
        ),
        insert(
            "message_gone",
            "mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at, gone_modseq, gone_at, gone_by, gone_why",
            "888, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1",
        ),
        insert(
            "change_log",
            "mailbox, modseq, piece, kind, low_uid, high_uid, flags_on, flags_off, audience, change_id, done_by, done_at",
            "888, 2, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0",
        ),
        insert(
            "upload",
            "front_end, id, lease_end, started_at",
            "888, 1, 0, 0",
        ),
        insert(
            "news",
            "front_end, news_number, changed, told_at",
            if kind() == Kind::Postgres {
                "888, 1, '\\x01', 0"
            } else {
                "888, 1, x'01', 0"
            },
        ),
    ]
}

/// Faults of contents and parts.
fn of_octets(ids: &Known) -> Vec<Planted> {
    use FaultKind::*;
    let Known {
        text,
        mixed,
        part,
        long_part,
        ..
    } = ids;
    let content = |set: &str| format!("UPDATE content SET {set} WHERE id = {mixed}");
    let segment = |set: &str, ordinal: u32| {
        format!("UPDATE segment SET {set} WHERE content = {mixed} AND ordinal = {ordinal}")
    };
    let kept = |column: &str| {
        format!(
            "UPDATE part SET state = 1, {column} = (SELECT k.{column} FROM kept_part k WHERE k.id = {part}) WHERE id = {part}"
        )
    };
    let chunk = |part: i64, ordinal: u32| format!("part = {part} AND ordinal = {ordinal}");
    vec![
        planted(content("content_size = content_size + 5"), &[ContentSize, MessageSize], Then::Mended),
        planted(content("header_size = header_size - 1"), &[HeaderSize], Then::Mended),
        planted(content("envelope = NULL"), &[ContentTrees], Then::Mended),
        planted(content("structure = envelope"), &[ContentTrees], Then::Mended),
        planted(content("content_size = 7, header_size = 3, structure = NULL"), &[ContentSize, HeaderSize, ContentTrees, MessageSize], Then::Mended),
        flipped("content", "header", 60, format!("id = {mixed}"), &[ContentBytes]),
        flipped("content", "content_hash", 0, format!("id = {text}"), &[ContentBytes]),
        flipped("segment", "octets", 1, format!("content = {text} AND ordinal = 0"), &[ContentBytes]),
        planted(segment("seg_start = seg_start + 1", 1), &[SegmentGap], Then::Undone(segment("seg_start = seg_start - 1", 1))),
        planted(segment("seg_size = seg_size - 1", 2), &[SegmentSize, SegmentGap], Then::Undone(segment("seg_size = seg_size + 1", 2))),
        unguarded(segment("part = 888", 1), &[SegmentPart], segment(&format!("part = {part}"), 1)),
        unguarded(
            "INSERT INTO segment (content, ordinal, seg_start, seg_size, coding) VALUES (888, 0, 0, 0, 0)".to_owned(),
            &[Orphan],
            "DELETE FROM segment WHERE content = 888".to_owned(),
        ),
        planted(format!("UPDATE part SET state = 0, part_hash = NULL WHERE id = {part}"), &[PartUnfinished], Then::Undone(kept("part_hash"))),
        planted(format!("UPDATE part SET part_size = part_size - 1 WHERE id = {part}"), &[SegmentSize], Then::Undone(kept("part_size"))),
        planted(format!("UPDATE part SET packed_size = 3 WHERE id = {part}"), &[PartPacked], Then::Mended),
        planted(
            format!("DELETE FROM part_chunk WHERE {}", chunk(*long_part, 1)),
            &[PartChunks],
            Then::Undone(format!("INSERT INTO part_chunk SELECT * FROM kept_part_chunk WHERE {}", chunk(*long_part, 1))),
        ),
        planted(
            format!("UPDATE part_chunk SET packing = 0 WHERE {}", chunk(*part, 0)),
            &[PartSize],
            Then::Undone(format!("UPDATE part_chunk SET packing = 2 WHERE {}", chunk(*part, 0))),
        ),
        planted(
            format!("UPDATE part_chunk SET packing = 9 WHERE {}", chunk(*part, 0)),
            &[PartUnreadable],
            Then::Undone(format!("UPDATE part_chunk SET packing = 2 WHERE {}", chunk(*part, 0))),
        ),
        flipped("part", "part_hash", 0, format!("id = {part}"), &[PartBytes]),
        unguarded(
            if kind() == Kind::Postgres {
                "INSERT INTO part_chunk (part, ordinal, packing, octets) VALUES (888, 0, 0, '\\x01')"
            } else {
                "INSERT INTO part_chunk (part, ordinal, packing, octets) VALUES (888, 0, 0, x'01')"
            }
            .to_owned(),
            &[Orphan],
            "DELETE FROM part_chunk WHERE part = 888".to_owned(),
        ),
    ]
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
            let length = world.number(&format!("SELECT length(octets) + (SELECT count(*) FROM part WHERE id < 0) FROM part_chunk WHERE {of}"));
            assert!(length > size, "{length}");
            for place in [0, 1, 11, length / 2, length - 5] {
                let place = usize::try_from(place).expect("a place");
                world.flip("part_chunk", "octets", place, &of);
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
                world.flip("part_chunk", "octets", place, &of);
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
