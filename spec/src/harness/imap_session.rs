//! A whole IMAP session over the reference store, for the fuzzer.
//!
//! Three octets say how the session is run, the rest is what the client sends. 0xFF, which no command may hold outside of a literal, stands for
//! something that happens outside: the octet after it says what. It happens when nothing moves any more, so that
//! slices and room can make no difference to what the client reads; that is the law that is tested.

use std::collections::{BTreeMap, VecDeque};

use dbmail_core::imap::{Config, Session, TlsState};
use dbmail_core::limits::{OUTPUT_BYTES_HIGH, STAGE_AHEAD_BYTES_MAX};
use dbmail_core::session::{
    Admitted, Credentials, Denied, Farewell, Input, Note, Output, Session as _, Ticket,
};
use dbmail_core::store::memory::Store;
use dbmail_core::store::{
    AccountId, FlagChange, Flags, MailboxId, MailboxName, Recipient, Refusal, Reply, Request,
    SystemFlags, Timestamp, UidSet, UploadId,
};
use dbmail_grammar::replies::{self, Listener};

/// The octet before something that happens outside.
const OUTSIDE: u8 = 0xFF;
/// Octets of all mail of the user: COPY in a row would double it each time.
const QUOTA_BYTES: u64 = 64 * 1024;
/// Messages that the client may make, for the same reason.
const MESSAGES_MAX: u64 = 400;
/// What a session may hold for its client: the high mark and the longest reply that is written at once.
const WAITING_BYTES_MAX: usize = OUTPUT_BYTES_HIGH + 128 * 1024;
/// What one octet of input may cost in output: `RFC822` for each of the messages there can be.
const OUTPUT_PER_INPUT_MAX: usize = 128 * 1024;

const MESSAGES: [&[u8]; 3] = [
    b"From: A <a@example.org>\r\nTo: ann@example.org\r\nSubject: one\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nHello.\r\n",
    b"From: b@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9t=C3=A9\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nin\r\n--b--\r\n",
    b"Subject: =?utf-8?q?=C3=BC?=\nno line end",
];

/// What waits for the session.
enum Event {
    Room,
    Answer(Ticket, Reply),
    Authenticated(Ticket, Result<Admitted, Denied>),
    Staged(UploadId, u64),
    Changed(MailboxId),
    Upgraded,
}

struct Run {
    session: Session,
    store: Store,
    account: AccountId,
    now: Timestamp,
    room: usize,
    /// What the session may still send.
    left: usize,
    events: VecDeque<Event>,
    watch: Option<MailboxId>,
    staged: BTreeMap<UploadId, u64>,
    unacknowledged: u64,
    made: u64,
    open_questions: u32,
    failing: bool,
    closed: Option<Farewell>,
    upgraded: bool,
    output: Vec<u8>,
    listener: Listener,
    replies: usize,
}

/// Octets of a client: see the module.
///
/// # Panics
/// When the session breaks its contract: that is what the fuzzer looks for.
pub fn imap_session(data: &[u8]) {
    let Some(([slice, room, mode], script)) = data.split_first_chunk::<3>() else {
        return;
    };
    let room = match room {
        0 => usize::MAX,
        room => usize::from(*room) * 64,
    };
    let whole = Run::new(*mode, usize::MAX).play(*mode, usize::MAX, script);
    whole.check_replies(*mode, script);
    let sliced = Run::new(*mode, room).play(*mode, usize::from(*slice).max(1), script);
    if !whole.upgraded {
        assert!(
            whole.output == sliced.output,
            "slices or room make a difference"
        );
        assert_eq!(whole.closed, sliced.closed);
    }
}

