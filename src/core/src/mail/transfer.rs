//! Content-Transfer-Encoding undone, slice by slice (RFC 2045 §6), for reading text: what does not follow the encoding is passed
//! over or through, never refused.

/// Decodes one body.
#[derive(Debug, Clone)]
pub struct TransferDecoder {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// 7bit, 8bit, binary and what is not known.
    Identity,
    Base64 {
        bits: u32,
        count: u32,
    },
    QuotedPrintable(Escape),
}

/// Where in a quoted-printable escape we stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    /// After `=`.
    Begun,
    /// After `=` and a hexadecimal digit.
    Digit(u8),
    /// After `=` and space or CR: a soft line break that still lacks its LF.
    Space,
}

impl TransferDecoder {
    /// For the value of Content-Transfer-Encoding (ASCII case does not count).
    pub fn new(encoding: &[u8]) -> Self {
        let encoding = encoding.trim_ascii();
        let state = if encoding.eq_ignore_ascii_case(b"base64") {
            State::Base64 { bits: 0, count: 0 }
        } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
            State::QuotedPrintable(Escape::None)
        } else {
            State::Identity
        };
        Self { state }
    }

    /// Decodes the next slice and appends what it holds.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(bytes),
            State::Base64 { bits, count } => {
                for &byte in bytes {
                    base64(byte, bits, count, out);
                }
            }
            State::QuotedPrintable(escape) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    if *escape == Escape::None {
                        let end = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                        let (plain, after) = rest.split_at_checked(end).unwrap_or_default();
                        out.extend_from_slice(plain);
                        rest = after;
                    }
                    let Some((&byte, after)) = rest.split_first() else {
                        return;
                    };
                    *escape = quoted_printable(byte, *escape, out);
                    rest = after;
                }
            }
        }
    }

    /// The end of the body: an escape left open is text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let State::QuotedPrintable(escape) = &mut self.state
            && let Escape::Digit(digit) = std::mem::replace(escape, Escape::None)
        {
            out.extend_from_slice(&[b'=', digit]);
        }
    }
}

/// Six bits a character; characters outside the alphabet are passed over, padding ends the group.
fn base64(byte: u8, bits: &mut u32, count: &mut u32, out: &mut Vec<u8>) {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => {
            (*bits, *count) = (0, 0);
            return;
        }
        _ => return,
    };
    *bits = (*bits << 6 | u32::from(value)) & 0xffff;
    *count += 6;
    if *count >= 8 {
        *count -= 8;
        out.push((*bits >> *count) as u8);
    }
}

fn quoted_printable(byte: u8, escape: Escape, out: &mut Vec<u8>) -> Escape {
    match (escape, byte) {
        (Escape::None, b'=') => return Escape::Begun,
        (Escape::None, _) => out.push(byte),
        (Escape::Begun | Escape::Space, b'\n') => {}
        (Escape::Begun | Escape::Space, b' ' | b'\t' | b'\r') => return Escape::Space,
        (Escape::Begun, _) if byte.is_ascii_hexdigit() => return Escape::Digit(byte),
        (Escape::Digit(high), _) if byte.is_ascii_hexdigit() => {
            let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
            out.push((digit(high) << 4 | digit(byte)) as u8);
        }
        // No escape after all: it stands for itself (RFC 2045 §6.7, note 2).
        (Escape::Begun | Escape::Space, _) => {
            out.push(b'=');
            return quoted_printable(byte, Escape::None, out);
        }
        (Escape::Digit(digit), _) => {
            out.extend_from_slice(&[b'=', digit]);
            return quoted_printable(byte, Escape::None, out);
        }
    }
    Escape::None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: &str, slices: &[&[u8]]) -> Vec<u8> {
        let mut decoder = TransferDecoder::new(encoding.as_bytes());
        let mut out = Vec::new();
        for slice in slices {
            decoder.feed(slice, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn encodings_are_undone_and_faults_passed_over() {
        for (encoding, text, want) in [
            ("BASE64", &b"SGVsbG8="[..], &b"Hello"[..]),
            ("base64", b"SGVs\r\nbG8", b"Hello"),
            ("base64", b"SGVsbG8=SGVsbG8=", b"HelloHello"),
            ("base64", b"S!G-Vs", b"Hel"),
            ("quoted-printable", b"a=3D=\r\nb=\nc= \t\r\nd", b"a=bcd"),
            (
                "quoted-printable",
                b"=c3=A4 =ZZ =4 ==41 =",
                b"\xc3\xa4 =ZZ =4 =A ",
            ),
            ("8bit", b"=41\xff", b"=41\xff"),
        ] {
            assert_eq!(decoded(encoding, &[text]), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_slicing_decodes_the_same(text in "[a-fA-F0-9= \r\n+/]{0,60}", cut in 0usize..60, qp: bool) {
            let encoding = if qp { "quoted-printable" } else { "base64" };
            let cut = cut.min(text.len());
            let (a, b) = text.as_bytes().split_at(cut);
            prop_assert_eq!(decoded(encoding, &[a, b]), decoded(encoding, &[text.as_bytes()]));
        }
    }
}
