//! Who watches which mailbox, in this process. Told after a commit, never before.
//!
//! Other front-ends hear by `news` rows ([`crate::news`]); processes that share an SQLite file are noticed by its data version, and
//! then everybody is told: a watcher that hears too often asks the log once in vain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dbmail_core::store::MailboxId;
use tokio::sync::watch;

use crate::shared::lock;

/// The watchers of all mailboxes.
#[derive(Default)]
pub(crate) struct Hub(Mutex<BTreeMap<MailboxId, watch::Sender<()>>>);

/// Tells of changes of one mailbox.
pub struct Watch {
    mailbox: MailboxId,
    changes: watch::Receiver<()>,
    shared: Arc<crate::shared::Shared>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({:?})", self.mailbox)
    }
}

impl Hub {
    pub(crate) fn watch(&self, mailbox: MailboxId, shared: Arc<crate::shared::Shared>) -> Watch {
        let mut watched = lock(&self.0);
        let sender = watched
            .entry(mailbox)
            .or_insert_with(|| watch::Sender::new(()));
        Watch {
            mailbox,
            changes: sender.subscribe(),
            shared,
        }
    }

    /// Tells who watches these mailboxes.
    pub(crate) fn changed(&self, mailboxes: &[MailboxId]) {
        let watched = lock(&self.0);
        for sender in mailboxes.iter().filter_map(|mailbox| watched.get(mailbox)) {
            sender.send_replace(());
        }
    }

    /// Tells everybody.
    pub(crate) fn all_changed(&self) {
        for sender in lock(&self.0).values() {
            sender.send_replace(());
        }
    }

    /// The mailboxes that are watched, ascending.
    pub(crate) fn watched(&self) -> Vec<MailboxId> {
        lock(&self.0).keys().copied().collect()
    }

    /// Whether anybody watches anything.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl Watch {
    /// Returns once the mailbox has changed since the last call (or since the watch began); once for any number of
    /// changes. It may return without a change.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The sender lives as long as a watch does.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.shared.hub.0);
        // This watch is still counted.
        if watched
            .get(&self.mailbox)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            watched.remove(&self.mailbox);
        }
    }
}
