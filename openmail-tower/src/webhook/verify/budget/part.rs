//! One part of the budget: which bodies wait for room, and which are evicted for them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    mem,
    task::Waker,
};

#[derive(Debug)]
pub(super) struct Part {
    free: usize,
    /// The bytes that evicted bodies have yet to give back.
    coming: usize,
    /// Unverified bodies that may be evicted, the oldest first.
    parked: BTreeMap<u64, Parked>,
    /// The bytes of bodies that were evicted and have not been dropped yet.
    evicted: HashMap<u64, usize>,
    waiting: BTreeMap<Turn, Waiting>,
    /// The bytes granted to bodies that waited and have not been polled since.
    granted: HashMap<u64, usize>,
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Parked {
    bytes: usize,
    waker: Waker,
}

#[derive(Debug)]
struct Waiting {
    age: u64,
    need: usize,
    waker: Waker,
}

/// The order in which bodies are served: verified ones in order of arrival, then the others, the
/// youngest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Verified(u64),
    Unverified(Reverse<u64>),
}

impl Turn {
    pub(super) fn new(age: u64, verified: bool) -> Self {
        if verified { Self::Verified(age) } else { Self::Unverified(Reverse(age)) }
    }
}

impl Part {
    pub(super) fn new(size: usize) -> Self {
        Self {
            free: size,
            coming: 0,
            parked: BTreeMap::new(),
            evicted: HashMap::new(),
            waiting: BTreeMap::new(),
            granted: HashMap::new(),
            wakers: Vec::new(),
        }
    }

    /// Returns the wakers to call once the lock is released.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        mem::take(&mut self.wakers)
    }

    /// Takes bytes if they are free. An unverified body does not overtake a verified one that
    /// waits.
    pub(super) fn take(&mut self, bytes: usize, verified: bool) -> bool {
        let first = self.waiting.first_key_value().map(|(turn, _)| turn);
        let overtakes = !verified && matches!(first, Some(Turn::Verified(_)));
        let taken = self.free >= bytes && !overtakes;
        if taken {
            self.free -= bytes;
        }
        taken
    }

    /// Takes back the bytes of a body that was dropped or has moved to the other part.
    pub(super) fn give(&mut self, age: u64, bytes: usize, was_parked: bool) {
        if was_parked {
            self.parked.remove(&age);
            self.coming -= self.evicted.remove(&age).unwrap_or(0);
        }
        self.free += bytes;
        if !self.waiting.is_empty() {
            self.grant();
            self.make_room();
        }
    }

    pub(super) fn park(&mut self, age: u64, bytes: usize, waker: &Waker) {
        if self.evicted.contains_key(&age) {
            // The body must be polled to notice the eviction, and might not be woken otherwise.
            self.wakers.push(waker.clone());
            return;
        }
        match self.parked.get_mut(&age) {
            Some(parked) => {
                parked.bytes = bytes;
                parked.waker.clone_from(waker);
            }
            None => {
                self.parked.insert(age, Parked { bytes, waker: waker.clone() });
                self.make_room();
            }
        }
    }

    pub(super) fn resize(&mut self, age: u64, bytes: usize) {
        if let Some(parked) = self.parked.get_mut(&age) {
            parked.bytes = bytes;
        } else if let Some(evicted) = self.evicted.get_mut(&age) {
            self.coming += bytes - *evicted;
            *evicted = bytes;
        }
    }

    pub(super) fn unpark(&mut self, age: u64) {
        self.parked.remove(&age);
        if let Some(bytes) = self.evicted.remove(&age) {
            self.coming -= bytes;
            self.make_room();
        }
    }

    pub(super) fn is_evicted(&self, age: u64) -> bool {
        self.evicted.contains_key(&age)
    }

    /// Returns whether evicting all bodies that may be evicted would make this much room.
    pub(super) fn can_make_room(&self, bytes: usize) -> bool {
        let parked: usize = self.parked.values().map(|parked| parked.bytes).sum();
        self.free + self.coming + parked >= bytes
    }

    /// Returns whether a waiting body has its room now. If not, it is woken once it has.
    pub(super) fn poll_wait(&mut self, turn: Turn, age: u64, need: usize, waker: &Waker) -> bool {
        if self.granted.remove(&age).is_some() {
            return true;
        }
        let waiting = Waiting { age, need, waker: waker.clone() };
        if self.waiting.insert(turn, waiting).is_none() {
            self.grant();
            self.make_room();
        }
        self.granted.remove(&age).is_some()
    }

    /// Removes a body that no longer waits, and takes back what it was granted.
    pub(super) fn forget(&mut self, turn: Turn, age: u64) {
        self.waiting.remove(&turn);
        let bytes = self.granted.remove(&age).unwrap_or(0);
        self.give(age, bytes, false);
    }

    /// Grants free bytes to waiting bodies, in their order. A verified body that needs more than is
    /// free holds up only unverified ones.
    fn grant(&mut self) {
        let (free, granted, wakers) = (&mut self.free, &mut self.granted, &mut self.wakers);
        let mut verified_waits = false;
        self.waiting.retain(|turn, waiting| {
            let verified = matches!(turn, Turn::Verified(_));
            if waiting.need > *free || (verified_waits && !verified) {
                verified_waits |= verified;
                return true;
            }
            *free -= waiting.need;
            granted.insert(waiting.age, waiting.need);
            wakers.push(waiting.waker.clone());
            false
        });
    }

    /// Evicts bodies for those that wait: any body for a verified one, only older bodies for the
    /// others.
    fn make_room(&mut self) {
        let mut available = self.free + self.coming;
        for (turn, waiting) in &self.waiting {
            while available < waiting.need {
                let Some(oldest) = self.parked.first_entry() else { return };
                if matches!(turn, Turn::Unverified(_)) && *oldest.key() >= waiting.age {
                    return;
                }
                let (age, Parked { bytes, waker }) = oldest.remove_entry();
                self.evicted.insert(age, bytes);
                self.coming += bytes;
                available += bytes;
                self.wakers.push(waker);
            }
            available -= waiting.need;
        }
    }
}
