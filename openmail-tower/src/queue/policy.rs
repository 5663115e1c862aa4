//! [`RetryPolicy`]: how an event is settled after a run.

use std::time::Duration;

use crate::seam::{HandlerError, HandlerErrorKind, Outcome};

use super::{backoff::Backoff, lease::Claimed, settlement::Settlement};

/// Decides how an event is settled after a run, by mapping the result of a service to a
/// [`Settlement`].
///
/// | result | settlement |
/// |---|---|
/// | [`Done`](Outcome::Done), [`Duplicate`](Outcome::Duplicate), [`Queued`](Outcome::Queued), [`Refused`](Outcome::Refused), [`Muted`](Outcome::Muted) | [`Done`](Settlement::Done) |
/// | [`Replies`](Outcome::Replies), without [`Worker::replies`](super::Worker::replies) | as for a failure |
/// | [`Unrouted`](Outcome::Unrouted) | [`Bury`](Settlement::Bury), or `Done` with [`drop_unrouted`](Self::drop_unrouted) |
/// | a failure, a panic | [`Retry`](Settlement::Retry) after the back-off; after the last attempt, `Bury` |
/// | a permanent failure | `Bury` |
/// | unavailable, in flight | [`Release`](Settlement::Release) after the back-off, which grows with each release or put-off until a run counts as an attempt; after [`max_age`](Self::max_age), `Bury` |
/// | put off | [`PutOff`](Settlement::PutOff) for as long as the error says, or else for the same back-off; after [`max_put_off`](Self::max_put_off), `Bury` |
///
/// The delay before the next run is never shorter than the error's [`delay`](HandlerError::delay).
///
/// A [`Worker`] has such a policy. A consumer of another source, such as a message broker, can
/// apply one as well:
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::{HandlerError, queue::{Backoff, RetryPolicy, Run, Settlement}};
///
/// let policy = RetryPolicy::new(Backoff::default().attempts(3));
/// let failed = || Err(HandlerError::failed("no answer"));
/// assert!(matches!(policy.settlement(failed(), Run::attempt(2)), Settlement::Retry { .. }));
/// assert!(matches!(policy.settlement(failed(), Run::attempt(3)), Settlement::Bury { .. }));
/// ```
///
/// [`Worker`]: super::Worker
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    backoff: Backoff,
    holds_lanes: bool,
    buries_unrouted: bool,
    max_age: Duration,
    max_put_off: Duration,
}

/// What is known about a run when its result is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The number of the run, from 1. Runs that were released, put off, held or given back do not
    /// count.
    pub attempt: u32,
    /// How often the event was released or put off since its last run that counted.
    pub releases: u32,
    /// The time since the current uninterrupted series of releases began; zero if there is none.
    pub released_for: Duration,
    /// The time since it was first put off or put on hold; zero if it never was, or not since it
    /// was requeued.
    pub put_off_for: Duration,
}

impl Run {
    /// Creates the `attempt`th run, counted from 1, of an event that was never released or put off.
    pub fn attempt(attempt: u32) -> Self {
        let never = Duration::ZERO;
        Self { attempt, releases: 0, released_for: never, put_off_for: never }
    }
}

impl From<&Claimed> for Run {
    fn from(claimed: &Claimed) -> Self {
        let Claimed { attempt, releases, released_for, put_off_for, .. } = *claimed;
        Self { attempt, releases, released_for, put_off_for }
    }
}

