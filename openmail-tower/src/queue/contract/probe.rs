//! A store under test.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use crate::{
    queue::{
        entry::{Claimed, Counts, Lease, NewEntry, Settlement},
        store::QueueStore,
    },
    seam::StoredEvent,
};

/// A lease, a back-off that does not end in a test.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// One that has ended when it is looked at.
pub(super) const SHORT: Duration = Duration::from_millis(1);

/// Entries with keys of their own, and claims that wait.
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
            stored: StoredEvent { raw_body: format!("body {number}").into(), timestamp: number },
        }
    }

    /// Adds a new entry to a lane, and gives its event.
    pub(super) async fn add(&self, lane: Option<&str>) -> StoredEvent {
        let entry = self.entry(lane);
        let stored = entry.stored.clone();
        assert!(self.enqueue(entry).await, "a new key");
        stored
    }

    pub(super) async fn enqueue(&self, entry: NewEntry) -> bool {
        self.store.enqueue(entry).await.expect("it is enqueued")
    }

    pub(super) async fn claim(&self, limit: usize, lease: Duration) -> Vec<Claimed> {
        self.store.claim(limit, lease).await.expect("it is claimed").events
    }

    /// The next one, as soon as there is one.
    pub(super) async fn next(&self, lease: Duration) -> Claimed {
        let next = async {
            loop {
                match self.claim(1, lease).await.pop() {
                    Some(claimed) => break claimed,
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
        assert!(self.settle(&claimed.lease, Settlement::Done).await, "the lease is held");
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
            for claimed in all {
                self.done(&claimed).await;
            }
        }
    }

    pub(super) async fn counts(&self) -> Counts {
        self.store.counts().await.expect("they are counted")
    }
}
