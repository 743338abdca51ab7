//! Several sessions on one mailbox.

use crate::imap::session::world::World;
use crate::session::Farewell;

fn message(n: usize) -> Vec<u8> {
    format!("Subject: {n}\r\n\r\nbody {n}\r\n").into_bytes()
}

fn three_messages() -> World {
    let mut world = World::new();
    for n in 1..=3 {
        world.deliver("INBOX", &message(n), "");
    }
    world
}

#[test]
fn expunges_wait_for_a_command_without_sequence_numbers() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.talk(a, "1 STORE 2 +FLAGS (\\Deleted)\r\n2 EXPUNGE\r\n");
    // The other one still sees three, and what is gone can be read.
    world.talk(b, "3 FETCH 1:3 (UID FLAGS)\r\n4 FETCH 2 BODY.PEEK[TEXT]\r\n5 STORE 3 +FLAGS (\\Flagged)\r\n6 SEARCH ALL\r\n7 COPY 3 Trash\r\n");
    world.talk(b, "8 NOOP\r\n9 FETCH 1:2 UID\r\n");
    world.talk(a, "10 NOOP\r\n");
    insta::assert_snapshot!(world.transcript());
}

// clause: 2177-3-done
// capability: IDLE
#[test]
fn idle_is_told_at_once() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.talk(a, "1 IDLE\r\n");
    world.talk(b, "2 STORE 1 +FLAGS (\\Seen $Work)\r\n");
    world.talk(
        b,
        "3 UID STORE 2 +FLAGS.SILENT (\\Deleted)\r\n4 UID EXPUNGE 1:3\r\n",
    );
    world.deliver("INBOX", &message(4), "");
    world.listen();
    world.talk(a, "DONE\r\n");
    world.talk(b, "5 NOOP\r\n6 IDLE\r\nDONE\r\n7 IDLE\r\nnot done\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn own_changes_are_not_told_twice() {
    let mut world = three_messages();
    let a = world.selected();
    let reply = world.ask(a, "1 STORE 1 +FLAGS (\\Seen)\r\n");
    assert_eq!(
        reply,
        "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))\r\n1 OK STORE completed\r\n"
    );
    assert_eq!(world.ask(a, "2 NOOP\r\n"), "2 OK NOOP completed\r\n");
    assert_eq!(
        world.ask(a, "3 STORE 2 +FLAGS.SILENT (\\Seen)\r\n"),
        "3 OK STORE completed\r\n"
    );
    assert_eq!(world.ask(a, "4 NOOP\r\n"), "4 OK NOOP completed\r\n");
    let fetch = world.ask(a, "5 FETCH 3 BODY[TEXT]\r\n");
    assert!(fetch.contains("FLAGS (\\Seen \\Recent)"), "{fetch}");
    assert_eq!(world.ask(a, "6 NOOP\r\n"), "6 OK NOOP completed\r\n");
}

#[test]
fn a_silent_store_does_not_hide_what_another_session_did() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.ask(b, "1 STORE 1 +FLAGS (\\Flagged)\r\n");
    let reply = world.ask(a, "2 STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    assert!(
        reply.contains("* 1 FETCH (UID 1 FLAGS (\\Flagged \\Seen"),
        "{reply}"
    );
}

// capability: UIDPLUS
#[test]
fn what_is_appended_or_copied_into_the_selected_mailbox_is_told_at_once() {
    let mut world = three_messages();
    let a = world.selected();
    let reply = world.ask(a, "1 APPEND INBOX {4+}\r\nabcd\r\n");
    assert_eq!(
        reply,
        "* 4 EXISTS\r\n* 3 RECENT\r\n1 OK [APPENDUID 1 4] APPEND completed\r\n"
    );
    let reply = world.ask(a, "2 COPY 1:2 INBOX\r\n");
    assert_eq!(
        reply,
        "* 6 EXISTS\r\n* 3 RECENT\r\n2 OK [COPYUID 1 1:2 5:6] COPY completed\r\n"
    );
}

// capability: MOVE
#[test]
fn move_tells_where_and_then_what_is_gone() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.talk(
        a,
        "1 MOVE 1:2 Archive\r\n2 UID MOVE 3 none\r\n3 UID MOVE 99 Archive\r\n4 MOVE 9 Archive\r\n",
    );
    world.talk(b, "5 NOOP\r\n6 MOVE 1 INBOX\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_copy_from_a_deleted_mailbox_does_not_ask_for_the_target_to_be_created() {
    for verb in ["COPY", "MOVE"] {
        let mut world = World::new();
        let (a, b) = (world.login(), world.login());
        world.ask(a, "1 CREATE x\r\n2 APPEND x {3+}\r\nabc\r\n3 SELECT x\r\n");
        world.ask(b, "4 DELETE x\r\n");
        let reply = world.ask(a, &format!("5 {verb} 1 Sent\r\n"));
        assert_eq!(
            reply,
            "* BYE [NONEXISTENT] the selected mailbox was deleted\r\n"
        );
        let reply = world.ask(b, &format!("6 SELECT INBOX\r\n7 {verb} 1 none\r\n"));
        assert!(
            reply.ends_with("7 BAD there is no message with this number\r\n"),
            "{reply}"
        );
    }
}

