//! Greeting, login, TLS, limits, time, the end.

use crate::imap::session::world::{Event, World, loopback};
use crate::imap::{Config, TlsState};
use crate::limits::{BAD_COMMANDS_MAX, IDLE_SECONDS_MAX, LOGIN_SECONDS_MAX};
use crate::session::{Farewell, Note};

fn exposed(tls: TlsState) -> Config {
    Config {
        tls,
        plaintext_login_allowed: false,
        ..loopback()
    }
}

// capability: IMAP4rev1
#[test]
fn a_client_logs_in_reads_a_message_and_leaves() {
    let mut world = World::new();
    world.deliver(
        "INBOX",
        b"Subject: hi\r\n\r\nhello\r\n",
        "Return-Path: <>\r\n",
    );
    let i = world.connect(loopback());
    world.talk(i, "a LOGIN ann secret\r\n");
    world.talk(i, "b SELECT inbox\r\n");
    world.talk(
        i,
        "c FETCH 1 (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)\r\n",
    );
    world.talk(i, "d FETCH 1 BODY[]\r\n");
    world.talk(
        i,
        "e FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject)]<2.7> BODY.PEEK[TEXT] BODY.PEEK[1]<0.3>)\r\n",
    );
    world.talk(i, "f LOGOUT\r\n");
    insta::assert_snapshot!(world.transcript());
    assert_eq!(world.peers[i].closed, Some(Farewell::Asked));
}

// capability: LOGINDISABLED
#[test]
fn without_tls_nobody_is_asked_for_a_password() {
    let mut world = World::new();
    let i = world.connect(exposed(TlsState::Available));
    assert!(world.hear(i).contains("LOGINDISABLED"));
    let reply = world.ask(i, "a LOGIN ann secret\r\nb AUTHENTICATE PLAIN\r\n");
    assert_eq!(
        reply,
        "a NO [PRIVACYREQUIRED] start TLS first\r\nb NO [PRIVACYREQUIRED] start TLS first\r\n"
    );
}

// capability: STARTTLS
#[test]
fn what_follows_starttls_in_plaintext_is_never_run() {
    let mut world = World::new();
    let i = world.connect(exposed(TlsState::Available));
    world.hear(i);
    let reply = world.ask(i, "a STARTTLS\r\nb NOOP\r\nc LOGOUT\r\n");
    assert_eq!(reply, "a OK begin TLS now\r\n");
    assert_eq!(world.peers[i].closed, None);
    let reply = world.ask(i, "d STARTTLS\r\ne CAPABILITY\r\nf LOGIN ann secret\r\n");
    assert!(reply.starts_with("d BAD"), "{reply}");
    assert!(
        reply.contains("AUTH=PLAIN") && !reply.contains(" STARTTLS"),
        "{reply}"
    );
    assert!(reply.contains("\r\nf OK [CAPABILITY IMAP4rev1 "), "{reply}");
}

#[test]
fn a_command_begun_before_tls_does_not_go_on_after_it() {
    let mut world = World::new();
    let i = world.connect(exposed(TlsState::Available));
    world.hear(i);
    world.send(i, b"a STARTTLS\r\nb LOGIN evil ");
    world.run();
    assert_eq!(world.hear(i), "a OK begin TLS now\r\n");
    let reply = world.ask(i, "c NOOP\r\n");
    assert_eq!(reply, "c OK NOOP completed\r\n");
}

// capability: AUTH=PLAIN, SASL-IR
#[test]
fn authenticate_plain_with_and_without_initial_response() {
    // NUL ann NUL secret
    for dialogue in [
        "a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\n",
        "a AUTHENTICATE PLAIN\r\nAGFubgBzZWNyZXQ=\r\n",
    ] {
        let mut world = World::new();
        let i = world.connect(loopback());
        world.hear(i);
        let reply = world.ask(i, dialogue);
        assert!(reply.ends_with("AUTHENTICATE completed\r\n"), "{reply}");
        assert_eq!(reply.starts_with("+ \r\n"), dialogue.lines().count() == 2);
        assert!(
            world.peers[i]
                .notes
                .contains(&Note::Admitted(world.account))
        );
    }
}

