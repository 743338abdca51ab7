//! IMAP's strings (RFC 3501 §9), the way every text of a message is written to a client.

/// Writes `nstring`: NIL, or as [`string`].
pub(crate) fn nstring(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes `string`: quoted where that is legal (7-bit without CR, LF and NUL), else as a literal. NUL has no form in either: it is
/// left out (compact forms never hold one).
pub(crate) fn string(text: &[u8], out: &mut Vec<u8>) {
    let plain = text
        .iter()
        .fold(true, |plain, &byte| plain & is_plain(byte));
    if plain {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    } else if text
        .iter()
        .all(|&byte| byte < 0x80 && !matches!(byte, 0 | b'\r' | b'\n'))
    {
        out.push(b'"');
        for &byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    } else {
        let octets = text.iter().filter(|&&byte| byte != 0);
        out.push(b'{');
        number(octets.clone().count() as u64, out);
        out.extend_from_slice(b"}\r\n");
        out.extend(octets);
    }
}

/// Characters that stand in a quoted string as they are.
fn is_plain(byte: u8) -> bool {
    (b' '..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

/// Writes `number` in decimal.
pub(crate) fn number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut rest = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_quoted_where_it_may_be() {
        for (text, want) in [
            (&b""[..], &b"\"\""[..]),
            (b"a b", b"\"a b\""),
            (b"a\"\\\t", b"\"a\\\"\\\\\t\""),
            (b"a\rb", b"{3}\r\na\rb"),
            (b"\xc3\xa4\0", b"{2}\r\n\xc3\xa4"),
        ] {
            let mut out = Vec::new();
            string(text, &mut out);
            assert_eq!(out, want);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 9, 10, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
