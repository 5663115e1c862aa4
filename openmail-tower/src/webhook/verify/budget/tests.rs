use std::{
    sync::atomic::AtomicUsize,
    task::{Wake, Waker},
};

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self::default());
        (Arc::clone(&woken), Waker::from(woken))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Creates a body in the large part that waits for its sender.
fn parked(budget: &Budget, bytes: usize) -> (Reservation, Arc<Woken>) {
    let mut reservation = budget.reservation(Some(usize::MAX));
    assert!(reservation.try_grow(bytes));
    let (woken, waker) = Woken::new();
    reservation.park(&Context::from_waker(&waker));
    (reservation, woken)
}

/// Creates an event in the large part.
fn verified(budget: &Budget, bytes: usize) -> Reservation {
    let mut reservation = budget.reservation(Some(usize::MAX));
    reservation.set_verified();
    assert!(reservation.try_grow(bytes));
    reservation
}

const SIZE: usize = 8 << 20;
const LARGE: usize = 7 << 20;

#[test]
fn gives_back_what_was_taken() {
    let budget = Budget::new(SIZE);
    let mut a = budget.reservation(Some(SIZE));
    assert!(a.try_grow(LARGE) && a.try_grow(10), "the reservation already has that much");
    let mut b = budget.reservation(Some(SIZE));
    assert!(!b.try_grow(1));
    drop(a);
    assert!(b.try_grow(LARGE) && !b.try_grow(LARGE + 1));
}

#[test]
fn small_bodies_have_their_own_part() {
    let budget = Budget::new(SIZE);
    let (_flood, _) = parked(&budget, LARGE);
    let mut small = budget.reservation(None);
    assert!(small.try_grow(SMALL));
    assert!(!small.try_grow(SMALL + 1), "the body is no longer small");
}

#[test]
fn body_that_outgrows_the_small_part_leaves_it() {
    let budget = Budget::new(SIZE);
    let mut grown: Vec<_> = (0..16).map(|_| budget.reservation(None)).collect();
    assert!(grown.iter_mut().all(|it| it.try_grow(SMALL)));
    assert!(!budget.reservation(None).try_grow(1), "the small part is taken");
    assert!(grown.iter_mut().all(|it| it.try_grow(SMALL + 1)));
    assert!(budget.reservation(None).try_grow(SMALL), "and free again");
}

#[test]
fn younger_unverified_body_evicts_the_oldest() {
    let budget = Budget::new(SIZE);
    let (oldest, oldest_woken) = parked(&budget, LARGE / 2);
    let (older, older_woken) = parked(&budget, LARGE / 2);
    let mut young = budget.reservation(Some(SIZE));
    let (young_woken, waker) = Woken::new();
    let mut cx = Context::from_waker(&waker);
    assert!(young.poll_grow(&mut cx, LARGE / 2).is_pending());
    assert!(oldest.is_evicted() && !older.is_evicted());
    assert_eq!((oldest_woken.count(), older_woken.count()), (1, 0));
    drop(oldest);
    assert_eq!(young_woken.count(), 1);
    assert_eq!(young.poll_grow(&mut cx, LARGE / 2), Poll::Ready(true));
    assert!(!older.is_evicted(), "one was enough");
}

#[test]
fn older_body_waits_and_evicts_none() {
    let budget = Budget::new(SIZE);
    let mut old = budget.reservation(Some(SIZE));
    let (young, _) = parked(&budget, LARGE);
    assert!(old.poll_grow(&mut noop(), 1).is_pending());
    assert!(!young.is_evicted());
    drop(young);
    assert_eq!(old.poll_grow(&mut noop(), 1), Poll::Ready(true));
}

#[test]
fn verified_body_evicts_younger_ones_and_is_not_evicted() {
    let budget = Budget::new(SIZE);
    let mut old = budget.reservation(Some(SIZE));
    let (young, _) = parked(&budget, LARGE);
    old.set_verified();
    assert!(old.poll_grow(&mut noop(), LARGE).is_pending());
    assert!(young.is_evicted());
    drop(young);
    assert_eq!(old.poll_grow(&mut noop(), LARGE), Poll::Ready(true));
    old.park(&noop());
    let mut younger = budget.reservation(Some(SIZE));
    assert!(younger.poll_grow(&mut noop(), 1).is_pending());
    assert!(!old.is_evicted());
}

#[test]
fn evicted_body_that_is_then_verified_stays_and_another_is_evicted() {
    let budget = Budget::new(SIZE);
    let (mut first, _) = parked(&budget, LARGE / 2);
    let (second, _) = parked(&budget, LARGE / 2);
    let mut young = budget.reservation(Some(SIZE));
    assert!(young.poll_grow(&mut noop(), 1).is_pending());
    assert!(first.is_evicted());
    first.set_verified();
    assert!(second.is_evicted());
}

#[test]
fn small_event_stays_in_the_small_part_if_events_fill_the_large_one() {
    let budget = Budget::new(SIZE);
    let _events = verified(&budget, LARGE);
    let mut small = budget.reservation(None);
    assert!(small.try_grow(1000));
    small.set_verified();
    assert!(small.try_grow(2000));
}

#[test]
fn small_event_stays_in_the_small_part_if_evictions_are_not_enough() {
    let budget = Budget::new(SIZE);
    let _events = verified(&budget, LARGE - 10);
    let (_stalled, _) = parked(&budget, 10);
    let mut small = budget.reservation(None);
    assert!(small.try_grow(1000));
    small.set_verified();
    assert!(small.try_grow(2000));
}

#[test]
fn small_event_evicts_from_the_large_part_before_using_the_small_one() {
    let budget = Budget::new(SIZE);
    let (flood, _) = parked(&budget, LARGE);
    let mut small = budget.reservation(None);
    assert!(small.try_grow(1000));
    small.set_verified();
    assert!(small.poll_grow(&mut noop(), 2000).is_pending());
    assert!(flood.is_evicted());
}

#[test]
fn rejects_at_once_what_can_never_fit() {
    let budget = Budget::new(SIZE);
    let mut event = verified(&budget, 1);
    assert_eq!(event.poll_grow(&mut noop(), LARGE + 1), Poll::Ready(false));
}

#[test]
fn abandoned_wait_leaves_nothing_behind() {
    let budget = Budget::new(SIZE);
    for granted in [false, true] {
        for dropped in [false, true] {
            let event = verified(&budget, LARGE);
            let mut waits = budget.reservation(Some(SIZE));
            assert!(waits.poll_grow(&mut noop(), LARGE).is_pending());
            let mut event = Some(event);
            if granted {
                event.take();
            }
            if dropped {
                drop(waits);
            } else {
                waits.give_up();
                assert_eq!(waits.bytes(), 0);
            }
            drop(event);
            assert!(budget.reservation(Some(SIZE)).try_grow(LARGE), "{granted} {dropped}");
        }
    }
}

#[test]
fn large_wait_does_not_hold_up_smaller_ones() {
    let budget = Budget::new(SIZE);
    let (half, event) = (verified(&budget, LARGE / 2), verified(&budget, LARGE / 2));
    let mut greedy = verified(&budget, 0);
    assert!(greedy.poll_grow(&mut noop(), LARGE).is_pending());
    let mut modest = verified(&budget, 0);
    assert!(modest.poll_grow(&mut noop(), 10).is_pending());
    drop(half);
    assert_eq!(modest.poll_grow(&mut noop(), 10), Poll::Ready(true));
    drop(event);
    assert!(greedy.poll_grow(&mut noop(), LARGE).is_pending());
}
