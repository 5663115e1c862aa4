//! The names of events.

use super::words::words;

// A new event must also be added elsewhere: CONTRIBUTING.md lists the places.
words! {
    /// The name of an event, as in the body's field `event`.
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
        /// The webhook was tested, with "Test webhook" in OpenMail's settings or through its API.
        SetupTest = "setup.test",
    }
}
