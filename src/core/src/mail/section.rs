//! Sections of a message (RFC 9051 §6.4.5.1).

/// The part that is named by `BODY[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty for the message itself.
    pub part: Vec<u32>,
    /// What of it; `None` with an empty `part` is the whole message.
    pub text: Option<SectionText>,
}

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS`
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT`
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`
    Text,
    /// `MIME`, of a part only
    Mime,
}
