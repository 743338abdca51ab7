//! The faults that are planted, one of each kind at least.

use dbmail_store::FaultKind;
use dbmail_testcontainers::Kind;

use crate::world::kind;

/// What becomes of a fault.
pub(super) enum Then {
    /// It is mended.
    Mended,
    /// It stays, until this is run.
    Undone(String),
    /// It stays, until it is planted once more.
    Flipped,
}

/// How a fault is planted.
pub(super) enum Plant {
    /// By a statement.
    Sql(String),
    /// By a statement with foreign keys out of force.
    Unguarded(String),
    /// By another bit in a column of octets: table, column, place, condition.
    Flip(&'static str, &'static str, usize, String),
}

pub(super) struct Planted {
    pub(super) plant: Plant,
    /// What is found; of several where the octets decide, all that may be.
    pub(super) found: &'static [FaultKind],
    pub(super) then: Then,
}

fn planted(sql: String, found: &'static [FaultKind], then: Then) -> Planted {
    Planted {
        plant: Plant::Sql(sql),
        found,
        then,
    }
}

fn unguarded(sql: String, found: &'static [FaultKind], undo: String) -> Planted {
    Planted {
        plant: Plant::Unguarded(sql),
        found,
        then: Then::Undone(undo),
    }
}

fn flipped(
    table: &'static str,
    column: &'static str,
    place: usize,
    of: String,
    found: &'static [FaultKind],
) -> Planted {
    Planted {
        plant: Plant::Flip(table, column, place, of),
        found,
        then: Then::Flipped,
    }
}

/// Ids that the statements name.
pub(super) struct Known {
    pub(super) account: i64,
    pub(super) inbox: i64,
    pub(super) archive: i64,
    pub(super) root: i64,
    /// The content of UID 1, of UID 2 (with an attachment) and their emails.
    pub(super) text: i64,
    pub(super) mixed: i64,
    pub(super) email: i64,
    pub(super) part: i64,
    /// A part of more than one chunk.
    pub(super) long_part: i64,
}

