//! A message on its way into the store: scanned, hashed and cut while it arrives; kept in memory while it is short, staged
//! in the database when it is not. Its memory is bounded whatever its size: about two chunks, the inline octets allowed
//! ([`INLINE_UPLOAD_BYTES_MAX`]), and some octets for each part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use dbmail_core::limits::{CHUNK_BYTES, HEADER_BYTES_MAX, INLINE_UPLOAD_BYTES_MAX};
use dbmail_core::mail::{Event, Scanned, Scanner, first_value};
use dbmail_core::store::Refusal;

use crate::content::{Body, Part, Piece, Prepared};
use crate::cutter::{Cut, Cutter};
use crate::engine::{Stage, StagedChunk, StagedPart, Unstage};
use crate::pack;
use crate::shared::Kind;
use crate::store::Inner;

/// Octets of a segment's row at most (the schema's limit).
const SEGMENT_BYTES_MAX: usize = 256 * 1024;
/// Octets staged in one transaction.
const STAGE_BYTES: usize = 1024 * 1024;
/// Longest ENVELOPE or BODYSTRUCTURE that is kept (the schema's limit); a longer one is absent.
const TREE_BYTES_MAX: usize = 256 * 1024;
/// Messages longer than this are put together on a thread for blocking work.
const BLOCKING_BYTES: usize = 32 * 1024;

/// A message on its way into the store. Dropping it forgets what was staged.
pub struct Upload {
    store: Arc<Inner>,
    scanner: Scanner,
    hasher: blake3::Hasher,
    size: u64,
    /// Leaf boundaries found and not given to a cutter yet.
    events: Vec<Event>,
    place: Place,
    failed: Option<Refusal>,
}

enum Place {
    Memory(BytesMut),
    Staged(Box<Staging>),
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({} octets)", self.size)
    }
}

impl Upload {
    pub(crate) fn new(store: Arc<Inner>) -> Self {
        Self {
            store,
            scanner: Scanner::new(),
            hasher: blake3::Hasher::new(),
            size: 0,
            events: Vec::new(),
            place: Place::Memory(BytesMut::new()),
            failed: None,
        }
    }

    /// Octets so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next octets. When it returns, they are kept (in memory, or staged as far as a whole piece of them is there).
    ///
    /// # Errors
    /// `Limit` when the message is longer than allowed, `Unavailable` when it can't be staged, `Upload` when its lease ran
    /// out. The upload is of no use then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        if let Some(refusal) = &self.failed {
            return Err(refusal.clone());
        }
        let written = self.take(&bytes).await;
        if let Err(refusal) = &written {
            self.failed = Some(refusal.clone());
        }
        written
    }

    async fn take(&mut self, bytes: &Bytes) -> Result<(), Refusal> {
        self.size += bytes.len() as u64;
        if self.size > self.store.shared.message_bytes_max {
            return Err(Refusal::Limit("the message is too large"));
        }
        self.hasher.update(bytes);
        self.scanner.feed(bytes);
        self.events.extend(self.scanner.events());
        let (octets, staging) = match &mut self.place {
            Place::Memory(held) => {
                held.extend_from_slice(bytes);
                if held.len() <= INLINE_UPLOAD_BYTES_MAX {
                    return Ok(());
                }
                let held = std::mem::take(held).freeze();
                let staging = Box::new(Staging::begin(&self.store).await?);
                self.place = Place::Staged(staging);
                let Place::Staged(staging) = &mut self.place else {
                    return Ok(());
                };
                (held, staging)
            }
            Place::Staged(staging) => (bytes.clone(), staging),
        };
        let mut cuts = Vec::new();
        let events = self.events.drain(..);
        staging
            .cutter
            .feed(&octets, events, self.scanner.settled(), &mut cuts);
        staging.take(&self.store, cuts).await
    }

    /// Ends the message and makes it ready to be linked.
    pub(crate) async fn finish(mut self) -> Result<(Prepared, Guard), Refusal> {
        if let Some(refusal) = self.failed.take() {
            return Err(refusal);
        }
        let scanned = std::mem::take(&mut self.scanner).finish();
        let hash = *self.hasher.finalize().as_bytes();
        let store = Arc::clone(&self.store);
        let place = std::mem::replace(&mut self.place, Place::Memory(BytesMut::new()));
        match place {
            Place::Memory(held) => {
                let octets = held.freeze();
                let opaque = &store.shared.tally.opaque;
                let prepared = if octets.len() > BLOCKING_BYTES {
                    let prepare = move || prepare(&octets, &scanned, hash);
                    let done = tokio::task::spawn_blocking(prepare).await;
                    done.map_err(|_| Refusal::Unavailable)?
                } else {
                    prepare(&octets, &scanned, hash)
                };
                let (prepared, whole) = prepared;
                opaque.fetch_add(u64::from(whole), Ordering::Relaxed);
                Ok((prepared, Guard(None)))
            }
            Place::Staged(mut staging) => {
                // What is dropped on the way out of here forgets what was staged.
                let mut events: Vec<Event> = self.events.drain(..).collect();
                events.extend(scanned.events.iter().copied());
                let cutter = std::mem::take(&mut staging.cutter);
                staging.take(&store, cutter.finish(events)).await?;
                staging.end_run(&store).await?;
                staging.flush(&store).await?;
                let prepared = staging.prepared(&store, &scanned, hash).await?;
                let upload = staging.release();
                Ok((prepared, Guard(upload.map(|upload| (store, upload)))))
            }
        }
    }
}

