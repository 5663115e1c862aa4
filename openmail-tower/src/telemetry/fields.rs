//! [`Fields`]: the fields that identify an event.

use crate::seam::VerifiedEvent;

/// The fields of every span about an event. The lines inside the span show them, too.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only spans use them"))]
pub(crate) struct Fields<'a> {
    pub(crate) kind: &'a str,
    pub(crate) event_id: Option<&'a str>,
    pub(crate) inbox_id: Option<&'a str>,
    pub(crate) thread_id: Option<&'a str>,
    pub(crate) attempt: Option<u32>,
}

impl<'a> From<&'a VerifiedEvent> for Fields<'a> {
    fn from(event: &'a VerifiedEvent) -> Self {
        Self {
            kind: event.event().name(),
            event_id: event.event_id().map(|id| id.as_str()),
            inbox_id: event.inbox_id().map(|id| id.as_str()),
            thread_id: event.thread_id().map(|id| id.as_str()),
            attempt: event.attempt(),
        }
    }
}
