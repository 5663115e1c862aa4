//! The leases of a single event, and how they end.

use std::time::Duration;

use tokio::time::timeout;

use crate::queue::{
    entry::{Counts, Retention},
    lease::WorkerId,
    request::ClaimRequest,
    settlement::Settlement,
    store::{Changes, QueueStore},
};

use super::probe::{LONG, Probe, SHORT};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    a_key_is_accepted_once(probe).await;
    bodies_are_returned_unchanged(probe).await;
    a_claimed_entry_is_not_claimed_again(probe).await;
    an_expired_lease_changes_nothing_once_reclaimed(probe).await;
    a_renewed_lease_does_not_expire(probe).await;
    run_lost_with_its_worker(probe).await;
    entries_that_the_worker_holds_are_not_claimed_again(probe).await;
    giving_back_uses_no_attempt(probe).await;
    claim_whose_answer_was_lost(probe).await;
    done_entries_are_pruned(probe).await;
    changes_are_notified(probe).await;
}

/// Runs the checks that leave behind entries which are not due for an hour or longer.
pub(super) async fn check_last<St: QueueStore>(probe: &Probe<St>) {
    retries_wait(probe).await;
    the_longest_durations_do_not_overflow(probe).await;
}

async fn a_key_is_accepted_once<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(None);
    assert!(probe.enqueue(entry.clone()).await);
    assert!(!probe.enqueue(entry.clone()).await, "its key is in the store");
    let claimed = probe.next(LONG).await;
    assert!(!probe.enqueue(entry.clone()).await, "its key is in the store while it runs");
    probe.done(&claimed).await;
    assert!(!probe.enqueue(entry.clone()).await, "its key is in the store when it is done");
    let mut keyless = entry;
    keyless.key = None;
    for _ in 0..2 {
        assert!(probe.enqueue(keyless.clone()).await, "without a key it is always new");
    }
    let both = probe.claim(10, LONG).await;
    assert_eq!(both.len(), 2);
    probe.done(&both[0]).await;
    probe.done(&both[1]).await;
}

async fn bodies_are_returned_unchanged<St: QueueStore>(probe: &Probe<St>) {
    for body in [vec![], vec![0, 255, b'\'', b'\\'], vec![b'x'; 3 << 20]] {
        let mut entry = probe.entry(Some("la'ne \u{1f48c}"));
        entry.stored.raw_body = body.into();
        assert!(probe.enqueue(entry.clone()).await);
        let claimed = probe.next(LONG).await;
        assert_eq!(claimed.stored, entry.stored);
        assert_eq!(claimed.lease.lane, entry.lane);
        assert_eq!(claimed.attempt, 1);
        probe.done(&claimed).await;
    }
}

async fn a_claimed_entry_is_not_claimed_again<St: QueueStore>(probe: &Probe<St>) {
    let first = probe.add(None).await;
    let second = probe.add(None).await;
    assert_eq!(probe.counts().await, Counts { ready: 2, ..Counts::default() });
    let claimed = probe.claim(1, LONG).await;
    assert_eq!(claimed[0].stored, first, "in order of arrival");
    assert_eq!(probe.counts().await, Counts { ready: 1, running: 1, ..Counts::default() });
    let next = probe.claim(10, LONG).await;
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].stored, second);
    assert!(probe.is_idle().await);
    probe.done(&claimed[0]).await;
    assert!(
        !probe.settle(&claimed[0].lease, Settlement::done()).await,
        "a lease can be settled only once"
    );
    probe.done(&next[0]).await;
    assert!(probe.is_idle().await);
    assert_eq!(probe.counts().await, Counts::default());
}

