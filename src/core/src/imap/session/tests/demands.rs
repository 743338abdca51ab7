//! What the small extensions demand: MOVE (RFC 6851), UIDPLUS (RFC 4315), UNSELECT (RFC 3691), LITERAL+ (RFC 7888), SPECIAL-USE (RFC 6154).

use crate::imap::session::world::World;

/// Four messages in INBOX: 2 and 3 are `\Deleted`, 3 also has a keyword.
fn world() -> (World, usize) {
    let mut world = World::new();
    for n in 1..=4 {
        world.deliver("INBOX", format!("Subject: {n}\r\n\r\n").as_bytes(), "");
    }
    let i = world.selected();
    let marked = "a STORE 2:3 +FLAGS.SILENT (\\Deleted)\r\nb STORE 3 +FLAGS.SILENT ($Work)\r\n";
    assert!(world.ask(i, marked).contains("b OK"));
    (world, i)
}

/// UIDs and flags of the selected mailbox, in its order.
fn flags(world: &mut World, i: usize) -> Vec<String> {
    let reply = world
        .ask(i, "f UID FETCH 1:* FLAGS\r\n")
        .replace(" \\Recent", "");
    let rows = reply.lines().filter_map(|line| line.split_once("(UID "));
    rows.map(|(_, row)| row.replace("\\Recent", "").replace("))", ")"))
        .collect()
}

// RFC 6851 §3.3: no \Deleted is set by it. §3.1: what can not be done changes nothing.
// clause: 6851-3.3-no-store, 6851-3.3-none-lost
#[test]
fn move_keeps_flags_and_a_move_that_fails_changes_none() {
    let (mut world, i) = world();
    let before = flags(&mut world, i);
    assert_eq!(
        before,
        [
            "1 FLAGS ()",
            "2 FLAGS (\\Deleted)",
            "3 FLAGS (\\Deleted $Work)",
            "4 FLAGS ()"
        ]
    );
    for command in ["MOVE 1:4 none", "UID MOVE 1:* \"\"", "MOVE 1:5 Trash"] {
        let reply = world.ask(i, &format!("a {command}\r\n"));
        assert!(
            reply.starts_with("a NO [") || reply.starts_with("a BAD"),
            "{reply}"
        );
        assert_eq!(flags(&mut world, i), before, "{command}");
    }
    let reply = world.ask(i, "a MOVE 3:4 Trash\r\n");
    assert!(
        reply.starts_with("* OK [COPYUID 6 3:4 1:2] moved\r\n* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n"),
        "{reply}"
    );
    assert_eq!(flags(&mut world, i), before[..2]);
    world.ask(i, "a SELECT Trash\r\n");
    assert_eq!(
        flags(&mut world, i),
        ["1 FLAGS (\\Deleted $Work)", "2 FLAGS ()"]
    );
}

// RFC 4315 §2.1: only what has both the flag and a UID of the set.
#[test]
fn uid_expunge_takes_what_is_deleted_and_named() {
    let (mut world, i) = world();
    assert_eq!(
        world.ask(i, "a UID EXPUNGE 1,4:9\r\n"),
        "a OK EXPUNGE completed\r\n"
    );
    let reply = world.ask(i, "a UID EXPUNGE 1:2\r\n");
    assert!(reply.starts_with("* 2 EXPUNGE\r\n"), "{reply}");
    assert_eq!(
        flags(&mut world, i),
        ["1 FLAGS ()", "3 FLAGS (\\Deleted $Work)", "4 FLAGS ()"]
    );
}

// RFC 4315 §3: the sets correspond one by one; where nothing was copied there is no code.
#[test]
fn copyuid_tells_what_became_of_each_message_and_nothing_of_none() {
    let (mut world, i) = world();
    let reply = world.ask(i, "a UID COPY 4,2,99,1 Sent\r\n");
    assert_eq!(reply, "a OK [COPYUID 5 1:2,4 1:3] COPY completed\r\n");
    assert_eq!(
        world.ask(i, "a UID COPY 99 Sent\r\n"),
        "a OK COPY completed\r\n"
    );
    assert_eq!(
        world.ask(i, "a UID MOVE 99 Sent\r\n"),
        "a OK MOVE completed\r\n"
    );
    world.ask(i, "a SELECT Sent\r\n");
    let subjects = world.ask(i, "a FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]\r\n");
    let subjects: Vec<_> = subjects
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: "))
        .collect();
    assert_eq!(subjects, ["1", "2", "4"], "in the order of their UIDs");
}

// RFC 3691 §2: as CLOSE, and nothing is expunged. Without a selected mailbox it is BAD.
// clause: 3691-2-no-expunge
#[test]
fn unselect_expunges_nothing() {
    let (mut world, i) = world();
    let before = flags(&mut world, i);
    assert_eq!(
        world.ask(i, "a UNSELECT\r\nb UNSELECT\r\n"),
        "a OK UNSELECT completed\r\nb BAD no mailbox is selected\r\n"
    );
    world.ask(i, "c SELECT INBOX\r\n");
    assert_eq!(flags(&mut world, i), before);
}

// RFC 7888 §3: such a literal may stand wherever a string may, is never asked for, and its octets are no commands, also when
// the command is refused.
#[test]
fn literals_without_waiting_stand_where_strings_may() {
    let (mut world, i) = world();
    let reply = world.ask(
        i,
        "a CREATE {3+}\r\na\"b\r\nb RENAME {3+}\r\na\"b {1+}\r\nc\r\nc STATUS {1+}\r\nc (MESSAGES)\r\n",
    );
    assert_eq!(
        reply,
        "a OK CREATE completed\r\nb OK RENAME completed\r\n* STATUS c (MESSAGES 0)\r\nc OK STATUS completed\r\n"
    );
    let reply = world.ask(i, "d NONSENSE {10+}\r\nx LOGOUT\r\n {0+}\r\n\r\ne NOOP\r\n");
    assert!(
        reply.starts_with("d BAD ") && reply.ends_with("\r\ne OK NOOP completed\r\n"),
        "{reply}"
    );
    assert_eq!(reply.lines().count(), 2, "{reply}");
}

// RFC 6154 §3: a use that can not be given makes no mailbox.
#[test]
fn create_with_a_use_that_can_not_be_makes_nothing() {
    let (mut world, i) = world();
    for uses in ["\\All", "\\Flagged", "\\Trash", "\\Sent \\Junk", "\\X"] {
        let reply = world.ask(i, &format!("a CREATE new (USE ({uses}))\r\n"));
        assert!(reply.starts_with("a NO [USEATTR] "), "{uses}: {reply}");
        assert_eq!(
            world.ask(i, "b LIST \"\" new\r\n"),
            "b OK LIST completed\r\n"
        );
    }
}
