//! What the server writes (RFC 3501 §7, RFC 9051 §7), into a buffer. Where the revisions differ, [`super::revision`] says how.
//!
//! Nothing here fails: what can't be written as it is, is written in the nearest form that is legal. No CR, LF or NUL
//! of stored data ever reaches a line: it goes into a literal, or is replaced.

mod code;
mod fetch;
mod mailbox;
mod string;

pub use code::{Code, range};
pub use fetch::*;
pub use mailbox::*;
pub use string::*;

/// Longest text of a status line, in octets. RFC 2683 §3.2.1.5 asks for lines below 8,000; people read it.
pub const TEXT_BYTES_MAX: usize = 400;

/// How a command ended, or the state of the connection (RFC 3501 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// OK
    Ok,
    /// NO
    No,
    /// BAD
    Bad,
    /// PREAUTH, untagged only.
    Preauth,
    /// BYE, untagged only.
    Bye,
}

impl Condition {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Preauth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }
}

/// A status response: `tag OK [CODE] text`, or `* …` without a tag. The text is for people: what is not printable ASCII becomes
/// `?`, and it is cut at [`TEXT_BYTES_MAX`].
///
/// ```abnf
/// response-tagged = tag SP resp-cond-state CRLF                           ; RFC 3501
/// resp-text       = ["[" resp-text-code "]" SP] text
/// ```
pub fn status(
    out: &mut Vec<u8>,
    tag: Option<&[u8]>,
    condition: Condition,
    code: Option<&Code<'_>>,
    text: &str,
) {
    out.extend_from_slice(tag.unwrap_or(b"*"));
    out.push(b' ');
    out.extend_from_slice(condition.name().as_bytes());
    out.push(b' ');
    resp_text(out, code, text);
}

/// A command continuation request: `+ text`.
///
/// ```abnf
/// continue-req    = "+" SP (resp-text / base64) CRLF                      ; RFC 3501
/// ```
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    resp_text(out, None, text);
}

/// A server challenge of AUTHENTICATE: `+ base64`; an empty one is `+ ` (RFC 3501 §6.2.2).
pub fn challenge(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(b"+ ");
    base64(out, octets);
    out.extend_from_slice(b"\r\n");
}

fn resp_text(out: &mut Vec<u8>, code: Option<&Code<'_>>, text: &str) {
    if let Some(code) = code {
        out.push(b'[');
        code.write(out);
        out.extend_from_slice(b"] ");
    }
    let printable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let start = out.len();
    out.extend(
        text.chars()
            .take(TEXT_BYTES_MAX)
            .map(printable)
            .filter_map(|c| u8::try_from(c).ok()),
    );
    // `text` is at least one character, and not what would read as a code.
    match out.get(start) {
        None => out.push(b'-'),
        Some(b'[') if code.is_none() => out.insert(start, b'-'),
        Some(_) => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// `* CAPABILITY …`
///
/// ```abnf
/// capability-data = "CAPABILITY" *(SP capability) SP "IMAP4rev1" *(SP capability)     ; RFC 3501
/// ```
pub fn capability<'a>(out: &mut Vec<u8>, capabilities: impl IntoIterator<Item = &'a str>) {
    out.extend_from_slice(b"* CAPABILITY");
    for capability in capabilities {
        out.push(b' ');
        out.extend_from_slice(capability.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// `* 23 EXISTS`
pub fn exists(out: &mut Vec<u8>, messages: u32) {
    numbered(out, messages, b" EXISTS\r\n");
}

/// `* 3 RECENT`
pub fn recent(out: &mut Vec<u8>, messages: u32) {
    numbered(out, messages, b" RECENT\r\n");
}

/// `* 44 EXPUNGE`
pub fn expunge(out: &mut Vec<u8>, seq: u32) {
    numbered(out, seq, b" EXPUNGE\r\n");
}

fn numbered(out: &mut Vec<u8>, value: u32, rest: &[u8]) {
    out.extend_from_slice(b"* ");
    number(out, value.into());
    out.extend_from_slice(rest);
}

/// The beginning of `* ESEARCH (TAG "a") UID …`; what was asked for follows, and the line's end.
///
/// ```abnf
/// esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)     ; RFC 4466
/// search-correlator = SP "(" "TAG" SP tag-string ")"
/// ```
pub fn esearch(out: &mut Vec<u8>, tag: &[u8], by_uid: bool) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    string(out, tag);
    out.push(b')');
    if by_uid {
        out.extend_from_slice(b" UID");
    }
}

/// `* ID ("name" "DBMail")`, or `* ID NIL`.
///
/// ```abnf
/// id-response     = "ID" SP id-params-list                                ; RFC 2971
/// ```
pub fn id(out: &mut Vec<u8>, fields: &[(&str, Option<&str>)]) {
    out.extend_from_slice(b"* ID ");
    if fields.is_empty() {
        out.extend_from_slice(b"NIL\r\n");
        return;
    }
    for (index, (name, value)) in fields.iter().enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        string(out, name.as_bytes());
        out.push(b' ');
        nstring(out, value.map(str::as_bytes));
    }
    out.extend_from_slice(b")\r\n");
}

#[cfg(test)]
mod tests;
