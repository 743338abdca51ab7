//! The definitions of all databases: the same files, the same tables as `migrations/schema.toml` has them, no name that
//! is reserved anywhere; and the catalogue of each database at hand after the migrations.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dbmail_store::{Settings, Store};
use dbmail_testcontainers::{Database, Kind};

use super::ddl::{Column, Table, identifiers, statements, tables};
use super::world::{kind, on_each};

/// Folders of `migrations/`. MySQL and MariaDB share one.
const FOLDERS: [&str; 4] = ["sqlite", "postgres", "mysql", "oracle"];
/// Longest name: it fits where names are short (30 octets before Oracle 12.2), with room for a prefix.
const NAME_MAX: usize = 26;

fn migrations() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}

fn read(path: &str) -> String {
    let path = migrations().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The migrations of a folder, in the order of their names.
fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(migrations().join(folder)).expect(folder);
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect(folder).file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("a file name"))
        .collect();
    names.sort();
    names
}

/// All migrations of a folder, one after another.
fn text(folder: &str) -> String {
    let all = files(folder).into_iter();
    all.map(|file| read(&format!("{folder}/{file}"))).collect()
}

/// What a kind of `schema.toml` is called in a folder's files.
fn written(folder: &str, kind: &str, most: Option<i64>) -> String {
    let most = most.unwrap_or_default();
    let name = match (folder, kind) {
        ("sqlite", "int64" | "int32") => "INTEGER",
        ("sqlite", "text") => "TEXT",
        ("sqlite", "bytes") => "BLOB",
        ("postgres" | "mysql", "int64") => "bigint",
        ("postgres" | "mysql", "int32") => "integer",
        ("postgres", "text") => "text",
        ("postgres", "bytes") => "bytea",
        ("mysql", "text") => return format!("varchar({most})"),
        ("mysql", "bytes") if most <= 2_048 => return format!("varbinary({most})"),
        ("mysql", "bytes") => "mediumblob",
        ("oracle", "int64") => "NUMBER(19)",
        ("oracle", "int32") => "NUMBER(10)",
        ("oracle", "text") if most == 4_000 => "VARCHAR2(4000)",
        ("oracle", "text") => return format!("VARCHAR2({most} CHAR)"),
        ("oracle", "bytes") if most <= 2_000 => return format!("RAW({most})"),
        ("oracle", "bytes") => "BLOB",
        (_, kind) => panic!("{folder} has no {kind}"),
    };
    name.to_owned()
}

/// The tables that `schema.toml` describes, with the types of a folder.
fn describe(folder: &str) -> BTreeMap<String, Table> {
    let all: toml::Table = read("schema.toml").parse().expect("TOML");
    let text = |value: &toml::Value| value.as_str().expect("text").to_owned();
    let column = |column: &toml::Value| {
        let most = column.get("max").and_then(toml::Value::as_integer);
        let nullable = column.get("nullable").and_then(toml::Value::as_bool);
        Column {
            name: text(&column["name"]),
            kind: written(folder, &text(&column["kind"]), most),
            nullable: nullable == Some(true),
        }
    };
    let described = all["table"].as_table().expect("tables").iter();
    let described = described.map(|(name, table)| {
        let list = |what: &str| table[what].as_array().expect(what).clone();
        let described = Table {
            columns: list("columns").iter().map(column).collect(),
            key: list("key").iter().map(text).collect(),
        };
        (name.clone(), described)
    });
    described.collect()
}

/// Fails at the first difference.
fn assert_same(of: &str, found: &BTreeMap<String, Table>, wanted: &BTreeMap<String, Table>) {
    let names = |tables: &BTreeMap<String, Table>| tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "{of}");
    for (name, table) in found {
        assert_eq!(*table, wanted[name], "{of}: {name}");
    }
}

