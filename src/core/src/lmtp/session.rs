//! One LMTP connection without socket, clock or database.
//!
//! Invariants: commands are answered in order and one by one (PIPELINING needs no more); a reply after DATA or the last BDAT follows
//! the store's answer, one for each accepted recipient, in the order of RCPT (RFC 2033 §4.2); once the end of a message was
//! read, its outcome is told or the connection closes; an upload is always either delivered or discarded.

mod transfer;

use std::fmt::Write as _;

use bytes::Bytes;

use super::data::{DotDecoder, ReturnPathFilter};
use super::grammar::{self, BadLine, Command, Mail, Mailbox, Parameter};
use super::reply::{self, Reply};
use super::trace;
use crate::limits::{
    BAD_COMMANDS_MAX, EXCESS_BYTES_BEFORE_LOGIN_MAX, LMTP_LINE_BYTES_MAX, LMTP_SECONDS_MAX,
    RECIPIENTS_MAX, STAGE_AHEAD_BYTES_MAX, STAGE_SLICE_BYTES_MAX,
};
use crate::session::{Farewell, Input, Note, Output, Ticket};
use crate::store::{
    AccountId, Answer, Flags, MailboxName, Outcome, Recipient, Request, Resolved, Timestamp,
    UploadId,
};

/// Where TLS stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// There is no certificate.
    None,
    /// STARTTLS may be asked for.
    Available,
    /// It is in place.
    Active,
}

/// What a session is told at its beginning.
#[derive(Clone, Debug)]
pub struct Config {
    /// This host's name, for the greeting and the trace fields.
    pub host: String,
    /// Where the peer is: its address, or `unix socket`.
    pub peer: String,
    /// Where TLS stands.
    pub tls: Tls,
    /// Largest message, in octets.
    pub message_bytes_max: u64,
    /// Number of the connection, unique in this process: part of the delivery's id.
    pub connection: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    config: Config,
    /// What the peer called itself in LHLO; empty before.
    peer_name: Bytes,
    line: Vec<u8>,
    /// The rest of an over-long line is skipped.
    skipping_line: bool,
    /// Octets of it so far.
    skipped: u64,
    bad_commands: u32,
    phase: Phase,
    next_ticket: u64,
    /// The peer's silence ends the session at this moment.
    wake: Option<Timestamp>,
    stopping: bool,
    /// Replies that did not fit the room given.
    pending: Vec<u8>,
    room: usize,
}

#[derive(Debug)]
enum Phase {
    /// Between transactions.
    Idle,
    /// After MAIL.
    Transaction(Transaction),
    /// RCPT asked the store.
    Resolving(Transaction, Ticket, Mailbox),
    /// Within DATA, or within a chunk of BDAT.
    Receiving(Transaction, Body),
    /// The store delivers.
    Delivering(Transaction, Ticket, u64),
    /// TLS is being started.
    Upgrading,
    /// Nothing more happens.
    Closed,
}

#[derive(Debug)]
struct Transaction {
    reverse_path: Bytes,
    utf8: bool,
    binary: bool,
    recipients: Vec<(AccountId, Bytes)>,
    /// Set by the first BDAT.
    chunks: Option<Body>,
}

/// A message on its way in.
#[derive(Debug)]
struct Body {
    how: How,
    filter: ReturnPathFilter,
    upload: UploadId,
    /// Octets of the message so far, dot-stuffing undone.
    received: u64,
    /// Octets handed to the shell, and how many of them are with the store.
    staged: u64,
    safe: u64,
    /// Why the message will be refused; its octets are read and dropped.
    refused: Option<Reply>,
}

#[derive(Debug)]
enum How {
    Data(DotDecoder),
    Chunk {
        /// Octets of this chunk still to come.
        left: u64,
        last: bool,
        /// The chunk should not have come: answer this when it is through.
        unwanted: Option<Reply>,
    },
}

/// What can be done with a line at hand.
enum Line {
    /// So many octets make it; the line is in `Session::line`.
    Whole(usize),
    /// So many octets were taken and the line is wrong.
    Wrong(usize, Reply),
    /// All octets were taken, the line's end is not among them.
    Partial,
}

