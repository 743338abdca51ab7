//! A store under test, behind one face.

use dbmail_core::store::{AccountId, Reply, Request, Timestamp, UploadId, memory};

/// The moment at which every test begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);
/// The upload that a subject makes of the octets it is given.
pub(crate) const UPLOAD: UploadId = UploadId(1);

/// A store under test.
pub(crate) trait Subject {
    /// An empty store at [`START`].
    fn new() -> Self;
    /// Makes a user.
    fn add(&mut self, name: &str, addresses: &[&str], quota: Option<u64>) -> AccountId;
    /// Enables or disables the user of that name.
    fn enable(&mut self, name: &str, enabled: bool);
    /// It is now so many seconds later.
    fn wait(&mut self, seconds: u64);
    /// Asks; `octets` is the whole of upload [`UPLOAD`].
    fn ask(&mut self, request: Request, octets: Option<&[u8]>) -> Reply;
}

/// The reference store.
pub(crate) struct Reference {
    store: memory::Store,
    names: Vec<(String, AccountId)>,
    now: Timestamp,
}

impl Subject for Reference {
    fn new() -> Self {
        Self {
            store: memory::Store::new(),
            names: Vec::new(),
            now: START,
        }
    }
    fn add(&mut self, name: &str, addresses: &[&str], quota: Option<u64>) -> AccountId {
        let account = self.store.add_account(name, addresses);
        self.store.set_quota(account, quota);
        self.names.push((name.to_owned(), account));
        account
    }
    fn enable(&mut self, name: &str, enabled: bool) {
        for (_, account) in self.names.iter().filter(|(known, _)| known == name) {
            self.store.set_enabled(*account, enabled);
        }
    }
    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus_seconds(seconds);
    }
    fn ask(&mut self, request: Request, octets: Option<&[u8]>) -> Reply {
        if let Some(octets) = octets {
            self.store.stage(UPLOAD, octets);
        }
        self.store.apply(self.now, request)
    }
}
