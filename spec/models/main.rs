//! Models of protocols, explored in full: every order of their steps, within small bounds. `spec/README.md` says what
//! each shows.

#![allow(clippy::indexing_slicing, clippy::panic, missing_docs)]

mod parts;

use parts::{FIRST, Locks, PURGE, Parts, SECOND, UPLOAD};
use stateright::{Checker, HasDiscoveries, Model};

/// Two deliveries, one of them purged later; an upload beside one, and beside two.
const CASTS: [&[usize]; 3] = [
    &[FIRST, SECOND, PURGE],
    &[FIRST, UPLOAD, PURGE],
    &[FIRST, SECOND, UPLOAD],
];
const LOCKS: [Locks; 2] = [Locks::KeyShare, Locks::Row];

/// The protocol on each kind of database with each cast.
fn each(foreign_key: bool, looks_again: bool) -> impl Iterator<Item = Parts> {
    let pairs = CASTS
        .into_iter()
        .flat_map(|cast| LOCKS.map(|locks| (cast, locks)));
    pairs.map(move |(cast, locks)| Parts {
        cast,
        locks,
        foreign_key,
        looks_again,
    })
}

/// Explores all states; says how many there were.
fn explored(model: Parts) -> impl Checker<Parts> {
    let name = format!("{model:?}");
    // Also what is found already is looked for to the end: the count is of all states.
    let checker = model.checker().finish_when(HasDiscoveries::All);
    let checker = checker.threads(2).spawn_bfs().join();
    println!("{name}: {} states", checker.unique_state_count());
    checker
}

#[test]
fn the_part_store_keeps_every_part_that_is_referred_to() {
    for model in each(true, true) {
        let checker = explored(model);
        assert!(checker.is_done() && checker.unique_state_count() > 1_000);
        checker.assert_properties();
    }
}

#[test]
fn without_the_foreign_key_a_reference_loses_its_part() {
    for looks_again in [true, false] {
        for model in each(false, looks_again) {
            let lost = "no reference without its part";
            let until = HasDiscoveries::AnyOf([lost].into());
            let checker = model.checker().finish_when(until).spawn_bfs().join();
            let path = checker.discovery(lost).map(|path| path.into_actions());
            assert!(path.is_some());
        }
    }
}

#[test]
fn a_collector_that_does_not_look_again_is_saved_by_the_foreign_key_alone() {
    // An upload beside two deliveries has ten times the states, and shows the same.
    for model in each(true, false).filter(|model| model.cast != CASTS[2]) {
        let checker = explored(model);
        let found = |name| checker.discovery(name).is_some();
        assert!(found("the collector meets no foreign key"));
        assert!(!found("no reference without its part"));
        assert!(!found("no part that is referred to is collected"));
        assert!(!found("what was acknowledged is there"));
    }
}
