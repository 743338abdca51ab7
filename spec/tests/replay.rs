//! Every seed and every finding of the fuzzers, run as plain tests.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can not read its seeds fails"
)]

use dbmail_spec::clauses::root;
use dbmail_spec::harness;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = root().join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "no seed in {}", folder.display());
}

#[test]
fn imap_commands_are_replayed() {
    replay("imap_command", harness::imap_command);
}

#[test]
fn imap_sentences_are_replayed() {
    replay("imap_sentence", harness::imap_sentence);
}

#[test]
fn lmtp_commands_are_replayed() {
    replay("lmtp_command", harness::lmtp_command);
}

#[test]
fn lmtp_sessions_are_replayed() {
    replay("lmtp_session", harness::lmtp_session);
}

#[test]
fn messages_are_replayed() {
    replay("mime", harness::mime);
}

#[test]
fn imap_sessions_are_replayed() {
    replay("imap_session", harness::imap_session);
}

#[test]
fn searches_are_replayed() {
    replay("search", harness::search);
}
