//! The shell with sessions and a store made for the test.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dbmail_core::store::{AccountId, Answer, Resolved, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use super::*;

/// A store that notes what it is asked.
#[derive(Clone, Default)]
struct Fake(Arc<FakeState>);

#[derive(Default)]
struct FakeState {
    /// Octets of finished uploads.
    delivered: Mutex<Vec<Vec<u8>>>,
    /// Uploads dropped without a request.
    abandoned: AtomicUsize,
    /// Requests that ran to their end.
    ended: AtomicUsize,
    news: Notify,
}

struct FakeUpload {
    state: Arc<FakeState>,
    octets: Vec<u8>,
    used: bool,
}

struct FakeWatch(Arc<FakeState>);

impl Drop for FakeUpload {
    fn drop(&mut self) {
        if !self.used {
            self.state.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Upload for FakeUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        if bytes.starts_with(b"FAIL") {
            return Err(Refusal::OverQuota);
        }
        if bytes.starts_with(b"SLOW") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.octets.extend_from_slice(&bytes);
        Ok(())
    }
}

impl Watch for FakeWatch {
    async fn changed(&mut self) {
        self.0.news.notified().await;
    }
}

impl Backend for Fake {
    type Upload = FakeUpload;
    type Watch = FakeWatch;

    async fn apply(
        &self,
        _who: Option<AccountId>,
        request: Request,
        upload: Option<FakeUpload>,
    ) -> Reply {
        let reply = match (request, upload) {
            (Request::Resolve { address }, _) => {
                if let Some(millis) = address.strip_prefix("wait ") {
                    let millis = millis.parse().unwrap();
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                assert_ne!(address, "panic", "asked for");
                Ok(Answer::Resolved(Resolved::Unknown))
            }
            (_, Some(mut upload)) => {
                upload.used = true;
                self.0
                    .delivered
                    .lock()
                    .unwrap()
                    .push(std::mem::take(&mut upload.octets));
                Ok(Answer::Done)
            }
            (_, None) => Err(Refusal::Upload),
        };
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        reply
    }
    fn upload(&self) -> FakeUpload {
        FakeUpload {
            state: Arc::clone(&self.0),
            octets: Vec::new(),
            used: false,
        }
    }
    fn watch(&self, _: MailboxId) -> FakeWatch {
        FakeWatch(Arc::clone(&self.0))
    }
    async fn authenticate(&self, credentials: Credentials) -> Result<Admitted, Denied> {
        if credentials.password == b"right" {
            Ok(Admitted {
                account: AccountId(1),
                name: "anna".into(),
            })
        } else {
            Err(Denied::Credentials)
        }
    }
}

/// A session that obeys one-line commands, one after another, as a real one would.
#[derive(Default)]
struct Script {
    line: Vec<u8>,
    busy: bool,
    room: usize,
    /// Octets still to be sent.
    flood: usize,
    stopping: bool,
    staged: u64,
    trace: Arc<Mutex<Vec<String>>>,
}

const UPLOAD: UploadId = UploadId(1);

impl Script {
    fn say(text: &str) -> Output {
        Output::Send(Bytes::from(format!("{text}\r\n")))
    }

    fn pour(&mut self, out: &mut Vec<Output>) {
        let now = self.flood.min(self.room);
        self.room -= now;
        self.flood -= now;
        if now > 0 {
            out.push(Output::Send(vec![b'x'; now].into()));
        }
    }

