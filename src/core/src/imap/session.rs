//! The IMAP session: input from peer, store and directory in, what the shell must do out.
//!
//! One command runs at a time; pipelined ones wait in the input, which is not taken while one runs. A command is a [`run::Run`]: it asks
//! one question at a time, writes its untagged replies, and ends in a [`run::Completion`], which says what is replied and what becomes of the
//! phase. Between the two stands [`news::News`], which tells the client what others did to the selected mailbox meanwhile.

mod flag_pages;
mod news;
pub(crate) mod phase;
pub(crate) mod run;
#[cfg(test)]
mod tests;
mod wire;
#[cfg(test)]
pub(crate) mod world;

use bytes::Bytes;

pub(crate) use flag_pages::{FlagPages, Told};
pub(crate) use news::News;
use phase::{NotAuthenticated, Phase};
use run::{Coded, Completion, Cx, Run, Step, Takes, Then, Tickets};
use wire::Wire;

use super::capability;
use super::command::{self, Begun, Command, Tagged};
use super::grammar;
use super::lexer::{LexError, Lexed, Lexer, Literal};
use super::response::{self, Code, Condition};
use super::revision::Revision;
use super::verb::{self, Verb};
use crate::limits::{
    BAD_COMMANDS_MAX, COMMAND_BYTES_MAX, IDLE_SECONDS_MAX, LOGIN_FAILURES_MAX, LOGIN_SECONDS_MAX,
    MESSAGE_BYTES_MAX, STAGE_SLICE_BYTES_MAX,
};
use crate::session::{Farewell, Input, Note, Output};
use crate::store::Timestamp;

/// Whether the connection is encrypted, or could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// It is not and can't be.
    None,
    /// STARTTLS would do it.
    Available,
    /// It is.
    Active,
}

/// What a session is told about its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the host, for the greeting.
    pub host: String,
    /// TLS.
    pub tls: TlsState,
    /// LOGIN and AUTHENTICATE are let through without TLS (loopback).
    pub plaintext_login_allowed: bool,
    /// Largest message for APPEND, in octets.
    pub message_bytes_max: u64,
    /// Name of the server, for ID.
    pub name: String,
    /// Version of the server, for ID.
    pub version: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            tls: TlsState::None,
            plaintext_login_allowed: false,
            message_bytes_max: MESSAGE_BYTES_MAX,
            name: "DBMail".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Config {
    /// Passwords may be sent on this connection as it is.
    pub(crate) fn login_allowed(&self) -> bool {
        self.tls == TlsState::Active || self.plaintext_login_allowed
    }
}

/// An IMAP connection without socket, clock or database.
pub struct Session {
    config: Config,
    /// What the client speaks.
    revision: Revision,
    phase: Phase,
    lexer: Lexer,
    wire: Wire,
    tickets: Tickets,
    /// The command under way.
    job: Option<Job>,
    /// Its literal, announced and not decided on.
    announced: Option<Literal>,
    /// TLS is being started: what comes before it is in place is not for us.
    upgrading: bool,
    /// Commands in a row that made no sense.
    bad_commands: u32,
    /// When the peer has been silent for too long.
    deadline: Timestamp,
    stopping: bool,
    closed: bool,
}

/// A command under way.
struct Job {
    tag: Bytes,
    verb: &'static Verb,
    run: Box<dyn Run>,
    /// The command itself is done; `run` tells the news before this is sent.
    ending: Option<Completion>,
}

/// What the lexer found, without its borrow.
enum Event {
    Nothing,
    Literal(Bytes, Literal, Option<Result<Tagged, grammar::BadCommand>>),
    Octets(Bytes),
    Command(Result<Tagged, grammar::BadCommand>),
    Line(Vec<u8>),
    Bad(Option<Bytes>, LexError),
}

impl crate::session::Session for Session {
    fn open(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let capabilities = capability::list(&self.config, false);
        let text = format!("{} {} ready", self.config.host, self.config.name);
        let code = Code::Capability(&capabilities);
        response::status(self.wire.text(), None, Condition::Ok, Some(&code), &text);
        self.touch(now);
        out.push(Output::Wake(Some(self.deadline)));
        self.wire.flush(out);
    }

