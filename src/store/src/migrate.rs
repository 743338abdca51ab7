//! Migrations: numbered files, applied in order under a lock; and the check that a database is at the version that this
//! program knows.
//!
//! On SQLite and PostgreSQL a migration is one transaction. On MySQL and MariaDB a definition commits by itself, so the
//! statements are counted (`steps_done`), and a migration that broke off goes on where it stopped.

use crate::driver::{
    AnyConnection, Begin, Connection, Failure, Row, Server, Sqlite, SqliteFile, mysql_options,
    postgres_options, values,
};
use crate::server_settings;
use crate::settings::{Applied, OpenError, Settings};
use crate::sql::{Dialect, Sql};

/// A migration: its number, its file's name, its text.
type Migration = (i64, &'static str, &'static str);

/// The migrations of a database, oldest first.
macro_rules! migrations {
    ($folder:literal: $($version:literal $name:literal),* $(,)?) => {
        &[$(($version, $name, include_str!(concat!("../../../migrations/", $folder, "/", $name)))),*]
    };
}

const SQLITE: &[Migration] = migrations!("sqlite": 1 "0001_mail.sql", 2 "0002_views.sql", 3 "0003_gone.sql", 4 "0004_tail.sql", 5 "0005_room.sql");
const POSTGRES: &[Migration] = migrations!("postgres": 1 "0001_mail.sql", 2 "0002_views.sql", 3 "0003_gone.sql", 4 "0004_tail.sql", 5 "0005_room.sql");
const MYSQL: &[Migration] = migrations!("mysql": 1 "0001_mail.sql", 2 "0002_views.sql", 3 "0003_gone.sql", 4 "0004_tail.sql", 5 "0005_room.sql");

/// Newest version known.
const NEWEST: i64 = SQLITE.len() as i64;

/// Name of the lock under which a server's schema is changed: one of two processes works, the other waits.
const LOCK_NAME: &str = "dbmail_migrate";

const fn migrations(dialect: Dialect) -> &'static [Migration] {
    match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
        Dialect::MySql => MYSQL,
    }
}

/// The texts of a database's migrations, oldest first.
pub(crate) fn texts(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    migrations(dialect).iter().map(|(_, _, text)| *text)
}

/// Where a database is.
pub(crate) enum Place {
    /// A file.
    Sqlite(SqliteFile),
    /// A PostgreSQL server.
    Postgres(Box<sqlx::postgres::PgConnectOptions>),
    /// A MySQL or MariaDB server.
    MySql(Box<sqlx::mysql::MySqlConnectOptions>),
}

/// Connections to a database, by what they are for.
pub(crate) struct Connections {
    /// For changes.
    pub(crate) writers: Vec<AnyConnection>,
    /// For messages that come, one for each shard; none where there is one writer.
    pub(crate) committers: Vec<AnyConnection>,
    /// For questions.
    pub(crate) readers: Vec<AnyConnection>,
    /// Where the doorbell of other front-ends' news is heard.
    pub(crate) bell: Option<sqlx::postgres::PgConnectOptions>,
}

/// The place that a URL names.
///
/// # Errors
/// `Url` says what is wrong with it, without the password in it.
pub(crate) fn place(url: &str) -> Result<Place, OpenError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let bad = |why: String| {
        OpenError::Url(format!(
            "the database URL does not say where the server is ({why}): write {scheme}://USER:PASSWORD@HOST/DATABASE"
        ))
    };
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.contains(['?', '#']) {
                return Err(OpenError::Url(
                    "the database URL names no file: write sqlite:///path/to/mail.db".to_owned(),
                ));
            }
            Ok(Place::Sqlite(SqliteFile(path.into())))
        }
        "postgres" | "postgresql" => Ok(Place::Postgres(Box::new(
            postgres_options(url).map_err(bad)?,
        ))),
        "mysql" | "mariadb" => {
            let url = format!("mysql:{rest}");
            Ok(Place::MySql(Box::new(mysql_options(&url).map_err(bad)?)))
        }
        scheme => Err(OpenError::Url(format!(
            "the database URL begins with `{scheme}:`; this version opens `sqlite:`, `postgres:` and `mysql:`"
        ))),
    }
}

