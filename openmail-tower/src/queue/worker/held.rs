//! The leases that a worker holds.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::queue::{
    entry::{EntryId, Lease},
    observe,
    store::QueueStore,
};

use super::claim::within;

/// Leases to be renewed, and the tasks that run their events.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<Holds>>);

#[derive(Default)]
struct Holds {
    by_id: HashMap<EntryId, Hold>,
    is_claiming: bool,
}

struct Hold {
    lease: Lease,
    task: Option<AbortHandle>,
    has_run: bool,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Holds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a claim is under way. A lease that is gone until it has ended may be gone to us.
    pub(super) fn claiming(&self) {
        self.lock().is_claiming = true;
    }

    /// Takes what a claim has brought; gives back whether each is to be begun. What runs here already
    /// goes on under the new lease: the old one ran out while the store was away or the clock was
    /// set, and the store could not know.
    pub(super) fn claimed<'a>(&self, leases: impl IntoIterator<Item = &'a Lease>) -> Vec<bool> {
        let mut holds = self.lock();
        holds.is_claiming = false;
        let mut begin = |lease: &Lease| {
            let lease = lease.clone();
            match holds.by_id.get_mut(&lease.id).filter(|hold| !hold.is_idle()) {
                Some(hold) => hold.lease = lease,
                None => {
                    let hold = Hold { lease, task: None, has_run: false };
                    holds.by_id.insert(hold.lease.id, hold);
                    return true;
                }
            }
            false
        };
        leases.into_iter().map(&mut begin).collect()
    }

    /// The event is run by this task.
    pub(super) fn started(&self, id: EntryId, task: AbortHandle) {
        if let Some(hold) = self.lock().by_id.get_mut(&id) {
            hold.task = Some(task);
        }
    }

    /// The event has run, and what became of it is being written down.
    pub(super) fn has_run(&self, id: EntryId) {
        if let Some(hold) = self.lock().by_id.get_mut(&id) {
            hold.has_run = true;
        }
    }

    pub(super) fn remove(&self, id: EntryId) {
        self.lock().by_id.remove(&id);
    }

    /// The lease by which an event is held now.
    pub(super) fn lease(&self, id: EntryId) -> Option<Lease> {
        self.lock().by_id.get(&id).map(|hold| hold.lease.clone())
    }

    /// Whether this very lease is held.
    pub(super) fn has(&self, lease: &Lease) -> bool {
        self.lease(lease.id).is_some_and(|held| held == *lease)
    }

    /// Whether a lease that the store does not know any more is lost for good: it may have been
    /// claimed anew here.
    pub(super) fn has_lost(&self, lease: &Lease) -> bool {
        let holds = self.lock();
        !holds.is_claiming && holds.by_id.get(&lease.id).is_some_and(|hold| hold.lease == *lease)
    }

    /// The leases whose tasks have come to their end, or have not begun: nobody runs their events.
    pub(super) fn idle(&self) -> Vec<Lease> {
        let holds = self.lock();
        let idle = holds.by_id.values().filter(|hold| hold.is_idle());
        idle.map(|hold| hold.lease.clone()).collect()
    }

    fn renewable(&self) -> Vec<Lease> {
        let mut holds = self.lock();
        // A task takes its lease off before it ends: this one has panicked, and its event must come
        // to another.
        holds.by_id.retain(|id, hold| {
            let is_alive = hold.task.is_none() || !hold.is_idle();
            if !is_alive {
                observe::lost(*id);
            }
            is_alive
        });
        holds.by_id.values().map(|hold| hold.lease.clone()).collect()
    }

    fn lose(&self, lease: &Lease) {
        if !self.has_lost(lease) {
            return;
        }
        let mut holds = self.lock();
        // What is being written down is found to be lost, or was just written.
        if let Entry::Occupied(hold) = holds.by_id.entry(lease.id)
            && !hold.get().has_run
        {
            observe::lost(lease.id);
            if let Some(task) = hold.remove().task {
                task.abort();
            }
        }
    }
}

impl Hold {
    fn is_idle(&self) -> bool {
        self.task.as_ref().is_none_or(AbortHandle::is_finished)
    }
}

/// Renews what is held, three times a lease.
pub(super) async fn renew<St: QueueStore>(store: &St, held: &Held, lease: Duration) -> Infallible {
    let period = (lease / 3).max(Duration::from_millis(1));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leases = held.renewable();
        if leases.is_empty() {
            continue;
        }
        match within(period, store.renew(&leases, lease)).await {
            Ok(lost) => {
                leases.iter().filter(|lease| lost.contains(&lease.id)).for_each(|it| held.lose(it));
            }
            Err(error) => observe::away(&error),
        }
    }
}
