//! What the store does when the database fails: tests with connections that fail as they are told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dbmail_core::mail::Scanner;
use dbmail_core::store::{
    AccountId, Answer, FlagChange, Flags, MailboxName, Outcome, Recipient, Refusal, Reply, Request,
    SystemFlags, Timestamp, Uid, UidSet,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::check::{FaultKind, Gauge};
use crate::db::{ASK_TRIES_MAX, Db, Error, refusal};
use crate::driver::{Fault, Faulty, Sqlite, SqliteFile, block_on, values};
use crate::engine::{Admin, AdminDone, Change, Found, Link, LinkKind, Scope, Walk};
use crate::migrate;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::sql::Sql;
use crate::{NewUser, upload, workers};

struct World {
    db: Db<Faulty<Sqlite>>,
    account: AccountId,
    folder: TempDir,
}

impl World {
    /// A store with one user, whose connection will fail so.
    fn new(faults: &[Fault]) -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("mail.db").display());
        let settings = Settings {
            url,
            ..Settings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let migrated = runtime.block_on(migrate::migrate(&settings, false));
        migrated.unwrap();
        let file = SqliteFile(folder.path().join("mail.db"));
        let open = || Sqlite::open(&file, true).unwrap();
        let shared = Arc::new(Shared::new(&settings));
        let mut db = Db::new(open(), Arc::clone(&shared));
        let user = NewUser {
            name: "alice".to_owned(),
            password_hash: None,
            addresses: Vec::new(),
            quota_bytes: None,
        };
        let added = block_on(db.transact(&Admin::Add(user))).unwrap();
        let AdminDone::Added(account) = added else {
            panic!("{added:?}")
        };
        let mut world = Self {
            db: Db::new(Faulty::new(open(), []), shared),
            account,
            folder,
        };
        // Every kind of id is at hand, so that the faults meet what they are meant for.
        world.link(vec![world.append("first")]);
        let connection = open();
        world.db = Db::new(
            Faulty::new(connection, faults.iter().copied()),
            Arc::clone(&world.db.shared),
        );
        world
    }

    fn message(octets: &str) -> crate::content::Prepared {
        let mut scanner = Scanner::new();
        scanner.feed(octets.as_bytes());
        let octets = Bytes::copy_from_slice(octets.as_bytes());
        let hash = *blake3::hash(&octets).as_bytes();
        upload::prepare(&octets, &scanner.finish(), hash).0
    }

    fn append(&self, text: &str) -> Link {
        let kind = LinkKind::Append {
            account: self.account,
            name: MailboxName::inbox(),
            flags: Flags::default(),
            date: None,
        };
        Link {
            message: Self::message(text),
            kind,
        }
    }

    fn delivery(&self, text: &str) -> Link {
        let recipient = Recipient {
            account: self.account,
            address: Bytes::from_static(b"alice"),
            mailbox: MailboxName::inbox(),
            flags: Flags::default(),
            prefix: Bytes::new(),
        };
        let kind = LinkKind::Deliver {
            reverse_path: Bytes::new(),
            received: Timestamp(0),
            recipients: vec![recipient],
        };
        Link {
            message: Self::message(text),
            kind,
        }
    }

    fn link(&mut self, links: Vec<Link>) -> Vec<Reply> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            links.iter().map(|_| oneshot::channel()).unzip();
        block_on(workers::link_all(&mut self.db, &links, senders));
        receivers
            .into_iter()
            .map(|r| block_on(r).unwrap())
            .collect()
    }

    fn change(&mut self, request: Request) -> Reply {
        block_on(self.db.transact(&Change(request))).map_err(refusal)
    }

    fn messages(&mut self) -> i64 {
        let found = block_on(self.db.status(self.account, &MailboxName::inbox())).unwrap();
        let Answer::Status(status) = found else {
            panic!("{found:?}")
        };
        i64::from(status.messages)
    }

    fn flag(&mut self) -> Request {
        let found = block_on(self.db.status(self.account, &MailboxName::inbox())).unwrap();
        let Answer::Status(status) = found else {
            panic!("{found:?}")
        };
        Request::Store {
            mailbox: status.id,
            uids: UidSet::range(Uid::MIN, Uid::MAX),
            how: FlagChange::Add,
            flags: Flags {
                system: SystemFlags::FLAGGED,
                ..Flags::default()
            },
            unchanged_since: None,
        }
    }

    fn tally(&self) -> (u64, u64) {
        let tally = &self.db.shared.tally;
        (
            tally.retries.load(Ordering::Relaxed),
            tally.asked.load(Ordering::Relaxed),
        )
    }
}

