//! How input is split and output is taken makes no difference.

use proptest::prelude::*;

use crate::imap::session::world::{Event, World, loopback};

const DIALOGUE: &str = "a LOGIN {3+}\r\nann secret\r\nb SELECT INBOX\r\nc FETCH 1:* (UID FLAGS BODY[])\r\n\
    d APPEND INBOX (\\Seen) {12+}\r\nSubject: x\r\n\r\ne IDLE\r\nDONE\r\nf SEARCH TEXT {7+}\r\nsubject\r\n\
    g STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\nh XYZ {3+}\r\nabc\r\ni EXPUNGE\r\nj APPEND none {5+}\r\n12345\r\n\
    k FETCH 1 BODY[HEADER.FIELDS (Subject)]\r\nl LIST \"\" *\r\n\
    n SEARCH RETURN (SAVE ALL COUNT) SUBJECT {1+}\r\n2\r\no UID FETCH $ FLAGS\r\n\
    p LIST (SUBSCRIBED) \"\" ({1+}\r\n% INBOX) RETURN (STATUS (MESSAGES SIZE))\r\nm LOGOUT\r\n";

fn run(slices: &[usize], rooms: &[usize]) -> String {
    let mut world = World::new();
    for n in 0..4 {
        world.deliver(
            "INBOX",
            format!("Subject: {n}\r\n\r\n{}", "text ".repeat(n * 20)).as_bytes(),
            "",
        );
    }
    let i = world.connect_with_room(loopback(), rooms.first().copied().unwrap_or(usize::MAX));
    let mut at = 0usize;
    let mut slices = slices.iter().cycle();
    let mut rooms = rooms.iter().cycle();
    let mut output = String::new();
    let mut still = 0;
    while world.peers[i].closed.is_none() && still < 1000 {
        let size = slices.next().copied().unwrap_or(usize::MAX);
        let end = at.saturating_add(size).min(DIALOGUE.len());
        world.send(i, &DIALOGUE.as_bytes()[at..end]);
        at = end;
        world.run();
        world.peers[i]
            .events
            .push_back(Event::Room(rooms.next().copied().unwrap_or(usize::MAX)));
        world.run();
        output.push_str(&world.hear(i));
        still += usize::from(at == DIALOGUE.len());
    }
    output.push_str(&world.hear(i));
    output
}

#[test]
fn the_whole_dialogue_at_once() {
    insta::assert_snapshot!(run(&[], &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn output_does_not_depend_on_slices_and_room(
        slices in proptest::collection::vec(1usize..60, 1..20),
        rooms in proptest::collection::vec(1usize..300, 1..20),
    ) {
        prop_assert_eq!(run(&slices, &rooms), run(&[], &[]));
    }
}
