//! [`Enqueue`].

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;

use crate::{
    event::{EventId, InboxId, ThreadId, weight},
    seam::{DedupeKey, HandlerError, Outcome, OutcomeFuture, TraceContext, VerifiedEvent, within},
    telemetry::queue as telemetry,
};

use super::{
    entry::NewEntry, error::QueueError, lane::Lane, store::QueueStore, text, worker::Worker,
};

/// Takes events over: a service that answers once they are written down for good.
///
/// Whatever it answers with [`Outcome::Queued`] has been committed and flushed to the disk; with
/// [`Outcome::Duplicate`], it had been before. Where the store cannot be written in time, the error
/// is [`Unavailable`](crate::HandlerErrorKind::Unavailable), which an
/// [`Endpoint`](crate::Endpoint) answers with 503, so that the event comes again. Its future may be
/// dropped at any time: the event is then in the queue, or it is not.
///
/// Clones share the store.
#[derive(Clone)]
pub struct Enqueue<St> {
    store: St,
    lane: Lane,
    key: DedupeKey,
    timeout: Duration,
}

impl<St: QueueStore> Enqueue<St> {
    /// Takes events over into this store.
    pub fn new(store: St) -> Self {
        Self { store, lane: Lane::Thread, key: DedupeKey::EventId, timeout: Duration::from_secs(5) }
    }

    /// Which events wait for each other. Default: [`Lane::Thread`].
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// By what two deliveries are told to be of the same event. Default: by inbox and `event_id`; an event
    /// without one is always new.
    #[must_use]
    pub fn key(mut self, key: DedupeKey) -> Self {
        self.key = key;
        self
    }

    /// How long to wait for the store. Default: 5 s; OpenMail hangs up after 15 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The store.
    pub fn store(&self) -> &St {
        &self.store
    }

    /// A worker that runs the events of this store through `events`.
    pub fn worker<E>(&self, events: E) -> Worker<St, E> {
        Worker::new(self.store.clone(), events)
    }

    fn entry(&self, event: VerifiedEvent) -> NewEntry {
        let body = event.raw_body();
        NewEntry {
            weight: (body.len() + weight(body)) as u64,
            trace_context: event.trace_context().as_ref().map(TraceContext::to_string),
            key: self.key.of(&event).as_deref().map(text::column),
            lane: self.lane.of(&event).as_deref().map(text::column),
            event_id: event.event_id().map(EventId::as_str).map(text::column),
            kind: text::column(event.kind().as_str()),
            inbox_id: event.inbox_id().map(InboxId::as_str).map(text::column),
            thread_id: event.thread_id().map(ThreadId::as_str).map(text::column),
            stored: event.into_stored(),
        }
    }
}

impl<St: QueueStore> Service<VerifiedEvent> for Enqueue<St> {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let (store, limit) = (self.store.clone(), self.timeout);
        let entry = self.entry(event);
        OutcomeFuture::new(async move {
            let begun = Instant::now();
            let new = within(limit, store.enqueue(entry), QueueError::late).await;
            match new.map_err(HandlerError::unavailable)? {
                true => {
                    telemetry::queued(begun.elapsed());
                    Ok(Outcome::Queued)
                }
                false => Ok(Outcome::Duplicate),
            }
        })
    }
}

impl<St: fmt::Debug> fmt::Debug for Enqueue<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue")
            .field("store", &self.store)
            .field("lane", &self.lane)
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish()
    }
}
