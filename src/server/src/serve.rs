//! `dbmail serve`: IMAP, LMTP and HTTP in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dbmail_core::session::Session;
use dbmail_core::store::Timestamp;
use dbmail_core::{imap, lmtp};
use dbmail_store::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::admin;
use crate::clock;
use crate::config::{Address, Config, Loaded};
use crate::directory::{Directory, WRONG_ATTEMPT_DELAY};
use crate::exit::{Exit, Failure};
use crate::http;
use crate::listen::{self, Accepted, Listener, Service};
use crate::metrics::{Metrics, Protocol};
use crate::password::{Cost, Verifier};
use crate::sessions::{Figures, Report, Sessions};
use crate::shell::{self, Connection, HANDSHAKE, Peer, Services, Stream};
use crate::tls::{self, Certificates};

/// HTTP connections at the same time: scrapers and probes are few.
const HTTP_CONNECTIONS_MAX: usize = 64;
/// How long the store may take to finish after the last connection, beside the configured time.
const STORE_CLOSE: Duration = Duration::from_secs(10);

/// What tests choose and operators do not.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Cost of the hash that is compared with for unknown users.
    pub cost: Cost,
    /// How long a wrong attempt waits.
    pub wrong_attempt_delay: Duration,
    /// How often the certificate is looked at.
    pub certificate_look: Duration,
    /// How long a peer may leave what it is sent unread.
    pub stall: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cost: Cost::RECOMMENDED,
            wrong_attempt_delay: WRONG_ATTEMPT_DELAY,
            certificate_look: tls::LOOK,
            stall: Connection::STALL,
        }
    }
}

/// What is served on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Served {
    /// IMAP, with STARTTLS when there is a certificate.
    Imap,
    /// IMAP over TLS.
    Imaps,
    /// LMTP.
    Lmtp,
    /// Metrics and health.
    Http,
}

impl Served {
    const fn key(self) -> &'static str {
        match self {
            Self::Imap => "imap.listen",
            Self::Imaps => "imap.tls_listen",
            Self::Lmtp => "lmtp.listen",
            Self::Http => "http.listen",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Lmtp => "lmtp",
            Self::Http => "http",
        }
    }
}

/// A server that runs.
pub struct Server {
    /// Where it listens, with true ports.
    pub addresses: Vec<(Served, Address)>,
    /// The store it serves.
    pub store: Store,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    follower: Option<tokio::task::JoinHandle<()>>,
    stop_after: Duration,
}

/// Sockets that are bound, before anything is served on them.
pub struct Bound {
    listeners: Vec<(Served, Listener)>,
    certificates: Option<Arc<Certificates>>,
}

impl Bound {
    /// Reads the certificate and binds every address.
    ///
    /// # Errors
    /// The first thing in the way.
    pub async fn bind(config: &Config) -> Result<Self, Failure> {
        let certificates = match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => Some(Certificates::open(certificate, key)?),
            (Some(_) | None, _) => None,
        };
        let mut wanted: Vec<(Served, &Address)> = Vec::new();
        wanted.extend(config.imap.listen.iter().map(|a| (Served::Imap, a)));
        if certificates.is_some() {
            wanted.extend(config.imap.tls_listen.iter().map(|a| (Served::Imaps, a)));
        }
        wanted.extend(config.lmtp.listen.iter().map(|a| (Served::Lmtp, a)));
        wanted.extend(config.http.listen.iter().map(|a| (Served::Http, a)));
        let mut listeners = Vec::with_capacity(wanted.len());
        for (served, address) in wanted {
            let listener = Listener::bind(address, served.key(), config.lmtp.socket_mode).await?;
            listeners.push((served, listener));
        }
        Ok(Self {
            listeners,
            certificates,
        })
    }
}

/// What every connection needs.
struct Site {
    config: Config,
    hostname: String,
    services: Services,
    certificates: Option<Arc<Certificates>>,
    metrics: Arc<Metrics>,
    sessions: Arc<Sessions>,
    started: Timestamp,
    stop: watch::Receiver<bool>,
    stall: Duration,
    /// Numbers of connections: they also make the ids of deliveries, so they begin anew with the time.
    next: AtomicU64,
}

