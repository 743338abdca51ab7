//! What a store holds, and what it takes.

use dbmail_core::store::Refusal;

use crate::Store;

/// What a store holds. Beside a running service the figures are of moments that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Users.
    pub users: u64,
    /// Those of them who are disabled.
    pub users_disabled: u64,
    /// Addresses of users.
    pub addresses: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Mailboxes that were deleted and are kept.
    pub mailboxes_deleted: u64,
    /// Messages that are there.
    pub messages: u64,
    /// Their octets as users see them: each message whole, in each mailbox.
    pub message_octets: u64,
    /// Messages that are gone and are kept.
    pub gone: u64,
    /// Their octets, as those of the others.
    pub gone_octets: u64,
    /// Messages as recipients got them; copies share one.
    pub emails: u64,
    /// Octets of their trace fields.
    pub prefix_octets: u64,
    /// Messages without trace fields; recipients of one delivery share one.
    pub contents: u64,
    /// Their octets, each once, as they arrived.
    pub content_octets: u64,
    /// Octets of stored headers.
    pub header_octets: u64,
    /// Octets of stored envelopes and structures, which come on top of the mail.
    pub tree_octets: u64,
    /// Pieces of contents behind their headers.
    pub segments: u64,
    /// Octets of pieces that are no parts, as stored.
    pub segment_octets: u64,
    /// And as they arrived.
    pub segment_octets_arrived: u64,
    /// Parts: long bodies, each stored once.
    pub parts: u64,
    /// Their octets as they arrived.
    pub part_octets: u64,
    /// Their octets as stored.
    pub packed_octets: u64,
    /// Octets, as they arrived, of parts that messages have.
    pub part_octets_used: u64,
    /// How often messages have a part.
    pub part_uses: u64,
    /// Parts that messages have more than once.
    pub parts_shared: u64,
    /// Octets, as they arrived, that would be there again if each use of a part had its own.
    pub saved_by_sharing_parts: u64,
    /// What the database says of its tables; empty where it says nothing.
    pub tables: Vec<TableSize>,
    /// Octets of the database's file, where it is one.
    pub file_octets: Option<u64>,
    /// Those of them that are free.
    pub file_free_octets: Option<u64>,
}

/// What a table takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Octets of its rows.
    pub octets: u64,
    /// Octets of its indexes.
    pub index_octets: u64,
}

impl Stats {
    /// Octets as users see them.
    #[must_use]
    pub const fn seen_octets(&self) -> u64 {
        self.message_octets.saturating_add(self.gone_octets)
    }

    /// Octets that would be there again if each message had its own: recipients of one delivery, copies.
    #[must_use]
    pub const fn saved_by_sharing_messages(&self) -> u64 {
        let once = self.prefix_octets.saturating_add(self.content_octets);
        self.seen_octets().saturating_sub(once)
    }

    /// Octets, as they arrived, of parts that no message has: the collector takes them.
    #[must_use]
    pub const fn unused_octets(&self) -> u64 {
        self.part_octets.saturating_sub(self.part_octets_used)
    }

    /// Octets that packing saves, of parts and of long pieces that are no parts.
    #[must_use]
    pub const fn saved_by_packing(&self) -> u64 {
        let of_parts = self.part_octets.saturating_sub(self.packed_octets);
        let of_pieces = self
            .segment_octets_arrived
            .saturating_sub(self.segment_octets);
        of_parts.saturating_add(of_pieces)
    }

    /// Octets in columns that hold mail, with what is made of it.
    #[must_use]
    pub const fn stored_octets(&self) -> u64 {
        self.prefix_octets
            .saturating_add(self.header_octets)
            .saturating_add(self.segment_octets)
            .saturating_add(self.packed_octets)
            .saturating_add(self.tree_octets)
    }

    /// Octets of the database: tables and indexes, or its file.
    #[must_use]
    pub fn database_octets(&self) -> u64 {
        let tables = self.tables.iter();
        let tables: u64 = tables
            .map(|t| t.octets.saturating_add(t.index_octets))
            .sum();
        self.file_octets.unwrap_or(tables)
    }
}

impl Store {
    /// What the store holds, on a connection that reads, in statements of some thousand rows each.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn stats(&self) -> Result<Stats, Refusal> {
        self.0.read("stats", |db| Box::pin(db.stats())).await
    }
}
