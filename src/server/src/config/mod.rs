//! Configuration: a TOML file, then environment variables over it, then defaults for the rest.
//!
//! The table in `keys.rs` is the only place where a key is declared.

mod docs;
mod keys;
mod value;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use docs::{documentation, effective};
pub use keys::{KEYS, Key, Kind, SECTIONS};
pub use value::{Address, masked_url, seconds, size};

use crate::exit::{Exit, Failure};

/// The file that is read when none is named and it is there.
pub const DEFAULT_FILE: &str = "/etc/dbmail/dbmail.toml";
/// A longer configuration file is surely a mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The whole configuration, checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[imap]`
    pub imap: Imap,
    /// `[lmtp]`
    pub lmtp: Lmtp,
    /// `[retention]`
    pub retention: Retention,
    /// `[managesieve]`
    pub managesieve: ManageSieve,
    /// `[http]`
    pub http: Http,
    /// `[tls]`
    pub tls: Tls,
    /// `[log]`
    pub log: Log,
}

/// The process.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Name in greetings and trace fields; empty: the machine's.
    pub hostname: String,
    /// Largest message, in octets.
    pub message_size_max: u64,
    /// Time to finish at a stop.
    pub stop_seconds: u64,
}

/// The database.
#[derive(Clone, Debug, Default)]
pub struct Database {
    /// `sqlite:PATH`, `postgres://…`, `mysql://…`
    pub url: String,
    /// Whether `serve` migrates an older schema.
    pub migrate: bool,
    /// Reading connections.
    pub readers: usize,
    /// Connections for changes.
    pub writers: usize,
    /// Connections that store messages.
    pub committers: usize,
    /// From how many milliseconds on a statement is told as slow; 0: never.
    pub slow_milliseconds: u64,
    /// Pause between two looks for other front-ends' news, in milliseconds.
    pub poll_milliseconds: u64,
}

/// IMAP.
#[derive(Clone, Debug, Default)]
pub struct Imap {
    /// Addresses without TLS at first.
    pub listen: Vec<Address>,
    /// Addresses with TLS from the first octet.
    pub tls_listen: Vec<Address>,
    /// Connections on each address.
    pub connections_max: usize,
    /// From whom passwords are taken without TLS.
    pub plaintext_login: Whom,
}

/// For whom something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// For clients on this machine.
    #[default]
    Loopback,
    /// For nobody.
    Never,
    /// For everybody.
    Always,
}

impl Whom {
    /// Whether a client is among them.
    #[must_use]
    pub const fn holds(self, is_local: bool) -> bool {
        match self {
            Self::Loopback => is_local,
            Self::Never => false,
            Self::Always => true,
        }
    }
}

/// LMTP.
#[derive(Clone, Debug, Default)]
pub struct Lmtp {
    /// Addresses.
    pub listen: Vec<Address>,
    /// Permissions of Unix sockets.
    pub socket_mode: u32,
    /// Connections on each address.
    pub connections_max: usize,
    /// How long deliveries are remembered.
    pub repeat_window_seconds: u64,
}

/// How long what is gone is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Expunged messages and deleted mailboxes.
    pub deleted_seconds: u64,
    /// Rows of the logs.
    pub log_seconds: u64,
}

/// ManageSieve.
#[derive(Clone, Debug, Default)]
pub struct ManageSieve {
    /// Addresses, not served yet.
    pub listen: Vec<Address>,
}

/// Metrics and health.
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// Addresses.
    pub listen: Vec<Address>,
    /// Who may see who is connected.
    pub sessions: Whom,
}

/// The certificate.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// Least level.
    pub level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The key's default.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A configuration with the story of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// For each key, in the table's order: its text and where it came from.
    pub values: Vec<(String, Origin)>,
    /// What is allowed but surely not meant.
    pub warnings: Vec<String>,
}

/// Reads the configuration: `file`, or [`DEFAULT_FILE`] when it is there, and the variables.
///
/// # Errors
/// Every problem found, one line each.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Failure> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    let text = file.map(read).transpose()?;
    let text = text.as_deref().unwrap_or_default();
    load_text(text, file.unwrap_or_else(|| Path::new("")), variables)
}

/// The text of the configuration file.
fn read(path: &Path) -> Result<String, Failure> {
    let fail = |why: &dyn std::fmt::Display| {
        Failure::new(
            Exit::NoInput,
            format!(
                "The configuration file {} can't be read: {why}.",
                path.display()
            ),
        )
    };
    let size = std::fs::metadata(path).map_err(|e| fail(&e))?.len();
    if size > FILE_BYTES_MAX {
        return Err(fail(&"it is longer than 1 MiB"));
    }
    std::fs::read_to_string(path).map_err(|e| fail(&e))
}