    fn step(&mut self, now: Timestamp, input: Input<'_>, out: &mut Vec<Output>) -> usize {
        if self.closed {
            return match input {
                Input::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
        }
        let mut taken = 0;
        match input {
            Input::Bytes(bytes) => taken = self.take(now, bytes, out),
            Input::Room(room) => {
                self.wire.set_room(room);
                self.wire.flush(out);
                self.touch_if_logged_in(now);
                self.go_on(now, out);
            }
            Input::Answer(ticket, reply) => {
                if self.answered(ticket) {
                    self.with_job(now, out, |run, cx| run.answer(reply, cx));
                }
            }
            Input::Authenticated(ticket, result) => {
                if self.answered(ticket) {
                    self.with_job(now, out, |run, cx| run.authenticated(result, cx));
                }
            }
            Input::Staged(upload, total) => {
                self.touch_if_logged_in(now);
                self.with_job(now, out, |run, cx| run.staged(upload, Some(total), cx));
            }
            Input::StageFailed(upload) => {
                self.with_job(now, out, |run, cx| run.staged(upload, None, cx));
            }
            Input::Changed(mailbox) => {
                if let Some(selected) = self.phase.selected_mut()
                    && selected.mailbox == mailbox
                {
                    selected.dirty = true;
                    if self.tickets.open.is_none() {
                        self.with_job(now, out, |run, cx| run.changed(cx));
                    }
                }
            }
            Input::Upgraded => {
                self.config.tls = TlsState::Active;
                self.lexer = Lexer::new();
                self.upgrading = false;
                self.touch(now);
            }
            Input::Time => self.time(now, out),
            Input::Stop => {
                self.stopping = true;
                let idle = self
                    .job
                    .as_ref()
                    .is_none_or(|job| job.run.is_waiting_for_client());
                if idle {
                    self.stop(now, out);
                }
            }
            Input::Closed => {
                self.abandon(now, out);
                self.closed = true;
            }
        }
        if !self.closed {
            self.wire.flush(out);
        }
        taken
    }
}

impl Session {
    /// A session that was not opened yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            revision: Revision::default(),
            phase: Phase::NotAuthenticated(NotAuthenticated::default()),
            lexer: Lexer::new(),
            wire: Wire::default(),
            tickets: Tickets::default(),
            job: None,
            announced: None,
            upgrading: false,
            bad_commands: 0,
            deadline: Timestamp::default(),
            stopping: false,
            closed: false,
        }
    }

    /// Octets that wait for room, for tests of the memory bound.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.wire.waiting()
    }

    // --- input from the peer -----------------------------------------------------------------

    fn take(&mut self, now: Timestamp, bytes: &[u8], out: &mut Vec<Output>) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let most = self.appetite(out).min(rest.len());
            let Some(piece) = rest.get(..most).filter(|piece| !piece.is_empty()) else {
                break;
            };
            let (eaten, event) = read(&mut self.lexer, piece);
            taken += eaten;
            if self.lexer.is_flooded() {
                self.abandon(now, out);
                let code = Some(&Code::TooBig);
                self.bye(out, code, "the command has no end", Farewell::Misbehaved);
                return bytes.len();
            }
            if eaten == 0 && matches!(event, Event::Nothing) {
                break;
            }
            self.touch_if_logged_in(now);
            self.hear(now, event, out);
            if self.closed {
                return bytes.len();
            }
        }
        taken
    }

    /// How many octets may be looked at now.
    fn appetite(&mut self, out: &mut Vec<Output>) -> usize {
        if self.upgrading || self.announced.is_some() {
            return 0;
        }
        let Some(job) = &self.job else {
            return if self.wire.full(out) { 0 } else { usize::MAX };
        };
        match job.run.takes() {
            Takes::Nothing => 0,
            Takes::Line => {
                self.lexer.raw_line();
                usize::MAX
            }
            Takes::Literal(most) => usize::try_from(most)
                .map_or(STAGE_SLICE_BYTES_MAX, |n| n.min(STAGE_SLICE_BYTES_MAX)),
        }
    }

    fn hear(&mut self, now: Timestamp, event: Event, out: &mut Vec<Output>) {
        match event {
            Event::Nothing => {}
            Event::Literal(tag, literal, append) => self.announce(now, tag, literal, append, out),
            Event::Octets(octets) => self.with_job(now, out, |run, cx| run.literal(&octets, cx)),
            Event::Command(Ok(tagged)) if self.job.is_some() => {
                self.with_job(now, out, |run, cx| run.whole(Ok(tagged), cx));
            }
            Event::Command(Ok(tagged)) => self.start(now, tagged, out),
            Event::Command(Err(bad)) => {
                let completion = bad_command(&bad);
                if self.job.is_some() {
                    self.with_job(now, out, |run, cx| run.whole(Err(completion), cx));
                } else {
                    self.refuse(now, bad.tag, completion, out);
                }
            }
            Event::Line(line) => self.with_job(now, out, |run, cx| run.line(Some(&line), cx)),
            Event::Bad(tag, error) => {
                let completion = bad_lexed(error);
                match self.job.as_ref().map(|job| job.run.takes()) {
                    None => self.refuse(now, tag, completion, out),
                    Some(Takes::Literal(_)) => {
                        self.with_job(now, out, |run, cx| run.whole(Err(completion), cx));
                    }
                    Some(Takes::Line | Takes::Nothing) => {
                        self.with_job(now, out, |run, cx| run.line(None, cx));
                    }
                }
            }
        }
    }

    /// A literal is announced: APPEND's message, or an argument.
    fn announce(
        &mut self,
        now: Timestamp,
        tag: Bytes,
        literal: Literal,
        append: Option<Result<Tagged, grammar::BadCommand>>,
        out: &mut Vec<Output>,
    ) {
        if self.job.is_some() {
            // A second literal after the message of an APPEND.
            self.lexer.refuse_literal();
            let bad = Completion::bad("APPEND takes one message");
            self.with_job(now, out, |run, cx| run.whole(Err(bad), cx));
            self.close_on_flood(literal, out);
            return;
        }
        let refused = match append {
            Some(Ok(Tagged {
                command: Command::Append(append),
                ..
            })) if verb::APPEND.phases.holds(&self.phase) => {
                self.announced = Some(literal);
                let begin = |cx: &mut Cx<'_>| command::append::begin(append, literal, cx);
                self.begin(now, tag, &verb::APPEND, out, begin);
                self.close_on_flood(literal, out);
                return;
            }
            Some(Ok(_)) => Completion::bad("log in first"),
            Some(Err(bad)) => bad_command(&bad),
            None => match self.lexer.accept_literal() {
                Ok(()) => {
                    if !literal.non_sync {
                        response::continuation(self.wire.text(), "go on");
                    }
                    return;
                }
                Err(error) => bad_lexed(error),
            },
        };
        self.lexer.refuse_literal();
        self.refuse(now, Some(tag), refused, out);
        self.close_on_flood(literal, out);
    }

    /// After a literal was refused that comes all the same: what is longer than any message is not waited for, nor anything of size before
    /// login (RFC 7888 §4).
    fn close_on_flood(&mut self, literal: Literal, out: &mut Vec<Output>) {
        let bearable = match self.phase {
            Phase::NotAuthenticated(_) => COMMAND_BYTES_MAX as u64,
            Phase::Authenticated(_) | Phase::Selected(_) | Phase::Logout => {
                self.config.message_bytes_max
            }
        };
        if !self.closed && self.job.is_none() && literal.non_sync && literal.size > bearable {
            self.bye(
                out,
                Some(&Code::TooBig),
                "the literal is too long",
                Farewell::Misbehaved,
            );
        }
    }

    fn start(&mut self, now: Timestamp, tagged: Tagged, out: &mut Vec<Output>) {
        let verb = verb::of(&tagged.command);
        if !verb.phases.holds(&self.phase) {
            let completion = Completion::bad(match self.phase {
                Phase::NotAuthenticated(_) => "log in first",
                Phase::Authenticated(_) if !verb.phases.after_login() => "already logged in",
                Phase::Authenticated(_) => "no mailbox is selected",
                Phase::Selected(_) | Phase::Logout => "not in this state",
            });
            self.refuse(now, Some(tagged.tag), completion, out);
            return;
        }
        let command: Command = tagged.command;
        let tag = tagged.tag.clone();
        self.begin(now, tagged.tag, verb, out, |cx| {
            command::begin(command, tag, cx)
        });
    }

    fn begin(
        &mut self,
        now: Timestamp,
        tag: Bytes,
        verb: &'static Verb,
        out: &mut Vec<Output>,
        begin: impl FnOnce(&mut Cx<'_>) -> Begun,
    ) {
        let mut cx = cx(
            &self.config,
            (now, self.revision),
            &mut self.phase,
            &mut self.wire,
            &mut self.tickets,
            out,
        );
        match begin(&mut cx) {
            Begun::Done(completion) => self.conclude(now, tag, verb, completion, out),
            Begun::Running(run) => {
                out.push(Output::Note(Note::Began(verb.name)));
                let ending = None;
                self.job = Some(Job {
                    tag,
                    verb,
                    run,
                    ending,
                });
                self.go_on(now, out);
            }
        }
    }

    // --- the command under way ---------------------------------------------------------------

    /// Whether it is the answer that is waited for.
    fn answered(&mut self, ticket: crate::session::Ticket) -> bool {
        let expected = self.tickets.open == Some(ticket);
        if expected {
            self.tickets.open = None;
        }
        expected
    }

    fn go_on(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let reads_ahead = || self.job.as_ref().is_some_and(|job| job.run.reads_ahead());
        if self.tickets.open.is_none() || reads_ahead() {
            self.with_job(now, out, |run, cx| run.go_on(cx));
        }
    }

    fn with_job(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Output>,
        f: impl FnOnce(&mut dyn Run, &mut Cx<'_>) -> Step,
    ) {
        let Some(mut job) = self.job.take() else {
            return;
        };
        let mut cx = cx(
            &self.config,
            (now, self.revision),
            &mut self.phase,
            &mut self.wire,
            &mut self.tickets,
            out,
        );
        match f(job.run.as_mut(), &mut cx) {
            Step::Wait => self.job = Some(job),
            Step::Welcome => {
                self.lexer.stream_literal();
                if self
                    .announced
                    .take()
                    .is_some_and(|literal| !literal.non_sync)
                {
                    response::continuation(self.wire.text(), "go on");
                }
                self.job = Some(job);
            }
            Step::Done(completion) => match job.ending.take() {
                None => self.conclude(now, job.tag, job.verb, completion, out),
                Some(ending) => {
                    self.finish(now, job.tag, job.verb, ending, out);
                    if matches!(completion.then, Then::Bye(_)) && !self.closed {
                        self.finish(now, Bytes::new(), job.verb, completion, out);
                    }
                }
            },
        }
    }

    /// The command itself is done: the news, then its reply.
    fn conclude(
        &mut self,
        now: Timestamp,
        tag: Bytes,
        verb: &'static Verb,
        completion: Completion,
        out: &mut Vec<Output>,
    ) {
        if self.announced.take().is_some() {
            self.lexer.refuse_literal();
        }
        if let Some(expunges) = verb.tells.expunges()
            && matches!(completion.then, Then::Stay)
            && completion.condition != Condition::Bad
            && self
                .phase
                .selected()
                .is_some_and(|selected| selected.has_news(expunges))
        {
            self.job = Some(Job {
                tag,
                verb,
                run: Box::new(News::new(expunges)),
                ending: Some(completion),
            });
            self.go_on(now, out);
        } else {
            self.finish(now, tag, verb, completion, out);
        }
    }

    fn finish(
        &mut self,
        now: Timestamp,
        tag: Bytes,
        verb: &'static Verb,
        mut completion: Completion,
        out: &mut Vec<Output>,
    ) {
        let then = std::mem::replace(&mut completion.then, Then::Stay);
        if let Then::Bye(farewell) = then {
            out.push(note(verb.name, "BYE"));
            let code = completion.code.as_ref().map(Coded::code);
            self.bye(out, code.as_ref(), &completion.text, farewell);
            return;
        }
        if matches!(then, Then::Break) {
            out.push(note(verb.name, "BROKEN"));
            self.close(out, Farewell::Broken);
            return;
        }
        let denied = matches!(then, Then::Deny);
        let after = self.change_phase(then, &mut completion, out);
        respond(self.wire.text(), Some(&tag), &completion);
        out.push(note(verb.name, completion.condition.name()));
        self.touch(now);
        if completion.condition != Condition::Bad {
            self.bad_commands = 0;
        }
        match after {
            Then::StartTls => {
                self.wire.flush_all(out);
                self.upgrading = true;
                out.push(Output::StartTls);
            }
            Then::Close(farewell) => self.close(out, farewell),
            Then::Stay
            | Then::Admit(_)
            | Then::Deny
            | Then::Select(..)
            | Then::Unselect
            | Then::Bye(_)
            | Then::Break => {
                let failures = match &self.phase {
                    Phase::NotAuthenticated(before) if denied => before.failures,
                    _ => 0,
                };
                if failures >= LOGIN_FAILURES_MAX {
                    self.bye(out, None, "too many failures", Farewell::Misbehaved);
                } else if self.stopping {
                    self.stop(now, out);
                }
            }
        }
    }

    /// Lets the phase follow from a command's end. Returns what is left to do after its reply.
    fn change_phase(
        &mut self,
        then: Then,
        completion: &mut Completion,
        out: &mut Vec<Output>,
    ) -> Then {
        let phase = std::mem::replace(&mut self.phase, Phase::Logout);
        self.phase = match (then, phase) {
            (Then::Admit(who), Phase::NotAuthenticated(before)) => {
                self.lexer.set_authenticated(true);
                out.push(Output::Note(Note::Admitted(who.account)));
                completion.code = Some(Coded::Capability(capability::list(&self.config, true)));
                Phase::Authenticated(before.admit(&who))
            }
            (Then::Deny, Phase::NotAuthenticated(mut before)) => {
                out.push(Output::Note(Note::Denied));
                before.failures = before.failures.saturating_add(1);
                Phase::NotAuthenticated(before)
            }
            (Then::Select(opened, writable), Phase::Authenticated(user)) => {
                out.push(Output::Watch(Some(opened.mailbox.id)));
                Phase::Selected(Box::new(user.select(*opened, writable)))
            }
            (Then::Select(opened, writable), Phase::Selected(before)) => {
                out.push(Output::Watch(Some(opened.mailbox.id)));
                Phase::Selected(Box::new(before.unselect().select(*opened, writable)))
            }
            (Then::Unselect, Phase::Selected(before)) => {
                out.push(Output::Watch(None));
                Phase::Authenticated(before.unselect())
            }
            (then, phase) => {
                self.phase = phase;
                return then;
            }
        };
        Then::Stay
    }

    /// A command that was not begun.
    fn refuse(
        &mut self,
        now: Timestamp,
        tag: Option<Bytes>,
        completion: Completion,
        out: &mut Vec<Output>,
    ) {
        respond(self.wire.text(), tag.as_deref(), &completion);
        out.push(note("unknown", completion.condition.name()));
        self.touch(now);
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.bye(
                out,
                None,
                "too many commands that make no sense",
                Farewell::Misbehaved,
            );
        } else if self.stopping {
            self.stop(now, out);
        }
    }

    // --- the end -----------------------------------------------------------------------------

    fn bye(
        &mut self,
        out: &mut Vec<Output>,
        code: Option<&Code<'_>>,
        text: &str,
        farewell: Farewell,
    ) {
        response::status(self.wire.text(), None, Condition::Bye, code, text);
        self.close(out, farewell);
    }

    fn close(&mut self, out: &mut Vec<Output>, farewell: Farewell) {
        self.wire.flush_all(out);
        self.phase = Phase::Logout;
        self.closed = true;
        out.push(Output::Watch(None));
        out.push(Output::Wake(None));
        out.push(Output::Close(farewell));
    }

    /// The command under way will not end.
    fn abandon(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.with_job(now, out, |run, cx| {
            run.abandon(cx);
            Step::Wait
        });
        self.job = None;
    }

    fn stop(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.abandon(now, out);
        self.bye(
            out,
            Some(&Code::Unavailable),
            "the server is stopping",
            Farewell::Stopping,
        );
    }

    // --- time --------------------------------------------------------------------------------

    fn touch(&mut self, now: Timestamp) {
        let seconds = match self.phase {
            Phase::NotAuthenticated(_) => LOGIN_SECONDS_MAX,
            Phase::Authenticated(_) | Phase::Selected(_) | Phase::Logout => IDLE_SECONDS_MAX,
        };
        self.deadline = now.plus_seconds(seconds);
    }

    /// Before login only whole commands keep a connection alive.
    fn touch_if_logged_in(&mut self, now: Timestamp) {
        if self.phase.user().is_some() {
            self.touch(now);
        }
    }

    fn time(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if now >= self.deadline {
            if self.tickets.open.is_none() {
                let in_reply = self
                    .job
                    .as_ref()
                    .is_some_and(|job| !job.run.is_waiting_for_client());
                self.abandon(now, out);
                if in_reply {
                    // A literal may be half sent: a word now would be taken for a part of it.
                    self.close(out, Farewell::TimedOut);
                } else {
                    self.bye(out, None, "too long without a command", Farewell::TimedOut);
                }
                return;
            }
            // It is the store that we wait for, not the peer.
            self.touch(now);
        }
        out.push(Output::Wake(Some(self.deadline)));
    }
}

