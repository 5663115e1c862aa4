//! Limits how often rejected requests are logged: anyone can send as many as they like.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// For each reason, the number of rejections since its last line, and when it may have another
/// line.
#[derive(Debug)]
pub(super) struct Rejections {
    begun: OnceLock<Instant>,
    // There must be more slots than reasons.
    slots: [Slot; 32],
}

#[derive(Debug)]
struct Slot {
    reason: OnceLock<&'static str>,
    count: AtomicU64,
    /// The millisecond before which nothing is logged.
    next: AtomicU64,
}

impl Rejections {
    pub(super) const fn new() -> Self {
        Self {
            begun: OnceLock::new(),
            slots: [const {
                Slot { reason: OnceLock::new(), count: AtomicU64::new(0), next: AtomicU64::new(0) }
            }; 32],
        }
    }

    /// Counts a rejection. Returns the number to log, at most once a second for each reason: all
    /// rejections since the last number was returned.
    pub(super) fn count(&self, reason: &'static str) -> Option<u64> {
        let begun = *self.begun.get_or_init(Instant::now);
        let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.count_at(reason, now)
    }

    fn count_at(&self, reason: &'static str, now: u64) -> Option<u64> {
        let slot = self.slots.iter().find(|slot| *slot.reason.get_or_init(|| reason) == reason)?;
        slot.count.fetch_add(1, Ordering::Relaxed);
        // If several arrive at the same time, one of them logs.
        let is_due = |next: u64| (now >= next).then_some(now.saturating_add(1000));
        slot.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).ok()?;
        Some(slot.count.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_each_reason_once_a_second_and_counts_the_rest() {
        let rejections = Rejections::new();
        assert_eq!(rejections.count_at("stale", 0), Some(1));
        for now in 0..1000 {
            assert_eq!(rejections.count_at("stale", now), None);
        }
        assert_eq!(rejections.count_at("mismatch", 5), Some(1));
        assert_eq!(rejections.count_at("stale", 1000), Some(1001));
        assert_eq!(rejections.count_at("stale", 1999), None);
        assert_eq!(rejections.count_at("stale", 9000), Some(2));
    }

    #[test]
    fn no_rejection_is_lost_among_threads() {
        let rejections = Rejections::new();
        let told = std::thread::scope(|scope| {
            let count = |_| {
                scope.spawn(|| (0..1000).filter_map(|_| rejections.count("stale")).sum::<u64>())
            };
            let threads: Vec<_> = (0..4).map(count).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
        let slot = &rejections.slots[0];
        assert_eq!(told + slot.count.load(Ordering::Relaxed), 4000);
    }
}
