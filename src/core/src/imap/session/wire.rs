//! What waits for the peer: text being written, octets handed through, and the room there is.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::OUTPUT_BYTES_HIGH;
use crate::session::Output;

/// Octets handed through that are shorter than this are copied among the text: a piece of its own costs more.
const COPIED_BYTES_MAX: usize = 2 * 1024;
/// Text is sent on in pieces of about this size, so that no buffer grows to the size of an answer.
const PIECE_BYTES: usize = 16 * 1024;

/// Octets on their way to the peer.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Text at the end, still being written.
    text: Vec<u8>,
    /// What stands before it.
    ready: VecDeque<Bytes>,
    /// Octets in `ready`.
    ready_bytes: usize,
    /// Octets that the shell takes now.
    room: usize,
}

impl Wire {
    /// Where replies are written.
    pub(crate) const fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Appends octets, without a copy when they are many.
    pub(crate) fn octets(&mut self, octets: Bytes) {
        if octets.len() < COPIED_BYTES_MAX {
            self.text.extend_from_slice(&octets);
        } else {
            self.seal();
            self.ready_bytes = self.ready_bytes.saturating_add(octets.len());
            self.ready.push_back(octets);
        }
    }

    /// The shell takes so many octets now.
    pub(crate) const fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Octets that were not sent yet.
    pub(crate) fn waiting(&self) -> usize {
        self.ready_bytes.saturating_add(self.text.len())
    }

    fn seal(&mut self) {
        if !self.text.is_empty() {
            let text = Bytes::from(std::mem::take(&mut self.text));
            self.ready_bytes = self.ready_bytes.saturating_add(text.len());
            self.ready.push_back(text);
        }
    }

    /// Sends what there is room for.
    pub(crate) fn flush(&mut self, out: &mut Vec<Output>) {
        self.seal();
        while self.room > 0 {
            let Some(mut piece) = self.ready.pop_front() else {
                return;
            };
            if piece.len() > self.room {
                let rest = piece.split_off(self.room);
                self.ready.push_front(rest);
            }
            self.room = self.room.saturating_sub(piece.len());
            self.ready_bytes = self.ready_bytes.saturating_sub(piece.len());
            out.push(Output::Send(piece));
        }
    }

    /// Sends all that is left, room or not: the connection closes after it, or is upgraded.
    pub(crate) fn flush_all(&mut self, out: &mut Vec<Output>) {
        let left = self.room.saturating_sub(self.waiting());
        self.room = usize::MAX;
        self.flush(out);
        self.room = left;
    }

    /// Whether enough waits that no more must be produced. Sends what there is room for first.
    pub(crate) fn full(&mut self, out: &mut Vec<Output>) -> bool {
        if self.waiting() >= PIECE_BYTES {
            self.flush(out);
        }
        self.waiting() >= OUTPUT_BYTES_HIGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: &[Output]) -> Vec<u8> {
        let mut all = Vec::new();
        for output in out {
            if let Output::Send(bytes) = output {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    #[test]
    fn no_more_is_sent_than_there_is_room_for() {
        let (mut wire, mut out) = (Wire::default(), Vec::new());
        wire.text().extend_from_slice(b"abc");
        wire.octets(Bytes::from(vec![b'x'; COPIED_BYTES_MAX]));
        wire.text().extend_from_slice(b"def");
        wire.flush(&mut out);
        assert_eq!(sent(&out), b"");
        wire.set_room(5);
        wire.flush(&mut out);
        assert_eq!(sent(&out), b"abcxx");
        wire.set_room(1 << 20);
        wire.flush(&mut out);
        assert_eq!(sent(&out).len(), 6 + COPIED_BYTES_MAX);
        assert!(sent(&out).ends_with(b"xdef"));
        assert_eq!(wire.waiting(), 0);
    }

    #[test]
    fn a_wire_without_room_is_full_at_the_high_mark() {
        let (mut wire, mut out) = (Wire::default(), Vec::new());
        wire.text().resize(OUTPUT_BYTES_HIGH - 1, b'x');
        assert!(!wire.full(&mut out));
        wire.text().push(b'x');
        assert!(wire.full(&mut out));
        wire.set_room(OUTPUT_BYTES_HIGH);
        assert!(!wire.full(&mut out));
        assert_eq!(sent(&out).len(), OUTPUT_BYTES_HIGH);
    }
}
