//! Counts in memory.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::seam::{CountLimit, CountNote, CountRequest, Counted};

/// The maximum number of notes kept for a key; the oldest are dropped.
const NOTES: usize = 256;
/// The minimum number of keys before expired ones are removed.
const FEW: usize = 1024;

/// The counts of one process.
#[derive(Default)]
pub(super) struct MemoryCounts {
    keys: Mutex<Keys>,
    /// Hashes ids. Its keys are secret, so nobody can choose ids that collide.
    hasher: RandomState,
}

#[derive(Default)]
struct Keys {
    /// The hashes of the ids that were counted under each key.
    ids: Windows<u64>,
    notes: Windows<String>,
}

/// What was added under each key, oldest first.
#[derive(Default)]
struct Windows<T> {
    by_key: HashMap<String, VecDeque<Entry<T>>>,
    /// The number of keys at which expired ones are removed.
    sweep_at: usize,
}

struct Entry<T> {
    it: T,
    at: Instant,
    until: Instant,
}

impl<T: PartialEq> Windows<T> {
    /// Returns what was added under a key within a window.
    fn within(&self, key: &str, now: Instant, window: Duration) -> impl Iterator<Item = &Entry<T>> {
        let entries = self.by_key.get(key).into_iter().flatten();
        entries.filter(move |entry| now.duration_since(entry.at) < window)
    }

    /// Adds something under a key, unless it is there already.
    fn add(&mut self, key: &str, it: T, now: Instant, window: Duration) {
        let until = now + window;
        match self.by_key.get_mut(key) {
            Some(entries) => {
                while entries.front().is_some_and(|oldest| oldest.until <= now) {
                    entries.pop_front();
                }
                if !entries.iter().any(|entry| entry.it == it) {
                    entries.push_back(Entry { it, at: now, until });
                }
            }
            None => {
                self.sweep(now);
                self.by_key.insert(key.to_owned(), VecDeque::from([Entry { it, at: now, until }]));
            }
        }
    }

    /// Removes the keys whose windows have ended, each time the number of keys has doubled.
    fn sweep(&mut self, now: Instant) {
        if self.by_key.len() < self.sweep_at.max(FEW) {
            return;
        }
        self.by_key.retain(|_, entries| entries.back().is_some_and(|last| last.until > now));
        self.by_key.shrink_to(FEW);
        self.sweep_at = 2 * self.by_key.len();
    }
}

impl Windows<u64> {
    /// Returns the time until a limit has room for `id`; `None` if it has room now.
    fn full(&self, limit: &CountLimit, id: u64, now: Instant) -> Option<Duration> {
        let mut counted = 0;
        let mut oldest = None;
        for entry in self.within(&limit.key, now, limit.window) {
            if entry.it == id {
                return None;
            }
            counted += 1;
            oldest = oldest.or(Some(entry.at));
        }
        if counted < limit.most {
            return None;
        }
        let free_at = oldest.map_or(now, |at| at) + limit.window;
        Some(free_at.saturating_duration_since(now))
    }
}

impl Windows<String> {
    /// Adds a note. Returns the earlier notes within its window.
    fn note(&mut self, note: &CountNote, now: Instant) -> Vec<String> {
        let before = self.within(&note.key, now, note.window).map(|entry| entry.it.clone());
        let before = before.collect();
        self.add(&note.key, note.text.clone(), now, note.window);
        if let Some(notes) = self.by_key.get_mut(&note.key) {
            let surplus = notes.len().saturating_sub(NOTES);
            notes.drain(..surplus);
        }
        before
    }
}

impl MemoryCounts {
    pub(super) fn count_now(&self, request: &CountRequest) -> Counted {
        self.count_at(request, Instant::now())
    }

    fn count_at(&self, request: &CountRequest, now: Instant) -> Counted {
        let [id, check_id] = [&request.id, &request.check_id].map(|it| self.hasher.hash_one(it));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counted = Counted::default();
        let mut limits = request.take.iter().enumerate();
        counted.full = limits.find_map(|(at, limit)| Some((at, keys.ids.full(limit, id, now)?)));
        let mut checks = request.check.iter();
        counted.over = checks.position(|limit| keys.ids.full(limit, check_id, now).is_some());
        if counted.full.is_some() {
            return counted;
        }
        for limit in &request.take {
            keys.ids.add(&limit.key, id, now, limit.window);
        }
        if let Some(note) = &request.note {
            counted.notes = keys.notes.note(note, now);
        }
        counted
    }
}

impl fmt::Debug for MemoryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCounts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::CountNote;

    const HOUR: Duration = Duration::from_secs(3600);

    fn limit(key: &str, most: u32) -> CountLimit {
        CountLimit { key: key.to_owned(), most, window: HOUR }
    }

    fn take(id: &str, limits: &[(&str, u32)]) -> CountRequest {
        let take = limits.iter().map(|(key, most)| limit(key, *most)).collect();
        CountRequest { id: id.to_owned(), take, ..CountRequest::default() }
    }

    #[test]
    fn id_counts_under_every_key_or_none() {
        let (counts, now) = (MemoryCounts::default(), Instant::now());
        let at = |id, limits: &[_], now| counts.count_at(&take(id, limits), now).full;
        assert_eq!(at("1", &[("a", 2), ("b", 1)], now), None);
        assert_eq!(at("2", &[("a", 2), ("b", 1)], now), Some((1, HOUR)));
        // The refused request did not count under `a`.
        assert_eq!(at("3", &[("a", 2)], now), None);
        assert_eq!(at("4", &[("a", 2)], now), Some((0, HOUR)));
        // The same id does not count twice.
        assert_eq!(at("3", &[("a", 2)], now), None);
        let later = now + HOUR / 2;
        assert_eq!(at("4", &[("a", 2)], later), Some((0, HOUR / 2)));
        assert_eq!(at("4", &[("a", 2)], now + HOUR), None);
    }

    #[test]
    fn check_ignores_a_limit_that_has_counted_its_id() {
        let (counts, now) = (MemoryCounts::default(), Instant::now());
        counts.count_at(&take("1", &[("a", 1)]), now);
        let over = |check_id: &str, now| {
            let mut request = take("2:1", &[("runs", 9)]);
            (request.check, request.check_id) = (vec![limit("a", 1)], check_id.to_owned());
            counts.count_at(&request, now).over
        };
        assert_eq!((over("1", now), over("2", now)), (None, Some(0)));
        assert_eq!(over("2", now + HOUR), None);
    }

    #[test]
    fn notes_expire_after_their_window() {
        let (counts, now) = (MemoryCounts::default(), Instant::now());
        let note = |text: &str, now| {
            let note = CountNote { key: "n".to_owned(), text: text.to_owned(), window: HOUR };
            let request = CountRequest { note: Some(note), ..CountRequest::default() };
            counts.count_at(&request, now).notes
        };
        assert!(note("a", now).is_empty());
        assert_eq!(note("b", now), ["a"]);
        assert_eq!(note("b", now), ["a", "b"]);
        assert!(note("c", now + HOUR).is_empty());
        for number in 0..1000 {
            assert!(note(&number.to_string(), now + HOUR).len() <= NOTES);
        }
    }

    #[test]
    fn expired_keys_free_their_memory() {
        let (counts, mut now) = (MemoryCounts::default(), Instant::now());
        for id in 0..100_000_u32 {
            now += Duration::from_secs(10);
            counts.count_at(&take("1", &[(&id.to_string(), 1)]), now);
        }
        assert!(counts.keys.lock().unwrap().ids.by_key.len() <= 2 * FEW);
    }
}
