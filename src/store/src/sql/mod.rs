//! Statements: files of portable SQL, rendered once for the database at hand.
//!
//! A file holds statements. Each begins with a head that names it and its parameters in the order in which values are
//! given, with the kind of each that is not a number; then its text, with `:name` for a parameter. What differs in
//! spelling alone is turned into what the database takes ([`Dialect::spell`]). A parameter of kind `list` is
//! [`LIST_SIZE`] numbers: `id IN (:ids)`. Where databases truly differ, blocks
//! follow; a block may hold several texts that run one after another and count as one statement:
//!
//! ```sql
//! -- statement: IdTake (kind, id_count)
//! UPDATE id_block SET next_id = next_id + :id_count WHERE kind = :kind RETURNING next_id
//! -- dialect: mysql
//! UPDATE id_block SET next_id = next_id + :id_count WHERE kind = :kind
//! -- then
//! SELECT next_id FROM id_block WHERE kind = :kind
//! ```
//!
//! After the parameters a head may say `locks` and what ([`Lock`]), and `apart`: the rows of values that are given at once
//! never meet on one row of a table, so that PostgreSQL may take them all in one text. `narrowN` says that the answer has
//! N columns, all of whole numbers, and may have very many rows.

mod render;

use std::sync::OnceLock;

use render::Written;
pub(crate) use render::{Kind, LIST_SIZE, Lists, Many, Rendered, Step, together};

/// Which database's SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
    /// PostgreSQL 13 or later.
    Postgres,
    /// MySQL 8 or later, MariaDB 10.6 or later.
    MySql,
}

impl Dialect {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MySql];

    /// Its name in statement files, and of its folder of migrations.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
        }
    }

    /// How the parameter at a place (from 1) is written.
    fn placeholder(self, place: usize) -> String {
        match self {
            Self::Sqlite => format!("?{place}"),
            Self::Postgres => format!("${place}"),
            Self::MySql => "?".to_owned(),
        }
    }

    /// The portable text as this database spells it. What is written once: `FETCH FIRST n ROWS ONLY`, `FOR UPDATE`,
    /// `CAST(… AS bigint)`.
    fn spell(self, text: &str) -> String {
        let mut text = text
            .replace("FETCH FIRST ", "LIMIT ")
            .replace(" ROWS ONLY", "");
        if self == Self::Sqlite {
            // Its one writer holds the lock of the whole database.
            text = text.replace("FOR UPDATE SKIP LOCKED", "");
            text = text.replace("FOR UPDATE", "");
        }
        if self == Self::MySql {
            text = text.replace(" AS bigint)", " AS signed)");
        }
        text.trim().to_owned()
    }
}

/// What a statement locks, in the order in which a transaction may lock (STORAGE 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lock {
    /// An account's counter row, by id.
    Account,
    /// A delivery's identity.
    Delivery,
    /// A part, by hash.
    Part,
    /// A mailbox's counter row, by id.
    Counter,
    /// A quota root, by id. Last: the hottest row is held shortest.
    Quota,
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
    include_str!("statements/check.sql"),
    include_str!("statements/content.sql"),
    include_str!("statements/delivery.sql"),
    include_str!("statements/mailbox.sql"),
    include_str!("statements/message.sql"),
    include_str!("statements/news.sql"),
    include_str!("statements/retention.sql"),
    include_str!("statements/state.sql"),
    include_str!("statements/stats.sql"),
    include_str!("statements/system.sql"),
];

impl Sql {
    /// The statement for a database.
    pub(crate) fn rendered(self, dialect: Dialect) -> &'static Rendered {
        static MISSING: OnceLock<Rendered> = OnceLock::new();
        // Every name has its statement: a test says so.
        all(dialect)
            .get(self as usize)
            .unwrap_or_else(|| MISSING.get_or_init(Rendered::missing))
    }
}

