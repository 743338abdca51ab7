//! Every configuration key: one row each. Parsing, names of environment variables, `check-config` and
//! the page `docs/operate/configuration.md` are made from this table.

use std::path::PathBuf;

use dbmail_core::limits::LOG_KEPT_SECONDS_MIN;

use super::value;
use super::{Config, LogFormat, Whom};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Some text.
    Text,
    /// A database URL; a password in it is never shown.
    Url,
    /// The path of a file.
    Path,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// Octets, with K, M, G, T.
    Size,
    /// Seconds, with s, m, h, d.
    Time,
    /// Permissions in octal.
    Mode,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list of TCP addresses.
    TcpList,
    /// A list of TCP addresses and Unix sockets.
    AddressList,
}

impl Kind {
    /// Whether several values may be given.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::TcpList | Self::AddressList)
    }

    /// Whether TOML writes the value without quotation marks.
    #[must_use]
    pub const fn is_bare(self) -> bool {
        matches!(self, Self::Flag | Self::Number)
    }

    /// How the documentation names it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Time => "time".to_owned(),
            Self::Mode => "octal mode".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::TcpList => "list of IP:PORT".to_owned(),
            Self::AddressList => "list of IP:PORT or unix:PATH".to_owned(),
        }
    }
}

/// One configuration key.
pub struct Key {
    /// The TOML table it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Its value when none is given, as text; a list is separated by commas.
    pub default: &'static str,
    /// What it is for, in Markdown.
    pub doc: &'static str,
    /// Checks the value and puts it into the configuration. The error ends a sentence that begins with the value.
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Key {
    /// `section.name`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DBMAIL_{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// Values of a list.
fn list<T>(text: &str, one: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| one(item).map_err(|why| format!("holds {item:?}, which {why}")))
        .collect()
}

/// A path, when one is given.
fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// For whom something is done.
fn whom(v: &str) -> Result<Whom, String> {
    match v {
        "loopback" => Ok(Whom::Loopback),
        "never" => Ok(Whom::Never),
        "always" => Ok(Whom::Always),
        _ => Err("is not one of loopback, never, always".to_owned()),
    }
}

/// The sections, with what they are about.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "The process as a whole."),
    ("database", "Where the mail is."),
    ("imap", "Reading mail."),
    ("lmtp", "Taking mail in from the mail transfer agent."),
    (
        "retention",
        "How long what was deleted, and what happened, is kept. See [retention.md](retention.md).",
    ),
    (
        "managesieve",
        "Editing Sieve scripts. Not served by this version.",
    ),
    ("http", "Metrics and health."),
    ("tls", "Certificate for IMAPS and STARTTLS."),
    ("log", "What is written to standard error."),
];

