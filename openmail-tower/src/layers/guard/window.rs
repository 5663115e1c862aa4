//! What was counted under one key within a window of time.

use smallvec::SmallVec;

use super::rates::Rate;

/// What was added under one key, oldest first. Most keys have a single entry, which is stored
/// inline. Times are in nanoseconds and never go backwards.
pub(super) struct Window<T> {
    entries: SmallVec<[Entry<T>; 1]>,
    /// The longest window for which something was added. Entries are kept that long.
    longest: u64,
}

struct Entry<T> {
    it: T,
    at: u64,
}

impl<T: PartialEq> Window<T> {
    /// Returns what was added within the window that ends now.
    pub(super) fn within(&self, window: u64, now: u64) -> impl ExactSizeIterator<Item = &T> {
        self.entries[self.expired(window, now)..].iter().map(|entry| &entry.it)
    }

    /// Returns how many entries were added before the window that ends now.
    fn expired(&self, window: u64, now: u64) -> usize {
        let is_expired = |entry: &Entry<T>| now - entry.at >= window;
        match self.entries.first() {
            Some(oldest) if is_expired(oldest) => self.entries.partition_point(is_expired),
            _ => 0,
        }
    }

    /// Adds something, unless it is there already.
    pub(super) fn add(&mut self, it: T, window: u64, now: u64) {
        self.longest = self.longest.max(window);
        let expired = self.expired(self.longest, now);
        if self.entries[expired..].iter().any(|entry| entry.it == it) {
            return;
        }
        // Removing entries moves all the others, so this is done only once most have expired.
        if expired > self.entries.len() / 2 {
            self.entries.drain(..expired);
        }
        self.entries.push(Entry { it, at: now });
    }

    /// Drops the oldest entries until at most `most` are left.
    pub(super) fn keep_latest(&mut self, most: usize) {
        let surplus = self.entries.len().saturating_sub(most);
        if surplus > 0 {
            self.entries.drain(..surplus);
        }
    }

    /// Returns whether no entry counts any more.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.expired(self.longest, now) == self.entries.len()
    }
}

impl Window<u64> {
    /// Returns the time until a rate has room for `id`; `None` if it has room now.
    pub(super) fn full(&self, rate: Rate, id: u64, now: u64) -> Option<u64> {
        if rate.is_unlimited() {
            return None;
        }
        let window = rate.window_nanos();
        let expired = self.expired(window, now);
        let entries = &self.entries[expired..];
        if entries.len() < rate.most() || entries.iter().any(|entry| entry.it == id) {
            return None;
        }
        let oldest = entries.first().map_or(now, |entry| entry.at);
        Some(oldest + window - now)
    }

    /// Counts `id`, unless the rate is unlimited.
    pub(super) fn count(&mut self, rate: Rate, id: u64, now: u64) {
        if !rate.is_unlimited() {
            self.add(id, rate.window_nanos(), now);
        }
    }
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { entries: SmallVec::new(), longest: 0 }
    }
}
