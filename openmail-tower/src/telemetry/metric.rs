//! The names of the metrics, recorded through the crate `metrics` (feature `metrics`).
//!
//! Names and units follow Prometheus: base units, and `_total` for counters.
//!
//! | name | type | labels | unit | what it measures |
//! |---|---|---|---|---|
//! | [`openmail_deliveries_total`](DELIVERIES) | counter | `event`, `outcome` | | verified deliveries that were answered or dropped |
//! | [`openmail_rejections_total`](REJECTIONS) | counter | `reason` | | requests that were rejected, or dropped before they were verified |
//! | [`openmail_runs_total`](RUNS) | counter | `outcome` | | runs that have ended |
//! | [`openmail_retries_total`](RETRIES) | counter | | | entries of the queue whose run failed and that will be retried |
//! | [`openmail_releases_total`](RELEASES) | counter | `reason` | | entries of the queue that were released or put off, to run later |
//! | [`openmail_dead_letters_total`](DEAD_LETTERS) | counter | | | entries of the queue that became dead letters |
//! | [`openmail_guard_total`](GUARD) | counter | `action`, `rule` | | how often a guard acted on a mail; one that is put off counts each time |
//! | [`openmail_replies_total`](REPLIES) | counter | `outcome` | | attempts to send a reply that have ended |
//! | [`openmail_answer_duration_seconds`](ANSWER_DURATION) | histogram | `outcome` | s | the time from a verified delivery's arrival to its response |
//! | [`openmail_run_duration_seconds`](RUN_DURATION) | histogram | `outcome` | s | the duration of a run |
//! | [`openmail_reply_duration_seconds`](REPLY_DURATION) | histogram | `outcome` | s | the duration of an attempt to send a reply |
//! | [`openmail_queue_wait_seconds`](QUEUE_WAIT) | histogram | | s | the time from an event's commit until a worker claims it for its first attempt; recorded again if that attempt is given back, lost with its worker, or repeated after a requeue |
//! | [`openmail_body_bytes`](BODY_SIZE) | histogram | | byte | the size of a verified body |
//! | [`openmail_bodies_in_flight`](BODIES_IN_FLIGHT) | gauge | | | request bodies in memory: those being received, and those of events that are still in use |
//! | [`openmail_body_budget_used_bytes`](BODY_BUDGET_USED) | gauge | | byte | the part of the memory budget that these bodies and their events use |
//! | [`openmail_clock_difference_seconds`](CLOCK_DIFFERENCE) | gauge | | s | how far this machine's clock is ahead of the last verified delivery's `X-Timestamp` |
//! | [`openmail_queue_entries`](QUEUE_ENTRIES) | gauge | `state` | | entries of the queue that are not done |
//! | [`openmail_queue_oldest_age_seconds`](QUEUE_OLDEST_AGE) | gauge | | s | how long the oldest due entry has been due |
//! | [`openmail_queue_workers`](QUEUE_WORKERS) | gauge | | | live workers of the queue, in all processes; with SQLite, those with a lock file |
//!
//! Each worker refreshes the gauges of its queue every 15 s, with one call of the store. Every
//! process reports the same values, because they describe the whole queue: aggregate them with
//! `max`, not `sum`.
//!
//! No sender can add values to a label. The values of each label:
//!
//! | label | values |
//! |---|---|
//! | `event` | the known [`EventKind`](crate::EventKind)s, otherwise `other` |
//! | `outcome` of a delivery | `done`, `queued`, `duplicate`, `unrouted`; `refused`, `muted` by a guard; `failed`, `permanent`, `panicked`, `in_flight`, `unavailable`, `put_off`; `late`, `dropped`; `unsent` if nothing sends the handler's reply; `answered`, or `failed` from status 400 on, if the service is not an [`Endpoint`](crate::Endpoint) |
//! | `outcome` of a run | `done`, `queued`, `duplicate`, `unrouted`; `refused`, `muted` by a guard inside a worker; `failed`, `permanent`, `panicked`, `in_flight`, `unavailable`, `put_off`; `dropped`; `lost` if a worker died while running only this entry |
//! | `action`, `rule` | the words of `layers::guard::Action` and `layers::guard::Rule` |
//! | `outcome` of a reply | `sent`; `sent_before` if its key was used before, with another body (a worker reports `sent` instead); `failed`, `waiting`, `held`; `permanent` if it can never be sent; `panicked`; `dropped`, `lost` as for a run |
//! | `reason` of a rejection | the `error` of the response, or `dropped` |
//! | `reason` of a release | `unavailable`, `in_flight`, `put_off`; `waiting` if the entry is a reply |
//! | `state` | `ready`, `waiting`, `running`, `blocked`, `held`, `dead` |

