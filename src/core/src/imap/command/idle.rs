//! IDLE (RFC 2177): the client is told at once.

use super::Begun;
use crate::imap::response::{self, Condition};
use crate::imap::session::News;
use crate::imap::session::phase::Expunges;
use crate::imap::session::run::{Completion, Cx, Run, Step, Takes, Then};
use crate::store::Reply;

/// IDLE
pub(super) fn begin(cx: &mut Cx<'_>) -> Begun {
    response::continuation(cx.text(), "idling");
    Begun::Running(Box::new(Idle {
        news: None,
        ended: None,
    }))
}

struct Idle {
    /// What is being told.
    news: Option<News>,
    /// The client has ended it.
    ended: Option<Completion>,
}

impl Idle {
    fn settle(&mut self, step: Step, cx: &mut Cx<'_>) -> Step {
        let mut step = step;
        loop {
            match step {
                Step::Wait | Step::Welcome => return Step::Wait,
                Step::Done(completion) => {
                    self.news = None;
                    if matches!(completion.then, Then::Bye(_)) {
                        return completion.into();
                    }
                    if let Some(ended) = self.ended.take() {
                        return ended.into();
                    }
                    if completion.condition == Condition::No || !is_news(cx) {
                        return Step::Wait;
                    }
                    step = self.tell(cx);
                }
            }
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_>) -> Step {
        self.news.insert(News::new(Expunges::Tell)).go_on(cx)
    }
}

fn is_news(cx: &Cx<'_>) -> bool {
    cx.phase
        .selected()
        .is_some_and(|selected| selected.has_news(Expunges::Tell))
}

impl Run for Idle {
    fn answer(&mut self, reply: Reply, cx: &mut Cx<'_>) -> Step {
        let Some(news) = &mut self.news else {
            return Step::Wait;
        };
        let step = news.answer(reply, cx);
        self.settle(step, cx)
    }
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Step {
        let step = match &mut self.news {
            Some(news) => news.go_on(cx),
            None if is_news(cx) => self.tell(cx),
            None => return Step::Wait,
        };
        self.settle(step, cx)
    }
    fn changed(&mut self, cx: &mut Cx<'_>) -> Step {
        if self.news.is_some() {
            return Step::Wait;
        }
        self.go_on(cx)
    }
    fn takes(&self) -> Takes {
        if self.ended.is_none() {
            Takes::Line
        } else {
            Takes::Nothing
        }
    }
    fn line(&mut self, line: Option<&[u8]>, _: &mut Cx<'_>) -> Step {
        let ended = match line {
            Some(line) if line.eq_ignore_ascii_case(b"DONE") => Completion::ok("IDLE completed"),
            Some(_) | None => Completion::bad("IDLE ends with DONE"),
        };
        if self.news.is_some() {
            self.ended = Some(ended);
            return Step::Wait;
        }
        ended.into()
    }
    fn is_waiting_for_client(&self) -> bool {
        self.news.is_none()
    }
}
