//! The log lines.

use std::{fmt, time::Duration};

#[cfg(feature = "tracing")]
use tracing::{
    Level,
    field::{debug, display},
};

use super::run::RunKind;
#[cfg(feature = "tracing")]
use super::{metric::is_failure, rejections::Rejections, text};

/// The target of every line and span, whichever module it is about.
pub(super) const TARGET: &str = "openmail_tower";

/// Writes one line, at a level that is known only at run time.
#[cfg(feature = "tracing")]
macro_rules! line {
    ($level:expr, $($rest:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!(target: TARGET, $($rest)*),
            Level::WARN => tracing::warn!(target: TARGET, $($rest)*),
            Level::INFO => tracing::info!(target: TARGET, $($rest)*),
            _ => tracing::debug!(target: TARGET, $($rest)*),
        }
    };
}

/// Returns whether a subscriber wants any of the lines.
pub(super) fn is_enabled() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::event_enabled!(target: TARGET, Level::ERROR);
    #[cfg(not(feature = "tracing"))]
    false
}

/// Logs that an event was verified.
pub(super) fn received(bytes: usize) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, bytes, "received");
    #[cfg(not(feature = "tracing"))]
    let _ = bytes;
}

/// Logs that a verified event does not fit its type, so that no handler for its name runs.
pub(super) fn misfit(reason: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, %reason, "event does not fit its type");
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
}

/// Logs that a secret is so short that it was probably cut off. Logged once per process, since a
/// keyring may create secrets for each request.
pub(crate) fn short_secret(bytes: usize) {
    #[cfg(feature = "tracing")]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            tracing::warn!(target: TARGET, bytes, "webhook secret is short, check that it is complete");
        });
    }
    #[cfg(not(feature = "tracing"))]
    let _ = bytes;
}