async fn an_expired_lease_changes_nothing_once_reclaimed<St: QueueStore>(probe: &Probe<St>) {
    probe.add(Some("a lease")).await;
    probe.add(Some("a lease")).await;
    let former = probe.next(SHORT).await;
    let holder = probe.next(LONG).await;
    assert_eq!(holder.lease.id, former.lease.id, "the lane waits for it");
    assert!(holder.lease.token > former.lease.token);
    assert_eq!((former.attempt, former.suspect), (1, false));
    assert_eq!((holder.attempt, holder.suspect), (1, false), "no attempt is used");
    for settlement in [
        Settlement::done(),
        Settlement::Bury { error: "x".into() },
        Settlement::Release { after: Duration::ZERO, reason: "x".into() },
        Settlement::PutOff { after: Duration::ZERO, reason: "x".into(), holds_lane: true },
        Settlement::GiveBack,
        Settlement::Hold { reason: "x".into(), at_most: LONG },
        Settlement::Retry { after: Duration::ZERO, error: "x".into(), holds_lane: false },
    ] {
        assert!(!probe.settle(&former.lease, settlement).await, "a stale token changes nothing");
    }
    let leases = [former.lease.clone(), holder.lease.clone()];
    let lost = probe.store.renew(&leases, LONG).await.expect("they are renewed");
    assert_eq!(lost, [former.lease.id], "only the stale one");
    assert!(probe.is_idle().await, "nothing has changed");
    probe.done(&holder).await;
    probe.done(&probe.next(LONG).await).await;
    // An expired lease can still be settled if no other worker has claimed the entry.
    probe.add(None).await;
    let late = probe.next(SHORT).await;
    probe.done(&late).await;
    assert!(probe.is_idle().await);
}

/// An entry's run is lost twice while it may run with others, and then while it runs alone.
async fn run_lost_with_its_worker<St: QueueStore>(probe: &Probe<St>) {
    probe.add(Some("lost")).await;
    for _ in 0..2 {
        let claimed = probe.next(SHORT).await;
        assert_eq!((claimed.attempt, claimed.suspect), (1, false), "it may run with others");
    }
    let claims = probe.claims(probe.request(10, LONG)).await;
    assert!(claims.entries.is_empty(), "it must run alone");
    assert!(claims.suspects);
    let suspect = async |lease| {
        let claims = probe.claims(probe.suspects(lease)).await;
        let [suspect] = <[_; 1]>::try_from(claims.entries).expect("it is the only one");
        suspect
    };
    let alone = suspect(SHORT).await;
    assert_eq!((alone.attempt, alone.suspect, alone.was_lost), (1, true, false));
    for attempt in 1..4 {
        let lost = suspect(SHORT).await;
        assert_eq!((lost.attempt, lost.suspect, lost.was_lost), (attempt, true, true));
        let lost = suspect(LONG).await;
        assert_eq!((lost.attempt, lost.was_lost), (attempt, true), "however often it is claimed");
        probe.retry(&lost, SHORT, true).await;
        let again = suspect(SHORT).await;
        assert_eq!((again.attempt, again.suspect, again.was_lost), (attempt + 1, true, false));
    }
    probe.retry(&suspect(LONG).await, SHORT, true).await;
    // Once a run has finished, the entry is an ordinary one again.
    probe.retry(&suspect(LONG).await, SHORT, true).await;
    let claimed = probe.next(LONG).await;
    assert_eq!((claimed.attempt, claimed.suspect), (6, false));
    probe.done(&claimed).await;
}

async fn entries_that_the_worker_holds_are_not_claimed_again<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let mine = probe.next(SHORT).await;
    let other = probe.add(None).await;
    let mut request = probe.request(10, LONG);
    request.held = vec![mine.lease.id];
    let claims = probe.claims(request).await;
    let [claimed] = <[_; 1]>::try_from(claims.entries).expect("only the other entry is claimed");
    assert_eq!(claimed.stored, other);
    probe.done(&claimed).await;
    probe.done(&mine).await;
}

async fn a_renewed_lease_does_not_expire<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let claimed = probe.next(SHORT).await;
    let lease = &claimed.lease;
    let renew = |time| probe.store.renew(std::slice::from_ref(lease), time);
    assert!(renew(LONG).await.expect("it is renewed").is_empty());
    assert!(probe.is_idle().await, "it holds");
    probe.done(&claimed).await;
    assert_eq!(renew(LONG).await.expect("the store answers"), [lease.id], "it has ended");
    assert!(probe.is_idle().await);
}

async fn retries_wait<St: QueueStore>(probe: &Probe<St>) {
    let stored = probe.add(None).await;
    for attempt in 1..4 {
        let claimed = probe.next(LONG).await;
        assert_eq!((claimed.attempt, &claimed.stored), (attempt, &stored));
        probe.retry(&claimed, SHORT, attempt == 1).await;
    }
    let claimed = probe.next(LONG).await;
    probe.retry(&claimed, LONG, true).await;
    let claims = probe.claims(probe.request(10, LONG)).await;
    assert!(claims.entries.is_empty(), "it is not due");
    let due = claims.next_due.expect("the store knows when");
    assert!(due <= LONG && due > LONG / 2, "{due:?}");
    assert_eq!(probe.counts().await, Counts { waiting: 1, ..Counts::default() });
}

