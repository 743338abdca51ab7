//! The power goes while four tasks use the store: each finds all that it was told to be done, and at most the one thing
//! more that it was doing.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rusqlite::Connection;

use super::disk::{Dice, Disk, Record};
use super::{ACKS, Acks, check_record, given_folder, quick_folder, recorded, seeds, true_folder};
use crate::contract::{Driven, Letter, Look, Op, Reference, Sql, Subject, random_op};
use crate::files::{load, save};

/// Tasks of the workload that has several.
const TASKS: usize = 4;
/// What each does.
const OPS: usize = 60;
/// Operations that are done after the crash, to show that the store goes on as if nothing had been.
const MORE: usize = 6;

/// What a task does: changes of all kinds, the same in every process.
fn ops(task: usize) -> Vec<Op> {
    let seed = [u8::try_from(task).expect("few tasks") + 1; 32];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = random_op();
    let mut ops = Vec::new();
    while ops.len() < OPS + MORE {
        let mut op = strategy
            .new_tree(&mut runner)
            .expect("an operation")
            .current();
        // One in ten letters is staged before it is linked.
        let large = ops.len() % 10 == 5;
        let size = 300_000 + ops.len() * 3_000;
        match &mut op {
            Op::Append(_, Some(letter), ..) | Op::Deliver(Some(letter), _) if large => {
                *letter = Letter {
                    number: 1,
                    size,
                    look: Look::Parts,
                };
            }
            _ if large => continue,
            Op::Create(..)
            | Op::Delete(_)
            | Op::Rename(..)
            | Op::Subscribe(..)
            | Op::Open(..)
            | Op::Store(..)
            | Op::Expunge(..)
            | Op::Transfer(..)
            | Op::Append(..)
            | Op::Deliver(..)
            | Op::Undelete(..) => {}
            // Many transactions, between any two of which the power may go: no moment that the reference store has.
            Op::Purge(..)
            | Op::Wait(_)
            | Op::Enable(..)
            | Op::Resolve(_)
            | Op::List(_)
            | Op::Status(_)
            | Op::Changes(..)
            | Op::Fetch(..)
            | Op::Read(..) => continue,
        }
        ops.push(op);
    }
    ops
}

fn who(task: usize) -> String {
    format!("task{task}")
}

/// The database with its users, before the workload.
fn prepared(folder: &Path, tasks: usize) {
    let store = Sql::on(folder);
    for task in 0..tasks {
        Driven::with_users(store.clone(), &who(task));
    }
    store.close();
}

/// Every task does what it does, and says so when the store has said so.
fn work(folder: &Path, tasks: usize) {
    let acks = Acks::new(folder);
    let store = Sql::on(folder);
    std::thread::scope(|scope| {
        for task in 0..tasks {
            let (store, acks) = (store.clone(), &acks);
            scope.spawn(move || {
                let mut driven = Driven::of(store, &who(task));
                for op in ops(task).iter().take(OPS) {
                    driven.run(op);
                    acks.say(&task.to_string());
                }
            });
        }
    });
    store.close();
}

/// What a task sees after each of its operations, and the reference store as it was then, looked at.
struct Expected {
    states: Vec<(Driven<Reference>, String)>,
    ops: Vec<Op>,
    who: String,
}

impl Expected {
    fn of(task: usize) -> Self {
        let who = who(task);
        let mut driven = Driven::with_users(Reference::new(), &who);
        let mut states = Vec::new();
        let ops = ops(task);
        for op in &ops {
            let mut looked = Driven::of(driven.store.clone(), &who);
            let seen = looked.dump();
            states.push((looked, seen));
            driven.run(op);
        }
        Self { states, ops, who }
    }

    /// After `done` operations that were acknowledged, the store shows them and at most the next one.
    fn check(&self, store: &Sql, done: usize, crash: &str) {
        // From a fresh look both stores number what they see in the same order.
        let mut driven = Driven::of(store.clone(), &self.who);
        let seen = driven.dump();
        let at =
            (done..=OPS.min(done + 1)).find(|at| self.states.get(*at).is_some_and(|s| s.1 == seen));
        let Some(at) = at else {
            let (_, expected) = &self.states[done];
            let last = &self.ops[done.saturating_sub(1)];
            panic!(
                "{crash}, {}: {done} done, the last {last}\n{expected}\n\nis\n{seen}",
                self.who
            );
        };
        // And goes on as if nothing had been; a delivery that was done and not acknowledged is known when it comes again.
        let mut reference = self.states[at].0.clone();
        let again = self.ops[done..at]
            .iter()
            .filter(|op| matches!(op, Op::Deliver(..)));
        for op in again.chain(self.ops[at..].iter().take(MORE)) {
            assert_eq!(
                driven.run(op),
                reference.run(op),
                "{crash}, {}: {op}",
                self.who
            );
        }
        assert_eq!(driven.dump(), reference.dump(), "{crash}, {}", self.who);
    }
}

