//! Replies, and entries on hold.

use std::time::Duration;

use crate::queue::{
    entry::{Counts, NewReply, Role},
    lease::Claimed,
    settlement::Settlement,
    store::QueueStore,
};

use super::probe::{LONG, Probe, SHORT};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    replies_run_before_the_waiting_entries_of_their_lane(probe).await;
    an_earlier_reply_goes_first(probe).await;
    replies_without_a_lane_keep_their_order(probe).await;
    a_lost_lease_writes_no_reply(probe).await;
    a_reply_is_written_once(probe).await;
    a_worker_may_leave_replies_to_others(probe).await;
    held_entry_holds_its_lane(probe).await;
    release_reaches_an_entry_in_progress(probe).await;
    a_hold_ends_after_its_maximum_time(probe).await;
    releases_are_counted(probe).await;
    put_off_for_counts_from_the_first_put_off(probe).await;
}

fn answer(replies: &[&str]) -> Settlement {
    let reply = |key: &&str| NewReply::new(*key, "reply", key.as_bytes().to_vec());
    Settlement::Done { replies: replies.iter().map(reply).collect() }
}

fn key(claimed: &Claimed) -> Option<&str> {
    claimed.key.as_deref()
}

async fn replies_run_before_the_waiting_entries_of_their_lane<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(Some("answered"));
    assert!(probe.enqueue(entry.clone()).await);
    let waiting = [probe.add(Some("answered")).await, probe.add(Some("answered")).await];
    let event = probe.next(LONG).await;
    assert!(probe.settle(&event.lease, answer(&["first", "second"])).await);
    for expected in ["first", "second"] {
        let reply = probe.next(LONG).await;
        assert_eq!((reply.role, key(&reply)), (Role::Reply, Some(expected)), "in their order");
        assert_eq!(&reply.stored.raw_body[..], expected.as_bytes());
        assert_eq!(reply.stored.timestamp, entry.stored.timestamp);
        assert_eq!((&*reply.kind, reply.attempt), ("reply", 1));
        assert_eq!((&reply.event_id, &reply.inbox_id), (&entry.event_id, &entry.inbox_id));
        assert_eq!((&reply.thread_id, &reply.lease.lane), (&entry.thread_id, &entry.lane));
        assert_eq!(reply.trace_context, entry.trace_context);
        assert!(probe.is_idle().await, "the lane waits");
        probe.retry(&reply, SHORT, true).await;
        let again = probe.next(LONG).await;
        assert_eq!((key(&again), again.attempt), (Some(expected), 2));
        probe.done(&again).await;
    }
    for expected in waiting {
        let claimed = probe.next(LONG).await;
        assert_eq!((claimed.role, claimed.stored.clone()), (Role::Event, expected));
        probe.done(&claimed).await;
    }
}

async fn an_earlier_reply_goes_first<St: QueueStore>(probe: &Probe<St>) {
    for _ in 0..2 {
        probe.add(Some("replies")).await;
    }
    let event = probe.next(LONG).await;
    assert!(probe.settle(&event.lease, answer(&["earlier"])).await);
    probe.retry(&probe.next(LONG).await, Duration::ZERO, false).await;
    let event = probe.next(LONG).await;
    assert_eq!(event.role, Role::Event, "the reply stepped aside");
    assert!(probe.is_idle().await, "the reply is back in its lane");
    assert!(probe.settle(&event.lease, answer(&["later"])).await);
    for expected in ["earlier", "later"] {
        let reply = probe.next(LONG).await;
        assert_eq!(key(&reply), Some(expected));
        probe.done(&reply).await;
    }
}

async fn replies_without_a_lane_keep_their_order<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let event = probe.next(LONG).await;
    assert!(probe.settle(&event.lease, answer(&["one", "two"])).await);
    for expected in ["one", "two"] {
        let reply = probe.next(LONG).await;
        assert_eq!(key(&reply), Some(expected));
        assert!(probe.is_idle().await, "one at a time");
        probe.done(&reply).await;
    }
}