/// Forgets a staged upload unless it was linked.
pub(crate) struct Guard(Option<(Arc<Inner>, i64)>);

impl Guard {
    /// The upload is linked.
    pub(crate) fn linked(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((store, upload)) = self.0.take() {
            store.forget(Unstage {
                upload,
                unfinished: None,
            });
        }
    }
}

/// Header and trees, common to every way of storing.
fn outline(scanned: &Scanned, hash: [u8; 32], head: Bytes, segments: Vec<Piece>) -> Prepared {
    Prepared {
        size: scanned.size,
        header_size: scanned.header.end,
        hash,
        received: first_value(&head, b"Received").is_some(),
        head,
        envelope: kept_tree(scanned.envelope.encode()).into(),
        structure: kept_tree(scanned.structure.encode()).into(),
        segments,
        upload: None,
    }
}

/// ENVELOPE or BODYSTRUCTURE as it is kept: one that is too long is made again from the octets when asked for.
pub(crate) fn kept_tree(tree: Vec<u8>) -> Vec<u8> {
    if tree.len() <= TREE_BYTES_MAX {
        tree
    } else {
        Vec::new()
    }
}

/// Octets of the header that are kept beside the message.
fn head_size(scanned: &Scanned) -> usize {
    usize::try_from(scanned.header.end)
        .unwrap_or(usize::MAX)
        .min(HEADER_BYTES_MAX)
}

/// A message that is held whole. Also says whether it had to be stored as one opaque whole, because its parts did not go
/// together again.
pub(crate) fn prepare(octets: &Bytes, scanned: &Scanned, hash: [u8; 32]) -> (Prepared, bool) {
    let head = octets.slice(..head_size(scanned).min(octets.len()));
    let segments = cut_whole(octets, scanned, head.len());
    let prepared = outline(scanned, hash, head.clone(), segments);
    if scanned.size == octets.len() as u64 && together(&prepared) == Some(hash) {
        return (prepared, false);
    }
    tracing::warn!(
        size = octets.len(),
        "a message's parts do not go together again; stored whole"
    );
    let mut segments = Vec::new();
    inline(octets, head.len(), octets.len(), &mut segments);
    let mut prepared = outline(scanned, hash, head, segments);
    prepared.size = octets.len() as u64;
    (prepared, true)
}

/// Segments of a message that is held whole, what follows the stored header.
fn cut_whole(octets: &Bytes, scanned: &Scanned, head: usize) -> Vec<Piece> {
    let mut segments = Vec::new();
    let mut at = head;
    for leaf in &scanned.leaves {
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(octets.len());
        let (start, end) = (place(leaf.start), place(leaf.end));
        if start < at || end.saturating_sub(start) < dbmail_core::limits::PART_BYTES_MIN as usize {
            continue;
        }
        inline(octets, at, start, &mut segments);
        segments.push(Piece {
            start: start as u64,
            size: (end - start) as u64,
            body: Body::Part(part(&octets.slice(start..end))),
        });
        at = end;
    }
    inline(octets, at, octets.len(), &mut segments);
    segments
}

/// Octets from `start` to `end` as segments of their own.
fn inline(octets: &Bytes, start: usize, end: usize, out: &mut Vec<Piece>) {
    let mut at = start;
    while at < end {
        let next = end.min(at + SEGMENT_BYTES_MAX);
        let (packing, stored) = pack::pack_segment(&octets.slice(at..next));
        out.push(Piece {
            start: at as u64,
            size: (next - at) as u64,
            body: Body::Inline(packing, stored),
        });
        at = next;
    }
}

fn part(octets: &Bytes) -> Part {
    let chunk =
        |start: usize| pack::pack(&octets.slice(start..octets.len().min(start + CHUNK_BYTES)));
    Part {
        hash: *blake3::hash(octets).as_bytes(),
        size: octets.len() as u64,
        chunks: (0..octets.len()).step_by(CHUNK_BYTES).map(chunk).collect(),
    }
}