impl Session {
    /// A session before its greeting.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            peer_name: Bytes::new(),
            line: Vec::new(),
            skipping_line: false,
            skipped: 0,
            bad_commands: 0,
            phase: Phase::Idle,
            next_ticket: 1,
            wake: None,
            stopping: false,
            pending: Vec::new(),
            room: 0,
        }
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    fn say(&mut self, reply: Reply) {
        self.say_about(reply, "");
    }

    /// A reply with something said before its text: an address, say.
    fn say_about(&mut self, reply: Reply, about: &str) {
        let Reply {
            code,
            enhanced,
            text,
        } = reply;
        let pieces: [&str; 7] = [
            code,
            if enhanced.is_empty() { "" } else { " " },
            enhanced,
            if about.is_empty() { "" } else { " " },
            about,
            " ",
            text,
        ];
        pieces
            .iter()
            .for_each(|piece| self.pending.extend_from_slice(piece.as_bytes()));
        self.pending.extend_from_slice(b"\r\n");
    }

    fn answer(&mut self, name: &'static str, reply: Reply, out: &mut Vec<Output>) {
        self.say(reply);
        out.push(Output::Note(Note::Command {
            name,
            outcome: reply.code,
        }));
    }

    /// Sends what is pending, as far as there is room.
    fn flush(&mut self, out: &mut Vec<Output>) {
        let now = self.pending.len().min(self.room);
        if now > 0 {
            let later = self.pending.split_off(now);
            out.push(Output::Send(
                std::mem::replace(&mut self.pending, later).into(),
            ));
            self.room -= now;
        }
    }

    fn close(&mut self, why: Farewell, out: &mut Vec<Output>) {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Receiving(_, body) => body.discard(out),
            Phase::Transaction(transaction) | Phase::Resolving(transaction, _, _) => {
                transaction.discard(out);
            }
            Phase::Idle | Phase::Delivering(..) | Phase::Upgrading | Phase::Closed => {}
        }
        // The last words go out whole: they are short, and nothing follows them.
        if !self.pending.is_empty() {
            out.push(Output::Send(std::mem::take(&mut self.pending).into()));
        }
        out.push(Output::Wake(None));
        out.push(Output::Close(why));
    }

    // --- octets ------------------------------------------------------------------------------

    fn take(&mut self, now: Timestamp, bytes: &[u8], out: &mut Vec<Output>) -> usize {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() || self.pending.len() > self.room {
                return taken;
            }
            match &self.phase {
                Phase::Closed => return bytes.len(),
                Phase::Resolving(..) | Phase::Delivering(..) | Phase::Upgrading => return taken,
                Phase::Receiving(..) => {
                    let some = self.receive(now, rest, out);
                    taken += some;
                    if some == 0 && matches!(self.phase, Phase::Receiving(..)) {
                        return taken;
                    }
                }
                Phase::Idle | Phase::Transaction(_) => match self.take_line(rest) {
                    Line::Partial | Line::Wrong(..)
                        if self.skipped > EXCESS_BYTES_BEFORE_LOGIN_MAX =>
                    {
                        self.say(reply::TOO_MANY_ERRORS);
                        self.close(Farewell::Misbehaved, out);
                        return bytes.len();
                    }
                    Line::Partial => return bytes.len(),
                    Line::Wrong(some, reply) => {
                        taken += some;
                        self.bad("", reply, out);
                    }
                    Line::Whole(some) => {
                        taken += some;
                        let line = std::mem::take(&mut self.line);
                        self.run(now, &line, out);
                    }
                },
            }
        }
    }

    fn take_line(&mut self, bytes: &[u8]) -> Line {
        let end = memchr::memchr(b'\n', bytes);
        let length = end.map_or(bytes.len(), |at| at + 1);
        let piece = bytes.get(..length).unwrap_or_default();
        if self.skipping_line {
            self.skipping_line = end.is_none();
            self.skipped = self.skipped.saturating_add(length as u64);
            return if end.is_some() {
                Line::Wrong(length, reply::LONG_LINE)
            } else {
                Line::Partial
            };
        }
        if self.line.len() + length > LMTP_LINE_BYTES_MAX {
            self.line = Vec::new();
            self.skipping_line = end.is_none();
            self.skipped = length as u64;
            return if end.is_some() {
                Line::Wrong(length, reply::LONG_LINE)
            } else {
                Line::Partial
            };
        }
        self.line.extend_from_slice(piece);
        if end.is_none() {
            return Line::Partial;
        }
        let Some(text) = self.line.strip_suffix(b"\r\n") else {
            self.line.clear();
            return Line::Wrong(length, reply::BAD_LINE);
        };
        if text.iter().any(|b| matches!(b, b'\r' | 0)) {
            self.line.clear();
            return Line::Wrong(length, reply::BAD_LINE);
        }
        self.line.truncate(self.line.len() - 2);
        Line::Whole(length)
    }

    /// A line that is no command in this place. Too many of them in a row end the session.
    fn bad(&mut self, name: &'static str, reply: Reply, out: &mut Vec<Output>) {
        self.bad_because(name, reply, "", out);
    }

    fn bad_because(&mut self, name: &'static str, reply: Reply, how: &str, out: &mut Vec<Output>) {
        self.say_about(reply, how);
        out.push(Output::Note(Note::Command {
            name,
            outcome: reply.code,
        }));
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.say(reply::TOO_MANY_ERRORS);
            self.close(Farewell::Misbehaved, out);
        }
    }

    // --- commands ----------------------------------------------------------------------------

    fn run(&mut self, now: Timestamp, line: &[u8], out: &mut Vec<Output>) {
        let command = match grammar::command(line) {
            Ok(command) => command,
            Err(BadLine::Unknown) => return self.bad("", reply::UNKNOWN_COMMAND, out),
            Err(BadLine::Arguments(how)) => {
                return self.bad_because("", reply::BAD_ARGUMENT, how, out);
            }
        };
        if !matches!(command, Command::Smtp | Command::StartTls) {
            self.bad_commands = 0;
        }
        match command {
            Command::Lhlo(name) => self.lhlo(name, out),
            Command::Mail(mail) => self.mail(&mail, out),
            Command::Rcpt(mailbox, parameters) => self.rcpt(mailbox, &parameters, out),
            Command::Data => self.data(out),
            Command::Bdat { size, last } => {
                self.bdat(size, last);
                // A chunk of no octets is through at once.
                if size == 0 && matches!(self.phase, Phase::Receiving(..)) {
                    self.receive(now, b"", out);
                }
            }
            Command::Rset => {
                self.reset(out);
                self.answer("RSET", reply::RESET, out);
            }
            Command::Noop => self.answer("NOOP", reply::NOOP, out),
            Command::Vrfy => self.answer("VRFY", reply::VRFY, out),
            Command::Help => self.answer("HELP", reply::HELP, out),
            Command::Smtp => self.bad("EHLO", reply::NOT_LMTP, out),
            Command::StartTls => self.start_tls(out),
            Command::Quit => {
                self.answer("QUIT", reply::BYE, out);
                self.close(Farewell::Asked, out);
            }
        }
    }

    /// Ends the transaction, whatever there is of it.
    fn reset(&mut self, out: &mut Vec<Output>) {
        if let Phase::Transaction(transaction) = std::mem::replace(&mut self.phase, Phase::Idle) {
            transaction.discard(out);
        }
    }

    fn lhlo(&mut self, name: Bytes, out: &mut Vec<Output>) {
        self.reset(out);
        self.peer_name = name;
        let mut lines = vec![
            self.config.host.clone(),
            "PIPELINING".to_owned(),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            format!("SIZE {}", self.config.message_bytes_max),
            "CHUNKING".to_owned(),
            "BINARYMIME".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if self.config.tls == Tls::Available {
            lines.push("STARTTLS".to_owned());
        }
        for (i, line) in lines.iter().enumerate() {
            let mark = if i + 1 == lines.len() { ' ' } else { '-' };
            self.pending
                .extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
        }
        out.push(Output::Note(Note::Command {
            name: "LHLO",
            outcome: "250",
        }));
    }

    fn mail(&mut self, mail: &Mail, out: &mut Vec<Output>) {
        let reply = match self.phase {
            _ if self.peer_name.is_empty() => reply::LHLO_FIRST,
            Phase::Transaction(_) => reply::MAIL_TWICE,
            _ => match self.transaction(mail) {
                Ok(transaction) => {
                    self.phase = Phase::Transaction(transaction);
                    reply::SENDER_OK
                }
                Err(reply) => reply,
            },
        };
        self.answer("MAIL", reply, out);
    }

    fn transaction(&self, mail: &Mail) -> Result<Transaction, Reply> {
        let (mut size, mut body, mut utf8) = (None, None, false);
        for Parameter { keyword, value } in &mail.parameters {
            match (keyword.as_str(), value.as_deref()) {
                ("SIZE", Some(v)) if size.is_none() && v.bytes().all(|b| b.is_ascii_digit()) => {
                    // More digits than a number holds is more than is taken.
                    size = Some(v.parse::<u64>().unwrap_or(u64::MAX));
                }
                ("BODY", Some(v)) if body.is_none() => {
                    let v = v.to_ascii_uppercase();
                    if !matches!(v.as_str(), "7BIT" | "8BITMIME" | "BINARYMIME") {
                        return Err(reply::BAD_PARAMETER);
                    }
                    body = Some(v);
                }
                ("SMTPUTF8", None) if !utf8 => utf8 = true,
                _ => return Err(reply::BAD_PARAMETER),
            }
        }
        if size.unwrap_or(0) > self.config.message_bytes_max {
            return Err(reply::TOO_LARGE);
        }
        if !utf8
            && mail
                .reverse_path
                .as_ref()
                .is_some_and(Mailbox::is_international)
        {
            return Err(reply::NOT_ASCII);
        }
        Ok(Transaction {
            reverse_path: mail
                .reverse_path
                .as_ref()
                .map(|m| m.written.clone())
                .unwrap_or_default(),
            utf8,
            binary: body.as_deref() == Some("BINARYMIME"),
            recipients: Vec::new(),
            chunks: None,
        })
    }

    fn rcpt(&mut self, mailbox: Mailbox, parameters: &[Parameter], out: &mut Vec<Output>) {
        let refusal = match &self.phase {
            Phase::Transaction(t) if t.chunks.is_some() => Some(reply::DATA_IN_CHUNKS),
            Phase::Transaction(t) if t.recipients.len() >= RECIPIENTS_MAX => {
                Some(reply::TOO_MANY_RECIPIENTS)
            }
            Phase::Transaction(_) if !parameters.is_empty() => Some(reply::BAD_PARAMETER),
            Phase::Transaction(t) if !t.utf8 && mailbox.is_international() => {
                Some(reply::NOT_ASCII)
            }
            Phase::Transaction(_) => None,
            _ => Some(reply::MAIL_FIRST),
        };
        if let Some(refusal) = refusal {
            return self.answer("RCPT", refusal, out);
        }
        let ticket = self.ticket();
        if let Phase::Transaction(transaction) = std::mem::replace(&mut self.phase, Phase::Idle) {
            out.push(Output::Ask(
                ticket,
                Request::Resolve {
                    address: mailbox.address(),
                },
            ));
            self.phase = Phase::Resolving(transaction, ticket, mailbox);
        }
    }

    fn resolved(&mut self, reply: crate::store::Reply, out: &mut Vec<Output>) {
        let (mut transaction, mailbox) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Resolving(transaction, _, mailbox) => (transaction, mailbox),
            other => {
                self.phase = other;
                return;
            }
        };
        let reply = match reply {
            Ok(Answer::Resolved(Resolved::Account(account))) => {
                transaction.recipients.push((account, mailbox.written));
                reply::RECIPIENT_OK
            }
            Ok(Answer::Resolved(Resolved::Disabled)) => reply::DISABLED_USER,
            Ok(Answer::Resolved(Resolved::Unknown)) => reply::UNKNOWN_USER,
            Ok(_) | Err(_) => reply::UNAVAILABLE,
        };
        self.phase = Phase::Transaction(transaction);
        self.answer("RCPT", reply, out);
    }

    fn start_tls(&mut self, out: &mut Vec<Output>) {
        match self.config.tls {
            Tls::None => self.bad("STARTTLS", reply::NO_TLS, out),
            Tls::Active => self.bad("STARTTLS", reply::TLS_ALREADY, out),
            Tls::Available => {
                self.reset(out);
                self.answer("STARTTLS", reply::GO_AHEAD_TLS, out);
                // The line must be out before the handshake begins; it is short.
                out.push(Output::Send(std::mem::take(&mut self.pending).into()));
                out.push(Output::StartTls);
                self.phase = Phase::Upgrading;
            }
        }
    }

    fn upgraded(&mut self) {
        if matches!(self.phase, Phase::Upgrading) {
            // RFC 3207 §4.2: back to the state after the greeting.
            self.config.tls = Tls::Active;
            self.peer_name = Bytes::new();
            self.line.clear();
            self.phase = Phase::Idle;
        }
    }

    // --- messages ----------------------------------------------------------------------------

    // --- time --------------------------------------------------------------------------------

    /// The peer has spoken or was answered: its time begins anew. While the store works the peer owes nothing.
    fn rewind(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let waiting = match self.phase {
            Phase::Closed => return,
            Phase::Resolving(..) | Phase::Delivering(..) => None,
            Phase::Idle | Phase::Transaction(_) | Phase::Receiving(..) | Phase::Upgrading => {
                Some(now.plus_seconds(LMTP_SECONDS_MAX))
            }
        };
        // Moved by whole seconds only, so that a busy connection does not set its timer for each packet.
        let second = |t: Option<Timestamp>| t.map(|t| t.0 / 1_000_000);
        if second(waiting) != second(self.wake) {
            self.wake = waiting;
            out.push(Output::Wake(waiting));
        }
    }

    /// Ends the session between transactions when the server stops.
    fn stop_if_idle(&mut self, out: &mut Vec<Output>) {
        if self.stopping
            && matches!(
                self.phase,
                Phase::Idle | Phase::Transaction(_) | Phase::Upgrading
            )
        {
            self.say(reply::STOPPING);
            self.close(Farewell::Stopping, out);
        }
    }
}

