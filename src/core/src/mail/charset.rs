//! Charsets to Unicode, slice by slice: those of the WHATWG encoding standard under their many names, UTF-7, and a guess where the
//! charset is missing, unknown or US-ASCII with 8-bit bytes in it.

use encoding_rs::{CoderResult, Decoder, Encoding, REPLACEMENT};

/// Decodes one text.
pub struct CharsetDecoder {
    state: State,
}

enum State {
    Known(Box<Decoder>),
    Utf7(Utf7),
    Guess(Guess),
}

impl std::fmt::Debug for CharsetDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match &self.state {
            State::Known(decoder) => decoder.encoding().name(),
            State::Utf7(_) => "UTF-7",
            State::Guess(_) => "a guess",
        };
        write!(f, "CharsetDecoder({name})")
    }
}

/// Names met in mail that the encoding standard does not have.
const ALIASES: [(&str, &str); 12] = [
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("cp-850", "windows-1252"),
    ("iso-8859-1-windows-3.1-latin-1", "windows-1252"),
    ("iso8859_1", "iso-8859-1"),
    ("iso8859_15", "iso-8859-15"),
    ("latin-1", "iso-8859-1"),
    ("mac", "macintosh"),
    ("utf8mb4", "utf-8"),
    ("utf_8", "utf-8"),
];

impl CharsetDecoder {
    /// For a charset name (ASCII case does not count); `None` is a text without one.
    pub fn new(name: Option<&[u8]>) -> Self {
        let name = name
            .map(|name| name.trim_ascii().to_ascii_lowercase())
            .unwrap_or_default();
        let name = std::str::from_utf8(&name).unwrap_or_default();
        if matches!(name, "utf-7" | "utf7" | "unicode-1-1-utf-7") {
            return Self {
                state: State::Utf7(Utf7::default()),
            };
        }
        let known = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map_or(name, |(_, to)| to);
        let ascii = matches!(known, "us-ascii" | "ascii" | "ansi_x3.4-1968");
        match Encoding::for_label_no_replacement(known.as_bytes()) {
            Some(encoding) if !ascii && encoding != REPLACEMENT => Self {
                state: State::Known(Box::new(encoding.new_decoder_with_bom_removal())),
            },
            _ => Self {
                state: State::Guess(Guess::default()),
            },
        }
    }

    /// Decodes the next slice and appends its text; what does not decode is U+FFFD.
    pub fn feed(&mut self, bytes: &[u8], out: &mut String) {
        self.decode(bytes, false, out);
    }

    /// The end of the text.
    pub fn finish(&mut self, out: &mut String) {
        self.decode(&[], true, out);
    }

    fn decode(&mut self, bytes: &[u8], last: bool, out: &mut String) {
        match &mut self.state {
            State::Known(decoder) => {
                let mut rest = bytes;
                loop {
                    out.reserve(
                        decoder
                            .max_utf8_buffer_length(rest.len())
                            .unwrap_or(rest.len()),
                    );
                    let (result, read, _) = decoder.decode_to_string(rest, out, last);
                    rest = rest.get(read..).unwrap_or_default();
                    if result == CoderResult::InputEmpty {
                        return;
                    }
                }
            }
            State::Utf7(utf7) => utf7.decode(bytes, last, out),
            State::Guess(guess) => guess.decode(bytes, last, out),
        }
    }
}

/// UTF-8 where it is UTF-8; each other byte as windows-1252.
#[derive(Default)]
struct Guess {
    /// The beginning of a UTF-8 sequence that the last slice ended in: at most three bytes.
    held: Vec<u8>,
}

impl Guess {
    fn decode(&mut self, bytes: &[u8], last: bool, out: &mut String) {
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
            &joined
        };
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    return;
                }
                Err(error) => error,
            };
            let (valid, bad) = rest
                .split_at_checked(error.valid_up_to())
                .unwrap_or_default();
            out.push_str(std::str::from_utf8(valid).unwrap_or_default());
            if error.error_len().is_none() && !last {
                self.held.extend_from_slice(bad);
                return;
            }
            let bad_len = error.error_len().unwrap_or(bad.len());
            let (bad, after) = bad.split_at_checked(bad_len).unwrap_or_default();
            let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bad);
            out.push_str(&text);
            rest = after;
        }
    }
}

/// UTF-7 (RFC 2152).
#[derive(Default)]
struct Utf7 {
    /// In a `+…-` run: its bits so far and how many.
    shifted: Option<(u32, u32)>,
    /// Nothing came after the `+` yet.
    first: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    fn decode(&mut self, bytes: &[u8], last: bool, out: &mut String) {
        for &byte in bytes {
            self.byte(byte, out);
        }
        if last {
            self.end_run(out);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut String) {
        let Some((bits, count)) = self.shifted else {
            match byte {
                b'+' => (self.shifted, self.first) = (Some((0, 0)), true),
                0..0x80 => out.push(char::from(byte)),
                _ => out.push(char::REPLACEMENT_CHARACTER),
            }
            return;
        };
        let first = std::mem::replace(&mut self.first, false);
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => {
                self.end_run(out);
                match byte {
                    b'-' if first => out.push('+'),
                    b'-' => {}
                    _ => self.byte(byte, out),
                }
                return;
            }
        };
        let (bits, count) = ((bits << 6 | u32::from(value)) & 0x3f_ffff, count + 6);
        if count < 16 {
            self.shifted = Some((bits, count));
            return;
        }
        self.shifted = Some((bits, count - 16));
        self.unit((bits >> (count - 16)) as u16, out);
    }

    fn unit(&mut self, unit: u16, out: &mut String) {
        let units = [self.high.take().unwrap_or(unit), unit];
        let alone = units[0] == unit;
        if alone && (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        let units = if alone { units.get(1..) } else { units.get(..) };
        for decoded in char::decode_utf16(units.unwrap_or_default().iter().copied()) {
            out.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    fn end_run(&mut self, out: &mut String) {
        self.shifted = None;
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(name: &str, slices: &[&[u8]]) -> String {
        let mut decoder = CharsetDecoder::new((!name.is_empty()).then_some(name.as_bytes()));
        let mut out = String::new();
        for slice in slices {
            decoder.feed(slice, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn charsets_decode_under_their_names() {
        for (name, bytes, want) in [
            ("UTF-8", &b"\xc3\xa4"[..], "ä"),
            ("iso-8859-1", b"\xe4", "ä"),
            ("Latin-1", b"\xe4", "ä"),
            ("koi8-r", b"\xc1", "а"),
            ("iso-2022-jp", b"\x1b$B$\"\x1b(B", "あ"),
            ("cp932", b"\x82\xa0", "あ"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-7", b"A+ImIDkQ-. +- +AOQ", "A≢Α. + ä"),
            ("utf-7", b"+2D3cqQ-", "\u{1f4a9}"),
            ("us-ascii", b"\xc3\xa4\xe4", "ää"),
            ("x-unknown", b"a\xe4b", "aäb"),
            ("", b"\xc3", "Ã"),
            ("hz-gb-2312", b"ab", "ab"),
        ] {
            assert_eq!(decoded(name, &[bytes]), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_slicing_decodes_the_same(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'+'), Just(0xc3), Just(0xa4), Just(0xe2)], 0..20),
            cut in 0usize..20,
            name in prop_oneof![Just("utf-8"), Just("utf-7"), Just(""), Just("iso-2022-jp"), Just("gb18030")],
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(decoded(name, &[a, b]), decoded(name, &[&bytes]));
        }
    }
}