/// The hash of a message put together from what will be written; `None` when it does not go together.
fn together(message: &Prepared) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&message.head);
    let mut at = message.head.len() as u64;
    for segment in &message.segments {
        if segment.start != at {
            return None;
        }
        at += segment.size;
        match &segment.body {
            Body::Inline(packing, octets) => {
                hasher.update(&pack::unpack(*packing, octets.clone())?);
            }
            Body::Part(part) => {
                for (packing, octets) in &part.chunks {
                    hasher.update(&pack::unpack(*packing, octets.clone())?);
                }
            }
            Body::Stored(_) => return None,
        }
    }
    (at == message.size).then(|| *hasher.finalize().as_bytes())
}

/// A long message while it is staged.
pub(crate) struct Staging {
    store: Arc<Inner>,
    upload: Option<i64>,
    cutter: Cutter,
    /// The beginning of the message, as far as a header may reach.
    head: BytesMut,
    /// Nothing more belongs to `head`.
    head_ended: bool,
    /// Octets passed to segments, and to `head`.
    at: u64,
    /// Octets since the last part.
    run: BytesMut,
    segments: Vec<Piece>,
    inline_octets: usize,
    part: Option<OpenPart>,
    waiting: Stage,
    waiting_octets: usize,
    raw: Vec<(i64, u32, Bytes)>,
    /// Octets packed so far of each part that is not finished.
    packed: BTreeMap<i64, u64>,
}

/// A part while it comes.
struct OpenPart {
    id: i64,
    start: u64,
    size: u64,
    chunks: u32,
    hasher: blake3::Hasher,
    chunk: BytesMut,
}

impl Staging {
    async fn begin(store: &Arc<Inner>) -> Result<Self, Refusal> {
        let upload = store.id(Kind::Upload).await?;
        Ok(Self {
            store: Arc::clone(store),
            upload: Some(upload),
            cutter: Cutter::default(),
            head: BytesMut::new(),
            head_ended: false,
            at: 0,
            run: BytesMut::new(),
            segments: Vec::new(),
            inline_octets: 0,
            part: None,
            waiting: Stage::new(upload, true),
            waiting_octets: 0,
            raw: Vec::new(),
            packed: BTreeMap::new(),
        })
    }

    /// The upload passes to whoever links it.
    fn release(mut self) -> Option<i64> {
        self.upload.take()
    }

    async fn take(&mut self, store: &Arc<Inner>, cuts: Vec<Cut>) -> Result<(), Refusal> {
        for cut in cuts {
            match cut {
                Cut::Inline(octets) => self.inline(store, octets).await?,
                Cut::Part(octets) => {
                    self.head_ended = true;
                    self.end_run(store).await?;
                    self.part(store, &octets).await?;
                }
                Cut::PartEnd => self.end_part(store).await?,
            }
        }
        Ok(())
    }

    async fn inline(&mut self, store: &Arc<Inner>, mut octets: Bytes) -> Result<(), Refusal> {
        if !self.head_ended {
            let room = HEADER_BYTES_MAX
                .saturating_sub(self.head.len())
                .min(octets.len());
            self.head.extend_from_slice(&octets.split_to(room));
            self.at = self.head.len() as u64;
            self.head_ended = self.head.len() >= HEADER_BYTES_MAX;
        }
        while !octets.is_empty() {
            let room = SEGMENT_BYTES_MAX
                .saturating_sub(self.run.len())
                .min(octets.len());
            self.run.extend_from_slice(&octets.split_to(room));
            if self.run.len() >= SEGMENT_BYTES_MAX {
                self.end_run(store).await?;
            }
        }
        Ok(())
    }

    /// Ends the octets that are no part. What is too much to be held becomes a part all the same.
    async fn end_run(&mut self, store: &Arc<Inner>) -> Result<(), Refusal> {
        if self.run.is_empty() {
            return Ok(());
        }
        let octets = std::mem::take(&mut self.run).freeze();
        if self.inline_octets + octets.len() > INLINE_UPLOAD_BYTES_MAX {
            self.part(store, &octets).await?;
            return self.end_part(store).await;
        }
        let size = octets.len() as u64;
        self.inline_octets += octets.len();
        let (packing, octets) = pack::pack_segment(&octets);
        self.segments.push(Piece {
            start: self.at,
            size,
            body: Body::Inline(packing, octets),
        });
        self.at += size;
        Ok(())
    }

