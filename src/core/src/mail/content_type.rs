//! Content-Type, Content-Disposition and the other fields of RFC 2045 §3 that BODYSTRUCTURE shows, with their parameters as written
//! (RFC 2231 forms are not put together: that is the client's, RFC 3501 §7.4.2).

use super::header::{Cursor, Field, fields, is_space, unfold};

/// One parameter, `attribute=value`, the value without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The attribute as written.
    pub name: Vec<u8>,
    /// The value, unquoted, otherwise as written.
    pub value: Vec<u8>,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment` or another word, as written.
    pub kind: Vec<u8>,
    /// Its parameters.
    pub params: Vec<Param>,
}

/// What the Content-* fields of a part say, with the defaults of RFC 2045 where they say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The media type as written: `text`, `multipart`, …
    pub media: Vec<u8>,
    /// The subtype as written.
    pub subtype: Vec<u8>,
    /// The parameters of the type, in order.
    pub params: Vec<Param>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding, one word as written; `7BIT` when the part has none.
    pub encoding: Vec<u8>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language, tag by tag.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
}

impl Default for Content {
    /// Plain text in US-ASCII (RFC 2045 §5.2).
    fn default() -> Self {
        Self {
            media: b"TEXT".to_vec(),
            subtype: b"PLAIN".to_vec(),
            params: vec![Param {
                name: b"CHARSET".to_vec(),
                value: b"US-ASCII".to_vec(),
            }],
            id: None,
            description: None,
            encoding: b"7BIT".to_vec(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        }
    }
}

impl Content {
    /// Reads the fields of one header. The first of each name counts. `digest` says that the part stands directly in a
    /// multipart/digest, where a part without Content-Type is message/rfc822 (RFC 2046 §5.1.5); one with a Content-Type that does not read is plain text anywhere (RFC 2045 §5.2).
    pub fn read(header: &[u8], digest: bool) -> Self {
        let mut content = Self::default();
        let mut seen = Seen::default();
        for field in fields(header) {
            content.field(&field, &mut seen);
        }
        if digest && !seen.media {
            content.set_type(b"MESSAGE", b"RFC822");
        }
        content
    }

    fn field(&mut self, field: &Field<'_>, seen: &mut Seen) {
        let Some(name) = strip_prefix_ignore_case(field.name, b"content-") else {
            return;
        };
        let value = || unfold(field.value);
        if name.eq_ignore_ascii_case(b"type") {
            if !std::mem::replace(&mut seen.media, true)
                && let Some((media, subtype, params)) = media_type(&value())
            {
                (self.media, self.subtype, self.params) = (media, subtype, params);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !std::mem::replace(&mut seen.encoding, true)
                && let Some(word) = encoding(&value())
            {
                self.encoding = word;
            }
        } else if name.eq_ignore_ascii_case(b"disposition") {
            if !std::mem::replace(&mut seen.disposition, true) {
                self.disposition = disposition(&value());
            }
        } else if name.eq_ignore_ascii_case(b"language") {
            if self.language.is_empty() {
                self.language = languages(&value());
            }
        } else if let Some(slot) = self.slot(name)
            && slot.is_none()
        {
            *slot = Some(value().into_owned());
        }
    }

    /// The fields that are shown as they stand.
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        if name.eq_ignore_ascii_case(b"id") {
            Some(&mut self.id)
        } else if name.eq_ignore_ascii_case(b"description") {
            Some(&mut self.description)
        } else if name.eq_ignore_ascii_case(b"md5") {
            Some(&mut self.md5)
        } else if name.eq_ignore_ascii_case(b"location") {
            Some(&mut self.location)
        } else {
            None
        }
    }

    /// Replaces the type and drops its parameters.
    pub(crate) fn set_type(&mut self, media: &[u8], subtype: &[u8]) {
        self.media = media.to_vec();
        self.subtype = subtype.to_vec();
        self.params = Vec::new();
    }

    /// Whether the media type is this one (ASCII case does not count).
    pub fn is_media(&self, media: &[u8]) -> bool {
        self.media.eq_ignore_ascii_case(media)
    }

    /// The value of a parameter (ASCII case of the name does not count); RFC 2231 continuations are not joined.
    pub fn param(&self, name: &[u8]) -> Option<&[u8]> {
        param(&self.params, name)
    }

    /// message/rfc822 or message/global (RFC 6532 §3.7), whose body is a message.
    pub(crate) fn is_message(&self) -> bool {
        self.is_media(b"message")
            && (self.subtype.eq_ignore_ascii_case(b"rfc822")
                || self.subtype.eq_ignore_ascii_case(b"global"))
    }

    /// Whether the body stands in the message under an encoding that hides its lines.
    pub(crate) fn is_encoded(&self) -> bool {
        [
            &b"base64"[..],
            b"quoted-printable",
            b"x-uuencode",
            b"uuencode",
            b"x-uue",
        ]
        .iter()
        .any(|word| self.encoding.eq_ignore_ascii_case(word))
    }

    /// The boundary of a multipart, `None` when it has none that can be used: the parameter is missing or empty. RFC 2231 pieces
    /// (`boundary*0=`) are joined: here it is we who must understand. Space at the end is no part of it (RFC 2046 §5.1.1).
    pub(crate) fn boundary(&self) -> Option<Vec<u8>> {
        let boundary = match self.param(b"boundary") {
            Some(value) => value.to_vec(),
            None => self.joined_boundary()?,
        };
        let boundary = boundary.trim_ascii_end();
        (!boundary.is_empty()).then(|| boundary.to_vec())
    }

    fn joined_boundary(&self) -> Option<Vec<u8>> {
        if let Some(value) = self.param(b"boundary*") {
            return Some(extended_value(value));
        }
        let mut joined = Vec::new();
        for number in 0..PIECES_MAX {
            if let Some(value) = self.param(format!("boundary*{number}").as_bytes()) {
                joined.extend_from_slice(value);
            } else if let Some(value) = self.param(format!("boundary*{number}*").as_bytes()) {
                let value = if number == 0 {
                    extended_value(value)
                } else {
                    percent(value)
                };
                joined.extend_from_slice(&value);
            } else {
                break;
            }
        }
        Some(joined)
    }
}

/// A boundary has at most 70 characters (RFC 2046 §5.1.1): no writer needs more pieces, and each costs a look through all parameters.
const PIECES_MAX: usize = 10;

/// Which fields were met, whether or not their value could be read.
#[derive(Default)]
struct Seen {
    media: bool,
    encoding: bool,
    disposition: bool,
}

fn param<'a>(params: &'a [Param], name: &[u8]) -> Option<&'a [u8]> {
    params
        .iter()
        .find(|p| p.name.eq_ignore_ascii_case(name))
        .map(|p| p.value.as_slice())
}

/// `charset'language'text` with %XX undone (RFC 2231 §4).
fn extended_value(value: &[u8]) -> Vec<u8> {
    percent(
        value
            .splitn(3, |&byte| byte == b'\'')
            .last()
            .unwrap_or_default(),
    )
}

fn percent(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = after.first_chunk::<2>().and_then(|&[high, low]| {
            Some(char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?)
        });
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => out.push(byte),
        }
    }
    out
}

fn strip_prefix_ignore_case<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `token` of RFC 2045 §5.1, with 8-bit bytes let through.
fn is_token(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// ```abnf
/// content := "Content-Type" ":" type "/" subtype *(";" parameter)
/// ```
fn media_type(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>, Vec<Param>)> {
    let mut cursor = Cursor::new(value);
    cursor.cfws();
    let media = cursor.run(is_token);
    cursor.cfws();
    if media.is_empty() || !cursor.eat(b'/') {
        return None;
    }
    cursor.cfws();
    let subtype = cursor.run(is_token);
    if subtype.is_empty() {
        return None;
    }
    Some((media.to_vec(), subtype.to_vec(), params(&mut cursor)))
}