async fn a_lost_lease_writes_no_reply<St: QueueStore>(probe: &Probe<St>) {
    probe.add(Some("zombie")).await;
    let zombie = probe.next(SHORT).await;
    let holder = probe.next(LONG).await;
    assert!(!probe.settle(&zombie.lease, answer(&["from a zombie"])).await);
    assert!(probe.is_idle().await, "it wrote nothing");
    probe.done(&holder).await;
    assert!(probe.is_idle().await);
}

async fn a_reply_is_written_once<St: QueueStore>(probe: &Probe<St>) {
    for _ in 0..2 {
        probe.add(None).await;
    }
    for event in probe.claim(2, LONG).await {
        assert!(probe.settle(&event.lease, answer(&["the same", "the same"])).await);
    }
    let reply = probe.next(LONG).await;
    assert_eq!(key(&reply), Some("the same"));
    probe.done(&reply).await;
    assert!(probe.is_idle().await, "its key is stored once");
}

async fn a_worker_may_leave_replies_to_others<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let event = probe.next(LONG).await;
    assert!(probe.settle(&event.lease, answer(&["for another"])).await);
    let mut request = probe.request(10, LONG);
    request.replies = false;
    assert!(probe.claims(request).await.entries.is_empty());
    let reply = probe.next(LONG).await;
    probe.bury(&reply, "refused").await;
    let letter = probe.store.dead_letter(reply.lease.id).await.expect("it is read");
    assert_eq!(letter.expect("it exists").0.role, Role::Reply);
    assert!(probe.store.drop_dead_letter(reply.lease.id).await.expect("it is dropped"));
}

async fn held_entry_holds_its_lane<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(Some("held"));
    assert!(probe.enqueue(entry.clone()).await);
    probe.add(Some("held")).await;
    let hold = || Settlement::Hold { reason: "suspended".into(), at_most: LONG };
    let first = probe.next(LONG).await;
    assert!(probe.settle(&first.lease, hold()).await);
    assert!(probe.is_idle().await, "its lane waits");
    assert_eq!(probe.counts().await, Counts { held: 1, blocked: 1, ..Counts::default() });
    let release =
        |inbox| async move { probe.store.release_held(inbox).await.expect("the store answers") };
    assert_eq!(release(Some("another inbox")).await, 0);
    assert_eq!(release(entry.inbox_id.as_deref()).await, 1);
    let again = probe.next(LONG).await;
    assert_eq!((again.lease.id, again.attempt), (first.lease.id, 1), "no attempt is used");
    assert!(!again.was_held, "it was released");
    assert!(probe.settle(&again.lease, hold()).await);
    assert_eq!(release(None).await, 1, "of any inbox");
    let again = probe.next(LONG).await;
    assert!(probe.settle(&again.lease, hold()).await);
    assert!(probe.store.release_entry(first.lease.id).await.expect("it is released"));
    let again = probe.next(LONG).await;
    assert!(
        !probe.store.release_entry(first.lease.id).await.expect("the store answers"),
        "it runs"
    );
    probe.done(&again).await;
    probe.done(&probe.next(LONG).await).await;
}

/// OpenMail may have refused the entry just before the release, so holding it would be wrong.
async fn release_reaches_an_entry_in_progress<St: QueueStore>(probe: &Probe<St>) {
    let hold = || Settlement::Hold { reason: "suspended".into(), at_most: LONG };
    let entry = probe.entry(None);
    assert!(probe.enqueue(entry.clone()).await);
    let refused = probe.next(LONG).await;
    let release =
        |inbox| async move { probe.store.release_held(inbox).await.expect("the store answers") };
    assert_eq!(release(entry.inbox_id.as_deref()).await, 0, "it is not held yet");
    assert!(probe.settle(&refused.lease, hold()).await);
    let again = probe.next(LONG).await;
    assert_eq!((again.lease.id, again.was_held), (refused.lease.id, false));
    assert!(probe.settle(&again.lease, hold()).await);
    assert!(probe.is_idle().await, "it is held: the release was before this run");
    assert_eq!(release(None).await, 1);
    let lost = probe.next(SHORT).await;
    assert_eq!(release(None).await, 0);
    let given_back = probe.next(LONG).await;
    assert_eq!((given_back.lease.id, given_back.was_held), (lost.lease.id, false));
    assert_eq!(release(None).await, 0);
    assert!(probe.settle(&given_back.lease, Settlement::GiveBack).await);
    let last = probe.next(LONG).await;
    assert!(!last.was_held);
    probe.done(&last).await;
}

