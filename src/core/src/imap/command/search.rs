//! SEARCH (RFC 3501 §6.4.4, RFC 9051 §6.4.4).
//!
//! In passes, from cheap to dear: rows, headers, contents; each over the messages that the one before left undecided. What is damaged in the store
//! matches nothing.

mod body;
mod results;

use bytes::Bytes;

use super::{Begun, Search};
use crate::imap::response::{Code, Condition};
use crate::imap::search::{Depth, Known, Plan};
use crate::imap::session::run::{Completion, Cx, Run, Step};
use crate::store::{Answer, FetchItems, Message, Refusal, Reply, Request, Uid, UidSet, rest_of};
use body::{BodySearch, Wants};
use results::{Form, Numbering};

/// The charsets that are known (RFC 3501 §7.1, BADCHARSET).
const CHARSETS: [&str; 2] = ["US-ASCII", "UTF-8"];

/// SEARCH
pub(super) fn begin(search: &Search, tag: Bytes, cx: &mut Cx<'_>) -> Begun {
    let Some(selected) = cx.phase.selected_mut() else {
        return Begun::Done(Completion::confused());
    };
    let form = Form {
        tag,
        numbers: search.numbers,
        returns: cx.revision.returns(search.returns),
    };
    if search
        .charset
        .as_deref()
        .is_some_and(|charset| !CHARSETS.contains(&charset))
    {
        form.save(&UidSet::new(), &mut selected.view);
        return Begun::Done(Completion::no(
            Code::BadCharset(&CHARSETS),
            "texts are to be in one of these charsets",
        ));
    }
    let plan = Plan::new(&search.keys, &selected.view, cx.now);
    let (matched, undecided) = plan.narrow(selected.view.told());
    Begun::Running(Box::new(Searching {
        form,
        plan,
        known: Known::default(),
        matched,
        found: Vec::new(),
        undecided,
        again: Vec::new(),
        left: UidSet::new(),
        page: Vec::new().into_iter(),
        stage: Stage::Next(Some(Depth::Row)),
    }))
}

struct Searching {
    form: Form,
    plan: Plan,
    /// Of the message being looked at.
    known: Known,
    /// Messages that match.
    matched: UidSet,
    /// More of them, of this pass.
    found: Vec<Uid>,
    /// Messages for the next pass.
    undecided: UidSet,
    /// More of them, of this pass.
    again: Vec<Uid>,
    /// Not asked for yet in this pass.
    left: UidSet,
    page: std::vec::IntoIter<Message>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// A pass is to begin; or, after the last one, the reply.
    Next(Option<Depth>),
    /// Messages are looked at.
    Looking(Depth),
    /// A page was asked for.
    Page(Depth),
    /// A content is being read.
    Body(Box<BodySearch>),
    /// The reply is written.
    Telling(Numbering),
}

impl Searching {
    /// Begins the pass, if it can decide anything. The last one decides everything, also what longs for a header that is too long to be kept
    /// beside its message.
    fn begin_pass(&mut self, depth: Depth) {
        let decides = depth == Depth::Content || self.plan.has(depth);
        if self.undecided.is_empty() || !decides {
            self.stage = Stage::Next(match depth {
                Depth::Row => Some(Depth::Header),
                Depth::Header => Some(Depth::Content),
                Depth::Content => None,
            });
            return;
        }
        self.left = std::mem::take(&mut self.undecided);
        self.stage = Stage::Looking(depth);
    }

    fn end_pass(&mut self, depth: Depth) {
        let found: UidSet = std::mem::take(&mut self.found).into_iter().collect();
        self.matched = self.matched.union(&found);
        self.undecided = std::mem::take(&mut self.again).into_iter().collect();
        self.stage = Stage::Next(match depth {
            Depth::Row => Some(Depth::Header),
            Depth::Header => Some(Depth::Content),
            Depth::Content => None,
        });
    }

    fn ask_page(&mut self, depth: Depth, cx: &mut Cx<'_>) -> Step {
        let Some(selected) = cx.phase.selected() else {
            return Completion::confused().into();
        };
        self.stage = Stage::Page(depth);
        let request = Request::Fetch {
            mailbox: selected.mailbox,
            uids: self.left.clone(),
            items: FetchItems {
                flags: self.plan.needs_flags(),
                modseq: true,
                dates: true,
                place: false,
                header: depth == Depth::Header,
                content: depth == Depth::Content,
                structure: depth == Depth::Content,
                envelope: false,
            },
        };
        cx.ask(request)
    }

