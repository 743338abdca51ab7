//! The phases of a connection (RFC 9051 §3). Each owns what only it knows; a transition consumes the phase before.

use std::collections::BTreeSet;

use crate::imap::command::select;
use crate::imap::view::{Unread, View};
use crate::session::Admitted;
use crate::store::{AccountId, Flags, Keyword, MailboxId, MailboxName, ModSeq, Opened};

/// Where a connection is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Nobody is logged in.
    NotAuthenticated(NotAuthenticated),
    /// Somebody is, and no mailbox is selected.
    Authenticated(User),
    /// A mailbox is selected.
    Selected(Box<Selected>),
    /// It is over.
    Logout,
}

/// Before login.
#[derive(Debug, Default)]
pub(crate) struct NotAuthenticated {
    /// Wrong credentials so far.
    pub(crate) failures: u32,
}

/// Whose mail it is.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The account.
    pub(crate) account: AccountId,
}

/// A selected mailbox.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Whose session it is.
    pub(crate) user: User,
    /// The mailbox.
    pub(crate) mailbox: MailboxId,
    /// Its name, as far as this session knows (another one may have renamed it).
    pub(crate) name: MailboxName,
    /// SELECT, not EXAMINE.
    pub(crate) writable: bool,
    /// What the client was told.
    pub(crate) view: View,
    /// Keywords that the client was told of.
    pub(crate) keywords: BTreeSet<Keyword>,
    /// MODSEQs above the view's of changes of flags by this session that need not be told.
    pub(crate) own: BTreeSet<ModSeq>,
    /// What was read from the log and is to be told.
    pub(crate) unread: Unread,
    /// The mailbox changed since the log was read.
    pub(crate) dirty: bool,
}

impl NotAuthenticated {
    /// Login.
    pub(crate) const fn admit(self, who: &Admitted) -> User {
        User {
            account: who.account,
        }
    }
}

impl User {
    /// SELECT and EXAMINE.
    pub(crate) fn select(self, opened: Opened, writable: bool) -> Selected {
        Selected {
            user: self,
            mailbox: opened.mailbox.id,
            name: opened.mailbox.name,
            writable,
            view: View::new(opened.uids, opened.recent, opened.mailbox.modseq),
            keywords: opened.keywords.into_iter().collect(),
            own: BTreeSet::new(),
            unread: Unread::default(),
            // It may have changed between the answer and the watch.
            dirty: true,
        }
    }
}

impl Selected {
    /// CLOSE, UNSELECT, and the first half of another SELECT.
    pub(crate) fn unselect(self) -> User {
        self.user
    }

    /// This session changed flags and tells of it itself.
    pub(crate) fn changed_flags(&mut self, modseq: Option<ModSeq>) {
        if let Some(modseq) = modseq
            && modseq > self.view.through()
        {
            self.own.insert(modseq);
        }
    }

    /// The log was read up to the view's MODSEQ.
    pub(crate) fn forget_own(&mut self) {
        let through = self.view.through();
        self.own.retain(|modseq| *modseq > through);
    }

    /// Tells the client of keywords that it does not know yet, before they are shown to it.
    pub(crate) fn learn_keywords(&mut self, flags: &Flags, text: &mut Vec<u8>) {
        if flags
            .keywords
            .iter()
            .all(|keyword| self.keywords.contains(keyword))
        {
            return;
        }
        self.keywords.extend(flags.keywords.iter().cloned());
        select::tell_flags(&self.keywords, text);
        select::tell_permanent(self.keywords.iter().cloned().collect(), self.writable, text);
    }

    /// Whether something may be told now.
    pub(crate) fn has_news(&self, expunges: Expunges) -> bool {
        self.dirty
            || !self.unread.flagged.is_empty()
            || (expunges == Expunges::Tell && !self.view.held().is_empty())
    }
}

impl Phase {
    /// Whose mail it is, after login.
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Self::Authenticated(user) => Some(user),
            Self::Selected(selected) => Some(&selected.user),
            Self::NotAuthenticated(_) | Self::Logout => None,
        }
    }
    /// The selected mailbox.
    pub(crate) fn selected(&self) -> Option<&Selected> {
        match self {
            Self::Selected(selected) => Some(selected),
            Self::NotAuthenticated(_) | Self::Authenticated(_) | Self::Logout => None,
        }
    }
    /// The selected mailbox.
    pub(crate) fn selected_mut(&mut self) -> Option<&mut Selected> {
        match self {
            Self::Selected(selected) => Some(selected),
            Self::NotAuthenticated(_) | Self::Authenticated(_) | Self::Logout => None,
        }
    }
}

/// Whether EXPUNGE may be told (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expunges {
    /// It may.
    Tell,
    /// It may not: the command under way uses sequence numbers.
    Hold,
}
