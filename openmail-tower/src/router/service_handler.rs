//! A service as a handler.

use std::{future::poll_fn, sync::Arc};

use tower_service::Service;

use crate::verified::VerifiedEvent;

use super::{
    error::{BoxError, HandlerError},
    handler::{Handler, HandlerFuture},
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
        let mut service = self.0.clone();
        Box::pin(async move {
            let run = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(event).await
            };
            run.await.map_err(|error: E::Error| HandlerError::from_boxed(error.into()))
        })
    }
}
