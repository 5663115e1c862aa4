//! [`Endpoint`]: turns the outcome of an event into the HTTP response.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    seam::{BoxError, CatchPanic, HandlerError, Oneshot, Outcome, Timer, VerifiedEvent},
    telemetry::{self, Answering},
    webhook::{
        answer::{MISFIT, failure, late, outcome, unsent, unverified},
        keyring::Keyring,
        verify::{
            DISCARD_LIMIT, Discard, Limits, Verify, VerifyLayer, expects_continue, is_worth_reading,
        },
    },
};

/// Builds a complete webhook service: `layer` verifies each request, and an [`Endpoint`] passes its
/// event to `events`.
///
/// In axum, mount it with `route_service`, not with `route` and `post(…)`: it is a service, not a
/// handler, and it answers methods other than `POST` itself.
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

/// Turns an event service into an HTTP service: takes the [`VerifiedEvent`] from the request's
/// extensions, calls the service, and turns the outcome into the response.
///
/// The [module](mod@crate::webhook#responses) lists the responses.
///
/// The text of an error goes into the log, never into the response.
///
/// [`webhook`] builds an endpoint with the default settings. To change them, wrap the endpoint in
/// the [`VerifyLayer`] yourself:
///
/// ```no_run
/// use std::time::Duration;
/// use openmail_tower::{Endpoint, EventRouter, VerifyLayer};
/// use tower::Layer;
///
/// let router: EventRouter = EventRouter::new();
/// let endpoint = Endpoint::new(router).deadline(Duration::from_secs(8)).refuse_unrouted();
/// let webhook = VerifyLayer::from_env()?.layer(endpoint);
/// let app: axum::Router = axum::Router::new().route_service("/webhooks", webhook);
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Endpoint<E> {
    events: E,
    deadline: Duration,
    unrouted: StatusCode,
}

impl<E> Endpoint<E> {
    /// Creates an endpoint with a deadline of 12 s that answers unrouted events with 200.
    pub fn new(events: E) -> Self {
        Self { events, deadline: Duration::from_secs(12), unrouted: StatusCode::OK }
    }

    /// Sets the maximum time from the request's arrival to the response. After 15 s, OpenMail hangs
    /// up and counts that as a failure. A run that exceeds the deadline is dropped, unless a
    /// `Dedupe` in between completes it on a separate task. Default: 12 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Answers with 404 if no handler matches an event, so that OpenMail delivers it again.
    /// OpenMail's "Test webhook" button then reports the webhook as broken, unless a handler takes
    /// `setup.test`. If an event that no handler matches does not fit its type, the answer is 422
    /// even without this setting. With a queue, neither happens: an event is stored before it is
    /// routed. Default: 200.
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
    B: Body,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = EndpointFuture<E, B>;

    /// Always ready: a request that has not been verified must not reserve capacity in the event
    /// service. The wait for capacity counts towards the deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let unrouted = self.unrouted;
        let (mut parts, body) = request.into_parts();
        let Some(event) = parts.extensions.remove::<VerifiedEvent>() else {
            let unread =
                is_worth_reading(&body, DISCARD_LIMIT) && !expects_continue(&parts.headers);
            let body = Some(body).filter(|_| unread);
            let state = State::Unverified { discard: Discard::new(DISCARD_LIMIT), body };
            return EndpointFuture { state, unrouted, answering: Answering::begin(None) };
        };
        let answering = Answering::begin(Some(&event));
        let unrouted = if event.event().misfit().is_some() { MISFIT } else { unrouted };
        let arrival = event.arrival().unwrap_or_else(Instant::now);
        let state = State::Running {
            run: CatchPanic::new(|| Oneshot::new(self.events.clone(), event.into_delivery())),
            deadline: arrival.checked_add(self.deadline),
            timer: Timer::default(),
        };
        EndpointFuture { state, unrouted, answering }
    }
}

pin_project! {
    /// The future of [`Endpoint`].
    pub struct EndpointFuture<E, B>
    where
        E: Service<VerifiedEvent>,
    {
        #[pin]
        state: State<Oneshot<E, E::Future>, B>,
        unrouted: StatusCode,
        // Declared after `state`, so that the run is dropped first.
        answering: Answering,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        // Reads the rest of the body before the rejection is sent.
        Unverified { discard: Discard, #[pin] body: Option<B> },
        // `deadline` is `None` if it is too far in the future to be an `Instant`.
        Running { #[pin] run: CatchPanic<F>, deadline: Option<Instant>, timer: Timer },
    }
}

impl<E, B> Future for EndpointFuture<E, B>
where
    E: Service<VerifiedEvent, Response = Outcome>,
    E::Error: Into<BoxError>,
    B: Body,
{
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.state.project() {
            StateProj::Unverified { discard, mut body } => {
                if let Some(body) = body.as_mut().as_pin_mut() {
                    ready!(discard.poll(body, cx, Limits::default()));
                }
                body.set(None);
                telemetry::unverified();
                unverified()
            }
            StateProj::Running { run, deadline, timer } => match run.poll(cx) {
                Poll::Ready(Ok(Ok(Outcome::Replies(_)))) => {
                    this.answering.unsent();
                    unsent()
                }
                Poll::Ready(Ok(Ok(done))) => {
                    this.answering.handled(&done);
                    outcome(&done, *this.unrouted)
                }
                Poll::Ready(Ok(Err(error))) => {
                    failed(HandlerError::from_boxed(error.into()), this.answering)
                }
                Poll::Ready(Err(panic)) => failed(HandlerError::panicked(panic), this.answering),
                Poll::Pending => {
                    let Some(deadline) = *deadline else { return Poll::Pending };
                    ready!(timer.poll(cx, || sleep_until(deadline)));
                    this.answering.late();
                    late()
                }
            },
        };
        Poll::Ready(Ok(response.map(Full::new)))
    }
}

/// Reports a failure and creates its response.
fn failed(mut error: HandlerError, answering: &mut Answering) -> Response<Bytes> {
    answering.failed(&mut error);
    failure(&error)
}

impl<E: Service<VerifiedEvent>, B> fmt::Debug for EndpointFuture<E, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointFuture").finish_non_exhaustive()
    }
}
