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

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;

    fn flags(system: SystemFlags, keywords: &[&str]) -> Flags {
        let keywords = keywords
            .iter()
            .map(|name| Keyword::new(name).unwrap())
            .collect();
        Flags { system, keywords }
    }

    #[test]
    fn a_flag_list_names_flags_and_keywords_in_either_case() {
        let both = SystemFlags::SEEN.with(SystemFlags::DELETED);
        let all = SystemFlags::from_bits(31);
        known(
            flag_list,
            &[
                (b"()", Ok(Flags::default())),
                (b"(\\Seen)", Ok(flags(SystemFlags::SEEN, &[]))),
                (b"(\\sEEN \\Deleted \\seen)", Ok(flags(both, &[]))),
                (
                    b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
                    Ok(flags(all, &[])),
                ),
                (
                    b"(a $Forwarded A)",
                    Ok(flags(SystemFlags::NONE, &["a", "$Forwarded"])),
                ),
                (b"(\\Recent)", Err(1)),
                (b"(a \\Foo)", Err(3)),
                (b"(\\)", Err(2)),
                (b"(\\*)", Err(2)),
                (b"(a  b)", Err(3)),
                (b"( a)", Err(1)),
                (b"(a )", Err(3)),
                (b"(a", Err(2)),
                (b"(a])", Err(2)),
                (b"(\"a\")", Err(1)),
                (b"a", Err(0)),
                (b" (a)", Err(0)),
                (b" ()", Err(0)),
            ],
        );
        known(
            bare_flags,
            &[
                (b"a \\Seen", Ok(flags(SystemFlags::SEEN, &["a"]))),
                (b"", Err(0)),
                (b"a ", Err(2)),
            ],
        );
    }

    #[test]
    fn a_keyword_has_at_most_255_octets() {
        assert!(flag_keyword(&[b'a'; 255]).is_ok());
        assert!(flag_keyword(&[b'a'; 256]).is_err());
    }
}
