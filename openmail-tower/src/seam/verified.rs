//! [`VerifiedEvent`]: the proof that an event came from OpenMail.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Extensions;
use tokio::time::Instant;

use crate::event::{Event, EventId, EventKind, InboxId, InvalidPayload, ThreadId};

use super::trace::TraceContext;

/// An event whose signature was verified.
///
/// Only this crate creates one: [`VerifyLayer`](crate::VerifyLayer) or [`verify`](Self::verify)
/// from a request, [`from_stored`](Self::from_stored) from an event that was stored earlier, and,
/// in tests, a `TestEvent`. Cheap to clone.
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
    outcome: OnceLock<&'static str>,
}

/// The slot in which the endpoint stores the label of a delivery's outcome, for `Verify` around it
/// to read. As long as the slot lives, it keeps the event's body in memory.
#[derive(Clone)]
pub(crate) struct OutcomeSlot(Arc<Inner>);

impl OutcomeSlot {
    /// Sets the label, unless it is set already.
    pub(crate) fn set(&self, label: &'static str) {
        let _ = self.0.outcome.set(label);
    }

    pub(crate) fn get(&self) -> Option<&'static str> {
        self.0.outcome.get().copied()
    }

    /// Returns the event's name.
    pub(crate) fn event_name(&self) -> &str {
        self.0.event.name()
    }
}

impl fmt::Debug for OutcomeSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutcomeSlot").field(&self.get()).finish()
    }
}

impl VerifiedEvent {
    /// Parses a signed body. Must only be called with bytes whose signature was verified.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn parse(raw: Bytes, timestamp: SystemTime) -> Result<Self, InvalidPayload> {
        Self::parse_for(raw, timestamp, None)
    }

    /// Parses a signed body. Must only be called with bytes whose signature was verified.
    /// `signed_for` is the inbox whose own secret verified them. If memory was reserved for the
    /// body, the reservation belongs to the bytes of `raw` and is released with them.
    pub(crate) fn parse_for(
        raw: Bytes,
        timestamp: SystemTime,
        signed_for: Option<InboxId>,
    ) -> Result<Self, InvalidPayload> {
        let inner = Arc::new(Inner {
            event: Event::from_slice(&raw)?,
            raw,
            timestamp,
            signed_for,
            outcome: OnceLock::new(),
        });
        Ok(Self {
            attempt: inner.event.attempt(),
            inner,
            arrival: None,
            trace: None,
            is_delivery: false,
            extensions: Extensions::new(),
        })
    }

    /// Records when its request arrived.
    pub(crate) fn with_arrival(mut self, arrival: Instant) -> Self {
        self.arrival = Some(arrival);
        self
    }

    /// Returns when its request arrived: the deadline of the response counts from then.
    pub(crate) fn arrival(&self) -> Option<Instant> {
        self.arrival
    }

    /// Marks it as a delivery: a webhook's response waits for it, and no run has begun.
    pub(crate) fn into_delivery(mut self) -> Self {
        self.is_delivery = true;
        self
    }

    /// Marks the beginning of a run. Returns whether this is the run of a delivery and no span has
    /// been opened for it yet. (A worker opens the spans of its own runs.)
    pub(crate) fn begin_run(&mut self) -> bool {
        std::mem::take(&mut self.is_delivery)
    }

    /// Returns the place for the outcome of its delivery, shared by all clones.
    pub(crate) fn outcome_slot(&self) -> OutcomeSlot {
        OutcomeSlot(Arc::clone(&self.inner))
    }

    /// Returns the event with its payload.
    pub fn event(&self) -> &Event {
        &self.inner.event
    }

    /// Returns the body exactly as it was signed.
    pub fn raw_body(&self) -> &Bytes {
        &self.inner.raw
    }

    /// Returns the signed time at which this delivery was sent.
    pub fn timestamp(&self) -> SystemTime {
        self.inner.timestamp
    }

    /// Returns the event's name.
    pub fn kind(&self) -> EventKind {
        self.event().kind()
    }

    /// Returns the signed event id, the same in every delivery. `None` in the same cases as for
    /// [`Event::event_id`].
    pub fn event_id(&self) -> Option<&EventId> {
        self.event().event_id()
    }

    /// Returns the inbox that the event belongs to, by which it is routed.
    ///
    /// This is the `inbox_id` in the signed body or, if the body has none (`setup.test`, `pod.*`,
    /// unknown events), the inbox whose own secret verified it. `None` only for an event without
    /// `inbox_id` that was signed with the account's secret.
    pub fn inbox_id(&self) -> Option<&InboxId> {
        self.event().inbox_id().or(self.inner.signed_for.as_ref())
    }

    /// Returns the conversation that the event belongs to. `None` in the same cases as for
    /// [`Event::thread_id`].
    pub fn thread_id(&self) -> Option<&ThreadId> {
        self.event().thread_id()
    }

    /// Returns the number of this attempt, from 1: OpenMail's attempt to deliver it or, once a
    /// queue has taken it, the queue's attempt to run it. `None` for an event that states none,
    /// such as a lifecycle event, before a queue has taken it.
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Sets the number of this attempt, from 1; 0 is not rejected. For sources of events, such as a
    /// queue.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// Returns the trace that it belongs to. The trace travels through a queue, so that it covers a
    /// mail from its arrival to its reply.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Sets the trace that it belongs to. For sources of events, such as a queue.
    #[must_use]
    pub fn with_trace_context(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Returns what layers between the verification and the handler have added for the handler.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns the extensions, to add something for the handler. Earlier clones do not see it. A
    /// queue does not store it: with a queue, add it in a layer that the worker runs.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Returns the parts to keep in a database or a queue of your own, from which
    /// [`from_stored`](Self::from_stored) restores the event. The trace and the extensions are not
    /// among them.
    pub fn into_stored(self) -> StoredEvent {
        let Inner { raw, timestamp, .. } = &*self.inner;
        let timestamp = timestamp.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        StoredEvent { raw_body: raw.clone(), timestamp, inbox_id: self.inbox_id().cloned() }
    }

    /// Restores an event from the result of [`into_stored`](Self::into_stored).
    ///
    /// No signature is verified: this trusts the store. Anyone who can write to the store can forge
    /// events from OpenMail.
    ///
    /// # Errors
    /// If the body is not an event, as for [`Event::from_slice`].
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

/// The parts of a [`VerifiedEvent`] that a store keeps. `Debug` shows the length of the body, not
/// its text.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The body as it was signed.
    pub raw_body: Bytes,
    /// The signed time, in Unix seconds.
    pub timestamp: u64,
    /// The inbox that it belongs to, as returned by [`VerifiedEvent::inbox_id`]. An `inbox_id` in
    /// the body takes precedence, so this field matters only for events that have none and were
    /// signed with an inbox's secret.
    pub inbox_id: Option<InboxId>,
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("raw_body", &format_args!("{} bytes", self.raw_body.len()))
            .field("timestamp", &self.timestamp)
            .field("inbox_id", &self.inbox_id)
            .finish()
    }
}

/// An extension that routes an event directly to the router's fallback.
#[cfg(feature = "agents")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForFallback;
