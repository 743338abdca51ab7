//! A store under test, behind one face.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dbmail_core::store::{
    AccountId, MailboxId, MailboxName, Refusal, Reply, Request, Timestamp, UidSet, Undeleted,
    UploadId, memory,
};
use dbmail_store::{Clock, NewUser, Purge, Retention, Settings, Store};
use dbmail_testcontainers::{Database, Kind};
use tokio::runtime::Runtime;

use crate::files::{load, save};
use crate::world::kind;

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
    /// The user of that name, made before.
    fn account(&mut self, name: &str) -> AccountId;
    /// Enables or disables the user of that name.
    fn enable(&mut self, name: &str, enabled: bool);
    /// It is now so many seconds later.
    fn wait(&mut self, seconds: u64);
    /// Asks; `octets` is the whole of upload [`UPLOAD`].
    fn ask(&mut self, request: Request, octets: Option<&[u8]>) -> Reply;
    /// Purges what of an account is gone, and logged, for so many seconds.
    fn purge(&mut self, account: AccountId, deleted_seconds: u64, log_seconds: u64);
    /// Brings messages back.
    fn undelete(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        to: Option<&MailboxName>,
    ) -> Result<Option<Undeleted>, Refusal>;
}

/// The reference store.
#[derive(Clone)]
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
    fn account(&mut self, name: &str) -> AccountId {
        let known = self.names.iter().find(|(known, _)| known == name);
        known.expect("a user").1
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
    fn purge(&mut self, account: AccountId, deleted_seconds: u64, log_seconds: u64) {
        self.store
            .purge(self.now, account, deleted_seconds, log_seconds);
    }
    fn undelete(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        to: Option<&MailboxName>,
    ) -> Result<Option<Undeleted>, Refusal> {
        self.store.undelete(self.now, account, mailbox, uids, to)
    }
}

/// The SQL store on a database. Clones are the same store.
#[derive(Clone)]
pub(crate) struct Sql(Arc<Opened>);

struct Opened {
    store: Store,
    runtime: Runtime,
    now: Arc<AtomicI64>,
    /// Where its files are, while a test has no other place for them.
    _folder: Option<tempfile::TempDir>,
    database: Option<Database>,
}

thread_local! {
    /// Databases that a store of this thread has left.
    static LEFT: RefCell<Vec<Database>> = const { RefCell::new(Vec::new()) };
}

/// A database that was left, empty again.
fn recycled() -> Option<Database> {
    let left = LEFT.with_borrow_mut(|left| {
        left.retain(|database| database.kind == kind());
        left.pop()
    })?;
    let first = "UPDATE id_block SET next_id = 1";
    let keep = ["schema_version", "schema_lease", "id_block"];
    left.empty(&keep, first).expect("an empty database");
    Some(left)
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
        if let Some(database) = self.database.take() {
            LEFT.with_borrow_mut(|left| left.push(database));
        }
    }
}

/// A database with the schema, made once and copied for each store.
fn empty() -> &'static BTreeMap<String, Vec<u8>> {
    static EMPTY: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        Sql::on(folder.path()).close();
        load(folder.path())
    })
}

impl Sql {
    /// The store of the files in this folder, made when there is none.
    pub(crate) fn on(folder: &Path) -> Self {
        Self::opened(format!("sqlite://{}/mail.db", folder.display()), None, None)
    }

    fn opened(url: String, folder: Option<tempfile::TempDir>, database: Option<Database>) -> Self {
        let settings = Settings {
            url,
            readers: 2,
            background_seconds: 0,
            // Whatever can be answered from memory is.
            known_messages: 1,
            ..Settings::default()
        };
        Self::with(settings, folder, database)
    }

    /// The store with these settings, whose time is the test's. The caller keeps the database.
    pub(crate) fn set(settings: Settings) -> Self {
        Self::with(settings, None, None)
    }

    fn with(
        settings: Settings,
        folder: Option<tempfile::TempDir>,
        database: Option<Database>,
    ) -> Self {
        let now = Arc::new(AtomicI64::new(START.0));
        let told = Arc::clone(&now);
        let settings = Settings {
            clock: Clock::new(move || Timestamp(told.load(Ordering::SeqCst))),
            ..settings
        };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let store = runtime.block_on(async {
            Store::migrate(&settings, false).await.expect("a schema");
            Store::open(settings).await.expect("a store")
        });
        Self(Arc::new(Opened {
            store,
            runtime,
            now,
            _folder: folder,
            database,
        }))
    }

    /// Finishes what is under way.
    pub(crate) fn close(&self) {
        self.0.runtime.block_on(self.0.store.close());
    }

    /// The store itself.
    pub(crate) fn store(&self) -> Store {
        self.0.store.clone()
    }

    /// Runs it to its end.
    pub(crate) fn run<T>(&self, what: impl Future<Output = T>) -> T {
        self.0.runtime.block_on(what)
    }
}

/// Asks, with the whole of the upload in slices as a session would send them.
pub(crate) async fn ask(store: &Store, request: Request, octets: Option<&[u8]>) -> Reply {
    let Some(octets) = octets else {
        return Box::pin(store.apply(request, None)).await;
    };
    let mut upload = store.upload();
    for slice in octets.chunks(10_000) {
        upload.write(Bytes::copy_from_slice(slice)).await?;
    }
    if upload.size() != octets.len() as u64 {
        return Err(Refusal::Upload);
    }
    Box::pin(store.apply(request, Some(upload))).await
}

impl Subject for Sql {
    fn new() -> Self {
        if kind() != Kind::Sqlite {
            let database =
                recycled().unwrap_or_else(|| Database::fresh(kind()).expect("a database"));
            return Self::opened(database.url.clone(), None, Some(database));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        save(empty(), &path);
        let url = format!("sqlite://{}/mail.db", path.display());
        Self::opened(url, Some(folder), None)
    }
    fn add(&mut self, name: &str, addresses: &[&str], quota: Option<u64>) -> AccountId {
        let user = NewUser {
            name: name.to_owned(),
            password_hash: None,
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            quota_bytes: quota,
        };
        self.run(self.0.store.user_add(user)).expect("a user")
    }
    fn account(&mut self, name: &str) -> AccountId {
        let user = self.run(self.0.store.user_show(name));
        user.expect("an answer").expect("a user").account
    }
    fn enable(&mut self, name: &str, enabled: bool) {
        let done = self.run(self.0.store.user_enable(name, enabled));
        done.expect("a user");
    }
    fn wait(&mut self, seconds: u64) {
        let micros = Timestamp(0).plus_seconds(seconds).0;
        self.0.now.fetch_add(micros, Ordering::SeqCst);
    }
    fn ask(&mut self, request: Request, octets: Option<&[u8]>) -> Reply {
        self.run(ask(&self.0.store, request, octets))
    }
    fn purge(&mut self, account: AccountId, deleted_seconds: u64, log_seconds: u64) {
        let what = Purge {
            account: Some(account),
            retention: Retention {
                deleted_seconds,
                log_seconds,
            },
        };
        self.run(self.0.store.purge(what, |_| {})).expect("purged");
    }
    fn undelete(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        to: Option<&MailboxName>,
    ) -> Result<Option<Undeleted>, Refusal> {
        let (uids, to) = (uids.clone(), to.cloned());
        self.run(self.0.store.undelete(account, mailbox, uids, to))
    }
}
