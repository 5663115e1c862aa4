//! Decides when mails that were put off are checked again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::seam::CountLimit;

/// The maximum delay after which a mail is checked again.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The minimum delay after which a mail that was put off by a pause is checked again.
const PAUSED_FOR: Duration = Duration::from_secs(10);
/// How often mails must be put off within `PAUSED_FOR` for the delay to double: the more mails are
/// put off, the longer each waits.
const PAUSED: f64 = 500.0;
/// The maximum delay during a pause, and so the time within which all mails are due after its end.
const PAUSED_LONGEST: Duration = Duration::from_secs(5 * 60);
/// The minimum number of keys before expired ones are removed.
const FEW: usize = 1024;

/// How often mails were put off recently, for each rate and for all pauses, in this process. A mail
/// counts each time it is put off.
///
/// As many mails as the rate allows are checked again when it has room. If more wait, as in a
/// flood, the others are checked at random times, since checking all of them at once would delay
/// other mails.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// The start of a window, and how often mails were put off within it.
    by_key: HashMap<String, (Instant, u32)>,
    /// The number of keys at which expired ones are removed.
    sweep_at: usize,
}

impl Waiting {
    /// Returns the delay after which to check a mail again, given that a limit has room for it
    /// after `free_in` at the earliest.
    pub(super) fn delay(&self, limit: &CountLimit, free_in: Duration) -> Duration {
        let longest = limit.window.min(LONGEST);
        let place = self.place(&limit.key, longest, Instant::now());
        if place <= limit.most {
            return free_in.min(longest);
        }
        longest / 2 + (longest / 2).mul_f64(fastrand::f64())
    }

    /// Returns the delay after which to check a mail again during a pause.
    pub(super) fn paused(&self) -> Duration {
        let place = self.place("", PAUSED_FOR, Instant::now());
        PAUSED_FOR.mul_f64(1.0 + f64::from(place) / PAUSED).min(PAUSED_LONGEST)
    }

    /// Counts a mail that is put off. Returns how often this has happened under the key within the
    /// window.
    fn place(&self, key: &str, window: Duration, now: Instant) -> u32 {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.by_key.len() >= keys.sweep_at.max(FEW) {
            keys.by_key.retain(|_, (since, _)| now.duration_since(*since) < LONGEST);
            keys.by_key.shrink_to(FEW);
            keys.sweep_at = 2 * keys.by_key.len();
        }
        let (since, place) = keys.by_key.entry(key.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= window {
            (*since, *place) = (now, 0);
        }
        *place = place.saturating_add(1);
        *place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn limit(key: &str, most: u32) -> CountLimit {
        CountLimit { key: key.to_owned(), most, window: LONGEST }
    }

    #[tokio::test(start_paused = true)]
    async fn mails_that_were_put_off_are_checked_a_few_at_a_time() {
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
            assert!(
                (100..700).contains(&count),
                "{count} mails in minute {minute}, about 330 expected"
            );
        }
        assert_eq!(waiting.delay(&self::limit("b", 1), free_in), free_in, "of another sender");
        tokio::time::advance(LONGEST).await;
        assert_eq!(waiting.delay(&limit, free_in), free_in, "the count starts again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_mails_are_paused_the_less_often_each_is_checked() {
        const LANES: u32 = 10_000;
        let waiting = Waiting::default();
        assert!(waiting.paused() < PAUSED_FOR * 2, "one mail is checked soon");
        let begun = Instant::now();
        let mut due: BTreeSet<_> = (0..LANES).map(|lane| (begun, lane)).collect();
        let minutes = |count: u32| begun + Duration::from_secs(60) * count;
        let mut checks = 0;
        while let Some((at, lane)) = due.pop_first().filter(|(at, _)| *at < minutes(4)) {
            tokio::time::advance(at - Instant::now()).await;
            due.insert((at + waiting.paused(), lane));
            checks += u32::from(at >= minutes(2));
        }
        assert!(checks / 120 < 300, "{checks} in two minutes");
        assert!(waiting.paused() <= PAUSED_LONGEST);
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
