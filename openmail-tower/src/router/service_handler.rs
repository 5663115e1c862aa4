//! [`ServiceHandler`]: a service as a handler.

use std::sync::Arc;

use tower_service::Service;

use crate::{
    handler::Handler,
    seam::{BoxError, HandlerError, Oneshot, Outcome, OutcomeFuture, VerifiedEvent},
};

/// Runs each event on a clone of the service, once that is ready.
pub(super) struct ServiceHandler<E>(pub(super) E);

impl<E, S> Handler<S> for ServiceHandler<E>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone + Send + Sync + 'static,
    E::Error: Into<BoxError>,
    E::Future: Send,
{
    fn call(&self, event: VerifiedEvent, _: Arc<S>) -> OutcomeFuture {
        let run = Oneshot::new(self.0.clone(), event);
        OutcomeFuture::new(async {
            run.await.map_err(|error| HandlerError::from_boxed(error.into()))
        })
    }
}
