//! What each request costs in statements (STORAGE, "Statements"): equal to the checked-in table, not below it.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use dbmail_core::store::{
    FetchItems, FlagChange, Flags, Keyword, ModSeq, Request, SystemFlags, UidSet,
};

use super::world::{World, everything, flags, name, on_each};

/// Statements that requests of a name have taken.
fn spent(world: &World, request: &str) -> u64 {
    let counters = world.store.counters();
    counters
        .requests
        .iter()
        .find(|r| r.name == request)
        .map_or(0, |r| r.statements)
}

async fn cost(world: &World, table: &mut String, what: &str, request: Request) {
    let name = request.name();
    let before = spent(world, name);
    world.ask(request).await.expect(what);
    table.push_str(&format!("{what:<58}{}\n", spent(world, name) - before));
}

#[test]
fn every_request_costs_what_the_table_says() {
    on_each(async || {
        let world = World::new().await;
        let account = world.account;
        let mut table = String::new();
        let long = format!("Received: x\r\n\r\n{}", "0123456789abcde\n".repeat(2_000));
        // The first of each kind takes blocks of ids.
        world.append(b"first").await;
        world.deliver(long.as_bytes(), &["INBOX"]).await;
        for (what, octets, to) in [
            (
                "delivery to one mailbox",
                "Received: a\r\n\r\nx".to_owned(),
                vec!["INBOX"],
            ),
            (
                "delivery to three mailboxes",
                "Received: b\r\n\r\nx".to_owned(),
                vec!["INBOX", "Sent", "Drafts"],
            ),
            (
                "delivery repeated",
                "Received: a\r\n\r\nx".to_owned(),
                vec!["INBOX"],
            ),
            (
                "delivery with a part that is there",
                format!("X: y\r\n{long}"),
                vec!["INBOX"],
            ),
            (
                "delivery with a new part",
                format!("{long}z"),
                vec!["INBOX"],
            ),
        ] {
            let before = spent(&world, "deliver");
            world.deliver(octets.as_bytes(), &to).await;
            table.push_str(&format!(
                "{what:<58}{}\n",
                spent(&world, "deliver") - before
            ));
        }
        let before = spent(&world, "append");
        world.append(b"Subject: y\r\n\r\ny").await;
        table.push_str(&format!(
            "{:<58}{}\n",
            "APPEND",
            spent(&world, "append") - before
        ));
        for n in 0..10 {
            world
                .append(format!("Subject: {n}\r\n\r\n{n}").as_bytes())
                .await;
        }
        let mailbox = world.status("INBOX").await.id;
        let inbox = name("INBOX");
        let keyword = Flags {
            keywords: [Keyword::new("Work").expect("a keyword")].into(),
            ..Flags::default()
        };
        let odd = || UidSet::from_ranges([1..=1, 100..=100, 300..=300]);
        let store = |uids: UidSet, flags: Flags| Request::Store {
            mailbox,
            uids,
            how: FlagChange::Add,
            flags,
            unchanged_since: None,
        };
        let fetch = |items| Request::Fetch {
            mailbox,
            uids: everything(),
            items,
        };
        let there = UidSet::from_ranges([1..=10]);
        let all = FetchItems {
            place: true,
            flags: true,
            modseq: true,
            dates: true,
            envelope: true,
            structure: true,
            header: true,
            content: false,
        };
        for (what, request) in [
            (
                "RCPT",
                Request::Resolve {
                    address: "alice@example.org".to_owned(),
                },
            ),
            ("LIST with STATUS of all", Request::Mailboxes { account }),
            (
                "STATUS",
                Request::Status {
                    account,
                    name: inbox.clone(),
                },
            ),
            (
                "SELECT, nothing recent claimed",
                Request::Open {
                    account,
                    name: inbox.clone(),
                    claim_recent: false,
                },
            ),
            (
                "SELECT, recent claimed",
                Request::Open {
                    account,
                    name: inbox.clone(),
                    claim_recent: true,
                },
            ),
            (
                "changes",
                Request::Changes {
                    mailbox,
                    since: ModSeq(1),
                },
            ),
            (
                "changes, none",
                Request::Changes {
                    mailbox,
                    since: ModSeq(1_000_000),
                },
            ),
            (
                "FETCH without flags, a page",
                Request::Fetch {
                    mailbox,
                    uids: there.clone(),
                    items: FetchItems {
                        envelope: true,
                        ..FetchItems::default()
                    },
                },
            ),
            (
                "FETCH flags, envelopes, structures, headers, a page",
                Request::Fetch {
                    mailbox,
                    uids: there.clone(),
                    items: all,
                },
            ),
            (
                "FETCH contents, a page, one of them with a part",
                Request::Fetch {
                    mailbox,
                    uids: there,
                    items: FetchItems {
                        content: true,
                        ..FetchItems::default()
                    },
                },
            ),
            ("FETCH of UIDs that may be gone, a page", fetch(all)),
            (
                "STORE, one range",
                store(everything(), flags(SystemFlags::FLAGGED)),
            ),
            (
                "STORE, changes nothing",
                store(everything(), flags(SystemFlags::FLAGGED)),
            ),
            (
                "STORE, three ranges",
                store(odd(), flags(SystemFlags::ANSWERED)),
            ),
            (
                "STORE of a new keyword",
                store(everything(), keyword.clone()),
            ),
            (
                "COPY, with keywords new there",
                Request::Copy {
                    mailbox,
                    uids: everything(),
                    account,
                    to: name("Sent"),
                },
            ),
            (
                "COPY of nothing",
                Request::Copy {
                    mailbox,
                    uids: UidSet::from_ranges([900..=900]),
                    account,
                    to: name("Sent"),
                },
            ),
            (
                "MOVE, with keywords",
                Request::Move {
                    mailbox,
                    uids: UidSet::from_ranges([2..=4]),
                    account,
                    to: name("Sent"),
                },
            ),
            (
                "EXPUNGE, nothing deleted",
                Request::Expunge {
                    mailbox,
                    uids: None,
                },
            ),
            (
                "CREATE",
                Request::Create {
                    account,
                    name: name("new"),
                    special_use: None,
                },
            ),
            (
                "SUBSCRIBE",
                Request::Subscribe {
                    account,
                    name: name("new"),
                    subscribed: true,
                },
            ),
            (
                "RENAME",
                Request::Rename {
                    account,
                    from: name("new"),
                    to: name("other"),
                },
            ),
            (
                "DELETE",
                Request::Delete {
                    account,
                    name: name("other"),
                },
            ),
        ] {
            cost(&world, &mut table, what, request).await;
        }
        let deleted = store(everything(), flags(SystemFlags::DELETED));
        world.ask(deleted).await.expect("stored");
        cost(
            &world,
            &mut table,
            "EXPUNGE, UIDs in two ranges",
            Request::Expunge {
                mailbox,
                uids: Some(UidSet::from_ranges([5..=6, 8..=9])),
            },
        )
        .await;
        cost(
            &world,
            &mut table,
            "EXPUNGE",
            Request::Expunge {
                mailbox,
                uids: None,
            },
        )
        .await;
        // The same table on every database.
        insta::assert_snapshot!("every_request_costs_what_the_table_says", table);
    });
}
