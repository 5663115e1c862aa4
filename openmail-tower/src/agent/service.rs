//! [`ResolveAgent`].

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    router::{BoxError, HandlerError, HandlerFuture, Oneshot, Outcome},
    verified::VerifiedEvent,
};

use super::{
    extract::{Agent, NoAgent},
    resolver::AgentResolver,
};

/// Hands events on with their inbox's agent; see [`AgentResolver`].
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
    type Future = ResolveAgentFuture;

    /// Always ready: an event whose agent is looked up takes no place in the service within.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut event: VerifiedEvent) -> ResolveAgentFuture {
        let (events, resolver) = (self.events.clone(), self.resolver.clone());
        ResolveAgentFuture(Box::pin(async move {
            if let Some(inbox) = event.inbox_id().cloned() {
                match resolver.find(&inbox).await? {
                    Some(agent) => drop(event.extensions_mut().insert(Agent(agent))),
                    None => drop(event.extensions_mut().insert(NoAgent)),
                }
            }
            let run = Oneshot::new(events, event);
            run.await.map_err(|error| HandlerError::from_boxed(error.into()))
        }))
    }
}

/// The future of [`ResolveAgent`].
pub struct ResolveAgentFuture(HandlerFuture);

impl Future for ResolveAgentFuture {
    type Output = Result<Outcome, HandlerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResolveAgentFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveAgentFuture").finish_non_exhaustive()
    }
}
