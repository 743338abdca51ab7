//! The store as sessions see it: requests in, replies out.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dbmail_core::store::{
    AccountId, Answer, MailboxId, MailboxName, Refusal, Reply, Request, UidSet,
};
use tokio::sync::oneshot;

use crate::content::{Body, Prepared};
use crate::db::{Db, Error, Work, refusal};
use crate::driver::{AnyConnection, Connection, Failure, Owner, Queue};
use crate::engine::{Change, Claim, Known, Link, LinkKind, NextId, Stage, Unstage, WriteMap};
use crate::hub::Watch;
use crate::migrate::Connections;
use crate::pack;
use crate::shared::{Kind, Shared, lock};
use crate::sql::Sql;
use crate::upload::Upload;
use crate::workers::{Future, Job, Workers, Write, Writing, beside, read_loop, write_loop};
use crate::{Applied, OpenError, Settings, migrate, news, purge};

/// Shortest pause between two looks for what other processes changed.
const POLL_MILLISECONDS_MIN: u64 = 10;
/// Chunks hashed in one go when a staged message is proved: a reader is not held up for longer.
const HASH_CHUNKS: u64 = 8;
/// How often a read that met a lock, or lost its connection, is tried again.
const READ_TRIES_MAX: u32 = 5;

/// A store of mail. Clones are the same store.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    /// Changes. On SQLite, which has one writer, messages to be linked too.
    pub(crate) writer: Arc<Queue<Write>>,
    /// Messages to be linked, by mailbox owner: each shard has one committer, so that what comes for one mailbox while a
    /// commit is under way waits and goes in the next (STORAGE 2). Empty on SQLite.
    pub(crate) committers: Vec<Arc<Queue<Write>>>,
    pub(crate) readers: Arc<Queue<Job>>,
    workers: Mutex<Workers>,
}

// --- opening and closing -------------------------------------------------------------------

impl Store {
    /// Opens a store. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the database can't be reached, others may read it, or it has another schema version.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let connections = migrate::open(&settings).await?;
        let bell = connections.bell.clone();
        let background = Duration::from_secs(settings.background_seconds);
        let inner = Arc::new(Inner::start(Shared::new(&settings), connections)?);
        let poll = Duration::from_millis(settings.poll_milliseconds.max(POLL_MILLISECONDS_MIN));
        tokio::spawn(beside(Arc::downgrade(&inner), background, poll));
        if settings.background_seconds > 0 && settings.purge_seconds > 0 {
            let pause = Duration::from_secs(settings.purge_seconds);
            let purging = purge::beside(Arc::downgrade(&inner), settings.retention, pause);
            tokio::spawn(purging);
        }
        if !inner.committers.is_empty() {
            let teller = news::Teller::begin(&inner).await;
            let sweep = Duration::from_millis(settings.news_sweep_milliseconds);
            tokio::spawn(news::tell(Arc::downgrade(&inner), teller));
            tokio::spawn(news::hear(Arc::downgrade(&inner), poll, sweep));
            if let Some(options) = bell {
                tokio::spawn(news::listen(Arc::downgrade(&inner), options));
            }
        }
        Ok(Self(inner))
    }

    /// Applies the migrations that are missing and says which they were; with `plan_only`, says which they would be. Makes the
    /// database, for its owner's eyes only, when there is none.
    ///
    /// # Errors
    /// When the database can't be reached, is not ours, or is newer than this program.
    pub async fn migrate(settings: &Settings, plan_only: bool) -> Result<Vec<Applied>, OpenError> {
        migrate::migrate(settings, plan_only).await
    }

    /// Finishes what is under way and closes the database. What is asked afterwards is refused.
    pub async fn close(&self) {
        self.0.stop();
        let workers = std::mem::take(&mut *lock(&self.0.workers));
        let join = move || {
            let threads = workers.threads.into_iter();
            threads.for_each(|thread| drop(thread.join()));
        };
        if tokio::task::spawn_blocking(join).await.is_err() {
            tracing::error!("a thread of the store broke off");
        }
        for task in workers.tasks {
            if task.await.is_err() {
                tracing::error!("a task of the store broke off");
            }
        }
    }
}

