//! Replies that the queue's worker writes down and sends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openmail_tests::{
    FakeApi,
    fake_api::{Fault, Seen},
};
use openmail_tower::{
    HandlerError, IntoOutcome, Outcome, VerifiedEvent,
    queue::{Backoff, Counts, Enqueue, QueueStore, SqliteStore},
    reply::Reply,
    testing::{TestEvent, dispatch},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower::service_fn;

/// A queue, and an API for its replies.
struct Setup {
    api: FakeApi,
    store: SqliteStore,
    queue: Enqueue<SqliteStore>,
    folder: TempDir,
    runs: Arc<AtomicU32>,
}

impl Setup {
    async fn new() -> Self {
        let api = FakeApi::start(env!("CARGO_BIN_EXE_fake_api"));
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
        let queue = Enqueue::new(store.clone());
        Self { api, store, queue, folder, runs: Arc::default() }
    }

    /// Runs a worker whose handler writes another text each time.
    fn work(&self) -> JoinHandle<usize> {
        self.work_for(self.api.openmail())
    }

    fn work_for(&self, openmail: openmail_tower::api::OpenMail) -> JoinHandle<usize> {
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
        let worker = self
            .queue
            .worker(handler)
            .replies(openmail)
            .backoff(backoff.attempts(20))
            .poll_interval(Duration::from_millis(50));
        tokio::spawn(worker.run(std::future::pending()))
    }

    /// Queues a mail that OpenMail knows.
    async fn mail(&self, inbox: &str, thread: &str, id: &str) {
        let event = mail(inbox, thread, id);
        let message = json!({
            "id": id, "direction": "inbound", "fromAddr": format!("{id}@example.com"),
            "createdAt": "2024-03-21T10:05:00Z",
        });
        self.api.message(thread, message).await;
        self.event(&event).await;
    }

    async fn event(&self, event: &TestEvent) {
        assert_eq!(dispatch(&self.queue, event).await.unwrap(), Outcome::Queued);
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Counts) -> bool) {
        let reached = async {
            while !is_so(&self.store.counts().await.unwrap()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(Duration::from_secs(60), reached).await.is_err() {
            panic!("{what}: {:?}", self.store.counts().await);
        }
    }

    async fn until_done(&self) {
        self.until("done", |counts| counts.open() == 0).await;
    }
}

fn mail(inbox: &str, thread: &str, id: &str) -> TestEvent {
    TestEvent::message_received()
        .inbox(inbox)
        .thread(thread)
        .from("Ada <ada@example.com>")
        .message_field("id", id)
}

/// To whom each request was.
fn to(sends: &[Seen]) -> Vec<String> {
    let to = |seen: &Seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        body["to"].as_str().unwrap().trim_end_matches("@example.com").to_owned()
    };
    sends.iter().map(to).collect()
}

fn accepted(sends: &[Seen]) -> usize {
    sends.iter().filter(|seen| seen.accepted).count()
}

#[tokio::test]
async fn a_reply_is_sent_once_and_a_model_is_asked_once() {
    let setup = Setup::new().await;
    setup
        .api
        .faults([Fault::refusal(500, "internal").times(2), Fault::lost_answer().times(1)])
        .await;
    setup.mail("inb_1", "thr_1", "msg_1").await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (4, 1));
    assert!(sends.iter().all(|it| it.key == sends[0].key && it.body == sends[0].body));
    assert_eq!(setup.runs.load(Ordering::Relaxed), 1);
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);
}

#[tokio::test]
async fn a_limit_is_waited_for_and_only_its_thread_waits() {
    let setup = Setup::new().await;
    let limits = [Fault::refusal(429, "rate_limit_exceeded")
        .header("retry-after", "1")
        .times(25)
        .inbox("inb_1")];
    // More often than there are attempts: waiting uses none.
    setup.api.faults(limits.map(|fault| fault.header("retry-after", "0"))).await;
    setup.mail("inb_1", "thr_1", "a1").await;
    setup.mail("inb_1", "thr_1", "a2").await;
    setup.mail("inb_2", "thr_2", "b1").await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);
    let sends = setup.api.sends().await;
    let order = to(&sends);
    assert_eq!(order.iter().filter(|it| *it == "a1").count(), 26);
    let first = |id: &str| order.iter().position(|it| it == id).unwrap();
    let last_a1 = order.iter().rposition(|it| it == "a1").unwrap();
    assert!(first("a2") > last_a1, "the thread's next mail waits: {order:?}");
    assert!(first("b1") < last_a1, "another thread goes on: {order:?}");
}

