//! The memory that all bodies and events may use together.
//!
//! It has two parts, so that a sender without a secret cannot starve the others. One part, an
//! eighth, is reserved for small bodies. The other is for everything else. Each part follows three
//! rules:
//!
//! - Verified bodies take precedence over unverified ones, and evict them until there is room.
//! - Among unverified bodies, a younger one takes precedence over an older one. So to evict a body
//!   that takes a second to arrive, a sender has to fill the whole part during that second, however
//!   many connections it has open.
//! - If nothing can be evicted, a body waits for room.

mod part;

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use part::{Part, Turn};

use crate::telemetry;

/// Maximum size of a small body, in bytes.
pub(super) const SMALL: usize = 64 << 10;
/// The part for small bodies is the budget divided by this.
const SMALL_PART: usize = 8;

/// The budget, in bytes. Clones share it.
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
    /// The number of reservations.
    held: AtomicUsize,
    /// Free pieces, for other bodies. A piece is a buffer of [`SMALL`] bytes.
    pieces: Mutex<Vec<Vec<u8>>>,
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
                held: AtomicUsize::new(0),
                pieces: Mutex::default(),
            }),
        }
    }

    /// Creates an empty reservation for one body. `declared` is the length that its sender
    /// announced; it only decides in which part the body begins.
    pub(super) fn reservation(&self, declared: Option<usize>) -> Reservation {
        let which = self.shared.part_for(declared.unwrap_or(0));
        telemetry::body_in_flight(true);
        self.shared.held.fetch_add(1, Ordering::Relaxed);
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

    /// Returns an empty piece of [`SMALL`] bytes. The caller has reserved room for it.
    ///
    /// The pieces of a rejected body are passed on to other bodies instead of being freed at once,
    /// since an allocator would cache freed pieces for each thread, beyond the budget. They are
    /// freed when verified bodies need their memory, and all of them once no body and no event is
    /// left.
    pub(super) fn piece(&self) -> Vec<u8> {
        let left = self.shared.pieces().pop();
        left.unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    #[cfg(test)]
    pub(super) fn pieces_left(&self) -> usize {
        self.shared.pieces().len()
    }

    /// Takes back a piece, for another body.
    pub(super) fn leave_piece(&self, mut piece: Vec<u8>) {
        piece.clear();
        self.shared.pieces().push(piece);
    }
}

impl Shared {
    fn part_for(&self, bytes: usize) -> Which {
        if bytes <= SMALL.min(self.small_size) { Which::Small } else { Which::Large }
    }

    fn pieces(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` under the lock of a part. Wakers are called after the lock is released, since
    /// a waker may run anything.
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

/// The share of the budget that a body holds, and later its event. Given back on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Arc<Shared>,
    /// The number in order of arrival: lower for older bodies.
    age: u64,
    which: Which,
    bytes: usize,
    verified: bool,
    /// Whether the part lists it as one that may be evicted.
    parked: bool,
    wait: Option<Wait>,
}

/// What the body waits for: `total` bytes in a part.
#[derive(Debug, Clone, Copy)]
struct Wait {
    which: Which,
    total: usize,
}

impl Reservation {
    pub(super) fn budget(&self) -> Budget {
        Budget { shared: Arc::clone(&self.shared) }
    }

    /// Returns the number of bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows to `total` bytes. `false` if there is no room for that now.
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
        // A small event stays in the small part if evictions cannot make room in the large one.
        if verified
            && target != self.which
            && !self.shared.with(target, |part| part.can_make_room(need))
        {
            let which = self.which;
            if self.shared.with(which, |part| part.take(more, verified)) {
                self.hold(which, total);
                return true;
            }
        }
        false
    }

    /// Waits until it holds `total` bytes. `false` if its part of the budget is smaller than that.
    ///
    /// The caller limits the time. [`give_up`](Self::give_up), or dropping the reservation, ends
    /// the wait.
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
            // While it waits, it may itself be evicted.
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

    /// Ends a wait that did not succeed.
    pub(super) fn give_up(&mut self) {
        if let Some(Wait { which, .. }) = self.wait.take() {
            let (age, turn) = (self.age, self.turn());
            self.shared.with(which, |part| part.forget(turn, age));
        }
    }

    /// Marks the body as waiting for its sender, for room or for a keyring. From now on, until it
    /// is verified, a younger or a verified body may evict it.
    pub(super) fn park(&mut self, cx: &Context<'_>) {
        if self.bytes > 0 && !self.verified {
            let (age, bytes) = (self.age, self.bytes);
            self.shared.with(self.which, |part| part.park(age, bytes, cx.waker()));
            self.parked = true;
        }
    }

    /// Returns whether it was evicted and must be dropped without delay.
    pub(super) fn is_evicted(&self) -> bool {
        self.parked && self.shared.with(self.which, |part| part.is_evicted(self.age))
    }

    /// Marks the body as verified: from now on it cannot be evicted.
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

    /// Returns the part for this many bytes. A body that has outgrown the small part does not
    /// return to it.
    fn target(&self, total: usize) -> Which {
        if self.verified || self.which == Which::Large {
            return Which::Large;
        }
        self.shared.part_for(total)
    }

    fn turn(&self) -> Turn {
        Turn::new(self.age, self.verified)
    }

    /// Records the bytes taken from a part, and gives back those held in the other one.
    fn hold(&mut self, which: Which, total: usize) {
        telemetry::budget_changed(self.bytes, total);
        if self.verified {
            // An event's memory comes from the allocator, not from pieces, so free pieces of the
            // same total size are released.
            let taken = total.saturating_sub(self.bytes).div_ceil(SMALL);
            let mut pieces = self.shared.pieces();
            let left = pieces.len().saturating_sub(taken);
            let freed = pieces.split_off(left);
            drop(pieces);
            drop(freed);
        }
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
        if self.shared.held.fetch_sub(1, Ordering::Relaxed) == 1 {
            let pieces = mem::take(&mut *self.shared.pieces());
            drop(pieces);
        }
    }
}

#[cfg(test)]
mod tests;
