//! The parts of the `jetstream` example: [`Publish`] writes events to a stream, [`work`] runs them.

mod handlers;
mod message;
mod publish;
mod run;
mod stream;
mod worker;

use std::{future::Future, io, time::Duration};

use async_nats::jetstream::Context;
use axum::Router;
use openmail_tower::{EventRouter, VerifyLayer, webhook};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

pub use handlers::events;
pub use publish::Publish;
pub use stream::{CONSUMER, STREAM, connect, consumer, consumer_config, stream_config};
pub use worker::work;

/// Maximum time for requests in progress to finish once the server is stopping: `Endpoint` answers
/// within 12 s.
const GRACE: Duration = Duration::from_secs(15);

/// Receives and runs events until `signal`, then finishes everything in progress, within a time
/// limit.
///
/// # Errors
/// If the consumer cannot be opened, or the HTTP server fails.
pub async fn run(
    listener: TcpListener,
    layer: VerifyLayer,
    context: Context,
    events: EventRouter,
    signal: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let consumer = consumer(&context).await?;
    let app = Router::new().route_service("/webhooks", webhook(layer, Publish::new(context)));
    let stop = CancellationToken::new();
    let serving = async {
        let served: io::Result<()> = serve(listener, app, stop.clone()).await;
        stop.cancel();
        served
    };
    let stopping = async {
        tokio::select! {
            () = signal => stop.cancel(),
            () = stop.cancelled() => {}
        }
    };
    let (served, cut, ()) = tokio::join!(serving, work(consumer, events, stop.clone()), stopping);
    if cut > 0 {
        tracing::warn!(cut, "runs were cancelled; their events will run again");
    }
    Ok(served?)
}

/// Serves until `stop`, then finishes the requests in progress, for 15 s at most.
///
/// # Errors
/// If the server fails.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) -> io::Result<()> {
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server => served,
        // A client that never finishes its request must not prevent the program from ending.
        () = async { stop.cancelled().await; sleep(GRACE).await } => Ok(()),
    }
}
