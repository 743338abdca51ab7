//! From the files of statements to the text that a database takes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Dialect, Lock};
use crate::shared::lock;

/// Rows in the texts of a many-row INSERT on a database that takes no arrays: few texts, so that each stays prepared.
const ROWS_IN_TEXT: [usize; 6] = [256, 64, 16, 4, 2, 1];

/// Numbers in a list: `IN (:ids)` is written with so many parameters, few enough for every planner to look each up by its key.
pub(crate) const LIST_SIZE: usize = 32;

/// The kind of a parameter: a NULL has one too, and a prepared statement must not depend on which value came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Int,
    /// Octets.
    Octets,
    /// Text.
    Text,
}

/// A statement as one database takes it.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its texts, run one after another; mostly one.
    pub(crate) steps: Vec<Step>,
    /// The kinds of its values.
    pub(crate) parameters: Vec<Kind>,
    /// What it locks; the first parameter says which row.
    pub(crate) lock: Option<Lock>,
    /// How many rows of values go in one text, for an INSERT.
    pub(crate) many: Option<Many>,
}

/// One text.
#[derive(Debug)]
pub(crate) struct Step {
    /// The text.
    pub(crate) text: &'static str,
    /// For a database whose placeholders have no numbers: which value stands at each.
    pub(crate) order: Vec<usize>,
}

/// An INSERT of many rows.
#[derive(Debug)]
pub(crate) struct Many {
    before: String,
    row: String,
    after: String,
    /// Which value stands at each placeholder of a row.
    pub(crate) order: Vec<usize>,
    texts: Mutex<BTreeMap<usize, &'static str>>,
}

impl Many {
    /// How many of so many rows go in the next text.
    pub(crate) fn size(rows: usize) -> usize {
        let fits = ROWS_IN_TEXT.iter().find(|size| **size <= rows);
        fits.copied().unwrap_or(1)
    }

    /// The text for so many rows. A text is made once.
    pub(crate) fn text(&self, rows: usize) -> &'static str {
        let mut texts = lock(&self.texts);
        texts.entry(rows).or_insert_with(|| {
            let mut text = self.before.clone();
            for n in 0..rows {
                text.push_str(if n == 0 { "" } else { ", " });
                text.push_str(&self.row);
            }
            text.push_str(&self.after);
            kept(text)
        })
    }
}

/// A text for as long as the program runs: there are as many as statements, times the sizes above.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Rendered {
    pub(super) const fn missing() -> Self {
        Self {
            name: "",
            steps: Vec::new(),
            parameters: Vec::new(),
            lock: None,
            many: None,
        }
    }

    /// The first text: the only one on a database that needs no others.
    pub(crate) fn text(&self) -> &'static str {
        self.steps.first().map_or("", |step| step.text)
    }
}

/// A statement as its file has it.
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    parameters: Vec<(&'a str, Kind)>,
    lock: Option<Lock>,
    /// Name of the dialect, none for every other; and the texts, each as lines.
    blocks: Vec<(Option<&'a str>, Vec<Vec<&'a str>>)>,
}

/// The statements of a file.
pub(super) fn read(file: &str) -> Vec<Written<'_>> {
    let mut statements: Vec<Written<'_>> = Vec::new();
    for line in file.lines() {
        if let Some(head) = line.strip_prefix("-- statement: ") {
            statements.push(Written::begin(head));
        } else if let Some(statement) = statements.last_mut() {
            statement.take(line);
        }
    }
    statements
}

/// One parameter of a head; a list is as many of one name.
fn parameters(written: &str) -> impl Iterator<Item = (&str, Kind)> {
    let (name, kind) = written.split_once(':').unwrap_or((written, ""));
    let (kind, count) = match kind.trim() {
        "octets" => (Kind::Octets, 1),
        "text" => (Kind::Text, 1),
        "list" => (Kind::Int, LIST_SIZE),
        _ => (Kind::Int, 1),
    };
    std::iter::repeat_n((name.trim(), kind), count)
}

