//! The leases that a worker holds.

use std::{
    collections::HashMap,
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
pub(super) struct Held(Arc<Mutex<Leases>>);

type Leases = HashMap<EntryId, (Lease, Option<AbortHandle>)>;

impl Held {
    fn lock(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, lease: Lease) {
        self.lock().insert(lease.id, (lease, None));
    }

    /// The event is run by this task.
    pub(super) fn started(&self, id: EntryId, task: AbortHandle) {
        if let Some((_, running)) = self.lock().get_mut(&id) {
            *running = Some(task);
        }
    }

    pub(super) fn remove(&self, lease: &Lease) {
        let mut held = self.lock();
        // It may be held again by a newer lease.
        if held.get(&lease.id).is_some_and(|(held, _)| held == lease) {
            held.remove(&lease.id);
        }
    }

    /// Whether this very lease is held.
    pub(super) fn has(&self, lease: &Lease) -> bool {
        self.lock().get(&lease.id).is_some_and(|(held, _)| held == lease)
    }

    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().values().map(|(lease, _)| lease.clone()).collect()
    }

    fn lose(&self, lease: &Lease) {
        if !self.has(lease) {
            return;
        }
        observe::lost(lease.id);
        if let Some((_, Some(task))) = self.lock().remove(&lease.id) {
            task.abort();
        }
    }
}

/// Renews what is held, three times a lease.
pub(super) async fn renew<St: QueueStore>(store: &St, held: &Held, lease: Duration) -> Infallible {
    let period = (lease / 3).max(Duration::from_millis(1));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leases = held.leases();
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
