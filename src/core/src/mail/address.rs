//! Address lists (RFC 5322 §3.4) with the obsolete forms of §4.4, groups, and much tolerance: what is no address gives the nearest
//! thing to one, so that nothing a sender wrote is hidden. Linear in the length of the value, whatever it holds.

use super::header::{Cursor, is_space};

/// One address as ENVELOPE shows it (RFC 3501 §7.4.2 "address"). In a list a group begins with an entry whose host is `None` and
/// whose mailbox is the group's name, and ends with an entry where all is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name: unquoted, encoded-words as written. Without one, the text of a comment after the address.
    pub name: Option<Vec<u8>>,
    /// The source route (obsolete), `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local part, unquoted.
    pub mailbox: Option<Vec<u8>>,
    /// The domain. An address that has none gives the empty string: `None` is the mark of a group.
    pub host: Option<Vec<u8>>,
}

/// Reads an unfolded address list.
pub fn addresses(value: &[u8]) -> Vec<Address> {
    let mut list = List {
        cursor: Cursor::new(value),
        found: Vec::new(),
        in_group: false,
    };
    while list.next() {}
    if list.in_group {
        list.found.push(Address::default());
    }
    list.found
}

struct List<'a> {
    cursor: Cursor<'a>,
    found: Vec<Address>,
    in_group: bool,
}

/// The words read before a special: a phrase or a local part, not known yet.
#[derive(Default)]
struct Words {
    /// Joined as a phrase: single spaces where there was space.
    phrase: Vec<u8>,
    /// Joined as a local part: without the space.
    local: Vec<u8>,
    comment: Option<Vec<u8>>,
}

impl List<'_> {
    /// Reads up to and with the next separator; false at the end.
    fn next(&mut self) -> bool {
        let words = self.words();
        match self.cursor.peek() {
            None => {
                self.bare(words);
                return false;
            }
            Some(b',') => {
                self.cursor.bump();
                self.bare(words);
            }
            Some(b';') => {
                self.cursor.bump();
                self.bare(words);
                if std::mem::take(&mut self.in_group) {
                    self.found.push(Address::default());
                }
            }
            Some(b':') => {
                self.cursor.bump();
                self.group(words);
            }
            Some(b'<') => {
                self.cursor.bump();
                self.angle(words);
            }
            Some(b'@') => {
                self.cursor.bump();
                self.domain(words);
            }
            // A special that begins nothing here: `>`, `)`, …
            Some(_) => {
                self.cursor.bump();
                self.bare(words);
            }
        }
        true
    }

    /// `*(atom / quoted-string / "." / CFWS)`, as phrase and as local part.
    fn words(&mut self) -> Words {
        let mut words = Words::default();
        loop {
            let spaced = self
                .cursor
                .peek()
                .is_some_and(|byte| is_space(byte) || byte == b'(');
            if let Some(comment) = self.cursor.cfws() {
                words.comment = Some(comment);
            }
            let word = match self.cursor.peek() {
                Some(b'"') => self.cursor.quoted(),
                Some(byte) if is_word(byte) => self.cursor.run(is_word).to_vec(),
                _ => return words,
            };
            if spaced && !words.phrase.is_empty() {
                words.phrase.push(b' ');
            }
            words.phrase.extend_from_slice(&word);
            words.local.extend_from_slice(&word);
        }
    }

    /// Words with no address: shown as a mailbox without domain.
    fn bare(&mut self, words: Words) {
        if words.phrase.is_empty() {
            return;
        }
        self.found.push(Address {
            name: some(words.comment),
            route: None,
            mailbox: Some(words.phrase),
            host: Some(Vec::new()),
        });
    }

    /// `display-name ":"`; a group within a group ends the first.
    fn group(&mut self, words: Words) {
        if std::mem::replace(&mut self.in_group, true) {
            self.found.push(Address::default());
        }
        self.found.push(Address {
            mailbox: Some(words.phrase),
            ..Address::default()
        });
    }

    /// `local "@" domain` without angle brackets; a comment after it is taken as the name (RFC 822 custom).
    fn domain(&mut self, words: Words) {
        let (host, comment) = self.domain_text();
        // `a@b <c@d>`: somebody's address written as an unquoted name.
        if self.cursor.peek() == Some(b'<') {
            self.cursor.bump();
            let phrase = [words.local.as_slice(), b"@", &host].concat();
            self.angle(Words {
                phrase,
                ..Words::default()
            });
            return;
        }
        self.found.push(Address {
            name: some(comment.or(words.comment)),
            route: None,
            mailbox: Some(words.local),
            host: Some(host),
        });
        // `a@b c`: up to the separator there is nothing more of this address.
        if !matches!(self.cursor.peek(), None | Some(b',' | b';')) {
            self.words();
        }
        self.cursor.eat(b',');
    }

    /// Atoms, dots and domain literals; space and comments between them go.
    fn domain_text(&mut self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut host = Vec::new();
        let mut comment = None;
        loop {
            let spaced = self.cursor.peek().is_some_and(is_space);
            if let Some(text) = self.cursor.cfws() {
                comment = Some(text);
            }
            match self.cursor.peek() {
                Some(b'[') => self.literal(&mut host),
                // Space is part of a domain only around its dots.
                Some(byte)
                    if is_word(byte)
                        && (!spaced || host.is_empty() || byte == b'.' || host.ends_with(b".")) =>
                {
                    host.extend_from_slice(self.cursor.run(is_word));
                }
                _ => return (host, comment),
            }
        }
    }

    /// `"[" *dtext "]"`, with its brackets.
    fn literal(&mut self, host: &mut Vec<u8>) {
        host.extend_from_slice(self.cursor.run(|byte| byte != b']' && byte != b'>'));
        if self.cursor.eat(b']') {
            host.push(b']');
        }
    }

    /// After `<`: `[route ":"] local ["@" domain] ">"`.
    fn angle(&mut self, before: Words) {
        let mut route = Vec::new();
        let mut words = self.words();
        // obs-route: `@a,@b:`
        while words.local.is_empty() && self.cursor.peek() == Some(b'@') {
            self.cursor.bump();
            let (host, _) = self.domain_text();
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            route.extend_from_slice(&host);
            while self.cursor.eat(b',') {
                self.cursor.cfws();
            }
            if self.cursor.eat(b':') {
                words = self.words();
                break;
            }
            self.cursor.cfws();
        }
        let host = if self.cursor.eat(b'@') {
            self.domain_text().0
        } else {
            Vec::new()
        };
        // Whatever is left before the bracket is no part of the address.
        self.cursor.run(|byte| byte != b'>' && byte != b',');
        self.cursor.eat(b'>');
        let after = self.cursor.cfws();
        self.cursor.eat(b',');
        let name = if before.phrase.is_empty() {
            after.or(before.comment)
        } else {
            Some(before.phrase)
        };
        if words.local.is_empty() && host.is_empty() && name.is_none() && route.is_empty() {
            return;
        }
        self.found.push(Address {
            name: some(name),
            route: some(Some(route)),
            mailbox: Some(words.local),
            host: Some(host),
        });
    }
}

