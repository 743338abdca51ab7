//! What the fuzz targets run, as plain functions: the replay tests run them too, over the seeds that are kept.

mod imap_session;

use std::sync::LazyLock;

use dbmail_core::imap::grammar as imap_grammar;
use dbmail_core::limits::NESTING_MAX;
use dbmail_core::session::{Input, Output, Session as _};
use dbmail_core::store::{AccountId, Answer, Outcome, Refusal, Request, Resolved, Timestamp, Uid};
use dbmail_core::{lmtp, mail};
use dbmail_grammar::abnf::Grammar;
use dbmail_grammar::replies::{self, Listener};

use crate::imap;
pub use imap_session::imap_session;

/// Octets that a session may hold ready or hand on for one input of the harness, beyond which it is not bounded.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Choices that make one command, beyond which a tape is cut. A search key in another takes three at the least (which half of the rule, which
/// alternative, the case of its word): so none lies deeper than is served.
const TAPE_MAX: usize = 3 * NESTING_MAX;

/// Octets as IMAP commands: lexer and grammar. The first octet says in what slices the rest comes; the slices must make no difference.
///
/// # Panics
/// When they do, or when a refused command is refused at a place outside of it.
pub fn imap_command(data: &[u8]) {
    let Some((&slice, octets)) = data.split_first() else {
        return;
    };
    let whole = imap::texts(octets, octets.len().max(1));
    assert_eq!(imap::texts(octets, usize::from(slice).max(1)), whole);
    for text in &whole {
        if let Err(bad) = imap_grammar::command(text) {
            assert!(bad.at <= text.len());
        }
        if let Some(Err(bad)) = imap_grammar::append_prefix(text) {
            assert!(bad.at <= text.len());
        }
    }
}

/// The choices that make a command of IMAP: what the grammar makes is read as one command, whole and in slices.
///
/// # Panics
/// When it is not, or the grammar can't be read.
pub fn imap_sentence(tape: &[u8]) {
    static GRAMMAR: LazyLock<Result<Grammar, String>> = LazyLock::new(imap::grammar);
    let grammar = GRAMMAR.as_ref();
    assert!(grammar.is_ok(), "{grammar:?}");
    let Ok(grammar) = grammar else { return };
    let tape = tape.get(..TAPE_MAX).unwrap_or(tape);
    let (sentence, _) = grammar.sentence("command", tape);
    let shown = sentence.escape_ascii();
    assert_eq!(imap::read(&sentence), imap::Reading::Command, "{shown}");
    let slice = tape.last().copied().unwrap_or_default();
    imap_command(&[&[slice], &sentence[..]].concat());
}

/// One line of LMTP.
pub fn lmtp_command(line: &[u8]) {
    let _ = lmtp::grammar::command(line);
}

/// A whole LMTP session, whose store accepts what begins with `a`. The first octet says in what slices the rest comes.
///
/// # Panics
/// When the session breaks its contract: that is what the fuzzer looks for.
pub fn lmtp_session(data: &[u8]) {
    let Some((&slice, script)) = data.split_first() else {
        return;
    };
    let config = lmtp::Config {
        host: "fuzz.example".into(),
        peer: "127.0.0.1".into(),
        tls: lmtp::Tls::Available,
        message_bytes_max: 4096,
        connection: 1,
    };
    let mut session = lmtp::Session::new(config);
    let mut listener = Listener::new(replies::lmtp());
    let now = Timestamp(0);
    let mut queue = Vec::new();
    session.open(now, &mut queue);
    session.step(now, Input::Room(1 << 16), &mut queue);
    let mut closed = answer(&mut session, &mut listener, queue);
    for piece in script.chunks(usize::from(slice).max(1)) {
        let mut rest = piece;
        while !closed && !rest.is_empty() {
            let mut out = Vec::new();
            let taken = session.step(now, Input::Bytes(rest), &mut out);
            assert!(taken > 0 || !out.is_empty(), "the session is stuck");
            rest = rest.get(taken..).unwrap_or_default();
            closed = answer(&mut session, &mut listener, out);
        }
    }
}

