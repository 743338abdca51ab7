//! Files of a store, as values.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// The files of a folder, but for shared memory, which is not on the disk.
pub(crate) fn load(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_file() && !name.ends_with("-shm") {
            files.insert(name, fs::read(&path).expect("a file"));
        }
    }
    files
}

/// Writes the files, for their owner only, into a folder that then holds nothing else.
pub(crate) fn save(files: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("a folder");
    for (name, content) in files {
        let mut how = fs::OpenOptions::new();
        how.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let mut made = how.open(folder.join(name)).expect("a new file");
        made.write_all(content).expect("written");
    }
}