use std::time::Duration;

#[cfg(feature = "metrics")]
use super::keys::Keys;
use super::run::RunKind;

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(
            #[doc = concat!("The metric `", $name, "`. The [module](self) says what it measures.")]
            pub const $constant: &str = $name;
        )*

        /// The names of all metrics.
        pub const ALL: &[&str] = &[$($constant),*];
    };
}

names! {
    DELIVERIES = "openmail_deliveries_total";
    REJECTIONS = "openmail_rejections_total";
    RUNS = "openmail_runs_total";
    RETRIES = "openmail_retries_total";
    RELEASES = "openmail_releases_total";
    DEAD_LETTERS = "openmail_dead_letters_total";
    GUARD = "openmail_guard_total";
    REPLIES = "openmail_replies_total";
    REPLY_DURATION = "openmail_reply_duration_seconds";
    ANSWER_DURATION = "openmail_answer_duration_seconds";
    RUN_DURATION = "openmail_run_duration_seconds";
    QUEUE_WAIT = "openmail_queue_wait_seconds";
    QUEUE_ENTRIES = "openmail_queue_entries";
    QUEUE_OLDEST_AGE = "openmail_queue_oldest_age_seconds";
    QUEUE_WORKERS = "openmail_queue_workers";
    BODY_SIZE = "openmail_body_bytes";
    BODIES_IN_FLIGHT = "openmail_bodies_in_flight";
    BODY_BUDGET_USED = "openmail_body_budget_used_bytes";
    CLOCK_DIFFERENCE = "openmail_clock_difference_seconds";
}

/// Returns the event's name if it is known, otherwise `other`, so that the label has few values.
#[cfg(feature = "metrics")]
fn event_label(kind: &str) -> &'static str {
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

/// Returns whether this outcome is a failure that someone should look into.
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
            | "waiting"
            | "held"
            | "unsent"
    )
}

