//! Flags.

use super::string::{atom, is_atom_char};
use super::{Parsed, listed_or_empty, run, spaced, stop};
use crate::store::{Flags, Keyword, SystemFlags};

/// Flags that a command may name: more than a mailbox can have.
const FLAGS_MAX: usize = 2_000;

/// One flag of a command.
pub(super) enum Flag {
    System(SystemFlags),
    Keyword(Keyword),
}

/// `\Recent` can't be given by a client, and no `flag-extension` is served: either is refused here, so that the
/// answer is BAD and says where, rather than that a flag is lost in silence.
///
/// ```abnf
/// flag            = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" /
///                   flag-keyword / flag-extension                         ; RFC 3501: not "\Recent"
/// flag-extension  = "\" atom
/// ```
pub(super) fn flag(input: &[u8]) -> Parsed<'_, Flag> {
    let Some(rest) = input.strip_prefix(b"\\") else {
        let (rest, keyword) = flag_keyword(input)?;
        return Ok((rest, Flag::Keyword(keyword)));
    };
    let (rest, name) = run(is_atom_char, "the name of a flag", rest)?;
    let written = input.get(..=name.len()).unwrap_or_default();
    let mut known = SystemFlags::NAMES.iter();
    match known.find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(written)) {
        Some((flag, _)) => Ok((rest, Flag::System(*flag))),
        None => stop(input, "a flag that clients can set"),
    }
}

/// ```abnf
/// flag-keyword    = atom                                                  ; RFC 3501
/// ```
pub(super) fn flag_keyword(input: &[u8]) -> Parsed<'_, Keyword> {
    let (rest, name) = atom(input)?;
    match std::str::from_utf8(name).ok().and_then(Keyword::new) {
        Some(keyword) => Ok((rest, keyword)),
        None => stop(input, "a keyword of at most 255 octets"),
    }
}

/// ```abnf
/// flag-list       = "(" [flag *(SP flag)] ")"                             ; RFC 3501
/// ```
pub(super) fn flag_list(input: &[u8]) -> Parsed<'_, Flags> {
    let (rest, flags) = listed_or_empty(flag, FLAGS_MAX, input)?;
    Ok((rest, collected(flags)))
}

/// `flag *(SP flag)`
pub(super) fn bare_flags(input: &[u8]) -> Parsed<'_, Flags> {
    let (rest, flags) = spaced(flag, FLAGS_MAX, input)?;
    Ok((rest, collected(flags)))
}

fn collected(named: Vec<Flag>) -> Flags {
    let mut flags = Flags::default();
    for flag in named {
        match flag {
            Flag::System(flag) => flags.system = flags.system.with(flag),
            Flag::Keyword(keyword) => {
                flags.keywords.insert(keyword);
            }
        }
    }
    flags
}
