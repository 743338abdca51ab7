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
