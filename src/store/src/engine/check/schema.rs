//! Is the database as the migrations made it: tables, columns, constraints, indexes, views; and the ids that it gives out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Mend, Walk, shown};
use crate::check::{FaultKind, Place};
use crate::db::Error;
use crate::driver::Connection;
use crate::migrate::texts;
use crate::sql::Sql;

/// Kinds of ids, as `id_block` numbers them.
const ID_KINDS: std::ops::RangeInclusive<i64> = 1..=11;

/// What a database has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Catalogue {
    /// Type of each column, and whether it may be NULL.
    columns: BTreeMap<(String, String), (String, bool)>,
    /// Names of constraints, indexes and views.
    names: BTreeSet<String>,
}

impl<C: Connection> Walk<'_, C> {
    /// Schema, ids, and short tables that others need.
    pub(super) async fn schema(&mut self) -> Result<(), Error> {
        let mut wanted = Catalogue::default();
        for text in texts(self.db.dialect()) {
            wanted.read(text);
        }
        for what in wanted.missing(&self.catalogue().await?) {
            self.fault(FaultKind::Schema, Place::default(), what, None)
                .await?;
        }
        self.ids().await?;
        self.orphans(Sql::CheckLooseEnds, &[], "a reference to")
            .await
    }

    async fn catalogue(&mut self) -> Result<Catalogue, Error> {
        let mut rows = self.look(Sql::CheckCatalogue, &[]).await?;
        let mut found = Catalogue::default();
        for mut row in rows.each() {
            let first = row.text(0)?.trim_end().to_owned();
            match (row.text_or_none(1)?, row.text_or_none(2)?) {
                (Some(column), Some(kind)) => {
                    let nullable = row.int_or_none(3)? == Some(1);
                    let key = (first, column.trim_end().to_owned());
                    found
                        .columns
                        .insert(key, (spelled(kind.trim_end()), nullable));
                }
                // The text that made it, or its name.
                _ if first.contains(' ') => found.read(&first),
                _ => {
                    found.names.insert(first);
                }
            }
        }
        Ok(found)
    }

    /// Whether an id that is there may be given again.
    async fn ids(&mut self) -> Result<(), Error> {
        let mut rows = self.look(Sql::CheckIds, &[]).await?;
        let mut next = BTreeMap::new();
        for row in rows.each() {
            next.insert(row.int(0)?, (row.int(1)?, row.int_or_none(2)?));
        }
        for kind in ID_KINDS {
            let (what, mend) = match next.get(&kind) {
                None => (format!("id_block has no row of kind {kind}"), None),
                Some((next, last)) if last.is_some_and(|last| *next <= last) => {
                    let last = shown(*last);
                    let what = format!("the next id of kind {kind} is {next}, and {last} is given");
                    (what, Some(Mend::Ids(kind)))
                }
                Some(_) => continue,
            };
            self.fault(FaultKind::Ids, Place::default(), what, mend)
                .await?;
        }
        Ok(())
    }
}

impl Catalogue {
    /// Takes what the statements of a text make. As much of SQL as stands in migrations: one definition after another, each column and
    /// constraint of a table behind a comma.
    fn read(&mut self, text: &str) {
        let code = |line: &str| line.split("--").next().unwrap_or_default().to_owned();
        let code: Vec<String> = text.lines().map(code).collect();
        for statement in code.join(" ").split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let statement = words.join(" ");
            if let Some(rest) = statement.strip_prefix("CREATE TABLE ")
                && let Some((table, rest)) = rest.split_once('(')
            {
                for item in items(rest) {
                    self.item(table.trim(), &item);
                }
            } else if let Some(rest) = statement.strip_prefix("ALTER TABLE ")
                && let Some((table, rest)) = rest.split_once(" ADD ")
            {
                let item = rest.strip_prefix("COLUMN ").unwrap_or(rest);
                self.item(table.trim(), item);
            } else if let Some(rest) = statement.strip_prefix("ALTER TABLE ")
                && let Some((_, name)) = rest
                    .split_once(" DROP CONSTRAINT ")
                    .or_else(|| rest.split_once(" DROP FOREIGN KEY "))
            {
                self.names.remove(name.trim());
            } else if let Some(table) = statement.strip_prefix("DROP TABLE ") {
                self.dropped(table.trim());
            } else {
                self.named(&statement);
            }
        }
    }

    /// A table that is made again: its columns, constraints and indexes, whose names begin with its own.
    fn dropped(&mut self, table: &str) {
        self.columns.retain(|(of, _), _| of != table);
        let of_table = |name: &str| {
            let rest = name.split_once('_').map_or("", |(_, rest)| rest);
            let rest = rest.strip_prefix(table);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        self.names.retain(|name| !of_table(name));
    }

    /// A column or a constraint.
    fn item(&mut self, table: &str, item: &str) {
        let Some((name, rest)) = item.trim().split_once(' ') else {
            return;
        };
        if name == "CONSTRAINT" {
            let name = rest.split(' ').next().unwrap_or_default();
            self.names.insert(name.to_owned());
            return;
        }
        let kind = [" NOT NULL", " DEFAULT ", " CHECK "]
            .iter()
            .fold(rest, |kind, word| kind.split(word).next().unwrap_or(kind));
        let column = (spelled(kind.trim()), !rest.contains("NOT NULL"));
        self.columns
            .insert((table.to_owned(), name.to_owned()), column);
    }

    /// An index or a view.
    fn named(&mut self, statement: &str) {
        for word in ["CREATE INDEX ", "CREATE UNIQUE INDEX ", "CREATE VIEW "] {
            if let Some(rest) = statement.strip_prefix(word) {
                let name = rest.split([' ', '(']).next().unwrap_or_default();
                self.names.insert(name.to_owned());
            }
        }
    }

    /// What this one has and the other has not, in words. What the other has besides is its owner's.
    fn missing(&self, there: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        for ((table, column), (kind, nullable)) in &self.columns {
            let key = (table.clone(), column.clone());
            let other = there.columns.get(&key);
            match other {
                None => missing.push(format!("column {table}.{column} is not there")),
                Some(found) if found != &(kind.clone(), *nullable) => {
                    let or = |nullable: bool| if nullable { " or NULL" } else { "" };
                    missing.push(format!(
                        "column {table}.{column} is {}{}, should be {kind}{}",
                        found.0,
                        or(found.1),
                        or(*nullable)
                    ));
                }
                Some(_) => {}
            }
        }
        for name in self.names.difference(&there.names) {
            let what = match name.split('_').next() {
                Some("pk") => "primary key",
                Some("uq") => "unique key",
                Some("fk") => "foreign key",
                Some("ck") => "check",
                Some("ix") => "index",
                _ => "view",
            };
            missing.push(format!("{what} {name} is not there"));
        }
        missing
    }
}

