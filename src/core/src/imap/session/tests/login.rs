use crate::imap::session::world::{World, loopback};
use crate::imap::{Config, TlsState};

#[test]
fn a_client_logs_in_reads_a_message_and_leaves() {
    let mut world = World::new();
    world.deliver(
        "INBOX",
        b"Subject: hi\r\n\r\nhello\r\n",
        "Return-Path: <>\r\n",
    );
    let i = world.connect(loopback());
    world.talk(i, "a LOGIN ann secret\r\n");
    world.talk(i, "b SELECT inbox\r\n");
    world.talk(
        i,
        "c FETCH 1 (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)\r\n",
    );
    world.talk(i, "d FETCH 1 BODY[]\r\n");
    world.talk(
        i,
        "e FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject)]<2.7> BODY.PEEK[TEXT] BODY.PEEK[1]<0.3>)\r\n",
    );
    world.talk(i, "f LOGOUT\r\n");
    insta::assert_snapshot!(world.transcript());
}