/// Every key.
pub const KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "hostname",
        kind: Kind::Text,
        default: "",
        doc: "The name that this server gives itself in greetings and in `Received` fields. Empty: the name of the machine.",
        apply: |c, v| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            if v.len() > 253 || !v.bytes().all(fits) {
                return Err("is not a host name".to_owned());
            }
            v.clone_into(&mut c.server.hostname);
            Ok(())
        },
    },
    Key {
        section: "server",
        name: "message_size_max",
        kind: Kind::Size,
        default: "256M",
        doc: "The largest message that LMTP and APPEND take.",
        apply: |c, v| {
            let size = value::size(v)?;
            if size < 64 * 1024 {
                return Err("is less than 64K, which ordinary mail exceeds".to_owned());
            }
            c.server.message_size_max = size;
            Ok(())
        },
    },
    Key {
        section: "server",
        name: "stop_seconds",
        kind: Kind::Time,
        default: "10",
        doc: "How long commands that are under way may take to finish after SIGTERM or SIGINT. Then their connections are cut; nothing acknowledged is lost by it.",
        apply: |c, v| {
            c.server.stop_seconds = value::seconds(v)?;
            if c.server.stop_seconds > 600 {
                return Err("is more than 10 minutes".to_owned());
            }
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "url",
        kind: Kind::Url,
        default: "sqlite:./dbmail-data/dbmail.sqlite",
        doc: "The database: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE`, or `mysql://USER:PASSWORD@HOST/DATABASE` for MySQL and MariaDB. The folder of a file is made (mode 0700) when it is missing.",
        apply: |c, v| {
            match v.split_once(':') {
                Some(("sqlite", "")) => return Err("names no file: write sqlite:PATH".to_owned()),
                Some(("sqlite" | "postgres" | "postgresql" | "mysql" | "mariadb", _)) => {}
                Some(_) | None => {
                    return Err(
                        "is not a database that this version knows: write sqlite:PATH, postgres://… or mysql://…".to_owned(),
                    );
                }
            }
            v.clone_into(&mut c.database.url);
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "migrate",
        kind: Kind::Flag,
        default: "false",
        doc: "Whether `serve` brings an older schema up to date by itself at start. Otherwise it refuses and names the command, `dbmail migrate`. An empty database is always set up.",
        apply: |c, v| {
            c.database.migrate = value::flag(v)?;
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "readers",
        kind: Kind::Number,
        default: "4",
        doc: "How many questions the database answers at the same time, each on a connection of its own.",
        apply: |c, v| {
            c.database.readers = usize::try_from(value::number(v, 1, 64)?).unwrap_or(1);
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "writers",
        kind: Kind::Number,
        default: "4",
        doc: "Connections for changes (STORE, EXPUNGE, CREATE and so on). SQLite has one for everything that writes.",
        apply: |c, v| {
            c.database.writers = usize::try_from(value::number(v, 1, 64)?).unwrap_or(1);
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "committers",
        kind: Kind::Number,
        default: "4",
        doc: "Connections that store messages, each for a share of the accounts; what comes for one account at the same time goes in one commit. Not used with SQLite.",
        apply: |c, v| {
            c.database.committers = usize::try_from(value::number(v, 1, 64)?).unwrap_or(1);
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "slow_milliseconds",
        kind: Kind::Number,
        default: "1000",
        doc: "From how many milliseconds on a statement is told in the log as slow, with the request that it was for, once a second at most. 0: never.",
        apply: |c, v| {
            c.database.slow_milliseconds = value::number(v, 0, 600_000)?;
            Ok(())
        },
    },
    Key {
        section: "database",
        name: "poll_milliseconds",
        kind: Kind::Number,
        default: "250",
        doc: "How often it is looked for what other front-ends on the same database changed. On PostgreSQL they ring a bell besides.",
        apply: |c, v| {
            c.database.poll_milliseconds = value::number(v, 10, 60_000)?;
            Ok(())
        },
    },
    Key {
        section: "imap",
        name: "listen",
        kind: Kind::TcpList,
        default: "127.0.0.1:1143",
        doc: "Where IMAP is served, with STARTTLS when there is a certificate. Empty: nowhere.",
        apply: |c, v| {
            c.imap.listen = list(v, value::tcp)?;
            Ok(())
        },
    },
    Key {
        section: "imap",
        name: "tls_listen",
        kind: Kind::TcpList,
        default: "127.0.0.1:1993",
        doc: "Where IMAPS (TLS from the first octet) is served. Only with a certificate: `[tls]`.",
        apply: |c, v| {
            c.imap.tls_listen = list(v, value::tcp)?;
            Ok(())
        },
    },
    Key {
        section: "imap",
        name: "connections_max",
        kind: Kind::Number,
        default: "10000",
        doc: "IMAP connections at the same time, on each address. One more is told `BYE [UNAVAILABLE]`.",
        apply: |c, v| {
            c.imap.connections_max = usize::try_from(value::number(v, 1, 1_000_000)?).unwrap_or(1);
            Ok(())
        },
    },
    Key {
        section: "imap",
        name: "plaintext_login",
        kind: Kind::Choice(&["loopback", "never", "always"]),
        default: "loopback",
        doc: "From whom a password is taken without TLS: `loopback` (clients on this machine), `never`, or `always` (only behind a proxy that ends TLS itself).",
        apply: |c, v| {
            c.imap.plaintext_login = whom(v)?;
            Ok(())
        },
    },
    Key {
        section: "lmtp",
        name: "listen",
        kind: Kind::AddressList,
        default: "127.0.0.1:1024",
        doc: "Where LMTP is served: `IP:PORT` or `unix:PATH`. Whoever can connect can deliver. Empty: nowhere.",
        apply: |c, v| {
            c.lmtp.listen = list(v, value::address)?;
            Ok(())
        },
    },
    Key {
        section: "lmtp",
        name: "socket_mode",
        kind: Kind::Mode,
        default: "0660",
        doc: "Permissions of a Unix socket. The mail transfer agent must be able to write to it.",
        apply: |c, v| {
            c.lmtp.socket_mode = value::mode(v)?;
            Ok(())
        },
    },
    Key {
        section: "lmtp",
        name: "connections_max",
        kind: Kind::Number,
        default: "1000",
        doc: "LMTP connections at the same time, on each address. One more is told `421 4.3.2`, and the mail transfer agent tries again later.",
        apply: |c, v| {
            c.lmtp.connections_max = usize::try_from(value::number(v, 1, 1_000_000)?).unwrap_or(1);
            Ok(())
        },
    },
    Key {
        section: "lmtp",
        name: "repeat_window",
        kind: Kind::Time,
        default: "7d",
        doc: "How long a delivery is remembered, so that one repeated after a lost reply does not appear twice. A message without a Received field is remembered for ten minutes at most: two that are alike may be meant. `0`: nothing is remembered.",
        apply: |c, v| {
            c.lmtp.repeat_window_seconds = value::seconds(v)?;
            Ok(())
        },
    },
    Key {
        section: "retention",
        name: "deleted",
        kind: Kind::Time,
        default: "30d",
        doc: "How long expunged messages and deleted mailboxes can be brought back by `dbmail undelete`. Then `serve` purges them, and the octets that no other message has. `0`: as soon as no session can ask for them any more, an hour and five minutes after.",
        apply: |c, v| {
            c.retention.deleted_seconds = value::seconds(v)?;
            Ok(())
        },
    },
    Key {
        section: "retention",
        name: "log",
        kind: Kind::Time,
        default: "90d",
        doc: "How long the logs of changes are kept (who changed what in [v1_changes](reporting.md)). A client that was away for longer compares its mailboxes as a whole. At least a day.",
        apply: |c, v| {
            let log = value::seconds(v)?;
            if log < LOG_KEPT_SECONDS_MIN {
                return Err("is less than a day, for which clients may be away".to_owned());
            }
            c.retention.log_seconds = log;
            Ok(())
        },
    },
    Key {
        section: "managesieve",
        name: "listen",
        kind: Kind::TcpList,
        default: "",
        doc: "Reserved. This version does not serve ManageSieve, and says so at start when an address is given.",
        apply: |c, v| {
            c.managesieve.listen = list(v, value::tcp)?;
            Ok(())
        },
    },
    Key {
        section: "http",
        name: "listen",
        kind: Kind::TcpList,
        default: "127.0.0.1:18080",
        doc: "Where `/metrics` (Prometheus), `/health/live`, `/health/ready` and `/sessions` are served, without authentication. Empty: nowhere.",
        apply: |c, v| {
            c.http.listen = list(v, value::tcp)?;
            Ok(())
        },
    },
    Key {
        section: "http",
        name: "sessions",
        kind: Kind::Choice(&["loopback", "never", "always"]),
        default: "loopback",
        doc: "To whom `/sessions` (and so `dbmail top`) says who is connected, from where, and in which mailbox: `loopback` (this machine; a proxy on it counts as this machine), `never`, or `always` (whoever reaches `listen`).",
        apply: |c, v| {
            c.http.sessions = whom(v)?;
            Ok(())
        },
    },
    Key {
        section: "tls",
        name: "certificate",
        kind: Kind::Path,
        default: "",
        doc: "The certificate and its chain, in PEM. Read again within seconds when the file changes.",
        apply: |c, v| {
            c.tls.certificate = path(v);
            Ok(())
        },
    },
    Key {
        section: "tls",
        name: "key",
        kind: Kind::Path,
        default: "",
        doc: "The certificate's private key, in PEM, without a passphrase.",
        apply: |c, v| {
            c.tls.key = path(v);
            Ok(())
        },
    },
    Key {
        section: "log",
        name: "format",
        kind: Kind::Choice(&["text", "json"]),
        default: "text",
        doc: "Lines for people or for machines.",
        apply: |c, v| {
            c.log.format = match v {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("is not one of text, json".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        section: "log",
        name: "level",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        default: "info",
        doc: "The least important lines that are written. No level shows passwords or message text.",
        apply: |c, v| {
            if !["error", "warn", "info", "debug", "trace"].contains(&v) {
                return Err("is not one of error, warn, info, debug, trace".to_owned());
            }
            v.clone_into(&mut c.log.level);
            Ok(())
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_key_takes() {
        let mut config = Config::default();
        for key in KEYS {
            (key.apply)(&mut config, key.default).unwrap_or_else(|why| {
                panic!("{} = {:?} {why}", key.path(), key.default);
            });
        }
    }

    #[test]
    fn every_section_is_described_and_no_key_stands_twice() {
        let mut paths: Vec<String> = KEYS.iter().map(Key::path).collect();
        for key in KEYS {
            assert!(
                SECTIONS.iter().any(|(name, _)| *name == key.section),
                "{}",
                key.section
            );
        }
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }
}
