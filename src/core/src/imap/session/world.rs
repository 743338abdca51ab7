//! A world for tests: sessions, the reference store, and a shell between them.

use std::collections::VecDeque;
use std::fmt::Write as _;

use dbmail_grammar::replies::{self, Listener};

use crate::imap::{Config, Session};
use crate::session::{
    Admitted, Credentials, Denied, Farewell, Input, Note, Output, Session as _, Ticket,
};
use crate::store::memory::Store;
use crate::store::{AccountId, MailboxId, MailboxName, Reply, Request, Timestamp, UploadId};

/// What waits for a session.
#[derive(Debug)]
pub(crate) enum Event {
    Room(usize),
    Answer(Ticket, Reply),
    Authenticated(Ticket, Result<Admitted, Denied>),
    Staged(UploadId, u64),
    StageFailed(UploadId),
    Changed(MailboxId),
    Upgraded,
    Time,
    Stop,
    Closed,
}

/// A client and its session.
pub(crate) struct Peer {
    pub(crate) session: Session,
    /// Sent by the client and not taken yet.
    pub(crate) input: VecDeque<u8>,
    /// Sent by the session and not looked at yet.
    pub(crate) output: Vec<u8>,
    /// Holds all that is sent to the grammar of responses.
    listener: Listener,
    pub(crate) events: VecDeque<Event>,
    pub(crate) watch: Option<MailboxId>,
    pub(crate) wake: Option<Timestamp>,
    pub(crate) closed: Option<Farewell>,
    pub(crate) notes: Vec<Note>,
    pub(crate) asked: Vec<&'static str>,
    staged: std::collections::BTreeMap<UploadId, u64>,
    /// Most octets offered in one `Input::Bytes`.
    pub(crate) slice: usize,
    /// `Staged` is not said until the test does.
    pub(crate) slow_store: bool,
    /// Octets of uploads that were not acknowledged.
    pub(crate) unacknowledged: u64,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) peers: Vec<Peer>,
    pub(crate) account: AccountId,
    /// Requests of this name are refused as unavailable.
    pub(crate) failing: Option<&'static str>,
    /// So many of them are answered before.
    pub(crate) spared: usize,
    log: String,
}