#[test]
fn each_database_has_the_same_files_and_the_store_knows_them_all() {
    let names = files("sqlite");
    for folder in FOLDERS {
        assert_eq!(files(folder), names, "{folder}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        url: format!("sqlite:{}", folder.path().join("mail.db").display()),
        ..Settings::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let planned = runtime.block_on(Store::migrate(&settings, true));
    let planned = planned.expect("a plan").into_iter();
    assert_eq!(planned.map(|m| m.name).collect::<Vec<_>>(), names);
}

#[test]
fn the_files_of_each_database_make_the_tables_that_are_described() {
    for folder in FOLDERS {
        assert_same(folder, &tables(&text(folder)), &describe(folder));
    }
}

#[test]
fn a_view_has_the_same_columns_on_each_database() {
    let views = |folder: &str| -> Vec<(String, Vec<String>)> {
        let all = statements(&text(folder)).into_iter();
        let view = |statement: String| {
            let name = statement.strip_prefix("CREATE VIEW ")?.split(' ').next()?;
            Some((name.to_owned(), identifiers(&statement)))
        };
        all.filter_map(view).collect()
    };
    let wanted = views("sqlite");
    assert!(wanted.len() >= 5 && wanted.iter().all(|(_, names)| names.len() > 5));
    for folder in FOLDERS {
        assert_eq!(views(folder), wanted, "{folder}");
    }
}

#[test]
fn no_name_is_reserved_on_any_database_or_too_long_for_one() {
    let lists = ["postgres", "mysql", "mariadb", "oracle", "sqlite"].map(|database| {
        let list = read(&format!("reserved/{database}.txt"));
        let words = list.lines().filter(|line| !line.starts_with('#'));
        let words: BTreeSet<String> = words.map(str::to_owned).collect();
        assert!(words.len() > 100 && words.contains("select"), "{database}");
        (database, words)
    });
    for folder in FOLDERS {
        let statements = statements(&text(folder));
        let mut all: Vec<String> = statements.iter().flat_map(|s| identifiers(s)).collect();
        assert!(all.len() > 300, "{folder}: {} names", all.len());
        all.sort();
        all.dedup();
        for name in all {
            assert!(name.len() <= NAME_MAX, "{folder}: {name} is too long");
            for (database, words) in &lists {
                let reserved = words.contains(&name);
                assert!(!reserved, "{folder}: {name} is reserved by {database}");
            }
        }
    }
}

#[test]
fn a_name_is_found_wherever_it_is_given() {
    let text = "CREATE TABLE a (\n b integer NOT NULL, -- said, with a comma\n c numeric(3, 2),\n CONSTRAINT d PRIMARY KEY (b)\n);\n\
        CREATE INDEX e ON a (b);\nCREATE VIEW f AS\nSELECT x.b AS g, CAST(x.c AS integer) AS h FROM a x;\n";
    let names: Vec<_> = statements(text)
        .iter()
        .flat_map(|s| identifiers(s))
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    let table = &tables(text)["a"];
    assert_eq!(table.key, ["b"]);
    let kinds = table.columns.iter().map(|c| (c.kind.as_str(), c.nullable));
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, [("integer", false), ("numeric(3, 2)", true)]);
}

#[test]
fn the_catalogue_of_each_database_is_as_described() {
    on_each(async || {
        let database = Database::fresh(kind()).expect("a database");
        let settings = Settings {
            url: database.url.clone(),
            ..Settings::default()
        };
        Store::migrate(&settings, false).await.expect("migrated");
        let (folder, mut found) = match kind() {
            Kind::Sqlite => ("sqlite", of_sqlite(&database)),
            Kind::Postgres => ("postgres", of_postgres(&database.url).await),
            Kind::MariaDb | Kind::MySql => ("mysql", of_mysql(&database.url).await),
        };
        for column in found.values_mut().flat_map(|table| &mut table.columns) {
            // As MySQL and MariaDB show it.
            if column.kind == "int" || column.kind == "int(11)" {
                "integer".clone_into(&mut column.kind);
            }
            column.kind = column.kind.replace("bigint(20)", "bigint");
        }
        assert_same(kind().name(), &found, &describe(folder));
    });
}

fn of_sqlite(database: &Database) -> BTreeMap<String, Table> {
    let file = database.folder().join("mail.db");
    let file = rusqlite::Connection::open(file).expect("the database");
    let columns = "SELECT t.name, c.name, c.type, c.\"notnull\", c.pk \
                   FROM sqlite_master t, pragma_table_info(t.name) c \
                   WHERE t.type = 'table' ORDER BY t.name, c.cid";
    let mut columns = file.prepare(columns).expect("a catalogue");
    let row = |row: &rusqlite::Row<'_>| {
        let column = Column {
            name: row.get(1)?,
            kind: row.get(2)?,
            nullable: !row.get::<_, bool>(3)?,
        };
        Ok((row.get::<_, String>(0)?, column, row.get::<_, i64>(4)?))
    };
    let mut all: BTreeMap<String, Table> = BTreeMap::new();
    let mut keys: BTreeMap<(String, i64), String> = BTreeMap::new();
    for found in columns.query_map([], row).expect("columns") {
        let (table, column, place) = found.expect("a column");
        if place > 0 {
            keys.insert((table.clone(), place), column.name.clone());
        }
        all.entry(table).or_default().columns.push(column);
    }
    for ((table, _), column) in keys {
        all.get_mut(&table).expect("a table").key.push(column);
    }
    all
}

