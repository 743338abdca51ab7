//! How chunks of parts, and long segments, are packed: each by itself, or not where that does not pay.
//!
//! Most long leaf bodies are base64 in lines of equal length. Such a chunk is kept as the octets that it encodes: three
//! quarters of the room, and put together again several times faster than inflated. What is before the first whole line and
//! behind the last one (a chunk may begin and end anywhere) is kept as it is, so what comes back is the same to the octet.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use dbmail_core::limits::CHUNK_BYTES;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// As it is.
const PLAIN: i64 = 0;
/// DEFLATE without a frame (RFC 1951).
const DEFLATE: i64 = 2;
/// Lines of base64, kept as what they encode.
const BASE64: i64 = 3;
/// The same, what they encode by DEFLATE.
const BASE64_DEFLATE: i64 = 4;
/// The fastest level: mail is packed while its sender waits, and further levels save little of base64.
const LEVEL: Compression = Compression::new(1);
/// Octets tried first, at the beginning of a chunk: what does not shrink here is not tried as a whole.
const SAMPLE_BYTES: usize = 16 * 1024;

/// Segments shorter than this are kept as they are: they fit into their row on every database, and most mail is short.
const SEGMENT_BYTES_MIN: usize = 4 * 1024;

/// As [`pack`], for the octets of a segment.
pub(crate) fn pack_segment(octets: &Bytes) -> (i64, Bytes) {
    if octets.len() < SEGMENT_BYTES_MIN {
        return (PLAIN, octets.clone());
    }
    pack(octets)
}

/// Packs a chunk where that saves a tenth at least. How, and the octets.
pub(crate) fn pack(octets: &Bytes) -> (i64, Bytes) {
    if let Some(lines) = Lines::find(octets) {
        let decoded = Bytes::from(lines.decoded);
        let head = lines.head;
        return match shrunk(&decoded) {
            Some(packed) => (BASE64_DEFLATE, [&head[..], &packed].concat().into()),
            None => (BASE64, [&head[..], &decoded].concat().into()),
        };
    }
    match shrunk(octets) {
        Some(packed) => (DEFLATE, packed.into()),
        None => (PLAIN, octets.clone()),
    }
}

/// The octets deflated, where that saves a tenth at least.
fn shrunk(octets: &Bytes) -> Option<Vec<u8>> {
    let sample = octets.get(..SAMPLE_BYTES).unwrap_or(octets);
    let pays = |packed: &Vec<u8>, of: usize| packed.len() <= of - of / 10;
    deflate(sample).filter(|packed| pays(packed, sample.len()))?;
    deflate(octets).filter(|packed| pays(packed, octets.len()))
}

/// A chunk that is mostly lines of base64.
struct Lines {
    /// Characters in a line (1 octet), octets of its end (1), octets before the lines and behind them (4 each, little
    /// endian), and these octets.
    head: Vec<u8>,
    /// What the lines encode.
    decoded: Vec<u8>,
}

/// Octets of [`Lines::head`] before those of the chunk.
const HEAD_BYTES: usize = 10;

impl Lines {
    /// Longest line that is looked for. RFC 2045 §6.8 has 76.
    const LINE_MAX: usize = 252;

