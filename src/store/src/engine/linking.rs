//! A batch that is being linked: which message comes where, how far each is, and what is answered. It asks nothing of the
//! database; [`super::link`] does.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dbmail_core::store::{
    Answer, Flags, InternalDate, MailboxId, Outcome, Refusal, Reply, Timestamp, Uid,
};

use super::copy::Target;
use super::link::{Link, LinkKind};
use crate::content::Prepared;
use crate::driver::{Value, values};
use crate::shared::{Tally, lock};

/// One message for one mailbox.
pub(super) struct Arrival<'a> {
    /// Place of the message in the batch, and of the recipient in its delivery.
    pub(super) link: usize,
    pub(super) recipient: usize,
    pub(super) target: Target,
    pub(super) size: u64,
    pub(super) flags: &'a Flags,
    pub(super) prefix: Bytes,
    pub(super) date: InternalDate,
    pub(super) identity: Option<[u8; 32]>,
    /// Its keywords as the mailbox numbers them.
    pub(super) keywords: Vec<i64>,
    pub(super) state: State,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Coming,
    /// Repeats another of the same batch.
    RepeatOf([u8; 32]),
    Stored(u32),
    Refused(Refusal),
    Repeated(MailboxId, u32),
}

/// The batch under way.
pub(super) struct Linking<'a> {
    pub(super) links: &'a [Link],
    pub(super) arrivals: Vec<Arrival<'a>>,
    /// Outcomes known before: of recipients that are not there, or of whole messages.
    pub(super) replies: Vec<Option<Refusal>>,
    pub(super) outcomes: BTreeMap<(usize, usize), Outcome>,
    /// Recipients that are not there, with their identities.
    pub(super) absent: Vec<(usize, usize, [u8; 32])>,
    pub(super) now: Timestamp,
    pub(super) refused: &'a Mutex<BTreeMap<(usize, usize), Refusal>>,
}

/// What a transaction writes to the identities of its deliveries.
pub(super) struct Outcomes {
    pub(super) stored: Vec<Vec<Value>>,
    pub(super) forgotten: Vec<Vec<Value>>,
}

