use proptest::prelude::*;

use super::*;
use crate::imap::command::StatusItem;
use crate::imap::grammar;
use crate::imap::revision::Revision;
use crate::store::{
    Flags, InternalDate, Keyword, ModSeq, SystemFlags, Timestamp, Uid, UidSet, UidValidity,
};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn uids(ranges: &[(u32, u32)]) -> UidSet {
    UidSet::from_ranges(ranges.iter().map(|&(low, high)| low..=high))
}

#[test]
fn a_status_response_has_tag_condition_code_and_text() {
    let line = |tag: Option<&[u8]>, condition, code: Option<Code<'_>>, text| {
        written(|out| status(out, tag, condition, code.as_ref(), text))
    };
    let code = |code| line(Some(b"a"), Condition::No, Some(code), "x");
    assert_eq!(
        line(Some(b"a1"), Condition::Ok, None, "done"),
        "a1 OK done\r\n"
    );
    assert_eq!(
        line(None, Condition::Bye, None, "bye now"),
        "* BYE bye now\r\n"
    );
    assert_eq!(line(None, Condition::Preauth, None, "x"), "* PREAUTH x\r\n");
    assert_eq!(line(Some(b"a"), Condition::Bad, None, ""), "a BAD -\r\n");
    assert_eq!(
        line(Some(b"a"), Condition::Bad, None, "[x] y"),
        "a BAD -[x] y\r\n"
    );
    assert_eq!(
        line(Some(b"a"), Condition::No, None, "a\r\n* BYE ü\0"),
        "a NO a??* BYE ??\r\n"
    );
    assert_eq!(code(Code::TryCreate), "a NO [TRYCREATE] x\r\n");
    assert_eq!(code(Code::BadCharset(&[])), "a NO [BADCHARSET] x\r\n");
    assert_eq!(
        code(Code::BadCharset(&["US-ASCII", "UTF-8"])),
        "a NO [BADCHARSET (US-ASCII UTF-8)] x\r\n"
    );
    assert_eq!(
        code(Code::UidNext(Uid::MAX)),
        "a NO [UIDNEXT 4294967295] x\r\n"
    );
    assert_eq!(
        code(Code::UidValidity(UidValidity(7))),
        "a NO [UIDVALIDITY 7] x\r\n"
    );
    assert_eq!(code(Code::Unseen(12)), "a NO [UNSEEN 12] x\r\n");
    assert_eq!(
        code(Code::HighestModSeq(ModSeq(9))),
        "a NO [HIGHESTMODSEQ 9] x\r\n"
    );
    assert_eq!(
        code(Code::AppendUid(UidValidity(38505), Uid::MIN)),
        "a NO [APPENDUID 38505 1] x\r\n"
    );
    let (from, to) = (uids(&[(304, 304), (319, 320)]), uids(&[(3956, 3958)]));
    assert_eq!(
        code(Code::CopyUid(UidValidity(38505), &from, &to)),
        "a NO [COPYUID 38505 304,319:320 3956:3958] x\r\n"
    );
    assert_eq!(
        code(Code::Capability(&["IMAP4rev1", "IDLE"])),
        "a NO [CAPABILITY IMAP4rev1 IDLE] x\r\n"
    );
    let work = [Keyword::new("$Work").unwrap()];
    for (flags, keywords, more, text) in [
        (SystemFlags::SEEN, &work[..], true, "\\Seen $Work \\*"),
        (SystemFlags::NONE, &[], true, "\\*"),
        (SystemFlags::NONE, &[], false, ""),
    ] {
        assert_eq!(
            code(Code::PermanentFlags(flags, keywords, more)),
            format!("a NO [PERMANENTFLAGS ({text})] x\r\n")
        );
    }
}

#[test]
fn the_text_of_a_status_response_is_cut() {
    let line = written(|out| status(out, None, Condition::Ok, None, &"ü".repeat(9_999)));
    assert_eq!(line.len(), "* OK \r\n".len() + TEXT_BYTES_MAX);
}

#[test]
fn continuations_have_a_text_or_a_challenge() {
    assert_eq!(written(|out| continuation(out, "go on")), "+ go on\r\n");
    assert_eq!(written(|out| challenge(out, b"")), "+ \r\n");
    assert_eq!(written(|out| challenge(out, b"\0\xff")), "+ AP8=\r\n");
}