/// Leases and delays of any length do not overflow.
async fn the_longest_durations_do_not_overflow<St: QueueStore>(probe: &Probe<St>) {
    probe.add(None).await;
    let claimed = probe.next(Duration::MAX).await;
    let lease = std::slice::from_ref(&claimed.lease);
    let forever = Retention::new(Duration::MAX, Duration::MAX);
    assert!(probe.store.renew(lease, Duration::MAX).await.expect("the store answers").is_empty());
    assert_eq!(probe.store.prune(forever, usize::MAX).await.expect("the store prunes"), 0);
    probe.retry(&claimed, Duration::MAX, true).await;
    assert!(probe.is_idle().await);
}

async fn giving_back_uses_no_attempt<St: QueueStore>(probe: &Probe<St>) {
    probe.add(Some("given back")).await;
    probe.add(Some("given back")).await;
    let first = probe.next(LONG).await;
    let release = Settlement::GiveBack;
    assert!(probe.settle(&first.lease, release.clone()).await);
    assert!(!probe.settle(&first.lease, release).await, "a lease can be settled only once");
    let again = probe.next(LONG).await;
    assert_eq!((again.lease.id, again.attempt), (first.lease.id, 1));
    probe.done(&again).await;
    probe.done(&probe.next(LONG).await).await;
}

/// The store has leased entries to a worker that did not get the answer.
async fn claim_whose_answer_was_lost<St: QueueStore>(probe: &Probe<St>) {
    for lane in [None, Some("lost answer")] {
        probe.add(lane).await;
        let held = probe.next(LONG).await;
        probe.add(None).await;
        probe.add(lane).await;
        let lost = probe.claim(10, LONG).await;
        assert_eq!(lost.len(), if lane.is_none() { 2 } else { 1 }, "the lane is held");
        let mut other = ClaimRequest::new(WorkerId(2), 10, LONG);
        other.after_failure = true;
        assert!(probe.claims(other).await.entries.is_empty(), "they are another worker's");
        let mut request = probe.request(10, LONG);
        request.held = vec![held.lease.id];
        assert!(probe.claims(request.clone()).await.entries.is_empty(), "they are leased");
        request.after_failure = true;
        let again = probe.claims(request).await.entries;
        assert_eq!(again.len(), lost.len(), "all but the one that the worker holds");
        for (lost, again) in lost.iter().zip(&again) {
            assert_eq!(again.stored, lost.stored);
            assert_eq!((again.attempt, again.suspect), (1, false), "it was not run");
            assert!(
                !probe.settle(&lost.lease, Settlement::done()).await,
                "a stale token changes nothing"
            );
        }
        probe.all_done(again).await;
        probe.done(&held).await;
        probe.finish().await;
    }
}

async fn done_entries_are_pruned<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(None);
    assert!(probe.enqueue(entry.clone()).await);
    probe.done(&probe.next(LONG).await).await;
    let prune = |age, limit| async move {
        probe.store.prune(Retention::new(age, LONG), limit).await.expect("the store prunes")
    };
    assert_eq!(prune(LONG, 1000).await, 0, "nothing is that old");
    assert!(!probe.enqueue(entry.clone()).await, "its key is known");
    assert_eq!(prune(Duration::ZERO, 1).await, 1, "not more than the limit");
    while prune(Duration::ZERO, 1000).await > 0 {}
    assert!(probe.enqueue(entry).await, "its key is forgotten");
    probe.done(&probe.next(LONG).await).await;
}

async fn changes_are_notified<St: QueueStore>(probe: &Probe<St>) {
    let mut changes = probe.store.changes();
    // A store may notice changes late, so the change is repeated.
    let notified = async {
        loop {
            probe.add(None).await;
            let notified = timeout(Duration::from_millis(200), changes.next());
            if notified.await.is_ok() {
                break;
            }
        }
    };
    timeout(Duration::from_secs(30), notified).await.expect("it notifies");
    probe.finish().await;
}
