//! The minimum rate at which a body has to arrive.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::seam::Timer;

/// The time after a body's start during which the minimum rate is not checked.
const MOMENT: Duration = Duration::from_secs(2);
/// Replaces a deadline that is too far in the future to be an `Instant`.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The limits on the time that a body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum total time.
    pub(crate) timeout: Duration,
    /// The minimum rate in bytes per second, checked after `MOMENT`; 0 for none.
    pub(crate) minimum_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), minimum_rate: 16 << 10 }
    }
}

impl Limits {
    /// Returns how long after its start a body counts as too slow if only `bytes` of it have
    /// arrived. The time `unread`, during which the body was not read, does not count for the
    /// minimum rate, only for the timeout.
    fn due(self, bytes: u64, unread: Duration) -> Duration {
        if self.minimum_rate == 0 {
            return self.timeout;
        }
        let millis = bytes.saturating_mul(1000) / self.minimum_rate;
        self.timeout.min(MOMENT.max(Duration::from_millis(millis)).saturating_add(unread))
    }
}

/// Watches one body. The clock starts at the first call of [`poll`](Self::poll).
#[derive(Debug, Default)]
pub(crate) struct Pace {
    started: Option<Instant>,
    unread: Duration,
    timer: Timer,
}

impl Pace {
    /// Waits until the body is too slow, given that `bytes` of it have arrived.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, bytes: u64, limits: Limits) -> Poll<()> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let at = |due: Duration| started.checked_add(due).unwrap_or_else(|| started + FAR);
        loop {
            let due = at(limits.due(bytes, self.unread));
            ready!(self.timer.poll(cx, || sleep_until(due)));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.timer.reset(due);
        }
    }

    /// Adds time during which the body was not read, for which its sender is not to blame.
    pub(crate) fn add_unread(&mut self, time: Duration) {
        self.unread = self.unread.saturating_add(time);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), minimum_rate: 1000 };

    async fn is_late(pace: &mut Pace, bytes: u64) -> bool {
        poll_fn(|cx| Poll::Ready(pace.poll(cx, bytes, LIMITS).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_late_after_two_seconds_and_fast_body_at_the_timeout() {
        let (mut slow, mut fast) = (Pace::default(), Pace::default());
        assert!(!is_late(&mut slow, 0).await && !is_late(&mut fast, 0).await);
        advance(MOMENT - Duration::from_millis(1)).await;
        assert!(!is_late(&mut slow, 1999).await && !is_late(&mut fast, 5000).await);
        advance(Duration::from_millis(2)).await;
        assert!(is_late(&mut slow, 1999).await && !is_late(&mut fast, 5000).await);
        advance(Duration::from_secs(3)).await;
        assert!(!is_late(&mut fast, 1 << 20).await);
        advance(Duration::from_secs(5)).await;
        assert!(is_late(&mut fast, u64::MAX).await);
    }

    #[tokio::test(start_paused = true)]
    async fn maximum_limits_do_not_overflow() {
        let mut pace = Pace::default();
        let limits = Limits { timeout: Duration::MAX, minimum_rate: 0 };
        let late = poll_fn(|cx| Poll::Ready(pace.poll(cx, 0, limits).is_ready()));
        assert!(!late.await);
    }
}