impl Run {
    fn new(mode: u8, room: usize) -> Self {
        let mut store = Store::new();
        let account = store.add_account("ann", &["ann@example.org"]);
        store.set_quota(account, Some(QUOTA_BYTES));
        let config = Config {
            plaintext_login_allowed: mode & 4 == 0,
            tls: if mode & 8 == 0 {
                TlsState::None
            } else {
                TlsState::Available
            },
            message_bytes_max: 8 * 1024,
            ..Config::default()
        };
        let mut run = Self {
            session: Session::new(config),
            store,
            account,
            now: Timestamp(1_700_000_000_000_000),
            room,
            left: 0,
            events: VecDeque::from([Event::Room]),
            watch: None,
            staged: BTreeMap::new(),
            unacknowledged: 0,
            made: 0,
            open_questions: 0,
            failing: false,
            closed: None,
            upgraded: false,
            output: Vec::new(),
            listener: Listener::new(replies::imap()),
            replies: 0,
        };
        for message in MESSAGES {
            run.deliver(message);
        }
        let mut out = Vec::new();
        run.session.open(run.now, &mut out);
        run.carry_out(out);
        run
    }

    fn play(mut self, mode: u8, slice: usize, script: &[u8]) -> Self {
        self.settle();
        if mode & 1 != 0 {
            self.say(slice, b"l LOGIN ann secret\r\n");
        }
        if mode & 2 != 0 {
            self.say(slice, b"s SELECT INBOX\r\n");
        }
        let mut segments = script.split(|octet| *octet == OUTSIDE);
        self.say(slice, segments.next().unwrap_or_default());
        for segment in segments {
            let (what, octets) = segment.split_first().unwrap_or((&0, &[]));
            self.happen(*what);
            self.say(slice, octets);
        }
        let bound = (script.len() + 64) * OUTPUT_PER_INPUT_MAX;
        assert!(self.output.len() <= bound, "output without end");
        if self.closed.is_none() {
            let mut out = Vec::new();
            self.session.step(self.now, Input::Closed, &mut out);
            assert!(
                out.iter()
                    .all(|output| matches!(output, Output::Discard(_))),
                "words for nobody"
            );
        }
        self
    }

    /// The client sends, and everything that follows happens.
    fn say(&mut self, slice: usize, octets: &[u8]) {
        for piece in octets.chunks(slice.min(octets.len().max(1))) {
            let mut rest = piece;
            while self.closed.is_none() && !rest.is_empty() {
                let mut out = Vec::new();
                let taken = self.session.step(self.now, Input::Bytes(rest), &mut out);
                let moved = taken > 0 || !out.is_empty();
                rest = rest.get(taken..).unwrap_or_default();
                self.carry_out(out);
                assert!(self.settle() || moved, "the session is stuck");
            }
        }
    }

