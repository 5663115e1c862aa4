//! [`ResolveAgent`].

use std::task::{Context, Poll};

use tower_service::Service;

use crate::seam::{
    BoxError, ForFallback, HandlerError, Oneshot, Outcome, OutcomeFuture, VerifiedEvent,
};

use super::{extract::Agent, resolver::AgentResolver};

/// Passes events on with their inbox's agent; see [`AgentResolver`].
#[derive(Debug, Clone)]
pub struct ResolveAgent<E, T> {
    events: E,
    resolver: AgentResolver<T>,
}

impl<E, T> ResolveAgent<E, T> {
    pub(super) fn new(events: E, resolver: AgentResolver<T>) -> Self {
        Self { events, resolver }
    }
}

impl<E, T> Service<VerifiedEvent> for ResolveAgent<E, T>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
    T: Clone + Send + Sync + 'static,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = OutcomeFuture;

    /// Always ready: an event must not reserve capacity in the inner service while its agent is
    /// looked up.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut event: VerifiedEvent) -> OutcomeFuture {
        let (events, resolver) = (self.events.clone(), self.resolver.clone());
        OutcomeFuture::new(async move {
            if let Some(inbox) = event.inbox_id().cloned() {
                match resolver.find(&inbox).await? {
                    Some(agent) => drop(event.extensions_mut().insert(Agent(agent))),
                    None => drop(event.extensions_mut().insert(ForFallback)),
                }
            }
            let run = Oneshot::new(events, event);
            run.await.map_err(|error| HandlerError::from_boxed(error.into()))
        })
    }
}
