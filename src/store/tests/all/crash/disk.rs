//! What a disk may hold after the power went: made from the record of a process's writes and syncs (`record.c`).
//!
//! What was synced is there. Of what was not, an arbitrary subset is: each write is cut at sector borders, and each piece
//! survives or not by itself, whatever came before or after it. Files that were made or removed since the folder was synced are
//! there or not, in the order in which that happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Numbers that look random, the same for the same seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("fits")
    }
}

/// One thing that the process did.
#[derive(Debug)]
pub(crate) struct Record {
    kind: u8,
    file: u32,
    offset: u64,
    octets: Vec<u8>,
}

/// Builds the recorder with the C compiler that also builds SQLite.
pub(crate) fn recorder(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/crash/record.c");
    let library = folder.join("record.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(&compiler)
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status();
    assert!(
        built.expect(&compiler).success(),
        "record.c does not compile"
    );
    library
}

/// The record of a process, whole.
pub(crate) fn read(path: &Path) -> Vec<Record> {
    let log = fs::read(path).expect("the record");
    let mut records = Vec::new();
    let mut rest = &log[..];
    while !rest.is_empty() {
        let number = |at: usize, size: usize| {
            let mut octets = [0u8; 8];
            octets[..size].copy_from_slice(&rest[at..at + size]);
            u64::from_le_bytes(octets)
        };
        let length = usize::try_from(number(13, 8)).expect("fits");
        records.push(Record {
            kind: rest[0],
            file: u32::try_from(number(1, 4)).expect("four octets"),
            offset: number(5, 8),
            octets: rest[21..21 + length].to_vec(),
        });
        rest = &rest[21 + length..];
    }
    records
}

/// A file as the disk has it, and what it may also have.
#[derive(Default)]
struct File<'a> {
    name: String,
    synced: Vec<u8>,
    waiting: Vec<&'a Record>,
    /// How many of `waiting` each sync under way is about.
    syncs: Vec<usize>,
}

enum Naming {
    Made(u32),
    Removed(String),
}

/// A disk, brought forward record by record.
pub(crate) struct Disk<'a> {
    files: BTreeMap<u32, File<'a>>,
    /// The folder as synced.
    names: BTreeMap<String, u32>,
    namings: Vec<Naming>,
    folder_syncs: Vec<usize>,
    before: &'a BTreeMap<String, Vec<u8>>,
}

fn write(content: &mut Vec<u8>, at: usize, octets: &[u8]) {
    let end = at + octets.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(octets);
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("fits")
}

fn apply(content: &mut Vec<u8>, record: &Record) {
    match record.kind {
        b'T' => content.resize(place(record.offset), 0),
        _ => write(content, place(record.offset), &record.octets),
    }
}

impl<'a> Disk<'a> {
    /// A disk with these files, all synced.
    pub(crate) fn new(before: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            namings: Vec::new(),
            folder_syncs: Vec::new(),
            before,
        }
    }

    /// The process did this too.
    pub(crate) fn step(&mut self, record: &'a Record) {
        let file = self.files.entry(record.file).or_default();
        match record.kind {
            b'N' | b'C' => {
                file.name = String::from_utf8(record.octets.clone()).expect("a name");
                if record.kind == b'C' {
                    self.namings.push(Naming::Made(record.file));
                } else {
                    file.synced = self.before.get(&file.name).cloned().unwrap_or_default();
                    self.names.insert(file.name.clone(), record.file);
                }
            }
            b'W' | b'T' => file.waiting.push(record),
            b's' => file.syncs.push(file.waiting.len()),
            b'S' => {
                // Which of several syncs under way has ended is not known: the one that promises least.
                let many = file.syncs.remove(0);
                if record.offset == 0 {
                    for done in file.waiting.drain(..many) {
                        apply(&mut file.synced, done);
                    }
                    for sync in &mut file.syncs {
                        *sync -= many;
                    }
                }
            }
            b'U' => {
                let name = String::from_utf8(record.octets.clone()).expect("a name");
                self.namings.push(Naming::Removed(name));
            }
            b'd' => self.folder_syncs.push(self.namings.len()),
            b'D' => {
                let many = self.folder_syncs.remove(0);
                if record.offset == 0 {
                    for naming in self.namings.drain(..many) {
                        name(&mut self.names, &self.files, &naming);
                    }
                    for sync in &mut self.folder_syncs {
                        *sync -= many;
                    }
                }
            }
            other => panic!("a record of kind {other}"),
        }
    }

    /// Octets that wait for a sync in files whose name ends so.
    pub(crate) fn waiting(&self, suffix: &str) -> usize {
        let files = self
            .files
            .values()
            .filter(|file| file.name.ends_with(suffix));
        files.map(|file| file.waiting.len()).sum()
    }

    /// The name of a file.
    pub(crate) fn name_of(&self, record: &Record) -> &str {
        self.files.get(&record.file).map_or("", |file| &file.name)
    }

    /// The power goes. `None`: it does not, everything is there.
    pub(crate) fn image(&self, mut dice: Option<&mut Dice>) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.names.clone();
        let many = match &mut dice {
            Some(dice) => dice.below(self.namings.len() + 1),
            None => self.namings.len(),
        };
        for naming in &self.namings[..many] {
            name(&mut names, &self.files, naming);
        }
        // Some disks lose nearly all, some nearly nothing, in small or large sectors.
        let (of_ten, sector) = match &mut dice {
            Some(dice) => ([0, 1, 5, 9, 10][dice.below(5)], [512, 4096][dice.below(2)]),
            None => (10, 4096),
        };
        let mut survives = move || dice.as_mut().is_none_or(|dice| dice.below(10) < of_ten);
        let mut image = BTreeMap::new();
        for (name, number) in names {
            let file = &self.files[&number];
            let mut content = file.synced.clone();
            for record in &file.waiting {
                if record.kind == b'T' {
                    if survives() {
                        apply(&mut content, record);
                    }
                    continue;
                }
                let (start, end) = (
                    place(record.offset),
                    place(record.offset) + record.octets.len(),
                );
                let mut at = start;
                while at < end {
                    let next = ((at / sector + 1) * sector).min(end);
                    if survives() {
                        write(&mut content, at, &record.octets[at - start..next - start]);
                    }
                    at = next;
                }
            }
            image.insert(name, content);
        }
        image
    }
}

fn name(names: &mut BTreeMap<String, u32>, files: &BTreeMap<u32, File<'_>>, naming: &Naming) {
    match naming {
        Naming::Made(number) => {
            names.insert(files[number].name.clone(), *number);
        }
        Naming::Removed(name) => {
            names.remove(name);
        }
    }
}

impl Record {
    /// Octets written to the file of that name, if that is what it is.
    pub(crate) fn written_to(&self, disk: &Disk<'_>, name: &str) -> Option<&[u8]> {
        (self.kind == b'W' && disk.name_of(self) == name).then_some(&self.octets)
    }
    /// A sync that was done.
    pub(crate) fn synced(&self, disk: &Disk<'_>, suffix: &str) -> bool {
        self.kind == b'S' && self.offset == 0 && disk.name_of(self).ends_with(suffix)
    }
}
