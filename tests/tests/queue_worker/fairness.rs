//! One inbox, or one large mail, cannot starve others.

use super::*;

fn of(inbox: &str, id: &str, text: &str) -> VerifiedEvent {
    event(format!(
        r#"{{"event":"message.received","event_id":"{id}","inbox_id":"{inbox}",
            "message":{{"id":"m","from":"a@example.com","body_text":"{text}"}}}}"#
    ))
}

/// Adds a permit for each event that runs, except those of `flooded`, whose runs never end.
fn hanging(begun: &Arc<Semaphore>) -> impl Events {
    let begun = Arc::clone(begun);
    service_fn(move |event: VerifiedEvent| {
        let begun = Arc::clone(&begun);
        async move {
            if event.inbox_id().is_some_and(|inbox| inbox.as_str() == "flooded") {
                std::future::pending::<()>().await;
            }
            begun.add_permits(1);
            Ok(Outcome::Done)
        }
    })
}

async fn flood(queue: &Queue, mails: usize) {
    let mut added = tokio::task::JoinSet::new();
    for number in 0..mails {
        let queue = queue.clone();
        added.spawn(async move { add(&queue, of("flooded", &format!("f{number}"), "")).await });
    }
    added.join_all().await;
}

/// Waits until this many events run.
async fn running(queue: &Queue, expected: u64) {
    let reached = async {
        while states(queue.store()).await.running != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), reached).await.expect("this many run");
}

#[tokio::test]
async fn flooded_inbox_leaves_slots_to_others() {
    let (queue, _folder) = queue().await;
    flood(&queue, 500).await;
    for limit in [None, Some(3)] {
        let begun = Arc::new(Semaphore::new(0));
        let worker = queue.worker(hanging(&begun)).grace(Duration::ZERO);
        let worker = Running::start(match limit {
            Some(limit) => worker.per_inbox(usize::try_from(limit).unwrap()),
            None => worker,
        });
        let taken = limit.unwrap_or(12);
        running(&queue, taken).await;
        for number in 0..20 {
            add(&queue, of(&format!("inb_{number}"), &format!("{limit:?} {number}"), "")).await;
        }
        let others = timeout(Duration::from_secs(30), begun.acquire_many(20)).await;
        others.expect("they do not wait for the flooded inbox").unwrap().forget();
        // A finished event is settled a moment later.
        running(&queue, taken).await;
        assert_eq!(worker.stop().await, usize::try_from(taken).unwrap());
    }
}

#[tokio::test]
async fn flooded_inbox_leaves_memory_to_others() {
    let (queue, _folder) = queue().await;
    for number in 0..30 {
        add(&queue, of("flooded", &format!("heavy{number}"), &"x".repeat(100_000))).await;
    }
    let begun = Arc::new(Semaphore::new(0));
    // One inbox may use half of this: five mails of 100 kB, with what is parsed from them.
    let worker = queue.worker(hanging(&begun)).concurrency(50).memory(2_100_000);
    let worker = Running::start(worker.grace(Duration::ZERO));
    running(&queue, 5).await;
    for number in 0..20 {
        add(&queue, of(&format!("inb_{number}"), &format!("e{number}"), &"x".repeat(100_000)))
            .await;
    }
    let others = timeout(Duration::from_secs(30), begun.acquire_many(20)).await;
    others.expect("they fit").unwrap().forget();
    running(&queue, 5).await;
    assert_eq!(worker.stop().await, 5);
}

#[tokio::test]
async fn event_larger_than_the_memory_limit_runs_alone() {
    let (queue, _folder) = queue().await;
    for number in 0..3 {
        add(&queue, of(&format!("inb_{number}"), "e", &"x".repeat(100_000))).await;
    }
    let (events, most) = counting();
    let worker = Running::start(queue.worker(events).memory(1000));
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
