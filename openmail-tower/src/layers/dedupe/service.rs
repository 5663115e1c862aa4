//! [`Dedupe`].

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::{
    seam::{BoxError, HandlerError, Outcome, VerifiedEvent},
    telemetry::in_current_span,
};

use super::{
    layer::DedupeLayer,
    run::{Answer, Run},
    store::DedupeStore,
};

/// Claims each event and runs the inner service on a task that completes or releases the claim,
/// even if the future that waits for it is dropped. Created by [`DedupeLayer`].
///
/// | the event is | result |
/// |---|---|
/// | not claimed | that of the inner service |
/// | running | [`HandlerErrorKind::InFlight`](crate::HandlerErrorKind::InFlight) |
/// | done | [`Outcome::Duplicate`] |
/// | in an unknown state because the store is unreachable (unless [`run_when_unavailable`](crate::layers::DedupeLayer::run_when_unavailable) is set), beyond the maximum number of runs, or not yet running at the shutdown | [`HandlerErrorKind::Unavailable`](crate::HandlerErrorKind::Unavailable) |
/// | without an id to recognise it by | that of the inner service, each time, on the caller's own task |
///
/// The run takes the inner service that was polled ready. So a concurrency limit inside it already
/// holds a permit while the store is asked, and releases the permit if the event is a duplicate.
///
/// # Panics
/// `call` panics outside of a tokio runtime.
pub struct Dedupe<S, St> {
    inner: S,
    layer: DedupeLayer<St>,
}

impl<S, St> Dedupe<S, St> {
    pub(super) fn new(inner: S, layer: DedupeLayer<St>) -> Self {
        Self { inner, layer }
    }
}

impl<S, St> Service<VerifiedEvent> for Dedupe<S, St>
where
    S: Service<VerifiedEvent, Response = Outcome> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    St: DedupeStore,
{
    type Response = Outcome;
    type Error = HandlerError;
    type Future = DedupeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.inner.poll_ready(cx).map_err(|error| HandlerError::from_boxed(error.into()))
    }

    fn call(&mut self, event: VerifiedEvent) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let Some(key) = self.layer.settings.key.of(&event) else {
            return DedupeFuture { state: State::Unclaimed { run: inner.call(event) } };
        };
        let (caller, answer) = oneshot::channel();
        let inbox = event.inbox_id().cloned();
        let run = Run::new(&self.layer, key).go(inner, event, caller);
        let run = in_current_span(run);
        let spawned = self.layer.runs.spawn(inbox.as_ref(), self.layer.settings.most, run);
        let state = match spawned {
            Ok(()) => State::Running { answer },
            Err(reason) => State::Rejected { reason },
        };
        DedupeFuture { state }
    }
}

impl<S: Clone, St> Clone for Dedupe<S, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, St> fmt::Debug for Dedupe<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedupe").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

pin_project! {
    /// The future of [`Dedupe`]. Dropping it only stops waiting; the run continues, unless the
    /// event has no id.
    #[derive(Debug)]
    pub struct DedupeFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Running { answer: oneshot::Receiver<Answer> },
        Unclaimed { #[pin] run: F },
        Rejected { reason: String },
    }
}

impl<F, E> Future for DedupeFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        Poll::Ready(match self.project().state.project() {
            StateProj::Running { answer } => match ready!(Pin::new(answer).poll(cx)) {
                Ok(answer) => answer,
                // The store panicked, or the runtime is being dropped.
                Err(_) => Err(HandlerError::failed("the run ended without a result")),
            },
            StateProj::Unclaimed { run } => {
                ready!(run.poll(cx)).map_err(|error| HandlerError::from_boxed(error.into()))
            }
            StateProj::Rejected { reason } => Err(HandlerError::unavailable(mem::take(reason))),
        })
    }
}
