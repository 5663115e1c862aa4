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

/// A service that stores events in a queue and responds once they are durable.
///
/// If it returns [`Outcome::Queued`], the event was committed and flushed to disk; if it returns
/// [`Outcome::Duplicate`], the event was already stored by an earlier delivery. If the store fails
/// or does not answer in time, the error is [`Unavailable`](crate::HandlerErrorKind::Unavailable),
/// which an [`Endpoint`](crate::Endpoint) answers with 503, so that OpenMail delivers the event
/// again. The futures of this service may be dropped at any time: the event is then stored
/// completely or not at all.
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
    /// Creates a service that stores events in `store`.
    pub fn new(store: St) -> Self {
        Self { store, lane: Lane::Thread, key: DedupeKey::EventId, timeout: Duration::from_secs(5) }
    }

    /// Sets which events run one at a time, in order of arrival. Default: [`Lane::Thread`].
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Sets how two deliveries are recognised as the same event. Default: [`DedupeKey::EventId`].
    /// An event with neither an `event_id` nor a `message.id` is never a duplicate.
    #[must_use]
    pub fn key(mut self, key: DedupeKey) -> Self {
        self.key = key;
        self
    }

    /// Sets the maximum time to wait for the store. Default: 5 s. OpenMail hangs up after 15 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the store.
    pub fn store(&self) -> &St {
        &self.store
    }

    /// Returns a worker that calls the service `events` with the events of this store.
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
