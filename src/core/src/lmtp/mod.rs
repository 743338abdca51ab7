//! LMTP (RFC 2033): the receiving end of mail, as a pure session.
//!
//! | file | what |
//! | --- | --- |
//! | `grammar.rs` | commands, paths and parameters (RFC 5321 §4.1.2, nom) |
//! | `data.rs` | what DATA carries: dots, the end, the old Return-Path |
//! | `trace.rs` | the trace fields put before a message |
//! | `reply.rs` | every reply that is sent, with its enhanced code (RFC 3463) |
//! | `session.rs` | the session |
//!
//! What is accepted is stored as it came. The rule for each oddity:
//!
//! | octets | rule |
//! | --- | --- |
//! | bare LF, bare CR in a message | stored; neither ends a line: only CRLF `.` CRLF ends DATA, and only a dot after CRLF is unstuffed, so nothing can be smuggled past a sender who reads them otherwise |
//! | NUL in a message | stored (BINARYMIME allows it; refusing it would lose mail) |
//! | a line over 1,000 octets | stored |
//! | no CRLF at the end | can't be in DATA; after BDAT stored without |
//! | bare LF, CR or NUL in a command | 500 5.5.2 |
//! | a command line over the limit | 500 5.5.2, the rest of the line skipped |
//! | 8-bit octets without BODY=8BITMIME | stored (RFC 6152 asks the sender, not us) |
//! | an old Return-Path field in the header | dropped (RFC 5321 §4.4: there is one, the final delivery's); one over 1,000 octets, with a bare CR or without its line end is kept |

mod data;
pub mod grammar;
mod reply;
mod session;
mod trace;

pub use data::{DotDecoder, ReturnPathFilter};
pub use session::{Config, Session, Tls};
pub use trace::{Envelope, prefix};
