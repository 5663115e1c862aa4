//! A webhook as one route of a larger axum application.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-axum`

#[cfg(test)]
mod tests;

use std::{
    env, io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use openmail_tower::{Event, VerifiedEvent, VerifyLayer};
use serde::Serialize;
use tokio::{net::TcpListener, time::sleep};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Maximum time for requests in progress to finish once the server is stopping.
const GRACE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let app = app(VerifyLayer::from_env()?, Seen::default());
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let (stopping, grace) = (stop(), stop());
    tracing::info!("listening on http://{}/webhooks", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(stopping);
    // A client that never finishes its request must not prevent the program from ending.
    tokio::select! {
        served = server => served?,
        () = async { grace.await; sleep(GRACE).await } => {}
    }
    Ok(())
}

/// The application's state: what has arrived so far.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    mails: AtomicU64,
    others: AtomicU64,
}

/// The application.
fn app(layer: VerifyLayer, seen: Seen) -> Router {
    Router::new()
        .route("/", get(async || "see /status\n"))
        .route("/status", get(status))
        // Around this route only: requests to the other routes are not signed.
        .route("/webhooks", post(receive).layer(layer))
        .with_state(seen)
}

#[derive(Serialize)]
struct Status {
    mails: u64,
    others: u64,
}

async fn status(State(Seen(counts)): State<Seen>) -> Json<Status> {
    let [mails, others] = [&counts.mails, &counts.others].map(|it| it.load(Ordering::Relaxed));
    Json(Status { mails, others })
}

/// An ordinary axum handler. It only runs for signed events: without the layer, the extractor
/// answers 500. Unknown events are answered with 2xx as well, so that OpenMail does not send them
/// again.
async fn receive(State(Seen(counts)): State<Seen>, event: VerifiedEvent) -> StatusCode {
    match event.event() {
        Event::MessageReceived(mail) => {
            counts.mails.fetch_add(1, Ordering::Relaxed);
            tracing::info!(inbox = %mail.inbox_id, message_id = %mail.message.id, "mail");
        }
        other => {
            counts.others.fetch_add(1, Ordering::Relaxed);
            tracing::info!(event = %other.kind(), "nothing to do");
        }
    }
    StatusCode::NO_CONTENT
}

/// Completes on Ctrl-C or, on Unix, on SIGTERM, which service managers send. On Unix, it listens
/// from the time of the call, so that an early signal is not lost.
fn stop() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).expect("cannot listen for SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("cannot listen for SIGTERM");
        async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        tokio::signal::ctrl_c().await.expect("cannot listen for Ctrl-C");
    }
}
