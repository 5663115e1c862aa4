//! A receiver in its own process, so that its memory can be measured.
//!
//! It prints its address and ends when its standard input does. It holds each event for a second,
//! and accepts bodies however slow; with the argument `prompt`, it does neither.

use std::time::Duration;

use openmail_tests::layer;
use openmail_tower::{HandlerError, Outcome, VerifiedEvent, webhook};
use tokio::{io::AsyncReadExt, net::TcpListener, time::sleep};
use tower::service_fn;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let prompt = std::env::args().any(|argument| argument == "prompt");
    let hold = Duration::from_secs(if prompt { 0 } else { 1 });
    let events = service_fn(move |event: VerifiedEvent| async move {
        sleep(hold).await;
        drop(event);
        Ok::<_, HandlerError>(Outcome::Done)
    });
    let slow = layer().body_timeout(Duration::from_secs(600)).body_minimum_rate(0);
    let layer = if prompt { layer() } else { slow };
    let app = axum::Router::new().route_service("/webhooks", webhook(layer, events));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::select! {
        end = axum::serve(listener, app) => end,
        end = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await } => end.map(drop),
    }
}
