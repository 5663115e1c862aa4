//! The guard's counts in the queue's database: shared by replicas, and kept across a restart.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use openmail_tests::PostgresSchema;
use openmail_tower::{
    HandlerError, IntoOutcome, Outcome, VerifiedEvent,
    layers::guard::{CountLimit, CountRequest, CountStore, Counted, GuardLayer, Rate, contract},
    queue::{Enqueue, Lane, PostgresStore, QueueStore, SqliteStore},
    reply::Reply,
    testing::TestEvent,
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(120);

fn limit(key: &str, most: u32) -> CountLimit {
    CountLimit { key: key.to_owned(), most, window: HOUR }
}

fn take(id: &str, limits: &[(&str, u32)]) -> CountRequest {
    let mut request = CountRequest::default();
    request.id = id.to_owned();
    request.take = limits.iter().map(|(key, most)| limit(key, *most)).collect();
    request
}

async fn count(store: &impl CountStore, request: CountRequest) -> Counted {
    store.count(&request).await.expect("it is counted")
}

/// Counts in two stores at the same time.
async fn no_more_than_the_limit<C: CountStore + Clone>(stores: [C; 2]) {
    let mut asked = JoinSet::new();
    for number in 0..200 {
        let store = stores[number % 2].clone();
        asked.spawn(async move {
            let limits = [("shared", 30), (if number % 3 == 0 { "odd" } else { "even" }, 1000)];
            count(&store, take(&format!("{number}"), &limits)).await.full.is_none()
        });
    }
    let counted = asked.join_all().await.into_iter().filter(|counted| *counted).count();
    assert_eq!(counted, 30);
}

/// Checks the contract and counts in two stores, and then in another one that is opened after both
/// are closed.
async fn counts_across_stores_and_restarts<St>(open: impl AsyncFn() -> St, close: impl AsyncFn(&St))
where
    St: CountStore + Clone,
{
    let stores = [open().await, open().await];
    contract::check(stores[0].clone()).await;
    no_more_than_the_limit(stores.clone()).await;
    for store in &stores {
        close(store).await;
    }
    let store = open().await;
    assert!(count(&store, take("new", &[("shared", 30)])).await.full.is_some());
    close(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_counts_across_stores_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let open = async || SqliteStore::open(&path).await.unwrap();
    counts_across_stores_and_restarts(open, SqliteStore::close).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn postgres_counts_across_stores_and_restarts() {
    let schema = PostgresSchema::new().await;
    let open = async || PostgresStore::connect(schema.url()).await.unwrap();
    counts_across_stores_and_restarts(open, PostgresStore::close).await;
    schema.drop().await;
}

/// Old counts are removed as new ones arrive, so the table does not grow over time.
#[tokio::test]
async fn expired_counts_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for number in 0..500 {
        let mut request = take("1", &[(&format!("{number}"), 1)]);
        request.take[0].window = Duration::from_millis(1);
        count(&store, request).await;
    }
    let fewer = async {
        while rows(&path).await > 20 {
            count(&store, take("1", &[("one", 1)])).await;
        }
    };
    timeout(PATIENCE, fewer).await.expect("they are removed");
    assert!(rows(&path).await >= 1, "the unexpired one is kept");
    store.close().await;
}

async fn rows(path: &Path) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query_scalar("SELECT count(*) FROM openmail_counts");
    let rows = rows.fetch_one(&pool).await.unwrap();
    pool.close().await;
    rows
}

/// Stands for one process: a worker with its own store and guard.
struct Replica<St> {
    queue: Enqueue<St>,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<usize>,
}

/// The number of mails that ran and that were put off, in all replicas.
#[derive(Debug, Clone, Default)]
struct Seen {
    ran: Arc<AtomicU32>,
    put_off: Arc<AtomicU32>,
}

impl Seen {
    fn counts(&self) -> (u32, u32) {
        (self.ran.load(Ordering::SeqCst), self.put_off.load(Ordering::SeqCst))
    }

    async fn reach(&self, counts: (u32, u32)) {
        let reached = async {
            while self.counts() != counts {
                // Polls, since the workers only count.
                sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("{:?}, not {counts:?}", self.counts()));
    }
}

impl<St: QueueStore> Replica<St> {
    fn start(store: St, seen: &Seen) -> Self {
        let queue = Enqueue::new(store).lane(Lane::None);
        let Seen { ran, put_off } = seen.clone();
        let handler = service_fn(move |_: VerifiedEvent| {
            ran.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, HandlerError>(Outcome::Done) }
        });
        let guard =
            GuardLayer::default().runs_per_sender(Rate::new(4, HOUR)).on_action(move |_| {
                put_off.fetch_add(1, Ordering::SeqCst);
            });
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = queue.worker(guard.layer(handler)).poll_interval(Duration::from_millis(20));
        let worker = tokio::spawn(worker.run(async { drop(stopped.await) }));
        Self { queue, stop, worker }
    }

    async fn add(&self, number: u32) {
        let mail = TestEvent::message_received().event_id(format!("evt_{number}"));
        let mail = mail.from("ada@example.org").text(format!("mail {number}")).verified();
        assert_eq!(self.queue.clone().oneshot(mail).await.unwrap(), Outcome::Queued);
    }

    async fn stop(self) -> Enqueue<St> {
        drop(self.stop);
        assert_eq!(self.worker.await.unwrap(), 0);
        self.queue
    }
}

/// Runs two replicas at the same time, and another one after both.
async fn replicas_share_their_counts<St: QueueStore>(open: impl AsyncFn() -> St) {
    let seen = Seen::default();
    let replicas = [Replica::start(open().await, &seen), Replica::start(open().await, &seen)];
    for number in 0..10 {
        replicas[number as usize % 2].add(number).await;
    }
    seen.reach((4, 6)).await;
    for replica in replicas {
        drop(replica.stop().await);
    }
    let after = Replica::start(open().await, &seen);
    after.add(10).await;
    seen.reach((4, 7)).await;
    drop(after.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_their_counts_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    replicas_share_their_counts(async || SqliteStore::open(&path).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn workers_share_their_counts_in_postgres() {
    let schema = PostgresSchema::new().await;
    replicas_share_their_counts(async || PostgresStore::connect(schema.url()).await.unwrap()).await;
    schema.drop().await;
}

/// Answers mails, and runs them again, as if the worker had died before it could settle them.
async fn answered_mail_is_answered_again(guard: GuardLayer) {
    let handler = service_fn(async |_: VerifiedEvent| Reply::text("Thank you.").into_outcome());
    let guard = guard.replies_per_thread(Rate::new(2, HOUR)).layer(handler);
    let run = async |id: &str, attempt: u32| {
        let mail = TestEvent::message_received().message_field("id", id).from("ada@example.org");
        let event = mail.thread("thr_1").text(format!("mail {id}")).verified();
        match guard.clone().oneshot(event.with_attempt(attempt)).await.unwrap() {
            Outcome::Replies(_) => "answered",
            Outcome::Muted { rule } => rule,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((run("a", 1).await, run("b", 1).await), ("answered", "answered"));
    assert_eq!(run("c", 1).await, "reply_rate");
    assert_eq!((run("b", 2).await, run("a", 2).await), ("answered", "answered"));
    assert_eq!(run("c", 2).await, "reply_rate", "the repeated runs did not count");
}

#[tokio::test]
async fn retried_mail_is_not_muted_by_its_own_reply() {
    answered_mail_is_answered_again(GuardLayer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("inbox.db")).await.unwrap();
    answered_mail_is_answered_again(GuardLayer::default().counts(store.clone())).await;
    store.close().await;
}

#[tokio::test]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn retried_mail_is_not_muted_by_its_own_reply_in_postgres() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    answered_mail_is_answered_again(GuardLayer::default().counts(store.clone())).await;
    store.close().await;
    schema.drop().await;
}

/// Fails on command: the check before a run, or the one before a reply.
#[derive(Debug, Clone, Default)]
struct Failing {
    before_runs: Arc<AtomicU32>,
    replies: bool,
}

impl CountStore for Failing {
    fn count<'a>(
        &'a self,
        request: &'a CountRequest,
    ) -> openmail_tower::layers::guard::CountFuture<'a> {
        let is_reply = request.check.is_empty();
        let fails = if is_reply {
            self.replies
        } else {
            let left = self.before_runs.load(Ordering::SeqCst);
            self.before_runs.store(left.saturating_sub(1), Ordering::SeqCst);
            left > 0
        };
        Box::pin(async move {
            if fails { Err("the database is away".into()) } else { Ok(Counted::default()) }
        })
    }
}

#[tokio::test]
async fn failing_count_store_neither_loses_nor_doubles_a_mail() {
    use openmail_tower::{EventRouter, HandlerErrorKind, handler::State, openmail_handler};

    #[derive(Clone, Default)]
    struct Runs(Arc<AtomicU32>);

    #[openmail_handler(event = "message.received")]
    async fn answer(State(Runs(runs)): State<Runs>) -> Reply {
        runs.fetch_add(1, Ordering::SeqCst);
        Reply::text("Thank you.")
    }
    let failing = Failing { before_runs: Arc::new(2.into()), replies: true };
    let limit = Rate::new(1, HOUR);
    let guard = GuardLayer::default().counts(failing).replies_per_sender(limit);
    let runs = Runs::default();
    let guarded = guard.layer(EventRouter::new().handler(answer).with_state(runs.clone()));
    let run = async |id: &str| {
        let mail = TestEvent::message_received().message_field("id", id);
        guarded.clone().oneshot(mail.from("ada@example.org").verified()).await
    };
    for _ in 0..2 {
        let error = run("msg_1").await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Unavailable, "it runs later");
    }
    assert_eq!(runs.0.load(Ordering::SeqCst), 0, "a mail ran without being counted");
    // The handler has run, so its reply is sent if the counts of this process allow it.
    assert!(matches!(run("msg_1").await.unwrap(), Outcome::Replies(_)));
    assert!(matches!(run("msg_2").await.unwrap(), Outcome::Muted { rule: "reply_rate" }));
    assert_eq!(runs.0.load(Ordering::SeqCst), 2);
}
