//! The pure core of DBMail: messages, grammars, sessions, and the vocabulary between sessions and
//! the store. No socket, file, clock, thread or async runtime is reached from here; what the core
//! needs, it is given. The same code serves users, property tests, models and fuzzers.

pub mod civil;
pub mod imap;
pub mod limits;
pub mod lmtp;
pub mod mail;
pub mod session;
pub mod store;
