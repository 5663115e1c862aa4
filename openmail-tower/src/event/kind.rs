//! The names of events.

use super::text::words;

// A new one goes into `router::kinds` and the list in `openmail-macros` as well.
words! {
    /// An event's name, as in the body's `event`.
    pub enum EventKind {
        /// A mail has arrived.
        MessageReceived = "message.received",
        /// An inbox was suspended.
        InboxSuspended = "inbox.suspended",
        /// An inbox is back.
        InboxReactivated = "inbox.reactivated",
        /// A pod was suspended.
        PodSuspended = "pod.suspended",
        /// A pod is back.
        PodReactivated = "pod.reactivated",
        /// "Test webhook" was pressed in OpenMail's settings.
        SetupTest = "setup.test",
    }
}
