//! Events without a type of their own.

use jiff::Timestamp;

use super::{
    id::{EventId, InboxId, ThreadId},
    payload::payload,
};

payload! {
    /// What "Test webhook" in OpenMail's settings sends. Its form is nowhere documented.
    pub struct SetupTest beside "event" {
        /// The event's id, should it have one.
        optional event_id: Option<EventId> = "event_id",
        /// The inbox it is about, should there be one.
        optional inbox_id: Option<InboxId> = "inbox_id",
    }
}

payload! {
    /// An event that OpenMail has added since this crate was made.
    ///
    /// What such an event shares with the others is typed; the rest is in `extra`, and
    /// [`Payload<T>`](crate::Payload) reads it into a type of the handler's own.
    pub struct UnknownEvent {
        /// The event's name.
        required event: String = "event",
        /// The same in every attempt to deliver this event.
        optional event_id: Option<EventId> = "event_id",
        /// When it happened.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// Which attempt to deliver it this is, from 1.
        optional attempt: Option<u32> = "attempt",
        /// The inbox it is about.
        optional inbox_id: Option<InboxId> = "inbox_id",
        /// The conversation it is about.
        optional thread_id: Option<ThreadId> = "thread_id",
    }
}
