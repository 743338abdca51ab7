//! The uploads of one connection: slices are written in order, one at a time for each upload, and the request that uses
//! it up waits until all are with the store.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dbmail_core::session::Ticket;
use dbmail_core::store::{Refusal, Request, UploadId};

use super::backend::{Backend, Upload};

/// A slice being written: gives the upload back with the outcome.
pub(super) type Writing<B> =
    Pin<Box<dyn Future<Output = (<B as Backend>::Upload, Result<u64, Refusal>)> + Send>>;

/// What comes of a change of an upload's state.
pub(super) enum Step<B: Backend> {
    /// So many octets are with the store.
    Safe(u64),
    /// It can't be stored.
    Failed,
    /// This must run to its end elsewhere, then go to [`Uploads::written`].
    Run(Writing<B>),
    /// Everything is with the store: this request can be asked, with its upload.
    Ready(Ticket, Request, B::Upload),
    /// The request's upload failed.
    Refused(Ticket, Refusal),
}

struct Entry<U> {
    /// Absent while a slice is being written.
    upload: Option<U>,
    waiting: VecDeque<Bytes>,
    safe: u64,
    failed: Option<Refusal>,
    then: Option<(Ticket, Request)>,
}

/// The uploads of one connection.
pub(super) struct Uploads<B: Backend> {
    entries: BTreeMap<UploadId, Entry<B::Upload>>,
}

impl<B: Backend> Uploads<B> {
    pub(super) const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// The next slice.
    pub(super) fn stage(&mut self, backend: &B, id: UploadId, bytes: Bytes) -> Vec<Step<B>> {
        let entry = self.entries.entry(id).or_insert_with(|| Entry {
            upload: Some(backend.upload()),
            waiting: VecDeque::new(),
            safe: 0,
            failed: None,
            then: None,
        });
        if entry.failed.is_none() {
            entry.waiting.push_back(bytes);
        }
        self.advance(id)
    }

    /// Forgets the upload; what was staged goes with it.
    pub(super) fn discard(&mut self, id: UploadId) {
        self.entries.remove(&id);
    }

    /// The request that uses it up. One that was never begun is an empty message.
    pub(super) fn finish(
        &mut self,
        backend: &B,
        id: UploadId,
        ticket: Ticket,
        request: Request,
    ) -> Vec<Step<B>> {
        match self.entries.get_mut(&id) {
            Some(entry) => {
                entry.then = Some((ticket, request));
                self.advance(id)
            }
            None => vec![Step::Ready(ticket, request, backend.upload())],
        }
    }

    /// A slice was written.
    pub(super) fn written(
        &mut self,
        id: UploadId,
        upload: B::Upload,
        outcome: Result<u64, Refusal>,
    ) -> Vec<Step<B>> {
        let mut steps = Vec::new();
        // Discarded meanwhile: the upload is dropped here.
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.settle(upload, outcome, &mut steps);
            steps.append(&mut self.advance(id));
        }
        steps
    }

    /// Does what can be done now.
    fn advance(&mut self, id: UploadId) -> Vec<Step<B>> {
        let mut steps = Vec::new();
        let Some(entry) = self.entries.get_mut(&id) else {
            return steps;
        };
        while entry.failed.is_none()
            && let Some(upload) = entry.upload.take()
        {
            let Some(bytes) = entry.waiting.pop_front() else {
                entry.upload = Some(upload);
                break;
            };
            let mut writing: Writing<B> = Box::pin(write(upload, bytes));
            // A small message stays in memory, so its slices are done at once; that needs no task of its own.
            match writing
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready((upload, outcome)) => entry.settle(upload, outcome, &mut steps),
                Poll::Pending => steps.push(Step::Run(writing)),
            }
        }
        let done = entry.failed.is_some() || (entry.upload.is_some() && entry.waiting.is_empty());
        if done && let Some((ticket, request)) = entry.then.take() {
            let entry = self.entries.remove(&id);
            match entry.map(|entry| (entry.failed, entry.upload)) {
                Some((None, Some(upload))) => steps.push(Step::Ready(ticket, request, upload)),
                Some((Some(refusal), _)) => steps.push(Step::Refused(ticket, refusal)),
                Some((None, None)) | None => steps.push(Step::Refused(ticket, Refusal::Upload)),
            }
        }
        steps
    }
}

impl<U> Entry<U> {
    fn settle<B: Backend<Upload = U>>(
        &mut self,
        upload: U,
        outcome: Result<u64, Refusal>,
        steps: &mut Vec<Step<B>>,
    ) {
        match outcome {
            Ok(octets) => {
                self.safe += octets;
                self.upload = Some(upload);
                steps.push(Step::Safe(self.safe));
            }
            Err(refusal) => {
                // Dropping the upload gives back what it holds.
                drop(upload);
                self.failed = Some(refusal);
                self.waiting = VecDeque::new();
                steps.push(Step::Failed);
            }
        }
    }
}

async fn write<U: Upload>(mut upload: U, bytes: Bytes) -> (U, Result<u64, Refusal>) {
    let octets = bytes.len() as u64;
    let outcome = upload.write(bytes).await.map(|()| octets);
    (upload, outcome)
}
