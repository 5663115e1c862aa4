//! The memory that all bodies in flight may take together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A number of bytes, shared by every clone.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    free: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(bytes)) }
    }

    pub(super) fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

/// One request's part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// Takes more, up to `bytes` in all; false where that is not to be had.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let take = |free: usize| free.checked_sub(more);
        // Only a count: it orders nothing else.
        let taken = self.budget.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Takes this much more; false where that is not to be had.
    pub(super) fn grow_by(&mut self, bytes: usize) -> bool {
        self.grow_to(self.bytes.saturating_add(bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut a, mut b) = (budget.reservation(), budget.reservation());
        assert!(a.grow_to(6) && b.grow_to(4));
        assert!(a.grow_to(6), "it has that much already");
        assert!(!b.grow_to(5));
        drop(a);
        assert!(b.grow_to(10) && !b.grow_to(11) && !b.grow_by(1));
    }
}
