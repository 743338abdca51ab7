//! Runs a session on a stream: carries octets in and out, questions to the store and back.
//!
//! | file | what |
//! | --- | --- |
//! | `backend.rs` | store and directory, as the shell needs them |
//! | `peer.rs` | who is at the other end |
//! | `wire.rs` | one stream with its bounded queues |
//! | `uploads.rs` | messages on their way in |
//!
//! One task for each connection. It waits for one of: octets, room, an answer, a change, a time, the stop; tells the
//! session; carries out what the session wants, in order. Questions to the store run in tasks of their own, to their end.

mod backend;
mod peer;
#[cfg(test)]
mod tests;
mod uploads;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dbmail_core::session::{
    Admitted, Credentials, Denied, Farewell, Input, Note, Output, Session, Ticket,
};
use dbmail_core::store::{AccountId, MailboxId, Refusal, Reply, Request, UploadId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tracing::{debug, error, info};

pub use backend::{Backend, Services, Upload, Watch};
pub use peer::Peer;
pub use wire::Stream;

use crate::clock;
use crate::metrics::{Metrics, Protocol};
use crate::sessions::{Place, Sessions};
use crate::tls::Certificates;
use uploads::{Step, Uploads};
use wire::{Turn, Wire};

/// A handshake that takes longer is none: it costs some round trips and a few milliseconds of work.
pub const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a closed connection may take to get its last octets away.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long the peer's own close is awaited after ours.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection is, beside its stream and session.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number, unique in this process.
    pub number: u64,
    /// What is spoken.
    pub protocol: Protocol,
    /// With whom.
    pub peer: Peer,
    /// Whether TLS is in place from the start.
    pub tls: bool,
    /// Whether a password may be taken without TLS.
    pub plaintext_login: bool,
    /// For STARTTLS.
    pub certificates: Option<Arc<Certificates>>,
    /// Becomes true when the server stops.
    pub stop: watch::Receiver<bool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Among whom it is shown.
    pub sessions: Arc<Sessions>,
    /// How long a peer may read nothing.
    pub stall: Duration,
}

impl Connection {
    /// How long a peer may leave what it is sent unread, unless a test says otherwise.
    pub const STALL: Duration = wire::STALL;
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The session closed it.
    Said(Farewell),
    /// The peer was gone.
    Gone,
    /// The peer did not read what it was sent.
    Stalled,
    /// TLS could not be started.
    Handshake,
    /// A fault of ours.
    Fault,
}

impl End {
    /// Word for log and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Said(Farewell::Asked) => "asked",
            Self::Said(Farewell::TimedOut) => "timed out",
            Self::Said(Farewell::Stopping) => "stopping",
            Self::Said(Farewell::Misbehaved) => "misbehaved",
            Self::Said(Farewell::Broken) => "broken",
            Self::Gone => "gone",
            Self::Stalled => "stalled",
            Self::Handshake => "no TLS",
            Self::Fault => "fault",
        }
    }
}

/// Runs the session on the stream until one of them ends.
pub async fn run<B: Backend>(
    session: Box<dyn Session + Send>,
    stream: Box<dyn Stream>,
    backend: B,
    connection: Connection,
) -> End {
    let metrics = Arc::clone(&connection.metrics);
    let open = metrics.connection(connection.protocol);
    let begun = Instant::now();
    let mut shell = Box::new(Shell::new(session, stream, backend, connection));
    let end = shell.serve().await;
    if end != End::Gone && end != End::Stalled {
        shell.wire.finish(LINGER).await;
    }
    let traffic = (shell.wire.bytes_in, shell.wire.bytes_out);
    metrics.connection_ended(shell.connection.protocol, end, traffic);
    // Questions under way run to their end without us.
    shell.tasks.detach_all();
    info!(
        protocol = shell.connection.protocol.word(),
        connection = shell.connection.number,
        peer = %shell.connection.peer,
        user = shell.user.as_deref().unwrap_or_default(),
        end = end.word(),
        seconds = begun.elapsed().as_secs(),
        bytes_in = shell.wire.bytes_in,
        bytes_out = shell.wire.bytes_out,
        "connection ended"
    );
    drop(open);
    end
}

/// An input that the shell owns.
enum Event {
    Answer(Ticket, Reply),
    Authenticated(Ticket, Result<Admitted, Denied>),
    Staged(UploadId, u64),
    StageFailed(UploadId),
    Changed(MailboxId),
    Room,
    Upgraded,
    Time,
    Stop,
}

