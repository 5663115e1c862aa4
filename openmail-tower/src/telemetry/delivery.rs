//! [`Delivery`]: a request, from its arrival to its response.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Fields, log, metric,
    span::{Entered, Span},
};
use crate::seam::{HandlerError, Outcome, TraceContext};

/// An observed request, held by the service that answers it. If it is dropped earlier, the sender
/// hung up or a timeout ended it.
#[derive(Debug)]
pub(crate) struct Delivery {
    // `None` if nothing observes it.
    shared: Option<Arc<Shared>>,
    trace: Option<TraceContext>,
}

/// A reference to the delivery in the request's extensions. Through it, the
/// [`Endpoint`](crate::Endpoint) reports the outcome.
#[derive(Debug, Clone)]
pub(crate) struct Answer(Arc<Shared>);

/// A delivery whose event is being handled. If it is dropped before it has an outcome, its run was
/// dropped too, and the outcome is `dropped`.
#[derive(Debug)]
pub(crate) struct Answering {
    // `None` if nothing observes it, or once it has an outcome.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    span: Span,
    begun: Instant,
    /// The event's name, as a label.
    event: OnceLock<&'static str>,
    outcome: OnceLock<&'static str>,
    has_ended: AtomicBool,
}

impl Delivery {
    /// Starts observing a request that has just arrived with this `traceparent`.
    pub(crate) fn begin(traceparent: Option<&[u8]>) -> Self {
        let trace = traceparent.and_then(TraceContext::from_bytes);
        let span = Span::delivery(trace);
        let observed = span.is_enabled() || cfg!(feature = "metrics");
        let shared = observed.then(|| {
            Arc::new(Shared {
                span,
                begun: Instant::now(),
                event: OnceLock::new(),
                outcome: OnceLock::new(),
                has_ended: AtomicBool::new(false),
            })
        });
        Self { shared, trace }
    }

    /// Enters the span on this thread until the guard is dropped.
    pub(crate) fn enter(&self) -> Option<Entered<'_>> {
        self.shared.as_ref().map(|shared| shared.span.enter())
    }

    /// Records that its event was verified. `bytes` is the length of the body, and `clock` the
    /// number of seconds by which this machine's clock is ahead of the signed time. Returns the
    /// event's trace.
    pub(crate) fn received(&self, fields: Fields<'_>, bytes: usize, clock: f64) -> TraceContext {
        let own = self.shared.as_ref().and_then(|shared| shared.span.trace_context());
        let trace = own.or(self.trace).unwrap_or_else(TraceContext::random);
        if let Some(shared) = &self.shared {
            shared.span.record_fields(fields);
            shared.span.record_trace(trace);
            let _ = shared.event.set(metric::event_label(fields.kind));
            log::received(bytes);
            metric::received(bytes, clock);
        }
        trace
    }

    /// Returns the reference through which the service of events reports the outcome.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.shared.clone().map(Answer)
    }

    /// Records that it was refused.
    pub(crate) fn refused(&self, reason: &'static str, error: &dyn fmt::Display, status: u16) {
        log::refused(reason, error);
        metric::rejected(reason);
        if let Some(shared) = &self.shared {
            shared.record("rejected", Some(status));
        }
    }

    /// Records that it was answered. A service other than an [`Endpoint`](crate::Endpoint) has
    /// reported no outcome, so the status decides.
    pub(crate) fn answered(&self, status: u16) {
        let Some(shared) = &self.shared else { return };
        let by_status = if status < 400 { "answered" } else { "failed" };
        let outcome = *shared.outcome.get_or_init(|| by_status);
        let duration = shared.record(outcome, Some(status));
        log::answered(outcome, status, duration);
        metric::answered(shared.event.get().copied(), outcome, duration);
    }
}

impl Shared {
    fn record(&self, outcome: &'static str, status: Option<u16>) -> Duration {
        self.has_ended.store(true, Ordering::Relaxed);
        let duration = self.begun.elapsed();
        self.span.record_end(outcome, status, duration);
        duration
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        if shared.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let _entered = shared.span.enter();
        let duration = shared.record("dropped", None);
        match shared.event.get() {
            Some(event) => {
                // If its run was dropped with it, the run has logged that.
                if shared.outcome.get().is_none() {
                    log::dropped("handling", duration);
                }
                metric::dropped(event);
            }
            None => {
                log::refused("dropped", &"the sender hung up, or a timeout ended it");
                metric::rejected("dropped");
            }
        }
    }
}

impl Answering {
    pub(crate) fn begin(answer: Option<Answer>) -> Self {
        Self { shared: answer.map(|Answer(shared)| shared) }
    }

    /// Records that the event need not be delivered again.
    pub(crate) fn handled(&mut self, outcome: &Outcome) {
        self.end(outcome.label());
    }

    /// Records that a handler returned replies that nothing sends.
    pub(crate) fn unsent(&mut self) {
        self.end("unsent");
        log::miswired("a handler returned a reply, but there is no ReplyLayer to send it");
    }

    /// Records that the event was not handled, for now or for good.
    pub(crate) fn failed(&mut self, error: &mut HandlerError) {
        self.end(error.kind().label());
        not_handled(error);
    }

    /// Records that the deadline has passed. The run is dropped, or continues without the delivery.
    pub(crate) fn late(&mut self) {
        self.end("late");
        log::not_handled("late", &"the deadline has passed", None);
    }

    fn end(&mut self, outcome: &'static str) -> Option<Arc<Shared>> {
        let shared = self.shared.take()?;
        let _ = shared.outcome.set(outcome);
        Some(shared)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(shared) = self.end("dropped") {
            let _entered = shared.span.enter();
            log::dropped("handling", shared.begun.elapsed());
        }
    }
}

/// Logs an error that no run has logged.
pub(crate) fn not_handled(error: &mut HandlerError) {
    if !error.set_logged() {
        log::not_handled(error.kind().label(), error, error.delay());
    }
}

/// Logs that no reply can be sent until a person changes the API key.
#[cfg(feature = "api")]
pub(crate) fn reply_unauthorized(error: &HandlerError) {
    log::reply_unauthorized(error);
}

/// Logs that a request reached an endpoint without verification.
pub(crate) fn unverified() {
    log::miswired("there is no VerifyLayer around this Endpoint");
}
