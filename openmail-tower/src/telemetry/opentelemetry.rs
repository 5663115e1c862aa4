//! Data for OpenTelemetry only: links to spans of other processes, and attributes of its
//! [messaging conventions](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Fields, metric::is_failure};
use crate::seam::TraceContext;

/// Makes the span a child of a span of another process, unless it already has a parent in this one.
pub(super) fn begin(span: &Span, operation: &'static str, trace: Option<TraceContext>) {
    if let Some(trace) = trace.filter(|_| context(&Span::current()).is_none()) {
        let remote = SpanContext::new(
            TraceId::from(trace.trace_id()),
            SpanId::from(trace.span_id()),
            if trace.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
            true,
            TraceState::NONE,
        );
        // If no OpenTelemetry layer is installed, nothing is linked.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
    span.set_attribute("messaging.system", "openmail");
    span.set_attribute("messaging.operation.type", operation);
    span.set_attribute("messaging.operation.name", operation);
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
    // Without an OpenTelemetry layer, the texts would be built for nothing.
    if context(span).is_none() {
        return;
    }
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
