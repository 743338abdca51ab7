//! Many tasks at one mailbox at once: what must hold whatever the order in which they come.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dbmail_core::store::{
    AccountId, Answer, Change, ChangeKind, FetchItems, FlagChange, Flags, Mailbox, MailboxId,
    MailboxName, Message, ModSeq, Opened, Outcome, Recipient, Request, SystemFlags, Timestamp, Uid,
    UidSet, UploadId, rest_of,
};
use dbmail_store::Store;

use crate::contract::{Sql, Subject, ask, op_flags};
use crate::world::on_each_kind;

/// Tasks that change, beside those that follow.
const TASKS: u64 = 6;
/// Rounds of each.
const ROUNDS: u64 = 25;
const FOLLOWERS: usize = 2;

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).expect("a name")
}

/// The store as a session sees it.
#[derive(Clone)]
struct Session {
    store: Store,
    account: AccountId,
}

/// What a task did.
#[derive(Default)]
struct Deeds {
    /// Texts of its messages.
    letters: Vec<String>,
    /// UIDs that it was told to be given, by mailbox in the order of time.
    given: BTreeMap<MailboxId, Vec<Uid>>,
    /// MODSEQs that it was told, of changes that were its alone.
    modseqs: Vec<(MailboxId, ModSeq)>,
    /// Messages that it was told to have its keyword.
    marked: UidSet,
    expunged: u32,
}

impl Session {
    async fn ask(&self, request: Request) -> Answer {
        ask(&self.store, request, None).await.expect("no refusal")
    }

    async fn open(&self, mailbox: &str) -> Opened {
        let request = Request::Open {
            account: self.account,
            name: name(mailbox),
            claim_recent: false,
        };
        match self.ask(request).await {
            Answer::Opened(opened) => *opened,
            other => panic!("{other:?}"),
        }
    }

    async fn fetch(&self, mailbox: MailboxId, uids: &UidSet) -> Vec<Message> {
        let (mut rest, mut all) = (uids.clone(), Vec::new());
        loop {
            let request = Request::Fetch {
                mailbox,
                uids: rest.clone(),
                items: FetchItems {
                    flags: true,
                    dates: true,
                    content: true,
                    ..FetchItems::default()
                },
            };
            let Answer::Messages(page) = self.ask(request).await else {
                panic!("no page");
            };
            all.extend(page.messages);
            match page.through {
                Some(through) => rest = rest_of(&rest, through),
                None => return all,
            }
        }
    }

