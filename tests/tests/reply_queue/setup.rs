//! A queue whose replies go to an API that misbehaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openmail_tests::{FakeApi, fake_api::Seen};
use openmail_tower::{
    HandlerError, IntoOutcome, Outcome, VerifiedEvent,
    api::OpenMail,
    queue::{Backoff, Counts, Enqueue, QueueStore, SqliteStore, Worker},
    reply::Reply,
    testing::{TestEvent, dispatch},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower::{Service, service_fn};

/// The handler that a worker runs.
pub(crate) trait Handler:
    Service<VerifiedEvent, Response = Outcome, Error = HandlerError, Future: Send> + Clone + Send
{
}

impl<S> Handler for S where
    S: Service<VerifiedEvent, Response = Outcome, Error = HandlerError, Future: Send>
        + Clone
        + Send
{
}

/// A queue, and an API for its replies.
pub(crate) struct Setup {
    pub(crate) api: FakeApi,
    pub(crate) store: SqliteStore,
    pub(crate) queue: Enqueue<SqliteStore>,
    pub(crate) folder: TempDir,
    pub(crate) runs: Arc<AtomicU32>,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let api = FakeApi::start(env!("CARGO_BIN_EXE_fake_api"));
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
        let queue = Enqueue::new(store.clone());
        Self { api, store, queue, folder, runs: Arc::default() }
    }

    /// Runs a worker whose handler writes a different text each time.
    pub(crate) fn work(&self) -> JoinHandle<usize> {
        self.work_for(self.api.openmail())
    }

    pub(crate) fn work_for(&self, openmail: OpenMail) -> JoinHandle<usize> {
        tokio::spawn(self.worker(openmail).run(std::future::pending()))
    }

    /// Runs a worker of another replica, which shares the handler's count of runs.
    pub(crate) fn work_on(&self, queue: &Enqueue<SqliteStore>) -> JoinHandle<usize> {
        let worker = self.worker_on(queue, self.api.openmail());
        tokio::spawn(worker.run(std::future::pending()))
    }

    pub(crate) fn worker(&self, openmail: OpenMail) -> Worker<SqliteStore, impl Handler + use<>> {
        self.worker_on(&self.queue, openmail)
    }

    fn worker_on(
        &self,
        queue: &Enqueue<SqliteStore>,
        openmail: OpenMail,
    ) -> Worker<SqliteStore, impl Handler + use<>> {
        let runs = Arc::clone(&self.runs);
        let handler = service_fn(move |event: VerifiedEvent| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            let outcome = match event.event().message_received() {
                Some(_) => Reply::text(format!("Hello {run}.")).into_outcome(),
                None => Ok(Outcome::Done),
            };
            async move { outcome }
        });
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
        queue
            .worker(handler)
            .replies(openmail)
            .backoff(backoff.attempts(20))
            .poll_interval(Duration::from_millis(50))
    }

    /// Changes the rows of the queue that are not done.
    pub(crate) async fn change(&self, set: &str) {
        let database = self.folder.path().join("inbox.db");
        let pool = SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
        let change = format!("UPDATE openmail_events SET {set} WHERE state <> 'done'");
        sqlx::query(AssertSqlSafe(change)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// Returns the errors of the dead letters, and drops them.
    pub(crate) async fn buried(&self) -> Vec<String> {
        let letters = self.store.dead_letters(None, 10).await.unwrap();
        for letter in &letters {
            assert!(self.store.drop_dead_letter(letter.id).await.unwrap());
        }
        letters.into_iter().map(|letter| letter.error).collect()
    }

    /// Queues a mail that is also in its thread at the API.
    pub(crate) async fn mail(&self, inbox: &str, thread: &str, id: &str) {
        let event = mail(inbox, thread, id);
        let message = json!({
            "id": id, "direction": "inbound", "fromAddr": format!("{id}@example.com"),
            "createdAt": "2024-03-21T10:05:00Z",
        });
        self.api.message(thread, message).await;
        self.event(&event).await;
    }

    pub(crate) async fn event(&self, event: &TestEvent) {
        assert_eq!(dispatch(&self.queue, event).await.unwrap(), Outcome::Queued);
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Counts) -> bool) {
        let reached = async {
            while !is_so(&self.store.counts().await.unwrap()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(Duration::from_secs(60), reached).await.is_err() {
            panic!("{what}: {:?}", self.store.counts().await);
        }
    }

    pub(crate) async fn until_done(&self) {
        self.until("done", |counts| counts.open() == 0).await;
    }
}

pub(crate) fn mail(inbox: &str, thread: &str, id: &str) -> TestEvent {
    TestEvent::message_received()
        .inbox(inbox)
        .thread(thread)
        .from("Ada <ada@example.com>")
        .message_field("id", id)
}

/// Returns the recipient of each request.
pub(crate) fn to(sends: &[Seen]) -> Vec<String> {
    let to = |seen: &Seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        body["to"].as_str().unwrap().trim_end_matches("@example.com").to_owned()
    };
    sends.iter().map(to).collect()
}

pub(crate) fn accepted(sends: &[Seen]) -> usize {
    sends.iter().filter(|seen| seen.accepted).count()
}
