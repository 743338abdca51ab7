//! A grammar in ABNF (RFC 5234) as something to run: it makes sentences, and says whether octets are one.
//!
//! **Sentences** are made from a [`Tape`]: every choice takes an octet of it. So a property test or a fuzzer chooses octets, and
//! shrinking the tape shrinks the sentence.
//!
//! **Recognising** follows every alternative at once (sets of ends, remembered per rule and place), so it owes nothing to any parser that
//! it is compared with.
//!
//! What ABNF can't say is said in [`Prose`], by hand, and named in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use abnf::types::{Kind, Node, TerminalValues};

/// Twenty thousand tapes of sixty choices, always the same ones: enough that every rule of a grammar is used by some sentence.
pub fn tapes() -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1_u32;
    let mut choice = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(move || std::iter::repeat_with(&mut choice).take(60).collect())
        .take(20_000)
}

/// Octets that decide what a sentence becomes. Where it ends, the first alternative and the fewest repetitions are taken.
#[derive(Debug)]
pub struct Tape<'a> {
    octets: &'a [u8],
}

impl<'a> Tape<'a> {
    /// All these choices.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// One of `count` (at most 256 are told apart); 0 when the tape is at its end.
    pub fn choose(&mut self, count: usize) -> usize {
        match self.octets.split_first() {
            Some((first, rest)) if count > 1 => {
                self.octets = rest;
                usize::from(*first) % count
            }
            _ => 0,
        }
    }
}

/// A rule that the file defines, and prose narrows.
#[derive(Clone, Copy, Debug)]
pub struct Narrowed {
    /// The rule.
    pub rule: &'static str,
    /// Whether a text of the rule is meant.
    pub holds: fn(&[u8]) -> bool,
    /// Texts that are, at the bounds best: taken now and then, and where a made one is not meant. At least one.
    pub examples: &'static [&'static str],
}

/// A rule that the file names in prose, `<rule>`.
#[derive(Clone, Copy, Debug)]
pub struct ByHand {
    /// The rule.
    pub rule: &'static str,
    /// Makes one.
    pub make: fn(&mut Tape<'_>, &mut Vec<u8>),
    /// How many octets may be one, from the start of these.
    pub sizes: fn(&[u8]) -> Vec<usize>,
}

/// What a grammar says beside its ABNF.
#[derive(Clone, Copy, Debug)]
pub struct Prose {
    /// Rules that are narrowed.
    pub narrowed: &'static [Narrowed],
    /// Rules that are made by hand.
    pub by_hand: &'static [ByHand],
}

/// A grammar.
#[derive(Debug)]
pub struct Grammar {
    /// By name in lower case: rule names have no case (RFC 5234 §2.1).
    rules: BTreeMap<String, Node>,
    prose: Prose,
}

impl Grammar {
    /// Reads files of rules, one after the other: a later one may add alternatives to rules of earlier ones (`=/`).
    ///
    /// # Errors
    /// What is wrong: ABNF that is none, a rule defined twice or never, prose that is not known or narrows nothing.
    pub fn read(files: &[&str], prose: Prose) -> Result<Self, String> {
        let mut rules: BTreeMap<String, Node> = BTreeMap::new();
        for file in files {
            let text = file.replace("\r\n", "\n").replace('\n', "\r\n");
            let text = text.trim_start_matches("\r\n");
            for rule in abnf::rulelist(text).map_err(|error| error.to_string())? {
                let name = rule.name().to_ascii_lowercase();
                let old = rules.remove(&name);
                let node = match (rule.kind(), old) {
                    (Kind::Basic, None) => rule.node().clone(),
                    (Kind::Incremental, Some(old)) => {
                        Node::Alternatives(vec![old, rule.node().clone()])
                    }
                    (Kind::Basic, Some(_)) => return Err(format!("{name} is defined twice")),
                    (Kind::Incremental, None) => {
                        return Err(format!("{name} has nothing to add to"));
                    }
                };
                rules.insert(name, node);
            }
        }
        let grammar = Self { rules, prose };
        grammar.check()?;
        Ok(grammar)
    }

    fn check(&self) -> Result<(), String> {
        let mut named = BTreeSet::new();
        for node in self.rules.values() {
            self.check_node(node, &mut named)?;
        }
        let narrowed = self.prose.narrowed.iter().map(|narrowed| narrowed.rule);
        for name in narrowed.chain(named.iter().map(String::as_str)) {
            if !self.rules.contains_key(name) {
                return Err(format!("{name} is not defined"));
            }
        }
        Ok(())
    }