    fn find(octets: &[u8]) -> Option<Self> {
        let first_end = octets
            .iter()
            .take(Self::LINE_MAX + 2)
            .position(|b| *b == b'\n')?;
        let before = first_end + 1;
        let rest = octets.get(before..)?;
        let end = rest
            .iter()
            .take(Self::LINE_MAX + 2)
            .position(|b| *b == b'\n')?;
        let eol: &[u8] = if rest.get(..end)?.ends_with(b"\r") {
            b"\r\n"
        } else {
            b"\n"
        };
        let line = (end + 1).checked_sub(eol.len())?;
        if line == 0 || line % 4 != 0 || line > Self::LINE_MAX {
            return None;
        }
        // The first line of a body is a whole one too, when the chunk begins with it.
        let before = if before == line + eol.len() && octets.get(line..before)? == eol {
            0
        } else {
            before
        };
        let mut decoded = Vec::with_capacity(octets.len() / 4 * 3);
        let mut buffer = [0; Self::LINE_MAX / 4 * 3];
        let mut at = before;
        for piece in octets.get(before..)?.chunks_exact(line + eol.len()) {
            let (text, tail) = piece.split_at_checked(line)?;
            let into = buffer.get_mut(..line / 4 * 3)?;
            if tail != eol || STANDARD_NO_PAD.decode_slice(text, into).ok() != Some(into.len()) {
                break;
            }
            decoded.extend_from_slice(into);
            at += piece.len();
        }
        let behind = octets.get(at..)?;
        let head_size = HEAD_BYTES + before + behind.len();
        let pays = head_size + decoded.len() <= octets.len() - octets.len() / 10;
        pays.then(|| {
            let mut head = Vec::with_capacity(head_size);
            head.push(u8::try_from(line).unwrap_or(0));
            head.push(u8::try_from(eol.len()).unwrap_or(0));
            for count in [before, behind.len()] {
                head.extend_from_slice(&u32::try_from(count).unwrap_or(0).to_le_bytes());
            }
            head.extend_from_slice(octets.get(..before).unwrap_or_default());
            head.extend_from_slice(behind);
            Self { head, decoded }
        })
    }

    /// Puts a chunk together again from its stored form; `None` when it is none.
    fn read(stored: &[u8], deflated: bool) -> Option<Vec<u8>> {
        let (&line, rest) = stored.split_first()?;
        let (&eol, rest) = rest.split_first()?;
        let (before, rest) = rest.split_first_chunk()?;
        let (behind, rest) = rest.split_first_chunk()?;
        let count = |octets: [u8; 4]| usize::try_from(u32::from_le_bytes(octets)).ok();
        let (before, rest) = rest.split_at_checked(count(*before)?)?;
        let (behind, decoded) = rest.split_at_checked(count(*behind)?)?;
        let line = usize::from(line);
        let eol: &[u8] = match eol {
            1 => b"\n",
            2 => b"\r\n",
            _ => return None,
        };
        let inflated;
        let decoded = if deflated {
            inflated = inflate(decoded)?;
            &inflated
        } else {
            decoded
        };
        let line_octets = line / 4 * 3;
        if line_octets == 0 || line % 4 != 0 || decoded.len() % line_octets != 0 {
            return None;
        }
        let lines = decoded.len() / line_octets;
        let size = before.len() + behind.len() + lines * (line + eol.len());
        if size > CHUNK_BYTES {
            return None;
        }
        let mut octets = Vec::with_capacity(size);
        octets.extend_from_slice(before);
        let mut buffer = [0; 256];
        let into = buffer.get_mut(..line)?;
        for piece in decoded.chunks_exact(line_octets) {
            STANDARD_NO_PAD.encode_slice(piece, into).ok()?;
            octets.extend_from_slice(into);
            octets.extend_from_slice(eol);
        }
        octets.extend_from_slice(behind);
        Some(octets)
    }
}

fn deflate(octets: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(octets.len() / 2), LEVEL);
    encoder.write_all(octets).ok()?;
    encoder.finish().ok()
}

/// At most a chunk; `None` when it is no DEFLATE, or more.
fn inflate(stored: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(CHUNK_BYTES.min(stored.len() * 4));
    // No chunk is longer, whatever the stored octets say.
    let mut limited = DeflateDecoder::new(stored).take(CHUNK_BYTES as u64 + 1);
    limited.read_to_end(&mut octets).ok()?;
    (octets.len() <= CHUNK_BYTES).then_some(octets)
}

