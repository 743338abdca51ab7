//! Telling a client what happened to its mailbox: EXPUNGE, EXISTS, RECENT, FETCH, in this order (RFC 9051 §7).

use super::FlagPages;
use super::flag_pages::Told;
use super::phase::Expunges;
use super::run::{Completion, Cx, Run, Step, mailbox_gone};
use crate::imap::response::{self, Code};
use crate::store::{Answer, Changes, ModSeq, Opened, Refusal, Reply, Request, UidSet};

/// Reads the log above the view and tells what may be told now.
#[derive(Debug)]
pub(crate) struct News {
    expunges: Expunges,
    stage: Stage,
    /// The view's MODSEQ before.
    since: Option<ModSeq>,
    /// The log did not reach back so far.
    anew: bool,
    /// The count of recent messages must be told again.
    recount: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was asked yet.
    Start,
    /// The log was asked for.
    Changes,
    /// The log does not reach back: the mailbox itself was asked for.
    Anew,
    /// Everything is known.
    Expunge,
    Exists,
    Flags(FlagPages),
}

impl News {
    pub(crate) const fn new(expunges: Expunges) -> Self {
        Self {
            expunges,
            stage: Stage::Start,
            since: None,
            anew: false,
            recount: false,
        }
    }

    fn ask_changes(&mut self, cx: &mut Cx<'_>) -> Step {
        let Some(selected) = cx.phase.selected_mut() else {
            return done();
        };
        selected.dirty = false;
        self.stage = Stage::Changes;
        let (mailbox, since) = (selected.mailbox, selected.view.through());
        self.since.get_or_insert(since);
        cx.ask(Request::Changes { mailbox, since })
    }

    fn learn(&mut self, changes: &Changes, cx: &mut Cx<'_>) -> Step {
        let Some(selected) = cx.phase.selected_mut() else {
            return done();
        };
        if changes.forgotten {
            self.stage = Stage::Anew;
            let request = Request::Open {
                account: selected.user.account,
                name: selected.name.clone(),
                claim_recent: false,
            };
            return cx.ask(request);
        }
        let own = &selected.own;
        selected.view.learn(
            &changes.entries,
            changes.through,
            &|modseq| own.contains(&modseq),
            &mut selected.unread,
        );
        selected.forget_own();
        if changes.more {
            return self.ask_changes(cx);
        }
        self.stage = Stage::Expunge;
        self.go_on(cx)
    }

    fn learn_anew(&mut self, opened: &Opened, cx: &mut Cx<'_>) -> Step {
        let Some(selected) = cx.phase.selected_mut() else {
            return done();
        };
        if opened.mailbox.id != selected.mailbox {
            return mailbox_gone().into();
        }
        let modseq = opened.mailbox.modseq;
        // Changes that were learnt and could not be told yet are older than what is asked about now: the flags of all messages
        // are told then.
        if !selected.unread.flagged.is_empty() {
            self.since = None;
        }
        selected
            .view
            .learn_anew(&opened.uids, modseq, &mut selected.unread);
        self.anew = true;
        selected.forget_own();
        self.stage = Stage::Expunge;
        self.go_on(cx)
    }

    /// Tells expunges from the highest number down; `false` when there is no room for all.
    fn tell_expunges(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(selected) = cx.phase.selected_mut() else {
            return true;
        };
        while let Some((low, high, first)) = selected.view.last_held_run() {
            let mut next = high.0;
            while next >= low.0 && !cx.wire.full(cx.out) {
                response::expunge(cx.wire.text(), next);
                next = next.saturating_sub(1);
            }
            let from = first.number().saturating_add(next + 1 - low.0);
            let to = first.number().saturating_add(high.0 - low.0);
            let told = UidSet::from_ranges(std::iter::once(from..=to));
            self.recount |= !told.intersection(selected.view.recent()).is_empty();
            selected.view.expunge(&told);
            if next >= low.0 {
                return false;
            }
        }
        true
    }

    fn tell_exists(&self, cx: &mut Cx<'_>) {
        let Some(selected) = cx.phase.selected_mut() else {
            return;
        };
        let appeared = std::mem::take(&mut selected.unread.appeared);
        if !appeared.is_empty() {
            selected.view.appear(&appeared);
            response::exists(cx.wire.text(), selected.view.exists());
        }
        if cx.revision.has_recent() && (!appeared.is_empty() || self.recount) {
            response::recent(cx.wire.text(), selected.view.recent_count());
        }
    }
}

/// All is told that may be.
fn done() -> Step {
    Completion::ok("").into()
}

/// The store gives no news now. What is not told is asked for again, but not at once.
fn failed() -> Step {
    Completion::no(Code::Unavailable, "").into()
}

impl Run for News {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (&mut self.stage, reply) {
            (Stage::Changes, Ok(Answer::Changes(changes))) => self.learn(&changes, cx),
            (Stage::Anew, Ok(Answer::Opened(opened))) => self.learn_anew(&opened, cx),
            (Stage::Flags(pages), Ok(Answer::Messages(page))) => {
                pages.page(page);
                self.go_on(cx)
            }
            (_, Err(Refusal::NoSuchMailbox)) => mailbox_gone().into(),
            (Stage::Flags(pages), _) => {
                pages.put_back(cx);
                failed()
            }
            (_, _) => {
                // No news now. The next command asks again, from where the view stands.
                if let Some(selected) = cx.phase.selected_mut() {
                    selected.dirty = true;
                }
                failed()
            }
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        loop {
            match &mut self.stage {
                Stage::Start => {
                    if cx.phase.selected().is_some_and(|selected| selected.dirty) {
                        return self.ask_changes(cx);
                    }
                    self.stage = Stage::Expunge;
                }
                Stage::Changes | Stage::Anew => return Step::Wait,
                Stage::Expunge => {
                    if self.expunges == Expunges::Tell && !self.tell_expunges(cx) {
                        return Step::Wait;
                    }
                    self.stage = Stage::Exists;
                }
                Stage::Exists => {
                    self.tell_exists(cx);
                    let flagged = cx
                        .phase
                        .selected_mut()
                        .map(|selected| std::mem::take(&mut selected.unread.flagged));
                    let since = self.since.filter(|_| self.anew);
                    self.stage = Stage::Flags(FlagPages::new(flagged.unwrap_or_default(), since));
                }
                Stage::Flags(pages) => {
                    return match pages.go_on(cx) {
                        Told::All => done(),
                        Told::NotYet => Step::Wait,
                    };
                }
            }
        }
    }
}
