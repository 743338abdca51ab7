//! Running store requests: a queue of jobs, taken by workers that hold a connection each and run a whole request in one
//! hop. One account's jobs never have all workers of a queue: what is slow for one user does not stop another's. An embedded database's calls block, so there a worker is a thread ([`block_on`]); elsewhere it is a task.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::shared::lock;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Jobs waiting for a worker. Its length is bounded by what feeds it: a session has one request under way at a time.
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    workers: AtomicU64,
}

/// For whom a job is; 0 for nobody in particular, who has no share.
pub(crate) type Owner = i64;

/// Workers of a queue that one owner may have at work, of so many that there are: a quarter, and one at least, is for others.
const fn share(workers: u64) -> u64 {
    let kept = if workers / 4 > 1 { workers / 4 } else { 1 };
    if workers > kept { workers - kept } else { 1 }
}

struct Waiting<T> {
    jobs: VecDeque<(Owner, T)>,
    /// How many jobs of each owner are being done.
    at_work: BTreeMap<Owner, u64>,
    /// Workers without a job. The last to become idle is the first to work again: its connection's cache is warm.
    idle: Vec<(u64, Waker)>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
                at_work: BTreeMap::new(),
                idle: Vec::new(),
                closed: false,
            }),
            workers: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        // A list of jobs is whole whatever its users did.
        lock(&self.waiting)
    }

    /// A number for one who takes jobs.
    pub(crate) fn worker(&self) -> u64 {
        self.workers.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts a job in; gives it back when the queue is closed.
    pub(crate) fn push(&self, job: T) -> Result<(), T> {
        self.push_for(0, job)
    }

    /// The same for somebody.
    pub(crate) fn push_for(&self, owner: Owner, job: T) -> Result<(), T> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(job);
        }
        waiting.jobs.push_back((owner, job));
        let idle = waiting.idle.pop();
        drop(waiting);
        if let Some((_, waker)) = idle {
            waker.wake();
        }
        Ok(())
    }

    /// The next job whose owner has not got a share at work already, and for whom it is; waits for it. `None` when the queue
    /// is closed and empty. Who takes it says when it is [`Self::done`].
    pub(crate) async fn pop(&self, worker: u64) -> Option<(Owner, T)> {
        poll_fn(|context| {
            let share = share(self.workers.load(Ordering::Relaxed));
            let mut waiting = self.lock();
            // Woken for no job, it may still stand among the idle.
            waiting.idle.retain(|(number, _)| *number != worker);
            if let Some(job) = waiting.next(share) {
                return Poll::Ready(Some(job));
            }
            if waiting.closed && waiting.jobs.is_empty() {
                return Poll::Ready(None);
            }
            waiting.idle.push((worker, context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// A job was done, or broke off.
    pub(crate) fn done(&self, owner: Owner) {
        let mut waiting = self.lock();
        if let Some(count) = waiting.at_work.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                waiting.at_work.remove(&owner);
            }
        }
        // What waited for its owner's share may be done now, by somebody who is idle; and who waits for the end may go.
        let idle = match (waiting.closed, waiting.jobs.is_empty()) {
            (true, _) => std::mem::take(&mut waiting.idle),
            (false, false) => waiting.idle.pop().into_iter().collect(),
            (false, true) => Vec::new(),
        };
        drop(waiting);
        for (_, waker) in idle {
            waker.wake();
        }
    }

    /// What waits now, as long as `take` wants it; does not wait. It is part of the job that its taker is at.
    pub(crate) fn pop_while(&self, mut take: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        while waiting.jobs.front().is_some_and(|(_, job)| take(job)) {
            taken.extend(waiting.jobs.pop_front().map(|(_, job)| job));
        }
        taken
    }

    /// Whether new jobs are given back.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes no more jobs; those that wait are still done.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let idle = std::mem::take(&mut waiting.idle);
        drop(waiting);
        for (_, waker) in idle {
            waker.wake();
        }
    }
}

impl<T> Waiting<T> {
    /// The first job that may be done now.
    fn next(&mut self, share: u64) -> Option<(Owner, T)> {
        let busy = |owner: &Owner| {
            *owner != 0 && self.at_work.get(owner).is_some_and(|count| *count >= share)
        };
        let place = self.jobs.iter().position(|(owner, _)| !busy(owner))?;
        let (owner, job) = self.jobs.remove(place)?;
        if owner != 0 {
            *self.at_work.entry(owner).or_default() += 1;
        }
        Some((owner, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_queue_gives_back_new_jobs_and_hands_out_the_old_ones() {
        let queue = Queue::new();
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        queue.close();
        assert_eq!(queue.push(3), Err(3));
        assert_eq!(
            block_on(async { (queue.pop(0).await, queue.pop(0).await, queue.pop(0).await) }),
            (Some((0, 1)), Some((0, 2)), None)
        );
    }

    #[test]
    fn nobody_has_all_workers() {
        let queue = Queue::new();
        let workers: Vec<u64> = (0..4).map(|_| queue.worker()).collect();
        for n in 0..5 {
            queue.push_for(7, n).unwrap();
        }
        queue.push_for(8, 10).unwrap();
        queue.push(11).unwrap();
        let pop = || {
            let pop = std::pin::pin!(queue.pop(workers[0]));
            match pop.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(job) => job,
                Poll::Pending => None,
            }
        };
        let taken: Vec<_> = (0..4).map_while(|_| pop()).collect();
        // Three of four for the first; others are not held up by what waits before them.
        assert_eq!(taken, [(7, 0), (7, 1), (7, 2), (8, 10)]);
        assert_eq!(pop(), Some((0, 11)));
        assert_eq!(pop(), None);
        queue.done(7);
        assert_eq!(pop(), Some((7, 3)));
        // Closed, it still hands out what waits for its turn.
        queue.close();
        assert_eq!(pop(), None);
        queue.done(7);
        assert_eq!(pop(), Some((7, 4)));
        for (workers, shares) in [(1, 1), (2, 1), (4, 3), (8, 6), (64, 48)] {
            assert_eq!(share(workers), shares);
        }
    }

    #[test]
    fn only_the_jobs_wanted_are_taken_from_the_front() {
        let queue = Queue::new();
        for n in [1, 3, 4, 5] {
            queue.push(n).unwrap();
        }
        assert_eq!(queue.pop_while(|n| n % 2 == 1), vec![1, 3]);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn every_job_is_done_once_by_some_thread() {
        let (queue, done) = (Arc::new(Queue::new()), Arc::new(Mutex::new(Vec::new())));
        let work = || {
            let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
            std::thread::spawn(move || {
                let worker = queue.worker();
                while let Some((owner, job)) = block_on(queue.pop(worker)) {
                    done.lock().unwrap().push(job);
                    queue.done(owner);
                }
            })
        };
        let threads: Vec<_> = (0..4).map(|_| work()).collect();
        for n in 0..10_000 {
            queue.push_for(n % 3, n).unwrap();
        }
        queue.close();
        for thread in threads {
            thread.join().unwrap();
        }
        let mut done = done.lock().unwrap().clone();
        done.sort_unstable();
        assert_eq!(done, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_future_that_is_woken_from_another_thread_ends() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        thread.join().unwrap().unwrap();
    }
}
