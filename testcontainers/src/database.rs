//! A fresh database for a test.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::address::Address;
use crate::server::administrator;
use crate::sql::{self, apart};
use crate::{Kind, names};

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
        Self::named(kind, administrator, names::fresh())
    }

    fn named(kind: Kind, administrator: &str, name: String) -> Result<Self, String> {
        let mut fresh = Self::sqlite().map_err(|error| error.to_string())?;
        fresh.url = Address::read(administrator)?.of(&name);
        fresh.kind = kind;
        apart(sql::created(kind, administrator, &name))?;
        fresh.server = Some((administrator.to_owned(), name));
        Ok(fresh)
    }

    /// Makes a database that stays, for work by hand; returns its URL. No test run drops it, however old it is.
    ///
    /// # Errors
    /// Why it can't be had.
    pub fn lasting(kind: Kind) -> Result<String, String> {
        let mut lasting = if kind == Kind::Sqlite {
            Self::sqlite().map_err(|error| error.to_string())?
        } else {
            Self::named(kind, &administrator(kind)?, names::lasting())?
        };
        lasting.server = None;
        lasting.folder.disable_cleanup(kind == Kind::Sqlite);
        Ok(lasting.url.clone())
    }

    /// The folder that the test may use beside the database.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Runs a text on the database itself, past the store: for tests that damage it, or count.
    ///
    /// # Errors
    /// What the database says.
    pub fn run(&self, text: &str) -> Result<(), String> {
        apart(sql::run(self.kind, &self.url, text))
    }

    /// Empties all tables but those to keep, and runs a text: a server does that twenty times as fast as it makes tables.
    ///
    /// # Errors
    /// What the database says.
    pub fn empty(&self, keep: &[&str], then: &str) -> Result<(), String> {
        apart(sql::empty(self.kind, &self.url, keep, then))
    }

    /// The whole number that a text asks for.
    ///
    /// # Errors
    /// What the database says.
    pub fn number(&self, text: &str) -> Result<i64, String> {
        apart(sql::number(self.kind, &self.url, text))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((administrator, name)) = self.server.take() else {
            return;
        };
        // What stays is dropped by a run an hour later.
        if let Err(error) = apart(sql::dropped(self.kind, &administrator, &name)) {
            eprintln!("{name} stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds_at_hand;
    use crate::lock::Lock;

    fn servers() -> impl Iterator<Item = Kind> {
        kinds_at_hand()
            .into_iter()
            .filter(|kind| *kind != Kind::Sqlite)
    }

    #[test]
    fn each_database_is_fresh_and_its_own() {
        for kind in kinds_at_hand() {
            let (a, b) = (
                Database::fresh(kind).unwrap(),
                Database::fresh(kind).unwrap(),
            );
            assert_eq!((a.kind, b.kind), (kind, kind));
            assert_ne!(a.url, b.url);
            assert_ne!(a.folder(), b.folder());
            if kind != Kind::Sqlite {
                a.run("CREATE TABLE t (x integer)").unwrap();
                assert_eq!(a.number("SELECT count(*) FROM t"), Ok(0), "{kind:?}");
                assert!(b.number("SELECT count(*) FROM t").is_err(), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_database_that_is_dropped_is_gone_with_its_folder() {
        for kind in kinds_at_hand() {
            let database = Database::fresh(kind).unwrap();
            let (folder, url) = (database.folder(), database.url.clone());
            assert!(folder.is_dir());
            drop(database);
            assert!(!folder.exists());
            assert!(apart(sql::run(kind, &url, "SELECT 1")).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_database_is_dropped_though_somebody_has_a_table_of_it_locked() {
        for kind in servers() {
            let database = Database::fresh(kind).unwrap();
            database.run("CREATE TABLE t (x integer)").unwrap();
            let url = database.url.clone();
            let open = apart(sql::in_transaction(kind, &url, "INSERT INTO t VALUES (1)")).unwrap();
            drop(database);
            assert!(apart(sql::run(kind, &url, "SELECT 1")).is_err(), "{kind:?}");
            drop(open);
        }
    }

    #[test]
    fn text_is_told_apart_by_case_and_holds_all_of_unicode() {
        for kind in servers() {
            let database = Database::fresh(kind).unwrap();
            database
                .run("CREATE TABLE t (x varchar(20) PRIMARY KEY)")
                .unwrap();
            database
                .run("INSERT INTO t VALUES ('a'), ('A'), ('\u{1f4ec}')")
                .unwrap();
            let number = database.number("SELECT count(*) FROM t WHERE x = '\u{1f4ec}'");
            assert_eq!(number, Ok(1), "{kind:?}");
        }
    }

    #[test]
    fn to_empty_a_database_leaves_what_is_to_keep() {
        for kind in servers() {
            let database = Database::fresh(kind).unwrap();
            let made = "CREATE TABLE kept (x integer); CREATE TABLE parent (x integer PRIMARY KEY); \
                        CREATE TABLE child (x integer, FOREIGN KEY (x) REFERENCES parent (x)); \
                        INSERT INTO kept VALUES (1); INSERT INTO parent VALUES (1); \
                        INSERT INTO child VALUES (1)";
            database.run(made).unwrap();
            database
                .empty(&["kept"], "INSERT INTO parent VALUES (2), (3)")
                .unwrap();
            let counts = ["kept", "parent", "child"].map(|table| {
                database
                    .number(&format!("SELECT count(*) FROM {table}"))
                    .unwrap()
            });
            assert_eq!(counts, [1, 2, 0], "{kind:?}");
        }
    }

    #[test]
    fn a_lasting_database_is_there_until_somebody_drops_it() {
        for kind in servers() {
            let url = Database::lasting(kind).unwrap();
            apart(sql::run(kind, &url, "SELECT 1")).unwrap();
            let (path, _) = url.split_once('?').unwrap_or((&url, ""));
            let name = path.rsplit('/').next().unwrap();
            let far = std::time::SystemTime::now() + 1000 * names::LEFT_AFTER;
            assert!(!names::is_left(name, far), "{name}");
            apart(sql::dropped(kind, &administrator(kind).unwrap(), name)).unwrap();
        }
        let url = Database::lasting(Kind::Sqlite).unwrap();
        let folder = std::path::Path::new(url.strip_prefix("sqlite:").unwrap())
            .parent()
            .unwrap();
        std::fs::remove_dir(folder).unwrap();
    }

    #[tokio::test]
    async fn a_test_on_a_runtime_may_have_a_database() {
        for kind in kinds_at_hand() {
            let database = Database::fresh(kind).unwrap();
            assert!(database.url.contains("dbmail"));
        }
    }

    #[test]
    fn what_a_killed_test_left_is_dropped_and_nothing_else() {
        for kind in servers() {
            let administrator = administrator(kind).unwrap();
            // As whoever sweeps: another run is not to do it meanwhile.
            let lock = Lock::on(kind).unwrap();
            let second =
                names::seconds(std::time::SystemTime::now()) - names::LEFT_AFTER.as_secs() - 60;
            let old = |random: u64| names::named(second, random);
            let (left, used) = (old(names::random()), old(names::random()));
            let young = Database::fresh(kind).unwrap();
            for name in [&left, &used] {
                apart(sql::created(kind, &administrator, name)).unwrap();
            }
            let used_url = Address::read(&administrator).unwrap().of(&used);
            let open = apart(sql::in_transaction(kind, &used_url, "SELECT 1")).unwrap();
            let gone = apart(sql::swept(
                kind,
                &administrator,
                std::time::SystemTime::now(),
            ))
            .unwrap();
            assert!(
                gone.contains(&left) && !gone.contains(&used),
                "{kind:?}: {gone:?}"
            );
            young.run("SELECT 1").unwrap();
            apart(sql::run(kind, &used_url, "SELECT 1")).unwrap();
            drop((open, lock));
            apart(sql::dropped(kind, &administrator, &used)).unwrap();
        }
    }
}
