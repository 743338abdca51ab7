//! A store on a database of its own, and short ways to use it.

// What is expected here are the tests' own doings.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use dbmail_core::limits::READ_BYTES_MAX;
use dbmail_core::store::{
    AccountId, Answer, ContentId, FetchItems, Flags, Mailbox, MailboxName, Message, Outcome,
    Recipient, Refusal, Reply, Request, SystemFlags, Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{NewUser, Settings, Store};
use dbmail_testcontainers::{Database, Kind, kinds_at_hand};
use std::cell::Cell;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) account: AccountId,
    database: Database,
}

thread_local! {
    /// What the test of this thread runs on.
    static KIND: Cell<Kind> = const { Cell::new(Kind::Sqlite) };
}

/// What the test of this thread runs on.
pub(crate) fn kind() -> Kind {
    KIND.get()
}

/// Runs something on each kind of database at hand, one after another.
pub(crate) fn on_each_kind(mut run: impl FnMut()) {
    for kind in kinds_at_hand() {
        eprintln!("on {}", kind.name());
        KIND.set(kind);
        run();
    }
    KIND.set(Kind::Sqlite);
}

/// Runs a test on each kind of database at hand, on a runtime with several threads.
pub(crate) fn on_each(test: impl AsyncFn()) {
    on_each_kind(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(4).enable_all().build();
        runtime.expect("a runtime").block_on(test());
    });
}

pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).expect(text)
}

pub(crate) fn flags(system: SystemFlags) -> Flags {
    Flags {
        system,
        ..Flags::default()
    }
}

pub(crate) fn user(name: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        password_hash: Some("hash".to_owned()),
        addresses: vec![format!("{name}@example.org")],
        quota_bytes: None,
    }
}

pub(crate) fn everything() -> UidSet {
    UidSet::range(Uid::MIN, Uid::MAX)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    pub(crate) async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let database = Database::fresh(kind()).expect("a database");
        let settings = change(Settings {
            url: database.url.clone(),
            background_seconds: 0,
            ..Settings::default()
        });
        Store::migrate(&settings, false).await.expect("a schema");
        let store = Store::open(settings.clone()).await.expect("a store");
        let account = store.user_add(user("alice")).await.expect("a user");
        Self {
            store,
            settings,
            account,
            database,
        }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.database.folder().join("mail.db")
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.settings.clone()).await.expect("a store");
    }

    pub(crate) async fn append_slices(&self, octets: &[u8], slice: usize) -> Result<Uid, Refusal> {
        let mut upload = self.store.upload();
        for slice in octets.chunks(slice) {
            upload.write(Bytes::copy_from_slice(slice)).await?;
        }
        let request = Request::Append {
            account: self.account,
            name: MailboxName::inbox(),
            flags: Flags::default(),
            date: None,
            upload: UploadId(1),
        };
        match self.store.apply(request, Some(upload)).await? {
            Answer::Appended { uid, .. } => Ok(uid),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn append(&self, octets: &[u8]) -> Uid {
        self.append_slices(octets, 64 * 1024)
            .await
            .expect("appended")
    }

    pub(crate) async fn deliver(&self, octets: &[u8], mailboxes: &[&str]) -> Vec<Outcome> {
        let to = |mailbox: &&str| Recipient {
            account: self.account,
            address: Bytes::from(format!("{mailbox}@example.org")),
            mailbox: name(mailbox),
            flags: Flags::default(),
            prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
        };
        let request = Request::Deliver {
            upload: UploadId(1),
            reverse_path: Bytes::from_static(b"sender@example.net"),
            received: Timestamp(1_700_000_000_000_000),
            recipients: mailboxes.iter().map(to).collect(),
        };
        let mut upload = self.store.upload();
        upload
            .write(Bytes::copy_from_slice(octets))
            .await
            .expect("taken");
        match self
            .store
            .apply(request, Some(upload))
            .await
            .expect("delivered")
        {
            Answer::Delivered(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ask(&self, request: Request) -> Reply {
        self.store.apply(request, None).await
    }

    pub(crate) async fn status(&self, mailbox: &str) -> Mailbox {
        let request = Request::Status {
            account: self.account,
            name: name(mailbox),
        };
        match self.ask(request).await.expect(mailbox) {
            Answer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn fetch(
        &self,
        mailbox: &str,
        uids: &UidSet,
        items: FetchItems,
    ) -> Vec<Message> {
        let mailbox = self.status(mailbox).await.id;
        let items = FetchItems {
            place: true,
            dates: true,
            ..items
        };
        let (mut rest, mut all) = (uids.clone(), Vec::new());
        while !rest.is_empty() {
            let request = Request::Fetch {
                mailbox,
                uids: rest.clone(),
                items,
            };
            let Answer::Messages(page) = self.ask(request).await.expect("a page") else {
                panic!("no page");
            };
            all.extend(page.messages);
            let Some(through) = page.through else { break };
            rest = dbmail_core::store::rest_of(&rest, through);
        }
        all
    }

    /// The octets of a content, read in slices.
    pub(crate) async fn content(&self, content: ContentId, size: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        while (octets.len() as u64) < size {
            let start = octets.len() as u64;
            let end = size.min(start + READ_BYTES_MAX);
            let Answer::Octets(slice) = self
                .ask(Request::Read {
                    content,
                    start,
                    end,
                })
                .await
                .expect("octets")
            else {
                panic!("no octets");
            };
            assert!(!slice.is_empty());
            octets.extend(slice);
        }
        octets
    }

    /// Runs a text on the database itself, past the store.
    pub(crate) fn execute(&self, sql: &str) {
        if self.database.kind != Kind::Sqlite {
            return self.database.run(sql).expect(sql);
        }
        let database = rusqlite::Connection::open(self.path()).expect("the database");
        database.execute_batch(sql).expect(sql);
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}"))
    }

    /// The number that a question to the database itself has as its answer.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        if self.database.kind != Kind::Sqlite {
            return self.database.number(sql).expect(sql);
        }
        let database = rusqlite::Connection::open(self.path()).expect("the database");
        database.query_row(sql, [], |row| row.get(0)).expect(sql)
    }
}
