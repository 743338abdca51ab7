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

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::*;

    fn owned<'a>(
        parser: fn(&'a [u8]) -> Parsed<'a, Cow<'a, [u8]>>,
    ) -> impl Fn(&'a [u8]) -> Parsed<'a, Vec<u8>> {
        move |input| parser(input).map(|(rest, octets)| (rest, octets.into_owned()))
    }

    #[test]
    fn an_astring_is_an_atom_or_a_string() {
        known(
            owned(astring),
            &[
                (b"a", Ok(b"a".to_vec())),
                (b"a]+,/&.#~", Ok(b"a]+,/&.#~".to_vec())),
                (b"NIL", Ok(b"NIL".to_vec())),
                (b"\"a b\"", Ok(b"a b".to_vec())),
                (b"{3}\r\na b", Ok(b"a b".to_vec())),
                (b"", Err(0)),
                (b" ", Err(0)),
                (b"a b", Err(1)),
                (b"a(", Err(1)),
                (b"a{", Err(1)),
                (b"a%", Err(1)),
                (b"a*", Err(1)),
                (b"a\"", Err(1)),
                (b"a\\", Err(1)),
                (b"a\x7f", Err(1)),
                (b"a\x1f", Err(1)),
                ("ä".as_bytes(), Err(0)),
            ],
        );
        known(
            |input| atom(input).map(|(rest, atom)| (rest, atom.to_vec())),
            &[
                (b"a+b", Ok(b"a+b".to_vec())),
                (b"a]", Err(1)),
                (b"", Err(0)),
            ],
        );
    }

    #[test]
    fn a_quoted_string_has_two_escapes_and_no_line_ends() {
        known(
            owned(quoted),
            &[
                (br#""""#, Ok(vec![])),
                (br#""a""#, Ok(b"a".to_vec())),
                (br#""\"\\""#, Ok(br#""\"#.to_vec())),
                (br#""a\"b\\c""#, Ok(br#"a"b\c"#.to_vec())),
                ("\"Entwürfe\"".as_bytes(), Ok("Entwürfe".into())),
                (b"\"\x01\t\x7f\"", Ok(b"\x01\t\x7f".to_vec())),
                (br#"a"#, Err(0)),
                (br#""a"#, Err(2)),
                (br#""a\"#, Err(3)),
                (br#""a\b""#, Err(3)),
                (b"\"a\rb\"", Err(2)),
                (b"\"a\nb\"", Err(2)),
                (b"\"a\0b\"", Err(2)),
                (b"\"a\xff\"", Err(1)),
                (b"\"\\\"\xc3\\\\\"", Err(3)),
            ],
        );
    }

    #[test]
    fn a_literal_has_as_many_octets_as_it_says() {
        known(
            owned(|input| string(input)),
            &[
                (b"{0}\r\n", Ok(vec![])),
                (b"{3}\r\n\r\n\"", Ok(b"\r\n\"".to_vec())),
                (b"{1+}\r\n\xff", Ok(b"\xff".to_vec())),
                (b"{00001}\r\nx", Ok(b"x".to_vec())),
                (b"{2}\r\nx", Err(5)),
                (b"{1}\r\nxy", Err(6)),
                (b"{1}\r\n\0", Err(5)),
                (b"{1}x", Err(2)),
                (b"{1}\n", Err(2)),
                (b"{}\r\n", Err(1)),
                (b"{-1}\r\n", Err(1)),
                (b"{1++}\r\n", Err(3)),
                (b"~{1}\r\nx", Err(0)),
                (b"{9223372036854775808}\r\n", Err(1)),
                (b"{9223372036854775807}\r\n", Err(23)),
            ],
        );
    }

    #[test]
    fn an_nstring_may_be_nil() {
        known(
            |input| nstring(input).map(|(rest, octets)| (rest, octets.map(Cow::into_owned))),
            &[
                (b"NIL", Ok(None)),
                (b"nIl", Ok(None)),
                (b"\"NIL\"", Ok(Some(b"NIL".to_vec()))),
                (b"{1}\r\nx", Ok(Some(b"x".to_vec()))),
                (b"NI", Err(0)),
                (b"x", Err(0)),
            ],
        );
    }
}
