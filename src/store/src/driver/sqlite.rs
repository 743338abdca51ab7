//! SQLite: one file, one writer at a time, readers that see a snapshot (WAL).

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection as Handle, ErrorCode, OpenFlags, ToSql};

use super::{Begin, Connection, Failure, Rows, Value};
use crate::sql::{Dialect, Rendered};

/// "DBMl", which marks a file as ours.
const APPLICATION_ID: i32 = 0x4442_4d6c;
/// A page that holds a small message's content row whole, so that headers are read without following overflow pages.
const PAGE_BYTES: u32 = 8192;
/// How long a statement waits for another process's lock.
const BUSY_MILLISECONDS: u64 = 5_000;
/// Statements kept prepared on a connection: all that there are.
const PREPARED_MAX: usize = 256;
/// Page cache of the connection that writes, in KiB.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Page cache of each connection that reads, in KiB.
const READER_CACHE_KIB: i64 = 32 * 1024;
/// Pages in the write-ahead log after which a commit moves them into the file: 32 MiB, so that a burst of deliveries is not
/// held up by it every few milliseconds.
const CHECKPOINT_PAGES: i64 = 4_096;
/// Length to which the write-ahead log is cut back once it is moved.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Where a database is.
#[derive(Clone, Debug)]
pub(crate) struct SqliteFile(pub(crate) PathBuf);

/// A connection to a database file.
pub(crate) struct Sqlite {
    handle: Handle,
    file: SqliteFile,
    writes: bool,
}

impl SqliteFile {
    /// Makes an empty database that only its owner may read, unless the file is there.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        if std::fs::metadata(&self.0).is_ok_and(|file| file.len() > 0) {
            return Ok(());
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.0) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::Other(format!("{}: {error}", self.0.display()))),
        }
        let made = Sqlite::open(self, true)?;
        made.pragma("page_size", i64::from(PAGE_BYTES))?;
        made.pragma("application_id", i64::from(APPLICATION_ID))?;
        made.run("PRAGMA journal_mode = WAL")
    }

    /// Who but the owner may read or write the file, in words; `None`: nobody.
    pub(crate) fn exposure(&self) -> Option<String> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let mode = std::fs::metadata(&self.0).ok()?.mode();
            if mode & 0o007 != 0 {
                let path = self.0.display();
                return Some(format!(
                    "every local user may open {path}: `chmod o= {path}`"
                ));
            }
        }
        None
    }
}

impl Sqlite {
    /// Opens a database that exists.
    pub(crate) fn open(file: &SqliteFile, writes: bool) -> Result<Self, Failure> {
        let handle = Self::connect(&file.0)?;
        let made = Self {
            handle,
            file: file.clone(),
            writes,
        };
        made.prepare()?;
        Ok(made)
    }

