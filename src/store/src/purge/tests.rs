//! Purging beside others, moment by moment: one transaction has done everything and not committed yet while another runs.
//! (SQLite has one writer: there the other waits.)

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use dbmail_core::store::{
    Answer, FlagChange, Flags, MailboxName, ModSeq, Recipient, Request, SystemFlags, Uid, UidSet,
    UploadId,
};
use dbmail_testcontainers::{Database, Kind, kinds_at_hand};

use super::*;
use crate::driver::Connection;
use crate::engine::{Admin, Change, Undelete};
use crate::{Clock, NewUser, Settings};

/// How long a transaction stays open when all is done.
const OPEN: Duration = Duration::from_millis(700);

/// Does its work, says so, and commits later.
struct Slow<W>(W, Arc<AtomicBool>);

impl<W: Work> Work for Slow<W> {
    type Done = W::Done;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<W::Done, Error> {
        let done = self.0.run(db).await?;
        self.1.store(true, Ordering::SeqCst);
        db.connection().pause(OPEN).await;
        Ok(done)
    }
}

struct World {
    store: Store,
    kind: Kind,
    alice: AccountId,
    bob: AccountId,
    database: Database,
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn all() -> UidSet {
    UidSet::range(Uid::MIN, Uid::MAX)
}

impl World {
    async fn new(kind: Kind) -> Self {
        let database = Database::fresh(kind).unwrap();
        let settings = Settings {
            url: database.url.clone(),
            background_seconds: 0,
            ..Settings::default()
        };
        Store::migrate(&settings, false).await.unwrap();
        let system = Clock::system();
        let settings = Settings {
            // Long ago, so that what was done is due at once by the system's clock.
            clock: Clock::new(move || Timestamp(system.now().0 - 7_200_000_000)),
            ..settings
        };
        let store = Store::open(settings).await.unwrap();
        let user = |name: &str| NewUser {
            name: name.to_owned(),
            password_hash: None,
            addresses: Vec::new(),
            quota_bytes: None,
        };
        let alice = store.user_add(user("alice")).await.unwrap();
        let bob = store.user_add(user("bob")).await.unwrap();
        Self {
            store,
            kind,
            alice,
            bob,
            database,
        }
    }

    async fn deliver(&self, to: &[(AccountId, &str)]) {
        let recipient = |(account, mailbox): &(AccountId, &str)| Recipient {
            account: *account,
            address: Bytes::from(format!("{}@{mailbox}", account.0)),
            mailbox: name(mailbox),
            flags: Flags {
                system: SystemFlags::DELETED,
                ..Flags::default()
            },
            prefix: Bytes::new(),
        };
        let request = Request::Deliver {
            upload: UploadId(1),
            reverse_path: Bytes::new(),
            received: Timestamp(0),
            recipients: to.iter().map(recipient).collect(),
        };
        let mut upload = self.store.upload();
        let octets = format!("Received: x\r\n\r\nto {}", to.len());
        upload.write(octets.into()).await.unwrap();
        self.store.apply(request, Some(upload)).await.unwrap();
    }

    async fn mailbox(&self, account: AccountId, mailbox: &str) -> MailboxId {
        let name = name(mailbox);
        let status = Request::Status { account, name };
        match self.store.apply(status, None).await {
            Ok(Answer::Status(found)) => found.id,
            other => panic!("{other:?}"),
        }
    }

    async fn expunge(&self, account: AccountId, mailbox: &str) {
        let mailbox = self.mailbox(account, mailbox).await;
        let uids = None;
        let expunge = Request::Expunge { mailbox, uids };
        self.store.apply(expunge, None).await.unwrap();
    }

    /// Marks all messages of a mailbox as deleted, and expunges them.
    async fn delete_all(&self, account: AccountId, mailbox: &str) {
        let store = Request::Store {
            mailbox: self.mailbox(account, mailbox).await,
            uids: all(),
            how: FlagChange::Add,
            flags: Flags {
                system: SystemFlags::DELETED,
                ..Flags::default()
            },
            unchanged_since: None,
        };
        self.store.apply(store, None).await.unwrap();
        self.expunge(account, mailbox).await;
    }

    async fn copy_of(&self, from: &str, to: &str) -> Change {
        Change(Request::Copy {
            mailbox: self.mailbox(self.alice, from).await,
            uids: all(),
            account: self.alice,
            to: name(to),
        })
    }

