//! Decides when to look for due entries.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    queue::{error::QueueError, lease::Claims},
    telemetry::queue as telemetry,
};

/// Minimum time to wait for the next entry to become due, unless the poll interval is shorter.
const SHORTEST: Duration = Duration::from_millis(10);
/// Maximum rest after a look that found every due entry. The worker rests for as long as the look
/// took, even if something has changed: under load, more entries arrive during this time, and one
/// claim of many costs less than many claims of a few.
const LONGEST_REST: Duration = Duration::from_millis(10);
/// The time for which a worker with few free slots waits for more of them to become free, since a
/// claim of one entry costs as much as a claim of many.
const GATHERING: Duration = Duration::from_millis(1);
/// After a thorough look that left entries out, the next thorough look begins after this many times
/// its duration, or after the poll interval if that is shorter. So a worker usually spends at most
/// a fifth of its time on thorough looks, even if one inbox is flooded.
const REST: u32 = 4;
/// The maximum time until the next look.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// When to look again.
#[derive(Debug)]
pub(super) struct Look {
    at: Instant,
    /// The time before which no look begins.
    rests_until: Instant,
    /// The time until which a worker with few free slots waits for more to become free. `None` if
    /// it does not wait.
    gathers_until: Option<Instant>,
    /// The time from which a look may be thorough again.
    thorough_at: Instant,
    /// Whether the look in progress is thorough.
    is_thorough: bool,
    failures: u32,
    /// Whether something has changed since the last look began.
    again: bool,
    /// Whether the last look may have left out due entries.
    limited: bool,
}

impl Look {
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self {
            at: now,
            rests_until: now,
            gathers_until: None,
            thorough_at: now,
            is_thorough: true,
            failures: 0,
            again: false,
            limited: false,
        }
    }

    pub(super) fn at(&self) -> Instant {
        self.gathers_until.map_or(self.at, |until| until.max(self.at))
    }

    /// Returns whether the last look failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn is_due(&self) -> bool {
        self.at() <= Instant::now()
    }

    /// Puts off a look while few slots are free. Returns whether the look must wait.
    pub(super) fn gathers(&mut self) -> bool {
        let now = Instant::now();
        *self.gathers_until.get_or_insert(now + GATHERING) > now
    }

    /// Begins a look. Returns whether it is thorough.
    pub(super) fn begin(&mut self) -> bool {
        self.again = false;
        self.gathers_until = None;
        self.is_thorough = self.thorough_at <= Instant::now();
        self.is_thorough
    }

    /// Records that something has changed. The next look follows when the worker has rested or, if
    /// the store is unreachable, after the pause.
    pub(super) fn soon(&mut self) {
        self.again = true;
        if self.failures == 0 {
            self.at = self.rests_until;
        }
    }

    /// Records that a run or a settlement has ended, which may make room for entries that did not
    /// fit.
    pub(super) fn has_room(&mut self, is_plenty: bool) {
        if is_plenty {
            self.gathers_until = self.gathers_until.map(|_| Instant::now());
        }
        if self.limited {
            self.soon();
        }
    }

    /// Records the result of the look in progress, which asked for `asked` entries and took `took`.
    pub(super) fn found(&mut self, asked: usize, claims: &Claims, took: Duration, poll: Duration) {
        self.failures = 0;
        self.limited = claims.limited;
        let now = Instant::now();
        if self.is_thorough && self.limited {
            self.thorough_at = now + (took * REST).min(poll);
        }
        let has_more = claims.entries.len() >= asked;
        let rests = !has_more && !claims.limited;
        self.rests_until = if rests { now + took.min(LONGEST_REST) } else { now };
        let next =
            now + claims.next_due.map_or(poll, |due| due.max(SHORTEST).min(poll)).min(LONGEST);
        self.at = if self.again || has_more {
            self.rests_until
        } else if self.limited && !self.is_thorough {
            next.min(self.thorough_at)
        } else {
            next
        };
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
    use tokio::time::advance;

    use super::*;

    const POLL: Duration = Duration::from_secs(9);

    fn look(next_due: Option<Duration>, poll: Duration) -> Duration {
        let mut look = Look::now();
        look.found(1, &Claims { next_due, ..Claims::default() }, Duration::ZERO, poll);
        look.at() - Instant::now()
    }

    #[test]
    fn change_during_a_look_is_not_missed() {
        let mut look = Look::now();
        look.begin();
        look.soon();
        look.found(1, &Claims::default(), Duration::ZERO, POLL);
        assert!(look.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn rests_as_long_as_a_look_took_unless_there_is_more() {
        const TOOK: Duration = Duration::from_millis(2);
        for (asked, limited, rest) in
            [(1, false, TOOK), (0, false, Duration::ZERO), (1, true, Duration::ZERO)]
        {
            let mut look = Look::now();
            look.begin();
            look.found(asked, &Claims { limited, ..Claims::default() }, TOOK, POLL);
            look.soon();
            assert_eq!(look.at() - Instant::now(), rest);
            advance(rest).await;
            assert!(look.is_due());
        }
    }

    #[test]
    fn looks_again_when_there_is_room() {
        for limited in [true, false] {
            let mut look = Look::now();
            look.begin();
            let claims = Claims { limited, ..Claims::default() };
            look.found(1, &claims, Duration::ZERO, POLL);
            assert!(!look.is_due());
            look.has_room(true);
            assert_eq!(look.is_due(), limited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_briefly_for_more_free_slots() {
        for is_plenty in [true, false] {
            let mut look = Look::now();
            assert!(look.gathers() && !look.is_due());
            look.has_room(is_plenty);
            assert_eq!(look.is_due(), is_plenty);
            advance(GATHERING).await;
            assert!(look.is_due() && !look.gathers());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn thorough_looks_take_at_most_a_fifth_of_the_time() {
        const TOOK: Duration = Duration::from_millis(20);
        let mut look = Look::now();
        let limited = Claims { limited: true, ..Claims::default() };
        assert!(look.begin());
        look.found(9, &limited, TOOK, POLL);
        assert_eq!(look.at() - Instant::now(), POLL, "it has seen everything");
        look.soon();
        assert!(!look.begin(), "soon afterwards");
        look.found(9, &limited, TOOK / 20, POLL);
        assert_eq!(
            look.at() - Instant::now(),
            TOOK * REST,
            "some entries are still to be searched"
        );
        advance(TOOK * REST).await;
        assert!(look.begin());
        look.found(9, &Claims::default(), TOOK, POLL);
        look.soon();
        assert!(look.begin(), "nothing was left out");
    }

    #[test]
    fn longest_delays_do_not_overflow() {
        assert!(look(None, Duration::MAX) > Duration::from_secs(3600));
        assert!(look(Some(Duration::MAX), Duration::MAX) > Duration::from_secs(3600));
    }

    #[test]
    fn does_not_look_again_at_once_without_a_change() {
        assert!(!look(Some(Duration::ZERO), Duration::from_secs(1)).is_zero());
    }
}