impl Inner {
    fn start(shared: Shared, connections: Connections) -> Result<Self, OpenError> {
        let shared = Arc::new(shared);
        let queue = |_: &AnyConnection| Arc::new(Queue::new());
        let inner = Self {
            shared: Arc::clone(&shared),
            writer: Arc::new(Queue::new()),
            committers: connections.committers.iter().map(queue).collect(),
            readers: Arc::new(Queue::new()),
            workers: Mutex::default(),
        };
        let mut workers = Workers::default();
        for (n, connection) in connections.writers.into_iter().enumerate() {
            let (queue, worker) = (Arc::clone(&inner.writer), inner.writer.worker());
            let writing = Writing::new(&shared);
            let db = Db::new(connection, Arc::clone(&shared));
            // The first one leaves last.
            workers.start("store-writer", db, move |db| async move {
                write_loop(db, queue, worker, writing, n == 0).await;
            })?;
        }
        for (connection, queue) in connections.committers.into_iter().zip(&inner.committers) {
            let (queue, worker) = (Arc::clone(queue), queue.worker());
            let writing = Writing::new(&shared);
            let db = Db::new(connection, Arc::clone(&shared));
            workers.start("store-committer", db, move |db| {
                write_loop(db, queue, worker, writing, false)
            })?;
        }
        for connection in connections.readers {
            let (queue, worker) = (Arc::clone(&inner.readers), inner.readers.worker());
            let db = Db::new(connection, Arc::clone(&shared));
            workers.start("store-reader", db, move |db| read_loop(db, queue, worker))?;
        }
        *lock(&inner.workers) = workers;
        Ok(inner)
    }

    /// The queue of the committer for what comes to an account.
    fn committer(&self, account: AccountId) -> &Queue<Write> {
        let shards = self.committers.len() as u64;
        let shard = account.0.unsigned_abs().checked_rem(shards);
        let queue = shard.and_then(|n| self.committers.get(usize::try_from(n).ok()?));
        queue.unwrap_or(&self.writer)
    }

    /// Whether it takes nothing any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    fn stop(&self) {
        self.writer.close();
        self.committers.iter().for_each(|queue| queue.close());
        self.readers.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

// --- requests ------------------------------------------------------------------------------

impl Store {
    /// Answers a request; once begun it runs to its end even if the returned future is dropped. A request that names an upload
    /// is given it.
    ///
    /// # Errors
    /// The request's refusals, `Unavailable`, `Damaged` and `OutcomeUnknown`.
    pub async fn apply(&self, request: Request, upload: Option<Upload>) -> Reply {
        self.apply_for(None, request, upload).await
    }

    /// The same for a user: of whom some requests at a time are under way, and others' go before the rest.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_for(
        &self,
        who: Option<AccountId>,
        request: Request,
        upload: Option<Upload>,
    ) -> Reply {
        let name = request.name();
        let begun = Instant::now();
        let owner = who.map_or(0, |account| account.0);
        // Boxed: an upload's state would make every caller's future large.
        let reply = Box::pin(self.answer(name, owner, request, upload)).await;
        let failed = matches!(
            reply,
            Err(Refusal::Unavailable | Refusal::Damaged(_) | Refusal::OutcomeUnknown)
        );
        self.0.shared.tally.answered(name, begun.elapsed(), failed);
        reply
    }

    async fn answer(
        &self,
        name: &'static str,
        owner: Owner,
        request: Request,
        upload: Option<Upload>,
    ) -> Reply {
        match request {
            Request::Append {
                account,
                name,
                flags,
                date,
                ..
            } => {
                let kind = LinkKind::Append {
                    account,
                    name,
                    flags,
                    date,
                };
                // Boxed: every request would carry the room that only these need.
                Box::pin(self.link(upload, kind)).await
            }
            Request::Deliver {
                reverse_path,
                received,
                recipients,
                ..
            } => {
                let kind = LinkKind::Deliver {
                    reverse_path,
                    received,
                    recipients,
                };
                // Boxed: every request would carry the room that only these need.
                Box::pin(self.link(upload, kind)).await
            }
            Request::Open {
                account,
                name,
                claim_recent,
            } => self.open_mailbox(owner, account, name, claim_recent).await,
            Request::Resolve { .. }
            | Request::Mailboxes { .. }
            | Request::Status { .. }
            | Request::Changes { .. }
            | Request::Fetch { .. }
            | Request::Read { .. } => {
                self.0
                    .read_for(owner, name, move |db| {
                        Box::pin(async move { read(db, &request).await })
                    })
                    .await
            }
            Request::Create { .. }
            | Request::Delete { .. }
            | Request::Rename { .. }
            | Request::Subscribe { .. }
            | Request::Store { .. }
            | Request::Expunge { .. }
            | Request::Copy { .. }
            | Request::Move { .. } => {
                let done = self.0.transact_for(owner, name, Change(request)).await?;
                done.map_err(refusal)
            }
        }
    }

