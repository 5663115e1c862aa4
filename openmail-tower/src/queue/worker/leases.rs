//! The leases that a worker holds. Only its main loop changes them.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::watch,
    task::{self, AbortHandle},
    time::Instant,
};

use crate::{
    queue::{
        entry::EntryId,
        lease::{Claimed, Lease, WorkerId},
        policy::Run,
        request::ClaimRequest,
    },
    telemetry::queue as telemetry,
};

use super::settings::Settings;

/// The entries that a worker holds, and the phase of each.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: HashMap<EntryId, Hold>,
    by_task: HashMap<task::Id, (Lease, Run)>,
}

#[derive(Debug)]
struct Hold {
    lease: Lease,
    inbox_id: Option<String>,
    weight: u64,
    is_suspect: bool,
    /// When its lease ends, by this machine's monotonic clock, unless it is renewed.
    until: watch::Sender<Instant>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Claimed, and waiting until the service is ready.
    Waiting,
    Running {
        task: AbortHandle,
        since: Instant,
    },
    /// It is being settled.
    Settling,
}

/// The longest time limit: one year. A longer one could overflow an `Instant`.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns the end of a lease that was requested at `asked`, or of another time limit.
pub(super) fn end(asked: Instant, lease: Duration) -> Instant {
    asked + lease.min(LONGEST)
}

impl Leases {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Returns the number of entries that wait or run.
    pub(super) fn active(&self) -> usize {
        self.by_id.values().filter(|hold| hold.is_active()).count()
    }

    /// Returns whether at least half of the slots are free.
    pub(super) fn leave_room(&self, settings: &Settings) -> bool {
        self.active() <= settings.concurrency / 2
    }

    pub(super) fn settling(&self) -> usize {
        self.by_id.len() - self.active()
    }

    pub(super) fn has_suspect(&self) -> bool {
        self.by_id.values().any(|hold| hold.is_suspect)
    }

    /// Creates a request for as many entries as there is room for.
    pub(super) fn request(&self, worker: WorkerId, settings: &Settings) -> ClaimRequest {
        let free = settings.concurrency.saturating_sub(self.active());
        let mut request = ClaimRequest::new(worker, free, settings.lease);
        request.held = self.by_id.keys().copied().collect();
        request.inbox_limits = Some(settings.inbox_limits());
        let mut used = 0_u64;
        for hold in self.by_id.values().filter(|hold| hold.is_active()) {
            used = used.saturating_add(hold.weight);
            if let Some(inbox) = &hold.inbox_id {
                let share = request.inboxes.entry(inbox.clone()).or_default();
                share.runs += 1;
                share.weight = share.weight.saturating_add(hold.weight);
            }
        }
        request.weight = settings.memory.saturating_sub(used);
        request.oversized = used == 0;
        request.inbox_weight = settings.memory / 2;
        request
    }

    /// Adds an entry that was claimed. Its lease counts from when it was requested.
    pub(super) fn claimed(&mut self, claimed: &Claimed, asked: Instant, lease: Duration) {
        let hold = Hold {
            lease: claimed.lease.clone(),
            inbox_id: claimed.inbox_id.clone(),
            weight: claimed.weight,
            is_suspect: claimed.suspect,
            until: watch::Sender::new(end(asked, lease)),
            phase: Phase::Waiting,
        };
        self.by_id.insert(claimed.lease.id, hold);
    }

    /// Returns a receiver of the time until which a lease is known to hold. `None` if it was lost.
    pub(super) fn until(&self, lease: &Lease) -> Option<watch::Receiver<Instant>> {
        self.get(lease).map(|hold| hold.until.subscribe())
    }

    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.get(lease).is_some()
    }

    pub(super) fn running(&mut self, lease: &Lease, past: Run, task: AbortHandle) {
        self.by_task.insert(task.id(), (lease.clone(), past));
        if let Some(hold) = self.get_mut(lease) {
            hold.phase = Phase::Running { task, since: Instant::now() };
        }
    }

    /// Records that the task of a run has ended. Returns its lease and the run.
    pub(super) fn ended(&mut self, task: task::Id) -> Option<(Lease, Run)> {
        self.by_task.remove(&task)
    }

    /// Records that an entry is being settled. Returns whether its lease is still held.
    pub(super) fn begin_settling(&mut self, lease: &Lease) -> bool {
        let hold = self.get_mut(lease);
        hold.map(|hold| hold.phase = Phase::Settling).is_some()
    }

    pub(super) fn let_go(&mut self, lease: &Lease) {
        if self.holds(lease) {
            self.by_id.remove(&lease.id);
        }
    }

    /// Aborts the runs in progress. Returns how many.
    pub(super) fn cut_off(&self) -> usize {
        let running = self.by_id.values().filter_map(|hold| match &hold.phase {
            Phase::Running { task, .. } => Some(task),
            Phase::Waiting | Phase::Settling => None,
        });
        running.map(AbortHandle::abort).count()
    }

    /// Returns the leases to renew.
    ///
    /// A run that blocks its thread cannot be cancelled by its time limit. Its lease is given up:
    /// its slot is free at once, and its entry is due again once the lease has expired.
    pub(super) fn renewable(&mut self, settings: &Settings) -> Vec<Lease> {
        let limit = settings.run_timeout.saturating_add(settings.lease);
        self.by_id.retain(|id, hold| match &hold.phase {
            Phase::Running { since, task } if since.elapsed() > limit => {
                task.abort();
                telemetry::blocked(*id);
                false
            }
            _ => true,
        });
        self.by_id.values().map(|hold| hold.lease.clone()).collect()
    }

    /// Records that these leases were renewed, except those in `lost`, which have ended.
    pub(super) fn renewed(
        &mut self,
        leases: &[Lease],
        lost: &[EntryId],
        asked: Instant,
        lease: Duration,
    ) {
        for renewed in leases {
            let Some(hold) = self.get(renewed) else { continue };
            if !lost.contains(&renewed.id) {
                hold.until.send_replace(end(asked, lease));
            } else if !matches!(hold.phase, Phase::Settling) {
                // If the entry is being settled, its lease may be gone because the settlement was
                // stored. The answer to the settlement shows whether it was.
                if let Phase::Running { task, .. } = &hold.phase {
                    task.abort();
                }
                telemetry::lost(renewed.id);
                self.by_id.remove(&renewed.id);
            }
        }
    }

    fn get(&self, lease: &Lease) -> Option<&Hold> {
        self.by_id.get(&lease.id).filter(|hold| hold.lease == *lease)
    }

    fn get_mut(&mut self, lease: &Lease) -> Option<&mut Hold> {
        self.by_id.get_mut(&lease.id).filter(|hold| hold.lease == *lease)
    }
}

