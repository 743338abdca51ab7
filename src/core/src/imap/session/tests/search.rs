//! SEARCH.

use crate::imap::session::world::World;
use crate::limits::INLINE_CONTENT_BYTES_MAX;

fn world() -> (World, usize) {
    let mut world = World::new();
    world.deliver("INBOX", b"From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n\r\nplain words\r\n", "Return-Path: <x@trace.example>\r\n");
    world.deliver("INBOX", b"From: bob@b.example\r\nCc: ann@a.example\r\nSubject: second\r\nContent-Type: multipart/alternative; boundary=q\r\n\r\n--q\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZSBhdXMgS8O2bG4=\r\n--q\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=chart.png\r\n\r\nhidden words\r\n--q--\r\n", "");
    world.deliver("INBOX", b"Subject: third\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nein sch=F6ner lan=\r\nger Satz\r\n", "");
    let i = world.selected();
    world.ask(
        i,
        "s STORE 1 +FLAGS (\\Seen \\Flagged)\r\nt STORE 2 +FLAGS ($Work \\Deleted)\r\n",
    );
    (world, i)
}

#[test]
fn every_kind_of_key() {
    let (mut world, i) = world();
    for (keys, expected) in [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("NOT FLAGGED", "2 3"),
        ("DELETED KEYWORD $work", "2"),
        ("UNKEYWORD $WORK", "1 3"),
        ("KEYWORD none", ""),
        ("ANSWERED", ""),
        ("RECENT", "1 2 3"),
        ("OLD", ""),
        ("NEW", "2 3"),
        ("2:*", "2 3"),
        ("UID 1,3", "1 3"),
        ("OR 1 SEEN UID 1", "1"),
        ("OR SUBJECT third SEEN", "1 3"),
        ("FROM ann", "1"),
        ("TO BOB@B", "1"),
        ("CC ann", "2"),
        ("BCC ann", ""),
        ("SUBJECT \"caf\"", "1"),
        ("SUBJECT {5+}\r\nCAF\u{c9}", "1"),
        ("HEADER Return-Path trace", "1"),
        ("HEADER Cc \"\"", "2"),
        ("BODY words", "1"),
        ("BODY \"gr\u{fc}\u{df}e aus k\u{f6}ln\"", "2"),
        ("BODY \"SCH\u{d6}NER LANGER\"", "3"),
        ("BODY chart.png", "2"),
        ("TEXT trace.example", "1"),
        ("TEXT second", "2"),
        ("BODY second", ""),
        ("BODY \"\"", "1 2 3"),
        ("NOT BODY words", "2 3"),
        ("BODY words SEEN SUBJECT caf", "1"),
        ("(OR (BODY k\u{f6}ln) (BODY satz)) UNSEEN", "2 3"),
        ("SENTON 1-Jan-2024", "1"),
        ("SENTSINCE 2-Jan-2024", ""),
        ("SENTBEFORE 1-Jan-2025", "1"),
        ("SINCE 14-Nov-2023", "1 2 3"),
        ("BEFORE 14-Nov-2023", ""),
        ("ON 14-Nov-2023", "1 2 3"),
        ("LARGER 150 SMALLER 250", "1"),
    ] {
        let charset = if keys.is_ascii() {
            ""
        } else {
            "CHARSET UTF-8 "
        };
        // A string with 8-bit octets can only be a literal.
        let mut command = format!("a SEARCH {charset}{keys}\r\n");
        while let Some((before, rest)) = command
            .split_once('"')
            .filter(|_| !keys.is_ascii() && !keys.contains('{'))
        {
            let (string, after) = rest.split_once('"').unwrap();
            command = format!("{before}{{{}+}}\r\n{string}{after}", string.len());
        }
        let words: Vec<String> = command
            .split(' ')
            .map(|word| {
                let bare = word.trim_matches(|c| "()".contains(c));
                if word.is_ascii() || word.contains('{') || word.contains('\n') {
                    word.to_owned()
                } else {
                    word.replace(bare, &format!("{{{}+}}\r\n{bare}", bare.len()))
                }
            })
            .collect();
        let reply = world.ask(i, &words.join(" "));
        let space = if expected.is_empty() { "" } else { " " };
        assert_eq!(
            reply,
            format!("* SEARCH{space}{expected}\r\na OK SEARCH completed\r\n"),
            "{keys}"
        );
        let counting = words
            .join(" ")
            .replacen("a SEARCH", "a SEARCH RETURN (COUNT)", 1);
        let count = expected.split_whitespace().count();
        assert_eq!(
            world.ask(i, &counting),
            format!("* ESEARCH (TAG \"a\") COUNT {count}\r\na OK SEARCH completed\r\n"),
            "{keys}"
        );
    }
}

