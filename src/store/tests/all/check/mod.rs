//! `Store::check` finds what is wrong and nothing else, and `Store::repair` mends what can be mended.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

mod beside;
mod long;
mod planted;
mod plants;

use std::collections::BTreeSet;

use dbmail_store::{Check, CheckNews, Checked, Fault, FaultKind, Store};
use proptest::prelude::*;

use super::contract::{Driven, Sql, random_op};
use super::world::on_each_kind;

/// Checks everything; what came of it, and the faults in the order of their finding.
pub(crate) async fn checked(store: &Store, what: &Check) -> (Checked, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut tell = |news| {
        if let CheckNews::Fault(fault) = news {
            faults.push(fault);
        }
    };
    let checked = store.check(what, &mut tell).await.expect("checked");
    (checked, faults)
}

/// The kinds of what was found.
pub(crate) fn kinds(checked: &Checked) -> BTreeSet<FaultKind> {
    checked.kinds.keys().copied().collect()
}

/// Checks everything, and fails on the first fault.
pub(crate) async fn assert_clean(store: &Store, when: &str) -> Checked {
    let (checked, faults) = checked(store, &Check::default()).await;
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{when}: {faults:#?}");
    assert_eq!(checked.faults(), 0, "{when}");
    assert!(checked.plan.is_empty(), "{when}");
    checked
}

#[test]
fn a_store_after_random_requests_is_clean() {
    on_each_kind(|| {
        let config = ProptestConfig {
            cases: 6,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(ops in proptest::collection::vec(random_op(), 1..120))| {
            let mut driven = Driven::<Sql>::new();
            for op in &ops {
                driven.run(op);
            }
            let store = driven.store.store();
            driven.store.run(async {
                let all = assert_clean(&store, "random requests").await;
                prop_assert!(all.looked.users >= 2 && all.looked.mailboxes >= 12);
                for user in ["alice", "bob"] {
                    let one = Check { user: Some(user.to_owned()), quick: false };
                    let (one, faults) = checked(&store, &one).await;
                    prop_assert_eq!(faults, vec![]);
                    prop_assert_eq!(one.looked.users, 1);
                }
                Ok(())
            })?;
        });
    });
}