/// Faults of users, mailboxes, messages.
pub(super) fn of_tables(ids: &Known) -> Vec<Planted> {
    use FaultKind::*;
    let Known {
        account,
        inbox,
        archive,
        root,
        text,
        email,
        ..
    } = ids;
    let state = |set: &str| format!("UPDATE mailbox_state SET {set} WHERE mailbox = {inbox}");
    let message = |set: &str, uid: u32| {
        format!("UPDATE message SET {set} WHERE mailbox = {inbox} AND msg_uid = {uid}")
    };
    let index = match kind() {
        Kind::Sqlite | Kind::Postgres => "DROP INDEX ix_message_gone_at",
        Kind::MariaDb | Kind::MySql => "DROP INDEX ix_message_gone_at ON message_gone",
    };
    vec![
        planted(
            state("messages = messages + 1, total_size = total_size + 7"),
            &[Counters],
            Then::Mended,
        ),
        planted(state("unseen = 0"), &[Counters], Then::Mended),
        planted(state("deleted = 0"), &[Counters], Then::Mended),
        planted(
            state("recent_from = next_uid + 1"),
            &[Counters],
            Then::Mended,
        ),
        planted(state("next_uid = 5"), &[NextUid], Then::Mended),
        planted(state("modseq = modseq - 1"), &[Modseq], Then::Mended),
        planted(
            format!("DELETE FROM change_log WHERE mailbox = {inbox} AND modseq = 9"),
            &[LogGap],
            Then::Mended,
        ),
        planted(state("modseq = modseq + 1"), &[LogGap], Then::Mended),
        planted(state("log_from = modseq + 5"), &[LogGap], Then::Mended),
        planted(
            format!("UPDATE change_log SET kind = 77 WHERE mailbox = {inbox} AND kind = 5"),
            &[LogRow],
            Then::Undone(format!(
                "UPDATE change_log SET kind = 5 WHERE mailbox = {inbox} AND kind = 77"
            )),
        ),
        planted(
            format!("UPDATE change_log SET low_uid = 0 WHERE mailbox = {inbox} AND kind = 5"),
            &[LogRow],
            Then::Undone(format!(
                "UPDATE change_log SET low_uid = high_uid WHERE mailbox = {inbox} AND kind = 5"
            )),
        ),
        planted(
            format!("DELETE FROM mailbox_state WHERE mailbox = {inbox}"),
            &[MailboxState],
            Then::Mended,
        ),
        planted(
            format!("UPDATE mailbox SET deleted_at = 1 WHERE id = {archive}"),
            &[MailboxDeleted],
            Then::Undone(format!(
                "UPDATE mailbox SET deleted_at = NULL WHERE id = {archive}"
            )),
        ),
        planted(
            format!("UPDATE mailbox SET name = 'Other' WHERE id = {archive}"),
            &[MailboxName],
            Then::Undone(format!(
                "UPDATE mailbox SET name = 'Archive' WHERE id = {archive}"
            )),
        ),
        unguarded(
            format!("UPDATE mailbox SET quota_root = 999 WHERE id = {archive}"),
            &[QuotaRoot],
            format!("UPDATE mailbox SET quota_root = {root} WHERE id = {archive}"),
        ),
        unguarded(
            format!("UPDATE account SET quota_root = 999 WHERE id = {account}"),
            &[QuotaRoot],
            format!("UPDATE account SET quota_root = {root} WHERE id = {account}"),
        ),
        planted(
            format!("DELETE FROM account_state WHERE account = {account}"),
            &[AccountState],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET next_uidvalidity = 1 WHERE account = {account}"),
            &[AccountCounters],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET modseq = 1 WHERE account = {account}"),
            &[AccountCounters],
            Then::Mended,
        ),
        planted(
            format!("UPDATE account_state SET modseq = modseq + 1 WHERE account = {account}"),
            &[AccountLog],
            Then::Mended,
        ),
        planted(
            "UPDATE account SET name = 'someone'".to_owned(),
            &[AccountName],
            Then::Undone("UPDATE account SET name = 'alice'".to_owned()),
        ),
        planted(
            "UPDATE quota_root SET used_size = used_size + 1".to_owned(),
            &[Quota],
            Then::Mended,
        ),
        planted(
            "UPDATE quota_root SET used_messages = 0".to_owned(),
            &[Quota],
            Then::Mended,
        ),
        planted(
            "UPDATE keyword SET name = 'a b'".to_owned(),
            &[KeywordName],
            Then::Undone("UPDATE keyword SET name = 'Work'".to_owned()),
        ),
        planted(
            format!(
                "INSERT INTO message_keyword (mailbox, kw_number, msg_uid) VALUES ({inbox}, 1, 4000)"
            ),
            &[MarkMessage],
            Then::Mended,
        ),
        unguarded(
            format!(
                "INSERT INTO message_keyword (mailbox, kw_number, msg_uid) VALUES ({inbox}, 99, 1)"
            ),
            &[MarkKeyword],
            "DELETE FROM message_keyword WHERE kw_number = 99".to_owned(),
        ),
        planted(
            message("msg_size = msg_size + 3", 1),
            &[MessageSize, Counters, Quota],
            Then::Mended,
        ),
        planted(
            message("flags = flags + 64", 1),
            &[MessageFlags],
            Then::Undone(message("flags = flags - 64", 1)),
        ),
        planted(
            format!(
                "INSERT INTO message_gone (mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at, \
                 gone_modseq, gone_at, gone_by, gone_why) SELECT mailbox, msg_uid, modseq, flags, email, msg_size, \
                 internal_at, zone, saved_at, modseq, 0, 0, 1 FROM message WHERE mailbox = {inbox} AND msg_uid = 1"
            ),
            &[MessageTwice],
            Then::Undone(format!(
                "DELETE FROM message_gone WHERE mailbox = {inbox} AND msg_uid = 1"
            )),
        ),
        unguarded(
            message("email = 888", 1),
            &[MessageEmail, Unused],
            message(&format!("email = {email}"), 1),
        ),
        unguarded(
            format!("UPDATE email SET content = 888 WHERE id = {email}"),
            &[MessageContent, Unused],
            format!("UPDATE email SET content = {text} WHERE id = {email}"),
        ),
        planted(
            format!("INSERT INTO email (id, content, prefix) VALUES (900, {text}, NULL)"),
            &[Unused],
            Then::Undone("DELETE FROM email WHERE id = 900".to_owned()),
        ),
        planted(
            "UPDATE id_block SET next_id = 1 WHERE kind = 5".to_owned(),
            &[Ids],
            Then::Mended,
        ),
        planted(
            index.to_owned(),
            &[Schema],
            Then::Undone("CREATE INDEX ix_message_gone_at ON message_gone (gone_at)".to_owned()),
        ),
    ]
}

/// Rows that name what is not there.
pub(super) fn orphans() -> Vec<Planted> {
    let insert = |table: &str, columns: &str, values: &str| {
        unguarded(
            format!("INSERT INTO {table} ({columns}) VALUES ({values})"),
            &[FaultKind::Orphan],
            format!(
                "DELETE FROM {table} WHERE {} = 888",
                columns.split(',').next().unwrap_or("")
            ),
        )
    };
    vec![
        insert(
            "account_state",
            "account, modseq, log_from, next_uidvalidity",
            "888, 1, 1, 1",
        ),
        insert(
            "account_log",
            "account, modseq, piece, kind, change_id, done_by, done_at",
            "888, 1, 0, 1, 1, 0, 0",
        ),
        insert(
            "mailbox_state",
            "mailbox, next_uid, modseq, log_from, messages, unseen, deleted, total_size, recent_from",
            "888, 1, 1, 0, 0, 0, 0, 0, 1",
        ),
        insert(
            "message",
            "mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at",
            "888, 1, 1, 0, 1, 0, 0, 0, 0",
        ),
        insert(
            "message_gone",
            "mailbox, msg_uid, modseq, flags, email, msg_size, internal_at, zone, saved_at, gone_modseq, gone_at, gone_by, gone_why",
            "888, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1",
        ),
        insert(
            "change_log",
            "mailbox, modseq, piece, kind, low_uid, high_uid, flags_on, flags_off, audience, change_id, done_by, done_at",
            "888, 2, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0",
        ),
        insert(
            "upload",
            "front_end, id, lease_end, started_at",
            "888, 1, 0, 0",
        ),
        insert(
            "news",
            "front_end, news_number, changed, told_at",
            if kind() == Kind::Postgres {
                "888, 1, '\\x01', 0"
            } else {
                "888, 1, x'01', 0"
            },
        ),
    ]
}

