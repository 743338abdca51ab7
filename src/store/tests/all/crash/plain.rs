//! Shows that the crash test finds losses: a plain table without syncs loses rows, with syncs it does not.

use rusqlite::Connection;

use super::disk::{Dice, Disk};
use super::{ACKS, Acks, check_record, given_folder, quick_folder, recorded, seeds, true_folder};
use crate::files::{load, save};

const ROWS: u32 = 60;

/// Run by the tests below; by itself it shows that rows are there after the connection is closed.
#[test]
fn a_plain_table_takes_rows() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = given_folder().unwrap_or_else(|| kept.path().to_owned());
    let how = std::env::var("DBMAIL_CRASH_SYNC").unwrap_or_else(|_| "FULL".to_owned());
    let acks = Acks::new(&folder);
    let db = Connection::open(folder.join("plain.db")).expect("a database");
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {how}; PRAGMA wal_autocheckpoint = 20;
         CREATE TABLE IF NOT EXISTS line (n INTEGER PRIMARY KEY, text BLOB NOT NULL);"
    ))
    .expect("a table");
    for n in 0..ROWS {
        db.execute("INSERT INTO line VALUES (?1, zeroblob(?2))", (n, n * 100))
            .expect("a row");
        acks.say(&n.to_string());
    }
    let rows: u32 = db
        .query_row("SELECT count(*) FROM line", [], |row| row.get(0))
        .expect("rows");
    assert_eq!(rows, ROWS);
}

/// In how many of the crashes an acknowledged row was lost, or the database damaged.
fn losses(sync: &str) -> u64 {
    let (_kept, folder) = true_folder();
    let before = load(&folder);
    let test = "crash::plain::a_plain_table_takes_rows";
    let records = recorded(test, &folder, &[("DBMAIL_CRASH_SYNC", sync)]);
    check_record(&records, &before, &folder);
    let (_kept, image) = quick_folder();
    let mut lost = 0;
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        let until = dice.below(records.len() + 1);
        let (mut disk, mut acknowledged) = (Disk::new(&before), 0u32);
        for record in &records[..until] {
            disk.step(record);
            acknowledged += u32::from(record.written_to(&disk, ACKS).is_some());
        }
        save(&disk.image(Some(&mut dice)), &image);
        let kept = acknowledged == 0 || rows(&image).is_some_and(|rows| rows >= acknowledged);
        lost += u64::from(!kept);
    }
    lost
}

/// Rows from the first without a gap; `None` when that can't be said.
fn rows(folder: &std::path::Path) -> Option<u32> {
    let db = Connection::open(folder.join("plain.db")).ok()?;
    let sound: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .ok()?;
    let sql = "SELECT count(*), coalesce(max(n) + 1, 0) FROM line WHERE length(text) = n * 100";
    let (rows, next): (u32, u32) = db
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .ok()?;
    (sound == "ok" && rows == next).then_some(rows)
}

#[test]
fn a_plain_table_with_syncs_loses_no_row() {
    assert_eq!(losses("FULL"), 0);
}

#[test]
fn a_plain_table_without_syncs_loses_rows_and_the_crash_test_sees_it() {
    let lost = losses("OFF");
    eprintln!("{lost} of {} crashes lost rows", seeds());
    assert!(
        lost * 4 > seeds(),
        "only {lost} of {} crashes lost anything",
        seeds()
    );
}