#[tokio::test]
async fn a_suspended_inbox_holds_its_replies_until_it_is_reactivated() {
    let setup = Setup::new().await;
    let worker = setup.work();
    for (id, released_by) in
        [("m1", "inbox.reactivated"), ("m2", "pod.reactivated"), ("m3", "hand")]
    {
        let suspended = Fault::refusal(403, "reputation_suspended").times(1).inbox("inb_1");
        setup.api.faults([suspended]).await;
        setup.mail("inb_1", "thr_1", id).await;
        setup.until("held", |counts| counts.held == 1).await;
        let tries = setup.api.sends().await.len();
        // The lane waits, others do not.
        setup.mail("inb_2", "thr_2", &format!("other-{id}")).await;
        setup.until("only what is held is left", |counts| counts.open() == 1).await;
        assert_eq!(setup.api.sends().await.len(), tries + 1);
        match released_by {
            "hand" => assert_eq!(setup.store.release_held(Some("inb_1")).await.unwrap(), 1),
            event => setup.event(&TestEvent::new(event).inbox("inb_1")).await,
        }
        setup.until_done().await;
        let sends = setup.api.sends().await;
        assert_eq!(to(&sends).iter().filter(|it| *it == id).count(), 2, "{released_by}");
    }
    worker.abort();
    assert_eq!(accepted(&setup.api.sends().await), 6);
}

#[tokio::test]
async fn a_refusal_for_good_is_a_dead_letter_with_openmails_code() {
    let setup = Setup::new().await;
    let worker = setup.work();
    for (id, code) in
        [("m1", "recipient_suppressed"), ("m2", "phishing_detected"), ("m3", "no_mx_records")]
    {
        setup.api.faults([Fault::refusal(422, code).times(1)]).await;
        setup.mail("inb_1", "thr_1", id).await;
        setup.until_done().await;
        let letters = setup.store.dead_letters(None, 10).await.unwrap();
        let letter = letters.last().unwrap();
        assert!(letter.error.contains(code), "{}", letter.error);
        assert_eq!(letter.inbox_id.as_deref(), Some("inb_1"));
    }
    worker.abort();
    assert_eq!(setup.api.sends().await.len(), 3);
    assert_eq!(setup.runs.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_wrong_key_loses_nothing_and_a_restart_with_another_goes_on() {
    let setup = Setup::new().await;
    let unauthorized = Fault::refusal(401, "unauthorized").header("retry-after", "1").times(2);
    setup.api.faults([unauthorized]).await;
    let worker = setup.work();
    setup.mail("inb_1", "thr_1", "m1").await;
    setup.mail("inb_1", "thr_1", "m2").await;
    while setup.api.sends().await.is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    worker.abort();
    let _ = worker.await;
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    assert_eq!(setup.store.counts().await.unwrap().dead, 0);
    assert_eq!(accepted(&setup.api.sends().await), 2);
}

#[tokio::test]
async fn a_reply_first_tried_a_day_ago_is_looked_for_before_it_is_sent_again() {
    let setup = Setup::new().await;
    // The answer is lost, and then the API is away for a day.
    let limit = Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "3600").times(1);
    setup.api.faults([Fault::lost_answer().times(1), limit]).await;
    setup.mail("inb_1", "thr_1", "m1").await;
    let worker = setup.work();
    setup.until("waiting", |counts| counts.waiting == 1 && counts.running == 0).await;
    while setup.api.sends().await.len() < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    setup.until("waiting", |counts| counts.waiting == 1).await;
    worker.abort();
    let _ = worker.await;
    setup.api.forget().await;
    let database = setup.folder.path().join("inbox.db");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    sqlx::query("UPDATE openmail_events SET queued_at = queued_at - 23 * 3600000 - 1000, due_at = 0 WHERE state <> 'done'")
        .execute(&pool)
        .await
        .unwrap();
    let worker = setup.work();
    setup.until_done().await;
    worker.abort();
    let sends = setup.api.sends().await;
    assert_eq!((sends.len(), accepted(&sends)), (2, 1));
}

#[tokio::test]
async fn a_reply_that_the_worker_is_not_to_send_is_not_lost() {
    let setup = Setup::new().await;
    setup.mail("inb_1", "thr_1", "m1").await;
    let handler = service_fn(async |_: VerifiedEvent| Reply::text("Hello.").into_outcome());
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(2);
    let worker = setup.queue.worker(handler).backoff(backoff).run(std::future::pending());
    let worker = tokio::spawn(worker);
    setup.until("dead", |counts| counts.dead == 1).await;
    worker.abort();
    let letters = setup.store.dead_letters(None, 1).await.unwrap();
    assert!(letters[0].error.contains("replies"), "{}", letters[0].error);
    let _: Option<HandlerError> = None;
}