/// Faults of contents and parts.
pub(super) fn of_octets(ids: &Known) -> Vec<Planted> {
    use FaultKind::*;
    let Known {
        text,
        mixed,
        part,
        long_part,
        ..
    } = ids;
    let content = |set: &str| format!("UPDATE content SET {set} WHERE id = {mixed}");
    let segment = |set: &str, ordinal: u32| {
        format!("UPDATE segment SET {set} WHERE content = {mixed} AND ordinal = {ordinal}")
    };
    let kept = |column: &str| {
        format!(
            "UPDATE part SET state = 1, {column} = (SELECT k.{column} FROM kept_part k WHERE k.id = {part}) WHERE id = {part}"
        )
    };
    let chunk = |part: i64, ordinal: u32| format!("part = {part} AND ordinal = {ordinal}");
    vec![
        planted(content("content_size = content_size + 5"), &[ContentSize, MessageSize], Then::Mended),
        planted(content("header_size = header_size - 1"), &[HeaderSize], Then::Mended),
        planted(content("envelope = NULL"), &[ContentTrees], Then::Mended),
        planted(content("structure = envelope"), &[ContentTrees], Then::Mended),
        planted(content("content_size = 7, header_size = 3, structure = NULL"), &[ContentSize, HeaderSize, ContentTrees, MessageSize], Then::Mended),
        planted(
            content("header = NULL"),
            &[SegmentGap, ContentHeader],
            Then::Undone(content(
                "header = (SELECT k.header FROM kept_content k WHERE k.id = content.id)",
            )),
        ),
        flipped("content", "header", 60, format!("id = {mixed}"), &[ContentBytes]),
        flipped("content", "content_hash", 0, format!("id = {text}"), &[ContentBytes]),
        flipped("segment", "octets", 1, format!("content = {text} AND ordinal = 0"), &[ContentBytes]),
        planted(segment("seg_start = seg_start + 1", 1), &[SegmentGap], Then::Undone(segment("seg_start = seg_start - 1", 1))),
        planted(segment("seg_size = seg_size - 1", 2), &[SegmentSize, SegmentGap], Then::Undone(segment("seg_size = seg_size + 1", 2))),
        planted(segment("coding = 9", 2), &[SegmentUnreadable], Then::Undone(segment("coding = 0", 2))),
        unguarded(segment("part = 888", 1), &[SegmentPart], segment(&format!("part = {part}"), 1)),
        unguarded(
            "INSERT INTO segment (content, ordinal, seg_start, seg_size, coding) VALUES (888, 0, 0, 0, 0)".to_owned(),
            &[Orphan],
            "DELETE FROM segment WHERE content = 888".to_owned(),
        ),
        planted(format!("UPDATE part SET state = 0, part_hash = NULL WHERE id = {part}"), &[PartUnfinished], Then::Undone(kept("part_hash"))),
        planted(format!("UPDATE part SET part_size = part_size - 1 WHERE id = {part}"), &[SegmentSize], Then::Undone(kept("part_size"))),
        planted(format!("UPDATE part SET packed_size = 3 WHERE id = {part}"), &[PartPacked], Then::Mended),
        planted(
            format!("DELETE FROM part_chunk WHERE {}", chunk(*long_part, 1)),
            &[PartChunks],
            Then::Undone(format!("INSERT INTO part_chunk SELECT * FROM kept_part_chunk WHERE {}", chunk(*long_part, 1))),
        ),
        planted(
            format!("UPDATE part_chunk SET packing = 0 WHERE {}", chunk(*part, 0)),
            &[PartSize],
            Then::Undone(format!("UPDATE part_chunk SET packing = 2 WHERE {}", chunk(*part, 0))),
        ),
        planted(
            format!("UPDATE part_chunk SET packing = 9 WHERE {}", chunk(*part, 0)),
            &[PartUnreadable],
            Then::Undone(format!("UPDATE part_chunk SET packing = 2 WHERE {}", chunk(*part, 0))),
        ),
        flipped("part", "part_hash", 0, format!("id = {part}"), &[PartBytes]),
        unguarded(
            if kind() == Kind::Postgres {
                "INSERT INTO part_chunk (part, ordinal, packing, octets) VALUES (888, 0, 0, '\\x01')"
            } else {
                "INSERT INTO part_chunk (part, ordinal, packing, octets) VALUES (888, 0, 0, x'01')"
            }
            .to_owned(),
            &[Orphan],
            "DELETE FROM part_chunk WHERE part = 888".to_owned(),
        ),
    ]
}
