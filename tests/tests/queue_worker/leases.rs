//! Leases of running events, and how a worker stops.

use std::future::pending;

use super::*;

/// A service whose runs add a permit to `begun`, and wait for one of `gate`.
fn gated(begun: &Arc<Semaphore>, gate: &Arc<Semaphore>) -> impl Events {
    let (begun, gate) = (Arc::clone(begun), Arc::clone(gate));
    service_fn(move |_: VerifiedEvent| {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        async move {
            begun.add_permits(1);
            gate.acquire().await.unwrap().forget();
            Ok(Outcome::Done)
        }
    })
}

fn gates() -> [Arc<Semaphore>; 2] {
    [Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))]
}

#[tokio::test]
async fn stops_once_runs_have_ended_and_gives_back_the_rest() {
    let (queue, _folder) = queue().await;
    for number in 0..8 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let [begun, gate] = gates();
    // The worker claims four, and the service has room for two.
    let events = ServiceBuilder::new().concurrency_limit(2).service(gated(&begun, &gate));
    let worker = Running::start(queue.worker(events).concurrency(4).per_inbox(4));
    begun.acquire_many(2).await.unwrap().forget();
    counts(&queue, States { ready: 4, running: 4, ..States::default() }).await;
    let Running { stop, task } = worker;
    drop(stop);
    counts(&queue, States { ready: 6, running: 2, ..States::default() }).await;
    assert!(!task.is_finished(), "it waits for the two runs");
    gate.add_permits(2);
    assert_eq!(timeout(Duration::from_secs(30), task).await.unwrap().unwrap(), 0);
    assert_eq!(begun.available_permits(), 0, "no other run began");
    counts(&queue, States { ready: 6, ..States::default() }).await;
}

