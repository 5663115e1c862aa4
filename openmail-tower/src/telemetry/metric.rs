//! The metrics' names, for the crate `metrics` (feature `metrics`).
//!
//! Names and units follow Prometheus: base units, and `_total` for counters.
//!
//! | name | type | labels | unit | what |
//! |---|---|---|---|---|
//! | [`openmail_deliveries_total`](DELIVERIES) | counter | `event`, `outcome` | | verified deliveries, when they are answered or dropped |
//! | [`openmail_rejections_total`](REJECTIONS) | counter | `reason` | | requests that were refused, or dropped before they were verified |
//! | [`openmail_runs_total`](RUNS) | counter | `outcome` | | runs that have ended |
//! | [`openmail_retries_total`](RETRIES) | counter | | | queued events that failed and run again |
//! | [`openmail_releases_total`](RELEASES) | counter | `reason` | | queued events that could not run, and run again |
//! | [`openmail_dead_letters_total`](DEAD_LETTERS) | counter | | | queued events that became dead letters |
//! | [`openmail_guard_total`](GUARD) | counter | `action`, `rule` | | mails on which a guard acted |
//! | [`openmail_replies_total`](REPLIES) | counter | `outcome` | | tries to send a reply that have ended |
//! | [`openmail_answer_duration_seconds`](ANSWER_DURATION) | histogram | `outcome` | s | from a verified delivery's arrival to its answer |
//! | [`openmail_run_duration_seconds`](RUN_DURATION) | histogram | `outcome` | s | of a run |
//! | [`openmail_reply_duration_seconds`](REPLY_DURATION) | histogram | `outcome` | s | of a try to send a reply |
//! | [`openmail_queue_wait_seconds`](QUEUE_WAIT) | histogram | | s | from an event's commit to its first run |
//! | [`openmail_body_bytes`](BODY_SIZE) | histogram | | byte | the size of a verified body |
//! | [`openmail_bodies_in_flight`](BODIES_IN_FLIGHT) | gauge | | | bodies that are being received, and events in memory that were read from one |
//! | [`openmail_body_budget_used_bytes`](BODY_BUDGET_USED) | gauge | | byte | what these hold of the memory budget |
//! | [`openmail_clock_difference_seconds`](CLOCK_DIFFERENCE) | gauge | | s | how far this machine's clock is ahead of the last verified delivery's `X-Timestamp` |
//! | [`openmail_queue_entries`](QUEUE_ENTRIES) | gauge | `state` | | entries of the queue that are not done |
//! | [`openmail_queue_oldest_age_seconds`](QUEUE_OLDEST_AGE) | gauge | | s | since when the oldest entry that is due has been due |
//! | [`openmail_queue_workers`](QUEUE_WORKERS) | gauge | | | workers of the queue that are alive, in all processes |
//!
//! The gauges of a queue are refreshed by each of its workers every 15 s, with one query, so they
//! are the same in each process: take the maximum over processes, not the sum.
//!
//! Label values are bounded, whatever is sent:
//!
//! | label | values |
//! |---|---|
//! | `event` | the [`EventKind`](crate::EventKind)s that are known, else `other` |
//! | `outcome` of a delivery | `done`, `queued`, `duplicate`, `unrouted`; `failed`, `permanent`, `panicked`, `in_flight`, `unavailable`, `put_off`; `late`, `dropped`; `unsent`, where nothing sends the handler's reply; `answered`, where the service is no [`Endpoint`](crate::Endpoint) |
//! | `outcome` of a run | `done`, `queued`, `duplicate`, `unrouted`; `failed`, `permanent`, `panicked`, `in_flight`, `unavailable`, `put_off`; `dropped`; `lost` with its worker |
//! | `action`, `rule` | the words of `layers::guard::Action` and `layers::guard::Rule` |
//! | `outcome` of a reply | `sent`, `sent_before`; `failed`, `waiting`, `held`; `refused`, for good; `dropped` |
//! | `reason` of a rejection | the `error` of the answer, or `dropped` |
//! | `reason` of a release | `unavailable`, `in_flight`, `put_off`; of a reply `waiting` |
//! | `state` | `ready`, `waiting`, `running`, `blocked`, `held`, `dead` |

use std::time::Duration;

use super::run::What;

macro_rules! names {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: &str = $name;)*

        /// Every name there is.
        pub const ALL: &[&str] = &[$($constant),*];
    };
}

