//! Random sequences of operations: two stores answer alike.

use dbmail_core::store::{
    ChangeKind, FetchItems, FlagChange, MailboxName, ModSeq, SpecialUse, SystemFlags, UidSet,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::op::{Letter, Look, Named, Op, To, USERS, Which};
use super::show::Driven;
use super::subject::{Reference, Sql, Subject};
use crate::world::{kind, on_each_kind};
use dbmail_testcontainers::Kind;

/// Few names, so that operations meet; with trees, special uses and the end of what a name may be.
const NAMES: [&str; 13] = [
    "INBOX",
    "INBOX",
    "INBOX",
    "a",
    "a",
    "a/b",
    "a/b/c",
    "b",
    "INBOX/x",
    "Trash",
    "Sent",
    "x/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18",
    "nowhere",
];

fn named() -> impl Strategy<Value = Named> {
    let user = prop_oneof![9 => Just(0), 1 => Just(1)];
    (user, select(&NAMES[..])).prop_map(|(user, name)| Named {
        user,
        name: MailboxName::new(name).expect("a name"),
    })
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        8 => named().prop_map(Which::Named),
        2 => (0usize..20).prop_map(Which::Seen),
    ]
}

fn uids() -> impl Strategy<Value = UidSet> {
    let range = prop_oneof![
        4 => (1u32..12).prop_map(|n| n..=n),
        4 => (1u32..12, 0u32..12).prop_map(|(low, more)| low..=low + more),
        1 => (1u32..12).prop_map(|low| low..=u32::MAX),
    ];
    proptest::collection::vec(range, 0..4).prop_map(UidSet::from_ranges)
}

fn flag_names() -> impl Strategy<Value = Vec<String>> {
    let known = [
        "\\Seen",
        "\\Deleted",
        "\\Deleted",
        "\\Flagged",
        "Work",
        "wORK",
        "$Junk",
    ];
    proptest::collection::vec(select(known.map(str::to_owned).to_vec()), 0..3)
}

fn letter() -> impl Strategy<Value = Option<Letter>> {
    let size = prop_oneof![6 => Just(0usize), 2 => 1usize..2_000, 1 => 15_000usize..40_000];
    let look = select(vec![Look::Bare, Look::Received, Look::Parts, Look::Loose]);
    let letter =
        (0u8..4, size, look).prop_map(|(number, size, look)| Letter { number, size, look });
    prop_oneof![19 => letter.prop_map(Some), 1 => Just(None)]
}

fn items() -> impl Strategy<Value = FetchItems> {
    let any_of_them = proptest::array::uniform8(any::<bool>()).prop_map(
        |[
            flags,
            modseq,
            dates,
            place,
            envelope,
            structure,
            header,
            content,
        ]| FetchItems {
            flags,
            modseq,
            dates,
            place,
            envelope,
            structure,
            header,
            content,
        },
    );
    // What a front-end may answer from memory.
    let bare = any::<bool>().prop_map(|flags| FetchItems {
        flags,
        ..FetchItems::default()
    });
    prop_oneof![2 => any_of_them, 1 => bare]
}

fn to() -> impl Strategy<Value = To> {
    let address = select(vec![
        "alice@example.org",
        "Alice@example.org",
        "bob@example.org",
    ]);
    (address, named(), flag_names()).prop_map(|(address, mailbox, flags)| To {
        address: address.to_owned(),
        mailbox,
        flags,
    })
}