fn is_second(reply: &Reply) -> bool {
    matches!(reply, Ok(Answer::Appended { uid, .. }) if uid.number() == 2)
}

#[test]
fn appends_and_deliveries_of_one_batch_find_their_own_targets() {
    for append_first in [true, false] {
        let mut world = World::new(&[]);
        let before = world.messages();
        let (mut append, mut delivery) = (world.append("a"), world.delivery("b"));
        let none = MailboxName::new("none").unwrap();
        if let LinkKind::Append { name, .. } = &mut append.kind {
            *name = none.clone();
        }
        if let LinkKind::Deliver { recipients, .. } = &mut delivery.kind {
            recipients[0].mailbox = none;
        }
        let mut links = vec![append, delivery];
        if !append_first {
            links.reverse();
        }
        let mut replies = world.link(links);
        if !append_first {
            replies.reverse();
        }
        assert_eq!(replies[0], Err(Refusal::NoSuchMailbox));
        assert!(
            matches!(&replies[1], Ok(Answer::Delivered(outcomes)) if matches!(outcomes[..], [Outcome::Stored { .. }])),
            "{replies:?}"
        );
        assert_eq!(world.messages(), before + 1);
    }
}

#[test]
fn a_delivery_to_a_disabled_account_is_refused_beside_an_append() {
    let mut world = World::new(&[]);
    let disabled = Admin::Enable("alice".to_owned(), false);
    block_on(world.db.transact(&disabled)).unwrap();
    let links = vec![world.append("a"), world.delivery("b")];
    let replies = world.link(links);
    assert!(
        matches!(replies[0], Ok(Answer::Appended { .. })),
        "{replies:?}"
    );
    assert_eq!(replies[1], Ok(Answer::Delivered(vec![Outcome::Disabled])));
}

#[test]
fn a_commit_that_happened_and_whose_reply_was_lost_is_not_done_again() {
    let mut world = World::new(&[Fault::LostAfter]);
    let replies = world.link(vec![world.append("second")]);
    assert!(is_second(&replies[0]), "{replies:?}");
    assert_eq!((world.messages(), world.tally()), (2, (0, 1)));
}

#[test]
fn a_commit_that_did_not_happen_and_whose_reply_was_lost_is_done_again() {
    let mut world = World::new(&[Fault::LostBefore]);
    let replies = world.link(vec![world.append("second")]);
    assert!(is_second(&replies[0]), "{replies:?}");
    assert_eq!((world.messages(), world.tally()), (2, (1, 1)));
}

#[test]
fn a_lost_commit_of_an_account_is_asked_about_in_its_log() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let mut world = World::new(&[fault]);
        let name = MailboxName::new("new").unwrap();
        let create = Request::Create {
            account: world.account,
            name,
            special_use: None,
        };
        assert_eq!(world.change(create.clone()), Ok(Answer::Done));
        assert_eq!(world.change(create), Err(Refusal::AlreadyExists));
    }
}

#[test]
fn when_nobody_can_be_asked_the_outcome_is_unknown() {
    let mut faults = vec![Fault::LostAfter];
    faults.extend([Fault::NoConnection; ASK_TRIES_MAX as usize]);
    let mut world = World::new(&faults);
    let flag = world.flag();
    assert_eq!(world.change(flag), Err(Refusal::OutcomeUnknown));
}

