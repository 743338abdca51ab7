//! Laws of the grammar: what is made as a command is read as that command; no octets make it panic.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{append_prefix, command};
use crate::imap::civil::{self, MONTHS};
use crate::imap::command::{
    Append, Command, Copy, Date, Fetch, FetchItem, List, ListReturns, ListSelect, Named, Numbers,
    Search, SearchKey, SearchReturns, SequenceSet, StatusItem, Store, UnfitUse,
};
use crate::imap::{mutf7, response};
use crate::mail::{Section, SectionText};
use crate::store::{FlagChange, Flags, Keyword, SpecialUse, SystemFlags};

/// A text and what it means.
type Both<T> = (Vec<u8>, T);

fn both<T>(text: impl Into<Vec<u8>>, value: T) -> Both<T> {
    (text.into(), value)
}

/// `{}` in the template is replaced by the texts, in order.
fn put(template: &str, texts: &[&[u8]]) -> Vec<u8> {
    let mut pieces = template.split("{}");
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for (piece, text) in pieces.zip(texts) {
        out.extend_from_slice(text);
        out.extend_from_slice(piece.as_bytes());
    }
    out
}

fn join(texts: &[Vec<u8>]) -> Vec<u8> {
    texts.join(&b' ')
}

/// Letters in either case.
fn any_case(word: &'static str) -> BoxedStrategy<Vec<u8>> {
    let flip = |(letter, flip): (u8, bool)| match flip {
        true => {
            letter
                ^ if letter.is_ascii_alphabetic() {
                    0x20
                } else {
                    0
                }
        }
        false => letter,
    };
    let flips = vec(any::<bool>(), word.len());
    flips
        .prop_map(move |flips| word.bytes().zip(flips).map(flip).collect())
        .boxed()
}

