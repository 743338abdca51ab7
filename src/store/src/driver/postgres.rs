//! PostgreSQL 13 and later, by sqlx.

use std::str::FromStr;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgListener, PgRow, PgValueRef};
use sqlx::{Arguments, ConnectOptions, Decode, Executor, Row as _, TypeInfo, ValueRef};

use super::server::{Flavour, LOCK_SECONDS, PREPARED_MAX, STATEMENT_SECONDS, Server};
use super::{Begin, Failure, Rows, Value};
use crate::sql::{Dialect, Kind, Many, Rendered, Step, together};

/// PostgreSQL.
pub(crate) enum Postgres {}

/// What a URL says.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, String> {
    let options = PgConnectOptions::from_str(url).map_err(|error| error.to_string())?;
    Ok(options
        .application_name("dbmail")
        .statement_cache_capacity(PREPARED_MAX)
        .options([
            ("statement_timeout", format!("{STATEMENT_SECONDS}s")),
            ("lock_timeout", format!("{LOCK_SECONDS}s")),
            (
                "idle_in_transaction_session_timeout",
                format!("{STATEMENT_SECONDS}s"),
            ),
            // Every statement goes by a key, whatever its values: planning it anew for them is work for nothing, and takes the
            // statistics of a small mailbox for those of all.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
        ])
        .disable_statement_logging())
}

impl Server<Postgres> {
    /// Takes a lock by name until the connection ends; waits for it.
    pub(crate) async fn hold(&mut self, name: &str) -> Result<(), Failure> {
        // Who waits here waits for a migration, however long that takes.
        self.run("SET lock_timeout = 0").await?;
        self.run("SET statement_timeout = 0").await?;
        let key = blake3::hash(name.as_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(key.as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
        let key = i64::from_be_bytes(number);
        self.ask(async move |link: &mut PgConnection| {
            let query = sqlx::query("SELECT pg_advisory_lock($1)").bind(key);
            query.execute(link).await.map(|_| ())
        })
        .await
    }
}

/// How long a listener waits for the bell before it looks whether it is still wanted.
const LISTEN_SECONDS: u64 = 5;

/// Listens on a channel, and calls `heard` with what was sent there; with nothing when some may have been missed. Ends when
/// it is not wanted any more.
///
/// # Errors
/// `Lost` when the connection broke.
pub(crate) async fn listen(
    options: &PgConnectOptions,
    channel: &str,
    heard: impl Fn(&str),
    unwanted: impl Fn() -> bool,
) -> Result<(), Failure> {
    let lost = |error: sqlx::Error| Failure::Lost(error.to_string());
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await.map_err(lost)?;
    listener.listen(channel).await.map_err(lost)?;
    heard("");
    loop {
        let patience = std::time::Duration::from_secs(LISTEN_SECONDS);
        match tokio::time::timeout(patience, listener.try_recv()).await {
            Ok(Ok(Some(notice))) => heard(notice.payload()),
            // It is connected again; what was sent meanwhile is lost.
            Ok(Ok(None)) => heard(""),
            Ok(Err(error)) => return Err(lost(error)),
            Err(_) if unwanted() => return Ok(()),
            Err(_) => {}
        }
    }
}

fn add(arguments: &mut PgArguments, kind: Kind, value: &Value) -> Result<(), sqlx::Error> {
    match kind {
        Kind::Int => arguments.add(int(value)),
        Kind::Octets => arguments.add(octets(value)),
        Kind::Text => arguments.add(text(value)),
    }
    .map_err(sqlx::Error::Encode)
}

pub(super) const fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        Value::Null | Value::Bytes(_) | Value::Text(_) => None,
    }
}

pub(super) fn octets(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bytes(octets) => Some(octets),
        Value::Null | Value::Int(_) | Value::Text(_) => None,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Null | Value::Int(_) | Value::Bytes(_) => None,
    }
}

/// The values of a text whose placeholders have numbers.
fn arguments(statement: &Rendered, values: &[Value]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for (kind, value) in statement.parameters.iter().zip(values) {
        add(&mut arguments, *kind, value)?;
    }
    Ok(arguments)
}

