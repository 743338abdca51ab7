//! IMAP (RFC 3501, RFC 9051).

pub mod capability;
pub mod civil;
pub mod command;
pub mod grammar;
pub mod lexer;
pub mod list_pattern;
pub mod mutf7;
pub mod response;
pub mod revision;
mod search;
pub mod session;
pub mod verb;
pub mod view;

pub use session::{Config, Session, TlsState};
