//! [`Backoff`]: when and how often a failed event is retried.

use std::time::Duration;

/// When a failed event is retried, and how often.
///
/// After the `n`th run, the delay is random between 0 and `base * 2^(n-1)`, at most `cap`. This is
/// full jitter, so that events that failed together are not retried together.
///
/// ```
/// use std::time::Duration;
/// use openmail_tower::queue::Backoff;
///
/// // At most 10 s after the first run, 20 s after the second, …, and never more than 10 min.
/// let backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(600)).attempts(8);
/// assert!(backoff.after(1) <= Duration::from_secs(10));
/// assert!(backoff.after(8) <= Duration::from_secs(600));
/// ```
///
/// [`Worker::backoff`](super::Worker::backoff) takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// Creates a back-off with 20 attempts. The maximum delay starts at `base` and doubles up to
    /// `cap`. A `cap` above a year counts as a year.
    pub fn new(base: Duration, cap: Duration) -> Self {
        // A longer delay has no use, and could overflow when it is added to a time.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        Self { base, cap: cap.min(YEAR), ..Self::default() }
    }

    /// Sets the number of runs after which an event that still fails becomes a dead letter.
    /// Default: 20.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "the number of attempts must not be 0");
        self.attempts = attempts;
        self
    }

    pub(super) fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.attempts
    }

    /// Returns the delay after the `attempt`th run, counted from 1.
    pub fn after(&self, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(fastrand::f64())
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor.max(1)).min(self.cap)
    }
}

/// The maximum delay starts at 2 s and doubles up to an hour. The 20 runs spread over about 4.5
/// hours on average.
impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), cap: Duration::from_secs(3600), attempts: 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let ceilings = [1, 2, 3, 4, 33, u32::MAX].map(|n| backoff.ceiling(n).as_secs());
        assert_eq!(ceilings, [1, 2, 4, 5, 5, 5]);
        let huge = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(huge.after(u32::MAX) <= huge.ceiling(u32::MAX));
    }

    #[test]
    fn jitter_is_full() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let mut all = (0..1000).map(|_| backoff.after(1).as_secs_f64());
        assert!(all.all(|secs| (0.0..=1.0).contains(&secs)));
        assert!((0..1000).any(|_| backoff.after(1).as_secs_f64() < 0.2));
        assert!((0..1000).any(|_| backoff.after(1).as_secs_f64() > 0.8));
    }
}
