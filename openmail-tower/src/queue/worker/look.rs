//! Decides when to look for due entries.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    queue::{error::QueueError, lease::Claims},
    telemetry::queue as telemetry,
};

/// The delay between two looks at a store that returned less than was asked for.
const SHORTEST: Duration = Duration::from_millis(10);
/// Maximum delay.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// When to look again.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    failures: u32,
    /// Whether something has changed since the last look began.
    again: bool,
    /// Whether the last look left out entries because of the worker's limits.
    limited: bool,
}

impl Look {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), failures: 0, again: false, limited: false }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    pub(super) fn is_due(&self) -> bool {
        self.at <= Instant::now()
    }

    pub(super) fn begin(&mut self) {
        self.again = false;
    }

    /// Records that something has changed. An unreachable store is left alone until its pause is
    /// over.
    pub(super) fn soon(&mut self) {
        self.again = true;
        if self.failures == 0 {
            self.at = Instant::now();
        }
    }

    /// Records that a run has ended, which makes room for entries that did not fit.
    pub(super) fn has_room(&mut self) {
        if self.limited {
            self.soon();
        }
    }

    pub(super) fn found(&mut self, asked: usize, claims: &Claims, poll: Duration) {
        self.failures = 0;
        self.limited = claims.limited;
        let wait = if self.again || claims.entries.len() >= asked {
            Duration::ZERO
        } else {
            claims.next_due.map_or(poll, |due| due.max(SHORTEST).min(poll))
        };
        self.at = Instant::now() + wait.min(LONGEST);
    }

    pub(super) fn failed(&mut self, error: &QueueError) {
        telemetry::away(error);
        self.failures = self.failures.saturating_add(1);
        self.at = Instant::now() + pause(self.failures);
    }
}

/// Returns how long to wait for a store that was unreachable `failures` times in a row: 0.1 s to 2
/// s, partly random, so that workers do not retry together.
pub(super) fn pause(failures: u32) -> Duration {
    let longest = Duration::from_millis(100 << failures.min(5)).min(Duration::from_secs(2));
    longest.mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(next_due: Option<Duration>, poll: Duration) -> Duration {
        let mut look = Look::now();
        look.found(1, &Claims { next_due, ..Claims::default() }, poll);
        look.at() - Instant::now()
    }

    #[test]
    fn change_during_a_look_is_not_missed() {
        let mut look = Look::now();
        look.begin();
        look.soon();
        look.found(1, &Claims::default(), Duration::from_secs(9));
        assert!(look.is_due());
    }

    #[test]
    fn looks_again_when_there_is_room() {
        for limited in [true, false] {
            let mut look = Look::now();
            look.begin();
            let claims = Claims { limited, ..Claims::default() };
            look.found(1, &claims, Duration::from_secs(9));
            assert!(!look.is_due());
            look.has_room();
            assert_eq!(look.is_due(), limited);
        }
    }

    #[test]
    fn no_wait_is_too_long() {
        assert!(look(None, Duration::MAX) > Duration::from_secs(3600));
        assert!(look(Some(Duration::MAX), Duration::MAX) > Duration::from_secs(3600));
    }

    #[test]
    fn look_is_never_repeated_at_once_for_nothing() {
        assert!(!look(Some(Duration::ZERO), Duration::from_secs(1)).is_zero());
    }
}
