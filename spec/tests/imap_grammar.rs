//! The parser of commands and the grammar in `grammar/abnf/imap.abnf` say the same.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a grammar that can not be read, or a place outside of a sentence, fails the test"
)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use dbmail_grammar::abnf::{Grammar, tapes};
use dbmail_spec::imap::{self, Reading};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| imap::grammar().unwrap());

/// Sentences, more of them of the commands whose syntax is deep.
fn sentence() -> impl Strategy<Value = Vec<u8>> {
    let rule = proptest::sample::select(
        &[
            "command",
            "fetch",
            "search",
            "append",
            "store",
            "uid",
            "command-auth",
        ][..],
    );
    (rule, vec(any::<u8>(), 0..120)).prop_map(|(rule, tape)| {
        let (text, _) = GRAMMAR.sentence(rule, &tape);
        if rule == "command" {
            text
        } else {
            [b"a ", &text[..], b"\r\n"].concat()
        }
    })
}

/// Octets that matter to the syntax, more often than others.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        proptest::sample::select(&b" \r\n\0\"\\()[]{}<>%*+-.,:~0129aZ$=&\x7f\x80\xff"[..]),
    ]
}

/// A sentence with one octet put in, taken out, doubled or replaced; half of the time one digit of it replaced by another,
/// since numbers have bounds.
fn changed(sentence: &[u8], index: Index, octet: u8, kind: u8) -> Vec<u8> {
    let mut text = sentence.to_vec();
    let digits = (0..text.len()).filter(|at| text[*at].is_ascii_digit());
    let digits: Vec<usize> = digits.collect();
    if kind >= 3 && !digits.is_empty() {
        text[digits[index.index(digits.len())]] = b'0' + octet % 10;
        return text;
    }
    let at = index.index(text.len());
    match kind {
        0 => text.insert(at, octet),
        1 => drop(text.remove(at)),
        2 => text.insert(at, text[at]),
        _ => text[at] = octet,
    }
    text
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
        (b"a FETCH 1 BODY[]<0.0>\r\n", false),
        (b"a FETCH 1 BODY[]<0.01>\r\n", false),
        (b"a FETCH 1 BODY[]<4294967295.4294967295>\r\n", true),
        (b"a FETCH 1 BODY[1.0]\r\n", false),
        (b"a FETCH 1 (ALL)\r\n", false),
        (
            b"a APPEND x \" 1-Jan-2024 23:59:60 -2359\" {0}\r\n\r\n",
            true,
        ),
        (
            b"a APPEND x \" 1-Jan-2024 24:00:00 +0000\" {0}\r\n\r\n",
            false,
        ),
        (
            b"a APPEND x \" 1-Jan-2024 00:00:61 +0000\" {0}\r\n\r\n",
            false,
        ),
        (
            b"a APPEND x \" 1-Jan-2024 00:00:00 +2400\" {0}\r\n\r\n",
            false,
        ),
        (
            b"a APPEND x \" 1-Jan-2024 00:00:00 +0060\" {0}\r\n\r\n",
            false,
        ),
        (b"a APPEND x {1}\r\n\0\r\n", false),
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
    for tape in tapes() {
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

    // Each word of a sentence has capitals, small letters or both.
    // clause: 3691-4-case, 6851-5-case
    #[test]
    fn every_sentence_is_recognised_and_read_as_one_command(sentence in sentence()) {
        prop_assert!(GRAMMAR.recognises("command", &sentence), "{}", sentence.escape_ascii());
        prop_assert_eq!(imap::read(&sentence), Reading::Command, "{}", sentence.escape_ascii());
    }

    #[test]
    fn every_beginning_of_a_sentence_is_incomplete(sentence in sentence()) {
        for size in 0..sentence.len() {
            let beginning = &sentence[..size];
            prop_assert_eq!(imap::read(beginning), Reading::Incomplete, "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn parser_and_grammar_agree_on_a_sentence_with_one_octet_changed(
        sentence in sentence(),
        changes in vec((any::<Index>(), octet(), 0..6_u8), 10),
    ) {
        for (index, octet, kind) in changes {
            let text = changed(&sentence, index, octet, kind);
            let read = imap::read(&text) == Reading::Command;
            prop_assert_eq!(read, GRAMMAR.recognises("command", &text), "{}", text.escape_ascii());
        }
    }
}
