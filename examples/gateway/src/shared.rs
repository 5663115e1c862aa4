//! Limits the concurrent runs of the fallback's agent over all inboxes.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use openmail_tower::{HandlerError, Outcome, OutcomeFuture, VerifiedEvent};
use tower::Service;

/// The number of runs in progress. It is kept across reloads, so that runs of the previous fallback
/// count as well.
pub(crate) type Running = Arc<AtomicUsize>;

/// Releases each event beyond the limit, to run again after at least 1 s. If it waited here, it
/// would occupy a run that other inboxes need.
#[derive(Debug, Clone)]
pub(crate) struct Shared<S> {
    agent: S,
    running: Running,
    limit: usize,
}

impl<S> Shared<S> {
    pub(crate) fn new(agent: S, running: Running, limit: usize) -> Self {
        Self { agent, running, limit }
    }
}

impl<S> Service<VerifiedEvent> for Shared<S>
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
        let slot = Slot(Arc::clone(&self.running));
        if self.running.fetch_add(1, Ordering::Relaxed) >= self.limit {
            let error = HandlerError::unavailable("the fallback's agent has no free slot");
            return OutcomeFuture::new(ready(Err(error.after(Duration::from_secs(1)))));
        }
        let run = self.agent.call(event);
        OutcomeFuture::new(async move {
            let _slot = slot;
            run.await
        })
    }
}

/// A run that was counted. Dropping it frees its slot, even if the run is cancelled.
#[derive(Debug)]
struct Slot(Running);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
