//! Stands between a program and its database server, and breaks the connection at a message that a test chooses.
//!
//! The proxy counts the messages of both directions over all connections, from the moment the test says so. At the n-th one
//! it strikes: the connection is cut before the message is passed on or right after, or everything stands still and no end
//! hears of it. What it holds of a connection is one buffer in each direction. Connections must not be encrypted.

mod frames;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::frames::{Frames, Protocol};
use crate::address::Address;
use crate::sql::{apart, runtime};
use crate::{Database, Kind};

/// Octets read at a time in one direction.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long the server may take to let a connection come.
const CONNECT: Duration = Duration::from_secs(5);

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the program to the server.
    Request,
    /// From the server to the program.
    Reply,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Request, Self::Reply];
}

/// What is done at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The connection is cut before anything of the message is passed on.
    CutBefore,
    /// The connection is cut when the message was passed on.
    CutAfter,
    /// From before the message on nothing passes, in neither direction, and neither end hears that the other one leaves.
    Stall,
}

/// Whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The connection that the message is on.
    One,
    /// All connections, and those that come until [`Proxy::heal`]: the server is away.
    All,
}

/// Something that goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of which messages.
    pub way: Way,
    /// At which of them, counted from 1 over all connections since [`Proxy::arm`].
    pub message: u64,
    /// What is done.
    pub strike: Strike,
    /// Whom it hits.
    pub reach: Reach,
}

/// A proxy before a database server. Connections through it end when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    kind: Kind,
    server: String,
    counting: Mutex<Counting>,
    weather: watch::Sender<Weather>,
}

#[derive(Debug, Default)]
struct Counting {
    /// How often counting began: a message that began before does not count.
    epoch: u64,
    requests: u64,
    replies: u64,
    connections: u64,
    /// The direction of the newest message.
    newest: Option<Way>,
    fault: Option<Fault>,
    struck: bool,
    turned: bool,
    /// What could not be understood.
    error: Option<String>,
}

/// What all connections are under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weather {
    mood: Mood,
    /// How often it was mended: what stood still before ends.
    heals: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Messages are passed on.
    Passing,
    /// There are no connections.
    Away,
    /// Nothing passes.
    Still,
}

/// How a direction of a connection ends, and the other with it.
enum End {
    Closed,
    Still,
}

impl Proxy {
    /// A proxy before the server of a database.
    ///
    /// # Errors
    /// When there is no server, it is not reached by TCP, or no port can be had.
    pub fn before(database: &Database) -> Result<Self, String> {
        Self::to(database.kind, &database.url)
    }

    /// A proxy before the server of that URL.
    ///
    /// # Errors
    /// As [`before`](Self::before).
    pub fn to(kind: Kind, url: &str) -> Result<Self, String> {
        if kind == Kind::Sqlite {
            return Err("SQLite has no server".to_owned());
        }
        let port = if kind == Kind::Postgres { 5432 } else { 3306 };
        let server = Address::host_and_port(url, port)?;
        apart(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(said)?;
            let own = listener.local_addr().map_err(said)?;
            let shared = Arc::new(Shared {
                kind,
                server,
                counting: Mutex::default(),
                weather: watch::Sender::new(Weather {
                    mood: Mood::Passing,
                    heals: 0,
                }),
            });
            Ok(Self {
                url: Address::through(url, &own.to_string())?,
                listener: runtime().spawn(listen(listener, Arc::clone(&shared))),
                shared,
            })
        })
    }

    /// The database's URL by way of the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Counts from now on, and lets everything pass.
    pub fn count(&self) {
        self.shared.begin(None);
    }

    /// Counts from now on, and strikes when the fault's message comes.
    pub fn arm(&self, fault: Fault) {
        self.shared.begin(Some(fault));
    }

    /// Lets everything pass again: forgets a fault that has not struck, ends what stands still, lets connections come.
    pub fn heal(&self) {
        self.shared.counting().fault = None;
        self.shared.weather.send_modify(|weather| {
            weather.mood = Mood::Passing;
            weather.heals += 1;
        });
    }

    /// Whether the fault has struck since it was armed.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.shared.counting().struck
    }

    /// Whether the other direction spoke last before the message that the fault struck at. If not, to cut right after the
    /// message before it would be the same.
    #[must_use]
    pub fn has_turned(&self) -> bool {
        self.shared.counting().turned
    }

    /// Messages that began since counting did.
    #[must_use]
    pub fn counted(&self, way: Way) -> u64 {
        let counting = self.shared.counting();
        match way {
            Way::Request => counting.requests,
            Way::Reply => counting.replies,
        }
    }

    /// Connections that came since counting began.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.counting().connections
    }

    /// What passed and could not be understood: then what was counted means nothing.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.shared.counting().error.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.shared.weather.send_modify(|weather| {
            weather.mood = Mood::Away;
            weather.heals += 1;
        });
    }
}

