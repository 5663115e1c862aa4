//! The order in which events are delivered, and which of them are delivered twice.

use super::event::TestEvent;

/// The number of events among which the next one is chosen if the order is shuffled.
const WINDOW: usize = 1024;

/// An event to deliver.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) event: TestEvent,
    pub(super) duplicate: bool,
}

/// The events in the order of their delivery, including duplicates.
#[derive(Debug)]
pub(super) struct Order<I> {
    events: I,
    duplicates: f64,
    waiting: Vec<Planned>,
    window: usize,
    random: fastrand::Rng,
}

impl<I: Iterator<Item = TestEvent>> Order<I> {
    pub(super) fn new(events: I, duplicates: f64, shuffle: bool, random: fastrand::Rng) -> Self {
        let window = if shuffle { WINDOW } else { 1 };
        Self { events, duplicates, waiting: Vec::new(), window, random }
    }
}

impl<I: Iterator<Item = TestEvent>> Iterator for Order<I> {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        while self.waiting.len() < self.window {
            let Some(event) = self.events.next() else { break };
            let copy = (self.random.f64() < self.duplicates).then(|| event.clone());
            self.waiting.push(Planned { event, duplicate: false });
            self.waiting.extend(copy.map(|event| Planned { event, duplicate: true }));
        }
        match self.waiting.len() {
            0 => None,
            count if self.window > 1 => Some(self.waiting.swap_remove(self.random.usize(..count))),
            _ => Some(self.waiting.remove(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(duplicates: f64, shuffle: bool) -> Vec<(u64, bool)> {
        let events = (0..2000_u64).map(|n| TestEvent::new("setup.test").field("n", n));
        let order = Order::new(events, duplicates, shuffle, fastrand::Rng::with_seed(7));
        order.map(|it| (it.event.json()["n"].as_u64().unwrap(), it.duplicate)).collect()
    }

    #[test]
    fn keeps_every_event_in_order_by_default() {
        assert_eq!(order(0.0, false), (0..2000).map(|n| (n, false)).collect::<Vec<_>>());
        let mut shuffled = order(0.0, true);
        assert!(!shuffled.is_sorted());
        shuffled.sort_unstable();
        assert_eq!(shuffled, order(0.0, false));
    }

    #[test]
    fn duplicates_follow_their_event() {
        let twice = order(1.0, false);
        assert_eq!(twice.len(), 4000);
        assert_eq!(twice[..4], [(0, false), (0, true), (1, false), (1, true)]);
        let some = order(0.1, true).iter().filter(|(_, duplicate)| *duplicate).count();
        assert!((100..300).contains(&some), "{some}");
    }
}
