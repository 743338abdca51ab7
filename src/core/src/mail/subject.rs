//! The base subject of SORT and THREAD (RFC 5256 §2.1): what is left of a subject without the marks of replies and forwards.

use super::encoded_word::decode_field;

/// What a subject says without its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSubject {
    /// The text in Unicode, not folded in case.
    pub text: String,
    /// Whether a mark of a reply or a forward was taken away (RFC 5256 §3 "REFERENCES", step 5).
    pub is_reply_or_forward: bool,
}

/// The base subject of a raw Subject value. Linear in its length.
pub fn base_subject(raw: &[u8]) -> BaseSubject {
    // (1) Unicode, with single spaces.
    let decoded = decode_field(raw);
    let spaced: Vec<&str> = decoded
        .split([' ', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .collect();
    let joined = spaced.join(" ");
    let mut text = joined.as_str();
    let mut marked = false;
    loop {
        // (2) Trailers.
        while let Some(rest) = strip_suffix(text.trim_end(), "(fwd)") {
            (text, marked) = (rest, true);
        }
        text = text.trim_end();
        // (3) to (5) Leaders and blobs.
        while let Some(rest) = leader(text.trim_start()) {
            (text, marked) = (rest, true);
        }
        text = without_blobs(text.trim_start());
        // (6) A forward in brackets: its text may have marks again.
        let within = strip_prefix(text, "[fwd:").and_then(|rest| rest.strip_suffix(']'));
        match within {
            Some(rest) => (text, marked) = (rest, true),
            None => break,
        }
    }
    BaseSubject {
        text: text.trim().to_owned(),
        is_reply_or_forward: marked,
    }
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// ```abnf
/// subj-blob = "[" *BLOBCHAR "]" *WSP
/// BLOBCHAR  = %x01-5a / %x5c / %x5e-ff ; any CHAR8 except '[' and ']'
/// ```
fn blob(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('[')?;
    let (_, rest) = rest.split_at_checked(rest.find(['[', ']'])?)?;
    Some(rest.strip_prefix(']')?.trim_start())
}

/// Takes away blobs as long as text is left.
fn without_blobs(mut text: &str) -> &str {
    while let Some(rest) = blob(text)
        && !rest.is_empty()
    {
        text = rest;
    }
    text
}

/// ```abnf
/// subj-leader = (*subj-blob subj-refwd) / WSP
/// subj-refwd  = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
/// ```
///
/// Where no mark follows the blobs, the caller takes away all of them: so none is read more than twice.
fn leader(mut text: &str) -> Option<&str> {
    while let Some(rest) = blob(text) {
        text = rest;
    }
    let rest = ["re", "fwd", "fw"]
        .iter()
        .find_map(|mark| strip_prefix(text, mark))?
        .trim_start();
    blob(rest).unwrap_or(rest).strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_of_replies_and_forwards_are_taken_away() {
        for (raw, text, marked) in [
            ("subject", "subject", false),
            ("Re: a  \t b", "a b", true),
            ("RE [list] : Fwd: fw: x (FWD) (fwd) ", "x", true),
            ("[list] Re: [other] x", "x", true),
            ("[a] [b] x", "x", false),
            ("[a] [b]", "[b]", false),
            ("[fwd: re: x]", "x", true),
            ("[Fwd: [Fwd: y (fwd)]]", "y", true),
            ("=?utf-8?q?Re=3A_=C3=A4?=", "ä", true),
            ("Reply: x", "Reply: x", false),
            ("re:", "", true),
            ("", "", false),
            ("[open re: x", "[open re: x", false),
        ] {
            let want = BaseSubject {
                text: text.to_owned(),
                is_reply_or_forward: marked,
            };
            assert_eq!(base_subject(raw.as_bytes()), want, "{raw}");
        }
    }

    #[test]
    fn long_runs_of_marks_take_no_time() {
        for part in ["[a]", "[", "re:", "[fwd:", "(fwd)", "re[a]", "[a]re"] {
            base_subject(part.repeat(60_000).as_bytes());
            let closed = format!("{}x{}", part.repeat(20_000), "]".repeat(20_000));
            base_subject(closed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_base_of_a_base_is_itself(raw in "(re|fwd?|:|\\[|\\]| |\\(fwd\\)|x|\\[fwd:|ä){0,12}") {
            let base = base_subject(raw.as_bytes()).text;
            prop_assert_eq!(&base_subject(base.as_bytes()).text, &base);
        }
    }
}
