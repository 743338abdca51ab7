//! Cuts a message into stretches as its octets arrive: leaf bodies that are long enough to be parts, and the rest.
//!
//! What comes out, put one after another, is what went in: the cutter only decides where one stretch ends.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use dbmail_core::limits::PART_BYTES_MIN;
use dbmail_core::mail::Event;

/// A stretch, or the end of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Octets that are nobody else's.
    Inline(Bytes),
    /// The next octets of a part.
    Part(Bytes),
    /// The part is complete.
    PartEnd,
}

/// The cutting of one message, at some octet of it.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Offset of the first octet of `held`.
    at: u64,
    held: BytesMut,
    events: VecDeque<Event>,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Between,
    /// In a leaf that is too short so far.
    Leaf,
    /// In a leaf that is a part.
    Part,
}

impl Cutter {
    /// Takes octets, the leaf boundaries that were found since, and the offset before which no further one will be.
    pub(crate) fn feed(
        &mut self,
        octets: &[u8],
        events: impl IntoIterator<Item = Event>,
        settled: u64,
        out: &mut Vec<Cut>,
    ) {
        self.held.extend_from_slice(octets);
        self.events.extend(events);
        let end = self.at + self.held.len() as u64;
        self.cut(settled.min(end), out);
    }

    /// The message has ended.
    pub(crate) fn finish(mut self, events: impl IntoIterator<Item = Event>) -> Vec<Cut> {
        let mut out = Vec::new();
        self.feed(&[], events, u64::MAX, &mut out);
        // A leaf without an end would be the scanner's mistake; no octet is lost by it.
        let rest = self.held.len();
        let place = std::mem::take(&mut self.place);
        match place {
            Place::Between | Place::Leaf => self.emit(rest, Cut::Inline, &mut out),
            Place::Part => {
                self.emit(rest, Cut::Part, &mut out);
                out.push(Cut::PartEnd);
            }
        }
        out
    }

    fn cut(&mut self, settled: u64, out: &mut Vec<Cut>) {
        loop {
            let boundary = self.events.front().map(|event| match event {
                Event::LeafStart { at } | Event::LeafEnd { at } => *at,
            });
            let limit = boundary.map_or(settled, |at| at.min(settled)).max(self.at);
            let ready = usize::try_from(limit - self.at)
                .unwrap_or(0)
                .min(self.held.len());
            let ends = boundary.is_some_and(|at| at <= limit);
            match self.place {
                Place::Between => self.emit(ready, Cut::Inline, out),
                Place::Leaf if ready as u64 >= PART_BYTES_MIN => {
                    self.place = Place::Part;
                    self.emit(ready, Cut::Part, out);
                }
                Place::Leaf if ends => self.emit(ready, Cut::Inline, out),
                Place::Leaf => {}
                Place::Part => self.emit(ready, Cut::Part, out),
            }
            if !ends {
                return;
            }
            match self.events.pop_front() {
                Some(Event::LeafStart { .. }) if self.place == Place::Between => {
                    self.place = Place::Leaf;
                }
                Some(Event::LeafEnd { .. }) => {
                    if self.place == Place::Part {
                        out.push(Cut::PartEnd);
                    }
                    self.place = Place::Between;
                }
                Some(Event::LeafStart { .. }) | None => {}
            }
        }
    }

    fn emit(&mut self, count: usize, cut: fn(Bytes) -> Cut, out: &mut Vec<Cut>) {
        if count > 0 {
            self.at += count as u64;
            out.push(cut(self.held.split_to(count).freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use dbmail_core::mail::Scanner;
    use proptest::prelude::*;

    use super::*;

    fn cuts(message: &[u8], slice: usize) -> Vec<Cut> {
        let (mut scanner, mut cutter) = (Scanner::new(), Cutter::default());
        let mut out = Vec::new();
        for octets in message.chunks(slice) {
            scanner.feed(octets);
            let events: Vec<Event> = scanner.events().collect();
            cutter.feed(octets, events, scanner.settled(), &mut out);
        }
        out.extend(cutter.finish(scanner.finish().events));
        out
    }

    /// Octets, and lengths of the parts.
    fn summary(cuts: &[Cut]) -> (Vec<u8>, Vec<usize>) {
        let (mut octets, mut parts, mut part) = (Vec::new(), Vec::new(), 0);
        for cut in cuts {
            match cut {
                Cut::Inline(bytes) => octets.extend_from_slice(bytes),
                Cut::Part(bytes) => {
                    octets.extend_from_slice(bytes);
                    part += bytes.len();
                }
                Cut::PartEnd => parts.push(std::mem::take(&mut part)),
            }
        }
        (octets, parts)
    }

    fn message(long: usize, short: usize) -> Vec<u8> {
        let line = "0123456789abcdef\r\n";
        let body = |n: usize| line.repeat(n / line.len() + 1)[..n].to_owned();
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{}\r\n--b\r\n\r\n{}\r\n--b--\r\n",
            body(short),
            body(long)
        )
        .into_bytes()
    }

    #[test]
    fn a_long_leaf_is_a_part_and_a_short_one_is_not() {
        let message = message(20_000, 15_000);
        for slice in [1, 7, 4_096, 1 << 20] {
            assert_eq!(
                summary(&cuts(&message, slice)),
                (message.clone(), vec![20_000])
            );
        }
    }

    #[test]
    fn a_leaf_of_exactly_the_least_size_is_a_part() {
        let least = PART_BYTES_MIN as usize;
        assert_eq!(
            summary(&cuts(&message(least, least - 1), 1_000)).1,
            vec![least]
        );
    }

    #[test]
    fn boundaries_out_of_order_lose_no_octet() {
        let events = [
            Event::LeafEnd { at: 9 },
            Event::LeafStart { at: 3 },
            Event::LeafStart { at: 2 },
        ];
        let mut cutter = Cutter::default();
        let mut out = Vec::new();
        cutter.feed(b"0123456789", events, 10, &mut out);
        out.extend(cutter.finish([]));
        assert_eq!(summary(&out).0, b"0123456789");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(
            long in 0usize..60_000, short in 0usize..20_000, slice in 1usize..9_000
        ) {
            let message = message(long, short);
            let (octets, parts) = summary(&cuts(&message, slice));
            prop_assert_eq!(octets, message);
            let least = PART_BYTES_MIN as usize;
            let expected: Vec<usize> = [short, long].into_iter().filter(|n| *n >= least).collect();
            prop_assert_eq!(parts, expected);
        }
    }
}
