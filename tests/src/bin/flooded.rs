//! A receiver in its own process, so that its memory can be measured. Its inbox `flooded` has a
//! separate agent.
//!
//! `flooded DATABASE CONCURRENCY FLOODED OTHERS`. The database is an SQLite file or a `postgres://`
//! URL. The mails of `flooded` are forwarded to the URL FLOODED, all others to OTHERS. The program
//! prints its address and ends when its standard input does.

use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use openmail_tests::layer;
use openmail_tower::{
    EventRouter,
    layers::Forward,
    queue::{Enqueue, PostgresStore, QueueStore, SqliteStore},
    webhook,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    net::TcpListener,
    sync::Notify,
};

type Failure = Box<dyn Error + Send + Sync>;

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
    let router = EventRouter::new().fallback_service(Forward::new(client.clone(), others.parse()?));
    router.inboxes().replace_service("flooded", Forward::new(client, flooded.parse()?))?;
    let worker = queue.worker(router).concurrency(concurrency).grace(Duration::ZERO);
    let app = axum::Router::new().route_service("/webhooks", webhook(layer(), queue));
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
