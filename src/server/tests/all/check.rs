//! `dbmail check` and `dbmail stats`, as an administrator meets them.

use serde_json::Value;

use crate::process::{Place, place, texts};

const ANNA: &str = "anna@example.test";

/// A store with two messages, one of them with a part.
fn furnished() -> Place {
    let place = place("");
    place.ok(&["user", "add", ANNA, "--no-password"], "");
    let serving = place.serve();
    place.ok(&["deliver", ANNA], "Subject: short\n\nA line.\n");
    let long = format!(
        "Subject: long\n\n{}",
        "A line of a long body.\n".repeat(2_000)
    );
    place.ok(&["deliver", ANNA], &long);
    serving.stop();
    place
}

impl Place {
    /// Runs a text on the database, past the program.
    fn damage(&self, sql: &str) {
        let file = self.folder.path().join("data/mail.db");
        let database = rusqlite::Connection::open(file).unwrap();
        database.execute_batch(sql).unwrap();
    }

    /// Runs a check that must end with this code; its output.
    #[track_caller]
    fn check(&self, words: &[&str], code: i32) -> (String, String) {
        let words = [&["check"], words].concat();
        let output = self.run(&words, "");
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {out}{err}");
        (out, err)
    }
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

#[test]
fn a_store_is_checked_beside_its_server_and_found_well() {
    let place = furnished();
    let serving = place.serve();
    for words in [&[][..], &["--user", ANNA], &["--quick"], &["--repair"]] {
        let (out, err) = place.check(words, 0);
        assert!(
            out.contains("looked at 1 users, 6 mailboxes, 2 messages"),
            "{out}"
        );
        assert!(
            out.ends_with("no fault was found\n") && err.is_empty(),
            "{out}{err}"
        );
    }
    let (out, _) = place.check(&["--json"], 0);
    let end = &lines(&out)[0];
    assert_eq!((&end["done"], &end["faults"]), (&true.into(), &0.into()));
    assert_eq!((&end["contents"], &end["parts"]), (&2.into(), &1.into()));
    assert!(end["octets"].as_u64().unwrap() > 40_000, "{end}");
    let said = place.fails(&["check", "--user", "eve"], "", 67);
    assert!(said.contains("no user eve"), "{said}");
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn what_is_wrong_is_told_in_a_line_and_mended_after_a_yes() {
    let place = furnished();
    place.damage(
        "UPDATE mailbox_state SET messages = messages + 1 WHERE messages > 0;
         UPDATE content SET structure = NULL",
    );
    let (out, err) = place.check(&[], 1);
    let faults: Vec<&str> = out
        .lines()
        .filter(|line| line.contains("--repair: "))
        .collect();
    assert_eq!(faults.len(), 3, "{out}");
    let counters = format!("counters: {ANNA} INBOX: messages 3, should be 2; ");
    assert!(faults[0].starts_with(&counters), "{out}");
    let trees = format!("content-trees: {ANNA} INBOX UID 1: ");
    assert!(faults[1].starts_with(&trees), "{out}");
    assert!(
        err.contains("3 faults found. `dbmail check --repair`"),
        "{err}"
    );

    // Nobody said yes: the plan is shown, and nothing done.
    let (out, err) = place.check(&["--repair"], 77);
    assert!(
        out.contains("\n        2  make sizes, envelope and structure"),
        "{out}"
    );
    assert!(err.contains("--yes"), "{err}");
    place.check(&[], 1);

    let serving = place.serve();
    let (out, _) = place.check(&["--repair", "--yes"], 0);
    assert!(out.contains("3 repairs were done; checking again"), "{out}");
    assert!(out.ends_with("no fault was found\n"), "{out}");
    place.check(&[], 0);
    assert_eq!(serving.stop().0, Some(0));
}

#[test]
fn what_can_not_be_mended_is_told_again_and_left_alone() {
    let place = furnished();
    place.damage("DELETE FROM part_chunk; UPDATE quota_root SET used_messages = 7");
    let (out, _) = place.check(&["--json"], 1);
    let told = lines(&out);
    assert_eq!(told.len(), 3, "{out}");
    assert_eq!(
        (&told[0]["fault"], &told[0]["user"]),
        (&"quota".into(), &ANNA.into())
    );
    let chunks = &told[1];
    assert_eq!(
        (&chunks["fault"], &chunks["uid"]),
        (&"part-chunks".into(), &2.into())
    );
    assert_eq!(
        (&chunks["mailbox"], &chunks["repair"]),
        (&"INBOX".into(), &Value::Null)
    );
    assert_eq!(
        told[2]["kinds"],
        serde_json::json!({"part-chunks": 1, "quota": 1})
    );

    let output = place.run(&["check", "--repair", "--yes", "--json"], "");
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    let told = lines(&out);
    assert_eq!(told[2]["plan"][0]["count"], 1, "{out}");
    let left = &told[3];
    assert_eq!(
        (&left["fault"], &left["after_repair"]),
        (&"part-chunks".into(), &true.into())
    );
    let end = told.last().unwrap();
    assert_eq!((&end["repaired"], &end["faults"]), (&1.into(), &1.into()));
    assert!(
        err.contains("1 fault left. What is left can't be mended"),
        "{err}"
    );
    // Now there is nothing to be said yes to.
    let (_, err) = place.check(&["--repair"], 1);
    assert!(err.contains("Nothing of it can be mended"), "{err}");
}

#[test]
fn what_is_stored_is_shown_in_words_and_as_json() {
    let place = furnished();
    let words = place.ok(&["stats"], "");
    for line in [
        "users",
        "octets of mail as users see it",
        "= octets stored",
        "in all",
    ] {
        assert!(words.contains(line), "{words}");
    }
    let stats: Value = serde_json::from_str(&place.ok(&["stats", "--json"], "")).unwrap();
    assert_eq!(
        (&stats["users"], &stats["messages"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        (&stats["mailboxes"], &stats["parts"]),
        (&6.into(), &1.into())
    );
    let octets = |name: &str| stats[name].as_u64().unwrap();
    assert!(octets("messages_octets") > 48_000, "{stats}");
    assert!(octets("saved_by_packing_octets") > 40_000, "{stats}");
    assert!(octets("stored_octets") < 8_000, "{stats}");
    assert!(
        octets("database_octets") > octets("stored_octets"),
        "{stats}"
    );
}
