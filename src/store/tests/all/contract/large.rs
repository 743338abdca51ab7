//! A mailbox of 8,192 messages: pages, wide and scattered sets, a log of several answers.

use dbmail_core::limits::CHANGES_MAX;

use super::op::Op;
use super::show::Driven;
use super::subject::{Reference, Sql, Subject};
use crate::world::on_each_kind;

/// Every third UID up to the end: as scattered as a set can be that is not dense.
fn scattered() -> String {
    let every_third: Vec<String> = (1..8_192).step_by(3).map(|n| n.to_string()).collect();
    every_third.join(",")
}

fn script() -> Vec<String> {
    let mut script = vec!["append INBOX p1x20000 \\Seen Work".to_owned()];
    script.extend((0..13).map(|_| "copy INBOX 1:* INBOX".to_owned()));
    let thirds = scattered();
    script.extend([
        "status INBOX".to_owned(),
        "fetch INBOX 1:* f".to_owned(),
        format!("store INBOX {thirds} + \\Flagged Third"),
        format!("store INBOX 1:100,{thirds},8000:9000 - \\Seen Work"),
        "store INBOX 4000:* + \\Deleted since 15".to_owned(),
        format!("store INBOX {thirds} + \\Deleted"),
        format!("fetch INBOX {thirds} f"),
        "fetch INBOX 1:* fes".to_owned(),
        "fetch INBOX 1:300 fc".to_owned(),
        format!("copy INBOX {thirds} Sent"),
        "select Sent".to_owned(),
        "expunge INBOX 1:6000".to_owned(),
        "status INBOX".to_owned(),
        "fetch INBOX 1:* f".to_owned(),
        "expunge INBOX".to_owned(),
        "select INBOX".to_owned(),
        format!("move INBOX {thirds},2:4000 Archive"),
        "fetch Archive 1:* f".to_owned(),
        "move Archive 1:* Archive".to_owned(),
        "status INBOX".to_owned(),
        "status Archive".to_owned(),
        "changes INBOX 0".to_owned(),
        "changes Archive 0".to_owned(),
        "changes Sent 0".to_owned(),
        "rename Archive A".to_owned(),
        "delete A".to_owned(),
        "status Sent".to_owned(),
    ]);
    for n in 0..CHANGES_MAX + 10 {
        let how = ["+", "-"][n % 2];
        script.push(format!("store Sent 7 {how} \\Answered"));
    }
    script.push("changes Sent 0".to_owned());
    script.push(format!("changes Sent {CHANGES_MAX}"));
    script
}

fn answers<S: Subject>(script: &[String]) -> Vec<String> {
    let mut driven = Driven::<S>::new();
    let op = |line: &String| -> Op { line.parse().expect("an operation") };
    script.iter().map(|line| driven.run(&op(line))).collect()
}

#[test]
fn the_sql_store_answers_as_the_reference_store_about_a_large_mailbox() {
    on_each_kind(alike);
}

fn alike() {
    let script = script();
    let (a, b) = (answers::<Reference>(&script), answers::<Sql>(&script));
    for (line, (a, b)) in script.iter().zip(a.iter().zip(&b)) {
        let line: String = line.chars().take(60).collect();
        for (a, b) in a.lines().zip(b.lines()) {
            assert_eq!(b, a, "{line}");
        }
        assert_eq!(b.len(), a.len(), "{line}");
    }
}