fn disposition(value: &[u8]) -> Option<Disposition> {
    let mut cursor = Cursor::new(value);
    cursor.cfws();
    let kind = match cursor.peek() {
        Some(b'"') => cursor.quoted(),
        _ => cursor.run(is_token).to_vec(),
    };
    (!kind.is_empty()).then(|| Disposition {
        kind,
        params: params(&mut cursor),
    })
}

/// One word: what stands after it is left out (RFC 2045 §6.1 `mechanism := token`).
fn encoding(value: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    cursor.cfws();
    let word = match cursor.peek() {
        Some(b'"') => cursor.quoted(),
        _ => cursor
            .run(|byte| !is_space(byte) && byte != b';' && byte != b'(')
            .to_vec(),
    };
    let word = word.trim_ascii();
    (!word.is_empty()).then(|| word.to_vec())
}

/// Language tags separated by commas (RFC 3282 §2).
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut tags = Vec::new();
    loop {
        cursor.cfws();
        let tag = cursor.run(|byte| !is_space(byte) && byte != b',' && byte != b'(');
        if !tag.is_empty() {
            tags.push(tag.to_vec());
        } else if !cursor.eat(b',') {
            return tags;
        }
    }
}

/// `*(";" attribute "=" value)`, with what is met in the wild: no semicolon, space around `=`, values with specials or spaces that
/// should have been quoted (they reach to the next semicolon), text after a quoted value.
fn params(cursor: &mut Cursor<'_>) -> Vec<Param> {
    let mut params = Vec::new();
    loop {
        cursor.cfws();
        if cursor.eat(b';') {
            continue;
        }
        if cursor.peek().is_none() {
            return params;
        }
        let name = cursor.run(is_token).to_vec();
        cursor.cfws();
        if !cursor.eat(b'=') || name.is_empty() {
            // No parameter: on to the next.
            skip_to_semicolon(cursor, name.is_empty());
            continue;
        }
        cursor.cfws();
        let value = match cursor.peek() {
            Some(b'"') => {
                let value = cursor.quoted();
                cursor.cfws();
                value
            }
            _ => bare_value(cursor),
        };
        params.push(Param { name, value });
    }
}

