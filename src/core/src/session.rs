//! The contract between a protocol session and the shell that runs it.
//!
//! A session (IMAP, LMTP, later ManageSieve) is a value. The shell calls [`Session::step`] with one
//! [`Input`] at a time and then carries out the [`Output`]s in order. The session never blocks, reads no
//! clock, never panics, and holds at most one page of an answer.
//!
//! **Bytes.** `step` returns how many octets of `Input::Bytes` it took. When it took less than all, it
//! is busy: the shell keeps the rest, reads no more from the peer, and offers the rest again after each
//! later input of another kind. For every other input the return value is 0 and means nothing.
//!
//! **Room.** `Input::Room(n)`: the shell's queue towards the peer can take `n` octets now (an absolute
//! figure, not an increment). The session sends no more than that until it is told again; what it has ready
//! beyond is kept (at most [`crate::limits::OUTPUT_BYTES_HIGH`] and a reply). The shell tells the
//! room once at the start and again whenever the queue has drained.
//!
//! **Questions.** `Output::Ask` carries a [`Request`]; its [`Reply`] comes back with the same
//! [`Ticket`]. An upload is fed by `Output::Stage`, each slice acknowledged by `Input::Staged` with the total
//! so far, and used by naming its [`UploadId`] in a request, or dropped by `Output::Discard`. A request that names an upload uses it up.
//! A long answer comes as pages: each page is an answer of its own, the session asks for the next
//! one (nothing is held open in between).
//!
//! **Order of calls**: `open` once, `Room` once, then anything; after `Output::Close` or `Input::Closed`,
//! nothing. After `Output::StartTls` the shell drops plaintext input that it had read ahead,
//! completes the handshake, then says `Upgraded`.

use bytes::Bytes;

use crate::store::{AccountId, MailboxId, Reply, Request, Timestamp, UploadId};

/// Names a question so that its answer finds its way back. Made by the session, unique in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the shell tells a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets from the peer.
    Bytes(&'a [u8]),
    /// So many octets may be queued for the peer from now on.
    Room(usize),
    /// The answer to an `Ask`.
    Answer(Ticket, Reply),
    /// The answer to an `Authenticate`.
    Authenticated(Ticket, Result<Admitted, Denied>),
    /// So many octets of the upload, in all, are with the store now.
    Staged(UploadId, u64),
    /// The upload can't be stored (database away, disk full): its request would fail.
    StageFailed(UploadId),
    /// The watched mailbox changed, whoever did it (this session too).
    Changed(MailboxId),
    /// TLS is in place.
    Upgraded,
    /// The time asked for by `Wake` has come.
    Time,
    /// The server is stopping: finish the command under way, say goodbye, close.
    Stop,
    /// The peer is gone.
    Closed,
}

/// What a session wants done. In order.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Octets for the peer.
    Send(Bytes),
    /// A question for the store.
    Ask(Ticket, Request),
    /// A question for the directory.
    Authenticate(Ticket, Credentials),
    /// The next octets of an upload; the first slice begins it.
    Stage(UploadId, Bytes),
    /// Forget the upload.
    Discard(UploadId),
    /// Report changes of this mailbox from now on (`None`: of none). Replaces the earlier watch.
    Watch(Option<MailboxId>),
    /// Start TLS as the server's side.
    StartTls,
    /// Say `Time` at this moment; replaces the earlier wish. `None`: never.
    Wake(Option<Timestamp>),
    /// Something for log and metrics. Never holds a secret or message text.
    Note(Note),
    /// Send what is queued, then close.
    Close(Farewell),
}

/// Why a session ends, for log and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// LOGOUT or QUIT.
    Asked,
    /// Too long without a command.
    TimedOut,
    /// The server is stopping.
    Stopping,
    /// The peer broke the rules too often or past a limit.
    Misbehaved,
    /// The store failed in the midst of a reply, or an outcome is unknown.
    Broken,
}

/// What log and metrics hear of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A command that takes more than a step is under way: its name, as in [`Note::Command`], which follows.
    Began(&'static str),
    /// A command was answered: its name ("FETCH", "UID FETCH", "RCPT") and how ("OK", "NO", "BAD", or the reply code).
    Command {
        /// Name as in the protocol's command table.
        name: &'static str,
        /// Outcome.
        outcome: &'static str,
    },
    /// A user was let in.
    Admitted(AccountId),
    /// Wrong credentials.
    Denied,
    /// A message was accepted for so many recipients; refused for so many.
    Delivered {
        /// Recipients that got 250.
        accepted: u32,
        /// Recipients that were refused after DATA.
        refused: u32,
        /// Octets received.
        size: u64,
    },
}

/// Who asks to be let in. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whose rights are wanted (SASL authorization identity); empty = those of `user`.
    pub authorization: Vec<u8>,
    /// The user's name as sent.
    pub user: Vec<u8>,
    /// The password as sent.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Credentials {{ user: {:?}, .. }}",
            String::from_utf8_lossy(&self.user)
        )
    }
}

/// Somebody whom the directory knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account whose mail it is.
    pub account: AccountId,
    /// Its name, as the directory spells it.
    pub name: String,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Unknown user, wrong password, disabled user: not told apart.
    Credentials,
    /// The directory can't be asked now.
    Unavailable,
}

/// A protocol session, as the shell sees it.
pub trait Session {
    /// The greeting; called once, before anything else.
    fn open(&mut self, now: Timestamp, out: &mut Vec<Output>);
    /// Takes one input and appends what the shell must do, in order. Returns how many octets of
    /// `Input::Bytes` were taken.
    fn step(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Output>) -> usize;
}
