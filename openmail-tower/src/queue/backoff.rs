//! [`Backoff`]: when a failed event runs again.

use std::time::Duration;

/// When a failed event runs again, and how often.
///
/// After the `n`th run it waits for a random time between nothing and `base * 2^(n-1)`, `cap` at
/// most: full jitter, so that what failed together does not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// A back-off that starts at `base` and grows up to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        // A longer one would only overflow.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        Self { base, cap: cap.min(YEAR), ..Self::default() }
    }

    /// After how many runs an event that still fails becomes a dead letter.
    ///
    /// # Panics
    /// When it is 0.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "an event needs one attempt");
        self.attempts = attempts;
        self
    }

    pub(super) fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.attempts
    }

    /// Returns the delay after the `attempt`th run, from 1: a random part of the longest one.
    pub fn after(&self, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(fastrand::f64())
    }

    fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor.max(1)).min(self.cap)
    }
}

/// From 2 s to an hour; 20 runs, which spread over some 4.5 hours on average.
impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), cap: Duration::from_secs(3600), attempts: 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let ceilings = [1, 2, 3, 4, 33, u32::MAX].map(|n| backoff.ceiling(n).as_secs());
        assert_eq!(ceilings, [1, 2, 4, 5, 5, 5]);
        let huge = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(huge.after(u32::MAX) <= huge.ceiling(u32::MAX));
    }

    #[test]
    fn the_jitter_is_full() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let mut all = (0..1000).map(|_| backoff.after(1).as_secs_f64());
        assert!(all.all(|secs| (0.0..=1.0).contains(&secs)));
        assert!((0..1000).any(|_| backoff.after(1).as_secs_f64() < 0.2));
        assert!((0..1000).any(|_| backoff.after(1).as_secs_f64() > 0.8));
    }
}
