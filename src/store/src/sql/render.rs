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
    /// The answer is one row of arrays, one for each column, all of whole numbers.
    pub(crate) turned: bool,
    /// How many rows of values go in one text, where they do.
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

/// A statement for many rows of values.
#[derive(Debug)]
pub(crate) enum Many {
    /// The list of values of an INSERT, again and again.
    Lists(Lists),
    /// Arrays, one for each parameter: one text serves any number of rows.
    Arrays(Arrays),
}

/// An `INSERT … VALUES (…), (…)`.
#[derive(Debug)]
pub(crate) struct Lists {
    before: String,
    row: String,
    after: String,
    /// Which value stands at each placeholder of a row.
    pub(crate) order: Vec<usize>,
    texts: Mutex<BTreeMap<usize, &'static str>>,
}

impl Lists {
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

/// A statement joined with `unnest` of its parameters.
#[derive(Debug)]
pub(crate) struct Arrays {
    before: String,
    after: String,
    kinds: Vec<Kind>,
    /// The text for this statement alone.
    pub(crate) text: &'static str,
}

impl Arrays {
    fn new(before: String, after: String, kinds: Vec<Kind>) -> Self {
        let mut made = Self {
            before,
            after,
            kinds,
            text: "",
        };
        made.text = kept(made.from(0));
        made
    }

