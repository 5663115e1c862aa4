//! [`dispatch`].

use std::borrow::Borrow;

use tower_service::Service;

use crate::seam::{BoxError, HandlerError, Oneshot, Outcome, VerifiedEvent};

use super::event::TestEvent;

/// Hands an event to a router, or any other service of events, without HTTP.
///
/// # Errors
/// When the handler failed.
///
/// # Panics
/// As [`TestEvent::verified`]; and with the handler, since nothing stands between.
pub async fn dispatch<E>(events: &E, event: impl Borrow<TestEvent>) -> Result<Outcome, HandlerError>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone,
    E::Error: Into<BoxError>,
{
    let run = Oneshot::new(events.clone(), event.borrow().verified());
    run.await.map_err(|error| HandlerError::from_boxed(error.into()))
}