    async fn copy(&self, from: &str, to: &str) {
        let Change(copy) = self.copy_of(from, to).await;
        self.store.apply(copy, None).await.unwrap();
    }

    /// All of the gone of a mailbox are due.
    async fn purge_of(&self, account: AccountId, mailbox: &str) -> PurgeGone {
        PurgeGone {
            mailbox: self.mailbox(account, mailbox).await,
            after: 0,
            rows: GONE_ROWS,
            gone_before: i64::MAX,
        }
    }

    async fn run<W>(&self, work: W) -> W::Done
    where
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        self.store.0.write("test", work).await.unwrap()
    }

    /// One does everything; while it has not committed, the other runs, and ends before it or after.
    async fn beside<V, W>(&self, slow: V, other: W) -> (V::Done, W::Done)
    where
        V: Work + Send + 'static,
        V::Done: 'static,
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        let reached = Arc::new(AtomicBool::new(false));
        let slow = Slow(slow, Arc::clone(&reached));
        tokio::join!(self.run(slow), async {
            while !reached.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.run(other).await
        })
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        if self.kind == Kind::Sqlite {
            let file = self.database.folder().join("mail.db");
            let file = rusqlite::Connection::open(file).unwrap();
            return file.query_row(&sql, [], |row| row.get(0)).unwrap();
        }
        self.database.number(&sql).unwrap()
    }

    /// Whether there is more than one writer.
    fn is_server(&self) -> bool {
        self.kind != Kind::Sqlite
    }
}

fn on_each(test: impl AsyncFn(World)) {
    for kind in kinds_at_hand() {
        eprintln!("on {}", kind.name());
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(4).enable_all().build();
        runtime.unwrap().block_on(async {
            let world = World::new(kind).await;
            let store = world.store.clone();
            test(world).await;
            store.close().await;
        });
    }
}

#[test]
fn of_two_who_remove_the_last_references_the_second_is_left_to_the_next_run() {
    on_each(async |world: World| {
        let alice = world.alice;
        for shared in ["email", "content"] {
            if shared == "email" {
                world.deliver(&[(alice, "INBOX")]).await;
                world.copy("INBOX", "Sent").await;
            } else {
                world.deliver(&[(alice, "INBOX"), (alice, "Sent")]).await;
            }
            world.expunge(alice, "INBOX").await;
            world.expunge(alice, "Sent").await;
            let first = world.purge_of(alice, "INBOX").await;
            let second = world.purge_of(alice, "Sent").await;
            let ((first, _), (second, _)) = world.beside(first, second).await;
            assert_eq!(first.messages, 1);
            if world.is_server() {
                assert_eq!(second.messages, 0, "{shared} is held by the first");
            }
            world.run(world.purge_of(alice, "Sent").await).await;
            for table in ["message_gone", "email", "content", "segment"] {
                assert_eq!(world.count(table), 0, "{table}, {shared}");
            }
        }
    });
}

#[test]
fn what_is_being_copied_stays() {
    on_each(async |world: World| {
        let alice = world.alice;
        world.deliver(&[(alice, "INBOX")]).await;
        world.copy("INBOX", "Sent").await;
        world.expunge(alice, "INBOX").await;
        let (copy, purge) = (
            world.copy_of("Sent", "Trash").await,
            world.purge_of(alice, "INBOX").await,
        );
        let (_, (went, _)) = world.beside(copy, purge).await;
        if world.is_server() {
            assert_eq!(went.messages, 0, "it is left to the next run");
        }
        let (copy, purge) = (
            world.copy_of("Sent", "Trash").await,
            world.purge_of(alice, "INBOX").await,
        );
        let (_, copied) = world.beside(purge, copy).await;
        assert!(matches!(copied, Answer::Copied(copied) if copied.to.len() == 1));
        let rows = ["message", "message_gone", "email", "content"].map(|t| world.count(t));
        assert_eq!(rows, [3, 0, 1, 1]);
    });
}