impl RetryPolicy {
    /// Creates a policy with this back-off.
    pub fn new(backoff: Backoff) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            backoff,
            holds_lanes: true,
            buries_unrouted: true,
            max_age: 3 * DAY,
            max_put_off: 30 * DAY,
        }
    }

    /// Sets the back-off.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Lets other events of a lane run before one that waits for a retry. Default: the lane waits.
    #[must_use]
    pub fn overtake_retries(mut self) -> Self {
        self.holds_lanes = false;
        self
    }

    /// Counts an event that no handler matches as done. Default: it becomes a dead letter, since it
    /// was acknowledged.
    #[must_use]
    pub fn drop_unrouted(mut self) -> Self {
        self.buries_unrouted = false;
        self
    }

    /// Sets how long an event may be released repeatedly before it becomes a dead letter. Default:
    /// 72 h.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how long an event may be put off or on hold, counted from the first time, before it
    /// becomes a dead letter. Default: 30 days.
    #[must_use]
    pub fn max_put_off(mut self, time: Duration) -> Self {
        self.max_put_off = time;
        self
    }

    /// Returns the settlement for the result of a run.
    pub fn settlement(&self, result: Result<Outcome, HandlerError>, run: Run) -> Settlement {
        let failure = match result {
            Ok(Outcome::Unrouted) if self.buries_unrouted => {
                return Settlement::Bury { error: "no handler matches this event".to_owned() };
            }
            Ok(Outcome::Replies(_)) => unsent(),
            Ok(_) => return Settlement::done(),
            Err(failure) => failure,
        };
        let error = failure.to_string();
        let delay = failure.delay().unwrap_or_default();
        match failure.kind() {
            HandlerErrorKind::Permanent => Settlement::Bury { error },
            HandlerErrorKind::Unavailable | HandlerErrorKind::InFlight => {
                if run.released_for >= self.max_age {
                    return too_long(failure.kind().label(), self.max_age, &error);
                }
                Settlement::Release { after: self.pause(run, delay), reason: error }
            }
            HandlerErrorKind::PutOff if run.put_off_for >= self.max_put_off => {
                too_long("put off", self.max_put_off, &error)
            }
            HandlerErrorKind::PutOff => {
                // The error's delay is the time until the limit is expected to end. A back-off
                // could keep the event waiting long after that.
                let after = failure.delay().unwrap_or_else(|| self.pause(run, delay));
                let holds_lane = !failure.steps_aside();
                Settlement::PutOff { after, reason: error, holds_lane }
            }
            HandlerErrorKind::Failed | HandlerErrorKind::Panicked
                if self.backoff.is_last(run.attempt) =>
            {
                Settlement::Bury { error }
            }
            HandlerErrorKind::Failed | HandlerErrorKind::Panicked => {
                let after = self.backoff.after(run.attempt).max(delay);
                Settlement::Retry { after, error, holds_lane: self.holds_lanes }
            }
        }
    }

    /// Returns the settlement for an entry that must wait until it is released.
    #[cfg_attr(not(feature = "api"), allow(dead_code, reason = "only replies are held"))]
    pub(super) fn hold(&self, reason: String, run: Run) -> Settlement {
        match self.max_put_off.checked_sub(run.put_off_for) {
            Some(at_most) => Settlement::Hold { reason, at_most },
            None => too_long("on hold", self.max_put_off, &reason),
        }
    }

    fn pause(&self, run: Run, delay: Duration) -> Duration {
        self.backoff.after(run.releases.saturating_add(1)).max(delay)
    }
}

fn too_long(what: &str, limit: Duration, error: &str) -> Settlement {
    let time = match limit.as_secs() {
        seconds if seconds < 3600 => format!("{seconds} s"),
        seconds => format!("{} h", seconds / 3600),
    };
    Settlement::Bury { error: format!("{what} for {time}: {error}") }
}

