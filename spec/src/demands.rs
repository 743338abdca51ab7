//! The demands of an RFC's text, counted: MUST, MUST NOT, SHALL, SHALL NOT and REQUIRED in each section, in their order.

use std::collections::BTreeMap;

/// The demands of a text: section to the words that stand in it. What stands before the first section is in section `0`.
///
/// A section begins with a line at the left margin that is its number and a title. What a page begins and ends with is passed over, so words
/// are one demand though a line or a page ends between them.
#[must_use]
pub fn demands(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = "0".to_owned();
    let mut before = "";
    for line in text.lines() {
        if is_of_the_page(line) {
            continue;
        }
        if let Some(number) = section_number(line) {
            number.clone_into(&mut section);
            before = "";
        }
        for word in line.split(|c: char| !c.is_ascii_alphanumeric()) {
            if word.is_empty() {
                continue;
            }
            if matches!(word, "MUST" | "SHALL" | "REQUIRED") {
                let words = found.entry(section.clone()).or_default();
                words.push(word.to_owned());
            } else if word == "NOT"
                && matches!(before, "MUST" | "SHALL")
                && let Some(last) = found.get_mut(&section).and_then(|words| words.last_mut())
            {
                last.push_str(" NOT");
            }
            before = word;
        }
    }
    found
}

/// The line above or below a page.
fn is_of_the_page(line: &str) -> bool {
    line.starts_with("RFC ") || line.trim_end().ends_with(']') && line.contains("[Page ")
}

/// `4.2` of `4.2.  The DATA command`.
fn section_number(line: &str) -> Option<&str> {
    let (number, title) = line.split_once(' ')?;
    let number = number.trim_end_matches('.');
    let mut pieces = number.split('.');
    let numbered = pieces.all(|piece| {
        (1..=3).contains(&piece.len()) && piece.bytes().all(|octet| octet.is_ascii_digit())
    });
    let titled = title
        .trim_start()
        .starts_with(|c: char| c.is_ascii_alphabetic());
    (numbered && titled).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_are_counted_by_section_and_over_the_ends_of_lines_and_pages() {
        let text = "It MUST.\n   1.  Contents MUST\n1.  One\n\n   You (MUST) and MUST\n\n\nMyers  Informational  [Page 1]\n\u{c}\n\
                    RFC 2033   LMTP MUST\n\n   NOT, must; MUSTARD REQUIRED.\n2.1 Two\n   It SHALL not, it SHALL\n   NOT NOT.\n12 0. 3.\n";
        let wanted = [
            ("0", &["MUST", "MUST"][..]),
            ("1", &["MUST", "MUST NOT", "REQUIRED"]),
            ("2.1", &["SHALL", "SHALL NOT"]),
        ];
        let wanted = wanted.map(|(section, words)| {
            (
                section.to_owned(),
                words.iter().map(|word| (*word).to_owned()).collect(),
            )
        });
        assert_eq!(demands(text), BTreeMap::from(wanted));
    }
}
