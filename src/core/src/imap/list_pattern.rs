//! Patterns of LIST and LSUB (RFC 3501 §6.3.8).

use unicode_normalization::UnicodeNormalization;

use crate::store::SEPARATOR;

/// A reference and a pattern, joined, to be matched against mailbox names (UTF-8).
///
/// `*` stands for anything, `%` for anything without the separator. A first level that reads INBOX in any case matches INBOX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    Percent,
    Star,
}

impl ListPattern {
    /// Joins as RFC 3501 §6.3.8 allows: the pattern as it is when it begins with the separator (that is then dropped: names
    /// have no root), otherwise the reference before the pattern, as they are.
    #[must_use]
    pub fn new(reference: &str, pattern: &str) -> Self {
        let joined: String = if pattern.starts_with(SEPARATOR) {
            pattern.nfc().collect()
        } else {
            reference.chars().chain(pattern.chars()).nfc().collect()
        };
        let joined = joined.strip_prefix(SEPARATOR).unwrap_or(&joined);
        let mut tokens: Vec<Token> = Vec::with_capacity(joined.len());
        for c in joined.chars() {
            let token = match c {
                '*' => Token::Star,
                '%' => Token::Percent,
                c => Token::Char(c),
            };
            // A run of wildcards is the strongest of them.
            match (tokens.last_mut(), token) {
                (Some(last @ (Token::Star | Token::Percent)), Token::Star) => *last = Token::Star,
                (Some(Token::Star | Token::Percent), Token::Percent) => {}
                _ => tokens.push(token),
            }
        }
        Self { tokens }
    }

    /// Whether a name matches. Costs at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_where(name).whole
    }

    /// Whether some higher level of the name matches, and the highest length (in octets) at which that is so, below the whole name. LSUB
    /// with `%` lists a parent of a subscribed mailbox so (RFC 3501 §6.3.9).
    #[must_use]
    pub fn matching_parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.get(..self.matches_where(name).parent?)
    }

    /// Walks the name once with the set of places in the pattern that may be next.
    fn matches_where(&self, name: &str) -> Matched {
        let size = self.tokens.len() + 1;
        let mut here = vec![false; size];
        let mut next = vec![false; size];
        if let Some(start) = here.first_mut() {
            *start = true;
        }
        let mut parent = None;
        self.skip_wildcards(&mut here);
        let inbox = inbox_bytes(name);
        for (at, c) in name.char_indices() {
            if c == SEPARATOR && here.last() == Some(&true) {
                parent = Some(at);
            }
            next.fill(false);
            for (index, token) in self.tokens.iter().enumerate() {
                if here.get(index) != Some(&true) {
                    continue;
                }
                let (stays, passes) = match token {
                    Token::Star => (true, false),
                    Token::Percent => (c != SEPARATOR, false),
                    Token::Char(wanted) => (
                        false,
                        *wanted == c || at < inbox && wanted.eq_ignore_ascii_case(&c),
                    ),
                };
                if stays && let Some(place) = next.get_mut(index) {
                    *place = true;
                }
                if passes && let Some(place) = next.get_mut(index + 1) {
                    *place = true;
                }
            }
            std::mem::swap(&mut here, &mut next);
            self.skip_wildcards(&mut here);
        }
        Matched {
            whole: here.last() == Some(&true),
            parent,
        }
    }

    /// A wildcard may stand for nothing.
    fn skip_wildcards(&self, places: &mut [bool]) {
        for (index, token) in self.tokens.iter().enumerate() {
            if places.get(index) == Some(&true)
                && matches!(token, Token::Star | Token::Percent)
                && let Some(place) = places.get_mut(index + 1)
            {
                *place = true;
            }
        }
    }
}

struct Matched {
    whole: bool,
    parent: Option<usize>,
}

/// Octets of a name that are INBOX's, and so match in either case.
fn inbox_bytes(name: &str) -> usize {
    match name.split_once(SEPARATOR).map_or(name, |(first, _)| first) {
        "INBOX" => "INBOX".len(),
        _ => 0,
    }
}
