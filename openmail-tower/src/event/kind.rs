//! The names of events.

use super::words::words;

// A new one goes into `router::kinds` and the list in `openmail-macros` as well.
words! {
    /// An event's name, as in the body's `event`.
    pub enum EventKind {
        /// A mail arrived.
        MessageReceived = "message.received",
        /// An inbox was suspended.
        InboxSuspended = "inbox.suspended",
        /// An inbox was reactivated.
        InboxReactivated = "inbox.reactivated",
        /// A pod was suspended.
        PodSuspended = "pod.suspended",
        /// A pod was reactivated.
        PodReactivated = "pod.reactivated",
        /// The "Test webhook" button in OpenMail's settings.
        SetupTest = "setup.test",
    }
}