impl Place {
    /// A connection; to a server it is made when it is first used.
    fn connection(&self, writes: bool) -> Result<AnyConnection, Failure> {
        Ok(match self {
            Self::Sqlite(file) => AnyConnection::Sqlite(Box::new(Sqlite::open(file, writes)?)),
            Self::Postgres(options) => {
                AnyConnection::Postgres(Box::new(Server::new((**options).clone())))
            }
            Self::MySql(options) => {
                AnyConnection::MySql(Box::new(Server::new((**options).clone())))
            }
        })
    }

    /// In words, without a password.
    fn name(&self) -> String {
        match self {
            Self::Sqlite(file) => file.0.display().to_string(),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or("its default");
                format!(
                    "{}:{}, database {database}",
                    options.get_host(),
                    options.get_port()
                )
            }
            Self::MySql(options) => {
                let database = options.get_database().unwrap_or("none");
                format!(
                    "{}:{}, database {database}",
                    options.get_host(),
                    options.get_port()
                )
            }
        }
    }

    fn refused(&self, failure: Failure) -> OpenError {
        let name = self.name();
        match failure {
            Failure::Busy => OpenError::Locked,
            Failure::Damaged(why) => OpenError::NotOurs(format!(
                "{name} is no database that can be read ({why}): name another, or restore it from a backup"
            )),
            Failure::Unique(why)
            | Failure::Foreign(why)
            | Failure::Lost(why)
            | Failure::Other(why) => OpenError::Unreachable(format!("{name}: {why}")),
        }
    }
}

/// Opens the database when it is at the version that this program knows.
pub(crate) async fn open(settings: &Settings) -> Result<Connections, OpenError> {
    let place = place(&settings.url)?;
    let (mut writers, mut committers) = (1, 0);
    if let Place::Sqlite(file) = &place {
        if !file.0.exists() {
            return Err(OpenError::Empty);
        }
        if let Some(exposure) = file.exposure() {
            return Err(OpenError::Insecure(exposure));
        }
    } else {
        (writers, committers) = (settings.writers.max(1), settings.committers.max(1));
    }
    let mut first = place.connection(true).map_err(|f| place.refused(f))?;
    let applied = applied(&mut first, &place).await?;
    check(&applied, first.dialect())?;
    let server = server_settings::read(&mut first).await;
    let server = server.map_err(|f| place.refused(f))?;
    for warning in server_settings::judge(first.dialect(), &server)? {
        tracing::warn!("{warning}");
    }
    let more = |count: usize, writes: bool| {
        let made = (0..count).map(|_| place.connection(writes));
        made.collect::<Result<Vec<_>, _>>()
            .map_err(|f| place.refused(f))
    };
    let mut all = vec![first];
    all.extend(more(writers - 1, true)?);
    Ok(Connections {
        writers: all,
        committers: more(committers, true)?,
        readers: more(settings.readers.max(1), false)?,
        bell: match &place {
            Place::Postgres(options) => Some((**options).clone()),
            Place::Sqlite(_) | Place::MySql(_) => None,
        },
    })
}

fn check(applied: &[Version], dialect: Dialect) -> Result<(), OpenError> {
    let have = applied.last().map_or(0, |v| v.version);
    match have {
        0 => Err(OpenError::Empty),
        have if have < NEWEST => Err(OpenError::TooOld { have, want: NEWEST }),
        have if have > NEWEST => Err(OpenError::TooNew { have, want: NEWEST }),
        have if applied.iter().any(|v| !v.finished) => Err(OpenError::TooOld {
            have: have - 1,
            want: NEWEST,
        }),
        _ => check_digests(applied, dialect),
    }
}

/// Applies what is missing; or says what it would.
pub(crate) async fn migrate(
    settings: &Settings,
    plan_only: bool,
) -> Result<Vec<Applied>, OpenError> {
    let place = place(&settings.url)?;
    if let Place::Sqlite(file) = &place {
        if plan_only && !file.0.exists() {
            return Ok(SQLITE.iter().map(planned).collect());
        }
        file.create().map_err(|f| place.refused(f))?;
        if let Some(exposure) = file.exposure() {
            return Err(OpenError::Insecure(exposure));
        }
    }
    let mut connection = place.connection(true).map_err(|f| place.refused(f))?;
    let held = connection.hold(LOCK_NAME).await;
    held.map_err(|f| place.refused(f))?;
    let mut done = Vec::new();
    for migration in migrations(connection.dialect()) {
        let applied = if connection.dialect() == Dialect::MySql {
            apply_in_steps(&mut connection, &place, settings, migration, plan_only).await
        } else {
            apply_at_once(&mut connection, &place, settings, migration, plan_only).await
        };
        done.extend(applied?);
    }
    // The lock of a server ends with its connection.
    Ok(done)
}