    fn command(&mut self, line: &str, now: Timestamp, out: &mut Vec<Output>) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "ASK" => {
                self.busy = true;
                out.push(Output::Ask(
                    Ticket(1),
                    Request::Resolve {
                        address: rest.into(),
                    },
                ));
            }
            "LOGIN" => {
                self.busy = true;
                let credentials = Credentials {
                    authorization: Vec::new(),
                    user: b"anna".to_vec(),
                    password: rest.into(),
                };
                out.push(Output::Authenticate(Ticket(2), credentials));
            }
            "STAGE" => out.push(Output::Stage(UPLOAD, Bytes::from(rest.to_owned()))),
            "DISCARD" => out.push(Output::Discard(UPLOAD)),
            "DELIVER" => {
                self.busy = true;
                out.push(Output::Ask(
                    Ticket(3),
                    Request::Deliver {
                        upload: UPLOAD,
                        reverse_path: Bytes::new(),
                        received: now,
                        recipients: Vec::new(),
                    },
                ));
            }
            "WATCH" => out.push(Output::Watch(Some(MailboxId(5)))),
            "WAKE" => {
                let micros: i64 = rest.parse().unwrap();
                out.push(Output::Wake(Some(Timestamp(now.0 + micros))));
            }
            "FLOOD" => {
                self.flood = rest.parse().unwrap();
                self.pour(out);
            }
            "STARTTLS" => {
                out.push(Self::say("go ahead"));
                out.push(Output::StartTls);
            }
            "BYE" => {
                out.push(Self::say("bye"));
                out.push(Output::Close(Farewell::Asked));
            }
            _ => out.push(Self::say(line)),
        }
    }
}

impl Session for Script {
    fn open(&mut self, _: Timestamp, out: &mut Vec<Output>) {
        out.push(Self::say("hello"));
    }

    fn step(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Output>) -> usize {
        if !matches!(input, Input::Bytes(_) | Input::Room(_)) {
            self.trace.lock().unwrap().push(format!("{input:?}"));
        }
        match input {
            Input::Bytes(bytes) => {
                if self.busy {
                    return 0;
                }
                let end = bytes
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(bytes.len(), |end| end + 1);
                self.line.extend_from_slice(&bytes[..end]);
                if self.line.ends_with(b"\n") {
                    let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                    self.line.clear();
                    self.command(&line, now, out);
                }
                return end;
            }
            Input::Room(room) => {
                self.room = room;
                self.pour(out);
            }
            Input::Answer(_, reply) => {
                self.busy = false;
                out.push(Self::say(&match reply {
                    Ok(answer) => format!("{answer:?}"),
                    Err(refusal) => refusal.to_string(),
                }));
                if self.stopping {
                    out.push(Output::Close(Farewell::Stopping));
                }
            }
            Input::Authenticated(_, result) => {
                self.busy = false;
                out.push(Self::say(if result.is_ok() { "welcome" } else { "no" }));
            }
            Input::Staged(_, total) => self.staged = total,
            Input::StageFailed(_) => out.push(Self::say("stage failed")),
            Input::Changed(mailbox) => out.push(Self::say(&format!("changed {}", mailbox.0))),
            Input::Upgraded => out.push(Self::say("secure")),
            Input::Time => out.push(Self::say("time")),
            Input::Stop => {
                self.stopping = true;
                if !self.busy {
                    out.push(Self::say("stopping"));
                    out.push(Output::Close(Farewell::Stopping));
                }
            }
            Input::Closed => {}
        }
        0
    }
}

struct World {
    peer: DuplexStream,
    store: Fake,
    stop: watch::Sender<bool>,
    metrics: Arc<Metrics>,
    trace: Arc<Mutex<Vec<String>>>,
    running: tokio::task::JoinHandle<End>,
}

fn connection(stop: watch::Receiver<bool>, metrics: Arc<Metrics>) -> Connection {
    Connection {
        number: 1,
        protocol: Protocol::Imap,
        peer: Peer::Inside,
        tls: false,
        plaintext_login: true,
        certificates: None,
        stop,
        metrics,
        sessions: Arc::default(),
        stall: Duration::from_millis(200),
    }
}

fn world_with(change: impl FnOnce(&mut Connection)) -> World {
    let (peer, ours) = tokio::io::duplex(4096);
    let (stop, stopped) = watch::channel(false);
    let metrics = Arc::new(Metrics::new());
    let store = Fake::default();
    let script = Script::default();
    let trace = Arc::clone(&script.trace);
    let mut connection = connection(stopped, Arc::clone(&metrics));
    change(&mut connection);
    let running = tokio::spawn(run(
        Box::new(script),
        Box::new(ours),
        store.clone(),
        connection,
    ));
    World {
        peer,
        store,
        stop,
        metrics,
        trace,
        running,
    }
}

