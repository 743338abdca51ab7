//! A client that knows its mailbox from the wire alone ends up with what the store has, in every interleaving.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::imap::session::world::World;

/// A mailbox as one client knows it.
#[derive(Default)]
struct Mirror {
    /// Messages by number: UID and flags, where told.
    messages: Vec<Option<(u32, Option<BTreeSet<String>>)>>,
    /// The numbers of what the last SEARCH with SAVE found.
    saved: BTreeSet<usize>,
    /// A command that uses sequence numbers is under way: no EXPUNGE may come.
    by_number: bool,
    /// No command is under way: nothing may come.
    silent: bool,
}

impl Mirror {
    fn hear(&mut self, heard: &str) {
        for line in heard.lines() {
            let Some(rest) = line.strip_prefix("* ") else {
                continue;
            };
            assert!(!self.silent, "told while no command was under way: {line}");
            if let Some(found) = rest.strip_prefix("ESEARCH (TAG ") {
                self.saved = numbers(found);
                continue;
            }
            let Some((number, rest)) = rest.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            if rest == "EXISTS" {
                assert!(number >= self.messages.len(), "EXISTS shrank: {line}");
                self.messages.resize(number, None);
            } else if rest == "EXPUNGE" {
                assert!(!self.by_number, "EXPUNGE during a command by numbers");
                self.messages.remove(number - 1);
                let left = self.saved.iter().filter(|saved| **saved != number);
                let shift = |saved: &usize| saved - usize::from(*saved > number);
                self.saved = left.map(shift).collect();
            } else if let Some(data) = rest.strip_prefix("FETCH (") {
                self.learn(number, data);
            }
        }
    }

    fn learn(&mut self, number: usize, data: &str) {
        let uid: u32 = data
            .split("UID ")
            .nth(1)
            .unwrap()
            .split([' ', ')'])
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let flags = data.split("FLAGS (").nth(1).map(|rest| {
            let names = rest.split(')').next().unwrap();
            names
                .split_whitespace()
                .filter(|f| *f != "\\Recent")
                .map(str::to_owned)
                .collect()
        });
        let slot = &mut self.messages[number - 1];
        if let Some((known, _)) = slot {
            assert_eq!(*known, uid, "a number means another message than before");
        }
        let before = slot.take().and_then(|(_, flags)| flags);
        *slot = Some((uid, flags.or(before)));
    }
}

/// The numbers of an ESEARCH response's ALL.
fn numbers(line: &str) -> BTreeSet<usize> {
    let set = line.split_once(" ALL ").map_or("", |(_, set)| set);
    let ranges = set.split(',').filter(|range| !range.is_empty());
    let ranges = ranges.map(|range| range.split_once(':').unwrap_or((range, range)));
    ranges
        .flat_map(|(low, high)| low.parse().unwrap()..=high.parse().unwrap())
        .collect()
}