#[test]
fn authenticate_that_is_cancelled_or_makes_no_sense_is_bad() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.talk(i, "a AUTHENTICATE PLAIN\r\n*\r\n");
    world.talk(i, "b AUTHENTICATE PLAIN\r\nno base64!\r\n");
    world.talk(i, "c AUTHENTICATE PLAIN YQ==\r\n");
    world.talk(i, "d AUTHENTICATE PLAIN =\r\n");
    world.talk(i, "e AUTHENTICATE CRAM-MD5\r\n");
    // A line that looks like the announcement of a literal is a line.
    world.talk(i, "f AUTHENTICATE PLAIN\r\nx {3}\r\n");
    world.talk(
        i,
        &format!("g AUTHENTICATE PLAIN\r\n{}\r\nh NOOP\r\n", "A".repeat(5000))
            .replace(&"A".repeat(5000), "AAAA"),
    );
    world.say(
        i,
        &format!("i AUTHENTICATE PLAIN\r\n{}\r\n", "A".repeat(9000)),
    );
    world.listen();
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn wrong_password_and_unknown_user_are_not_told_apart_and_the_third_is_the_last() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.hear(i);
    let wrong = world.ask(i, "a LOGIN ann wrong\r\n");
    let unknown = world.ask(i, "a LOGIN nobody secret\r\n");
    assert_eq!(wrong, unknown);
    assert!(wrong.starts_with("a NO [AUTHENTICATIONFAILED]"), "{wrong}");
    assert!(
        world
            .ask(i, "b LOGIN broken x\r\n")
            .starts_with("b NO [UNAVAILABLE]")
    );
    let last = world.ask(i, "c LOGIN ann wrong\r\nd NOOP\r\n");
    assert!(last.ends_with("* BYE too many failures\r\n"), "{last}");
    assert_eq!(world.peers[i].closed, Some(Farewell::Misbehaved));
    let denied = world.peers[i]
        .notes
        .iter()
        .filter(|note| **note == Note::Denied)
        .count();
    assert_eq!(denied, 3);
}

#[test]
fn no_note_holds_a_password() {
    let mut world = World::new();
    let i = world.login();
    assert!(!format!("{:?}", world.peers[i].notes).contains("secret"));
}

#[test]
fn commands_in_the_wrong_phase_are_bad() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.talk(
        i,
        "a SELECT INBOX\r\nb FETCH 1 FLAGS\r\nc APPEND x {3+}\r\nabc\r\n",
    );
    world.talk(
        i,
        "d LOGIN ann secret\r\ne LOGIN ann secret\r\nf FETCH 1 FLAGS\r\ng STARTTLS\r\nh CLOSE\r\n",
    );
    world.talk(i, "i SELECT Sent\r\nj STARTTLS\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn what_is_no_command_is_bad_and_too_many_of_them_end_it() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.hear(i);
    let reply = world.ask(i, "a FETCHX\r\n\r\nb LOGIN x\r\n");
    assert_eq!(
        reply.lines().filter(|line| line.contains("BAD ")).count(),
        3,
        "{reply}"
    );
    for _ in 0..BAD_COMMANDS_MAX {
        world.say(i, "x y\r\n");
    }
    assert!(world.hear(i).contains("* BYE"));
    assert_eq!(world.peers[i].closed, Some(Farewell::Misbehaved));
}

#[test]
fn one_good_command_forgives_the_bad_ones() {
    let mut world = World::new();
    let i = world.connect(loopback());
    for _ in 0..3 * BAD_COMMANDS_MAX {
        world.say(i, "x y\r\nz NOOP\r\n");
    }
    assert_eq!(world.peers[i].closed, None);
}

#[test]
fn a_flood_announced_before_login_is_not_waited_for() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.hear(i);
    let reply = world.ask(i, "a LOGIN {1073741824+}\r\nxxxxxxxxxxxxxxxxxxxx");
    assert!(
        reply.starts_with("a BAD [TOOBIG]") && reply.contains("* BYE"),
        "{reply}"
    );
    // One that waits to be asked is only refused.
    let i = world.connect(loopback());
    world.hear(i);
    let reply = world.ask(i, "a LOGIN {1073741824}\r\nb NOOP\r\n");
    assert!(reply.ends_with("b OK NOOP completed\r\n"), "{reply}");
}

/// Sends pieces until the connection is closed or `most` octets went. How many went.
fn push(world: &mut World, i: usize, piece: &[u8], most: usize) -> usize {
    let mut sent = 0;
    while world.peers[i].closed.is_none() && sent < most {
        world.send(i, piece);
        world.run();
        sent += piece.len();
    }
    sent
}

#[test]
fn a_command_without_end_closes_the_connection() {
    for (begin, piece) in [
        (&b"a SEARCH SUBJECT "[..], &[b'x'; 1000][..]),
        (b"a NOOP\0{1000000000000+}\r\n", &[b'x'; 1000]),
        (b"a NOOP\0", b"{7+}\r\nxxxxxxx"),
    ] {
        let mut world = World::new();
        let before = world.connect(loopback());
        let after = world.login();
        for (i, excess) in [(before, 64 * 1024), (after, 1024 * 1024)] {
            world.hear(i);
            world.send(i, begin);
            let sent = push(&mut world, i, piece, 4 * 1024 * 1024);
            assert!(
                (excess - 1000..excess * 5 / 4 + 80_000).contains(&sent),
                "{sent}"
            );
            assert_eq!(world.hear(i), "* BYE [TOOBIG] the command has no end\r\n");
            assert_eq!(world.peers[i].closed, Some(Farewell::Misbehaved));
        }
    }
}

