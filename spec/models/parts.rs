//! The part store (STORAGE 17): deliveries that link a part by its hash, an upload that stages one, a purge that takes a
//! reference away, and the collector of parts that nobody refers to. One hash, because parts of different hashes never
//! meet.
//!
//! A step is one SQL statement at READ COMMITTED, as the databases run it: a SELECT sees what was committed before it; a
//! statement that meets a row locked by another waits, and then sees the row as it has become; INSERT of a key that
//! another transaction is inserting waits for its end; INSERT of a reference locks the row that it refers to for sharing.
//! Whether that lock lets an UPDATE of other columns through is where databases differ ([`Locks`]).

use stateright::{Model, Property};

/// Which locks exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    /// A reference's lock goes with an UPDATE of `last_seen` (PostgreSQL: FOR KEY SHARE).
    KeyShare,
    /// It excludes every UPDATE (InnoDB).
    Row,
}

/// The protocol, and what may be taken out of it.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Who takes part, besides the collector.
    pub(crate) cast: &'static [usize],
    pub(crate) locks: Locks,
    /// `segment.part` has a foreign key.
    pub(crate) foreign_key: bool,
    /// The collector looks for references in a statement of its own, after it has the lock.
    pub(crate) looks_again: bool,
}

/// Days since `last_seen`: none, over one, over two.
type Age = u8;
const OVER_A_DAY: Age = 1;
const OVER_TWO_DAYS: Age = 2;
/// Days that pass.
const DAYS_MAX: u8 = 2;
/// How often a transaction is begun that meets an error.
const TRIES_MAX: u8 = 2;

// Who runs transactions, one at a time; a transaction is known by who runs it.
/// A delivery.
pub(crate) const FIRST: usize = 0;
/// Another.
pub(crate) const SECOND: usize = 1;
/// A long message, staged and then linked.
pub(crate) const UPLOAD: usize = 2;
/// Takes away what the first delivery brought.
pub(crate) const PURGE: usize = 3;
const COLLECTOR: usize = 4;
const ALL: usize = 5;

/// A version of a row of `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Row {
    /// Its hash is set.
    finished: bool,
    age: Age,
}

/// A row of `part`; its place is its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    /// As committed; `None`: not yet, or no more.
    now: Option<Row>,
    /// Who has locked it, and whether against references too.
    locked: Option<(usize, bool)>,
    /// What it is when he commits.
    next: Option<Row>,
    /// Who has locked it for sharing.
    shared: u8,
}

/// A row of `segment`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Segment {
    owner: usize,
    part: usize,
    inserted_by: Option<usize>,
    deleted_by: Option<usize>,
}

/// The row of `upload`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Upload {
    there: bool,
    expired: bool,
    locked: Option<usize>,
    next: bool,
}

/// Where a process is: the statement that it runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    // A delivery; and from `Refer` on the linking of an upload.
    Look,
    Touch,
    Insert,
    Refer,
    // An upload: two transactions that stage, one that links.
    Begin,
    Stage,
    Extend,
    LookTwin,
    TouchTwin,
    DropOwn,
    Finish,
    Link,
    // The purge.
    Delete,
    // The collector.
    Idle,
    Expire,
    Lock,
    LookAgain,
    Collect,
    // All of them.
    Commit,
    Done,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    /// The part that it works on.
    part: usize,
    /// The twin that its upload found.
    twin: usize,
    tries: u8,
    /// Transactions done.
    stage: u8,
}

/// The tables, and how far everybody is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    parts: Vec<Part>,
    segments: Vec<Segment>,
    upload: Upload,
    processes: Vec<Process>,
    days: u8,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A process runs its next statement.
    Step(usize),
    /// The collector found a part to collect.
    Candidate(usize),
    /// The collector found that the upload's lease has run out.
    ExpireUpload,
    /// A process is lost, and its transaction with it.
    Lose(usize),
    /// A day goes by.
    Day,
}

/// What came of a statement.
enum Ran {
    To(At),
    /// Another has the lock.
    Waits,
    /// An error: the whole transaction again.
    Again,
    Refused,
}

impl State {
    fn first(cast: &[usize]) -> Self {
        let begins = [At::Look, At::Look, At::Begin, At::Delete, At::Idle];
        let process = |(me, at)| Process {
            at: if me == COLLECTOR || cast.contains(&me) {
                at
            } else {
                At::Refused
            },
            part: 0,
            twin: 0,
            tries: 0,
            stage: 0,
        };
        Self {
            parts: vec![Part {
                now: Some(Row {
                    finished: true,
                    age: OVER_TWO_DAYS,
                }),
                locked: None,
                next: None,
                shared: 0,
            }],
            segments: Vec::new(),
            upload: Upload {
                there: false,
                expired: false,
                locked: None,
                next: false,
            },
            processes: begins.into_iter().enumerate().map(process).collect(),
            days: 0,
        }
    }

