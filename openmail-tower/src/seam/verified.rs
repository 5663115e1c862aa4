//! [`VerifiedEvent`]: the proof that an event came from OpenMail.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Extensions;
use tokio::time::Instant;

use crate::event::{Event, EventId, EventKind, InboxId, InvalidPayload, ThreadId};

use super::trace::TraceContext;

/// An event whose signature holds.
///
/// Only a source of this crate makes one: [`VerifyLayer`](crate::VerifyLayer) from a request,
/// [`from_stored`](Self::from_stored) from what such a source once made. Cheap to clone.
#[derive(Clone)]
pub struct VerifiedEvent {
    inner: Arc<Inner>,
    attempt: Option<u32>,
    arrival: Option<Instant>,
    trace: Option<TraceContext>,
    is_delivery: bool,
    extensions: Extensions,
}

struct Inner {
    event: Event,
    raw: Bytes,
    timestamp: SystemTime,
    signed_for: Option<InboxId>,
}

impl VerifiedEvent {
    /// To be called only with bytes whose signature holds.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn parse(raw: Bytes, timestamp: SystemTime) -> Result<Self, InvalidPayload> {
        Self::parse_for(raw, timestamp, None)
    }

    /// To be called only with bytes whose signature holds; `signed_for` is the inbox whose own
    /// secret verified them. A reservation of memory travels inside `raw`, as the bytes' owner.
    pub(crate) fn parse_for(
        raw: Bytes,
        timestamp: SystemTime,
        signed_for: Option<InboxId>,
    ) -> Result<Self, InvalidPayload> {
        let event = Event::from_slice(&raw)?;
        let attempt = event.attempt();
        let inner = Arc::new(Inner { event, raw, timestamp, signed_for });
        Ok(Self {
            inner,
            attempt,
            arrival: None,
            trace: None,
            is_delivery: false,
            extensions: Extensions::new(),
        })
    }

    /// Says when the request that brought it came in.
    pub(crate) fn with_arrival(mut self, arrival: Instant) -> Self {
        self.arrival = Some(arrival);
        self
    }

    /// When the request that brought it came in: the answer's deadline counts from then.
    pub(crate) fn arrival(&self) -> Option<Instant> {
        self.arrival
    }

    /// Says that a webhook's answer waits for it, and nothing has begun to handle it.
    pub(crate) fn into_delivery(mut self) -> Self {
        self.is_delivery = true;
        self
    }

    /// Says that a run of it begins. Returns whether this is the run of a delivery, which nothing
    /// has observed yet; a worker observes its own.
    pub(crate) fn begin_run(&mut self) -> bool {
        std::mem::take(&mut self.is_delivery)
    }

    /// The event and its payload.
    pub fn event(&self) -> &Event {
        &self.inner.event
    }

    /// The body as it was signed, to the byte.
    pub fn raw_body(&self) -> &Bytes {
        &self.inner.raw
    }

    /// The signed time at which this delivery was sent.
    pub fn timestamp(&self) -> SystemTime {
        self.inner.timestamp
    }

    /// The event's name.
    pub fn kind(&self) -> EventKind {
        self.event().kind()
    }

    /// The signed id, the same in every delivery: what to deduplicate by.
    pub fn event_id(&self) -> Option<&EventId> {
        self.event().event_id()
    }

    /// The inbox it belongs to: what to route by.
    ///
    /// The `inbox_id` inside the signed body or, where the body names none (`setup.test`, `pod.*`,
    /// unknown events), the inbox whose own secret verified it. `None` only for an event about no
    /// inbox that was signed with the account's secret.
    pub fn inbox_id(&self) -> Option<&InboxId> {
        self.event().inbox_id().or(self.inner.signed_for.as_ref())
    }

    /// The conversation it belongs to.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        self.event().thread_id()
    }

    /// Which attempt this is, from 1: OpenMail's to deliver it or, once a queue has it, the queue's
    /// to run it.
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Says which run this is.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The trace that it belongs to. It travels through a queue, so that one trace covers a mail from
    /// its arrival to its answer.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Says which trace it belongs to: for a source of events, as a queue.
    #[must_use]
    pub fn with_trace_context(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// What layers between the verification and the handler have left for it.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Where a layer leaves something for the handler. Clones made before do not see it.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// What to keep of it in a database or an engine, to be read back by
    /// [`from_stored`](Self::from_stored).
    pub fn into_stored(self) -> StoredEvent {
        let Inner { raw, timestamp, .. } = &*self.inner;
        let timestamp = timestamp.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        StoredEvent { raw_body: raw.clone(), timestamp, inbox_id: self.inbox_id().cloned() }
    }

    /// Reads back what [`into_stored`](Self::into_stored) gave.
    ///
    /// No signature is verified: this trusts the store. Whoever can write to it can speak as
    /// OpenMail.
    ///
    /// # Errors
    /// When the body is no event, as [`Event::from_slice`].
    pub fn from_stored(stored: StoredEvent) -> Result<Self, InvalidPayload> {
        let since = std::time::Duration::from_secs(stored.timestamp);
        let timestamp = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
        Self::parse_for(stored.raw_body, timestamp, stored.inbox_id)
    }
}

impl fmt::Debug for VerifiedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedEvent")
            .field("event", self.event())
            .field("timestamp", &self.timestamp())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What a store keeps of a [`VerifiedEvent`]. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The body as it was signed.
    pub raw_body: Bytes,
    /// The signed time, in Unix seconds.
    pub timestamp: u64,
    /// The inbox it belongs to, as [`VerifiedEvent::inbox_id`]. The body's own `inbox_id` goes
    /// before it; it matters for events that name none and were signed with an inbox's secret.
    pub inbox_id: Option<InboxId>,
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("raw_body", &format_args!("{} bytes", self.raw_body.len()))
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

/// An extension that sends an event straight to the router's fallback.
#[cfg(feature = "agents")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForFallback;
