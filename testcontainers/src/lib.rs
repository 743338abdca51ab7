//! Databases for the tests.
//!
//! A test runs on each of the [`kinds_at_hand`], on a fresh [`Database`] of its own. SQLite is always there. A server is
//! the one that `DBMAIL_TEST_POSTGRES`, `…_MARIADB` or `…_MYSQL` names (the URL of an administrator), or a container, where
//! a Docker engine answers: one for all processes of a run, quick and not durable, which stays for the next run. Tests
//! that crash a database start a [`Server`] of their own.
//!
//! `DBMAIL_TEST_REQUIRE=sqlite,postgres` names what must be covered: a database on that list that can't be had makes
//! the test fail, so that no run passes by leaving a database out. `DBMAIL_TEST_ONLY=sqlite` leaves others out on purpose.
//!
//! Everything here blocks and may be called from anywhere, a test on a runtime included.

mod address;
mod container;
pub mod containers;
mod database;
mod lock;
mod names;
mod proxy;
mod server;
mod sql;

use std::sync::OnceLock;

pub use database::Database;
pub use proxy::{Fault, Proxy, Reach, Strike, Way};
pub use server::Server;
use server::administrator;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sqlite, Self::Postgres, Self::MariaDb, Self::MySql];

    /// As lists name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What of the required databases can't be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It can't be had; why.
    #[error("DBMAIL_TEST_REQUIRE asks for {0}, which can't be had: {1}")]
    Gone(String, String),
    /// `DBMAIL_TEST_ONLY` leaves nothing to test on.
    #[error("none of what DBMAIL_TEST_ONLY asks for can be had: {0}")]
    Nothing(String),
    /// There is none of that name.
    #[error(
        "DBMAIL_TEST_REQUIRE or DBMAIL_TEST_ONLY asks for {0}; there are sqlite, postgres, mariadb, mysql"
    )]
    Unknown(String),
}

/// The kinds in a list such as `sqlite,postgres`.
///
/// # Errors
/// [`Missing::Unknown`] for a name that is none.
pub fn listed(list: &str) -> Result<Vec<Kind>, Missing> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| Kind::named(name).ok_or_else(|| Missing::Unknown(name.to_owned())))
        .collect()
}

/// What the environment asks for, and what of it can be had.
fn at_hand() -> Result<Vec<Kind>, Missing> {
    let list = |variable| std::env::var(variable).unwrap_or_default();
    chosen(
        &listed(&list("DBMAIL_TEST_REQUIRE"))?,
        &listed(&list("DBMAIL_TEST_ONLY"))?,
        |kind| match kind {
            Kind::Sqlite => Ok(()),
            Kind::Postgres | Kind::MariaDb | Kind::MySql => administrator(kind).map(drop),
        },
    )
}

fn chosen(
    required: &[Kind],
    only: &[Kind],
    find: impl Fn(Kind) -> Result<(), String> + Sync,
) -> Result<Vec<Kind>, Missing> {
    let wanted: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| required.contains(kind) || only.is_empty() || only.contains(kind))
        .collect();
    // All at once: each takes some seconds the first time.
    let found = std::thread::scope(|scope| {
        let find = &find;
        let threads: Vec<_> = wanted
            .iter()
            .map(|kind| scope.spawn(move || find(*kind)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let broke = |_| Err("its thread broke off".to_owned());
            thread.join().unwrap_or_else(broke)
        });
        joined.collect::<Vec<_>>()
    });
    let mut kinds = Vec::new();
    let mut not_covered = Vec::new();
    for (kind, found) in wanted.into_iter().zip(found) {
        match found {
            Ok(()) => kinds.push(kind),
            Err(why) if required.contains(&kind) => {
                return Err(Missing::Gone(kind.name().to_owned(), why));
            }
            Err(why) => not_covered.push(format!("{}, because {why}", kind.name())),
        }
    }
    for kind in &not_covered {
        eprintln!("not covered: {kind}");
    }
    if kinds.is_empty() {
        return Err(Missing::Nothing(not_covered.join("; ")));
    }
    Ok(kinds)
}

/// The kinds of database that tests run on, found once in a process; says which on standard error.
///
/// # Panics
/// When `DBMAIL_TEST_REQUIRE` names one that can't be had: the test must fail.
#[must_use]
#[expect(clippy::panic, reason = "a test that can't have its database fails")]
pub fn kinds_at_hand() -> Vec<Kind> {
    static KINDS: OnceLock<Result<Vec<Kind>, Missing>> = OnceLock::new();
    match KINDS.get_or_init(at_hand) {
        Ok(kinds) => {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            eprintln!("databases covered: {}", names.join(", "));
            kinds.clone()
        }
        Err(missing) => panic!("{missing}"),
    }
}

/// A fresh database of each kind at hand.
///
/// # Panics
/// As [`kinds_at_hand`], and when a database can't be made.
#[must_use]
#[expect(clippy::panic, reason = "a test that can't have its database fails")]
pub fn databases() -> Vec<Database> {
    let fresh = |kind: Kind| match Database::fresh(kind) {
        Ok(database) => database,
        Err(error) => panic!("no database on {}: {error}", kind.name()),
    };
    kinds_at_hand().into_iter().map(fresh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_database_that_there_is_not_is_named() {
        assert_eq!(listed("sqlite"), Ok(vec![Kind::Sqlite]));
        assert_eq!(listed(""), Ok(Vec::new()));
        let both = listed("postgres, mysql");
        assert_eq!(both, Ok(vec![Kind::Postgres, Kind::MySql]));
        let missing = listed("sqlite, db2").unwrap_err();
        assert!(missing.to_string().contains("asks for db2"));
    }

    fn without_mysql(kind: Kind) -> Result<(), String> {
        match kind {
            Kind::MySql => Err("it rains".to_owned()),
            Kind::Sqlite | Kind::Postgres | Kind::MariaDb => Ok(()),
        }
    }

    #[test]
    fn what_can_not_be_had_is_left_out_when_nobody_requires_it() {
        let kinds = chosen(&[], &[], without_mysql);
        assert_eq!(kinds, Ok(vec![Kind::Sqlite, Kind::Postgres, Kind::MariaDb]));
        let kinds = chosen(&[], &[Kind::MySql, Kind::Postgres], without_mysql);
        assert_eq!(kinds, Ok(vec![Kind::Postgres]));
    }

    #[test]
    fn what_is_required_and_can_not_be_had_is_a_failure_that_says_why() {
        let gone = chosen(&[Kind::MySql], &[], without_mysql).unwrap_err();
        assert_eq!(
            gone,
            Missing::Gone("mysql".to_owned(), "it rains".to_owned())
        );
        // Also where the rest is left out.
        let gone = chosen(&[Kind::MySql], &[Kind::Sqlite], without_mysql);
        assert!(gone.is_err());
    }

    #[test]
    fn to_test_on_nothing_is_a_failure() {
        let nothing = chosen(&[], &[Kind::MySql], without_mysql).unwrap_err();
        assert_eq!(
            nothing,
            Missing::Nothing("mysql, because it rains".to_owned())
        );
    }

    #[test]
    fn what_is_left_out_is_not_looked_for() {
        let only_sqlite = |kind| match kind {
            Kind::Sqlite => Ok(()),
            Kind::Postgres | Kind::MariaDb | Kind::MySql => panic!("{kind:?} was looked for"),
        };
        assert_eq!(
            chosen(&[], &[Kind::Sqlite], only_sqlite),
            Ok(vec![Kind::Sqlite])
        );
    }
}
