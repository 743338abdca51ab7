//! Databases for the tests.
//!
//! A test asks for the [`databases`] at hand and runs on each. SQLite is always there: every [`Database`] is a
//! file of its own in a temporary folder. Servers join this list with their drivers.
//!
//! `DBMAIL_TEST_REQUIRE=sqlite,postgres` names what must be covered: a database on that list that is not at hand
//! makes the test fail, so that no run passes by leaving a database out.

use std::path::PathBuf;

use tempfile::TempDir;

/// A fresh database, gone when this is dropped.
#[derive(Debug)]
pub struct Database {
    /// `sqlite`, `postgres`, …
    pub kind: &'static str,
    /// As in `[database] url`.
    pub url: String,
    folder: TempDir,
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
            kind: "sqlite",
            url,
            folder,
        })
    }

    /// The folder that the test may use beside the database.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// What of the required databases can't be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "DBMAIL_TEST_REQUIRE asks for {missing}, which this build has no driver for; at hand: {at_hand}"
)]
pub struct Missing {
    missing: String,
    at_hand: String,
}

/// The kinds of database that this build can be tested on.
const AT_HAND: [&str; 1] = ["sqlite"];

/// Checks a list such as `sqlite,postgres` against what is at hand.
///
/// # Errors
/// [`Missing`] names the first that is not.
pub fn check_required(list: &str) -> Result<(), Missing> {
    let wanted = list
        .split(',')
        .map(str::trim)
        .filter(|kind| !kind.is_empty());
    for kind in wanted {
        if !AT_HAND.contains(&kind) {
            return Err(Missing {
                missing: kind.to_owned(),
                at_hand: AT_HAND.join(", "),
            });
        }
    }
    Ok(())
}

/// A fresh database of each kind at hand; says which on standard error.
///
/// # Panics
/// When `DBMAIL_TEST_REQUIRE` names one that is not at hand, or a database can't be made: the test must fail.
#[must_use]
#[expect(clippy::panic, reason = "a test that can't have its database fails")]
pub fn databases() -> Vec<Database> {
    if let Ok(list) = std::env::var("DBMAIL_TEST_REQUIRE")
        && let Err(missing) = check_required(&list)
    {
        panic!("{missing}");
    }
    match Database::sqlite() {
        Ok(sqlite) => {
            eprintln!("databases covered: {}", AT_HAND.join(", "));
            vec![sqlite]
        }
        Err(error) => panic!("no temporary folder for a test database: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_database_that_is_not_at_hand_is_named() {
        assert_eq!(check_required("sqlite"), Ok(()));
        assert_eq!(check_required(""), Ok(()));
        let missing = check_required("sqlite, postgres").unwrap_err();
        assert!(missing.to_string().contains("asks for postgres"));
    }

    #[test]
    fn each_database_is_fresh_and_its_own() {
        let (a, b) = (Database::sqlite().unwrap(), Database::sqlite().unwrap());
        assert_ne!(a.url, b.url);
        let folder = a.folder();
        assert!(folder.is_dir());
        drop(a);
        assert!(!folder.exists());
    }
}