    /// Until nothing moves any more. Says whether anything did.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.events.pop_front() {
            if self.closed.is_some() {
                break;
            }
            moved = true;
            let input = match event {
                Event::Room => {
                    self.left = self.room;
                    Input::Room(self.room)
                }
                Event::Answer(ticket, reply) => {
                    self.open_questions -= 1;
                    Input::Answer(ticket, reply)
                }
                Event::Authenticated(ticket, result) => {
                    self.open_questions -= 1;
                    Input::Authenticated(ticket, result)
                }
                Event::Staged(upload, total) => {
                    self.unacknowledged = 0;
                    Input::Staged(upload, total)
                }
                Event::Changed(mailbox) => Input::Changed(mailbox),
                Event::Upgraded => Input::Upgraded,
            };
            let mut out = Vec::new();
            self.session.step(self.now, input, &mut out);
            self.carry_out(out);
        }
        moved
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        let closes = out
            .iter()
            .any(|output| matches!(output, Output::Close(_) | Output::StartTls));
        for output in out {
            assert!(self.closed.is_none(), "{output:?} after Close");
            match output {
                Output::Send(octets) => {
                    assert!(
                        octets.len() <= self.left || closes,
                        "more than there is room for"
                    );
                    self.left = self.left.saturating_sub(octets.len());
                    self.listener.hear(&octets);
                    self.output.extend_from_slice(&octets);
                    self.events.push_back(Event::Room);
                }
                Output::Ask(ticket, request) => {
                    self.ask();
                    let reply = self.answer(request);
                    self.events.push_back(Event::Answer(ticket, reply));
                }
                Output::Authenticate(ticket, credentials) => {
                    self.ask();
                    let result = self.admit(&credentials);
                    self.events.push_back(Event::Authenticated(ticket, result));
                }
                Output::Stage(upload, octets) => {
                    self.store.stage(upload, &octets);
                    let total = self.staged.entry(upload).or_default();
                    *total += octets.len() as u64;
                    self.unacknowledged += octets.len() as u64;
                    assert!(self.unacknowledged <= STAGE_AHEAD_BYTES_MAX);
                    self.events.push_back(Event::Staged(upload, *total));
                }
                Output::Discard(upload) => self.store.discard(upload),
                Output::Watch(mailbox) => self.watch = mailbox,
                Output::StartTls => {
                    self.upgraded = true;
                    self.events.push_back(Event::Upgraded);
                }
                Output::Note(Note::Command { outcome, .. }) => {
                    self.replies += usize::from(matches!(outcome, "OK" | "NO" | "BAD"));
                }
                Output::Wake(_) | Output::Note(_) => {}
                Output::Close(farewell) => self.closed = Some(farewell),
            }
        }
        assert!(
            self.session.waiting_bytes() <= WAITING_BYTES_MAX,
            "the session hoards"
        );
    }

    fn ask(&mut self) {
        self.open_questions += 1;
        assert_eq!(self.open_questions, 1, "one question at a time");
    }

    fn answer(&mut self, request: Request) -> Reply {
        self.now.0 += 1;
        if std::mem::take(&mut self.failing) {
            return Err(Refusal::Unavailable);
        }
        self.made += match &request {
            Request::Copy { uids, .. } => u64::from(uids.len()),
            Request::Append { .. } => 1,
            _ => 0,
        };
        if self.made > MESSAGES_MAX
            && matches!(request, Request::Copy { .. } | Request::Append { .. })
        {
            return Err(Refusal::OverQuota);
        }
        let reply = self.store.apply(self.now, request);
        self.spread();
        reply
    }

    fn spread(&mut self) {
        for mailbox in self.store.changed() {
            if self.watch == Some(mailbox) {
                self.events.push_back(Event::Changed(mailbox));
            }
        }
    }

    fn admit(&self, credentials: &Credentials) -> Result<Admitted, Denied> {
        if credentials.user == b"ann" && credentials.password == b"secret" {
            let (account, name) = (self.account, "ann".to_owned());
            Ok(Admitted { account, name })
        } else {
            Err(Denied::Credentials)
        }
    }

    // --- what happens outside ----------------------------------------------------------------

    fn deliver(&mut self, message: &[u8]) {
        let upload = UploadId(u64::MAX);
        self.store.stage(upload, message);
        self.now.0 += 1_000_000;
        let Ok(mailbox) = MailboxName::new("INBOX") else {
            return;
        };
        let request = Request::Deliver {
            upload,
            reverse_path: self.now.0.to_string().into(),
            received: self.now,
            recipients: vec![Recipient {
                account: self.account,
                address: "ann@example.org".into(),
                mailbox,
                flags: Flags::default(),
                prefix: "Delivered-To: ann@example.org\r\n".into(),
            }],
        };
        let _ = self.store.apply(self.now, request);
        self.spread();
    }

    fn happen(&mut self, what: u8) {
        if self.closed.is_some() {
            return;
        }
        let mut out = Vec::new();
        let all = || UidSet::from_ranges(std::iter::once(1..=u32::MAX));
        match what {
            b'd' => self.deliver(b"Subject: new\r\n\r\nnew\r\n"),
            b'u' => self.failing = true,
            b't' => {
                self.now = self.now.plus_seconds(20 * 60);
                self.session.step(self.now, Input::Time, &mut out);
            }
            b's' => {
                self.session.step(self.now, Input::Stop, &mut out);
            }
            _ => {}
        }
        self.carry_out(out);
        let Some(mailbox) = self.watch else {
            self.settle();
            return;
        };
        let request = match what {
            b'f' => Some(Request::Store {
                mailbox,
                uids: all(),
                how: FlagChange::Replace,
                flags: Flags {
                    system: SystemFlags::FLAGGED,
                    ..Flags::default()
                },
                unchanged_since: None,
            }),
            b'x' => Some(Request::Expunge {
                mailbox,
                uids: None,
            }),
            b'g' => MailboxName::new("Drafts").ok().map(|name| Request::Delete {
                account: self.account,
                name,
            }),
            _ => None,
        };
        if let Some(request) = request {
            self.now.0 += 1;
            let _ = self.store.apply(self.now, request);
            self.spread();
        }
        self.settle();
    }

    // --- what the client reads ---------------------------------------------------------------

    /// Every command got one tagged reply, in their order.
    fn check_replies(&self, mode: u8, script: &[u8]) {
        let tags = tags_of_replies(&self.output);
        let bad = tags.iter().filter(|tag| tag.is_empty()).count();
        assert_eq!(tags.len(), self.replies, "{bad} of {tags:?}");
        let Some(mut expected) = tags_of_commands(script) else {
            return;
        };
        let logged = [
            (mode & 1 != 0).then_some(&b"l"[..]),
            (mode & 2 != 0).then_some(b"s"),
        ];
        expected.splice(..0, logged.into_iter().flatten());
        let got = tags.len();
        assert_eq!(
            Some(tags.as_slice()),
            expected.get(..got),
            "not the commands' order"
        );
        assert!(
            got == expected.len() || self.closed.is_some(),
            "a command without a reply"
        );
    }
}

