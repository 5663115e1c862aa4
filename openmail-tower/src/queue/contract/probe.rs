//! A store under test.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    queue::{
        entry::{Counts, NewEntry},
        lease::{Claimed, Claims, Lease, WorkerId},
        request::ClaimRequest,
        settlement::Settlement,
        store::QueueStore,
    },
    seam::StoredEvent,
};

/// A lease or a delay that does not end within a test.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// A lease or a delay that ends as soon as it begins, so that no test has to wait for it.
pub(super) const SHORT: Duration = Duration::ZERO;

/// Creates entries with unique keys, and waits for entries to become due.
#[derive(Debug)]
pub(super) struct Probe<St> {
    pub(super) store: St,
    next: AtomicU64,
}

impl<St: QueueStore> Probe<St> {
    pub(super) fn new(store: St) -> Self {
        Self { store, next: AtomicU64::new(1) }
    }

    pub(super) fn entry(&self, lane: Option<&str>) -> NewEntry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = |name: &str| Some(format!("{name} {number}"));
        NewEntry {
            key: text("key"),
            lane: lane.map(ToOwned::to_owned),
            event_id: text("event"),
            kind: "message.received".to_owned(),
            inbox_id: text("inbox"),
            thread_id: text("thread"),
            trace_context: text("trace"),
            weight: 10,
            stored: StoredEvent {
                raw_body: format!("body {number}").into(),
                timestamp: number,
                inbox_id: Some(format!("inbox {number}").into()),
            },
        }
    }

    /// Adds a new entry to a lane, and returns its event.
    pub(super) async fn add(&self, lane: Option<&str>) -> StoredEvent {
        let entry = self.entry(lane);
        let stored = entry.stored.clone();
        assert!(self.enqueue(entry).await, "a new key");
        stored
    }

    /// Adds entries concurrently.
    pub(super) async fn enqueue_all(&self, entries: impl IntoIterator<Item = NewEntry>) {
        let mut added = JoinSet::new();
        for entry in entries {
            let store = self.store.clone();
            added.spawn(async move { store.enqueue(entry).await.expect("it is enqueued") });
        }
        assert!(added.join_all().await.into_iter().all(|new| new), "new keys");
    }

    /// Settles entries as done, concurrently.
    pub(super) async fn all_done(&self, all: Vec<Claimed>) {
        let mut settled = JoinSet::new();
        for claimed in all {
            let store = self.store.clone();
            settled.spawn(async move { store.settle(&claimed.lease, Settlement::done()).await });
        }
        let mut settled = settled.join_all().await.into_iter();
        assert!(settled.all(|held| held.expect("it is settled")), "the leases are held");
    }

    pub(super) async fn enqueue(&self, entry: NewEntry) -> bool {
        self.store.enqueue(entry).await.expect("it is enqueued")
    }

    pub(super) fn request(&self, limit: usize, lease: Duration) -> ClaimRequest {
        ClaimRequest::new(WorkerId(1), limit, lease)
    }

    /// Returns a request for suspects only.
    pub(super) fn suspects(&self, lease: Duration) -> ClaimRequest {
        let mut request = self.request(10, lease);
        request.suspects = true;
        request
    }

    pub(super) async fn claims(&self, request: ClaimRequest) -> Claims {
        self.store.claim(request).await.expect("it is claimed")
    }

    pub(super) async fn claim(&self, limit: usize, lease: Duration) -> Vec<Claimed> {
        self.claims(self.request(limit, lease)).await.entries
    }

    /// Claims the next entry as soon as one is due.
    pub(super) async fn next(&self, lease: Duration) -> Claimed {
        let next = async {
            loop {
                match self.claim(1, lease).await.pop() {
                    Some(claimed) => break claimed,
                    // A store does not announce that a delay has passed.
                    None => sleep(Duration::from_millis(2)).await,
                }
            }
        };
        timeout(Duration::from_secs(30), next).await.expect("one becomes due")
    }

    pub(super) async fn is_idle(&self) -> bool {
        self.claim(10, LONG).await.is_empty()
    }

    pub(super) async fn settle(&self, lease: &Lease, settlement: Settlement) -> bool {
        self.store.settle(lease, settlement).await.expect("it is settled")
    }

    pub(super) async fn done(&self, claimed: &Claimed) {
        assert!(self.settle(&claimed.lease, Settlement::done()).await, "the lease is held");
    }

    pub(super) async fn retry(&self, claimed: &Claimed, after: Duration, holds_lane: bool) {
        let settlement = Settlement::Retry { after, error: "failed".into(), holds_lane };
        assert!(self.settle(&claimed.lease, settlement).await, "the lease is held");
    }

    pub(super) async fn bury(&self, claimed: &Claimed, error: &str) {
        let settlement = Settlement::Bury { error: error.to_owned() };
        assert!(self.settle(&claimed.lease, settlement).await, "the lease is held");
    }

    /// Claims everything that is due and marks it as done.
    pub(super) async fn finish(&self) {
        loop {
            let all = self.claim(100, LONG).await;
            if all.is_empty() {
                break;
            }
            self.all_done(all).await;
        }
    }

    pub(super) async fn counts(&self) -> Counts {
        let counts = self.store.counts().await.expect("they are counted");
        Counts { oldest: None, workers: 0, ..counts }
    }
}