names! {
    /// Verified deliveries by event and outcome.
    DELIVERIES = "openmail_deliveries_total";
    /// Refused requests by reason.
    REJECTIONS = "openmail_rejections_total";
    /// Runs by outcome.
    RUNS = "openmail_runs_total";
    /// Queued events that failed and run again.
    RETRIES = "openmail_retries_total";
    /// Queued events that could not run, by reason.
    RELEASES = "openmail_releases_total";
    /// Queued events that became dead letters.
    DEAD_LETTERS = "openmail_dead_letters_total";
    /// Mails on which a guard acted, by action and rule.
    GUARD = "openmail_guard_total";
    /// Tries to send a reply by outcome.
    REPLIES = "openmail_replies_total";
    /// The duration of a try to send a reply, in seconds, by outcome.
    REPLY_DURATION = "openmail_reply_duration_seconds";
    /// The time from a delivery's arrival to its answer, in seconds, by outcome.
    ANSWER_DURATION = "openmail_answer_duration_seconds";
    /// The duration of a run, in seconds, by outcome.
    RUN_DURATION = "openmail_run_duration_seconds";
    /// The time from an event's commit to its first run, in seconds.
    QUEUE_WAIT = "openmail_queue_wait_seconds";
    /// Entries of the queue by state.
    QUEUE_ENTRIES = "openmail_queue_entries";
    /// Since when the oldest entry that is due has been due, in seconds.
    QUEUE_OLDEST_AGE = "openmail_queue_oldest_age_seconds";
    /// Workers of the queue that are alive.
    QUEUE_WORKERS = "openmail_queue_workers";
    /// The size of a verified body, in bytes.
    BODY_SIZE = "openmail_body_bytes";
    /// Bodies that are being received, and events in memory that were read from one.
    BODIES_IN_FLIGHT = "openmail_bodies_in_flight";
    /// What bodies and events hold of the memory budget, in bytes.
    BODY_BUDGET_USED = "openmail_body_budget_used_bytes";
    /// How far this machine's clock is ahead of the sender's, in seconds.
    CLOCK_DIFFERENCE = "openmail_clock_difference_seconds";
}

/// The event's name where it is a known one: a label has few values.
pub(super) fn event_label(kind: &str) -> &'static str {
    const KNOWN: [&str; 6] = [
        "message.received",
        "inbox.suspended",
        "inbox.reactivated",
        "pod.suspended",
        "pod.reactivated",
        "setup.test",
    ];
    KNOWN.into_iter().find(|known| *known == kind).unwrap_or("other")
}

/// Whether this outcome is something to look into.
#[cfg(feature = "tracing")]
pub(super) fn is_failure(outcome: &str) -> bool {
    matches!(
        outcome,
        "failed"
            | "permanent"
            | "panicked"
            | "unavailable"
            | "late"
            | "dropped"
            | "lost"
            | "refused"
            | "waiting"
            | "held"
            | "unsent"
    )
}

pub(super) fn received(bytes: usize, clock: f64) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "bodies are small")]
        metrics::histogram!(BODY_SIZE).record(bytes as f64);
        metrics::gauge!(CLOCK_DIFFERENCE).set(clock);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (bytes, clock);
}

/// A body has a reservation of the memory budget, or has given it back.
pub(crate) fn body_in_flight(is_begun: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(BODIES_IN_FLIGHT).increment(if is_begun { 1.0 } else { -1.0 });
    #[cfg(not(feature = "metrics"))]
    let _ = is_begun;
}

/// A reservation of the memory budget has changed from `before` to `after` bytes.
pub(crate) fn budget_changed(before: usize, after: usize) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "a budget is smaller than 2^52 bytes")]
        let change = after as f64 - before as f64;
        metrics::gauge!(BODY_BUDGET_USED).increment(change);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (before, after);
}

pub(super) fn rejected(reason: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(REJECTIONS, "reason" => reason).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = reason;
}

pub(super) fn answered(event: Option<&'static str>, outcome: &'static str, duration: Duration) {
    #[cfg(feature = "metrics")]
    {
        let event = event.unwrap_or("other");
        metrics::counter!(DELIVERIES, "event" => event, "outcome" => outcome).increment(1);
        metrics::histogram!(ANSWER_DURATION, "outcome" => outcome).record(duration);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (event, outcome, duration);
}

pub(super) fn dropped(event: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(DELIVERIES, "event" => event, "outcome" => "dropped").increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = event;
}

pub(super) fn run_ended(what: What, outcome: &'static str, duration: Duration) {
    #[cfg(feature = "metrics")]
    {
        let (total, durations) = match what {
            What::Handler => (RUNS, RUN_DURATION),
            #[cfg(any(feature = "api", feature = "queue"))]
            What::Reply => (REPLIES, REPLY_DURATION),
        };
        metrics::counter!(total, "outcome" => outcome).increment(1);
        metrics::histogram!(durations, "outcome" => outcome).record(duration);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (what, outcome, duration);
}

#[cfg(feature = "queue")]
pub(super) fn waited(duration: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!(QUEUE_WAIT).record(duration);
    #[cfg(not(feature = "metrics"))]
    let _ = duration;
}

#[cfg(feature = "queue")]
pub(super) fn settled(settled: super::queue::Settled) {
    #[cfg(feature = "metrics")]
    {
        use super::queue::Settled;
        match settled {
            Settled::Retry => metrics::counter!(RETRIES).increment(1),
            Settled::Release(reason) => {
                metrics::counter!(RELEASES, "reason" => reason).increment(1);
            }
            Settled::DeadLetter => metrics::counter!(DEAD_LETTERS).increment(1),
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = settled;
}

#[cfg(feature = "queue")]
pub(super) fn depth(depth: super::queue::Depth) {
    #[cfg(feature = "metrics")]
    {
        let super::queue::Depth { states, oldest, workers } = depth;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is no exact number")]
        let count = |count: u64| count as f64;
        for (state, entries) in states {
            metrics::gauge!(QUEUE_ENTRIES, "state" => state).set(count(entries));
        }
        metrics::gauge!(QUEUE_OLDEST_AGE).set(oldest.unwrap_or_default());
        metrics::gauge!(QUEUE_WORKERS).set(count(workers));
    }
    #[cfg(not(feature = "metrics"))]
    let _ = depth;
}

#[cfg(feature = "guard")]
pub(super) fn guarded(action: &'static str, rule: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(GUARD, "action" => action, "rule" => rule).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (action, rule);
}
