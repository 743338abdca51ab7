//! The ledger, the tests and the page made from both agree.

use std::collections::BTreeSet;

use dbmail_core::session::{Input, Output, Session as _};
use dbmail_core::store::Timestamp;
use dbmail_core::{imap, lmtp};
use dbmail_spec::clauses::{Status, capabilities, ledgers, matrix, named, root};
use dbmail_spec::demands::demands;

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
fn every_demand_of_a_ledger_is_a_clause_or_has_a_reason_to_be_none() {
    let mut count = 0;
    for ledger in ledgers().unwrap() {
        let ids: BTreeSet<_> = ledger.clause.iter().map(|clause| &clause.id).collect();
        for (section, fates) in ledger.demands.unwrap_or_default() {
            for fate in fates {
                let reason = fate.strip_prefix("not served: ");
                assert!(
                    matches!(fate.as_str(), "client" | "words")
                        || reason.is_some_and(|reason| !reason.trim().is_empty())
                        || ids.contains(&fate),
                    "{} {section}: {fate}",
                    ledger.rfc
                );
                count += 1;
            }
        }
    }
    assert!(count > 0, "no demand in any ledger");
}

#[test]
fn the_demands_of_a_ledger_are_as_many_as_the_text_has_in_each_section() {
    let folder = std::env::var_os("DBMAIL_RFC_TEXTS")
        .map_or_else(|| root().join("../shared/rfc"), std::path::PathBuf::from);
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    if !folder.is_dir() {
        assert!(
            !(ci && root().join("../shared").exists()),
            "no {}",
            folder.display()
        );
        eprintln!("SKIPPED: no RFC texts in {}", folder.display());
        return;
    }
    for ledger in ledgers().unwrap() {
        let Some(fates) = ledger.demands else {
            continue;
        };
        let file = ledger.rfc.replace("RFC ", "rfc") + ".txt";
        let text = std::fs::read(folder.join(&file)).unwrap();
        let found = demands(&String::from_utf8_lossy(&text));
        let sections: BTreeSet<_> = found.keys().chain(fates.keys()).collect();
        for section in sections {
            let words = found.get(section).map_or(&[][..], Vec::as_slice);
            let fates = fates.get(section).map_or(&[][..], Vec::as_slice);
            assert_eq!(
                fates.len(),
                words.len(),
                "{} {section}: {words:?} are {fates:?}",
                ledger.rfc
            );
        }
    }
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

/// What LHLO offers, as a client hears it.
fn offered_by_lmtp() -> Vec<String> {
    let mut session = lmtp::Session::new(lmtp::Config {
        host: "mail.example".into(),
        peer: "127.0.0.1".into(),
        tls: lmtp::Tls::Available,
        message_bytes_max: 1000,
        connection: 1,
    });
    let (now, mut out) = (Timestamp(0), Vec::new());
    session.open(now, &mut out);
    session.step(now, Input::Room(1 << 16), &mut out);
    out.clear();
    session.step(now, Input::Bytes(b"LHLO x\r\n"), &mut out);
    let mut said = Vec::new();
    for output in &out {
        if let Output::Send(octets) = output {
            said.extend_from_slice(octets);
        }
    }
    let said = String::from_utf8_lossy(&said);
    let keyword = |line: &str| line.split(['-', ' ']).nth(1).map(str::to_owned);
    said.lines().skip(1).filter_map(keyword).collect()
}

#[test]
fn every_advertised_capability_has_a_test_that_names_it() {
    let by_imap = imap::capability::EXTENSIONS.iter();
    let mut advertised: BTreeSet<String> = by_imap.map(|e| e.capability.to_owned()).collect();
    let by_lmtp = offered_by_lmtp();
    assert!(by_lmtp.len() > 5, "{by_lmtp:?}");
    advertised.extend(by_lmtp.iter().map(|keyword| format!("LMTP {keyword}")));
    let named: BTreeSet<String> = capabilities().unwrap().into_keys().collect();
    let untested: Vec<_> = advertised.difference(&named).collect();
    assert!(
        untested.is_empty(),
        "advertised without a test: {untested:?}"
    );
    let unknown: Vec<_> = named.difference(&advertised).collect();
    assert!(
        unknown.is_empty(),
        "tests name what is not advertised: {unknown:?}"
    );
}
