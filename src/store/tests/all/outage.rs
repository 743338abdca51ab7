//! The database server is killed while tasks use the store through two front-ends: what was acknowledged is there, once; the store goes on by
//! itself when the server is back.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dbmail_core::store::{
    AccountId, Answer, FetchItems, FlagChange, Flags, MailboxId, MailboxName, Outcome, Recipient,
    Refusal, Request, SystemFlags, Timestamp, Uid, UidSet, UploadId,
};
use dbmail_store::{NewUser, Settings, Store};
use dbmail_testcontainers::{Database, Kind, Server, kinds_at_hand};

use crate::contract::ask;

/// Tasks that deliver and flag.
const TASKS: u32 = 6;
/// How often the server is killed.
const CRASHES: u32 = 2;

/// What a task was told.
#[derive(Default)]
struct Told {
    /// Texts whose delivery was acknowledged, with the UID.
    stored: BTreeMap<String, Uid>,
    /// UIDs whose flag was acknowledged.
    flagged: Vec<Uid>,
    refused: u32,
}

async fn deliver(store: &Store, account: AccountId, text: &str) -> Result<Uid, Refusal> {
    let request = Request::Deliver {
        upload: UploadId(1),
        reverse_path: Bytes::new(),
        received: Timestamp(0),
        recipients: vec![Recipient {
            account,
            address: Bytes::from_static(b"alice@example.org"),
            mailbox: MailboxName::inbox(),
            flags: Flags::default(),
            prefix: Bytes::new(),
        }],
    };
    let octets = format!("Received: {text}\r\nSubject: {text}\r\n\r\n{text}\r\n");
    match ask(store, request, Some(octets.as_bytes())).await? {
        Answer::Delivered(outcomes) => match outcomes[..] {
            [Outcome::Stored { uid, .. }] => Ok(uid),
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn work(
    store: Store,
    (account, inbox): (AccountId, MailboxId),
    task: u32,
    stop: Arc<AtomicBool>,
) -> Told {
    let mut told = Told::default();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let text = format!("{task}-{n}");
        // As an MTA: tried again until it is acknowledged.
        let uid = loop {
            match deliver(&store, account, &text).await {
                Ok(uid) => break uid,
                Err(Refusal::Unavailable | Refusal::OutcomeUnknown) => {
                    told.refused += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        assert!(told.stored.insert(text, uid).is_none());
        let flag = Request::Store {
            mailbox: inbox,
            uids: UidSet::range(uid, uid),
            how: FlagChange::Add,
            flags: Flags {
                system: SystemFlags::FLAGGED,
                ..Flags::default()
            },
            unchanged_since: None,
        };
        match store.apply(flag, None).await {
            Ok(_) => told.flagged.push(uid),
            Err(Refusal::Unavailable | Refusal::OutcomeUnknown) => told.refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    told
}

async fn survive(server: Arc<Server>, url: String) {
    let settings = Settings {
        url,
        background_seconds: 0,
        ..Settings::default()
    };
    Store::migrate(&settings, false).await.expect("a schema");
    let store = Store::open(settings.clone()).await.expect("a store");
    // A second front-end on the same database.
    let other = Store::open(settings).await.expect("a store");
    let alice = NewUser {
        name: "alice".to_owned(),
        password_hash: None,
        addresses: vec!["alice@example.org".to_owned()],
        quota_bytes: None,
    };
    let account = store.user_add(alice).await.expect("a user");
    let status = Request::Status {
        account,
        name: MailboxName::inbox(),
    };
    let Ok(Answer::Status(inbox)) = store.apply(status, None).await else {
        panic!("no INBOX");
    };
    let inbox = inbox.id;
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let of = if task % 2 == 0 { &store } else { &other };
            tokio::spawn(work(of.clone(), (account, inbox), task, Arc::clone(&stop)))
        })
        .collect();
    let unready = {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut unready = 0;
            while !stop.load(Ordering::Relaxed) {
                unready += u32::from(store.ready().await.is_err());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            unready
        })
    };
    for _ in 0..CRASHES {
        tokio::time::sleep(Duration::from_millis(800)).await;
        let server = Arc::clone(&server);
        let crashed = tokio::task::spawn_blocking(move || server.crash());
        crashed
            .await
            .expect("a thread")
            .expect("a server that comes back");
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    stop.store(true, Ordering::Relaxed);
    let (mut stored, mut flagged, mut refused) = (BTreeMap::new(), Vec::new(), 0);
    for task in tasks {
        let told = task.await.expect("a task");
        stored.extend(told.stored);
        flagged.extend(told.flagged);
        refused += told.refused;
    }
    assert!(
        unready.await.expect("a task") > 0,
        "it was ready all the time"
    );
    let open = Request::Open {
        account,
        name: MailboxName::inbox(),
        claim_recent: false,
    };
    let Ok(Answer::Opened(opened)) = store.apply(open, None).await else {
        panic!("not opened");
    };
    let (mut rest, mut subjects, mut marked) =
        (opened.uids.clone(), BTreeMap::new(), UidSet::new());
    while !rest.is_empty() {
        let fetch = Request::Fetch {
            mailbox: opened.mailbox.id,
            uids: rest.clone(),
            items: FetchItems {
                flags: true,
                header: true,
                ..FetchItems::default()
            },
        };
        let Ok(Answer::Messages(page)) = store.apply(fetch, None).await else {
            panic!("no page");
        };
        for message in page.messages {
            let header = message.header.expect("a header");
            let text = String::from_utf8_lossy(&header).into_owned();
            let text = text
                .split_once("Subject: ")
                .expect("a subject")
                .1
                .trim()
                .to_owned();
            assert!(
                subjects.insert(text.clone(), message.uid).is_none(),
                "{text} is there twice"
            );
            if message.flags.system.contains(SystemFlags::FLAGGED) {
                marked = marked.union(&UidSet::range(message.uid, message.uid));
            }
        }
        let Some(through) = page.through else { break };
        rest = dbmail_core::store::rest_of(&rest, through);
    }
    eprintln!(
        "{} acknowledged, {refused} refused, {} there",
        stored.len(),
        subjects.len()
    );
    assert!(stored.len() > 10);
    assert_eq!(subjects, stored, "not what was acknowledged");
    for uid in flagged {
        assert!(marked.contains(uid), "the flag of {uid:?} was lost");
    }
    assert_eq!(opened.mailbox.messages as usize, subjects.len());
    store.close().await;
    other.close().await;
}

fn a_killed_server_loses_nothing(kind: Kind) {
    if !kinds_at_hand().contains(&kind) {
        eprintln!("not run: no {}", kind.name());
        return;
    }
    let server = Arc::new(Server::durable(kind).expect("a server"));
    let database = Database::on(kind, server.url()).expect("a database");
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(survive(Arc::clone(&server), database.url.clone()));
}

#[test]
fn a_killed_postgres_loses_nothing_that_was_acknowledged() {
    a_killed_server_loses_nothing(Kind::Postgres);
}

#[test]
fn a_killed_mariadb_loses_nothing_that_was_acknowledged() {
    a_killed_server_loses_nothing(Kind::MariaDb);
}

#[test]
fn a_killed_mysql_loses_nothing_that_was_acknowledged() {
    a_killed_server_loses_nothing(Kind::MySql);
}
