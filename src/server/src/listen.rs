//! Listeners: sockets are bound with messages that say what to do, connections are counted, one too many is told so.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use crate::config::Address;
use crate::exit::{Exit, Failure};
use crate::shell::{Peer, Stream};

/// Connections that the system may keep waiting until they are accepted.
const BACKLOG: i32 = 1024;
/// A peer that vanished without a word is noticed after this, and five probes.
const KEEPALIVE: Duration = Duration::from_secs(5 * 60);
/// Pause after an accept that failed for want of file descriptors or memory, so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// A refusal that the peer does not take in this time is dropped.
const REFUSAL: Duration = Duration::from_secs(2);

/// A socket that is bound.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; its file goes when the listener does.
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A connection that came.
pub struct Accepted {
    /// Its octets.
    pub stream: Box<dyn Stream>,
    /// From whom.
    pub peer: Peer,
}

impl Listener {
    /// Binds. `key` is the configuration key that holds the address.
    ///
    /// # Errors
    /// A sentence that says what is in the way and what to do.
    pub async fn bind(address: &Address, key: &str, socket_mode: u32) -> Result<Self, Failure> {
        match address {
            Address::Tcp(address) => bind_tcp(*address)
                .map(Self::Tcp)
                .map_err(|why| cannot_tcp(*address, key, &why)),
            Address::Unix(path) => bind_unix(path, key, socket_mode).await,
        }
    }

    /// Where it listens: the true port when a free one was asked for.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Tcp(listener) => Address::Tcp(
                listener
                    .local_addr()
                    .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))),
            ),
            Self::Unix(_, file) => Address::Unix(file.0.clone()),
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                prepare(&stream);
                let peer = Peer::Address(from.ip(), from.port());
                Ok(Accepted {
                    stream: Box::new(stream),
                    peer,
                })
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted {
                    stream: Box::new(stream),
                    peer: Peer::Unix,
                })
            }
        }
    }
}

/// Small replies leave at once, and vanished peers are noticed. Failing costs comfort only.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn cannot_tcp(address: SocketAddr, key: &str, why: &io::Error) -> Failure {
    let variable = format!("DBMAIL_{}", key.replace('.', "_").to_ascii_uppercase());
    let message = match why.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Port {} on {} is taken by another program. Stop that program, or give {key} another address (for instance {variable}={}).",
            address.port(),
            address.ip(),
            SocketAddr::new(
                address.ip(),
                address.port().checked_add(10_000).unwrap_or(11_143)
            ),
        ),
        io::ErrorKind::PermissionDenied => format!(
            "Port {} may not be opened by this user: ports below 1024 need a privilege (CAP_NET_BIND_SERVICE). Grant it, or give {key} a higher port.",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "This machine does not have the address {}. Give {key} one that it has, or 0.0.0.0 or [::] for all.",
            address.ip()
        ),
        _ => format!("{key}: {address} can't be listened on: {why}."),
    };
    Failure::new(Exit::Unavailable, message)
}

/// Binds beside the path and renames: the socket appears with its permissions, and takes the place of a stale one.
async fn bind_unix(path: &Path, key: &str, mode: u32) -> Result<Listener, Failure> {
    let shown = path.display();
    let fail = |exit, message: String| Err(Failure::new(exit, message));
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return fail(
                Exit::CantCreate,
                format!(
                    "{shown} exists and is no socket. Give {key} another path, or remove the file."
                ),
            );
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return fail(
                Exit::Unavailable,
                format!(
                    "Another program serves the socket {shown}. Stop it, or give {key} another path."
                ),
            );
        }
        Ok(_) | Err(_) => {}
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let bound = UnixListener::bind(&new).and_then(|listener| {
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode))?;
        std::fs::rename(&new, path)?;
        Ok(listener)
    });
    match bound {
        Ok(listener) => Ok(Listener::Unix(listener, SocketFile(path.to_owned()))),
        Err(why) => {
            let _ = std::fs::remove_file(&new);
            fail(
                Exit::CantCreate,
                format!(
                    "The socket {shown} can't be made: {why}. Its folder must exist and be writable; or give {key} another path."
                ),
            )
        }
    }
}