    async fn link(&self, upload: Option<Upload>, kind: LinkKind) -> Reply {
        let (message, guard) = upload.ok_or(Refusal::Upload)?.finish().await?;
        let (reply, answer) = oneshot::channel();
        let owner = match &kind {
            LinkKind::Append { account, .. } => *account,
            LinkKind::Deliver { recipients, .. } => {
                recipients.first().map_or(AccountId(0), |to| to.account)
            }
        };
        let link = Box::new(Link { message, kind });
        self.0
            .committer(owner)
            .push(Write::Link(link, reply))
            .map_err(|_| Refusal::Unavailable)?;
        let answer = answer.await.map_err(|_| Refusal::OutcomeUnknown)?;
        if answer.is_ok() {
            guard.linked();
        }
        answer
    }

    /// `Request::Open`: read, and then the recent messages claimed, if there are any.
    async fn open_mailbox(
        &self,
        owner: Owner,
        account: AccountId,
        name: MailboxName,
        claims: bool,
    ) -> Reply {
        let reading = self
            .0
            .read_for(owner, "open", move |db| {
                Box::pin(async move {
                    let mut tries = 0;
                    loop {
                        let reading = db.open(account, &name).await;
                        if let Some(reading) = unless_again(db, &mut tries, reading).await? {
                            return Ok(reading);
                        }
                    }
                })
            })
            .await?;
        let mut opened = reading.opened;
        if let Some(known) = reading.map {
            self.write_map(opened.mailbox.id, known);
        }
        if claims && !opened.recent.is_empty() {
            let next_uid = opened
                .mailbox
                .uid_next
                .map_or(1 << 32, |uid| i64::from(uid.number()));
            let mailbox = opened.mailbox.id;
            let claim = Claim {
                mailbox,
                recent_from: reading.recent_from,
                next_uid,
            };
            // Where the claim can't be written, or another was faster, nothing is recent.
            if !self.0.write("open", claim).await.unwrap_or(false) {
                opened.recent = UidSet::new();
            }
            opened.mailbox.recent = 0;
        }
        Ok(Answer::Opened(Box::new(opened)))
    }

    /// Has the map of a mailbox written when a writer is free; nobody waits for it, and losing it costs time alone.
    fn write_map(&self, mailbox: MailboxId, known: Arc<Known>) {
        let work = WriteMap { mailbox, known };
        let job: Job = Box::new(move |db| {
            Box::pin(async move {
                if let Err(error) = db.transact(&work).await {
                    tracing::debug!(?error, "the map of a mailbox was not written");
                }
            })
        });
        // A store that is being closed writes none.
        let _ = self.0.writer.push(Write::Other(job));
    }

    /// Begins an upload: nothing is in the database until it is longer than 256 KiB.
    #[must_use]
    pub fn upload(&self) -> Upload {
        Upload::new(Arc::clone(&self.0))
    }

    /// Watches a mailbox from now on.
    #[must_use]
    pub fn watch(&self, mailbox: MailboxId) -> Watch {
        self.0.shared.hub.watch(mailbox, Arc::clone(&self.0.shared))
    }

    /// Whether the store answers, asked of a connection that reads; and takes what is to be written.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if self.0.writer.is_closed() || self.0.committers.iter().any(|queue| queue.is_closed()) {
            return Err(Refusal::Unavailable);
        }
        self.0
            .read("ready", |db| {
                Box::pin(async move { Ok(db.query(Sql::Alive, &[]).await.map(|_| ())?) })
            })
            .await
    }

    /// Name of this front-end among those that share the database, and the id of its row there; 0 when it has none.
    #[must_use]
    pub fn front_end(&self) -> (&str, i64) {
        let shared = &self.0.shared;
        let id = shared.front_end.load(Ordering::Relaxed);
        (&shared.front_end_name, id)
    }
}