    fn check_node(&self, node: &Node, named: &mut BTreeSet<String>) -> Result<(), String> {
        match node {
            Node::Alternatives(nodes) | Node::Concatenation(nodes) => nodes
                .iter()
                .try_for_each(|node| self.check_node(node, named)),
            Node::Repetition { node, .. } | Node::Group(node) | Node::Optional(node) => {
                self.check_node(node, named)
            }
            Node::Rulename(name) => {
                named.insert(name.to_ascii_lowercase());
                Ok(())
            }
            Node::Prose(name) if self.by_hand(name).is_none() => {
                Err(format!("<{name}> is not made by hand"))
            }
            Node::Prose(_) | Node::String(_) | Node::TerminalValues(_) => Ok(()),
        }
    }

    fn by_hand(&self, name: &str) -> Option<&'static ByHand> {
        self.prose
            .by_hand
            .iter()
            .find(|by_hand| by_hand.rule == name)
    }

    fn narrowed(&self, name: &str) -> Option<&'static Narrowed> {
        self.prose
            .narrowed
            .iter()
            .find(|narrowed| narrowed.rule == name)
    }

    /// The names of all rules, in lower case.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }

    /// A sentence of a rule, and the rules that went into it.
    #[must_use]
    pub fn sentence(&self, rule: &str, tape: &[u8]) -> (Vec<u8>, BTreeSet<String>) {
        let (mut out, mut used) = (Vec::new(), BTreeSet::new());
        self.make_rule(rule, &mut Tape::new(tape), &mut out, &mut used);
        (out, used)
    }

    fn make_rule(
        &self,
        name: &str,
        tape: &mut Tape<'_>,
        out: &mut Vec<u8>,
        used: &mut BTreeSet<String>,
    ) {
        let name = name.to_ascii_lowercase();
        let start = out.len();
        let narrowed = self.narrowed(&name);
        let examples = narrowed.map_or(&[][..], |narrowed| narrowed.examples);
        let chosen = tape.choose(2 * examples.len()).checked_sub(examples.len());
        if let Some(example) = chosen.and_then(|chosen| examples.get(chosen)) {
            out.extend_from_slice(example.as_bytes());
        } else if let Some(node) = self.rules.get(&name) {
            self.make(node, tape, out, used);
        }
        if let Some(narrowed) = narrowed
            && !(narrowed.holds)(out.get(start..).unwrap_or_default())
        {
            out.truncate(start);
            out.extend_from_slice(narrowed.examples.first().unwrap_or(&"").as_bytes());
        }
        used.insert(name);
    }

    fn make(
        &self,
        node: &Node,
        tape: &mut Tape<'_>,
        out: &mut Vec<u8>,
        used: &mut BTreeSet<String>,
    ) {
        match node {
            Node::Alternatives(nodes) => {
                if let Some(node) = nodes.get(tape.choose(nodes.len())) {
                    self.make(node, tape, out, used);
                }
            }
            Node::Concatenation(nodes) => {
                for node in nodes {
                    self.make(node, tape, out, used);
                }
            }
            Node::Repetition { repeat, node } => {
                let min = repeat.min().unwrap_or_default();
                let more = repeat.max().map_or(4, |max| (max - min).min(4));
                for _ in 0..min + tape.choose(more + 1) {
                    self.make(node, tape, out, used);
                }
            }
            Node::Rulename(name) => self.make_rule(name, tape, out, used),
            Node::Group(node) => self.make(node, tape, out, used),
            Node::Optional(node) => {
                if tape.choose(2) == 1 {
                    self.make(node, tape, out, used);
                }
            }
            Node::String(string) => {
                let case = if string.is_case_sensitive() {
                    0
                } else {
                    tape.choose(4)
                };
                for (index, octet) in string.value().bytes().enumerate() {
                    out.push(match case {
                        1 => octet.to_ascii_lowercase(),
                        2 if index % 2 == 0 => octet.to_ascii_lowercase(),
                        3 => octet.to_ascii_uppercase(),
                        _ => octet,
                    });
                }
            }
            Node::TerminalValues(TerminalValues::Range(low, high)) => {
                let value =
                    low + u32::try_from(tape.choose((high - low + 1) as usize)).unwrap_or(0);
                out.push(octet(value));
            }
            Node::TerminalValues(TerminalValues::Concatenation(values)) => {
                out.extend(values.iter().map(|value| octet(*value)));
            }
            Node::Prose(name) => {
                if let Some(by_hand) = self.by_hand(name) {
                    (by_hand.make)(tape, out);
                }
            }
        }
    }

    /// Whether octets are a sentence of a rule.
    #[must_use]
    pub fn recognises(&self, rule: &str, octets: &[u8]) -> bool {
        let mut walk = Walk {
            grammar: self,
            octets,
            known: BTreeMap::new(),
        };
        walk.rule(&rule.to_ascii_lowercase(), 0)
            .contains(&octets.len())
    }
}

