//! Measures the time from a request, through the queue, to the start of the handler.
//!
//! `cargo bench -p openmail-tests --bench latency`. PostgreSQL is measured if
//! `OPENMAIL_TEST_POSTGRES` is set to its URL. Server, worker and client are one process; the
//! requests go over loopback.

use std::{
    collections::HashMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openmail_tests::{
    PostgresSchema, layer,
    measure::{Table, percentile, time},
    signed,
};
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Enqueue, PostgresStore, QueueStore},
    webhook,
};
use tokio::{net::TcpListener, task::JoinSet, time::sleep_until};
use tower::service_fn;

/// The number of consecutive requests, with a pause between them.
const IDLE: usize = 500;
const PAUSE: Duration = Duration::from_millis(5);
/// The number of concurrent requests in the burst that measures the highest rate of
/// acknowledgements.
const AT_ONCE: usize = 64;
/// The maximum number of requests in the burst, which is a multiple of [`AT_ONCE`].
const BURST: usize = 10_000;
/// The duration for which requests are sent at half of the highest rate.
const LOAD: Duration = Duration::from_secs(5);

/// When each event's request was sent, and how long its handler took to start.
#[derive(Default)]
struct Times {
    sent: Mutex<HashMap<String, Instant>>,
    started: Mutex<Vec<f64>>,
}

impl Times {
    fn handler_starts(&self, event: &VerifiedEvent) {
        let now = Instant::now();
        let id = event.event_id().expect("an id").as_str();
        let sent = self.sent.lock().expect("no panic").remove(id);
        let took = now - sent.expect("it was sent");
        self.started.lock().expect("no panic").push(took.as_secs_f64());
    }

    /// Waits until this many handlers have started. Returns how long each took to start.
    async fn finish(&self, count: usize) -> Vec<f64> {
        while self.started.lock().expect("no panic").len() < count {
            // Polls, since the handlers only count.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::mem::take(&mut *self.started.lock().expect("no panic"))
    }
}

#[derive(Clone)]
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
    times: Arc<Times>,
    next: Arc<AtomicUsize>,
}

impl Sender {
    /// Sends a mail of about 1 KiB in its own thread.
    async fn send(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = "lorem ipsum ".repeat(60);
        let json = Bytes::from(format!(
            r#"{{"event":"message.received","event_id":"evt_{number}","inbox_id":"inb_1",
                "thread_id":"thr_{number}","message":{{"id":"msg_1","from":"a@example.com",
                "body_text":"{text}"}}}}"#,
        ));
        let mut request = signed(&json, Full::new(json.clone()));
        *request.uri_mut() = self.address.parse().expect("a URL");
        self.times.sent.lock().expect("no panic").insert(format!("evt_{number}"), Instant::now());
        let answer = self.client.request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

async fn measure<St: QueueStore>(queue: Enqueue<St>, name: &str, table: &mut Table) {
    let times = Arc::new(Times::default());
    let handler = {
        let times = Arc::clone(&times);
        service_fn(move |event: VerifiedEvent| {
            times.handler_starts(&event);
            async { Ok::<_, HandlerError>(Outcome::Done) }
        })
    };
    let worker = queue.worker(handler).concurrency(AT_ONCE);
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let app = axum::Router::new().route_service("/webhooks", webhook(layer(), queue.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/webhooks", listener.local_addr().expect("a port"));
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http();
    let sender = Sender { client, address, times: Arc::clone(&times), next: Arc::default() };

    for _ in 0..IDLE {
        sender.send().await;
        tokio::time::sleep(PAUSE).await;
    }
    let idle = times.finish(IDLE).await;
    let row = |what: &str, took: &[f64]| {
        let part = |part| time(Duration::from_secs_f64(percentile(took.iter().copied(), part)));
        [name.to_owned(), what.to_owned(), part(0.5), part(0.99)]
    };
    table.row(row("idle", &idle));

    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let sender = sender.clone();
        tasks.spawn(async move {
            for _ in 0..BURST / AT_ONCE {
                sender.send().await;
            }
        });
    }
    let count = tasks.len() * (BURST / AT_ONCE);
    tasks.join_all().await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    times.finish(count).await;

    let every = Duration::from_secs_f64(2.0 / rate);
    let (begun, mut tasks, mut number) = (tokio::time::Instant::now(), JoinSet::new(), 0);
    while begun.elapsed() < LOAD {
        // If this task was woken late, it sends all requests that are due.
        while begun + every * number <= tokio::time::Instant::now() {
            let sender = sender.clone();
            tasks.spawn(async move { sender.send().await });
            number += 1;
        }
        sleep_until(begun + every * number).await;
    }
    tasks.join_all().await;
    let loaded = times.finish(number as usize).await;
    table.row(row(&format!("{:.0} a second (half of the rate of acks)", rate / 2.0), &loaded));
    worker.abort();
    server.abort();
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut table = Table::new(["store", "load", "p50", "p99"]);
    let queue = Enqueue::sqlite(folder.path().join("inbox.db")).await.expect("a database");
    measure(queue.clone(), "SQLite", &mut table).await;
    queue.store().close().await;
    if env::var_os("OPENMAIL_TEST_POSTGRES").is_some() {
        let schema = PostgresSchema::new().await;
        let store = PostgresStore::connect(schema.url()).await.expect("a database");
        measure(Enqueue::new(store.clone()), "PostgreSQL", &mut table).await;
        store.close().await;
        schema.drop().await;
    }
    table.print("from the request to the start of the handler");
}