/// Answers a request that only reads; again where that may help.
async fn read<C: Connection>(db: &mut Db<C>, request: &Request) -> Result<Answer, Error> {
    let mut tries = 0;
    loop {
        let answer = match request {
            Request::Resolve { address } => db.resolve(address).await,
            Request::Mailboxes { account } => db.mailboxes(*account).await,
            Request::Status { account, name } => db.status(*account, name).await,
            Request::Changes { mailbox, since } => db.changes(*mailbox, *since).await,
            Request::Fetch {
                mailbox,
                uids,
                items,
            } => db.fetch(*mailbox, uids, *items).await,
            Request::Read {
                content,
                start,
                end,
            } => db.read(*content, *start, *end).await,
            Request::Open { .. }
            | Request::Create { .. }
            | Request::Delete { .. }
            | Request::Rename { .. }
            | Request::Subscribe { .. }
            | Request::Store { .. }
            | Request::Expunge { .. }
            | Request::Copy { .. }
            | Request::Move { .. }
            | Request::Append { .. }
            | Request::Deliver { .. } => return Err(Refusal::Unavailable.into()),
        };
        if let Some(answer) = unless_again(db, &mut tries, answer).await? {
            return Ok(answer);
        }
    }
}

/// The answer to what only reads, or none when it should be asked again: it met a lock, or lost its connection.
async fn unless_again<C: Connection, T>(
    db: &mut Db<C>,
    tries: &mut u32,
    answer: Result<T, Error>,
) -> Result<Option<T>, Error> {
    *tries += 1;
    match answer {
        Err(Error::Failed(Failure::Busy)) if *tries < READ_TRIES_MAX => {}
        Err(Error::Failed(Failure::Lost(_))) if *tries < READ_TRIES_MAX => {
            db.connection().reconnect().await?;
        }
        answer => return answer.map(Some),
    }
    let pause = db.shared.jitter(*tries);
    db.connection().pause(pause).await;
    Ok(None)
}

