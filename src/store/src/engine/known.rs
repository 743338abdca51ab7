//! What SELECT needs of a mailbox's messages, without reading their rows (STORAGE 10): what this front-end knows already,
//! brought forward from the log, or else the stored map. Both are caches. What they say is held against the counters of the
//! same moment, and where it does not agree the rows are read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dbmail_core::store::{Keyword, Mailbox, MailboxId, ModSeq, Refusal, SystemFlags, Uid, UidSet};

use super::open::{flags, keyword};
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Failure, Row, Value, values};
use crate::map;
use crate::shared::lock;
use crate::sql::Sql;
use crate::uid_bytes;

/// Rows of the log that are read rather than the map or the messages.
const LOG_ROWS_MAX: u64 = 5_000;
/// Rows of the log since the map from which on it is written again.
const LOG_ROWS_STALE: u64 = 1_000;
/// Messages whose UIDs are read in one statement.
const ROWS: u32 = 1 << 16;
/// Mailboxes that a front-end knows. Those opened longest ago are forgotten.
const MAILBOXES_MAX: usize = 10_000;
/// Ranges of UIDs in all that it knows, 8 octets each: 32 MiB.
const RANGES_MAX: usize = 4 << 20;

/// System flags but `\Seen`, whose opposite is kept.
const OTHERS: [SystemFlags; 4] = [
    SystemFlags::ANSWERED,
    SystemFlags::FLAGGED,
    SystemFlags::DELETED,
    SystemFlags::DRAFT,
];

/// The messages of a mailbox at a MODSEQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) modseq: ModSeq,
    pub(crate) uids: UidSet,
    pub(crate) unseen: UidSet,
    /// Who has each of `OTHERS`; the stored map does not say.
    others: Option<[UidSet; 4]>,
    pub(crate) keywords: Vec<Keyword>,
}

impl Known {
    fn agrees(&self, counters: &Counters) -> bool {
        let deleted = self.others.as_ref().map(|[_, _, deleted, _]| deleted.len());
        self.uids.len() == counters.messages
            && self.unseen.len() == counters.unseen
            && deleted.is_none_or(|deleted| deleted == counters.deleted)
    }

    fn ranges(&self) -> usize {
        let others = self.others.iter().flatten().map(UidSet::range_count);
        self.uids.range_count() + self.unseen.range_count() + 1 + others.sum::<usize>()
    }

    /// Some of the messages by the system flags that they have; none when these are not known.
    pub(super) fn by_flags(&self, of: &UidSet) -> Option<BTreeMap<SystemFlags, UidSet>> {
        let others = self.others.as_ref()?;
        let seen = self.uids.difference(&self.unseen);
        let mut groups = vec![(SystemFlags::NONE, of.intersection(&self.uids))];
        let sets = others.iter().chain([&seen]);
        for (flag, having) in OTHERS.into_iter().chain([SystemFlags::SEEN]).zip(sets) {
            let mut split = Vec::with_capacity(groups.len() + 1);
            for (flags, uids) in groups {
                let with = uids.intersection(having);
                if !with.is_empty() {
                    split.push((flags, uids.difference(&with)));
                    split.push((flags.with(flag), with));
                } else {
                    split.push((flags, uids));
                }
            }
            split.retain(|(_, uids)| !uids.is_empty());
            groups = split;
        }
        Some(groups.into_iter().collect())
    }
}

/// What the counter row of a mailbox says of its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub(super) modseq: ModSeq,
    pub(super) messages: u32,
    pub(super) unseen: u32,
    pub(super) deleted: u32,
    /// The log is whole above this.
    pub(super) log_from: ModSeq,
}

impl Counters {
    /// Of a mailbox that was read with its counters.
    pub(super) const fn of(mailbox: &Mailbox, log_from: ModSeq) -> Self {
        Self {
            modseq: mailbox.modseq,
            messages: mailbox.messages,
            unseen: mailbox.unseen,
            deleted: mailbox.deleted,
            log_from,
        }
    }