/// After a word that is no parameter: a word may be followed by a parameter, anything else is skipped.
fn skip_to_semicolon(cursor: &mut Cursor<'_>, junk: bool) {
    if junk {
        cursor.run(|byte| byte != b';');
    }
}

/// An unquoted value: to the semicolon, without a comment that follows a space.
fn bare_value(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    loop {
        let run = cursor.run(|byte| byte != b';' && byte != b'(');
        value.extend_from_slice(run);
        if cursor.peek() != Some(b'(') {
            break;
        }
        if value.last().is_some_and(|&byte| !is_space(byte)) {
            cursor.bump();
            value.push(b'(');
        } else {
            cursor.cfws();
        }
    }
    value.truncate(value.trim_ascii_end().len());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(header: &str) -> String {
        let content = Content::read(header.as_bytes(), false);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut out = format!("{}/{}", text(&content.media), text(&content.subtype));
        for param in &content.params {
            out.push_str(&format!(" {}=[{}]", text(&param.name), text(&param.value)));
        }
        out
    }

    #[test]
    fn types_and_parameters_read_as_written() {
        for (value, want) in [
            (
                "text/plain; charset=us-ascii (Plain text)",
                "text/plain charset=[us-ascii]",
            ),
            (
                "text/plain; charset=\"us-ascii\"",
                "text/plain charset=[us-ascii]",
            ),
            ("Text / (x) HTML ;", "Text/HTML"),
            (
                "multipart/mixed; boundary=\"a \\\"b\\\\\"; x=y",
                "multipart/mixed boundary=[a \"b\\] x=[y]",
            ),
            (
                "multipart/mixed; boundary=----=_Part/1?",
                "multipart/mixed boundary=[----=_Part/1?]",
            ),
            ("multipart/mixed boundary=x", "multipart/mixed boundary=[x]"),
            ("a/b; name=one two(3).pdf ; q", "a/b name=[one two(3).pdf]"),
            ("a/b; x=\"y\" junk; z=1", "a/b x=[y] z=[1]"),
            ("a/b; =x; ;; y = z", "a/b y=[z]"),
            (
                "a/b; t*0*=us-ascii'en'x%20; t*1=y",
                "a/b t*0*=[us-ascii'en'x%20] t*1=[y]",
            ),
            ("text", "TEXT/PLAIN CHARSET=[US-ASCII]"),
            ("", "TEXT/PLAIN CHARSET=[US-ASCII]"),
            ("/x; a=b", "TEXT/PLAIN CHARSET=[US-ASCII]"),
        ] {
            assert_eq!(
                shown(&format!("Content-Type: {value}\r\n\r\n")),
                want,
                "{value}"
            );
        }
    }

    #[test]
    fn the_first_field_of_a_name_counts() {
        assert_eq!(shown("Content-type: a/b\r\nCONTENT-TYPE: c/d\r\n"), "a/b");
        let content = Content::read(b"Content-Transfer-Encoding: \"Base64\" x\r\n", false);
        assert_eq!(content.encoding, b"Base64");
        assert!(content.is_encoded());
    }

    #[test]
    fn the_default_type_of_a_digest_is_a_message_only_where_none_is_given() {
        assert!(Content::read(b"", true).is_message());
        assert!(!Content::read(b"Content-Type: rubbish\n", true).is_message());
    }

    #[test]
    fn a_boundary_in_rfc_2231_pieces_is_joined() {
        let boundary = |value: &str| {
            Content::read(
                format!("Content-Type: multipart/x; {value}\n").as_bytes(),
                false,
            )
            .boundary()
        };
        assert_eq!(boundary("boundary*0=ab; boundary*1=cd").unwrap(), b"abcd");
        assert_eq!(boundary("boundary*=us-ascii''a%2Bb").unwrap(), b"a+b");
        assert_eq!(boundary("boundary=\"x  \"").unwrap(), b"x");
        assert_eq!(boundary("boundary=\"\""), None);
        assert_eq!(boundary("x=y"), None);
    }

    #[test]
    fn languages_and_disposition_read() {
        let content = Content::read(
            b"Content-Language: en, (x) de-AT,,fr\nContent-Disposition: attachment; filename=a b.txt\n",
            false,
        );
        assert_eq!(content.language, [&b"en"[..], b"de-AT", b"fr"]);
        let disposition = content.disposition.unwrap();
        assert_eq!(disposition.kind, b"attachment");
        assert_eq!(disposition.params[0].value, b"a b.txt");
    }

    proptest! {
        #[test]
        fn any_value_reads_without_end_or_panic(value in "[ -~\r\n\t]{0,80}", bytes: Vec<u8>) {
            Content::read(format!("Content-Type: a/b;{value}").as_bytes(), false);
            params(&mut Cursor::new(&bytes));
            languages(&bytes);
            disposition(&bytes);
        }
    }
}
