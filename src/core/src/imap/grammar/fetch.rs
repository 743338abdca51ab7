//! FETCH.

use bytes::Bytes;

use super::number::{number, nz_number, sequence_set};
use super::string::astring;
use super::{Parsed, WORD_BYTES_MAX, byte, committed, listed, run, sp, stop, word};
use crate::imap::command::{Command, Fetch, FetchItem, Numbers};
use crate::imap::response;
use crate::limits::FETCH_ITEMS_MAX;
use crate::mail::{Section, SectionText};

/// Field names that one section may list: each costs a walk over the header's fields.
const FIELDS_MAX: usize = 256;
/// Part numbers that one section may have: deeper than any message that is taken apart.
const PARTS_MAX: usize = 256;

/// ```abnf
/// fetch           = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
///                   "(" fetch-att *(SP fetch-att) ")")                    ; RFC 3501
/// ```
pub(super) fn fetch(numbers: Numbers, input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (input, set) = sequence_set(input)?;
    let (input, ()) = sp(input)?;
    let (rest, items) = if input.starts_with(b"(") {
        listed(fetch_att, FETCH_ITEMS_MAX, input)?
    } else if let Some((rest, items)) = macro_items(input) {
        (rest, items)
    } else {
        let (rest, item) = fetch_att(input)?;
        (rest, vec![item])
    };
    Ok((
        rest,
        Command::Fetch(Fetch {
            numbers,
            set,
            items,
        }),
    ))
}

/// ALL, FAST and FULL (RFC 3501 §6.4.5).
fn macro_items(input: &[u8]) -> Option<(&[u8], Vec<FetchItem>)> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let (rest, name) = run(is_name_char, "", input).ok()?;
    let mut items = vec![Flags, InternalDate, Rfc822Size];
    match word(name, &mut [0; WORD_BYTES_MAX]) {
        "ALL" => items.push(Envelope),
        "FAST" => {}
        "FULL" => items.extend([Envelope, Body]),
        _ => return None,
    }
    Some((rest, items))
}

const fn is_name_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.'
}

/// ```abnf
/// fetch-att       = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
///                   "BODY" ["STRUCTURE"] / "UID" / "BODY" section ["<" number "." nz-number ">"] /
///                   "BODY.PEEK" section ["<" number "." nz-number ">"]    ; RFC 3501
/// ```
fn fetch_att(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, name) = run(is_name_char, "an item of FETCH", input)?;
    let has_section = rest.starts_with(b"[");
    let item = match word(name, &mut [0; WORD_BYTES_MAX]) {
        "BODY" if has_section => return section_item(false, rest),
        "BODY.PEEK" if has_section => return section_item(true, rest),
        "BODY.PEEK" => return stop(rest, "a section"),
        "BODY" => FetchItem::Body,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "UID" => FetchItem::Uid,
        _ => return stop(input, "an item of FETCH that is known here"),
    };
    Ok((rest, item))
}

fn section_item(peek: bool, input: &[u8]) -> Parsed<'_, FetchItem> {
    let (input, section) = committed(section(input))?;
    let (input, partial) = committed(partial(input))?;
    let written = Bytes::from(written(&section));
    Ok((
        input,
        FetchItem::Section {
            peek,
            section,
            partial,
            written,
        },
    ))
}

/// ```abnf
/// section         = "[" [section-spec] "]"                                ; RFC 3501
/// section-spec    = section-msgtext / (section-part ["." section-text])
/// section-part    = nz-number *("." nz-number)
/// section-text    = section-msgtext / "MIME"
/// ```
fn section(input: &[u8]) -> Parsed<'_, Section> {
    let (mut input, ()) = byte(b'[', "a section", input)?;
    let mut part = Vec::new();
    let mut text_may_follow = true;
    while let Some(b'0'..=b'9') = input.first() {
        if part.len() >= PARTS_MAX {
            return stop(input, "fewer part numbers");
        }
        let (rest, number) = nz_number(input)?;
        part.push(number);
        match rest.strip_prefix(b".") {
            Some(rest) => input = rest,
            None => {
                (input, text_may_follow) = (rest, false);
                break;
            }
        }
    }
    if text_may_follow && !(part.is_empty() && input.starts_with(b"]")) {
        let (rest, text) = section_text(!part.is_empty(), input)?;
        let (rest, ()) = byte(b']', "the end of the section", rest)?;
        return Ok((
            rest,
            Section {
                part,
                text: Some(text),
            },
        ));
    }
    let (rest, ()) = byte(b']', "a dot or the end of the section", input)?;
    Ok((rest, Section { part, text: None }))
}