    /// The text where so many parameters stand before its own.
    fn from(&self, parameters: usize) -> String {
        let (mut arrays, mut columns) = (Vec::new(), Vec::new());
        for (n, kind) in self.kinds.iter().enumerate() {
            let array = match kind {
                Kind::Int => "bigint[]",
                Kind::Octets => "bytea[]",
                Kind::Text => "text[]",
            };
            arrays.push(format!("${}::{array}", parameters + n + 1));
            columns.push(format!("c{}", n + 1));
        }
        let (before, after) = (&self.before, &self.after);
        let (arrays, columns) = (arrays.join(", "), columns.join(", "));
        format!("{before}unnest({arrays}) AS v({columns}){after}")
    }
}

/// One text for several statements of arrays, which answers how many rows each touched. They run in the order in which
/// their counts are asked for. Made once for each sequence of names; there are as many as places that call for one.
pub(crate) fn together(statements: &[&'static Rendered]) -> Option<&'static str> {
    static TEXTS: Mutex<BTreeMap<Vec<&'static str>, &'static str>> = Mutex::new(BTreeMap::new());
    let names: Vec<&'static str> = statements.iter().map(|statement| statement.name).collect();
    let mut texts = lock(&TEXTS);
    if let Some(text) = texts.get(&names) {
        return Some(text);
    }
    let (mut with, mut counts) = (Vec::new(), Vec::new());
    let mut parameters = 0;
    for (n, statement) in statements.iter().enumerate() {
        let Some(Many::Arrays(arrays)) = &statement.many else {
            return None;
        };
        let text = arrays.from(parameters);
        parameters += arrays.kinds.len();
        with.push(format!("s{n} AS ({text}\nRETURNING 1)"));
        counts.push(format!("(SELECT count(*) FROM s{n})"));
    }
    let text = format!("WITH {}\nSELECT {}", with.join(",\n"), counts.join(", "));
    Some(texts.entry(names).or_insert_with(|| kept(text)))
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
            turned: false,
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
    /// Rows of values for it never meet on one row of a table.
    apart: bool,
    /// How many columns its many rows have, when all are whole numbers.
    narrow: Option<usize>,
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
        let words = rest.split_whitespace();
        Self {
            name: name.trim(),
            parameters: names
                .filter(|name| !name.is_empty())
                .flat_map(parameters)
                .collect(),
            lock: words.clone().find_map(Lock::named),
            apart: words.clone().any(|word| word == "apart"),
            narrow: words
                .clone()
                .find_map(|word| word.strip_prefix("narrow")?.parse().ok()),
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
        let turned = self.narrow.filter(|_| dialect == Dialect::Postgres);
        let texts = match turned {
            Some(columns) => texts.iter().map(|text| turn(text, columns)).collect(),
            None => texts,
        };
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
            turned: turned.is_some(),
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

    /// The statement for many rows. PostgreSQL takes arrays: of an INSERT, and of an UPDATE, DELETE or INSERT … SELECT whose
    /// head says that its rows don't meet. MySQL and MariaDB take the list of an INSERT's values again and again.
    fn many(&self, text: &str, dialect: Dialect) -> Option<Many> {
        match dialect {
            Dialect::Sqlite => None,
            Dialect::MySql => {
                let (before, row, after) = values_of(text)?;
                let (row, order) = self.place(row, |_| "?".to_owned());
                Some(Many::Lists(Lists {
                    before: format!("{before}VALUES "),
                    row: format!("({row})"),
                    after: after.to_owned(),
                    order,
                    texts: Mutex::default(),
                }))
            }
            Dialect::Postgres => {
                let (before, after) = match values_of(text) {
                    Some((before, row, after)) => {
                        (format!("{before}SELECT {row} FROM "), after.to_owned())
                    }
                    None if self.apart => joined(text)?,
                    None => return None,
                };
                let column = |place| format!("v.c{}", place + 1);
                let (before, _) = self.place(&before, column);
                let (after, _) = self.place(&after, column);
                let kinds = self.parameters.iter().map(|(_, kind)| *kind).collect();
                Some(Many::Arrays(Arrays::new(before, after, kinds)))
            }
        }
    }
}

/// The same answer as one row of arrays: ten thousand narrow rows cost less on the way and to take apart than one by one.
fn turn(text: &str, columns: usize) -> String {
    let names: Vec<String> = (1..=columns).map(|n| format!("a{n}")).collect();
    let arrays: Vec<String> = names
        .iter()
        .map(|name| format!("array_agg({name}::bigint)"))
        .collect();
    let (arrays, names) = (arrays.join(", "), names.join(", "));
    format!("SELECT {arrays} FROM (\n{text}\n) AS t({names})")
}

/// An `INSERT … VALUES (…)`: what stands before, between and after the brackets.
fn values_of(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text
        .starts_with("INSERT")
        .then(|| text.split_once("VALUES ("))??;
    let (row, after) = rest.split_once(')')?;
    Some((before, row, after))
}

/// Where a table of values is joined to a statement: what stands before and after it.
fn joined(text: &str) -> Option<(String, String)> {
    if text.starts_with("INSERT") {
        let (before, after) = text.split_once("FROM ")?;
        return Some((format!("{before}FROM "), format!(", {after}")));
    }
    let (before, after) = text.split_once("WHERE ")?;
    let word = if text.starts_with("DELETE") {
        "USING "
    } else {
        "FROM "
    };
    Some((format!("{before}{word}"), format!("\nWHERE {after}")))
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

    fn arrays(text: &str) -> Option<&'static str> {
        match one(text, Dialect::Postgres).many {
            Some(Many::Arrays(arrays)) => Some(arrays.text),
            Some(Many::Lists(_)) | None => None,
        }
    }

    #[test]
    fn an_insert_of_many_rows_is_one_text() {
        let text = "-- statement: X (a, b: octets)\nINSERT INTO t (x, y, z)\nVALUES (:a, 0, :b)\nON CONFLICT (x) DO NOTHING";
        assert_eq!(
            arrays(text),
            Some(
                "INSERT INTO t (x, y, z)\nSELECT v.c1, 0, v.c2 FROM unnest($1::bigint[], $2::bytea[]) AS v(c1, c2)\
                 \nON CONFLICT (x) DO NOTHING"
            )
        );
        let Some(Many::Lists(mysql)) = one(text, Dialect::MySql).many else {
            panic!("lists");
        };
        assert!(mysql.text(2).contains("VALUES (?, 0, ?), (?, 0, ?)"));
        assert_eq!(mysql.order, vec![0, 1]);
        assert!(one(text, Dialect::Sqlite).many.is_none());
        assert_eq!(
            [Lists::size(1_000), Lists::size(15), Lists::size(3)],
            [256, 4, 2]
        );
    }

    #[test]
    fn what_says_that_its_rows_do_not_meet_takes_arrays() {
        let update = "(a, b) apart locks part\nUPDATE t SET x = :b\nWHERE y = :a";
        assert_eq!(
            arrays(&format!("-- statement: X {update}")),
            Some(
                "UPDATE t SET x = v.c2\nFROM unnest($1::bigint[], $2::bigint[]) AS v(c1, c2)\nWHERE y = v.c1"
            )
        );
        let head = "-- statement: X (a, b)";
        assert!(arrays(&format!("{head}\nUPDATE t SET x = :b WHERE y = :a")).is_none());
        assert_eq!(
            arrays("-- statement: X (a) apart\nDELETE FROM t WHERE y = :a"),
            Some("DELETE FROM t USING unnest($1::bigint[]) AS v(c1)\nWHERE y = v.c1")
        );
        assert_eq!(
            arrays(
                "-- statement: X (a, b) apart\nINSERT INTO t (x, y)\nSELECT :b, z FROM u\nWHERE y = :a"
            ),
            Some(
                "INSERT INTO t (x, y)\nSELECT v.c2, z FROM unnest($1::bigint[], $2::bigint[]) AS v(c1, c2), u\nWHERE y = v.c1"
            )
        );
    }

    #[test]
    fn a_narrow_answer_is_turned_where_rows_are_dear() {
        let text = "-- statement: X (a) narrow2\nSELECT x, y FROM t WHERE x > :a ORDER BY x";
        let postgres = one(text, Dialect::Postgres);
        assert!(postgres.turned);
        assert_eq!(
            postgres.text(),
            "SELECT array_agg(a1::bigint), array_agg(a2::bigint) FROM (\n\
             SELECT x, y FROM t WHERE x > $1 ORDER BY x\n) AS t(a1, a2)"
        );
        assert!(!one(text, Dialect::MySql).turned);
    }

    #[test]
    fn several_statements_are_one_text_whose_parameters_follow_one_another() {
        let made = |name, text: &str| -> &'static Rendered {
            let text = format!("-- statement: X {text}");
            Box::leak(Box::new(read(&text)[0].render(name, Dialect::Postgres)))
        };
        let first = made("First", "(a)\nINSERT INTO t (x)\nVALUES (:a)");
        let second = made(
            "Second",
            "(a, b) apart\nDELETE FROM u WHERE x = :a AND y = :b",
        );
        assert_eq!(
            together(&[first, second]),
            Some(
                "WITH s0 AS (INSERT INTO t (x)\nSELECT v.c1 FROM unnest($1::bigint[]) AS v(c1)\nRETURNING 1),\n\
                 s1 AS (DELETE FROM u USING unnest($2::bigint[], $3::bigint[]) AS v(c1, c2)\nWHERE x = v.c1 AND y = v.c2\n\
                 RETURNING 1)\nSELECT (SELECT count(*) FROM s0), (SELECT count(*) FROM s1)"
            )
        );
        let other = made("Third", "(a)\nUPDATE t SET x = :a WHERE x > 1");
        assert_eq!(together(&[first, other]), None);
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
