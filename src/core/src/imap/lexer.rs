//! From octets to whole commands: lines, literals, limits.
//!
//! The lexer is fed whatever the network delivers and says when a command is whole. It knows lines and
//! the announcements of literals (`{n}`, `{n+}`, `~{n}`, `~{n+}` at the end of a line; RFC 3501 §4.3, RFC 7888
//! §3, RFC 3516 §4.4), nothing else of the syntax: that is the grammar's. How the octets are split over calls makes no difference
//! (streamed literals apart: their pieces are as they come).
//!
//! **Text of a command.** The octets as the client sent them, without the last line end. A literal that was accepted is
//! in it as its announcement, CRLF, its octets. A literal that was streamed is in it as its announcement and CRLF *only*: no octet of
//! it is there, and the next line follows at once. So `APPEND` ends in `{n}CRLF`, and that is what the grammar takes for
//! the message (`grammar::append`).
//!
//! **Limits** are applied before an octet is kept. A command that passes one is skipped to its end: the octets of its non-synchronising
//! literals too, and it ends at a synchronising announcement, since the client waits there. Then it is reported as
//! [`Lexed::Bad`], and the next command is read. While skipping nothing but the line's last octets is kept. What goes on past
//! [`EXCESS_BYTES_MAX`] is not read to its end: see [`Lexer::is_flooded`].
//!
//! **Line ends** (quirk `bare-lf`): RFC 3501 has CRLF only. A lone LF is taken for a line end as well, since hand-made clients send it and every
//! server takes it; a lone CR and NUL make the command bad. After an announcement the line end is kept as CRLF.
//!
//! An announcement counts wherever it ends a line, even inside an open quoted string: RFC 7888 §3 says "MUST check the end
//! of every received line". An announcement has at most 28 digits.

use bytes::Bytes;

use crate::limits::{
    COMMAND_BYTES_MAX, EXCESS_BYTES_BEFORE_LOGIN_MAX, EXCESS_BYTES_MAX,
    LINE_BYTES_BEFORE_LOGIN_MAX, LITERAL_BYTES_BEFORE_LOGIN_MAX, LITERAL_BYTES_MAX, LITERALS_MAX,
};

/// Octets at the end of a line in which an announcement is looked for: `~{`, 28 digits, `+}`.
const ANNOUNCEMENT_BYTES_MAX: usize = 32;
/// Memory that is kept between commands, in octets: what a usual command needs. An idle connection holds no more.
const KEPT_BYTES_MAX: usize = 1024;

/// The announcement of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Octets that follow the announcement; at most 2^63 - 1.
    pub size: u64,
    /// `{n+}`: the client sends the octets without being asked to (RFC 7888).
    pub non_sync: bool,
    /// `~{n}`: the octets may hold NUL (RFC 3516).
    pub literal8: bool,
}

/// What the lexer found.
#[derive(Debug, PartialEq)]
pub enum Lexed<'a> {
    /// Everything given was taken, and nothing is whole yet. (Given nothing is taken while a literal that was announced is
    /// not decided on.)
    NeedMore,
    /// A literal is announced. The session calls [`Lexer::accept_literal`] (then sends a continuation unless `non_sync`),
    /// [`Lexer::stream_literal`] (the same), or [`Lexer::refuse_literal`] (then answers NO or BAD).
    Literal {
        /// The command so far, without the announcement. Begins with a tag and a space.
        so_far: &'a [u8],
        /// What is announced.
        announced: Literal,
    },
    /// Octets of a literal that is streamed. Not looked at: NUL may be among them. A literal of size 0 gives none of these.
    Stream {
        /// Never empty.
        bytes: &'a [u8],
        /// How many octets of this literal are still to come.
        left: u64,
    },
    /// A whole command (see the module for its text). May be empty: an empty line.
    Command(&'a [u8]),
    /// The line that was asked for with [`Lexer::raw_line`], without its line end.
    Line(&'a [u8]),
    /// A command that can't be one. It is skipped, to its end.
    Bad {
        /// Its tag, when one was read.
        tag: Option<Bytes>,
        /// Why.
        error: LexError,
    },
}

/// Why octets are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LexError {
    /// [`COMMAND_BYTES_MAX`], or [`LINE_BYTES_BEFORE_LOGIN_MAX`] before login.
    #[error("the command is too long")]
    CommandTooLong,
    /// [`LITERAL_BYTES_MAX`], or [`LITERAL_BYTES_BEFORE_LOGIN_MAX`] before login; or no number of octets.
    #[error("the literal is too long")]
    LiteralTooLong,
    /// [`LITERALS_MAX`].
    #[error("the command has too many literals")]
    TooManyLiterals,
    /// NUL in a line or in a literal that can't hold it (RFC 3501 §9 note 3).
    #[error("NUL is not allowed in a command")]
    Nul,
    /// A CR that no LF follows.
    #[error("a carriage return without a line feed")]
    BareCr,
    /// A literal in a line that does not begin with a tag.
    #[error("the command has no tag")]
    NoTag,
}

