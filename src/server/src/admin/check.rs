//! `dbmail check`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use dbmail_store::{Check as What, CheckNews, Checked, Fault, Looked, Progress, Store};
use serde::Serialize;

use super::stats::grouped;
use super::{admin_failure, confirm, open, print};
use crate::cli::Confirmation;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::log;

/// How often it is told how far it is, where that can't be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Characters of the bar.
const BAR: u64 = 24;

/// What is to be checked.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// Only this user, by name or address: mailboxes, messages, quota
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Leave out what reads the octets of mail: counters, references, lengths and logs remain
    #[arg(long)]
    pub quick: bool,
    /// Show what can be mended, ask, mend it, and check again
    #[arg(long)]
    pub repair: bool,
    /// As JSON: each fault an object on a line of its own, and one for the whole at the end
    #[arg(long)]
    pub json: bool,
    /// Whether to ask
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// A fault as JSON shows it.
#[derive(Serialize)]
struct ShownFault<'a> {
    fault: &'static str,
    note: bool,
    user: Option<&'a str>,
    mailbox: Option<&'a str>,
    uid: Option<i64>,
    other_messages: u64,
    what: &'a str,
    means: &'static str,
    repair: Option<&'static str>,
    after_repair: bool,
}

/// A repair that is planned, as JSON shows it.
#[derive(Serialize)]
struct ShownStep {
    what: &'static str,
    count: u64,
}

/// The plan, as JSON shows it.
#[derive(Serialize)]
struct ShownPlan {
    plan: Vec<ShownStep>,
    more: bool,
}

/// The end, as JSON shows it.
#[derive(Serialize)]
struct ShownEnd {
    done: bool,
    quick: bool,
    faults: u64,
    notes: u64,
    kinds: BTreeMap<&'static str, u64>,
    repaired: Option<u64>,
    users: u64,
    mailboxes: u64,
    messages: u64,
    contents: u64,
    parts: u64,
    octets: u64,
}

/// `dbmail check`
///
/// # Errors
/// When faults were found, or are left after a repair; when there is no such user, a repair is not confirmed, or the store can't be used.
pub async fn check(config: &Config, what: &Check) -> Result<(), Failure> {
    let store = open(config).await?;
    let done = run(&store, what).await;
    store.close().await;
    done
}

async fn run(store: &Store, what: &Check) -> Result<(), Failure> {
    let mut checked = look(store, what, false).await?;
    let mut repaired = None;
    if what.repair && !checked.plan.is_empty() {
        plan(what, &checked)?;
        confirm(what.confirmation, "Repairing")?;
        let mut screen = Screen::new(what.json, false);
        let done = store
            .repair(&checked.plan, &mut |news| screen.take(news))
            .await;
        screen.end()?;
        let done = done.map_err(|error| admin_failure(&error))?;
        if !what.json {
            print(&format!(
                "{} repairs were done; checking again\n",
                grouped(done)
            ))?;
        }
        repaired = Some(done);
        checked = look(store, what, true).await?;
    }
    end(what, &checked, repaired)
}

/// Checks, and shows the faults.
async fn look(store: &Store, what: &Check, after_repair: bool) -> Result<Checked, Failure> {
    let of = What {
        user: what.user.clone(),
        quick: what.quick,
    };
    let mut screen = Screen::new(what.json, after_repair);
    let checked = store.check(&of, &mut |news| screen.take(news)).await;
    screen.end()?;
    checked.map_err(|error| admin_failure(&error))
}

fn plan(what: &Check, checked: &Checked) -> Result<(), Failure> {
    let steps = checked.plan.steps();
    let more = checked.plan.is_cut();
    if what.json {
        let step = |(what, count)| ShownStep { what, count };
        let plan = steps.into_iter().map(step).collect();
        return print(&line(&ShownPlan { plan, more })?);
    }
    let mut text = "to be repaired, each in a small transaction:\n".to_owned();
    for (what, count) in steps {
        let _ = writeln!(text, "{:>9}  {what}", grouped(count));
    }
    if more {
        text.push_str("there is more than one run takes up: run it again afterwards\n");
    }
    print(&text)
}

/// The end of it: what was looked at, and whether all is well.
fn end(what: &Check, checked: &Checked, repaired: Option<u64>) -> Result<(), Failure> {
    let faults = checked.faults();
    let all: u64 = checked.kinds.values().sum();
    if what.json {
        let Looked {
            users,
            mailboxes,
            messages,
            parts,
            contents,
            octets,
        } = checked.looked;
        let kinds = checked.kinds.iter();
        print(&line(&ShownEnd {
            done: true,
            quick: what.quick,
            faults,
            notes: all - faults,
            kinds: kinds.map(|(kind, count)| (kind.name(), *count)).collect(),
            repaired,
            users,
            mailboxes,
            messages,
            contents,
            parts,
            octets,
        })?)?;
    } else {
        print(&looked(&checked.looked, what.quick))?;
    }
    if faults == 0 {
        return if what.json {
            Ok(())
        } else {
            print("no fault was found\n")
        };
    }
    let them = if faults == 1 {
        "1 fault".to_owned()
    } else {
        format!("{} faults", grouped(faults))
    };
    let advice = match (repaired, checked.plan.is_empty()) {
        (Some(_), true) => "What is left can't be mended: see docs/operate/check.md.",
        (Some(_), false) => "Run it again: something was in the way.",
        (None, true) => "Nothing of it can be mended: see docs/operate/check.md.",
        (None, false) => "`dbmail check --repair` shows what can be mended, and asks.",
    };
    let verb = if repaired.is_some() { "left" } else { "found" };
    Err(Failure::new(
        Exit::Faults,
        format!("{them} {verb}. {advice}"),
    ))
}