impl Shared {
    fn counting(&self) -> MutexGuard<'_, Counting> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, fault: Option<Fault>) {
        let mut counting = self.counting();
        *counting = Counting {
            epoch: counting.epoch + 1,
            fault,
            error: counting.error.take(),
            ..Counting::default()
        };
    }

    /// A message begins: when counting began, and which it is since then.
    fn begins(&self, way: Way) -> (u64, u64) {
        let mut counting = self.counting();
        let count = match way {
            Way::Request => &mut counting.requests,
            Way::Reply => &mut counting.replies,
        };
        *count += 1;
        let number = *count;
        let turned = counting.newest.replace(way) != Some(way);
        if !counting.struck {
            counting.turned = turned;
        }
        (counting.epoch, number)
    }

    /// The fault, if it strikes at this message and moment; it is used up by that.
    fn strikes(&self, way: Way, (epoch, message): (u64, u64), after: bool) -> Option<Fault> {
        let mut counting = self.counting();
        let fault = counting.fault.filter(|fault| {
            let is_after = fault.strike == Strike::CutAfter;
            (fault.way, fault.message, is_after) == (way, message, after)
        })?;
        if counting.epoch != epoch {
            return None;
        }
        counting.fault = None;
        counting.struck = true;
        Some(fault)
    }

    /// Does what the fault says; how the connection that it struck ends.
    fn strike(&self, fault: Fault) -> End {
        let (mood, end) = match fault.strike {
            Strike::CutBefore | Strike::CutAfter => (Mood::Away, End::Closed),
            Strike::Stall => (Mood::Still, End::Still),
        };
        if fault.reach == Reach::All {
            self.weather.send_modify(|weather| weather.mood = mood);
        }
        end
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                shared.counting().connections += 1;
                runtime().spawn(connection(client, Arc::clone(&shared)));
            }
            // No more files may be open, or the client has left already: a moment later it may be otherwise.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, from its beginning to its end.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut weather = shared.weather.subscribe();
    let heals = weather.borrow().heals;
    // Held until the end: a server that stands still does not hear that the client has left.
    let mut server = None;
    let end = tokio::select! {
        // First: while nothing passes, the server does not see who comes.
        biased;
        end = changed(&mut weather) => end,
        end = pass(&mut client, &mut server, &shared) => end,
    };
    if matches!(end, End::Still) {
        // An error: the proxy is gone.
        let _ = weather.wait_for(|weather| weather.heals > heals).await;
    }
}

/// Waits until the weather ends what passes.
async fn changed(weather: &mut watch::Receiver<Weather>) -> End {
    let bad = weather.wait_for(|weather| weather.mood != Mood::Passing);
    match bad.await.map(|weather| weather.mood) {
        Ok(Mood::Still) => End::Still,
        Ok(Mood::Away | Mood::Passing) | Err(_) => End::Closed,
    }
}

/// Passes on what comes, in both directions.
async fn pass(client: &mut TcpStream, server: &mut Option<TcpStream>, shared: &Shared) -> End {
    let reached = tokio::time::timeout(CONNECT, TcpStream::connect(&shared.server)).await;
    let Ok(Ok(reached)) = reached else {
        return End::Closed;
    };
    let server = server.insert(reached);
    // What is passed on is not held up to be sent with more.
    if client
        .set_nodelay(true)
        .and_then(|()| server.set_nodelay(true))
        .is_err()
    {
        return End::Closed;
    }
    let (begin, then) = match shared.kind {
        Kind::Postgres => (Protocol::PostgresStart, Protocol::Postgres),
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => (Protocol::MySqlStart, Protocol::MySql),
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        end = direction(Way::Request, begin, from_client, to_server, shared) => end,
        end = direction(Way::Reply, then, from_server, to_client, shared) => end,
    }
}

/// Passes on what comes in one direction.
async fn direction(
    way: Way,
    protocol: Protocol,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
) -> End {
    let mut frames = Frames::new(protocol);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut message = (0, 0);
    loop {
        let octets = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Closed,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
        };
        let (mut passes, mut rest) = (0, octets);
        let mut struck = None;
        while struck.is_none() {
            let piece = match frames.next(rest) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    shared.counting().error = Some(error);
                    return End::Closed;
                }
            };
            if piece.begins {
                message = shared.begins(way);
                struck = shared.strikes(way, message, false);
                if struck.is_some() {
                    break;
                }
            }
            passes += piece.octets;
            rest = rest.get(piece.octets..).unwrap_or_default();
            if piece.ends {
                struck = shared.strikes(way, message, true);
            }
        }
        if to
            .write_all(octets.get(..passes).unwrap_or_default())
            .await
            .is_err()
        {
            return End::Closed;
        }
        if let Some(fault) = struck {
            return shared.strike(fault);
        }
    }
}

