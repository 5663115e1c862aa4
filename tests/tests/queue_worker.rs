//! A worker, over SQLite.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openmail_tests::{Seen, event, mail};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    queue::{Backoff, Counts, DedupeKey, Enqueue, QueueStore, SqliteStore, Worker},
};
use sqlx::{Row, SqlitePool};
use tempfile::TempDir;
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

type Queue = Enqueue<SqliteStore>;

async fn queue() -> (Queue, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap(), folder)
}

async fn database(folder: &TempDir) -> SqlitePool {
    let path = folder.path().join("inbox.db");
    SqlitePool::connect(&format!("sqlite:{}", Path::new(&path).display())).await.unwrap()
}

async fn add(queue: &Queue, event: VerifiedEvent) -> Outcome {
    queue.clone().oneshot(event).await.unwrap()
}

/// A worker that runs until it is told to stop.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Running {
    fn start<E>(worker: Worker<SqliteStore, E>) -> Self
    where
        E: Service<VerifiedEvent, Response = Outcome, Error = HandlerError>
            + Clone
            + Send
            + 'static,
        E::Future: Send + 'static,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(worker.run(async { drop(stopped.await) }));
        Self { stop, task }
    }

    async fn stop(self) -> usize {
        drop(self.stop);
        timeout(Duration::from_secs(60), self.task).await.unwrap().unwrap()
    }
}

/// Waits until the store has these counts.
async fn counts(queue: &Queue, expected: Counts) {
    let reached = async {
        while queue.store().counts().await.unwrap() != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(Duration::from_secs(30), reached).await.is_err() {
        assert_eq!(queue.store().counts().await.unwrap(), expected);
    }
}

/// A back-off that does not wait.
fn at_once(attempts: u32) -> Backoff {
    Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(attempts)
}

/// A service that keeps the events it gets, and answers as `answer` does.
fn seeing(
    seen: &Seen,
    answer: fn(&VerifiedEvent) -> Result<Outcome, HandlerError>,
) -> impl Service<
    VerifiedEvent,
    Response = Outcome,
    Error = HandlerError,
    Future = impl Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    let seen = seen.clone();
    service_fn(move |event: VerifiedEvent| {
        seen.push(event.clone());
        async move { answer(&event) }
    })
}

#[tokio::test]
async fn each_event_is_run_once() {
    let (queue, folder) = queue().await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    for number in 0..50 {
        assert_eq!(add(&queue, mail(&format!("evt_{number}"))).await, Outcome::Done);
    }
    let plain = event(r#"{"event":"setup.test"}"#);
    assert_eq!(add(&queue, plain).await, Outcome::Done);
    counts(&queue, Counts::default()).await;
    assert_eq!(add(&queue, mail("evt_7")).await, Outcome::Duplicate);
    assert_eq!(worker.stop().await, 0);
    assert_eq!(seen.count(), 51);
    assert_eq!(seen.last().unwrap().attempt(), Some(1));
    let done = sqlx::query("SELECT count(*) FROM openmail_events WHERE state = 'done'");
    let done: i64 = done.fetch_one(&database(&folder).await).await.unwrap().get(0);
    assert_eq!(done, 51);
}

#[tokio::test]
async fn two_events_of_one_mail_are_one_by_choice() {
    let (queue, _folder) = queue().await;
    assert_eq!(add(&queue, mail("evt_1")).await, Outcome::Done);
    assert_eq!(add(&queue, mail("evt_2")).await, Outcome::Done);
    let queue = queue.key(DedupeKey::Message);
    assert_eq!(add(&queue, mail("evt_3")).await, Outcome::Done);
    assert_eq!(add(&queue, mail("evt_4")).await, Outcome::Duplicate);
}

#[tokio::test]
async fn failures_and_panics_are_tried_again_and_the_last_is_a_dead_letter() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let events = seeing(&seen, |event| match event.attempt() {
        Some(1) => panic!("the first attempt"),
        Some(attempt) => Err(HandlerError::failed(format!("attempt {attempt}"))),
        None => unreachable!("a worker says which"),
    });
    let worker = Running::start(queue.worker(events).backoff(at_once(3)));
    add(&queue, mail("evt_1")).await;
    counts(&queue, Counts { dead: 1, ..Counts::default() }).await;
    assert_eq!(seen.count(), 3);
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!((letters[0].attempts, &*letters[0].error), (3, "attempt 3"));
    assert_eq!(letters[0].event_id.as_deref(), Some("evt_1"));
    // Whoever opens the store beside the worker may requeue it.
    assert!(queue.store().requeue(letters[0].id).await.unwrap());
    counts(&queue, Counts { dead: 1, ..Counts::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 6);
}

#[tokio::test]
async fn what_would_fail_again_is_not_tried_again() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let events = seeing(&seen, |_| Err(HandlerError::permanent("never")));
    let worker = Running::start(queue.worker(events));
    add(&queue, mail("evt_1")).await;
    counts(&queue, Counts { dead: 1, ..Counts::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 1);
}

#[tokio::test]
async fn a_run_that_could_not_be_is_no_attempt() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let events = {
        let seen = seen.clone();
        service_fn(move |event: VerifiedEvent| {
            seen.push(event);
            let count = seen.count();
            async move {
                match count {
                    1 | 2 => Err(HandlerError::unavailable("the store is away")),
                    3 => Err(HandlerError::in_flight(Duration::ZERO)),
                    _ => Ok(Outcome::Done),
                }
            }
        })
    };
    let worker = Running::start(queue.worker(events).backoff(at_once(1)));
    add(&queue, mail("evt_1")).await;
    counts(&queue, Counts::default()).await;
    worker.stop().await;
    assert_eq!((seen.count(), seen.last().unwrap().attempt()), (4, Some(1)));
}

