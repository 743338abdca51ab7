//! What the tests say to a server as its administrator.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::Kind;
use crate::names::{PREFIX, is_left};

/// How long a server may take to answer: one that is starting lets a connection wait.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a database that is dropped is waited for, in seconds: the servers' own limit is a day or a year.
const DROP_SECONDS: u32 = 10;
/// How many databases that killed tests left are dropped at a time: a test waits for it.
const LEFT_MAX: usize = 100;

/// The runtime of what is done here.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "a test without a runtime fails")]
        Runtime::new().expect("a runtime for the databases of the tests")
    })
}

/// Runs something on a runtime of its own, on a thread of its own: a test may be on a runtime already.
pub(crate) fn apart<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| runtime().block_on(work));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A connection to a server.
enum Link {
    Postgres(PgConnection),
    /// MariaDB's, too.
    MySql(MySqlConnection),
}

impl Link {
    async fn to(kind: Kind, url: &str) -> Result<Self, String> {
        let link = async {
            match kind {
                Kind::Sqlite => Err("SQLite has no server: open its file".to_owned()),
                Kind::Postgres => {
                    let link = PgConnection::connect(url).await;
                    link.map(Self::Postgres).map_err(said)
                }
                Kind::MariaDb | Kind::MySql => {
                    let link = MySqlConnection::connect(url).await;
                    link.map(Self::MySql).map_err(said)
                }
            }
        };
        let late = |_| Err(format!("no answer within {} seconds", ANSWER.as_secs()));
        timeout(ANSWER, link).await.unwrap_or_else(late)
    }

    async fn run(&mut self, text: &str) -> Result<(), String> {
        let text = AssertSqlSafe(text.to_owned());
        match self {
            Self::Postgres(link) => link.execute(text).await.map(drop).map_err(said),
            Self::MySql(link) => link.execute(text).await.map(drop).map_err(said),
        }
    }

    async fn numbers(&mut self, text: &str) -> Result<Vec<i64>, String> {
        let text = AssertSqlSafe(text.to_owned());
        let all = match self {
            Self::Postgres(link) => sqlx::query_scalar(text).fetch_all(link).await,
            Self::MySql(link) => sqlx::query_scalar(text).fetch_all(link).await,
        };
        all.map_err(said)
    }

    async fn names(&mut self, text: &str) -> Result<Vec<String>, String> {
        let text = AssertSqlSafe(text.to_owned());
        let all = match self {
            Self::Postgres(link) => sqlx::query_scalar(text).fetch_all(link).await,
            Self::MySql(link) => sqlx::query_scalar(text).fetch_all(link).await,
        };
        let all: Vec<String> = all.map_err(said)?;
        Ok(all.iter().map(|name| name.trim_end().to_owned()).collect())
    }

    /// Takes leave. What the server thinks of it matters to nobody.
    async fn close(self) {
        match self {
            Self::Postgres(link) => drop(link.close().await),
            Self::MySql(link) => drop(link.close().await),
        }
    }

    /// Drops a database, whoever is connected to it.
    async fn drop_database(&mut self, name: &str) -> Result<(), String> {
        if matches!(self, Self::Postgres(_)) {
            return self
                .run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                .await;
        }
        let connected = "SELECT CAST(id AS signed) FROM information_schema.processlist WHERE db = ";
        for id in self.numbers(&format!("{connected}'{name}'")).await? {
            // It may have left by itself.
            drop(self.run(&format!("KILL {id}")).await);
        }
        self.run(&format!("SET lock_wait_timeout = {DROP_SECONDS}"))
            .await?;
        self.run(&format!("DROP DATABASE IF EXISTS {name}")).await
    }
}

fn said(error: sqlx::Error) -> String {
    error.to_string()
}

/// Checks that a server answers, and that it is of that kind: MariaDB and MySQL take each other's URLs.
pub(crate) async fn answers(kind: Kind, url: &str) -> Result<(), String> {
    let mut link = Link::to(kind, url).await?;
    let version = link.names("SELECT version()").await?;
    link.close().await;
    is_of(kind, version.first().map_or("", String::as_str))
}

/// As [`answers`], of a server of ours that is spoken to without TLS.
pub(crate) async fn answers_in_clear(kind: Kind, url: &str, password: &str) -> Result<(), String> {
    match kind {
        Kind::Sqlite | Kind::MariaDb => answers(kind, url).await,
        Kind::MySql => {
            if answers(kind, url).await.is_ok() {
                return Ok(());
            }
            // It believes a password without TLS once it has seen it with TLS, until it is started again.
            let with_tls = url.replace("ssl-mode=disabled", "ssl-mode=required");
            answers(kind, &with_tls).await?;
            answers(kind, url).await
        }
        Kind::Postgres => {
            answers(kind, url).await?;
            // A password is hashed 4096 times at each connection: 70 ms in a test's build. Once will do here; a server
            // before 16 can't, and is only slower.
            let hashed_once = "SELECT count(*) FROM pg_authid WHERE rolname = current_user \
                               AND rolpassword LIKE 'SCRAM-SHA-256$1:%'";
            if number(kind, url, hashed_once).await? == 0 {
                let once = format!(
                    "SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD '{password}'"
                );
                drop(run(kind, url, &once).await);
            }
            Ok(())
        }
    }
}