    async fn part(&mut self, store: &Arc<Inner>, octets: &[u8]) -> Result<(), Refusal> {
        if self.part.is_none() {
            let id = store.id(Kind::Part).await?;
            self.waiting.parts.push(id);
            self.part = Some(OpenPart {
                id,
                start: self.at,
                size: 0,
                chunks: 0,
                hasher: blake3::Hasher::new(),
                chunk: BytesMut::new(),
            });
        }
        let mut rest = octets;
        while let Some(part) = &mut self.part
            && !rest.is_empty()
        {
            let room = CHUNK_BYTES.saturating_sub(part.chunk.len()).min(rest.len());
            let (now, later) = rest.split_at(room);
            part.hasher.update(now);
            part.chunk.extend_from_slice(now);
            part.size += room as u64;
            rest = later;
            if part.chunk.len() >= CHUNK_BYTES {
                self.end_chunk(store).await?;
            }
        }
        Ok(())
    }

    async fn end_chunk(&mut self, store: &Arc<Inner>) -> Result<(), Refusal> {
        let Some(part) = &mut self.part else {
            return Ok(());
        };
        let octets = std::mem::take(&mut part.chunk).freeze();
        self.waiting_octets += octets.len();
        self.raw.push((part.id, part.chunks, octets));
        part.chunks += 1;
        if self.waiting_octets >= STAGE_BYTES {
            self.flush(store).await?;
        }
        Ok(())
    }

    async fn end_part(&mut self, store: &Arc<Inner>) -> Result<(), Refusal> {
        if self
            .part
            .as_ref()
            .is_some_and(|part| !part.chunk.is_empty())
        {
            self.end_chunk(store).await?;
        }
        let Some(part) = self.part.take() else {
            return Ok(());
        };
        let OpenPart {
            id,
            start,
            size,
            hasher,
            ..
        } = part;
        let hash = *hasher.finalize().as_bytes();
        self.waiting.finished.push(StagedPart {
            id,
            hash,
            size,
            packed_size: 0,
        });
        self.segments.push(Piece {
            start,
            size,
            body: Body::Stored(id),
        });
        self.at = start + size;
        Ok(())
    }

    /// Stores what waits.
    async fn flush(&mut self, store: &Arc<Inner>) -> Result<(), Refusal> {
        let Some(upload) = self.upload else {
            return Err(Refusal::Upload);
        };
        let mut stage = std::mem::replace(&mut self.waiting, Stage::new(upload, false));
        self.waiting_octets = 0;
        let raw = std::mem::take(&mut self.raw);
        let packed = tokio::task::spawn_blocking(move || {
            let pack = |(part, ordinal, octets): (i64, u32, Bytes)| {
                let (packing, octets) = pack::pack(&octets);
                StagedChunk {
                    part,
                    ordinal,
                    packing,
                    octets,
                }
            };
            raw.into_iter().map(pack).collect()
        });
        stage.chunks = packed.await.map_err(|_| Refusal::Unavailable)?;
        for chunk in &stage.chunks {
            *self.packed.entry(chunk.part).or_default() += chunk.octets.len() as u64;
        }
        for part in &mut stage.finished {
            part.packed_size = self.packed.remove(&part.id).unwrap_or(0);
        }
        let twins = store.stage(stage).await?;
        for segment in &mut self.segments {
            if let Body::Stored(id) = &mut segment.body
                && let Some((_, twin)) = twins.iter().find(|(own, _)| own == id)
            {
                *id = *twin;
            }
        }
        Ok(())
    }

    /// The message as it is to be linked, read back and proved.
    async fn prepared(
        &mut self,
        store: &Arc<Inner>,
        scanned: &Scanned,
        hash: [u8; 32],
    ) -> Result<Prepared, Refusal> {
        let kept = head_size(scanned).min(self.head.len());
        let head = std::mem::take(&mut self.head).freeze();
        let mut segments = Vec::new();
        inline(&head, kept, head.len(), &mut segments);
        segments.append(&mut self.segments);
        let mut prepared = outline(scanned, hash, head.slice(..kept), segments);
        prepared.upload = self.upload;
        if kept < head_size(scanned) || store.together(&prepared).await? != Some(hash) {
            tracing::error!(
                size = prepared.size,
                "a staged message does not go together again; refused"
            );
            store.shared.tally.opaque.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Unavailable);
        }
        Ok(prepared)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let unfinished = self.part.as_ref().map(|part| part.id);
            self.store.forget(Unstage { upload, unfinished });
        }
    }
}

impl Stage {
    const fn new(upload: i64, begins: bool) -> Self {
        Self {
            upload,
            begins,
            parts: Vec::new(),
            chunks: Vec::new(),
            finished: Vec::new(),
        }
    }
}
