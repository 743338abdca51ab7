//! Scripted cases, in `cases/*.txt`: below a sentence, operations (`> ...`) on a new store and its answers.
//!
//! `DBMAIL_CASES=write` writes the reference store's answers into the files, to be read before they are committed.

use std::fs;
use std::path::Path;

use super::op::Op;
use super::show::Driven;
use super::subject::{Reference, Sql, Subject};

/// Runs every case of a file and says everything again as it came out.
fn transcript<S: Subject>(text: &str) -> String {
    let mut driven: Option<Driven<S>> = None;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(op) = line.strip_prefix("> ") {
            let op: Op = op.parse().expect(line);
            let driven = driven.get_or_insert_with(Driven::new);
            let answer = driven.run(&op);
            out.push_str(&format!("{line}\n{answer}\n"));
        } else if line.starts_with("# ") {
            // A sentence begins a case; its store is new. Numbers 1 to 12 are what the two users have at first.
            let blank = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{blank}{line}\n"));
            driven = None;
        }
    }
    out
}

fn check<S: Subject>(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/contract/cases");
    let path = folder.join(name);
    let text = fs::read_to_string(&path).expect(name);
    let seen = transcript::<S>(&text);
    assert!(seen.contains("> "), "no case in {name}");
    if std::env::var_os("DBMAIL_CASES").is_some_and(|how| how == "write") {
        fs::write(&path, transcript::<Reference>(&text)).expect(name);
        return;
    }
    for (n, (expected, got)) in text.lines().zip(seen.lines()).enumerate() {
        assert_eq!(got, expected, "{name}, line {}", n + 1);
    }
    assert_eq!(
        text.lines().count(),
        seen.lines().count(),
        "{name} ends early"
    );
}

macro_rules! cases {
    ($($name:ident)*) => {
        mod reference {
            use super::*;
            $(#[test] fn $name() { check::<Reference>(concat!(stringify!($name), ".txt")); })*
        }
        mod sql {
            use super::*;
            $(#[test] fn $name() {
                crate::world::on_each_kind(|| check::<Sql>(concat!(stringify!($name), ".txt")));
            })*
        }
    };
}

cases! { mailboxes messages transfers delivery retention }