impl Inner {
    /// Runs a question on a connection that reads.
    pub(crate) async fn read<T, F>(&self, name: &'static str, ask: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Db<AnyConnection>) -> Future<'a, Result<T, Error>>
            + Send
            + 'static,
    {
        self.read_for(0, name, ask).await
    }

    async fn read_for<T, F>(&self, owner: Owner, name: &'static str, ask: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Db<AnyConnection>) -> Future<'a, Result<T, Error>>
            + Send
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            Box::pin(async move {
                db.serves(name);
                let answer = ask(&mut *db).await.map_err(refusal);
                let statements = db.take_statements();
                db.shared.tally.spent(name, statements);
                let _ = reply.send(answer);
            })
        });
        let pushed = self.readers.push_for(owner, job);
        pushed.map_err(|_| Refusal::Unavailable)?;
        answer.await.map_err(|_| Refusal::Unavailable)?
    }

    /// Runs work in a transaction of the connection that writes.
    pub(crate) async fn write<W>(&self, name: &'static str, work: W) -> Result<W::Done, Refusal>
    where
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        self.transact(name, work).await?.map_err(refusal)
    }

    /// The same, for who acts on why it failed.
    pub(crate) async fn transact<W>(
        &self,
        name: &'static str,
        work: W,
    ) -> Result<Result<W::Done, Error>, Refusal>
    where
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        self.transact_for(0, name, work).await
    }

    async fn transact_for<W>(
        &self,
        owner: Owner,
        name: &'static str,
        work: W,
    ) -> Result<Result<W::Done, Error>, Refusal>
    where
        W: Work + Send + 'static,
        W::Done: 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            Box::pin(async move {
                db.serves(name);
                let done = db.transact(&work).await;
                let statements = db.take_statements();
                db.shared.tally.spent(name, statements);
                let _ = reply.send(done);
            })
        });
        self.writer
            .push_for(owner, Write::Other(job))
            .map_err(|_| Refusal::Unavailable)?;
        // A reply that never comes: the job broke off while it ran.
        answer.await.map_err(|_| Refusal::OutcomeUnknown)
    }

    // --- for uploads -----------------------------------------------------------------------

    /// One id.
    pub(crate) async fn id(&self, kind: Kind) -> Result<i64, Refusal> {
        match self.shared.ids.take(kind, 1) {
            Some(id) => Ok(id),
            None => self.write("stage", NextId(kind)).await,
        }
    }

    /// Stores what of an upload is ready; parts that are there already, by the ids that were not needed.
    pub(crate) async fn stage(&self, stage: Stage) -> Result<Vec<(i64, i64)>, Refusal> {
        let staged = self.write("stage", stage).await?;
        if let Some(id) = staged.front_end {
            self.shared.front_end.store(id, Ordering::Relaxed);
        }
        Ok(staged.twins)
    }

    /// Forgets an upload, some time.
    pub(crate) fn forget(&self, unstage: Unstage) {
        let job: Job = Box::new(move |db| {
            Box::pin(async move {
                if let Err(error) = db.transact(&unstage).await {
                    tracing::debug!(?error, "an upload stays until its lease ends");
                }
                let statements = db.take_statements();
                db.shared.tally.spent("stage", statements);
            })
        });
        // Closed: its lease ends some time.
        drop(self.writer.push(Write::Other(job)));
    }

    /// The hash of a staged message put together from what is stored; `None` when it does not go together.
    pub(crate) async fn together(&self, message: &Prepared) -> Result<Option<[u8; 32]>, Refusal> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&message.head);
        let mut at = message.head.len() as u64;
        for segment in &message.segments {
            if segment.start != at || segment.size == 0 {
                return Ok(None);
            }
            let end = at + segment.size;
            match &segment.body {
                Body::Inline(packing, octets) => {
                    let Some(octets) = pack::unpack(*packing, octets.clone()) else {
                        return Ok(None);
                    };
                    hasher.update(&octets);
                }
                Body::Part(_) => return Ok(None),
                Body::Stored(part) => {
                    let (part, mut number, mut more) = (*part, 0, true);
                    while more && hasher.count() < end {
                        (hasher, more) = self
                            .read("stage", move |db| {
                                Box::pin(async move {
                                    let more = db
                                        .hash_chunks(part, number, HASH_CHUNKS, &mut hasher)
                                        .await?;
                                    Ok((hasher, more))
                                })
                            })
                            .await?;
                        number += HASH_CHUNKS;
                    }
                }
            }
            if hasher.count() != end {
                return Ok(None);
            }
            at = end;
        }
        Ok((at == message.size).then(|| *hasher.finalize().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Begin;

    #[tokio::test]
    async fn a_job_that_breaks_off_ends_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = Settings {
            url: format!("sqlite://{}", folder.path().join("mail.db").display()),
            readers: 1,
            ..Settings::default()
        };
        Store::migrate(&settings, false).await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let user = crate::NewUser {
            name: "alice".to_owned(),
            password_hash: None,
            addresses: Vec::new(),
            quota_bytes: None,
        };
        let account = store.user_add(user).await.unwrap();
        let subscribe = Request::Subscribe {
            account,
            name: MailboxName::inbox(),
            subscribed: true,
        };
        let asked = store
            .0
            .read("question", |_| Box::pin(async { panic!("broken off") }));
        let answer: Result<(), Refusal> = asked.await;
        assert_eq!(answer, Err(Refusal::Unavailable));
        assert_eq!(store.ready().await, Ok(()));
        // In the middle of a transaction, which is rolled back; the request behind it is done.
        let breaks: Job = Box::new(|db| {
            Box::pin(async move {
                db.connection().begin(Begin::Write).await.unwrap();
                panic!("broken off")
            })
        });
        assert!(store.0.writer.push(Write::Other(breaks)).is_ok());
        let patience = Duration::from_secs(10);
        let waiting = tokio::time::timeout(patience, store.apply(subscribe, None));
        assert_eq!(waiting.await.unwrap(), Ok(Answer::Done));
        assert_eq!(store.counters().broken_off, 2);
        tokio::time::timeout(patience, store.close()).await.unwrap();
    }
}
