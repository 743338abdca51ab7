//! Databases for the tests.
//!
//! A test runs on each of the [`kinds_at_hand`], on a fresh [`Database`] of its own. SQLite is always there. A server is
//! the one that `DBMAIL_TEST_POSTGRES`, `…_MARIADB` or `…_MYSQL` names (the URL of an administrator), or a container, where
//! a Docker engine answers: one for all processes of a run, quick and not durable, which stays for the next run. Tests
//! that crash a database start a [`Server`] of their own.
//!
//! `DBMAIL_TEST_REQUIRE=sqlite,postgres` names what must be covered: a database on that list that can't be had makes
//! the test fail, so that no run passes by leaving a database out. `DBMAIL_TEST_ONLY=sqlite` leaves others out on purpose.

mod server;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

pub use server::Server;
use server::{administrator, apart, run};

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

/// A fresh database, gone when this is dropped.
#[derive(Debug)]
pub struct Database {
    /// What it is.
    pub kind: Kind,
    /// As in `[database] url`.
    pub url: String,
    folder: TempDir,
    /// Where it is dropped: the administrator's URL and its name.
    server: Option<(String, String)>,
}

impl Database {
    /// A fresh SQLite database; the file does not exist yet.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn sqlite() -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("dbmail-test-").tempdir()?;
        let url = format!("sqlite:{}", folder.path().join("mail.db").display());
        Ok(Self {
            kind: Kind::Sqlite,
            url,
            folder,
            server: None,
        })
    }

    /// A fresh database of a kind, empty.
    ///
    /// # Errors
    /// Why it can't be had.
    pub fn fresh(kind: Kind) -> Result<Self, String> {
        let sqlite = Self::sqlite().map_err(|error| error.to_string())?;
        if kind == Kind::Sqlite {
            return Ok(sqlite);
        }
        Self::on(kind, &administrator(kind)?)
    }

    /// A fresh database on a server.
    ///
    /// # Errors
    /// Why it can't be made.
    pub fn on(kind: Kind, administrator: &str) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut fresh = Self::sqlite().map_err(|error| error.to_string())?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dbmail_test_{}_{number}", std::process::id());
        let options = match kind {
            Kind::Postgres => "",
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            }
        };
        // A process of that number may have left one.
        apart(async {
            let drop = format!("DROP DATABASE IF EXISTS {name}");
            run(kind, administrator, &drop).await?;
            run(
                kind,
                administrator,
                &format!("CREATE DATABASE {name}{options}"),
            )
            .await
        })?;
        let (server, _) = administrator
            .rsplit_once('/')
            .ok_or("a URL without a path")?;
        fresh.kind = kind;
        fresh.url = format!("{server}/{name}");
        fresh.server = Some((administrator.to_owned(), name));
        Ok(fresh)
    }

    /// The folder that the test may use beside the database.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Leaves the database where it is; its URL.
    #[must_use]
    pub fn keep(mut self) -> String {
        self.server = None;
        self.folder.disable_cleanup(true);
        self.url.clone()
    }

    /// Runs a text on the database itself, past the store: for tests that damage it, or count.
    ///
    /// # Errors
    /// What the database says.
    pub fn run(&self, text: &str) -> Result<(), String> {
        apart(run(self.kind, &self.url, text))
    }

    /// Empties all tables but those to keep, and runs a text: a server does that twenty times as fast as it makes tables.
    ///
    /// # Errors
    /// What the database says.
    pub fn empty(&self, keep: &[&str], then: &str) -> Result<(), String> {
        apart(server::empty(self.kind, &self.url, keep, then))
    }

    /// The whole number that a text asks for.
    ///
    /// # Errors
    /// What the database says.
    pub fn number(&self, text: &str) -> Result<i64, String> {
        apart(server::number(self.kind, &self.url, text))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((administrator, name)) = self.server.take() else {
            return;
        };
        let force = if self.kind == Kind::Postgres {
            " WITH (FORCE)"
        } else {
            ""
        };
        let drop = format!("DROP DATABASE IF EXISTS {name}{force}");
        if let Err(error) = apart(run(self.kind, &administrator, &drop)) {
            eprintln!("{name} stays: {error}");
        }
    }
}

/// What of the required databases can't be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It can't be had; why.
    #[error("DBMAIL_TEST_REQUIRE asks for {0}, which can't be had: {1}")]
    Gone(String, String),
    /// There is none of that name.
    #[error("DBMAIL_TEST_REQUIRE asks for {0}; there are sqlite, postgres, mariadb, mysql")]
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

fn at_hand() -> Result<Vec<Kind>, Missing> {
    let list = |variable| std::env::var(variable).unwrap_or_default();
    let required = listed(&list("DBMAIL_TEST_REQUIRE"))?;
    let only = listed(&list("DBMAIL_TEST_ONLY"))?;
    let wanted: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| required.contains(kind) || only.is_empty() || only.contains(kind))
        .collect();
    // All at once: each takes some seconds the first time.
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = wanted
            .iter()
            .map(|kind| {
                scope.spawn(|| match kind {
                    Kind::Sqlite => Ok(()),
                    Kind::Postgres | Kind::MariaDb | Kind::MySql => administrator(*kind).map(drop),
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let broke = |_| Err("its thread broke off".to_owned());
            thread.join().unwrap_or_else(broke)
        });
        joined.collect::<Vec<_>>()
    });
    let mut kinds = Vec::new();
    for (kind, found) in wanted.into_iter().zip(found) {
        match found {
            Ok(()) => kinds.push(kind),
            Err(why) if required.contains(&kind) => {
                return Err(Missing::Gone(kind.name().to_owned(), why));
            }
            Err(why) => eprintln!("not covered: {}, because {why}", kind.name()),
        }
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

    #[test]
    fn each_database_is_fresh_and_its_own() {
        for kind in kinds_at_hand() {
            let (a, b) = (
                Database::fresh(kind).unwrap(),
                Database::fresh(kind).unwrap(),
            );
            assert_ne!(a.url, b.url);
            if kind != Kind::Sqlite {
                a.run("CREATE TABLE t (x integer)").unwrap();
                assert!(b.run("SELECT x FROM t").is_err(), "{kind:?}");
            }
            let (folder, url) = (a.folder(), a.url.clone());
            assert!(folder.is_dir());
            drop(a);
            assert!(!folder.exists());
            if kind != Kind::Sqlite {
                assert!(apart(run(kind, &url, "SELECT 1")).is_err(), "{kind:?}");
            }
        }
    }
}
