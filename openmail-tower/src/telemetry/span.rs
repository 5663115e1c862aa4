//! The names of the spans. [The parent module](super) lists their fields.

#[cfg(feature = "tracing")]
use tracing::field::{DisplayValue, Empty, display};

#[cfg(feature = "tracing")]
use super::text;
use super::{Fields, log::TARGET};
use crate::seam::{TraceContext, VerifiedEvent};

/// The name of the span around a request, from its arrival to its response.
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
    /// Whether an OpenTelemetry layer records it.
    #[cfg(feature = "opentelemetry")]
    is_exported: bool,
}

/// A guard that leaves the span when it is dropped.
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

/// Escapes and cuts an id that may be absent.
#[cfg(feature = "tracing")]
fn shown(id: Option<&str>) -> Option<DisplayValue<text::Text<&str>>> {
    id.map(|id| display(text::name(id)))
}

#[cfg(feature = "tracing")]
const OTEL_KIND: Option<&str> =
    if cfg!(feature = "opentelemetry") { Some("consumer") } else { None };

/// The span of a run or of a reply.
#[cfg(feature = "tracing")]
macro_rules! task {
    ($name:literal, $otel_kind:expr, $operation:literal, $fields:ident, $parent:ident) => {{
        let (inner, trace) = match $parent {
            Parent::Current => (task!(@$name, $otel_kind, $fields, None;), None),
            Parent::Trace(trace) => {
                (task!(@$name, $otel_kind, $fields, trace; parent: None::<tracing::Id>,), trace)
            }
        };
        Self::task(inner, $operation, $fields, trace)
    }};
    (@$name:literal, $otel_kind:expr, $fields:ident, $trace:expr; $($parent:tt)*) => {{
        let Fields { kind, event_id, inbox_id, thread_id, attempt } = $fields;
        tracing::error_span!(
            target: TARGET,
            $($parent)*
            $name,
            otel.kind = $otel_kind,
            kind = %text::name(kind),
            event_id = shown(event_id),
            inbox_id = shown(inbox_id),
            thread_id = shown(thread_id),
            attempt,
            trace_id = $trace.map(TraceId).map(display),
            outcome = Empty,
            duration = Empty,
        )
    }};
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
            Self::begin(inner, "receive", trace)
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
            // The span is only entered: no attributes are set on it.
            #[cfg(feature = "opentelemetry")]
            is_exported: false,
        }
    }

    /// Creates the span of a run.
    pub(super) fn run(fields: Fields<'_>, parent: Parent) -> Self {
        #[cfg(feature = "tracing")]
        return task!("openmail.run", OTEL_KIND, "process", fields, parent);
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
            task!("openmail.reply", kind, "send", fields, parent)
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
        trace: Option<TraceContext>,
    ) -> Self {
        let span = Self::begin(inner, operation, trace);
        span.describe(fields);
        span
    }

    #[cfg(feature = "tracing")]
    fn begin(inner: tracing::Span, operation: &'static str, trace: Option<TraceContext>) -> Self {
        #[cfg(not(feature = "opentelemetry"))]
        let _ = (operation, trace);
        Self {
            #[cfg(feature = "opentelemetry")]
            is_exported: !inner.is_disabled()
                && super::opentelemetry::begin(&inner, operation, trace),
            inner,
        }
    }

    #[cfg(feature = "tracing")]
    fn describe(&self, fields: Fields<'_>) {
        #[cfg(feature = "opentelemetry")]
        if self.is_exported {
            super::opentelemetry::describe(&self.inner, fields);
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = fields;
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
        return self.is_exported.then(|| super::opentelemetry::context(&self.inner)).flatten();
        #[cfg(not(feature = "opentelemetry"))]
        None
    }

    /// Records a delivery's event, and the trace that it belongs to.
    pub(super) fn record_event(&self, event: &VerifiedEvent, trace: TraceContext) {
        #[cfg(feature = "tracing")]
        if self.is_enabled() {
            let fields = Fields::from(event);
            let Fields { kind, event_id, inbox_id, thread_id, attempt } = fields;
            tracing::record_all!(
                self.inner,
                kind = %text::name(kind),
                event_id = shown(event_id),
                inbox_id = shown(inbox_id),
                thread_id = shown(thread_id),
                attempt,
                trace_id = %TraceId(trace),
            );
            self.describe(fields);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (event, trace);
    }

    pub(super) fn record_end(
        &self,
        outcome: &'static str,
        status: Option<u16>,
        duration: std::time::Duration,
    ) {
        #[cfg(feature = "tracing")]
        if self.is_enabled() {
            tracing::record_all!(self.inner, outcome, status, ?duration);
            #[cfg(feature = "opentelemetry")]
            if self.is_exported {
                super::opentelemetry::end(&self.inner, outcome, status);
            }
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (outcome, status, duration);
    }
}

/// Writes the id of a trace.
#[cfg(feature = "tracing")]
struct TraceId(TraceContext);

#[cfg(feature = "tracing")]
impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0.trace_id())
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
