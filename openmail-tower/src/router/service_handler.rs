//! A service as a handler.

use std::sync::Arc;

use tower_service::Service;

use crate::verified::VerifiedEvent;

use super::{
    error::{BoxError, HandlerError},
    handler::{Handler, HandlerFuture},
    oneshot::Oneshot,
    outcome::Outcome,
};

/// Runs an event on a clone of the service, once that is ready.
pub(super) struct ServiceHandler<E>(pub(super) E);

impl<E, S> Handler<S> for ServiceHandler<E>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    fn call(&self, event: VerifiedEvent, _: Arc<S>) -> HandlerFuture {
        let run = Oneshot::new(self.0.clone(), event);
        Box::pin(async { run.await.map_err(|error| HandlerError::from_boxed(error.into())) })
    }
}
