//! [`Forgotten`].

use std::{
    fmt,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use foldhash::fast::RandomState;

/// In how many groups inboxes are forgotten.
const GROUPS: usize = 1024;

/// How often inboxes were forgotten. What is looked up is remembered under the count from before,
/// and so is not found once that has gone on, be it looked up by then or not.
///
/// There is a count for each group of inboxes, whose others are forgotten along: a count for each
/// inbox would have to be kept for all there ever were.
pub(super) struct Forgotten {
    counts: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Forgotten {
    pub(super) fn new() -> Self {
        let counts = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        Self { counts, hasher: RandomState::default() }
    }

    /// How often so far. What is looked up next is not from before that.
    pub(super) fn count(&self, inbox: &str) -> u64 {
        self.group(inbox).load(Ordering::Acquire)
    }

    /// Counts once more, and gives the count from before.
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
