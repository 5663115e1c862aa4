//! A receiver in its own process, so that its memory can be measured. Its inbox `flooded` has a
//! separate agent.
//!
//! `flooded DATABASE CONCURRENCY FLOODED OTHERS`. The database is an SQLite file or a `postgres://`
//! URL. The mails of `flooded` are forwarded to the URL FLOODED, all others to OTHERS. The program
//! prints its address and ends when its standard input does.
//!
//! A mail of another inbox is forwarded with the query `overtaken`: the number of runs of `flooded`
//! that started after this mail arrived and before its own run started.

use std::{
    collections::HashMap,
    env,
    error::Error,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use openmail_tests::layer;
use openmail_tower::{
    EventId, EventRouter, HandlerError, VerifiedEvent,
    layers::Forward,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore},
    webhook,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    net::TcpListener,
    sync::Notify,
};
use tower::{ServiceExt, service_fn};

type Failure = Box<dyn Error + Send + Sync>;

/// Counts the runs of `flooded` that overtake a mail of another inbox.
#[derive(Debug, Clone, Default)]
struct Counts(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    runs: usize,
    /// The number of runs when each mail of another inbox arrived.
    arrived: HashMap<EventId, usize>,
}

impl Counts {
    fn with<T>(&self, change: impl FnOnce(&mut Counted) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn flooded_starts(&self) {
        self.with(|counted| counted.runs += 1);
    }

    fn arrives(&self, event: &VerifiedEvent) {
        if let Some(id) = event.event_id().cloned() {
            self.with(|counted| counted.arrived.insert(id, counted.runs));
        }
    }

    /// Returns how many runs have overtaken the event. Returns 0 if it arrived at an earlier
    /// process that ended before settling it: then the number is unknown, and the test ignores it.
    fn starts(&self, event: &VerifiedEvent) -> usize {
        self.with(|counted| {
            let arrived = event.event_id().and_then(|id| counted.arrived.get(id));
            counted.runs - arrived.copied().unwrap_or(counted.runs)
        })
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, concurrency, flooded, others] = &*arguments else {
        return Err("usage: flooded DATABASE CONCURRENCY FLOODED OTHERS".into());
    };
    let concurrency = concurrency.parse()?;
    if database.starts_with("postgres") {
        let queue = Enqueue::new(PostgresStore::connect(database).await?);
        receive(queue, concurrency, flooded, others).await
    } else {
        let queue = Enqueue::new(SqliteStore::open(database).await?);
        receive(queue, concurrency, flooded, others).await
    }
}

async fn receive<St: QueueStore>(
    queue: Enqueue<St>,
    concurrency: usize,
    flooded: &str,
    others: &str,
) -> Result<(), Failure> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let counts = Counts::default();
    let others = service_fn({
        let (counts, client, url) = (counts.clone(), client.clone(), others.to_owned());
        move |event: VerifiedEvent| {
            let url = format!("{url}?overtaken={}", counts.starts(&event));
            let client = client.clone();
            async move {
                let url = url.parse().map_err(HandlerError::permanent)?;
                Forward::new(client, url).oneshot(event).await
            }
        }
    });
    let flooded = Forward::new(client, flooded.parse()?).map_request({
        let counts = counts.clone();
        move |event: VerifiedEvent| {
            counts.flooded_starts();
            event
        }
    });
    let router = EventRouter::new().fallback_service(others);
    router.inboxes().replace_service("flooded", flooded)?;
    let worker = queue.worker(router).concurrency(concurrency).grace(Duration::ZERO);
    let events = queue.map_request(move |event: VerifiedEvent| {
        counts.arrives(&event);
        event
    });
    let app = axum::Router::new().route_service("/webhooks", webhook(layer(), events));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let worker = tokio::spawn(async move { worker.run(stopped.notified()).await });
    tokio::select! {
        end = axum::serve(listener, app) => end?,
        end = async { stdin().read_to_end(&mut Vec::new()).await } => drop(end?),
    }
    stop.notify_one();
    worker.await?;
    Ok(())
}
