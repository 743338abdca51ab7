//! Statements: files of portable SQL, rendered once for the database at hand.
//!
//! A file holds statements. Each begins with a head that names it and its parameters in the order in which values are
//! given; then its text, with `:name` for a parameter. Where databases truly differ, blocks follow:
//!
//! ```sql
//! -- statement: StateLock (mailbox) locks counter
//! SELECT … WHERE mailbox = :mailbox FOR UPDATE
//! -- dialect: sqlite
//! SELECT … WHERE mailbox = :mailbox
//! ```

use std::sync::OnceLock;

/// Which database's SQL. The others come with their drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
}

impl Dialect {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
        }
    }

    /// How the parameter at a place (from 1) is written.
    fn placeholder(self, place: usize) -> String {
        match self {
            Self::Sqlite => format!("?{place}"),
        }
    }
}

/// What a statement locks, in the order in which a transaction may lock (STORAGE 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lock {
    /// An account's counter row, by id.
    Account,
    /// A delivery's identity.
    Delivery,
    /// A quota root, by id.
    Quota,
    /// A mailbox's counter row, by id.
    Counter,
    /// A part, by hash.
    Part,
}

impl Lock {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "account" => Self::Account,
            "delivery" => Self::Delivery,
            "quota" => Self::Quota,
            "counter" => Self::Counter,
            "part" => Self::Part,
            _ => return None,
        })
    }
}

/// A statement as one database takes it.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its text.
    pub(crate) text: String,
    /// How many values it takes.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) parameters: usize,
    /// What it locks; the first parameter says which row.
    pub(crate) lock: Option<Lock>,
}

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// Every statement of the store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Sql { $($name),* }
        impl Sql {
            /// All of them with their names.
            pub(crate) const ALL: &[(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

include!("names.rs");

const FILES: &[&str] = &[
    include_str!("statements/account.sql"),
    include_str!("statements/background.sql"),
    include_str!("statements/content.sql"),
    include_str!("statements/delivery.sql"),
    include_str!("statements/mailbox.sql"),
    include_str!("statements/message.sql"),
    include_str!("statements/state.sql"),
    include_str!("statements/system.sql"),
];

impl Sql {
    /// The statement for a database.
    pub(crate) fn rendered(self, dialect: Dialect) -> &'static Rendered {
        static MISSING: Rendered = Rendered {
            name: "",
            text: String::new(),
            parameters: 0,
            lock: None,
        };
        // Every name has its statement: a test says so.
        all(dialect).get(self as usize).unwrap_or(&MISSING)
    }
}

fn all(dialect: Dialect) -> &'static [Rendered] {
    static SQLITE: OnceLock<Vec<Rendered>> = OnceLock::new();
    let rendered = match dialect {
        Dialect::Sqlite => &SQLITE,
    };
    rendered.get_or_init(|| {
        let written: Vec<Written<'_>> = FILES.iter().flat_map(|file| read(file)).collect();
        let find = |name: &str| written.iter().find(|s| s.name == name);
        let render = |&(_, name): &(Sql, &'static str)| Rendered {
            name,
            text: find(name).map(|s| s.render(dialect)).unwrap_or_default(),
            parameters: find(name).map_or(0, |s| s.parameters.len()),
            lock: find(name).and_then(|s| s.lock),
        };
        Sql::ALL.iter().map(render).collect()
    })
}

/// A statement as its file has it.
struct Written<'a> {
    name: &'a str,
    parameters: Vec<&'a str>,
    lock: Option<Lock>,
    /// Name of the dialect, none for every other; and the lines.
    blocks: Vec<(Option<&'a str>, Vec<&'a str>)>,
}

fn read(file: &str) -> Vec<Written<'_>> {
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

impl<'a> Written<'a> {
    fn begin(head: &'a str) -> Self {
        let (name, rest) = head.split_once('(').unwrap_or((head, ""));
        let (parameters, rest) = rest.split_once(')').unwrap_or((rest, ""));
        let names = parameters.split(',').map(str::trim);
        Self {
            name: name.trim(),
            parameters: names.filter(|name| !name.is_empty()).collect(),
            lock: rest.trim().strip_prefix("locks ").and_then(Lock::named),
            blocks: vec![(None, Vec::new())],
        }
    }

    fn take(&mut self, line: &'a str) {
        if let Some(dialect) = line.strip_prefix("-- dialect: ") {
            self.blocks.push((Some(dialect.trim()), Vec::new()));
        } else if !line.starts_with("--")
            && let Some((_, lines)) = self.blocks.last_mut()
        {
            lines.push(line);
        }
    }

    fn render(&self, dialect: Dialect) -> String {
        let own = self
            .blocks
            .iter()
            .find(|(name, _)| *name == Some(dialect.name()));
        let lines = own
            .or_else(|| self.blocks.first())
            .map(|(_, lines)| lines.join("\n"));
        let text = lines.unwrap_or_default();
        let mut out = String::with_capacity(text.len());
        let mut rest = text.trim();
        while let Some((before, after)) = rest.split_once(':') {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (name, tail) = after.split_at(end.unwrap_or(after.len()));
            out.push_str(before);
            match self.parameters.iter().position(|p| *p == name) {
                Some(place) => out.push_str(&dialect.placeholder(place + 1)),
                // Left as it is, so that preparing it fails and says which.
                None => out.extend([":", name]),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_statement_and_every_statement_its_name() {
        let written: Vec<Written<'_>> = FILES.iter().flat_map(|file| read(file)).collect();
        let mut names: Vec<&str> = written.iter().map(|s| s.name).collect();
        let mut known: Vec<&str> = Sql::ALL.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
        known.dedup();
        assert_eq!(known.len(), Sql::ALL.len(), "a name stands twice");
    }

    #[test]
    fn every_file_of_statements_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql/statements");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
    }

    #[test]
    fn statements_are_rendered_as_the_snapshot_has_them() {
        let mut out = String::new();
        for (sql, name) in Sql::ALL {
            let rendered = sql.rendered(Dialect::Sqlite);
            out.push_str(&format!(
                "{name} {:?}\n{}\n\n",
                rendered.lock, rendered.text
            ));
        }
        insta::assert_snapshot!("sqlite", out);
    }

    #[test]
    fn every_statement_is_one_that_sqlite_takes_with_its_values() {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        sqlite
            .execute_batch(include_str!("../../../../migrations/sqlite/0001_mail.sql"))
            .unwrap();
        for (sql, name) in Sql::ALL {
            let rendered = sql.rendered(Dialect::Sqlite);
            let prepared = sqlite.prepare(&rendered.text);
            let prepared = prepared.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(prepared.parameter_count(), rendered.parameters, "{name}");
        }
    }

    #[test]
    fn a_parameter_that_the_head_does_not_name_is_left_to_fail() {
        let statements = read("-- statement: X (a)\nSELECT :a, :b FROM t WHERE c = :a");
        assert_eq!(
            statements[0].render(Dialect::Sqlite),
            "SELECT ?1, :b FROM t WHERE c = ?1"
        );
    }
}