/// What a task brings back.
enum Done<B: Backend> {
    Answer(Ticket, &'static str, Instant, Reply),
    Authenticated(Ticket, Result<Admitted, Denied>),
    Written(UploadId, B::Upload, Result<u64, Refusal>),
}

struct Shell<B: Backend> {
    session: Box<dyn Session + Send>,
    wire: Wire,
    backend: B,
    connection: Connection,
    tasks: JoinSet<Done<B>>,
    uploads: Uploads<B>,
    inbox: VecDeque<Event>,
    /// What the session wants, kept between steps for its memory while busy.
    wanted: Vec<Output>,
    watched: Option<(MailboxId, B::Watch)>,
    wake: Option<Pin<Box<Sleep>>>,
    /// The session took less than it was offered: nothing new is offered before another input.
    busy: bool,
    /// The peer sends no more.
    ended: bool,
    stopping: bool,
    tls: bool,
    start_tls: bool,
    end: Option<End>,
    user: Option<String>,
    /// Whose requests the store is asked.
    account: Option<AccountId>,
    place: Place,
}

impl<B: Backend> Shell<B> {
    fn new(
        session: Box<dyn Session + Send>,
        stream: Box<dyn Stream>,
        backend: B,
        connection: Connection,
    ) -> Self {
        let Connection {
            number,
            protocol,
            tls,
            ..
        } = connection;
        let peer = connection.peer.clone();
        let place = connection.sessions.enter(number, protocol, peer, tls);
        Self {
            session,
            wire: Wire::new(stream, connection.stall),
            backend,
            tls,
            connection,
            tasks: JoinSet::new(),
            uploads: Uploads::new(),
            inbox: VecDeque::new(),
            wanted: Vec::new(),
            watched: None,
            wake: None,
            busy: false,
            ended: false,
            stopping: false,
            start_tls: false,
            end: None,
            user: None,
            account: None,
            place,
        }
    }

    /// From the greeting to the end.
    async fn serve(&mut self) -> End {
        let mut wanted = Vec::new();
        self.session.open(clock::now(), &mut wanted);
        self.carry_out(&mut wanted);
        self.inbox.push_back(Event::Room);
        loop {
            self.tell_all();
            if let Some(end) = self.end {
                return self.part(end).await;
            }
            if self.start_tls {
                self.start_tls = false;
                if let Err(end) = self.upgrade().await {
                    return end;
                }
                continue;
            }
            if let Err(end) = self.wait().await {
                self.tell(Input::Closed);
                return end;
            }
        }
    }

    /// Waits until there is something to tell the session.
    async fn wait(&mut self) -> Result<(), End> {
        if self.ended && self.tasks.is_empty() && self.wire.is_drained() {
            // It sends no more, and nothing is under way for it.
            return Err(End::Gone);
        }
        tokio::select! {
            biased;
            () = stopped(&mut self.connection.stop), if !self.stopping => {
                self.stopping = true;
                self.inbox.push_back(Event::Stop);
            }
            turn = self.wire.turn(!self.ended) => match turn {
                // While the session is busy the octets only wait, so that the peer's end is seen.
                Ok(Turn::Read) => {}
                Ok(Turn::Room) => self.inbox.push_back(Event::Room),
                Ok(Turn::End) => self.ended = true,
                Err(why) => return Err(gone(&why)),
            },
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                Ok(done) => self.done(done),
                Err(why) => {
                    error!(connection = self.connection.number, %why, "a question to the store broke off");
                    return Err(End::Fault);
                }
            },
            () = changed(&mut self.watched), if self.watched.is_some() => {
                if let Some((mailbox, _)) = &self.watched {
                    self.inbox.push_back(Event::Changed(*mailbox));
                }
            }
            () = rung(&mut self.wake), if self.wake.is_some() => {
                self.wake = None;
                self.inbox.push_back(Event::Time);
            }
        }
        Ok(())
    }

    /// Tells the session everything that is known, and carries out what it wants.
    fn tell_all(&mut self) {
        while self.end.is_none() && !self.start_tls {
            if let Some(event) = self.inbox.pop_front() {
                self.tell_event(event);
            } else if !self.busy && !self.wire.input.is_empty() {
                self.offer();
            } else {
                return;
            }
        }
    }

    /// Offers the octets read.
    fn offer(&mut self) {
        let mut wanted = std::mem::take(&mut self.wanted);
        let offered = self.wire.input.len();
        let taken = self
            .session
            .step(clock::now(), Input::Bytes(&self.wire.input), &mut wanted);
        self.wire.taken(taken);
        // A session that took some may take more now; one that took none is busy.
        self.busy = taken == 0 && offered > 0;
        self.carry_out(&mut wanted);
        self.keep(wanted);
    }