    /// Out of a row of `StateLock`.
    pub(super) fn locked(row: &Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            modseq: ModSeq(row.u64(1)?),
            messages: row.u32(2)?,
            unseen: row.u32(3)?,
            deleted: row.u32(4)?,
            log_from: ModSeq(row.u64(6)?),
        })
    }

    /// Out of a row of `StateRead`.
    fn read(row: &Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            modseq: ModSeq(row.u64(0)?),
            log_from: ModSeq(row.u64(1)?),
            messages: row.u32(2)?,
            unseen: row.u32(3)?,
            deleted: row.u32(4)?,
        })
    }
}

/// Mailboxes that the front-end knows.
#[derive(Default)]
pub(crate) struct Memory {
    kept: Mutex<Kept>,
    /// Opened from what was known and the log.
    pub(crate) from_memory: AtomicU64,
    /// Opened from the stored map and the log.
    pub(crate) from_map: AtomicU64,
    /// Opened from the rows.
    pub(crate) from_rows: AtomicU64,
    /// Times that flags were taken from what was known.
    pub(crate) flags: AtomicU64,
}

#[derive(Default)]
struct Kept {
    mailboxes: BTreeMap<MailboxId, (Arc<Known>, u64)>,
    /// Counts what is kept and asked for.
    clock: u64,
    ranges: usize,
}

impl Memory {
    fn has(&self, mailbox: MailboxId) -> bool {
        lock(&self.kept).mailboxes.contains_key(&mailbox)
    }

    fn get(&self, mailbox: MailboxId) -> Option<Arc<Known>> {
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let clock = kept.clock;
        let (known, used) = kept.mailboxes.get_mut(&mailbox)?;
        *used = clock;
        Some(Arc::clone(known))
    }

    fn keep(&self, mailbox: MailboxId, known: &Arc<Known>) {
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let entry = (Arc::clone(known), kept.clock);
        kept.ranges += known.ranges();
        if let Some((before, _)) = kept.mailboxes.insert(mailbox, entry) {
            kept.ranges -= before.ranges();
        }
        while kept.mailboxes.len() > MAILBOXES_MAX || kept.ranges > RANGES_MAX {
            let used = |(id, (_, used)): (&MailboxId, &(Arc<Known>, u64))| (*used, *id);
            let Some((_, oldest)) = kept.mailboxes.iter().map(used).min() else {
                return;
            };
            if let Some((forgotten, _)) = kept.mailboxes.remove(&oldest) {
                kept.ranges -= forgotten.ranges();
            }
        }
    }
}

/// What the log says of messages since a moment, put together.
#[derive(Default)]
struct Since {
    arrived: UidSet,
    gone: UidSet,
    seen: Marks,
    others: [Marks; 4],
    /// A keyword may be new.
    keywords: bool,
    rows: u64,
}

/// Who got a flag, and who lost it, the last of each message.
#[derive(Default)]
struct Marks {
    on: UidSet,
    off: UidSet,
}

impl Marks {
    fn put(&mut self, uids: &UidSet, on: bool) {
        let (to, from) = if on {
            (&mut self.on, &mut self.off)
        } else {
            (&mut self.off, &mut self.on)
        };
        *to = to.union(uids);
        *from = from.difference(uids);
    }
}

impl Since {
    /// Each flag, with what became of it.
    fn marks(&mut self) -> impl Iterator<Item = (SystemFlags, &mut Marks)> {
        let seen = (SystemFlags::SEEN, &mut self.seen);
        OTHERS.into_iter().zip(&mut self.others).chain([seen])
    }

    /// A piece of the log; none when it is of a kind that this program does not know.
    fn take(&mut self, kind: i64, uids: &UidSet, on: SystemFlags, off: SystemFlags) -> Option<()> {
        match kind {
            1 => {
                self.arrived = self.arrived.union(uids);
                // A UID is new: flags that it does not have need no word, but for the one whose opposite is kept.
                self.seen.put(uids, on.contains(SystemFlags::SEEN));
                for (flag, marks) in self.marks() {
                    if on.contains(flag) {
                        marks.put(uids, true);
                    }
                }
            }
            2 => {
                for (flag, marks) in self.marks() {
                    if on.contains(flag) || off.contains(flag) {
                        marks.put(uids, on.contains(flag));
                    }
                }
            }
            3 | 4 => {}
            5 => self.gone = self.gone.union(uids),
            _ => return None,
        }
        Some(())
    }

