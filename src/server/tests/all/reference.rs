//! The real sessions, run by the shell over the reference store: what the shell adds is tested without a database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dbmail::clock;
use dbmail::metrics::{Metrics, Protocol};
use dbmail::shell::{self, Backend, Connection, End, Peer, Upload, Watch};
use dbmail_core::session::{Admitted, Credentials, Denied, Farewell, Session};
use dbmail_core::store::{AccountId, MailboxId, Refusal, Reply, Request, UploadId, memory};
use dbmail_core::{imap, lmtp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{ANNA, Client, PASSWORD};

#[derive(Clone)]
struct Memory(Arc<Mutex<Inside>>);

struct Inside {
    store: memory::Store,
    account: AccountId,
    uploads: u64,
    watches: BTreeMap<MailboxId, watch::Sender<()>>,
}

struct Staged {
    memory: Memory,
    id: UploadId,
    used: bool,
}

struct News(watch::Receiver<()>);

impl Upload for Staged {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        // As a database would, it makes the session wait.
        tokio::task::yield_now().await;
        self.memory.0.lock().unwrap().store.stage(self.id, &bytes);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.used {
            self.memory.0.lock().unwrap().store.discard(self.id);
        }
    }
}

impl Watch for News {
    async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Backend for Memory {
    type Upload = Staged;
    type Watch = News;

    async fn apply(
        &self,
        _who: Option<AccountId>,
        mut request: Request,
        upload: Option<Staged>,
    ) -> Reply {
        tokio::task::yield_now().await;
        let mut inside = self.0.lock().unwrap();
        let own = upload.map(|mut staged| {
            staged.used = true;
            staged.id
        });
        if let Request::Append { upload, .. } | Request::Deliver { upload, .. } = &mut request {
            *upload = own.expect("an upload comes with its request");
        }
        let reply = inside.store.apply(clock::now(), request);
        for mailbox in inside.store.changed() {
            if let Some(news) = inside.watches.get(&mailbox) {
                let _ = news.send(());
            }
        }
        reply
    }

    fn upload(&self) -> Staged {
        let mut inside = self.0.lock().unwrap();
        inside.uploads += 1;
        let id = UploadId(inside.uploads);
        inside.store.stage(id, b"");
        Staged {
            memory: self.clone(),
            id,
            used: false,
        }
    }

    fn watch(&self, mailbox: MailboxId) -> News {
        let mut inside = self.0.lock().unwrap();
        let news = inside
            .watches
            .entry(mailbox)
            .or_insert_with(|| watch::channel(()).0);
        News(news.subscribe())
    }

    async fn authenticate(&self, credentials: Credentials) -> Result<Admitted, Denied> {
        let account = self.0.lock().unwrap().account;
        if credentials.user == ANNA.as_bytes() && credentials.password == PASSWORD.as_bytes() {
            Ok(Admitted {
                account,
                name: ANNA.into(),
            })
        } else {
            Err(Denied::Credentials)
        }
    }
}

struct World {
    memory: Memory,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    stall: Duration,
}

impl World {
    fn new() -> Self {
        let mut store = memory::Store::new();
        let account = store.add_account(ANNA, &[ANNA]);
        let inside = Inside {
            store,
            account,
            uploads: 0,
            watches: BTreeMap::new(),
        };
        Self {
            memory: Memory(Arc::new(Mutex::new(inside))),
            metrics: Arc::new(Metrics::new()),
            stop: watch::channel(false).0,
            stall: Duration::from_secs(60),
        }
    }

    fn connect(&self, protocol: Protocol) -> (Client, JoinHandle<End>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let connection = Connection {
            number: 1,
            protocol,
            peer: Peer::Inside,
            tls: false,
            plaintext_login: true,
            certificates: None,
            stop: self.stop.subscribe(),
            metrics: Arc::clone(&self.metrics),
            sessions: Arc::default(),
            stall: self.stall,
        };
        let session: Box<dyn Session + Send> = match protocol {
            Protocol::Lmtp => Box::new(lmtp::Session::new(lmtp::Config {
                host: "mail.example.test".into(),
                peer: "here".into(),
                tls: lmtp::Tls::None,
                message_bytes_max: 64 << 20,
                connection: 1,
            })),
            Protocol::Imap | Protocol::Http => Box::new(imap::Session::new(imap::Config {
                plaintext_login_allowed: true,
                message_bytes_max: 64 << 20,
                ..imap::Config::default()
            })),
        };
        let running = tokio::spawn(shell::run(
            session,
            Box::new(theirs),
            self.memory.clone(),
            connection,
        ));
        (Client::new(Box::new(ours)), running)
    }

    async fn imap(&self) -> (Client, JoinHandle<End>) {
        let (mut client, running) = self.connect(Protocol::Imap);
        assert!(client.line().await.starts_with("* OK"));
        client.ok(&format!("LOGIN {ANNA} {PASSWORD}")).await;
        (client, running)
    }

