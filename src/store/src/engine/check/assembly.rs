//! One content, put together again from its header and segments: what of it is as it was stored.

use bytes::Bytes;
use dbmail_core::limits::HEADER_BYTES_MAX;
use dbmail_core::mail::Scanner;

use super::Mend;
use crate::check::FaultKind;
use crate::driver::{Failure, Row};
use crate::pack;
use crate::upload::kept_tree;

/// A content's row.
pub(super) struct Content {
    pub(super) id: i64,
    pub(super) size: i64,
    pub(super) header_size: i64,
    pub(super) hash: Bytes,
    /// Octets of the stored header.
    header_length: i64,
    /// Whether an email has it.
    pub(super) used: bool,
    pub(super) envelope: Bytes,
    pub(super) structure: Bytes,
    header: Bytes,
}

impl Content {
    pub(super) fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            id: row.int(0)?,
            size: row.int(1)?,
            header_size: row.int(2)?,
            hash: row.bytes(3)?,
            header_length: row.int(4)?,
            used: row.int(5)? > 0,
            envelope: row.bytes(6)?,
            structure: row.bytes(7)?,
            header: row.bytes(8)?,
        })
    }
}

/// A segment's row, with that of its part.
pub(super) struct Segment {
    pub(super) content: i64,
    pub(super) ordinal: i64,
    start: i64,
    size: i64,
    part: Option<i64>,
    coding: i64,
    length: i64,
    /// Its part is there: whether it is finished, its octets and their hash.
    stored: Option<(bool, i64, Bytes)>,
    octets: Bytes,
}

impl Segment {
    pub(super) fn read(row: &mut Row<'_>) -> Result<Self, Failure> {
        let stored = match row.int_or_none(7)? {
            Some(_) => Some((row.int(8)? == 1, row.int(9)?, row.bytes(10)?)),
            None => None,
        };
        Ok(Self {
            content: row.int(0)?,
            ordinal: row.int(1)?,
            start: row.int(2)?,
            size: row.int(3)?,
            part: row.int_or_none(4)?,
            coding: row.int(5)?,
            length: row.int(6)?,
            stored,
            octets: row.bytes(11)?,
        })
    }
}

/// A part that a segment has.
pub(super) struct Wanted {
    pub(super) part: i64,
    pub(super) size: i64,
    pub(super) hash: Bytes,
}

/// What is wrong with a content, and how it is mended.
pub(super) type Wrong = (FaultKind, String, Option<Mend>);

/// The octets of a content, as far as they are put together.
pub(super) struct Assembly {
    pub(super) content: Content,
    bodies: bool,
    at: i64,
    hasher: blake3::Hasher,
    scanner: Scanner,
    wrong: Vec<Wrong>,
    /// Nothing is missing so far.
    whole: bool,
}

/// What the octets of a message say of it, once they are proved.
pub(super) struct Truth {
    pub(super) size: i64,
    pub(super) header_size: i64,
    pub(super) envelope: Vec<u8>,
    pub(super) structure: Vec<u8>,
}

impl Assembly {
    pub(super) fn begin(content: Content, bodies: bool) -> Self {
        let mut assembly = Self {
            at: content.header_length,
            content,
            bodies,
            hasher: blake3::Hasher::new(),
            scanner: Scanner::new(),
            wrong: Vec::new(),
            whole: true,
        };
        let header = std::mem::take(&mut assembly.content.header);
        assembly.feed(&header);
        assembly
    }

    /// Takes octets that follow.
    pub(super) fn feed(&mut self, octets: &[u8]) {
        if self.bodies && self.whole {
            self.hasher.update(octets);
            self.scanner.feed(octets);
            // What the scanner tells of leaves is of no use here.
            drop(self.scanner.events());
        }
    }

    /// Octets of it that were read.
    pub(super) fn octets(&self) -> u64 {
        self.hasher.count()
    }

    /// A part of it can't be had; that is told of the part.
    pub(super) const fn lost(&mut self) {
        self.whole = false;
    }

    fn is_wrong(&mut self, kind: FaultKind, what: String) {
        self.whole = false;
        self.wrong.push((kind, what, None));
    }

