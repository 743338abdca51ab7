//! FETCH: sections, long contents, slow readers.

use crate::imap::session::world::{Event, World};
use crate::limits::{HEADER_BYTES_MAX, INLINE_CONTENT_BYTES_MAX};
use crate::session::Farewell;

const NESTED: &[u8] = b"From: a@x.example\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\nX-Part: one\r\n\r\nfirst part\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nTo: b@x.example\r\n\r\ninner text\r\n--b--\r\n";

#[test]
fn every_kind_of_section() {
    let mut world = World::new();
    world.deliver("INBOX", NESTED, "Return-Path: <r@x.example>\r\n");
    let i = world.selected();
    for section in [
        "HEADER",
        "TEXT",
        "1",
        "1.MIME",
        "2",
        "2.HEADER",
        "2.TEXT",
        "2.1",
        "2.MIME",
        "3",
        "1.HEADER",
        "HEADER.FIELDS (subject return-path)",
        "HEADER.FIELDS.NOT (From Content-Type)",
        "2.HEADER.FIELDS (To)",
    ] {
        world.talk(i, &format!("a FETCH 1 BODY.PEEK[{section}]\r\n"));
    }
    world.talk(
        i,
        "b FETCH 1 (RFC822.HEADER BODY)\r\nc UID FETCH 1 RFC822.TEXT\r\n",
    );
    world.talk(i, "d FETCH 1 BODY.PEEK[]<20.30>\r\ne FETCH 1 BODY.PEEK[1]<6.99>\r\nf FETCH 1 BODY.PEEK[1]<99.1>\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn macros_are_all_that_they_say() {
    let mut world = World::new();
    world.deliver("INBOX", NESTED, "");
    let i = world.selected();
    world.talk(i, "a FETCH 1 ALL\r\nb FETCH 1 FAST\r\nc FETCH 1 FULL\r\n");
    insta::assert_snapshot!(world.transcript());
}

fn long_message() -> Vec<u8> {
    let mut message = b"Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsmall\r\n--b\r\n\r\n".to_vec();
    let mut n = 0u32;
    while (message.len() as u64) < 3 * INLINE_CONTENT_BYTES_MAX {
        message.extend_from_slice(format!("line {n}\r\n").as_bytes());
        n += 1;
    }
    message.extend_from_slice(b"--b--\r\n");
    message
}

fn literal(output: &[u8]) -> &[u8] {
    let open = output.iter().position(|b| *b == b'{').unwrap();
    let close = open + output[open..].iter().position(|b| *b == b'}').unwrap();
    let size: usize = std::str::from_utf8(&output[open + 1..close])
        .unwrap()
        .parse()
        .unwrap();
    &output[close + 3..close + 3 + size]
}

#[test]
fn a_long_message_is_streamed_and_memory_stays_bounded() {
    let mut world = World::new();
    let message = long_message();
    world.deliver("INBOX", &message, "Return-Path: <>\r\n");
    let i = world.selected();
    world.ask(i, "n NOOP\r\n");
    world.peers[i].events.push_back(Event::Room(0));
    world.say(i, "a FETCH 1 BODY.PEEK[]\r\nb NOOP\r\n");
    let mut output = Vec::new();
    let mut most = 0;
    while world.peers[i].closed.is_none() && !output.ends_with(b"b OK NOOP completed\r\n") {
        most = most.max(world.peers[i].session.waiting_bytes());
        world.peers[i].events.push_back(Event::Room(10_000));
        world.run();
        output.append(&mut world.peers[i].output);
    }
    let whole: Vec<u8> = b"Return-Path: <>\r\n"
        .iter()
        .chain(&message)
        .copied()
        .collect();
    assert!(literal(&output) == whole);
    assert!(most < 400 * 1024, "{most}");
}

#[test]
fn parts_and_partials_of_a_long_message_read_only_what_they_need() {
    let mut world = World::new();
    let message = long_message();
    world.deliver("INBOX", &message, "P: x\r\n");
    let i = world.selected();
    world.ask(i, "n NOOP\r\n");
    world.peers[i].asked.clear();
    world.say(i, "a FETCH 1 BODY.PEEK[]<1000000.500>\r\n");
    assert_eq!(
        literal(&std::mem::take(&mut world.peers[i].output)),
        &message[999_994..1_000_494]
    );
    assert_eq!(world.peers[i].asked, ["fetch", "read"]);
    world.say(i, "b FETCH 1 BODY.PEEK[1]\r\n");
    assert_eq!(
        literal(&std::mem::take(&mut world.peers[i].output)),
        b"small"
    );
    world.say(i, "c FETCH 1 BODY.PEEK[2]<10.5>\r\n");
    let second = message.windows(6).position(|w| w == b"line 0").unwrap();
    assert_eq!(
        literal(&std::mem::take(&mut world.peers[i].output)),
        &message[second + 10..second + 15]
    );
}

#[test]
fn a_stream_that_fails_midway_closes_without_a_word() {
    let mut world = World::new();
    world.deliver("INBOX", &long_message(), "");
    let i = world.selected();
    world.ask(i, "n NOOP\r\n");
    world.failing = Some("read");
    world.say(i, "a FETCH 1 BODY.PEEK[]\r\nb NOOP\r\n");
    assert_eq!(world.peers[i].closed, Some(Farewell::Broken));
    let heard = world.hear(i);
    assert!(heard.ends_with("}\r\n"), "{heard}");
}

#[test]
fn a_header_too_long_to_be_kept_beside_is_read() {
    let mut world = World::new();
    let mut message = b"Subject: first\r\n".to_vec();
    while message.len() < 2 * HEADER_BYTES_MAX {
        message.extend_from_slice(b"X-Long: 0123456789012345678901234567890123456789\r\n");
    }
    message.extend_from_slice(b"To: last@x.example\r\n\r\nbody\r\n");
    world.deliver("INBOX", &message, "P: x\r\n");
    let i = world.selected();
    let reply = world.ask(i, "a FETCH 1 BODY.PEEK[HEADER.FIELDS (To Subject P)]\r\n");
    assert!(
        reply.contains("P: x\r\nSubject: first\r\nTo: last@x.example\r\n\r\n)"),
        "{reply}"
    );
    world.say(i, "b FETCH 1 BODY.PEEK[HEADER]\r\n");
    let output = std::mem::take(&mut world.peers[i].output);
    assert_eq!(&literal(&output)[6..], &message[..message.len() - 6]);
    let reply = world.ask(i, "c SEARCH HEADER To last@x\r\nd SEARCH SUBJECT last\r\n");
    assert!(
        reply.starts_with("* SEARCH 1\r\nc OK SEARCH completed\r\n* SEARCH\r\n"),
        "{reply}"
    );
}

#[test]
fn reading_marks_as_seen_once() {
    let mut world = World::new();
    for n in 0..3 {
        world.deliver("INBOX", format!("Subject: {n}\r\n\r\nx").as_bytes(), "");
    }
    let i = world.selected();
    world.talk(i, "a FETCH 1:2 BODY[TEXT]\r\nb FETCH 1:2 BODY[TEXT]\r\nc FETCH 3 (FLAGS BODY[HEADER])\r\nd FETCH 1 BODY.PEEK[]\r\n");
    insta::assert_snapshot!(world.transcript());
    // Where nothing is to be marked, nothing is stored.
    world.peers[i].asked.clear();
    world.ask(i, "e FETCH 1:3 BODY[TEXT]\r\n");
    assert_eq!(world.peers[i].asked, ["fetch"]);
}

#[test]
fn many_messages_come_in_pages_and_in_order() {
    let mut world = World::new();
    let count = crate::limits::PAGE_ROWS_MAX as u32 + 100;
    for n in 0..count {
        world.deliver("INBOX", format!("Subject: {n}\r\n\r\nx").as_bytes(), "");
    }
    let i = world.selected();
    let reply = world.ask(i, "a FETCH 1:* (UID FLAGS)\r\n");
    let mut expected = String::new();
    for n in 1..=count {
        expected.push_str(&format!("* {n} FETCH (UID {n} FLAGS (\\Recent))\r\n"));
    }
    expected.push_str("a OK FETCH completed\r\n");
    assert!(reply == expected, "{}", &reply[..200]);
}

#[test]
fn a_reader_that_stalls_within_a_literal_is_dropped_without_a_word() {
    let mut world = World::new();
    world.deliver("INBOX", &long_message(), "");
    let i = world.selected();
    world.peers[i].events.push_back(Event::Room(0));
    world.say(i, "a FETCH 1 BODY.PEEK[]\r\n");
    world.now = world.now.plus_seconds(2 * crate::limits::IDLE_SECONDS_MAX);
    world.peers[i].events.push_back(Event::Time);
    world.run();
    assert_eq!(world.peers[i].closed, Some(Farewell::TimedOut));
    assert!(!world.hear(i).contains("BYE"));
}

/// Headers of 50 KiB each, but for the second, which is too long to come with its page.
fn long_headers(world: &mut World, count: usize) -> String {
    let mut expected = String::new();
    for n in 1..=count {
        let length = if n == 2 {
            2 * HEADER_BYTES_MAX
        } else {
            50 * 1024
        };
        let mut header = format!("X-Number: {n}\r\n");
        while header.len() < length {
            header.push_str(&format!("X-Filler: {:0>60}\r\n", header.len()));
        }
        header.push_str("\r\n");
        world.deliver("INBOX", format!("{header}text").as_bytes(), "");
        let size = header.len();
        expected.push_str(&format!(
            "* {n} FETCH (BODY[HEADER] {{{size}}}\r\n{header})\r\n"
        ));
    }
    expected.push_str("a OK FETCH completed\r\n");
    expected
}

#[test]
fn the_next_page_is_read_while_one_is_written() {
    let mut world = World::new();
    let expected = long_headers(&mut world, 30);
    let i = world.selected();
    world.peers[i].asked.clear();
    let reply = world.ask(i, "a FETCH 1:* BODY.PEEK[HEADER]\r\n");
    assert!(reply == expected, "{}", &reply[..200]);
    let asked = &world.peers[i].asked;
    // The second page was asked for before the slices that the first one needed.
    assert_eq!(asked[..3], ["fetch", "fetch", "read"], "{asked:?}");
    assert!(asked.iter().filter(|name| **name == "fetch").count() >= 3);
}

#[test]
fn a_page_that_is_refused_ends_the_command_after_what_was_read() {
    let mut world = World::new();
    long_headers(&mut world, 30);
    let i = world.selected();
    (world.failing, world.spared) = (Some("fetch"), 1);
    let reply = world.ask(i, "a FETCH 1:* BODY.PEEK[HEADER]\r\n");
    let end = &reply[reply.len() - 200..];
    assert!(
        reply.contains("* 5 FETCH") && !reply.contains("* 30 FETCH"),
        "{end}"
    );
    let tagged = reply.lines().last().unwrap_or_default();
    assert!(tagged.starts_with("a NO [UNAVAILABLE]"), "{end}");
    // The session goes on.
    assert_eq!(world.ask(i, "b NOOP\r\n"), "b OK NOOP completed\r\n");
}