fn is_of(kind: Kind, version: &str) -> Result<(), String> {
    let is_mariadb = version.contains("MariaDB");
    match kind {
        Kind::MariaDb if !is_mariadb => Err(format!("it is no MariaDB: its version is {version}")),
        Kind::MySql if is_mariadb => Err(format!("it is no MySQL: its version is {version}")),
        Kind::Sqlite | Kind::Postgres | Kind::MariaDb | Kind::MySql => Ok(()),
    }
}

/// Makes an empty database.
pub(crate) async fn created(kind: Kind, administrator: &str, name: &str) -> Result<(), String> {
    let options = match kind {
        // Nobody can be connected to this template, which would be an error.
        Kind::Postgres => "TEMPLATE template0",
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    };
    run(
        kind,
        administrator,
        &format!("CREATE DATABASE {name} {options}"),
    )
    .await
}

/// Drops a database, whoever is connected to it.
pub(crate) async fn dropped(kind: Kind, administrator: &str, name: &str) -> Result<(), String> {
    let mut link = Link::to(kind, administrator).await?;
    link.drop_database(name).await?;
    link.close().await;
    Ok(())
}

/// Drops the databases that killed tests left; returns their names.
pub(crate) async fn swept(
    kind: Kind,
    administrator: &str,
    now: SystemTime,
) -> Result<Vec<String>, String> {
    // Those that nobody is connected to.
    let text = match kind {
        Kind::Postgres => format!(
            "SELECT CAST(datname AS text) FROM pg_database WHERE datname LIKE '{PREFIX}%' \
             AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)"
        ),
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => format!(
            "SELECT CAST(schema_name AS char(64)) FROM information_schema.schemata \
             WHERE schema_name LIKE '{PREFIX}%' \
             AND schema_name NOT IN (SELECT db FROM information_schema.processlist WHERE db IS NOT NULL)"
        ),
    };
    let mut link = Link::to(kind, administrator).await?;
    let mut gone = Vec::new();
    for name in link.names(&text).await? {
        if gone.len() < LEFT_MAX && is_left(&name, now) {
            link.drop_database(&name).await?;
            gone.push(name);
        }
    }
    link.close().await;
    Ok(gone)
}

/// Runs a text.
pub(crate) async fn run(kind: Kind, url: &str, text: &str) -> Result<(), String> {
    let mut link = Link::to(kind, url).await?;
    link.run(text).await?;
    link.close().await;
    Ok(())
}

/// Empties all tables but some, and runs a text.
pub(crate) async fn empty(kind: Kind, url: &str, keep: &[&str], then: &str) -> Result<(), String> {
    let (schema, unchecked) = match kind {
        Kind::Postgres => ("current_schema()", "SET session_replication_role = replica"),
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => ("database()", "SET foreign_key_checks = 0"),
    };
    let mut link = Link::to(kind, url).await?;
    let tables = format!(
        "SELECT CAST(table_name AS char(64)) FROM information_schema.tables \
         WHERE table_type = 'BASE TABLE' AND table_schema = {schema}"
    );
    let tables = link.names(&tables).await?;
    let mut texts = vec![unchecked.to_owned()];
    let gone = tables
        .iter()
        .filter(|table| !keep.contains(&table.as_str()));
    texts.extend(gone.map(|table| format!("DELETE FROM {table}")));
    if !then.trim().is_empty() {
        texts.push(then.to_owned());
    }
    // One round trip, and one transaction where the server takes several statements so.
    link.run(&texts.join("; ")).await?;
    link.close().await;
    Ok(())
}

/// The whole number that a text asks for.
pub(crate) async fn number(kind: Kind, url: &str, text: &str) -> Result<i64, String> {
    let mut link = Link::to(kind, url).await?;
    let numbers = link.numbers(text).await?;
    link.close().await;
    let first = numbers.first().copied();
    first.ok_or_else(|| "there is no row".to_owned())
}

/// A connection with a transaction that is open.
#[cfg(test)]
pub(crate) async fn in_transaction(
    kind: Kind,
    url: &str,
    text: &str,
) -> Result<impl Sized, String> {
    let mut link = Link::to(kind, url).await?;
    link.run("BEGIN").await?;
    link.run(text).await?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mariadb_is_not_taken_for_a_mysql() {
        let (mariadb, mysql) = ("11.8.3-MariaDB-0+deb13u1", "9.7.1");
        assert_eq!(is_of(Kind::MariaDb, mariadb), Ok(()));
        assert_eq!(is_of(Kind::MySql, mysql), Ok(()));
        assert!(is_of(Kind::MySql, mariadb).unwrap_err().contains(mariadb));
        assert!(is_of(Kind::MariaDb, mysql).unwrap_err().contains(mysql));
    }

    #[test]
    fn sqlite_has_no_server_to_speak_to() {
        let error = apart(run(Kind::Sqlite, "sqlite:/x", "SELECT 1")).unwrap_err();
        assert!(error.contains("open its file"), "{error}");
    }
}
