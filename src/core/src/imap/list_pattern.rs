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

    /// The level above a name that matches, the lowest one if several do. With `%` in the pattern LSUB lists it for a subscribed
    /// mailbox (RFC 3501 §6.3.9); without, there is none.
    #[must_use]
    pub fn matching_parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        if !self.tokens.contains(&Token::Percent) {
            return None;
        }
        name.get(..self.matches_where(name).parent?)
    }

    /// Walks the name once with the set of places in the pattern that may be next.
    fn matches_where(&self, name: &str) -> Matched {
        let literals = self.tokens.iter();
        let literals = literals.filter(|token| matches!(token, Token::Char(_)));
        if literals.count() > name.len() {
            // Each stands for itself: no name that is shorter matches. A pattern so costs no more than the square of the name's length.
            return Matched {
                whole: false,
                parent: None,
            };
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning of a pattern, straight from RFC 3501 §6.3.8. Exponential.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['*', rest @ ..], name) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            (['%', rest @ ..], name) => (0..=name.len())
                .take_while(|&taken| !name[..taken].contains(&'/'))
                .any(|taken| naive(rest, &name[taken..])),
            ([c, rest @ ..], [d, name @ ..]) => c == d && naive(rest, name),
            ([_, ..], []) => false,
        }
    }

    fn matches(reference: &str, pattern: &str, name: &str) -> bool {
        ListPattern::new(reference, pattern).matches(name)
    }

    #[test]
    fn wildcards_stand_for_what_they_should() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "a/b"], &[]),
            ("%", &["", "a"], &["a/b", "/"]),
            ("%/%", &["a/b"], &["a", "a/b/c"]),
            ("a*", &["a", "ab", "a/b"], &["b", "ba"]),
            ("*b", &["b", "a/b", "bb"], &["ba"]),
            ("a%/b", &["a/b", "ax/b"], &["a/x/b", "a//b"]),
            ("%*", &["a", "a/b"], &[]),
            ("*%", &["a", "a/b"], &[]),
            ("a/*", &["a/b", "a/b/c", "a/"], &["a", "ab"]),
            ("INBOX", &["INBOX"], &["INBOX/a", "INBOXES"]),
        ] {
            for name in yes {
                assert!(matches("", pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches("", pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn inbox_matches_in_either_case_and_nothing_else_does() {
        for pattern in ["inbox", "InBoX", "in%", "*x", "INBOX", "%"] {
            assert!(matches("", pattern, "INBOX"), "{pattern}");
        }
        assert!(matches("", "inbox/%", "INBOX/a"));
        assert!(!matches("", "inbox/A", "INBOX/a"));
        assert!(!matches("", "inboxes", "INBOXES"));
        assert!(!matches("", "a/inbox", "a/INBOX"));
        assert!(!matches("", "a", "A"));
    }

    #[test]
    fn the_reference_comes_before_the_pattern_unless_that_begins_at_the_top() {
        assert!(matches("a/", "%", "a/b"));
        assert!(matches("a", "/b", "b"));
        assert!(!matches("a", "/b", "a/b"));
        assert!(matches("a", "b", "ab"));
        assert!(matches("/a/", "b", "a/b"));
        assert!(matches("", "/a", "a"));
        assert!(matches("u", "\u{308}%", "übung"), "joined, then normalised");
    }

    #[test]
    fn a_parent_is_known_when_a_level_of_the_name_matches() {
        let parent = |pattern, name| ListPattern::new("", pattern).matching_parent(name);
        assert_eq!(parent("%", "foo/bar/baz"), Some("foo"));
        assert_eq!(parent("foo/%", "foo/bar/baz"), Some("foo/bar"));
        assert_eq!(parent("%/ba%", "foo/bar/baz"), Some("foo/bar"));
        assert_eq!(parent("*", "foo/bar/baz"), None, "there is no %");
        assert_eq!(parent("%", "foo"), None);
        assert_eq!(parent("foo", "foo/bar"), None, "there is no %");
        assert_eq!(parent("bar%", "foo/bar"), None);
        assert_eq!(parent("inb%", "INBOX/a"), Some("INBOX"));
    }

    #[test]
    fn a_pattern_of_many_wildcards_costs_no_more_than_its_length() {
        let pattern = ListPattern::new("", &"*a%".repeat(5_000));
        assert!(!pattern.matches(&"ab/".repeat(300)));
    }

    proptest! {
        #[test]
        fn matching_is_what_the_rfc_says(
            pattern in "[ab/%*ü]{0,8}",
            name in "[ab/ü]{0,8}",
        ) {
            prop_assume!(!pattern.starts_with('/'));
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let found = matches("", &pattern, &name);
            prop_assert_eq!(found, naive(&chars(&pattern), &chars(&name)));
            let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
            let parent = parents.rev().find(|parent| naive(&chars(&pattern), &chars(parent)));
            // A run of wildcards with `*` among them is a `*`.
            let percent = pattern.split(|c| !matches!(c, '%' | '*'));
            let percent = percent.into_iter().any(|run| run.contains('%') && !run.contains('*'));
            let parent = parent.filter(|_| percent);
            prop_assert_eq!(ListPattern::new("", &pattern).matching_parent(&name), parent);
        }
    }
}
