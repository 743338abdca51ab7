//! Who is connected now, for `GET /sessions` and `dbmail top`. Never what is in messages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dbmail_core::store::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::metrics::Protocol;
use crate::shell::Peer;

/// Sessions in one answer: 3 MB of JSON or so. More are only counted.
const SHOWN_MAX: usize = 10_000;

/// The sessions of this process.
#[derive(Default)]
pub struct Sessions(Mutex<BTreeMap<u64, Arc<Mutex<Live>>>>);

/// A session's place among them, until it is dropped.
pub struct Place {
    number: u64,
    live: Arc<Mutex<Live>>,
    sessions: Arc<Sessions>,
}

/// What is known of a session.
struct Live {
    protocol: Protocol,
    peer: Peer,
    tls: bool,
    since: Timestamp,
    user: Option<String>,
    mailbox: Option<String>,
    /// Named by a request whose answer may select it.
    opening: Option<String>,
    command: Option<Doing>,
    request: Option<Doing>,
}

#[derive(Clone, Copy)]
struct Doing {
    name: &'static str,
    since: Timestamp,
    under_way: bool,
}

impl Doing {
    fn now(name: &'static str, under_way: bool) -> Self {
        Self {
            name,
            since: clock::now(),
            under_way,
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

/// What is behind these mutexes is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// A session begins.
    #[must_use]
    pub fn enter(
        self: &Arc<Self>,
        number: u64,
        protocol: Protocol,
        peer: Peer,
        tls: bool,
    ) -> Place {
        let live = Arc::new(Mutex::new(Live {
            protocol,
            peer,
            tls,
            since: clock::now(),
            user: None,
            mailbox: None,
            opening: None,
            command: None,
            request: None,
        }));
        lock(&self.0).insert(number, Arc::clone(&live));
        Place {
            number,
            live,
            sessions: Arc::clone(self),
        }
    }

    /// Those that there are, in the order in which they came; how many more there are.
    #[must_use]
    pub fn shown(&self) -> (Vec<Session>, usize) {
        // Held for as short as can be: sessions come and go meanwhile.
        let (some, all): (Vec<_>, usize) = {
            let sessions = lock(&self.0);
            let some = sessions.iter().take(SHOWN_MAX);
            let some = some.map(|(number, live)| (*number, Arc::clone(live)));
            (some.collect(), sessions.len())
        };
        let shown: Vec<_> = some.iter().map(|(n, live)| lock(live).shown(*n)).collect();
        let more = all.saturating_sub(shown.len());
        (shown, more)
    }
}

impl Place {
    /// TLS is in place.
    pub fn encrypted(&self) {
        lock(&self.live).tls = true;
    }

    /// Somebody logged in.
    pub fn admitted(&self, user: &str) {
        lock(&self.live).user = Some(user.to_owned());
    }

    /// A command is under way.
    pub fn began(&self, command: &'static str) {
        lock(&self.live).command = Some(Doing::now(command, true));
    }

    /// A command was answered.
    pub fn answered(&self, command: &'static str) {
        lock(&self.live).command = Some(Doing::now(command, false));
    }

    /// The store is asked; the mailbox that is to be opened.
    pub fn asks(&self, request: &'static str, opening: Option<&str>) {
        let mut live = lock(&self.live);
        live.request = Some(Doing::now(request, true));
        if let Some(name) = opening {
            live.opening = Some(name.to_owned());
        }
    }

    /// The store has answered.
    pub fn told(&self) {
        lock(&self.live).request = None;
    }

    /// The mailbox that was opened is selected, or none is.
    pub fn selected(&self, is: bool) {
        let mut live = lock(&self.live);
        live.mailbox = if is { live.opening.take() } else { None };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.sessions.0).remove(&self.number);
    }
}

impl Live {
    fn shown(&self, connection: u64) -> Session {
        Session {
            connection,
            protocol: self.protocol.word().to_owned(),
            client: self.peer.to_string(),
            tls: self.tls,
            since: self.since.0,
            user: self.user.clone(),
            mailbox: self.mailbox.clone(),
            command: self.command.map(Into::into),
            request: self.request.map(Into::into),
        }
    }
}

impl From<Doing> for Step {
    fn from(doing: Doing) -> Self {
        Self {
            name: doing.name.to_owned(),
            since: doing.since.0,
            under_way: doing.under_way,
        }
    }
}

// --- as JSON -----------------------------------------------------------------------------------

/// The answer to `GET /sessions`. Times are microseconds since 1970 UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it was made.
    pub at: i64,
    /// When the server was started.
    pub started: i64,
    /// Name of the front-end.
    pub front_end: String,
    /// Id of its row in the table `front_end`; 0 when it has none.
    pub front_end_id: i64,
    /// What was done since the start.
    pub figures: Figures,
    /// The sessions, in the order in which they came.
    pub sessions: Vec<Session>,
    /// Sessions beyond those that an answer may hold.
    pub sessions_left_out: usize,
}

