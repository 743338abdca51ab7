//! LIST with selection and return options, as in the examples of RFC 5258 §5.

use crate::imap::session::world::World;

/// INBOX alone, and these; the starred ones are subscribed, those in brackets do not exist.
fn world(names: &[&str]) -> (World, usize) {
    let mut world = World::new();
    let i = world.login();
    for name in ["Archive", "Drafts", "Junk", "Sent", "Trash"] {
        world.ask(i, &format!("a DELETE {name}\r\nb UNSUBSCRIBE {name}\r\n"));
    }
    world.ask(i, "a UNSUBSCRIBE INBOX\r\n");
    for name in names {
        let bare = name.trim_matches(|c| matches!(c, '*' | '(' | ')'));
        if !name.starts_with('(') {
            world.ask(i, &format!("a CREATE {bare}\r\n"));
        }
        if name.contains('*') {
            world.ask(i, &format!("a SUBSCRIBE {bare}\r\n"));
        }
    }
    (world, i)
}

/// The names of a reply's LIST lines, each with its attributes but those of children, and what follows.
fn names(reply: &str) -> Vec<String> {
    let lines = reply
        .lines()
        .filter_map(|line| line.strip_prefix("* LIST ("));
    let short = |line: &str| {
        let (attributes, name) = line.split_once(") \"/\" ").unwrap();
        let attributes = attributes
            .split(' ')
            .filter(|one| !one.contains("Children"));
        let all = attributes.chain([name]).collect::<Vec<_>>();
        all.join(" ")
            .replace(" (\"CHILDINFO\" (\"SUBSCRIBED\"))", " +")
    };
    lines.map(short).collect()
}

const FRUIT: &[&str] = &[
    "*INBOX",
    "Fruit",
    "Fruit/Apple",
    "*Fruit/Banana",
    "(*Fruit/Peach)",
    "Tofu",
    "*Vegetable",
    "*Vegetable/Broccoli",
    "Vegetable/Corn",
];

// capability: LIST-EXTENDED
#[test]
fn subscribed_names_are_listed_whether_they_exist_or_not() {
    let (mut world, i) = world(FRUIT);
    world.talk(i, "a02 LIST (SUBSCRIBED) \"\" \"*\"\r\n");
    world.talk(i, "a03 LIST () \"\" \"%\" RETURN (CHILDREN)\r\n");
    world.talk(
        i,
        "a05 LIST (REMOTE SUBSCRIBED) \"\" \"Fr*\" RETURN (SUBSCRIBED)\r\n",
    );
    world.talk(i, "a06 LIST (REMOTE) \"\" \"*\" RETURN (SUBSCRIBED)\r\n");
    insta::assert_snapshot!(world.transcript());
}

#[test]
fn several_patterns_tell_each_name_once_and_an_empty_one_means_nothing() {
    let (mut world, i) = world(FRUIT);
    let reply = world.ask(
        i,
        "a LIST \"\" (\"Tofu\" \"\" \"T%\" \"Fruit/%\" Vegetable)\r\n",
    );
    assert_eq!(
        names(&reply),
        ["Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable"]
    );
    for command in [
        "LIST () \"\" \"\"",
        "LIST \"\" (\"\")",
        "LIST \"\" \"\" RETURN ()",
    ] {
        assert_eq!(
            world.ask(i, &format!("a {command}\r\n")),
            "a OK LIST completed\r\n"
        );
    }
    let reply = world.ask(i, "a LIST Fruit/ (Ap% /Tofu)\r\n");
    assert_eq!(names(&reply), ["Fruit/Apple", "Tofu"]);
}