    /// Brings sets forward. A UID that is gone never comes back.
    fn apply(&self, uids: &UidSet, unseen: &UidSet) -> (UidSet, UidSet) {
        let uids = uids.union(&self.arrived).difference(&self.gone);
        let unseen = unseen.union(&self.seen.off).difference(&self.seen.on);
        (uids, unseen.difference(&self.gone))
    }

    /// Brings the other flags forward.
    fn apply_others(&self, others: &[UidSet; 4]) -> [UidSet; 4] {
        let mut new = others.clone();
        for (set, marks) in new.iter_mut().zip(&self.others) {
            *set = set.union(&marks.on).difference(&marks.off);
            *set = set.difference(&self.gone);
        }
        new
    }
}

/// What SELECT knows of a mailbox, and whether its map is to be written.
pub(crate) struct Found {
    pub(crate) known: Arc<Known>,
    pub(crate) map_due: bool,
}

impl<C: Connection> Db<C> {
    /// The messages of a mailbox, within the transaction that read its counters.
    pub(super) async fn know(
        &mut self,
        mailbox: &Mailbox,
        log_from: ModSeq,
    ) -> Result<Found, Error> {
        let shared = Arc::clone(&self.shared);
        let maps = mailbox.messages >= shared.map_messages;
        let counters = Counters::of(mailbox, log_from);
        let remembered = self.remembered(mailbox.id, &counters).await?;
        let (known, map_due) = if let Some(known) = remembered {
            shared.known.from_memory.fetch_add(1, Ordering::Relaxed);
            (known, false)
        } else if maps && let Some((known, rows)) = self.mapped(mailbox, log_from).await? {
            shared.known.from_map.fetch_add(1, Ordering::Relaxed);
            (Arc::new(known), rows > LOG_ROWS_STALE)
        } else {
            shared.known.from_rows.fetch_add(1, Ordering::Relaxed);
            (
                Arc::new(self.counted(mailbox.id, mailbox.modseq).await?),
                maps,
            )
        };
        shared.known.keep(mailbox.id, &known);
        Ok(Found { known, map_due })
    }

    /// Whether so many messages' flags are to be taken from what is known of their mailbox, if it agrees.
    pub(super) fn knows_flags(&self, mailbox: MailboxId, uids: &UidSet) -> bool {
        uids.len() >= self.shared.known_messages && self.shared.known.has(mailbox)
    }

    /// Some messages by their flags from what is known of the mailbox, as of the counters that this transaction has read;
    /// none when it does not agree.
    pub(super) async fn known_flags(
        &mut self,
        mailbox: MailboxId,
        counters: &Counters,
        uids: &UidSet,
    ) -> Result<Option<Arc<Known>>, Error> {
        let Some(mut known) = self.remembered(mailbox, counters).await? else {
            return Ok(None);
        };
        if known.others.is_none() {
            // From the map. Who asks for most of the messages would have their rows read, and so they are once.
            if uids.intersection(&known.uids).len() < known.uids.len() / 2 {
                return Ok(None);
            }
            known = Arc::new(self.counted(mailbox, counters.modseq).await?);
            if !known.agrees(counters) {
                return Ok(None);
            }
        }
        let memory = &self.shared.known;
        memory.flags.fetch_add(1, Ordering::Relaxed);
        memory.keep(mailbox, &known);
        Ok(Some(known))
    }

    /// The counters of a mailbox, which is not locked.
    pub(super) async fn counters(&mut self, mailbox: MailboxId) -> Result<Counters, Error> {
        let mut rows = self.query(Sql::StateRead, &values![mailbox.0]).await?;
        let row = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        Ok(Counters::read(&row)?)
    }

    /// From what is known, brought forward from the log.
    async fn remembered(
        &mut self,
        mailbox: MailboxId,
        counters: &Counters,
    ) -> Result<Option<Arc<Known>>, Error> {
        let Some(known) = self.shared.known.get(mailbox) else {
            return Ok(None);
        };
        if known.modseq == counters.modseq {
            return Ok(known.agrees(counters).then_some(known));
        }
        // Another session of this front-end may have read a later moment than ours.
        if known.modseq > counters.modseq || known.modseq < counters.log_from {
            return Ok(None);
        }
        let since = self.since(mailbox, known.modseq, counters.modseq).await?;
        let Some(since) = since else {
            return Ok(None);
        };
        let (uids, unseen) = since.apply(&known.uids, &known.unseen);
        let keywords = if since.keywords {
            self.keyword_names(mailbox).await?
        } else {
            known.keywords.clone()
        };
        let others = known.others.as_ref();
        let known = Known {
            modseq: counters.modseq,
            uids,
            unseen,
            others: others.map(|others| since.apply_others(others)),
            keywords,
        };
        Ok(known.agrees(counters).then(|| Arc::new(known)))
    }