/// Figures of the store. All but `queued`, `counter_locks_under_way` and `news_lag_microseconds` only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests answered.
    pub requests: u64,
    /// Statements.
    pub statements: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions run again.
    pub retries: u64,
    /// Write requests that wait now.
    pub queued: u64,
    /// Statements that locked a mailbox's counter row.
    pub counter_locks: u64,
    /// Time that they took.
    pub counter_lock_microseconds: u64,
    /// Those under way now.
    pub counter_locks_under_way: u64,
    /// News rows written.
    pub news_told: u64,
    /// News rows of others read.
    pub news_heard: u64,
    /// Looks for news.
    pub news_polls: u64,
    /// Of the newest row heard: from its writing to its reading, by two clocks.
    pub news_lag_microseconds: i64,
}

impl From<&dbmail_store::Counters> for Figures {
    fn from(counters: &dbmail_store::Counters) -> Self {
        Self {
            requests: counters.requests.iter().map(|r| r.requests).sum(),
            statements: counters.requests.iter().map(|r| r.statements).sum(),
            commits: counters.commits,
            retries: counters.retries,
            queued: counters.queued,
            counter_locks: counters.counter_locks,
            counter_lock_microseconds: counters.counter_lock_microseconds,
            counter_locks_under_way: counters.counter_locks_under_way,
            news_told: counters.news_told,
            news_heard: counters.news_heard,
            news_polls: counters.news_polls,
            news_lag_microseconds: counters.news_lag_microseconds,
        }
    }
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Number of the connection, as in the log.
    pub connection: u64,
    /// `imap` or `lmtp`.
    pub protocol: String,
    /// Address of the client.
    pub client: String,
    /// Whether TLS is in place.
    pub tls: bool,
    /// When it began.
    pub since: i64,
    /// Who logged in.
    pub user: Option<String>,
    /// The mailbox that is selected, by the name under which it was.
    pub mailbox: Option<String>,
    /// The command under way, or the last one.
    pub command: Option<Step>,
    /// What the store is asked.
    pub request: Option<Step>,
}

/// Something that a session does or did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it began; of what is no more under way, when it was answered.
    pub since: i64,
    /// Whether it is still under way.
    pub under_way: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_shown_from_its_beginning_to_its_end() {
        let sessions = Arc::new(Sessions::default());
        let peer = Peer::Address([127, 0, 0, 1].into(), 1234);
        let place = sessions.enter(7, Protocol::Imap, peer, false);
        let only = || {
            let (mut shown, more) = sessions.shown();
            assert_eq!((shown.len(), more), (1, 0));
            shown.remove(0)
        };
        let begun = only();
        assert_eq!((begun.user, begun.mailbox, begun.tls), (None, None, false));
        assert_eq!(begun.client, "127.0.0.1:1234");
        place.encrypted();
        place.admitted("anna");
        place.began("SELECT");
        place.asks("open", Some("Work/2026"));
        let opening = only();
        assert_eq!(opening.mailbox, None);
        assert!(
            opening
                .command
                .is_some_and(|c| c.under_way && c.name == "SELECT")
        );
        assert!(opening.request.is_some_and(|r| r.name == "open"));
        place.told();
        place.selected(true);
        place.answered("SELECT");
        let open = only();
        assert_eq!(
            (open.user.as_deref(), open.mailbox.as_deref(), open.tls),
            (Some("anna"), Some("Work/2026"), true)
        );
        assert!(open.command.is_some_and(|c| !c.under_way) && open.request.is_none());
        place.selected(false);
        assert_eq!(only().mailbox, None);
        drop(place);
        assert_eq!(sessions.shown(), (Vec::new(), 0));
    }

    #[test]
    fn more_than_an_answer_may_hold_are_counted() {
        let sessions = Arc::new(Sessions::default());
        let enter = |n| sessions.enter(n, Protocol::Lmtp, Peer::Unix, false);
        let places: Vec<Place> = (0..SHOWN_MAX as u64 + 3).map(enter).collect();
        let (shown, more) = sessions.shown();
        assert_eq!((shown.len(), more), (SHOWN_MAX, 3));
        drop(places);
    }
}
