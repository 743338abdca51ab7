//! The connection to the database breaks at any message of a request, in either direction: the request is done once and
//! said to be done, or it is not done and said to be refused; a delivery that is asked again is done once; and the store
//! goes on by itself (docs/design/broken-connections.md).

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::time::Instant;

use dbmail_store::Settings;
use dbmail_testcontainers::{Database, Fault, Kind, Proxy, Reach, Strike, Way, kinds_at_hand};

use crate::contract::{Driven, Op, Reference, Sql, Subject};

/// What is in every account before.
const TEMPLATE: [&str; 4] = [
    "create t",
    "append t r1 \\Seen Work",
    "append t p2x20000 \\Deleted",
    "append t r3 Work",
];

/// What is done before each request; `%` stands for the number of the case.
const BEFORE: [&str; 4] = ["create m%", "create m%/n", "copy t 1:3 m%", "copy t 1 m%/n"];

/// What is asked while the connection breaks.
const REQUESTS: [&str; 14] = [
    "deliver r9 alice%@example.org>m%",
    "deliver p9x40000 alice%@example.org>m% alias%@example.org>m%/n+\\Flagged+New",
    "append m% r9 \\Flagged New",
    "store m% 1:3 + \\Flagged New",
    "copy m% 1:3 m%/n",
    "move m% 1:3 m%/n",
    "expunge m%",
    "create c%",
    "rename m% c%",
    "delete m%/n",
    "subscribe m%",
    "select m%",
    "fetch m% 1:* fc",
    "resolve alice@example.org",
];

/// What can be seen of what a request may have changed.
const LOOKS: [&str; 8] = [
    "status m%",
    "status m%/n",
    "status c%",
    "status c%/n",
    "changes m% 0",
    "changes m%/n 0",
    "fetch m% 1:* fc",
    "fetch m%/n 1:* f",
];

/// Most messages of a request in one direction.
const MESSAGES_MAX: u64 = 500;
/// Cases for which one account has room.
const CASES_OF_ACCOUNT: u32 = 100;

/// The text of a case, and what was said in it, without its number.
fn op(text: &str, case: &str) -> Op {
    text.replace('%', case).parse().expect(text)
}

fn prepare(driven: &mut Driven<impl Subject>, lines: &[&str], case: &str) {
    for line in lines {
        let said = driven.run(&op(line, case));
        assert!(!said.starts_with("NO"), "{line}: {said}");
    }
}

/// All that a request may have changed, by one who never looked before.
fn look(driven: &Driven<impl Subject + Clone>, case: &str) -> String {
    let mut driven = driven.fresh();
    let all: Vec<String> = LOOKS
        .iter()
        .map(|look| driven.run(&op(look, case)))
        .collect();
    all.join("\n")
}

/// What a request does, by the reference store.
struct Expected {
    /// What is seen before and after.
    seen: [String; 2],
    reply: String,
    /// The reply of a SELECT that could not claim what is recent, or does not know whether it did: then nothing is (STORAGE 18).
    unclaimed: Option<String>,
    /// The reply when it is asked once more after it was done.
    again: String,
}

impl Expected {
    fn of(mut driven: Driven<Reference>, request: &Op, case: &str) -> Self {
        prepare(&mut driven, &BEFORE, case);
        let before = look(&driven, case);
        driven = driven.fresh();
        let reply = driven.run(request);
        let after = look(&driven, case);
        driven = driven.fresh();
        let claimed = "recent 1:3 ";
        let unclaimed = matches!(request, Op::Open(..)).then(|| {
            assert!(reply.contains(claimed), "{reply}");
            reply.replace(claimed, "recent - ")
        });
        Self {
            seen: [before, after],
            reply,
            unclaimed,
            again: driven.run(request),
        }
    }
}

/// A store behind a proxy.
struct World {
    store: Sql,
    proxy: Proxy,
    /// Kept as long as the store is used.
    _database: Database,
    users: Driven<Sql>,
    reference: Driven<Reference>,
    cases: u32,
}