    async fn deliver(&self, text: &str, deeds: &mut Deeds) {
        let request = Request::Deliver {
            upload: UploadId(1),
            reverse_path: Bytes::new(),
            received: Timestamp(0),
            recipients: vec![Recipient {
                account: self.account,
                address: Bytes::from_static(b"a@example.org"),
                mailbox: name("INBOX"),
                flags: Flags::default(),
                prefix: Bytes::from_static(b"Delivered-To: a@example.org\r\n"),
            }],
        };
        let octets = letter(text);
        let reply = ask(&self.store, request, Some(&octets)).await;
        match reply.expect("no refusal") {
            Answer::Delivered(outcomes) => match outcomes[..] {
                [
                    Outcome::Stored {
                        mailbox,
                        uid,
                        repeat: false,
                    },
                ] => deeds.given.entry(mailbox).or_default().push(uid),
                ref other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        deeds.letters.push(text.to_owned());
    }

    async fn append(&self, text: &str, inbox: MailboxId, deeds: &mut Deeds) {
        let request = Request::Append {
            account: self.account,
            name: name("INBOX"),
            flags: op_flags(&["\\Draft".to_owned()]),
            date: None,
            upload: UploadId(1),
        };
        let octets = letter(text);
        let reply = ask(&self.store, request, Some(&octets)).await;
        match reply.expect("no refusal") {
            Answer::Appended { uid, .. } => deeds.given.entry(inbox).or_default().push(uid),
            other => panic!("{other:?}"),
        }
        deeds.letters.push(text.to_owned());
    }

    /// Sets the flags; says which messages have them now.
    async fn mark(
        &self,
        mailbox: MailboxId,
        uids: UidSet,
        flag: &str,
        deeds: &mut Deeds,
    ) -> UidSet {
        let request = Request::Store {
            mailbox,
            uids,
            how: FlagChange::Add,
            flags: op_flags(&[flag.to_owned()]),
            unchanged_since: None,
        };
        match self.ask(request).await {
            Answer::Stored(stored) => {
                deeds
                    .modseqs
                    .extend(stored.modseq.map(|modseq| (mailbox, modseq)));
                stored.changed.union(&stored.unchanged)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn shift(&self, from: MailboxId, uids: UidSet, to: (&str, MailboxId), deeds: &mut Deeds) {
        let request = Request::Move {
            mailbox: from,
            uids,
            account: self.account,
            to: name(to.0),
        };
        match self.ask(request).await {
            Answer::Copied(copied) => {
                deeds
                    .modseqs
                    .extend(copied.gone.map(|modseq| (from, modseq)));
                deeds
                    .given
                    .entry(to.1)
                    .or_default()
                    .extend(copied.to.iter());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn letter(text: &str) -> Vec<u8> {
    format!("Received: x\r\nSubject: {text}\r\n\r\n{text}\r\n").into_bytes()
}

/// What one task does: brings mail, marks what is there with its own keyword, moves to and fro, deletes a little.
async fn task(session: Session, number: u64, inbox: MailboxId, other: MailboxId) -> Deeds {
    let mut deeds = Deeds::default();
    let keyword = format!("task{number}");
    for round in 0..ROUNDS {
        session
            .deliver(&format!("d{number}.{round}"), &mut deeds)
            .await;
        session
            .append(&format!("a{number}.{round}"), inbox, &mut deeds)
            .await;
        let low = u32::try_from(round * number + 1).expect("small");
        let some = UidSet::from_ranges([low..=low + 7, 60..=70]);
        let marked = session.mark(inbox, some, &keyword, &mut deeds).await;
        deeds.marked = deeds.marked.union(&marked);
        match (round + number) % 5 {
            0 => {
                let some = UidSet::from_ranges([low + 3..=low + 5]);
                session
                    .shift(inbox, some, ("Archive", other), &mut deeds)
                    .await;
            }
            1 => {
                let some = UidSet::from_ranges([low..=low + 1]);
                session
                    .shift(other, some, ("INBOX", inbox), &mut deeds)
                    .await;
            }
            2 => {
                let some = UidSet::from_ranges([low + 20..=low + 20]);
                session.mark(inbox, some, "\\Deleted", &mut deeds).await;
                let request = Request::Expunge {
                    mailbox: inbox,
                    uids: None,
                };
                let Answer::Expunged(uids, modseq) = session.ask(request).await else {
                    panic!("not expunged");
                };
                deeds.expunged += uids.len();
                deeds.modseqs.extend(modseq.map(|modseq| (inbox, modseq)));
            }
            _ => tokio::task::yield_now().await,
        }
    }
    deeds
}

/// What a session knows that reads the log and fetches what it names.
#[derive(Default)]
struct Follower {
    through: ModSeq,
    messages: BTreeMap<Uid, (ModSeq, Flags)>,
    highest: Option<Uid>,
}

impl Follower {
    async fn follow(&mut self, session: &Session, mailbox: MailboxId) {
        loop {
            let request = Request::Changes {
                mailbox,
                since: self.through,
            };
            let Answer::Changes(changes) = session.ask(request).await else {
                panic!("no changes");
            };
            assert!(!changes.forgotten);
            let mut touched = UidSet::new();
            let mut last = self.through;
            for Change { modseq, what, uids } in &changes.entries {
                assert!(
                    *modseq >= last && *modseq > self.through,
                    "the log goes back"
                );
                last = *modseq;
                match what {
                    ChangeKind::Appeared => {
                        let above = self
                            .highest
                            .is_none_or(|highest| uids.first() > Some(highest));
                        assert!(above, "a UID came below {:?}: {uids:?}", self.highest);
                        self.highest = uids.last();
                        touched = touched.union(uids);
                    }
                    ChangeKind::Flagged => touched = touched.union(uids),
                    ChangeKind::Vanished => {
                        touched = touched.difference(uids);
                        for uid in uids.iter() {
                            self.messages.remove(&uid);
                        }
                    }
                }
            }
            assert!(changes.through >= last);
            self.through = changes.through;
            // What was named and not gone by then; it may be gone by now, which the log will say.
            let fetched = session.fetch(mailbox, &touched).await;
            let there: UidSet = fetched.iter().map(|message| message.uid).collect();
            assert_eq!(
                there, touched,
                "what the log names can be fetched for an hour"
            );
            for message in fetched {
                let known = (message.modseq, message.flags);
                if let Some((before, _)) = self.messages.insert(message.uid, known) {
                    assert!(
                        before <= message.modseq,
                        "the MODSEQ of a message goes back"
                    );
                }
            }
            if !changes.more {
                return;
            }
        }
    }
}

fn check_counters(mailbox: &Mailbox, messages: &[Message]) {
    let has = |flag| {
        messages
            .iter()
            .filter(move |m| m.flags.system.contains(flag))
            .count()
    };
    let bytes: u64 = messages.iter().map(|m| m.size).sum();
    let counted = (
        messages.len(),
        messages.len() - has(SystemFlags::SEEN),
        has(SystemFlags::DELETED),
        bytes,
    );
    let said = (
        mailbox.messages as usize,
        mailbox.unseen as usize,
        mailbox.deleted as usize,
        mailbox.bytes,
    );
    assert_eq!(said, counted, "counters of {}", mailbox.name);
}

async fn everything(session: Session) {
    let (inbox, other) = (session.open("INBOX").await, session.open("Archive").await);
    let (inbox, other) = (inbox.mailbox.id, other.mailbox.id);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut followers = Vec::new();
    for mailbox in [inbox, other].repeat(FOLLOWERS) {
        let (session, stop) = (session.clone(), std::sync::Arc::clone(&stop));
        followers.push(tokio::spawn(async move {
            let mut follower = Follower::default();
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                follower.follow(&session, mailbox).await;
                tokio::task::yield_now().await;
            }
            follower.follow(&session, mailbox).await;
            (mailbox, follower)
        }));
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| tokio::spawn(task(session.clone(), number, inbox, other)))
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("a task"));
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);

    let mut texts = Vec::new();
    for (text, id) in [("INBOX", inbox), ("Archive", other)] {
        let opened = session.open(text).await;
        let every = UidSet::range(Uid::MIN, Uid::MAX);
        let mut messages = session.fetch(id, &every).await;
        messages.retain(|message| !message.gone);
        check_counters(&opened.mailbox, &messages);
        assert_eq!(opened.uids, messages.iter().map(|m| m.uid).collect());
        check_flags(&all, id == inbox, &messages);
        // Each UID is given to one message, and to a task later ones later.
        let given: Vec<Uid> = all
            .iter()
            .flat_map(|d| d.given.get(&id))
            .flatten()
            .copied()
            .collect();
        assert_eq!(
            given.iter().collect::<BTreeSet<_>>().len(),
            given.len(),
            "a UID given twice"
        );
        for deeds in &all {
            let theirs = deeds.given.get(&id).map_or(&[][..], |uids| &uids[..]);
            assert!(
                theirs.windows(2).all(|pair| pair[0] < pair[1]),
                "UIDs go back"
            );
        }
        assert!(given.iter().max() < opened.mailbox.uid_next.as_ref());
        // Who starts now and who followed know the same.
        let mut late = Follower::default();
        late.follow(&session, id).await;
        let truth = messages
            .iter()
            .map(|m| (m.uid, (m.modseq, m.flags.clone())));
        let truth: BTreeMap<_, _> = truth.collect();
        assert_eq!(late.messages, truth, "replaying the log of {text}");
        assert_eq!(late.through, opened.mailbox.modseq);
        texts.extend(messages.iter().filter_map(|m| m.octets.clone()));
    }
    for follower in followers {
        let (mailbox, follower) = follower.await.expect("a follower");
        let mut late = Follower::default();
        late.follow(&session, mailbox).await;
        assert_eq!(follower.messages, late.messages, "following the log");
    }
    // Every message is in one place, save those that were expunged.
    let brought: BTreeSet<Vec<u8>> = all
        .iter()
        .flat_map(|deeds| &deeds.letters)
        .map(|text| letter(text))
        .collect();
    let there: BTreeSet<Vec<u8>> = texts.iter().map(|octets| octets.to_vec()).collect();
    let expunged: u32 = all.iter().map(|deeds| deeds.expunged).sum();
    assert_eq!(there.len(), texts.len(), "a message is there twice");
    assert!(there.is_subset(&brought));
    assert_eq!(
        texts.len() + expunged as usize,
        brought.len(),
        "a message is lost"
    );
    // A change of flags and what vanished have MODSEQs of their own.
    let modseqs: Vec<_> = all.iter().flat_map(|deeds| &deeds.modseqs).collect();
    assert_eq!(modseqs.iter().collect::<BTreeSet<_>>().len(), modseqs.len());
}

/// No flag that a task was told to be set is lost.
fn check_flags(all: &[Deeds], inbox: bool, messages: &[Message]) {
    for (number, deeds) in all.iter().enumerate().filter(|_| inbox) {
        let keyword = op_flags(&[format!("task{number}")]).keywords;
        for message in messages.iter().filter(|m| deeds.marked.contains(m.uid)) {
            let kept = keyword.is_subset(&message.flags.keywords);
            assert!(
                kept,
                "task {number} marked {:?}, which lost it",
                message.uid
            );
        }
    }
}

#[test]
fn many_tasks_at_one_mailbox_lose_no_message_flag_or_number() {
    on_each_kind(many_tasks);
}

fn many_tasks() {
    let mut store = Sql::new();
    let account = store.add("alice", &["a@example.org"], None);
    let session = Session {
        store: store.store(),
        account,
    };
    store.run(everything(session));
    store.close();
}
