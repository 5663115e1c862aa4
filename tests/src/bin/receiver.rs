//! A receiver that tests kill: a webhook in front of a queue, and a worker.
//!
//! `receiver DATABASE RUNS [worker|stuck [LEASE]|poisoned]`. The database is an SQLite file or a
//! `postgres://` URL. A line is appended to the file RUNS when a handler begins, and another when
//! it fails. The program prints its address (or `none` if it is only a worker), and ends when its
//! standard input does. A `stuck` worker has handlers that never end, logs warnings to its standard
//! error, and has the default settings, except for LEASE, in seconds. A `poisoned` one has two
//! attempts for each event, and aborts when it runs the event `poison`.

use std::{
    env,
    error::Error,
    fs::OpenOptions,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use openmail_tests::layer;
use openmail_tower::{
    HandlerError, Outcome, VerifiedEvent,
    queue::{Backoff, Enqueue, PostgresStore, QueueStore, SqliteStore},
    webhook,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    net::TcpListener,
    sync::Notify,
};
use tower::service_fn;
use tracing::Level;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, runs, rest @ ..] = &*arguments else {
        return Err("usage: receiver DATABASE RUNS [worker|stuck [LEASE]|poisoned]".into());
    };
    if database.starts_with("postgres") {
        receive(Enqueue::new(PostgresStore::connect(database).await?), runs, rest).await
    } else {
        receive(Enqueue::new(SqliteStore::open(database).await?), runs, rest).await
    }
}

async fn receive<St: QueueStore>(
    queue: Enqueue<St>,
    runs: &str,
    rest: &[String],
) -> Result<(), Failure> {
    let (serves, mode) = (rest.is_empty(), rest.first().map_or("", String::as_str));
    let (stuck, poisoned) = (mode == "stuck", mode == "poisoned");
    if stuck {
        tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(io::stderr).init();
    }
    let stop = Arc::new(Notify::new());
    let runs = Arc::new(OpenOptions::new().create(true).append(true).open(runs)?);
    let handler = service_fn(move |event: VerifiedEvent| {
        let runs = Arc::clone(&runs);
        async move {
            let id = event.event_id().map_or("", |id| id.as_str());
            (&*runs).write_all(format!("{id} begun\n").as_bytes())?;
            if stuck {
                std::future::pending::<()>().await;
            }
            // Leaves time for the test to kill the process.
            tokio::time::sleep(Duration::from_millis(u64::from(fastrand::u8(..)) / 8)).await;
            if poisoned && id == "poison" {
                std::process::abort();
            }
            if !poisoned && fastrand::u8(..) < 16 {
                (&*runs).write_all(format!("{id} failed\n").as_bytes())?;
                return Err(HandlerError::failed("by chance"));
            }
            Ok::<_, HandlerError>(Outcome::Done)
        }
    });
    let worker = queue.worker(handler);
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    let worker = if stuck {
        match rest.get(1) {
            Some(seconds) => worker.lease(Duration::from_secs(seconds.parse()?)),
            None => worker,
        }
    } else if poisoned {
        worker.backoff(backoff.attempts(2))
    } else {
        let poll = Duration::from_millis(100);
        worker.lease(Duration::from_secs(1)).poll_interval(poll).backoff(backoff)
    };
    let address = if serves {
        let app = axum::Router::new().route_service("/webhooks", webhook(layer(), queue));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async { axum::serve(listener, app).await });
        address
    } else {
        "none".to_owned()
    };
    writeln!(io::stdout(), "{address}")?;
    // A handler may crash the process, so the worker is started last.
    let stopped = Arc::clone(&stop);
    let worker = tokio::spawn(async move { worker.run(stopped.notified()).await });
    stdin().read_to_end(&mut Vec::new()).await?;
    stop.notify_one();
    worker.await?;
    Ok(())
}
