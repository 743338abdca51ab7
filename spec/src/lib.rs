//! The executable specification.
//!
//! `abnf/*.abnf` are the grammars: [`abnf`] makes sentences of them and recognises them, and the tests hold the parsers to that, both ways.
//!
//! `clauses/*.toml` lists what an RFC demands, in our own words, each clause with an id. A test names the clauses that it
//! shows in a comment (`clause: ID`). The tests of this crate check that every id that is named exists, that every clause said to
//! be tested has a test, and that `docs/conformance.md`, made from both, is fresh.

pub mod abnf;
pub mod clauses;
pub mod harness;
pub mod imap;
