//! A store under test, behind one face.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dbmail_core::store::{AccountId, Reply, Request, Timestamp, UploadId, memory};
use dbmail_store::{Clock, NewUser, Settings, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

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

/// The SQL store on a database of its own.
pub(crate) struct Sqlite {
    store: Store,
    now: Arc<AtomicI64>,
    runtime: Runtime,
    _folder: TempDir,
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// A database with the schema, made once and copied for each store.
fn empty() -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let settings = settings(folder.path().join("empty.db"), &Arc::new(AtomicI64::new(0)));
        let made = runtime().block_on(async {
            Store::migrate(&settings, false).await?;
            Store::open(settings.clone()).await?.close().await;
            Ok::<_, dbmail_store::OpenError>(())
        });
        made.expect("a database");
        std::fs::read(folder.path().join("empty.db")).expect("the database")
    })
}

fn settings(path: PathBuf, now: &Arc<AtomicI64>) -> Settings {
    let now = Arc::clone(now);
    Settings {
        url: format!("sqlite://{}", path.display()),
        readers: 1,
        background_seconds: 0,
        clock: Clock::new(move || Timestamp(now.load(Ordering::Relaxed))),
        ..Settings::default()
    }
}

impl Subject for Sqlite {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("mail.db");
        std::fs::write(&path, empty()).expect("a copy");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let owner = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, owner).expect("permissions");
        }
        let now = Arc::new(AtomicI64::new(START.0));
        let runtime = runtime();
        let opened = runtime.block_on(Store::open(settings(path, &now)));
        Self {
            store: opened.expect("a store"),
            now,
            runtime,
            _folder: folder,
        }
    }
    fn add(&mut self, name: &str, addresses: &[&str], quota: Option<u64>) -> AccountId {
        let user = NewUser {
            name: name.to_owned(),
            password_hash: None,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            quota_bytes: quota,
        };
        self.runtime
            .block_on(self.store.user_add(user))
            .expect(name)
    }
    fn enable(&mut self, name: &str, enabled: bool) {
        self.runtime
            .block_on(self.store.user_enable(name, enabled))
            .expect(name);
    }
    fn wait(&mut self, seconds: u64) {
        let later = Timestamp(self.now.load(Ordering::Relaxed)).plus_seconds(seconds);
        self.now.store(later.0, Ordering::Relaxed);
    }
    fn ask(&mut self, request: Request, octets: Option<&[u8]>) -> Reply {
        let store = &self.store;
        self.runtime.block_on(async {
            let upload = match octets {
                None => None,
                Some(octets) => {
                    let mut upload = store.upload();
                    for slice in octets.chunks(10_000) {
                        upload.write(Bytes::copy_from_slice(slice)).await?;
                    }
                    Some(upload)
                }
            };
            store.apply(request, upload).await
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
    }
}