/// What information_schema says of columns, in order.
const COLUMNS: &str = "SELECT CAST(c.table_name AS char(64)), CAST(c.column_name AS char(64)), \
    CAST(c.{kind} AS char(64)), CAST(c.is_nullable AS char(3)) \
    FROM information_schema.columns c JOIN information_schema.tables t \
    ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
    WHERE t.table_type = 'BASE TABLE' AND c.table_schema = {here} ORDER BY c.table_name, c.ordinal_position";
/// And of primary keys.
const KEYS: &str = "SELECT CAST(k.table_name AS char(64)), CAST(k.column_name AS char(64)) \
    FROM information_schema.key_column_usage k JOIN information_schema.table_constraints c \
    ON c.constraint_name = k.constraint_name AND c.table_name = k.table_name AND c.table_schema = k.table_schema \
    WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_schema = {here} ORDER BY k.table_name, k.ordinal_position";

type ColumnRow = (String, String, String, String);
type KeyRow = (String, String);

fn of_rows(columns: Vec<ColumnRow>, keys: Vec<KeyRow>) -> BTreeMap<String, Table> {
    let tidy = |text: String| text.trim_end().to_owned();
    let mut all: BTreeMap<String, Table> = BTreeMap::new();
    for (table, name, kind, nullable) in columns {
        let column = Column {
            name: tidy(name),
            kind: tidy(kind),
            nullable: tidy(nullable) == "YES",
        };
        all.entry(tidy(table)).or_default().columns.push(column);
    }
    for (table, column) in keys {
        let table = all.get_mut(table.trim_end()).expect("a table");
        table.key.push(tidy(column));
    }
    all
}

fn asked(text: &str, here: &str, kind: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(text.replace("{here}", here).replace("{kind}", kind))
}

async fn of_postgres(url: &str) -> BTreeMap<String, Table> {
    use sqlx::Connection as _;
    let mut link = sqlx::PgConnection::connect(url).await.expect("a server");
    let of = |text| asked(text, "current_schema()", "data_type");
    let columns = sqlx::query_as(of(COLUMNS)).fetch_all(&mut link).await;
    let keys = sqlx::query_as(of(KEYS)).fetch_all(&mut link).await;
    of_rows(columns.expect("columns"), keys.expect("keys"))
}

async fn of_mysql(url: &str) -> BTreeMap<String, Table> {
    use sqlx::Connection as _;
    let mut link = sqlx::MySqlConnection::connect(url).await.expect("a server");
    let of = |text| asked(text, "database()", "column_type");
    let columns = sqlx::query_as(of(COLUMNS)).fetch_all(&mut link).await;
    let keys = sqlx::query_as(of(KEYS)).fetch_all(&mut link).await;
    of_rows(columns.expect("columns"), keys.expect("keys"))
}
