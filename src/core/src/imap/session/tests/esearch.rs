//! SEARCH with RETURN, and `$`.

use crate::imap::session::world::{Event, World};

/// Seven messages with gaps in their UIDs: numbers 1 to 5 are 1, 3, 4, 6, 7.
fn world() -> (World, usize) {
    let mut world = World::new();
    for n in 1..=7 {
        world.deliver("INBOX", format!("Subject: s{n}\r\n\r\n").as_bytes(), "");
    }
    let i = world.selected();
    let ready = "a STORE 2,5 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\nc STORE 1,3:4 +FLAGS.SILENT (\\Seen)\r\n";
    assert!(world.ask(i, ready).contains("c OK"));
    (world, i)
}

// capability: ESEARCH
#[test]
fn esearch_tells_what_return_asks_for() {
    let (mut world, i) = world();
    for options in [
        "()",
        "(ALL)",
        "(MIN)",
        "(MAX)",
        "(COUNT)",
        "(MAX MIN)",
        "(min max count all)",
    ] {
        world.talk(i, &format!("a SEARCH RETURN {options} SEEN\r\n"));
        world.talk(i, &format!("b UID SEARCH RETURN {options} SEEN\r\n"));
        world.talk(i, &format!("c UID SEARCH RETURN {options} DRAFT\r\n"));
    }
    world.talk(i, "d]2 SEARCH return (all) CHARSET utf-8 SUBJECT s\r\n");
    world.talk(
        i,
        "e SEARCH RETURN (FIRST) ALL\r\nf SEARCH RETURN (ALL) CHARSET x ALL\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

// capability: SEARCHRES
#[test]
fn a_saved_result_stands_for_its_messages_in_every_command() {
    let (mut world, i) = world();
    world.talk(i, "a FETCH $ UID\r\nb UID STORE $ +FLAGS (\\Draft)\r\nc COPY $ Sent\r\nd UID EXPUNGE $\r\ne SEARCH $\r\n");
    world.talk(
        i,
        "f SEARCH RETURN (SAVE) UNSEEN\r\ng FETCH $ UID\r\nh UID FETCH $ FLAGS\r\n",
    );
    world.talk(
        i,
        "i SEARCH $\r\nj UID SEARCH UID $ 1:4\r\nk SEARCH OR $ 1\r\nl SEARCH NOT $\r\n",
    );
    world.talk(
        i,
        "m UID STORE $ +FLAGS (\\Flagged)\r\nn COPY $ Sent\r\no UID COPY $ Sent\r\n",
    );
    world.talk(i, "p SEARCH $,1\r\nq FETCH 1:$ UID\r\n");
    world.talk(
        i,
        "r UID MOVE $ Trash\r\ns FETCH $ UID\r\nt STORE $ FLAGS ()\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn what_is_saved_is_what_return_tells_of() {
    let (mut world, i) = world();
    for options in [
        "SAVE",
        "SAVE MIN",
        "MAX SAVE",
        "MIN MAX SAVE",
        "MIN SAVE COUNT",
        "SAVE ALL MAX",
    ] {
        world.talk(
            i,
            &format!("a SEARCH RETURN ({options}) SEEN\r\nb UID SEARCH $\r\n"),
        );
    }
    world.talk(
        i,
        "c UID SEARCH RETURN (SAVE MIN) DRAFT\r\nd UID SEARCH $\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_saved_result_changes_by_save_expunge_and_select_alone() {
    let (mut world, i) = world();
    world.talk(
        i,
        "a SEARCH RETURN (SAVE) SEEN\r\nb SEARCH RETURN (ALL) UNSEEN\r\nc SEARCH DRAFT\r\n",
    );
    world.talk(
        i,
        "d SEARCH RETURN (SAVE) FOO\r\ne SEARCH CHARSET x ALL\r\nf UID SEARCH $\r\n",
    );
    // A message of it is expunged.
    world.talk(
        i,
        "g STORE 3 +FLAGS.SILENT (\\Deleted)\r\nh EXPUNGE\r\ni UID SEARCH RETURN () $\r\n",
    );
    world.talk(
        i,
        "j SEARCH RETURN (SAVE) CHARSET x ALL\r\nk UID SEARCH $\r\n",
    );
    world.talk(i, "l SEARCH RETURN (SAVE) ALL\r\n");
    world.failing = Some("fetch");
    world.talk(i, "m SEARCH RETURN (SAVE) SEEN\r\n");
    world.failing = None;
    world.talk(
        i,
        "n UID SEARCH $\r\no SEARCH RETURN (SAVE) ALL\r\np SELECT INBOX\r\nq SEARCH $\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn what_another_session_expunged_leaves_the_saved_result_when_it_is_told() {
    let (mut world, i) = world();
    let j = world.selected();
    world.talk(i, "a SEARCH RETURN (SAVE) 1:2\r\n");
    world.talk(j, "b STORE 1 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    world.talk(
        i,
        "d SEARCH $\r\ne NOOP\r\nf SEARCH $\r\ng UID SEARCH $\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

// capability: WITHIN
#[test]
fn within_counts_seconds_back_from_now() {
    let mut world = World::new();
    for n in 1..=3 {
        world.deliver("INBOX", format!("Subject: s{n}\r\n\r\n").as_bytes(), "");
        world.now = world.now.plus_seconds(100);
    }
    let i = world.selected();
    // 303, 202 and 101 seconds old.
    for (keys, expected) in [
        ("YOUNGER 1000", " 1 2 3"),
        ("YOUNGER 202", " 2 3"),
        ("YOUNGER 201", " 3"),
        ("OLDER 202", " 1 2"),
        ("OLDER 203", " 1"),
        ("OLDER 4294967295", ""),
        ("OLDER 150 YOUNGER 250", " 2"),
        ("NOT OLDER 150", " 3"),
    ] {
        let reply = world.ask(i, &format!("a SEARCH {keys}\r\n"));
        assert_eq!(
            reply,
            format!("* SEARCH{expected}\r\na OK SEARCH completed\r\n"),
            "{keys}"
        );
    }
}

#[test]
fn a_long_result_waits_for_room_in_either_form() {
    let mut world = World::new();
    for n in 0..900 {
        world.deliver("INBOX", format!("X: {}\r\n\r\n", n % 2).as_bytes(), "");
    }
    let i = world.selected();
    let each: Vec<String> = (1..=900).step_by(2).map(|n: u32| n.to_string()).collect();
    for (command, expected) in [
        ("SEARCH HEADER X 0", format!("* SEARCH {}", each.join(" "))),
        (
            "SEARCH RETURN () HEADER X 0",
            format!("* ESEARCH (TAG \"a\") ALL {}", each.join(",")),
        ),
    ] {
        world.peers[i].events.push_back(Event::Room(0));
        world.say(i, &format!("a {command}\r\n"));
        let mut all = String::new();
        while !all.contains("a OK") {
            world.peers[i].events.push_back(Event::Room(100));
            world.run();
            all.push_str(&world.hear(i));
        }
        assert_eq!(all, format!("{expected}\r\na OK SEARCH completed\r\n"));
        world.peers[i].events.push_back(Event::Room(usize::MAX));
    }
}