/// ```abnf
/// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"       ; RFC 3501
/// header-list     = "(" header-fld-name *(SP header-fld-name) ")"
/// header-fld-name = astring
/// ```
fn section_text(of_part: bool, input: &[u8]) -> Parsed<'_, SectionText> {
    let (rest, name) = run(is_name_char, "a part number, HEADER, TEXT or MIME", input)?;
    match word(name, &mut [0; WORD_BYTES_MAX]) {
        "HEADER" => Ok((rest, SectionText::Header)),
        "TEXT" => Ok((rest, SectionText::Text)),
        "MIME" if of_part => Ok((rest, SectionText::Mime)),
        "MIME" => stop(input, "a part number before MIME"),
        "HEADER.FIELDS" => {
            let (rest, fields) = header_list(rest)?;
            Ok((rest, SectionText::HeaderFields(fields)))
        }
        "HEADER.FIELDS.NOT" => {
            let (rest, fields) = header_list(rest)?;
            Ok((rest, SectionText::HeaderFieldsNot(fields)))
        }
        _ => stop(input, "a part number, HEADER, TEXT or MIME"),
    }
}

fn header_list(input: &[u8]) -> Parsed<'_, Vec<Vec<u8>>> {
    let (input, ()) = sp(input)?;
    listed(
        |input| astring(input).map(|(rest, name)| (rest, name.into_owned())),
        FIELDS_MAX,
        input,
    )
}

/// ```abnf
/// partial         = "<" number "." nz-number ">"                          ; RFC 3501
/// ```
fn partial(input: &[u8]) -> Parsed<'_, Option<(u32, u32)>> {
    let Some(input) = input.strip_prefix(b"<") else {
        return Ok((input, None));
    };
    let (input, offset) = number(input)?;
    let (input, ()) = byte(b'.', "a dot and a count", input)?;
    let (input, count) = nz_number(input)?;
    let (input, ()) = byte(b'>', "the end of the range", input)?;
    Ok((input, Some((offset, count))))
}

