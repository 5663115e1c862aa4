//! Logs each event that an agent has accepted. Failures are logged by the worker.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use openmail_tower::{HandlerError, Outcome, OutcomeFuture, VerifiedEvent};
use tokio::time::Instant;
use tower::Service;

use crate::config::Url;

#[derive(Debug, Clone)]
pub(crate) struct Logged<S> {
    agent: S,
    host: Arc<str>,
}

impl<S> Logged<S> {
    pub(crate) fn new(agent: S, Url(url): &Url) -> Self {
        // Only the part of the URL that contains no token.
        Self { agent, host: url.authority().map_or("", |host| host.as_str()).into() }
    }
}

impl<S> Service<VerifiedEvent> for Logged<S>
where
    S: Service<VerifiedEvent, Response = Outcome, Error = HandlerError>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.agent.poll_ready(cx)
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let (host, start) = (Arc::clone(&self.host), Instant::now());
        let (kind, attempt) = (event.kind(), event.attempt());
        let (event_id, inbox_id) = (event.event_id().cloned(), event.inbox_id().cloned());
        let run = self.agent.call(event);
        OutcomeFuture::new(async move {
            let outcome = run.await?;
            tracing::info!(
                event = kind.as_str(),
                event_id = event_id.as_ref().map(|id| id.as_str()),
                inbox_id = inbox_id.as_ref().map(|id| id.as_str()),
                attempt,
                agent = &*host,
                elapsed = ?start.elapsed(),
                "forwarded"
            );
            Ok(outcome)
        })
    }
}
