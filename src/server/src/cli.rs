//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Loaded, Origin};
use crate::exit::{Exit, Failure};
use crate::{admin, demo, log, serve};

/// Threads' stacks: argon2 and SQLite are modest, and memory is counted.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// How long threads may take to end when the command is done.
const LAST_THREADS: Duration = Duration::from_millis(200);

/// A mail store in an SQL database: mail comes in by LMTP and is read by IMAP.
#[derive(Debug, Parser)]
#[command(name = "dbmail", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// The configuration file (TOML). Without it, /etc/dbmail/dbmail.toml when it is there.
    ///
    /// Every key is also an environment variable, DBMAIL_SECTION_KEY, which goes before the file.
    #[arg(long, value_name = "FILE", global = true, env = "DBMAIL_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  dbmail demo                                    try it: a store with sample mail, until Ctrl-C
  dbmail migrate                                 make the database
  echo SECRET | dbmail user add anna@example.org --password-stdin
  dbmail serve                                   serve IMAP, LMTP and HTTP
  dbmail --config /etc/dbmail/dbmail.toml check-config

Exit codes are those of sysexits, and 1 when check finds faults: 64 command line, 65 input data, 66 missing input, 67 no such user or
mailbox, 69 port or database not usable, 73 exists already, 74 input or output, 75 try again later,
77 confirmation needed, 78 configuration.";

const UNDELETE_EXAMPLES: &str = "\
Examples:
  dbmail undelete                                            what could come back, of everybody
  dbmail undelete --user anna@example.org                    the same of one user
  dbmail undelete --user anna@example.org --mailbox INBOX --since 2d --dry-run
  dbmail undelete --user anna@example.org --mailbox INBOX --since 2d
  dbmail undelete --user anna@example.org --search invoice --search 4711 --into Found
  dbmail undelete --user anna@example.org --mailbox Projects/Roof      also when the mailbox was deleted

Times are ages (90m, 12h, 2d), dates (2026-11-20: its beginning, UTC) or RFC 3339 (2026-11-20T09:30:00+01:00), and
mean when a message was deleted. --search looks through headers and texts as IMAP's SEARCH TEXT does: decoded, without
regard to case, not into attachments, and into the first MiB of a message; several must all be found.

Exit codes: 67 no such user, or no such mailbox; 73 the mailbox exists again (give --into), or the quota has no
room; 75 the database is busy or away: what came back is back, the same command goes on.";

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve IMAP, LMTP and HTTP until SIGTERM or SIGINT
    ///
    /// An empty database is set up. One with an older schema is brought up to date only when database.migrate
    /// is true; otherwise run `dbmail migrate` first.
    Serve,
    /// Try it: a store of its own with a user and sample mail
    ///
    /// Makes a temporary database, a certificate and a user with a new password, delivers sample mail by LMTP, prints how
    /// to connect, and serves until Ctrl-C. Everything is removed at the end.
    Demo,
    /// Make the database, or bring its schema up to date
    Migrate {
        /// Only show what would be done
        #[arg(long)]
        plan: bool,
    },
    /// Check the configuration and show what is in effect, with where each value came from
    CheckConfig,
    /// Users: who has mail, and may read it
    #[command(subcommand)]
    User(User),
    /// Mailboxes of a user
    #[command(subcommand)]
    Mailbox(Mailbox),
    /// Put a message from standard input into a mailbox, as LMTP would
    ///
    /// The message gets the same trace fields as by LMTP. It streams: its size does not matter for memory. Line ends
    /// of a lone LF, as tools write them, become CRLF, unless --raw is given.
    #[command(after_help = "\
Examples:
  dbmail deliver anna@example.org < message.eml
  generate-report | dbmail deliver anna@example.org --mailbox Reports --from cron@example.org

Exit codes: 67 nobody has this address, 65 the message can't be accepted, 75 try again later.")]
    Deliver(admin::Deliver),
    /// Show what was deleted and could come back, or bring it back
    ///
    /// Expunged messages and deleted mailboxes are kept for retention.deleted. Without any choice of messages it lists what could come
    /// back, for each mailbox. With --mailbox, --since, --until, --search or --all, the messages that all of these choose come back: into
    /// the mailbox where they were, with new UIDs, their flags (without \Deleted), keywords, and dates. A mailbox that was deleted is made
    /// again under its name; where that is another's now, --into says where to. What was moved elsewhere does not come back from where it
    /// was. Clients that are connected see the messages at once.
    #[command(after_help = UNDELETE_EXAMPLES)]
    Undelete(admin::Undelete),
    /// Remove for good what is past its time: expunged messages, deleted mailboxes, old logs
    ///
    /// `dbmail serve` does this by itself, about once an hour, for what is older than retention.deleted and retention.log. Run it by hand
    /// to see what would go (--dry-run), or to have it gone now. It works in small transactions beside the running service, and may be
    /// stopped and begun again at any time. Nothing goes within an hour and five minutes of being deleted: sessions may still ask for it.
    #[command(after_help = "\
