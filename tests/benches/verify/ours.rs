//! Our side: a request through `VerifyLayer` to a service that takes the event.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use openmail_tests::{measure::finish, secret, signed_at};
use openmail_tower::{BoxError, VerifiedEvent, VerifyLayer, webhook::VerifiedBody};
use tower::{Layer, Service};

/// Returns the current time: every side reads the clock.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Creates signed requests with a body of one frame.
pub(crate) fn requests(body: &Bytes) -> impl FnMut() -> Request<Full<Bytes>> + use<> {
    let frame = body.clone();
    prepared(body, move || Full::new(frame.clone()))
}

/// Creates signed requests; they are signed only once.
pub(crate) fn prepared<B, F: FnMut() -> B>(
    json: &[u8],
    mut body: F,
) -> impl FnMut() -> Request<B> + use<B, F> {
    let (parts, ()) = signed_at(now(), json, ()).into_parts();
    move || Request::from_parts(parts.clone(), body())
}

#[derive(Clone)]
struct Take;

impl Service<Request<VerifiedBody>> for Take {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<VerifiedBody>) -> Self::Future {
        black_box(request.extensions_mut().remove::<VerifiedEvent>().expect("an event"));
        ready(Ok(Response::default()))
    }
}

fn answering<B>(status: u16) -> impl FnMut(Request<B>)
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut service = VerifyLayer::new(secret()).layer(Take);
    move |request| {
        let response = finish(service.call(request)).expect("an answer");
        assert_eq!(response.status(), status);
    }
}

/// Handles them.
pub(crate) fn service<B>() -> impl FnMut(Request<B>)
where
    B: Body,
    B::Error: Into<BoxError>,
{
    answering(200)
}

/// Refuses them.
pub(crate) fn refusing(status: u16) -> impl FnMut(Request<Full<Bytes>>) {
    answering(status)
}
