//! [`Delivery`]: a request, from its arrival to its response.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{
    log, metric,
    span::{Entered, Span},
};
use crate::seam::{HandlerError, Outcome, OutcomeSlot, TraceContext, VerifiedEvent};

/// A request, observed from its arrival. If this is dropped before the request was answered, the
/// request was dropped, by its sender or by a timeout, or the inner service failed.
#[derive(Debug)]
pub(crate) struct Delivery {
    span: Span,
    course: Course,
}

#[derive(Debug)]
struct Course {
    trace: Option<TraceContext>,
    begun: Instant,
    /// `Some` once the event is verified.
    outcome: Option<OutcomeSlot>,
    has_ended: bool,
}

/// A delivery whose span is entered until this is dropped.
pub(crate) struct InDelivery<'a> {
    span: &'a Span,
    course: &'a mut Course,
    _entered: Entered<'a>,
}

/// A delivery whose event is being handled. If this is dropped before it has an outcome, the run
/// was dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    /// `None` without an event, and once the outcome is set.
    outcome: Option<OutcomeSlot>,
    span: Span,
    begun: Instant,
}

impl Delivery {
    /// Starts observing a request that has just arrived with this `traceparent`.
    pub(crate) fn begin(traceparent: Option<&[u8]>) -> Self {
        let trace = traceparent.and_then(TraceContext::from_bytes);
        let course = Course { trace, begun: Instant::now(), outcome: None, has_ended: false };
        Self { span: Span::delivery(trace), course }
    }

    /// Enters the span until the guard is dropped.
    pub(crate) fn enter(&mut self) -> InDelivery<'_> {
        let Self { span, course } = self;
        InDelivery { span, course, _entered: span.enter() }
    }
}

impl InDelivery<'_> {
    /// Returns when the request arrived.
    pub(crate) fn arrival(&self) -> Instant {
        self.course.begun
    }

    /// Records that the event was verified; its timestamp is `clock` seconds before this machine's
    /// time. Returns the trace that the event belongs to.
    pub(crate) fn received(&mut self, event: &VerifiedEvent, clock: f64) -> TraceContext {
        let trace = self.span.trace_context().or(self.course.trace);
        let trace = trace.unwrap_or_else(TraceContext::random);
        self.course.outcome = Some(event.outcome_slot());
        self.span.record_event(event, trace);
        let bytes = event.raw_body().len();
        log::received(bytes);
        if let Some(misfit) = event.event().misfit() {
            log::misfit(&misfit);
        }
        metric::received(bytes, clock);
        trace
    }

    /// Records that the request was rejected.
    pub(crate) fn rejected(&mut self, reason: &'static str, error: &dyn fmt::Display, status: u16) {
        log::rejected(reason, error);
        metric::rejected(reason);
        self.end("rejected", Some(status));
    }

    /// Records that the request was answered. If no [`Endpoint`](crate::Endpoint) has set an
    /// outcome, the status determines it.
    pub(crate) fn answered(&mut self, status: u16) {
        let by_status = if status < 400 { "answered" } else { "failed" };
        let outcome = self.course.outcome.as_ref().and_then(OutcomeSlot::get).unwrap_or(by_status);
        let duration = self.end(outcome, Some(status));
        log::answered(outcome, status, duration);
        metric::answered(self.event_name(), outcome, duration);
    }

    fn dropped(&mut self) {
        let duration = self.end("dropped", None);
        match &self.course.outcome {
            Some(outcome) => {
                // If no outcome was set, no other line says how this delivery ended.
                if outcome.get().is_none() {
                    log::dropped("handling", duration);
                }
                metric::answered(self.event_name(), "dropped", duration);
            }
            None => {
                log::rejected("dropped", &"the sender hung up, or a timeout ended it");
                metric::rejected("dropped");
            }
        }
    }

    /// Returns the event's name once it is verified.
    fn event_name(&self) -> Option<&str> {
        self.course.outcome.as_ref().map(OutcomeSlot::event_name)
    }

    fn end(&mut self, outcome: &'static str, status: Option<u16>) -> Duration {
        self.course.has_ended = true;
        let duration = self.course.begun.elapsed();
        self.span.record_end(outcome, status, duration);
        duration
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.course.has_ended {
            self.enter().dropped();
        }
    }
}

impl Answering {
    /// Starts to observe how a request is answered. `event` is `None` if nothing has verified the
    /// request.
    pub(crate) fn begin(event: Option<&VerifiedEvent>) -> Self {
        Self {
            outcome: event.map(VerifiedEvent::outcome_slot),
            span: Span::current(),
            begun: Instant::now(),
        }
    }

    /// Records the outcome of an event that did not fail.
    pub(crate) fn handled(&mut self, outcome: &Outcome) {
        self.end(outcome.label());
    }

    /// Records that a handler returned replies that nothing sends.
    pub(crate) fn unsent(&mut self) {
        self.end("unsent");
        log::miswired("handler's reply was not sent, ReplyLayer is missing");
    }

    /// Records that the event was not handled, whether or not it will be retried.
    pub(crate) fn failed(&mut self, error: &mut HandlerError) {
        self.end(error.kind().label());
        not_handled(error);
    }

    /// Records that the deadline has passed. The run is dropped, or continues without the delivery.
    pub(crate) fn late(&mut self) {
        self.end("late");
        log::not_handled("late", &"the deadline has passed", None);
    }

    /// Sets the outcome of the event, once. Returns `false` if it was set before, or if there is no
    /// event.
    fn end(&mut self, label: &'static str) -> bool {
        let outcome = self.outcome.take();
        if let Some(outcome) = &outcome {
            outcome.set(label);
        }
        outcome.is_some()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.end("dropped") {
            let _entered = self.span.enter();
            log::dropped("handling", self.begun.elapsed());
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

/// Logs that a request reached an endpoint or an extractor without verification.
pub(crate) fn unverified() {
    log::miswired("request was not verified, VerifyLayer is missing");
}