impl Transaction {
    fn discard(&self, out: &mut Vec<Output>) {
        if let Some(body) = &self.chunks {
            body.discard(out);
        }
    }
}

impl crate::session::Session for Session {
    fn open(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let greeting = format!("220 {} LMTP DBMail ready\r\n", self.config.host);
        self.pending.extend_from_slice(greeting.as_bytes());
        self.rewind(now, out);
    }

    fn step(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Output>) -> usize {
        if matches!(self.phase, Phase::Closed) {
            return 0;
        }
        let mut taken = 0;
        match input {
            Input::Bytes(bytes) => taken = self.take(now, bytes, out),
            Input::Room(room) => self.room = room,
            Input::Answer(ticket, reply) => match &self.phase {
                Phase::Resolving(_, asked, _) if *asked == ticket => self.resolved(reply, out),
                Phase::Delivering(_, asked, _) if *asked == ticket => self.delivered(reply, out),
                _ => {}
            },
            Input::Staged(upload, total) => self.staged(upload, total),
            Input::StageFailed(upload) => self.stage_failed(upload, out),
            Input::Upgraded => self.upgraded(),
            Input::Time => {
                if self.wake.is_some_and(|wake| wake <= now) {
                    self.say(reply::TIMED_OUT);
                    self.close(Farewell::TimedOut, out);
                    return 0;
                }
                out.push(Output::Wake(self.wake));
            }
            Input::Stop => self.stopping = true,
            Input::Closed => {
                self.pending.clear();
                self.close(Farewell::Asked, out);
                return 0;
            }
            Input::Authenticated(..) | Input::Changed(_) => {}
        }
        self.stop_if_idle(out);
        if matches!(self.phase, Phase::Closed) {
            return taken;
        }
        self.flush(out);
        self.rewind(now, out);
        taken
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