/// Finds whole commands in a stream of octets.
#[derive(Debug, Default)]
pub struct Lexer {
    /// The command so far.
    kept: Vec<u8>,
    /// Where in `kept` the line that is being read begins.
    line_start: usize,
    /// Literals of this command.
    literals: usize,
    /// The last octet was CR and belongs to nothing yet.
    cr: bool,
    /// What the next octets are.
    state: State,
    /// The command is skipped, for this reason.
    skip: Option<Skip>,
    /// Octets that may still be skipped of this command.
    excess: u64,
    /// More than that came.
    flooded: bool,
    /// Last octets of the line that is skipped.
    tail: Vec<u8>,
    /// The next line is taken as it is.
    raw: bool,
    /// `kept` was handed out whole: forget it at the next call.
    delivered: bool,
    /// Which limits hold.
    authenticated: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Line,
    /// Waiting for the session's decision; the announcement begins here in `kept`.
    Announced(Literal, usize),
    /// Octets of a literal that is kept (or skipped, with the command).
    Inline { left: u64, literal8: bool },
    /// Octets of a literal that is streamed.
    Streamed { left: u64 },
}

#[derive(Debug)]
enum Skip {
    /// The session has answered already.
    Refused,
    /// To be reported at the end.
    Fault(Option<Bytes>, LexError),
}

/// `Lexed` without its borrows.
enum Found {
    Literal(Literal, usize),
    Command,
    Line,
    Bad(Option<Bytes>, LexError),
}

impl Lexer {
    /// At the start of a command, with the limits that hold before login.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which limits hold from the next octet on.
    pub const fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// The next line is given as it is, as [`Lexed::Line`], and no announcement is looked for: a response within AUTHENTICATE, `DONE` of
    /// IDLE. To be called between commands, for each line anew. At most [`LINE_BYTES_BEFORE_LOGIN_MAX`] octets.
    pub const fn raw_line(&mut self) {
        self.raw = true;
    }

    /// No octet of a command was read, or none since the last whole one.
    #[must_use]
    pub fn is_between_commands(&self) -> bool {
        self.delivered
            || (self.kept.is_empty() && self.state == State::Line && !self.cr)
                && self.skip.is_none()
    }

    /// More of a command was skipped than a client sends that is only wrong. No octet is taken any more: the session closes.
    #[must_use]
    pub const fn is_flooded(&self) -> bool {
        self.flooded
    }

