//! How fast a body has to arrive.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::seam::Timer;

/// A body that is complete by then is not asked how fast it was.
const MOMENT: Duration = Duration::from_secs(2);
/// Stands for a time that lies further away than time goes.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The time that a body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) timeout: Duration,
    /// The minimum rate in bytes a second, after a moment; 0 for none.
    pub(crate) minimum_rate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), minimum_rate: 16 << 10 }
    }
}

impl Limits {
    /// How long after its start a body of which so many bytes have arrived is too slow, if it was not
    /// read for a time.
    fn due(self, bytes: u64, unread: Duration) -> Duration {
        if self.minimum_rate == 0 {
            return self.timeout;
        }
        let millis = bytes.saturating_mul(1000) / self.minimum_rate;
        self.timeout.min(MOMENT.max(Duration::from_millis(millis)).saturating_add(unread))
    }
}

/// Watches one body. Its time begins when it has to be waited for.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    started: Option<Instant>,
    unread: Duration,
    timer: Timer,
}

impl Pace {
    /// Ready when the body is too slow: `bytes` of it have arrived.
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

    /// Says that the body was not read for a time, which is none of its sender's fault.
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
    async fn a_slow_body_is_late_after_a_moment_and_a_fast_one_only_at_the_timeout() {
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
    async fn limits_without_end_do_not_overflow() {
        let mut pace = Pace::default();
        let limits = Limits { timeout: Duration::MAX, minimum_rate: 0 };
        let late = poll_fn(|cx| Poll::Ready(pace.poll(cx, 0, limits).is_ready()));
        assert!(!late.await);
    }
}
