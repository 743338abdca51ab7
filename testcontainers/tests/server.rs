//! A server that a test has to itself: it is durable, and may be killed.

use dbmail_testcontainers::{Kind, Server, kinds_at_hand};

/// The kinds that a server of its own is tested of: none without a container engine, which is said.
fn kinds() -> Vec<Kind> {
    if let Err(why) = Server::engine() {
        eprintln!("not covered: a server of a test's own, because {why}");
        return Vec::new();
    }
    let mut kinds = kinds_at_hand();
    kinds.retain(|kind| *kind != Kind::Sqlite);
    kinds
}

#[test]
fn what_was_committed_is_there_after_a_kill_at_the_same_address() {
    for kind in kinds() {
        let server = Server::durable(kind).unwrap();
        let database = server.database().unwrap();
        database.run("CREATE TABLE t (x integer)").unwrap();
        database.run("INSERT INTO t VALUES (1), (2), (3)").unwrap();
        server.kill().unwrap();
        assert!(database.run("SELECT 1").is_err(), "{kind:?}");
        assert!(server.kill().is_err(), "{kind:?} can be killed twice");
        server.start().unwrap();
        assert_eq!(database.number("SELECT count(*) FROM t"), Ok(3), "{kind:?}");
    }
}

#[test]
fn a_server_of_its_own_is_gone_when_it_is_dropped() {
    for kind in kinds() {
        let server = Server::durable(kind).unwrap();
        let url = server.url().to_owned();
        let port = url.rsplit_once(':').unwrap().1;
        let port: u16 = port.split_once('/').unwrap().0.parse().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(server);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn a_server_is_durable_unless_its_arguments_say_otherwise() {
    for kind in kinds() {
        let durable = |server: &Server| {
            let database = server.database().unwrap();
            let asked = match kind {
                Kind::Postgres => {
                    "SELECT count(*) FROM pg_settings WHERE (name, setting) IN \
                     (('fsync', 'on'), ('full_page_writes', 'on'), ('synchronous_commit', 'on'))"
                }
                Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                    "SELECT CAST(2 + @@innodb_flush_log_at_trx_commit AS signed)"
                }
            };
            database.number(asked).unwrap()
        };
        assert_eq!(durable(&Server::durable(kind).unwrap()), 3, "{kind:?}");
        let arguments: &[&str] = match kind {
            Kind::Postgres => &["-c", "fsync=off"],
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => &["--innodb-flush-log-at-trx-commit=0"],
        };
        assert_eq!(
            durable(&Server::durable_with(kind, arguments).unwrap()),
            2,
            "{kind:?}"
        );
    }
}

#[test]
fn a_server_that_does_not_start_says_why() {
    for kind in kinds() {
        let error = Server::durable_with(kind, &["--no-such-setting=1"]).unwrap_err();
        let error = error.replace('_', "-");
        assert!(error.contains("no-such-setting"), "{kind:?}: {error}");
    }
}

#[test]
fn sqlite_has_no_server() {
    let error = Server::durable(Kind::Sqlite).unwrap_err();
    assert!(error.contains("no server"), "{error}");
}
