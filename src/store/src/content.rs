//! A message as it is stored: the header, then segments; long leaf bodies are parts of their own, shared by hash.

use bytes::Bytes;

/// A message ready to be linked.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Octets.
    pub(crate) size: u64,
    /// Octets of the header, its empty line included.
    pub(crate) header_size: u64,
    /// BLAKE3-256 of all octets.
    pub(crate) hash: [u8; 32],
    /// The header as far as it is kept beside the message.
    pub(crate) head: Bytes,
    /// ENVELOPE, compact.
    pub(crate) envelope: Bytes,
    /// BODYSTRUCTURE, compact.
    pub(crate) structure: Bytes,
    /// What follows `head`, without a gap.
    pub(crate) segments: Vec<Piece>,
    /// The upload under which parts of it were staged.
    pub(crate) upload: Option<i64>,
    /// It has a Received field, which makes second copies differ.
    pub(crate) received: bool,
}

/// A stretch of a message.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) body: Body,
}

/// Where its octets are.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Here, for the row of the segment: how they are packed, and the octets.
    Inline(i64, Bytes),
    /// Here, for a part.
    Part(Part),
    /// In a part that is stored.
    Stored(i64),
}

/// A part to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// BLAKE3-256 of its octets.
    pub(crate) hash: [u8; 32],
    pub(crate) size: u64,
    /// How each chunk is packed, and its octets.
    pub(crate) chunks: Vec<(i64, Bytes)>,
}
