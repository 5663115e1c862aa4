//! The leases that a worker holds.

use std::{
    collections::HashMap,
    convert::Infallible,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    queue::{
        entry::EntryId,
        error::QueueError,
        lease::{Claimed, Lease},
        store::QueueStore,
    },
    seam::within,
    telemetry::queue as telemetry,
};

/// Leases to be renewed, and the tasks that run their events.
///
/// A run is known by the lease that it began with. It may have another by now: where its lease ran
/// out while the store was away or the clock was set, the worker claims anew what it runs already,
/// and the run goes on under the new lease.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<Holds>>);

#[derive(Default)]
struct Holds {
    by_id: HashMap<EntryId, Hold>,
    /// While a claim is under way, what is lost may only be lost to us; it is judged after that.
    is_claiming: bool,
    lost: Vec<Lease>,
}

struct Hold {
    begun_with: Lease,
    lease: Lease,
    attempt: u32,
    task: Option<AbortHandle>,
    has_run: bool,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Holds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ids(&self) -> Vec<EntryId> {
        self.lock().by_id.keys().copied().collect()
    }

    pub(super) fn claiming(&self) {
        self.lock().is_claiming = true;
    }

    /// Takes what a claim has brought, and gives back what is to be begun.
    pub(super) fn claimed(&self, events: Vec<Claimed>) -> Vec<Claimed> {
        let mut holds = self.lock();
        holds.is_claiming = false;
        let begin = events.into_iter().filter(|event| holds.take(event)).collect();
        mem::take(&mut holds.lost).iter().for_each(|lease| holds.lose(lease));
        begin
    }

    /// The run has begun, on this task.
    pub(super) fn started(&self, run: &Lease, task: AbortHandle) {
        if let Some(hold) = self.lock().of(run) {
            hold.task = Some(task);
        }
    }

    /// The run has ended, and what became of it is to be written down.
    pub(super) fn has_run(&self, run: &Lease) {
        if let Some(hold) = self.lock().of(run) {
            hold.has_run = true;
        }
    }

    /// The lease that the run has now, and the attempt that this is for: none where it is another's.
    pub(super) fn lease(&self, run: &Lease) -> Option<(Lease, u32)> {
        self.lock().of(run).map(|hold| (hold.lease.clone(), hold.attempt))
    }

    /// Lets the run's lease go, and tells whether it was this one: it may have been claimed anew.
    pub(super) fn let_go(&self, run: &Lease, lease: &Lease) -> bool {
        self.lock().let_go(run, lease)
    }

    /// As `let_go`, where the store does not know the lease any more.
    pub(super) fn let_go_lost(&self, run: &Lease, lease: &Lease) -> bool {
        let mut holds = self.lock();
        !holds.is_claiming && holds.let_go(run, lease)
    }

    /// Cuts off what runs, save what has come to its end; gives how many those were.
    pub(super) fn cut_off(&self) -> usize {
        let holds = self.lock();
        let running = holds.by_id.values().filter(|hold| !hold.has_run && !hold.is_idle());
        running.filter_map(|hold| hold.task.as_ref()).map(AbortHandle::abort).count()
    }

    /// Takes the leases of events that nobody runs: they have not begun, or their tasks are gone.
    pub(super) fn take_idle(&self) -> Vec<Lease> {
        let mut holds = self.lock();
        holds.by_id.extract_if(|_, hold| hold.is_idle()).map(|(_, hold)| hold.lease).collect()
    }

    fn renewable(&self) -> Vec<Lease> {
        let mut holds = self.lock();
        // A run lets its lease go before it ends: the task of this one has panicked, and its event
        // must come to another.
        holds.by_id.retain(|id, hold| {
            let is_alive = hold.task.is_none() || !hold.is_idle();
            if !is_alive {
                telemetry::lost(*id);
            }
            is_alive
        });
        holds.by_id.values().map(|hold| hold.lease.clone()).collect()
    }

    fn lose(&self, lease: Lease) {
        let mut holds = self.lock();
        if holds.is_claiming { holds.lost.push(lease) } else { holds.lose(&lease) }
    }
}

