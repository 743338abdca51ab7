//! Commands that administer the store. They open the same database as a running `serve` does, and work beside it.

mod check;
mod deliver;
mod lmtp;
mod mailbox;
mod purge;
mod restored;
mod stats;
mod top;
mod undelete;
mod user;
mod when;

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use dbmail_core::store::Refusal;
use dbmail_store::{AdminError, OpenError, Retention, Settings, Store};

pub use check::{Check, check};
pub use deliver::{Deliver, deliver};
pub use lmtp::{Delivered, Piece, send};
pub use mailbox::{mailbox_create, mailbox_delete, mailbox_list};
pub use purge::{Purge, purge};
pub use restored::{Restored, restored};
pub use stats::stats;
pub use top::{Top, top};
pub use undelete::{Undelete, undelete};
pub use user::{
    UserAdd, new_user, user_add, user_delete, user_enable, user_list, user_password, user_show,
};

use crate::cli::Confirmation;
use crate::config::{self, Config, Loaded, masked_url};
use crate::exit::{Exit, Failure};
use crate::log;
use crate::password::PASSWORD_BYTES_MAX;
use crate::tls::Certificates;

/// How the store is to be opened.
#[must_use]
pub fn settings(config: &Config) -> Settings {
    Settings {
        url: config.database.url.clone(),
        readers: config.database.readers,
        writers: config.database.writers,
        committers: config.database.committers,
        slow_milliseconds: config.database.slow_milliseconds,
        poll_milliseconds: config.database.poll_milliseconds,
        message_bytes_max: config.server.message_size_max,
        repeat_window_seconds: config.lmtp.repeat_window_seconds,
        retention: Retention {
            deleted_seconds: config.retention.deleted_seconds,
            log_seconds: config.retention.log_seconds,
        },
        front_end: format!("{} {}", hostname(config), std::process::id()),
        ..Settings::default()
    }
}

/// The name of this server: as configured, or the machine's.
#[must_use]
pub fn hostname(config: &Config) -> String {
    if !config.server.hostname.is_empty() {
        return config.server.hostname.clone();
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(fits))
        .unwrap_or_else(|| "localhost".to_owned())
}

/// For a command: neither a housekeeper nor many readers.
fn settings_of_command(config: &Config) -> Settings {
    Settings {
        readers: 1,
        writers: 1,
        committers: 1,
        background_seconds: 0,
        ..settings(config)
    }
}

/// The store for a command.
async fn open(config: &Config) -> Result<Store, Failure> {
    Store::open(settings_of_command(config))
        .await
        .map_err(|error| open_failure(config, &error))
}

/// Opens the store for serving or for the first user; an empty one is set up, an old one only when so configured.
///
/// # Errors
/// Why the database can't be used, and what to do.
pub async fn open_or_set_up(config: &Config, settings: Settings) -> Result<Store, Failure> {
    make_folder(config)?;
    let failed = |error: OpenError| open_failure(config, &error);
    match Store::open(settings.clone()).await {
        Ok(store) => return Ok(store),
        Err(OpenError::Empty) => {}
        Err(OpenError::TooOld { .. }) if config.database.migrate => {}
        Err(error) => return Err(failed(error)),
    }
    for migration in Store::migrate(&settings, false).await.map_err(failed)? {
        tracing::info!(migration = migration.name, "schema brought up to date");
    }
    Store::open(settings).await.map_err(failed)
}

/// Why the database can't be used, and what to do.
#[must_use]
pub fn open_failure(config: &Config, error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::Locked | OpenError::Unreachable(_) => Exit::TempFail,
        OpenError::Url(_) => Exit::Config,
        OpenError::TooOld { .. }
        | OpenError::TooNew { .. }
        | OpenError::Empty
        | OpenError::NotOurs(_)
        | OpenError::Insecure(_)
        | OpenError::Server(_)
        | OpenError::Changed { .. } => Exit::Unavailable,
    };
    let url = masked_url(&config.database.url);
    Failure::new(exit, format!("The database {url} can't be used: {error}."))
}

/// Makes the folder of a database file, for its owner alone.
///
/// # Errors
/// When it can't be made.
pub fn make_folder(config: &Config) -> Result<(), Failure> {
    let Some(folder) =
        database_file(&config.database.url).and_then(|f| f.parent().map(Path::to_owned))
    else {
        return Ok(());
    };
    if folder.as_os_str().is_empty() || folder.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|why| {
            Failure::new(
                Exit::CantCreate,
                format!(
                    "The folder {} can't be made: {why}. Make it, or set database.url.",
                    folder.display()
                ),
            )
        })
}

