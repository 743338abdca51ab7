//! Checking the whole database beside the running service, and mending what can be mended.

mod fault;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::engine::{Found, Scope, Walk};
use crate::shared::lock;
use crate::{AdminError, Store};

pub use fault::{Fault, FaultKind, Place};

/// Faults that wait to be told: who tells may be slow, and then the check waits.
const FAULTS_WAITING: usize = 100;
/// How often it is told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What is to be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// One user, by name or address; or everything.
    pub user: Option<String>,
    /// Leaves out what reads the octets of mail.
    pub quick: bool,
}

/// What a check is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Tables, columns, keys, ids.
    #[default]
    Schema,
    /// Users.
    Users,
    /// Mailboxes and their messages.
    Mailboxes,
    /// Quota roots.
    Quotas,
    /// Parts and their chunks.
    Parts,
    /// Contents, put together again.
    Contents,
    /// Mending.
    Repair,
}

impl Stage {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Users => "users",
            Self::Mailboxes => "mailboxes",
            Self::Quotas => "quotas",
            Self::Parts => "parts",
            Self::Contents => "contents",
            Self::Repair => "repair",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// At what.
    pub stage: Stage,
    /// How many of them are done.
    pub done: u64,
    /// Of how many; it may become more while it runs.
    pub of: Option<u64>,
    /// Octets of mail that were put together so far.
    pub octets: u64,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Users.
    pub users: u64,
    /// Mailboxes, with those that are deleted and kept.
    pub mailboxes: u64,
    /// Messages, with those that are gone.
    pub messages: u64,
    /// Parts.
    pub parts: u64,
    /// Contents.
    pub contents: u64,
    /// Octets of mail that were put together.
    pub octets: u64,
}

/// What a check says while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckNews {
    /// Something is wrong.
    Fault(Fault),
    /// How far it is, five times a second.
    Progress(Progress),
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What was looked at.
    pub looked: Looked,
    /// Faults by kind, notes among them.
    pub kinds: BTreeMap<FaultKind, u64>,
    /// What a repair would do.
    pub plan: RepairPlan,
}

impl Checked {
    /// How many faults there are; what harms nobody is not counted.
    #[must_use]
    pub fn faults(&self) -> u64 {
        let harms = |(kind, _): &(&FaultKind, &u64)| !kind.is_note();
        let kinds = self.kinds.iter().filter(harms);
        kinds.map(|(_, count)| count).sum()
    }
}

/// What can be mended.
#[derive(Clone, Debug, Default)]
pub struct RepairPlan {
    found: Found,
}

impl RepairPlan {
    /// Whether nothing can be mended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.mends.is_empty()
    }

    /// What would be done, and how often.
    #[must_use]
    pub fn steps(&self) -> Vec<(&'static str, u64)> {
        let mut steps: Vec<(&'static str, u64)> = Vec::new();
        // They come in order, those of a kind together.
        for mend in &self.found.mends {
            match steps.last_mut() {
                Some((what, count)) if *what == mend.what() => *count += 1,
                _ => steps.push((mend.what(), 1)),
            }
        }
        steps
    }

    /// Whether there is more to be mended than one run takes up.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.found.more
    }

    #[cfg(test)]
    pub(crate) fn of(mends: impl IntoIterator<Item = crate::engine::Mend>) -> Self {
        Self {
            found: Found {
                mends: mends.into_iter().collect(),
                ..Found::default()
            },
        }
    }
}

/// How far a walk is, for who looks on.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    stage: Mutex<(Stage, Option<u64>)>,
    pub(crate) users: AtomicU64,
    pub(crate) mailboxes: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) parts: AtomicU64,
    pub(crate) contents: AtomicU64,
    pub(crate) octets: AtomicU64,
    steps: AtomicU64,
}

impl Gauge {
    /// A stage begins, with so many things to look at.
    pub(crate) fn enter(&self, stage: Stage, of: Option<u64>) {
        *lock(&self.stage) = (stage, of);
    }

