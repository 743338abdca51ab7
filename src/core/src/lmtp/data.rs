//! What DATA carries (RFC 5321 §4.5.2), decoded as it comes in slices of any size.

/// Undoes dot-stuffing and finds the end. Only CRLF ends a line here: a bare LF or CR is an octet like others, so
/// that `LF . LF` and its kin end nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DotDecoder {
    state: Dots,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dots {
    /// At the beginning of a line.
    Line,
    /// Within a line.
    Text,
    /// After CR within a line.
    Cr,
    /// After a dot at the beginning of a line; the dot is held back.
    Dot,
    /// After a dot and CR at the beginning of a line; both are held back.
    DotCr,
}

impl Default for DotDecoder {
    fn default() -> Self {
        Self { state: Dots::Line }
    }
}

impl DotDecoder {
    /// Takes octets from the wire and appends those of the message. Returns how many it took, and whether
    /// the end was among them (then nothing behind it is taken).
    pub fn feed(&mut self, wire: &[u8], message: &mut Vec<u8>) -> (usize, bool) {
        let mut taken = 0;
        while let Some(rest) = wire.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.state == Dots::Text {
                // The bulk: up to the next CR nothing can happen.
                let run = memchr_cr(rest);
                message.extend_from_slice(rest.get(..run).unwrap_or_default());
                taken += run;
                if run < rest.len() {
                    message.push(b'\r');
                    taken += 1;
                    self.state = Dots::Cr;
                }
                continue;
            }
            let Some(&b) = rest.first() else { break };
            taken += 1;
            self.state = match (self.state, b) {
                (Dots::Line, b'.') => Dots::Dot,
                (Dots::Dot, b'\r') => Dots::DotCr,
                (Dots::DotCr, b'\n') => {
                    self.state = Dots::Line;
                    return (taken, true);
                }
                (Dots::DotCr, b'\r') => {
                    // `. CR CR`: the dot was stuffing, the first CR text; the second may begin CRLF.
                    message.extend_from_slice(b"\r\r");
                    Dots::Cr
                }
                (Dots::DotCr, b) => {
                    message.extend_from_slice(&[b'\r', b]);
                    Dots::Text
                }
                (Dots::Cr, b'\n') => {
                    message.push(b'\n');
                    Dots::Line
                }
                (Dots::Line | Dots::Text | Dots::Cr, b'\r') => {
                    message.push(b'\r');
                    Dots::Cr
                }
                (Dots::Line | Dots::Text | Dots::Cr | Dots::Dot, b) => {
                    message.push(b);
                    Dots::Text
                }
            };
        }
        (taken, false)
    }
}

/// Index of the first CR, or the length.
fn memchr_cr(bytes: &[u8]) -> usize {
    memchr::memchr(b'\r', bytes).unwrap_or(bytes.len())
}

/// Drops Return-Path fields from the header of a message that passes in slices. Lines end in LF, with or without CR before
/// it, as in the MIME scanner, so that both see the same header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnPathFilter {
    state: Path,
    /// Octets held back: the beginning of a line as long as it may be a Return-Path, or a whole such field until its end is seen.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Path {
    /// At the beginning of a line of the header, not decided yet.
    #[default]
    Start,
    /// In a line that is kept.
    Keep,
    /// In a Return-Path field, held back: it is dropped once it is seen to end.
    Field,
    /// At the beginning of the line after one of the field: a continuation goes with it.
    AfterField,
    /// The header is over.
    Body,
}

/// The field's name, in lower case.
const RETURN_PATH: &[u8] = b"return-path";
/// Longest field that is dropped, folding included: a path has 256 octets (RFC 5321 §4.5.3.1.3), and what goes on longer,
/// as the first line of a message without line ends does, is no such field. So no more than this can be lost of a message.
const FIELD_BYTES_MAX: usize = 1_000;
/// White space taken between the field's name and its colon (RFC 5322 §4.5 `obs-return`), in octets.
const NAME_SPACE_MAX: usize = 64;

