//! When to look for events, and how.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    queue::{error::QueueError, lease::Claims, request::ClaimRequest, store::QueueStore},
    seam::within,
    telemetry::queue as telemetry,
};

use super::settings::Settings;

pub(super) async fn claim<St: QueueStore>(
    store: St,
    request: ClaimRequest,
    settings: Settings,
) -> (usize, Result<Claims, QueueError>) {
    let limit = request.limit;
    (limit, within(settings.store_timeout, store.claim(request), QueueError::late).await)
}

/// Between two looks at a store that has less than was asked for.
const SHORTEST: Duration = Duration::from_millis(10);
/// Further away than this, time may not go.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// When to look again.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    failures: u32,
    // Something has changed since the last look began.
    again: bool,
}

impl Look {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), failures: 0, again: false }
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

    /// Something has changed. A store that is away is waited for all the same.
    pub(super) fn soon(&mut self) {
        self.again = true;
        if self.failures == 0 {
            self.at = Instant::now();
        }
    }

    pub(super) fn found(&mut self, asked: usize, claims: &Claims, poll: Duration) {
        self.failures = 0;
        let wait = if self.again || claims.entries.len() >= asked {
            Duration::ZERO
        } else {
            // What is due and was not given is in another's hands for the moment.
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

/// How long to wait for a store that has been away `failures` times in a row: 0.1 s to 5 s, and
/// some of it by chance, so that workers do not come back together.
pub(super) fn pause(failures: u32) -> Duration {
    let longest = Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
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
    fn what_changes_during_a_look_is_looked_for() {
        let mut look = Look::now();
        look.begin();
        look.soon();
        look.found(1, &Claims::default(), Duration::from_secs(9));
        assert!(look.is_due());
    }

    #[test]
    fn no_wait_is_too_long() {
        assert!(look(None, Duration::MAX) > Duration::from_secs(3600));
        assert!(look(Some(Duration::MAX), Duration::MAX) > Duration::from_secs(3600));
    }

    #[test]
    fn what_is_due_and_locked_is_not_asked_for_all_the_time() {
        assert!(!look(Some(Duration::ZERO), Duration::from_secs(1)).is_zero());
    }
}