#[test]
fn untagged_lines_are_as_in_the_rfc() {
    assert_eq!(
        written(|out| capability(out, ["IMAP4rev1", "IDLE"])),
        "* CAPABILITY IMAP4rev1 IDLE\r\n"
    );
    assert_eq!(written(|out| exists(out, 23)), "* 23 EXISTS\r\n");
    assert_eq!(written(|out| recent(out, 0)), "* 0 RECENT\r\n");
    assert_eq!(written(|out| expunge(out, 44)), "* 44 EXPUNGE\r\n");
    assert_eq!(
        written(|out| esearch(out, b"a]1", true)),
        "* ESEARCH (TAG \"a]1\") UID"
    );
    assert_eq!(written(|out| id(out, &[])), "* ID NIL\r\n");
    assert_eq!(
        written(|out| id(out, &[("name", Some("DBMail")), ("os", None)])),
        "* ID (\"name\" \"DBMail\" \"os\" NIL)\r\n"
    );
    let keyword = Keyword::new("$Work").unwrap();
    assert_eq!(
        written(|out| flags_list(out, SystemFlags::from_bits(31), [&keyword])),
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)\r\n"
    );
}

#[test]
fn mailboxes_are_listed_in_modified_utf_7() {
    let line = |attributes: &[&str], separator, name| {
        written(|out| {
            list(
                out,
                Revision::Rev1,
                Listing::List,
                attributes.iter().copied(),
                separator,
                name,
                None,
            )
        })
    };
    assert_eq!(line(&[], Some('/'), "INBOX"), "* LIST () \"/\" INBOX\r\n");
    assert_eq!(
        line(&["\\HasNoChildren", "\\Drafts"], Some('/'), "Entwürfe"),
        "* LIST (\\HasNoChildren \\Drafts) \"/\" Entw&APw-rfe\r\n"
    );
    assert_eq!(
        line(&["\\Noselect"], None, "a b"),
        "* LIST (\\Noselect) NIL \"a b\"\r\n"
    );
    assert_eq!(
        line(&[], Some('\\'), "nil"),
        "* LIST () \"\\\\\" \"nil\"\r\n"
    );
    assert_eq!(line(&[], Some('/'), ""), "* LIST () \"/\" \"\"\r\n");
    assert_eq!(
        line(&[], Some('/'), "a\"b\\c"),
        "* LIST () \"/\" \"a\\\"b\\\\c\"\r\n"
    );
    assert_eq!(line(&[], Some('/'), "[a]"), "* LIST () \"/\" \"[a]\"\r\n");
    let old = ListItem::OldName("u\u{308}");
    assert_eq!(
        written(|out| list(
            out,
            Revision::Rev2,
            Listing::List,
            [],
            Some('/'),
            "ü",
            Some(old)
        )),
        "* LIST () \"/\" \"ü\" (\"OLDNAME\" (\"u\u{308}\"))\r\n"
    );
    let below = ListItem::ChildInfo(&["SUBSCRIBED", "SPECIAL-USE"]);
    assert_eq!(
        written(|out| list(
            out,
            Revision::Rev1,
            Listing::List,
            [],
            Some('/'),
            "a",
            Some(below)
        )),
        "* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\"))\r\n"
    );
    assert_eq!(
        written(|out| list(out, Revision::Rev1, Listing::Lsub, [], Some('/'), "a", None)),
        "* LSUB () \"/\" a\r\n"
    );
    assert_eq!(
        written(|out| status_data(
            out,
            Revision::Rev1,
            "blurdybloop",
            [
                (StatusItem::Messages, 231),
                (StatusItem::UidNext, 44292),
                (StatusItem::Size, 1 << 40)
            ]
        )),
        "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 SIZE 1099511627776)\r\n"
    );
    assert_eq!(
        written(|out| status_data(out, Revision::Rev1, "a", [])),
        "* STATUS a ()\r\n"
    );
    assert_eq!(
        written(|out| namespace(
            out,
            Revision::Rev1,
            [&[("", Some('/'))], &[], &[("#a/", None), ("ü", None)]]
        )),
        "* NAMESPACE ((\"\" \"/\")) NIL ((\"#a/\" NIL)(\"&APw-\" NIL))\r\n"
    );
}

