//! Whole sessions against a store that knows `anna`, `ben` (disabled), `full` (over quota) and `away` (store down).

use std::collections::{BTreeMap, VecDeque};

use dbmail_grammar::replies::{self, Listener};
use proptest::prelude::*;

use super::*;
use crate::session::Session as _;
use crate::store::{MailboxId, Refusal, Uid};

struct World {
    session: Session,
    now: Timestamp,
    uploads: BTreeMap<UploadId, Vec<u8>>,
    /// Accepted messages: prefix and content.
    stored: Vec<(AccountId, Bytes, Vec<u8>)>,
    seen: String,
    /// Holds all that is sent to the grammar of replies.
    listener: Listener,
    closed: Option<Farewell>,
    tls: bool,
    stage_fails: bool,
    wake: Option<Timestamp>,
    unread: Vec<u8>,
    /// What is still to be carried out, in order.
    outputs: VecDeque<Output>,
}

fn config() -> Config {
    Config {
        host: "mail.example.test".into(),
        peer: "127.0.0.1".into(),
        tls: Tls::Available,
        message_bytes_max: 1000,
        connection: 7,
    }
}

impl World {
    fn new(config: Config) -> Self {
        let mut world = Self {
            session: Session::new(config),
            now: Timestamp(784_111_777_000_000),
            uploads: BTreeMap::new(),
            stored: Vec::new(),
            seen: String::new(),
            listener: Listener::new(replies::lmtp()),
            closed: None,
            tls: false,
            stage_fails: false,
            wake: None,
            unread: Vec::new(),
            outputs: VecDeque::new(),
        };
        let mut out = Vec::new();
        world.session.open(world.now, &mut out);
        world
            .session
            .step(world.now, Input::Room(1 << 16), &mut out);
        world.carry_out(out);
        world
    }

    fn input(&mut self, input: Input<'_>) -> usize {
        let mut out = Vec::new();
        let taken = self.session.step(self.now, input, &mut out);
        self.outputs.extend(out);
        taken
    }

    fn tell(&mut self, input: Input<'_>) {
        self.input(input);
        self.carry_out(Vec::new());
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        self.outputs.extend(out);
        while let Some(output) = self.outputs.pop_front() {
            assert!(self.closed.is_none(), "{output:?} after the close");
            match output {
                Output::Send(bytes) => {
                    self.listener.hear(&bytes);
                    self.seen.push_str(std::str::from_utf8(&bytes).unwrap());
                    self.input(Input::Room(1 << 16));
                }
                Output::Ask(ticket, request) => {
                    let reply = self.store(request);
                    self.input(Input::Answer(ticket, reply));
                }
                Output::Stage(upload, bytes) => {
                    let all = self.uploads.entry(upload).or_default();
                    all.extend_from_slice(&bytes);
                    let total = all.len() as u64;
                    let said = if self.stage_fails {
                        self.uploads.remove(&upload);
                        Input::StageFailed(upload)
                    } else {
                        Input::Staged(upload, total)
                    };
                    self.input(said);
                }
                Output::Discard(upload) => {
                    self.uploads.remove(&upload);
                }
                Output::StartTls => {
                    self.unread.clear();
                    self.tls = true;
                    self.input(Input::Upgraded);
                }
                Output::Wake(at) => self.wake = at,
                Output::Note(_) => {}
                Output::Close(why) => self.closed = Some(why),
                Output::Authenticate(..) | Output::Watch(_) => panic!("not in LMTP"),
            }
        }
    }

