//! APPEND in all sizes and slices.

use crate::imap::Config;
use crate::imap::session::world::{Event, World, loopback};
use crate::limits::STAGE_AHEAD_BYTES_MAX;

fn text(size: usize) -> Vec<u8> {
    let line = b"Subject: long\r\n\r\n"
        .iter()
        .chain(b"0123456789abcdef\r\n".iter().cycle());
    line.take(size).copied().collect()
}

fn fetched(world: &mut World, i: usize) -> Vec<u8> {
    world.say(i, "f FETCH 1 BODY.PEEK[]\r\n");
    let output = std::mem::take(&mut world.peers[i].output);
    let start = output.windows(3).position(|w| w == b"}\r\n").unwrap() + 3;
    let end = output
        .windows(9)
        .rposition(|w| w == b")\r\nf OK F")
        .unwrap();
    output[start..end].to_vec()
}

#[test]
fn what_is_appended_comes_out_as_it_went_in_whatever_the_slices() {
    for (size, slice) in [
        (1, 1),
        (1000, 7),
        (70_000, 4099),
        (700_000, 65_537),
        (1_500_000, usize::MAX),
    ] {
        let mut world = World::new();
        let i = world.login();
        let message = text(size);
        world.peers[i].slice = slice;
        world.send(
            i,
            format!("a APPEND Sent (\\Seen $Mine) \"17-Jul-1996 02:44:25 -0700\" {{{size}}}\r\n")
                .as_bytes(),
        );
        world.run();
        assert_eq!(world.hear(i), "+ go on\r\n");
        world.send(i, &message);
        world.send(
            i,
            b"\r\nb EXAMINE Sent\r\nc FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)\r\n",
        );
        world.run();
        let heard = world.hear(i);
        assert!(
            heard.contains("a OK [APPENDUID 5 1] APPEND completed"),
            "{heard}"
        );
        assert!(
            heard.contains(
                "FLAGS (\\Seen $Mine \\Recent) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\""
            ),
            "{heard}"
        );
        assert!(heard.contains(&format!("RFC822.SIZE {size})")), "{heard}");
        assert!(
            fetched(&mut world, i) == message,
            "size {size}, slice {slice}"
        );
    }
}

#[test]
fn no_more_is_taken_than_the_store_keeps_up_with() {
    let mut world = World::new();
    let i = world.login();
    world.peers[i].slow_store = true;
    let message = text(3_000_000);
    world.send(
        i,
        format!("a APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes(),
    );
    world.send(i, &message);
    world.send(i, b"\r\n");
    world.run();
    let mut rounds = 0;
    while !world.peers[i].input.is_empty() {
        assert!(world.peers[i].unacknowledged <= STAGE_AHEAD_BYTES_MAX);
        assert_eq!(world.hear(i), "");
        world.acknowledge(i);
        rounds += 1;
    }
    assert!(rounds > 3, "{rounds}");
    assert!(world.hear(i).starts_with("a OK [APPENDUID"));
}

#[test]
fn an_append_that_can_not_be_is_refused_before_its_message() {
    let mut world = World::new();
    let config = Config {
        message_bytes_max: 100,
        ..loopback()
    };
    let i = world.connect(config);
    world.say(i, "l LOGIN ann secret\r\n");
    world.hear(i);
    world.talk(i, "a APPEND none {3}\r\n");
    world.talk(i, "b APPEND INBOX {101}\r\n");
    world.talk(i, "c APPEND INBOX {0}\r\n");
    world.talk(i, "d APPEND INBOX ~{3}\r\n");
    world.talk(i, "e APPEND INBOX (\\Recent) {3}\r\n");
    world.talk(i, "f APPEND a//b {3}\r\n");
    world.talk(i, "g APPEND INBOX nonsense\r\n");
    // What comes all the same is skipped.
    world.talk(i, "h APPEND none {3+}\r\nabc\r\ni NOOP\r\n");
    world.talk(i, "j APPEND {5}\r\nINBOX {3}\r\nabc\r\n");
    world.talk(i, "k APPEND INBOX {3+}\r\nabc {3+}\r\ndef\r\nl NOOP\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_message_with_nul_is_refused_and_the_session_goes_on() {
    let mut world = World::new();
    let i = world.login();
    let reply = world.ask(
        i,
        "a APPEND INBOX {4+}\r\na\0bc\r\nb STATUS INBOX (MESSAGES)\r\n",
    );
    assert!(
        reply.starts_with("a BAD") && reply.contains("MESSAGES 0"),
        "{reply}"
    );
}

#[test]
fn a_store_that_fails_midway_is_said_after_the_message() {
    let mut world = World::new();
    let i = world.login();
    world.peers[i].slow_store = true;
    world.say(i, "a APPEND INBOX {1000+}\r\nabc");
    world.peers[i]
        .events
        .push_back(Event::StageFailed(crate::store::UploadId(1)));
    world.run();
    assert_eq!(world.hear(i), "");
    world.say(i, &format!("{}\r\nb NOOP\r\n", "x".repeat(997)));
    let reply = world.hear(i);
    assert!(
        reply.starts_with("a NO [UNAVAILABLE]") && reply.ends_with("b OK NOOP completed\r\n"),
        "{reply}"
    );
    // Over quota, or the store away, at the end.
    world.peers[i].slow_store = false;
    world.store.set_quota(world.account, Some(10));
    assert!(
        world
            .ask(i, "c APPEND INBOX {11+}\r\n12345678901\r\n")
            .starts_with("c NO [OVERQUOTA]")
    );
    world.failing = Some("append");
    assert!(
        world
            .ask(i, "d APPEND INBOX {1+}\r\n1\r\n")
            .starts_with("d NO [UNAVAILABLE]")
    );
}
