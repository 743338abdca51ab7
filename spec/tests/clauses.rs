//! The ledger, the tests and the page made from both agree.

use std::collections::BTreeSet;

use dbmail_spec::clauses::{Status, ledgers, matrix, named, root};

#[test]
fn every_clause_has_an_id_of_its_own_and_a_reason_where_it_is_not_tested() {
    let mut ids = BTreeSet::new();
    for ledger in ledgers().unwrap() {
        for clause in ledger.clause {
            assert!(ids.insert(clause.id.clone()), "{} stands twice", clause.id);
            assert!(
                clause.status != Status::Deviation || clause.reason.is_some(),
                "{} deviates without a reason",
                clause.id
            );
        }
    }
}

#[test]
fn every_tested_clause_has_a_test_and_every_named_clause_exists() {
    let named = named().unwrap();
    let mut known = BTreeSet::new();
    for ledger in ledgers().unwrap() {
        for clause in ledger.clause {
            if clause.status == Status::Tested {
                assert!(
                    named.contains_key(&clause.id),
                    "no test names {}",
                    clause.id
                );
            }
            known.insert(clause.id);
        }
    }
    let unknown: Vec<_> = named.keys().filter(|id| !known.contains(*id)).collect();
    assert!(
        unknown.is_empty(),
        "tests name clauses that no ledger has: {unknown:?}"
    );
}

#[test]
fn the_conformance_page_is_fresh() {
    let path = root().join("docs/conformance.md");
    let wanted = matrix().unwrap();
    if std::env::var_os("DBMAIL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == wanted,
        "docs/conformance.md is stale: DBMAIL_WRITE_DOCS=1 cargo test -p dbmail-spec"
    );
}