fn said(error: std::io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::kinds_at_hand;
    use crate::sql::run;

    /// How long nothing must come to count as nothing.
    const SILENCE: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A server that says what it was sent and answers each message with the same two times. A message has one octet.
    fn echo() -> (String, Receiver<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("mysql://{}/x", listener.local_addr().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut message = [0; 5];
                    while stream.read_exact(&mut message).is_ok() {
                        if sender.send(message[4]).is_err() {
                            return;
                        }
                        let both = [message, message].concat();
                        if stream.write_all(&both).is_err() {
                            return;
                        }
                    }
                    let _ = sender.send(b'.');
                });
            }
        });
        (url, receiver)
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let address = Address::host_and_port(proxy.url(), 0).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn say(stream: &mut TcpStream, what: u8) {
        // It may be closed.
        drop(stream.write_all(&[1, 0, 0, 0, what]));
    }

    /// What comes until the connection ends or, with `most`, until there is so much.
    fn heard(stream: &mut TcpStream, most: usize) -> String {
        let mut all = String::new();
        let mut message = [0; 5];
        while all.len() < most && stream.read_exact(&mut message).is_ok() {
            all.push(char::from(message[4]));
        }
        all
    }

    fn world() -> (Proxy, Receiver<u8>, TcpStream) {
        let (url, served) = echo();
        let proxy = Proxy::to(Kind::MySql, &url).unwrap();
        let mut stream = connect(&proxy);
        say(&mut stream, b'0');
        assert_eq!(heard(&mut stream, 2), "00");
        assert_eq!(served.recv_timeout(PATIENCE), Ok(b'0'));
        (proxy, served, stream)
    }

    fn fault(way: Way, message: u64, strike: Strike, reach: Reach) -> Fault {
        Fault {
            way,
            message,
            strike,
            reach,
        }
    }

    #[test]
    fn messages_are_counted_from_when_the_test_says() {
        let (proxy, _served, mut stream) = world();
        let counted = || Way::ALL.map(|way| proxy.counted(way));
        assert_eq!((counted(), proxy.connections()), ([1, 2], 1));
        proxy.count();
        assert_eq!((counted(), proxy.connections()), ([0, 0], 0));
        let mut other = connect(&proxy);
        for stream in [&mut stream, &mut other] {
            say(stream, b'1');
            assert_eq!(heard(stream, 2), "11");
        }
        assert_eq!((counted(), proxy.connections()), ([2, 4], 1));
        assert_eq!(proxy.error(), None);
    }

    #[test]
    fn a_connection_is_cut_before_or_after_the_message_that_was_chosen() {
        // What is sent is 1, 2, 3; what the server gets and what the client hears, which may be less where the end of the
        // connection overtakes it.
        for (way, message, strike, got, hears) in [
            (Way::Request, 1, Strike::CutBefore, ".", ""),
            (Way::Request, 2, Strike::CutBefore, "1.", "11"),
            (Way::Request, 2, Strike::CutAfter, "12.", "11"),
            (Way::Reply, 1, Strike::CutBefore, "1.", ""),
            (Way::Reply, 2, Strike::CutBefore, "1.", "1"),
            (Way::Reply, 3, Strike::CutBefore, "12.", "11"),
            (Way::Reply, 3, Strike::CutAfter, "12.", "112"),
        ] {
            let (proxy, served, mut stream) = world();
            proxy.arm(fault(way, message, strike, Reach::One));
            let mut said = String::new();
            for what in b"123" {
                say(&mut stream, *what);
                said += &heard(&mut stream, 2);
            }
            assert!(proxy.has_struck());
            // Each request is answered twice.
            assert_eq!(proxy.has_turned(), way == Way::Request || message % 2 == 1);
            let got_now: String = std::iter::from_fn(|| served.recv_timeout(PATIENCE).ok())
                .map(char::from)
                .take(got.len())
                .collect();
            let what = format!("{way:?} {message} {strike:?}");
            assert_eq!((got_now.as_str(), said.as_str()), (got, hears), "{what}");
            // Once: the next connection works, and the same number comes again.
            let mut next = connect(&proxy);
            for _ in 0..3 {
                say(&mut next, b'n');
                assert_eq!(heard(&mut next, 2), "nn", "{what}");
            }
        }
    }

    #[test]
    fn a_server_that_is_away_comes_back_when_it_is_healed() {
        let (proxy, _served, mut stream) = world();
        let mut other = connect(&proxy);
        say(&mut other, b'o');
        assert_eq!(heard(&mut other, 2), "oo");
        proxy.arm(fault(Way::Request, 1, Strike::CutBefore, Reach::All));
        say(&mut stream, b'1');
        assert_eq!(heard(&mut stream, 2), "");
        assert_eq!(heard(&mut other, 2), "");
        let mut next = connect(&proxy);
        say(&mut next, b'n');
        assert_eq!(heard(&mut next, 2), "");
        proxy.heal();
        let mut next = connect(&proxy);
        say(&mut next, b'n');
        assert_eq!(heard(&mut next, 2), "nn");
    }

    #[test]
    fn what_stands_still_says_nothing_to_either_end_until_it_is_healed() {
        for reach in [Reach::One, Reach::All] {
            let (proxy, served, mut stream) = world();
            let mut other = connect(&proxy);
            say(&mut other, b'o');
            assert_eq!(heard(&mut other, 2), "oo");
            assert_eq!(served.recv_timeout(PATIENCE), Ok(b'o'));
            proxy.arm(fault(Way::Reply, 2, Strike::Stall, reach));
            say(&mut stream, b'1');
            assert_eq!(heard(&mut stream, 1), "1");
            assert_eq!(served.recv_timeout(PATIENCE), Ok(b'1'));
            for stream in [&mut stream, &mut other] {
                stream.set_read_timeout(Some(SILENCE)).unwrap();
            }
            say(&mut stream, b'2');
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), silence());
            say(&mut other, b'p');
            if reach == Reach::All {
                assert_eq!(other.read(&mut [0]).unwrap_err().kind(), silence());
                let mut next = connect(&proxy);
                say(&mut next, b'n');
            } else {
                assert_eq!(heard(&mut other, 2), "pp");
                assert_eq!(served.recv_timeout(PATIENCE), Ok(b'p'));
            }
            // The client leaves, and the server does not hear of it.
            drop(stream);
            assert!(served.recv_timeout(SILENCE).is_err());
            proxy.heal();
            assert_eq!(served.recv_timeout(PATIENCE), Ok(b'.'));
            let mut next = connect(&proxy);
            say(&mut next, b'n');
            assert_eq!(heard(&mut next, 2), "nn");
        }
    }

    const fn silence() -> std::io::ErrorKind {
        std::io::ErrorKind::WouldBlock
    }

    #[test]
    fn connections_end_with_the_proxy() {
        let (proxy, served, mut stream) = world();
        drop(proxy);
        assert_eq!(heard(&mut stream, 1), "");
        assert_eq!(served.recv_timeout(PATIENCE), Ok(b'.'));
    }

    #[test]
    fn a_client_that_asks_for_encryption_is_sent_away() {
        let (url, _served) = echo();
        let proxy = Proxy::to(Kind::MySql, &url).unwrap();
        let mut stream = connect(&proxy);
        drop(stream.write_all(&[&[32, 0, 0, 1][..], &[0; 32]].concat()));
        assert_eq!(heard(&mut stream, 1), "");
        assert!(proxy.error().unwrap().contains("encryption"));
    }

    #[test]
    fn sqlite_has_no_server_to_stand_before() {
        let error = Proxy::before(&Database::sqlite().unwrap()).unwrap_err();
        assert!(error.contains("no server"), "{error}");
    }

    #[test]
    fn real_servers_are_spoken_to_through_it() {
        for kind in kinds_at_hand() {
            if kind == Kind::Sqlite {
                continue;
            }
            let database = Database::fresh(kind).unwrap();
            database.run("CREATE TABLE t (x integer)").unwrap();
            let proxy = Proxy::before(&database).unwrap();
            let url = proxy.url().to_owned();
            apart(run(kind, &url, "INSERT INTO t VALUES (1)")).unwrap();
            let counts = Way::ALL.map(|way| proxy.counted(way));
            assert!(
                counts.iter().all(|count| *count >= 3),
                "{kind:?}: {counts:?}"
            );
            // What the server says to the statement is the last or nearly so: swallowed, the row is there nevertheless.
            let refused = (1..=counts[1]).filter(|message| {
                let cut = fault(Way::Reply, *message, Strike::CutBefore, Reach::One);
                proxy.arm(cut);
                let told = apart(run(kind, &url, "INSERT INTO t VALUES (1)"));
                assert!(proxy.has_struck(), "{kind:?}: {message}");
                told.is_err()
            });
            assert!(refused.count() > 0, "{kind:?}");
            let rows = database.number("SELECT count(*) FROM t").unwrap();
            assert!(rows > 1, "{kind:?}: {rows}");
            assert_eq!(proxy.error(), None);
        }
    }
}
