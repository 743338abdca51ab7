//! Life after EXPUNGE, on the command line: `dbmail purge`, `dbmail undelete`, and what clients see of it.

use dbmail::serve::Served;
use dbmail_core::store::{Answer, MailboxName, Request, Uid, UidSet};
use serde_json::Value;

use super::process::{PASSWORD, Place, place, talk};
use super::support::start;

const ANNA: &str = "anna@example.test";

/// A place with a user who has three messages in INBOX.
fn anna(quota: &str) -> Place {
    let place = place("");
    place.ok(&["migrate"], "");
    let add = ["user", "add", ANNA, "--password-stdin", "--quota", quota];
    place.ok(&add, PASSWORD);
    for subject in ["apples", "pears", "plums"] {
        deliver(&place, "INBOX", subject);
    }
    place
}

fn deliver(place: &Place, mailbox: &str, subject: &str) {
    let message = format!("From: otto@example.net\nSubject: {subject}\n\nBody of {subject}\n");
    place.ok(&["deliver", ANNA, "--mailbox", mailbox], &message);
}

/// Marks all messages of INBOX with a sequence set as deleted and expunges them; what the server said.
fn expunge(place: &Place, set: &str) -> String {
    let serving = place.serve();
    let said = talk(
        place.imap,
        &format!(
            "a LOGIN {ANNA} {PASSWORD}\r\nb SELECT INBOX\r\nc STORE {set} +FLAGS (\\Flagged kept \\Deleted)\r\nd EXPUNGE\r\ne LOGOUT\r\n"
        ),
    );
    assert!(said.contains("d OK"), "{said}");
    serving.stop();
    said
}

fn fetch(place: &Place, mailbox: &str) -> String {
    let serving = place.serve();
    let said = talk(
        place.imap,
        &format!(
            "a LOGIN {ANNA} {PASSWORD}\r\nb EXAMINE {mailbox}\r\nc FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\ne LOGOUT\r\n"
        ),
    );
    serving.stop();
    said
}