/// Carries out what a session wants; true when it is closed.
fn answer(session: &mut lmtp::Session, listener: &mut Listener, out: Vec<Output>) -> bool {
    let now = Timestamp(0);
    let mut queue = std::collections::VecDeque::from(out);
    let mut octets = 0;
    while let Some(output) = queue.pop_front() {
        let mut more = Vec::new();
        match output {
            Output::Send(bytes) => {
                octets += bytes.len();
                listener.hear(&bytes);
                assert!(octets <= OUTPUT_BYTES_MAX, "the session sends without end");
                session.step(now, Input::Room(1 << 16), &mut more);
            }
            Output::Ask(ticket, Request::Resolve { address }) => {
                let resolved = match address.bytes().next() {
                    Some(b'a') => Resolved::Account(AccountId(1)),
                    Some(b'd') => Resolved::Disabled,
                    _ => Resolved::Unknown,
                };
                let reply = Ok(Answer::Resolved(resolved));
                session.step(now, Input::Answer(ticket, reply), &mut more);
            }
            Output::Ask(ticket, Request::Deliver { recipients, .. }) => {
                assert!(!recipients.is_empty(), "a delivery for nobody");
                let mailbox = dbmail_core::store::MailboxId(1);
                let stored = Outcome::Stored {
                    mailbox,
                    uid: Uid::MIN,
                    repeat: false,
                };
                let reply = Ok(Answer::Delivered(vec![stored; recipients.len()]));
                session.step(now, Input::Answer(ticket, reply), &mut more);
            }
            Output::Ask(ticket, _) => {
                session.step(
                    now,
                    Input::Answer(ticket, Err(Refusal::Unavailable)),
                    &mut more,
                );
            }
            Output::Stage(upload, bytes) => {
                session.step(now, Input::Staged(upload, bytes.len() as u64), &mut more);
            }
            Output::StartTls => {
                session.step(now, Input::Upgraded, &mut more);
            }
            Output::Close(_) => return true,
            Output::Authenticate(..)
            | Output::Discard(_)
            | Output::Watch(_)
            | Output::Wake(_)
            | Output::Note(_) => {}
        }
        queue.extend(more);
    }
    false
}

/// A message through the scanner, cut in slices by its first octet, and everything that is made from it.
///
/// # Panics
/// When the spans do not lie in the message, or what was stored can't be read back.
pub fn mime(data: &[u8]) {
    let Some((&slice, message)) = data.split_first() else {
        return;
    };
    let mut scanner = mail::Scanner::new();
    for piece in message.chunks(usize::from(slice).max(1)) {
        scanner.feed(piece);
        assert!(scanner.settled() <= message.len() as u64);
    }
    let scanned = scanner.finish();
    assert_eq!(scanned.size, message.len() as u64);
    let mut end = 0;
    for leaf in &scanned.leaves {
        assert!(end <= leaf.start && leaf.start <= leaf.end && leaf.end <= scanned.size);
        end = leaf.end;
    }
    let (envelope, structure) = (scanned.envelope.encode(), scanned.structure.encode());
    let mut out = Vec::new();
    assert!(mail::write_envelope(&envelope, &mut out).is_ok());
    assert!(mail::write_body_structure(&structure, true, &mut out).is_ok());
    assert!(
        mail::Envelope::decode(&envelope).is_ok() && mail::Structure::decode(&structure).is_ok()
    );
    // Stored data may be damaged: an error, no panic.
    let _ = mail::write_envelope(message, &mut out);
    let _ = mail::write_body_structure(message, true, &mut out);
}

/// A text through the matcher that takes slices, and whole: three octets say encoding, charset and slice, the next how long the needle is.
///
/// # Panics
/// When slices make a difference, or what was found is not in the text.
pub fn search(data: &[u8]) {
    let Some(([how, slice, length], rest)) = data.split_first_chunk::<3>() else {
        return;
    };
    let (needle, raw) = rest.split_at(usize::from(*length).min(rest.len()));
    let encoding: &[u8] = match how & 3 {
        0 => b"8bit",
        1 => b"base64",
        _ => b"quoted-printable",
    };
    let charset: &[u8] = match how >> 2 & 7 {
        0 => b"us-ascii",
        1 => b"iso-8859-1",
        2 => b"utf-7",
        3 => b"iso-2022-jp",
        4 => b"gb18030",
        5 => b"utf-16",
        _ => b"utf-8",
    };
    let needles = [
        mail::Needle::new(&String::from_utf8_lossy(needle)),
        mail::Needle::new("\u{fc}a"),
        mail::Needle::new(""),
    ];
    let mut text = String::new();
    let mut decoder = mail::LeafDecoder::new(encoding, Some(charset));
    decoder.feed(raw, &mut text);
    decoder.finish(&mut text);
    let mut matcher = mail::TextMatcher::new(&needles);
    let mut decoder = mail::LeafDecoder::new(encoding, Some(charset));
    for piece in raw.chunks(usize::from(*slice).max(1)) {
        matcher.feed(piece, &mut decoder);
    }
    matcher.end_leaf(&mut decoder);
    let whole: Vec<bool> = needles.iter().map(|needle| needle.is_in(&text)).collect();
    assert_eq!(matcher.found(), whole);
}
