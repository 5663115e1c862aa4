//! Dead letters.

use std::time::{Duration, SystemTime};

use crate::queue::{
    entry::{Counts, EntryId, Retention},
    lease::DeadReport,
    settlement::Settlement,
    store::QueueStore,
};

use super::probe::{LONG, Probe, SHORT};

pub(super) async fn check<St: QueueStore>(probe: &Probe<St>) {
    dead_letters_are_kept(probe).await;
    each_is_reported_once(probe).await;
    dead_letters_are_removed_after_their_retention(probe).await;
}

async fn dead_letters_are_kept<St: QueueStore>(probe: &Probe<St>) {
    let mut entries = Vec::new();
    for number in 0..5 {
        let mut entry = probe.entry(None);
        entry.inbox_id = Some(format!("inbox {}", number % 2));
        entry.stored.inbox_id = entry.inbox_id.as_deref().map(Into::into);
        assert!(probe.enqueue(entry.clone()).await);
        let claimed = probe.next(LONG).await;
        probe.bury(&claimed, &format!("error {number}\0")).await;
        entries.push((claimed.lease.id, entry));
    }
    assert_eq!(probe.counts().await, Counts { dead: 5, ..Counts::default() });
    assert!(probe.is_idle().await, "they are not run");
    assert!(!probe.enqueue(entries[0].1.clone()).await, "their keys are known");

    let list = |after, limit| async move {
        let letters = probe.store.dead_letters(after, limit).await.expect("they are listed");
        letters.iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = entries.iter().map(|(id, _)| *id).collect();
    assert_eq!(list(None, 3).await, ids[..3]);
    assert_eq!(list(Some(ids[2]), 100).await, ids[3..]);
    assert_eq!(list(Some(ids[4]), 100).await, []);

    let (id, entry) = &entries[1];
    let read = probe.store.dead_letter(*id).await.expect("it is read");
    let (letter, stored) = read.expect("it exists");
    assert_eq!(stored, entry.stored);
    assert_eq!((letter.id, letter.attempts), (*id, 1));
    assert_eq!(letter.error, "error 1\u{fffd}");
    assert_eq!((&letter.kind, &letter.event_id), (&entry.kind, &entry.event_id));
    assert_eq!((&letter.inbox_id, &letter.thread_id), (&entry.inbox_id, &entry.thread_id));
    assert!(letter.queued_at <= letter.buried_at);
    let age = SystemTime::now().duration_since(letter.queued_at).unwrap_or_default();
    assert!(age < Duration::from_secs(600), "{age:?}");

    let unknown = EntryId(i64::MAX);
    assert!(probe.store.dead_letter(unknown).await.expect("the store answers").is_none());
    assert!(!probe.store.requeue(unknown).await.expect("the store answers"));
    assert!(!probe.store.drop_dead_letter(unknown).await.expect("the store answers"));

    assert!(probe.store.requeue(ids[1]).await.expect("it is requeued"));
    assert!(
        !probe.store.requeue(ids[1]).await.expect("the store answers"),
        "it is no longer a dead letter"
    );
    assert!(
        !probe.store.drop_dead_letter(ids[1]).await.expect("the store answers"),
        "so it cannot be dropped"
    );
    let again = probe.next(LONG).await;
    assert_eq!((again.lease.id, again.attempt), (ids[1], 1));
    probe.done(&again).await;

    assert_eq!(probe.store.requeue_inbox("inbox 0").await.expect("they are requeued"), 3);
    assert_eq!(probe.store.requeue_inbox("inbox 0").await.expect("the store answers"), 0);
    assert_eq!(probe.claim(100, Duration::ZERO).await.len(), 3);
    assert_eq!(list(None, 100).await, [ids[3]]);
    probe.finish().await;

    assert!(probe.store.drop_dead_letter(ids[3]).await.expect("it is dropped"));
    assert_eq!(list(None, 100).await, []);
    assert!(probe.enqueue(entries[3].1.clone()).await, "its key is forgotten");
    probe.finish().await;
}

async fn each_is_reported_once<St: QueueStore>(probe: &Probe<St>) {
    let reports = async |lease| -> Vec<DeadReport> {
        probe.store.unreported_dead_letters(10, lease).await.expect("they are listed")
    };
    let reported = async |report: &DeadReport| {
        probe.store.reported(&report.lease).await.expect("it is recorded")
    };
    for report in reports(LONG).await {
        reported(&report).await;
    }
    probe.add(None).await;
    let claimed = probe.next(LONG).await;
    probe.bury(&claimed, "failed").await;
    let first = reports(SHORT).await;
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].letter.id, &*first[0].letter.error), (claimed.lease.id, "failed"));
    let again = reports(LONG).await;
    assert_eq!(again.len(), 1, "it was not reported");
    assert!(reports(LONG).await.is_empty(), "it is leased to one reporter at a time");
    assert!(reported(&again[0]).await);
    assert!(reports(LONG).await.is_empty());
    // It becomes a dead letter again.
    assert!(probe.store.requeue(claimed.lease.id).await.expect("it is requeued"));
    assert!(!reported(&again[0]).await, "it is no longer a dead letter");
    let claimed = probe.next(LONG).await;
    assert!(probe.settle(&claimed.lease, Settlement::Bury { error: "again".into() }).await);
    assert!(!reported(&again[0]).await, "this lease belongs to the earlier dead letter");
    let later = reports(LONG).await;
    assert_eq!((later.len(), &*later[0].letter.error), (1, "again"));
    assert!(reported(&later[0]).await);
    assert!(probe.store.drop_dead_letter(claimed.lease.id).await.expect("it is dropped"));
}

async fn dead_letters_are_removed_after_their_retention<St: QueueStore>(probe: &Probe<St>) {
    let entry = probe.entry(None);
    assert!(probe.enqueue(entry.clone()).await);
    let claimed = probe.next(LONG).await;
    probe.bury(&claimed, "failed").await;
    let prune = async |dead| {
        let retention = Retention::new(LONG, dead);
        probe.store.prune(retention, 10).await.expect("the store prunes")
    };
    assert_eq!(prune(LONG).await, 0, "it is not that old");
    assert_eq!(prune(Duration::ZERO).await, 1);
    assert!(probe.store.dead_letter(claimed.lease.id).await.expect("the store answers").is_none());
    assert!(probe.enqueue(entry).await, "its key is forgotten");
    probe.finish().await;
}
