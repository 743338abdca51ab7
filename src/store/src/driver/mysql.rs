//! MySQL 8 and later, MariaDB 10.6 and later, by sqlx.

use std::str::FromStr;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlValueRef};
use sqlx::{Arguments, ConnectOptions, Decode, Executor, Row as _, TypeInfo, ValueRef};

use super::postgres::{int, octets, text};
use super::server::{Flavour, LOCK_SECONDS, PREPARED_MAX, Server};
use super::{Begin, Failure, Rows, Value};
use crate::sql::{Dialect, Kind, Lists, Many, Rendered, Step};

/// MySQL and MariaDB.
pub(crate) enum MySql {}

/// What a URL says.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn options(url: &str) -> Result<MySqlConnectOptions, String> {
    let options = MySqlConnectOptions::from_str(url).map_err(|error| error.to_string())?;
    Ok(options
        .charset("utf8mb4")
        .pipes_as_concat(false)
        .statement_cache_capacity(PREPARED_MAX)
        .disable_statement_logging())
}

/// How long a migration waits for another's, in seconds.
const MIGRATION_SECONDS: i64 = 3_600;

impl Server<MySql> {
    /// Takes a lock by name until the connection ends; waits for it.
    pub(crate) async fn hold(&mut self, name: &str) -> Result<(), Failure> {
        let name = name.to_owned();
        let taken = self
            .ask(async move |link: &mut MySqlConnection| {
                // The lock's name is the server's, not the database's.
                let query = sqlx::query(
                    "SELECT GET_LOCK(concat(?, '.', left(sha2(database(), 256), 40)), ?)",
                );
                let row = query
                    .bind(name)
                    .bind(MIGRATION_SECONDS)
                    .fetch_one(link)
                    .await?;
                row.try_get::<Option<i64>, _>(0)
            })
            .await?;
        if taken == Some(1) {
            Ok(())
        } else {
            Err(Failure::Busy)
        }
    }
}

fn add(arguments: &mut MySqlArguments, kind: Kind, value: &Value) -> Result<(), sqlx::Error> {
    match kind {
        Kind::Int => arguments.add(int(value)),
        Kind::Octets => arguments.add(octets(value)),
        Kind::Text => arguments.add(text(value)),
    }
    .map_err(sqlx::Error::Encode)
}

/// The values in the order of a text's placeholders, which have no numbers.
fn arguments<'v>(
    arguments: &mut MySqlArguments,
    statement: &Rendered,
    order: &[usize],
    values: impl Fn(usize) -> Option<&'v Value>,
) -> Result<(), sqlx::Error> {
    for place in order {
        let kind = statement.parameters.get(*place).copied();
        let value = values(*place).unwrap_or(&Value::Null);
        add(arguments, kind.unwrap_or(Kind::Int), value)?;
    }
    Ok(())
}

fn kinds(row: &MySqlRow) -> Vec<Kind> {
    let kind = |column: &sqlx::mysql::MySqlColumn| {
        let name = sqlx::Column::type_info(column).name();
        if name.contains("INT") || name == "BOOLEAN" {
            Kind::Int
        } else if name.contains("CHAR") || name.contains("TEXT") {
            Kind::Text
        } else {
            Kind::Octets
        }
    };
    row.columns().iter().map(kind).collect()
}

fn value(raw: MySqlValueRef<'_>, kind: Kind) -> Result<Value, sqlx::Error> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match kind {
        Kind::Int => {
            Value::Int(<i64 as Decode<'_, sqlx::MySql>>::decode(raw).map_err(sqlx::Error::Decode)?)
        }
        Kind::Octets => {
            let octets =
                <&[u8] as Decode<'_, sqlx::MySql>>::decode(raw).map_err(sqlx::Error::Decode)?;
            Value::Bytes(Bytes::copy_from_slice(octets))
        }
        Kind::Text => {
            let text =
                <&str as Decode<'_, sqlx::MySql>>::decode(raw).map_err(sqlx::Error::Decode)?;
            Value::Text(text.to_owned())
        }
    })
}

impl Flavour for MySql {
    type Options = MySqlConnectOptions;
    type Link = MySqlConnection;
    const DIALECT: Dialect = Dialect::MySql;

    async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, sqlx::Error> {
        let mut link = options.connect().await?;
        link.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .await?;
        // What does not fit a column is an error, never cut.
        link.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")
            .await?;
        let wait = format!("SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}");
        link.execute(sqlx::AssertSqlSafe(wait)).await?;
        Ok(link)
    }

    fn told(error: &dyn sqlx::error::DatabaseError) -> Failure {
        let text = error.message().to_owned();
        let number = error
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
        match number {
            // Deadlock, lock wait, "record has changed since last read" (MariaDB).
            1213 | 1205 | 1020 => Failure::Busy,
            1062 => Failure::Unique(text),
            1216 | 1217 | 1451 | 1452 => Failure::Foreign(text),
            // Too many connections, shutting down, connection killed, broken packets, read-only (a replica now).
            1040
            | 1053
            | 1077
            | 1158..=1161
            | 1184
            | 1290
            | 1792
            | 1836
            | 1927
            | 2006
            | 2013
            | 3169 => Failure::Lost(text),
            // A table or an index that is damaged.
            126 | 127 | 134 | 145 | 1034 | 1035 | 1194 | 1195 | 1712 => Failure::Damaged(text),
            number => Failure::Other(format!("{text} ({number})")),
        }
    }

    async fn run(link: &mut MySqlConnection, text: &'static str) -> Result<(), sqlx::Error> {
        link.execute(text).await.map(|_| ())
    }

    fn begin(kind: Begin) -> &'static [&'static str] {
        match kind {
            // The level is that of the next transaction alone.
            Begin::Read => &[
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ],
            Begin::Write => &["START TRANSACTION READ WRITE"],
        }
    }

    async fn query(
        link: &mut MySqlConnection,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, sqlx::Error> {
        let mut given = MySqlArguments::default();
        arguments(&mut given, statement, &step.order, |n| values.get(n))?;
        let query = sqlx::query_with(step.text, given);
        let mut stream = query.fetch(link);
        let mut answer = Rows::default();
        let mut columns: Vec<Kind> = Vec::new();
        while let Some(row) = stream.try_next().await? {
            if columns.is_empty() {
                columns = kinds(&row);
                answer = Rows::new(columns.len());
            }
            for (n, kind) in columns.iter().enumerate() {
                answer.push(value(row.try_get_raw(n)?, *kind)?);
            }
            if answer.octets() >= octets_max {
                answer.cut = true;
                break;
            }
        }
        Ok(answer)
    }

    async fn execute(
        link: &mut MySqlConnection,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
    ) -> Result<u64, sqlx::Error> {
        let mut given = MySqlArguments::default();
        arguments(&mut given, statement, &step.order, |n| values.get(n))?;
        let query = sqlx::query_with(step.text, given);
        Ok(query.execute(link).await?.rows_affected())
    }

    async fn insert(
        link: &mut MySqlConnection,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, sqlx::Error> {
        let Some(Many::Lists(many)) = &statement.many else {
            return Ok(0);
        };
        let (mut touched, mut rest) = (0, rows);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(Lists::size(rest.len()));
            rest = later;
            let mut given = MySqlArguments::default();
            for row in now {
                arguments(&mut given, statement, &many.order, |n| row.get(n))?;
            }
            let query = sqlx::query_with(many.text(now.len()), given);
            touched += query.execute(&mut *link).await?.rows_affected();
        }
        Ok(touched)
    }
}
