use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::abnf::tapes;

#[test]
fn responses_of_imap_are_recognised_or_not() {
    for (text, is) in [
        ("* OK [UNSEEN 12] Message 12 is first unseen\r\n", true),
        ("* OK [UNSEEN 0] x\r\n", false),
        ("* OK [NEWCODE] x\r\n", false),
        ("* OK [ALERT]x\r\n", false),
        ("* OK\r\n", false),
        ("* OK \r\n", false),
        ("* OK x\n", false),
        ("* OK \u{e4}\r\n", false),
        ("+ \r\n", true),
        ("+\r\n", false),
        ("+ AP8=\r\n", true),
        ("a] OK done\r\n", true),
        ("a* OK done\r\n", false),
        ("* CAPABILITY IDLE IMAP4rev1 AUTH=PLAIN\r\n", true),
        ("* CAPABILITY IDLE AUTH=PLAIN\r\n", false),
        ("* LIST () \"/\" INBOX\r\n", true),
        ("* LIST (\\Noselect \\HasChildren) NIL \"a b\"\r\n", true),
        ("* LIST (\\Noselect \\Marked) \"/\" a\r\n", false),
        ("* LIST (\\Noselect  \\Trash) \"/\" a\r\n", false),
        ("* LIST () \"/\" a b\r\n", false),
        (
            "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
            true,
        ),
        ("* LIST () \"/\" a (\"CHILDINFO\" ())\r\n", false),
        ("* LIST () \"/\" \"\u{fc}\" (\"OLDNAME\" (\"u\"))\r\n", true),
        ("* STATUS a (MESSAGES 1 UIDNEXT 2)\r\n", true),
        ("* STATUS a (UIDNEXT 0)\r\n", false),
        ("* SEARCH\r\n", true),
        ("* SEARCH 1 2 (MODSEQ 9)\r\n", true),
        ("* SEARCH \r\n", false),
        ("* SEARCH 0\r\n", false),
        ("* ESEARCH (TAG \"a\") UID ALL 1:3,5 COUNT 4\r\n", true),
        ("* ESEARCH (TAG \"a\") ALL 1:*\r\n", false),
        ("* 4294967296 EXISTS\r\n", false),
        ("* 0 EXPUNGE\r\n", false),
        ("* VANISHED (EARLIER) 1:2\r\n", true),
        ("* 1 FETCH (FLAGS (\\Seen \\Recent $a) UID 1)\r\n", true),
        ("* 1 FETCH ()\r\n", false),
        ("* 1 FETCH (FLAGS (\\Seen ))\r\n", false),
        ("* 1 FETCH (BODY[]<0> {3}\r\na\r\n UID 1)\r\n", true),
        ("* 1 FETCH (BODY[] {4}\r\na\r\n UID 1)\r\n", false),
        ("* 1 FETCH (BODY[] {1}\r\n\0)\r\n", false),
        ("* 1 FETCH (BINARY[1] ~{1}\r\n\0)\r\n", true),
        ("* 1 FETCH (MODSEQ (0))\r\n", false),
        (
            "* 1 FETCH (INTERNALDATE \" 1-Jan-2024 00:00:00 +0000\")\r\n",
            true,
        ),
        (
            "* 1 FETCH (INTERNALDATE \"1-Jan-2024 00:00:00 +0000\")\r\n",
            false,
        ),
        (
            "* 1 FETCH (ENVELOPE (NIL NIL ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL NIL \"<x>\"))\r\n",
            true,
        ),
        (
            "* 1 FETCH (ENVELOPE (NIL NIL () NIL NIL NIL NIL NIL NIL NIL))\r\n",
            false,
        ),
        (
            "* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1))\r\n",
            true,
        ),
        (
            "* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1))\r\n",
            false,
        ),
        (
            "* 1 FETCH (BODY (\"IMAGE\" \"PNG\" NIL NIL NIL \"BASE64\" 1))\r\n",
            true,
        ),
        (
            "* 1 FETCH (BODY (\"IMAGE\" \"PNG\" () NIL NIL \"BASE64\" 1))\r\n",
            false,
        ),
        (
            "* 1 FETCH (BODY (\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 1))\r\n",
            false,
        ),
        ("* ID (\"name\" NIL)\r\n", true),
        ("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", true),
        ("* NAMESPACE () NIL NIL\r\n", false),
    ] {
        assert_eq!(imap().recognises(text.as_bytes()), is, "{text}");
    }
}

#[test]
fn replies_of_lmtp_are_recognised_or_not() {
    for (text, is) in [
        ("220 mail.example LMTP\r\n", true),
        (
            "250-mail.example\r\n250-SIZE 1000\r\n250 PIPELINING\r\n",
            true,
        ),
        ("250 2.1.0 Sender <a@b> ok\r\n", true),
        ("250 4.1.0 x\r\n", false),
        ("354 go on\r\n", true),
        ("550-5.1.1 a\r\n550 5.1.1 b\r\n", true),
        ("550-5.1.1 a\r\n551 5.1.1 b\r\n", false),
        ("550 x\r\n", false),
        ("650 5.1.1 x\r\n", false),
        ("550 5.1.1 \u{e4}\r\n", false),
        ("250 2.1.0 x\n", false),
    ] {
        assert_eq!(lmtp().recognises(text.as_bytes()), is, "{text}");
    }
}

#[test]
fn every_rule_of_the_replies_is_used_by_some_sentence() {
    // A body is deep: few responses come to all that it may hold.
    for (replies, starts) in [(imap(), &["response", "body"][..]), (lmtp(), &["reply"])] {
        let mut used = BTreeSet::new();
        for tape in tapes() {
            for start in starts {
                used.extend(replies.grammar.sentence(start, &tape).1);
            }
        }
        let unused: Vec<_> = replies
            .grammar
            .rules()
            .filter(|rule| !used.contains(*rule))
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
    }
}

#[test]
#[should_panic(expected = "the grammar of replies refuses * 0 EXPUNGE\\r\\n")]
fn a_listener_objects_to_a_reply_that_is_none() {
    let mut listener = Listener::new(imap());
    listener.hear(b"* OK {3}\r\n* 1 FETCH (RFC822 {13}\r\n* 0 EXPUNGE\r");
    listener.hear(b"\n)\r\n* 0 EXP");
    listener.hear(b"UNGE\r\n");
}

proptest! {
    #[test]
    fn a_listener_hears_the_sentences_that_are_said_one_after_the_other(
        tapes in vec(vec(any::<u8>(), 0..120), 1..5),
        slice in 1..40_usize,
    ) {
        for replies in [imap(), lmtp()] {
            let said: Vec<Vec<u8>> = tapes.iter().map(|tape| replies.sentence(tape).0).collect();
            let all = said.concat();
            let (mut heard, mut rest) = (Vec::new(), &all[..]);
            while !rest.is_empty() {
                let size = replies.size(rest).unwrap();
                heard.push(rest[..size].to_vec());
                rest = &rest[size..];
            }
            prop_assert_eq!(&heard, &said);
            let mut listener = Listener::new(replies);
            for piece in all.chunks(slice) {
                listener.hear(piece);
            }
            prop_assert!(listener.begun.is_empty());
        }
    }

    #[test]
    fn no_beginning_of_a_reply_is_a_reply(tape in vec(any::<u8>(), 0..120)) {
        for replies in [imap(), lmtp()] {
            let (said, _) = replies.sentence(&tape);
            for size in 0..said.len() {
                prop_assert_eq!(replies.size(&said[..size]), None);
                prop_assert!(!replies.recognises(&said[..size]), "{}", said[..size].escape_ascii());
            }
        }
    }
}
