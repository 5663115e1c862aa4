//! Servers to deliver to, and the built program.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{
    future::Future,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use openmail_tower::{
    HandlerError, Outcome, Secret, Secrets, VerifiedEvent, VerifyLayer,
    layers::dedupe::{DedupeLayer, MemoryStore},
    webhook,
};
use serde_json::Value;
use tokio::{net::TcpListener, process::Command};
use tower::{Layer, service_fn};

pub(crate) const SECRET: &str = "whsec_16xf3d4ngxcpjd2kql81b319h6rew2on";

pub(crate) fn secret() -> Secret {
    Secret::new(SECRET).expect("a good secret")
}

pub(crate) fn layer() -> VerifyLayer<Secrets> {
    VerifyLayer::new(secret())
}

/// Serves until the test's runtime ends. Returns the URL of its webhook.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/webhooks")
}

/// Returns a URL on which nothing listens.
pub(crate) async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}/webhooks", listener.local_addr().expect("an address"))
}

/// A webhook behind `layer`, whose events go to `handle`.
pub(crate) fn app<F>(
    layer: VerifyLayer,
    handle: impl Fn(VerifiedEvent) -> F + Clone + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
{
    Router::new().route_service("/webhooks", webhook(layer, service_fn(handle)))
}

/// A webhook behind `layer` that handles each event once, taking `work` for it.
pub(crate) fn deduplicating(layer: VerifyLayer, work: Duration) -> Router {
    let handle = service_fn(move |_: VerifiedEvent| async move {
        tokio::time::sleep(work).await;
        Ok::<_, HandlerError>(Outcome::Done)
    });
    let once = DedupeLayer::new(MemoryStore::new(10_000)).layer(handle);
    Router::new().route_service("/webhooks", webhook(layer, once))
}

/// A webhook that verifies nothing, or in its own way.
pub(crate) fn by_hand<F>(
    answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = StatusCode> + Send + 'static,
{
    Router::new().route("/webhooks", axum::routing::post(answer))
}

/// The events that a server received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<VerifiedEvent>>>);

impl Events {
    /// Adds an event. Returns how many there are now.
    pub(crate) fn push(&self, event: VerifiedEvent) -> usize {
        let mut all = self.0.lock().expect("no panic");
        all.push(event);
        all.len()
    }

    pub(crate) fn all(&self) -> Vec<VerifiedEvent> {
        self.0.lock().expect("no panic").clone()
    }
}

/// The output of the program.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Returns each line of its JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// Runs the program with the test's secret in its environment.
pub(crate) async fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    run_with(arguments, ("OPENMAIL_WEBHOOK_SECRET", SECRET)).await
}

pub(crate) async fn run_with<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    (name, value): (&str, &str),
) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_example-deliver"))
        .args(arguments)
        .env_remove("OPENMAIL_WEBHOOK_SECRET")
        .env(name, value)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
