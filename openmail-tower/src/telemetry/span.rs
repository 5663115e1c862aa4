//! The names of the spans. [The parent module](super) lists their fields.

#[cfg(feature = "tracing")]
use tracing::field::{Empty, debug, display};

#[cfg(feature = "tracing")]
use super::text;
use super::{Fields, log::TARGET};
use crate::seam::TraceContext;

/// The name of the span around the verification of a request, and its response.
pub const DELIVERY: &str = "openmail.delivery";
/// The name of the span around a run of an event.
pub const RUN: &str = "openmail.run";
/// The name of the span around an attempt to send a reply.
pub const REPLY: &str = "openmail.reply";

/// A span, or nothing if spans are compiled out.
#[derive(Debug, Clone)]
pub(super) struct Span {
    #[cfg(feature = "tracing")]
    inner: tracing::Span,
}

/// Leaves the span when it is dropped.
#[must_use]
pub(crate) struct Entered<'a> {
    #[cfg(feature = "tracing")]
    _inner: tracing::span::Entered<'a>,
    #[cfg(not(feature = "tracing"))]
    _inner: std::marker::PhantomData<&'a ()>,
}

/// The parent of a span.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(all(feature = "queue", feature = "tracing")),
    allow(dead_code, reason = "only a queue's worker uses it, for its spans")
)]
pub(super) enum Parent {
    /// The current span.
    Current,
    /// A span of another task or process.
    Trace(Option<TraceContext>),
}

#[cfg(feature = "tracing")]
const OTEL_KIND: Option<&str> =
    if cfg!(feature = "opentelemetry") { Some("consumer") } else { None };

/// The span of a run or of a reply.
#[cfg(feature = "tracing")]
macro_rules! task {
    ($name:literal, $kind:expr, $parent:expr) => {
        task!(@$name, $kind, match $parent {
            Parent::Current => tracing::Span::current().id(),
            Parent::Trace(_) => None,
        })
    };
    (@$name:literal, $kind:expr, $parent:expr) => {
        tracing::error_span!(
            target: TARGET,
            parent: $parent,
            $name,
            kind = Empty,
            event_id = Empty,
            inbox_id = Empty,
            thread_id = Empty,
            attempt = Empty,
            trace_id = Empty,
            outcome = Empty,
            duration = Empty,
            otel.kind = $kind,
        )
    };
}

impl Span {
    /// Creates the span of a delivery with this `traceparent`. Nothing is known of its event yet.
    pub(super) fn delivery(trace: Option<TraceContext>) -> Self {
        #[cfg(feature = "tracing")]
        {
            let inner = tracing::error_span!(
                target: TARGET,
                "openmail.delivery",
                kind = Empty,
                event_id = Empty,
                inbox_id = Empty,
                thread_id = Empty,
                attempt = Empty,
                trace_id = Empty,
                outcome = Empty,
                status = Empty,
                duration = Empty,
                otel.kind = OTEL_KIND,
            );
            #[cfg(feature = "opentelemetry")]
            if !inner.is_disabled() {
                super::opentelemetry::begin(&inner, "receive", trace);
            }
            let _ = trace;
            Self { inner }
        }
        #[cfg(not(feature = "tracing"))]
        {
            let _ = (trace, TARGET);
            Self {}
        }
    }