pub(crate) fn loopback() -> Config {
    Config {
        host: "mail.example".to_owned(),
        plaintext_login_allowed: true,
        version: "0".to_owned(),
        ..Config::default()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut store = Store::new();
        let account = store.add_account("ann", &["ann@example.org"]);
        Self {
            store,
            now: Timestamp(1_700_000_000_000_000),
            peers: Vec::new(),
            account,
            failing: None,
            spared: 0,
            log: String::new(),
        }
    }

    /// A connection with plenty of room, greeted.
    pub(crate) fn connect(&mut self, config: Config) -> usize {
        self.connect_with_room(config, usize::MAX)
    }
    pub(crate) fn connect_with_room(&mut self, config: Config, room: usize) -> usize {
        let mut session = Session::new(config);
        let mut out = Vec::new();
        session.open(self.now, &mut out);
        self.peers.push(Peer {
            session,
            input: VecDeque::new(),
            output: Vec::new(),
            listener: Listener::new(replies::imap()),
            events: VecDeque::from([Event::Room(room)]),
            watch: None,
            wake: None,
            closed: None,
            notes: Vec::new(),
            asked: Vec::new(),
            staged: Default::default(),
            slice: usize::MAX,
            slow_store: false,
            unacknowledged: 0,
        });
        let i = self.peers.len() - 1;
        self.carry_out(i, out);
        self.run();
        i
    }
    /// Logged in, nothing in the output.
    pub(crate) fn login(&mut self) -> usize {
        let i = self.connect(loopback());
        self.say(i, "l LOGIN ann secret\r\n");
        assert!(self.hear(i).contains("l OK"));
        i
    }
    /// Logged in with INBOX selected.
    pub(crate) fn selected(&mut self) -> usize {
        let i = self.login();
        self.say(i, "s SELECT INBOX\r\n");
        assert!(self.hear(i).contains("s OK"));
        i
    }

    /// Puts a message into a mailbox, past all sessions. Returns its UID.
    pub(crate) fn deliver(&mut self, mailbox: &str, message: &[u8], prefix: &str) -> u32 {
        let upload = UploadId(u64::MAX);
        self.store.stage(upload, message);
        let recipient = crate::store::Recipient {
            account: self.account,
            address: bytes::Bytes::from_static(b"ann@example.org"),
            mailbox: MailboxName::new(mailbox).unwrap(),
            flags: Default::default(),
            prefix: bytes::Bytes::copy_from_slice(prefix.as_bytes()),
        };
        let request = Request::Deliver {
            upload,
            reverse_path: bytes::Bytes::copy_from_slice(&self.now.0.to_be_bytes()),
            received: self.now,
            recipients: vec![recipient],
        };
        self.now.0 += 1_000_000;
        let reply = self.store.apply(self.now, request);
        self.spread();
        match reply {
            Ok(crate::store::Answer::Delivered(outcomes)) => match outcomes.as_slice() {
                [crate::store::Outcome::Stored { uid, .. }] => uid.number(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Brings back all that was expunged from a mailbox.
    pub(crate) fn undelete(&mut self, mailbox: &str) {
        let (account, now) = (self.account, self.now);
        let name = MailboxName::new(mailbox).unwrap();
        let status = Request::Status { account, name };
        let Ok(crate::store::Answer::Status(found)) = self.store.apply(now, status) else {
            panic!("no {mailbox}");
        };
        let all = crate::store::UidSet::range(crate::store::Uid::MIN, crate::store::Uid::MAX);
        let back = self.store.undelete(now, account, found.id, &all, None);
        back.unwrap();
        self.spread();
    }

    /// Changes go to those who watch.
    fn spread(&mut self) {
        for mailbox in self.store.changed() {
            for peer in &mut self.peers {
                if peer.watch == Some(mailbox) {
                    peer.events.push_back(Event::Changed(mailbox));
                }
            }
        }
    }

    /// The client sends; everything that follows happens.
    pub(crate) fn say(&mut self, i: usize, text: &str) {
        self.send(i, text.as_bytes());
        self.run();
    }
    pub(crate) fn send(&mut self, i: usize, bytes: &[u8]) {
        self.peers[i].input.extend(bytes);
    }
    /// What the client got since it last looked.
    pub(crate) fn hear(&mut self, i: usize) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.peers[i].output)).into_owned()
    }
    /// Says, hears, and writes both down.
    pub(crate) fn talk(&mut self, i: usize, text: &str) {
        self.say(i, text);
        for line in text.lines() {
            writeln!(self.log, "C{i}: {line}").unwrap();
        }
        self.listen();
    }
    /// Writes down what anybody got.
    pub(crate) fn listen(&mut self) {
        self.run();
        for i in 0..self.peers.len() {
            let heard = self.hear(i);
            for line in heard.lines() {
                writeln!(self.log, "S{i}: {line}").unwrap();
            }
        }
    }
    pub(crate) fn transcript(&mut self) -> String {
        std::mem::take(&mut self.log)
    }
    /// `talk`, and only what was heard.
    pub(crate) fn ask(&mut self, i: usize, text: &str) -> String {
        self.say(i, text);
        self.hear(i)
    }

    /// Until nothing moves any more.
    pub(crate) fn run(&mut self) {
        while (0..self.peers.len()).any(|i| self.turn(i)) {}
    }

    /// One input for one session. Says whether anything moved.
    pub(crate) fn turn(&mut self, i: usize) -> bool {
        let event = self.peers[i].events.pop_front();
        let moved = match event {
            Some(event) => {
                self.step(i, &event);
                true
            }
            None => false,
        };
        moved | self.offer(i)
    }

    fn step(&mut self, i: usize, event: &Event) {
        let input = match event {
            Event::Room(room) => Input::Room(*room),
            Event::Answer(ticket, reply) => Input::Answer(*ticket, reply.clone()),
            Event::Authenticated(ticket, result) => Input::Authenticated(*ticket, result.clone()),
            Event::Staged(upload, total) => {
                self.peers[i].unacknowledged = 0;
                Input::Staged(*upload, *total)
            }
            Event::StageFailed(upload) => Input::StageFailed(*upload),
            Event::Changed(mailbox) => Input::Changed(*mailbox),
            Event::Upgraded => Input::Upgraded,
            Event::Time => Input::Time,
            Event::Stop => Input::Stop,
            Event::Closed => Input::Closed,
        };
        let mut out = Vec::new();
        if self.peers[i].closed.is_none() {
            self.peers[i].session.step(self.now, input, &mut out);
        }
        self.carry_out(i, out);
    }

    /// Offers the client's octets.
    fn offer(&mut self, i: usize) -> bool {
        let peer = &mut self.peers[i];
        if peer.input.is_empty() || peer.closed.is_some() {
            return false;
        }
        let slice = peer.slice;
        let offered = peer.input.make_contiguous();
        let offered = &offered[..offered.len().min(slice)];
        let mut out = Vec::new();
        let taken = peer.session.step(self.now, Input::Bytes(offered), &mut out);
        peer.input.drain(..taken);
        let moved = taken > 0 || !out.is_empty();
        self.carry_out(i, out);
        moved
    }

    fn carry_out(&mut self, i: usize, out: Vec<Output>) {
        for output in out {
            assert!(self.peers[i].closed.is_none(), "{output:?} after Close");
            match output {
                Output::Send(bytes) => {
                    self.peers[i].listener.hear(&bytes);
                    self.peers[i].output.extend_from_slice(&bytes);
                }
                Output::Ask(ticket, request) => {
                    let failing = self.failing == Some(request.name());
                    let reply = self.answer(i, request);
                    self.peers[i].events.push_back(Event::Answer(ticket, reply));
                    if !failing {
                        self.spread();
                    }
                }
                Output::Authenticate(ticket, credentials) => {
                    let result = self.check(&credentials);
                    self.peers[i]
                        .events
                        .push_back(Event::Authenticated(ticket, result));
                }
                Output::Stage(upload, bytes) => {
                    self.store.stage(global(i, upload), &bytes);
                    let peer = &mut self.peers[i];
                    let total = peer.staged.entry(upload).or_default();
                    *total += bytes.len() as u64;
                    peer.unacknowledged += bytes.len() as u64;
                    if !peer.slow_store {
                        peer.events.push_back(Event::Staged(upload, *total));
                    }
                }
                Output::Discard(upload) => self.store.discard(global(i, upload)),
                Output::Watch(mailbox) => self.peers[i].watch = mailbox,
                Output::StartTls => {
                    let peer = &mut self.peers[i];
                    peer.input.clear();
                    peer.events.push_back(Event::Upgraded);
                }
                Output::Wake(at) => self.peers[i].wake = at,
                Output::Note(note) => self.peers[i].notes.push(note),
                Output::Close(farewell) => self.peers[i].closed = Some(farewell),
            }
        }
    }

    /// Acknowledges what was staged, for a peer with a slow store.
    pub(crate) fn acknowledge(&mut self, i: usize) {
        let peer = &mut self.peers[i];
        for (upload, total) in peer.staged.clone() {
            peer.events.push_back(Event::Staged(upload, total));
        }
        self.run();
    }

    fn answer(&mut self, i: usize, mut request: Request) -> Reply {
        self.peers[i].asked.push(request.name());
        if self.failing == Some(request.name()) && self.spared > 0 {
            self.spared -= 1;
        } else if self.failing == Some(request.name()) {
            return Err(crate::store::Refusal::Unavailable);
        }
        if let Request::Append { upload, .. } = &mut request {
            *upload = global(i, *upload);
        }
        self.now.0 += 1;
        self.store.apply(self.now, request)
    }

    fn check(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        match (credentials.user.as_slice(), credentials.password.as_slice()) {
            (b"ann", b"secret") => Ok(Admitted {
                account: self.account,
                name: "ann".to_owned(),
            }),
            (b"broken", _) => Err(Denied::Unavailable),
            _ => Err(Denied::Credentials),
        }
    }
}

/// A session's name for an upload is its own.
fn global(i: usize, upload: UploadId) -> UploadId {
    UploadId((i as u64) << 32 | upload.0)
}
