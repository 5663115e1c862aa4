//! A worker on SQLite.

mod ends;
mod fairness;
mod leases;
mod store;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openmail_tests::{Seen, States, event, mail, states};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    queue::{Backoff, DedupeKey, Enqueue, QueueStore, SqliteStore, Worker},
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

/// A service that a worker can run.
trait Events:
    Service<VerifiedEvent, Response = Outcome, Error = HandlerError, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> Events for S where
    S: Service<VerifiedEvent, Response = Outcome, Error = HandlerError, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// A running worker that can be stopped.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<usize>,
}

impl Running {
    fn start(worker: Worker<SqliteStore, impl Events>) -> Self {
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
async fn counts(queue: &Queue, expected: States) {
    let reached = async {
        while states(queue.store()).await != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(Duration::from_secs(30), reached).await.is_err() {
        assert_eq!(states(queue.store()).await, expected);
    }
}

/// Returns a back-off with almost no delay.
fn at_once(attempts: u32) -> Backoff {
    Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(attempts)
}

/// A service that records its events and returns what `answer` returns.
fn seeing(seen: &Seen, answer: fn(&VerifiedEvent) -> Result<Outcome, HandlerError>) -> impl Events {
    let seen = seen.clone();
    service_fn(move |event: VerifiedEvent| {
        seen.push(event.clone());
        async move { answer(&event) }
    })
}

/// A service, and the maximum number of its concurrent runs so far.
fn counting() -> (impl Events, Arc<AtomicUsize>) {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let events = service_fn(move |_: VerifiedEvent| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&counted));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(Outcome::Done)
        }
    });
    (events, most)
}

#[tokio::test]
async fn each_event_runs_once() {
    let (queue, folder) = queue().await;
    let seen = Seen::default();
    let worker = Running::start(queue.worker(seeing(&seen, |_| Ok(Outcome::Done))));
    for number in 0..50 {
        assert_eq!(add(&queue, mail(&format!("evt_{number}"))).await, Outcome::Queued);
    }
    let plain = event(r#"{"event":"setup.test"}"#);
    assert_eq!(add(&queue, plain).await, Outcome::Queued);
    counts(&queue, States::default()).await;
    assert_eq!(add(&queue, mail("evt_7")).await, Outcome::Duplicate);
    assert_eq!(worker.stop().await, 0);
    assert_eq!(seen.count(), 51);
    assert_eq!(seen.last().unwrap().attempt(), Some(1));
    let done = sqlx::query("SELECT count(*) FROM openmail_events WHERE state = 'done'");
    let done: i64 = done.fetch_one(&database(&folder).await).await.unwrap().get(0);
    assert_eq!(done, 51);
}

#[tokio::test]
async fn message_key_merges_two_events_of_one_mail() {
    let (queue, _folder) = queue().await;
    assert_eq!(add(&queue, mail("evt_1")).await, Outcome::Queued);
    assert_eq!(add(&queue, mail("evt_2")).await, Outcome::Queued);
    let queue = queue.key(DedupeKey::Message);
    assert_eq!(add(&queue, mail("evt_3")).await, Outcome::Queued);
    assert_eq!(add(&queue, mail("evt_4")).await, Outcome::Duplicate);
}

#[tokio::test]
async fn failures_and_panics_are_retried_until_a_dead_letter() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let events = seeing(&seen, |event| match event.attempt() {
        Some(1) => panic!("the first attempt"),
        Some(attempt) => Err(HandlerError::failed(format!("attempt {attempt}"))),
        None => unreachable!("a worker sets the attempt"),
    });
    let worker = Running::start(queue.worker(events).backoff(at_once(3)));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States { dead: 1, ..States::default() }).await;
    assert_eq!(seen.count(), 3);
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert_eq!((letters[0].attempts, &*letters[0].error), (3, "attempt 3"));
    assert_eq!(letters[0].event_id.as_deref(), Some("evt_1"));
    // Any program that opens the store can requeue it while the worker runs.
    assert!(queue.store().requeue(letters[0].id).await.unwrap());
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 6);
}

#[tokio::test]
async fn permanent_failure_is_not_retried() {
    let (queue, _folder) = queue().await;
    let seen = Seen::default();
    let events = seeing(&seen, |_| Err(HandlerError::permanent("never")));
    let worker = Running::start(queue.worker(events));
    add(&queue, mail("evt_1")).await;
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.count(), 1);
}

#[tokio::test]
async fn unavailable_run_is_not_an_attempt() {
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
    counts(&queue, States::default()).await;
    worker.stop().await;
    assert_eq!((seen.count(), seen.last().unwrap().attempt()), (4, Some(1)));
}

#[tokio::test]
async fn unreadable_event_becomes_a_dead_letter_and_blocks_nothing() {
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
    counts(&queue, States { dead: 1, ..States::default() }).await;
    worker.stop().await;
    assert_eq!(seen.last().unwrap().event_id().unwrap(), &"evt_2");
    let letters = queue.store().dead_letters(None, 10).await.unwrap();
    assert!(letters[0].error.starts_with("the event cannot be read"), "{}", letters[0].error);
}