    /// Returns the span that is entered now, the crate's own or another.
    pub(super) fn current() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            inner: tracing::Span::current(),
        }
    }

    /// Creates the span of a run.
    pub(super) fn run(fields: Fields<'_>, parent: Parent) -> Self {
        #[cfg(feature = "tracing")]
        return Self::task(task!("openmail.run", OTEL_KIND, parent), "process", fields, parent);
        #[cfg(not(feature = "tracing"))]
        {
            let _ = (fields, parent);
            Self {}
        }
    }

    /// Creates the span of an attempt to send a reply.
    #[cfg(any(feature = "api", feature = "queue"))]
    pub(super) fn reply(fields: Fields<'_>, parent: Parent) -> Self {
        #[cfg(feature = "tracing")]
        {
            let kind = OTEL_KIND.map(|_| "producer");
            Self::task(task!("openmail.reply", kind, parent), "send", fields, parent)
        }
        #[cfg(not(feature = "tracing"))]
        {
            let _ = (fields, parent);
            Self {}
        }
    }

    #[cfg(feature = "tracing")]
    fn task(
        inner: tracing::Span,
        operation: &'static str,
        fields: Fields<'_>,
        parent: Parent,
    ) -> Self {
        let this = Self { inner };
        if this.is_enabled() {
            let trace = match parent {
                Parent::Current => None,
                Parent::Trace(trace) => trace,
            };
            #[cfg(feature = "opentelemetry")]
            super::opentelemetry::begin(&this.inner, operation, trace);
            #[cfg(not(feature = "opentelemetry"))]
            let _ = operation;
            this.record_fields(fields);
            if let Some(trace) = trace {
                this.record_trace(trace);
            }
        }
        this
    }

    pub(super) fn is_enabled(&self) -> bool {
        #[cfg(feature = "tracing")]
        return !self.inner.is_disabled();
        #[cfg(not(feature = "tracing"))]
        false
    }

    pub(super) fn enter(&self) -> Entered<'_> {
        Entered {
            #[cfg(feature = "tracing")]
            _inner: self.inner.enter(),
            #[cfg(not(feature = "tracing"))]
            _inner: std::marker::PhantomData,
        }
    }

    /// Runs a future in this span.
    #[cfg(any(feature = "api", feature = "queue"))]
    pub(super) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing")]
        return tracing::Instrument::instrument(future, self.inner);
        #[cfg(not(feature = "tracing"))]
        future
    }

    /// Returns the trace context of this span, to pass on to other tasks and processes.
    pub(super) fn trace_context(&self) -> Option<TraceContext> {
        #[cfg(feature = "opentelemetry")]
        return super::opentelemetry::context(&self.inner);
        #[cfg(not(feature = "opentelemetry"))]
        None
    }

    pub(super) fn record_fields(&self, fields: Fields<'_>) {
        #[cfg(feature = "tracing")]
        if self.is_enabled() {
            let Fields { kind, event_id, inbox_id, thread_id, attempt } = fields;
            self.inner.record("kind", display(text::name(kind)));
            for (field, id) in
                [("event_id", event_id), ("inbox_id", inbox_id), ("thread_id", thread_id)]
            {
                if let Some(id) = id {
                    self.inner.record(field, display(text::name(id)));
                }
            }
            if let Some(attempt) = attempt {
                self.inner.record("attempt", attempt);
            }
            #[cfg(feature = "opentelemetry")]
            super::opentelemetry::describe(&self.inner, fields);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = fields;
    }

    pub(super) fn record_trace(&self, trace: TraceContext) {
        #[cfg(feature = "tracing")]
        self.inner.record("trace_id", display(format_args!("{:032x}", trace.trace_id())));
        #[cfg(not(feature = "tracing"))]
        let _ = trace;
    }

    pub(super) fn record_end(
        &self,
        outcome: &'static str,
        status: Option<u16>,
        duration: std::time::Duration,
    ) {
        #[cfg(feature = "tracing")]
        if self.is_enabled() {
            self.inner.record("outcome", outcome);
            if let Some(status) = status {
                self.inner.record("status", status);
            }
            self.inner.record("duration", debug(duration));
            #[cfg(feature = "opentelemetry")]
            super::opentelemetry::end(&self.inner, outcome, status);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (outcome, status, duration);
    }
}

/// Runs a future in the span that is entered now, whichever task polls it.
#[cfg(feature = "dedupe")]
pub(crate) fn in_current_span<F: Future>(future: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    return tracing::Instrument::in_current_span(future);
    #[cfg(not(feature = "tracing"))]
    future
}
