//! Reads the definitions in `migrations/`: as much of SQL as stands there, and no more.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

/// A table as it is defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    /// The primary key's columns.
    pub(crate) key: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its type, as the database writes it.
    pub(crate) kind: String,
    pub(crate) nullable: bool,
}

/// The statements of a text, without comments, with single blanks.
pub(crate) fn statements(text: &str) -> Vec<String> {
    let code = |line: &str| line.split("--").next().unwrap_or_default().to_owned();
    let code: Vec<String> = text.lines().map(code).collect();
    let code = code.join(" ");
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = code.split(';').map(words);
    all.filter(|statement| !statement.is_empty()).collect()
}

/// The tables that a text makes.
pub(crate) fn tables(text: &str) -> BTreeMap<String, Table> {
    let all = statements(text);
    let mut tables: BTreeMap<String, Table> = all.iter().filter_map(|s| table(s)).collect();
    for (name, column) in all.iter().filter_map(|s| added(s)) {
        let table = tables.get_mut(&name).expect("a table that is there");
        table.columns.push(column);
    }
    tables
}

/// The column that a statement adds to a table.
fn added(statement: &str) -> Option<(String, Column)> {
    let (name, item) = statement
        .strip_prefix("ALTER TABLE ")?
        .split_once(" ADD ")?;
    let item = item.strip_prefix("COLUMN ").unwrap_or(item);
    (!item.starts_with("CONSTRAINT ")).then(|| (name.to_owned(), column(item)))
}

/// A column: its name, its type, and whether it may be NULL; a constraint may follow.
fn column(item: &str) -> Column {
    let (name, kind) = item.split_once(' ').expect("a type");
    let kind = kind.split(" CONSTRAINT ").next().unwrap_or(kind);
    let nullable = !kind.contains(" NOT NULL");
    let kind = kind.split(" NOT NULL").next().unwrap_or(kind);
    Column {
        name: name.to_owned(),
        kind: kind.trim().to_owned(),
        nullable,
    }
}

fn table(statement: &str) -> Option<(String, Table)> {
    let rest = statement.strip_prefix("CREATE TABLE ")?;
    if rest.contains(" AS SELECT ") {
        // A copy that the same migration takes away again.
        return None;
    }
    let (name, rest) = rest.split_once(" (").expect("a list of columns");
    let mut table = Table::default();
    for item in items(rest) {
        if let Some((_, columns)) = item.split_once("PRIMARY KEY (") {
            let columns = columns.trim_end_matches(')').split(", ");
            table.key = columns.map(str::to_owned).collect();
        } else if !item.starts_with("CONSTRAINT ") {
            table.columns.push(column(&item));
        }
    }
    Some((name.to_owned(), table))
}

/// What stands between commas, until the bracket ends that was open before.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item).trim().to_owned());
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    items.push(item.trim().to_owned());
    items
}

/// The names that a statement gives: of what it makes, of columns and constraints in it, of a view's columns.
pub(crate) fn identifiers(statement: &str) -> Vec<String> {
    let mut names = Vec::new();
    for what in ["TABLE", "INDEX", "UNIQUE INDEX", "VIEW"] {
        if let Some(rest) = statement.strip_prefix(&format!("CREATE {what} ")) {
            names.extend(rest.split([' ', '(']).next().map(str::to_owned));
        }
    }
    let columns = table(statement).map(|(_, table)| table.columns);
    let columns = columns.or_else(|| added(statement).map(|(_, column)| vec![column]));
    if let Some(columns) = columns {
        names.extend(columns.into_iter().map(|column| column.name));
        let constraints = statement.split("CONSTRAINT ").skip(1);
        names.extend(constraints.filter_map(|rest| rest.split(' ').next().map(str::to_owned)));
    }
    if statement.starts_with("CREATE VIEW ") {
        names.extend(statement.split(" AS ").skip(1).filter_map(alias));
    }
    names
}

/// The name that stands after AS: not the SELECT of a view, nor the type of a CAST, which a bracket follows.
fn alias(rest: &str) -> Option<String> {
    let end = rest.find([' ', ',', '(', ')']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    (name != "SELECT" && !after.starts_with(['(', ')'])).then(|| name.to_owned())
}