/// Logs that a request was rejected.
pub(super) fn rejected(reason: &'static str, error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    {
        static REJECTIONS: Rejections = Rejections::new();
        let error = text::error(error);
        tracing::debug!(target: TARGET, reason, %error, "request rejected");
        if let Some(count) = REJECTIONS.count(reason) {
            tracing::warn!(target: TARGET, reason, count, last = %error, "requests rejected");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (reason, error);
}

/// Logs that a delivery was answered.
pub(super) fn answered(outcome: &'static str, status: u16, duration: Duration) {
    #[cfg(feature = "tracing")]
    {
        let level = match outcome {
            // Usually, no run has logged these.
            "duplicate" | "unrouted" => Level::INFO,
            _ => Level::DEBUG,
        };
        line!(level, outcome, status, ?duration, "answered");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (outcome, status, duration);
}

/// Logs that a verified delivery was dropped before it was answered; `phase` is the step it had
/// reached.
pub(super) fn dropped(phase: &'static str, duration: Duration) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, phase, ?duration, "dropped");
    #[cfg(not(feature = "tracing"))]
    let _ = (phase, duration);
}

/// Logs that the event of a delivery was not handled.
pub(super) fn not_handled(
    outcome: &'static str,
    error: &dyn fmt::Display,
    retry_in: Option<Duration>,
) {
    #[cfg(feature = "tracing")]
    {
        let level = match outcome {
            "in_flight" | "put_off" => Level::INFO,
            _ => Level::WARN,
        };
        let (error, retry_in) = (display(text::error(error)), retry_in.map(debug));
        line!(level, outcome, error, retry_in, "not handled");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (outcome, error, retry_in);
}

/// Logs that no reply can be sent with this API key.
#[cfg(feature = "api")]
pub(super) fn reply_unauthorized(error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(
        target: TARGET,
        error = %text::error(error),
        "no reply can be sent until the API key is changed"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Logs that the program is misconfigured.
pub(super) fn miswired(what: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = what;
}

/// Logs that a run has ended.
pub(super) fn run_ended(
    kind: RunKind,
    outcome: &'static str,
    error: Option<&dyn fmt::Display>,
    duration: Duration,
    next: Next,
) {
    #[cfg(feature = "tracing")]
    {
        let level = match (outcome, next) {
            ("permanent", _) | (_, Next::DeadLetter) => Level::ERROR,
            _ if is_failure(outcome) => Level::WARN,
            _ => Level::INFO,
        };
        let error = error.map(|error| display(text::error(error)));
        let retry_in = match next {
            Next::In(delay) => Some(debug(delay)),
            Next::Unlogged | Next::Unknown | Next::DeadLetter => None,
        };
        let dead_letter = matches!(next, Next::DeadLetter).then_some(true);
        match kind {
            RunKind::Handler => {
                line!(level, outcome, ?duration, error, retry_in, dead_letter, "run ended");
            }
            #[cfg(any(feature = "api", feature = "queue"))]
            RunKind::Reply => {
                line!(
                    level,
                    outcome,
                    ?duration,
                    error,
                    retry_in,
                    dead_letter,
                    "reply attempt ended"
                );
            }
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (kind, outcome, error, duration, next);
}

/// When an event runs next.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(all(feature = "queue", feature = "tracing")),
    allow(dead_code, reason = "only a queue's worker sets `In` and `DeadLetter`")
)]
pub(crate) enum Next {
    /// The line does not say when: the event is done, was given back, or is on hold.
    Unlogged,
    /// When it is delivered again, which is unknown here.
    Unknown,
    /// After this delay.
    In(Duration),
    /// Once an operator requeues it.
    DeadLetter,
}

/// Logs a problem with a claim of a `Dedupe`.
#[cfg(feature = "dedupe")]
pub(crate) fn claim(key: &str, what: &'static str, error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: TARGET, key = %text::name(key), error = %text::error(error), "{what}"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (key, what, error);
}

/// Logs that an event was stored in the queue.
#[cfg(feature = "queue")]
pub(super) fn queued(duration: Duration) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, ?duration, "queued");
    #[cfg(not(feature = "tracing"))]
    let _ = duration;
}

/// Logs that a worker lost the lease of an entry.
#[cfg(feature = "queue")]
pub(super) fn lease_lost(id: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, entry = %id, "lease lost");
    #[cfg(not(feature = "tracing"))]
    let _ = id;
}

/// Logs that a run blocks its thread and cannot be cancelled.
#[cfg(feature = "queue")]
pub(super) fn run_blocks(id: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, entry = %id, "run blocks its thread, lease given up");
    #[cfg(not(feature = "tracing"))]
    let _ = id;
}

/// Logs that the store refused to settle an entry.
#[cfg(feature = "queue")]
pub(super) fn settlement_refused(id: &dyn fmt::Display, error: &dyn std::error::Error) {
    #[cfg(feature = "tracing")]
    {
        let reason = error.source().map(|source| display(text::error(source)));
        tracing::error!(target: TARGET, entry = %id, reason, "settlement refused by the store");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (id, error);
}

/// Logs that abandoned entries were recovered.
#[cfg(feature = "queue")]
pub(super) fn recovered(entries: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, entries, "recovered abandoned entries");
    #[cfg(not(feature = "tracing"))]
    let _ = entries;
}

/// Logs that a dead letter could not be reported.
#[cfg(feature = "queue")]
pub(super) fn dead_letter_not_reported(id: &dyn fmt::Display, error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(
        target: TARGET, entry = %id, error = %text::error(error),
        "dead letter not reported, will retry"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (id, error);
}

/// Logs that the hook for replies failed.
#[cfg(feature = "queue")]
pub(super) fn reply_not_reported(key: &str, error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, key, error = %text::error(error), "reply not reported");
    #[cfg(not(feature = "tracing"))]
    let _ = (key, error);
}

/// Logs that a call to the store failed.
#[cfg(feature = "queue")]
pub(super) fn store_failed(error: &dyn std::error::Error) {
    #[cfg(feature = "tracing")]
    {
        let reason = error.source().map(|source| display(text::error(source)));
        let error = display(text::error(error));
        tracing::warn!(target: TARGET, error, reason, "queue store failed");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Logs that a worker's service failed before it took an event.
#[cfg(feature = "queue")]
pub(super) fn unready(error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, error = %text::error(error), "service failed before it took an event");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// Logs that a rule of a guard acted on a mail. The line is a warning if the guard withholds all
/// replies of the inbox for a while.
#[cfg(feature = "guard")]
pub(super) fn guarded(
    action: &'static str,
    rule: &'static str,
    reason: &'static str,
    scope: &'static str,
) {
    #[cfg(feature = "tracing")]
    if action == "mute" && scope == "inbox" {
        tracing::warn!(target: TARGET, action, rule, reason, scope, "guarded");
    } else {
        tracing::info!(target: TARGET, action, rule, reason, scope, "guarded");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (action, rule, reason, scope);
}

/// Logs that a guard's count store failed, so that a reply was counted in memory.
#[cfg(feature = "guard")]
pub(super) fn uncounted(error: &dyn std::error::Error) {
    #[cfg(feature = "tracing")]
    {
        let reason = error.source().map(|source| display(text::error(source)));
        let error = display(text::error(error));
        tracing::warn!(target: TARGET, error, reason, "guard's count store failed, reply counted in memory");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