fn respond(text: &mut Vec<u8>, tag: Option<&[u8]>, completion: &Completion) {
    let code = completion.code.as_ref().map(Coded::code);
    response::status(
        text,
        tag,
        completion.condition,
        code.as_ref(),
        &completion.text,
    );
}

fn note(name: &'static str, outcome: &'static str) -> Output {
    Output::Note(Note::Command { name, outcome })
}

const fn cx<'a>(
    config: &'a Config,
    (now, revision): (Timestamp, Revision),
    phase: &'a mut Phase,
    wire: &'a mut Wire,
    tickets: &'a mut Tickets,
    out: &'a mut Vec<Output>,
) -> Cx<'a> {
    Cx {
        config,
        now,
        revision,
        phase,
        wire,
        tickets,
        out,
    }
}

/// Feeds the lexer and lets go of what it lends.
fn read(lexer: &mut Lexer, bytes: &[u8]) -> (usize, Event) {
    let (taken, lexed) = lexer.feed(bytes);
    let event = match lexed {
        Lexed::NeedMore => Event::Nothing,
        Lexed::Literal { so_far, announced } => {
            let tag = so_far.split(|b| *b == b' ').next().unwrap_or_default();
            let append = grammar::append_prefix(so_far);
            Event::Literal(Bytes::copy_from_slice(tag), announced, append)
        }
        Lexed::Stream { bytes, .. } => Event::Octets(Bytes::copy_from_slice(bytes)),
        Lexed::Command(text) => Event::Command(grammar::command(text)),
        Lexed::Line(line) => Event::Line(line.to_vec()),
        Lexed::Bad { tag, error } => Event::Bad(tag, error),
    };
    (taken, event)
}

fn bad_command(bad: &grammar::BadCommand) -> Completion {
    let mut completion = Completion::bad("");
    completion.text = bad.to_string().into();
    completion
}

fn bad_lexed(error: LexError) -> Completion {
    let mut completion = Completion::bad("");
    completion.text = error.to_string().into();
    if matches!(error, LexError::LiteralTooLong) {
        completion = completion.with_code(Code::TooBig);
    }
    completion
}