    fn connect(path: &Path) -> Result<Handle, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Handle::open_with_flags(path, flags).map_err(failure)
    }

    fn prepare(&self) -> Result<(), Failure> {
        let wait = Duration::from_millis(BUSY_MILLISECONDS);
        self.handle.busy_timeout(wait).map_err(failure)?;
        self.handle
            .set_prepared_statement_cache_capacity(PREPARED_MAX);
        let cache = if self.writes {
            WRITER_CACHE_KIB
        } else {
            READER_CACHE_KIB
        };
        self.pragma("cache_size", -cache)?;
        self.pragma("foreign_keys", 1)?;
        self.run("PRAGMA synchronous = FULL")?;
        self.run("PRAGMA temp_store = MEMORY")?;
        self.pragma("journal_size_limit", WAL_BYTES_KEPT)?;
        self.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    }

    fn pragma(&self, name: &str, value: i64) -> Result<(), Failure> {
        self.run(&format!("PRAGMA {name} = {value}"))
    }

    fn run(&self, sql: &str) -> Result<(), Failure> {
        self.handle.execute_batch(sql).map_err(failure)
    }

    /// Runs a migration's statement.
    pub(crate) fn define(&self, sql: &str) -> Result<(), Failure> {
        self.run(sql)
    }

    /// A number that SQLite keeps for us or about the file.
    pub(crate) fn pragma_value(&self, name: &str) -> Result<i64, Failure> {
        let sql = format!("PRAGMA {name}");
        self.handle
            .query_row(&sql, [], |row| row.get(0))
            .map_err(failure)
    }

    /// Whether the file is a database of ours, or an empty one.
    pub(crate) fn is_ours(&self) -> Result<bool, Failure> {
        let id = self.pragma_value("application_id")?;
        Ok(id == i64::from(APPLICATION_ID))
    }

    /// Moves the write-ahead log into the file.
    pub(crate) fn checkpoint(&self) {
        // Another process may be reading; then it is done by whoever closes last.
        if let Err(error) = self.run("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::debug!(%error, "the write-ahead log stays");
        }
    }

    fn fetch(&self, sql: &str, values: &[Value], octets_max: u64) -> rusqlite::Result<Rows> {
        let mut statement = self.handle.prepare_cached(sql)?;
        let width = statement.column_count();
        let mut answer = Rows::new(width);
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                answer.push(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(n) => Value::Int(n),
                    ValueRef::Blob(octets) => Value::Bytes(Bytes::copy_from_slice(octets)),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    // No column of ours holds one; a fraction is no number of ours.
                    ValueRef::Real(_) => Value::Null,
                });
            }
            if answer.octets() >= octets_max {
                answer.cut = true;
                break;
            }
        }
        Ok(answer)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Bytes(octets) => ValueRef::Blob(octets),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Connection for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn begin(&mut self, kind: Begin) -> Result<(), Failure> {
        self.run(match kind {
            Begin::Read => "BEGIN",
            Begin::Write => "BEGIN IMMEDIATE",
        })
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        self.run("COMMIT")
    }

    async fn rollback(&mut self) {
        // Some errors make SQLite roll back by itself; then there is nothing to do.
        if !self.handle.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a transaction was not rolled back");
        }
    }

    async fn distrust(&mut self) {
        self.rollback().await;
    }

    async fn query(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
        octets_max: u64,
    ) -> Result<Rows, Failure> {
        self.fetch(statement.text(), values, octets_max)
            .map_err(failure)
    }

    async fn execute(
        &mut self,
        statement: &'static Rendered,
        values: &[Value],
    ) -> Result<u64, Failure> {
        let mut prepared = self
            .handle
            .prepare_cached(statement.text())
            .map_err(failure)?;
        let touched = prepared
            .execute(rusqlite::params_from_iter(values))
            .map_err(failure)?;
        Ok(touched as u64)
    }

    async fn execute_many(
        &mut self,
        statement: &'static Rendered,
        rows: &[Vec<Value>],
    ) -> Result<u64, Failure> {
        let mut prepared = self
            .handle
            .prepare_cached(statement.text())
            .map_err(failure)?;
        let mut touched = 0;
        for row in rows {
            let n = prepared
                .execute(rusqlite::params_from_iter(row))
                .map_err(failure)?;
            touched += n as u64;
        }
        Ok(touched)
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        self.handle = Self::connect(&self.file.0)?;
        self.prepare()
    }

    async fn pause(&mut self, time: Duration) {
        // The thread is this connection's own.
        std::thread::sleep(time);
    }

    async fn foreign_version(&mut self) -> Result<i64, Failure> {
        self.pragma_value("data_version")
    }
}

/// What an error of SQLite means to the store. Its text names tables and files, never values.
fn failure(error: rusqlite::Error) -> Failure {
    let rusqlite::Error::SqliteFailure(code, _) = &error else {
        return Failure::Other(error.to_string());
    };
    let text = error.to_string();
    // Exhaustive matching is not possible on a foreign enum that may grow; what is not named is not acted on.
    #[allow(clippy::wildcard_enum_match_arm)]
    match (code.code, code.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Failure::Busy,
        (ErrorCode::ConstraintViolation, rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
            Failure::Foreign(text)
        }
        (
            ErrorCode::ConstraintViolation,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
        ) => Failure::Unique(text),
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Failure::Damaged(text),
        (ErrorCode::SystemIoFailure, _) => Failure::Lost(text),
        _ => Failure::Other(text),
    }
}