/// One migration in one transaction.
async fn apply_at_once(
    connection: &mut AnyConnection,
    place: &Place,
    settings: &Settings,
    migration: &Migration,
    plan_only: bool,
) -> Result<Option<Applied>, OpenError> {
    // On SQLite under the one lock that there is: who comes second finds it done.
    let begun = connection.begin(Begin::Write).await;
    begun.map_err(|f| place.refused(f))?;
    let result = within(connection, place, settings, migration, plan_only).await;
    match result {
        Ok(done) => {
            let committed = connection.commit().await;
            committed.map_err(|f| place.refused(f))?;
            Ok(done)
        }
        Err(error) => {
            connection.rollback().await;
            Err(error)
        }
    }
}

async fn within(
    connection: &mut AnyConnection,
    place: &Place,
    settings: &Settings,
    migration: &Migration,
    plan_only: bool,
) -> Result<Option<Applied>, OpenError> {
    let (version, name, text) = *migration;
    let (missing, _) = missing(connection, place, version).await?;
    if !missing {
        return Ok(None);
    }
    let planned = planned(migration);
    if !plan_only {
        let defined = connection.define(text).await;
        defined.map_err(|f| place.refused(f))?;
        let now = Some(settings.clock.now().0);
        let row = values![version, name, digest(text), planned.statements as u64, now];
        let insert = Sql::SchemaInsert.rendered(connection.dialect());
        let noted = connection.execute(insert, &row).await;
        noted.map_err(|f| place.refused(f))?;
    }
    Ok(Some(planned))
}

/// One migration, statement by statement, where each commits by itself.
async fn apply_in_steps(
    connection: &mut AnyConnection,
    place: &Place,
    settings: &Settings,
    migration: &Migration,
    plan_only: bool,
) -> Result<Option<Applied>, OpenError> {
    let (version, name, text) = *migration;
    let (missing, mut begun) = missing(connection, place, version).await?;
    if !missing {
        return Ok(None);
    }
    let planned = planned(migration);
    if plan_only {
        return Ok(Some(planned));
    }
    let dialect = connection.dialect();
    let done = begun.unwrap_or(0);
    for (n, statement) in statements(text).into_iter().enumerate().skip(done) {
        match connection.define(statement).await {
            Ok(()) => {}
            // It was done, and noting it was not.
            Err(Failure::Other(why)) if n == done && is_there_already(&why) => {}
            Err(Failure::Unique(_)) if n == done => {}
            Err(failure) => return Err(place.refused(failure)),
        }
        let steps = n as u64 + 1;
        let noted = if begun.is_some() {
            let values = values![version, steps, None::<i64>];
            connection
                .execute(Sql::SchemaStep.rendered(dialect), &values)
                .await
        } else {
            // The first statement of the first migration makes the table that this goes into.
            let values = values![version, name, digest(text), steps, None::<i64>];
            connection
                .execute(Sql::SchemaInsert.rendered(dialect), &values)
                .await
        };
        noted.map_err(|f| place.refused(f))?;
        begun = Some(n + 1);
    }
    let (steps, now) = (planned.statements as u64, settings.clock.now().0);
    let noted = if begun.is_some() {
        let values = values![version, steps, now];
        connection
            .execute(Sql::SchemaStep.rendered(dialect), &values)
            .await
    } else {
        // Nothing is to be done on this database.
        let values = values![version, name, digest(text), steps, now];
        connection
            .execute(Sql::SchemaInsert.rendered(dialect), &values)
            .await
    };
    noted.map_err(|f| place.refused(f))?;
    Ok(Some(planned))
}

/// Whether an error of MySQL or MariaDB says that a table or an index is there.
fn is_there_already(why: &str) -> bool {
    ["(1050)", "(1061)", "(1826)"]
        .iter()
        .any(|number| why.ends_with(number))
}

