//! The events that run or wait, by inbox.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::event::InboxId;

/// The inboxes whose events run or wait.
pub(super) struct Slots {
    runs: usize,
    busy: Mutex<HashMap<InboxId, Busy>>,
}

struct Busy {
    turns: Arc<Semaphore>,
    /// The number of events that run or wait. The last one removes the entry.
    tickets: usize,
}

impl Slots {
    pub(super) fn new(runs: usize) -> Self {
        Self { runs, busy: Mutex::default() }
    }

    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    /// Locks the map. The lock is held only briefly, and never across an `.await`.
    fn busy(&self) -> MutexGuard<'_, HashMap<InboxId, Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ticket(self: Arc<Self>, inbox: InboxId) -> Ticket {
        let mut busy = self.busy();
        let entry = busy
            .entry(inbox.clone())
            .or_insert_with(|| Busy { turns: Arc::new(Semaphore::new(self.runs)), tickets: 0 });
        entry.tickets += 1;
        let turns = Arc::clone(&entry.turns);
        drop(busy);
        Ticket { slots: self, inbox, turns }
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("runs", &self.runs).field("busy", &self.busy().len()).finish()
    }
}

/// An event that runs or waits for its turn.
pub(super) struct Ticket {
    slots: Arc<Slots>,
    inbox: InboxId,
    turns: Arc<Semaphore>,
}

impl Ticket {
    /// Waits for the ticket's turn, which lasts until the permit is dropped.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut busy = self.slots.busy();
        if let Some(entry) = busy.get_mut(&self.inbox) {
            entry.tickets -= 1;
            if entry.tickets == 0 {
                busy.remove(&self.inbox);
                // After a burst of a million inboxes, their memory is given back.
                if busy.len() < busy.capacity() / 8 {
                    busy.shrink_to(16);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_removed_with_its_last_ticket() {
        let slots = Arc::new(Slots::new(1));
        let [a, b] = ["a", "a"].map(|id| Arc::clone(&slots).ticket(id.into()));
        let many: Vec<_> =
            (0..1000).map(|id| Arc::clone(&slots).ticket(id.to_string().into())).collect();
        drop(a);
        assert_eq!(slots.busy().len(), 1001);
        drop(b);
        assert_eq!(slots.busy().len(), 1000);
        drop(many);
        assert_eq!(slots.busy().len(), 0);
        assert!(slots.busy().capacity() < 100);
    }
}