    /// Takes octets up to the first thing worth saying. Returns how many were taken; the rest is to be given again.
    pub fn feed<'a>(&'a mut self, bytes: &'a [u8]) -> (usize, Lexed<'a>) {
        if self.delivered {
            self.forget();
        }
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() || self.flooded {
                return (taken, Lexed::NeedMore);
            }
            match self.state {
                State::Announced(..) => return (taken, Lexed::NeedMore),
                State::Streamed { left } => {
                    let (piece, left) = split(rest, left);
                    self.state = State::Streamed { left };
                    if left == 0 {
                        self.begin_line();
                    }
                    return (taken + piece.len(), Lexed::Stream { bytes: piece, left });
                }
                State::Inline { left, literal8 } => {
                    let (piece, left) = split(rest, left);
                    taken += piece.len();
                    self.keep_literal(piece, literal8);
                    self.state = State::Inline { left, literal8 };
                    if left == 0 {
                        self.begin_line();
                    }
                }
                State::Line => {
                    let (line, ended) = self.take_line(rest);
                    taken += line;
                    if ended
                        && !self.flooded
                        && let Some(found) = self.end_line()
                    {
                        return (taken, self.lexed(found));
                    }
                }
            }
        }
    }

    /// Keeps the literal that was announced inside the command.
    ///
    /// # Errors
    /// A limit forbids it: then it is as if [`Self::refuse_literal`] had been called, and the session answers so.
    pub fn accept_literal(&mut self) -> Result<(), LexError> {
        let State::Announced(literal, _) = self.state else {
            return Ok(());
        };
        let room = self.command_bytes_max().saturating_sub(self.kept.len() + 2);
        if literal.size > self.literal_bytes_max() {
            self.refuse_literal();
            return Err(LexError::LiteralTooLong);
        }
        if literal.size > room as u64 {
            self.refuse_literal();
            return Err(LexError::CommandTooLong);
        }
        self.begin_literal(State::Inline {
            left: literal.size,
            literal8: literal.literal8,
        });
        Ok(())
    }

    /// Gives out the octets of the literal that was announced as [`Lexed::Stream`].
    pub fn stream_literal(&mut self) {
        if let State::Announced(literal, _) = self.state {
            self.begin_literal(State::Streamed { left: literal.size });
        }
    }

    /// Drops the command whose literal was announced; the session answers it. After a synchronising announcement the client
    /// sends nothing more of it and the next octet begins a new command. After a non-synchronising one, the rest of the command is
    /// skipped in silence, however long it is: a session that will not wait closes (RFC 7888 §4).
    pub fn refuse_literal(&mut self) {
        let State::Announced(literal, _) = self.state else {
            return;
        };
        self.forget();
        if literal.non_sync {
            self.skip = Some(Skip::Refused);
            // The session knows of this literal, and closes when it will not wait for it.
            self.excess = self.excess_max().saturating_add(literal.size);
            self.begin_literal(State::Inline {
                left: literal.size,
                literal8: true,
            });
        }
    }

    fn command_bytes_max(&self) -> usize {
        if self.authenticated && !self.raw {
            COMMAND_BYTES_MAX
        } else {
            LINE_BYTES_BEFORE_LOGIN_MAX
        }
    }

    const fn literal_bytes_max(&self) -> u64 {
        if self.authenticated {
            LITERAL_BYTES_MAX
        } else {
            LITERAL_BYTES_BEFORE_LOGIN_MAX
        }
    }

    const fn excess_max(&self) -> u64 {
        if self.authenticated {
            EXCESS_BYTES_MAX
        } else {
            EXCESS_BYTES_BEFORE_LOGIN_MAX
        }
    }

    /// So many octets are skipped.
    const fn skipped(&mut self, octets: usize) {
        let octets = octets as u64;
        self.flooded |= octets > self.excess;
        self.excess = self.excess.saturating_sub(octets);
    }

    /// Back to the start of a command.
    fn forget(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(KEPT_BYTES_MAX);
        self.literals = 0;
        self.cr = false;
        self.skip = None;
        self.delivered = false;
        self.begin_line();
    }

    fn begin_line(&mut self) {
        self.state = State::Line;
        self.line_start = self.kept.len();
        self.tail.clear();
    }

    /// The announcement is decided on: its line ends, its octets begin.
    fn begin_literal(&mut self, state: State) {
        self.literals += 1;
        if self.skip.is_none() {
            self.kept.extend_from_slice(b"\r\n");
        }
        self.state = state;
        if matches!(
            state,
            State::Inline { left: 0, .. } | State::Streamed { left: 0 }
        ) {
            self.begin_line();
        }
    }

    fn keep_literal(&mut self, octets: &[u8], literal8: bool) {
        if self.skip.is_some() {
            self.skipped(octets.len());
            return;
        }
        if !literal8 && octets.contains(&0) {
            self.fail(LexError::Nul);
        } else {
            self.kept.extend_from_slice(octets);
        }
    }

    /// From here on the command is skipped.
    fn fail(&mut self, error: LexError) {
        if self.skip.is_some() {
            return;
        }
        let tag = if self.raw { None } else { tag_of(&self.kept) };
        let tag = tag.map(Bytes::copy_from_slice);
        let line = self.kept.get(self.line_start..).unwrap_or_default();
        self.tail = last(line).to_vec();
        self.skip = Some(Skip::Fault(tag, error));
        self.excess = self.excess_max();
        self.kept.clear();
        self.kept.shrink_to(KEPT_BYTES_MAX);
        self.line_start = 0;
    }

    /// Takes octets up to the end of the line. Says how many, and whether the line ended.
    fn take_line(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let Some(&first) = rest.first() else {
                return (taken, false);
            };
            if self.cr && first != b'\n' {
                self.cr = false;
                self.fail(LexError::BareCr);
                self.keep_line(b"\r");
            }
            match first {
                b'\n' => {
                    self.cr = false;
                    return (taken + 1, true);
                }
                b'\r' => {
                    self.cr = true;
                    taken += 1;
                }
                0 => {
                    self.fail(LexError::Nul);
                    self.keep_line(&[0]);
                    taken += 1;
                }
                _ => {
                    let special = |b: &u8| matches!(b, 0 | b'\r' | b'\n');
                    let run = rest.iter().position(special).unwrap_or(rest.len());
                    self.keep_line(rest.get(..run).unwrap_or_default());
                    taken += run;
                }
            }
        }
    }

    fn keep_line(&mut self, run: &[u8]) {
        if self.skip.is_none() {
            if self.kept.len() + run.len() <= self.command_bytes_max() {
                self.kept.extend_from_slice(run);
                return;
            }
            // What would still fit is looked at, so that tag and announcement do not depend on how
            // the octets were split.
            let fits = self.command_bytes_max().saturating_sub(self.kept.len());
            let (head, run) = run.split_at_checked(fits).unwrap_or((run, &[]));
            self.kept.extend_from_slice(head);
            self.fail(LexError::CommandTooLong);
            self.keep_tail(run);
        } else {
            self.keep_tail(run);
        }
    }

    fn keep_tail(&mut self, run: &[u8]) {
        self.skipped(run.len());
        self.tail.extend_from_slice(last(run));
        let surplus = self.tail.len().saturating_sub(ANNOUNCEMENT_BYTES_MAX);
        self.tail.drain(..surplus);
    }

    /// A line is whole: what is it the end of?
    fn end_line(&mut self) -> Option<Found> {
        if self.raw {
            self.raw = false;
            return match self.skip.take() {
                None => Some(Found::Line),
                Some(skip) => self.end_skipped(skip),
            };
        }
        let line = self.kept.get(self.line_start..).unwrap_or_default();
        let line = if self.skip.is_some() {
            &self.tail
        } else {
            last(line)
        };
        let Some((literal, written)) = announcement(line) else {
            return match self.skip.take() {
                None => Some(Found::Command),
                Some(skip) => self.end_skipped(skip),
            };
        };
        if literal.size > i64::MAX as u64 {
            self.fail(LexError::LiteralTooLong);
        } else if self.literals >= LITERALS_MAX {
            self.fail(LexError::TooManyLiterals);
        } else if self.skip.is_none() && tag_of(&self.kept).is_none() {
            self.fail(LexError::NoTag);
        }
        match self.skip.take() {
            None => {
                let start = self.kept.len() - written;
                self.state = State::Announced(literal, start);
                Some(Found::Literal(literal, start))
            }
            Some(skip) if literal.non_sync => {
                self.skip = Some(skip);
                self.begin_literal(State::Inline {
                    left: literal.size,
                    literal8: true,
                });
                None
            }
            // The client waits for an answer here.
            Some(skip) => self.end_skipped(skip),
        }
    }

    fn end_skipped(&mut self, skip: Skip) -> Option<Found> {
        self.forget();
        match skip {
            Skip::Refused => None,
            Skip::Fault(tag, error) => Some(Found::Bad(tag, error)),
        }
    }

    fn lexed(&mut self, found: Found) -> Lexed<'_> {
        match found {
            Found::Literal(announced, start) => Lexed::Literal {
                so_far: self.kept.get(..start).unwrap_or_default(),
                announced,
            },
            Found::Command => {
                self.delivered = true;
                Lexed::Command(&self.kept)
            }
            Found::Line => {
                self.delivered = true;
                Lexed::Line(&self.kept)
            }
            Found::Bad(tag, error) => Lexed::Bad { tag, error },
        }
    }
}