impl Hold {
    fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Settling)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;

    use super::*;
    use crate::{queue::worker::Worker, seam::StoredEvent};

    const LEASE: Duration = Duration::from_secs(30);

    fn claimed(id: i64, token: i64, inbox: &str, weight: u64) -> Claimed {
        let lease = Lease::new(EntryId(id), token, None);
        let stored = StoredEvent { raw_body: Bytes::new(), timestamp: 0, inbox_id: None };
        let mut claimed = Claimed::new(lease, "message.received".to_owned(), stored);
        (claimed.inbox_id, claimed.weight) = (Some(inbox.to_owned()), weight);
        claimed
    }

    fn running(leases: &mut Leases, claimed: &Claimed) -> task::JoinHandle<()> {
        leases.claimed(claimed, Instant::now(), LEASE);
        let task = tokio::spawn(pending::<()>());
        leases.running(&claimed.lease, Run::attempt(1), task.abort_handle());
        task
    }

    #[tokio::test]
    async fn lost_run_is_aborted_but_a_settling_one_is_not() {
        let mut leases = Leases::default();
        let (lost, settling) = (claimed(1, 1, "a", 1), claimed(2, 1, "a", 1));
        let task = running(&mut leases, &lost);
        drop(running(&mut leases, &settling));
        assert!(leases.begin_settling(&settling.lease));
        let both = [lost.lease.clone(), settling.lease.clone()];
        leases.renewed(&both, &[EntryId(1), EntryId(2)], Instant::now(), LEASE);
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!leases.begin_settling(&lost.lease), "it belongs to another worker");
        assert!(leases.begin_settling(&settling.lease));
    }

    #[tokio::test]
    async fn stale_lease_does_not_affect_the_next_one() {
        let mut leases = Leases::default();
        let (stale, next) = (claimed(1, 1, "a", 1), claimed(1, 3, "a", 1));
        leases.claimed(&next, Instant::now(), LEASE);
        leases.let_go(&stale.lease);
        assert!(leases.until(&stale.lease).is_none());
        assert!(leases.until(&next.lease).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn lease_counts_from_its_request() {
        let mut leases = Leases::default();
        let entry = claimed(1, 1, "a", 1);
        let asked = Instant::now();
        tokio::time::advance(LEASE / 2).await;
        leases.claimed(&entry, asked, LEASE);
        let until = leases.until(&entry.lease).unwrap();
        assert_eq!(*until.borrow(), asked + LEASE);
        let again = Instant::now();
        tokio::time::advance(LEASE / 3).await;
        leases.renewed(std::slice::from_ref(&entry.lease), &[], again, LEASE);
        assert_eq!(*until.borrow(), again + LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn blocking_run_frees_its_slot() {
        let settings = Worker::new((), ()).run_timeout(LEASE).lease(LEASE).settings;
        let mut leases = Leases::default();
        let _task = running(&mut leases, &claimed(1, 1, "a", 1));
        tokio::time::advance(LEASE).await;
        assert_eq!(leases.renewable(&settings).len(), 1);
        tokio::time::advance(LEASE + Duration::from_secs(1)).await;
        assert!(leases.renewable(&settings).is_empty());
        assert!(leases.is_empty());
    }

    #[tokio::test]
    async fn request_states_the_remaining_room() {
        let settings = Worker::new((), ()).concurrency(4).per_inbox(2).memory(100).settings;
        let mut leases = Leases::default();
        let request = leases.request(WorkerId(1), &settings);
        assert_eq!((request.limit, request.weight, request.oversized), (4, 100, true));
        drop(running(&mut leases, &claimed(1, 1, "a", 30)));
        leases.claimed(&claimed(2, 1, "a", 20), Instant::now(), LEASE);
        let request = leases.request(WorkerId(1), &settings);
        assert_eq!((request.limit, request.weight, request.oversized), (2, 50, false));
        assert_eq!((request.inboxes["a"].runs, request.inboxes["a"].weight), (2, 50));
        assert_eq!(request.held.len(), 2);
        assert_eq!(request.choice().full_inboxes().collect::<Vec<_>>(), ["a"]);
        assert!(leases.begin_settling(&claimed(1, 1, "a", 30).lease));
        let request = leases.request(WorkerId(1), &settings);
        assert_eq!((request.limit, request.weight), (3, 80), "its memory is free again");
    }
}
