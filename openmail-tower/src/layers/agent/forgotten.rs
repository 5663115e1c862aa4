//! [`Forgotten`]: invalidates what a resolver remembers.

use std::{
    fmt,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use foldhash::fast::RandomState;

/// The number of groups into which inboxes are divided.
const GROUPS: usize = 1024;

/// Counts how often inboxes were forgotten. The result of a lookup is stored under the count at the
/// time the lookup began. Once the count has increased, that result is no longer found, even if the
/// lookup finishes later.
///
/// There is one count for each group of inboxes, and all inboxes of a group are forgotten together:
/// with a count for each inbox, the counts of all inboxes that ever existed would have to be kept.
pub(super) struct Forgotten {
    counts: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Forgotten {
    pub(super) fn new() -> Self {
        let counts = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        Self { counts, hasher: RandomState::default() }
    }

    /// Returns the current count. A lookup that begins afterwards is remembered under it.
    pub(super) fn count(&self, inbox: &str) -> u64 {
        self.group(inbox).load(Ordering::Acquire)
    }

    /// Increments the count, and returns the previous one.
    pub(super) fn forget(&self, inbox: &str) -> u64 {
        self.group(inbox).fetch_add(1, Ordering::AcqRel)
    }

    fn group(&self, inbox: &str) -> &AtomicU64 {
        #[expect(clippy::cast_possible_truncation, reason = "its lower bits will do")]
        let hash = self.hasher.hash_one(inbox) as usize;
        &self.counts[hash % GROUPS]
    }
}

impl fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forgotten").finish_non_exhaustive()
    }
}