Examples:
  dbmail purge --dry-run
  dbmail purge
  dbmail purge --user anna@example.org --older-than 7d --yes

Exit codes: 67 no such user, 75 the database is busy or away: what went stays gone, the same command goes on,
77 a confirmation is needed: less is to be kept than the configuration says.")]
    Purge(admin::Purge),
    /// After an older state of the database was restored: new UIDVALIDITYs and ids
    ///
    /// Clients hold UIDs and ids of the state that is lost; the restored one would give them to other messages. Run this
    /// once after restoring, before `dbmail serve`. It shows what it will do and asks.
    #[command(after_help = "\
Examples:
  dbmail restored --plan
  dbmail restored --yes
  dbmail restored --yes --since 2026-11-26T09:30:00Z     go on with a run that broke off")]
    Restored(admin::Restored),
    /// Check all that is stored, beside running servers, and mend what can be mended
    ///
    /// Looks at schema, references, counters, quotas, logs, and puts every message together again: its octets must be those
    /// that arrived, and its envelope and structure those that they make. Each fault is a line: what it is, where, what was
    /// found, what it means for users, and what --repair would do. Nothing is written without --repair, and no lock is held
    /// for longer than a mailbox is counted. All that is stored is read; --quick leaves the octets of mail out, and takes some
    /// seconds for a million messages.
    #[command(after_help = "\
Examples:
  dbmail check --quick                           every day: all but the octets of mail
  dbmail check                                   after a restore, a crash of the disk, a migration of the database
  dbmail check --user anna@example.org
  dbmail check --repair                          shows what can be mended, asks, mends, and checks again
  dbmail check --json > faults.jsonl

Exit codes: 0 no fault, 1 faults were found or are left, 67 no such user, 77 a repair was not confirmed.
docs/operate/check.md tells of each kind of fault.")]
    Check(admin::Check),
    /// Show how much is stored, and what sharing and packing save
    ///
    /// Counts users, addresses, mailboxes and messages, and adds up octets: from mail as users see it, each message whole in
    /// each mailbox, to what is stored of it. Messages that several have (recipients of one delivery, copies) and parts that
    /// several messages have (long bodies and attachments) are stored once; parts are packed. Then what the database says of
    /// its tables. Only reads, in short statements, beside running servers.
    #[command(after_help = "\
Examples:
  dbmail stats
  dbmail stats --json

\"gone\" are messages that were expunged and are kept for a while; \"parts that no message has\" are removed in the background
two days after they were last seen. What the database says comes on top: keys, logs, free room, its own bookkeeping.
docs/operate/stats.md tells of each figure.")]
    Stats {
        /// As JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Show who is connected and what the servers do, anew each second
    ///
    /// Asks the HTTP listener of running servers (`/sessions`). By default that of this machine's configuration; several
    /// front-ends are named with --server, and must let this machine see their sessions (http.sessions).
    #[command(after_help = "\
Examples:
  dbmail top
  dbmail top --once
  dbmail top --json --server 10.0.0.1:18080 --server 10.0.0.2:18080

Exit codes: 69 no server answers.")]
    Top(admin::Top),
}