/// How a listener treats its connections.
pub struct Service<F> {
    /// Connections at the same time.
    pub connections_max: usize,
    /// What one too many is told; empty: it is closed.
    pub refusal: &'static [u8],
    /// Called for each refused one.
    pub refused: Box<dyn Fn() + Send + Sync>,
    /// Serves one connection.
    pub serve: F,
}

/// Accepts until the server stops, then waits for the connections to end. Dropping the future cuts them.
pub async fn accept<F, T>(listener: Listener, service: Service<F>, mut stop: watch::Receiver<bool>)
where
    F: Fn(Accepted) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(
        service.connections_max.min(Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    let mut complained = false;
    loop {
        tokio::select! {
            biased;
            () = crate::shell::stopped(&mut stop) => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    complained = false;
                    match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => {
                            let serving = (service.serve)(accepted);
                            connections.spawn(async move {
                                serving.await;
                                drop(place);
                            });
                        }
                        Err(_) => {
                            (service.refused)();
                            debug!(peer = %accepted.peer, "too many connections");
                            connections.spawn(refuse(accepted.stream, service.refusal));
                        }
                    }
                }
                Err(why) => {
                    if !complained {
                        complained = true;
                        warn!(%why, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// A connection must not end by a panic; when one does, the log shows it and the others go on.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(why) = ended
        && why.is_panic()
    {
        error!("a connection ended by a fault of the program");
    }
}

async fn refuse(mut stream: Box<dyn Stream>, words: &'static [u8]) {
    if words.is_empty() {
        return;
    }
    let telling = async {
        stream.write_all(words).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(REFUSAL, telling).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_in_one_sentence_with_a_way_out() {
        let first = Listener::bind(
            &Address::Tcp("127.0.0.1:0".parse().unwrap()),
            "imap.listen",
            0,
        )
        .await
        .unwrap();
        let address = first.address();
        let failure = Listener::bind(&address, "imap.listen", 0)
            .await
            .unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert!(
            failure.message.contains("is taken by another program"),
            "{failure}"
        );
        assert!(
            failure.message.contains("DBMAIL_IMAP_LISTEN=127.0.0.1:"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmtp.sock");
        let address = Address::Unix(path.clone());
        // A socket that nobody listens on any more.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Listener::bind(&address, "lmtp.listen", 0o660)
            .await
            .unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        let failure = Listener::bind(&address, "lmtp.listen", 0o660)
            .await
            .unwrap_err();
        assert!(
            failure.message.contains("Another program serves"),
            "{failure}"
        );
        drop(first);
        assert!(!path.exists());
        std::fs::write(&path, "mail").unwrap();
        let failure = Listener::bind(&address, "lmtp.listen", 0o660)
            .await
            .unwrap_err();
        assert!(failure.message.contains("is no socket"), "{failure}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mail");
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so_and_a_free_place_is_used_again() {
        let listener = Listener::bind(&Address::Tcp("127.0.0.1:0".parse().unwrap()), "x.y", 0)
            .await
            .unwrap();
        let Address::Tcp(address) = listener.address() else {
            unreachable!()
        };
        let (stop, stopped) = watch::channel(false);
        let service = Service {
            connections_max: 1,
            refusal: b"* BYE [UNAVAILABLE] too many connections\r\n",
            refused: Box::new(|| {}),
            serve: |mut accepted: Accepted| async move {
                let _ = accepted.stream.write_all(b"hello").await;
                let _ = accepted.stream.read_u8().await;
            },
        };
        let accepting = tokio::spawn(accept(listener, service, stopped));
        let read = async |stream: &mut TcpStream| {
            let mut text = vec![0; 100];
            let n = stream.read(&mut text).await.unwrap();
            String::from_utf8_lossy(&text[..n]).into_owned()
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert_eq!(read(&mut first).await, "hello");
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(
            read(&mut second).await,
            "* BYE [UNAVAILABLE] too many connections\r\n"
        );
        drop(first);
        let mut third = loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            if read(&mut third).await == "hello" {
                break third;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        stop.send(true).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            TcpStream::connect(address).await.is_err(),
            "still accepting"
        );
        assert!(!accepting.is_finished(), "an open connection was cut");
        third.write_all(b"x").await.unwrap();
        accepting.await.unwrap();
    }
}