/// At most `left` octets of `bytes`, and how many are left then.
fn split(bytes: &[u8], left: u64) -> (&[u8], u64) {
    let size = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, _) = bytes.split_at_checked(size).unwrap_or((bytes, &[]));
    (piece, left - piece.len() as u64)
}

/// The end of a line, as long as an announcement can be.
fn last(line: &[u8]) -> &[u8] {
    line.get(line.len().saturating_sub(ANNOUNCEMENT_BYTES_MAX)..)
        .unwrap_or_default()
}

/// The tag of a command whose first octets these are; the space after it must be there.
fn tag_of(command: &[u8]) -> Option<&[u8]> {
    let space = command.iter().position(|&b| b == b' ')?;
    let tag = command.get(..space)?;
    (!tag.is_empty() && tag.iter().all(|&b| super::grammar::is_tag_char(b))).then_some(tag)
}

/// The announcement at the end of a line, and its length in octets. A number that does not fit is `u64::MAX`.
fn announcement(line: &[u8]) -> Option<(Literal, usize)> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, non_sync) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let brace = inner.iter().rposition(|&b| b == b'{')?;
    let (before, digits) = (inner.get(..brace)?, inner.get(brace + 1..)?);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_u64, |size, digit| {
        size.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    let literal8 = before.ends_with(b"~");
    let start = brace - usize::from(literal8);
    Some((
        Literal {
            size,
            non_sync,
            literal8,
        },
        line.len() - start,
    ))
}

#[cfg(test)]
mod tests;
