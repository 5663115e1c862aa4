//! One inbox with 15,000 mails, whose agent hangs, refuses or is slow, and mails of other inboxes.

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
    http::{HeaderMap, StatusCode, Uri, header::RETRY_AFTER},
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
/// The number of mails of other inboxes.
const OTHERS: usize = 100;
/// How many mails of the flooded inbox may overtake a mail of another inbox, as a multiple of the
/// flooded inbox's share of the runs. The worker claims mails of the flooded inbox as its runs end,
/// until the worker's next search for due mails skips that inbox. One mail in twenty may be
/// overtaken by more, since the machine may be busy with something else during the search.
const CLAIMS: usize = 20;
/// The worker's default budget, plus the rest of the process, in KiB.
const MEMORY: u64 = (64 + 32) << 10;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an agent of the flooded inbox does, and how many runs the worker has.
#[derive(Debug, Clone, Copy)]
struct Case {
    agent: &'static str,
    concurrency: usize,
}

impl Case {
    /// Each agent, with the default number of runs and with so many that only the budget limits
    /// them.
    fn all() -> impl Iterator<Item = Self> {
        let agents = ["hangs", "refuses", "refuses connections", "slow"];
        agents.into_iter().flat_map(|agent| {
            [16, 256].into_iter().map(move |concurrency| Self { agent, concurrency })
        })
    }

    /// Returns the maximum number of concurrent runs of one inbox: three quarters of the runs, or
    /// half of the memory, at 1 MiB for each mail.
    fn share(self) -> usize {
        (self.concurrency * 3 / 4).min(32)
    }
}

/// Adds one mail of `flooded`, with parsed values of about 1 MiB.
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

/// The arrival of another inbox's mail at its agent.
struct Arrival {
    id: String,
    overtaken: usize,
    at: Instant,
}

/// An agent for each behaviour, and one that records the mails of other inboxes.
struct Agents {
    address: SocketAddr,
    /// How often one of the bad agents was called.
    calls: Arc<AtomicUsize>,
    arrivals: UnboundedReceiver<Arrival>,
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
                post(async move |headers: HeaderMap, uri: Uri| {
                    let query = uri.query().and_then(|query| query.strip_prefix("overtaken="));
                    let overtaken = query.unwrap().parse().unwrap();
                    let id = headers["x-event-id"].to_str().unwrap().to_owned();
                    arrived.send(Arrival { id, overtaken, at: Instant::now() }).unwrap();
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

    /// Delivers a mail of another inbox. Returns how long it takes to reach its agent, and how many
    /// runs overtake it.
    async fn other(&mut self, receiver: SocketAddr, id: &str) -> (Duration, usize) {
        let json = format!(
            r#"{{"event":"message.received","event_id":"{id}","inbox_id":"inb {id}",
                "message":{{"id":"m","from":"a@example.com"}}}}"#
        );
        let head = head(json.as_bytes(), &format!("content-length: {}\r\n", json.len()));
        let begun = Instant::now();
        assert_eq!(raw(receiver, &[&head, json.as_bytes()]).await, "HTTP/1.1 200 OK");
        loop {
            let arrival = self.arrivals.recv().await.unwrap();
            if arrival.id == id {
                return (arrival.at - begun, arrival.overtaken);
            }
        }
    }

    /// Asserts that few runs of the flooded inbox overtake the mails of other inboxes, that all of
    /// these start `within` this time, and that the receiver's memory stays within its limit.
    async fn measure(&mut self, database: &str, case: Case, within: Option<Duration>) {
        let Case { agent, concurrency } = case;
        self.calls.store(0, Ordering::Relaxed);
        let arguments = [database, &concurrency.to_string(), &self.url(agent), &self.url("others")];
        let receiver = Process::start_with(PROGRAM, &arguments);
        let flooded = async {
            // With 12 calls, the flood has begun: they are the flooded inbox's share of 16 runs, and
            // its share of 256 runs is larger. Polls, since the agents only count.
            while agent != "refuses connections" && self.calls.load(Ordering::Relaxed) < 12 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, flooded).await.expect("the flooded inbox runs");
        let (mut waits, mut overtaken) = (Vec::new(), Vec::new());
        for number in 0..OTHERS {
            let id = format!("{agent} {concurrency} {number}");
            let other = self.other(receiver.address(), &id);
            let (wait, runs) = timeout(PATIENCE, other).await.expect("it starts");
            waits.push(wait);
            overtaken.push(runs);
            let most = CLAIMS * case.share();
            let late = overtaken.iter().filter(|runs| **runs > most).count();
            assert!(late <= OTHERS / 20, "{case:?}: {overtaken:?}");
            // Spreads the mails over the next answers of the flooded inbox's agent.
            sleep(Duration::from_millis(20)).await;
        }
        waits.sort_unstable();
        overtaken.sort_unstable();
        let memory = receiver.memory();
        receiver.stop();
        println!(
            "{agent}, {concurrency} runs: others start after {:?}, the last after {:?}; overtaken \
             by {}, at most by {}; {} MiB",
            waits[OTHERS / 2],
            waits[OTHERS - 1],
            overtaken[OTHERS / 2],
            overtaken[OTHERS - 1],
            memory.peak >> 10
        );
        assert!(memory.peak < MEMORY, "{case:?}: {memory:?}");
        let in_time = within.is_none_or(|within| waits[OTHERS - 1] <= within);
        assert!(in_time, "{case:?}: {waits:?}");
    }
}

async fn measure_all(database: &str, within: Option<Duration>) {
    let mut agents = Agents::start().await;
    for case in Case::all() {
        agents.measure(database, case, within).await;
    }
}

pub(crate) async fn on_sqlite(within: Option<Duration>) {
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
    measure_all(database, within).await;
}

pub(crate) async fn on_postgres(within: Option<Duration>) {
    let schema = PostgresSchema::new().await;
    let store = PostgresStore::connect(schema.url()).await.unwrap();
    add_one(&store).await;
    store.close().await;
    let pool = schema.pool().await;
    let copied = pool.execute(COPY).await.unwrap().rows_affected();
    assert_eq!(copied, MAILS as u64 - 1);
    pool.close().await;
    measure_all(schema.url(), within).await;
    schema.drop().await;
}
