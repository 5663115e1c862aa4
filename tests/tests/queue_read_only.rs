//! A PostgreSQL database that is read-only for 20 s, while mails arrive and run.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use openmail_tests::{PostgresDatabase, PostgresServer, States, event, states};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, PostgresStore},
};
use sqlx::PgPool;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceExt, service_fn};

const READ_ONLY: Duration = Duration::from_secs(20);
/// Maximum time until everything runs again.
const PROMPT: Duration = Duration::from_secs(5);
const THREADS: usize = 20;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The mails of one thread, numbered from 0.
#[derive(Debug, Clone, Default)]
struct Thread {
    acknowledged: usize,
    refused: usize,
    ran: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Mails {
    threads: Arc<Mutex<Vec<Thread>>>,
    stopped: Arc<AtomicBool>,
}

impl Mails {
    fn new() -> Self {
        let threads = Arc::new(Mutex::new(vec![Thread::default(); THREADS]));
        Self { threads, stopped: Arc::default() }
    }

    /// Sends the mails of a thread one after another, each until it is acknowledged.
    async fn send(self, queue: Enqueue<PostgresStore>, thread: usize) {
        while !self.stopped.load(Ordering::Relaxed) {
            let number = self.threads.lock().unwrap()[thread].acknowledged;
            let mail = event(format!(
                r#"{{"event":"message.received","event_id":"{thread}.{number}","inbox_id":"i",
                    "thread_id":"{thread}","message":{{"id":"m","from":"a@example.com"}}}}"#
            ));
            let outcome = queue.clone().oneshot(mail).await;
            // A duplicate if the response to the commit was lost.
            let acknowledged = match outcome {
                Ok(Outcome::Queued | Outcome::Duplicate) => true,
                Ok(other) => panic!("{other:?}"),
                Err(_) => false,
            };
            self.record(thread, acknowledged);
            // The pace of the deliveries and of their retries.
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn record(&self, thread: usize, acknowledged: bool) {
        let thread = &mut self.threads.lock().unwrap()[thread];
        *(if acknowledged { &mut thread.acknowledged } else { &mut thread.refused }) += 1;
    }

    async fn run(self, event: VerifiedEvent) -> Result<Outcome, HandlerError> {
        // Long enough that some are running when the database becomes read-only.
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        let id = event.event_id().unwrap().as_str();
        let (thread, number) = id.split_once('.').unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        self.threads.lock().unwrap()[thread].ran.push(number);
        Ok(Outcome::Done)
    }

    fn now(&self) -> Vec<Thread> {
        self.threads.lock().unwrap().clone()
    }

    /// Waits until this mail of each thread has run. Returns how long that took.
    async fn until_run(&self, numbers: impl Fn(usize) -> usize) -> Duration {
        let since = Instant::now();
        let all = async {
            let has_run = |(thread, it): (usize, Thread)| it.ran.contains(&numbers(thread));
            while !self.now().into_iter().enumerate().all(has_run) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("they run");
        since.elapsed()
    }
}

/// Delivers and runs mails while the stores become read-only and writable again, and asserts that
/// each accepted mail runs once and in order. Returns how many deliveries were refused.
async fn nothing_is_stranded(
    stores: [PostgresStore; 2],
    read_only: impl AsyncFnOnce(),
    writable: impl AsyncFnOnce(),
) -> usize {
    let mails = Mails::new();
    let [queue, deliveries] = stores.map(Enqueue::new);
    let handler = {
        let mails = mails.clone();
        service_fn(move |event: VerifiedEvent| mails.clone().run(event))
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = tokio::spawn(queue.worker(handler).run(async { drop(stopped.await) }));
    let mut senders = JoinSet::new();
    for thread in 0..THREADS {
        senders.spawn(mails.clone().send(deliveries.clone(), thread));
    }
    mails.until_run(|_| 5).await;
    read_only().await;
    // Mails continue to arrive.
    sleep(READ_ONLY).await;
    // Once the first unacknowledged mail of a thread has run, all acknowledged ones have run, too.
    let tried = mails.now();
    writable().await;
    let time = mails.until_run(|thread| tried[thread].acknowledged).await;
    println!("everything ran {time:?} after the database was writable");
    assert!(time < PROMPT, "{time:?}");

    mails.stopped.store(true, Ordering::Relaxed);
    senders.join_all().await;
    let all_done = async {
        while states(queue.store()).await != States::default() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all_done).await.expect("nothing is stranded");
    drop(stop);
    assert_eq!(worker.await.unwrap(), 0);
    for thread in mails.now() {
        let all: Vec<_> = (0..thread.acknowledged).collect();
        assert_eq!(thread.ran, all, "in order, each once: settlements wait for the store");
    }
    for queue in [queue, deliveries] {
        queue.store().close().await;
    }
    mails.now().iter().map(|thread| thread.refused).sum()
}

/// As during a failover: the server is a replica, which refuses every write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES_BIN"]
async fn promotion_after_20_seconds_strands_nothing() {
    let mut server = PostgresServer::start().await;
    let url = server.url();
    let pool = PgPool::connect(&url).await.unwrap();
    let stores = [
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::new(pool.clone()).await.unwrap(),
    ];
    let read_only = async || {
        server.follow();
        server.restart().await;
    };
    let promote = async || {
        let promoted = sqlx::query_scalar("SELECT pg_promote()").fetch_one(&pool);
        assert!(promoted.await.unwrap_or(false), "it is promoted");
    };
    assert!(nothing_is_stranded(stores, read_only, promote).await >= THREADS, "writes failed");
}

/// Makes read-only the default of the database or the role. Existing sessions would keep their
/// setting, so the test ends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn read_only_default_for_20_seconds_strands_nothing() {
    for whose in ["DATABASE", "ROLE"] {
        let database = PostgresDatabase::new("").await;
        let role = database.role().await;
        let name = if whose == "ROLE" { role.name() } else { database.name() };
        PostgresStore::connect(database.url()).await.unwrap().close().await;
        role.grant_rows().await;
        let stores = [
            PostgresStore::connect(role.url()).await.unwrap(),
            PostgresStore::new(PgPool::connect(role.url()).await.unwrap()).await.unwrap(),
        ];
        let set = async |setting: &str| {
            let setting = format!("SET default_transaction_read_only {setting}");
            database.run(&format!("ALTER {whose} {name} {setting}")).await;
        };
        let read_only = async || {
            set("= on").await;
            let sessions = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
                database.name()
            );
            database.run(&sessions).await;
        };
        let reset = async || set("= off").await;
        let refused = nothing_is_stranded(stores, read_only, reset).await;
        println!("{whose}: {refused} deliveries were refused, when their sessions ended");
        assert!(refused <= THREADS, "only once each");
        role.drop().await;
        database.drop().await;
    }
}
