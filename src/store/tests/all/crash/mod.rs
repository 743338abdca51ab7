//! The power goes at any moment: what was acknowledged is there, once and whole (docs/design/crash.md).
//!
//! A child process runs a workload under a recorder of its writes and syncs; from one record as many crashes are made as
//! time allows: `DBMAIL_CRASH_SEEDS`, or [`SEEDS`].
#![cfg(target_os = "linux")]
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod disk;
mod plain;
mod store;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use disk::Record;

/// Crashes made from a record in a usual run.
const SEEDS: u64 = 40;
/// The file to which the workload says what was acknowledged, and which is no file of the store.
const ACKS: &str = "acks";

fn seeds() -> u64 {
    let told = std::env::var("DBMAIL_CRASH_SEEDS").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// The folder that the parent gave this process to work in, if it is a child.
fn given_folder() -> Option<PathBuf> {
    std::env::var_os("DBMAIL_CRASH_FOLDER").map(PathBuf::from)
}

/// Says what was acknowledged: one write each, so that the record has it in its place.
struct Acks(Mutex<File>);

impl Acks {
    fn new(folder: &Path) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(ACKS));
        Self(Mutex::new(file.expect("the acks")))
    }
    fn say(&self, what: &str) {
        let mut file = self.0.lock().expect("no panic");
        file.write_all(format!("{what}\n").as_bytes())
            .expect("an ack");
    }
}

/// Runs the test of that name in a child, recorded, on this folder; `settings` are environment variables.
fn recorded(test: &str, folder: &Path, settings: &[(&str, &str)]) -> Vec<Record> {
    let beside = tempfile::tempdir().expect("a folder");
    let library = disk::recorder(beside.path());
    let log = beside.path().join("log");
    let out = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", library)
        .env("DBMAIL_RECORD_FOLDER", folder)
        .env("DBMAIL_RECORD_LOG", &log)
        .env("DBMAIL_CRASH_FOLDER", folder)
        .envs(settings.iter().copied())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&out.stdout);
    let erred = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "the workload failed: {said}{erred}");
    assert!(said.contains("1 passed"), "there is no test {test}: {said}");
    disk::read(&log)
}

/// A folder of its own, by its true name, which is what the recorder compares with.
fn true_folder() -> (tempfile::TempDir, PathBuf) {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().canonicalize().expect("its name");
    (kept, path)
}

/// A folder for images, in memory where there is such a place: these need no disk.
fn quick_folder() -> (tempfile::TempDir, PathBuf) {
    let kept = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let kept = kept.expect("a folder");
    let path = kept.path().join("image");
    (kept, path)
}

/// Everything that is done survives when the power stays: the recorder missed nothing.
fn check_record(
    records: &[Record],
    before: &std::collections::BTreeMap<String, Vec<u8>>,
    folder: &Path,
) {
    let mut disk = disk::Disk::new(before);
    for record in records {
        disk.step(record);
    }
    let mut image = disk.image(None);
    for (name, content) in before {
        image.entry(name.clone()).or_insert_with(|| content.clone());
    }
    let now = crate::files::load(folder);
    assert_eq!(
        image.keys().collect::<Vec<_>>(),
        now.keys().collect::<Vec<_>>()
    );
    for (name, content) in &now {
        assert!(image[name] == *content, "the record makes another {name}");
    }
}