    async fn deliver(&self, message: &str) {
        let (mut client, _) = self.connect(Protocol::Lmtp);
        let reply = client.deliver(ANNA, message).await;
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
}

/// A message with a body of about so many octets.
fn message(octets: usize) -> String {
    let lines: String = (0..octets / 50)
        .map(|n| format!("{n:>12}: a line of fifty octets, all in all\r\n"))
        .collect();
    format!("From: a@example.test\r\nSubject: {octets}\r\n\r\n{lines}")
}

#[tokio::test]
async fn messages_of_all_sizes_go_in_and_come_out_octet_for_octet() {
    let world = World::new();
    let (mut imap, running) = world.imap().await;
    for (n, octets) in [0, 100, 70_000, 600_000, 5_000_000].into_iter().enumerate() {
        let message = message(octets);
        world.deliver(&message).await;
        imap.send(&format!("a APPEND INBOX {{{}}}", message.len()))
            .await;
        assert!(imap.line().await.starts_with("+"));
        imap.send(&message).await;
        loop {
            let line = imap.line().await;
            if line.starts_with("a ") {
                assert!(line.starts_with("a OK [APPENDUID"), "{line}");
                break;
            }
        }
        imap.ok("SELECT INBOX").await;
        for number in [2 * n + 1, 2 * n + 2] {
            let fetched = imap
                .ok(&format!("FETCH {number} BODY.PEEK[]"))
                .await
                .join("\r\n");
            assert!(
                fetched.contains(&message),
                "{octets} octets came out otherwise"
            );
        }
    }
    imap.ok("LOGOUT").await;
    drop(imap);
    assert_eq!(running.await.unwrap(), End::Said(Farewell::Asked));
}

#[tokio::test]
async fn an_idle_client_hears_of_what_others_do() {
    let world = World::new();
    let (mut idle, _) = world.imap().await;
    idle.ok("SELECT INBOX").await;
    idle.send("i IDLE").await;
    assert!(idle.line().await.starts_with("+"));
    for n in 1..=3 {
        world.deliver(&message(n)).await;
        loop {
            let line = idle.line().await;
            if line == format!("* {n} EXISTS") {
                break;
            }
            assert!(line.ends_with(" RECENT"), "{line}");
        }
    }
    idle.send("DONE").await;
    while !idle.line().await.starts_with("i OK") {}
}

#[tokio::test]
async fn ten_thousand_pipelined_commands_are_all_answered() {
    let world = World::new();
    let (imap, _) = world.imap().await;
    let (mut reading, mut writing) = tokio::io::split(imap.0);
    let sending = tokio::spawn(async move {
        for n in 0..10_000 {
            writing
                .write_all(format!("p{n} STATUS INBOX (MESSAGES)\r\n").as_bytes())
                .await
                .unwrap();
        }
        writing.write_all(b"end LOGOUT\r\n").await.unwrap();
        writing.flush().await.unwrap();
        writing
    });
    let mut all = String::new();
    reading.read_to_string(&mut all).await.unwrap();
    drop(sending.await.unwrap());
    let answers = all
        .lines()
        .filter(|l| l.starts_with('p') && l.contains(" OK "))
        .count();
    assert_eq!(answers, 10_000);
}

#[tokio::test]
async fn a_client_that_fetches_and_does_not_read_is_dropped_and_others_go_on() {
    let mut world = World::new();
    world.stall = Duration::from_millis(300);
    world.deliver(&message(3_000_000)).await;
    let (mut deaf, running) = world.imap().await;
    deaf.ok("SELECT INBOX").await;
    deaf.send("f FETCH 1:* BODY[]").await;
    let (mut other, _) = world.imap().await;
    other.ok("SELECT INBOX").await;
    other.ok("NOOP").await;
    let end = tokio::time::timeout(Duration::from_secs(10), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, End::Stalled);
    other.ok("NOOP").await;
}

#[tokio::test]
async fn random_octets_end_a_connection_and_nothing_else() {
    let world = World::new();
    for protocol in [Protocol::Imap, Protocol::Lmtp] {
        for seed in 0..20u32 {
            let (client, running) = world.connect(protocol);
            let (mut reading, mut writing) = tokio::io::split(client.0);
            let mut state = u64::from(seed) * 2 + 1;
            let noise: Vec<u8> = (0..100_000)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            let sending = tokio::spawn(async move {
                // The session closes before it has read all.
                let _ = writing.write_all(&noise).await;
                let _ = writing.shutdown().await;
            });
            let mut said = Vec::new();
            let _ = reading.read_to_end(&mut said).await;
            drop(reading);
            sending.abort();
            let end = tokio::time::timeout(Duration::from_secs(10), running).await;
            let end = end.expect("the connection does not end").unwrap();
            assert_ne!(end, End::Fault);
        }
    }
}

#[tokio::test]
async fn a_thousand_idle_clients_cost_less_than_64_kib_each() {
    let world = World::new();
    for n in 0..100 {
        // Equal ones would count as one that is repeated.
        world.deliver(&message(100 + 50 * n)).await;
    }
    let before = dbmail::metrics::resident_bytes().unwrap();
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let (mut client, running) = world.imap().await;
        client.ok("SELECT INBOX").await;
        client.ok("FETCH 1:* (FLAGS UID)").await;
        client.send("i IDLE").await;
        assert!(client.line().await.starts_with("+"));
        idle.push((client, running));
    }
    let each = dbmail::metrics::resident_bytes()
        .unwrap()
        .saturating_sub(before)
        / 1_000;
    // The clients' own buffers, 16 KiB each, are in this process too.
    println!("{each} octets for each idle client, both ends");
    assert!(each < 64 * 1024, "{each} octets for each");
    // All of them hear of one delivery.
    world.deliver(&message(0)).await;
    for (client, _) in &mut idle {
        assert_eq!(client.line().await, "* 101 EXISTS");
    }
}

#[tokio::test]
async fn at_a_stop_the_sessions_say_goodbye() {
    let world = World::new();
    let (mut imap, imap_running) = world.imap().await;
    let (mut lmtp, lmtp_running) = world.connect(Protocol::Lmtp);
    assert!(lmtp.reply().await.starts_with("220 "));
    world.stop.send(true).unwrap();
    assert!(imap.line().await.starts_with("* BYE"));
    assert!(lmtp.reply().await.starts_with("421 "));
    drop((imap, lmtp));
    assert_eq!(imap_running.await.unwrap(), End::Said(Farewell::Stopping));
    assert_eq!(lmtp_running.await.unwrap(), End::Said(Farewell::Stopping));
}