#[test]
fn a_database_that_comes_back_in_time_is_asked() {
    let mut world = World::new(&[Fault::LostAfter, Fault::NoConnection, Fault::NoConnection]);
    let flag = world.flag();
    let Ok(Answer::Stored(stored)) = world.change(flag.clone()) else {
        panic!("not stored")
    };
    assert_eq!(stored.changed.len(), 1);
    let Ok(Answer::Stored(again)) = world.change(flag) else {
        panic!("not stored")
    };
    assert_eq!((again.changed.len(), again.unchanged.len()), (0, 1));
}

#[test]
fn a_repeat_after_an_unknown_outcome_is_recognised() {
    let mut faults = vec![Fault::LostAfter];
    faults.extend([Fault::NoConnection; ASK_TRIES_MAX as usize]);
    let mut world = World::new(&faults);
    let text = "Received: x\r\n\r\ntext";
    let replies = world.link(vec![world.delivery(text)]);
    assert_eq!(replies, [Err(Refusal::OutcomeUnknown)]);
    let replies = world.link(vec![world.delivery(text)]);
    let Ok(Answer::Delivered(outcomes)) = &replies[0] else {
        panic!("{replies:?}")
    };
    assert!(
        matches!(outcomes[..], [Outcome::Stored { repeat: true, .. }]),
        "{outcomes:?}"
    );
    assert_eq!(world.messages(), 2);
}

#[test]
fn locks_and_conflicts_are_tried_again_and_not_for_ever() {
    let mut world = World::new(&[Fault::Busy, Fault::CommitBusy, Fault::Busy]);
    assert!(is_second(&world.link(vec![world.append("second")])[0]));
    assert_eq!((world.messages(), world.tally()), (2, (3, 0)));
    let mut world = World::new(&[Fault::Busy; 6]);
    let flag = world.flag();
    assert_eq!(world.change(flag), Err(Refusal::Unavailable));
    assert_eq!(world.tally(), (5, 0));
}

#[test]
fn a_batch_that_fails_is_linked_one_by_one() {
    let mut world = World::new(&[
        Fault::Statement("MessageInsert"),
        Fault::Statement("LogInsert"),
    ]);
    let links = ["a", "b", "c"].map(|text| world.append(text));
    let replies = world.link(links.into());
    // The batch failed, then the first by itself; the others are in.
    assert_eq!(replies[0], Err(Refusal::Unavailable));
    assert!(replies[1].is_ok() && replies[2].is_ok(), "{replies:?}");
    assert_eq!(world.messages(), 3);
}

#[test]
fn a_transaction_that_fails_midway_leaves_nothing() {
    for statement in ["MessageSetFlags", "StateChanged", "LogInsert"] {
        let mut world = World::new(&[Fault::Statement(statement)]);
        let flag = world.flag();
        assert_eq!(
            world.change(flag.clone()),
            Err(Refusal::Unavailable),
            "{statement}"
        );
        let Ok(Answer::Stored(stored)) = world.change(flag) else {
            panic!("not stored")
        };
        assert_eq!(stored.changed.len(), 1, "{statement}");
    }
}

#[test]
#[should_panic(expected = "locks")]
fn the_lock_order_is_asserted() {
    struct Backwards;
    impl crate::db::Work for Backwards {
        type Done = ();
        async fn run<C: crate::driver::Connection>(&self, db: &mut Db<C>) -> Result<(), Error> {
            db.query(Sql::StateLock, &values![5i64]).await?;
            db.query(Sql::StateLock, &values![4i64]).await?;
            Ok(())
        }
    }
    let mut world = World::new(&[]);
    drop(block_on(world.db.transact(&Backwards)));
}

impl World {
    /// Runs a text past the store, on a connection of its own.
    fn execute(&self, sql: &str) {
        let file = self.folder.path().join("mail.db");
        let database = rusqlite::Connection::open(file).unwrap();
        database.execute_batch(sql).unwrap();
    }