    fn tell_event(&mut self, event: Event) {
        let input = match event {
            Event::Answer(ticket, reply) => Input::Answer(ticket, reply),
            Event::Authenticated(ticket, result) => Input::Authenticated(ticket, result),
            Event::Staged(upload, total) => Input::Staged(upload, total),
            Event::StageFailed(upload) => Input::StageFailed(upload),
            Event::Changed(mailbox) => Input::Changed(mailbox),
            Event::Room => Input::Room(self.wire.room()),
            Event::Upgraded => Input::Upgraded,
            Event::Time => Input::Time,
            Event::Stop => Input::Stop,
        };
        self.tell(input);
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut wanted = std::mem::take(&mut self.wanted);
        self.session.step(clock::now(), input, &mut wanted);
        self.busy = false;
        self.carry_out(&mut wanted);
        self.keep(wanted);
    }

    /// Keeps the list's memory while it is small.
    fn keep(&mut self, wanted: Vec<Output>) {
        if wanted.capacity() <= 16 {
            self.wanted = wanted;
        }
    }

    /// Does what the session wants, in order.
    fn carry_out(&mut self, wanted: &mut Vec<Output>) {
        for output in wanted.drain(..) {
            if self.end.is_some() {
                // After Close nothing counts but giving uploads back, which dropping does.
                break;
            }
            match output {
                Output::Send(bytes) => self.wire.send(bytes),
                Output::Ask(ticket, request) => self.ask(ticket, request),
                Output::Authenticate(ticket, credentials) => self.authenticate(ticket, credentials),
                Output::Stage(upload, bytes) => {
                    let steps = self.uploads.stage(&self.backend, upload, bytes);
                    self.upload_steps(upload, steps);
                }
                Output::Discard(upload) => self.uploads.discard(upload),
                Output::Watch(mailbox) => {
                    self.place.selected(mailbox.is_some());
                    self.watched = mailbox.map(|mailbox| (mailbox, self.backend.watch(mailbox)));
                    // What changed between the answer that opened the mailbox and this moment is news too.
                    self.inbox.extend(mailbox.map(Event::Changed));
                }
                Output::StartTls => self.start_tls = true,
                Output::Wake(None) => self.wake = None,
                Output::Wake(Some(then)) => self.wake_at(Instant::now() + clock::until(then)),
                Output::Note(note) => self.note(&note),
                Output::Close(farewell) => self.end = Some(End::Said(farewell)),
            }
        }
        wanted.clear();
    }

