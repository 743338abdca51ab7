//! Atoms, quoted strings, literals.

use std::borrow::Cow;

use super::{Parsed, byte, number, run, stop};

/// ```abnf
/// ATOM-CHAR       = <any CHAR except atom-specials>                       ; RFC 3501
/// atom-specials   = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
/// ```
pub(super) const fn is_atom_char(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ```abnf
/// ASTRING-CHAR    = ATOM-CHAR / resp-specials                             ; RFC 3501
/// ```
pub(super) const fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

/// ```abnf
/// atom            = 1*ATOM-CHAR                                           ; RFC 3501
/// ```
pub(super) fn atom(input: &[u8]) -> Parsed<'_, &[u8]> {
    run(is_atom_char, "an atom", input)
}

/// ```abnf
/// astring         = 1*ASTRING-CHAR / string                               ; RFC 3501
/// ```
pub(super) fn astring(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match input.first() {
        Some(b'"' | b'{') => string(input),
        _ => {
            let (rest, atom) = run(is_astring_char, "an atom or a string", input)?;
            Ok((rest, Cow::Borrowed(atom)))
        }
    }
}

/// ```abnf
/// string          = quoted / literal                                      ; RFC 3501
/// ```
pub(super) fn string(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    match input.first() {
        Some(b'"') => quoted(input),
        Some(b'{') => {
            let (rest, octets) = literal(input)?;
            Ok((rest, Cow::Borrowed(octets)))
        }
        _ => stop(input, "a string"),
    }
}

/// ```abnf
/// nstring         = string / nil                                          ; RFC 3501
/// nil             = "NIL"
/// ```
pub(super) fn nstring(input: &[u8]) -> Parsed<'_, Option<Cow<'_, [u8]>>> {
    if let Ok((rest, ())) = nil(input) {
        return Ok((rest, None));
    }
    match input.first() {
        Some(b'"' | b'{') => string(input).map(|(rest, string)| (rest, Some(string))),
        _ => stop(input, "a string or NIL"),
    }
}

pub(super) fn nil(input: &[u8]) -> Parsed<'_, ()> {
    match input.split_at_checked(3) {
        Some((nil, rest)) if nil.eq_ignore_ascii_case(b"NIL") => Ok((rest, ())),
        _ => stop(input, "NIL"),
    }
}

/// The octets with the escapes resolved. UTF-8 is taken, as RFC 9051 has it: RFC 3501 is 7-bit, but clients send it.
///
/// ```abnf
/// quoted          = DQUOTE *QUOTED-CHAR DQUOTE
/// QUOTED-CHAR     = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials /
///                   UTF8-2 / UTF8-3 / UTF8-4                              ; RFC 9051
/// TEXT-CHAR       = <any CHAR except CR and LF>
/// ```
pub(super) fn quoted(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    let (content, ()) = byte(b'"', "a quoted string", input)?;
    let mut unescaped: Option<Vec<u8>> = None;
    let mut rest = content;
    loop {
        let plain = |b: &u8| matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0);
        let size = rest.iter().position(plain).unwrap_or(rest.len());
        let (chars, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        if std::str::from_utf8(chars).is_err() {
            return stop(rest, "UTF-8 in a quoted string");
        }
        match after {
            [b'"', after @ ..] => {
                let string = match unescaped {
                    Some(mut string) => {
                        string.extend_from_slice(chars);
                        Cow::Owned(string)
                    }
                    None => Cow::Borrowed(chars),
                };
                return Ok((after, string));
            }
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                let string = unescaped.get_or_insert_with(Vec::new);
                string.extend_from_slice(chars);
                string.push(*escaped);
                rest = after;
            }
            [b'\\', after @ ..] => return stop(after, "a quote or a backslash after a backslash"),
            _ => return stop(after, "the end of the quoted string"),
        }
    }
}

/// ```abnf
/// literal         = "{" number64 ["+"] "}" CRLF *CHAR8                    ; RFC 9051, 7888
/// CHAR8           = %x01-ff
/// ```
pub(super) fn literal(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, size) = announcement(input)?;
    let octets = usize::try_from(size)
        .ok()
        .and_then(|size| rest.split_at_checked(size));
    match octets {
        Some((octets, after)) if !octets.contains(&0) => Ok((after, octets)),
        Some(_) => stop(rest, "a literal without NUL"),
        None => stop(rest, "the octets of a literal"),
    }
}

/// What comes before the octets of a literal, CRLF included.
pub(super) fn announcement(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, ()) = byte(b'{', "a literal", input)?;
    let (rest, size) = number::number64(rest)?;
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    match rest.strip_prefix(b"}\r\n") {
        Some(rest) => Ok((rest, size)),
        None => stop(rest, "the end of a literal's announcement"),
    }
}
