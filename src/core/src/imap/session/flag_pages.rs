//! `* n FETCH (UID u FLAGS (…))` for a set of messages, page by page.

use super::phase::Selected;
use super::run::Cx;
use crate::imap::response;
use crate::imap::view::Cursor;
use crate::store::{FetchItems, Message, ModSeq, Page, Request, UidSet, rest_of};

/// Tells the flags that messages have now.
#[derive(Debug, Default)]
pub(crate) struct FlagPages {
    /// Not asked for yet.
    left: UidSet,
    /// Here and not told yet.
    page: std::vec::IntoIter<Message>,
    /// Only of those that changed above this.
    since: Option<ModSeq>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A page was asked for, or there is no room.
    NotYet,
    /// Everything is told.
    All,
}

impl FlagPages {
    /// The flags of these, as far as they are there.
    pub(crate) fn new(uids: UidSet, since: Option<ModSeq>) -> Self {
        Self {
            left: uids,
            page: Vec::new().into_iter(),
            since,
        }
    }

    /// The page that was asked for.
    pub(crate) fn page(&mut self, page: Page) {
        self.left = match page.through {
            Some(through) => rest_of(&self.left, through),
            None => UidSet::new(),
        };
        self.page = page.messages.into_iter();
    }

    /// The store would not say: what is not told stays news.
    pub(crate) fn put_back(&self, cx: &mut Cx<'_>) {
        if let Some(selected) = cx.phase.selected_mut() {
            let here: UidSet = self
                .page
                .as_slice()
                .iter()
                .map(|message| message.uid)
                .collect();
            let untold = self.left.union(&here);
            selected.unread.flagged = selected.unread.flagged.union(&untold);
        }
    }

    /// Tells what is here, then asks for the next page.
    pub(crate) fn go_on(&mut self, cx: &mut Cx<'_>) -> Told {
        let Some(selected) = cx.phase.selected_mut() else {
            return Told::All;
        };
        let mut cursor = selected.view.cursor();
        while !self.page.as_slice().is_empty() {
            if cx.wire.full(cx.out) {
                return Told::NotYet;
            }
            if let Some(message) = self.page.next()
                && !message.gone
                && self.since.is_none_or(|since| message.modseq > since)
            {
                tell(selected, &mut cursor, &message, cx.wire.text());
            }
        }
        if self.left.is_empty() {
            return Told::All;
        }
        let request = Request::Fetch {
            mailbox: selected.mailbox,
            uids: self.left.clone(),
            items: FetchItems {
                flags: true,
                modseq: self.since.is_some(),
                ..FetchItems::default()
            },
        };
        cx.ask(request);
        Told::NotYet
    }
}

fn tell(selected: &mut Selected, cursor: &mut Cursor, message: &Message, text: &mut Vec<u8>) {
    let Some(seq) = cursor.seq(&selected.view, message.uid) else {
        return;
    };
    selected.learn_keywords(&message.flags, text);
    response::fetch_begin(text, seq.0);
    response::uid(text, message.uid);
    response::fetch_next(text);
    response::flags(text, &message.flags, selected.view.is_recent(message.uid));
    response::fetch_end(text);
}
