//! Running store requests: a queue of jobs, taken by workers that hold a connection each and run a whole request in one
//! hop. An embedded database's calls block, so there a worker is a thread ([`block_on`]); elsewhere it is a task.

use std::collections::VecDeque;
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

struct Waiting<T> {
    jobs: VecDeque<T>,
    /// Workers without a job. The last to become idle is the first to work again: its connection's cache is warm.
    idle: Vec<(u64, Waker)>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                jobs: VecDeque::new(),
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
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(job);
        }
        waiting.jobs.push_back(job);
        let idle = waiting.idle.pop();
        drop(waiting);
        if let Some((_, waker)) = idle {
            waker.wake();
        }
        Ok(())
    }

    /// The next job; waits for it. `None` when the queue is closed and empty.
    pub(crate) async fn pop(&self, worker: u64) -> Option<T> {
        poll_fn(|context| {
            let mut waiting = self.lock();
            // Woken for no job, it may still stand among the idle.
            waiting.idle.retain(|(number, _)| *number != worker);
            if let Some(job) = waiting.jobs.pop_front() {
                return Poll::Ready(Some(job));
            }
            if waiting.closed {
                return Poll::Ready(None);
            }
            waiting.idle.push((worker, context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// What waits now, as long as `take` wants it; does not wait.
    pub(crate) fn pop_while(&self, mut take: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        while waiting.jobs.front().is_some_and(&mut take) {
            taken.extend(waiting.jobs.pop_front());
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
            (Some(1), Some(2), None)
        );
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
                while let Some(job) = block_on(queue.pop(worker)) {
                    done.lock().unwrap().push(job);
                }
            })
        };
        let threads: Vec<_> = (0..4).map(|_| work()).collect();
        for n in 0..10_000 {
            queue.push(n).unwrap();
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
