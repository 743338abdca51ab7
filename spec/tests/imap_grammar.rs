//! The parser of commands and the grammar in `abnf/imap.abnf` say the same.
#![expect(
    clippy::unwrap_used,
    reason = "a grammar that can not be read fails the test"
)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use dbmail_spec::abnf::Grammar;
use dbmail_spec::imap::{self, Reading};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| imap::grammar().unwrap());

fn tape() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..120)
}

/// Octets that matter to the syntax, more often than others.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        proptest::sample::select(&b" \r\n\0\"\\()[]{}<>%*+-.,:~0129aZ$=&\x7f\x80\xff"[..]),
    ]
}

#[test]
fn known_texts_are_recognised_or_not() {
    for (text, is) in [
        (&b"a NOOP\r\n"[..], true),
        (b"a noop\n", true),
        (b"a+ NOOP\r\n", false),
        (b"a NOOP \r\n", false),
        (b"a LOGIN {1}\r\na {2+}\r\n\r\n\r\n", true),
        (b"a LOGIN {2}\r\na\r\n", false),
        (
            b"a APPEND x (\\Seen) \"29-Feb-2024 00:00:00 +0000\" {3}\r\nabc\r\n",
            true,
        ),
        (
            b"a APPEND x \"29-Feb-2023 00:00:00 +0000\" {3}\r\nabc\r\n",
            false,
        ),
        (b"a STORE 1 +FLAGS.SILENT \\Seen x\r\n", true),
        (b"a STORE 4294967296 FLAGS x\r\n", false),
        (
            b"a FETCH 1:*,5 (BODY.PEEK[1.2.HEADER.FIELDS (To)]<0.5>)\r\n",
            true,
        ),
        (b"a FETCH 1 BODY[MIME]\r\n", false),
        (
            b"a SEARCH CHARSET \"utf-8\" NOT (OR 1 TEXT {1}\r\nx) ALL\r\n",
            true,
        ),
        (b"a SEARCH CHARSET latin1 ALL\r\n", false),
        (b"a SEARCH TEXT {1}\r\n\xff\r\n", false),
        (b"a AUTHENTICATE PLAIN AGEAYg==\r\n", true),
        (b"a AUTHENTICATE PLAIN AGEAYh==\r\n", false),
    ] {
        assert_eq!(
            GRAMMAR.recognises("command", text),
            is,
            "{}",
            text.escape_ascii()
        );
        assert_eq!(
            imap::read(text) == Reading::Command,
            is,
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn every_rule_of_the_grammar_is_used_by_some_sentence() {
    let mut used = BTreeSet::new();
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let tape: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(60)
        .collect();
        used.extend(GRAMMAR.sentence("command", &tape).1);
    }
    let unused: Vec<_> = GRAMMAR
        .rules()
        .filter(|rule| !used.contains(*rule))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_sentence_is_recognised_and_read_as_one_command(tape in tape()) {
        let (sentence, _) = GRAMMAR.sentence("command", &tape);
        prop_assert!(GRAMMAR.recognises("command", &sentence), "{}", sentence.escape_ascii());
        prop_assert_eq!(imap::read(&sentence), Reading::Command, "{}", sentence.escape_ascii());
    }

    #[test]
    fn every_beginning_of_a_sentence_is_incomplete(tape in tape()) {
        let (sentence, _) = GRAMMAR.sentence("command", &tape);
        for size in 0..sentence.len() {
            let beginning = &sentence[..size];
            prop_assert_eq!(imap::read(beginning), Reading::Incomplete, "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn parser_and_grammar_agree_on_a_sentence_with_one_octet_changed(
        tape in tape(),
        changes in vec((any::<Index>(), octet(), 0..4_u8), 8),
    ) {
        let (sentence, _) = GRAMMAR.sentence("command", &tape);
        for (index, octet, kind) in changes {
            let mut text = sentence.clone();
            let at = index.index(text.len());
            match kind {
                0 => text.insert(at, octet),
                1 => drop(text.remove(at)),
                2 => text.insert(at, text[at]),
                _ => text[at] = octet,
            }
            let read = imap::read(&text) == Reading::Command;
            prop_assert_eq!(read, GRAMMAR.recognises("command", &text), "{}", text.escape_ascii());
        }
    }
}