#[tokio::test]
async fn run_past_the_grace_is_cancelled_and_repeated() {
    let (queue, _folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let [begun, gate] = gates();
    let worker = queue.worker(gated(&begun, &gate)).grace(Duration::from_millis(10));
    let worker = Running::start(worker.backoff(at_once(1)));
    begun.acquire().await.unwrap().forget();
    assert_eq!(worker.stop().await, 1);
    counts(&queue, States { ready: 1, ..States::default() }).await;
    let seen = Seen::default();
    let worker = queue.worker(seeing(&seen, |_| Ok(Outcome::Done))).backoff(at_once(1));
    let worker = Running::start(worker);
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!(seen.last().unwrap().attempt(), Some(1), "the cancelled run does not count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_not_wait_for_a_run_that_blocks_its_thread() {
    let (queue, _folder) = queue().await;
    for number in 0..2 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let [begun, _gate] = gates();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(Some(blocked)));
    let events = {
        let begun = Arc::clone(&begun);
        service_fn(move |_: VerifiedEvent| {
            begun.add_permits(1);
            let blocked = blocked.lock().unwrap().take();
            async move {
                match blocked {
                    Some(blocked) => drop(blocked.recv()),
                    None => std::future::pending().await,
                }
                Ok::<_, HandlerError>(Outcome::Done)
            }
        })
    };
    let (grace, store) = (Duration::from_millis(10), Duration::from_secs(5));
    let worker = Running::start(queue.worker(events).grace(grace).store_timeout(store));
    timeout(Duration::from_secs(60), begun.acquire_many(2)).await.unwrap().unwrap().forget();
    assert_eq!(worker.stop().await, 2);
    // The other run was cancelled, and its event given back.
    counts(&queue, States { ready: 1, running: 1, ..States::default() }).await;
    drop(release);
}

#[tokio::test]
async fn service_is_called_only_when_it_is_ready() {
    let (queue, _folder) = queue().await;
    for number in 0..100 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let (inner, most) = counting();
    // Two workers share the only slot of a service that panics if it is called before it is ready.
    let events = ServiceBuilder::new().concurrency_limit(1).service(inner);
    let workers = [0, 1].map(|_| Running::start(queue.worker(events.clone())));
    counts(&queue, States::default()).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn running_event_is_renewed_and_a_lost_one_is_cancelled() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let database = database(&folder).await;
    let due = async || -> i64 {
        sqlx::query("SELECT due_at FROM openmail_events").fetch_one(&database).await.unwrap().get(0)
    };
    let (begun, cut) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    struct Cut(Arc<Notify>);
    impl Drop for Cut {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let events = {
        let (begun, cut) = (Arc::clone(&begun), Arc::clone(&cut));
        service_fn(move |_: VerifiedEvent| {
            let (begun, cut) = (Arc::clone(&begun), Cut(Arc::clone(&cut)));
            async move {
                let _cut = cut;
                begun.notify_one();
                std::future::pending::<Result<Outcome, HandlerError>>().await
            }
        })
    };
    let worker = Running::start(queue.worker(events).lease(Duration::from_secs(3)));
    begun.notified().await;
    let first = due().await;
    let renewed = async {
        while due().await <= first {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), renewed).await.unwrap();
    // Another worker has claimed it, for an hour.
    sqlx::query("UPDATE openmail_events SET token = token + 1, due_at = due_at + 3600000")
        .execute(&database)
        .await
        .unwrap();
    timeout(Duration::from_secs(30), cut.notified()).await.unwrap();
    assert_eq!(worker.stop().await, 0);
    counts(&queue, States { running: 1, ..States::default() }).await;
}

/// An error that panics when it is displayed.
#[derive(Debug)]
struct Unprintable;

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unprintable {}

#[tokio::test]
async fn error_that_panics_when_displayed_counts_as_a_failure() {
    let (queue, _folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let events =
        service_fn(async |_: VerifiedEvent| Err::<Outcome, _>(HandlerError::from(Unprintable)));
    let worker = Running::start(queue.worker(events).backoff(at_once(1)));
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert!(letters[0].error.contains("panicked"), "{}", letters[0].error);
}

/// Ends every lease and every back-off, as if a long time had passed.
async fn run_out(database: &SqlitePool) {
    let all = "UPDATE openmail_events SET due_at = 0 WHERE state = 'ready'";
    sqlx::query(all).execute(database).await.unwrap();
}

#[tokio::test]
async fn running_event_is_not_begun_again_by_its_own_worker() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let database = database(&folder).await;
    let [begun, gate] = gates();
    let worker = queue.worker(gated(&begun, &gate)).poll_interval(Duration::from_millis(10));
    let worker = Running::start(worker);
    begun.acquire().await.unwrap().forget();
    run_out(&database).await;
    // Other events are claimed and run in the meantime.
    gate.add_permits(20);
    for number in 2..20 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    counts(&queue, States::default()).await;
    assert_eq!(worker.stop().await, 0);
    assert_eq!(begun.available_permits(), 18, "each was begun once");
}

/// Begins a run in a worker, and drops the worker during it.
async fn lose_a_worker(queue: &Queue) {
    let [begun, gate] = gates();
    let worker = queue.worker(gated(&begun, &gate)).poll_interval(Duration::from_millis(10));
    let task = tokio::spawn(worker.backoff(at_once(9)).run(std::future::pending()));
    timeout(Duration::from_secs(60), begun.acquire()).await.unwrap().unwrap().forget();
    task.abort();
    let _ = task.await;
}

#[tokio::test]
async fn event_of_a_lost_worker_runs_again_without_using_an_attempt() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    for _ in 0..2 {
        lose_a_worker(&queue).await;
        run_out(&database(&folder).await).await;
    }
    let seen = Seen::default();
    let worker = queue.worker(seeing(&seen, |_| Ok(Outcome::Done))).backoff(at_once(1));
    let worker = Running::start(worker);
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!((seen.count(), seen.last().unwrap().attempt()), (1, Some(1)));
}

#[tokio::test]
async fn event_that_always_crashes_its_worker_becomes_a_dead_letter() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    add(&queue, mail("evt_1")).await;
    // The first two losses do not count, since other events could have caused them. The next two
    // happen while this event runs alone.
    for _ in 0..3 {
        lose_a_worker(&queue).await;
        run_out(&database).await;
    }
    let [begun, gate] = gates();
    let worker = queue.worker(gated(&begun, &gate)).backoff(at_once(2));
    let task = tokio::spawn(worker.run(std::future::pending()));
    timeout(Duration::from_secs(60), begun.acquire()).await.unwrap().unwrap().forget();
    task.abort();
    let _ = task.await;
    run_out(&database).await;
    let seen = Seen::default();
    let events = seeing(&seen, |_| Ok(Outcome::Done));
    let worker = Running::start(queue.worker(events).backoff(at_once(2)));
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 0);
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].attempts, 2);
    assert_eq!(letters[0].error, "its worker died while running only this entry");
}

