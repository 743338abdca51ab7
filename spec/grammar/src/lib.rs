//! Grammars in ABNF as something to run: [`abnf`]; and what servers may say: [`replies`].
//!
//! A crate of its own, below all others, so that the tests of each can hold what it writes to it.

pub mod abnf;
pub mod replies;