#[test]
fn a_string_is_quoted_when_it_can_be() {
    let as_string = |octets: &[u8]| {
        let mut out = Vec::new();
        string(&mut out, octets);
        out
    };
    assert_eq!(as_string(b""), b"\"\"");
    assert_eq!(as_string(b"a\"\\b"), br#""a\"\\b""#);
    assert_eq!(as_string(b"a\r\nb"), b"{4}\r\na\r\nb");
    assert_eq!(as_string("ü".as_bytes()), b"{2}\r\n\xc3\xbc");
    assert_eq!(as_string(b"a\0b"), b"{3}\r\na?b");
    assert!(as_string(&[b'x'; 1_024]).starts_with(b"\"x"));
    assert!(as_string(&[b'x'; 1_025]).starts_with(b"{1025}\r\nx"));
    assert_eq!(written(|out| nstring(out, None)), "NIL");
    assert_eq!(written(|out| nstring(out, Some(b"NIL"))), "\"NIL\"");
}

#[test]
fn a_fetch_response_is_put_together_from_pieces() {
    let date = InternalDate {
        at: Timestamp(837_596_665_999_999),
        zone_minutes: -420,
    };
    let seen = Flags {
        system: SystemFlags::SEEN,
        ..Flags::default()
    };
    let line = written(|out| {
        fetch_begin(out, 12);
        flags(out, &seen, true);
        fetch_next(out);
        flags(out, &Flags::default(), true);
        fetch_next(out);
        flags(out, &Flags::default(), false);
        fetch_next(out);
        uid(out, Uid::MIN);
        fetch_next(out);
        internal_date(out, date);
        fetch_next(out);
        rfc822_size(out, 44_827);
        fetch_next(out);
        modseq(out, ModSeq(5));
        fetch_next(out);
        section_nil(out, b"7", None);
        fetch_next(out);
        section_begin(out, b"HEADER.FIELDS (To)", Some(0), 2);
        out.extend_from_slice(b"\r\n");
        fetch_next(out);
        item_begin(out, "RFC822.TEXT", 0);
        fetch_end(out);
    });
    assert_eq!(
        line,
        "* 12 FETCH (FLAGS (\\Seen \\Recent) FLAGS (\\Recent) FLAGS () UID 1 \
         INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44827 MODSEQ (5) BODY[7] NIL \
         BODY[HEADER.FIELDS (To)]<0> {2}\r\n\r\n RFC822.TEXT {0}\r\n)\r\n"
    );
}

#[test]
fn a_day_below_ten_has_a_space_before_it() {
    let date = InternalDate {
        at: Timestamp(-1),
        zone_minutes: 90,
    };
    assert_eq!(
        written(|out| date_time(out, date)),
        "\" 1-Jan-1970 01:29:59 +0130\""
    );
    let far = InternalDate {
        at: Timestamp(i64::MIN),
        zone_minutes: -1_439,
    };
    assert!(written(|out| date_time(out, far)).starts_with("\" 1-Jan-0000 "));
}

#[test]
fn nul_is_replaced_where_no_literal_can_hold_it() {
    let mut octets = *b"a\0b";
    without_nul(&mut octets);
    assert_eq!(octets, *b"a\x80b");
}

#[test]
fn ten_thousand_lines_of_flags_are_written() {
    let keywords = ["$Forwarded", "work"].map(|name| Keyword::new(name).unwrap());
    let all = Flags {
        system: SystemFlags::from_bits(31),
        keywords: keywords.into(),
    };
    let mut out = Vec::new();
    for seq in 1..=10_000 {
        fetch_begin(&mut out, seq);
        uid(&mut out, Uid::MAX);
        fetch_next(&mut out);
        flags(&mut out, &all, false);
        fetch_end(&mut out);
    }
    assert!(out.ends_with(b"* 10000 FETCH (UID 4294967295 FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded work))\r\n"));
}

proptest! {
    #[test]
    fn a_number_is_written_in_decimal(value: u64) {
        prop_assert_eq!(written(|out| number(out, value)), value.to_string());
    }

    #[test]
    fn what_is_written_as_a_string_is_read_again(octets: Vec<u8>) {
        prop_assume!(!octets.contains(&0));
        for write in [string, astring] {
            let mut command = b"a LOGIN ".to_vec();
            write(&mut command, &octets);
            command.extend_from_slice(b" x");
            let login = grammar::command(&command).unwrap().command;
            let (user, password) = (octets.clone(), b"x".to_vec());
            prop_assert_eq!(login, crate::imap::command::Command::Login { user, password });
        }
    }

    #[test]
    fn a_date_that_is_written_is_read_again(
        seconds in -62_167_000_000..253_402_000_000_i64,
        zone_minutes in -1_439..=1_439_i16,
    ) {
        let date = InternalDate { at: Timestamp(seconds * 1_000_000), zone_minutes };
        let command = written(|out| {
            out.extend_from_slice(b"a APPEND x ");
            date_time(out, date);
            out.push(b' ');
        });
        let append = grammar::append_prefix(command.as_bytes()).unwrap().unwrap().command;
        let crate::imap::command::Command::Append(append) = append else { panic!("{append:?}") };
        prop_assert_eq!(append.date, Some(date));
    }

    #[test]
    fn no_text_breaks_its_line(text: String) {
        let line = written(|out| status(out, Some(b"a"), Condition::No, None, &text));
        prop_assert!(line.ends_with("\r\n") && line.is_ascii());
        prop_assert!(!line.trim_end_matches("\r\n").contains(|c: char| c.is_control()));
    }
}