/// Everything happened so many days earlier.
fn age(place: &Place, days: i64) {
    let file = rusqlite::Connection::open(place.folder.path().join("data/mail.db")).unwrap();
    let micros = days * 86_400_000_000;
    let texts = [
        "UPDATE message_gone SET gone_at = gone_at - ?1",
        "UPDATE mailbox SET deleted_at = deleted_at - ?1 WHERE deleted_at IS NOT NULL",
        "UPDATE change_log SET done_at = done_at - ?1",
        "UPDATE account_log SET done_at = done_at - ?1",
        "UPDATE part SET last_seen = last_seen - ?1",
    ];
    for text in texts {
        file.execute(text, [micros]).unwrap();
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn expunged_messages_are_listed_chosen_and_brought_back_once() {
    let place = anna("1G");
    assert!(
        place
            .ok(&["undelete"], "")
            .contains("nothing could come back")
    );
    expunge(&place, "1:2");
    let listed = place.ok(&["undelete"], "");
    assert!(listed.contains("anna@example.test, INBOX"), "{listed}");
    let listed = value(&place.ok(&["undelete", "--user", ANNA, "--list", "--json"], ""));
    assert_eq!(listed[0]["mailbox"], "INBOX");
    assert_eq!(listed[0]["messages"], 2);
    assert_eq!(listed[0]["mailbox_deleted"], Value::Null);

    // By a text, a time, a mailbox.
    let dry = ["undelete", "--user", ANNA, "--dry-run", "--json"];
    let found = |more: &[&str]| {
        let shown = value(&place.ok(&[&dry[..], more].concat(), ""));
        let mailboxes = shown["mailboxes"].as_array().unwrap();
        let listed = mailboxes
            .iter()
            .flat_map(|m| m["listed"].as_array().unwrap());
        let subjects: Vec<&str> = listed.map(|m| m["subject"].as_str().unwrap()).collect();
        assert_eq!(shown["messages"], subjects.len());
        assert_eq!(shown["done"], false);
        subjects.join(" ")
    };
    assert_eq!(
        found(&["--search", "BODY OF PEARS", "--search", "otto@"]),
        "pears"
    );
    assert_eq!(
        found(&["--since", "1h", "--until", "2100-01-01"]),
        "apples pears"
    );
    assert_eq!(found(&["--until", "1h"]), "");
    assert_eq!(found(&["--mailbox", "Trash"]), "");
    let shown = place.ok(&["undelete", "--user", ANNA, "--all", "--dry-run"], "");
    assert!(
        shown.contains("2 messages") && shown.contains("would come back into INBOX"),
        "{shown}"
    );
    assert!(shown.contains("otto@example.net  pears"), "{shown}");
    assert!(
        fetch(&place, "INBOX").contains("* 1 EXISTS"),
        "nothing was done"
    );

    let back = place.ok(&["undelete", "--user", ANNA, "--search", "pears"], "");
    assert!(
        back.contains("1 messages of") && back.contains("came back into INBOX"),
        "{back}"
    );
    let said = fetch(&place, "INBOX");
    assert!(said.contains("* 2 EXISTS"), "{said}");
    assert!(said.contains("UID 4 FLAGS (\\Flagged kept"), "{said}");
    let again = place.ok(&["undelete", "--user", ANNA, "--search", "pears"], "");
    assert!(again.contains("nothing that could come back"), "{again}");
    let into = [
        "undelete",
        "--user",
        ANNA,
        "--all",
        "--into",
        "Found/Again",
        "--json",
    ];
    let back = value(&place.ok(&into, ""));
    assert_eq!(back["mailboxes"][0]["into"], "Found/Again");
    assert_eq!(back["mailboxes"][0]["into_is_made"], true);
    assert!(fetch(&place, "Found/Again").contains("Subject: apples"));
    let mailboxes = place.ok(&["mailbox", "list", ANNA, "--json"], "");
    let mailboxes = value(&mailboxes);
    let found = mailboxes.as_array().unwrap().iter();
    let found = found.filter(|m| m["name"] == "Found/Again" && m["subscribed"] == true);
    assert_eq!(found.count(), 1);
}

#[test]
fn a_deleted_mailbox_comes_back_by_its_name_or_says_that_it_is_taken() {
    let place = anna("1G");
    let make = |subject: &str| {
        place.ok(&["mailbox", "create", ANNA, "Work/Roof"], "");
        deliver(&place, "Work/Roof", subject);
    };
    let delete = || place.ok(&["mailbox", "delete", ANNA, "Work/Roof", "--yes"], "");
    make("first");
    delete();
    let listed = place.ok(&["undelete", "--user", ANNA], "");
    assert!(listed.contains("Work/Roof (mailbox deleted 20"), "{listed}");
    let undelete = ["undelete", "--user", ANNA, "--mailbox", "Work/Roof"];
    let back = place.ok(&undelete, "");
    assert!(
        back.contains("came back into Work/Roof, a mailbox that is made"),
        "{back}"
    );
    assert!(fetch(&place, "Work/Roof").contains("Subject: first"));

    // Two that were deleted come back as one; where the name is taken, nothing is done.
    delete();
    make("second");
    delete();
    make("third");
    let said = place.fails(&undelete, "", 73);
    assert!(said.contains("--into Work/Roof"), "{said}");
    delete();
    let dry = value(&place.ok(&[&undelete[..], &["--dry-run", "--json"]].concat(), ""));
    assert_eq!(dry["messages"], 3);
    let back = place.ok(&undelete, "");
    assert_eq!(back.matches("a mailbox that is made").count(), 1, "{back}");
    let said = fetch(&place, "Work/Roof");
    for subject in ["first", "second", "third"] {
        assert!(said.contains(&format!("Subject: {subject}")), "{said}");
    }
    place.fails(
        &["undelete", "--user", ANNA, "--mailbox", "Nowhere"],
        "",
        67,
    );
    place.fails(&["undelete", "--user", "nobody", "--all"], "", 67);
}

#[test]
fn what_finds_no_room_in_the_quota_is_refused_before_anything_is_done() {
    let place = anna("1K");
    expunge(&place, "1:3");
    for n in 0..3 {
        deliver(&place, "INBOX", &format!("more {n}"));
    }
    let said = place.fails(&["undelete", "--user", ANNA, "--all"], "", 73);
    assert!(said.contains("leaves no room for"), "{said}");
    assert!(fetch(&place, "INBOX").contains("* 3 EXISTS"));
}

#[test]
fn purge_shows_what_goes_asks_where_less_is_kept_and_says_what_went() {
    let place = anna("1G");
    place.ok(&["mailbox", "create", ANNA, "Old"], "");
    deliver(&place, "Old", "old");
    place.ok(&["mailbox", "delete", ANNA, "Old", "--yes"], "");
    expunge(&place, "1:2");
    age(&place, 10);
    let planned = value(&place.ok(&["purge", "--dry-run", "--json"], ""));
    assert_eq!(
        (&planned["messages"], &planned["done"]),
        (&Value::from(0), &Value::from(false))
    );
    let done = value(&place.ok(&["purge", "--json"], ""));
    assert_eq!(
        (&done["messages"], &done["mailboxes"]),
        (&Value::from(0), &Value::from(0))
    );

    let older = ["purge", "--older-than", "9d"];
    let planned = place.ok(&[&older[..], &["--dry-run"]].concat(), "");
    assert!(planned.contains("would purge: 3 messages of"), "{planned}");
    assert!(planned.contains("1 mailboxes"), "{planned}");
    let said = place.fails(&older, "", 77);
    assert!(said.contains("--yes"), "{said}");
    let nobody = [&older[..], &["--user", "nobody", "--yes"]].concat();
    place.fails(&nobody, "", 67);
    let done = [&older[..], &["--user", ANNA, "--yes", "--json"]].concat();
    let done = value(&place.ok(&done, ""));
    assert_eq!(
        (&done["messages"], &done["mailboxes"]),
        (&Value::from(3), &Value::from(1))
    );
    assert_eq!(
        (&done["contents"], &done["done"]),
        (&Value::from(3), &Value::from(true))
    );
    assert!(
        place
            .ok(&["undelete"], "")
            .contains("nothing could come back")
    );
    assert!(fetch(&place, "INBOX").contains("Subject: plums"));
    age(&place, 100);
    let said = place.ok(&["purge"], "");
    assert!(
        said.contains("purged: 0 messages of 0 octets, 0 mailboxes"),
        "{said}"
    );
    assert!(!said.contains(" 0 rows of logs"), "{said}");
}

#[test]
fn retention_is_configured_and_checked() {
    let shown = place("[retention]\ndeleted = \"0\"\nlog = \"1d\"\n");
    let shown = shown.ok(&["check-config"], "");
    assert!(shown.contains("deleted = \"0\"  # "), "{shown}");
    let said = place("[retention]\nlog = \"1h\"\n").fails(&["check-config"], "", 78);
    assert!(said.contains("less than a day"), "{said}");
}

#[tokio::test]
async fn a_client_that_idles_sees_what_comes_back_at_once_and_purging_is_counted() {
    let running = start("").await;
    for text in ["one", "two"] {
        running
            .deliver(&format!("Subject: {text}\r\n\r\n{text}\r\n"))
            .await;
    }
    let mut imap = running.imap().await;
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    let store = &running.server.store;
    let account = store.credential(super::support::ANNA).await.unwrap();
    let account = account.unwrap().account;
    let name = MailboxName::inbox();
    let Ok(Answer::Status(inbox)) = store.apply(Request::Status { account, name }, None).await
    else {
        panic!("no INBOX");
    };
    imap.send("i IDLE").await;
    assert!(imap.line().await.starts_with('+'));
    let all = UidSet::range(Uid::MIN, Uid::MAX);
    let back = store.undelete(account, inbox.id, all, None).await.unwrap();
    assert_eq!(back.unwrap().to.len(), 1);
    assert_eq!(imap.line().await, "* 2 EXISTS");
    imap.send("DONE").await;
    while !imap.line().await.starts_with("i OK") {}
    let said = imap.ok("FETCH 2 (UID FLAGS BODY.PEEK[TEXT])").await;
    assert!(said.iter().any(|line| line.contains("UID 3")), "{said:?}");
    assert!(said.iter().any(|line| line == "one"), "{said:?}");
    let metrics = running.http("/metrics").await;
    for line in [
        "dbmail_store_purged_messages_total 0",
        "dbmail_store_purged_bytes_total 0",
        "dbmail_store_purge_runs_total 0",
        "dbmail_store_purge_last_timestamp_seconds 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(running.server.address(Served::Http).is_some());
    running.server.stop().await;
}