pub(super) fn received(bytes: usize, clock: f64) {
    #[cfg(feature = "metrics")]
    {
        static BODIES: Keys<0> = Keys::new(BODY_SIZE, []);
        static CLOCK: Keys<0> = Keys::new(CLOCK_DIFFERENCE, []);
        #[expect(clippy::cast_precision_loss, reason = "bodies are small")]
        BODIES.histogram([]).record(bytes as f64);
        CLOCK.gauge([]).set(clock);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (bytes, clock);
}

/// Counts a body that gets a reservation of the memory budget, or gives it back.
pub(crate) fn body_in_flight(is_begun: bool) {
    #[cfg(feature = "metrics")]
    {
        static KEYS: Keys<0> = Keys::new(BODIES_IN_FLIGHT, []);
        KEYS.gauge([]).increment(if is_begun { 1.0 } else { -1.0 });
    }
    #[cfg(not(feature = "metrics"))]
    let _ = is_begun;
}

/// Adjusts the gauge by the change of one reservation, from `before` to `after` bytes.
pub(crate) fn budget_changed(before: usize, after: usize) {
    #[cfg(feature = "metrics")]
    {
        #[expect(clippy::cast_precision_loss, reason = "a budget is smaller than 2^52 bytes")]
        let change = after as f64 - before as f64;
        static KEYS: Keys<0> = Keys::new(BODY_BUDGET_USED, []);
        KEYS.gauge([]).increment(change);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (before, after);
}

pub(super) fn rejected(reason: &'static str) {
    #[cfg(feature = "metrics")]
    {
        static KEYS: Keys<1> = Keys::new(REJECTIONS, ["reason"]);
        KEYS.counter([reason]).increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = reason;
}

pub(super) fn answered(event: Option<&str>, outcome: &'static str, duration: Duration) {
    #[cfg(feature = "metrics")]
    {
        static COUNTS: Keys<2> = Keys::new(DELIVERIES, ["event", "outcome"]);
        static DURATIONS: Keys<1> = Keys::new(ANSWER_DURATION, ["outcome"]);
        COUNTS.counter([event.map_or("other", event_label), outcome]).increment(1);
        // A delivery that was dropped has no answer.
        if outcome != "dropped" {
            DURATIONS.histogram([outcome]).record(duration);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (event, outcome, duration);
}

pub(super) fn run_ended(kind: RunKind, outcome: &'static str, duration: Duration) {
    #[cfg(feature = "metrics")]
    {
        type Pair = (Keys<1>, Keys<1>);
        const fn pair(total: &'static str, durations: &'static str) -> Pair {
            (Keys::new(total, ["outcome"]), Keys::new(durations, ["outcome"]))
        }
        static HANDLERS: Pair = pair(RUNS, RUN_DURATION);
        #[cfg(any(feature = "api", feature = "queue"))]
        static SENDS: Pair = pair(REPLIES, REPLY_DURATION);
        let (total, durations) = match kind {
            RunKind::Handler => &HANDLERS,
            #[cfg(any(feature = "api", feature = "queue"))]
            RunKind::Reply => &SENDS,
        };
        total.counter([outcome]).increment(1);
        durations.histogram([outcome]).record(duration);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (kind, outcome, duration);
}

#[cfg(feature = "queue")]
pub(super) fn waited(duration: Duration) {
    #[cfg(feature = "metrics")]
    {
        static KEYS: Keys<0> = Keys::new(QUEUE_WAIT, []);
        KEYS.histogram([]).record(duration);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = duration;
}

#[cfg(feature = "queue")]
pub(super) fn settled(settled: super::queue::Settled) {
    #[cfg(feature = "metrics")]
    {
        use super::queue::Settled;
        static RETRIED: Keys<0> = Keys::new(RETRIES, []);
        static DIED: Keys<0> = Keys::new(DEAD_LETTERS, []);
        match settled {
            Settled::Retry => RETRIED.counter([]).increment(1),
            Settled::Release(reason) => {
                static KEYS: Keys<1> = Keys::new(RELEASES, ["reason"]);
                KEYS.counter([reason]).increment(1);
            }
            Settled::DeadLetter => DIED.counter([]).increment(1),
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = settled;
}

#[cfg(feature = "queue")]
pub(super) fn depth(depth: super::queue::Depth) {
    #[cfg(feature = "metrics")]
    {
        static ENTRIES: Keys<1> = Keys::new(QUEUE_ENTRIES, ["state"]);
        static OLDEST: Keys<0> = Keys::new(QUEUE_OLDEST_AGE, []);
        static WORKERS: Keys<0> = Keys::new(QUEUE_WORKERS, []);
        let super::queue::Depth { states, oldest, workers } = depth;
        #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact")]
        let count = |count: u64| count as f64;
        for (state, entries) in states {
            ENTRIES.gauge([state]).set(count(entries));
        }
        OLDEST.gauge([]).set(oldest.unwrap_or_default());
        WORKERS.gauge([]).set(count(workers));
    }
    #[cfg(not(feature = "metrics"))]
    let _ = depth;
}

#[cfg(feature = "guard")]
pub(super) fn guarded(action: &'static str, rule: &'static str) {
    #[cfg(feature = "metrics")]
    {
        static KEYS: Keys<2> = Keys::new(GUARD, ["action", "rule"]);
        KEYS.counter([action, rule]).increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (action, rule);
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use super::*;
    use crate::seam::{HandlerErrorKind, Outcome};

    /// [`is_failure`] decides what is logged and traced as a failure.
    #[test]
    fn no_outcome_of_a_handled_event_is_a_failure() {
        let rule = "verdict";
        for outcome in [
            Outcome::Done,
            Outcome::Queued,
            Outcome::Duplicate,
            Outcome::Unrouted,
            Outcome::Refused { rule },
            Outcome::Muted { rule },
        ] {
            assert!(!is_failure(outcome.label()), "{outcome:?}");
        }
        assert!(is_failure(HandlerErrorKind::Permanent.label()));
        assert!(!is_failure(HandlerErrorKind::PutOff.label()));
    }
}