/// [`load`] from a text.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    text: &str,
    path: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Failure> {
    let mut problems = Vec::new();
    let mut given: BTreeMap<String, (String, Origin)> = BTreeMap::new();
    match text.parse::<toml::Table>() {
        Ok(table) => from_table(&table, path, &mut given, &mut problems),
        Err(error) => problems.push(format!(
            "{}: {}",
            path.display(),
            error.to_string().trim_end().replace('\n', "\n    ")
        )),
    }
    from_variables(variables, &mut given, &mut problems);
    let mut config = Config::default();
    let mut values = Vec::with_capacity(KEYS.len());
    for key in KEYS {
        let (text, origin) = given
            .remove(&key.path())
            .unwrap_or_else(|| (key.default.to_owned(), Origin::Default));
        if let Err(why) = (key.apply)(&mut config, &text) {
            let shown = if key.kind == Kind::Url {
                masked_url(&text)
            } else {
                text.clone()
            };
            problems.push(format!("{} = {shown:?} (from {origin}) {why}.", key.path()));
        }
        values.push((text, origin));
    }
    let mut loaded = Loaded {
        config,
        values,
        warnings: Vec::new(),
    };
    loaded.check(&mut problems);
    if problems.is_empty() {
        return Ok(loaded);
    }
    let mut message = String::from("The configuration can't be used:");
    for problem in &problems {
        let _ = write!(message, "\n  {problem}");
    }
    Err(Failure::new(Exit::Config, message))
}

/// Values of the file.
fn from_table(
    table: &toml::Table,
    path: &Path,
    given: &mut BTreeMap<String, (String, Origin)>,
    problems: &mut Vec<String>,
) {
    let at = path.display();
    for (section, entries) in table {
        let Some(entries) = entries.as_table() else {
            problems.push(format!(
                "{at}: {section} stands outside of a section.{}",
                did_you_mean(section)
            ));
            continue;
        };
        if !SECTIONS.iter().any(|(name, _)| name == section) {
            let near = nearest(section, SECTIONS.iter().map(|(name, _)| (*name).to_owned()));
            let hint = near
                .map(|n| format!(" Did you mean [{n}]?"))
                .unwrap_or_default();
            problems.push(format!("{at}: there is no section [{section}].{hint}"));
            continue;
        }
        for (name, written) in entries {
            let full = format!("{section}.{name}");
            let Some(key) = KEYS.iter().find(|key| key.path() == full) else {
                problems.push(format!(
                    "{at}: there is no key {full}.{}",
                    did_you_mean(&full)
                ));
                continue;
            };
            match as_text(key.kind, written) {
                Some(text) => {
                    given.insert(full, (text, Origin::File(path.to_owned())));
                }
                None => problems.push(format!(
                    "{at}: {full} = {written} has the wrong type: its value is {}.",
                    key.kind.name()
                )),
            }
        }
    }
}

/// A TOML value as the text that an environment variable would hold.
fn as_text(kind: Kind, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) if matches!(kind, Kind::Number | Kind::Size | Kind::Time) => {
            Some(number.to_string())
        }
        toml::Value::Boolean(flag) if kind == Kind::Flag => Some(flag.to_string()),
        toml::Value::Array(items) if kind.is_list() => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        toml::Value::Integer(_)
        | toml::Value::Boolean(_)
        | toml::Value::Array(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}

/// Values of `DBMAIL_SECTION_KEY`. Names that begin as none of our sections are others' business.
fn from_variables(
    variables: impl IntoIterator<Item = (String, String)>,
    given: &mut BTreeMap<String, (String, Origin)>,
    problems: &mut Vec<String>,
) {
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix("DBMAIL_") else {
            continue;
        };
        let ours = SECTIONS.iter().any(|(section, _)| {
            rest.strip_prefix(&section.to_ascii_uppercase())
                .is_some_and(|r| r.starts_with('_'))
        });
        if !ours {
            continue;
        }
        match KEYS.iter().find(|key| key.variable() == name) {
            Some(key) => {
                given.insert(key.path(), (text, Origin::Variable(name)));
            }
            None => {
                let near = nearest(&name, KEYS.iter().map(Key::variable));
                let hint = near
                    .map(|n| format!(" Did you mean {n}?"))
                    .unwrap_or_default();
                problems.push(format!(
                    "The environment variable {name} sets no key.{hint}"
                ));
            }
        }
    }
}

/// A hint at the key that was probably meant, or nothing.
fn did_you_mean(path: &str) -> String {
    // A key in the wrong section, or in none, is nearer than any spelling.
    let name = path.rsplit('.').next().unwrap_or(path);
    let same: Vec<String> = KEYS
        .iter()
        .filter(|key| key.name == name)
        .map(Key::path)
        .collect();
    match same.as_slice() {
        [only] => return format!(" Did you mean {only}?"),
        [] => {}
        _ if !path.contains('.') => return format!(" Did you mean {}?", same.join(" or ")),
        _ => {}
    }
    nearest(path, KEYS.iter().map(Key::path))
        .map(|n| format!(" Did you mean {n}?"))
        .unwrap_or_default()
}