/// Returns the error for a worker without `Worker::replies`. It is not permanent, so that the event
/// is retried, and answered once the program is fixed.
pub(super) fn unsent() -> HandlerError {
    HandlerError::failed(
        "a handler returned a reply, but the worker does not send replies: call `Worker::replies`",
    )
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn policy() -> RetryPolicy {
        let (base, cap) = (Duration::from_millis(1), Duration::from_secs(60));
        RetryPolicy::new(Backoff::new(base, cap).attempts(3))
    }

    fn after(result: Result<Outcome, HandlerError>, attempt: u32) -> Settlement {
        policy().settlement(result, Run::attempt(attempt))
    }

    #[test]
    fn handled_event_is_done() {
        for outcome in [Outcome::Done, Outcome::Duplicate, Outcome::Queued] {
            assert_eq!(after(Ok(outcome), 1), Settlement::done());
        }
    }

    #[test]
    fn unrouted_event_becomes_a_dead_letter() {
        assert!(matches!(after(Ok(Outcome::Unrouted), 1), Settlement::Bury { .. }));
        let policy = policy().drop_unrouted();
        assert_eq!(policy.settlement(Ok(Outcome::Unrouted), Run::attempt(1)), Settlement::done());
    }

    #[test]
    fn failure_is_retried_until_the_last_attempt() {
        for attempt in [1, 2] {
            let settled = after(Err(HandlerError::failed("x")), attempt);
            assert!(matches!(settled, Settlement::Retry { error, .. } if error == "x"));
        }
        assert!(matches!(after(Err(HandlerError::failed("x")), 3), Settlement::Bury { .. }));
        assert!(matches!(after(Err(HandlerError::permanent("x")), 1), Settlement::Bury { .. }));
        let panicked = HandlerError::panicked("x");
        assert!(matches!(after(Err(panicked), 1), Settlement::Retry { .. }));
    }

    #[test]
    fn waits_at_least_as_long_as_the_error_says() {
        let settled = after(Err(HandlerError::failed("x").after(7 * DAY)), 1);
        assert!(matches!(settled, Settlement::Retry { after, .. } if after == 7 * DAY));
        let settled = after(Err(HandlerError::in_flight(7 * DAY)), 99);
        assert!(matches!(settled, Settlement::Release { after, .. } if after == 7 * DAY));
        let settled = after(Err(HandlerError::unavailable("x").after(DAY)), 99);
        assert!(matches!(settled, Settlement::Release { after, .. } if after == DAY));
    }

    #[test]
    fn released_event_backs_off_further_each_time_and_keeps_its_reason() {
        let longest = |releases| {
            let run = Run { releases, ..Run::attempt(1) };
            let waits = (0..200).map(|_| {
                match policy().settlement(Err(HandlerError::unavailable("away")), run) {
                    Settlement::Release { after, reason } if reason == "away" => after,
                    other => panic!("{other:?}"),
                }
            });
            waits.max().unwrap()
        };
        assert!(longest(0) <= Duration::from_millis(1));
        assert!(longest(10) > Duration::from_millis(100));
        assert!(longest(60) > Duration::from_secs(20), "up to the cap");
        assert!(longest(u32::MAX) <= Duration::from_secs(60));
    }

    #[test]
    fn event_released_for_too_long_becomes_a_dead_letter() {
        let run = |released_for| Run { releases: 9, released_for, ..Run::attempt(1) };
        let away = || Err(HandlerError::unavailable("away"));
        let settled = policy().settlement(away(), run(3 * DAY - Duration::from_secs(1)));
        assert!(matches!(settled, Settlement::Release { .. }));
        let settled = policy().settlement(away(), run(3 * DAY));
        assert_eq!(settled.reason(), Some("unavailable for 72 h: away"));
        assert!(matches!(settled, Settlement::Bury { .. }));
        let settled = policy().settlement(Err(HandlerError::in_flight(DAY)), run(3 * DAY));
        assert_eq!(settled.reason(), Some("in_flight for 72 h: the event is being handled"));
    }

    #[test]
    fn event_put_off_for_thirty_days_becomes_a_dead_letter() {
        let run = |put_off_for| Run { releases: 9, put_off_for, ..Run::attempt(99) };
        let limit = || Err(HandlerError::put_off("paused", DAY));
        let settled = policy().settlement(limit(), run(30 * DAY - Duration::from_secs(1)));
        let reason = "paused".to_owned();
        assert_eq!(settled, Settlement::PutOff { after: DAY, reason, holds_lane: true });
        let settled = policy().settlement(limit(), run(30 * DAY));
        assert!(matches!(settled, Settlement::Bury { .. }));
        assert_eq!(settled.reason(), Some("put off for 720 h: paused"));
        let held = policy().hold("suspended".into(), run(29 * DAY));
        assert_eq!(held, Settlement::Hold { reason: "suspended".into(), at_most: DAY });
        let held = policy().hold("suspended".into(), run(31 * DAY));
        assert_eq!(held.reason(), Some("on hold for 720 h: suspended"));
        assert!(matches!(held, Settlement::Bury { .. }));
    }
}
