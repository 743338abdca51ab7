//! Text for SEARCH: decoded, folded, compared slice by slice (RFC 3501 §6.4.4 "TEXT", "BODY", …).
//!
//! Folding is that of i;unicode-casemap (RFC 5051) in simple form: title case (here: simple upper case, then simple lower case, which equates the
//! same characters), then compatibility decomposition, character by character; combining marks are not put in order. It contains
//! i;ascii-casemap.

use memchr::memmem::Finder;
use unicode_normalization::char::decompose_compatible;

use super::charset::CharsetDecoder;
use super::content_type::Content;
use super::encoded_word::decode_field;
use super::header::fields;
use super::scanner::scan;
use super::structure::{Kind, Node};
use super::transfer::TransferDecoder;

/// Octets of a leaf decoded at a time, so that a matcher's memory does not grow with the slices it is fed.
const STEP_BYTES: usize = 32 * 1024;

/// Text as it is compared.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

fn fold_into(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            decompose_compatible(simple_case(c), |c| out.push(simple_case(c)));
        }
    }
}

/// Simple upper case and then simple lower case: characters whose case forms are more than one character stay.
fn simple_case(c: char) -> char {
    let one = |mut chars: Box<dyn Iterator<Item = char>>, c| match (chars.next(), chars.next()) {
        (Some(only), None) => only,
        _ => c,
    };
    let upper = one(Box::new(c.to_uppercase()), c);
    one(Box::new(upper.to_lowercase()), upper)
}

/// A text to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    len: usize,
}

impl Needle {
    /// Of the text as the client gave it, in Unicode.
    pub fn new(text: &str) -> Self {
        let folded = fold(text);
        Self {
            len: folded.len(),
            finder: Finder::new(folded.as_bytes()).into_owned(),
        }
    }

    /// Whether it is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a text holds it. The empty needle is in every text.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_in_folded(fold(text).as_bytes())
    }

    fn is_in_folded(&self, folded: &[u8]) -> bool {
        self.finder.find(folded).is_some()
    }
}

/// Decodes a leaf body to text: transfer encoding, then charset.
#[derive(Debug)]
pub struct LeafDecoder {
    transfer: TransferDecoder,
    charset: CharsetDecoder,
    bytes: Vec<u8>,
}

impl LeafDecoder {
    /// For the values of Content-Transfer-Encoding and of the charset parameter.
    pub fn new(encoding: &[u8], charset: Option<&[u8]>) -> Self {
        Self {
            transfer: TransferDecoder::new(encoding),
            charset: CharsetDecoder::new(charset),
            bytes: Vec::new(),
        }
    }

    /// For a part of the structure.
    pub fn of(content: &Content) -> Self {
        Self::new(&content.encoding, content.param(b"charset"))
    }

    /// Takes the next raw bytes and appends their text.
    pub fn feed(&mut self, raw: &[u8], out: &mut String) {
        for step in raw.chunks(STEP_BYTES) {
            self.bytes.clear();
            self.transfer.feed(step, &mut self.bytes);
            self.charset.feed(&self.bytes, out);
        }
    }

    /// The end of the body.
    pub fn finish(&mut self, out: &mut String) {
        self.bytes.clear();
        self.transfer.finish(&mut self.bytes);
        self.charset.feed(&self.bytes, out);
        self.charset.finish(out);
    }
}

/// Looks for several texts in one that comes in slices; what it holds is bounded by the longest needle and one step.
///
/// The needles are lent or shared: a search that waits for its next slice keeps the matcher in between.
#[derive(Debug)]
pub struct TextMatcher<N> {
    needles: N,
    found: Vec<bool>,
    /// Folded text: the end of what was searched, one byte less than the longest needle.
    window: String,
    text: String,
    overlap: usize,
}

impl<N: AsRef<[Needle]>> TextMatcher<N> {
    /// At the beginning of a text.
    pub fn new(needles: N) -> Self {
        let overlap = needles
            .as_ref()
            .iter()
            .map(|needle| needle.len)
            .max()
            .unwrap_or(0)
            .saturating_sub(1);
        Self {
            found: needles
                .as_ref()
                .iter()
                .map(|needle| needle.len == 0)
                .collect(),
            needles,
            window: String::new(),
            text: String::new(),
            overlap,
        }
    }

    /// Takes raw bytes of a leaf through its decoder.
    pub fn feed(&mut self, raw: &[u8], decoder: &mut LeafDecoder) {
        for step in raw.chunks(STEP_BYTES) {
            if self.is_complete() {
                return;
            }
            let mut text = std::mem::take(&mut self.text);
            decoder.feed(step, &mut text);
            self.feed_text(&text);
            text.clear();
            self.text = text;
        }
    }

    /// The end of a leaf: a text does not go on in the next one.
    pub fn end_leaf(&mut self, decoder: &mut LeafDecoder) {
        let mut text = std::mem::take(&mut self.text);
        decoder.finish(&mut text);
        self.feed_text(&text);
        text.clear();
        self.text = text;
        self.end_text();
    }

    /// The end of a text that was given with [`Self::feed_text`].
    pub fn end_text(&mut self) {
        self.window.clear();
    }