#[derive(Clone, Debug)]
enum Act {
    /// This client sends this command.
    Say(usize, &'static str, bool),
    /// A message comes by delivery.
    Deliver,
    /// Days go by, and what is gone and the beginning of the log are purged.
    Purge,
    /// What was expunged comes back.
    Undelete,
    /// This session gets so many of its waiting inputs.
    Turn(usize, u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let command = prop_oneof![
        Just(("NOOP", false)),
        Just(("FETCH 1 (UID FLAGS)", true)),
        Just(("FETCH * (UID FLAGS)", true)),
        Just(("STORE 1 +FLAGS (\\Deleted)", true)),
        Just(("STORE * FLAGS (\\Seen a)", true)),
        Just(("STORE 1:* -FLAGS (\\Seen)", true)),
        Just(("UID STORE 2:4 +FLAGS (\\Deleted)", false)),
        Just(("UID STORE 1:* +FLAGS (b)", false)),
        Just(("EXPUNGE", false)),
        Just(("UID EXPUNGE 3:6", false)),
        Just(("SEARCH DELETED", true)),
        Just(("UID SEARCH UNSEEN", false)),
        Just(("SEARCH RETURN (ALL SAVE) NOT DELETED", true)),
        Just(("STORE $ +FLAGS (c)", true)),
        Just(("UID FETCH $ FLAGS", false)),
        Just(("COPY 1 INBOX", true)),
        Just(("UID MOVE 1:2 INBOX", false)),
        Just(("MOVE 1 Trash", false)),
        Just(("APPEND INBOX {3+}\r\nabc", false)),
        Just(("CHECK", false)),
        Just(("IDLE", false)),
    ];
    let act = prop_oneof![
        4 => (0usize..3, command).prop_map(|(i, (text, numbers))| Act::Say(i, text, numbers)),
        1 => Just(Act::Deliver),
        1 => Just(Act::Purge),
        1 => Just(Act::Undelete),
        6 => (0usize..3, 1u8..4).prop_map(|(i, n)| Act::Turn(i, n)),
    ];
    proptest::collection::vec(act, 1..60)
}

struct Clients {
    world: World,
    mirrors: Vec<Mirror>,
    /// The tagged reply that each waits for, and whether it idles.
    waiting: Vec<Option<(String, bool)>>,
    count: usize,
}

impl Clients {
    fn new() -> Self {
        let mut world = World::new();
        for n in 0..4 {
            world.deliver("INBOX", format!("Subject: {n}\r\n\r\n{n}").as_bytes(), "");
        }
        let mut mirrors = Vec::new();
        for _ in 0..3 {
            let i = world.login();
            let mut mirror = Mirror::default();
            let told = world.ask(i, "s SELECT INBOX\r\n");
            mirror.hear(&told);
            mirror.hear(&world.ask(i, "t FETCH 1:* (UID FLAGS)\r\n"));
            mirror.silent = true;
            mirrors.push(mirror);
        }
        Self {
            world,
            mirrors,
            waiting: vec![None; 3],
            count: 0,
        }
    }

    fn listen(&mut self, i: usize) {
        let heard = self.world.hear(i);
        self.mirrors[i].hear(&heard);
        if let Some((tag, _)) = &self.waiting[i]
            && heard.lines().any(|line| line.starts_with(tag))
        {
            assert!(
                !heard.contains(" BAD ") || heard.contains("no message with this number"),
                "{heard}"
            );
            self.waiting[i] = None;
            self.mirrors[i].silent = true;
        }
    }

    /// Lets a session finish its command.
    fn finish(&mut self, i: usize) {
        if let Some((_, true)) = self.waiting[i] {
            self.world.send(i, b"DONE\r\n");
        }
        while self.world.turn(i) {}
        self.listen(i);
        assert_eq!(self.waiting[i], None);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Say(i, text, numbers) => {
                self.finish(*i);
                self.count += 1;
                let tag = format!("x{} ", self.count);
                self.world.send(*i, format!("{tag}{text}\r\n").as_bytes());
                self.mirrors[*i].silent = false;
                self.mirrors[*i].by_number = *numbers;
                self.waiting[*i] = Some((tag, *text == "IDLE"));
                self.world.turn(*i);
                self.listen(*i);
            }
            Act::Deliver => {
                self.world.deliver("INBOX", b"Subject: new\r\n\r\nnew", "");
            }
            Act::Purge => {
                self.world.now = self.world.now.plus_seconds(3 * 86_400);
                let (now, account) = (self.world.now, self.world.account);
                self.world.store.purge(now, account, 0, 0);
            }
            Act::Undelete => self.world.undelete("INBOX"),
            Act::Turn(i, times) => {
                for _ in 0..*times {
                    self.world.turn(*i);
                    self.listen(*i);
                }
            }
        }
    }
}

/// What the store has.
fn truth(world: &mut World) -> BTreeMap<u32, BTreeSet<String>> {
    let i = world.login();
    world.ask(i, "e EXAMINE INBOX\r\n");
    let mut all = Mirror {
        messages: vec![None; 500],
        ..Mirror::default()
    };
    all.hear(&world.ask(i, "f UID FETCH 1:* FLAGS\r\n"));
    all.messages
        .into_iter()
        .flatten()
        .map(|(uid, flags)| (uid, flags.unwrap()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn a_client_knows_its_mailbox_from_the_wire_alone(acts in acts()) {
        let mut clients = Clients::new();
        for act in &acts {
            clients.act(act);
        }
        // Everybody finishes, then asks once more: now all must agree.
        for i in 0..3 {
            clients.finish(i);
        }
        let truth = truth(&mut clients.world);
        for i in 0..3 {
            clients.act(&Act::Say(i, "NOOP", false));
            clients.finish(i);
            let kept = clients.world.ask(i, "k SEARCH RETURN (ALL) $\r\n");
            let kept = numbers(kept.lines().next().unwrap());
            let mirror = &clients.mirrors[i];
            prop_assert_eq!(&kept, &mirror.saved);
            prop_assert_eq!(mirror.messages.len(), truth.len());
            for (slot, (uid, flags)) in mirror.messages.iter().zip(&truth) {
                // A message that was only announced has no UID yet.
                if let Some((known, told)) = slot {
                    prop_assert_eq!(known, uid);
                    if let Some(told) = told {
                        prop_assert_eq!(told, flags);
                    }
                }
            }
        }
    }
}