fn special_use() -> impl Strategy<Value = Option<SpecialUse>> {
    let uses = SpecialUse::ALL.map(|(usage, ..)| usage).to_vec();
    prop_oneof![4 => Just(None), 1 => select(uses).prop_map(Some)]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let how = select(vec![
        FlagChange::Add,
        FlagChange::Remove,
        FlagChange::Replace,
    ]);
    let since = prop_oneof![4 => Just(None), 1 => (0u64..12).prop_map(|n| Some(ModSeq(n)))];
    let waits = vec![1, 600, 3_600, 90_000, 604_800];
    let deleted = select(vec![0, 90_000, 700_000]);
    let log = select(vec![0, 90_000, 700_000]);
    prop_oneof![
        1 => select(waits).prop_map(Op::Wait),
        1 => (0..USERS.len(), any::<bool>()).prop_map(|(user, on)| Op::Enable(user, on)),
        1 => select(vec!["alice", "bOB@Example.org", "x"]).prop_map(|a| Op::Resolve(a.to_owned())),
        5 => (named(), special_use()).prop_map(|(name, usage)| Op::Create(name, usage)),
        2 => named().prop_map(Op::Delete),
        3 => (named(), named()).prop_map(|(from, mut to)| {
            to.user = from.user;
            Op::Rename(from, to)
        }),
        1 => (named(), any::<bool>()).prop_map(|(name, on)| Op::Subscribe(name, on)),
        2 => (named(), any::<bool>()).prop_map(|(name, claim)| Op::Open(name, claim)),
        2 => (which(), 0u64..15).prop_map(|(which, since)| Op::Changes(which, ModSeq(since))),
        3 => (which(), uids(), items()).prop_map(|(which, uids, items)| Op::Fetch(which, uids, items)),
        1 => (1usize..10, 0u64..20_000, 0u64..20_000).prop_map(|(c, a, b)| Op::Read(c, a, b)),
        8 => (which(), uids(), how, flag_names(), since)
            .prop_map(|(which, uids, how, flags, since)| Op::Store(which, uids, how, flags, since)),
        4 => (which(), proptest::option::of(uids())).prop_map(|(which, uids)| Op::Expunge(which, uids)),
        6 => (any::<bool>(), which(), uids(), named())
            .prop_map(|(moves, which, uids, to)| Op::Transfer(moves, which, uids, to)),
        8 => (named(), letter(), flag_names()).prop_map(|(name, letter, flags)| {
            Op::Append(name, letter, flags, None)
        }),
        2 => (deleted, log).prop_map(|(deleted, log)| Op::Purge(deleted, log)),
        4 => (which(), uids(), proptest::option::weighted(0.3, named()))
            .prop_map(|(which, uids, to)| Op::Undelete(which, uids, to)),
        6 => (letter(), proptest::collection::vec(to(), 0..4))
            .prop_map(|(letter, recipients)| Op::Deliver(letter, recipients)),
    ]
}

/// Looks that are taken after every operation, and at the end at everything.
fn looks<A: Subject>(driven: &Driven<A>, last: bool) -> Vec<Op> {
    let mut looks: Vec<Op> = (0..USERS.len()).map(Op::List).collect();
    if last {
        looks.extend((1..=driven.mailboxes_seen()).flat_map(|seen| driven.looks_at(seen)));
    }
    looks
}

/// Both stores answer every operation alike. What went before is told as a script.
fn alike<A: Subject, B: Subject>(ops: &[Op]) -> Result<(), TestCaseError> {
    let (mut a, mut b) = (Driven::<A>::new(), Driven::<B>::new());
    let mut script = String::new();
    for (n, op) in ops.iter().enumerate() {
        script.push_str(&format!("> {op}\n"));
        let (x, y) = (a.run(op), b.run(op));
        prop_assert_eq!(x, y, "\n{}", script);
        for look in looks(&a, n + 1 == ops.len()) {
            let (x, y) = (a.run(&look), b.run(&look));
            prop_assert_eq!(x, y, "\n{}> {}", script, look);
        }
    }
    Ok(())
}

