//! Figures of what is stored, added up page by page.

use crate::db::{Db, Error};
use crate::driver::{Connection, values};
use crate::sql::Sql;
use crate::stats::{Stats, TableSize};

/// Rows that one statement adds up: bounds its time.
const ROWS: u32 = 20_000;
/// Mailboxes whose messages that are gone one statement adds up.
const MAILBOXES: u32 = 500;

/// Adds a number of a row to a figure.
macro_rules! add {
    ($row:ident, $($figure:expr => $column:literal),*) => {
        $($figure = $figure.saturating_add($row.u64($column)?);)*
    };
}

impl<C: Connection> Db<C> {
    /// What is stored.
    pub(crate) async fn stats(&mut self) -> Result<Stats, Error> {
        let mut stats = Stats::default();
        let mut rows = self.query(Sql::StatsCounts, &[]).await?;
        if let Some(row) = rows.first() {
            add!(row, stats.users => 0, stats.users_disabled => 1, stats.addresses => 2, stats.mailboxes => 3,
                stats.mailboxes_deleted => 4, stats.messages => 5, stats.message_octets => 6);
        }
        self.count_gone(&mut stats).await?;
        self.count_emails(&mut stats).await?;
        self.count_contents(&mut stats).await?;
        self.count_parts(&mut stats).await?;
        let mut rows = self.query(Sql::StatsTables, &[]).await?;
        for mut row in rows.each() {
            let (first, second) = (row.u64(1)?, row.u64(2)?);
            match row.text_or_none(0)? {
                Some(name) => stats.tables.push(TableSize {
                    name: name.trim_end().to_owned(),
                    octets: first,
                    index_octets: second,
                }),
                None => (stats.file_octets, stats.file_free_octets) = (Some(first), Some(second)),
            }
        }
        Ok(stats)
    }

    async fn count_gone(&mut self, stats: &mut Stats) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let page = values![after, MAILBOXES];
            let mut rows = self.query(Sql::StatsMailboxEnd, &page).await?;
            let end = match rows.first() {
                Some(row) => row.int_or_none(0)?,
                None => None,
            };
            let Some(end) = end else { return Ok(()) };
            let mut rows = self.query(Sql::StatsGone, &values![after, end]).await?;
            if let Some(row) = rows.first() {
                add!(row, stats.gone => 0, stats.gone_octets => 1);
            }
            after = end;
        }
    }

    async fn count_emails(&mut self, stats: &mut Stats) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let mut rows = self.query(Sql::StatsEmails, &values![after, ROWS]).await?;
            let Some(row) = rows.first() else {
                return Ok(());
            };
            let Some(end) = row.int_or_none(0)? else {
                return Ok(());
            };
            add!(row, stats.emails => 1, stats.prefix_octets => 2);
            after = end;
        }
    }

    async fn count_contents(&mut self, stats: &mut Stats) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let mut rows = self
                .query(Sql::StatsContents, &values![after, ROWS])
                .await?;
            let Some(row) = rows.first() else {
                return Ok(());
            };
            let Some(end) = row.int_or_none(0)? else {
                return Ok(());
            };
            add!(row, stats.contents => 1, stats.content_octets => 2, stats.header_octets => 3, stats.tree_octets => 4);
            let mut rows = self.query(Sql::StatsSegments, &values![after, end]).await?;
            if let Some(row) = rows.first() {
                add!(row, stats.segments => 0, stats.segment_octets => 1,
                    stats.segment_octets_arrived => 2);
            }
            after = end;
        }
    }

    async fn count_parts(&mut self, stats: &mut Stats) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let mut rows = self.query(Sql::StatsParts, &values![after, ROWS]).await?;
            let Some(row) = rows.first() else {
                return Ok(());
            };
            let Some(end) = row.int_or_none(0)? else {
                return Ok(());
            };
            add!(row, stats.parts => 1, stats.part_octets => 2, stats.packed_octets => 3);
            let mut rows = self
                .query(Sql::StatsReferences, &values![after, end])
                .await?;
            if let Some(row) = rows.first() {
                add!(row, stats.part_uses => 0, stats.parts_shared => 1, stats.part_octets_used => 2,
                    stats.saved_by_sharing_parts => 3);
            }
            after = end;
        }
    }
}