/// The tags of the commands of a script of plain lines; `None` when it has others, whose commands only the lexer knows.
fn tags_of_commands(script: &[u8]) -> Option<Vec<&[u8]>> {
    let mut tags = Vec::new();
    let script = script.strip_suffix(b"\n")?;
    for line in script.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let upper = line.to_ascii_uppercase();
        let holds = |word: &[u8]| upper.windows(word.len()).any(|w| w == word);
        let odd = |b: &u8| matches!(*b, 0 | b'\r' | OUTSIDE);
        if line.len() > 4000
            || line.ends_with(b"}")
            || line.iter().any(odd)
            || holds(b"IDLE")
            || holds(b"AUTHENTICATE")
            || holds(b"STARTTLS")
        {
            return None;
        }
        let space = line.iter().position(|b| *b == b' ')?;
        let (tag, _) = line.split_at(space);
        if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        tags.push(tag);
    }
    Some(tags)
}

/// The tags of status replies, in order; empty for `* BAD`.
fn tags_of_replies(mut output: &[u8]) -> Vec<&[u8]> {
    let mut tags = Vec::new();
    while !output.is_empty() {
        let line = take_line(&mut output);
        let (tag, words) = split_word(line);
        let (word, _) = split_word(words);
        match (tag, word) {
            (b"*", b"BAD") => tags.push(b"".as_slice()),
            (b"*", b"OK" | b"NO" | b"BYE") | (b"+", _) => {}
            (b"*", _) => skip_literals(line, &mut output),
            (_, b"OK" | b"NO" | b"BAD") => tags.push(tag),
            _ => unreachable!("{:?}", String::from_utf8_lossy(line)),
        }
    }
    tags
}

/// The rest of a reply whose first line was taken.
fn skip_literals(line: &[u8], output: &mut &[u8]) {
    let mut line = line;
    while let Some(size) = literal(line) {
        let Some(rest) = output.get(size..) else {
            // The connection was closed within it.
            *output = &[];
            return;
        };
        *output = rest;
        line = take_line(output);
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let brace = inner.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(inner.get(brace + 1..)?)
        .ok()?
        .parse()
        .ok()
}

fn take_line<'a>(output: &mut &'a [u8]) -> &'a [u8] {
    let end = output.windows(2).position(|w| w == b"\r\n");
    let end = end.unwrap_or(output.len());
    let (line, rest) = output.split_at(end);
    *output = rest.get(2..).unwrap_or_default();
    line
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let space = text.iter().position(|b| *b == b' ');
    let (word, rest) = text.split_at(space.unwrap_or(text.len()));
    (word, rest.get(1..).unwrap_or_default())
}