/// The octet that a value of the file stands for.
fn octet(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// Where texts may end.
type Ends = BTreeSet<usize>;

struct Walk<'g> {
    grammar: &'g Grammar,
    octets: &'g [u8],
    known: BTreeMap<(&'g str, usize), Rc<Ends>>,
}

impl<'g> Walk<'g> {
    fn from(&self, at: usize) -> &'g [u8] {
        self.octets.get(at..).unwrap_or_default()
    }

    fn rule(&mut self, name: &str, at: usize) -> Rc<Ends> {
        let Some((name, node)) = self.grammar.rules.get_key_value(name) else {
            return Rc::default();
        };
        if let Some(ends) = self.known.get(&(name.as_str(), at)) {
            return Rc::clone(ends);
        }
        let mut ends = self.node(node, at);
        if let Some(narrowed) = self.grammar.narrowed(name) {
            let octets = self.octets;
            ends.retain(|&end| octets.get(at..end).is_some_and(narrowed.holds));
        }
        let ends = Rc::new(ends);
        self.known.insert((name, at), Rc::clone(&ends));
        ends
    }

    fn node(&mut self, node: &'g Node, at: usize) -> Ends {
        match node {
            Node::Alternatives(nodes) => {
                nodes.iter().flat_map(|node| self.node(node, at)).collect()
            }
            Node::Concatenation(nodes) => nodes.iter().fold(Ends::from([at]), |starts, node| {
                starts
                    .into_iter()
                    .flat_map(|start| self.node(node, start))
                    .collect()
            }),
            Node::Repetition { repeat, node } => {
                let (min, max) = (repeat.min().unwrap_or_default(), repeat.max());
                let mut all = Ends::new();
                let mut starts = Ends::from([at]);
                let mut count = 0;
                while !starts.is_empty() {
                    if count >= min {
                        // What was reached before leads to nothing new.
                        starts.retain(|&start| all.insert(start));
                    }
                    if max == Some(count) {
                        break;
                    }
                    starts = starts
                        .into_iter()
                        .flat_map(|start| self.node(node, start))
                        .collect();
                    count += 1;
                }
                all
            }
            Node::Rulename(name) => (*self.rule(&name.to_ascii_lowercase(), at)).clone(),
            Node::Group(node) => self.node(node, at),
            Node::Optional(node) => {
                let mut ends = self.node(node, at);
                ends.insert(at);
                ends
            }
            Node::String(string) => {
                let wanted = string.value().as_bytes();
                let same = self.from(at).get(..wanted.len()).is_some_and(|octets| {
                    octets == wanted
                        || !string.is_case_sensitive() && octets.eq_ignore_ascii_case(wanted)
                });
                same.then_some(at + wanted.len()).into_iter().collect()
            }
            Node::TerminalValues(TerminalValues::Range(low, high)) => {
                let first = self.from(at).first().map(|octet| u32::from(*octet));
                let found = first.is_some_and(|value| (*low..=*high).contains(&value));
                found.then_some(at + 1).into_iter().collect()
            }
            Node::TerminalValues(TerminalValues::Concatenation(values)) => {
                let wanted: Vec<u8> = values.iter().map(|value| octet(*value)).collect();
                let found = self.from(at).starts_with(&wanted);
                found.then_some(at + wanted.len()).into_iter().collect()
            }
            Node::Prose(name) => match self.grammar.by_hand(name) {
                Some(by_hand) => (by_hand.sizes)(self.from(at))
                    .into_iter()
                    .map(|size| at + size)
                    .collect(),
                None => Ends::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Prose = Prose {
        narrowed: &[],
        by_hand: &[],
    };

    #[test]
    fn a_grammar_recognises_what_its_rules_say() {
        let text = "a = 1*2\"x\" [b] (%d49 / \"2\")\nb = *\"y\" %s\"Z\"\nA =/ \"q\"\n";
        let grammar = Grammar::read(&[text], NONE).unwrap();
        for yes in ["x1", "XX2", "xyyZ1", "xZ2", "q", "Q"] {
            assert!(grammar.recognises("a", yes.as_bytes()), "{yes}");
        }
        for no in ["", "x", "xxx1", "xyz1", "1", "x12", "xy1", "qq"] {
            assert!(!grammar.recognises("a", no.as_bytes()), "{no}");
        }
        for seed in 0..=255_u8 {
            let (sentence, used) = grammar.sentence("a", &[seed; 9]);
            assert!(grammar.recognises("A", &sentence) && used.contains("a"));
        }
        assert_eq!(grammar.sentence("a", &[]).0, b"x1");
    }

    #[test]
    fn what_is_no_grammar_is_refused_with_the_reason() {
        let refused = |text: &str| Grammar::read(&[text], NONE).unwrap_err();
        assert_eq!(refused("a = b\n"), "b is not defined");
        assert_eq!(refused("a = <b>\n"), "<b> is not made by hand");
        assert_eq!(refused("a = \"x\"\nA = \"y\"\n"), "a is defined twice");
        assert_eq!(refused("a =/ \"x\"\n"), "a has nothing to add to");
    }
}