/// What must hold of every mailbox, by what the store itself says of it.
fn lawful<S: Subject>(driven: &mut Driven<S>) {
    for user in 0..USERS.len() {
        for (mailbox, changes, messages) in driven.everything(user) {
            let name = &mailbox.name;
            assert_eq!(changes.through, mailbox.modseq, "{name}");
            let uids: UidSet = messages.iter().map(|m| m.uid).collect();
            let mut there = UidSet::new();
            let mut named = std::collections::BTreeMap::new();
            let mut last = (ModSeq(1), None);
            if changes.forgotten {
                // What the purged changes left: all that is not said to have come since.
                let later = changes.entries.iter();
                let later = later.filter(|change| change.what == ChangeKind::Appeared);
                let later = later.fold(UidSet::new(), |all, change| all.union(&change.uids));
                let gone = changes
                    .entries
                    .iter()
                    .filter(|c| c.what == ChangeKind::Vanished);
                let gone = gone.fold(uids.clone(), |all, change| all.union(&change.uids));
                there = gone.difference(&later);
            }
            for change in &changes.entries {
                let this = (change.modseq, Some(change.what));
                assert!(last < this, "{name}: {this:?} after {last:?}");
                last = this;
                assert!(!change.uids.is_empty());
                match change.what {
                    ChangeKind::Appeared => {
                        assert!(named.last_key_value().map(|(uid, _)| *uid) < change.uids.first());
                        there = there.union(&change.uids);
                    }
                    ChangeKind::Flagged => {
                        assert!(change.uids.difference(&there).is_empty(), "{name}");
                    }
                    ChangeKind::Vanished => {
                        assert!(change.uids.difference(&there).is_empty(), "{name}");
                        there = there.difference(&change.uids);
                    }
                }
                named.extend(change.uids.iter().map(|uid| (uid, change.modseq)));
            }
            assert_eq!(there, uids, "{name}: the log makes other messages");
            for message in &messages {
                match named.get(&message.uid) {
                    Some(modseq) => assert_eq!(message.modseq, *modseq, "{name}"),
                    None => assert!(changes.forgotten, "{name}"),
                }
            }
            let has = |flag| {
                messages
                    .iter()
                    .filter(move |m| m.flags.system.contains(flag))
            };
            let seen = has(SystemFlags::SEEN).count();
            let deleted = has(SystemFlags::DELETED).count();
            let counters = [mailbox.messages, mailbox.unseen, mailbox.deleted];
            let counted = [messages.len(), messages.len() - seen, deleted];
            assert_eq!(counters.map(|n| n as usize), counted, "{name}");
            let bytes = messages.iter().map(|m| m.size);
            assert_eq!(mailbox.bytes, bytes.sum::<u64>(), "{name}");
            assert!(named.keys().max() < mailbox.uid_next.as_ref(), "{name}");
        }
    }
}

/// How many sequences, from `DBMAIL_CASES_RANDOM` or as many as a usual run has time for.
fn sequences(usual: u32) -> ProptestConfig {
    let told = std::env::var("DBMAIL_CASES_RANDOM").ok();
    let cases = told.and_then(|text| text.parse().ok()).unwrap_or(usual);
    eprintln!("{cases} random sequences");
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    }
}

#[test]
fn every_operation_reads_back_from_its_text() {
    proptest!(sequences(256), |(op in op())| {
        let text = op.to_string();
        prop_assert_eq!(text.parse::<Op>().expect(&text), op);
    });
}

#[test]
fn the_reference_store_keeps_its_own_laws() {
    proptest!(sequences(128), |(ops in proptest::collection::vec(op(), 1..60))| {
        let mut driven = Driven::<Reference>::new();
        for op in &ops {
            driven.run(op);
        }
        lawful(&mut driven);
    });
}

#[test]
fn the_sql_store_answers_as_the_reference_store() {
    on_each_kind(|| {
        // A server makes a database in a second where SQLite copies a file.
        let usual = if kind() == Kind::Sqlite { 48 } else { 12 };
        proptest!(sequences(usual), |(ops in proptest::collection::vec(op(), 1..40))| {
            alike::<Reference, Sql>(&ops)?;
        });
    });
}