/// The values of a text that takes an array for each parameter.
fn add_arrays(
    arguments: &mut PgArguments,
    statement: &Rendered,
    rows: &[Vec<Value>],
) -> Result<(), sqlx::Error> {
    for (n, kind) in statement.parameters.iter().enumerate() {
        let column = || rows.iter().map(|row| row.get(n).unwrap_or(&Value::Null));
        match kind {
            Kind::Int => arguments.add(column().map(int).collect::<Vec<_>>()),
            Kind::Octets => arguments.add(column().map(octets).collect::<Vec<_>>()),
            Kind::Text => arguments.add(column().map(text).collect::<Vec<_>>()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

/// What the columns of an answer hold.
fn kinds(row: &PgRow) -> Vec<Kind> {
    let kind = |column: &sqlx::postgres::PgColumn| match sqlx::Column::type_info(column).name() {
        "INT8" | "INT4" | "INT2" => Kind::Int,
        "BYTEA" => Kind::Octets,
        _ => Kind::Text,
    };
    row.columns().iter().map(kind).collect()
}

/// Rows out of one row of arrays.
fn turned(row: &PgRow) -> Result<Rows, sqlx::Error> {
    let width = row.columns().len();
    let mut columns: Vec<Vec<i64>> = Vec::with_capacity(width);
    for n in 0..width {
        // No rows at all are no array.
        let column: Option<Vec<i64>> = row.try_get(n)?;
        columns.push(column.unwrap_or_default());
    }
    let mut answer = Rows::new(width);
    for n in 0..columns.first().map_or(0, Vec::len) {
        for column in &columns {
            answer.push(
                column
                    .get(n)
                    .map_or(Value::Null, |number| Value::Int(*number)),
            );
        }
    }
    Ok(answer)
}

fn value(raw: PgValueRef<'_>, kind: Kind) -> Result<Value, sqlx::Error> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    Ok(match kind {
        Kind::Int => Value::Int(
            <i64 as Decode<'_, sqlx::Postgres>>::decode(raw).map_err(sqlx::Error::Decode)?,
        ),
        Kind::Octets => Value::Bytes(Bytes::copy_from_slice(
            raw.as_bytes().map_err(sqlx::Error::Decode)?,
        )),
        Kind::Text => Value::Text(raw.as_str().map_err(sqlx::Error::Decode)?.to_owned()),
    })
}

impl Flavour for Postgres {
    type Options = PgConnectOptions;
    type Link = PgConnection;
    const DIALECT: Dialect = Dialect::Postgres;

    async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        options.connect().await
    }

    fn told(error: &dyn sqlx::error::DatabaseError) -> Failure {
        // The message names tables and constraints; values would stand in the detail, which is left out.
        let text = error.message().to_owned();
        let code = error.code().unwrap_or_default();
        match &*code {
            "40001" | "40P01" | "55P03" => Failure::Busy,
            "23505" => Failure::Unique(text),
            "23503" => Failure::Foreign(text),
            // Shutting down, starting, no more connections, or a standby that may only be read.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" | "25006" => {
                Failure::Lost(text)
            }
            code if code.starts_with("08") => Failure::Lost(text),
            code if code.starts_with("XX") => Failure::Damaged(text),
            code => Failure::Other(format!("{text} ({code})")),
        }
    }

    async fn run(link: &mut PgConnection, text: &'static str) -> Result<(), sqlx::Error> {
        link.execute(text).await.map(|_| ())
    }

    fn begin(kind: Begin) -> &'static [&'static str] {
        match kind {
            Begin::Read => &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
            Begin::Write => &["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"],
        }
    }

    async fn query(
        link: &mut PgConnection,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, sqlx::Error> {
        let query = sqlx::query_with(step.text, arguments(statement, values)?);
        let mut stream = query.fetch(link);
        let mut answer = Rows::default();
        if statement.turned {
            while let Some(row) = stream.try_next().await? {
                answer = turned(&row)?;
            }
            return Ok(answer);
        }
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
        link: &mut PgConnection,
        statement: &'static Rendered,
        step: &'static Step,
        values: &[Value],
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_with(step.text, arguments(statement, values)?);
        Ok(query.execute(link).await?.rows_affected())
    }

    async fn insert(
        link: &mut PgConnection,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, sqlx::Error> {
        let Some(Many::Arrays(many)) = &statement.many else {
            return Ok(0);
        };
        let mut arguments = PgArguments::default();
        add_arrays(&mut arguments, statement, rows)?;
        let query = sqlx::query_with(many.text, arguments);
        Ok(query.execute(link).await?.rows_affected())
    }

    async fn together(
        link: &mut PgConnection,
        group: &[(&'static Rendered, Vec<Vec<Value>>)],
    ) -> Result<Option<Vec<u64>>, sqlx::Error> {
        let statements: Vec<&'static Rendered> = group.iter().map(|(s, _)| *s).collect();
        let Some(text) = together(&statements) else {
            return Ok(None);
        };
        let mut arguments = PgArguments::default();
        for (statement, rows) in group {
            add_arrays(&mut arguments, statement, rows)?;
        }
        let row = sqlx::query_with(text, arguments).fetch_one(link).await?;
        let count = |n| row.try_get::<i64, _>(n).map(i64::unsigned_abs);
        let counts: Result<_, _> = (0..group.len()).map(count).collect();
        Ok(Some(counts?))
    }
}
