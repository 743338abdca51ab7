//! `dbmail restored`

use clap::Args;
use dbmail_core::store::Timestamp;
use serde::Serialize;

use super::user::{json, time};
use super::{admin_failure, confirm, open, print};
use crate::cli::Confirmation;
use crate::clock;
use crate::config::Config;
use crate::exit::Failure;
use crate::log;

/// What is to be done after a restore.
#[derive(Args, Clone, Copy, Debug)]
pub struct Restored {
    /// Go on with a run that was begun then and broke off; users that it did are left alone
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Only show what would be done
    #[arg(long)]
    pub plan: bool,
    /// As JSON, an object
    #[arg(long)]
    pub json: bool,
    /// Whether to ask
    #[command(flatten)]
    pub confirmation: Confirmation,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_microsecond()))
        .map_err(|_| format!("{text:?} is not a time such as 2026-11-26T09:30:00Z"))
}

/// The outcome as JSON shows it.
#[derive(Serialize)]
struct Shown {
    begun: String,
    done: bool,
    users: u64,
    mailboxes: u64,
    users_done_before: u64,
    front_ends: u64,
}

/// `dbmail restored`
///
/// # Errors
/// When it is not confirmed, the store can't be used, or a user's UIDVALIDITYs are used up.
pub async fn restored(config: &Config, what: Restored) -> Result<(), Failure> {
    let store = open(config).await?;
    // Whole seconds, as they are shown.
    let now = Timestamp(clock::now().0 / 1_000_000 * 1_000_000);
    let begun = what.since.unwrap_or(now);
    let failed = |error| admin_failure(&error);
    let plan = store.restored_plan(begun).await.map_err(failed)?;
    let mut shown = Shown {
        begun: time(begun),
        done: false,
        users: plan.users,
        mailboxes: plan.mailboxes,
        users_done_before: plan.done,
        front_ends: plan.front_ends,
    };
    if !what.json {
        print(&in_words(&shown))?;
    }
    if !what.plan {
        if plan.front_ends > 0 {
            log::tell(&format!(
                "warning: {} front-ends seem to be running, or were when the backup was made. Stop them first: their \
                 clients would go on with UIDs of before.",
                plan.front_ends
            ));
        }
        confirm(what.confirmation, "Giving mailboxes new UIDVALIDITYs")?;
        if !what.json {
            print(&format!(
                "begun; if it breaks off, go on with: dbmail restored --since {}\n",
                shown.begun
            ))?;
        }
        (shown.mailboxes, shown.users) = store.restored(begun).await.map_err(failed)?;
        shown.done = true;
    }
    store.close().await;
    if what.json {
        return print(&json(&shown)?);
    }
    if !shown.done {
        return Ok(());
    }
    print(&format!(
        "{} mailboxes of {} users have new UIDVALIDITYs. Front-ends may be started.\n",
        shown.mailboxes, shown.users
    ))
}

fn in_words(plan: &Shown) -> String {
    let mut text = format!(
        "new UIDVALIDITYs for {} mailboxes of {} users, in a transaction for each user\n",
        plan.mailboxes, plan.users
    );
    if plan.users_done_before > 0 {
        let done = plan.users_done_before;
        text.push_str(&format!("{done} users have them since {}\n", plan.begun));
    }
    text.push_str("ids of all kinds go on far beyond those that were given\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_shown() {
        let at = parse_time("2026-11-26T09:30:00Z").unwrap();
        assert_eq!(time(at), "2026-11-26T09:30:00Z");
        assert!(parse_time("yesterday").unwrap_err().contains("such as"));
    }
}