/// The file of a `sqlite:` URL.
fn database_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// `dbmail migrate [--plan]`
///
/// # Errors
/// When the database can't be used.
pub async fn migrate(config: &Config, plan: bool) -> Result<(), Failure> {
    if !plan {
        make_folder(config)?;
    }
    let done = Store::migrate(&settings(config), plan)
        .await
        .map_err(|error| open_failure(config, &error))?;
    let url = masked_url(&config.database.url);
    if done.is_empty() {
        return print(&format!("{url} is up to date.\n"));
    }
    let verb = if plan { "would apply" } else { "applied" };
    let mut text = String::new();
    for migration in done {
        let statements = migration.statements;
        text.push_str(&format!(
            "{verb} {} ({statements} statements)\n",
            migration.name
        ));
    }
    print(&text)
}

/// `dbmail check-config`
///
/// # Errors
/// When a file that is named can't be used.
pub fn check_config(loaded: &Loaded) -> Result<(), Failure> {
    print(&config::effective(loaded))?;
    for warning in &loaded.warnings {
        log::tell(&format!("warning: {warning}"));
    }
    let tls = &loaded.config.tls;
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        Certificates::open(certificate, key)?;
    }
    Ok(())
}

/// Writes to standard output. A reader that has gone (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Io,
            format!("Standard output can't be written: {why}."),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The first line of standard input, without its line end.
fn password_from_stdin() -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let limit = u64::try_from(PASSWORD_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    std::io::stdin()
        .lock()
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(|why| Failure::new(Exit::Io, format!("Standard input can't be read: {why}.")))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}

/// Asks before something that can't be undone.
fn confirm(confirmation: Confirmation, what: &str) -> Result<(), Failure> {
    if confirmation.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::NoPermission,
            format!("{what} can't be undone. Give --yes to do it without a question."),
        ));
    }
    log::tell(&format!("{what} can't be undone. Type yes to go on:"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().take(100).read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(Exit::NoPermission, "Nothing was done.")),
    }
}

/// Why administration failed.
fn admin_failure(error: &AdminError) -> Failure {
    let exit = match error {
        AdminError::NoSuchUser(_) => Exit::NoUser,
        AdminError::UserExists(_) | AdminError::AddressInUse(_) => Exit::CantCreate,
        AdminError::Bad(_) => Exit::Data,
        AdminError::Store(refusal) => return refusal_failure(refusal),
    };
    Failure::new(exit, sentence(&error.to_string()))
}

/// Why the store refused.
fn refusal_failure(refusal: &Refusal) -> Failure {
    let exit = match refusal {
        Refusal::NoSuchMailbox => Exit::NoUser,
        Refusal::AlreadyExists | Refusal::UseInUse | Refusal::HasChildren => Exit::CantCreate,
        Refusal::Inbox | Refusal::BadName(_) | Refusal::Limit(_) => Exit::Data,
        Refusal::OverQuota | Refusal::Unavailable | Refusal::OutcomeUnknown => Exit::TempFail,
        Refusal::Upload | Refusal::Damaged(_) => Exit::Software,
    };
    Failure::new(exit, sentence(&refusal.to_string()))
}

/// A phrase as a sentence.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_of_a_url_is_found() {
        for (url, file) in [
            ("sqlite:./a/b.db", "./a/b.db"),
            ("sqlite:///var/x.db", "/var/x.db"),
            ("sqlite:/var/x.db?mode=rwc", "/var/x.db"),
        ] {
            assert_eq!(database_file(url), Some(PathBuf::from(file)));
        }
    }

    #[test]
    fn the_folder_of_the_database_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let below = folder.path().join("a/b");
        config.database.url = format!("sqlite:{}/mail.db", below.display());
        make_folder(&config).unwrap();
        assert_eq!(
            std::fs::metadata(&below).unwrap().permissions().mode() & 0o777,
            0o700
        );
        make_folder(&config).unwrap();
    }

    #[test]
    fn a_refusal_becomes_a_sentence() {
        assert_eq!(
            admin_failure(&AdminError::NoSuchUser("x".into())).message,
            "There is no user x."
        );
        assert_eq!(
            refusal_failure(&Refusal::Inbox).message,
            "INBOX can't be deleted."
        );
    }
}
