//! A receiver in a process of its own, so that its memory can be measured.
//!
//! Prints its address, verifies as by default, holds each event for a second, and ends when its
//! standard input does.

use std::time::Duration;

use openmail_tests::layer;
use openmail_tower::{HandlerError, Outcome, VerifiedEvent, webhook};
use tokio::{io::AsyncReadExt, net::TcpListener, time::sleep};
use tower::service_fn;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let events = service_fn(async |event: VerifiedEvent| {
        sleep(Duration::from_secs(1)).await;
        drop(event);
        Ok::<_, HandlerError>(Outcome::Done)
    });
    // Slow bodies are to stay, however slow the machine.
    let layer = layer().body_timeout(Duration::from_secs(600)).body_minimum_rate(0);
    let app = axum::Router::new().route_service("/webhooks", webhook(layer, events));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::select! {
        end = axum::serve(listener, app) => end,
        end = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await } => end.map(drop),
    }
}