/// A section as the reply echoes it: words in upper case, field names as the client spelled them (as atom, quoted string or literal).
fn written(section: &Section) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, number) in section.part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        response::number(&mut out, (*number).into());
    }
    let Some(text) = &section.text else {
        return out;
    };
    if !out.is_empty() {
        out.push(b'.');
    }
    let (name, fields): (&[u8], _) = match text {
        SectionText::Header => (b"HEADER", None),
        SectionText::Text => (b"TEXT", None),
        SectionText::Mime => (b"MIME", None),
        SectionText::HeaderFields(fields) => (b"HEADER.FIELDS (", Some(fields)),
        SectionText::HeaderFieldsNot(fields) => (b"HEADER.FIELDS.NOT (", Some(fields)),
    };
    out.extend_from_slice(name);
    for (index, field) in fields.into_iter().flatten().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        response::astring(&mut out, field);
    }
    if fields.is_some() {
        out.push(b')');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::command::SequenceSet;

    fn fetched(items: Vec<FetchItem>) -> Result<Command, usize> {
        let set = SequenceSet::Ranges(vec![(Some(1), None)]);
        Ok(Command::Fetch(Fetch {
            numbers: Numbers::Sequence,
            set,
            items,
        }))
    }

    #[test]
    fn fetch_names_one_item_or_a_list_or_a_macro() {
        use FetchItem as I;
        let all = [
            I::Flags,
            I::InternalDate,
            I::Rfc822Size,
            I::Envelope,
            I::Body,
        ];
        let uid = Fetch {
            numbers: Numbers::Uid,
            set: SequenceSet::Ranges(vec![(Some(1), Some(1))]),
            items: vec![I::Flags],
        };
        known(
            arguments,
            &[
                (b"FETCH 1:* FLAGS", fetched(vec![I::Flags])),
                (
                    b"FETCH 1:* (UID flags UID)",
                    fetched(vec![I::Uid, I::Flags, I::Uid]),
                ),
                (b"FETCH 1:* FAST", fetched(all[..3].to_vec())),
                (b"FETCH 1:* all", fetched(all[..4].to_vec())),
                (b"FETCH 1:* FULL", fetched(all.to_vec())),
                (b"FETCH 1:* BODY", fetched(vec![I::Body])),
                (
                    b"FETCH 1:* (BODYSTRUCTURE RFC822 RFC822.HEADER RFC822.TEXT)",
                    fetched(vec![
                        I::BodyStructure,
                        I::Rfc822,
                        I::Rfc822Header,
                        I::Rfc822Text,
                    ]),
                ),
                (b"UID FETCH 1 (FLAGS)", Ok(Command::Fetch(uid))),
                (b"FETCH 1:* ()", Err(11)),
                (b"FETCH 1:* (ALL)", Err(11)),
                (b"FETCH 1:* (FLAGS UID", Err(20)),
                (b"FETCH 1:* (FLAGS  UID)", Err(17)),
                (b"FETCH 1:* FLAGS UID", Err(15)),
                (b"FETCH 1:* X-FOO", Err(10)),
                (b"FETCH 1:* BODY.PEEK", Err(19)),
                (b"FETCH 1:* RFC822.PEEK", Err(10)),
                (b"FETCH 1:* MODSEQ", Err(10)),
                (b"FETCH 0 FLAGS", Err(6)),
                (b"FETCH 1:*", Err(9)),
            ],
        );
    }

    #[test]
    fn sections_are_read_and_echoed() {
        use SectionText as T;
        let fields = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        for (written, part, text, echo) in [
            ("", vec![], None, ""),
            ("1", vec![1], None, "1"),
            ("1.20.3", vec![1, 20, 3], None, "1.20.3"),
            ("header", vec![], Some(T::Header), "HEADER"),
            ("TEXT", vec![], Some(T::Text), "TEXT"),
            ("2.mime", vec![2], Some(T::Mime), "2.MIME"),
            ("2.1.HEADER", vec![2, 1], Some(T::Header), "2.1.HEADER"),
            (
                "header.fields (To Cc)",
                vec![],
                Some(T::HeaderFields(fields(&["To", "Cc"]))),
                "HEADER.FIELDS (To Cc)",
            ),
            (
                "4.HEADER.FIELDS.NOT (\"To\" {1}\r\nx \"a b\" \"\" NIL a]b)",
                vec![4],
                Some(T::HeaderFieldsNot(fields(&[
                    "To", "x", "a b", "", "NIL", "a]b",
                ]))),
                "4.HEADER.FIELDS.NOT (To x \"a b\" \"\" \"NIL\" \"a]b\")",
            ),
        ] {
            for (peek, name) in [(false, "BODY"), (true, "BODY.PEEK")] {
                for (partial, range) in [(None, ""), (Some((0, 1)), "<0.1>")] {
                    let item = FetchItem::Section {
                        peek,
                        section: Section {
                            part: part.clone(),
                            text: text.clone(),
                        },
                        partial,
                        written: Bytes::from(echo),
                    };
                    let command = format!("FETCH 1:* {name}[{written}]{range}");
                    known(arguments, &[(command.as_bytes(), fetched(vec![item]))]);
                }
            }
        }
    }

    #[test]
    fn what_is_no_section_is_refused_where_it_goes_wrong() {
        known(
            |input| section(input).map(|(rest, _)| (rest, ())),
            &[
                (b"[", Err(1)),
                (b"[0]", Err(1)),
                (b"[01]", Err(1)),
                (b"[1.]", Err(3)),
                (b"[1.0]", Err(3)),
                (b"[1", Err(2)),
                (b"[1.FOO]", Err(3)),
                (b"[MIME]", Err(1)),
                (b"[TEXT.1]", Err(1)),
                (b"[HEADER.FIELDS]", Err(14)),
                (b"[HEADER.FIELDS ()]", Err(16)),
                (b"[HEADER.FIELDS (a]", Err(18)),
                (b"[HEADER.FIELDS (a ]", Err(19)),
                (b"[HEADER.FIELDS(a)]", Err(14)),
                (b"[HEADER ]", Err(7)),
                (b"[4294967296]", Err(1)),
            ],
        );
        known(
            partial,
            &[
                (b"<0.4294967295>", Ok(Some((0, u32::MAX)))),
                (b"<0.0>", Err(3)),
                (b"<0>", Err(2)),
                (b"<1.2", Err(4)),
                (b"<.2>", Err(1)),
                (b"<4294967296.1>", Err(1)),
            ],
        );
    }

    #[test]
    fn items_and_field_names_have_a_number() {
        for (before, item, after, max) in [
            ("FETCH 1 (", "UID", ")", FETCH_ITEMS_MAX),
            ("FETCH 1 BODY[HEADER.FIELDS (", "a", ")]", FIELDS_MAX),
        ] {
            let of = |count| format!("{before}{}{after}", vec![item; count].join(" "));
            assert!(arguments(of(max).as_bytes()).is_ok());
            assert!(arguments(of(max + 1).as_bytes()).is_err());
        }
        let of = |count| format!("FETCH 1 BODY[{}]", vec!["1"; count].join("."));
        assert!(arguments(of(PARTS_MAX).as_bytes()).is_ok());
        assert!(arguments(of(PARTS_MAX + 1).as_bytes()).is_err());
    }
}
