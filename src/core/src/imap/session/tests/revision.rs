//! What a client of IMAP4rev2 hears otherwise than one of IMAP4rev1.

use crate::imap::revision::Revision;
use crate::imap::session::world::World;

/// Logged in, and speaks IMAP4rev2.
fn rev2(world: &mut World) -> usize {
    let i = world.login();
    world.peers[i].session.revision = Revision::Rev2;
    i
}

#[test]
fn select_tells_the_name_and_nothing_of_recent_messages() {
    let mut world = World::new();
    world.deliver("INBOX", b"Subject: a\r\n\r\n", "");
    let i = rev2(&mut world);
    world.talk(i, "a SELECT Inbox\r\nb FETCH 1 FLAGS\r\n");
    world.deliver("INBOX", b"Subject: b\r\n\r\n", "");
    world.talk(
        i,
        "c NOOP\r\nd EXAMINE Trash\r\ne SELECT none\r\nf FETCH 1 FLAGS\r\n",
    );
    // It claimed none: they are recent for the next client of IMAP4rev1.
    let j = world.login();
    world.talk(
        j,
        "g SELECT INBOX\r\nh SEARCH NEW\r\ni SELECT Trash\r\nj SELECT none\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn search_is_answered_by_esearch() {
    let mut world = World::new();
    for n in 0..3 {
        world.deliver("INBOX", format!("Subject: {n}\r\n\r\n").as_bytes(), "");
    }
    let i = rev2(&mut world);
    world.ask(
        i,
        "s SELECT INBOX\r\nt STORE 1 +FLAGS.SILENT (\\Deleted)\r\nu EXPUNGE\r\n",
    );
    world.talk(
        i,
        "a SEARCH ALL\r\nb UID SEARCH ALL\r\nc SEARCH SEEN\r\nd SEARCH RETURN (MIN) ALL\r\n",
    );
    world.talk(i, "e SEARCH RETURN (SAVE) 1\r\nf UID SEARCH $\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn names_go_between_the_revisions_without_loss() {
    let mut world = World::new();
    let old = world.login();
    let new = rev2(&mut world);
    for name in ["Archive", "Drafts", "Junk", "Sent", "Trash"] {
        world.ask(old, &format!("a DELETE {name}\r\nb UNSUBSCRIBE {name}\r\n"));
    }
    world.talk(
        new,
        "a CREATE \"Entwürfe/台北\"\r\nb CREATE R&D\r\nc CREATE &APw-\r\n",
    );
    world.talk(old, "d LIST \"\" *\r\ne CREATE &APw-\r\nf CREATE Q&-A\r\n");
    world.talk(
        new,
        "g LIST \"\" *\r\nh STATUS \"ü\" (MESSAGES)\r\ni LIST \"\" &A*\r\nj LIST \"\" \"ü*\"\r\n",
    );
    world.talk(
        old,
        "k STATUS &APw- (MESSAGES)\r\nl STATUS &-APw- (MESSAGES)\r\nm SUBSCRIBE &-APw-\r\n",
    );
    world.talk(
        new,
        "n SELECT &APw-\r\no SELECT \"u\u{308}\"\r\np DELETE Q&A\r\nq LSUB \"\" &*\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn a_name_that_is_made_in_another_form_is_told() {
    let mut world = World::new();
    let (old, new) = (world.login(), rev2(&mut world));
    world.talk(new, "a CREATE \"u\u{308}\"\r\nb CREATE \"o\u{308}/\" (USE ())\r\nc CREATE plain\r\nd CREATE inbox/x\r\n");
    world.talk(old, "e CREATE \"a\u{308}\"\r\nf CREATE other/\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn names_that_can_not_be_are_refused_with_their_reason() {
    let mut world = World::new();
    for revision in [Revision::Rev1, Revision::Rev2] {
        let i = world.login();
        world.peers[i].session.revision = revision;
        for name in ["\"\"", "a//b", "{1+}\r\n\u{7f}", "\"a\tb\"", "{2+}\r\n*a"] {
            for command in [
                "CREATE ",
                "SUBSCRIBE ",
                "SELECT ",
                "RENAME INBOX ",
                "STATUS ",
            ] {
                let items = if command == "STATUS " {
                    " (MESSAGES)"
                } else {
                    ""
                };
                let reply = world.ask(i, &format!("a {command}{name}{items}\r\n"));
                assert!(
                    reply.starts_with("a NO [CANNOT] "),
                    "{command}{name}: {reply}"
                );
            }
        }
        world.say(i, "a CREATE {1+}\r\n");
        world.send(i, b"\xff\r\n");
        world.run();
        assert!(world.hear(i).starts_with("a NO [CANNOT] "));
    }
}
