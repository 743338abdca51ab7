//! APPEND.

use super::date::date_time;
use super::flag::flag_list;
use super::mailbox::mailbox;
use super::string::announcement;
use super::{BadCommand, Parsed, committed, run, sp, stop, string, tag, whole};
use crate::imap::command::{Append, Command, Tagged};

/// The message is a literal that was streamed: its announcement ends the text.
///
/// ```abnf
/// append          = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal      ; RFC 3501
/// ```
pub(super) fn append(input: &[u8]) -> Parsed<'_, Command> {
    let (input, append) = arguments(input)?;
    if input.starts_with(b"~") {
        return stop(input, "a literal without ~");
    }
    let (input, _size) = announcement(input)?;
    Ok((input, Command::Append(append)))
}

/// All that comes before the message, its space included.
fn arguments(input: &[u8]) -> Parsed<'_, Append> {
    let (input, ()) = sp(input)?;
    let (mut input, mailbox) = mailbox(input)?;
    let mut flags = None;
    let mut date = None;
    if input.starts_with(b" (") {
        let (rest, named) = committed(flag_list(input.get(1..).unwrap_or_default()))?;
        (input, flags) = (rest, Some(named));
    }
    if input.starts_with(b" \"") {
        let (rest, given) = committed(date_time(input.get(1..).unwrap_or_default()))?;
        (input, date) = (rest, Some(given));
    }
    let (input, ()) = sp(input)?;
    Ok((
        input,
        Append {
            mailbox,
            flags: flags.unwrap_or_default(),
            date,
        },
    ))
}

/// For the moment when a literal is announced: is it the message of an APPEND, to be streamed?
///
/// `None`: no, it is an ordinary literal (another command, or the mailbox's name). `Some(Ok)`: yes, and this is the APPEND.
/// `Some(Err)`: it is an APPEND, but no literal can stand here; the literal is best refused and the command answered BAD.
#[must_use]
pub fn append_prefix(so_far: &[u8]) -> Option<Result<Tagged, BadCommand>> {
    let (rest, _) = tag(so_far).ok()?;
    let (rest, ()) = sp(rest).ok()?;
    let (rest, name) = run(string::is_atom_char, "a command", rest).ok()?;
    if !name.eq_ignore_ascii_case(b"APPEND") || rest == b" " {
        return None;
    }
    Some(whole(so_far, |input| {
        let (rest, append) = arguments(input.get(name.len()..).unwrap_or_default())?;
        Ok((rest, Command::Append(append)))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::civil;
    use crate::imap::command::Date;
    use crate::imap::command::Named;
    use crate::store::{Flags, SystemFlags};

    fn made(seen: bool, dated: bool) -> Append {
        let system = if seen {
            SystemFlags::SEEN
        } else {
            SystemFlags::NONE
        };
        let day = Date {
            year: 2024,
            month: 1,
            day: 1,
        };
        Append {
            mailbox: Named(b"a".to_vec()),
            flags: Flags {
                system,
                ..Flags::default()
            },
            date: dated.then(|| civil::moment(day, 0, 0)),
        }
    }

    #[test]
    fn append_ends_in_the_announcement_of_its_message() {
        let append = |seen, dated| Ok(Command::Append(made(seen, dated)));
        known(
            arguments,
            &[
                (b"APPEND a {5}\r\n", append(false, false)),
                (b"append a () {0}\r\n", append(false, false)),
                (b"APPEND {1}\r\na (\\seen) {5+}\r\n", append(true, false)),
                (
                    b"APPEND a \" 1-Jan-2024 00:00:00 +0000\" {5}\r\n",
                    append(false, true),
                ),
                (
                    b"APPEND a (\\Seen) \" 1-Jan-2024 00:00:00 +0000\" {5}\r\n",
                    append(true, true),
                ),
                (b"APPEND a {5}\r\nhello", Err(14)),
                (b"APPEND a {5}\r\n {5}\r\n", Err(14)),
                (b"APPEND a ~{5}\r\n", Err(9)),
                (b"APPEND a \"x\"", Err(10)),
                (b"APPEND a (\\Recent) {5}\r\n", Err(10)),
                (
                    b"APPEND a \" 1-Jan-2024 00:00:00 +0000\" (\\Seen) {5}\r\n",
                    Err(38),
                ),
                (b"APPEND a{5}\r\n", Err(8)),
                (b"APPEND a", Err(8)),
                (b"APPEND a ", Err(9)),
            ],
        );
    }

    #[test]
    fn a_message_is_known_when_its_announcement_comes() {
        let prefix = |text: &str| append_prefix(text.as_bytes());
        let yes = |text, append| match prefix(text) {
            Some(Ok(tagged)) => assert_eq!(tagged.command, Command::Append(append), "{text}"),
            other => panic!("{text}: {other:?}"),
        };
        yes("t APPEND a ", made(false, false));
        yes("t append \"a\" (\\Seen) ", made(true, false));
        yes("t APPEND {1}\r\na ", made(false, false));
        yes(
            "t APPEND a \" 1-Jan-2024 00:00:00 +0000\" ",
            made(false, true),
        );
        let bad_name = Append {
            mailbox: Named(Vec::new()),
            ..made(false, false)
        };
        yes("t APPEND \"\" ", bad_name);
        for text in [
            "",
            "t",
            "t APPEND ",
            "t LOGIN ",
            "t APPENDIX a ",
            "t  APPEND a ",
            "+ APPEND a ",
        ] {
            assert_eq!(prefix(text), None, "{text}");
        }
        for (text, at) in [
            ("t APPEND", 8),
            ("t APPEND a", 10),
            ("t APPEND a  ", 11),
            ("t APPEND a b ", 11),
            ("t APPEND a (\\Recent) ", 12),
            ("t APPEND a (\\Seen)", 18),
            ("t APPEND a \"x\" ", 12),
            ("t APPEND \"a ", 12),
            ("t APPEND a {5}\r\n ", 11),
        ] {
            let bad = prefix(text).unwrap().unwrap_err();
            assert_eq!(
                (bad.tag.as_deref(), bad.at),
                (Some(&b"t"[..]), at),
                "{text}"
            );
        }
    }
}