impl ReturnPathFilter {
    /// Passes octets on to `kept`, save those of Return-Path fields.
    pub fn feed(&mut self, bytes: &[u8], kept: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.state {
                Path::Body => {
                    kept.extend_from_slice(rest);
                    return;
                }
                Path::Keep => {
                    let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    let (now, later) = rest.split_at_checked(line).unwrap_or((rest, b""));
                    kept.extend_from_slice(now);
                    if now.last() == Some(&b'\n') {
                        self.state = Path::Start;
                    }
                    rest = later;
                }
                Path::AfterField => {
                    self.state = if matches!(rest.first(), Some(b' ' | b'\t')) {
                        Path::Field
                    } else {
                        self.held.clear();
                        Path::Start
                    };
                }
                Path::Field | Path::Start => {
                    let Some((&b, later)) = rest.split_first() else {
                        return;
                    };
                    let bare_cr = self.held.last() == Some(&b'\r') && b != b'\n';
                    self.held.push(b);
                    rest = later;
                    if self.state == Path::Start {
                        self.decide(kept);
                    } else if bare_cr || self.held.len() > FIELD_BYTES_MAX {
                        kept.append(&mut self.held);
                        self.state = if b == b'\n' { Path::Start } else { Path::Keep };
                    } else if b == b'\n' {
                        self.state = Path::AfterField;
                    }
                }
            }
        }
    }

    /// Looks at what is held back of a line and leaves `Start` as soon as it is clear what the line is.
    fn decide(&mut self, kept: &mut Vec<u8>) {
        let decided = if matches!(self.held.as_slice(), b"\n" | b"\r\n") {
            Some(Path::Body)
        } else if self.held == b"\r" {
            None
        } else if self.held.len() <= RETURN_PATH.len() {
            let begins = RETURN_PATH
                .get(..self.held.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(&self.held));
            (!begins).then_some(Path::Keep)
        } else {
            match self.held.last() {
                Some(b':') => Some(Path::Field),
                Some(b' ' | b'\t') if self.held.len() < RETURN_PATH.len() + NAME_SPACE_MAX => None,
                _ => Some(Path::Keep),
            }
        };
        let Some(decided) = decided else { return };
        let ended = self.held.last() == Some(&b'\n');
        if decided != Path::Field {
            kept.append(&mut self.held);
        }
        self.state = if decided == Path::Keep && ended {
            Path::Start
        } else {
            decided
        };
    }

    /// The message ends: passes on what is held back, save a whole field.
    pub fn finish(&mut self, kept: &mut Vec<u8>) {
        if self.state == Path::AfterField {
            self.held.clear();
        }
        kept.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes in slices of the given size; gives the message, what was left behind the end, and whether it ended.
    fn decode(wire: &[u8], slice: usize) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut decoder, mut message, mut at) = (DotDecoder::default(), Vec::new(), 0);
        for piece in wire.chunks(slice.max(1)) {
            let (taken, ended) = decoder.feed(piece, &mut message);
            at += taken;
            if ended {
                return (message, wire[at..].to_vec(), true);
            }
            assert_eq!(taken, piece.len());
        }
        (message, Vec::new(), false)
    }

    // clause: 5321-2.3.8-lines, 5321-4.5.2-dots
    #[test]
    fn known_answers() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b".\r\n", Some(b"")),
            (b"a\r\n.\r\n", Some(b"a\r\n")),
            (b"..\r\n.\r\n", Some(b".\r\n")),
            (b".a\r\n.\r\n", Some(b"a\r\n")),
            (b"a\n.\n.\r\n.\r\n", Some(b"a\n.\n.\r\n")),
            (b"a\r.\r\r\n.\r\n", Some(b"a\r.\r\r\n")),
            (b".\r\r\n.\r\n", Some(b"\r\r\n")),
            (b".\rx\r\n.\r\n", Some(b"\rx\r\n")),
            (b"\0\r\n.\r\n", Some(b"\0\r\n")),
            (b"a\r\n.\n", None),
            (b"a\n.\r\n", None),
            (b"a\r\n.", None),
        ];
        for (wire, message) in table {
            for slice in 1..=wire.len() {
                let (got, left, ended) = decode(wire, slice);
                assert_eq!(
                    ended.then_some(&got[..]),
                    *message,
                    "{:?}",
                    String::from_utf8_lossy(wire)
                );
                assert_eq!(left, b"");
            }
        }
    }

    fn stuff(message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut rest = message;
        while !rest.is_empty() {
            let end = rest
                .windows(2)
                .position(|w| w == b"\r\n")
                .map_or(rest.len(), |at| at + 2);
            if rest[0] == b'.' {
                wire.push(b'.');
            }
            wire.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![
                Just(b'.'),
                Just(b'\r'),
                Just(b'\n'),
                Just(b'a'),
                any::<u8>()
            ],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn a_stuffed_message_comes_out_as_it_was(mut message in octets(), slice in 1usize..9) {
            if !message.is_empty() {
                message.extend_from_slice(b"\r\n");
            }
            let mut wire = stuff(&message);
            wire.extend_from_slice(b"QUIT");
            let (got, _, ended) = decode(&wire, wire.len());
            prop_assert!(ended);
            prop_assert_eq!(&got, &message);
            prop_assert_eq!(decode(&wire[..wire.len() - 4], slice).0, message);
        }

        #[test]
        fn only_crlf_dot_crlf_ends_a_message(wire in octets()) {
            let ends = wire.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5);
            let at_once = wire.starts_with(b".\r\n").then_some(3);
            let (_, left, ended) = decode(&wire, wire.len().max(1));
            prop_assert_eq!(ended.then(|| wire.len() - left.len()), at_once.or(ends));
        }

        #[test]
        fn the_filter_does_not_mind_how_a_message_is_cut(message in octets(), slice in 1usize..9) {
            prop_assert_eq!(filtered(&message, slice), filtered(&message, 1000));
        }
    }

    fn filtered(message: &[u8], slice: usize) -> Vec<u8> {
        let (mut filter, mut kept) = (ReturnPathFilter::default(), Vec::new());
        for piece in message.chunks(slice) {
            filter.feed(piece, &mut kept);
        }
        filter.finish(&mut kept);
        kept
    }

    #[test]
    fn no_more_of_a_message_is_dropped_than_a_field_can_have() {
        let mut message = b"Return-Path: ".to_vec();
        message.resize(FIELD_BYTES_MAX - 2, b'x');
        message.extend_from_slice(b"\r\n");
        assert_eq!(filtered(&message, 7), b"");
        let longer = [b"Return-Path: <a>\n x".as_slice(), &message].concat();
        assert_eq!(filtered(&longer, 7), longer);
    }

    #[test]
    fn return_path_fields_are_dropped_from_the_header_alone() {
        let table: &[(&[u8], &[u8])] = &[
            (b"Return-Path: <a>\r\nA: b\r\n\r\nx", b"A: b\r\n\r\nx"),
            (b"return-path\t : <a\n\tb>\n c\nA: b\n\nx", b"A: b\n\nx"),
            (
                b"A: b\r\nRETURN-PATH:\r\n\r\nReturn-Path: x\r\n",
                b"A: b\r\n\r\nReturn-Path: x\r\n",
            ),
            (b"Return-Paths: a\r\n", b"Return-Paths: a\r\n"),
            (
                b"A: b\r\n Return-Path: c\r\n",
                b"A: b\r\n Return-Path: c\r\n",
            ),
            (b"Return-Path", b"Return-Path"),
            (b"Return-Path: x\r\n", b""),
            (b"Return-Path: x\r\n y\r\n", b""),
            // Not seen to end, or with a bare CR as in a message whose only line ends are CRs: kept.
            (b"Return-Path: x", b"Return-Path: x"),
            (b"Return-Path: x\r\n y", b"Return-Path: x\r\n y"),
            (
                b"Return-Path: <>\rReceived: x\r\rtext\r\n",
                b"Return-Path: <>\rReceived: x\r\rtext\r\n",
            ),
            (b"\r\nReturn-Path: x", b"\r\nReturn-Path: x"),
            (b"\r\rReturn-Path: x", b"\r\rReturn-Path: x"),
            (b"Return-Path: a\r\nReturn-Path: b\r\nC: d\r\n", b"C: d\r\n"),
        ];
        for (message, kept) in table {
            for slice in 1..=message.len() {
                let shown = String::from_utf8_lossy(message);
                assert_eq!(&filtered(message, slice)[..], *kept, "{shown:?} by {slice}");
            }
        }
    }
}
