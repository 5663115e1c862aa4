//! `inbox.suspended`, `inbox.reactivated`, `pod.suspended`, `pod.reactivated`.

use jiff::Timestamp;

use super::{
    id::{EventId, InboxId, PodId},
    payload::payload,
    words::words,
};

payload! {
    /// The suspension or reactivation of an inbox, or of a pod of inboxes.
    ///
    /// All four events have this type, since they carry the same fields: a handler for all of them
    /// takes `&Lifecycle`, and an [`EventKind`](crate::event::EventKind) to tell them apart.
    pub struct Lifecycle except "event" {
        /// The event's id, the same in every attempt to deliver it.
        once event_id: Option<EventId> = "event_id",
        /// When it happened.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// The inbox; `None` on `pod.*`.
        once inbox_id: Option<InboxId> = "inbox_id",
        /// The inbox's mail address; `None` on `pod.*`.
        optional inbox_address: Option<String> = "inbox_address",
        /// The pod.
        optional pod_id: Option<PodId> = "pod_id",
        /// Why it was suspended; `None` on `*.reactivated`.
        optional reason: Option<SuspensionReason> = "reason",
    }
}

words! {
    /// Why an inbox or pod was suspended.
    pub enum SuspensionReason in any case {
        /// Too many messages bounced.
        HighBounceRate = "high_bounce_rate",
        /// Too many recipients complained.
        HighComplaintRate = "high_complaint_rate",
        /// Abuse.
        Abuse = "abuse",
        /// The pod as a whole is degraded.
        PodDegraded = "pod_degraded",
        /// OpenMail is reviewing it by hand.
        ManualReview = "manual_review",
        /// OpenMail gives the reason as "other".
        Unspecified = "other",
    }
}