fn world() -> World {
    world_with(|_| {})
}

impl World {
    async fn send(&mut self, text: &str) {
        self.peer.write_all(text.as_bytes()).await.unwrap();
    }
    async fn expect(&mut self, text: &str) {
        let mut got = vec![0; text.len()];
        let reading = self.peer.read_exact(&mut got);
        tokio::time::timeout(Duration::from_secs(5), reading)
            .await
            .expect("no answer")
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&got), text);
    }
    async fn end(self) -> (End, Fake) {
        let ended = tokio::time::timeout(Duration::from_secs(5), self.running);
        (ended.await.expect("does not end").unwrap(), self.store)
    }
}

#[tokio::test]
async fn pipelined_commands_run_one_after_another_and_in_order() {
    let mut w = world();
    w.send("a\r\nASK wait 30\r\nb\r\nLOGIN right\r\nLOGIN wrong\r\nc\r\nBYE\r\nignored\r\n")
        .await;
    w.expect("hello\r\na\r\nResolved(Unknown)\r\nb\r\nwelcome\r\nno\r\nc\r\nbye\r\n")
        .await;
    let mut rest = Vec::new();
    w.peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    drop(std::mem::replace(&mut w.peer, tokio::io::duplex(1).0));
    assert_eq!(w.end().await.0, End::Said(Farewell::Asked));
}

