//! Limits the number of concurrent runs, in total and for each inbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::event::InboxId;

/// The runs in progress. Shared by a layer and its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    inboxes: HashMap<InboxId, usize>,
}

/// The maximum number of concurrent runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxRuns {
    pub(super) all: usize,
    pub(super) of_one_inbox: usize,
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, or returns why there is none.
    pub(super) fn enter(&self, inbox: Option<&InboxId>, most: MaxRuns) -> Result<Place, String> {
        let mut taken = self.taken();
        if taken.all >= most.all {
            return Err(format!("{} events are running, which is the limit", taken.all));
        }
        if let Some(inbox) = inbox {
            let of_inbox = taken.inboxes.get(inbox).copied().unwrap_or(0);
            if of_inbox >= most.of_one_inbox {
                return Err(format!(
                    "{of_inbox} events of the inbox are running, which is the limit"
                ));
            }
            taken.inboxes.insert(inbox.clone(), of_inbox + 1);
        }
        taken.all += 1;
        drop(taken);
        Ok(Place { room: self.clone(), inbox: inbox.cloned() })
    }
}

/// A place among the runs, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    inbox: Option<InboxId>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all -= 1;
        if let Some(inbox) = &self.inbox
            && let Some(of_inbox) = taken.inboxes.get_mut(inbox)
        {
            *of_inbox -= 1;
            if *of_inbox == 0 {
                taken.inboxes.remove(inbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_inbox_takes_only_its_share_and_gives_it_back() {
        let room = Room::default();
        let most = MaxRuns { all: 3, of_one_inbox: 2 };
        let [a, b] = ["a", "b"].map(InboxId::from);
        let first = room.enter(Some(&a), most).unwrap();
        let second = room.enter(Some(&a), most).unwrap();
        assert!(room.enter(Some(&a), most).unwrap_err().contains("of the inbox"));
        let other = room.enter(Some(&b), most).unwrap();
        assert!(room.enter(None, most).unwrap_err().starts_with("3 events are running"));
        drop((first, second, other));
        let taken = room.taken();
        assert_eq!((taken.all, taken.inboxes.len()), (0, 0));
    }
}