    /// Looks at a message. When its content must be read, says what is to be read.
    fn look(&mut self, message: Message, depth: Depth) -> Option<BodySearch> {
        let uid = message.uid;
        self.plan.know_row(&message, &mut self.known);
        let header = match depth {
            Depth::Header => message.header.as_ref(),
            Depth::Row | Depth::Content => None,
        };
        if let Some(header) = header {
            self.plan
                .know_header(&message.prefix, header, &mut self.known);
        }
        match self.plan.decide(uid, &self.known) {
            Some(true) => self.found.push(uid),
            Some(false) => {}
            None if depth < Depth::Content => self.again.push(uid),
            None => return Some(BodySearch::new(message, &self.plan)),
        }
        None
    }

    /// Goes on with a message's content; `None` when it waits for octets.
    fn look_into(&mut self, mut body: Box<BodySearch>, cx: &mut Cx<'_>) -> Option<()> {
        match body.go_on(&self.plan, &mut self.known) {
            Wants::Nothing(matches) => {
                if matches {
                    self.found.push(body.uid());
                }
                self.stage = Stage::Looking(Depth::Content);
                Some(())
            }
            Wants::Octets {
                content,
                start,
                end,
            } => {
                self.stage = Stage::Body(body);
                cx.ask(Request::Read {
                    content,
                    start,
                    end,
                });
                None
            }
        }
    }

    /// Everything is decided: keeps the result where it is to be kept, and begins the reply.
    fn begin_reply(&self, cx: &mut Cx<'_>) -> Option<Numbering> {
        let view = &mut cx.phase.selected_mut()?.view;
        self.form.save(&self.matched, view);
        Some(self.form.begin(&self.matched, view, cx.wire.text()))
    }

    /// RFC 9051 §6.4.4.1: a SEARCH with SAVE that ends in NO leaves nothing saved.
    fn forget_saved(&self, step: Step, cx: &mut Cx<'_>) -> Step {
        if let Step::Done(completion) = &step
            && completion.condition == Condition::No
            && self.form.saves()
            && let Some(selected) = cx.phase.selected_mut()
        {
            selected.view.save(&UidSet::new());
        }
        step
    }

    fn learn(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Next(None)), reply) {
            (Stage::Page(depth), Ok(Answer::Messages(page))) => {
                self.left = match page.through {
                    Some(through) => rest_of(&self.left, through),
                    None => UidSet::new(),
                };
                self.page = page.messages.into_iter();
                self.stage = Stage::Looking(depth);
                self.search_on(cx)
            }
            (Stage::Body(mut body), Ok(Answer::Octets(octets))) => {
                body.arrived(octets);
                self.stage = Stage::Body(body);
                self.search_on(cx)
            }
            (Stage::Body(_), Err(Refusal::Damaged(_))) => {
                self.stage = Stage::Looking(Depth::Content);
                self.search_on(cx)
            }
            (_, Err(refusal)) => super::once::here(&refusal),
            (_, Ok(_)) => Completion::confused().into(),
        }
    }

    fn search_on(&mut self, cx: &mut Cx<'_>) -> Step {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Next(None)) {
                Stage::Next(Some(depth)) => self.begin_pass(depth),
                Stage::Next(None) => match self.begin_reply(cx) {
                    Some(numbering) => self.stage = Stage::Telling(numbering),
                    None => return Completion::confused().into(),
                },
                Stage::Telling(mut numbering) => {
                    if numbering.tell(cx) {
                        return Completion::ok("SEARCH completed").into();
                    }
                    self.stage = Stage::Telling(numbering);
                    return Step::Wait;
                }
                Stage::Page(depth) => {
                    self.stage = Stage::Page(depth);
                    return Step::Wait;
                }
                Stage::Body(body) => {
                    if self.look_into(body, cx).is_none() {
                        return Step::Wait;
                    }
                }
                Stage::Looking(depth) => match self.page.next() {
                    Some(message) => {
                        self.stage = match self.look(message, depth) {
                            Some(body) => Stage::Body(Box::new(body)),
                            None => Stage::Looking(depth),
                        };
                    }
                    None if self.left.is_empty() => self.end_pass(depth),
                    None => return self.ask_page(depth, cx),
                },
            }
        }
    }
}

impl Run for Searching {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        let step = self.learn(reply, cx);
        self.forget_saved(step, cx)
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        let step = self.search_on(cx);
        self.forget_saved(step, cx)
    }
}
