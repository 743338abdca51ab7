//! Migrations: numbered files, applied in order under a lock; and the check that a database is at the version that this
//! program knows.

use crate::driver::{Begin, Connection, Failure, Row, Sqlite, SqliteFile, block_on, values};
use crate::settings::{Applied, OpenError, Settings};
use crate::sql::{Dialect, Sql};

/// The migrations for SQLite, oldest first.
const SQLITE: &[(i64, &str, &str)] = &[(
    1,
    "0001_mail.sql",
    include_str!("../../../migrations/sqlite/0001_mail.sql"),
)];

/// Newest version known.
const NEWEST: i64 = SQLITE.len() as i64;

/// The file that a URL names.
pub(crate) fn file(url: &str) -> Result<SqliteFile, OpenError> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        let scheme = url.split(':').next().unwrap_or_default();
        return Err(OpenError::Url(format!(
            "the database URL begins with `{scheme}:`; this version opens `sqlite:` only"
        )));
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(['?', '#']) {
        return Err(OpenError::Url(
            "the database URL names no file: write sqlite:///path/to/mail.db".to_owned(),
        ));
    }
    Ok(SqliteFile(path.into()))
}

/// Opens the database to write, when it is at the version that this program knows.
pub(crate) fn open(file: &SqliteFile) -> Result<Sqlite, OpenError> {
    if !file.0.exists() {
        return Err(OpenError::Empty);
    }
    if let Some(exposure) = file.exposure() {
        return Err(OpenError::Insecure(exposure));
    }
    let mut sqlite = Sqlite::open(file, true).map_err(|f| refused(f, file))?;
    let applied = applied(&mut sqlite, file)?;
    let have = applied.last().map_or(0, |(version, ..)| *version);
    match have {
        0 => Err(OpenError::Empty),
        have if have < NEWEST => Err(OpenError::TooOld { have, want: NEWEST }),
        have if have > NEWEST => Err(OpenError::TooNew { have, want: NEWEST }),
        _ => {
            check_digests(&applied)?;
            Ok(sqlite)
        }
    }
}

/// Applies what is missing, each migration in a transaction; or says what it would.
pub(crate) fn migrate(settings: &Settings, plan_only: bool) -> Result<Vec<Applied>, OpenError> {
    let file = file(&settings.url)?;
    if plan_only && !file.0.exists() {
        return Ok(SQLITE.iter().map(planned).collect());
    }
    file.create().map_err(|f| refused(f, &file))?;
    if let Some(exposure) = file.exposure() {
        return Err(OpenError::Insecure(exposure));
    }
    let mut sqlite = Sqlite::open(&file, true).map_err(|f| refused(f, &file))?;
    let mut done = Vec::new();
    for migration in SQLITE {
        // Under the one lock that SQLite has: who comes second finds it done.
        block_on(sqlite.begin(Begin::Write)).map_err(|f| refused(f, &file))?;
        let result = apply(&mut sqlite, &file, settings, migration, plan_only);
        match result {
            Ok(applied) => {
                block_on(sqlite.commit()).map_err(|f| refused(f, &file))?;
                done.extend(applied);
            }
            Err(error) => {
                block_on(sqlite.rollback());
                return Err(error);
            }
        }
    }
    Ok(done)
}

fn apply(
    sqlite: &mut Sqlite,
    file: &SqliteFile,
    settings: &Settings,
    migration: &(i64, &'static str, &'static str),
    plan_only: bool,
) -> Result<Option<Applied>, OpenError> {
    let (version, name, text) = *migration;
    let applied = applied(sqlite, file)?;
    let have = applied.last().map_or(0, |(version, ..)| *version);
    if have > NEWEST {
        return Err(OpenError::TooNew { have, want: NEWEST });
    }
    check_digests(&applied)?;
    if have >= version {
        return Ok(None);
    }
    let planned = planned(migration);
    if !plan_only {
        sqlite.define(text).map_err(|f| refused(f, file))?;
        let now = settings.clock.now().0;
        let row = values![version, name, digest(text), planned.statements as u64, now];
        let insert = Sql::SchemaInsert.rendered(Dialect::Sqlite);
        block_on(sqlite.execute(insert, &row)).map_err(|f| refused(f, file))?;
    }
    Ok(Some(planned))
}

/// Versions applied, with name and digest, ascending.
fn applied(
    sqlite: &mut Sqlite,
    file: &SqliteFile,
) -> Result<Vec<(i64, String, Vec<u8>)>, OpenError> {
    let mut read = || {
        if !sqlite.has_table("schema_version")? {
            return Ok((Vec::new(), sqlite.table_count()? == 0));
        }
        let ours = sqlite.is_ours()?;
        let select = Sql::SchemaVersions.rendered(Dialect::Sqlite);
        let mut rows = block_on(sqlite.query(select, &[], u64::MAX))?;
        let one = |mut row: Row<'_>| Ok((row.int(0)?, row.text(1)?, row.bytes(2)?.to_vec()));
        Ok((rows.each().map(one).collect::<Result<_, Failure>>()?, ours))
    };
    let (versions, ours) = read().map_err(|f| refused(f, file))?;
    if !ours {
        let path = file.0.display();
        return Err(OpenError::NotOurs(format!(
            "{path} is a database of another program: name another file"
        )));
    }
    Ok(versions)
}

fn check_digests(applied: &[(i64, String, Vec<u8>)]) -> Result<(), OpenError> {
    for (version, name, stored) in applied {
        let known = SQLITE.iter().find(|(known, ..)| known == version);
        if known.is_some_and(|(_, _, text)| stored[..] != digest(text)[..]) {
            return Err(OpenError::Changed { name: name.clone() });
        }
    }
    Ok(())
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn planned((version, name, text): &(i64, &str, &str)) -> Applied {
    let ends = |line: &&str| line.trim_end().ends_with(';');
    let statements = text.lines().filter(ends).count();
    Applied {
        version: *version,
        name: (*name).to_owned(),
        statements,
    }
}

fn refused(failure: Failure, file: &SqliteFile) -> OpenError {
    let path = file.0.display();
    match failure {
        Failure::Busy => OpenError::Locked,
        Failure::Damaged(why) => OpenError::NotOurs(format!(
            "{path} is no database that can be read ({why}): name another file, or restore it from a backup"
        )),
        Failure::Unique(why) | Failure::Foreign(why) | Failure::Lost(why) | Failure::Other(why) => {
            OpenError::Unreachable(format!("{path}: {why}"))
        }
    }
}