impl Server {
    /// Starts serving.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub async fn start(config: &Config, options: Options) -> Result<Self, Failure> {
        let bound = Bound::bind(config).await?;
        let store = admin::open_or_set_up(config, admin::settings(config)).await?;
        Self::on(bound, store, config, options)
    }

    fn on(bound: Bound, store: Store, config: &Config, options: Options) -> Result<Self, Failure> {
        let verifier = Verifier::new(options.cost).map_err(|why| {
            Failure::new(
                Exit::Software,
                format!("Passwords can't be checked: {why}."),
            )
        })?;
        let directory = Directory::new(
            store.clone(),
            Arc::new(verifier),
            options.wrong_attempt_delay,
        );
        let metrics = Arc::new(Metrics::new());
        metrics.show_store(store.clone());
        let (stop, stopped) = watch::channel(false);
        let site = Arc::new(Site {
            config: config.clone(),
            hostname: admin::hostname(config),
            services: Services {
                store: store.clone(),
                directory: Arc::new(directory),
            },
            certificates: bound.certificates.clone(),
            metrics,
            sessions: Arc::default(),
            started: clock::now(),
            stop: stopped,
            stall: options.stall,
            next: AtomicU64::new(1),
        });
        let mut addresses = Vec::new();
        let mut listeners = JoinSet::new();
        for (served, listener) in bound.listeners {
            let address = listener.address();
            info!(%address, protocol = served.word(), "listening");
            addresses.push((served, address));
            listeners.spawn(site.listen(served, listener));
        }
        let follower = bound.certificates.map(|certificates| {
            tokio::spawn(async move { certificates.follow(options.certificate_look).await })
        });
        let stop_after = Duration::from_secs(config.server.stop_seconds);
        Ok(Self {
            addresses,
            store,
            stop,
            listeners,
            follower,
            stop_after,
        })
    }

    /// The first address on which something is served.
    #[must_use]
    pub fn address(&self, served: Served) -> Option<&Address> {
        self.addresses
            .iter()
            .find(|(what, _)| *what == served)
            .map(|(_, address)| address)
    }

    /// Stops: no new connections, commands under way finish, goodbyes are said; what takes longer than configured is cut.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        let finishing = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(self.stop_after, finishing)
            .await
            .is_err()
        {
            warn!("some connections did not finish in time and were cut");
        }
        self.listeners.shutdown().await;
        if tokio::time::timeout(STORE_CLOSE, self.store.close())
            .await
            .is_err()
        {
            warn!("the store did not close in time; nothing acknowledged is lost");
        }
    }
}