/// Whether a migration is still to be applied, and how many of its statements were, if it was begun.
async fn missing(
    connection: &mut AnyConnection,
    place: &Place,
    version: i64,
) -> Result<(bool, Option<usize>), OpenError> {
    let applied = applied(connection, place).await?;
    let have = applied.last().map_or(0, |v| v.version);
    if have > NEWEST {
        return Err(OpenError::TooNew { have, want: NEWEST });
    }
    check_digests(&applied, connection.dialect())?;
    let this = applied.iter().find(|v| v.version == version);
    Ok((
        this.is_none_or(|v| !v.finished),
        this.map(|v| usize::try_from(v.steps).unwrap_or(0)),
    ))
}

/// A migration that was applied, or begun.
struct Version {
    version: i64,
    name: String,
    digest: Vec<u8>,
    finished: bool,
    steps: i64,
}

/// Versions applied, ascending.
async fn applied(connection: &mut AnyConnection, place: &Place) -> Result<Vec<Version>, OpenError> {
    let (versions, ours) = read(connection).await.map_err(|f| place.refused(f))?;
    if !ours {
        return Err(OpenError::NotOurs(format!(
            "{} is a database of another program: name another",
            place.name()
        )));
    }
    Ok(versions)
}

async fn read(connection: &mut AnyConnection) -> Result<(Vec<Version>, bool), Failure> {
    let tables = connection.tables().await?;
    if !tables.iter().any(|table| table == "schema_version") {
        return Ok((Vec::new(), tables.is_empty()));
    }
    let ours = connection.is_ours()?;
    let select = Sql::SchemaVersions.rendered(connection.dialect());
    let mut rows = connection.query(select, &[], u64::MAX).await?;
    let one = |mut row: Row<'_>| {
        Ok(Version {
            version: row.int(0)?,
            name: row.text(1)?,
            digest: row.bytes(2)?.to_vec(),
            finished: row.int_or_none(3)?.is_some(),
            steps: row.int(4)?,
        })
    };
    Ok((rows.each().map(one).collect::<Result<_, Failure>>()?, ours))
}

fn check_digests(applied: &[Version], dialect: Dialect) -> Result<(), OpenError> {
    for version in applied {
        let mut all = migrations(dialect).iter();
        let known = all.find(|(known, ..)| *known == version.version);
        if known.is_some_and(|(_, _, text)| version.digest[..] != digest(text)[..]) {
            return Err(OpenError::Changed {
                name: version.name.clone(),
            });
        }
    }
    Ok(())
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// The statements of a migration: each ends with `;` at the end of a line, and no comment does.
fn statements(text: &'static str) -> Vec<&'static str> {
    let mut statements = Vec::new();
    let (mut from, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let code = line.split("--").next().unwrap_or_default();
        if code.trim_end().ends_with(';') {
            statements.extend(text.get(from..at).map(str::trim));
            from = at;
        }
    }
    statements
}

fn planned((version, name, text): &Migration) -> Applied {
    Applied {
        version: *version,
        name: (*name).to_owned(),
        statements: statements(text).len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_no_database_is_refused_without_its_password() {
        let refused = |url| match place(url) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{url}"),
        };
        assert!(refused("oracle://a/b").contains("begins with `oracle:`"));
        assert!(refused("sqlite:").contains("names no file"));
        let why = refused("postgres://a:secret@host:port/b");
        assert!(
            why.contains("USER:PASSWORD") && !why.contains("secret"),
            "{why}"
        );
    }

    #[test]
    fn each_database_has_the_same_migrations() {
        let names = |all: &[Migration]| {
            all.iter()
                .map(|(n, name, _)| (*n, *name))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(SQLITE), names(POSTGRES));
        assert_eq!(names(SQLITE), names(MYSQL));
    }

    #[test]
    fn a_migration_is_cut_at_the_ends_of_its_statements() {
        let cut =
            statements("-- a;b\nCREATE TABLE t (\n  a int -- ; not here\n);\nINSERT x; -- said\n");
        assert_eq!(
            cut,
            vec![
                "-- a;b\nCREATE TABLE t (\n  a int -- ; not here\n);",
                "INSERT x; -- said"
            ]
        );
    }
}