    fn wake_at(&mut self, then: Instant) {
        match &mut self.wake {
            Some(wake) => wake.as_mut().reset(then),
            None => self.wake = Some(Box::pin(tokio::time::sleep_until(then))),
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        match request.upload() {
            Some(upload) => {
                let steps = self.uploads.finish(&self.backend, upload, ticket, request);
                self.upload_steps(upload, steps);
            }
            None => self.apply(ticket, request, None),
        }
    }

    fn apply(&mut self, ticket: Ticket, request: Request, upload: Option<B::Upload>) {
        let (backend, who) = (self.backend.clone(), self.account);
        let begun = Instant::now();
        let name = request.name();
        let opening = match &request {
            Request::Open { name, .. } => Some(name.as_str()),
            _ => None,
        };
        self.place.asks(name, opening);
        self.tasks.spawn(async move {
            let reply = backend.apply(who, request, upload).await;
            Done::Answer(ticket, name, begun, reply)
        });
    }

    fn authenticate(&mut self, ticket: Ticket, credentials: Credentials) {
        let user = crate::log::name(&credentials.user);
        if !self.tls && !self.connection.plaintext_login {
            // The session does not offer it; this is the second lock.
            info!(connection = self.connection.number, peer = %self.connection.peer, user, "login refused without TLS");
            self.inbox
                .push_back(Event::Authenticated(ticket, Err(Denied::Credentials)));
            return;
        }
        let backend = self.backend.clone();
        let (number, peer) = (self.connection.number, self.connection.peer.clone());
        let tls = self.tls;
        self.tasks.spawn(async move {
            let result = backend.authenticate(credentials).await;
            match &result {
                Ok(admitted) => {
                    info!(connection = number, %peer, user = admitted.name, tls, "login");
                }
                Err(Denied::Credentials) => {
                    info!(connection = number, %peer, user, tls, "login refused");
                }
                Err(Denied::Unavailable) => {
                    info!(connection = number, %peer, user, tls, "login not possible now");
                }
            }
            Done::Authenticated(ticket, result)
        });
    }

    /// A task came back.
    fn done(&mut self, done: Done<B>) {
        match done {
            Done::Answer(ticket, name, begun, reply) => {
                self.place.told();
                self.connection
                    .metrics
                    .request(name, begun.elapsed(), &reply);
                if let Err(refusal @ (Refusal::Damaged(_) | Refusal::OutcomeUnknown)) = &reply {
                    error!(connection = self.connection.number, request = name, %refusal, "the store failed");
                }
                self.inbox.push_back(Event::Answer(ticket, reply));
            }
            Done::Authenticated(ticket, result) => {
                self.connection
                    .metrics
                    .login(self.connection.protocol, &result);
                if let Ok(admitted) = &result {
                    self.place.admitted(&admitted.name);
                    self.user = Some(admitted.name.clone());
                    self.account = Some(admitted.account);
                }
                self.inbox.push_back(Event::Authenticated(ticket, result));
            }
            Done::Written(id, upload, outcome) => {
                let steps = self.uploads.written(id, upload, outcome);
                self.upload_steps(id, steps);
            }
        }
    }

    fn upload_steps(&mut self, id: UploadId, steps: Vec<Step<B>>) {
        for step in steps {
            match step {
                Step::Safe(total) => self.inbox.push_back(Event::Staged(id, total)),
                Step::Failed => self.inbox.push_back(Event::StageFailed(id)),
                Step::Run(writing) => {
                    self.tasks.spawn(async move {
                        let (upload, outcome) = writing.await;
                        Done::Written(id, upload, outcome)
                    });
                }
                Step::Ready(ticket, request, upload) => self.apply(ticket, request, Some(upload)),
                Step::Refused(ticket, refusal) => {
                    self.inbox.push_back(Event::Answer(ticket, Err(refusal)));
                }
            }
        }
    }

    /// Log and metrics.
    fn note(&self, note: &Note) {
        let Connection {
            number,
            protocol,
            peer,
            metrics,
            ..
        } = &self.connection;
        match note {
            Note::Began(name) => self.place.began(name),
            Note::Command { name, outcome } => {
                self.place.answered(name);
                metrics.command(*protocol, name, outcome);
                debug!(connection = number, command = name, outcome, "command");
            }
            // Told by the directory already, with the name.
            Note::Admitted(_) | Note::Denied => {}
            Note::Delivered {
                accepted,
                refused,
                size,
            } => {
                metrics.delivery(*accepted, *refused, *size);
                info!(connection = number, %peer, accepted, refused, size, "delivery");
            }
        }
    }

    /// TLS on the open connection. What the peer sent before it in the clear is dropped.
    async fn upgrade(&mut self) -> Result<(), End> {
        self.wire.drain().await.map_err(|why| gone(&why))?;
        let Some(certificates) = &self.connection.certificates else {
            error!(
                connection = self.connection.number,
                "TLS was wanted without a certificate"
            );
            return Err(End::Fault);
        };
        let acceptor = certificates.acceptor();
        let stream = self.wire.take_stream();
        match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.wire.put_stream(Box::new(stream));
                self.tls = true;
                self.place.encrypted();
                self.inbox.push_back(Event::Upgraded);
                self.inbox.push_back(Event::Room);
                Ok(())
            }
            Ok(Err(why)) => {
                info!(connection = self.connection.number, peer = %self.connection.peer, %why, "no TLS");
                Err(End::Handshake)
            }
            Err(_) => Err(End::Handshake),
        }
    }

    /// Gets the last octets away.
    async fn part(&mut self, end: End) -> End {
        match tokio::time::timeout(FAREWELL, self.wire.drain()).await {
            Ok(Ok(())) => end,
            Ok(Err(why)) => gone(&why),
            Err(_) => End::Stalled,
        }
    }
}

/// How a failure of the stream counts.
fn gone(why: &io::Error) -> End {
    if why.kind() == io::ErrorKind::TimedOut {
        End::Stalled
    } else {
        End::Gone
    }
}

/// Returns when the server stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender gone is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Returns when the watched mailbox changed.
async fn changed<W: Watch>(watched: &mut Option<(MailboxId, W)>) {
    match watched {
        Some((_, watch)) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Returns at the time wished for.
async fn rung(wake: &mut Option<Pin<Box<Sleep>>>) {
    match wake {
        Some(wake) => wake.await,
        None => std::future::pending().await,
    }
}