    fn store(&mut self, request: Request) -> crate::store::Reply {
        let account = |name: &str| match name {
            "anna" => Ok(Answer::Resolved(Resolved::Account(AccountId(1)))),
            "full" => Ok(Answer::Resolved(Resolved::Account(AccountId(2)))),
            "ben" => Ok(Answer::Resolved(Resolved::Disabled)),
            "away" => Err(Refusal::Unavailable),
            _ => Ok(Answer::Resolved(Resolved::Unknown)),
        };
        match request {
            Request::Resolve { address } => account(address.split('@').next().unwrap()),
            Request::Deliver {
                upload, recipients, ..
            } => {
                let Some(content) = self.uploads.remove(&upload) else {
                    return Err(Refusal::Upload);
                };
                let mut outcomes = Vec::new();
                for recipient in recipients {
                    if recipient.account == AccountId(2) {
                        outcomes.push(Outcome::OverQuota);
                        continue;
                    }
                    let stored = (recipient.account, recipient.prefix, content.clone());
                    let repeat = self.stored.iter().any(|s| s.2 == stored.2);
                    self.stored.push(stored);
                    outcomes.push(Outcome::Stored {
                        mailbox: MailboxId(1),
                        uid: Uid::MIN,
                        repeat,
                    });
                }
                Ok(Answer::Delivered(outcomes))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends octets as a shell would; gives what came back.
    fn send(&mut self, bytes: &[u8]) -> String {
        self.unread.extend_from_slice(bytes);
        while self.closed.is_none() && !self.unread.is_empty() {
            let offered = std::mem::take(&mut self.unread);
            let mut out = Vec::new();
            let taken = self
                .session
                .step(self.now, Input::Bytes(&offered), &mut out);
            self.unread = offered[taken..].to_vec();
            let stuck = taken == 0 && out.is_empty();
            self.carry_out(out);
            assert!(!stuck, "the session neither takes octets nor says why");
        }
        std::mem::take(&mut self.seen)
    }

    fn begun(config: Config) -> Self {
        let mut world = Self::new(config);
        world.send(b"LHLO client.example.test\r\nMAIL FROM:<s@example.org>\r\n");
        world
    }
}

// capability: LMTP PIPELINING
// clause: 2033-4.2-replies, 2033-5-extensions, 5321-4.4-return-path, 5321-4.4-received, 2033-4.2-positive
#[test]
fn a_message_is_accepted_for_each_recipient_on_its_own() {
    let mut w = World::new(config());
    let seen = w.send(
        b"LHLO client.example.test\r\nMAIL FROM:<s@example.org> SIZE=20 BODY=8BITMIME\r\n\
          RCPT TO:<anna@example.test>\r\nRCPT TO:<ben@example.test>\r\nRCPT TO:<full@example.test>\r\n\
          RCPT TO:<nobody@example.test>\r\nRCPT TO:<away@example.test>\r\nDATA\r\n\
          Return-Path: <old>\r\nSubject: x\r\n\r\n..\r\n.\r\nQUIT\r\n",
    );
    insta::assert_snapshot!(seen.replace('\r', ""), @r"
    220 mail.example.test LMTP DBMail ready
    250-mail.example.test
    250-PIPELINING
    250-8BITMIME
    250-SMTPUTF8
    250-SIZE 1000
    250-CHUNKING
    250-BINARYMIME
    250-ENHANCEDSTATUSCODES
    250 STARTTLS
    250 2.1.0 Sender OK
    250 2.1.5 Recipient OK
    550 5.2.1 The mailbox is disabled
    250 2.1.5 Recipient OK
    550 5.1.1 No such user here
    451 4.3.0 The store can't be reached now; try again later
    354 Send the message; end with CRLF.CRLF
    250 2.0.0 <anna@example.test> Delivered
    552 5.2.2 <full@example.test> The mailbox is full
    221 2.0.0 Bye
    ");
    assert_eq!(w.stored.len(), 1);
    assert_eq!(w.stored[0].2, b"Subject: x\r\n\r\n.\r\n");
    assert!(
        w.stored[0]
            .1
            .starts_with(b"Return-Path: <s@example.org>\r\nDelivered-To: anna@")
    );
    assert_eq!(w.closed, Some(Farewell::Asked));
    assert!(w.uploads.is_empty());
}

// capability: LMTP CHUNKING, LMTP BINARYMIME
// clause: 2033-4.2-bdat
#[test]
fn a_message_in_chunks_is_stored_octet_for_octet() {
    let mut w = World::begun(config());
    let seen = w.send(b"RCPT TO:<anna@b>\r\nBDAT 5\r\nA: b\nBDAT 4\r\n\n.\r\nBDAT 3 LAST\r\n.\0x");
    let codes: Vec<&str> = seen.lines().map(|line| &line[..9]).collect();
    assert_eq!(
        codes,
        ["250 2.1.5", "250 2.0.0", "250 2.0.0", "250 2.0.0"],
        "{seen}"
    );
    assert_eq!(w.stored[0].2, b"A: b\n\n.\r\n.\0x");
    let seen = w.send(b"MAIL FROM:<>\r\nRCPT TO:<anna@b>\r\nBDAT 0 LAST\r\n");
    assert!(seen.ends_with("250 2.0.0 <anna@b> Delivered\r\n"), "{seen}");
    assert_eq!(w.stored[1].2, b"");
    assert!(w.stored[1].1.starts_with(b"Return-Path: <>\r\n"));
}

// capability: LMTP 8BITMIME
#[test]
fn eight_bits_are_stored_octet_for_octet() {
    let mut w = World::begun(config());
    w.send(b"RSET\r\nMAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<anna@b>\r\nDATA\r\n");
    let message: Vec<u8> = (0x80..=0xff).collect();
    let seen = w.send(&[&message[..], b"\r\n.\r\n"].concat());
    assert_eq!(seen, "250 2.0.0 <anna@b> Delivered\r\n");
    assert_eq!(w.stored[0].2, [&message[..], b"\r\n"].concat());
}

// clause: 3030-2-chunk-read, 5321-4.1.1.5-rset
#[test]
fn an_unwanted_chunk_is_read_and_refused() {
    let mut w = World::new(config());
    w.seen.clear();
    let seen = w.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(seen, "503 5.5.1 Say MAIL first\r\n250 2.0.0 OK\r\n");
    let seen = w.send(
        b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ben@b>\r\nBDAT 6 LAST\r\nQUIT\r\nRCPT TO:<anna@b>\r\n",
    );
    assert!(
        seen.ends_with("503 5.5.1 No valid recipients\r\n250 2.1.5 Recipient OK\r\n"),
        "{seen}"
    );
    // Too large in the second chunk: that chunk says so, later ones are refused, RSET mends it.
    let big = format!(
        "BDAT 3\r\nabcBDAT 998\r\n{}BDAT 4 LAST\r\nQUITRSET\r\n",
        "x".repeat(998)
    );
    let seen = w.send(big.as_bytes());
    insta::assert_snapshot!(seen.replace('\r', ""), @r"
    250 2.0.0 Octets received
    552 5.3.4 The message is larger than this server takes
    503 5.5.1 An earlier chunk was refused: send RSET
    250 2.0.0 Reset
    ");
    assert!(w.uploads.is_empty() && w.stored.is_empty());
}

// capability: LMTP SIZE
#[test]
fn a_message_over_the_limit_is_refused_for_each_recipient() {
    let mut w = World::begun(config());
    w.seen.clear();
    assert!(
        w.send(b"MAIL FROM:<a@b> SIZE=1001\r\n")
            .contains("503 5.5.1 A transaction is under way")
    );
    assert!(
        w.send(b"RSET\r\nMAIL FROM:<a@b> SIZE=1001\r\n")
            .contains("552 5.3.4")
    );
    assert!(
        w.send(b"MAIL FROM:<a@b> SIZE=99999999999999999999999\r\n")
            .contains("552 5.3.4")
    );
    w.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<anna@b>\r\nRCPT TO:<anna@c>\r\nDATA\r\n");
    let seen = w.send(format!("{}\r\n.\r\nNOOP\r\n", "x".repeat(2000)).as_bytes());
    insta::assert_snapshot!(seen.replace('\r', ""), @r"
    552 5.3.4 <anna@b> The message is larger than this server takes
    552 5.3.4 <anna@c> The message is larger than this server takes
    250 2.0.0 OK
    ");
    assert!(w.uploads.is_empty());
}

#[test]
fn a_store_that_fails_in_the_midst_gives_451() {
    let mut w = World::begun(config());
    w.stage_fails = true;
    let seen = w.send(b"RCPT TO:<anna@b>\r\nDATA\r\nx\r\n.\r\n");
    assert!(
        seen.ends_with("451 4.3.0 <anna@b> The store can't be reached now; try again later\r\n")
    );
    assert!(w.uploads.is_empty());
}

// capability: LMTP ENHANCEDSTATUSCODES, LMTP SMTPUTF8
// clause: 2033-4.1-lhlo, 5321-4.1.4-order, 3030-3-binary-needs-bdat, 6531-3.4-utf8
#[test]
fn commands_out_of_order_and_wrong_lines_are_told_apart() {
    let mut w = World::new(config());
    let seen = w.send(
        b"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nEHLO x\r\nFROB\r\nLHLO\r\nNOOP\nNO\0OP\r\nVRFY x\r\n\
          LHLO x\r\nMAIL FROM:<jos\xc3\xa9@b>\r\nMAIL FROM:<a@b> BODY=9BIT\r\nMAIL FROM:<a@b> X=1\r\n\
          MAIL FROM:<jos\xc3\xa9@b> SMTPUTF8 BODY=BINARYMIME\r\nDATA\r\nRCPT TO:<anna@b> NOTIFY=NEVER\r\nHELP\r\n",
    );
    let mut lines: Vec<&str> = seen.lines().skip(1).collect();
    lines.retain(|l| !l.starts_with("250-") && *l != "250 STARTTLS");
    insta::assert_snapshot!(lines.join("\n"), @r"
    503 5.5.1 Say LHLO first
    503 5.5.1 Say MAIL first
    503 5.5.1 Say MAIL first
    500 5.5.1 This is LMTP: say LHLO
    500 5.5.1 No such command
    501 5.5.4 LHLO domain Wrong arguments
    500 5.5.2 The line holds a bare CR, bare LF or NUL
    500 5.5.2 The line holds a bare CR, bare LF or NUL
    252 2.5.0 Not verified; RCPT tells whether the address takes mail
    553 5.6.7 An address with non-ASCII characters needs SMTPUTF8
    555 5.5.4 A parameter is unknown, twice there, or has a wrong value
    555 5.5.4 A parameter is unknown, twice there, or has a wrong value
    250 2.1.0 Sender OK
    503 5.5.1 Chunks were sent, or BODY=BINARYMIME: go on with BDAT or RSET
    555 5.5.4 A parameter is unknown, twice there, or has a wrong value
    214 2.0.0 LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS QUIT; see RFC 2033
    ");
}

// clause: 2033-4.2-no-recipients
#[test]
fn data_without_an_accepted_recipient_is_refused() {
    let mut w = World::begun(config());
    w.seen.clear();
    let seen = w.send(b"DATA\r\nRCPT TO:<nobody@b>\r\nDATA\r\n");
    insta::assert_snapshot!(seen.replace('\r', ""), @r"
    503 5.5.1 No valid recipients
    550 5.1.1 No such user here
    503 5.5.1 No valid recipients
    ");
}

#[test]
fn a_line_without_end_closes_the_connection() {
    let mut w = World::new(config());
    w.seen.clear();
    let (mut sent, mut said) = (0, String::new());
    while w.closed.is_none() && sent < 1_000_000 {
        said.push_str(&w.send(&[b'x'; 1000]));
        sent += 1000;
    }
    assert!((64 * 1024..80_000).contains(&sent), "{sent}");
    assert_eq!(said, "421 4.7.0 Too many errors\r\n");
}

#[test]
fn a_long_line_is_skipped_and_told_once() {
    let mut w = World::new(config());
    w.seen.clear();
    for _ in 0..60 {
        assert_eq!(w.send(&[b'x'; 1000]), "");
    }
    assert!(w.session.line.capacity() <= 2 * LMTP_LINE_BYTES_MAX);
    assert_eq!(
        w.send(b"\r\nNOOP\r\n"),
        "500 5.5.2 The line is too long\r\n250 2.0.0 OK\r\n"
    );
}

#[test]
fn too_many_wrong_lines_end_the_session() {
    let mut w = World::new(config());
    let seen = w.send(&b"x\r\n".repeat(50));
    assert!(seen.ends_with("421 4.7.0 Too many errors\r\n"));
    assert_eq!(w.closed, Some(Farewell::Misbehaved));
}

// capability: LMTP STARTTLS
// clause: 3207-4.2-forget
#[test]
fn after_starttls_everything_said_before_is_forgotten() {
    let mut w = World::begun(config());
    let seen = w.send(b"STARTTLS\r\nRCPT TO:<anna@b>\r\n");
    assert!(seen.ends_with("220 2.0.0 Ready to start TLS\r\n"), "{seen}");
    assert!(w.tls);
    assert!(w.send(b"MAIL FROM:<>\r\n").contains("Say LHLO first"));
    assert!(!w.send(b"LHLO x\r\n").contains("STARTTLS"));
    assert!(w.send(b"STARTTLS\r\n").contains("503"));
    w.send(b"MAIL FROM:<>\r\nRCPT TO:<anna@b>\r\nDATA\r\n.\r\n");
    assert!(String::from_utf8_lossy(&w.stored[0].1).contains(" with LMTPS id "));
}

// clause: 5321-4.5.3.2-timeouts
#[test]
fn silence_ends_the_session_but_not_while_the_store_works() {
    let mut w = World::begun(config());
    let wake = w.wake.unwrap();
    assert_eq!(wake, w.now.plus_seconds(LMTP_SECONDS_MAX));
    w.now = wake;
    w.tell(Input::Time);
    assert!(w.seen.ends_with("421 4.4.2 Nothing heard for too long\r\n"));
    assert_eq!(w.closed, Some(Farewell::TimedOut));
}

#[test]
fn a_stopping_server_finishes_the_message_under_way() {
    let mut w = World::begun(config());
    w.send(b"RCPT TO:<anna@b>\r\nDATA\r\nx\r\n");
    w.tell(Input::Stop);
    assert_eq!(w.closed, None);
    let seen = w.send(b".\r\n");
    assert!(seen.ends_with("250 2.0.0 <anna@b> Delivered\r\n421 4.3.2 The server is stopping\r\n"));
    assert_eq!(w.closed, Some(Farewell::Stopping));
    let mut w = World::new(config());
    w.tell(Input::Stop);
    assert_eq!(w.closed, Some(Farewell::Stopping));
}

#[test]
fn no_more_is_taken_than_the_store_keeps_up_with() {
    let big = Config {
        message_bytes_max: u64::MAX,
        ..config()
    };
    let mut session = Session::new(big);
    let mut out = Vec::new();
    session.open(Timestamp(0), &mut out);
    session.step(Timestamp(0), Input::Room(1 << 16), &mut out);
    let say = |session: &mut Session, bytes: &[u8]| {
        let mut out = Vec::new();
        let taken = session.step(Timestamp(0), Input::Bytes(bytes), &mut out);
        (taken, out)
    };
    say(&mut session, b"LHLO x\r\nMAIL FROM:<>\r\n");
    let (_, asked) = say(&mut session, b"RCPT TO:<anna@b>\r\n");
    let ticket = asked.iter().find_map(|o| match o {
        Output::Ask(ticket, _) => Some(*ticket),
        _ => None,
    });
    let anna = Ok(Answer::Resolved(Resolved::Account(AccountId(1))));
    session.step(Timestamp(0), Input::Answer(ticket.unwrap(), anna), &mut out);
    say(&mut session, b"DATA\r\n");
    let mut taken = 0;
    for _ in 0..100 {
        taken += say(&mut session, &[b'x'; 60_000]).0 as u64;
    }
    assert!(taken >= STAGE_AHEAD_BYTES_MAX);
    assert!(
        taken <= STAGE_AHEAD_BYTES_MAX + STAGE_SLICE_BYTES_MAX as u64,
        "{taken}"
    );
}

#[test]
fn a_peer_that_goes_leaves_no_upload_behind() {
    let mut w = World::begun(config());
    w.send(b"RCPT TO:<anna@b>\r\nDATA\r\nhalf a mess");
    assert_eq!(w.uploads.len(), 1);
    w.tell(Input::Closed);
    assert!(w.uploads.is_empty() && w.stored.is_empty() && w.closed.is_some());
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"LHLO x\r\n".to_vec()),
        Just(b"MAIL FROM:<a@b>\r\n".to_vec()),
        Just(b"RCPT TO:<anna@b>\r\n".to_vec()),
        Just(b"RCPT TO:<full@b>\r\n".to_vec()),
        Just(b"DATA\r\n".to_vec()),
        Just(b"A: b\r\n\r\nc\r\n.\r\n".to_vec()),
        Just(b"BDAT 4\r\nabcd".to_vec()),
        Just(b"BDAT 2 LAST\r\nxy".to_vec()),
        Just(b"RSET\r\n".to_vec()),
        Just(b"FROB\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_session_does_not_mind_how_its_input_is_cut(script in script(), slice in 1usize..7) {
        let mut at_once = World::new(config());
        at_once.seen.clear();
        let seen_at_once = at_once.send(&script);
        let mut cut = World::new(config());
        cut.seen.clear();
        let mut seen = String::new();
        for piece in script.chunks(slice) {
            seen.push_str(&cut.send(piece));
        }
        prop_assert_eq!(seen, seen_at_once);
        prop_assert_eq!(&cut.stored, &at_once.stored);
        for world in [&mut cut, &mut at_once] {
            if world.closed.is_none() {
                world.tell(Input::Closed);
            }
            prop_assert!(world.uploads.is_empty());
        }
    }
}