impl World {
    fn new(kind: Kind) -> Self {
        let database = Database::fresh(kind).expect("a database");
        let proxy = Proxy::before(&database).expect("a proxy");
        let store = Sql::set(Settings {
            url: proxy.url().to_owned(),
            readers: 1,
            writers: 1,
            committers: 1,
            background_seconds: 0,
            ..Settings::default()
        });
        Self {
            users: with_template(store.clone(), "0"),
            reference: with_template(Reference::new(), ""),
            store,
            proxy,
            _database: database,
            cases: 0,
        }
    }

    /// Asks while the fault is armed; whether it struck, and at a turn.
    fn cut(&mut self, request: &str, fault: Fault) -> (bool, bool) {
        self.cases += 1;
        if self.cases.is_multiple_of(CASES_OF_ACCOUNT) {
            self.users = with_template(self.store.clone(), &self.cases.to_string());
        }
        let case = &format!("{:04}", self.cases);
        let op = op(request, case);
        let expected = Expected::of(self.reference.clone(), &op, case);
        let mut driven = self.users.fresh();
        prepare(&mut driven, &BEFORE, case);
        driven = driven.fresh();
        self.proxy.arm(fault);
        let reply = driven.run(&op);
        let (struck, turned) = (self.proxy.has_struck(), self.proxy.has_turned());
        self.proxy.heal();
        let seen = look(&driven, case);
        let what = format!("{op} with {fault:?}: {reply}");
        if reply == expected.reply {
            same(&seen, &expected.seen[1], &what);
        } else if Some(&reply) == expected.unclaimed.as_ref() {
            assert!(struck, "{what}");
            assert!(expected.seen.contains(&seen), "{what}: there is\n{seen}");
        } else {
            assert_eq!(reply, "NO Unavailable", "{what}");
            assert!(struck, "{what}");
            same(&seen, &expected.seen[0], &what);
            assert_eq!(driven.fresh().run(&op), expected.reply, "{what}");
            same(&look(&driven, case), &expected.seen[1], &what);
        }
        if matches!(op, Op::Deliver(..)) {
            assert_eq!(driven.fresh().run(&op), expected.again, "{what}");
            same(&look(&driven, case), &expected.seen[1], &what);
        }
        (struck, turned)
    }
}

fn with_template<S: Subject + Clone>(store: S, who: &str) -> Driven<S> {
    let mut users = Driven::with_users(store, who);
    prepare(&mut users, &TEMPLATE, "");
    users.fresh()
}

fn same(seen: &str, expected: &str, what: &str) {
    assert!(
        seen == expected,
        "{what}: there is\n{seen}\nand not\n{expected}"
    );
}

fn each_message_of_each_request(kind: Kind) {
    if !kinds_at_hand().contains(&kind) {
        eprintln!("not run: no {}", kind.name());
        return;
    }
    let begun = Instant::now();
    let mut world = World::new(kind);
    for request in REQUESTS {
        let begun = Instant::now();
        let mut cuts = 0;
        for way in Way::ALL {
            let fault = |message, strike| Fault {
                way,
                message,
                strike,
                reach: Reach::One,
            };
            for message in 1..=MESSAGES_MAX {
                let before = fault(message, Strike::CutBefore);
                let (struck, turned) = world.cut(request, before);
                cuts += u32::from(struck);
                if message > 1 && (!struck || turned) {
                    let after = fault(message - 1, Strike::CutAfter);
                    let (struck, _) = world.cut(request, after);
                    cuts += u32::from(struck);
                }
                if !struck {
                    break;
                }
                assert!(message < MESSAGES_MAX, "{request} has no end");
            }
        }
        eprintln!("{request}: {cuts} cuts, {:?}", begun.elapsed());
    }
    eprintln!("{:?} in all", begun.elapsed());
}

#[test]
fn a_request_is_done_once_or_not_at_all_wherever_the_connection_to_postgres_is_cut() {
    each_message_of_each_request(Kind::Postgres);
}

#[test]
fn a_request_is_done_once_or_not_at_all_wherever_the_connection_to_mariadb_is_cut() {
    each_message_of_each_request(Kind::MariaDb);
}

#[test]
fn a_request_is_done_once_or_not_at_all_wherever_the_connection_to_mysql_is_cut() {
    each_message_of_each_request(Kind::MySql);
}
