//! Decides when mails that were put off by a rate are checked again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::seam::CountLimit;

/// The maximum delay after which a mail is checked again.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The minimum number of keys before expired ones are removed.
const FEW: usize = 1024;

/// The number of mails that wait for each rate, as far as this process knows.
///
/// As many mails as the rate allows come back when it has room. If there are more, as in a flood,
/// the others come back at random times: checking all of them at the same moment would delay other
/// mails.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// The start of a window, and the number of mails put off within it.
    by_key: HashMap<String, (Instant, u32)>,
    /// The number of keys at which expired ones are removed.
    sweep_at: usize,
}

impl Waiting {
    /// Returns the delay after which to check a mail again if a limit has no room for it before
    /// `free_in`.
    pub(super) fn delay(&self, limit: &CountLimit, free_in: Duration) -> Duration {
        let place = self.place(limit, Instant::now());
        let longest = limit.window.min(LONGEST);
        if place <= limit.most {
            return free_in.min(longest);
        }
        longest / 2 + (longest / 2).mul_f64(fastrand::f64())
    }

    fn place(&self, limit: &CountLimit, now: Instant) -> u32 {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.by_key.len() >= keys.sweep_at.max(FEW) {
            keys.by_key.retain(|_, (since, _)| now.duration_since(*since) < LONGEST);
            keys.by_key.shrink_to(FEW);
            keys.sweep_at = 2 * keys.by_key.len();
        }
        let (since, place) = keys.by_key.entry(limit.key.clone()).or_insert((now, 0));
        if now.duration_since(*since) >= limit.window.min(LONGEST) {
            (*since, *place) = (now, 0);
        }
        *place = place.saturating_add(1);
        *place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(key: &str, most: u32) -> CountLimit {
        CountLimit { key: key.to_owned(), most, window: LONGEST }
    }

    #[tokio::test(start_paused = true)]
    async fn postponed_events_return_a_few_at_a_time() {
        let waiting = Waiting::default();
        let limit = limit("a", 30);
        let free_in = LONGEST - Duration::from_secs(60);
        let delays: Vec<_> = (0..10_000).map(|_| waiting.delay(&limit, free_in)).collect();
        assert!(delays[..30].iter().all(|delay| *delay == free_in), "they may run then");
        let rest = &delays[30..];
        assert!(rest.iter().all(|delay| *delay >= LONGEST / 2 && *delay <= LONGEST));
        for minute in 30..60 {
            let within = |delay: &&Duration| delay.as_secs() / 60 == minute;
            let count = rest.iter().filter(within).count();
            assert!((100..700).contains(&count), "{count} of some 330 in minute {minute}");
        }
        assert_eq!(waiting.delay(&self::limit("b", 1), free_in), free_in, "of another sender");
        tokio::time::advance(LONGEST).await;
        assert_eq!(waiting.delay(&limit, free_in), free_in, "the count starts again");
    }

    #[tokio::test(start_paused = true)]
    async fn expired_keys_free_their_memory() {
        let waiting = Waiting::default();
        for number in 0..10_000_u32 {
            tokio::time::advance(Duration::from_secs(10)).await;
            waiting.delay(&limit(&number.to_string(), 1), LONGEST);
        }
        assert!(waiting.0.lock().unwrap().by_key.len() <= 2 * FEW);
    }
}
