//! A server that a test has to itself: it is durable, and may be killed.

use dbmail_testcontainers::{Kind, Server, kinds_at_hand};

/// Runs on all servers at once: they take their time to start.
fn each(test: impl Fn(Kind) + Sync) {
    if let Err(why) = Server::engine() {
        eprintln!("not covered: a server of a test's own, because {why}");
        return;
    }
    let test = &test;
    let kinds = kinds_at_hand();
    std::thread::scope(|scope| {
        for kind in kinds.into_iter().filter(|kind| *kind != Kind::Sqlite) {
            scope.spawn(move || test(kind));
        }
    });
}

fn listens(server_url: &str) -> bool {
    let authority = server_url.rsplit('@').next();
    let address = authority.and_then(|authority| authority.split('/').next());
    std::net::TcpStream::connect(address.unwrap_or_default()).is_ok()
}

#[test]
fn a_durable_server_keeps_what_was_committed_when_it_is_killed_and_is_gone_when_dropped() {
    each(|kind| {
        let server = Server::durable(kind).unwrap();
        let database = server.database().unwrap();
        let is_durable = match kind {
            Kind::Postgres => {
                "SELECT count(*) FROM pg_settings WHERE (name, setting) IN \
                 (('fsync', 'on'), ('full_page_writes', 'on'), ('synchronous_commit', 'on'))"
            }
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                "SELECT CAST(2 * (@@innodb_doublewrite IN ('ON', '1')) \
                 + @@innodb_flush_log_at_trx_commit AS signed)"
            }
        };
        assert_eq!(database.number(is_durable), Ok(3), "{kind:?}");
        database.run("CREATE TABLE t (x integer)").unwrap();
        database.run("INSERT INTO t VALUES (1), (2), (3)").unwrap();

        server.kill().unwrap();
        assert!(database.run("SELECT 1").is_err(), "{kind:?}");
        assert!(server.kill().is_err(), "{kind:?} can be killed twice");
        server.start().unwrap();
        assert_eq!(database.number("SELECT count(*) FROM t"), Ok(3), "{kind:?}");

        let url = server.url().to_owned();
        drop(database);
        assert!(listens(&url), "{kind:?}");
        drop(server);
        assert!(!listens(&url), "{kind:?}");
    });
}

#[test]
fn a_server_that_does_not_start_says_why() {
    each(|kind| {
        let error = Server::durable_with(kind, &["--no-such-setting=1"]).unwrap_err();
        let error = error.replace('_', "-");
        assert!(error.contains("no-such-setting"), "{kind:?}: {error}");
    });
}

#[test]
fn sqlite_has_no_server() {
    let error = Server::durable(Kind::Sqlite).unwrap_err();
    assert!(error.contains("no server"), "{error}");
}
