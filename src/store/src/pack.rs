//! How chunks of parts are packed: each by itself, or not where that does not pay.

use std::io::{Read, Write};

use bytes::Bytes;
use dbmail_core::limits::CHUNK_BYTES;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// As it is.
const PLAIN: i64 = 0;
/// DEFLATE without a frame (RFC 1951).
const DEFLATE: i64 = 2;
/// The fastest level: mail is packed while its sender waits, and further levels save little of base64.
const LEVEL: Compression = Compression::new(1);
/// Octets tried first, at the beginning of a chunk: what does not shrink here is not tried as a whole.
const SAMPLE_BYTES: usize = 16 * 1024;

/// Packs a chunk where that saves a tenth at least. How, and the octets.
pub(crate) fn pack(octets: &Bytes) -> (i64, Bytes) {
    let sample = octets.get(..SAMPLE_BYTES).unwrap_or(octets);
    let pays = |packed: usize, of: usize| packed <= of - of / 10;
    if sample.is_empty() || !deflate(sample).is_some_and(|p| pays(p.len(), sample.len())) {
        return (PLAIN, octets.clone());
    }
    match deflate(octets) {
        Some(packed) if pays(packed.len(), octets.len()) => (DEFLATE, packed.into()),
        _ => (PLAIN, octets.clone()),
    }
}

fn deflate(octets: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(octets.len() / 2), LEVEL);
    encoder.write_all(octets).ok()?;
    encoder.finish().ok()
}

/// The octets of a stored chunk; `None` when they are no chunk.
pub(crate) fn unpack(packing: i64, stored: Bytes) -> Option<Bytes> {
    match packing {
        PLAIN => Some(stored),
        DEFLATE => {
            let mut octets = Vec::with_capacity(CHUNK_BYTES.min(stored.len() * 4));
            // No chunk is longer, whatever the stored octets say.
            let mut limited = DeflateDecoder::new(&*stored).take(CHUNK_BYTES as u64 + 1);
            limited.read_to_end(&mut octets).ok()?;
            (octets.len() <= CHUNK_BYTES).then(|| octets.into())
        }
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

    proptest! {
        #[test]
        fn any_chunk_comes_back(octets in proptest::collection::vec(any::<u8>(), 0..5_000), times in 1usize..20) {
            let octets = Bytes::from(octets.repeat(times));
            let (packing, packed) = pack(&octets);
            prop_assert_eq!(unpack(packing, packed), Some(octets));
        }
    }
}