    fn at(&self, me: usize) -> At {
        self.processes[me].at
    }

    /// References that a SELECT sees: committed, or its own.
    fn references(&self, part: usize, me: usize) -> usize {
        let counts = |s: &&Segment| {
            s.part == part && s.inserted_by.is_none_or(|by| by == me) && s.deleted_by != Some(me)
        };
        self.segments.iter().filter(counts).count()
    }

    /// The finished part that a SELECT sees.
    fn twin(&self) -> Option<(usize, Age)> {
        let mut all = self.parts.iter().enumerate();
        all.find_map(|(id, part)| {
            let row = part.now.filter(|row| row.finished)?;
            Some((id, row.age))
        })
    }

    /// Locks a part's row against changes, and with `key` against references; `false`: another has it.
    fn lock(&mut self, id: usize, me: usize, key: bool, locks: Locks) -> bool {
        let part = &mut self.parts[id];
        let referred = part.shared & !(1 << me) != 0;
        let key = key || locks == Locks::Row;
        if part.locked.is_some_and(|(by, _)| by != me) || (referred && key) {
            return false;
        }
        if part.locked.is_none() {
            part.next = part.now;
        }
        let had_key = part.locked.is_some_and(|(_, key)| key);
        part.locked = Some((me, key || had_key));
        true
    }

    /// Whether the hash may be taken; `None`: another transaction makes that uncertain.
    fn hash_is_free(&self, me: usize) -> Option<bool> {
        let has = |row: Option<Row>| row.is_some_and(|row| row.finished);
        let mut free = true;
        for part in &self.parts {
            match part.locked {
                Some((by, _)) if by == me => free &= !has(part.next),
                Some(_) if has(part.now) != has(part.next) => return None,
                Some(_) | None => free &= !has(part.now),
            }
        }
        Some(free)
    }

    fn insert(&mut self, me: usize, finished: bool) {
        self.processes[me].part = self.parts.len();
        self.parts.push(Part {
            now: None,
            locked: Some((me, true)),
            next: Some(Row { finished, age: 0 }),
            shared: 0,
        });
    }

    fn lock_upload(&mut self, me: usize) -> bool {
        if self.upload.locked.is_some_and(|by| by != me) {
            return false;
        }
        if self.upload.locked.is_none() {
            self.upload.next = self.upload.there;
        }
        self.upload.locked = Some(me);
        true
    }

    /// COMMIT or ROLLBACK.
    fn end(&mut self, me: usize, commit: bool) {
        for part in &mut self.parts {
            if part.locked.is_some_and(|(by, _)| by == me) {
                if commit {
                    part.now = part.next;
                }
                (part.locked, part.next) = (None, None);
            }
            part.shared &= !(1 << me);
        }
        self.segments.retain(|s| {
            let goes = if commit { s.deleted_by } else { s.inserted_by };
            goes != Some(me)
        });
        for segment in &mut self.segments {
            segment.inserted_by = segment.inserted_by.filter(|by| *by != me);
            segment.deleted_by = segment.deleted_by.filter(|by| *by != me);
        }
        if self.upload.locked == Some(me) {
            if commit {
                self.upload.there = self.upload.next;
            }
            self.upload.locked = None;
        }
    }
}

impl Parts {
    /// UPDATE part SET last_seen.
    fn touch(&self, s: &mut State, me: usize, id: usize, then: At) -> Ran {
        if !s.lock(id, me, false, self.locks) {
            return Ran::Waits;
        }
        // No row any more: nothing is touched, and nobody is told.
        if let Some(row) = &mut s.parts[id].next {
            row.age = 0;
        }
        Ran::To(then)
    }

    /// INSERT INTO segment: the foreign key looks at the part as it is now, and holds it.
    fn refer(&self, s: &mut State, me: usize) -> Ran {
        let id = s.processes[me].part;
        if self.foreign_key {
            let part = &mut s.parts[id];
            let there = match part.locked {
                Some((by, _)) if by == me => part.next,
                Some((_, true)) => return Ran::Waits,
                Some(_) | None => part.now,
            };
            if there.is_none() {
                return Ran::Again;
            }
            part.shared |= 1 << me;
        }
        s.segments.push(Segment {
            owner: me,
            part: id,
            inserted_by: Some(me),
            deleted_by: None,
        });
        Ran::To(At::Commit)
    }

