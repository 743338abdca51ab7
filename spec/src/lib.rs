//! The executable specification.
//!
//! `grammar/` is a crate of its own, which the core's tests use too: `grammar/abnf/*.abnf` are the grammars, and [`dbmail_grammar`] makes
//! sentences of them and recognises them. The tests here hold the parsers to that, both ways.
//!
//! `clauses/*.toml` lists what an RFC demands, in our own words, each clause with an id. A test names the clauses that it
//! shows in a comment (`clause: ID`). The tests of this crate check that every id that is named exists, that every clause said to
//! be tested has a test, and that `docs/conformance.md`, made from both, is fresh.

pub mod clauses;
pub mod demands;
pub mod harness;
pub mod imap;