#[test]
fn uid_search_answers_with_uids() {
    let (mut world, i) = world();
    world.ask(i, "a UID EXPUNGE 2\r\n");
    assert!(
        world
            .ask(i, "b SEARCH ALL\r\n")
            .starts_with("* SEARCH 1 2\r\n")
    );
    assert!(
        world
            .ask(i, "c UID SEARCH 2\r\n")
            .starts_with("* SEARCH 3\r\n")
    );
    assert!(
        world
            .ask(i, "d UID SEARCH UNSEEN\r\n")
            .starts_with("* SEARCH 3\r\n")
    );
}

#[test]
fn an_unknown_charset_is_refused_with_those_that_are_known() {
    let (mut world, i) = world();
    let reply = world.ask(i, "a SEARCH CHARSET KOI8-R TEXT x\r\n");
    assert!(
        reply.starts_with("a NO [BADCHARSET (US-ASCII UTF-8)]"),
        "{reply}"
    );
    assert!(
        world
            .ask(i, "b SEARCH CHARSET us-ascii ALL\r\n")
            .contains("b OK")
    );
}

#[test]
fn the_cheapest_columns_are_asked_for_and_no_more_messages_than_needed() {
    let (mut world, i) = world();
    let mut asked = |keys: &str| {
        world.peers[i].asked.clear();
        world.ask(i, &format!("a SEARCH {keys}\r\n"));
        world.peers[i].asked.len()
    };
    assert_eq!(asked("ALL"), 0);
    assert_eq!(asked("NOT 1:3"), 0);
    assert_eq!(asked("SEEN UNSEEN UID 99"), 0);
    assert_eq!(asked("SEEN"), 1);
    assert_eq!(asked("ANSWERED BODY x"), 1);
    assert_eq!(asked("SEEN SUBJECT x BODY y"), 2);
    assert_eq!(asked("BODY y"), 1);
}

#[test]
fn a_text_across_the_slices_of_a_long_body_is_found() {
    let mut world = World::new();
    let mut message = b"Subject: long\r\n\r\n".to_vec();
    let filler = |message: &mut Vec<u8>, to: u64| {
        while (message.len() as u64) < to {
            message.extend_from_slice(b"0123456789 lorem ipsum\r\n");
        }
    };
    filler(&mut message, INLINE_CONTENT_BYTES_MAX - 20);
    message.truncate(INLINE_CONTENT_BYTES_MAX as usize - 3);
    message.extend_from_slice(b"needle");
    filler(&mut message, 2 * INLINE_CONTENT_BYTES_MAX);
    world.deliver("INBOX", &message, "");
    let i = world.selected();
    let reply = world.ask(
        i,
        "a SEARCH BODY needle\r\nb SEARCH BODY haystack\r\nc SEARCH NOT TEXT needle\r\n",
    );
    assert_eq!(
        reply,
        "* SEARCH 1\r\na OK SEARCH completed\r\n* SEARCH\r\nb OK SEARCH completed\r\n* SEARCH\r\nc OK SEARCH completed\r\n"
    );
}
