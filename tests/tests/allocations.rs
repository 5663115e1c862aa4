//! What a request allocates and copies, held to a number. A file of its own: the allocator that
//! counts is the whole process's, though it counts for each thread.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tests::{ScriptedBody, layer, mail_of, measure::finish, signed};
use openmail_tower::{BoxError, MessageReceived, VerifiedEvent, webhook::VerifiedBody};
use tower::{Layer, Service};

/// Takes the event and nothing else.
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
        request.extensions_mut().remove::<VerifiedEvent>().expect("an event");
        ready(Ok(Response::default()))
    }
}

/// How many allocations, and of how many bytes, this thread makes while it runs.
fn count<T>(run: impl FnOnce() -> T) -> (u64, u64) {
    let counted = allocation_counter::measure(|| drop(run()));
    (counted.count_total, counted.bytes_total)
}

fn request<B>(json: &[u8], body: B) -> (u64, u64)
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let mut service = layer().layer(Take);
    let request = signed(json, body);
    count(|| assert_eq!(finish(service.call(request)).unwrap().status(), 200))
}

#[tokio::test]
async fn a_request_allocates_what_its_event_does_and_little_more() {
    for size in [1 << 10, 8 << 10, 64 << 10] {
        let json = mail_of(size);
        let parse = count(|| serde_json::from_slice::<MessageReceived>(&json).unwrap());

        // The clock, tracing and the like have what they need from here on.
        request(&json, Full::new(Bytes::from(json.clone())));

        // The event's own allocation; the extensions' map, its table, and the event's place in it.
        // Three more are the price of the feature `metrics`, which these tests have: what is
        // observed, and the labels of two metrics.
        let one_frame = request(&json, Full::new(Bytes::from(json.clone())));
        let (allocations, bytes) = (one_frame.0 - parse.0, one_frame.1 - parse.1);
        println!("{size}: {allocations} allocations, {bytes} bytes beside the event's");
        assert!(allocations <= 8, "{size}: {allocations}");
        assert!(bytes <= 1200, "{size}: {bytes}, so the body was copied");

        // In many frames it is joined once, in an allocation that doubles.
        let frames = request(&json, ScriptedBody::frames(&json, 1 << 10));
        let (allocations, bytes) = (frames.0 - one_frame.0, frames.1 - one_frame.1);
        println!("{size}: {allocations} allocations, {bytes} bytes for its frames");
        assert!(allocations <= 7, "{size}: {allocations}");
        assert!(bytes <= 3 * size as u64, "{size}: {bytes}");
    }
}
