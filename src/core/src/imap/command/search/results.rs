//! The reply to SEARCH: the SEARCH response (RFC 3501 §7.2.5) or ESEARCH (RFC 9051 §7.3.4), and what is kept for `$` (RFC 9051 §6.4.4.1).

use bytes::Bytes;

use crate::imap::command::{Numbers, SearchReturns};
use crate::imap::response;
use crate::imap::session::run::Cx;
use crate::imap::view::View;
use crate::store::UidSet;

/// Whose reply it is, and in what form.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The command's tag.
    pub(super) tag: Bytes,
    /// What the numbers are.
    pub(super) numbers: Numbers,
    /// RETURN: then it is ESEARCH.
    pub(super) returns: Option<SearchReturns>,
}

impl Form {
    /// The result is kept.
    pub(super) fn saves(&self) -> bool {
        self.returns.is_some_and(|returns| returns.save)
    }

    /// Keeps what `$` stands for from now on: with MIN or MAX and neither COUNT nor ALL, only what those tell.
    pub(super) fn save(&self, found: &UidSet, view: &mut View) {
        let Some(returns) = self.returns.filter(|returns| returns.save) else {
            return;
        };
        let bounds = (returns.min || returns.max) && !returns.count && !returns.all;
        if bounds {
            let ends = [
                found.first().filter(|_| returns.min),
                found.last().filter(|_| returns.max),
            ];
            view.save(&ends.into_iter().flatten().collect());
        } else {
            view.save(found);
        }
    }

    /// Begins the reply with what has a bound; the numbers follow.
    pub(super) fn begin(&self, found: &UidSet, view: &View, text: &mut Vec<u8>) -> Numbering {
        let numbers = match self.numbers {
            Numbers::Uid => found.clone(),
            Numbers::Sequence => view.numbers_of(found),
        };
        let Some(returns) = self.returns else {
            text.extend_from_slice(b"* SEARCH");
            return Numbering::new(numbers, Style::Each);
        };
        let named = returns.min || returns.max || returns.count || returns.all;
        if !named && returns.save {
            return Numbering::new(UidSet::new(), Style::Silent);
        }
        response::esearch(text, &self.tag, self.numbers == Numbers::Uid);
        let mut item = |name: &[u8], value: Option<u32>| {
            if let Some(value) = value {
                text.extend_from_slice(name);
                response::number(text, value.into());
            }
        };
        let first = numbers.first().map(crate::store::Uid::number);
        let last = numbers.last().map(crate::store::Uid::number);
        item(b" MIN ", first.filter(|_| returns.min));
        item(b" MAX ", last.filter(|_| returns.max));
        item(b" COUNT ", Some(numbers.len()).filter(|_| returns.count));
        let all = returns.all || !named;
        let numbers = if all { numbers } else { UidSet::new() };
        if !numbers.is_empty() {
            text.extend_from_slice(b" ALL ");
        }
        Numbering::new(numbers, Style::Ranges)
    }
}

/// Numbers that are written as there is room: the line may be as long as the mailbox.
#[derive(Debug)]
pub(super) struct Numbering {
    numbers: UidSet,
    style: Style,
    /// Ranges that are written.
    ranges: usize,
    /// Numbers of the next range that are.
    within: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Each after a space.
    Each,
    /// As a set.
    Ranges,
    /// There is no reply.
    Silent,
}

impl Numbering {
    const fn new(numbers: UidSet, style: Style) -> Self {
        Self {
            numbers,
            style,
            ranges: 0,
            within: 0,
        }
    }

    /// Writes on; `false` while there is no room.
    pub(super) fn tell(&mut self, cx: &mut Cx<'_>) -> bool {
        while let Some((low, high)) = self.numbers.ranges().nth(self.ranges) {
            if self.style == Style::Each {
                while let Some(number) = low.checked_add(self.within).filter(|n| *n <= high) {
                    if cx.full() {
                        return false;
                    }
                    cx.text().push(b' ');
                    response::number(cx.text(), number.into());
                    self.within = self.within.saturating_add(1);
                }
                self.within = 0;
            } else {
                if cx.full() {
                    return false;
                }
                response::range(cx.text(), self.ranges == 0, low, high);
            }
            self.ranges = self.ranges.saturating_add(1);
        }
        if self.style != Style::Silent {
            cx.text().extend_from_slice(b"\r\n");
        }
        true
    }
}