impl Holds {
    fn of(&mut self, run: &Lease) -> Option<&mut Hold> {
        self.by_id.get_mut(&run.id).filter(|hold| hold.begun_with == *run)
    }

    fn let_go(&mut self, run: &Lease, lease: &Lease) -> bool {
        let Some(hold) = self.of(run) else { return true };
        let is_this = hold.lease == *lease;
        if is_this {
            self.by_id.remove(&run.id);
        }
        is_this
    }

    /// Whether it is to be begun.
    fn take(&mut self, event: &Claimed) -> bool {
        let (lease, attempt) = (event.lease.clone(), event.attempt);
        if let Some(hold) = self.by_id.get_mut(&lease.id).filter(|hold| !hold.is_idle()) {
            (hold.lease, hold.attempt) = (lease, attempt);
            return false;
        }
        let begun_with = lease.clone();
        let hold = Hold { begun_with, lease, attempt, task: None, has_run: false };
        self.by_id.insert(hold.lease.id, hold);
        true
    }

    fn lose(&mut self, lease: &Lease) {
        let hold = self.by_id.get(&lease.id).filter(|hold| hold.lease == *lease);
        // What is being written down finds out by itself, or was just written.
        if let Some(hold) = hold.filter(|hold| !hold.has_run) {
            telemetry::lost(lease.id);
            hold.task.as_ref().map(AbortHandle::abort);
            self.by_id.remove(&lease.id);
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
        match within(period, store.renew(&leases, lease), QueueError::late).await {
            Ok(lost) => {
                let lost = leases.into_iter().filter(|lease| lost.contains(&lease.id));
                lost.for_each(|lease| held.lose(lease));
            }
            Err(error) => telemetry::away(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;

    use super::*;
    use crate::seam::StoredEvent;

    fn event(token: i64) -> Claimed {
        let lease = Lease::new(EntryId(1), token, None);
        let stored = StoredEvent { raw_body: Bytes::new(), timestamp: 0 };
        Claimed::new(lease, "x".to_owned(), stored)
    }

    /// An event that was claimed and runs, and its lease.
    fn running(token: i64) -> (Held, Lease) {
        let held = Held::default();
        let lease = event(token).lease;
        assert_eq!(held.claimed(vec![event(token)]).len(), 1);
        held.started(&lease, tokio::spawn(pending::<()>()).abort_handle());
        (held, lease)
    }

    #[tokio::test]
    async fn a_run_goes_on_under_the_lease_that_is_claimed_anew() {
        let (held, run) = running(1);
        assert!(held.claimed(vec![event(2)]).is_empty());
        assert_eq!(held.lease(&run), Some((event(2).lease, 1)));
        // The old one was written down, and the new one claimed after that.
        assert!(!held.let_go(&run, &run));
        assert!(held.let_go(&run, &event(2).lease));
        assert_eq!(held.lease(&run), None);
    }

    #[tokio::test]
    async fn a_run_that_was_lost_does_not_touch_the_next() {
        let (held, stale) = running(1);
        held.lose(stale.clone());
        assert_eq!(held.claimed(vec![event(3)]).len(), 1);
        assert_eq!(held.lease(&stale), None);
        assert!(held.let_go(&stale, &stale));
        assert!(held.lease(&event(3).lease).is_some());
    }

    #[tokio::test]
    async fn what_is_lost_while_a_claim_is_under_way_is_judged_after_it() {
        for (claimed, remains) in [(vec![event(2)], true), (vec![], false)] {
            let (held, run) = running(1);
            held.claiming();
            held.lose(run.clone());
            assert!(!held.let_go_lost(&run, &run));
            assert!(held.claimed(claimed).is_empty());
            assert_eq!(held.lease(&run).is_some(), remains);
            // The one that it began with is gone either way; the other is still its own.
            assert_eq!(held.let_go_lost(&run, &run), !remains);
        }
    }

    #[tokio::test]
    async fn at_the_end_only_what_still_runs_is_cut_off() {
        let (held, run) = running(1);
        held.has_run(&run);
        assert_eq!(held.cut_off(), 0);
        let (held, run) = running(1);
        assert_eq!(held.cut_off(), 1);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(held.take_idle(), [run]);
    }
}