async fn a_hold_ends_after_its_maximum_time<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let claimed = probe.next(LONG).await;
    let hold = Settlement::Hold { reason: "suspended".into(), at_most: SHORT };
    assert!(probe.settle(&claimed.lease, hold).await);
    let claimed = probe.next(LONG).await;
    assert!(claimed.was_held);
    probe.bury(&claimed, "held for too long").await;
    assert!(probe.store.drop_dead_letter(claimed.lease.id).await.expect("it is dropped"));
}

async fn releases_are_counted<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    for releases in 0..3 {
        let claimed = probe.next(LONG).await;
        assert_eq!((claimed.attempt, claimed.releases), (1, releases), "no attempt is used");
        assert!(claimed.released_for <= claimed.age + Duration::from_secs(1));
        let release = Settlement::Release { after: SHORT, reason: "away".into() };
        assert!(probe.settle(&claimed.lease, release).await);
    }
    let claimed = probe.next(LONG).await;
    assert!(probe.settle(&claimed.lease, Settlement::GiveBack).await);
    let claimed = probe.next(LONG).await;
    assert_eq!(claimed.releases, 3, "giving back does not count as a release");
    probe.retry(&claimed, SHORT, true).await;
    let claimed = probe.next(LONG).await;
    assert_eq!((claimed.attempt, claimed.releases), (2, 0), "it has run");
    assert_eq!(claimed.released_for, Duration::ZERO);
    let release = Settlement::Release { after: LONG, reason: "away".into() };
    assert!(probe.settle(&claimed.lease, release).await);
    assert_eq!(probe.counts().await, Counts { waiting: 1, ..Counts::default() });
    assert!(probe.store.release_entry(claimed.lease.id).await.expect("it is released"));
    let claimed = probe.next(LONG).await;
    probe.bury(&claimed, "").await;
    let letter = probe.store.dead_letter(claimed.lease.id).await.expect("it is read");
    assert_eq!(letter.expect("it exists").0.attempts, 2);
    assert!(probe.store.drop_dead_letter(claimed.lease.id).await.expect("it is dropped"));
}

async fn put_off_for_counts_from_the_first_put_off<St: QueueStore>(probe: &Probe<St>) {
    const DELAY: Duration = Duration::from_millis(20);
    let put_off = || Settlement::PutOff { after: DELAY, reason: "limit".into(), holds_lane: true };
    let release = || Settlement::Release { after: DELAY, reason: "away".into() };
    probe.add(None).await;
    let claimed = probe.next(LONG).await;
    assert!(probe.settle(&claimed.lease, release()).await);
    let claimed = probe.next(LONG).await;
    assert_eq!(claimed.put_off_for, Duration::ZERO, "it was released");
    assert!(claimed.released_for >= DELAY);
    assert!(probe.settle(&claimed.lease, put_off()).await);
    let claimed = probe.next(LONG).await;
    assert_eq!((claimed.attempt, claimed.releases), (1, 2), "no attempt is used");
    assert_eq!(claimed.released_for, Duration::ZERO, "putting off ends the series of releases");
    assert!(claimed.put_off_for >= DELAY);
    assert!(probe.settle(&claimed.lease, release()).await);
    let claimed = probe.next(LONG).await;
    probe.retry(&claimed, SHORT, true).await;
    let claimed = probe.next(LONG).await;
    let hold = Settlement::Hold { reason: "suspended".into(), at_most: LONG };
    assert!(probe.settle(&claimed.lease, hold).await);
    assert!(probe.store.release_entry(claimed.lease.id).await.expect("it is released"));
    let claimed = probe.next(LONG).await;
    assert!(claimed.put_off_for >= 2 * DELAY, "since the first time");
    probe.bury(&claimed, "put off for too long").await;
    assert!(probe.store.requeue(claimed.lease.id).await.expect("it is requeued"));
    let claimed = probe.next(LONG).await;
    assert_eq!(claimed.put_off_for, Duration::ZERO, "it starts again from zero");
    probe.done(&claimed).await;
}