    /// Runs a process's next statement.
    fn run(&self, s: &mut State, me: usize) -> Ran {
        let at = s.at(me);
        match at {
            At::Look => match s.twin() {
                Some((id, age)) => {
                    s.processes[me].part = id;
                    Ran::To(if age >= OVER_A_DAY {
                        At::Touch
                    } else {
                        At::Refer
                    })
                }
                None => Ran::To(At::Insert),
            },
            At::Touch => {
                let id = s.processes[me].part;
                self.touch(s, me, id, At::Refer)
            }
            At::Insert => match s.hash_is_free(me) {
                None => Ran::Waits,
                Some(false) => Ran::Again,
                Some(true) => {
                    s.insert(me, true);
                    Ran::To(At::Refer)
                }
            },
            At::Refer => self.refer(s, me),
            At::Delete => {
                let mut all = s.segments.iter_mut();
                match all.find(|s| s.owner == FIRST && s.inserted_by.is_none()) {
                    Some(segment) => segment.deleted_by = Some(me),
                    None => return Ran::Waits,
                }
                Ran::To(At::Commit)
            }
            At::Commit => {
                s.end(me, true);
                Ran::To(Self::after_commit(&mut s.processes[me], me))
            }
            At::Idle | At::Done | At::Refused => Ran::Waits,
            At::Expire | At::Lock | At::LookAgain | At::Collect => self.run_collector(s, me, at),
            _ => self.run_upload(s, me, at),
        }
    }

    fn after_commit(process: &mut Process, me: usize) -> At {
        process.stage += 1;
        match (me, process.stage) {
            (COLLECTOR, _) => {
                process.stage = 0;
                At::Idle
            }
            (UPLOAD, 1) => At::Extend,
            (UPLOAD, 2) => At::Link,
            _ => At::Done,
        }
    }

    fn run_upload(&self, s: &mut State, me: usize, at: At) -> Ran {
        let id = s.processes[me].part;
        match at {
            At::Begin => {
                s.lock_upload(me);
                s.upload.next = true;
                Ran::To(At::Stage)
            }
            At::Stage => {
                s.insert(me, false);
                Ran::To(At::Commit)
            }
            At::Extend | At::Link if !s.lock_upload(me) => Ran::Waits,
            // The lease has run out, or the collector has taken the row away.
            At::Extend | At::Link if !s.upload.there || s.upload.expired => Ran::Refused,
            At::Extend => Ran::To(At::LookTwin),
            At::Link => {
                s.upload.next = false;
                Ran::To(At::Refer)
            }
            At::LookTwin => match s.twin() {
                Some((twin, age)) => {
                    s.processes[me].twin = twin;
                    Ran::To(if age >= OVER_A_DAY {
                        At::TouchTwin
                    } else {
                        At::DropOwn
                    })
                }
                None => Ran::To(At::Finish),
            },
            At::TouchTwin => {
                let twin = s.processes[me].twin;
                self.touch(s, me, twin, At::DropOwn)
            }
            At::DropOwn if !s.lock(id, me, true, self.locks) => Ran::Waits,
            At::DropOwn => {
                s.parts[id].next = None;
                s.processes[me].part = s.processes[me].twin;
                Ran::To(At::Commit)
            }
            _ => match s.hash_is_free(me) {
                None => Ran::Waits,
                Some(false) => Ran::Again,
                Some(true) if !s.lock(id, me, true, self.locks) => Ran::Waits,
                Some(true) => {
                    if let Some(row) = &mut s.parts[id].next {
                        *row = Row {
                            finished: true,
                            age: 0,
                        };
                    }
                    Ran::To(At::Commit)
                }
            },
        }
    }

    fn run_collector(&self, s: &mut State, me: usize, at: At) -> Ran {
        let id = s.processes[me].part;
        match at {
            At::Expire if !s.lock_upload(me) => Ran::Waits,
            At::Expire => {
                s.upload.next = s.upload.there && !s.upload.expired;
                Ran::To(At::Commit)
            }
            // SELECT ... WHERE last_seen < :seen_before FOR UPDATE
            At::Lock if !s.lock(id, me, true, self.locks) => Ran::Waits,
            At::Lock => {
                let old = |row: Row| !row.finished || row.age >= OVER_TWO_DAYS;
                let found = s.parts[id].next.is_some_and(old);
                Ran::To(match (found, self.looks_again) {
                    (false, _) => At::Commit,
                    (true, true) => At::LookAgain,
                    (true, false) => At::Collect,
                })
            }
            At::LookAgain if s.references(id, me) > 0 => Ran::To(At::Commit),
            At::LookAgain => Ran::To(At::Collect),
            _ if self.foreign_key && s.references(id, me) > 0 => Ran::Again,
            _ => {
                s.parts[id].next = None;
                Ran::To(At::Commit)
            }
        }
    }

