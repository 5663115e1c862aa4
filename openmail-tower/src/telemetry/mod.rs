//! What logs (feature `tracing`) and metrics (feature `metrics`) are told of a webhook.
//!
//! | counter | label | counts |
//! |---|---|---|
//! | `openmail_rejections_total` | `error` | requests that were not let through |
//! | `openmail_events_total` | `outcome` | verified events by what became of them; behind a `Dedupe`, one that is `late` counts once more when its run ends |
//! | `openmail_event_id_mismatches_total` | | deliveries whose `X-Event-Id` is not the signed one |

use http::HeaderValue;

use crate::{
    event::EventId,
    seam::{HandlerError, HandlerErrorKind, Outcome, VerifiedEvent},
};

pub(crate) fn rejected(code: &'static str, reason: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(error = code, %reason, "webhook rejected");
    #[cfg(feature = "metrics")]
    metrics::counter!("openmail_rejections_total", "error" => code).increment(1);
    let _ = (code, reason);
}

/// Whoever replays a delivery may write into the header what he likes: it is reported, and not used.
pub(crate) fn event_id(header: Option<&HeaderValue>, signed: Option<&EventId>) {
    let differs = header
        .is_some_and(|header| Some(header.as_bytes()) != signed.map(|id| id.as_str().as_bytes()));
    if differs {
        #[cfg(feature = "tracing")]
        tracing::debug!(?header, ?signed, "X-Event-Id is not the signed event_id");
        #[cfg(feature = "metrics")]
        metrics::counter!("openmail_event_id_mismatches_total").increment(1);
    }
}

/// Not only where it is answered: behind a queue, nothing else tells.
pub(crate) fn unrouted(event: &VerifiedEvent) {
    #[cfg(feature = "tracing")]
    tracing::info!(
        event = event.event().name(),
        event_id = event.event_id().map(|id| id.as_str()),
        inbox_id = event.inbox_id().map(|id| id.as_str()),
        "no handler asks for this event"
    );
    let _ = event;
}

pub(crate) fn handled(outcome: Outcome) {
    let label = match outcome {
        Outcome::Done => "done",
        Outcome::Duplicate => "duplicate",
        Outcome::Unrouted => "unrouted",
    };
    #[cfg(feature = "tracing")]
    tracing::debug!(outcome = label, "event handled");
    count(label);
}

pub(crate) fn failed(error: &HandlerError) {
    let label = match error.kind() {
        HandlerErrorKind::Failed => "failed",
        HandlerErrorKind::Permanent => "permanent",
        HandlerErrorKind::Panicked => "panicked",
        HandlerErrorKind::InFlight => "in_flight",
        HandlerErrorKind::Unavailable => "unavailable",
    };
    #[cfg(feature = "tracing")]
    if error.kind() == HandlerErrorKind::InFlight {
        tracing::info!("event in flight");
    } else {
        tracing::error!(outcome = label, %error, "event not handled");
    }
    count(label);
}

pub(crate) fn late() {
    #[cfg(feature = "tracing")]
    tracing::error!("event not handled in time");
    count("late");
}

pub(crate) fn unverified() {
    #[cfg(feature = "tracing")]
    tracing::error!("there is no VerifyLayer around this Endpoint");
    count("unverified");
}

#[cfg(feature = "dedupe")]
pub(crate) fn claim(key: &str, what: &str, why: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(key, %why, "{what}");
    let _ = (key, what, why);
}

fn count(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("openmail_events_total", "outcome" => outcome).increment(1);
    let _ = outcome;
}