/// An event whose worker has died twice is a suspect.
#[tokio::test]
async fn suspect_runs_alone() {
    let (queue, folder) = queue().await;
    let database = database(&folder).await;
    for number in 0..3 {
        add(&queue, mail(&format!("suspect_{number}"))).await;
    }
    sqlx::query("UPDATE openmail_events SET losses = 2").execute(&database).await.unwrap();
    for number in 0..30 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let (running, beside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let events = {
        let (running, beside) = (Arc::clone(&running), Arc::clone(&beside));
        service_fn(move |event: VerifiedEvent| {
            let (running, beside) = (Arc::clone(&running), Arc::clone(&beside));
            async move {
                let is_suspect = event.event_id().unwrap().as_str().starts_with("suspect");
                running.fetch_add(1, Ordering::SeqCst);
                for _ in 0..20 {
                    if is_suspect {
                        let others = running.load(Ordering::SeqCst) - 1;
                        beside.fetch_max(others, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, HandlerError>(Outcome::Done)
            }
        })
    };
    let worker = Running::start(queue.worker(events));
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!(beside.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn reactivated_pod_releases_held_entries() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let hold = "UPDATE openmail_events SET held = 1, due_at = due_at + 3600000";
    sqlx::query(hold).execute(&database(&folder).await).await.unwrap();
    counts(&queue, States { held: 1, ..States::default() }).await;
    let worker = queue.worker(seeing(&Seen::default(), |_| Ok(Outcome::Done)));
    let worker = Running::start(worker.poll_interval(Duration::from_secs(3600)));
    add(&queue, event(r#"{"event":"pod.reactivated","event_id":"evt_2","pod_id":"p"}"#)).await;
    counts(&queue, States::default()).await;
    worker.stop().await;
}

#[tokio::test]
async fn longest_time_limits_are_accepted() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let worker = queue.worker(seeing(&seen, |_| Ok(Outcome::Done)));
    let worker = worker.grace(Duration::MAX).store_timeout(Duration::MAX);
    let worker = worker.lease(Duration::MAX).poll_interval(Duration::MAX);
    let worker = Running::start(worker.run_timeout(Duration::MAX));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States::default()).await;
    assert_eq!(worker.stop().await, 0);
}

#[tokio::test]
async fn run_paused_while_the_store_is_unreachable_uses_no_attempt() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let [begun, ended] = gates();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let events = {
        let (begun, ended, attempts) =
            (Arc::clone(&begun), Arc::clone(&ended), Arc::clone(&attempts));
        service_fn(move |event: VerifiedEvent| {
            let is_first = {
                let mut attempts = attempts.lock().unwrap();
                attempts.push(event.attempt());
                attempts.len() == 1
            };
            let (begun, ended) = (Arc::clone(&begun), OnDrop(Arc::clone(&ended)));
            async move {
                let _ended = ended;
                begun.add_permits(1);
                if is_first {
                    pending::<()>().await;
                }
                Ok::<_, HandlerError>(Outcome::Done)
            }
        })
    };
    let worker = queue.worker(events).backoff(at_once(1)).run_timeout(Duration::from_secs(5));
    let worker = worker.lease(Duration::from_secs(1)).store_timeout(Duration::from_millis(100));
    let worker = Running::start(worker);
    begun.acquire().await.unwrap().forget();
    let mut busy = database(&folder).await.acquire().await.unwrap().detach();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut busy).await.unwrap();
    ended.acquire().await.unwrap().forget();
    sqlx::query("COMMIT").execute(&mut busy).await.unwrap();
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!(*attempts.lock().unwrap(), [Some(1), Some(1)]);
}

struct OnDrop(Arc<Semaphore>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