    fn walk<T>(&mut self, run: impl AsyncFnOnce(Walk<'_, Faulty<Sqlite>>) -> T) -> T {
        let (told, _listening) = tokio::sync::mpsc::channel(100);
        let scope = Scope {
            account: None,
            bodies: true,
        };
        let walk = Walk::new(&mut self.db, scope, told, Arc::new(Gauge::default()));
        block_on(run(walk))
    }

    fn check(&mut self) -> Result<Found, Error> {
        self.walk(async |walk| walk.run().await)
    }

    fn mend(&mut self, plan: Found) -> Result<Found, Error> {
        self.walk(async |walk| walk.mend(plan).await)
    }
}

#[test]
fn a_check_goes_on_after_locks_and_broken_connections() {
    let mut world = World::new(&[
        Fault::StatementBusy("CheckTotals"),
        Fault::StatementLost("CheckAccounts"),
        Fault::NoConnection,
        Fault::StatementLost("CheckMailboxes"),
        Fault::Busy,
        Fault::StatementBusy("CheckSegments"),
    ]);
    world.execute("UPDATE mailbox_state SET unseen = unseen + 1");
    let found = world.check().unwrap();
    let kinds: Vec<FaultKind> = found.kinds.keys().copied().collect();
    assert_eq!(kinds, [FaultKind::Counters]);
    assert_eq!(found.kinds[&FaultKind::Counters], 6);
}

#[test]
fn a_database_that_stays_away_ends_the_check() {
    let busy = [Fault::StatementBusy("CheckContents"); 9];
    let failed = World::new(&busy).check().unwrap_err();
    assert!(matches!(
        failed,
        Error::Failed(crate::driver::Failure::Busy)
    ));
    let failed = World::new(&[Fault::Statement("CheckParts")]).check();
    assert!(failed.is_err());
}

#[test]
fn what_the_database_can_not_read_is_told_and_the_rest_is_looked_at() {
    let mut world = World::new(&[
        Fault::StatementDamaged("CheckCatalogue"),
        Fault::StatementDamaged("CheckMailboxes"),
    ]);
    world.execute("UPDATE content SET structure = NULL; UPDATE mailbox_state SET unseen = 9");
    let found = world.check().unwrap();
    let kinds: Vec<(FaultKind, u64)> = found.kinds.iter().map(|(k, n)| (*k, *n)).collect();
    assert_eq!(
        kinds,
        [(FaultKind::Unreadable, 2), (FaultKind::ContentTrees, 1)]
    );
}

#[test]
fn a_repair_whose_commit_is_lost_is_done_once_all_the_same() {
    for fault in [Fault::CommitBusy, Fault::LostBefore, Fault::LostAfter] {
        let mut world = World::new(&[]);
        world.execute("UPDATE mailbox_state SET unseen = unseen + 1 WHERE messages > 0");
        let plan = world.check().unwrap();
        assert_eq!(plan.mends.len(), 1);
        let shared = Arc::clone(&world.db.shared);
        let file = SqliteFile(world.folder.path().join("mail.db"));
        let connection = Sqlite::open(&file, true).unwrap();
        world.db = Db::new(Faulty::new(connection, [fault]), shared);
        let mended = world.mend(plan).unwrap();
        // When the first one counted, there was nothing left for the second.
        assert_eq!(mended.mended, u64::from(fault != Fault::LostAfter));
        assert!(world.check().unwrap().kinds.is_empty());
    }
}

#[test]
fn a_repair_that_fails_leaves_things_as_they_were() {
    let mut world = World::new(&[]);
    world.execute("UPDATE quota_root SET used_size = used_size + 1");
    let plan = world.check().unwrap();
    let shared = Arc::clone(&world.db.shared);
    let file = SqliteFile(world.folder.path().join("mail.db"));
    let connection = Sqlite::open(&file, true).unwrap();
    world.db = Db::new(
        Faulty::new(connection, [Fault::Statement("QuotaSet")]),
        shared,
    );
    assert!(world.mend(plan.clone()).is_err());
    assert_eq!(world.check().unwrap().kinds[&FaultKind::Quota], 1);
    assert_eq!(world.mend(plan).unwrap().mended, 1);
    assert!(world.check().unwrap().kinds.is_empty());
}
