//! [`dispatch`].

use std::borrow::Borrow;

use tower_service::Service;

use crate::seam::{BoxError, HandlerError, Oneshot, Outcome, VerifiedEvent};

use super::event::TestEvent;

/// Passes an event to a router, or any other service of events, without HTTP.
///
/// # Errors
/// If the handler failed.
///
/// # Panics
/// As for [`TestEvent::verified`]; and if the handler panics, since nothing catches that here.
pub async fn dispatch<E>(events: &E, event: impl Borrow<TestEvent>) -> Result<Outcome, HandlerError>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone,
    E::Error: Into<BoxError>,
{
    let run = Oneshot::new(events.clone(), event.borrow().verified());
    run.await.map_err(|error| HandlerError::from_boxed(error.into()))
}