#[test]
fn messages_that_vanished_long_ago_are_missed() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.ask(a, "1 STORE 2 +FLAGS.SILENT (\\Deleted)\r\n2 EXPUNGE\r\n");
    world.now = world.now.plus_seconds(3 * 60 * 60);
    let reply = world.ask(b, "3 FETCH 1:3 UID\r\n");
    assert!(reply.contains("3 NO [EXPUNGEISSUED]"), "{reply}");
    assert_eq!(reply.matches("FETCH (").count(), 2, "{reply}");
    // UIDs that name nothing are no error.
    assert!(world.ask(b, "4 UID FETCH 1:3 UID\r\n").contains("4 OK"));
    assert!(
        world
            .ask(a, "5 STORE 2 +FLAGS (\\Seen)\r\n")
            .contains("5 OK")
    );
}

#[test]
fn the_mailbox_under_a_session_is_deleted() {
    let mut world = World::new();
    let (a, b) = (world.login(), world.login());
    world.talk(a, "1 CREATE x\r\n2 SELECT x\r\n3 IDLE\r\n");
    world.talk(b, "4 SELECT x\r\n5 DELETE x\r\n6 NOOP\r\n7 FETCH 1 UID\r\n");
    insta::assert_snapshot!(world.transcript());
    assert!(world.peers[a].closed.is_some());
    assert_eq!(world.peers[b].closed, None);
}

#[test]
fn a_renamed_mailbox_stays_selected() {
    let mut world = World::new();
    let (a, b) = (world.login(), world.login());
    world.ask(a, "1 CREATE x\r\n2 SELECT x\r\n");
    world.ask(b, "3 RENAME x y\r\n");
    assert!(world.ask(a, "4 NOOP\r\n").contains("4 OK"));
    world.ask(b, "5 APPEND y {3+}\r\nabc\r\n");
    assert!(world.ask(a, "6 NOOP\r\n").contains("* 1 EXISTS"));
    // Whatever it is called by now, what is appended to it is told at once.
    assert!(
        world
            .ask(a, "7 APPEND y {3+}\r\nabc\r\n")
            .contains("* 2 EXISTS")
    );
    world.ask(b, "8 SELECT y\r\n9 RENAME y z\r\n");
    let reply = world.ask(b, "10 DELETE z\r\n");
    assert!(reply.starts_with("* OK [CLOSED]"), "{reply}");
}

// capability: UNSELECT
#[test]
fn close_expunges_in_silence_and_examine_changes_nothing() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.login());
    world.ask(a, "1 STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n");
    world.talk(b, "2 EXAMINE INBOX\r\n3 STORE 1 +FLAGS (\\Seen)\r\n4 EXPUNGE\r\n5 FETCH 3 BODY[TEXT]\r\n6 FETCH 3 FLAGS\r\n7 MOVE 1 Trash\r\n8 CLOSE\r\n9 NOOP\r\n");
    world.talk(
        a,
        "10 CLOSE\r\n11 SELECT INBOX\r\n12 UNSELECT\r\n13 CLOSE\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_select_that_fails_leaves_nothing_selected() {
    let mut world = three_messages();
    let a = world.selected();
    let reply = world.ask(a, "1 SELECT none\r\n2 FETCH 1 UID\r\n");
    assert!(
        reply.starts_with("* OK [CLOSED] ")
            && reply.contains("\r\n1 NO [NONEXISTENT]")
            && reply.contains("2 BAD"),
        "{reply}"
    );
    assert_eq!(world.peers[a].watch, None);
}

#[test]
fn only_the_selected_mailbox_is_watched() {
    let mut world = three_messages();
    let a = world.selected();
    let inbox = world.peers[a].watch;
    assert!(inbox.is_some());
    world.ask(a, "1 SELECT Sent\r\n");
    assert!(world.peers[a].watch.is_some() && world.peers[a].watch != inbox);
    world.ask(a, "2 UNSELECT\r\n");
    assert_eq!(world.peers[a].watch, None);
}

