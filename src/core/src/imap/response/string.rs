//! Numbers, strings and base64 as the server writes them.

/// Longest string that is written as a quoted one, in octets: longer ones are cheaper to read as a literal.
const QUOTED_BYTES_MAX: usize = 1024;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A number in decimal digits.
pub fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut start = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        start = index;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// A string: quoted when it is short and printable ASCII, otherwise a literal.
///
/// ```abnf
/// string          = quoted / literal                                      ; RFC 3501
/// ```
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    let printable = octets.iter().all(|&b| matches!(b, b' '..=b'~' | b'\t'));
    if printable && octets.len() <= QUOTED_BYTES_MAX {
        quoted(out, octets);
    } else {
        literal(out, octets);
    }
}

/// A string, or NIL.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// As an atom when it can be one, otherwise as a string. `NIL` is quoted, lest it be taken for nothing.
///
/// ```abnf
/// astring         = 1*ASTRING-CHAR / string                               ; RFC 3501
/// ```
pub fn astring(out: &mut Vec<u8>, octets: &[u8]) {
    // `]` may stand in an astring, but clients that look for the end of a section's name stumble over it.
    let atom = !octets.is_empty()
        && octets
            .iter()
            .all(|&b| crate::imap::grammar::is_tag_char(b) && b != b']')
        && !octets.eq_ignore_ascii_case(b"NIL");
    if atom {
        out.extend_from_slice(octets);
    } else {
        string(out, octets);
    }
}

/// Text as a quoted string, or as a literal where it can't be one. For clients that take UTF-8 in quoted strings (RFC 9051).
pub fn utf8_string(out: &mut Vec<u8>, text: &str) {
    if text.contains(['\r', '\n', '\0']) || text.len() > QUOTED_BYTES_MAX {
        literal(out, text.as_bytes());
    } else {
        quoted(out, text.as_bytes());
    }
}

fn quoted(out: &mut Vec<u8>, octets: &[u8]) {
    out.reserve(octets.len() + 2);
    out.push(b'"');
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// A literal of these octets. NUL can't be in one and is written as `?`.
fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    literal_begin(out, octets.len() as u64);
    out.extend(octets.iter().map(|&b| if b == 0 { b'?' } else { b }));
}

/// The announcement of a literal; exactly so many octets must follow, none of them NUL.
///
/// ```abnf
/// literal         = "{" number "}" CRLF *CHAR8                            ; RFC 3501
/// ```
pub fn literal_begin(out: &mut Vec<u8>, size: u64) {
    out.push(b'{');
    number(out, size);
    out.extend_from_slice(b"}\r\n");
}

/// Octets as base64, with padding.
pub fn base64(out: &mut Vec<u8>, octets: &[u8]) {
    for chunk in octets.chunks(3) {
        let octet = |index| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for index in 0..4 {
            let sextet = (bits >> (18 - 6 * index) & 63) as usize;
            let char = BASE64.get(sextet).copied().unwrap_or(b'=');
            out.push(if index <= chunk.len() { char } else { b'=' });
        }
    }
}