    /// The state after a process's next statement; `None`: it waits.
    fn step(&self, state: &State, me: usize) -> Option<State> {
        let mut s = state.clone();
        match self.run(&mut s, me) {
            Ran::Waits => return None,
            Ran::To(at) => s.processes[me].at = at,
            Ran::Refused => {
                s.end(me, false);
                s.processes[me].at = At::Refused;
            }
            Ran::Again => {
                s.end(me, false);
                let process = &mut s.processes[me];
                process.tries += 1;
                process.at = match (me, process.stage) {
                    // Its run ends there; the next is like it.
                    (COLLECTOR, _) => At::Refused,
                    _ if process.tries >= TRIES_MAX => At::Refused,
                    (UPLOAD, 1) => At::Extend,
                    (UPLOAD, _) => At::Link,
                    _ => At::Look,
                };
            }
        }
        Some(s)
    }

    /// Whether somebody waits, and nobody can go on.
    fn is_stuck(&self, s: &State) -> bool {
        let rests = |at| matches!(at, At::Idle | At::Done | At::Refused | At::Delete);
        let mut waiting = (0..ALL).filter(|me| !rests(s.at(*me))).peekable();
        waiting.peek().is_some() && waiting.all(|me| self.step(s, me).is_none())
    }
}

impl Model for Parts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.cast)]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for me in 0..ALL {
            if matches!(s.at(me), At::Done | At::Refused | At::Idle) {
                continue;
            }
            actions.push(Action::Step(me));
            // The others leave nothing behind that an error does not.
            if me == UPLOAD {
                actions.push(Action::Lose(me));
            }
        }
        if s.at(COLLECTOR) == At::Idle {
            let unused = |id, row: Row| {
                row.finished && row.age >= OVER_TWO_DAYS && s.references(id, COLLECTOR) == 0
            };
            let stale = |row: Row| !row.finished && row.age >= OVER_A_DAY && !s.upload.there;
            for (id, part) in s.parts.iter().enumerate() {
                if part.now.is_some_and(|row| unused(id, row) || stale(row)) {
                    actions.push(Action::Candidate(id));
                }
            }
            if s.upload.there && s.upload.expired {
                actions.push(Action::ExpireUpload);
            }
        }
        if s.days < DAYS_MAX {
            actions.push(Action::Day);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut s = state.clone();
        match action {
            Action::Step(me) => return self.step(state, me),
            Action::Candidate(id) => {
                s.processes[COLLECTOR].part = id;
                s.processes[COLLECTOR].at = At::Lock;
            }
            Action::ExpireUpload => s.processes[COLLECTOR].at = At::Expire,
            Action::Lose(me) => {
                s.end(me, false);
                s.processes[me].at = At::Refused;
            }
            Action::Day => {
                s.days += 1;
                let versions = s.parts.iter_mut().flat_map(|p| [&mut p.now, &mut p.next]);
                for row in versions.flatten() {
                    row.age = (row.age + 1).min(OVER_TWO_DAYS);
                }
                s.upload.expired |= s.upload.there;
            }
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no reference without its part", |_, s: &State| {
                let dangles = |segment: &Segment| {
                    let part = &s.parts[segment.part];
                    segment.inserted_by.is_none() && !part.now.is_some_and(|row| row.finished)
                };
                !s.segments.iter().any(dangles)
            }),
            Property::always(
                "no part that is referred to is collected",
                |_, s: &State| {
                    // In the moment before the collector commits.
                    let goes = |part: &Part| {
                        part.locked.is_some_and(|(by, _)| by == COLLECTOR) && part.next.is_none()
                    };
                    !s.segments
                        .iter()
                        .any(|segment| goes(&s.parts[segment.part]))
                },
            ),
            Property::always("a hash has one part", |_, s: &State| {
                let finished = |part: &&Part| part.now.is_some_and(|row| row.finished);
                s.parts.iter().filter(finished).count() <= 1
            }),
            Property::always("what was acknowledged is there", |_, s: &State| {
                let has = |me: usize| s.segments.iter().any(|segment| segment.owner == me);
                let purged = |me: usize| me == FIRST && s.at(PURGE) == At::Done;
                let all = [FIRST, SECOND, UPLOAD].into_iter();
                { all }.all(|me| s.at(me) != At::Done || has(me) || purged(me))
            }),
            Property::always("nobody waits for ever", |model: &Self, s: &State| {
                !model.is_stuck(s)
            }),
            Property::always("the collector meets no foreign key", |_, s: &State| {
                s.at(COLLECTOR) != At::Refused
            }),
            Property::sometimes("the old part is collected", |_, s: &State| {
                s.parts[0].now.is_none()
            }),
            Property::sometimes("the old part is found by all", |model: &Self, s: &State| {
                let found = |me: &usize| *me == PURGE || s.at(*me) == At::Done;
                model.cast.iter().all(found) && s.segments.iter().all(|segment| segment.part == 0)
            }),
            Property::sometimes("a part that went is stored again", |_, s: &State| {
                let again = |p: &Process| p.at == At::Done && p.tries > 0 && p.part > 0;
                s.processes.iter().any(again)
            }),
        ]
    }
}