impl<'a> Written<'a> {
    fn begin(head: &'a str) -> Self {
        let (name, rest) = head.split_once('(').unwrap_or((head, ""));
        let (head, rest) = rest.split_once(')').unwrap_or((rest, ""));
        let names = head.split(',').map(str::trim);
        Self {
            name: name.trim(),
            parameters: names
                .filter(|name| !name.is_empty())
                .flat_map(parameters)
                .collect(),
            lock: rest.trim().strip_prefix("locks ").and_then(Lock::named),
            blocks: vec![(None, vec![Vec::new()])],
        }
    }

    fn take(&mut self, line: &'a str) {
        if let Some(dialect) = line.strip_prefix("-- dialect: ") {
            self.blocks.push((Some(dialect.trim()), vec![Vec::new()]));
        } else if let Some((_, texts)) = self.blocks.last_mut() {
            if line.trim_end() == "-- then" {
                texts.push(Vec::new());
            } else if !line.starts_with("--")
                && let Some(lines) = texts.last_mut()
            {
                lines.push(line);
            }
        }
    }

    pub(super) fn render(&self, name: &'static str, dialect: Dialect) -> Rendered {
        let own = self
            .blocks
            .iter()
            .find(|(block, _)| *block == Some(dialect.name()));
        let texts = own.or_else(|| self.blocks.first()).map(|(_, texts)| texts);
        let texts: Vec<String> = texts
            .into_iter()
            .flatten()
            .map(|lines| dialect.spell(&lines.join("\n")))
            .collect();
        let step = |text: &String| {
            let (text, order) = self.place(text, |place| dialect.placeholder(place + 1));
            Step {
                text: kept(text),
                order,
            }
        };
        Rendered {
            name,
            steps: texts.iter().map(step).collect(),
            parameters: self.parameters.iter().map(|(_, kind)| *kind).collect(),
            lock: self.lock,
            many: texts.first().and_then(|text| self.many(text, dialect)),
        }
    }