/// What may be done with users.
#[derive(Debug, Subcommand)]
enum User {
    /// Add a user, with INBOX, Drafts, Sent, Junk, Trash and Archive
    #[command(after_help = "\
Examples:
  echo SECRET | dbmail user add anna@example.org --password-stdin
  dbmail user add otto --alias otto@example.org --alias sales@example.org --quota 2G --password-stdin < file")]
    Add(admin::UserAdd),
    /// List all users
    List {
        /// As JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Show one user
    Show {
        /// The user's name
        name: String,
        /// As JSON, an object
        #[arg(long)]
        json: bool,
    },
    /// Give a user another password
    Passwd {
        /// The user's name
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Delete a user and all of the user's mail
    Delete {
        /// The user's name
        name: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Let a user log in and get mail again
    Enable {
        /// The user's name
        name: String,
    },
    /// Let a user no longer log in or get mail; nothing is deleted
    Disable {
        /// The user's name
        name: String,
    },
}

/// What may be done with mailboxes.
#[derive(Debug, Subcommand)]
enum Mailbox {
    /// List a user's mailboxes
    List {
        /// The user's name or address
        user: String,
        /// As JSON, an array
        #[arg(long)]
        json: bool,
    },
    /// Make a mailbox, with missing levels above; the user is subscribed to it
    Create {
        /// The user's name or address
        user: String,
        /// The mailbox, with / between levels
        name: String,
    },
    /// Delete a mailbox with its messages
    Delete {
        /// The user's name or address
        user: String,
        /// The mailbox
        name: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// For what can't be undone.
#[derive(Args, Clone, Copy, Debug)]
pub struct Confirmation {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(Exit::Usage.code())
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::tell(&format!("dbmail: {failure}"));
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let loaded = config::load(cli.config.as_deref(), variables())?;
    let mut lines = loaded.config.log.clone();
    if !matches!(cli.command, Command::Serve) && loaded.origin("log.level") == Origin::Default {
        // A command answers by itself; only what is amiss is told beside.
        lines.level = "warn".to_owned();
    }
    log::start(&lines);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|why| {
            Failure::new(Exit::Software, format!("No threads can be started: {why}."))
        })?;
    let result = runtime.block_on(Box::pin(command(cli.command, loaded)));
    // A thread may wait for standard input for ever.
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

/// The environment; what is no Unicode is not ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn command(command: Command, loaded: Loaded) -> Result<(), Failure> {
    let config = &loaded.config;
    match command {
        Command::Serve => serve::serve(&loaded).await,
        Command::Demo => demo::demo(&loaded).await,
        Command::Migrate { plan } => admin::migrate(config, plan).await,
        Command::CheckConfig => admin::check_config(&loaded),
        Command::User(User::Add(user)) => admin::user_add(config, user).await,
        Command::User(User::List { json }) => admin::user_list(config, json).await,
        Command::User(User::Show { name, json }) => admin::user_show(config, &name, json).await,
        Command::User(User::Passwd {
            name,
            password_stdin: _,
        }) => admin::user_password(config, &name).await,
        Command::User(User::Delete { name, confirmation }) => {
            admin::user_delete(config, &name, confirmation).await
        }
        Command::User(User::Enable { name }) => admin::user_enable(config, &name, true).await,
        Command::User(User::Disable { name }) => admin::user_enable(config, &name, false).await,
        Command::Mailbox(Mailbox::List { user, json }) => {
            admin::mailbox_list(config, &user, json).await
        }
        Command::Mailbox(Mailbox::Create { user, name }) => {
            admin::mailbox_create(config, &user, &name).await
        }
        Command::Mailbox(Mailbox::Delete {
            user,
            name,
            confirmation,
        }) => admin::mailbox_delete(config, &user, &name, confirmation).await,
        Command::Deliver(deliver) => admin::deliver(config, deliver).await,
        Command::Undelete(what) => admin::undelete(config, what).await,
        Command::Purge(what) => admin::purge(config, &what).await,
        Command::Restored(what) => admin::restored(config, what).await,
        Command::Check(check) => admin::check(config, &check).await,
        Command::Stats { json } => admin::stats(config, json).await,
        Command::Top(top) => admin::top(config, &top).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        for line in [
            "dbmail serve",
            "dbmail --config x serve",
            "dbmail serve --config x",
            "dbmail migrate --plan",
            "dbmail check-config",
            "dbmail user add a@b --password-stdin --quota 1G --alias c@d --alias e@f",
            "dbmail user list --json",
            "dbmail user delete a --yes",
            "dbmail mailbox create a Work/2026",
            "dbmail deliver a@b --mailbox M --from c@d --raw",
            "dbmail undelete",
            "dbmail undelete --list --json",
            "dbmail undelete --user a --mailbox b/c --since 2d --until 2026-11-20 --search x --search y --into z --dry-run",
            "dbmail undelete --user a --all",
            "dbmail purge --dry-run --older-than 7d --user a --json",
            "dbmail purge --older-than 2026-11-26T09:30:00Z --yes",
            "dbmail restored --plan --json",
            "dbmail check --quick --json --user a@b",
            "dbmail check --repair --yes",
            "dbmail stats --json",
            "dbmail top --once --json",
            "dbmail top --server 10.0.0.1:18080 --server [::1]:18080",
            "dbmail restored --yes --since 2026-11-26T09:30:00Z",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "dbmail",
            "dbmail user add a@b",
            "dbmail user add a@b --password-stdin --no-password",
            "dbmail user add a@b --password-stdin --quota 1X",
            "dbmail user passwd a",
            "dbmail mailbox create a",
            "dbmail restored --since yesterday",
            "dbmail undelete --mailbox a",
            "dbmail undelete --user a --into b",
            "dbmail undelete --user a --all --since 7",
            "dbmail undelete --user a --list --all",
            "dbmail purge --older-than yesterday",
            "dbmail top --server here",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