    /// Takes text.
    pub fn feed_text(&mut self, text: &str) {
        fold_into(text, &mut self.window);
        for (needle, found) in self.needles.as_ref().iter().zip(&mut self.found) {
            *found = *found || needle.is_in_folded(self.window.as_bytes());
        }
        let mut keep_from = self.window.len().saturating_sub(self.overlap);
        while !self.window.is_char_boundary(keep_from) {
            keep_from -= 1;
        }
        self.window.drain(..keep_from);
    }

    /// For each needle, whether it was found.
    pub fn found(&self) -> &[bool] {
        &self.found
    }

    /// Whether every needle was found: nothing more need be fed.
    pub fn is_complete(&self) -> bool {
        self.found.iter().all(|&found| found)
    }
}

/// Whether a message holds every one of the texts, each anywhere in its header (trace fields before it included), the headers of its
/// parts, or the parts that people write (text/*, message/*): what IMAP's TEXT looks at. `content` may be the beginning of a longer
/// one; what follows is not looked at.
pub fn holds_all(prefix: &[u8], content: &[u8], needles: &[Needle]) -> bool {
    let mut matcher = TextMatcher::new(needles);
    let look = |matcher: &mut TextMatcher<&[Needle]>, header: &[u8]| {
        for field in fields(header) {
            let name = String::from_utf8_lossy(field.name);
            matcher.feed_text(&format!("{name}: {}", decode_field(field.value)));
            matcher.end_text();
        }
    };
    look(&mut matcher, prefix);
    let scanned = scan(content);
    for node in scanned.structure.nodes() {
        if matcher.is_complete() {
            break;
        }
        look(&mut matcher, node.header.of(content));
        if is_text(node) {
            let mut decoder = LeafDecoder::of(&node.content);
            matcher.feed(node.body.of(content), &mut decoder);
            matcher.end_leaf(&mut decoder);
        }
    }
    matcher.is_complete()
}

/// Parts that people write, and message/* that was not taken apart (delivery reports).
fn is_text(node: &Node) -> bool {
    node.kind == Kind::Leaf && (node.content.is_media(b"text") || node.content.is_media(b"message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folding_equates_cases_and_compatible_forms() {
        for (a, b) in [
            ("Straße", "STRAßE"),
            ("ÄÖ", "äö"),
            ("a\u{308}", "Ä"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ﬁ", "FI"),
            ("Ａ", "a"),
            ("ДЖ", "дж"),
        ] {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("a"), fold("ä"));
    }

    #[test]
    fn a_needle_is_found_across_slices_through_encodings() {
        let needles = [
            Needle::new("GRÜSSE aus"),
            Needle::new("absent"),
            Needle::new(""),
        ];
        let raw = b"viele Gr=C3=BCs=\r\nse aus Wien";
        let mut matcher = TextMatcher::new(&needles);
        let mut decoder = LeafDecoder::new(b"quoted-printable", Some(b"utf-8"));
        for byte in raw {
            matcher.feed(&[*byte], &mut decoder);
        }
        matcher.end_leaf(&mut decoder);
        assert_eq!(matcher.found(), [true, false, true]);
        assert!(!matcher.is_complete());
    }

    #[test]
    fn a_text_does_not_go_on_in_the_next_leaf() {
        let needles = [Needle::new("ab")];
        let mut matcher = TextMatcher::new(&needles);
        for leaf in [b"a", b"b"] {
            let mut decoder = LeafDecoder::new(b"7bit", None);
            matcher.feed(leaf, &mut decoder);
            matcher.end_leaf(&mut decoder);
        }
        assert_eq!(matcher.found(), [false]);
    }

    #[test]
    fn a_message_is_looked_through_in_its_headers_and_texts() {
        let prefix = b"Delivered-To: anna@example.org\r\n";
        let message = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: otto@example.net\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
            Das W=\r\nort\r\n--b\r\nContent-Type: application/pdf; name=bill.pdf\r\n\r\nhidden\r\n--b--\r\n";
        let holds = |words: &[&str]| {
            let needles: Vec<Needle> = words.iter().map(|word| Needle::new(word)).collect();
            holds_all(prefix, message.as_bytes(), &needles)
        };
        for words in [
            &["GRÜßE"][..],
            &["subject: grüße", "otto@"],
            &["wort", "bill.pdf", "anna@"],
            &[""],
            &[],
        ] {
            assert!(holds(words), "{words:?}");
        }
        for words in [&["hidden"][..], &["wort", "absent"], &["grüße otto"]] {
            assert!(!holds(words), "{words:?}");
        }
        assert!(!holds_all(b"", b"no mail at all", &[Needle::new("x")]));
    }

    proptest! {
        #[test]
        fn any_slicing_finds_the_same(text in "[abAä€ß]{0,30}", needle in "[abä€]{1,4}", size in 1usize..9) {
            let needles = [Needle::new(&needle)];
            let mut matcher = TextMatcher::new(&needles);
            let mut decoder = LeafDecoder::new(b"8bit", Some(b"utf-8"));
            for slice in text.as_bytes().chunks(size) {
                matcher.feed(slice, &mut decoder);
            }
            matcher.end_leaf(&mut decoder);
            prop_assert_eq!(matcher.found()[0], fold(&text).contains(&fold(&needle)));
            prop_assert_eq!(matcher.found()[0], needles[0].is_in(&text));
        }
    }
}