    /// Puts something for each parameter; the text, and which parameter stood at each place.
    fn place(&self, text: &str, mut write: impl FnMut(usize) -> String) -> (String, Vec<usize>) {
        let mut out = String::with_capacity(text.len());
        let mut order = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(':') {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (name, tail) = after.split_at(end.unwrap_or(after.len()));
            out.push_str(before);
            let named = self.parameters.iter().enumerate();
            let named = named.filter(|(_, (p, _))| *p == name);
            let places: Vec<usize> = named.map(|(place, _)| place).collect();
            if places.is_empty() {
                // Left as it is, so that preparing it fails and says which.
                out.extend([":", name]);
            }
            for (n, place) in places.into_iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                out.push_str(&write(place));
                order.push(place);
            }
            rest = tail;
        }
        out.push_str(rest);
        (out, order)
    }

    /// An `INSERT … VALUES (…)` for many rows. PostgreSQL takes arrays, one for each parameter, and one text serves any
    /// number of rows; MySQL and MariaDB take the list of values again and again.
    fn many(&self, text: &str, dialect: Dialect) -> Option<Many> {
        if !text.starts_with("INSERT") {
            return None;
        }
        let (before, rest) = text.split_once("VALUES (")?;
        let (row, after) = rest.split_once(')')?;
        let made = match dialect {
            Dialect::Sqlite => return None,
            Dialect::MySql => {
                let (row, order) = self.place(row, |_| "?".to_owned());
                (
                    format!("{before}VALUES "),
                    format!("({row})"),
                    after.to_owned(),
                    order,
                )
            }
            Dialect::Postgres => {
                let (row, order) = self.place(row, |place| format!("v.c{}", place + 1));
                let (mut arrays, mut columns) = (Vec::new(), Vec::new());
                for (n, (_, kind)) in self.parameters.iter().enumerate() {
                    let array = match kind {
                        Kind::Int => "bigint[]",
                        Kind::Octets => "bytea[]",
                        Kind::Text => "text[]",
                    };
                    arrays.push(format!("${}::{array}", n + 1));
                    columns.push(format!("c{}", n + 1));
                }
                let (arrays, columns) = (arrays.join(", "), columns.join(", "));
                let from = format!("SELECT {row} FROM unnest({arrays}) AS v({columns})");
                (before.to_owned(), from, after.to_owned(), order)
            }
        };
        let (before, row, after, order) = made;
        Some(Many {
            before,
            row,
            after,
            order,
            texts: Mutex::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, dialect: Dialect) -> Rendered {
        read(text)[0].render("X", dialect)
    }

    #[test]
    fn a_parameter_that_the_head_does_not_name_is_left_to_fail() {
        let text = "-- statement: X (a)\nSELECT :a, :b FROM t WHERE c = :a";
        let shown = |dialect| one(text, dialect).text();
        assert_eq!(shown(Dialect::Sqlite), "SELECT ?1, :b FROM t WHERE c = ?1");
        assert_eq!(
            shown(Dialect::Postgres),
            "SELECT $1, :b FROM t WHERE c = $1"
        );
        assert_eq!(shown(Dialect::MySql), "SELECT ?, :b FROM t WHERE c = ?");
        assert_eq!(one(text, Dialect::MySql).steps[0].order, vec![0, 0]);
    }

    #[test]
    fn a_list_is_as_many_parameters_as_it_has_numbers() {
        let text = "-- statement: X (a, ids: list, b)\nDELETE FROM t WHERE a = :a AND b IN (:ids) AND c = :b";
        let sqlite = one(text, Dialect::Sqlite);
        assert_eq!(sqlite.parameters, vec![Kind::Int; LIST_SIZE + 2]);
        assert!(
            sqlite.text().contains("b IN (?2, ?3, ") && sqlite.text().ends_with("?33) AND c = ?34")
        );
        let mysql = one(text, Dialect::MySql);
        assert_eq!(mysql.steps[0].order, (0..LIST_SIZE + 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_block_of_two_texts_is_one_statement() {
        let text = "-- statement: X (a, b: octets)\nUPDATE t RETURNING c\n\
                    -- dialect: mysql\nUPDATE t SET x = :b\n-- then\nSELECT :a";
        let mysql = one(text, Dialect::MySql);
        assert_eq!(mysql.parameters, vec![Kind::Int, Kind::Octets]);
        let texts: Vec<_> = mysql.steps.iter().map(|s| (s.text, &s.order[..])).collect();
        assert_eq!(
            texts,
            vec![("UPDATE t SET x = ?", &[1][..]), ("SELECT ?", &[0][..])]
        );
        assert_eq!(one(text, Dialect::Postgres).steps.len(), 1);
    }

    #[test]
    fn an_insert_of_many_rows_is_one_text() {
        let text = "-- statement: X (a, b: octets)\nINSERT INTO t (x, y, z)\nVALUES (:a, 0, :b)\nON CONFLICT (x) DO NOTHING";
        let many = |dialect| one(text, dialect).many;
        let postgres = many(Dialect::Postgres).unwrap();
        assert_eq!(
            postgres.text(1),
            "INSERT INTO t (x, y, z)\nSELECT v.c1, 0, v.c2 FROM unnest($1::bigint[], $2::bytea[]) AS v(c1, c2)\
             \nON CONFLICT (x) DO NOTHING"
        );
        let mysql = many(Dialect::MySql).unwrap();
        assert!(mysql.text(2).contains("VALUES (?, 0, ?), (?, 0, ?)"));
        assert_eq!(mysql.order, vec![0, 1]);
        assert!(many(Dialect::Sqlite).is_none());
        assert_eq!(
            [Many::size(1_000), Many::size(15), Many::size(3)],
            [256, 4, 2]
        );
    }

    #[test]
    fn what_differs_in_spelling_alone_is_written_once() {
        let text = "-- statement: X (n)\nSELECT CAST(sum(a) AS bigint) FROM t FETCH FIRST :n ROWS ONLY FOR UPDATE";
        let shown = |dialect| one(text, dialect).text();
        assert_eq!(
            shown(Dialect::Sqlite),
            "SELECT CAST(sum(a) AS bigint) FROM t LIMIT ?1"
        );
        assert_eq!(
            shown(Dialect::Postgres),
            "SELECT CAST(sum(a) AS bigint) FROM t LIMIT $1 FOR UPDATE"
        );
        assert_eq!(
            shown(Dialect::MySql),
            "SELECT CAST(sum(a) AS signed) FROM t LIMIT ? FOR UPDATE"
        );
    }
}
