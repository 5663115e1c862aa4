//! Calls a service with one event once the service is ready.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::seam::VerifiedEvent;

pin_project! {
    /// Waits until the service is ready, then calls it. A layer that waits here rather than in its
    /// own `poll_ready` reserves no capacity in the inner service before it needs to call it.
    #[derive(Debug)]
    pub(crate) struct Oneshot<E, F> {
        #[pin]
        state: State<E, F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<E, F> {
        NotReady { service: E, event: Option<VerifiedEvent> },
        Called { #[pin] future: F },
    }
}

impl<E: Service<VerifiedEvent>> Oneshot<E, E::Future> {
    pub(crate) fn new(service: E, event: VerifiedEvent) -> Self {
        Self { state: State::NotReady { service, event: Some(event) } }
    }
}

impl<E: Service<VerifiedEvent>> Future for Oneshot<E, E::Future> {
    type Output = Result<E::Response, E::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let future = match state.as_mut().project() {
                StateProj::NotReady { service, event } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(event.take().expect("called once"))
                }
                StateProj::Called { future } => return future.poll(cx),
            };
            state.set(State::Called { future });
        }
    }
}