/// Octets in one of the forms of a string.
fn string_of(octets: Vec<u8>) -> BoxedStrategy<Both<Vec<u8>>> {
    let quotable =
        std::str::from_utf8(&octets).is_ok() && !octets.iter().any(|b| matches!(b, b'\r' | b'\n'));
    (any::<bool>(), any::<bool>())
        .prop_map(move |(quote, plus)| {
            let mut text = Vec::new();
            if quote && quotable {
                text.push(b'"');
                for &octet in &octets {
                    if matches!(octet, b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(octet);
                }
                text.push(b'"');
            } else {
                let plus = if plus { "+" } else { "" };
                text.extend_from_slice(format!("{{{}{plus}}}\r\n", octets.len()).as_bytes());
                text.extend_from_slice(&octets);
            }
            (text, octets.clone())
        })
        .boxed()
}

fn string() -> impl Strategy<Value = Both<Vec<u8>>> {
    let octets = prop_oneof![
        vec(1..=255_u8, 0..8),
        any::<String>().prop_map(|text| text.replace('\0', "").into_bytes()),
    ];
    octets.prop_flat_map(string_of)
}

fn astring() -> impl Strategy<Value = Both<Vec<u8>>> {
    prop_oneof![
        string(),
        "[a-zA-Z0-9!#$&+,./:;<=>?@^_`|}~'\\[\\]-]{1,8}"
            .prop_map(|atom| both(atom.clone(), atom.into_bytes()))
    ]
}

/// As [`astring`], and UTF-8.
fn text() -> impl Strategy<Value = Both<String>> {
    let text = any::<String>().prop_map(|text| text.replace('\0', "").into_bytes());
    text.prop_flat_map(string_of)
        .prop_map(|(written, octets)| both(written, String::from_utf8(octets).unwrap()))
}

fn mailbox() -> impl Strategy<Value = Both<Named>> {
    let name = "[a-z&ü台/ ]{1,8}";
    let name = prop_oneof![
        name.prop_map(|name| mutf7::encode(&name).into_bytes()),
        name.prop_map(String::into_bytes),
        any_case("INBOX"),
    ];
    name.prop_flat_map(|written| {
        let string = string_of(written.clone()).prop_map(|(text, _)| text);
        let atom = written.is_ascii() && !written.contains(&b' ');
        let atom = any::<bool>().prop_map(move |wanted| atom && wanted);
        (string, atom).prop_map(move |(string, atom)| {
            both(
                if atom { written.clone() } else { string },
                Named(written.clone()),
            )
        })
    })
}

fn sequence_set() -> impl Strategy<Value = Both<SequenceSet>> {
    let end = || prop_oneof![1 => Just(None), 3 => (1..=u32::MAX).prop_map(Some)];
    let show = |end: Option<u32>| end.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let range = (end(), end(), any::<bool>()).prop_map(move |(a, b, single)| match single {
        true => (show(a), (a, a)),
        false => (format!("{}:{}", show(a), show(b)), (a, b)),
    });
    let ranges = vec(range, 1..5).prop_map(|ranges| {
        let (texts, ranges): (Vec<_>, Vec<_>) = ranges.into_iter().unzip();
        both(texts.join(","), SequenceSet::Ranges(ranges))
    });
    prop_oneof![4 => ranges, 1 => Just(both("$", SequenceSet::Saved))]
}

fn numbers() -> impl Strategy<Value = Both<Numbers>> {
    prop_oneof![
        Just(both("", Numbers::Sequence)),
        any_case("UID ").prop_map(|text| both(text, Numbers::Uid)),
    ]
}

fn keyword() -> impl Strategy<Value = Both<Keyword>> {
    "[a-zA-Z$][a-zA-Z0-9_.+-]{0,6}"
        .prop_map(|name| both(name.clone(), Keyword::new(&name).unwrap()))
}

fn flags() -> impl Strategy<Value = (Vec<Vec<u8>>, Flags)> {
    let system = select(&SystemFlags::NAMES[..]).prop_flat_map(|(flag, name)| {
        any_case(name).prop_map(move |text| {
            (
                text,
                Flags {
                    system: flag,
                    ..Flags::default()
                },
            )
        })
    });
    let word = keyword().prop_map(|(text, keyword)| {
        (
            text,
            Flags {
                keywords: [keyword].into(),
                ..Flags::default()
            },
        )
    });
    vec(prop_oneof![system, word], 0..5).prop_map(|flags| {
        let all = flags.iter().fold(Flags::default(), |all, (_, flag)| {
            all.changed(FlagChange::Add, flag)
        });
        (flags.into_iter().map(|(text, _)| text).collect(), all)
    })
}

fn date() -> impl Strategy<Value = Both<Date>> {
    (-719_528..=2_932_896_i64, any::<bool>()).prop_map(|(days, quoted)| {
        let date = civil::date_from_days(days);
        let month = MONTHS[usize::from(date.month) - 1];
        let text = format!("{}-{month}-{:04}", date.day, date.year);
        both(if quoted { format!("\"{text}\"") } else { text }, date)
    })
}

fn search_key() -> impl Strategy<Value = Both<SearchKey>> {
    use SearchKey as Key;
    fn of<T: 'static>(
        name: &'static str,
        argument: impl Strategy<Value = Both<T>> + 'static,
        made: impl Fn(T) -> Key + 'static,
    ) -> BoxedStrategy<Both<Key>> {
        (any_case(name), argument)
            .prop_map(move |(name, (text, value))| both(put("{} {}", &[&name, &text]), made(value)))
            .boxed()
    }
    let number = || (0..=i64::MAX as u64).prop_map(|n| both(n.to_string(), n));
    let leaf = prop_oneof![
        any_case("ALL").prop_map(|name| both(name, Key::All)),
        any_case("UNSEEN").prop_map(|name| both(name, Key::Flag(SystemFlags::SEEN, false))),
        any_case("OLD").prop_map(|name| both(name, Key::Recent(false))),
        of("KEYWORD", keyword(), |keyword| Key::Keyword(keyword, true)),
        of("SUBJECT", text(), |text| Key::Header(
            b"SUBJECT".to_vec(),
            text
        )),
        of("TEXT", text(), Key::Text),
        of("SENTON", date(), Key::SentOn),
        of("BEFORE", date(), Key::Before),
        of("LARGER", number(), Key::Larger),
        of(
            "YOUNGER",
            (1..=u32::MAX).prop_map(|n| both(n.to_string(), n)),
            Key::Younger
        ),
        of("UID", sequence_set(), Key::Uid),
        sequence_set().prop_map(|(text, set)| both(text, Key::Sequence(set))),
        (any_case("HEADER"), astring(), text()).prop_map(
            |(name, (field, octets), (text, value))| {
                both(
                    put("{} {} {}", &[&name, &field, &text]),
                    Key::Header(octets, value),
                )
            }
        ),
    ];
    leaf.prop_recursive(4, 12, 3, |key| {
        prop_oneof![
            of("NOT", key.clone(), |key| Key::Not(Box::new(key))),
            (any_case("OR"), key.clone(), key.clone()).prop_map(|(name, (a, one), (b, two))| {
                both(
                    put("{} {} {}", &[&name, &a, &b]),
                    Key::Or(Box::new(one), Box::new(two)),
                )
            }),
            vec(key, 1..4).prop_map(|keys| {
                let (texts, keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
                both(put("({})", &[&join(&texts)]), Key::And(keys))
            }),
        ]
    })
}

/// With the space after it.
fn returns() -> impl Strategy<Value = Both<Option<SearchReturns>>> {
    let all = any::<[bool; 5]>().prop_flat_map(|[min, max, count, all, save]| {
        let names = [
            ("MIN", min),
            ("MAX", max),
            ("COUNT", count),
            ("ALL", all),
            ("SAVE", save),
        ];
        let names = names.into_iter().filter(|(_, named)| *named);
        let names: Vec<_> = names.map(|(name, _)| name).collect();
        let returns = SearchReturns {
            min,
            max,
            count,
            all,
            save,
        };
        Just(names)
            .prop_shuffle()
            .prop_map(move |names| both(format!("RETURN ({}) ", names.join(" ")), Some(returns)))
    });
    prop_oneof![Just(both("", None)), all]
}

fn section() -> impl Strategy<Value = Both<Section>> {
    use SectionText as T;
    let names = || {
        vec(astring(), 1..4).prop_map(|names| {
            let (texts, names): (Vec<_>, Vec<_>) = names.into_iter().unzip();
            (join(&texts), names)
        })
    };
    let text = prop_oneof![
        Just(both("", None)),
        any_case("TEXT").prop_map(|name| both(name, Some(T::Text))),
        any_case("HEADER").prop_map(|name| both(name, Some(T::Header))),
        (any_case("HEADER.FIELDS"), names()).prop_map(|(name, (list, names))| {
            both(
                put("{} ({})", &[&name, &list]),
                Some(T::HeaderFields(names)),
            )
        }),
        (any_case("HEADER.FIELDS.NOT"), names()).prop_map(|(name, (list, names))| {
            both(
                put("{} ({})", &[&name, &list]),
                Some(T::HeaderFieldsNot(names)),
            )
        }),
    ];
    (vec(1..=u32::MAX, 0..4), text).prop_map(|(part, (text, kind))| {
        let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
        let mut written = numbers.join(".").into_bytes();
        if !written.is_empty() && !text.is_empty() {
            written.push(b'.');
        }
        written.extend_from_slice(&text);
        both(written, Section { part, text: kind })
    })
}

/// The section's echo is not compared here: it is said again from the section and must be read as the same.
fn fetch_item() -> impl Strategy<Value = Both<FetchItem>> {
    use FetchItem as Item;
    let plain = select(
        &[
            ("BODY", Item::Body),
            ("BODYSTRUCTURE", Item::BodyStructure),
            ("ENVELOPE", Item::Envelope),
            ("FLAGS", Item::Flags),
            ("INTERNALDATE", Item::InternalDate),
            ("RFC822", Item::Rfc822),
            ("RFC822.HEADER", Item::Rfc822Header),
            ("RFC822.SIZE", Item::Rfc822Size),
            ("RFC822.TEXT", Item::Rfc822Text),
            ("UID", Item::Uid),
        ][..],
    );
    let plain = plain.prop_flat_map(|(name, item)| {
        any_case(name).prop_map(move |text| both(text, item.clone()))
    });
    let body = prop_oneof![
        any_case("BODY").prop_map(|name| (name, false)),
        any_case("BODY.PEEK").prop_map(|name| (name, true)),
    ];
    let partial = proptest::option::of((any::<u32>(), 1..=u32::MAX));
    let section =
        (body, section(), partial).prop_map(|((name, peek), (text, section), partial)| {
            let range = partial
                .map(|(from, count)| format!("<{from}.{count}>"))
                .unwrap_or_default();
            let text = put("{}[{}]{}", &[&name, &text, range.as_bytes()]);
            both(
                text,
                Item::Section {
                    peek,
                    section,
                    partial,
                    written: Bytes::new(),
                },
            )
        });
    prop_oneof![plain, section]
}

fn simple_commands() -> impl Strategy<Value = Both<Command>> {
    select(
        &[
            ("CAPABILITY", Command::Capability),
            ("CHECK", Command::Check),
            ("CLOSE", Command::Close),
            ("EXPUNGE", Command::Expunge(None)),
            ("IDLE", Command::Idle),
            ("LOGOUT", Command::Logout),
            ("NAMESPACE", Command::Namespace),
            ("NOOP", Command::Noop),
            ("STARTTLS", Command::StartTls),
            ("UNSELECT", Command::Unselect),
        ][..],
    )
    .prop_flat_map(|(name, command)| any_case(name).prop_map(move |n| both(n, command.clone())))
}

/// With the space after it.
fn list_select() -> impl Strategy<Value = Both<Option<ListSelect>>> {
    let option = select(&["SUBSCRIBED", "REMOTE", "SPECIAL-USE", "RECURSIVEMATCH"][..]);
    let options = vec(option, 0..5).prop_filter_map("RECURSIVEMATCH alone", |options| {
        let select = ListSelect {
            subscribed: options.contains(&"SUBSCRIBED"),
            special_use: options.contains(&"SPECIAL-USE"),
            recursive_match: options.contains(&"RECURSIVEMATCH"),
        };
        let text = format!("({}) ", options.join(" "));
        let fits = !select.recursive_match || select.subscribed || select.special_use;
        fits.then(|| both(text, Some(select)))
    });
    prop_oneof![Just(both("", None)), options]
}

/// With the space before it.
fn list_returns() -> impl Strategy<Value = Both<Option<ListReturns>>> {
    let option = select(
        &[
            "SUBSCRIBED",
            "Children",
            "SPECIAL-USE",
            "STATUS (SIZE UIDNEXT)",
        ][..],
    );
    let options = vec(option, 0..5).prop_map(|options| {
        let status = match options.contains(&"STATUS (SIZE UIDNEXT)") {
            true => vec![StatusItem::Size, StatusItem::UidNext],
            false => Vec::new(),
        };
        let subscribed = options.contains(&"SUBSCRIBED");
        let text = format!(" RETURN ({})", options.join(" "));
        both(text, Some(ListReturns { subscribed, status }))
    });
    prop_oneof![Just(both("", None)), options]
}

fn mailbox_commands() -> impl Strategy<Value = Both<Command>> {
    type Made = fn(Named) -> Command;
    let one = select(
        &[
            ("SELECT", Command::Select as Made),
            ("EXAMINE", Command::Examine),
            ("DELETE", Command::Delete),
            ("SUBSCRIBE", Command::Subscribe),
            ("UNSUBSCRIBE", Command::Unsubscribe),
        ][..],
    );
    let one = (one, mailbox()).prop_map(|((name, made), (text, mailbox))| {
        both(put(&format!("{name} {{}}"), &[&text]), made(mailbox))
    });
    let rename = (mailbox(), mailbox()).prop_map(|((a, from), (b, to))| {
        both(put("RENAME {} {}", &[&a, &b]), Command::Rename(from, to))
    });
    let wish = select(
        &[
            ("", Ok(None)),
            (" (USE ())", Ok(None)),
            (" (USE (\\Junk))", Ok(Some(SpecialUse::Junk))),
            (" (use (\\archive))", Ok(Some(SpecialUse::Archive))),
            (" (USE (\\Flagged))", Err(UnfitUse)),
            (" (USE (\\Sent \\Sent))", Err(UnfitUse)),
        ][..],
    );
    let create = (mailbox(), wish).prop_map(|((text, name), (uses, wish))| {
        both(
            put("CREATE {}{}", &[&text, uses.as_bytes()]),
            Command::Create(name, wish),
        )
    });
    let pattern = || {
        prop_oneof![
            text(),
            "[a-zA-Z%*/.\\]+-]{1,6}".prop_map(|pattern| both(pattern.clone(), pattern)),
        ]
    };
    let lsub = (text(), pattern()).prop_map(|((a, reference), (b, pattern))| {
        both(
            put("LSUB {} {}", &[&a, &b]),
            Command::Lsub { reference, pattern },
        )
    });
    let patterns = vec(pattern(), 1..4).prop_flat_map(|patterns| {
        let (texts, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        any::<bool>().prop_map(move |several| {
            let several = several || texts.len() > 1;
            let text = join(&texts);
            let text = if several { put("({})", &[&text]) } else { text };
            (text, patterns.clone(), several)
        })
    });
    let list = (list_select(), text(), patterns, list_returns()).prop_map(
        |((a, select), (b, reference), (c, patterns, several), (d, returns))| {
            let extended = several || select.is_some() || returns.is_some();
            let list = List {
                select: select.unwrap_or_default(),
                reference,
                patterns,
                returns: returns.unwrap_or_default(),
                extended,
            };
            both(
                put("LIST {}{} {}{}", &[&a, &b, &c, &d]),
                Command::List(list),
            )
        },
    );
    let status = (mailbox(), any::<bool>()).prop_map(|((text, name), more)| {
        use StatusItem::{Messages, Size, UidNext};
        let (items, list) = match more {
            true => ("UIDNEXT SIZE MESSAGES", vec![UidNext, Size, Messages]),
            false => ("Size", vec![Size]),
        };
        both(
            put("STATUS {} ({})", &[&text, items.as_bytes()]),
            Command::Status(name, list),
        )
    });
    prop_oneof![one, rename, create, list, lsub, status]
}

fn message_commands() -> impl Strategy<Value = Both<Command>> {
    let fetch = (numbers(), sequence_set(), vec(fetch_item(), 1..5)).prop_map(
        |((uid, numbers), (text, set), items)| {
            let (texts, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            let text = put("{}FETCH {} ({})", &[&uid, &text, &join(&texts)]);
            both(
                text,
                Command::Fetch(Fetch {
                    numbers,
                    set,
                    items,
                }),
            )
        },
    );
    let how = select(
        &[
            ("", FlagChange::Replace),
            ("+", FlagChange::Add),
            ("-", FlagChange::Remove),
        ][..],
    );
    let store = (
        numbers(),
        sequence_set(),
        how,
        any::<bool>(),
        flags(),
        any::<bool>(),
    )
        .prop_map(
            |((uid, numbers), (text, set), (sign, how), silent, (names, flags), bare)| {
                let names = match bare && !names.is_empty() {
                    true => join(&names),
                    false => put("({})", &[&join(&names)]),
                };
                let silently: &[u8] = if silent { b".SILENT" } else { b"" };
                let pieces = [&uid[..], &text, sign.as_bytes(), silently, &names];
                let store = Store {
                    numbers,
                    set,
                    how,
                    silent,
                    flags,
                };
                both(
                    put("{}STORE {} {}FLAGS{} {}", &pieces),
                    Command::Store(store),
                )
            },
        );
    let copy = (numbers(), sequence_set(), mailbox(), any::<bool>()).prop_map(
        |((uid, numbers), (text, set), (name, to), moved)| {
            let copy = Copy { numbers, set, to };
            match moved {
                true => both(
                    put("{}MOVE {} {}", &[&uid, &text, &name]),
                    Command::Move(copy),
                ),
                false => both(
                    put("{}COPY {} {}", &[&uid, &text, &name]),
                    Command::Copy(copy),
                ),
            }
        },
    );
    let expunge = sequence_set()
        .prop_map(|(text, set)| both(put("UID EXPUNGE {}", &[&text]), Command::Expunge(Some(set))));
    let search = (numbers(), returns(), any::<bool>(), vec(search_key(), 1..4)).prop_map(
        |((uid, numbers), (options, returns), charset, keys)| {
            let (texts, keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
            let (said, charset) = match charset {
                true => ("CHARSET utf-8 ", Some("UTF-8".to_owned())),
                false => ("", None),
            };
            let pieces = [&uid[..], &options, said.as_bytes(), &join(&texts)];
            let text = put("{}SEARCH {}{}{}", &pieces);
            both(
                text,
                Command::Search(Search {
                    numbers,
                    returns,
                    charset,
                    keys,
                }),
            )
        },
    );
    prop_oneof![fetch, store, copy, expunge, search]
}

fn append() -> impl Strategy<Value = Both<Command>> {
    let date = (-62_167_000_000..253_402_000_000_i64, -1_439..=1_439_i16);
    let date = date.prop_map(|(seconds, zone_minutes)| crate::store::InternalDate {
        at: crate::store::Timestamp(seconds * 1_000_000),
        zone_minutes,
    });
    let date = proptest::option::of(date);
    (mailbox(), proptest::option::of(flags()), date, any::<u32>()).prop_map(
        |((text, mailbox), flags, date, size)| {
            let mut text = put("APPEND {}", &[&text]);
            if let Some((names, _)) = &flags {
                text.extend(put(" ({})", &[&join(names)]));
            }
            if let Some(date) = date {
                text.push(b' ');
                response::date_time(&mut text, date);
            }
            text.extend(format!(" {{{size}}}\r\n").bytes());
            let flags = flags.map(|(_, flags)| flags).unwrap_or_default();
            both(
                text,
                Command::Append(Append {
                    mailbox,
                    flags,
                    date,
                }),
            )
        },
    )
}

fn other_commands() -> impl Strategy<Value = Both<Command>> {
    let login = (astring(), astring()).prop_map(|((a, user), (b, password))| {
        both(
            put("LOGIN {} {}", &[&a, &b]),
            Command::Login { user, password },
        )
    });
    let initial = proptest::option::of(any::<Vec<u8>>());
    let authenticate = ("[A-Z0-9-]{1,8}", initial).prop_map(|(mechanism, initial)| {
        let mut text = format!("AUTHENTICATE {mechanism}").into_bytes();
        match initial.as_deref() {
            None => {}
            Some([]) => text.extend_from_slice(b" ="),
            Some(octets) => {
                text.push(b' ');
                response::base64(&mut text, octets);
            }
        }
        both(text, Command::Authenticate { mechanism, initial })
    });
    let value = prop_oneof![
        any_case("NIL").prop_map(|nil| both(nil, None)),
        string().prop_map(|(text, value)| both(text, Some(value))),
    ];
    let id = vec((string(), value), 0..4).prop_map(|fields| {
        let texts: Vec<_> = fields
            .iter()
            .map(|(n, v)| put("{} {}", &[&n.0, &v.0]))
            .collect();
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.1, value.1))
            .collect();
        both(put("ID ({})", &[&join(&texts)]), Command::Id(fields))
    });
    prop_oneof![login, authenticate, id]
}

fn commands() -> impl Strategy<Value = Both<Command>> {
    prop_oneof![
        1 => simple_commands(),
        4 => mailbox_commands(),
        6 => message_commands(),
        1 => append(),
        2 => other_commands(),
    ]
}

/// Without the echo of the sections.
fn unechoed(mut command: Command) -> Command {
    if let Command::Fetch(fetch) = &mut command {
        for item in &mut fetch.items {
            if let FetchItem::Section { written, .. } = item {
                *written = Bytes::new();
            }
        }
    }
    command
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_command_is_read_as_what_it_was_made_from(
        tag in "[a-zA-Z0-9.\\]\\[]{1,6}",
        (text, made) in commands(),
    ) {
        let text = put(&format!("{tag} {{}}"), &[&text]);
        let tagged = command(&text);
        prop_assert!(tagged.is_ok(), "{}: {}", text.escape_ascii(), tagged.unwrap_err());
        let tagged = tagged.unwrap();
        prop_assert_eq!(&tagged.tag, tag.as_bytes());
        prop_assert_eq!(unechoed(tagged.command), made, "{}", text.escape_ascii());
    }

    #[test]
    fn a_section_is_echoed_as_text_that_means_the_same((text, made) in section()) {
        let echo = |text: &[u8]| {
            let tagged = command(&put("a FETCH 1 BODY[{}]", &[text])).unwrap();
            let Command::Fetch(fetch) = tagged.command else { panic!("no FETCH") };
            match fetch.items.into_iter().next() {
                Some(FetchItem::Section { section, written, .. }) => (section, written),
                other => panic!("{other:?}"),
            }
        };
        let (section, written) = echo(&text);
        prop_assert_eq!(&section, &made);
        prop_assert_eq!(echo(&written), (section, written));
    }

    #[test]
    fn a_changed_command_is_read_or_refused_at_a_place_in_it(
        (text, _) in commands(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut text = put("a {}", &[&text]);
        for (index, octet, kind) in changes {
            let at = index.index(text.len() + 1);
            match kind {
                0 => text.insert(at, octet),
                1 => drop(text.drain(at..text.len().min(at + 1))),
                _ => {
                    if let Some(old) = text.get_mut(at) {
                        *old = octet;
                    }
                }
            }
        }
        if let Err(bad) = command(&text) {
            prop_assert!(bad.at <= text.len());
        }
        if let Some(Err(bad)) = append_prefix(&text) {
            prop_assert!(bad.at <= text.len());
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets: Vec<u8>) {
        prop_assert!(command(&octets).is_ok_and(|tagged| tagged.tag.len() < octets.len())
            || command(&octets).is_err());
        if let Some(Err(bad)) = append_prefix(&octets) {
            prop_assert!(bad.at <= octets.len());
        }
    }
}