#[tokio::test]
async fn a_message_is_staged_in_order_and_delivered_whole() {
    let mut w = world();
    w.send("STAGE one \r\nSTAGE SLOW two \r\nSTAGE three\r\nDELIVER\r\n")
        .await;
    w.expect("hello\r\nDone\r\n").await;
    assert_eq!(w.store.0.delivered.lock().unwrap()[0], b"oneSLOW twothree");
    let staged: Vec<String> = w
        .trace
        .lock()
        .unwrap()
        .iter()
        .filter(|t| t.starts_with("Staged"))
        .cloned()
        .collect();
    assert_eq!(staged.last().unwrap(), "Staged(UploadId(1), 16)");
    // A delivery without any octets is an empty message.
    w.send("DELIVER\r\n").await;
    w.expect("Done\r\n").await;
    assert_eq!(w.store.0.delivered.lock().unwrap()[1], b"");
    assert_eq!(w.store.0.abandoned.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_failed_upload_is_told_and_its_request_is_refused() {
    let mut w = world();
    w.send("STAGE FAIL\r\nSTAGE more\r\nDELIVER\r\n").await;
    w.expect("hello\r\n").await;
    w.expect("stage failed\r\nover quota\r\n").await;
    assert!(w.store.0.delivered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn discarded_and_broken_off_uploads_are_abandoned() {
    let mut w = world();
    w.send("STAGE SLOW one\r\nDISCARD\r\nSTAGE two\r\nx\r\n")
        .await;
    w.expect("hello\r\nx\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(w.store.0.abandoned.load(Ordering::SeqCst), 1);
    drop(std::mem::replace(&mut w.peer, tokio::io::duplex(1).0));
    let (end, store) = w.end().await;
    assert_eq!(end, End::Gone);
    assert_eq!(store.0.abandoned.load(Ordering::SeqCst), 2);
    assert!(store.0.delivered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn changes_and_times_are_told_while_nothing_else_happens() {
    let mut w = world();
    w.send("WATCH\r\nWAKE 30000\r\nx\r\n").await;
    // Once for what may have happened before the watch began.
    w.expect("hello\r\nchanged 5\r\nx\r\n").await;
    w.store.0.news.notify_one();
    w.expect("changed 5\r\ntime\r\n").await;
}

#[tokio::test]
async fn a_session_sends_no_more_than_there_is_room_and_the_rest_follows() {
    let mut w = world();
    w.send("FLOOD 1000000\r\nx\r\n").await;
    w.expect("hello\r\n").await;
    let mut got = vec![0; 1_000_000];
    w.peer.read_exact(&mut got).await.unwrap();
    // The echo may come in the midst: the script does not wait for its flood.
    assert!(got.iter().filter(|b| **b == b'x').count() >= 999_990);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_dropped() {
    let mut w = world();
    w.send("FLOOD 10000000\r\n").await;
    let peer = std::mem::replace(&mut w.peer, tokio::io::duplex(1).0);
    let metrics = Arc::clone(&w.metrics);
    assert_eq!(w.end().await.0, End::Stalled);
    assert!(metrics.text().contains("end=\"stalled\"} 1"));
    drop(peer);
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_and_its_request_still_runs_to_the_end() {
    let mut w = world();
    w.send("ASK wait 50\r\n").await;
    w.expect("hello\r\n").await;
    drop(std::mem::replace(&mut w.peer, tokio::io::duplex(1).0));
    let (end, store) = w.end().await;
    assert_eq!(end, End::Gone);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.0.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_peer_that_only_ends_its_sending_still_gets_its_answers() {
    let mut w = world();
    w.send("ASK wait 50\r\nASK x\r\nlast\r\n").await;
    w.peer.shutdown().await.unwrap();
    w.expect("hello\r\nResolved(Unknown)\r\nResolved(Unknown)\r\nlast\r\n")
        .await;
    assert_eq!(w.end().await.0, End::Gone);
}

#[tokio::test]
async fn at_a_stop_the_command_under_way_is_finished() {
    let mut w = world();
    w.send("ASK wait 50\r\n").await;
    w.expect("hello\r\n").await;
    w.stop.send(true).unwrap();
    w.expect("Resolved(Unknown)\r\n").await;
    assert_eq!(w.end().await.0, End::Said(Farewell::Stopping));
    let mut idle = world();
    idle.stop.send(true).unwrap();
    idle.expect("hello\r\nstopping\r\n").await;
    assert_eq!(idle.end().await.0, End::Said(Farewell::Stopping));
}

#[tokio::test]
async fn without_tls_a_password_is_not_even_looked_at_when_it_may_not_be() {
    let mut w = world_with(|c| c.plaintext_login = false);
    w.send("LOGIN right\r\n").await;
    w.expect("hello\r\nno\r\n").await;
}

#[tokio::test]
async fn a_fault_in_the_store_ends_the_connection_and_nothing_else() {
    let mut w = world();
    w.send("ASK panic\r\n").await;
    w.expect("hello\r\n").await;
    assert_eq!(w.end().await.0, End::Fault);
}

#[tokio::test]
async fn starttls_drops_what_was_sent_ahead_in_the_clear() {
    use rustls_pki_types::pem::PemObject as _;

    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = crate::tls::self_signed(vec!["localhost".into()]).unwrap();
    let paths = (folder.path().join("c"), folder.path().join("k"));
    std::fs::write(&paths.0, &certificate).unwrap();
    std::fs::write(&paths.1, key).unwrap();
    let certificates = Certificates::open(&paths.0, &paths.1).unwrap();
    let mut w = world_with(|c| {
        c.certificates = Some(certificates);
        c.plaintext_login = false;
    });
    // One write: the shell reads the injected command together with STARTTLS.
    w.send("STARTTLS\r\ninjected\r\n").await;
    w.expect("hello\r\ngo ahead\r\n").await;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let name = "localhost".try_into().unwrap();
    let mut secure = connector.connect(name, w.peer).await.unwrap();
    secure.write_all(b"LOGIN right\r\n").await.unwrap();
    let mut got = [0; 17];
    secure.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"secure\r\nwelcome\r\n");
}

#[tokio::test]
async fn an_idle_connection_costs_a_few_kibibytes() {
    let mut idle = Vec::new();
    let before = crate::metrics::resident_bytes().unwrap();
    for _ in 0..500 {
        let mut w = world();
        w.send("ASK x\r\n").await;
        w.expect("hello\r\nResolved(Unknown)\r\n").await;
        idle.push(w);
    }
    let grown = crate::metrics::resident_bytes()
        .unwrap()
        .saturating_sub(before)
        / 500;
    // The peer's end and the pipe between are counted too.
    assert!(grown < 32 * 1024, "{grown} octets for each connection");
}
