//! Patterns of LIST and LSUB (RFC 3501 §6.3.8).

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use crate::store::SEPARATOR;

/// A reference and a pattern, joined, to be matched against mailbox names (UTF-8).
///
/// `*` stands for anything, `%` for anything without the separator. A first level that reads INBOX in any case matches INBOX.
///
/// A pattern is a row of places between tokens, and matching walks a name with the set of places that may be next, as bits: a name costs
/// its length times the pattern's by 64, however many wildcards there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPattern {
    /// How many octets and characters at least a name has that matches.
    literals: usize,
    /// The place after the last token.
    end: usize,
    /// The places before a character, for each that the pattern holds.
    before: BTreeMap<char, Places>,
    /// The places before a `*`.
    stars: Places,
    /// The places before a `%`.
    percents: Places,
}

/// A set of places, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places(Vec<u64>);

impl Places {
    /// None of so many.
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }
    fn put(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }
    fn has(&self, place: usize) -> bool {
        let word = self.0.get(place / 64).copied().unwrap_or_default();
        word >> (place % 64) & 1 == 1
    }
    /// Adds those of another set that are in the mask.
    fn add(&mut self, from: &Self, mask: &Self) {
        for ((word, from), mask) in self.0.iter_mut().zip(&from.0).zip(&mask.0) {
            *word |= from & mask;
        }
    }
    /// Adds the places after those of another set that are in the mask.
    fn add_after(&mut self, from: &Self, mask: &Self) {
        let mut carry = 0;
        for ((word, from), mask) in self.0.iter_mut().zip(&from.0).zip(&mask.0) {
            let passing = from & mask;
            *word |= passing << 1 | carry;
            carry = passing >> 63;
        }
    }
    /// Adds the places after its own that are in the mask, where no two places of the mask are neighbours.
    fn pass(&mut self, mask: &Self) {
        let mut carry = 0;
        for (word, mask) in self.0.iter_mut().zip(&mask.0) {
            let passing = *word & mask;
            *word |= passing << 1 | carry;
            carry = passing >> 63;
        }
    }
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
        Self::of(&tokens)
    }

    fn of(tokens: &[Token]) -> Self {
        let none = Places::none(tokens.len() + 1);
        let mut all = Self {
            literals: 0,
            end: tokens.len(),
            before: BTreeMap::new(),
            stars: none.clone(),
            percents: none.clone(),
        };
        for (place, token) in tokens.iter().enumerate() {
            match token {
                Token::Star => all.stars.put(place),
                Token::Percent => all.percents.put(place),
                Token::Char(c) => {
                    all.literals += 1;
                    let places = all.before.entry(*c).or_insert_with(|| none.clone());
                    places.put(place);
                }
            }
        }
        all
    }

    /// Whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_where(name).whole
    }

    /// The level above a name that matches, the lowest one if several do. With `%` in the pattern LSUB lists it for a subscribed
    /// mailbox (RFC 3501 §6.3.9); without, there is none.
    #[must_use]
    pub fn matching_parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.percents.0.iter().all(|word| *word == 0) {
            return None;
        }
        name.get(..self.matches_where(name).parent?)
    }

    /// Walks the name once with the set of places in the pattern that may be next.
    fn matches_where(&self, name: &str) -> Matched {
        let mut matched = Matched {
            whole: false,
            parent: None,
        };
        // Each character stands for itself. So a pattern costs no more than the square of the name's length.
        if self.literals > name.len() {
            return matched;
        }
        let mut here = Places::none(self.end + 1);
        let mut next = here.clone();
        here.put(0);
        self.skip_wildcards(&mut here);
        let inbox = inbox_bytes(name);
        for (at, c) in name.char_indices() {
            if c == SEPARATOR && here.has(self.end) {
                matched.parent = Some(at);
            }
            next.0.fill(0);
            next.add(&here, &self.stars);
            if c != SEPARATOR {
                next.add(&here, &self.percents);
            }
            let lower = (at < inbox).then(|| c.to_ascii_lowercase());
            for form in std::iter::once(c).chain(lower) {
                if let Some(before) = self.before.get(&form) {
                    next.add_after(&here, before);
                }
            }
            std::mem::swap(&mut here, &mut next);
            self.skip_wildcards(&mut here);
        }
        matched.whole = here.has(self.end);
        matched
    }

    /// A wildcard may stand for nothing. No two of them are neighbours.
    fn skip_wildcards(&self, places: &mut Places) {
        places.pass(&self.stars);
        places.pass(&self.percents);
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
        let pattern = ListPattern::new("", &"%a".repeat(250));
        for _ in 0..2_000 {
            assert!(pattern.matches(&"a".repeat(250)));
            assert!(!pattern.matches(&"a".repeat(249)));
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_the_rfc_says(
            (pattern, name) in prop_oneof![
                ("[ab/%*ü]{0,8}", "[ab/ü]{0,8}"),
                // Over the edges of a word of bits.
                ("[ab%*]{0,3}[a/]{60,66}[ab%*]{0,4}", "[ab]{0,2}[a/]{60,66}[ab]{0,3}"),
                ("[ab%*]{0,3}a{60,66}[ab%*]{0,4}", "[ab]{0,2}a{60,66}[ab]{0,3}"),
            ],
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
