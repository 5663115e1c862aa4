//! Each lane runs one entry at a time, in order of arrival.

use std::time::Duration;

use crate::queue::{entry::Counts, settlement::Settlement, store::QueueStore};

use super::probe::{LONG, Probe, SHORT};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    one_at_a_time_in_order(probe).await;
    a_duplicate_does_not_block_its_lane(probe).await;
    a_retry_holds_its_lane(probe).await;
    a_retry_steps_aside(probe).await;
    several_step_aside(probe).await;
    a_dead_letter_frees_its_lane(probe).await;
}

async fn one_at_a_time_in_order<St: QueueStore>(probe: &Probe<St>) {
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.push([probe.add(Some("one")).await, probe.add(Some("two")).await]);
        probe.add(None).await;
    }
    assert_eq!(probe.counts().await, Counts { ready: 6, blocked: 6, ..Counts::default() });
    let mut loose = Vec::new();
    for pair in expected {
        let mut claimed = probe.claim(100, LONG).await;
        loose.extend(claimed.extract_if(.., |claimed| claimed.lease.lane.is_none()));
        let stored: Vec<_> = claimed.iter().map(|claimed| claimed.stored.clone()).collect();
        assert_eq!(stored, pair, "the next entry of each lane");
        assert!(probe.is_idle().await, "while they run, their lanes wait");
        for claimed in claimed {
            probe.done(&claimed).await;
        }
    }
    assert_eq!(loose.len(), 4, "entries without a lane wait for no other");
    assert_eq!(probe.counts().await, Counts { running: 4, ..Counts::default() });
    for claimed in loose {
        probe.done(&claimed).await;
    }
}

async fn a_duplicate_does_not_block_its_lane<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(Some("a duplicate"));
    assert!(probe.enqueue(entry.clone()).await);
    probe.done(&probe.next(LONG).await).await;
    let after = probe.entry(Some("a duplicate"));
    let both = [probe.store.enqueue(entry), probe.store.enqueue(after.clone())];
    let [first, second] = both.map(Box::pin);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(
        (first.expect("the store answers"), second.expect("the store answers")),
        (false, true)
    );
    let claimed = probe.next(LONG).await;
    assert_eq!(claimed.stored, after.stored);
    probe.done(&claimed).await;
}

async fn a_retry_holds_its_lane<St: QueueStore>(probe: &Probe<St>) {
    let first = probe.add(Some("holds")).await;
    let second = probe.add(Some("holds")).await;
    probe.retry(&probe.next(LONG).await, SHORT, true).await;
    let again = probe.next(LONG).await;
    assert_eq!(again.stored, first);
    // The second entry still waits, behind the retried one.
    assert!(probe.is_idle().await);
    probe.done(&again).await;
    let claimed = probe.next(LONG).await;
    assert_eq!(claimed.stored, second);
    probe.done(&claimed).await;
}

async fn a_retry_steps_aside<St: QueueStore>(probe: &Probe<St>) {
    let first = probe.add(Some("aside")).await;
    let second = probe.add(Some("aside")).await;
    probe.retry(&probe.next(LONG).await, Duration::ZERO, false).await;
    let other = probe.next(LONG).await;
    assert_eq!(other.stored, second, "it runs first");
    // The retry is due, and the lane still runs one entry at a time.
    assert!(probe.is_idle().await, "one at a time");
    let third = probe.add(Some("aside")).await;
    probe.done(&other).await;
    for expected in [first, third] {
        let claimed = probe.next(LONG).await;
        assert_eq!(claimed.stored, expected, "in order of arrival again");
        probe.done(&claimed).await;
    }
    assert!(probe.is_idle().await);
}

async fn several_step_aside<St: QueueStore>(probe: &Probe<St>) {
    let mut aside = Vec::new();
    for _ in 0..5 {
        probe.add(Some("several")).await;
    }
    for number in 0..5 {
        let claimed = probe.next(LONG).await;
        if number % 2 == 0 {
            probe.retry(&claimed, LONG, false).await;
        } else {
            let (after, reason) = (LONG, "limit".to_owned());
            let put_off = Settlement::PutOff { after, reason, holds_lane: false };
            assert!(probe.settle(&claimed.lease, put_off).await, "the lease is held");
        }
        aside.push(claimed.lease.id);
    }
    assert!(probe.is_idle().await, "none is due");
    assert_eq!(probe.counts().await, Counts { waiting: 5, ..Counts::default() });
    // All of them become due, the latest one first.
    for id in aside.iter().rev() {
        assert!(probe.store.release_entry(*id).await.expect("it is released"));
    }
    for expected in aside {
        let claimed = probe.next(LONG).await;
        assert!(probe.is_idle().await, "one at a time");
        assert_eq!(claimed.lease.id, expected, "in order of arrival");
        probe.done(&claimed).await;
    }
    assert!(probe.is_idle().await);
}

async fn a_dead_letter_frees_its_lane<St: QueueStore>(probe: &Probe<St>) {
    let first = probe.add(Some("dead")).await;
    let mut rest = vec![probe.add(Some("dead")).await, probe.add(Some("dead")).await];
    let claimed = probe.next(LONG).await;
    probe.bury(&claimed, "failed").await;
    let second = probe.next(LONG).await;
    assert_eq!(second.stored, rest.remove(0));
    assert!(probe.store.requeue(claimed.lease.id).await.expect("it is requeued"));
    assert!(probe.is_idle().await, "it waits for its turn");
    probe.done(&second).await;
    for expected in [first, rest.remove(0)] {
        let claimed = probe.next(LONG).await;
        assert_eq!((&claimed.stored, claimed.attempt), (&expected, 1), "in order of arrival");
        probe.done(&claimed).await;
    }
}
