//! One inbox with 15,000 mails, whose agent hangs, refuses or is slow.
#![cfg(target_os = "linux")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    routing::post,
};
use openmail_tests::{PostgresSchema, Process, event, head, raw};
use openmail_tower::queue::{Enqueue, PostgresStore, QueueStore, SqliteStore};
use sqlx::{Executor, SqlitePool};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};
use tower::ServiceExt;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flooded");
const MAILS: usize = 15_000;
/// Maximum time for a mail of another inbox to start.
const PROMPT: Duration = Duration::from_secs(1);
/// The worker's default budget, plus the rest of the process.
const MEMORY: u64 = (64 + 32) << 10;
/// The number of mails of other inboxes, of which one in twenty may come late: the machine may be
/// busy with something else for a moment.
const OTHERS: usize = 100;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Adds one mail of `flooded`, with 1 MiB of parsed values.
async fn add_one<St: QueueStore>(store: &St) {
    let values = vec!["[0]"; 3000].join(",");
    let mail = event(format!(
        r#"{{"event":"message.received","event_id":"flood","inbox_id":"flooded","thread_id":"thr",
            "message":{{"id":"m","from":"a@example.com"}},"values":[{values}]}}"#
    ));
    Enqueue::new(store.clone()).oneshot(mail).await.unwrap();
}

/// Copies that mail, each copy to its own lane.
const COPY: &str = "
    INSERT INTO openmail_events (dedupe_key, lane, event_id, kind, inbox_id, thread_id, state,
      due_at, queued_at, signed_at, weight, body)
    WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 15000)
    SELECT dedupe_key || n, lane || n, event_id || n, kind, inbox_id, thread_id || n, state,
      due_at, queued_at, signed_at, weight, body
    FROM openmail_events, n";

/// An agent for each behaviour, and one that records the event ids of other inboxes' mails.
struct Agents {
    address: SocketAddr,
    /// How often one of the bad agents was called.
    calls: Arc<AtomicUsize>,
    arrivals: UnboundedReceiver<(String, Instant)>,
    /// Bound, but not listening: connections are refused, and nobody else gets the port.
    closed: TcpSocket,
}

impl Agents {
    async fn start() -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = || {
            let calls = Arc::clone(&calls);
            move || calls.fetch_add(1, Ordering::Relaxed)
        };
        let (arrived, arrivals) = unbounded_channel();
        let (hang, refuse, slow) = (count(), count(), count());
        let app = Router::new()
            .route(
                "/hangs",
                post(move || async move {
                    hang();
                    std::future::pending::<()>().await;
                }),
            )
            .route(
                "/refuses",
                post(move || async move {
                    // The 503 counts as an attempt, the 409 does not.
                    let status = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];
                    (status[refuse() % 2], [(RETRY_AFTER, "1")])
                }),
            )
            .route(
                "/slow",
                post(move || async move {
                    slow();
                    // As slow as a language model may be.
                    sleep(Duration::from_secs(2)).await;
                }),
            )
            .route(
                "/others",
                post(async move |headers: HeaderMap| {
                    let id = headers["x-event-id"].to_str().unwrap().to_owned();
                    arrived.send((id, Instant::now())).unwrap();
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address, calls, arrivals, closed }
    }

    fn url(&self, agent: &str) -> String {
        match agent {
            "refuses connections" => format!("http://{}/", self.closed.local_addr().unwrap()),
            agent => format!("http://{}/{agent}", self.address),
        }
    }

    /// Delivers a mail of another inbox. Returns how long it takes to reach its agent.
    async fn other(&mut self, receiver: SocketAddr, id: &str) -> Duration {
        let json = format!(
            r#"{{"event":"message.received","event_id":"{id}","inbox_id":"inb {id}",
                "message":{{"id":"m","from":"a@example.com"}}}}"#
        );
        let head = head(json.as_bytes(), &format!("content-length: {}\r\n", json.len()));
        let begun = Instant::now();
        assert_eq!(raw(receiver, &[&head, json.as_bytes()]).await, "HTTP/1.1 200 OK");
        loop {
            let (arrived, at) = self.arrivals.recv().await.unwrap();
            if arrived == id {
                return at - begun;
            }
        }
    }
}

async fn other_inboxes_are_served(database: &str) {
    let mut agents = Agents::start().await;
    for agent in ["hangs", "refuses", "refuses connections", "slow"] {
        // With the default number of runs, and with so many that only the budget limits them.
        for concurrency in [16, 256] {
            agents.calls.store(0, Ordering::Relaxed);
            let arguments =
                [database, &concurrency.to_string(), &agents.url(agent), &agents.url("others")];
            let receiver = Process::start_with(PROGRAM, &arguments);
            let flooded = async {
                // Half of the memory, or three quarters of the runs.
                while agent != "refuses connections" && agents.calls.load(Ordering::Relaxed) < 12 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, flooded).await.expect("the flooded inbox has its share");
            let mut waits = Vec::new();
            for number in 0..OTHERS {
                let id = format!("{agent} {concurrency} {number}");
                let other = agents.other(receiver.address(), &id);
                waits.push(timeout(PATIENCE, other).await.expect("it starts"));
                let late = waits.iter().filter(|wait| **wait > PROMPT).count();
                assert!(late <= OTHERS / 20, "{agent}, {concurrency} runs: {waits:?}");
                // Spreads them over the agent's next answers.
                sleep(Duration::from_millis(20)).await;
            }
            waits.sort_unstable();
            let memory = receiver.memory();
            println!(
                "{agent}, {concurrency} runs: others start after {:?}, the last after {:?}; {} MiB",
                waits[OTHERS / 2],
                waits[OTHERS - 1],
                memory.peak >> 10
            );
            assert!(memory.peak < MEMORY, "{memory:?}");
            receiver.stop();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_starts_mails_of_other_inboxes_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inbox.db");
    let store = SqliteStore::open(&path).await.unwrap();
    add_one(&store).await;
    store.close().await;
    let database = path.to_str().unwrap();
    let pool = SqlitePool::connect(&format!("sqlite:{database}")).await.unwrap();
    let copied = pool.execute(COPY).await.unwrap().rows_affected();
    assert_eq!(copied, MAILS as u64 - 1);
    pool.close().await;
    other_inboxes_are_served(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OPENMAIL_TEST_POSTGRES"]
async fn postgres_starts_mails_of_other_inboxes_within_a_second() {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    add_one(&store).await;
    store.close().await;
    let pool = schema.pool().await;
    let copied = pool.execute(COPY).await.unwrap().rows_affected();
    assert_eq!(copied, MAILS as u64 - 1);
    pool.close().await;
    other_inboxes_are_served(schema.url()).await;
    schema.drop().await;
}