impl<'a> Linking<'a> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn add(
        &mut self,
        link: usize,
        recipient: usize,
        target: Target,
        flags: &'a Flags,
        prefix: &Bytes,
        date: Option<InternalDate>,
        identity: Option<[u8; 32]>,
    ) {
        let Some(message) = self.links.get(link).map(|link| &link.message) else {
            return;
        };
        let now = InternalDate {
            at: self.now,
            zone_minutes: 0,
        };
        self.arrivals.push(Arrival {
            link,
            recipient,
            target,
            size: message.size + prefix.len() as u64,
            flags,
            prefix: prefix.clone(),
            date: date.unwrap_or(now),
            identity,
            keywords: Vec::new(),
            state: State::Coming,
        });
    }

    pub(super) fn refuse(&mut self, link: usize, refusal: Refusal) {
        if let Some(reply) = self.replies.get_mut(link) {
            *reply = Some(refusal);
        }
    }

    /// Notes that a message has no place: for the next run of the transaction.
    pub(super) fn refuse_arrival(&self, arrival: &Arrival<'_>, refusal: Refusal) {
        lock(self.refused).insert((arrival.link, arrival.recipient), refusal);
    }

    /// Refuses what an earlier run found to have no place.
    pub(super) fn leave_out(&mut self) {
        let refused = lock(self.refused);
        for arrival in &mut self.arrivals {
            if let Some(refusal) = refused.get(&(arrival.link, arrival.recipient)) {
                arrival.state = State::Refused(refusal.clone());
            }
        }
    }

    pub(super) fn set(&mut self, place: usize, state: State) {
        if let Some(arrival) = self.arrivals.get_mut(place) {
            arrival.state = state;
        }
    }

    /// Those that come, by the identities of their deliveries: the order in which these are locked.
    pub(super) fn by_identity(&self) -> Vec<([u8; 32], usize)> {
        let mut order: Vec<([u8; 32], usize)> = Vec::new();
        for (place, arrival) in self.coming() {
            order.extend(arrival.identity.map(|identity| (identity, place)));
        }
        order.sort_unstable();
        order
    }

    /// Rows for the identities of deliveries.
    pub(super) fn identities(&self) -> Vec<Vec<Value>> {
        let address = |arrival: &Arrival<'_>| match self.links.get(arrival.link).map(|l| &l.kind) {
            Some(LinkKind::Deliver { recipients, .. }) => recipients
                .get(arrival.recipient)
                .map(|to| String::from_utf8_lossy(&to.address).into_owned())
                .filter(|address| !address.is_empty()),
            Some(LinkKind::Append { .. }) | None => None,
        };
        let row = |(identity, place): ([u8; 32], usize)| {
            let recipient = self.arrivals.get(place).and_then(address);
            let recipient = recipient.unwrap_or_else(|| "?".to_owned());
            values![identity, recipient.as_str(), self.now.0].into()
        };
        self.by_identity().into_iter().map(row).collect()
    }

    /// Those that have their UIDs.
    pub(super) fn stored(&self) -> impl Iterator<Item = &Arrival<'a>> {
        let stored = |a: &&Arrival<'a>| matches!(a.state, State::Stored(_));
        self.arrivals.iter().filter(stored)
    }

    /// Octets and messages that each root pays for.
    pub(super) fn charges(&self) -> BTreeMap<i64, (u64, u64)> {
        let mut charges: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for arrival in self.stored() {
            let (octets, count) = charges.entry(arrival.target.quota_root).or_default();
            *octets += arrival.size;
            *count += 1;
        }
        charges
    }

    /// The outcome for each identity; what was not stored is not remembered, so that it may be tried again.
    pub(super) fn settle(&mut self) -> Outcomes {
        let (mut stored, mut forgotten): (Vec<Vec<Value>>, Vec<Vec<Value>>) = Default::default();
        let mut done: BTreeMap<[u8; 32], State> = BTreeMap::new();
        for arrival in &self.arrivals {
            let Some(identity) = arrival.identity else {
                continue;
            };
            let mailbox = arrival.target.mailbox;
            match &arrival.state {
                State::Stored(uid) => {
                    stored.push(values![identity, mailbox.0, *uid].into());
                    done.insert(identity, State::Repeated(mailbox, *uid));
                }
                State::Refused(_) | State::Coming => {
                    forgotten.push(values![identity].into());
                    done.insert(identity, arrival.state.clone());
                }
                State::RepeatOf(_) | State::Repeated(..) => {}
            }
        }
        for (link, recipient, identity) in &self.absent {
            // The same delivery, to a recipient named before.
            let first = self.arrivals.iter().find(|a| a.identity == Some(*identity));
            if let Some(first) = first
                && let State::Stored(uid) = first.state
                && (first.link, first.recipient) < (*link, *recipient)
            {
                let again = placed(first.target.mailbox, uid, true);
                self.outcomes.insert((*link, *recipient), again);
            }
        }
        for arrival in &mut self.arrivals {
            if let State::RepeatOf(identity) = arrival.state {
                let of = done.get(&identity).cloned();
                arrival.state = of.unwrap_or(State::Refused(Refusal::Unavailable));
            }
        }
        Outcomes { stored, forgotten }
    }

    pub(super) fn coming(&self) -> impl Iterator<Item = (usize, &Arrival<'a>)> {
        self.arrivals
            .iter()
            .enumerate()
            .filter(|(_, a)| a.state == State::Coming)
    }

    /// The message of an arrival.
    pub(super) fn message(&self, place: usize) -> Option<&'a Prepared> {
        let link = self.arrivals.get(place).map(|a| a.link)?;
        self.links.get(link).map(|link| &link.message)
    }

    pub(super) fn replies(mut self, tally: &Tally) -> Vec<Reply> {
        let mut appended: BTreeMap<usize, Reply> = BTreeMap::new();
        for arrival in &self.arrivals {
            let outcome = match &arrival.state {
                State::Stored(uid) => {
                    tally.linked.fetch_add(1, Ordering::Relaxed);
                    placed(arrival.target.mailbox, *uid, false)
                }
                State::Repeated(mailbox, uid) => {
                    tally.repeats.fetch_add(1, Ordering::Relaxed);
                    placed(*mailbox, *uid, true)
                }
                State::Refused(Refusal::OverQuota) => Outcome::OverQuota,
                State::Refused(_) | State::Coming | State::RepeatOf(_) => Outcome::Unavailable,
            };
            if arrival.identity.is_none() {
                let reply = match (&arrival.state, &outcome) {
                    (State::Refused(refusal), _) => Err(refusal.clone()),
                    (_, Outcome::Stored { uid, .. }) => Ok(Answer::Appended {
                        validity: arrival.target.validity,
                        uid: *uid,
                    }),
                    (
                        _,
                        Outcome::Unknown
                        | Outcome::Disabled
                        | Outcome::OverQuota
                        | Outcome::Unavailable,
                    ) => Err(Refusal::Unavailable),
                };
                appended.insert(arrival.link, reply);
            } else {
                self.outcomes
                    .insert((arrival.link, arrival.recipient), outcome);
            }
        }
        let reply = |(place, (link, refused)): (usize, (&Link, Option<Refusal>))| {
            if let Some(refusal) = refused {
                return Err(refusal);
            }
            match &link.kind {
                LinkKind::Append { .. } => {
                    appended.remove(&place).unwrap_or(Err(Refusal::Unavailable))
                }
                LinkKind::Deliver { recipients, .. } => {
                    let outcome = |n| self.outcomes.remove(&(place, n));
                    let all = (0..recipients.len()).map(outcome);
                    Ok(Answer::Delivered(
                        all.map(|o| o.unwrap_or(Outcome::Unavailable)).collect(),
                    ))
                }
            }
        };
        self.links
            .iter()
            .zip(self.replies)
            .enumerate()
            .map(reply)
            .collect()
    }
}

pub(super) fn placed(mailbox: MailboxId, uid: u32, repeat: bool) -> Outcome {
    match Uid::new(uid) {
        Some(uid) => Outcome::Stored {
            mailbox,
            uid,
            repeat,
        },
        None => Outcome::Unavailable,
    }
}

/// What a delivery is recognised by: recipient as given, reverse-path, octets received (STORAGE 8).
pub(super) fn identity(address: &[u8], reverse_path: &[u8], message: &Prepared) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for text in [address, reverse_path] {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    hasher.update(&message.hash);
    *hasher.finalize().as_bytes()
}
