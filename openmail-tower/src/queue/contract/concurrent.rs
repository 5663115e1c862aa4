//! Many callers at the same time.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::queue::{
    entry::EntryId, lease::WorkerId, request::ClaimRequest, settlement::Settlement,
    store::QueueStore,
};

use super::probe::{LONG, Probe};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    only_one_of_many_equal_keys_is_new(probe).await;
    dropped_enqueue_adds_the_whole_entry_or_nothing(probe).await;
    lanes_keep_their_order_among_workers(probe).await;
}

async fn only_one_of_many_equal_keys_is_new<St: QueueStore>(probe: &Probe<St>) {
    let mut asked = JoinSet::new();
    for _ in 0..8 {
        let entry = probe.entry(Some("many"));
        for _ in 0..8 {
            let (store, entry) = (probe.store.clone(), entry.clone());
            asked.spawn(async move { store.enqueue(entry).await.expect("it is enqueued") });
        }
    }
    let new = asked.join_all().await.into_iter().filter(|new| *new).count();
    assert_eq!(new, 8, "one for each key");
    probe.finish().await;
}

/// An event whose caller stops waiting is either enqueued completely or not at all.
async fn dropped_enqueue_adds_the_whole_entry_or_nothing<St: QueueStore>(probe: &Probe<St>) {
    let mut all = HashSet::new();
    for delay in 0..20 {
        let entry = probe.entry(Some("dropped"));
        all.insert(entry.stored.raw_body.clone());
        let (store, entry) = (probe.store.clone(), entry);
        let asked = tokio::spawn(async move { store.enqueue(entry).await });
        // Each one is dropped a little later than the one before.
        tokio::time::sleep(Duration::from_micros(100 * delay)).await;
        asked.abort();
    }
    let last = probe.add(Some("dropped")).await;
    all.insert(last.raw_body.clone());
    loop {
        let claimed = probe.next(LONG).await;
        assert!(all.remove(&claimed.stored.raw_body), "it was enqueued, and runs once");
        probe.done(&claimed).await;
        if claimed.stored == last {
            break;
        }
    }
    probe.finish().await;
}

async fn lanes_keep_their_order_among_workers<St: QueueStore>(probe: &Probe<St>) {
    const EVENTS: usize = 200;
    let mut asked = JoinSet::new();
    for number in 0..EVENTS {
        let entry = probe.entry(Some(&format!("of all {}", number % 5)));
        let store = probe.store.clone();
        asked.spawn(async move { store.enqueue(entry).await });
    }
    let running = Arc::new(Mutex::new(HashMap::<String, EntryId>::new()));
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for worker in 0..6 {
        let (store, running, done) = (probe.store.clone(), Arc::clone(&running), Arc::clone(&done));
        workers.spawn(async move {
            while done.lock().expect("no panic").len() < EVENTS {
                let request = ClaimRequest::new(WorkerId(worker), 3, LONG);
                let claims = store.claim(request).await.expect("it is claimed");
                if claims.entries.is_empty() {
                    // The other workers hold what is due. Their settlements make the next ones
                    // ready.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                for (number, claimed) in (0..).zip(claims.entries) {
                    let lane = claimed.lease.lane.clone().expect("it has one");
                    let other =
                        running.lock().expect("no panic").insert(lane.clone(), claimed.lease.id);
                    assert_eq!(other, None, "one at a time");
                    tokio::task::yield_now().await;
                    running.lock().expect("no panic").remove(&lane);
                    let settlement = if (worker + number) % 4 == 0 && claimed.attempt == 1 {
                        Settlement::GiveBack
                    } else {
                        done.lock().expect("no panic").push((lane, claimed.lease.id));
                        Settlement::done()
                    };
                    let settled = store.settle(&claimed.lease, settlement).await;
                    assert!(settled.expect("it is settled"), "the lease is held");
                }
            }
        });
    }
    let all = async {
        while let Some(worker) = workers.join_next().await {
            worker.expect("the worker does not panic");
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("every event is done");
    assert!(asked.join_all().await.into_iter().all(|new| new.expect("it is enqueued")));
    let mut last = HashMap::new();
    for (lane, id) in done.lock().expect("no panic").drain(..) {
        assert!(last.insert(lane, id) < Some(id), "in order of arrival");
    }
    probe.finish().await;
}
