//! Messages as bytes: where their parts stand, what their headers say, and how that is shown to IMAP clients.
//!
//! A [`Scanner`] is fed a message in slices and finds its [`Structure`] and [`Envelope`]. Both have a compact form that is stored;
//! [`write_envelope`] and [`write_body_structure`] turn it into IMAP syntax, [`locate`] finds `BODY[…]` sections. Nothing here changes a
//! byte of a message.

mod address;
mod body_structure;
mod charset;
mod compact;
mod content_type;
mod date;
mod encoded_word;
mod envelope;
mod header;
mod scanner;
mod search;
mod section;
mod span;
mod structure;
mod subject;
mod syntax;
mod transfer;

pub use address::{Address, addresses};
pub use body_structure::write_body_structure;
pub use charset::CharsetDecoder;
pub use compact::Damaged;
pub use content_type::{Content, Disposition, Param};
pub use date::{LocalDate, MailDate, parse_date};
pub use encoded_word::decode_field;
pub use envelope::{Envelope, write_envelope};
pub use header::{Field, Fields, fields, first_value, select_fields, unfold};
pub use scanner::{Event, Scanned, Scanner, scan};
pub use search::{LeafDecoder, Needle, TextMatcher, fold, holds_all};
pub use section::{FieldFilter, Located, Section, SectionText, find, for_each_part, locate};
pub use span::Span;
pub use structure::{Kind, Node, Structure};
pub use subject::{BaseSubject, base_subject};
pub use transfer::TransferDecoder;
