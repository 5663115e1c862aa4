//! A webhook without a web framework: hyper's server, and a tower service.
//!
//! `OPENMAIL_WEBHOOK_SECRET=… cargo run -p example-hyper`

#[cfg(test)]
mod tests;

use std::{
    env,
    future::Future,
    io,
    pin::pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use openmail_tower::{
    EventRouter, Message, VerifyLayer, handler::State, openmail_handler, webhook,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

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
    let layer = VerifyLayer::from_env()?;
    let address = env::var("OPENMAIL_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await.with_context(|| {
        format!("cannot listen on {address}; set OPENMAIL_LISTEN to another address")
    })?;
    let stopping = stop();
    tracing::info!("listening on http://{}/", listener.local_addr()?);
    serve(listener, layer, Received::default(), stopping).await;
    Ok(())
}

/// Maximum number of concurrent connections. Further ones wait until one ends.
const CONNECTIONS: usize = 1024;

/// Maximum time for requests in progress to finish once the server is stopping: no event takes
/// longer than `Endpoint`'s deadline, 12 s.
const GRACE: Duration = Duration::from_secs(15);

/// The number of mails received.
#[derive(Debug, Clone, Default)]
struct Received(Arc<AtomicU64>);

#[openmail_handler(event = "message.received")]
async fn receive(mail: &Message, State(received): State<Received>) {
    let count = received.0.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::info!(count, message_id = %mail.id, "mail");
}

/// Serves the webhook at any path until `stop`. Then finishes the requests in progress, for
/// [`GRACE`] at most.
async fn serve(
    listener: TcpListener,
    layer: VerifyLayer,
    received: Received,
    stop: impl Future<Output = ()>,
) {
    let events = EventRouter::new().handler(receive).with_state(received);
    let service = TowerToHyperService::new(webhook(layer, events));
    let mut http = http1::Builder::new();
    // The layer limits the time for a body; the server must limit the time for a head.
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    // The layer bounds the memory of bodies; the server must bound the buffers of its connections.
    http.max_buf_size(64 << 10);

    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let connection = http.serve_connection(TokioIo::new(stream), service.clone());
                    let connection = graceful.watch(connection);
                    connections.spawn(async {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "connection broken");
                        }
                    });
                }
                Err(error) => {
                    // For example, no file handles are left. Some become free as connections end.
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }

    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        // Only the connections that are still open count.
        while connections.try_join_next().is_some() {}
        tracing::warn!(
            connections = connections.len(),
            "connections were closed before they finished"
        );
    }
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
