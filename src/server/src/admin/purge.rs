//! `dbmail purge`

use std::time::{Duration, Instant};

use clap::Args;
use dbmail_store::{Purged, Retention, Store};
use serde::Serialize;

use super::mailbox::account;
use super::user::json;
use super::when::{When, parse_when};
use super::{admin_failure, confirm, open, print};
use crate::cli::Confirmation;
use crate::clock;
use crate::config::Config;
use crate::exit::Failure;
use crate::log;

/// How often a command says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What is to be purged.
#[derive(Args, Clone, Debug)]
pub struct Purge {
    /// Only count what would go
    #[arg(long)]
    pub dry_run: bool,
    /// What was deleted longer ago (such as 7d) or before then (a date), in place of retention.deleted
    #[arg(long, value_name = "T", value_parser = parse_when)]
    pub older_than: Option<When>,
    /// Only of this user, by name or address
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// As JSON, an object
    #[arg(long)]
    pub json: bool,
    /// Whether to ask
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// The outcome as JSON shows it.
#[derive(Serialize)]
struct Shown {
    done: bool,
    deleted_seconds: u64,
    log_seconds: u64,
    messages: u64,
    bytes: u64,
    mailboxes: u64,
    log_rows: u64,
    /// Not known of a plan.
    contents: Option<u64>,
    content_bytes: Option<u64>,
    parts: Option<u64>,
    part_bytes: Option<u64>,
}

/// `dbmail purge`
///
/// # Errors
/// When there is no such user, it is not confirmed, or the store can't be used.
pub async fn purge(config: &Config, what: &Purge) -> Result<(), Failure> {
    let store = open(config).await?;
    let done = run(&store, config, what).await;
    store.close().await;
    done
}

async fn run(store: &Store, config: &Config, what: &Purge) -> Result<(), Failure> {
    let configured = config.retention.deleted_seconds;
    let now = clock::now();
    let deleted_seconds = what.older_than.map_or(configured, |when| when.age(now));
    let account = match &what.user {
        Some(user) => Some(account(store, user).await?),
        None => None,
    };
    let retention = Retention {
        deleted_seconds,
        log_seconds: config.retention.log_seconds,
    };
    let what_goes = dbmail_store::Purge { account, retention };
    let failed = |error| admin_failure(&error);
    // Less is kept than was promised: that is for a person to say.
    let asks = deleted_seconds < configured && !what.dry_run;
    if what.dry_run || asks {
        let plan = store.purge_plan(what_goes).await.map_err(failed)?;
        if !what.json {
            print(&plan_in_words(&plan))?;
        } else if what.dry_run {
            return print(&json(&shown(&plan, retention, false))?);
        }
    }
    if what.dry_run {
        return Ok(());
    }
    if asks {
        confirm(
            what.confirmation,
            "Purging what the configuration would still keep",
        )?;
    }
    let mut told = Instant::now();
    let tell = |purged: &Purged| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            log::tell(&format!("so far: {}", in_words(purged)));
        }
    };
    let purged = store.purge(what_goes, tell).await.map_err(failed)?;
    if what.json {
        return print(&json(&shown(&purged, retention, true))?);
    }
    print(&format!(
        "purged: {}, {} contents of {} octets, {} parts of {} octets\n",
        in_words(&purged),
        purged.contents,
        purged.content_bytes,
        purged.parts,
        purged.part_bytes
    ))
}

fn in_words(purged: &Purged) -> String {
    format!(
        "{} messages of {} octets, {} mailboxes, {} rows of logs",
        purged.messages, purged.bytes, purged.mailboxes, purged.log_rows
    )
}

fn plan_in_words(plan: &Purged) -> String {
    format!(
        "would purge: {}; and what of their octets no other message has\n",
        in_words(plan)
    )
}

fn shown(purged: &Purged, retention: Retention, done: bool) -> Shown {
    Shown {
        done,
        deleted_seconds: retention.deleted_seconds,
        log_seconds: retention.log_seconds,
        messages: purged.messages,
        bytes: purged.bytes,
        mailboxes: purged.mailboxes,
        log_rows: purged.log_rows,
        contents: done.then_some(purged.contents),
        content_bytes: done.then_some(purged.content_bytes),
        parts: done.then_some(purged.parts),
        part_bytes: done.then_some(purged.part_bytes),
    }
}
