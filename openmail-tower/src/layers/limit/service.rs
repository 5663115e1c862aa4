//! [`InboxLimit`].

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::timeout;
use tower_service::Service;

use crate::seam::{BoxError, HandlerError, Oneshot, Outcome, OutcomeFuture, VerifiedEvent};

use super::slots::Slots;

/// Limits how many events of each inbox run at a time; see
/// [`InboxLimitLayer`](crate::layers::InboxLimitLayer).
#[derive(Clone)]
pub struct InboxLimit<E> {
    events: E,
    slots: Arc<Slots>,
    wait: Duration,
}

impl<E> InboxLimit<E> {
    pub(super) fn new(events: E, slots: Arc<Slots>, wait: Duration) -> Self {
        Self { events, slots, wait }
    }
}

impl<E> Service<VerifiedEvent> for InboxLimit<E>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    /// Always ready: an event must not reserve capacity in the inner service while it waits for its
    /// turn.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: VerifiedEvent) -> OutcomeFuture {
        let events = self.events.clone();
        let ticket = event.inbox_id().map(|inbox| Arc::clone(&self.slots).ticket(inbox.clone()));
        let (wait, runs) = (self.wait, self.slots.runs());
        OutcomeFuture::new(async move {
            let _turn = match &ticket {
                Some(ticket) => Some(timeout(wait, ticket.turn()).await.map_err(|_| {
                    HandlerError::unavailable(format!(
                        "{runs} events of the inbox are running, which is the limit"
                    ))
                })?),
                None => None,
            };
            let run = Oneshot::new(events, event);
            run.await.map_err(|error| HandlerError::from_boxed(error.into()))
        })
    }
}

impl<E> fmt::Debug for InboxLimit<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxLimit")
            .field("slots", &self.slots)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
