//! What comes in: APPEND and delivery.

use bytes::Bytes;

use super::{Content, Kept, Store};
use crate::limits::KEYWORDS_MAX;
use crate::mail;
use crate::store::{
    AccountId, Answer, ChangeKind, ContentId, Flags, InternalDate, MailboxId, MailboxName, Outcome,
    Recipient, Refusal, Reply, Timestamp, Uid, UidSet, UploadId,
};

/// By what a repeat is recognised: recipient as given, reverse-path, hash of the octets received.
pub(super) type Identity = (Bytes, Bytes, [u8; 32]);

/// A delivery that was done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    at: Timestamp,
    mailbox: MailboxId,
    uid: Uid,
}

impl Store {
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        account: AccountId,
        name: &MailboxName,
        flags: Flags,
        date: Option<InternalDate>,
        upload: UploadId,
    ) -> Reply {
        let octets = self.uploads.remove(&upload).ok_or(Refusal::Upload)?;
        let mailbox = self.find(account, name)?;
        if !self.has_room(account, octets.len() as u64) {
            return Err(Refusal::OverQuota);
        }
        let new = self.living(mailbox)?.new_keywords(&flags.keywords)?;
        let date = date.unwrap_or(InternalDate {
            at: now,
            zone_minutes: 0,
        });
        let size = octets.len() as u64;
        let content = self.new_content(octets.into());
        let held = self.living_mut(mailbox)?;
        let uids = held.take_uids(1)?;
        let Some(uid) = uids.first().copied() else {
            return Err(Refusal::Unavailable);
        };
        held.keywords.extend(new);
        let kept = Kept {
            modseq: held.next_modseq(),
            flags: held.spelled(flags),
            date,
            saved: now,
            content,
            prefix: Bytes::new(),
            size,
        };
        held.messages.insert(uid, kept);
        let validity = held.validity;
        self.log(mailbox, [(ChangeKind::Appeared, UidSet::range(uid, uid))]);
        Ok(Answer::Appended { validity, uid })
    }

    /// Recipients are served in order, each on its own; what they add to one mailbox is one change of it.
    pub(super) fn deliver(
        &mut self,
        now: Timestamp,
        upload: UploadId,
        reverse_path: &Bytes,
        received: Timestamp,
        recipients: Vec<Recipient>,
    ) -> Reply {
        let octets = self.uploads.remove(&upload).ok_or(Refusal::Upload)?;
        let hash = *blake3::hash(&octets).as_bytes();
        let content = self.new_content(octets.into());
        let header = self.contents.get(&content).map(Content::header);
        let received_before = mail::first_value(&header.unwrap_or_default(), b"Received").is_some();
        let window = if received_before {
            self.repeat_window_seconds
        } else {
            let bare = self.repeat_window_bare_seconds;
            bare.min(self.repeat_window_seconds)
        };
        let mut appeared: Vec<(MailboxId, UidSet)> = Vec::new();
        let mut outcomes = Vec::new();
        for recipient in recipients {
            let identity = (recipient.address.clone(), reverse_path.clone(), hash);
            let outcome = match self.repeated(now, window, &identity) {
                Some(repeat) => repeat,
                None => self.deliver_to(now, content, received, recipient),
            };
            if let Outcome::Stored {
                mailbox,
                uid,
                repeat: false,
            } = outcome
            {
                let done = Done {
                    at: now,
                    mailbox,
                    uid,
                };
                self.deliveries.insert(identity, done);
                match appeared.iter_mut().find(|(id, _)| *id == mailbox) {
                    Some((_, uids)) => {
                        uids.insert(uid);
                    }
                    None => appeared.push((mailbox, UidSet::range(uid, uid))),
                }
            }
            outcomes.push(outcome);
        }
        for (mailbox, uids) in appeared {
            self.log(mailbox, [(ChangeKind::Appeared, uids)]);
        }
        Ok(Answer::Delivered(outcomes))
    }

    /// The outcome of the same delivery, done before. What was not stored is not remembered: it may be
    /// stored when it is tried again.
    fn repeated(&self, now: Timestamp, window: u64, identity: &Identity) -> Option<Outcome> {
        let done = self.deliveries.get(identity)?;
        let remembered = now < done.at.plus_seconds(window);
        remembered.then_some(Outcome::Stored {
            mailbox: done.mailbox,
            uid: done.uid,
            repeat: true,
        })
    }

    fn deliver_to(
        &mut self,
        now: Timestamp,
        content: ContentId,
        received: Timestamp,
        recipient: Recipient,
    ) -> Outcome {
        let Some(owner) = self.accounts.get(&recipient.account) else {
            return Outcome::Unknown;
        };
        if !owner.enabled {
            return Outcome::Disabled;
        }
        let octets = self.contents.get(&content).map_or(0, |c| c.octets.len());
        let size = (octets + recipient.prefix.len()) as u64;
        if !self.has_room(recipient.account, size) {
            return Outcome::OverQuota;
        }
        let mailbox = self
            .find(recipient.account, &recipient.mailbox)
            .or_else(|_| self.find(recipient.account, &MailboxName::inbox()));
        let Ok(mailbox) = mailbox else {
            return Outcome::Unavailable;
        };
        let Ok(held) = self.living_mut(mailbox) else {
            return Outcome::Unavailable;
        };
        let Some(uid) = held
            .take_uids(1)
            .ok()
            .and_then(|uids| uids.first().copied())
        else {
            return Outcome::Unavailable;
        };
        // A keyword that finds no room is left off; the mail matters more.
        let mut flags = recipient.flags;
        flags.keywords.retain(|keyword| {
            if !held.keywords.contains(keyword) && held.keywords.len() < KEYWORDS_MAX {
                held.keywords.insert(keyword.clone());
            }
            held.keywords.contains(keyword)
        });
        let kept = Kept {
            modseq: held.next_modseq(),
            flags: held.spelled(flags),
            date: InternalDate {
                at: received,
                zone_minutes: 0,
            },
            saved: now,
            content,
            prefix: recipient.prefix,
            size,
        };
        held.messages.insert(uid, kept);
        Outcome::Stored {
            mailbox,
            uid,
            repeat: false,
        }
    }

    fn new_content(&mut self, octets: Bytes) -> ContentId {
        let id = ContentId(self.new_id());
        self.contents.insert(id, Content::read(octets));
        id
    }
}

impl Content {
    /// What is known of the octets beside themselves.
    fn read(octets: Bytes) -> Self {
        let scanned = mail::scan(&octets);
        Self {
            header_size: scanned.header.of(&octets).len(),
            envelope: scanned.envelope.encode().into(),
            structure: scanned.structure.encode().into(),
            octets,
        }
    }

    pub(super) fn header(&self) -> Bytes {
        self.octets.slice(..self.header_size.min(self.octets.len()))
    }
}