    /// One more is mended.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn looked(&self) -> Looked {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Looked {
            users: read(&self.users),
            mailboxes: read(&self.mailboxes),
            messages: read(&self.messages),
            parts: read(&self.parts),
            contents: read(&self.contents),
            octets: read(&self.octets),
        }
    }

    fn progress(&self) -> Progress {
        let (stage, of) = *lock(&self.stage);
        let looked = self.looked();
        let done = match stage {
            Stage::Schema | Stage::Quotas => 0,
            Stage::Users => looked.users,
            Stage::Mailboxes => looked.mailboxes,
            Stage::Parts => looked.parts,
            Stage::Contents => looked.contents,
            Stage::Repair => self.steps.load(Ordering::Relaxed),
        };
        Progress {
            stage,
            done,
            of: of.map(|of| of.max(done)),
            octets: looked.octets,
        }
    }
}

impl Store {
    /// Checks what is asked, on one connection that reads, beside the running service; tells of faults as they are found. Its memory does
    /// not grow with the database.
    ///
    /// # Errors
    /// `NoSuchUser`; when the store can't be reached.
    pub async fn check(
        &self,
        what: &Check,
        tell: &mut (dyn FnMut(CheckNews) + Send),
    ) -> Result<Checked, AdminError> {
        let account = match &what.user {
            Some(name) => {
                let known = self.credential(name).await?;
                let unknown = || AdminError::NoSuchUser(name.clone());
                Some(known.ok_or_else(unknown)?.account)
            }
            None => None,
        };
        let scope = Scope {
            account,
            bodies: !what.quick,
        };
        let (found, looked) = self.walk(scope, None, tell).await?;
        Ok(Checked {
            looked,
            kinds: found.kinds.clone(),
            plan: RepairPlan { found },
        })
    }

    /// Mends what a check planned, each in a small transaction that finds out again under the locks what is right; how much of it was still
    /// to be done.
    ///
    /// # Errors
    /// When the store can't be reached. What was mended stays so.
    pub async fn repair(
        &self,
        plan: &RepairPlan,
        tell: &mut (dyn FnMut(CheckNews) + Send),
    ) -> Result<u64, AdminError> {
        let scope = Scope {
            account: None,
            bodies: true,
        };
        let mends = plan.found.clone();
        let (found, _) = self.walk(scope, Some(mends), tell).await?;
        Ok(found.mended)
    }

    /// Walks, or mends, and tells meanwhile.
    async fn walk(
        &self,
        scope: Scope,
        mends: Option<Found>,
        tell: &mut (dyn FnMut(CheckNews) + Send),
    ) -> Result<(Found, Looked), AdminError> {
        let (told, mut faults) = mpsc::channel(FAULTS_WAITING);
        let gauge = Arc::new(Gauge::default());
        let shown = Arc::clone(&gauge);
        let walk = self.0.read("check", move |db| {
            Box::pin(async move {
                let walk = Walk::new(db, scope, told, gauge);
                match mends {
                    Some(found) => walk.mend(found).await,
                    None => walk.run().await,
                }
            })
        });
        let mut walk = std::pin::pin!(walk);
        let mut every = tokio::time::interval(PROGRESS_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let found = loop {
            tokio::select! {
                biased;
                Some(fault) = faults.recv() => tell(CheckNews::Fault(fault)),
                found = &mut walk => break found,
                _ = every.tick() => tell(CheckNews::Progress(shown.progress())),
            }
        };
        while let Ok(fault) = faults.try_recv() {
            tell(CheckNews::Fault(fault));
        }
        tell(CheckNews::Progress(shown.progress()));
        Ok((found?, shown.looked()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Mend;

    #[test]
    fn a_plan_counts_what_is_alike() {
        let plan = RepairPlan::of([Mend::Quota(1), Mend::Counters(2), Mend::Counters(1)]);
        assert_eq!(
            plan.steps(),
            [
                ("set right the counters of a mailbox", 2),
                ("set right what a quota root has used", 1)
            ]
        );
        assert!(!plan.is_empty() && RepairPlan::default().is_empty());
    }

    #[test]
    fn what_harms_nobody_is_no_fault() {
        let checked = Checked {
            kinds: BTreeMap::from([(FaultKind::Unused, 3), (FaultKind::Quota, 2)]),
            ..Checked::default()
        };
        assert_eq!(checked.faults(), 2);
    }
}
