//! `inbox.suspended`, `inbox.reactivated`, `pod.suspended`, `pod.reactivated`.

use jiff::Timestamp;

use super::{
    id::{EventId, InboxId, PodId},
    payload::payload,
    text::words,
};

payload! {
    /// An inbox, or a pod of inboxes, was suspended or is back.
    ///
    /// One type for the four events, since they carry the same fields: a handler for all of them
    /// takes `&Lifecycle`, and [`EventKind`](crate::EventKind) beside it to tell them apart.
    pub struct Lifecycle beside "event" {
        /// The same in every attempt to deliver this event.
        optional event_id: Option<EventId> = "event_id",
        /// When it happened.
        optional occurred_at: Option<Timestamp> = "occurred_at",
        /// The inbox; none on `pod.*`.
        optional inbox_id: Option<InboxId> = "inbox_id",
        /// The inbox's mail address; none on `pod.*`.
        optional inbox_address: Option<String> = "inbox_address",
        /// The pod.
        optional pod_id: Option<PodId> = "pod_id",
        /// Why it was suspended; none on `*.reactivated`.
        optional reason: Option<SuspensionReason> = "reason",
    }
}

words! {
    /// Why an inbox or pod was suspended.
    pub enum SuspensionReason {
        /// Too many messages bounced.
        HighBounceRate = "high_bounce_rate",
        /// Too many recipients complained.
        HighComplaintRate = "high_complaint_rate",
        /// Abuse.
        Abuse = "abuse",
        /// The pod as a whole is in trouble.
        PodDegraded = "pod_degraded",
        /// Somebody at OpenMail looks into it.
        ManualReview = "manual_review",
        /// OpenMail's own "other".
        Unspecified = "other",
    }
}