fn looked(looked: &Looked, quick: bool) -> String {
    let mut text = format!(
        "looked at {} users, {} mailboxes, {} messages, {} contents",
        grouped(looked.users),
        grouped(looked.mailboxes),
        grouped(looked.messages),
        grouped(looked.contents)
    );
    if quick {
        text.push_str("; the octets of mail were not read");
    } else {
        let _ = write!(text, " of {} octets", grouped(looked.octets));
    }
    text.push('\n');
    text
}

fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|why| Failure::new(Exit::Software, format!("JSON can't be written: {why}.")))
}

// --- showing -----------------------------------------------------------------------------------

/// Shows faults as they are found, and how far it is: a bar on a terminal, else a line now and then.
struct Screen {
    json: bool,
    after_repair: bool,
    draws: bool,
    drawn: bool,
    begun: Instant,
    told: Instant,
    failed: Option<Failure>,
}

impl Screen {
    fn new(json: bool, after_repair: bool) -> Self {
        let now = Instant::now();
        Self {
            json,
            after_repair,
            draws: std::io::stderr().is_terminal(),
            drawn: false,
            begun: now,
            told: now,
            failed: None,
        }
    }

    fn take(&mut self, news: CheckNews) {
        match news {
            CheckNews::Fault(fault) => {
                self.wipe();
                let shown = self.shown(&fault).and_then(|text| print(&text));
                if let Err(failure) = shown {
                    self.failed.get_or_insert(failure);
                }
            }
            CheckNews::Progress(progress) if self.draws => {
                // Whoever reads this may have gone; the check goes on.
                let text = format!("\r\x1b[K{}", bar(&progress));
                let _ = std::io::stderr().write_all(text.as_bytes());
                self.drawn = true;
            }
            CheckNews::Progress(progress) => {
                if self.told.elapsed() >= LINE_EVERY {
                    self.told = Instant::now();
                    let seconds = self.begun.elapsed().as_secs();
                    log::tell(&format!("{} after {seconds} s", words(&progress)));
                }
            }
        }
    }

    fn shown(&self, fault: &Fault) -> Result<String, Failure> {
        if !self.json {
            return Ok(format!("{fault}\n"));
        }
        line(&ShownFault {
            fault: fault.kind.name(),
            note: fault.kind.is_note(),
            user: fault.place.user.as_deref(),
            mailbox: fault.place.mailbox.as_deref(),
            uid: fault.place.uid,
            other_messages: fault.place.others,
            what: &fault.what,
            means: fault.kind.means(),
            repair: fault.kind.mend(),
            after_repair: self.after_repair,
        })
    }

    /// Takes the bar away.
    fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }

    fn end(mut self) -> Result<(), Failure> {
        self.wipe();
        self.failed.map_or(Ok(()), Err)
    }
}

fn words(progress: &Progress) -> String {
    let mut text = progress.stage.name().to_owned();
    if progress.done > 0 || progress.of.is_some() {
        let _ = write!(text, " {}", grouped(progress.done));
    }
    if let Some(of) = progress.of {
        let _ = write!(text, " of {}", grouped(of));
    }
    if progress.octets > 0 {
        let _ = write!(text, ", {} MB read", grouped(progress.octets / 1_000_000));
    }
    text
}

fn bar(progress: &Progress) -> String {
    let words = words(progress);
    let Some(of) = progress.of.filter(|of| *of > 0) else {
        return words;
    };
    let full = (progress.done.saturating_mul(BAR) / of).min(BAR);
    let full = usize::try_from(full).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0).saturating_sub(full);
    format!("[{}{}] {words}", "#".repeat(full), ".".repeat(empty))
}

#[cfg(test)]
mod tests {
    use dbmail_store::Stage;

    use super::*;

    #[test]
    fn a_bar_is_as_full_as_what_is_done() {
        let progress = |done, of| Progress {
            stage: Stage::Contents,
            done,
            of,
            octets: 12_345_678,
        };
        assert_eq!(
            bar(&progress(1_500, Some(3_000))),
            "[############............] contents 1,500 of 3,000, 12 MB read"
        );
        assert_eq!(
            bar(&progress(9, Some(9))),
            "[########################] contents 9 of 9, 12 MB read"
        );
        assert_eq!(bar(&progress(9, None)), "contents 9, 12 MB read");
        let begins = Progress::default();
        assert_eq!(bar(&begins), "schema");
    }
}
