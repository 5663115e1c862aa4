//! The webhook test, and every event that is not read into a type of its own.

use jiff::Timestamp;

use super::{
    id::{EventId, InboxId, ThreadId},
    misfit::Misfit,
    payload::payload,
    routing::Routing,
};

payload! {
    /// The payload of a webhook test, which is sent by "Test webhook" in OpenMail's settings or
    /// through its API. OpenMail does not document the payload's form.
    pub struct SetupTest except "event" {
        /// The event's id, if it has one.
        once event_id: Option<EventId> = "event_id",
        /// The inbox it is about, if any.
        once inbox_id: Option<InboxId> = "inbox_id",
    }
}

payload! {
    /// An event with an unknown name, or an event that does not fit its type or is nested too
    /// deeply.
    ///
    /// Fields that events share are typed; the rest is in `extra`. Of an event that is nested too
    /// deeply, only the name and the ids are read. [`Payload<T>`](crate::Payload) reads the whole
    /// event into your own type.
    pub struct UnknownEvent {
        /// The event's name.
        name event: String = "event",
        /// The event's id, the same in every delivery attempt.
        once event_id: Option<EventId> = "event_id",
        /// When it happened.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// The number of this delivery attempt, from 1.
        optional attempt: Option<u32> = "attempt",
        /// The inbox it is about.
        once inbox_id: Option<InboxId> = "inbox_id",
        /// The conversation it is about.
        optional thread_id: Option<ThreadId> = "thread_id",
    }
    also {
        /// Why an event with a known name does not fit its type, such as a `message.received`
        /// without `message.id`. `None` for an unknown name, unless the event is nested too deeply.
        misfit: Option<Misfit>
    }
}

impl UnknownEvent {
    /// Creates an event from its name and ids alone.
    pub(super) fn of(routing: &Routing, misfit: Misfit) -> Self {
        Self {
            event: routing.event().to_owned(),
            event_id: routing.event_id().map(Into::into),
            occurred_at: None,
            attempt: None,
            inbox_id: routing.inbox_id().map(Into::into),
            thread_id: routing.thread_id().map(Into::into),
            extra: serde_json::Map::new(),
            misfit: Some(misfit),
        }
    }
}
