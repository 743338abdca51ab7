//! `dbmail stats`

use std::fmt::Write as _;

use dbmail_store::Stats;
use serde::Serialize;

use super::user::json;
use super::{open, print, refusal_failure};
use crate::config::Config;
use crate::exit::Failure;

/// Figures as JSON shows them. Whatever ends in `octets` is a number of octets.
#[derive(Serialize)]
struct Shown<'a> {
    users: u64,
    users_disabled: u64,
    addresses: u64,
    mailboxes: u64,
    mailboxes_deleted: u64,
    messages: u64,
    messages_octets: u64,
    gone: u64,
    gone_octets: u64,
    contents: u64,
    parts: u64,
    parts_shared: u64,
    part_uses: u64,
    saved_by_sharing_messages_octets: u64,
    saved_by_sharing_parts_octets: u64,
    saved_by_packing_octets: u64,
    unused_parts_octets: u64,
    stored_octets: u64,
    stored: Stored,
    database_octets: u64,
    database_free_octets: Option<u64>,
    tables: Vec<Table<'a>>,
}

/// What of the stored octets is what.
#[derive(Serialize)]
struct Stored {
    trace_fields_octets: u64,
    headers_octets: u64,
    bodies_octets: u64,
    parts_octets: u64,
    envelopes_and_structures_octets: u64,
}

/// A table as JSON shows it.
#[derive(Serialize)]
struct Table<'a> {
    name: &'a str,
    rows_octets: u64,
    indexes_octets: u64,
}

/// `dbmail stats`
///
/// # Errors
/// When the store can't be used.
pub async fn stats(config: &Config, as_json: bool) -> Result<(), Failure> {
    let store = open(config).await?;
    let stats = store.stats().await;
    store.close().await;
    let stats = stats.map_err(|refusal| refusal_failure(&refusal))?;
    if as_json {
        return print(&json(&shown(&stats))?);
    }
    print(&in_words(&stats))
}

