//! One process at a time: the first starts a container, the others find it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::Kind;
use crate::names::seconds;

/// How often a server is looked through for databases that killed tests left: once in a test run, not for every test.
const SWEEP_AFTER: Duration = Duration::from_secs(10 * 60);

/// A lock on a kind of server, held until dropped. Its file says when the server was last swept.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock; who holds it waits for a server to start, which has a limit.
    pub(crate) fn on(kind: Kind) -> Result<Self, String> {
        let name = format!("dbmail-databases-{}.lock", kind.name());
        Self::at(&std::env::temp_dir().join(name))
    }

    fn at(path: &Path) -> Result<Self, String> {
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let locked = match opened {
            // Another user's; it can be locked all the same.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
            opened => opened,
        }
        .and_then(|file| file.lock().map(|()| file));
        locked
            .map(|file| Self { file })
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Whether the server is to be swept now. Says so once, then not again for a while.
    pub(crate) fn sweeps(&mut self, now: SystemTime) -> bool {
        let now = seconds(now);
        let mut text = String::new();
        let read = self.file.rewind();
        // What can't be read counts as never.
        let last = match read.and_then(|()| self.file.read_to_string(&mut text)) {
            Ok(_) => text.trim().parse().unwrap_or(0),
            Err(_) => 0,
        };
        if now.abs_diff(last) <= SWEEP_AFTER.as_secs() {
            return false;
        }
        let note = self.file.set_len(0).and_then(|()| self.file.rewind());
        // Nobody may be told by a file that can't be written: then its owner sweeps.
        note.and_then(|()| writeln!(self.file, "{now}")).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_server_is_swept_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let sweeps = |second| Lock::at(&path).unwrap().sweeps(at(second));
        assert!(sweeps(1_800_000_000));
        assert!(!sweeps(1_800_000_000));
        assert!(!sweeps(1_800_000_600));
        assert!(sweeps(1_800_000_601));
        assert!(!sweeps(1_800_000_602));
        // A file of nonsense is one that was never written.
        std::fs::write(&path, "nonsense, and much longer than a number").unwrap();
        assert!(sweeps(1_800_000_603));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1800000603\n");
    }

    #[test]
    fn a_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::at(&path).unwrap();
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop(first);
        assert!(File::open(&path).unwrap().try_lock().is_ok());
    }
}