/// The octets of a stored chunk; `None` when they are no chunk.
pub(crate) fn unpack(packing: i64, stored: Bytes) -> Option<Bytes> {
    match packing {
        PLAIN => Some(stored),
        DEFLATE => inflate(&stored).map(Bytes::from),
        BASE64 => Lines::read(&stored, false).map(Bytes::from),
        BASE64_DEFLATE => Lines::read(&stored, true).map(Bytes::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_packed_and_comes_back() {
        let text = Bytes::from("all work and no play\r\n".repeat(2_000));
        let (packing, packed) = pack(&text);
        assert_eq!(packing, DEFLATE);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(packing, packed), Some(text));
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut noise = vec![0; 50_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let noise = Bytes::from(noise);
        assert_eq!(pack(&noise), (PLAIN, noise));
    }

    #[test]
    fn a_chunk_that_unpacks_to_more_than_a_chunk_is_refused() {
        let bomb = deflate(&vec![0; CHUNK_BYTES + 1]).unwrap();
        assert_eq!(unpack(DEFLATE, bomb.into()), None);
        assert_eq!(unpack(9, Bytes::new()), None);
    }

    fn base64_lines(octets: &[u8], line: usize, eol: &str) -> Vec<u8> {
        let text = base64::engine::general_purpose::STANDARD.encode(octets);
        let lines = text.as_bytes().chunks(line);
        lines.flat_map(|l| [l, eol.as_bytes()].concat()).collect()
    }

    fn noise(size: usize) -> Vec<u8> {
        let mut noise = vec![0; size];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn base64_is_kept_as_what_it_encodes() {
        let chunk = Bytes::from(base64_lines(&noise(100_000), 76, "\r\n"));
        let (packing, packed) = pack(&chunk);
        assert_eq!(packing, BASE64);
        assert!(
            packed.len() < 100_200,
            "{} of {}",
            packed.len(),
            chunk.len()
        );
        assert_eq!(unpack(packing, packed), Some(chunk));
        let text = Bytes::from(base64_lines(
            &b"all work and no play ".repeat(5_000),
            72,
            "\n",
        ));
        let (packing, packed) = pack(&text);
        assert_eq!(packing, BASE64_DEFLATE);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(packing, packed), Some(text));
    }

    #[test]
    fn lines_that_are_not_all_base64_are_kept_as_they_are() {
        let mut chunk = base64_lines(&noise(50_000), 76, "\r\n");
        // So early that too few lines are left to pay.
        chunk[10_000] = b'!';
        let chunk = Bytes::from(chunk);
        let (packing, packed) = pack(&chunk);
        assert_ne!(packing, BASE64);
        assert_eq!(unpack(packing, packed), Some(chunk));
    }

    #[test]
    fn a_stored_form_that_is_none_is_refused() {
        for stored in [
            &b""[..],
            b"\x4c\x02",
            b"\x4c\x03\0\0\0\0\0\0\0\0",
            b"\x03\x02\0\0\0\0\0\0\0\0abc",
        ] {
            assert_eq!(unpack(BASE64, Bytes::from_static(stored)), None);
            assert_eq!(unpack(BASE64_DEFLATE, Bytes::from_static(stored)), None);
        }
        let mut big = b"\x04\x02\0\0\0\0\0\0\0\0".to_vec();
        big.extend(vec![0; CHUNK_BYTES / 2 + 2]);
        big.truncate(10 + (big.len() - 10) / 3 * 3);
        assert_eq!(unpack(BASE64, big.into()), None);
    }

    proptest! {
        #[test]
        fn base64_comes_back_wherever_a_chunk_begins_and_ends(
            size in 0usize..3_000, line in 1usize..64, crlf in any::<bool>(), from in 0usize..100, less in 0usize..100
        ) {
            let all = base64_lines(&noise(size), line * 4, if crlf { "\r\n" } else { "\n" });
            let from = from.min(all.len());
            let to = all.len().saturating_sub(less).max(from);
            let chunk = Bytes::copy_from_slice(&all[from..to]);
            let (packing, packed) = pack(&chunk);
            prop_assert_eq!(unpack(packing, packed), Some(chunk));
        }

        #[test]
        fn damaged_chunks_are_no_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), packing in 0i64..6) {
            let _ = unpack(packing, octets.into());
        }

        #[test]
        fn any_chunk_comes_back(octets in proptest::collection::vec(any::<u8>(), 0..5_000), times in 1usize..20) {
            let octets = Bytes::from(octets.repeat(times));
            let (packing, packed) = pack(&octets);
            prop_assert_eq!(unpack(packing, packed), Some(octets));
        }
    }
}
