//! The application of the `durable` example: a webhook that stores each event, and a worker that
//! runs the agent on it.

mod server;
pub mod telemetry;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use anyhow::bail;
use axum::{Router, extract::State as AppState, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use openmail_tower::{
    EventRouter, HandlerError, Message, MessageReceived, VerifiedEvent, VerifyLayer,
    handler::{Attempt, State},
    openmail_handler,
    queue::{Enqueue, QueueStore},
    webhook,
};
use tokio::sync::{Mutex, oneshot};

use server::serve;
use tokio::net::TcpListener;

/// An agent, and what it has answered. A real one returns its answers as replies, which the worker
/// sends once even if a crash interrupts a run; see the `agent` example.
#[derive(Debug, Clone, Default)]
pub struct Agent(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    by_event: HashMap<String, String>,
    failures: VecDeque<HandlerError>,
}

impl Agent {
    /// Returns the answer to an event, if there was one.
    pub async fn answer_to(&self, event_id: &str) -> Option<String> {
        self.0.lock().await.by_event.get(event_id).cloned()
    }

    /// Makes the next run fail, to show what happens to its event.
    pub async fn fail_next(&self, error: HandlerError) {
        self.0.lock().await.failures.push_back(error);
    }
}

#[openmail_handler(event = "message.received")]
async fn answer(
    mail: &MessageReceived,
    attempt: Attempt,
    State(agent): State<Agent>,
) -> Result<(), HandlerError> {
    let Message { subject, body_text, attachments, .. } = &mail.message;
    if !mail.message.may_auto_reply() {
        return Ok(());
    }
    let subject = subject.as_deref().unwrap_or_default();
    if subject.is_empty() && body_text.is_none() && attachments.is_empty() {
        // It becomes a dead letter at once.
        return Err(HandlerError::permanent("there is nothing to answer"));
    }
    let text = format!("Re: {subject}");
    let mut answers = agent.0.lock().await;
    if let Some(failure) = answers.failures.pop_front() {
        return Err(failure);
    }
    tracing::info!(?attempt, "answered");
    let id = mail.event_id.as_ref().map_or(mail.message.id.as_str(), |id| id.as_str());
    answers.by_event.insert(id.to_owned(), text);
    Ok(())
}

/// Handles all other events, such as suspensions. One that does not fit its type, such as a mail
/// without an id, becomes a dead letter.
#[openmail_handler]
async fn other(event: &VerifiedEvent) -> Result<(), HandlerError> {
    if let Some(misfit) = event.event().misfit() {
        return Err(HandlerError::permanent(misfit.to_string()));
    }
    tracing::info!(event = event.kind().as_str(), "nothing to answer");
    Ok(())
}

/// Serves the webhook and runs the worker until `stop`, then stops both gracefully.
///
/// # Errors
/// If the server fails or the worker ends early.
pub async fn run<St: QueueStore>(
    listener: TcpListener,
    layer: VerifyLayer,
    queue: Enqueue<St>,
    agent: Agent,
    metrics: PrometheusHandle,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (end, ended) = oneshot::channel::<()>();
    let handlers = EventRouter::new().handler(answer).fallback(other).with_state(agent);
    let worker = queue.worker(handlers);
    let mut worker = tokio::spawn(worker.run(async { drop(ended.await) }));
    let app = Router::new()
        .route("/ready", get(ready::<St>))
        .with_state(queue.store().clone())
        // For Prometheus only: a proxy in front should not expose it.
        .route("/metrics", get(async move || telemetry::scrape(&metrics)))
        .route_service("/webhooks", webhook(layer, queue));
    let served = tokio::select! {
        served = serve(listener, app, stop) => served,
        // The worker has panicked. Without it, events would be accepted and never run.
        ended = &mut worker => bail!("the worker has ended: {ended:?}"),
    };
    // The worker stops last, since events that were just accepted may still run.
    drop(end);
    let cut = worker.await?;
    if cut > 0 {
        tracing::warn!(cut, "runs were cancelled; their events will run again");
    }
    Ok(served?)
}

/// Returns whether events can be accepted, for a load balancer.
async fn ready<St: QueueStore>(AppState(store): AppState<St>) -> StatusCode {
    match store.ping().await {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            tracing::warn!(%error, "not ready");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