#[test]
fn a_log_that_is_purged_while_it_is_read_says_so() {
    on_each(async |world: World| {
        let alice = world.alice;
        let mailbox = world.mailbox(alice, "INBOX").await;
        let read = async |since, through| {
            let (since, through) = (ModSeq(since), ModSeq(through));
            let read = world.store.0.read("test", move |db| {
                Box::pin(db.changes_through(mailbox, since, through))
            });
            match read.await {
                Ok(Answer::Changes(changes)) => (changes.entries.len(), changes.forgotten),
                other => panic!("{other:?}"),
            }
        };
        let purge = |done_before| PurgeLog {
            of: LogOf::Mailbox(mailbox),
            done_before,
        };
        world.deliver(&[(alice, "INBOX")]).await;
        world.expunge(alice, "INBOX").await;
        let young = world.store.0.shared.clock.now().0;
        world.deliver(&[(alice, "INBOX"), (alice, "Sent")]).await;
        // The counter row said 4, and nothing of the log was missing.
        assert_eq!(read(1, 4).await, (3, false));
        assert_eq!(world.run(purge(young)).await, (2, false));
        assert_eq!(read(1, 4).await, (1, true));
        assert_eq!(read(3, 4).await, (1, false));
        assert_eq!(world.run(purge(i64::MAX)).await, (1, false));
        assert_eq!(read(3, 4).await, (0, true));
        assert_eq!(read(4, 4).await, (0, false));
        let new = world.mailbox(alice, "Junk").await;
        let read = world.store.0.read("test", move |db| {
            Box::pin(db.changes_through(new, ModSeq(0), ModSeq(1)))
        });
        let Ok(Answer::Changes(changes)) = read.await else {
            panic!("no changes");
        };
        assert!(!changes.forgotten, "a new mailbox has forgotten nothing");
    });
}

#[test]
fn who_brings_back_what_is_being_purged_has_it_whole_or_not_at_all() {
    on_each(async |world: World| {
        let alice = world.alice;
        let undelete = async || Undelete {
            account: alice,
            mailbox: world.mailbox(alice, "INBOX").await,
            uids: all(),
            to: None,
        };
        world.deliver(&[(alice, "INBOX")]).await;
        world.expunge(alice, "INBOX").await;
        let purge = world.purge_of(alice, "INBOX").await;
        let (back, (went, _)) = world.beside(undelete().await, purge).await;
        assert_eq!((back.unwrap().to.len(), went.messages), (1, 0));
        let rows = ["message", "message_gone", "email", "content"].map(|t| world.count(t));
        assert_eq!(rows, [1, 0, 1, 1]);
        world.delete_all(alice, "INBOX").await;
        let purge = world.purge_of(alice, "INBOX").await;
        let ((went, _), back) = world.beside(purge, undelete().await).await;
        assert_eq!((went.messages, back), (1, None));
        let rows = ["message", "message_gone", "email", "content"].map(|t| world.count(t));
        assert_eq!(rows, [0, 0, 0, 0]);
    });
}

#[test]
fn a_user_who_is_removed_meanwhile_leaves_nothing_and_takes_nothing_along() {
    on_each(async |world: World| {
        let (alice, bob) = (world.alice, world.bob);
        let remove = || Admin::Remove("bob".to_owned());
        world.deliver(&[(alice, "INBOX"), (bob, "INBOX")]).await;
        world.expunge(alice, "INBOX").await;
        let purge = world.purge_of(alice, "INBOX").await;
        world.beside(remove(), purge).await;
        world.run(world.purge_of(alice, "INBOX").await).await;
        for table in ["message", "message_gone", "email", "content"] {
            assert_eq!(world.count(table), 0, "{table}");
        }
        // He is disabled, and gets no more; what came before he is gone for good.
        let enable = Admin::Enable("bob".to_owned(), true);
        world.run(enable).await;
        let again = Request::Append {
            account: bob,
            name: name("INBOX"),
            flags: Flags::default(),
            date: None,
            upload: UploadId(1),
        };
        let mut upload = world.store.upload();
        upload.write(Bytes::from_static(b"y")).await.unwrap();
        world.store.apply(again, Some(upload)).await.unwrap();
        let copy = Request::Copy {
            mailbox: world.mailbox(bob, "INBOX").await,
            uids: all(),
            account: alice,
            to: name("Drafts"),
        };
        world.store.apply(copy, None).await.unwrap();
        world.delete_all(alice, "Drafts").await;
        let purge = world.purge_of(alice, "Drafts").await;
        let ((went, _), _) = world.beside(purge, remove()).await;
        assert_eq!((went.messages, went.contents), (1, 0));
        for table in ["message", "message_gone", "email", "content"] {
            assert_eq!(world.count(table), 0, "{table}");
        }
    });
}