fn shown(stats: &Stats) -> Shown<'_> {
    let tables = stats.tables.iter().map(|table| Table {
        name: &table.name,
        rows_octets: table.octets,
        indexes_octets: table.index_octets,
    });
    Shown {
        users: stats.users,
        users_disabled: stats.users_disabled,
        addresses: stats.addresses,
        mailboxes: stats.mailboxes,
        mailboxes_deleted: stats.mailboxes_deleted,
        messages: stats.messages,
        messages_octets: stats.message_octets,
        gone: stats.gone,
        gone_octets: stats.gone_octets,
        contents: stats.contents,
        parts: stats.parts,
        parts_shared: stats.parts_shared,
        part_uses: stats.part_uses,
        saved_by_sharing_messages_octets: stats.saved_by_sharing_messages(),
        saved_by_sharing_parts_octets: stats.saved_by_sharing_parts,
        saved_by_packing_octets: stats.saved_by_packing(),
        unused_parts_octets: stats.unused_octets(),
        stored_octets: stats.stored_octets(),
        stored: Stored {
            trace_fields_octets: stats.prefix_octets,
            headers_octets: stats.header_octets,
            bodies_octets: stats.segment_octets,
            parts_octets: stats.packed_octets,
            envelopes_and_structures_octets: stats.tree_octets,
        },
        database_octets: stats.database_octets(),
        database_free_octets: stats.file_free_octets,
        tables: tables.collect(),
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn in_words(stats: &Stats) -> String {
    let mut text = String::new();
    let mut count = |name: &str, number: u64, more: String| {
        let _ = writeln!(text, "{name:<42}{:>22}{more}", grouped(number));
    };
    let with = |number: u64, what: &str| {
        if number == 0 {
            String::new()
        } else {
            format!("  and {} {what}", grouped(number))
        }
    };
    let enabled = stats.users.saturating_sub(stats.users_disabled);
    count("users", enabled, with(stats.users_disabled, "disabled"));
    count("addresses", stats.addresses, String::new());
    count(
        "mailboxes",
        stats.mailboxes,
        with(stats.mailboxes_deleted, "deleted"),
    );
    count("messages", stats.messages, with(stats.gone, "gone"));
    let none = String::new;
    text.push_str("\noctets of mail as users see it\n");
    let mut count = |sign: &str, name: &str, number: u64, more: String| {
        let _ = writeln!(text, "{sign:<2}{name:<40}{:>22}{more}", grouped(number));
    };
    count("", "messages", stats.message_octets, none());
    count("+", "messages that are gone", stats.gone_octets, none());
    count(
        "-",
        "messages that several have",
        stats.saved_by_sharing_messages(),
        none(),
    );
    let parts = with(stats.parts_shared, "parts more than once").replacen("  and ", "  ", 1);
    count(
        "-",
        "parts that several messages have",
        stats.saved_by_sharing_parts,
        parts,
    );
    count(
        "+",
        "parts that no message has",
        stats.unused_octets(),
        none(),
    );
    count("-", "packing", stats.saved_by_packing(), none());
    count("+", "envelopes and structures", stats.tree_octets, none());
    let per_cent = stats
        .stored_octets()
        .saturating_mul(100)
        .checked_div(stats.seen_octets())
        .map_or_else(none, |share| format!("  {share} %"));
    count("=", "octets stored", stats.stored_octets(), per_cent);
    text.push_str("\noctets of the database\n");
    let mut count = |name: &str, number: u64, more: String| {
        let _ = writeln!(text, "  {name:<40}{:>22}{more}", grouped(number));
    };
    for table in stats
        .tables
        .iter()
        .filter(|table| is_large(table.octets, stats))
    {
        let indexes = format!("  indexes {}", grouped(table.index_octets));
        count(&table.name, table.octets, indexes);
    }
    let free = stats.file_free_octets.map_or_else(none, |free| {
        with(free, "of it free").replacen("  and ", "  ", 1)
    });
    count("in all", stats.database_octets(), free);
    text
}

/// Whether a table takes a hundredth of the database.
fn is_large(octets: u64, stats: &Stats) -> bool {
    octets.saturating_mul(100) >= stats.database_octets()
}

#[cfg(test)]
mod tests {
    use dbmail_store::TableSize;

    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        let numbers = [0, 999, 1_000, 12_345_678, u64::MAX];
        assert_eq!(
            numbers.map(grouped),
            [
                "0",
                "999",
                "1,000",
                "12,345,678",
                "18,446,744,073,709,551,615"
            ]
        );
    }

    #[test]
    fn the_figures_add_up_from_what_users_see_to_what_is_stored() {
        let stats = Stats {
            users: 3,
            users_disabled: 1,
            addresses: 4,
            mailboxes: 18,
            mailboxes_deleted: 2,
            messages: 1_200,
            message_octets: 90_000_000,
            gone: 30,
            gone_octets: 1_000_000,
            emails: 1_100,
            prefix_octets: 200_000,
            contents: 900,
            content_octets: 70_000_000,
            header_octets: 4_000_000,
            tree_octets: 1_000_000,
            segment_octets: 6_000_000,
            parts: 50,
            part_octets: 45_000_000,
            packed_octets: 30_000_000,
            part_octets_used: 40_000_000,
            part_uses: 80,
            parts_shared: 20,
            saved_by_sharing_parts: 20_000_000,
            tables: vec![
                TableSize {
                    name: "part_chunk".to_owned(),
                    octets: 31_000_000,
                    index_octets: 16_384,
                },
                TableSize {
                    name: "news".to_owned(),
                    octets: 8_192,
                    index_octets: 8_192,
                },
            ],
            ..Stats::default()
        };
        insta::assert_snapshot!(in_words(&stats));
        insta::assert_snapshot!(json(&shown(&stats)).unwrap());
    }
}
