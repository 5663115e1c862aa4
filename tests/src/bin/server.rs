//! A receiver in its own process, so that its memory can be measured.
//!
//! It prints its address and ends when its standard input does. It holds each event for a second,
//! and lets a body take up to 10 minutes, without a minimum rate; with the argument `prompt`, it
//! does neither.
//!
//! It reads each connection through a buffer of 64 KiB, as SECURITY.md recommends. hyper's default
//! is 408 KiB.

use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use openmail_tests::layer;
use openmail_tower::{HandlerError, Outcome, VerifiedEvent, webhook};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinSet, time::sleep};
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
    let app = TowerToHyperService::new(app);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let accept = async {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let app = app.clone();
            connections.spawn(async move {
                let mut builder = Builder::new(TokioExecutor::new());
                builder.http1().max_buf_size(64 << 10);
                builder.serve_connection(TokioIo::new(stream), app).await
            });
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        end = accept => end,
        end = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await } => end.map(drop),
    }
}
