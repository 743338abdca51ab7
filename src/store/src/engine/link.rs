//! Linking: messages become visible (STORAGE 1, 2). A batch of APPENDs and deliveries is one transaction with set-wise
//! statements: one advance of each counter row, one change in each log, whatever the number of messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use dbmail_core::store::{
    AccountId, Flags, InternalDate, MailboxId, MailboxName, ModSeq, Outcome, Recipient, Refusal,
    Reply, SystemFlags, Timestamp, UidSet,
};

use super::copy::{NO_UIDS, Target};
use super::flags::TOO_MANY_KEYWORDS;
use super::linking::{Linking, State, identity, placed};
use super::log::{Entry, Logged};
use super::name_key;
use crate::content::{Body, Prepared};
use crate::db::{Db, Error, Work};
use crate::driver::{Connection, Value, values};
use crate::pages::laid_out;
use crate::shared::{Kind, lock};
use crate::sql::Sql;

/// The `coding` of a segment whose octets are those of its part.
const AS_IT_IS: i64 = 0;
/// A part's `last_seen` is written again when it is older than this, in µs: a day (STORAGE 17).
const SEEN_MICROSECONDS: i64 = 24 * 3_600_000_000;

/// A message to be linked.
pub(crate) struct Link {
    pub(crate) message: Prepared,
    pub(crate) kind: LinkKind,
}

/// What for.
pub(crate) enum LinkKind {
    Append {
        account: AccountId,
        name: MailboxName,
        flags: Flags,
        date: Option<InternalDate>,
    },
    Deliver {
        reverse_path: Bytes,
        received: Timestamp,
        recipients: Vec<Recipient>,
    },
}

/// Messages that are linked in one transaction.
pub(crate) struct LinkBatch<'a> {
    links: &'a [Link],
    /// Those that a run of the transaction found to have no place, by link and recipient: it is rolled back and run again
    /// without them. Grows with each run, so there are at most as many runs as recipients.
    refused: Mutex<BTreeMap<(usize, usize), Refusal>>,
    /// A run found the identity of one of the deliveries there: the next looks at the identities before it writes anything.
    repeats: AtomicBool,
}

impl<'a> LinkBatch<'a> {
    pub(crate) fn new(links: &'a [Link]) -> Self {
        Self {
            links,
            refused: Mutex::default(),
            repeats: AtomicBool::new(false),
        }
    }
}

impl Work for LinkBatch<'_> {
    type Done = Vec<Reply>;

    async fn run<C: Connection>(&self, db: &mut Db<C>) -> Result<Vec<Reply>, Error> {
        let now = db.now();
        let mut linking = Linking {
            links: self.links,
            arrivals: Vec::new(),
            replies: vec![None; self.links.len()],
            outcomes: BTreeMap::new(),
            absent: Vec::new(),
            now,
            refused: &self.refused,
        };
        db.take_uploads(&mut linking).await?;
        db.find_targets(&mut linking).await?;
        linking.leave_out();
        // Repeats are rare, and each way to the database and back counts: identities and contents go together, and where an
        // identity was there, it is all done again with a look first.
        let identities = if self.repeats.load(Ordering::Relaxed) {
            db.identify(&mut linking).await?;
            Vec::new()
        } else {
            linking.identities()
        };
        // What nobody can know of yet is written before the counter rows are locked, and the roots, the hottest rows, are
        // locked last (docs/design/schema.md).
        let Some(contents) = db.write_contents(&linking, identities).await? else {
            self.repeats.store(true, Ordering::Relaxed);
            return Err(Error::Again);
        };
        let arrived = db.arrive(&mut linking).await?;
        db.write_messages(&mut linking, &arrived, &contents).await?;
        Ok(linking.replies(&db.shared.tally))
    }
}

/// The parts of the messages of a transaction.
struct Parts {
    /// Their ids, by hash.
    ids: BTreeMap<[u8; 32], i64>,
    /// Rows of those that are new.
    rows: Vec<Vec<Value>>,
    /// Rows of their chunks.
    chunks: Vec<Vec<Value>>,
    /// Those that were there, and not seen for a day.
    seen: Vec<i64>,
}

