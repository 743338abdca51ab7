//! Header fields (RFC 5322 §2.2) as they stand in the message, and the tokens of structured ones.
//!
//! A line ends with LF; a CR before it belongs to the line end. A field is a line `name *WSP ":" value` and the lines after it that
//! begin with a space or a tab. Anything else in a header (an mbox "From " line, text without a colon) is no field: it is passed
//! over by name, and kept by [`select_fields`] with `not`.

use std::borrow::Cow;

use super::Span;

/// One header field, in the bytes of the header it was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon and without space before it.
    pub name: &'a [u8],
    /// All after the colon, still folded, without the last line end.
    pub value: &'a [u8],
    /// The whole field with its line ends.
    pub raw: &'a [u8],
    /// Where the whole field stands within the header.
    pub span: Span,
}

impl Field<'_> {
    /// Whether the field has this name (ASCII case does not count).
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of a header, in order. `header` may end with its blank line or without it; nothing after a blank line is read.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields {
        lines: Lines {
            rest: header,
            at: 0,
        },
    }
}

/// The value of the first field of that name, still folded.
pub fn first_value<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header)
        .find(|field| field.is(name))
        .map(|field| field.value)
}

/// Iterator of [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    lines: Lines<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let Unfolded { raw, start } = self.lines.next()?;
            if is_blank(raw) {
                self.lines.rest = &[];
                return None;
            }
            let Some((name, after)) = field_name(raw) else {
                continue;
            };
            let value = without_line_end(raw.get(after..).unwrap_or_default());
            let span = Span::new(start as u64, (start + raw.len()) as u64);
            return Some(Field {
                name,
                value,
                raw,
                span,
            });
        }
    }
}

/// A line with the folded lines that follow it.
struct Unfolded<'a> {
    raw: &'a [u8],
    start: usize,
}

/// Logical lines: each with its continuation lines.
#[derive(Debug, Clone)]
struct Lines<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<Unfolded<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut end = line_end(self.rest, 0);
        if !is_blank(self.rest.get(..end).unwrap_or_default()) {
            while let Some(b' ' | b'\t') = self.rest.get(end) {
                end = line_end(self.rest, end);
            }
        }
        let (raw, rest) = self.rest.split_at_checked(end)?;
        let start = self.at;
        self.rest = rest;
        self.at += end;
        Some(Unfolded { raw, start })
    }
}

/// Offset after the LF of the line that holds `from`, or the end.
fn line_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(bytes.len(), |at| from + at + 1)
}

/// Whether a line, with its line end, is the blank line that ends a header.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// A line without its line end.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The field name of a line and the offset after its colon; `None` when the line starts no field.
///
/// A name is one or more visible characters, 8-bit ones too (a byte-order mark before the first field); space may stand before the
/// colon (RFC 5322 §4.5.8), not inside the name.
pub(crate) fn field_name(line: &[u8]) -> Option<(&[u8], usize)> {
    let len = line
        .iter()
        .position(|&byte| byte <= b' ' || byte == b':' || byte == 0x7f)?;
    let (name, rest) = line.split_at_checked(len)?;
    let colon = rest
        .iter()
        .position(|&byte| byte != b' ' && byte != b'\t')?;
    (len > 0 && rest.get(colon) == Some(&b':')).then_some((name, len + colon + 1))
}

/// Appends the result of HEADER.FIELDS (or, with `not`, HEADER.FIELDS.NOT): the fields of those names, in the order and the very bytes
/// of the header, then the blank line if the header has one (RFC 3501 §6.4.5: included "except in the case of a message which has no
/// body and no blank line").
///
/// Lines that are no fields belong to the NOT form, so that both forms together always give the whole header.
pub fn select_fields(header: &[u8], names: &[Vec<u8>], not: bool, out: &mut Vec<u8>) {
    let mut rest = header;
    let mut taking = not;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let Some((line, after)) = rest.split_at_checked(end) else {
            return;
        };
        rest = after;
        if is_blank(line) {
            out.extend_from_slice(line);
            return;
        }
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            taking = names.iter().any(|name| line_is_field(line, name)) != not;
        }
        if taking {
            out.extend_from_slice(line);
        }
    }
}

fn line_is_field(line: &[u8], name: &[u8]) -> bool {
    let Some((start, rest)) = line.split_at_checked(name.len()) else {
        return false;
    };
    if !start.eq_ignore_ascii_case(name) || name.is_empty() {
        return false;
    }
    match rest.first() {
        Some(b':') => true,
        Some(b' ' | b'\t') => field_name(line).is_some_and(|(found, _)| found.len() == name.len()),
        _ => false,
    }
}

/// A field value with its folding undone (RFC 5322 §2.2.3: the line ends go, the space after them stays), without space around it
/// and without NUL.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr::memchr2(b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|&byte| byte == b'\n') {
        let line = if line.ends_with(b"\n") {
            without_line_end(line)
        } else {
            line
        };
        out.extend(line.iter().filter(|&&byte| byte != 0));
    }
    // A last line of nothing but space leaves the space of the line before it at the end.
    let end = out.trim_ascii_end().len();
    out.truncate(end);
    Cow::Owned(out)
}

