//! Modified UTF-7 (RFC 3501 §5.1.3): how mailbox names travel in IMAP4rev1.
//!
//! Printable US-ASCII stands for itself, `&` is `&-`, everything else is UTF-16BE in base64 (with `,` for `/`, without padding)
//! between `&` and `-`. Each name has exactly one form; [`decode`] takes no other.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// A name in modified UTF-7. Always printable US-ASCII.
#[must_use]
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let size = if is_direct(first) {
            let size = rest.find(|c| !is_direct(c)).unwrap_or(rest.len());
            out.push_str(rest.get(..size).unwrap_or_default());
            size
        } else if first == '&' {
            out.push_str("&-");
            1
        } else {
            let size = rest
                .find(|c| is_direct(c) || c == '&')
                .unwrap_or(rest.len());
            out.push('&');
            encode_shifted(rest.get(..size).unwrap_or_default(), &mut out);
            out.push('-');
            size
        };
        rest = rest.get(size..).unwrap_or_default();
    }
    out
}

/// What a name in modified UTF-7 says; `None` when it is not the one legal form of a name.
#[must_use]
pub fn decode(written: &str) -> Option<String> {
    if !written.contains('&') {
        return written.chars().all(is_direct).then(|| written.to_owned());
    }
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((direct, shifted)) = rest.split_once('&') {
        out.push_str(direct);
        let (shifted, after) = shifted.split_once('-')?;
        if shifted.is_empty() {
            out.push('&');
        } else {
            decode_shifted(shifted, &mut out)?;
        }
        rest = after;
    }
    out.push_str(rest);
    // Superfluous shifts, padding bits that are not 0, and printable characters in base64 all fail here.
    (encode(&out) == written).then_some(out)
}

/// Whether some `&` in it begins what looks like a shift sequence, legal or not: `&`, base64, `-`.
#[must_use]
pub fn has_shift(written: &str) -> bool {
    written.split('&').skip(1).any(|after| {
        let base64 = after.bytes().take_while(|b| ALPHABET.contains(b)).count();
        after.as_bytes().get(base64) == Some(&b'-')
    })
}

const fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~') && c != '&'
}

fn encode_shifted(text: &str, out: &mut String) {
    let (mut bits, mut count) = (0_u32, 0_u32);
    for unit in text.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(sextet(bits >> count));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(sextet(bits << (6 - count)));
    }
}

fn sextet(bits: u32) -> char {
    ALPHABET
        .get(bits as usize & 63)
        .copied()
        .map_or('A', char::from)
}

fn decode_shifted(base64: &str, out: &mut String) -> Option<()> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut units = Vec::with_capacity(base64.len() * 6 / 16);
    for byte in base64.bytes() {
        let value = ALPHABET.iter().position(|&b| b == byte)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0x3f_ffff;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count & 0xffff).ok()?);
        }
    }
    for c in char::decode_utf16(units) {
        out.push(c.ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_names_have_known_forms() {
        for (name, written) in [
            ("", ""),
            ("INBOX/a b~", "INBOX/a b~"),
            ("&", "&-"),
            ("A&B", "A&-B"),
            ("&&", "&-&-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("ü&ü", "&APw-&-&APw-"),
            ("😀", "&2D3eAA-"),
            ("a\tb", "a&AAk-b"),
            ("\u{7f}", "&AH8-"),
            ("üä", "&APwA5A-"),
        ] {
            assert_eq!(encode(name), written);
            assert_eq!(decode(written).as_deref(), Some(name), "{written}");
        }
    }

    #[test]
    fn a_form_that_is_not_the_one_of_its_name_is_not_read() {
        for written in [
            "&",
            "a&b",
            "&AP",
            "&AP-",
            "&A-",
            "&APx-",      // padding bits that are not 0
            "&AGE-",      // a printable character in base64
            "&ACY-",      // `&` in base64
            "&APw-&AOQ-", // a superfluous shift
            "&2D0-",      // half a surrogate pair
            "&3gDYPQ-",   // a surrogate pair the wrong way round
            "&AP/-",      // `/` instead of `,`
            "&AAAAAAA=-",
            "ü",
            "a\tb",
            "&APw -",
        ] {
            assert_eq!(decode(written), None, "{written}");
        }
    }

    #[test]
    fn what_looks_like_a_shift_is_told_from_an_ampersand() {
        for (written, has) in [
            ("", false),
            ("a&b", false),
            ("a & b-", false),
            ("&", false),
            ("&-", true),
            ("a&b-", true),
            ("&b-&", true),
            ("R&D &AOQ-", true),
        ] {
            assert_eq!(has_shift(written), has, "{written}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_written_in_printable_ascii_and_read_again(name: String) {
            let written = encode(&name);
            prop_assert!(written.bytes().all(|b| matches!(b, b' '..=b'~')));
            prop_assert_eq!(decode(&written), Some(name));
        }

        #[test]
        fn what_can_be_read_is_written_as_it_was(written in "[ -~ü&,A-D-]{0,12}") {
            if let Some(name) = decode(&written) {
                prop_assert_eq!(encode(&name), written);
            }
        }
    }
}
