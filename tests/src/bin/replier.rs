//! A receiver that answers each mail, and that tests kill or suspend.
//!
//! `replier DATABASE API [worker]`. The database is an SQLite file or a `postgres://` URL; the API
//! is the URL of a `fake_api`. The program prints its address (or `none` if it is only a worker),
//! and ends when its standard input does.

use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use openmail_tests::layer;
use openmail_tower::{
    HandlerError, IntoOutcome, Outcome, VerifiedEvent,
    api::{ApiKey, OpenMail},
    queue::{Backoff, Enqueue, PostgresStore, QueueStore, SqliteStore},
    reply::Reply,
    webhook,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    net::TcpListener,
    sync::Notify,
};
use tower::service_fn;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [database, api, rest @ ..] = &*arguments else {
        return Err("usage: replier DATABASE API [worker]".into());
    };
    let openmail = OpenMail::at(ApiKey::new("om_test")?, api)?;
    if database.starts_with("postgres") {
        receive(Enqueue::new(PostgresStore::connect(database).await?), openmail, rest).await
    } else {
        receive(Enqueue::new(SqliteStore::open(database).await?), openmail, rest).await
    }
}

async fn receive<St: QueueStore>(
    queue: Enqueue<St>,
    openmail: OpenMail,
    rest: &[String],
) -> Result<(), Failure> {
    let stop = Arc::new(Notify::new());
    let handler = service_fn(|_: VerifiedEvent| async {
        // Leaves time for the test to kill the process. Each run returns a different text, as a
        // model would.
        tokio::time::sleep(Duration::from_millis(u64::from(fastrand::u8(..)) / 16)).await;
        if fastrand::u8(..) < 16 {
            return Err(HandlerError::failed("by chance"));
        }
        let outcome: Result<Outcome, HandlerError> =
            Reply::text(format!("Hello {}.", fastrand::u64(..))).into_outcome();
        outcome
    });
    let worker = queue
        .worker(handler)
        .replies(openmail)
        .lease(Duration::from_secs(1))
        .poll_interval(Duration::from_millis(100))
        .backoff(
            Backoff::new(Duration::from_millis(10), Duration::from_millis(100)).attempts(1000),
        );
    let stopped = Arc::clone(&stop);
    let worker = tokio::spawn(async move { worker.run(stopped.notified()).await });
    let address = if rest.is_empty() {
        let app = axum::Router::new().route_service("/webhooks", webhook(layer(), queue));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async { axum::serve(listener, app).await });
        address
    } else {
        "none".to_owned()
    };
    writeln!(io::stdout(), "{address}")?;
    stdin().read_to_end(&mut Vec::new()).await?;
    stop.notify_one();
    worker.await?;
    Ok(())
}