/// `None` for an empty text.
fn some(text: Option<Vec<u8>>) -> Option<Vec<u8>> {
    text.filter(|text| !text.trim_ascii().is_empty())
}

/// `atext`, the dot, 8-bit bytes, and the characters that stand for nothing in an address list.
fn is_word(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"()<>@,;:\"[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> String {
        let text = |part: &Option<Vec<u8>>| match part {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => "-".to_owned(),
        };
        let each = |a: &Address| {
            let route = a.route.as_ref().map_or(String::new(), |r| {
                format!("{}:", String::from_utf8_lossy(r))
            });
            format!(
                "{}|{route}{}|{}",
                text(&a.name),
                text(&a.mailbox),
                text(&a.host)
            )
        };
        addresses(value.as_bytes())
            .iter()
            .map(each)
            .collect::<Vec<_>>()
            .join("  ")
    }

    #[test]
    fn addresses_read_in_all_their_forms() {
        for (value, want) in [
            ("a@b", "-|a|b"),
            ("a@b, c@d", "-|a|b  -|c|d"),
            (
                "John Q. Public <jqp@example.com>",
                "John Q. Public|jqp|example.com",
            ),
            ("\"Joe, \\\"Q\\\"\" <j@x>", "Joe, \"Q\"|j|x"),
            ("a@b (Full (N.) Name)", "Full (N.) Name|a|b"),
            ("<a@b> (Name)", "Name|a|b"),
            ("\"a b\"@c", "-|a b|c"),
            ("a . b @ c . d", "-|a.b|c.d"),
            ("<@one,@two:a@b>", "-|@one,@two:a|b"),
            ("X <@one, , @two : a@b>", "X|@one,@two:a|b"),
            ("G: a@b, N <c@d>;", "-|G|-  -|a|b  N|c|d  -|-|-"),
            (
                "undisclosed-recipients:;",
                "-|undisclosed-recipients|-  -|-|-",
            ),
            ("G: a@b; c@d", "-|G|-  -|a|b  -|-|-  -|c|d"),
            ("G: a@b", "-|G|-  -|a|b  -|-|-"),
            ("a@[127.0.0.1]", "-|a|[127.0.0.1]"),
            ("root", "-|root|"),
            ("John Doe", "-|John Doe|"),
            ("root (Cron)", "Cron|root|"),
            ("<>", ""),
            ("N <>", "N||"),
            ("", ""),
            (" , ,a@b,,", "-|a|b"),
            ("=?utf-8?q?J=C3=B6rg?= <j@x>", "=?utf-8?q?J=C3=B6rg?=|j|x"),
            ("a@b <c@d>", "a@b|c|d"),
            ("a@b c@d", "-|a|b  -||d"),
            ("N <a@b, c@d", "N|a|b  -|c|d"),
            ("N <a@b>, >, c@d", "N|a|b  -|c|d"),
            ("@", "-||"),
            ("\"open <a@b>", "-|open <a@b>|"),
        ] {
            assert_eq!(shown(value), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_value_reads_and_groups_are_closed(value in "[ab <>()@,;:\"\\\\\\[\\].]{0,60}", bytes: Vec<u8>) {
            for value in [value.as_bytes(), &bytes] {
                let found = addresses(value);
                prop_assert!(found.len() <= 2 * value.len() + 2);
                let mut inside = false;
                for address in found {
                    if address.host.is_none() {
                        prop_assert_eq!(address.mailbox.is_some(), !inside);
                        inside = !inside;
                    }
                }
                prop_assert!(!inside);
            }
        }
    }
}
