//! Byte ranges within a message.

/// A byte range within a message, `start..end`, counted from the message's first byte: a delivery's trace prefix is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte; never less than `start` in what this module makes.
    pub end: u64,
}

impl Span {
    /// The range `start..end`; empty at `start` when `end` is less.
    pub fn new(start: u64, end: u64) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Number of bytes.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no byte in it.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes of the range in a message that is held whole; what lies beyond its end is left out.
    pub fn of(self, message: &[u8]) -> &[u8] {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
        message
            .get(index(self.start)..index(self.end))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_beyond_the_message_is_cut_to_it() {
        assert_eq!(Span::new(1, 3).of(b"abcd"), b"bc");
        assert_eq!(Span::new(3, 9).of(b"abcd"), b"d");
        assert_eq!(Span::new(8, 9).of(b"abcd"), b"");
        assert_eq!(Span { start: 3, end: 1 }.of(b"abcd"), b"");
        assert!(Span::new(3, 1).is_empty());
    }
}