impl Site {
    /// Accepts connections until the stop.
    fn listen(
        self: &Arc<Self>,
        served: Served,
        listener: Listener,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let protocol = match served {
            Served::Imap | Served::Imaps => Protocol::Imap,
            Served::Lmtp => Protocol::Lmtp,
            Served::Http => Protocol::Http,
        };
        let refusal: &'static [u8] = match served {
            Served::Imap => b"* BYE [UNAVAILABLE] too many connections\r\n",
            Served::Lmtp => b"421 4.3.2 too many connections\r\n",
            // Before TLS nothing can be said.
            Served::Imaps | Served::Http => b"",
        };
        let connections_max = match served {
            Served::Imap | Served::Imaps => self.config.imap.connections_max,
            Served::Lmtp => self.config.lmtp.connections_max,
            Served::Http => HTTP_CONNECTIONS_MAX,
        };
        let metrics = Arc::clone(&self.metrics);
        let site = Arc::clone(self);
        let stop = self.stop.clone();
        let service = Service {
            connections_max,
            refusal,
            refused: Box::new(move || metrics.connection_refused(protocol)),
            serve: move |accepted| Arc::clone(&site).serve(served, accepted),
        };
        listen::accept(listener, service, stop)
    }

    /// Serves one connection to its end.
    async fn serve(self: Arc<Self>, served: Served, accepted: Accepted) {
        let Accepted { stream, peer } = accepted;
        match served {
            Served::Http => {
                let open = self.metrics.connection(Protocol::Http);
                let shows_sessions = self.config.http.sessions.holds(peer.is_local());
                http::serve(stream, &*self, shows_sessions).await;
                drop(open);
            }
            Served::Imap => self.session(Protocol::Imap, stream, peer, false).await,
            Served::Lmtp => self.session(Protocol::Lmtp, stream, peer, false).await,
            Served::Imaps => {
                if let Some(stream) = self.handshake(stream, &peer).await {
                    self.session(Protocol::Imap, stream, peer, true).await;
                }
            }
        }
    }

    async fn handshake(&self, stream: Box<dyn Stream>, peer: &Peer) -> Option<Box<dyn Stream>> {
        let acceptor = self.certificates.as_ref()?.acceptor();
        let mut stop = self.stop.clone();
        tokio::select! {
            shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => match shaken {
                Ok(Ok(stream)) => Some(Box::new(stream)),
                Ok(Err(why)) => {
                    debug!(%peer, %why, "no TLS");
                    None
                }
                Err(_) => None,
            },
            () = shell::stopped(&mut stop) => None,
        }
    }

    async fn session(&self, protocol: Protocol, stream: Box<dyn Stream>, peer: Peer, tls: bool) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let plaintext_login = self.config.imap.plaintext_login.holds(peer.is_local());
        let connection = Connection {
            number,
            protocol,
            peer,
            tls,
            plaintext_login,
            certificates: self.certificates.clone(),
            stop: self.stop.clone(),
            metrics: Arc::clone(&self.metrics),
            sessions: Arc::clone(&self.sessions),
            stall: self.stall,
        };
        let session: Box<dyn Session + Send> = match protocol {
            Protocol::Lmtp => self.lmtp(&connection),
            Protocol::Imap | Protocol::Http => self.imap(&connection),
        };
        shell::run(session, stream, self.services.clone(), connection).await;
    }

    fn lmtp(&self, connection: &Connection) -> Box<dyn Session + Send> {
        let peer = match &connection.peer {
            Peer::Address(ip, _) => ip.to_canonical().to_string(),
            Peer::Unix | Peer::Inside => connection.peer.to_string(),
        };
        let tls = match (connection.tls, &self.certificates) {
            (true, _) => lmtp::Tls::Active,
            (false, Some(_)) => lmtp::Tls::Available,
            (false, None) => lmtp::Tls::None,
        };
        Box::new(lmtp::Session::new(lmtp::Config {
            host: self.hostname.clone(),
            peer,
            tls,
            message_bytes_max: self.config.server.message_size_max,
            connection: connection.number,
        }))
    }

    fn imap(&self, connection: &Connection) -> Box<dyn Session + Send> {
        let tls = match (connection.tls, &self.certificates) {
            (true, _) => imap::TlsState::Active,
            (false, Some(_)) => imap::TlsState::Available,
            (false, None) => imap::TlsState::None,
        };
        Box::new(imap::Session::new(imap::Config {
            host: self.hostname.clone(),
            tls,
            plaintext_login_allowed: connection.plaintext_login,
            message_bytes_max: self.config.server.message_size_max,
            name: "DBMail".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

impl http::Pages for Site {
    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn sessions(&self) -> String {
        let store = &self.services.store;
        let (sessions, sessions_left_out) = self.sessions.shown();
        let (front_end, front_end_id) = store.front_end();
        let report = Report {
            at: clock::now().0,
            started: self.started.0,
            front_end: front_end.to_owned(),
            front_end_id,
            figures: Figures::from(&store.counters()),
            sessions,
            sessions_left_out,
        };
        // Plain structures can't fail to be written.
        serde_json::to_string(&report).unwrap_or_default()
    }

    async fn ready(&self) -> Result<(), String> {
        self.services
            .store
            .ready()
            .await
            .map_err(|refusal| refusal.to_string())
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps the server from starting.
pub async fn serve(loaded: &Loaded) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let mut signals = Signals::new()?;
    let server = Server::start(&loaded.config, Options::default()).await?;
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    let signal = signals.stop().await;
    info!(signal, "stopping");
    tokio::select! {
        () = server.stop() => {}
        again = signals.stop() => {
            return Err(Failure::new(Exit::TempFail, format!("Stopped at once by a second {again}.")));
        }
    }
    info!("stopped");
    Ok(())
}

/// The signals that stop, and the one that does not.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on signals come here.
    pub(crate) fn new() -> Result<Self, Failure> {
        let get = |kind| {
            signal(kind).map_err(|why| {
                Failure::new(Exit::Software, format!("Signals can't be received: {why}."))
            })
        };
        Ok(Self {
            terminate: get(SignalKind::terminate())?,
            interrupt: get(SignalKind::interrupt())?,
            hangup: get(SignalKind::hangup())?,
        })
    }

    /// Waits for one that stops; its name.
    pub(crate) async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    info!("SIGHUP: certificates are read again by themselves; for other changes, restart");
                }
            }
        }
    }
}
