//! The memory that all bodies and events may take together.
//!
//! It has two parts, so that a sender without a secret cannot starve the others. An eighth is for
//! small bodies. The rest is for everything else, and in it three rules hold:
//!
//! - What is verified goes before what is not: it evicts unverified bodies until there is room.
//! - Among unverified bodies the younger goes before the older. To evict one that arrives in a
//!   second, a sender has to fill the whole part within that second, however many connections it
//!   has open.
//! - Where nobody can be evicted, a body waits for room.

mod part;

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use part::{Part, Turn};

use crate::telemetry;

/// A body of at most so many bytes is a small one.
pub(super) const SMALL: usize = 64 << 10;
/// The part for small bodies, as a fraction of the budget.
const SMALL_PART: usize = 8;

/// A number of bytes, shared by every clone.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    small: Mutex<Part>,
    large: Mutex<Part>,
    small_size: usize,
    large_size: usize,
    next: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Small,
    Large,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let small_size = bytes / SMALL_PART;
        let large_size = bytes - small_size;
        Self {
            shared: Arc::new(Shared {
                small: Mutex::new(Part::new(small_size)),
                large: Mutex::new(Part::new(large_size)),
                small_size,
                large_size,
                next: AtomicU64::new(0),
            }),
        }
    }

    /// An empty reservation for one body. `declared` is the length that its sender promises: it
    /// decides only in which part the body begins.
    pub(super) fn reservation(&self, declared: Option<usize>) -> Reservation {
        let which = self.shared.part_for(declared.unwrap_or(0));
        telemetry::body_in_flight(true);
        Reservation {
            age: self.shared.next.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&self.shared),
            which,
            bytes: 0,
            verified: false,
            parked: false,
            wait: None,
        }
    }
}

impl Shared {
    fn part_for(&self, bytes: usize) -> Which {
        if bytes <= SMALL.min(self.small_size) { Which::Small } else { Which::Large }
    }

    /// Runs `change` under the part's lock, and wakes whom it concerns after that: a waker may run
    /// anything.
    fn with<R>(&self, which: Which, change: impl FnOnce(&mut Part) -> R) -> R {
        let part = match which {
            Which::Small => &self.small,
            Which::Large => &self.large,
        };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut part);
        let wakers = part.take_wakers();
        drop(part);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }
}

/// One body's share of the budget, and then its event's. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Arc<Shared>,
    /// Lower for those that came earlier.
    age: u64,
    which: Which,
    bytes: usize,
    verified: bool,
    /// Whether the part knows it as one that may be evicted.
    parked: bool,
    wait: Option<Wait>,
}

/// What it waits for: `total` bytes in a part.
#[derive(Debug, Clone, Copy)]
struct Wait {
    which: Which,
    total: usize,
}

impl Reservation {
    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, up to `total` bytes in all. False where that is not to be had at once.
    pub(super) fn try_grow(&mut self, total: usize) -> bool {
        let Some(more) = total.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return true;
        };
        let target = self.target(total);
        let need = if target == self.which { more } else { total };
        let verified = self.verified;
        if self.shared.with(target, |part| part.take(need, verified)) {
            self.hold(target, total);
            return true;
        }
        // The small part helps a small event out where nothing in the large one can be evicted.
        if verified && target != self.which && !self.shared.with(target, |part| part.can_evict()) {
            let which = self.which;
            if self.shared.with(which, |part| part.take(more, verified)) {
                self.hold(which, total);
                return true;
            }
        }
        false
    }

    /// Waits until it holds `total` bytes. False where the budget is smaller than that.
    ///
    /// The caller limits the time, and calls [`give_up`](Self::give_up) after it.
    pub(super) fn poll_grow(&mut self, cx: &mut Context<'_>, total: usize) -> Poll<bool> {
        if self.wait.is_none() {
            if self.try_grow(total) {
                return Poll::Ready(true);
            }
            let which = self.target(total);
            let size = match which {
                Which::Small => self.shared.small_size,
                Which::Large => self.shared.large_size,
            };
            if total > size {
                return Poll::Ready(false);
            }
            // While it waits, it may have to give way itself.
            if !self.verified {
                self.park(cx);
            }
            self.wait = Some(Wait { which, total });
        }
        let Some(Wait { which, total }) = self.wait else { return Poll::Ready(true) };
        let need = if which == self.which { total - self.bytes } else { total };
        let (age, turn) = (self.age, self.turn());
        if self.shared.with(which, |part| part.poll_wait(turn, age, need, cx.waker())) {
            self.wait = None;
            self.hold(which, total);
            return Poll::Ready(true);
        }
        Poll::Pending
    }

    /// Ends a wait that was in vain.
    pub(super) fn give_up(&mut self) {
        if let Some(Wait { which, .. }) = self.wait.take() {
            let (age, turn) = (self.age, self.turn());
            self.shared.with(which, |part| part.forget(turn, age));
        }
    }

    /// Says that the body waits, for its sender or for room: until it is polled again, a younger one
    /// may evict it.
    pub(super) fn park(&mut self, cx: &Context<'_>) {
        if self.bytes > 0 && !self.verified {
            let (age, bytes) = (self.age, self.bytes);
            self.shared.with(self.which, |part| part.park(age, bytes, cx.waker()));
            self.parked = true;
        }
    }

    /// Whether it has to give way: to be dropped without delay.
    pub(super) fn is_evicted(&self) -> bool {
        self.parked && self.shared.with(self.which, |part| part.is_evicted(self.age))
    }

    /// Says that the signature holds: from now on nobody evicts it.
    pub(super) fn set_verified(&mut self) {
        self.unpark();
        self.verified = true;
    }

    fn unpark(&mut self) {
        if mem::take(&mut self.parked) {
            let age = self.age;
            self.shared.with(self.which, |part| part.unpark(age));
        }
    }

    /// Where so many bytes belong. What has outgrown the small part does not return to it.
    fn target(&self, total: usize) -> Which {
        if self.verified || self.which == Which::Large {
            return Which::Large;
        }
        self.shared.part_for(total)
    }

    fn turn(&self) -> Turn {
        Turn::new(self.age, self.verified)
    }

    /// Books what was taken from a part, and gives back what it held in another.
    fn hold(&mut self, which: Which, total: usize) {
        telemetry::budget_changed(self.bytes, total);
        if which == self.which {
            self.bytes = total;
            if self.parked {
                let age = self.age;
                self.shared.with(which, |part| part.resize(age, total));
            }
            return;
        }
        let (age, parked) = (self.age, mem::take(&mut self.parked));
        let bytes = mem::replace(&mut self.bytes, total);
        let before = mem::replace(&mut self.which, which);
        self.shared.with(before, |part| part.give(age, bytes, parked));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_up();
        telemetry::body_in_flight(false);
        if self.bytes > 0 {
            telemetry::budget_changed(self.bytes, 0);
            let (age, bytes, parked) = (self.age, self.bytes, self.parked);
            self.shared.with(self.which, |part| part.give(age, bytes, parked));
        }
    }
}

#[cfg(test)]
mod tests;
