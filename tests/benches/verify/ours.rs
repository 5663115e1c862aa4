//! Our side: a request through `VerifyLayer` to a service that takes the event.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;
use openmail_tests::{Take, measure::finish, secret, signed_at};
use openmail_tower::{BoxError, VerifyLayer};
use tower::{Layer, Service};

/// Returns the current time, which every side that checks timestamps reads.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Creates signed requests with a body of one frame.
pub(crate) fn requests(body: &Bytes) -> impl FnMut() -> Request<Full<Bytes>> + use<> {
    let frame = body.clone();
    prepared(body, move || Full::new(frame.clone()))
}

/// Creates signed requests, with one signature for all of them.
pub(crate) fn prepared<B, F: FnMut() -> B>(
    json: &[u8],
    mut body: F,
) -> impl FnMut() -> Request<B> + use<B, F> {
    let (parts, ()) = signed_at(now(), json, ()).into_parts();
    move || Request::from_parts(parts.clone(), body())
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

/// Creates a side that verifies and handles the requests.
pub(crate) fn service<B>() -> impl FnMut(Request<B>)
where
    B: Body,
    B::Error: Into<BoxError>,
{
    answering(200)
}

/// Creates a side that rejects the requests with this status.
pub(crate) fn rejecting(status: u16) -> impl FnMut(Request<Full<Bytes>>) {
    answering(status)
}
