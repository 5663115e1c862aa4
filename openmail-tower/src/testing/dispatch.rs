//! [`dispatch`].

use std::{borrow::Borrow, future::poll_fn};

use tower_service::Service;

use crate::{
    router::{BoxError, HandlerError, Outcome},
    verified::VerifiedEvent,
};

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
    let mut events = events.clone();
    let outcome = async {
        poll_fn(|cx| events.poll_ready(cx)).await?;
        events.call(event.borrow().verified()).await
    };
    outcome.await.map_err(|error| HandlerError::from_boxed(error.into()))
}
