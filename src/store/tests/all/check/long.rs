//! More than fits a page: of messages, faults, marks, log, keywords, segments and octets.

use dbmail_core::store::{MailboxId, Request};
use dbmail_store::{Check, FaultKind};

use super::{assert_clean, checked, kinds};
use crate::world::{World, everything, name, on_each};

/// Parts of one message, each with a piece between: more segments than a page has.
const PARTS: usize = 1_100;
/// Messages that are long without parts: more than a page's octets together.
const TALL: usize = 10;
/// How often a mailbox is copied onto itself.
const DOUBLINGS: u32 = 9;

/// A message of many equal parts.
fn wide() -> Vec<u8> {
    let part = "0123456789abcde\n".repeat(1_100);
    let mut octets = b"Received: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n".to_vec();
    for _ in 0..PARTS {
        octets.extend(b"--q\r\n\r\n");
        octets.extend(part.as_bytes());
        octets.extend(b"\r\n");
    }
    octets.extend(b"--q--\r\n");
    octets
}

/// A message with as much header as is kept apart, and pieces that are no parts.
fn tall(number: usize) -> Vec<u8> {
    let mut octets = format!("Subject: {number}\r\n").into_bytes();
    for line in 0..600 {
        octets.extend(format!("X-{line}: {}\r\n", "h".repeat(100)).bytes());
    }
    octets.extend(b"Content-Type: multipart/mixed; boundary=q\r\n\r\n");
    for _ in 0..12 {
        octets.extend(b"--q\r\n\r\n");
        octets.extend("a line of text\r\n".repeat(900).bytes());
    }
    octets.extend(b"--q--\r\n");
    octets
}

async fn furnished(world: &World) -> i64 {
    world.append(&wide()).await;
    for number in 0..TALL {
        world.append(&tall(number)).await;
    }
    for n in 0..10 {
        let octets = format!("Subject: {n}\r\n\r\ntext {n}\r\n");
        world.deliver(octets.as_bytes(), &["Sent"]).await;
    }
    let sent = world.status("Sent").await.id;
    for _ in 0..DOUBLINGS {
        let double = Request::Copy {
            mailbox: sent,
            uids: everything(),
            account: world.account,
            to: name("Sent"),
        };
        world.ask(double).await.expect("copied");
    }
    sent.0
}

/// Makes the log of a mailbox as long as this at least; its last MODSEQ.
fn lengthen(world: &World, mailbox: i64, rows: i64) -> i64 {
    let last = || {
        world.number(&format!(
            "SELECT modseq FROM mailbox_state WHERE mailbox = {mailbox}"
        ))
    };
    while last() < rows {
        let more = last() - 1;
        world.execute(&format!(
            "INSERT INTO change_log (mailbox, modseq, piece, kind, low_uid, high_uid, uid_set, flags_on, flags_off, kw_number, \
             audience, change_id, done_by, done_at) SELECT mailbox, modseq + {more}, piece, kind, low_uid, high_uid, uid_set, \
             flags_on, flags_off, kw_number, audience, change_id, done_by, done_at FROM change_log WHERE mailbox = {mailbox}; \
             UPDATE mailbox_state SET modseq = modseq + {more} WHERE mailbox = {mailbox}"
        ));
    }
    last()
}

#[test]
fn what_is_longer_than_a_page_is_looked_at_to_its_end_and_told_once() {
    on_each(async || {
        let world = World::new().await;
        let sent = furnished(&world).await;
        let last = lengthen(&world, sent, 12_000);
        let clean = assert_clean(&world.store, "long").await;
        let copies = 10u64 << DOUBLINGS;
        assert_eq!(clean.looked.messages, 1 + TALL as u64 + copies);
        assert_eq!(clean.looked.contents, 11 + TALL as u64);
        let octets = world.number("SELECT max(content_size) FROM content");
        assert!(
            clean.looked.octets > octets as u64 + TALL as u64 * 200_000,
            "{:?}",
            clean.looked
        );
        let one = Check {
            user: Some("alice".to_owned()),
            quick: true,
        };
        assert_eq!(checked(&world.store, &one).await.1, vec![]);

        // Rows of the log at the ends of pages and far beyond.
        for modseq in [5_000, 5_001, 5_002, last - 1] {
            world.execute(&format!(
                "UPDATE change_log SET kind = kind + 70 WHERE mailbox = {sent} AND modseq = {modseq}"
            ));
        }
        let quick = Check {
            user: None,
            quick: true,
        };
        let (found, told) = checked(&world.store, &quick).await;
        assert_eq!(kinds(&found), [FaultKind::LogRow].into());
        let changes: Vec<&str> = told
            .iter()
            .filter_map(|fault| fault.what.split(' ').nth(1))
            .collect();
        let wanted = [5_000, 5_001, 5_002, last - 1].map(|n| n.to_string());
        assert_eq!(
            changes,
            wanted.iter().map(String::as_str).collect::<Vec<_>>()
        );
        world.execute(&format!(
            "UPDATE change_log SET kind = kind - 70 WHERE mailbox = {sent} AND kind > 70"
        ));

        // A fault of each message, and a mark of each UID that never was.
        world.execute(&format!(
            "UPDATE message SET msg_size = msg_size + 1 WHERE mailbox = {sent}; \
             INSERT INTO keyword (mailbox, kw_number, name_key, name) SELECT id, 1, {key}, 'work' FROM mailbox WHERE id = {sent}; \
             INSERT INTO message_keyword (mailbox, kw_number, msg_uid) \
             SELECT mailbox, 1, msg_uid + 100000 FROM message WHERE mailbox = {sent}",
            key = key("work"),
        ));
        let (found, told) = checked(&world.store, &quick).await;
        let wanted = [
            FaultKind::Quota,
            FaultKind::Counters,
            FaultKind::MarkMessage,
            FaultKind::MessageSize,
        ];
        assert_eq!(kinds(&found), wanted.into());
        assert_eq!(found.kinds[&FaultKind::MessageSize], copies);
        let mut uids: Vec<Option<i64>> = told
            .iter()
            .filter(|fault| fault.kind == FaultKind::MessageSize)
            .map(|fault| fault.place.uid)
            .collect();
        uids.dedup();
        assert_eq!(uids.len() as u64, copies);
        let mended = world.store.repair(&found.plan, &mut |_| ()).await;
        // Counters and quota with the sizes.
        assert_eq!(mended.expect("mended"), 2);
        assert_eq!(world.count("message_keyword"), 0);
        assert_clean(&world.store, "mended").await;

        // A part that a thousand segments of one message have.
        world.execute("UPDATE part_chunk SET packing = 9");
        let (found, told) = checked(&world.store, &Check::default()).await;
        assert_eq!(kinds(&found), [FaultKind::PartUnreadable].into());
        assert_eq!(told.len(), 1, "{told:?}");
        let inbox = world.status("INBOX").await.id;
        assert_ne!(inbox, MailboxId(sent));
        assert_eq!(told[0].place.mailbox.as_deref(), Some("INBOX"));
    });
}

/// Octets of a text, as this database writes them.
fn key(text: &str) -> String {
    let hex: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
    if crate::world::kind() == dbmail_testcontainers::Kind::Postgres {
        format!("'\\x{hex}'::bytea")
    } else {
        format!("x'{hex}'")
    }
}