#[test]
fn a_line_without_end_within_idle_closes_the_connection() {
    let mut world = World::new();
    let i = world.selected();
    world.ask(i, "a IDLE\r\n");
    let sent = push(&mut world, i, &[b'x'; 1000], 4 * 1024 * 1024);
    assert!(sent < 2 * 1024 * 1024, "{sent}");
    assert_eq!(world.hear(i), "* BYE [TOOBIG] the command has no end\r\n");
}

#[test]
fn a_command_that_is_only_too_long_is_refused_and_the_session_goes_on() {
    let mut world = World::new();
    let i = world.login();
    let reply = world.ask(
        i,
        &format!("a SEARCH UID 1{}\r\nb NOOP\r\n", ",7".repeat(400_000)),
    );
    assert_eq!(
        reply,
        "a BAD the command is too long\r\nb OK NOOP completed\r\n"
    );
    // A message that comes unasked for and is not wanted is longer than that, and borne.
    let message = "x".repeat(3 * 1024 * 1024);
    let append = format!(
        "c APPEND nowhere {{{}+}}\r\n{message}\r\nd NOOP\r\n",
        message.len()
    );
    let reply = world.ask(i, &append);
    assert!(
        reply.starts_with("c NO [TRYCREATE]") && reply.contains("d OK"),
        "{reply}"
    );
}

// capability: LITERAL+
#[test]
fn literals_are_asked_for_unless_they_come_by_themselves() {
    let mut world = World::new();
    let i = world.connect(loopback());
    world.hear(i);
    let reply = world.ask(i, "a LOGIN {3}\r\nann {6+}\r\nsecret\r\n");
    assert!(reply.starts_with("+ go on\r\na OK"), "{reply}");
}

#[test]
fn silence_ends_a_connection_before_login_sooner_than_after() {
    let mut world = World::new();
    let i = world.connect(loopback());
    let start = world.now;
    assert_eq!(
        world.peers[i].wake,
        Some(start.plus_seconds(LOGIN_SECONDS_MAX))
    );
    world.peers[i].events.push_back(Event::Time);
    world.run();
    assert_eq!(world.peers[i].closed, None, "not yet");
    // Half a command does not count.
    world.now = start.plus_seconds(LOGIN_SECONDS_MAX);
    world.say(i, "a LOGIN");
    world.peers[i].events.push_back(Event::Time);
    world.run();
    assert_eq!(world.peers[i].closed, Some(Farewell::TimedOut));
    assert!(
        world
            .hear(i)
            .ends_with("* BYE too long without a command\r\n")
    );

    let i = world.login();
    let start = world.now;
    world.now = start.plus_seconds(LOGIN_SECONDS_MAX);
    world.peers[i].events.push_back(Event::Time);
    world.run();
    assert_eq!(world.peers[i].closed, None);
    assert!(world.peers[i].wake.unwrap() >= start.plus_seconds(IDLE_SECONDS_MAX));
    world.now = start.plus_seconds(IDLE_SECONDS_MAX);
    world.peers[i].events.push_back(Event::Time);
    world.run();
    assert_eq!(world.peers[i].closed, Some(Farewell::TimedOut));
}

#[test]
fn a_server_that_stops_says_goodbye_to_idle_and_silent_clients() {
    let mut world = World::new();
    let (silent, idle) = (world.login(), world.selected());
    world.say(idle, "i IDLE\r\n");
    for i in [silent, idle] {
        world.hear(i);
        world.peers[i].events.push_back(Event::Stop);
        world.run();
        assert_eq!(
            world.hear(i),
            "* BYE [UNAVAILABLE] the server is stopping\r\n"
        );
        assert_eq!(world.peers[i].closed, Some(Farewell::Stopping));
    }
}

#[test]
fn a_server_that_stops_finishes_the_command_under_way() {
    let mut world = World::new();
    world.deliver("INBOX", b"Subject: a\r\n\r\nb", "");
    let i = world.selected();
    world.send(i, b"a STORE 1 +FLAGS (\\Seen)\r\nb NOOP\r\n");
    // The command is taken and asks; then the server stops.
    world.turn(i);
    world.peers[i].events.push_front(Event::Stop);
    world.run();
    let heard = world.hear(i);
    assert!(heard.contains("a OK STORE completed\r\n* BYE"), "{heard}");
    assert!(!heard.contains("b OK"));
}

#[test]
fn a_peer_that_goes_away_leaves_nothing_behind() {
    let mut world = World::new();
    let i = world.login();
    world.say(i, "a APPEND INBOX {10+}\r\nabc");
    world.peers[i].events.push_back(Event::Closed);
    world.run();
    assert_eq!(world.hear(i), "");
}

// capability: ID
#[test]
fn id_says_who_serves() {
    let mut world = World::new();
    let i = world.login();
    let reply = world.ask(i, "a ID (\"name\" \"x\")\r\nb ID NIL\r\n");
    assert!(
        reply.starts_with("* ID (\"name\" \"DBMail\" \"version\" \"0\")\r\na OK"),
        "{reply}"
    );
}