/// The database is sound by its own account.
fn check_database(folder: &Path, crash: &str) {
    let db = Connection::open(folder.join("mail.db")).expect("a database");
    let said = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).expect(sql);
        let rows = statement.query_map([], |row| row.get(0)).expect(sql);
        rows.map(|row| row.expect("a row")).collect()
    };
    assert_eq!(said("PRAGMA integrity_check"), ["ok"], "{crash}");
    assert!(said("PRAGMA foreign_key_check").is_empty(), "{crash}");
}

/// Run by the tests below; by itself it shows that the workload leaves what the reference store says.
#[test]
fn a_workload_of_four_tasks() {
    workload(TASKS);
}

/// Like the other, with one task.
#[test]
fn a_workload_of_one_task() {
    workload(1);
}

fn workload(tasks: usize) {
    if let Some(folder) = given_folder() {
        return work(&folder, tasks);
    }
    let (_kept, folder) = true_folder();
    prepared(&folder, tasks);
    work(&folder, tasks);
    let store = Sql::on(&folder);
    for task in 0..tasks {
        Expected::of(task).check(&store, OPS, "no crash");
    }
    store.close();
    check_database(&folder, "no crash");
}

fn record_of(test: &str, tasks: usize) -> (BTreeMap<String, Vec<u8>>, Vec<Record>) {
    let (_kept, folder) = true_folder();
    prepared(&folder, tasks);
    let before = load(&folder);
    let records = recorded(&format!("crash::store::{test}"), &folder, &[]);
    check_record(&records, &before, &folder);
    (before, records)
}

/// The task that an acknowledgement is of.
fn task_of(octets: &[u8]) -> usize {
    std::str::from_utf8(octets)
        .expect("text")
        .trim()
        .parse()
        .expect("a task")
}

#[test]
fn a_sync_lies_between_the_last_write_of_a_change_and_its_acknowledgement() {
    let (before, records) = record_of("a_workload_of_one_task", 1);
    let expected = Expected::of(0);
    let mut disk = Disk::new(&before);
    let (mut done, mut syncs, mut writes) = (0, 0, 0);
    for record in &records {
        disk.step(record);
        syncs += usize::from(record.synced(&disk, "-wal"));
        writes += usize::from(record.written_to(&disk, "mail.db-wal").is_some());
        if record.written_to(&disk, ACKS).is_some() {
            assert_eq!(
                disk.waiting("-wal"),
                0,
                "operation {done}: written and not synced"
            );
            let changed = expected.states[done].1 != expected.states[done + 1].1;
            if changed {
                assert!(
                    syncs > 0 && writes > 0,
                    "operation {done}: nothing was synced"
                );
            }
            (done, syncs, writes) = (done + 1, 0, 0);
        }
    }
    assert_eq!(done, OPS);
}

/// After how many records an acknowledgement is the last, and after how many a write to the database.
fn moments(before: &BTreeMap<String, Vec<u8>>, records: &[Record]) -> (Vec<usize>, Vec<usize>) {
    let mut disk = Disk::new(before);
    let (mut acks, mut amid) = (Vec::new(), Vec::new());
    for (n, record) in records.iter().enumerate() {
        disk.step(record);
        if record.written_to(&disk, ACKS).is_some() {
            acks.push(n + 1);
        }
        let written = |name| record.written_to(&disk, name).is_some();
        if written("mail.db") || written("mail.db-wal") {
            amid.push(n + 1);
        }
    }
    assert_eq!(acks.len(), TASKS * OPS);
    (acks, amid)
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power_at_any_moment() {
    let (before, records) = record_of("a_workload_of_four_tasks", TASKS);
    let expected: Vec<Expected> = (0..TASKS).map(Expected::of).collect();
    let (acks, amid) = moments(&before, &records);
    let (_kept, folder) = quick_folder();
    let mut lost_writes = 0;
    for seed in 0..seeds() {
        let mut dice = Dice(seed);
        // Right after an acknowledgement the most can be lost; between write and sync the most can be torn.
        let moments = if seed % 2 == 0 { &acks } else { &amid };
        let until = moments[dice.below(moments.len())];
        let (mut disk, mut done) = (Disk::new(&before), [0; TASKS]);
        for record in &records[..until] {
            disk.step(record);
            if let Some(octets) = record.written_to(&disk, ACKS) {
                done[task_of(octets)] += 1;
            }
        }
        lost_writes += disk.waiting("mail.db") + disk.waiting("mail.db-wal");
        let mut image = disk.image(Some(&mut dice));
        image.remove(ACKS);
        save(&image, &folder);
        let crash = format!("seed {seed}, after {until} of {} records", records.len());
        let store = Sql::on(&folder);
        for (task, expected) in expected.iter().enumerate() {
            expected.check(&store, done[task], &crash);
        }
        store.close();
        drop(store);
        check_database(&folder, &crash);
    }
    eprintln!(
        "{} crashes, {lost_writes} writes not synced, nothing lost",
        seeds()
    );
}