#[tokio::test]
async fn what_cannot_be_read_is_buried_and_blocks_nothing() {
    let (queue, folder) = queue().await;
    for id in ["evt_1", "evt_2"] {
        let thread = format!(
            r#"{{"event":"message.received","event_id":"{id}","inbox_id":"i","thread_id":"t",
                "message":{{"id":"m","from":"a@example.com"}}}}"#
        );
        add(&queue, event(thread)).await;
    }
    sqlx::query("UPDATE openmail_events SET body = x'ff7b' WHERE event_id = 'evt_1'")
        .execute(&database(&folder).await)
        .await
        .unwrap();
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    counts(&queue, Counts { dead: 1, ..Counts::default() }).await;
    worker.stop().await;
    assert_eq!(seen.last().unwrap().event_id().unwrap(), &"evt_2");
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert!(letters[0].error.starts_with("it cannot be read"), "{}", letters[0].error);
}

#[tokio::test]
async fn one_that_takes_its_worker_down_is_buried() {
    let (queue, folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let database = database(&folder).await;
    sqlx::query("UPDATE openmail_events SET attempts = 3").execute(&database).await.unwrap();
    let seen = Seen::default();
    let events = seeing(&seen, |_| Ok(Outcome::Done));
    let worker = Running::start(queue.worker(events).backoff(at_once(3)));
    counts(&queue, Counts { dead: 1, ..Counts::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 0);
}

/// Holds its runs until it is told to let them go.
fn gated(
    begun: &Arc<Semaphore>,
    gate: &Arc<Semaphore>,
) -> impl Service<
    VerifiedEvent,
    Response = Outcome,
    Error = HandlerError,
    Future = impl Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
> + Clone
+ Send
+ 'static {
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
async fn it_stops_when_what_runs_has_ended_and_gives_back_the_rest() {
    let (queue, _folder) = queue().await;
    for number in 0..8 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let [begun, gate] = gates();
    // It claims four, and has room for two.
    let events = ServiceBuilder::new().concurrency_limit(2).service(gated(&begun, &gate));
    let worker = Running::start(queue.worker(events).concurrency(4));
    begun.acquire_many(2).await.unwrap().forget();
    counts(&queue, Counts { ready: 4, running: 4, ..Counts::default() }).await;
    let Running { stop, task } = worker;
    drop(stop);
    counts(&queue, Counts { ready: 6, running: 2, ..Counts::default() }).await;
    assert!(!task.is_finished(), "it waits for the two");
    gate.add_permits(2);
    assert_eq!(timeout(Duration::from_secs(30), task).await.unwrap().unwrap(), 0);
    assert_eq!(begun.available_permits(), 0, "no more were begun");
    counts(&queue, Counts { ready: 6, ..Counts::default() }).await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_and_runs_again() {
    let (queue, _folder) = queue().await;
    add(&queue, mail("evt_1")).await;
    let [begun, gate] = gates();
    let worker = queue.worker(gated(&begun, &gate)).grace(Duration::from_millis(10));
    let worker = Running::start(worker);
    begun.acquire().await.unwrap().forget();
    assert_eq!(worker.stop().await, 1);
    counts(&queue, Counts { ready: 1, ..Counts::default() }).await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    counts(&queue, Counts::default()).await;
    worker.stop().await;
    assert_eq!(seen.last().unwrap().attempt(), Some(2));
}

#[tokio::test]
async fn a_service_is_called_only_when_it_is_ready() {
    let (queue, _folder) = queue().await;
    for number in 0..100 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let inner = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        service_fn(move |_: VerifiedEvent| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, HandlerError>(Outcome::Done)
            }
        })
    };
    // Two workers share its one place; it panics when it is called without having been ready.
    let events = ServiceBuilder::new().concurrency_limit(1).service(inner);
    let workers = [0, 1].map(|_| Running::start(queue.worker(events.clone())));
    counts(&queue, Counts::default()).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_running_event_is_renewed_and_a_lost_one_is_cut_off() {
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
    // Somebody else has it, for an hour.
    sqlx::query("UPDATE openmail_events SET token = token + 1, due_at = due_at + 3600000")
        .execute(&database)
        .await
        .unwrap();
    timeout(Duration::from_secs(30), cut.notified()).await.unwrap();
    assert_eq!(worker.stop().await, 0);
    counts(&queue, Counts { running: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn what_is_done_is_kept_for_a_time() {
    let (queue, folder) = queue().await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    for number in 0..300 {
        add(&queue, mail(&format!("evt_{number}"))).await;
    }
    counts(&queue, Counts::default()).await;
    worker.stop().await;
    let database = database(&folder).await;
    let count = async || -> i64 {
        sqlx::query("SELECT count(*) FROM openmail_events")
            .fetch_one(&database)
            .await
            .unwrap()
            .get(0)
    };
    assert_eq!(count().await, 300);
    let events = seeing(&seen, |_| Ok(Outcome::Done));
    let worker = Running::start(queue.worker(events).keep(Duration::ZERO));
    let pruned = async {
        while count().await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), pruned).await.unwrap();
    worker.stop().await;
    assert_eq!(add(&queue, mail("evt_1")).await, Outcome::Done, "its key is forgotten");
}

#[tokio::test]
async fn a_store_that_is_closed_or_busy_takes_nothing() {
    let (queue, folder) = queue().await;
    let mut busy = database(&folder).await.acquire().await.unwrap().detach();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut busy).await.unwrap();
    let impatient = queue.clone().timeout(Duration::from_millis(50));
    let error = impatient.oneshot(mail("evt_1")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    sqlx::query("COMMIT").execute(&mut busy).await.unwrap();
    assert!(matches!(add(&queue, mail("evt_1")).await, Outcome::Done | Outcome::Duplicate));
    queue.store().close().await;
    let error = queue.clone().oneshot(mail("evt_2")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    assert!(queue.store().ping().await.is_err());
    let again = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    assert_eq!(again.counts().await.unwrap(), Counts { ready: 1, ..Counts::default() });
}

#[tokio::test]
async fn several_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let opened = Arc::new(Mutex::new(Vec::new()));
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (path, opened) = (path.clone(), Arc::clone(&opened));
        opening.spawn(async move {
            let queue = Enqueue::sqlite(path).await.unwrap();
            add(&queue, mail(&format!("evt_{number}"))).await;
            opened.lock().unwrap().push(queue);
        });
    }
    opening.join_all().await;
    let queue = opened.lock().unwrap().pop().unwrap();
    counts(&queue, Counts { ready: 8, ..Counts::default() }).await;
}

#[tokio::test]
async fn tables_of_a_later_version_are_left_alone() {
    let (queue, folder) = queue().await;
    queue.store().close().await;
    sqlx::query("INSERT INTO openmail_migrations VALUES (99, 0)")
        .execute(&database(&folder).await)
        .await
        .unwrap();
    let error = Enqueue::sqlite(folder.path().join("inbox.db")).await.unwrap_err();
    assert_eq!(error.kind(), openmail_tower::queue::QueueErrorKind::Newer);
}