    /// From the map and the log, and how many rows of that were read.
    async fn mapped(
        &mut self,
        mailbox: &Mailbox,
        log_from: ModSeq,
    ) -> Result<Option<(Known, u64)>, Error> {
        let mut rows = self.query(Sql::MapPieces, &values![mailbox.id.0]).await?;
        let mut pieces = map::Pieces::default();
        let mut written: Option<ModSeq> = None;
        for mut row in rows.each() {
            let modseq = ModSeq(row.u64(1)?);
            let of = map::Of {
                mailbox: mailbox.id,
                modseq,
            };
            let piece = pieces.add(of, row.u32(0)?, &row.bytes(2)?);
            // The pieces are written together; one of another moment is not of this map.
            if *written.get_or_insert(modseq) != modseq || piece.is_none() {
                return Ok(None);
            }
        }
        let Some(modseq) =
            written.filter(|modseq| *modseq >= log_from && *modseq <= mailbox.modseq)
        else {
            return Ok(None);
        };
        let since = self.since(mailbox.id, modseq, mailbox.modseq).await?;
        let Some(since) = since else {
            return Ok(None);
        };
        let (uids, unseen) = pieces.sets();
        let (uids, unseen) = since.apply(&uids, &unseen);
        let known = Known {
            modseq: mailbox.modseq,
            uids,
            unseen,
            others: None,
            keywords: self.keyword_names(mailbox.id).await?,
        };
        let counters = Counters::of(mailbox, log_from);
        Ok(known.agrees(&counters).then_some((known, since.rows)))
    }

    /// What the log says since a MODSEQ; none when that is too much.
    async fn since(
        &mut self,
        mailbox: MailboxId,
        since: ModSeq,
        through: ModSeq,
    ) -> Result<Option<Since>, Error> {
        let mut all = Since::default();
        if since == through {
            return Ok(Some(all));
        }
        let values = values![mailbox.0, since.0, through.0, LOG_ROWS_MAX];
        let mut rows = self.query(Sql::LogSince, &values).await?;
        all.rows = rows.len() as u64;
        if all.rows == LOG_ROWS_MAX {
            return Ok(None);
        }
        for mut row in rows.each() {
            let (low, high) = (row.u32(2)?, row.u32(3)?);
            let packed = row.bytes_or_none(4)?;
            let Some(uids) = uid_bytes::read(low, high, packed.as_deref()) else {
                return Ok(None);
            };
            if row.int_or_none(7)?.is_some() {
                // Its messages' system flags stand in another piece.
                all.keywords = true;
            } else if all
                .take(row.int(1)?, &uids, flags(&row, 5)?, flags(&row, 6)?)
                .is_none()
            {
                return Ok(None);
            }
        }
        Ok(Some(all))
    }

    /// From the messages' rows.
    async fn counted(&mut self, mailbox: MailboxId, modseq: ModSeq) -> Result<Known, Error> {
        let mut runs = super::Runs::new();
        let mut unseen = super::Runs::new();
        let mut others: [super::Runs<()>; 4] = Default::default();
        let (mut from, mut before) = (1u32, 0);
        loop {
            let values = values![mailbox.0, from, u32::MAX, ROWS];
            let mut rows = self.query(Sql::MessageFlags, &values).await?;
            let full = rows.len() == ROWS as usize;
            for row in rows.each() {
                let number = row.u32(0)?;
                let next = number == before + 1;
                runs.hold(true, number, next);
                let flags = flags(&row, 1)?;
                unseen.hold(!flags.contains(SystemFlags::SEEN), number, next);
                for (flag, having) in OTHERS.into_iter().zip(&mut others) {
                    having.hold(flags.contains(flag), number, next);
                }
                before = number;
            }
            match Uid::new(before).and_then(Uid::next) {
                Some(next) if full => from = next.number(),
                _ => break,
            }
        }
        let set = |runs: super::Runs<()>| {
            UidSet::from_ranges(runs.runs.into_iter().map(|((), low, high)| low..=high))
        };
        Ok(Known {
            modseq,
            uids: set(runs),
            unseen: set(unseen),
            others: Some(others.map(set)),
            keywords: self.keyword_names(mailbox).await?,
        })
    }

