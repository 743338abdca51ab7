//! Header text in Unicode: encoded-words (RFC 2047) and raw 8-bit bytes.

use super::charset::CharsetDecoder;
use super::header::unfold;
use super::transfer::TransferDecoder;

/// The text of a field's raw value: unfolded, encoded-words decoded, the space between two of them dropped; the rest is read as UTF-8
/// where it is UTF-8, else as windows-1252. An encoded-word that does not read stands as it is written. Words may be longer than RFC 2047 §2 allows, hold spaces when they
/// are `Q`, and be cut within a character if the next word goes on in the same charset.
pub fn decode_field(raw: &[u8]) -> String {
    let value = unfold(raw);
    let mut text = Text::default();
    let mut rest: &[u8] = &value;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at_checked(at).unwrap_or_default();
        match encoded_word(from) {
            Some((word, after)) => {
                if !(text.after_word && before.iter().all(u8::is_ascii_whitespace)) {
                    text.plain(before);
                }
                text.word(&word);
                rest = after;
            }
            None => {
                let (plain, after) = rest.split_at_checked(at + 2).unwrap_or_default();
                text.plain(plain);
                rest = after;
            }
        }
    }
    text.plain(rest);
    text.finish()
}

struct Word<'a> {
    charset: &'a [u8],
    base64: bool,
    text: &'a [u8],
}

/// ```abnf
/// encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
/// ```
fn encoded_word(from: &[u8]) -> Option<(Word<'_>, &[u8])> {
    let rest = from.strip_prefix(b"=?")?;
    // No part holds a `?`, so each look ends at the next one: the whole stays linear.
    let (charset, rest) = rest.split_at_checked(memchr::memchr(b'?', rest)?)?;
    if charset.is_empty() || charset.iter().any(|&byte| byte <= b' ' || byte == b'=') {
        return None;
    }
    let charset = charset.split(|&byte| byte == b'*').next()?;
    let (base64, rest) = match rest {
        [b'?', b'B' | b'b', b'?', rest @ ..] => (true, rest),
        [b'?', b'Q' | b'q', b'?', rest @ ..] => (false, rest),
        _ => return None,
    };
    let (text, rest) = rest.split_at_checked(memchr::memchr(b'?', rest)?)?;
    Some((
        Word {
            charset,
            base64,
            text,
        },
        rest.strip_prefix(b"?=")?,
    ))
}

#[derive(Default)]
struct Text {
    out: String,
    /// Charset (in lower case) and decoder of the run of encoded-words that the text ends with.
    run: Option<(Vec<u8>, CharsetDecoder)>,
    after_word: bool,
}

impl Text {
    fn plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.end_run();
        self.after_word = false;
        let mut decoder = CharsetDecoder::new(None);
        decoder.feed(bytes, &mut self.out);
        decoder.finish(&mut self.out);
    }

    fn word(&mut self, word: &Word<'_>) {
        self.after_word = true;
        let charset = word.charset.to_ascii_lowercase();
        if self.run.as_ref().is_none_or(|(name, _)| *name != charset) {
            self.end_run();
            let decoder = CharsetDecoder::new(Some(&charset));
            self.run = Some((charset, decoder));
        }
        let mut bytes = Vec::with_capacity(word.text.len());
        if word.base64 {
            TransferDecoder::new(b"base64").feed(word.text, &mut bytes);
        } else {
            let spaced: Vec<u8> = word
                .text
                .iter()
                .map(|&byte| if byte == b'_' { b' ' } else { byte })
                .collect();
            let mut decoder = TransferDecoder::new(b"quoted-printable");
            decoder.feed(&spaced, &mut bytes);
            decoder.finish(&mut bytes);
        }
        if let Some((_, decoder)) = &mut self.run {
            decoder.feed(&bytes, &mut self.out);
        }
    }

    fn end_run(&mut self) {
        if let Some((_, mut decoder)) = self.run.take() {
            decoder.finish(&mut self.out);
        }
    }

    fn finish(mut self) -> String {
        self.end_run();
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encoded_words_and_raw_text_decode() {
        for (raw, want) in [
            (&b" plain text\r\n\tfolded "[..], "plain text\tfolded"),
            (b"=?ISO-8859-1?Q?a?=", "a"),
            (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            (b"=?ISO-8859-1?Q?a?= \r\n  =?ISO-8859-1?Q?b?=", "ab"),
            (b"=?ISO-8859-1?Q?a_b?=", "a b"),
            (b"=?utf-8*en?B?w6Q=?=", "ä"),
            (b"=?utf-8?B?w6Q?=", "ä"),
            (b"=?utf-8?Q?=C3?= =?UTF-8?B?pA==?= x", "ä x"),
            (b"=?utf-8?Q?=C3?= y", "\u{fffd} y"),
            (
                b"=?utf-8?X?a?= =?utf-8?Q?open",
                "=?utf-8?X?a?= =?utf-8?Q?open",
            ),
            (b"=?utf-8?q?two words?=!", "two words!"),
            (b"raw \xc3\xa4 and \xe4", "raw ä and ä"),
            (b"=?=?=?", "=?=?=?"),
            (b"=?iso-2022-jp?B?GyRCJCIbKEI=?=", "あ"),
        ] {
            assert_eq!(decode_field(raw), want);
        }
    }

    #[test]
    fn a_megabyte_of_beginnings_takes_no_time() {
        for start in [&b"=?"[..], b"=?a?q?", b"=?a", b"=?a?q?x?="] {
            assert!(!decode_field(&start.repeat(200_000)).is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode(bytes: Vec<u8>, text in "(=\\?|utf-8|\\?|[qB]|=|[ a-z]){0,20}") {
            decode_field(&bytes);
            decode_field(text.as_bytes());
        }
    }
}