fn all(dialect: Dialect) -> &'static [Rendered] {
    static SQLITE: OnceLock<Vec<Rendered>> = OnceLock::new();
    static POSTGRES: OnceLock<Vec<Rendered>> = OnceLock::new();
    static MYSQL: OnceLock<Vec<Rendered>> = OnceLock::new();
    let rendered = match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
        Dialect::MySql => &MYSQL,
    };
    rendered.get_or_init(|| {
        let written: Vec<Written<'_>> = FILES.iter().flat_map(|file| render::read(file)).collect();
        let render = |&(_, name): &(Sql, &'static str)| {
            let found = written.iter().find(|s| s.name == name);
            found.map_or_else(Rendered::missing, |s| s.render(name, dialect))
        };
        Sql::ALL.iter().map(render).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_statement_and_every_statement_its_name() {
        let written: Vec<Written<'_>> = FILES.iter().flat_map(|file| render::read(file)).collect();
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

    fn text_of(many: &Many) -> &'static str {
        match many {
            Many::Lists(lists) => lists.text(1),
            Many::Arrays(arrays) => arrays.text,
        }
    }

    #[test]
    fn statements_are_rendered_as_the_snapshots_have_them() {
        for dialect in Dialect::ALL {
            let mut out = String::new();
            for (sql, name) in Sql::ALL {
                let rendered = sql.rendered(dialect);
                out.push_str(&format!("{name} {:?}\n", rendered.lock));
                for step in &rendered.steps {
                    out.push_str(step.text);
                    out.push('\n');
                }
                if dialect == Dialect::Postgres
                    && let Some(many) = &rendered.many
                {
                    out.push_str(&format!("many: {}\n", text_of(many)));
                }
                out.push('\n');
            }
            insta::assert_snapshot!(dialect.name(), out);
        }
    }

    #[test]
    fn every_statement_is_one_that_sqlite_takes_with_its_values() {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../../migrations/sqlite/0001_mail.sql"),
            include_str!("../../../../migrations/sqlite/0004_tail.sql"),
        ] {
            sqlite.execute_batch(migration).unwrap();
        }
        for (sql, name) in Sql::ALL {
            let rendered = sql.rendered(Dialect::Sqlite);
            for step in &rendered.steps {
                let prepared = sqlite.prepare(step.text);
                let prepared = prepared.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(
                    prepared.parameter_count(),
                    rendered.parameters.len(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_statement_is_one_that_each_server_takes() {
        use dbmail_testcontainers::{Database, Kind, kinds_at_hand};
        use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr};
        for kind in kinds_at_hand() {
            if kind == Kind::Sqlite {
                continue;
            }
            let database = Database::fresh(kind).unwrap();
            let settings = crate::Settings {
                url: database.url.clone(),
                ..crate::Settings::default()
            };
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                crate::migrate::migrate(&settings, false).await.unwrap();
                let dialect = if kind == Kind::Postgres {
                    Dialect::Postgres
                } else {
                    Dialect::MySql
                };
                let mut texts = Vec::new();
                for (sql, name) in Sql::ALL {
                    let rendered = sql.rendered(dialect);
                    let many = rendered.many.as_ref().map(text_of);
                    let steps = rendered.steps.iter().map(|step| step.text);
                    texts.extend(steps.chain(many).map(|text| (*name, text)));
                }
                let refused = |name, error| panic!("{name} on {}: {error}", kind.name());
                if kind == Kind::Postgres {
                    let mut link = sqlx::PgConnection::connect(&database.url).await.unwrap();
                    for (name, text) in texts {
                        let prepared = link.prepare(AssertSqlSafe(text).into_sql_str()).await;
                        prepared.map_or_else(|error| refused(name, error), drop);
                    }
                } else {
                    let mut link = sqlx::MySqlConnection::connect(&database.url).await.unwrap();
                    for (name, text) in texts {
                        let prepared = link.prepare(AssertSqlSafe(text).into_sql_str()).await;
                        prepared.map_or_else(|error| refused(name, error), drop);
                    }
                }
            });
        }
    }
}
