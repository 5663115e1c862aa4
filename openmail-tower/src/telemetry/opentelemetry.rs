//! Data for OpenTelemetry only: parents in other processes, and attributes of its
//! [messaging conventions](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).

use std::cell::Cell;

use opentelemetry::{
    Context, Value,
    trace::{SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Fields, metric::is_failure};
use crate::seam::TraceContext;

/// The value of an attribute, which an OpenTelemetry layer converts if it records the span. The
/// conversion sets the flag.
struct Noted<'a>(&'static str, &'a Cell<bool>);

impl From<Noted<'_>> for Value {
    fn from(Noted(text, is_used): Noted<'_>) -> Self {
        is_used.set(true);
        text.into()
    }
}

/// Makes the span a child of a span of another process, unless it has a parent in this process.
/// Returns whether an OpenTelemetry layer records the span. If not, the other functions would do
/// nothing.
pub(super) fn begin(span: &Span, operation: &'static str, trace: Option<TraceContext>) -> bool {
    let is_recorded = Cell::new(false);
    span.set_attribute("messaging.system", Noted("openmail", &is_recorded));
    if !is_recorded.get() {
        return false;
    }
    if let Some(trace) = trace.filter(|_| context(&Span::current()).is_none()) {
        let remote = SpanContext::new(
            TraceId::from(trace.trace_id()),
            SpanId::from(trace.span_id()),
            if trace.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
            true,
            TraceState::NONE,
        );
        // It fails only if the span has begun, and this one has not.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
    span.set_attribute("messaging.operation.type", operation);
    span.set_attribute("messaging.operation.name", operation);
    true
}

pub(super) fn context(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    TraceContext::new(
        u128::from_be_bytes(span.trace_id().to_bytes()),
        u64::from_be_bytes(span.span_id().to_bytes()),
        span.is_sampled(),
    )
}

pub(super) fn describe(span: &Span, fields: Fields<'_>) {
    for (name, id) in [
        ("messaging.message.id", fields.event_id),
        ("messaging.destination.name", fields.inbox_id),
        ("messaging.message.conversation_id", fields.thread_id),
    ] {
        if let Some(id) = id {
            span.set_attribute(name, super::text::name(id).to_string());
        }
    }
}

pub(super) fn end(span: &Span, outcome: &'static str, status: Option<u16>) {
    if let Some(status) = status {
        span.set_attribute("http.response.status_code", i64::from(status));
    }
    if is_failure(outcome) {
        span.set_attribute("error.type", outcome);
        span.set_status(Status::error(outcome));
    }
}
