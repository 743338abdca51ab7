//! Those who work for a store: each holds a connection and takes jobs from a queue.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dbmail_core::store::{Refusal, Reply};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::db::{Db, refusal};
use crate::driver::{AnyConnection, Connection, Queue, block_on};
use crate::engine::{Link, LinkBatch, LinkKind, sweep};
use crate::shared::Shared;
use crate::store::Inner;
use crate::{OpenError, news};

/// Messages linked in one transaction at most (STORAGE 2).
const BATCH_LINKS_MAX: usize = 32;
/// Octets of messages linked in one transaction at most.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(crate) type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;
/// Something to be done on a connection.
pub(crate) type Job = Box<dyn for<'a> FnOnce(&'a mut Db<AnyConnection>) -> Future<'a, ()> + Send>;

/// Those who work for a store.
#[derive(Default)]
pub(crate) struct Workers {
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Something for a connection that writes.
pub(crate) enum Write {
    /// A message, linked with others that wait.
    Link(Box<Link>, oneshot::Sender<Reply>),
    /// Anything else, in a transaction of its own.
    Other(Job),
}

impl Workers {
    /// Starts one: a thread for a database whose calls block, a task otherwise.
    pub(crate) fn start<F>(
        &mut self,
        name: &str,
        db: Db<AnyConnection>,
        work: impl FnOnce(Db<AnyConnection>) -> F + Send + 'static,
    ) -> Result<(), OpenError>
    where
        F: std::future::Future<Output = ()> + Send + 'static,
    {
        if !db.blocks() {
            self.tasks.push(tokio::spawn(work(db)));
            return Ok(());
        }
        let builder = std::thread::Builder::new().name(name.to_owned());
        let thread = builder.spawn(move || block_on(work(db)));
        let thread = thread.map_err(|error| OpenError::Unreachable(error.to_string()))?;
        self.threads.push(thread);
        Ok(())
    }
}

/// Runs a job to its end. One that breaks off by a fault of the program ends alone: who asked hears that nothing is known of
/// it, what it had begun is rolled back, and the worker goes on.
async fn contained(
    db: &mut Db<AnyConnection>,
    job: impl for<'a> FnOnce(&'a mut Db<AnyConnection>) -> Future<'a, ()>,
) {
    let done = AssertUnwindSafe(async { job(&mut *db).await });
    if done.catch_unwind().await.is_err() {
        db.broke_off().await;
    }
}

/// Counts a connection that writes, while it is at work.
pub(crate) struct Writing(Arc<Shared>);

impl Writing {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.writing.send_modify(|count| *count += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writing.send_modify(|count| *count -= 1);
    }
}

/// Answers questions, one after another.
pub(crate) async fn read_loop(mut db: Db<AnyConnection>, queue: Arc<Queue<Job>>, worker: u64) {
    while let Some((owner, job)) = queue.pop(worker).await {
        contained(&mut db, job).await;
        queue.done(owner);
    }
}

/// One who writes: the committer of STORAGE 2.
pub(crate) async fn write_loop(
    mut db: Db<AnyConnection>,
    queue: Arc<Queue<Write>>,
    worker: u64,
    writing: Writing,
    leaves_last: bool,
) {
    while let Some((owner, first)) = queue.pop(worker).await {
        match first {
            Write::Other(job) => contained(&mut db, job).await,
            Write::Link(link, reply) => {
                let mut octets = link.message.size;
                let mut count = 1;
                let more = queue.pop_while(|next| {
                    let Write::Link(next, _) = next else {
                        return false;
                    };
                    octets = octets.saturating_add(next.message.size);
                    count += 1;
                    count <= BATCH_LINKS_MAX && octets <= BATCH_BYTES_MAX
                });
                let (mut links, mut replies) = (vec![*link], vec![reply]);
                for next in more {
                    if let Write::Link(link, reply) = next {
                        links.push(*link);
                        replies.push(reply);
                    }
                }
                let job: Job = Box::new(move |db| {
                    Box::pin(async move { link_all(db, &links, replies).await })
                });
                contained(&mut db, job).await;
            }
        }
        queue.done(owner);
    }
    drop(writing);
    if leaves_last {
        news::leave(&mut db).await;
    }
    db.connection().leave().await;
}

/// Links a batch; when it fails, each by itself, so that none fails for another's sake.
pub(crate) async fn link_all<C: Connection>(
    db: &mut Db<C>,
    links: &[Link],
    replies: Vec<oneshot::Sender<Reply>>,
) {
    let delivers = |link: &Link| matches!(link.kind, LinkKind::Deliver { .. });
    let name = if links.iter().any(delivers) {
        "deliver"
    } else {
        "append"
    };
    db.serves(name);
    let all = db.transact(&LinkBatch::new(links)).await;
    db.shared.tally.batches.fetch_add(1, Ordering::Relaxed);
    let answers: Vec<Reply> = match all {
        Ok(answers) => answers,
        Err(error) if links.len() == 1 => vec![Err(refusal(error))],
        Err(error) => {
            tracing::debug!(?error, "a batch failed; each message by itself");
            let mut answers = Vec::with_capacity(links.len());
            for link in links {
                let one = db
                    .transact(&LinkBatch::new(std::slice::from_ref(link)))
                    .await;
                let answer = one.map_err(refusal);
                answers.push(
                    answer.and_then(|mut all| all.pop().unwrap_or(Err(Refusal::Unavailable))),
                );
            }
            answers
        }
    };
    let statements = db.take_statements();
    db.shared.tally.spent(name, statements);
    for (reply, answer) in replies.into_iter().zip(answers) {
        // Who asked may be gone; it is done all the same.
        let _ = reply.send(answer);
    }
}

/// Beside the running service: hears of other processes' changes, and sweeps.
pub(crate) async fn beside(store: Weak<Inner>, background: Duration, poll: Duration) {
    let mut swept = Instant::now();
    loop {
        tokio::time::sleep(poll).await;
        let Some(inner) = store.upgrade() else { return };
        let sweeps = !background.is_zero() && swept.elapsed() >= background;
        if sweeps {
            swept = Instant::now();
        }
        // On a server, news tell what others changed.
        let looks = inner.committers.is_empty() && !inner.shared.hub.is_empty();
        if !sweeps && !looks {
            continue;
        }
        let job: Job = Box::new(move |db| Box::pin(look_around(db, looks, sweeps)));
        if inner.writer.push(Write::Other(job)).is_err() {
            return;
        }
    }
}

async fn look_around<C: Connection>(db: &mut Db<C>, looks: bool, sweeps: bool) {
    // On the connection that writes the number moves only when somebody else has written.
    match db.connection().foreign_version().await {
        Ok(version) => {
            if looks && db.shared.foreign_version.swap(version, Ordering::Relaxed) != version {
                db.shared.hub.all_changed();
            }
        }
        Err(error) => tracing::warn!(%error, "could not look for other processes' changes"),
    }
    if sweeps {
        db.serves("background");
        match sweep(db).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "background work removed what nobody needs"),
            Err(error) => tracing::warn!(?error, "background work broke off; the next run goes on"),
        }
        let statements = db.take_statements();
        db.shared.tally.spent("background", statements);
    }
}
