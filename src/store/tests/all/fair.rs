//! What is slow for one user does not stop another's requests.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use dbmail_core::store::{Answer, FlagChange, MailboxId, Request, SystemFlags};
use dbmail_testcontainers::Kind;
use sqlx::{Connection, MySqlConnection, PgConnection};

use super::world::{World, everything, flags, kind, name, on_each, user};

/// Another program's transaction, which holds the counter row of a mailbox.
enum Blocker {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Blocker {
    async fn hold(url: &str, mailbox: MailboxId) -> Self {
        let lock = format!(
            "SELECT modseq FROM mailbox_state WHERE mailbox = {} FOR UPDATE",
            mailbox.0
        );
        let texts = ["BEGIN".to_owned(), lock];
        if kind() == Kind::Postgres {
            let mut link = PgConnection::connect(url).await.expect("a connection");
            for text in texts {
                let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut link);
                done.await.expect("a lock");
            }
            Self::Postgres(link)
        } else {
            let mut link = MySqlConnection::connect(url).await.expect("a connection");
            for text in texts {
                let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut link);
                done.await.expect("a lock");
            }
            Self::MySql(link)
        }
    }

    async fn end(self) {
        match self {
            Self::Postgres(link) => link.close().await.expect("closed"),
            Self::MySql(link) => link.close().await.expect("closed"),
        }
    }
}

#[test]
fn changes_that_wait_for_a_lock_hold_up_no_other_user() {
    on_each(async || {
        if kind() == Kind::Sqlite {
            // It has one writer, and one lock for all that it holds.
            return;
        }
        let world = World::new().await;
        world.append(b"Subject: a\r\n\r\n").await;
        let held = world.status("INBOX").await.id;
        let bob = world.store.user_add(user("bob")).await.expect("bob");
        let status = Request::Status {
            account: bob,
            name: name("INBOX"),
        };
        let Answer::Status(free) = world.ask(status).await.expect("bob's INBOX") else {
            panic!("no status");
        };
        let store = |mailbox| Request::Store {
            mailbox,
            uids: everything(),
            how: FlagChange::Add,
            flags: flags(SystemFlags::SEEN),
            unchanged_since: None,
        };
        let blocker = Blocker::hold(&world.settings.url, held).await;
        let alice = Some(world.account);
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let (own, request) = (world.store.clone(), store(held));
                tokio::spawn(async move { own.apply_for(alice, request, None).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            let done = world.store.apply_for(Some(bob), store(free.id), None);
            done.await.expect("bob's flags");
        }
        // Far less than a lock is waited for.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(waiting.iter().all(|task| !task.is_finished()));
        blocker.end().await;
        for task in waiting {
            task.await.expect("a task").expect("alice's flags");
        }
    });
}
