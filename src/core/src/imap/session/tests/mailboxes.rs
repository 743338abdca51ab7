//! Names, lists, counters.

use crate::imap::session::world::World;

// capability: NAMESPACE, CHILDREN, SPECIAL-USE, CREATE-SPECIAL-USE
#[test]
fn mailboxes_are_made_renamed_listed_and_deleted() {
    let mut world = World::new();
    let i = world.login();
    world.talk(i, "a LIST \"\" \"\"\r\nb LIST \"\" *\r\nc NAMESPACE\r\n");
    world.talk(
        i,
        "d CREATE Work/2026/May\r\ne CREATE Work/2026\r\nf CREATE \"\"\r\ng CREATE a//b\r\n",
    );
    world.talk(
        i,
        "h LIST \"\" %\r\ni LIST Work/ %\r\nj LIST \"\" Work/*\r\nk LIST \"\" inBOX\r\n",
    );
    world.talk(i, "l DELETE Work\r\nm DELETE INBOX\r\nn DELETE none\r\n");
    world.talk(i, "o RENAME Work/2026 Old/Year\r\np LIST \"\" Old*\r\nq RENAME none x\r\nr RENAME Old Sent\r\n");
    world.talk(i, "s DELETE Old/Year/May\r\nt LIST \"\" \"Old/*\"\r\n");
    world.talk(
        i,
        "u CREATE Spam (USE (\\Junk))\r\nv CREATE All (USE (\\All))\r\n",
    );
    world.talk(
        i,
        "w CREATE \"Entw&APw-rfe\"\r\nx LIST \"\" Entw*\r\ny CREATE bad*name\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn lsub_shows_subscribed_names_and_the_levels_above_them() {
    let mut world = World::new();
    let i = world.login();
    for name in ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"] {
        world.say(i, &format!("u UNSUBSCRIBE {name}\r\n"));
    }
    world.hear(i);
    world.talk(
        i,
        "a SUBSCRIBE foo/bar\r\nb SUBSCRIBE INBOX\r\nc SUBSCRIBE foo\r\n",
    );
    world.talk(i, "d LSUB \"\" *\r\ne UNSUBSCRIBE foo\r\nf LSUB \"\" %\r\ng LSUB \"\" *\r\nh LSUB \"foo/\" %\r\n");
    insta::assert_snapshot!(world.transcript());
}

// capability: STATUS=SIZE
#[test]
fn status_tells_what_was_asked_in_its_order() {
    let mut world = World::new();
    world.deliver("INBOX", b"Subject: a\r\n\r\nb", "P: 1\r\n");
    let i = world.login();
    world.talk(i, "a STATUS inbox (SIZE MESSAGES UNSEEN RECENT UIDNEXT UIDVALIDITY)\r\nb STATUS none (MESSAGES)\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_long_list_waits_for_room() {
    let mut world = World::new();
    let i = world.login();
    for n in 0..3000 {
        world.say(
            i,
            &format!("c CREATE a-rather-long-name-of-a-mailbox-{n}\r\n"),
        );
    }
    world.hear(i);
    world.peers[i]
        .events
        .push_back(super::super::world::Event::Room(0));
    world.say(i, "l LIST \"\" *\r\n");
    assert!(world.peers[i].session.waiting_bytes() < 80 * 1024);
    let mut all = String::new();
    while !all.contains("l OK") {
        world.peers[i]
            .events
            .push_back(super::super::world::Event::Room(1000));
        world.run();
        let heard = world.hear(i);
        assert!(heard.len() <= 1000);
        all.push_str(&heard);
    }
    assert_eq!(
        all.lines()
            .filter(|line| line.starts_with("* LIST"))
            .count(),
        3006
    );
}

#[test]
fn a_failing_store_is_said_and_changes_nothing() {
    let mut world = World::new();
    let i = world.selected();
    for (request, command) in [
        ("mailboxes", "LIST \"\" *"),
        ("status", "STATUS INBOX (MESSAGES)"),
        ("create", "CREATE x"),
        ("expunge", "EXPUNGE"),
        ("expunge", "CLOSE"),
    ] {
        world.failing = Some(request);
        let reply = world.ask(i, &format!("a {command}\r\n"));
        assert!(
            reply.starts_with("a NO [UNAVAILABLE]"),
            "{command}: {reply}"
        );
    }
    world.failing = None;
    assert!(
        world.ask(i, "b EXPUNGE\r\n").contains("b OK"),
        "still selected"
    );
}