    async fn keyword_names(&mut self, mailbox: MailboxId) -> Result<Vec<Keyword>, Error> {
        let mut rows = self.query(Sql::KeywordsOf, &values![mailbox.0]).await?;
        let mut keywords = Vec::with_capacity(rows.len());
        for mut row in rows.each() {
            keywords.push(keyword(&row.text(1)?)?);
        }
        Ok(keywords)
    }
}

/// Writes the map of a mailbox. Others may do the same: each writes a whole one that was true.
pub(crate) struct WriteMap {
    pub(crate) mailbox: MailboxId,
    pub(crate) known: Arc<Known>,
}

impl Work for WriteMap {
    type Done = ();

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
        let of = map::Of {
            mailbox: self.mailbox,
            modseq: self.known.modseq,
        };
        let pieces = map::pieces(of, &self.known.uids, &self.known.unseen);
        let (mailbox, modseq) = (self.mailbox.0, self.known.modseq.0);
        let row = |(piece, bits): (u32, Vec<u8>)| values![mailbox, piece, modseq, bits].into();
        let rows: Vec<Vec<Value>> = pieces.into_iter().map(row).collect();
        db.execute(Sql::MailboxMapDelete, &values![mailbox]).await?;
        db.many(Sql::MapInsert, rows).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u32, u32)]) -> UidSet {
        UidSet::from_ranges(ranges.iter().map(|(low, high)| *low..=*high))
    }

    fn known(modseq: u64, ranges: u32) -> Arc<Known> {
        Arc::new(Known {
            modseq: ModSeq(modseq),
            uids: UidSet::from_ranges((0..ranges).map(|n| 2 * n + 1..=2 * n + 1)),
            unseen: UidSet::new(),
            others: None,
            keywords: Vec::new(),
        })
    }

    #[test]
    fn the_log_brings_sets_forward_in_its_order() {
        let mut since = Since::default();
        let (none, seen) = (SystemFlags::NONE, SystemFlags::SEEN);
        for (kind, uids, on, off) in [
            (1, [(10, 12)], none, none),
            (2, [(11, 11)], seen, none),
            (1, [(13, 13)], seen, none),
            (2, [(1, 2)], none, seen),
            (2, [(2, 2)], seen, none),
            (2, [(3, 3)], SystemFlags::DELETED, none),
            (5, [(3, 10)], none, none),
        ] {
            assert!(since.take(kind, &set(&uids), on, off).is_some());
        }
        let (uids, unseen) = since.apply(&set(&[(1, 5)]), &set(&[(4, 5)]));
        assert_eq!(uids, set(&[(1, 2), (11, 13)]));
        assert_eq!(unseen, set(&[(1, 1), (12, 12)]));
        assert!(since.take(9, &uids, none, none).is_none());
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first() {
        let memory = Memory::default();
        let half = u32::try_from(RANGES_MAX / 2).unwrap() - 10;
        memory.keep(MailboxId(1), &known(1, half));
        memory.keep(MailboxId(2), &known(1, half));
        assert!(memory.get(MailboxId(1)).is_some());
        memory.keep(MailboxId(3), &known(1, 100));
        assert!(memory.get(MailboxId(2)).is_none());
        assert!(memory.get(MailboxId(1)).is_some() && memory.get(MailboxId(3)).is_some());
        // The same again takes no more room.
        for modseq in 2..5 {
            memory.keep(MailboxId(3), &known(modseq, 100));
        }
        assert_eq!(memory.get(MailboxId(3)).map(|k| k.modseq), Some(ModSeq(4)));
        assert!(memory.get(MailboxId(1)).is_some());
        for id in 10..10 + 2 * MAILBOXES_MAX as i64 {
            memory.keep(MailboxId(id), &known(1, 1));
        }
        assert_eq!(lock(&memory.kept).mailboxes.len(), MAILBOXES_MAX);
    }
}