#[test]
fn pipelined_commands_run_one_after_another() {
    let mut world = three_messages();
    let a = world.login();
    world.talk(a, "1 SELECT INBOX\r\n2 STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n3 FETCH 1:* FLAGS\r\n4 EXPUNGE\r\n5 FETCH 1:* UID\r\n6 NOOP\r\n7 FETCH 2 UID\r\n8 STORE 0 FLAGS ()\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn numbers_that_do_not_exist() {
    let mut world = three_messages();
    let a = world.selected();
    world.talk(a, "1 FETCH 4 UID\r\n2 FETCH 3:* UID\r\n3 FETCH 4:* UID\r\n4 UID FETCH 99:* UID\r\n5 UID FETCH 99 UID\r\n6 UID STORE 99 FLAGS ()\r\n7 UID COPY 99 Sent\r\n8 COPY 1 none\r\n9 SEARCH 4:9\r\n");
    world.talk(a, "10 SELECT Sent\r\n11 FETCH * UID\r\n12 UID FETCH 1:* UID\r\n13 SEARCH 1:*\r\n14 UID SEARCH ALL\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn news_that_can_not_be_read_now_are_told_later() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.ask(a, "0 NOOP\r\n");
    world.ask(b, "1 STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    world.failing = Some("changes");
    assert_eq!(world.ask(a, "2 NOOP\r\n"), "2 OK NOOP completed\r\n");
    world.failing = Some("fetch");
    assert_eq!(world.ask(a, "3 NOOP\r\n"), "3 OK NOOP completed\r\n");
    world.failing = None;
    let reply = world.ask(a, "4 NOOP\r\n");
    assert!(reply.contains("* 1 FETCH (UID 1 FLAGS (\\Seen"), "{reply}");
    assert_eq!(world.peers[a].closed, None::<Farewell>);
}

#[test]
fn many_expunges_wait_for_room_and_stay_true() {
    let mut world = World::new();
    for n in 0..6000 {
        world.deliver("INBOX", &message(n), "");
    }
    let (a, b) = (world.selected(), world.selected());
    world.ask(
        a,
        "1 STORE 1:3000,3002:6000 +FLAGS.SILENT (\\Deleted)\r\n2 EXPUNGE\r\n",
    );
    world.peers[b]
        .events
        .push_back(super::super::world::Event::Room(0));
    world.say(b, "3 NOOP\r\n");
    assert!(world.peers[b].session.waiting_bytes() < 80 * 1024);
    let mut all = String::new();
    while !all.contains("3 OK") {
        world.peers[b]
            .events
            .push_back(super::super::world::Event::Room(5000));
        world.run();
        all.push_str(&world.hear(b));
    }
    let mut left: Vec<u32> = (1..=6000).collect();
    for line in all.lines() {
        if let Some(seq) = line
            .strip_suffix(" EXPUNGE")
            .and_then(|line| line.strip_prefix("* "))
        {
            left.remove(seq.parse::<usize>().unwrap() - 1);
        }
    }
    assert_eq!(left, [3001]);
}

#[test]
fn idle_with_a_failing_store_waits_for_the_next_change() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.say(a, "1 IDLE\r\n");
    world.hear(a);
    world.failing = Some("changes");
    world.peers[a].asked.clear();
    world.say(b, "2 STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    assert_eq!(world.peers[a].asked, ["changes"]);
    world.failing = None;
    world.say(b, "3 STORE 2 +FLAGS.SILENT (\\Seen)\r\n");
    let told = world.hear(a);
    assert!(
        told.contains("* 1 FETCH") && told.contains("* 2 FETCH"),
        "{told}"
    );
}

/// Three days later the log is purged up to now.
fn purge(world: &mut World) {
    world.now = world.now.plus_seconds(3 * 86_400);
    world.store.purge(world.now, world.account, 0, 0);
}

#[test]
fn a_session_that_lags_behind_a_purge_is_told_everything() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.ask(b, "0 NOOP\r\n");
    world.ask(
        a,
        "1 STORE 2 +FLAGS.SILENT (\\Deleted)\r\n2 EXPUNGE\r\n3 STORE 2 +FLAGS.SILENT (\\Flagged new)\r\n",
    );
    world.deliver("INBOX", &message(4), "");
    purge(&mut world);
    // By numbers nothing is told to be gone yet; flags are told, and only those that changed.
    let reply = world.ask(b, "4 SEARCH ALL\r\n");
    assert!(!reply.contains("EXPUNGE\r\n"), "{reply}");
    assert!(
        reply.contains("* 3 FETCH (UID 3 FLAGS (\\Flagged new"),
        "{reply}"
    );
    assert_eq!(reply.matches("FETCH (").count(), 1, "{reply}");
    let reply = world.ask(b, "5 NOOP\r\n");
    assert_eq!(reply, "* 2 EXPUNGE\r\n5 OK NOOP completed\r\n");
    world.ask(b, "6 NOOP\r\n");
    let reply = world.ask(b, "7 FETCH 1:* UID\r\n");
    let uids = ["(UID 1)", "(UID 3)", "(UID 4)"];
    assert!(uids.iter().all(|uid| reply.contains(uid)), "{reply}");
}

#[test]
fn flags_that_could_not_be_told_before_a_purge_are_told_after_it() {
    let mut world = three_messages();
    let (a, b) = (world.selected(), world.selected());
    world.ask(a, "0 NOOP\r\n");
    world.ask(b, "1 STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    // The log is read, the flags are not.
    world.failing = Some("fetch");
    assert_eq!(world.ask(a, "2 NOOP\r\n"), "2 OK NOOP completed\r\n");
    world.failing = None;
    world.ask(b, "3 STORE 2 +FLAGS.SILENT (\\Seen)\r\n");
    purge(&mut world);
    let reply = world.ask(a, "4 NOOP\r\n");
    for told in [
        "* 1 FETCH (UID 1 FLAGS (\\Seen",
        "* 2 FETCH (UID 2 FLAGS (\\Seen",
    ] {
        assert!(reply.contains(told), "{reply}");
    }
}
