//! The log of a mailbox: what is written with each change, and read by who wants to know.

use std::collections::BTreeMap;

use dbmail_core::limits::CHANGES_MAX;
use dbmail_core::store::{
    Answer, Change, ChangeKind, Changes, MailboxId, ModSeq, Refusal, SystemFlags, UidSet,
};

use crate::db::{Db, Error};
use crate::driver::{Connection, Failure, Value, values};
use crate::sql::Sql;
use crate::uid_bytes;

/// What a piece of the log says (codes of `change_log`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// Messages came, with these flags.
    Arrived(SystemFlags),
    /// Messages came, with this keyword.
    ArrivedWith(i64),
    /// System flags were set and cleared.
    Flags(SystemFlags, SystemFlags),
    /// A keyword was set.
    KeywordOn(i64),
    /// A keyword was cleared.
    KeywordOff(i64),
    /// Messages left the mailbox.
    Gone,
}

/// One change of a mailbox, for its log.
pub(super) struct Logged {
    pub(super) mailbox: MailboxId,
    /// As its counter row gave it.
    pub(super) modseq: ModSeq,
    pub(super) entries: Vec<(Entry, UidSet)>,
}

impl Entry {
    const fn codes(self) -> (i64, SystemFlags, SystemFlags, Option<i64>) {
        const NONE: SystemFlags = SystemFlags::NONE;
        match self {
            Self::Arrived(on) => (1, on, NONE, None),
            Self::ArrivedWith(keyword) => (1, NONE, NONE, Some(keyword)),
            Self::Flags(on, off) => (2, on, off, None),
            Self::KeywordOn(keyword) => (3, NONE, NONE, Some(keyword)),
            Self::KeywordOff(keyword) => (4, NONE, NONE, Some(keyword)),
            Self::Gone => (5, NONE, NONE, None),
        }
    }
}

impl<C: Connection> Db<C> {
    /// The MODSEQ of a mailbox; 0 when it is no more.
    pub(crate) async fn modseq(&mut self, mailbox: MailboxId) -> Result<i64, Failure> {
        let mut rows = self.query(Sql::StateRead, &values![mailbox.0]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }
}

/// What a code of the log is to a session.
pub(super) fn kind(code: i64) -> Result<ChangeKind, Failure> {
    match code {
        1 => Ok(ChangeKind::Appeared),
        2..=4 | 6 => Ok(ChangeKind::Flagged),
        5 => Ok(ChangeKind::Vanished),
        _ => Err(Failure::Damaged(format!("a log entry has the kind {code}"))),
    }
}

impl<C: Connection> Db<C> {
    /// Rows of the log for changes of mailboxes.
    pub(super) fn log_rows(&mut self, changes: &[Logged]) -> Result<Vec<Vec<Value>>, Error> {
        let change_id = self.change_id()?;
        let now = self.now().0;
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for Logged {
            mailbox,
            modseq,
            entries,
        } in changes
        {
            let mut ordinal = 0u32;
            for (entry, uids) in entries {
                let (code, on, off, keyword) = entry.codes();
                for piece in uid_bytes::pieces(uids) {
                    rows.push(
                        values![
                            mailbox.0,
                            modseq.0,
                            ordinal,
                            code,
                            piece.low,
                            piece.high,
                            piece.packed,
                            i64::from(on.bits()),
                            i64::from(off.bits()),
                            keyword,
                            change_id,
                            now
                        ]
                        .into(),
                    );
                    ordinal += 1;
                }
            }
            self.witness_mailbox(*mailbox, *modseq, change_id);
        }
        Ok(rows)
    }

    /// Writes one change of a mailbox.
    pub(super) async fn log(
        &mut self,
        mailbox: MailboxId,
        modseq: ModSeq,
        entries: Vec<(Entry, UidSet)>,
    ) -> Result<(), Error> {
        let rows = self.log_rows(&[Logged {
            mailbox,
            modseq,
            entries,
        }])?;
        self.many(Sql::LogInsert, rows).await?;
        Ok(())
    }

    /// `Request::Changes`. The counter row is read first; what is above its MODSEQ is not there yet.
    pub(crate) async fn changes(
        &mut self,
        mailbox: MailboxId,
        since: ModSeq,
    ) -> Result<Answer, Error> {
        let (through, _) = self.log_ends(mailbox).await?;
        self.changes_through(mailbox, since, through).await
    }

    /// The MODSEQ of a mailbox, and the horizon of its log.
    pub(crate) async fn log_ends(&mut self, mailbox: MailboxId) -> Result<(ModSeq, ModSeq), Error> {
        let mut rows = self.query(Sql::StateRead, &values![mailbox.0]).await?;
        let state = rows.first().ok_or(Refusal::NoSuchMailbox)?;
        Ok((ModSeq(state.u64(0)?), ModSeq(state.u64(1)?)))
    }

    /// The changes up to a MODSEQ that the mailbox had a moment ago. Since then the log may have been purged: whether it was is
    /// told by the statement that reads it.
    pub(crate) async fn changes_through(
        &mut self,
        mailbox: MailboxId,
        since: ModSeq,
        through: ModSeq,
    ) -> Result<Answer, Error> {
        let mut changes = Changes {
            entries: Vec::new(),
            through,
            more: false,
            forgotten: false,
        };
        if since >= through {
            return Ok(Answer::Changes(changes));
        }
        let mut wanted = CHANGES_MAX as u64 + 1;
        loop {
            let values = values![mailbox.0, since.0, through.0, wanted];
            let mut rows = self.query(Sql::LogSince, &values).await?;
            if rows.len() == 0 {
                // All of it was purged, or the mailbox is new, or gone.
                let (_, horizon) = self.log_ends(mailbox).await?;
                changes.forgotten = since < horizon;
                return Ok(Answer::Changes(changes));
            }
            let full = rows.len() as u64 == wanted;
            let mut last = since;
            let mut merged: BTreeMap<(ModSeq, ChangeKind), UidSet> = BTreeMap::new();
            for row in rows.each() {
                changes.forgotten = since < ModSeq(row.u64(8)?);
                let (modseq, what, uids) = entry(row)?;
                last = modseq;
                let set = merged.entry((modseq, what)).or_default();
                *set = if set.is_empty() {
                    uids
                } else {
                    set.union(&uids)
                };
            }
            if full {
                // The last MODSEQ may have more pieces: it comes whole with the next answer.
                merged.retain(|(modseq, _), _| *modseq < last);
                if merged.is_empty() {
                    // One change in more pieces than that.
                    wanted *= 4;
                    continue;
                }
                changes.more = true;
                changes.through = ModSeq(last.0 - 1);
            }
            let change = |((modseq, what), uids)| Change { modseq, what, uids };
            changes.entries = merged.into_iter().map(change).collect();
            return Ok(Answer::Changes(changes));
        }
    }
}

fn entry(mut row: crate::driver::Row<'_>) -> Result<(ModSeq, ChangeKind, UidSet), Failure> {
    let modseq = ModSeq(row.u64(0)?);
    let what = kind(row.int(1)?)?;
    let (low, high) = (row.u32(2)?, row.u32(3)?);
    let packed = row.bytes_or_none(4)?;
    let uids = uid_bytes::read(low, high, packed.as_deref())
        .ok_or_else(|| Failure::Damaged(format!("log entry {} is no set of UIDs", modseq.0)))?;
    Ok((modseq, what, uids))
}