    /// Takes the next segment. The part whose octets are to be fed, where they are looked at.
    pub(super) fn segment(&mut self, segment: Segment) -> Option<Wanted> {
        let Segment {
            ordinal,
            start,
            size,
            ..
        } = segment;
        if start != self.at {
            let what = format!("segment {ordinal} begins at {start} instead of {}", self.at);
            self.is_wrong(FaultKind::SegmentGap, what);
        }
        self.at = start.saturating_add(size);
        let Some(part) = segment.part else {
            self.own_octets(&segment);
            return None;
        };
        let Some((finished, part_size, hash)) = segment.stored else {
            let what = format!("part {part} of segment {ordinal} is not there");
            self.is_wrong(FaultKind::SegmentPart, what);
            return None;
        };
        if !finished {
            let what = format!("part {part} of segment {ordinal} is not finished");
            self.is_wrong(FaultKind::PartUnfinished, what);
        } else if segment.coding == 0 && part_size != size {
            let what = format!(
                "part {part} of segment {ordinal} has {part_size} octets instead of {size}"
            );
            self.is_wrong(FaultKind::SegmentSize, what);
        }
        (self.bodies && self.whole).then_some(Wanted {
            part,
            size: part_size,
            hash,
        })
    }

    /// Takes a segment's own octets. What they are unpacked is seen only where octets are looked at.
    fn own_octets(&mut self, segment: &Segment) {
        let Segment { ordinal, size, .. } = segment;
        let packed = segment.coding != 0;
        if packed && !self.bodies {
            return;
        }
        let octets = pack::unpack(segment.coding, segment.octets.clone());
        let Some(octets) = octets else {
            let what = format!("segment {ordinal} can't be unpacked");
            return self.is_wrong(FaultKind::SegmentUnreadable, what);
        };
        let length = if packed {
            i64::try_from(octets.len()).unwrap_or(i64::MAX)
        } else {
            segment.length
        };
        if length != *size {
            let what = format!("segment {ordinal} has {length} octets instead of {size}");
            self.is_wrong(FaultKind::SegmentSize, what);
        }
        self.feed(&octets);
    }

    /// All segments were taken: what is wrong, and what is true where that is proved.
    pub(super) fn end(mut self) -> (Vec<Wrong>, Option<Truth>) {
        let content = &self.content;
        let mend = Some(Mend::Content(content.id));
        let size = format!("{} octets are noted, {} are there", content.size, self.at);
        let header_kept = |header_size: i64| header_size.min(HEADER_BYTES_MAX as i64);
        if !(self.bodies && self.whole) {
            if self.at != content.size {
                self.wrong.push((FaultKind::SegmentGap, size, None));
            }
            let kept = header_kept(content.header_size);
            if content.header_length != kept {
                let length = content.header_length;
                let what = format!("{length} octets of the header are there instead of {kept}");
                self.wrong.push((FaultKind::ContentHeader, what, None));
            }
            return (self.wrong, None);
        }
        if self.hasher.finalize().as_bytes()[..] != content.hash[..] {
            let what = format!("content {} has another digest", content.id);
            let wrong = if self.at == content.size {
                (FaultKind::ContentBytes, what, None)
            } else {
                (FaultKind::SegmentGap, size, None)
            };
            self.wrong.push(wrong);
            return (self.wrong, None);
        }
        // The octets are those that arrived: what they say of themselves is true.
        let scanned = self.scanner.finish();
        let truth = Truth {
            size: i64::try_from(scanned.size).unwrap_or(i64::MAX),
            header_size: i64::try_from(scanned.header.end).unwrap_or(i64::MAX),
            envelope: kept_tree(scanned.envelope.encode()),
            structure: kept_tree(scanned.structure.encode()),
        };
        if content.size != truth.size {
            self.wrong.push((FaultKind::ContentSize, size, mend));
        }
        if content.header_size != truth.header_size {
            let (is, should) = (content.header_size, truth.header_size);
            let what = format!("the header is noted with {is} octets, and has {should}");
            self.wrong.push((FaultKind::HeaderSize, what, mend));
        }
        let kept = header_kept(truth.header_size);
        if content.header_length != kept {
            let length = content.header_length;
            let what = format!("{length} octets of the header are apart instead of {kept}");
            self.wrong.push((FaultKind::ContentHeader, what, None));
        }
        let mut trees = Vec::new();
        for (name, is, should) in [
            ("the envelope", &content.envelope, &truth.envelope),
            ("the structure", &content.structure, &truth.structure),
        ] {
            if is[..] != should[..] {
                trees.push(name);
            }
        }
        if !trees.is_empty() {
            let what = format!("{} of content {} differs", trees.join(" and "), content.id);
            self.wrong.push((FaultKind::ContentTrees, what, mend));
        }
        (self.wrong, Some(truth))
    }
}
