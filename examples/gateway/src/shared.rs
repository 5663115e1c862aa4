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
///
/// A release uses no attempt. But an event that finds no slot for 72 h (`Worker::max_age`) becomes
/// a dead letter: so many events are then waiting that someone must decide what to do.
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use openmail_tower::{HandlerErrorKind, testing::TestEvent};
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn event_without_a_slot_is_released_and_uses_no_attempt() {
        let agent = service_fn(|_: VerifiedEvent| pending::<Result<Outcome, HandlerError>>());
        let mut shared = Shared::new(agent, Running::default(), 1);
        let event = TestEvent::message_received().verified();
        let runs = shared.ready().await.unwrap().call(event.clone());
        let error = shared.ready().await.unwrap().call(event).await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
        assert_eq!(error.delay(), Some(Duration::from_secs(1)));
        drop(runs);
        assert_eq!(shared.running.load(Ordering::Relaxed), 0, "both slots are free again");
    }
}