/// What stands between commas, until the bracket ends that was open before.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0u32);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    items.push(item);
    items
}

/// A type as we write it: MySQL shows `int` for `integer`, MariaDB a width beside.
fn spelled(kind: &str) -> String {
    match kind {
        "int" | "int(11)" => "integer".to_owned(),
        "bigint(20)" => "bigint".to_owned(),
        kind => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Dialect;

    fn catalogue(text: &str) -> Catalogue {
        let mut catalogue = Catalogue::default();
        catalogue.read(text);
        catalogue
    }

    const TEXT: &str = "CREATE TABLE a (\n b integer NOT NULL, -- with, a comma\n c numeric(3, 2),\n\
         CONSTRAINT pk_a PRIMARY KEY (b, c)\n) STRICT;\nCREATE INDEX ix_a ON a (c) WHERE c > 0;\n\
         CREATE VIEW v1_a AS SELECT b FROM a;\nINSERT INTO a (b) VALUES (1);\n";

    #[test]
    fn what_a_later_migration_takes_away_is_not_missed() {
        let before = "CREATE TABLE a (\n b bigint NOT NULL,\n CONSTRAINT pk_a PRIMARY KEY (b),\n \
                      CONSTRAINT fk_a_b FOREIGN KEY (b) REFERENCES c (id)\n);\nCREATE INDEX ix_a_b ON a (b);\n";
        for drop in ["DROP CONSTRAINT", "DROP FOREIGN KEY"] {
            let there = catalogue(&format!("{before}ALTER TABLE a {drop} fk_a_b;"));
            assert!(!there.names.contains("fk_a_b") && there.names.contains("pk_a"));
        }
        let again = catalogue(&format!(
            "{before}DROP TABLE a;\nCREATE TABLE a (b bigint);"
        ));
        assert!(again.names.is_empty() && again.columns.len() == 1);
    }

    #[test]
    fn what_definitions_make_is_read() {
        let a = catalogue(TEXT);
        let columns: Vec<String> = a
            .columns
            .iter()
            .map(|column| format!("{column:?}"))
            .collect();
        assert_eq!(
            columns,
            [
                r#"(("a", "b"), ("integer", false))"#,
                r#"(("a", "c"), ("numeric(3, 2)", true))"#
            ]
        );
        assert_eq!(a.names.iter().collect::<Vec<_>>(), ["ix_a", "pk_a", "v1_a"]);
        let added = catalogue("ALTER TABLE a ADD COLUMN d bigint NOT NULL DEFAULT 0;");
        let wanted = BTreeMap::from([(
            ("a".to_owned(), "d".to_owned()),
            ("bigint".to_owned(), false),
        )]);
        assert_eq!(added.columns, wanted);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named_and_what_is_more_is_not() {
        let less = TEXT
            .replace("c numeric(3, 2)", "c text")
            .replace("CREATE INDEX ix_a ON a (c) WHERE c > 0;", "")
            .replace("pk_a", "pk_z");
        let missing = catalogue(TEXT).missing(&catalogue(&less));
        assert_eq!(
            missing,
            [
                "column a.c is text or NULL, should be numeric(3, 2) or NULL",
                "index ix_a is not there",
                "primary key pk_a is not there"
            ]
        );
        let missing = catalogue(TEXT).missing(&Catalogue::default());
        assert_eq!(missing.len(), 5, "{missing:?}");
    }

    #[test]
    fn every_migration_is_read() {
        for dialect in Dialect::ALL {
            let mut all = Catalogue::default();
            for text in texts(dialect) {
                all.read(text);
            }
            assert!(all.columns.len() > 150, "{dialect:?}");
            for kind in ["pk_", "uq_", "fk_", "ck_", "ix_", "v1_"] {
                let count = all.names.iter().filter(|name| name.starts_with(kind));
                assert!(count.count() > 2, "{dialect:?}: {kind}");
            }
        }
    }
}
