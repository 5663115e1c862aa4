//! From an event's outcome to the HTTP answer.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    answer::{failure, late, outcome, unverified},
    keyring::Keyring,
    router::{BoxError, CatchPanic, HandlerError, Outcome},
    verified::VerifiedEvent,
    verify::{Verify, VerifyLayer},
};

/// A webhook in one call: `events` behind an [`Endpoint`] behind the layer's verification.
///
/// ```no_run
/// use openmail_tower::{EventRouter, VerifyLayer, webhook};
///
/// let events = EventRouter::new();
/// let app: axum::Router =
///     axum::Router::new().route_service("/webhooks", webhook(VerifyLayer::from_env()?, events));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(clippy::needless_pass_by_value, reason = "the layer is usually made in the call")]
pub fn webhook<E, K: Keyring>(layer: VerifyLayer<K>, events: E) -> Verify<Endpoint<E>, K> {
    layer.layer(Endpoint::new(events))
}

/// Makes an HTTP service of a service of events: takes the [`VerifiedEvent`] from the request's
/// extensions, calls the service, and turns what became of it into the answer.
///
/// | what | answer |
/// |---|---|
/// | done, done before, or no handler asks for it | 200 |
/// | the handler failed or panicked | 500 `handler_failed` |
/// | it asks for time | 503 `retry_later` |
/// | it failed for good | 200; it is logged: another delivery would be of no use |
/// | the same event is being handled | 409 `in_flight` |
/// | a store, a queue or a lookup cannot be reached | 503 `unavailable` |
/// | no answer in time | 503 `deadline_exceeded` |
/// | there is no [`VerifyLayer`] around it | 500 `missing_layer` |
///
/// An error's text goes into the log and never into the answer.
#[derive(Debug, Clone)]
pub struct Endpoint<E> {
    events: E,
    deadline: Duration,
    unrouted: StatusCode,
    // Why `events` will not take another event, from `poll_ready` to `call`.
    failed: Option<Arc<HandlerError>>,
}

impl<E> Endpoint<E> {
    /// An endpoint with a deadline of 12 s that answers unrouted events with 200.
    pub fn new(events: E) -> Self {
        Self { events, deadline: Duration::from_secs(12), unrouted: StatusCode::OK, failed: None }
    }

    /// How long after the request came in to answer at the latest. OpenMail hangs up after 15 s and
    /// counts that as a failure; whoever answers before decides himself. What still runs then is
    /// dropped, unless something between holds its claim and runs it to its end. Default: 12 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Answers 404 where no handler asks for an event, and OpenMail then delivers it again. Its
    /// "Test webhook" reports a webhook that answers so as broken.
    #[must_use]
    pub fn refuse_unrouted(mut self) -> Self {
        self.unrouted = StatusCode::NOT_FOUND;
        self
    }
}

impl<E, B> Service<Request<B>> for Endpoint<E>
where
    E: Service<VerifiedEvent, Response = Outcome> + Clone,
    E::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = EndpointFuture<E::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.events.poll_ready(cx).map(|ready| {
            self.failed = ready.err().map(|error| HandlerError::from_boxed(error.into()).into());
            Ok(())
        })
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let unrouted = self.unrouted;
        let Some(event) = request.extensions_mut().remove::<VerifiedEvent>() else {
            return EndpointFuture { state: State::Unverified, unrouted };
        };
        if let Some(error) = self.failed.take() {
            return EndpointFuture { state: State::Failed { error }, unrouted };
        }
        let clone = self.events.clone();
        let mut events = mem::replace(&mut self.events, clone);
        let arrival = event.arrival().unwrap_or_else(Instant::now);
        let state = State::Running {
            run: CatchPanic::new(|| events.call(event)),
            deadline: arrival + self.deadline,
            timer: None,
        };
        EndpointFuture { state, unrouted }
    }
}

pin_project! {
    /// The future of [`Endpoint`].
    #[derive(Debug)]
    pub struct EndpointFuture<F> {
        #[pin]
        state: State<F>,
        unrouted: StatusCode,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Unverified,
        Failed { error: Arc<HandlerError> },
        Running { #[pin] run: CatchPanic<F>, deadline: Instant, #[pin] timer: Option<Sleep> },
    }
}

impl<F, E> Future for EndpointFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.state.project() {
            StateProj::Unverified => unverified(),
            StateProj::Failed { error } => failure(error),
            StateProj::Running { run, deadline, mut timer } => match run.poll(cx) {
                Poll::Ready(Ok(Ok(done))) => outcome(done, *this.unrouted),
                Poll::Ready(Ok(Err(error))) => failure(&HandlerError::from_boxed(error.into())),
                Poll::Ready(Err(panic)) => failure(&HandlerError::panicked(&*panic)),
                Poll::Pending => {
                    if timer.is_none() {
                        timer.set(Some(sleep_until(*deadline)));
                    }
                    match timer.as_pin_mut().expect("it was just set").poll(cx) {
                        Poll::Ready(()) => late(),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            },
        };
        Poll::Ready(Ok(answer.map(Full::new)))
    }
}