/// The candidate with the least edits, when it is near enough to be meant.
fn nearest(wrong: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| {
            let swapped = edits(&words(wrong), &words(&candidate)) + 1;
            (edits(wrong, &candidate).min(swapped), candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance * 5 <= candidate.len().max(wrong.len()) * 2)
        .map(|(_, candidate)| candidate)
}

/// The words of a name in a fixed order, so that `listen_tls` is near `tls_listen`.
fn words(name: &str) -> String {
    let mut words: Vec<&str> = name.split(['.', '_']).collect();
    words.sort_unstable();
    words.join("_")
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

impl Loaded {
    /// Where a key's value came from.
    #[must_use]
    pub fn origin(&self, path: &str) -> Origin {
        KEYS.iter()
            .zip(&self.values)
            .find(|(key, _)| key.path() == path)
            .map_or(Origin::Default, |(_, (_, origin))| origin.clone())
    }

    /// What only several keys together show.
    fn check(&mut self, problems: &mut Vec<String>) {
        let config = &self.config;
        match (&config.tls.certificate, &config.tls.key) {
            (Some(_), None) => {
                problems.push("tls.certificate is set, but tls.key is not.".to_owned())
            }
            (None, Some(_)) => {
                problems.push("tls.key is set, but tls.certificate is not.".to_owned())
            }
            (Some(_), Some(_)) => {}
            (None, None) => {
                if !config.imap.tls_listen.is_empty()
                    && self.origin("imap.tls_listen") != Origin::Default
                {
                    problems.push(
                        "imap.tls_listen is set, but there is no certificate: set tls.certificate and tls.key.".to_owned(),
                    );
                }
            }
        }
        let mut seen: BTreeMap<&Address, &str> = BTreeMap::new();
        for (path, listen) in self.listens() {
            for address in listen {
                let free_port = matches!(address, Address::Tcp(a) if a.port() == 0);
                if let Some(other) = seen.insert(address, path)
                    && !free_port
                {
                    problems.push(format!("{address} stands in {other} and in {path}."));
                }
            }
        }
        self.warnings = self.warnings();
    }

    /// Every list of addresses with its key.
    fn listens(&self) -> [(&'static str, &[Address]); 5] {
        [
            ("imap.listen", &self.config.imap.listen),
            ("imap.tls_listen", &self.config.imap.tls_listen),
            ("lmtp.listen", &self.config.lmtp.listen),
            ("managesieve.listen", &self.config.managesieve.listen),
            ("http.listen", &self.config.http.listen),
        ]
    }

    /// What is allowed but surely not meant.
    fn warnings(&self) -> Vec<String> {
        let config = &self.config;
        let mut warnings = Vec::new();
        let open = |listen: &[Address]| listen.iter().find(|a| !a.is_local()).cloned();
        if let Some(address) = open(&config.lmtp.listen) {
            warnings.push(format!(
                "lmtp.listen holds {address}: LMTP has no authentication, so whoever reaches it can deliver mail."
            ));
        }
        if let Some(address) = open(&config.http.listen) {
            warnings.push(format!(
                "http.listen holds {address}: metrics are served there without authentication."
            ));
            if config.http.sessions == Whom::Always {
                warnings.push(format!(
                    "http.sessions = \"always\": whoever reaches {address} sees who is logged in, and from where."
                ));
            }
        }
        if config.imap.plaintext_login == Whom::Always {
            warnings.push(
                "imap.plaintext_login = \"always\": passwords may cross the network in the clear."
                    .to_owned(),
            );
        } else if let Some(address) = open(&config.imap.listen)
            && config.tls.certificate.is_none()
        {
            warnings.push(format!(
                "imap.listen holds {address}, but there is no certificate: clients from other machines can't log in."
            ));
        }
        if !config.managesieve.listen.is_empty() {
            warnings
                .push("managesieve.listen is set, but ManageSieve is not served yet.".to_owned());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_from(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load_text(text, Path::new("x.toml"), variables).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Config);
            failure.message
        })
    }

    #[test]
    fn without_file_and_variables_everything_listens_on_loopback() {
        let loaded = load_from("", &[]).unwrap();
        for (_, listen) in loaded.listens() {
            assert!(listen.iter().all(Address::is_local));
        }
        assert_eq!(loaded.config.imap.listen[0].to_string(), "127.0.0.1:1143");
        assert_eq!(
            loaded.config.imap.tls_listen[0].to_string(),
            "127.0.0.1:1993"
        );
        assert_eq!(loaded.config.lmtp.listen[0].to_string(), "127.0.0.1:1024");
        assert_eq!(loaded.config.http.listen[0].to_string(), "127.0.0.1:18080");
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_variable_goes_before_the_file_and_the_file_before_the_default() {
        let text = "[server]\nstop_seconds = \"1m\"\nhostname = \"a.example\"\n[lmtp]\nlisten = [\"unix:/x\", \"127.0.0.1:24\"]";
        let loaded = load_from(
            text,
            &[
                ("DBMAIL_SERVER_HOSTNAME", "b.example"),
                ("PATH", "/bin"),
                ("DBMAIL_MAIL_SAMPLES", "/x"),
            ],
        )
        .unwrap();
        assert_eq!(loaded.config.server.stop_seconds, 60);
        assert_eq!(loaded.config.server.hostname, "b.example");
        assert_eq!(loaded.config.lmtp.listen.len(), 2);
        assert_eq!(
            loaded.origin("server.hostname"),
            Origin::Variable("DBMAIL_SERVER_HOSTNAME".into())
        );
        assert_eq!(
            loaded.origin("server.stop_seconds"),
            Origin::File("x.toml".into())
        );
        assert_eq!(loaded.origin("log.level"), Origin::Default);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        for (text, wanted) in [
            (
                "[imap]\nlisten_tls = []",
                "there is no key imap.listen_tls. Did you mean imap.tls_listen?",
            ),
            ("[imap]\nlissten = []", "Did you mean imap.listen?"),
            (
                "[server]\nsocket_mode = 1",
                "Did you mean lmtp.socket_mode?",
            ),
            (
                "[imapd]\nlisten = []",
                "there is no section [imapd]. Did you mean [imap]?",
            ),
            (
                "hostname = \"x\"",
                "hostname stands outside of a section. Did you mean server.hostname?",
            ),
            ("[log]\nfrobnicate = 1", "there is no key log.frobnicate."),
        ] {
            let message = load_from(text, &[]).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        let message = load_from("", &[("DBMAIL_IMAP_LISTN", "x")]).unwrap_err();
        assert!(
            message.contains("DBMAIL_IMAP_LISTN sets no key. Did you mean DBMAIL_IMAP_LISTEN?"),
            "{message}"
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let message = load_from(
            "[imap]\nlisten = [\"x\"]\n[log]\nlevel = 3\nformat = \"xml\"\n[tls]\nkey = \"k\"",
            &[],
        )
        .unwrap_err();
        insta::assert_snapshot!(message, @r#"
        The configuration can't be used:
          x.toml: log.level = 3 has the wrong type: its value is one of error, warn, info, debug, trace.
          imap.listen = "x" (from x.toml) holds "x", which is not an address: write IP:PORT, such as 127.0.0.1:1143 or [::]:1143.
          log.format = "xml" (from x.toml) is not one of text, json.
          tls.key is set, but tls.certificate is not.
        "#);
    }

    #[test]
    fn a_password_in_a_refused_url_is_not_shown() {
        let message = load_from("[database]\nurl = \"oracle://u:geheim@h/d\"", &[]).unwrap_err();
        assert!(
            message.contains("u:***@h") && !message.contains("geheim"),
            "{message}"
        );
    }

    #[test]
    fn one_address_for_two_protocols_is_refused() {
        let message = load_from(
            "[imap]\nlisten = \"127.0.0.1:99\"\n[lmtp]\nlisten = \"127.0.0.1:99\"",
            &[],
        )
        .unwrap_err();
        assert!(
            message.contains("127.0.0.1:99 stands in imap.listen and in lmtp.listen"),
            "{message}"
        );
        assert!(
            load_from(
                "[imap]\nlisten = \"127.0.0.1:0\"\n[lmtp]\nlisten = \"127.0.0.1:0\"",
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn what_is_surely_not_meant_is_warned_of() {
        let text = "[imap]\nlisten = \"0.0.0.0:143\"\n[lmtp]\nlisten = \"[::]:24\"\n[http]\nlisten = \"0.0.0.0:80\"\n[managesieve]\nlisten = \"127.0.0.1:4190\"";
        let warnings = load_from(text, &[]).unwrap().warnings.join("\n");
        insta::assert_snapshot!(warnings, @"
        lmtp.listen holds [::]:24: LMTP has no authentication, so whoever reaches it can deliver mail.
        http.listen holds 0.0.0.0:80: metrics are served there without authentication.
        imap.listen holds 0.0.0.0:143, but there is no certificate: clients from other machines can't log in.
        managesieve.listen is set, but ManageSieve is not served yet.
        ");
    }

    #[test]
    fn imaps_without_a_certificate_is_refused_when_asked_for() {
        let message = load_from("[imap]\ntls_listen = \"127.0.0.1:993\"", &[]).unwrap_err();
        assert!(message.contains("there is no certificate"), "{message}");
    }
}
