//! LOGIN and AUTHENTICATE.

use super::string::{astring, atom};
use super::{Parsed, run, sp, stop};
use crate::imap::command::Command;

/// ```abnf
/// login           = "LOGIN" SP userid SP password                         ; RFC 3501
/// userid          = astring
/// password        = astring
/// ```
pub(super) fn login(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (input, user) = astring(input)?;
    let (input, ()) = sp(input)?;
    let (input, password) = astring(input)?;
    let (user, password) = (user.into_owned(), password.into_owned());
    Ok((input, Command::Login { user, password }))
}

/// ```abnf
/// authenticate    = "AUTHENTICATE" SP auth-type [SP initial-resp]         ; RFC 4959
/// auth-type       = atom
/// initial-resp    = (base64 / "=")
/// ```
pub(super) fn authenticate(input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = sp(input)?;
    let (rest, name) = atom(input)?;
    let mechanism = String::from_utf8_lossy(name).to_ascii_uppercase();
    let Ok((input, ())) = sp(rest) else {
        return Ok((
            rest,
            Command::Authenticate {
                mechanism,
                initial: None,
            },
        ));
    };
    let (rest, written) = run(|b| b.is_ascii_graphic(), "an initial response", input)?;
    let initial = if written == b"=" {
        Some(Vec::new())
    } else {
        base64(written)
    };
    if initial.is_none() {
        return stop(input, "an initial response in base64");
    }
    Ok((rest, Command::Authenticate { mechanism, initial }))
}

/// What base64 says; `None` when it is none. Padding must be there and its unused bits must be 0.
///
/// ```abnf
/// base64          = *(4base64-char) [base64-terminal]                     ; RFC 3501
/// base64-terminal = (2base64-char "==") / (3base64-char "=")
/// ```
#[must_use]
pub fn base64(written: &[u8]) -> Option<Vec<u8>> {
    if !written.len().is_multiple_of(4) {
        return None;
    }
    let padding = match written {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    let mut out = Vec::with_capacity(written.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for &char in written.get(..written.len() - padding)? {
        let value = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    (bits & ((1 << count) - 1) == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{arguments, known};
    use super::*;
    use crate::imap::response;
    use proptest::prelude::*;

    #[test]
    fn login_takes_user_and_password_as_they_are() {
        let login = |user: &[u8], password: &[u8]| {
            Ok(Command::Login {
                user: user.to_vec(),
                password: password.to_vec(),
            })
        };
        known(
            arguments,
            &[
                (b"LOGIN a b", login(b"a", b"b")),
                (b"LOGIN \"a b\" \"\\\"\"", login(b"a b", b"\"")),
                (b"LOGIN {2}\r\n\xff\xfe {0}\r\n", login(b"\xff\xfe", b"")),
                (b"LOGIN a@b.example p]+", login(b"a@b.example", b"p]+")),
                (b"LOGIN a", Err(7)),
                (b"LOGIN a p%", Err(9)),
                (b"LOGIN a b c", Err(9)),
            ],
        );
    }

    #[test]
    fn authenticate_may_bring_the_first_response() {
        let auth = |mechanism: &str, initial: Option<&[u8]>| {
            let (mechanism, initial) = (mechanism.to_owned(), initial.map(<[u8]>::to_vec));
            Ok(Command::Authenticate { mechanism, initial })
        };
        known(
            arguments,
            &[
                (b"AUTHENTICATE plain", auth("PLAIN", None)),
                (b"AUTHENTICATE SCRAM-SHA-256", auth("SCRAM-SHA-256", None)),
                (b"AUTHENTICATE PLAIN =", auth("PLAIN", Some(b""))),
                (
                    b"AUTHENTICATE PLAIN AGEAYg==",
                    auth("PLAIN", Some(b"\0a\0b")),
                ),
                (b"AUTHENTICATE PLAIN ", Err(19)),
                (b"AUTHENTICATE PLAIN AGEAYg=", Err(19)),
                (b"AUTHENTICATE PLAIN A b", Err(19)),
                (b"AUTHENTICATE", Err(12)),
            ],
        );
    }

    #[test]
    fn base64_has_one_form_only() {
        for (text, octets) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("+/+/", Some(b"\xfb\xff\xbf")),
            ("Zg", None),
            ("Zg=", None),
            ("Zh==", None),
            ("Zm9=", None),
            ("====", None),
            ("Z===", None),
            ("Zg==Zg==", None),
            ("Zm 9", None),
            ("Zm9-", None),
        ] {
            assert_eq!(base64(text.as_bytes()).as_deref(), octets, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_in_base64_is_read_again(octets: Vec<u8>) {
            let mut written = Vec::new();
            response::base64(&mut written, &octets);
            prop_assert_eq!(base64(&written), Some(octets));
        }
    }
}