/// Reads the tokens of a structured, unfolded field value.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Takes the byte if it comes next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.bump();
        }
        next
    }

    /// Takes the longest run of bytes that are `wanted`.
    pub(crate) fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self
            .rest
            .iter()
            .position(|&b| !wanted(b))
            .unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(len).unwrap_or_default();
        self.rest = rest;
        run
    }

    /// Skips white space and comments; the text of the last comment is the result.
    pub(crate) fn cfws(&mut self) -> Option<Vec<u8>> {
        let mut last = None;
        loop {
            self.run(is_space);
            if self.peek() != Some(b'(') {
                return last;
            }
            last = Some(self.comment());
        }
    }

    /// A comment, without its outer parentheses and with its quoted pairs undone; nested to any depth, one left open ends with the value.
    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0u32;
        while let Some(byte) = self.peek() {
            self.bump();
            match byte {
                b'(' => {
                    depth = depth.saturating_add(1);
                    if depth == 1 {
                        continue;
                    }
                }
                b')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    if let Some(next) = self.peek() {
                        self.bump();
                        text.push(next);
                    }
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        text
    }

    /// A quoted string, whose `"` comes next, without quotes and with its quoted pairs undone; one left open ends with the value.
    pub(crate) fn quoted(&mut self) -> Vec<u8> {
        self.bump();
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.bump();
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some(next) = self.peek() {
                        self.bump();
                        text.push(next);
                    }
                }
                _ => text.push(byte),
            }
        }
        text
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &[u8] =
        b"From nobody Mon Sep 17 00:00:00 2001\r\nFrom: a@b\r\nSubject : one\r\n\ttwo\r\n\
        no field here\r\nTO: x\n y\nto: z\r\n\r\n";

    fn names(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    fn selected(header: &[u8], list: &[&str], not: bool) -> String {
        let mut out = Vec::new();
        select_fields(header, &names(list), not, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_found_with_folding_space_before_colon_and_junk_between() {
        let found: Vec<_> = fields(HEADER).map(|f| (f.name, f.value)).collect();
        assert_eq!(
            found,
            [
                (&b"From"[..], &b" a@b"[..]),
                (b"Subject", b" one\r\n\ttwo"),
                (b"TO", b" x\n y"),
                (b"to", b" z"),
            ]
        );
        for field in fields(HEADER) {
            assert_eq!(field.span.of(HEADER), field.raw);
        }
    }

    #[test]
    fn selected_fields_keep_their_bytes_and_the_blank_line() {
        assert_eq!(
            selected(HEADER, &["to", "SUBJECT"], false),
            "Subject : one\r\n\ttwo\r\nTO: x\n y\nto: z\r\n\r\n"
        );
        assert_eq!(
            selected(HEADER, &["to", "SUBJECT"], true),
            "From nobody Mon Sep 17 00:00:00 2001\r\nFrom: a@b\r\nno field here\r\n\r\n"
        );
        assert_eq!(selected(HEADER, &["Sub", "Subject:"], false), "\r\n");
        assert_eq!(selected(b"To: a", &["To"], false), "To: a");
        assert_eq!(selected(b"To: a\n\nTo: b\n", &["To"], false), "To: a\n\n");
    }

    #[test]
    fn unfolding_removes_line_ends_only() {
        assert_eq!(
            &*unfold(b" one\r\n\ttwo\n  three \r\n "),
            b"one\ttwo  three"
        );
        assert_eq!(&*unfold(b" a\0b\r "), b"ab");
        assert_eq!(&*unfold(b" a\rb"), b"a\rb");
    }

    #[test]
    fn comments_nest_and_may_stay_open() {
        let mut cursor = Cursor::new(b" (one (two\\)) ) x (open");
        assert_eq!(cursor.cfws().unwrap(), b"one (two)) ");
        assert!(cursor.eat(b'x'));
        assert_eq!(cursor.cfws().unwrap(), b"open");
        assert_eq!(cursor.peek(), None);
    }

    proptest! {
        #[test]
        fn both_selections_share_out_every_line_once(
            lines in proptest::collection::vec("[ \t]?(To|From|Cc|X)?[ ]?:?[a-z]{0,3}(\r\n|\n)", 0..12),
            list in proptest::collection::vec("(to|from|x)", 0..3),
        ) {
            let header = lines.concat().into_bytes();
            let end = fields_end(&header);
            let list: Vec<_> = list.iter().map(String::as_str).collect();
            let with = selected(&header, &list, false);
            let without = selected(&header, &list, true);
            let blank = header[end..].split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
            prop_assert_eq!(with.len() + without.len(), end + 2 * blank.len());
        }

        #[test]
        fn reading_any_bytes_ends(bytes: Vec<u8>) {
            let total: usize = fields(&bytes).map(|f| f.raw.len()).sum();
            prop_assert!(total <= bytes.len());
            unfold(&bytes);
        }
    }

    fn fields_end(header: &[u8]) -> usize {
        let mut at = 0;
        for line in header.split_inclusive(|&b| b == b'\n') {
            if is_blank(line) {
                break;
            }
            at += line.len();
        }
        at
    }
}