#[test]
fn recursivematch_tells_of_what_is_above_a_subscribed_name() {
    let (mut world, i) = world(&["Foo", "Foo/Bar", "*Foo/Baz", "Moo"]);
    let mut ask = |command: &str| {
        let reply = world.ask(i, &format!("a {command}\r\n"));
        assert!(
            reply.ends_with("a OK LIST completed\r\n") || reply.starts_with("a OK"),
            "{reply}"
        );
        names(&reply)
    };
    assert_eq!(ask("LIST (SUBSCRIBED) \"\" *"), ["\\Subscribed Foo/Baz"]);
    assert!(ask("LIST (SUBSCRIBED) \"\" %").is_empty());
    let recursive = "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %";
    assert_eq!(ask(recursive), ["Foo +"]);
    ask("SUBSCRIBE Foo");
    assert_eq!(ask(recursive), ["\\Subscribed Foo +"]);
    ask("UNSUBSCRIBE Foo/Baz");
    ask("SUBSCRIBE Moo");
    assert_eq!(ask(recursive), ["\\Subscribed Foo", "\\Subscribed Moo"]);
    // What does not exist, and lies below what does not exist.
    ask("SUBSCRIBE a/b/c");
    assert_eq!(
        ask("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" a%"),
        ["\\NonExistent a +"]
    );
    assert_eq!(
        ask("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" a/b/%"),
        ["\\NonExistent \\Subscribed a/b/c"]
    );
    assert!(ask("LIST \"\" a*").is_empty());
}

#[test]
fn a_name_above_is_told_of_when_something_below_it_is_not() {
    let (mut world, i) = world(&[
        "foo2",
        "*foo2/bar1",
        "*foo2/bar2",
        "baz2",
        "*baz2/bar2",
        "*baz2/bar22",
        "*baz2/bar222",
        "*eps2",
        "*eps2/mamba",
        "*qux2/bar2",
    ]);
    let reply = world.ask(i, "d03 LIST (RECURSIVEMATCH SUBSCRIBED) \"\" \"*2\"\r\n");
    assert_eq!(
        names(&reply),
        [
            "\\Subscribed baz2/bar2",
            "\\Subscribed baz2/bar22",
            "\\Subscribed baz2/bar222",
            "\\Subscribed eps2 +",
            "foo2 +",
            "\\Subscribed foo2/bar2",
            "\\Subscribed qux2/bar2",
        ]
    );
}

#[test]
fn options_that_are_not_known_or_make_no_sense_are_bad() {
    let (mut world, i) = world(&[]);
    for command in [
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (REMOTE RECURSIVEMATCH) \"\" *",
        "LIST (MATCHPARENT) \"\" *",
        "LIST \"\" * RETURN (MYRIGHTS)",
    ] {
        let reply = world.ask(i, &format!("a {command}\r\n"));
        assert!(reply.starts_with("a BAD expected "), "{command}: {reply}");
    }
}

// capability: SPECIAL-USE, CREATE-SPECIAL-USE
#[test]
fn mailboxes_of_special_use_can_be_selected() {
    let (mut world, i) = world(&["a", "a/b", "*c"]);
    world.talk(i, "a CREATE a/Papierkorb (USE (\\Trash))\r\nb CREATE Spam (USE (\\Junk))\r\nc SUBSCRIBE Spam\r\n");
    world.talk(
        i,
        "d LIST (SPECIAL-USE) \"\" *\r\ne LIST \"\" a/* RETURN (SPECIAL-USE)\r\n",
    );
    world.talk(
        i,
        "f LIST (SPECIAL-USE SUBSCRIBED) \"\" *\r\ng LIST (SPECIAL-USE RECURSIVEMATCH) \"\" %\r\n",
    );
    world.talk(
        i,
        "h LIST (SUBSCRIBED RECURSIVEMATCH SPECIAL-USE) \"\" %\r\ni CREATE d (USE (\\Junk))\r\n",
    );
    insta::assert_snapshot!(world.transcript());
}

// clause: 5819-2-status, 5819-2-noselect
// capability: LIST-STATUS
#[test]
fn list_tells_the_status_of_mailboxes_that_fit() {
    let (mut world, i) = world(&["a", "*a/b", "c", "(*d)"]);
    world.deliver("a", b"Subject: x\r\n\r\n", "");
    world.deliver("a/b", b"Subject: y\r\n\r\n", "");
    world.talk(
        i,
        "a LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN SIZE) SUBSCRIBED)\r\n",
    );
    world.talk(
        i,
        "b LIST (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (STATUS (MESSAGES))\r\n",
    );
    world.talk(
        i,
        "c LIST (SUBSCRIBED) \"\" (a a/b d) RETURN (STATUS (UIDNEXT DELETED))\r\n",
    );
    world.peers[i].asked.clear();
    world.ask(i, "d LIST \"\" * RETURN (STATUS (MESSAGES))\r\n");
    assert_eq!(world.peers[i].asked, ["mailboxes"], "one question for all");
    insta::assert_snapshot!(world.transcript());
}
