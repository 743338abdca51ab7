//! STORE (RFC 3501 §6.4.6).

use super::{Begun, Store, once};
use crate::imap::response::Code;
use crate::imap::session::run::{Completion, Cx, Run, Step};
use crate::imap::session::{FlagPages, Told};
use crate::store::{Answer, Refusal, Reply, Request, Stored};

/// STORE
pub(super) fn begin(store: Store, cx: &mut Cx<'_>) -> Begun {
    let Some(selected) = cx.phase.selected_mut() else {
        return Begun::Done(Completion::confused());
    };
    let Some(uids) = super::named(store.numbers, &store.set, &selected.view) else {
        return Begun::Done(super::no_such_number());
    };
    if !selected.writable {
        return Begun::Done(super::expunge::read_only());
    }
    if uids.is_empty() {
        return Begun::Done(Completion::ok("STORE completed"));
    }
    let asked = uids.len();
    let request = Request::Store {
        mailbox: selected.mailbox,
        uids,
        how: store.how,
        flags: store.flags,
        unchanged_since: None,
    };
    cx.ask(request);
    let by_number = store.numbers == super::Numbers::Sequence;
    Begun::Running(Box::new(Storing {
        silent: store.silent,
        by_number,
        asked,
        pages: None,
        missing: false,
    }))
}

struct Storing {
    silent: bool,
    /// By sequence numbers: then messages that are gone are missed.
    by_number: bool,
    asked: u32,
    pages: Option<FlagPages>,
    missing: bool,
}

impl Storing {
    fn stored(&mut self, stored: &Stored, cx: &mut Cx<'_>) -> Step {
        let there = stored.changed.union(&stored.unchanged);
        self.missing = self.by_number && there.len() < self.asked;
        if let Some(selected) = cx.phase.selected_mut() {
            selected.changed_flags(stored.modseq);
        }
        let told = if self.silent {
            crate::store::UidSet::new()
        } else {
            there
        };
        self.pages = Some(FlagPages::new(told, None));
        self.go_on(cx)
    }

    fn end(&self) -> Step {
        if self.missing {
            // RFC 2180 §4.2.1, RFC 5530.
            return Completion::no(Code::ExpungeIssued, "some of the messages are gone").into();
        }
        Completion::ok("STORE completed").into()
    }
}

impl Run for Storing {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (&mut self.pages, reply) {
            (None, Ok(Answer::Stored(stored))) => self.stored(&stored, cx),
            (Some(pages), Ok(Answer::Messages(page))) => {
                pages.page(page);
                self.go_on(cx)
            }
            (None, Err(refusal)) => once::here(&refusal),
            (Some(_), Err(Refusal::NoSuchMailbox)) => once::here(&Refusal::NoSuchMailbox),
            (Some(pages), Err(_)) => {
                // It is stored; what is not told now is told with the news.
                pages.put_back(cx);
                self.end()
            }
            (_, Ok(_)) => Completion::confused().into(),
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        match &mut self.pages {
            Some(pages) => match pages.go_on(cx) {
                Told::All => self.end(),
                Told::NotYet => Step::Wait,
            },
            None => Step::Wait,
        }
    }
}