/// What came into one mailbox.
struct Arrived {
    mailbox: MailboxId,
    modseq: ModSeq,
    /// Places in the list of arrivals, in order of UID.
    places: Vec<usize>,
}

impl<C: Connection> Db<C> {
    /// A staged message's upload is taken away, and only while its lease runs.
    async fn take_uploads(&mut self, linking: &mut Linking<'_>) -> Result<(), Error> {
        for (link, reply) in linking.links.iter().zip(&mut linking.replies) {
            let Some(upload) = link.message.upload else {
                continue;
            };
            let taken = self
                .execute(Sql::UploadLink, &values![upload, linking.now.0])
                .await?;
            if taken == 0 {
                *reply = Some(Refusal::Upload);
            }
        }
        Ok(())
    }

    /// Where each message goes.
    async fn find_targets<'a>(&mut self, linking: &mut Linking<'a>) -> Result<(), Error> {
        // With whether it is a delivery: that goes to INBOX where an APPEND finds no mailbox, and not to a disabled account.
        let mut known: BTreeMap<(AccountId, &MailboxName, bool), Result<Target, Outcome>> =
            BTreeMap::new();
        let links: &'a [Link] = linking.links;
        let now = linking.now;
        for (place, link) in links.iter().enumerate() {
            if linking.replies.get(place).is_some_and(Option::is_some) {
                continue;
            }
            match &link.kind {
                LinkKind::Append {
                    account,
                    name,
                    flags,
                    date,
                } => {
                    let target = match known.get(&(*account, name, false)) {
                        Some(target) => target.clone(),
                        None => self.delivery_target(*account, name, false).await?,
                    };
                    known.insert((*account, name, false), target.clone());
                    match target {
                        Ok(target) => {
                            linking.add(place, 0, target, flags, &Bytes::new(), *date, None)
                        }
                        Err(_) => linking.refuse(place, Refusal::NoSuchMailbox),
                    }
                }
                LinkKind::Deliver {
                    reverse_path,
                    received,
                    recipients,
                } => {
                    let date = Some(InternalDate {
                        at: *received,
                        zone_minutes: 0,
                    });
                    for (index, to) in recipients.iter().enumerate() {
                        let key = (to.account, &to.mailbox, true);
                        let target = match known.get(&key) {
                            Some(target) => target.clone(),
                            None => self.delivery_target(to.account, &to.mailbox, true).await?,
                        };
                        known.insert(key, target.clone());
                        match target {
                            Ok(target) => {
                                let identity =
                                    self.identity(&to.address, reverse_path, &link.message);
                                let prefix = &to.prefix;
                                let flags = &to.flags;
                                linking.add(
                                    place,
                                    index,
                                    target,
                                    flags,
                                    prefix,
                                    date,
                                    Some(identity),
                                );
                            }
                            Err(outcome) => {
                                // What was delivered before, was: whatever became of the account since.
                                let identity =
                                    self.identity(&to.address, reverse_path, &link.message);
                                let seconds = self.window(&link.message);
                                let known = self.delivered(identity, now, seconds).await?;
                                let outcome = match known {
                                    State::Repeated(mailbox, uid) => {
                                        self.shared.tally.repeats.fetch_add(1, Ordering::Relaxed);
                                        placed(mailbox, uid, true)
                                    }
                                    State::Coming
                                    | State::RepeatOf(_)
                                    | State::Stored(_)
                                    | State::Refused(_) => outcome,
                                };
                                linking.absent.push((place, index, identity));
                                linking.outcomes.insert((place, index), outcome);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The mailbox of that name; for a delivery INBOX when there is none, and only of an account that gets mail.
    async fn delivery_target(
        &mut self,
        account: AccountId,
        name: &MailboxName,
        delivers: bool,
    ) -> Result<Result<Target, Outcome>, Error> {
        let values = values![account.0, name_key(name)];
        let mut rows = self.query(Sql::MailboxTarget, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(Err(Outcome::Unknown));
        };
        if delivers && row.int(0)? == 0 {
            return Ok(Err(Outcome::Disabled));
        }
        let target = if row.int_or_none(1)?.is_some() {
            Some(Target {
                mailbox: MailboxId(row.int(1)?),
                validity: dbmail_core::store::UidValidity(row.u32(2)?),
                quota_root: row.int(3)?,
            })
        } else if delivers {
            self.target(account, &MailboxName::inbox()).await?
        } else {
            None
        };
        Ok(target.ok_or(Outcome::Unavailable))
    }

    /// Inserts the identities of deliveries. Who finds his own there already repeats an earlier delivery (STORAGE 8).
    async fn identify(&mut self, linking: &mut Linking<'_>) -> Result<(), Error> {
        let now = linking.now;
        let rows = linking.identities();
        let count = rows.len() as u64;
        if self.many(Sql::DeliveryInsert, rows).await? == count {
            return Ok(());
        }
        let order = linking.by_identity();
        // Some were there. A row of a delivery that is done names its mailbox; one without is ours, of a moment ago.
        let mut before = None;
        for (identity, place) in order {
            let again = before.replace(identity) == Some(identity);
            let seconds = linking
                .message(place)
                .map_or(0, |message| self.window(message));
            let mut state = self.delivered(identity, now, seconds).await?;
            if state == State::RepeatOf(identity) && !again {
                continue;
            }
            if again {
                // The same delivery twice in this batch: the second has the first's outcome.
                state = match state {
                    State::Repeated(..) => state,
                    State::Coming | State::RepeatOf(_) | State::Stored(_) | State::Refused(_) => {
                        State::RepeatOf(identity)
                    }
                };
            } else if state == State::Coming {
                // Out of its window: it counts as new.
                self.execute(Sql::DeliveryRenew, &values![identity, now.0])
                    .await?;
            }
            linking.set(place, state);
        }
        Ok(())
    }

    /// How long a delivery of this message is remembered; 0: it is not.
    fn window(&self, message: &Prepared) -> u64 {
        let window = self.shared.repeat_window_seconds;
        if message.received {
            window
        } else {
            window.min(self.shared.repeat_window_bare_seconds)
        }
    }

    /// By what a repeat of a delivery to an address is recognised; one that is not remembered is like no other.
    fn identity(&self, address: &[u8], reverse_path: &[u8], message: &Prepared) -> [u8; 32] {
        let identity = identity(address, reverse_path, message);
        if self.window(message) > 0 {
            return identity;
        }
        let mut once = blake3::Hasher::new();
        once.update(&identity);
        for _ in 0..4 {
            once.update(&self.shared.draw().to_le_bytes());
        }
        *once.finalize().as_bytes()
    }

    /// What is known of an identity: `Repeated`, `RepeatOf` when it was inserted a moment ago by this very batch, or `Coming`
    /// when there is none that still counts.
    async fn delivered(
        &mut self,
        identity: [u8; 32],
        now: Timestamp,
        window_seconds: u64,
    ) -> Result<State, Error> {
        let mut rows = self.query(Sql::DeliveryOutcome, &values![identity]).await?;
        let Some(row) = rows.first() else {
            return Ok(State::Coming);
        };
        let (Some(mailbox), Some(_)) = (row.int_or_none(0)?, row.int_or_none(1)?) else {
            return Ok(State::RepeatOf(identity));
        };
        let counts = now < Timestamp(row.int(2)?).plus_seconds(window_seconds);
        Ok(if counts {
            State::Repeated(MailboxId(mailbox), row.u32(1)?)
        } else {
            State::Coming
        })
    }

    /// Finds which of the messages that have no room together fit one by one, in order; the transaction then runs again
    /// without the others.
    async fn find_room(&mut self, linking: &Linking<'_>, root: i64) -> Result<(), Error> {
        let mut over = false;
        for arrival in linking.stored() {
            if arrival.target.quota_root != root {
                continue;
            }
            let one = values![root, arrival.size, 1u32];
            if self.execute(Sql::QuotaCharge, &one).await? == 0 {
                linking.refuse_arrival(arrival, Refusal::OverQuota);
                over = true;
            }
        }
        if over { Err(Error::Again) } else { Ok(()) }
    }

    /// Takes UIDs and MODSEQ from each mailbox's counter row.
    async fn arrive(&mut self, linking: &mut Linking<'_>) -> Result<Vec<Arrived>, Error> {
        let mut mailboxes: BTreeMap<MailboxId, Vec<usize>> = BTreeMap::new();
        for (place, arrival) in linking.coming() {
            mailboxes
                .entry(arrival.target.mailbox)
                .or_default()
                .push(place);
        }
        let mut all = Vec::with_capacity(mailboxes.len());
        for (mailbox, places) in mailboxes {
            let places = self.learn_keywords(linking, mailbox, places).await?;
            let (mut unseen, mut deleted, mut octets) = (0u32, 0u32, 0u64);
            for arrival in places
                .iter()
                .filter_map(|place| linking.arrivals.get(*place))
            {
                unseen += u32::from(!arrival.flags.system.contains(SystemFlags::SEEN));
                deleted += u32::from(arrival.flags.system.contains(SystemFlags::DELETED));
                octets += arrival.size;
            }
            if places.is_empty() {
                continue;
            }
            let count = places.len() as u64;
            let values = values![mailbox.0, count, unseen, deleted, octets];
            let mut rows = self.query(Sql::StateArrived, &values).await?;
            let Some(row) = rows.first() else {
                // The mailbox went, or has not so many UIDs left. That is for each to hear alone.
                if linking.links.len() > 1 {
                    return Err(Error::Split);
                }
                for arrival in places.iter().filter_map(|p| linking.arrivals.get(*p)) {
                    linking.refuse_arrival(arrival, NO_UIDS);
                }
                return Err(Error::Again);
            };
            let modseq = ModSeq(row.u64(1)?);
            let next = row.u64(0)?.saturating_sub(count);
            for (uid, place) in (next..).zip(&places) {
                linking.set(
                    *place,
                    State::Stored(u32::try_from(uid).unwrap_or(u32::MAX)),
                );
            }
            all.push(Arrived {
                mailbox,
                modseq,
                places,
            });
        }
        Ok(all)
    }

    /// Learns the keywords of messages for a mailbox. An APPEND with one too many is refused; of a delivery it is left off,
    /// for the mail matters more. Those that still come.
    async fn learn_keywords(
        &mut self,
        linking: &mut Linking<'_>,
        mailbox: MailboxId,
        places: Vec<usize>,
    ) -> Result<Vec<usize>, Error> {
        let named = |place: &usize| {
            linking
                .arrivals
                .get(*place)
                .is_some_and(|a| !a.flags.keywords.is_empty())
        };
        if !places.iter().any(named) {
            return Ok(places);
        }
        if self.query(Sql::StateLock, &values![mailbox.0]).await?.len() == 0 {
            return Ok(places);
        }
        let mut known = self.keywords(mailbox).await?;
        let mut refused = false;
        for place in &places {
            let place = *place;
            let Some(arrival) = linking.arrivals.get_mut(place) else {
                continue;
            };
            let appended = arrival.identity.is_none();
            let wanted = &arrival.flags.keywords;
            let new = wanted.iter().filter(|k| known.number(k).is_none()).count();
            if appended && !known.has_room(new) {
                let (key, refusal) = ((arrival.link, arrival.recipient), TOO_MANY_KEYWORDS);
                lock(linking.refused).insert(key, refusal);
                refused = true;
                continue;
            }
            arrival.keywords = wanted.iter().filter_map(|k| known.learn(k)).collect();
        }
        if refused {
            return Err(Error::Again);
        }
        self.add_keywords_to(mailbox, &mut known).await?;
        Ok(places)
    }

    /// Writes identities, contents and parts; the contents' ids by link, and none when an identity was there already.
    async fn write_contents(
        &mut self,
        linking: &Linking<'_>,
        identities: Vec<Vec<Value>>,
    ) -> Result<Option<BTreeMap<usize, i64>>, Error> {
        let links: BTreeSet<usize> = linking.coming().map(|(_, a)| a.link).collect();
        if links.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        let Parts {
            ids: parts,
            rows: part_rows,
            chunks,
            seen,
        } = self.find_parts(linking, &links).await?;
        let first = self.ids(
            Kind::Content,
            u32::try_from(links.len()).unwrap_or(u32::MAX),
        )?;
        let ids: BTreeMap<usize, i64> = links.into_iter().zip(first..).collect();
        let (mut contents, mut segments) = (Vec::new(), Vec::new());
        for (link, id) in &ids {
            let Some(link) = linking.links.get(*link) else {
                continue;
            };
            let message = &link.message;
            contents.push(
                values![
                    *id,
                    message.size,
                    message.header_size,
                    message.hash,
                    message.envelope.clone(),
                    message.structure.clone(),
                    message.head.clone()
                ]
                .into(),
            );
            for (ordinal, segment) in message.segments.iter().enumerate() {
                let (part, coding, octets) = match &segment.body {
                    Body::Inline(packing, octets) => (None, *packing, octets.clone()),
                    Body::Stored(part) => (Some(*part), AS_IT_IS, Bytes::new()),
                    Body::Part(part) => (parts.get(&part.hash).copied(), AS_IT_IS, Bytes::new()),
                };
                let (start, size) = (segment.start, segment.size);
                let row = values![*id, ordinal as u64, start, size, part, coding, octets];
                segments.push(row.into());
            }
        }
        let count = identities.len() as u64;
        let [new, ..] = self
            .together([
                (Sql::DeliveryInsert, identities),
                (Sql::PartInsert, part_rows),
                (Sql::ChunkInsert, chunks),
                (Sql::ContentInsert, contents),
                (Sql::SegmentInsert, segments),
            ])
            .await?;
        if new != count {
            return Ok(None);
        }
        for part in seen {
            self.execute(Sql::PartSeen, &values![part, linking.now.0])
                .await?;
        }
        Ok(Some(ids))
    }

    /// Writes messages and logs, and the outcomes; and charges the owners.
    async fn write_messages(
        &mut self,
        linking: &mut Linking<'_>,
        arrived: &[Arrived],
        contents: &BTreeMap<usize, i64>,
    ) -> Result<(), Error> {
        let outcomes = linking.settle();
        let count = arrived.iter().map(|a| a.places.len()).sum::<usize>();
        if count == 0 {
            self.many(Sql::DeliveryForget, outcomes.forgotten).await?;
            return Ok(());
        }
        let mut email = self.ids(Kind::Email, u32::try_from(count).unwrap_or(u32::MAX))?;
        let (mut emails, mut messages, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut logs = Vec::with_capacity(arrived.len());
        for Arrived {
            mailbox,
            modseq,
            places,
        } in arrived
        {
            let mut entries: BTreeMap<Entry, Vec<u32>> = BTreeMap::new();
            for arrival in places
                .iter()
                .filter_map(|place| linking.arrivals.get(*place))
            {
                let State::Stored(uid) = arrival.state else {
                    continue;
                };
                let Some(content) = contents.get(&arrival.link) else {
                    continue;
                };
                let system = arrival.flags.system;
                emails.push(values![email, *content, arrival.prefix.clone()].into());
                messages.push(
                    values![
                        mailbox.0,
                        uid,
                        modseq.0,
                        i64::from(system.bits()),
                        email,
                        arrival.size,
                        arrival.date.at.0,
                        i64::from(arrival.date.zone_minutes),
                        linking.now.0
                    ]
                    .into(),
                );
                email += 1;
                entries.entry(Entry::Arrived(system)).or_default().push(uid);
                for keyword in &arrival.keywords {
                    marks.push(values![mailbox.0, *keyword, uid].into());
                    entries
                        .entry(Entry::ArrivedWith(*keyword))
                        .or_default()
                        .push(uid);
                }
            }
            let set = |uids: Vec<u32>| UidSet::from_ranges(uids.into_iter().map(|n| n..=n));
            let entries = entries.into_iter().map(|(entry, uids)| (entry, set(uids)));
            logs.push(Logged {
                mailbox: *mailbox,
                modseq: *modseq,
                entries: entries.collect(),
            });
        }
        let logs = self.log_rows(&logs)?;
        let charges = linking.charges();
        let charge =
            |(root, (octets, count)): (&i64, &(u64, u64))| values![*root, *octets, *count].into();
        let mut charged: Vec<Vec<Value>> = charges.iter().map(charge).collect();
        // Several are locked one after another, in order.
        let others = if charged.len() > 1 {
            std::mem::take(&mut charged)
        } else {
            Vec::new()
        };
        let alone = charged.len() as u64;
        let [.., paid] = self
            .together([
                (Sql::EmailInsert, emails),
                (Sql::MessageInsert, messages),
                (Sql::KeywordMarkOne, marks),
                (Sql::LogInsert, logs),
                (Sql::DeliverySettle, outcomes.stored),
                (Sql::DeliveryForget, outcomes.forgotten),
                (Sql::QuotaCharge, charged),
            ])
            .await?;
        if paid < alone
            && let Some(root) = charges.keys().next()
        {
            self.find_room(linking, *root).await?;
        }
        for (root, charge) in charges.keys().zip(others) {
            if self.execute(Sql::QuotaCharge, &charge).await? == 0 {
                self.find_room(linking, *root).await?;
            }
        }
        Ok(())
    }

    /// Finds which of the parts that come with the messages are there, and makes rows of the others, in order of hash
    /// (STORAGE 17).
    async fn find_parts(
        &mut self,
        linking: &Linking<'_>,
        links: &BTreeSet<usize>,
    ) -> Result<Parts, Error> {
        let mut parts = BTreeMap::new();
        for link in links.iter().filter_map(|link| linking.links.get(*link)) {
            for segment in &link.message.segments {
                if let Body::Part(part) = &segment.body {
                    parts.insert(part.hash, part);
                }
            }
        }
        let mut ids = BTreeMap::new();
        let (mut rows, mut chunks, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for (hash, part) in parts {
            if let Some((twin, long_ago)) = self.known_part(hash, part.size).await? {
                ids.insert(hash, twin);
                seen.extend(long_ago.then_some(twin));
                continue;
            }
            let id = self.ids(Kind::Part, 1)?;
            ids.insert(hash, id);
            let packed: u64 = part
                .chunks
                .iter()
                .map(|(_, octets)| octets.len() as u64)
                .sum();
            let now = linking.now.0;
            rows.push(values![id, hash, part.size, packed, 1u32, None::<i64>, now].into());
            for (ordinal, (packing, octets)) in part.chunks.iter().enumerate() {
                let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
                for row in laid_out(self.dialect(), ordinal, octets.clone()) {
                    let values = values![id, row.ordinal, *packing, row.octets, row.tail];
                    chunks.push(values.into());
                }
            }
        }
        Ok(Parts {
            ids,
            rows,
            chunks,
            seen,
        })
    }

    /// A finished part with the same octets. Written on only when it was not seen for a day.
    pub(super) async fn twin(&mut self, hash: [u8; 32], size: u64) -> Result<Option<i64>, Error> {
        let known = self.known_part(hash, size).await?;
        if let Some((id, true)) = known {
            let now = self.now().0;
            self.execute(Sql::PartSeen, &values![id, now]).await?;
        }
        Ok(known.map(|(id, _)| id))
    }

    /// A finished part with the same octets, and whether it was last seen more than a day ago.
    async fn known_part(
        &mut self,
        hash: [u8; 32],
        size: u64,
    ) -> Result<Option<(i64, bool)>, Error> {
        let mut rows = self.query(Sql::PartTwin, &values![hash]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let (id, seen) = (row.int(0)?, row.int(2)?);
        if row.u64(1)? != size {
            return Err(Refusal::Damaged(format!("part {id} has another size")).into());
        }
        let age = self.now().0.saturating_sub(seen);
        Ok(Some((id, age > SEEN_MICROSECONDS)))
    }
}
