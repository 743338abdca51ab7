//! Messages as octets.

mod section;
pub use section::{Section, SectionText};
