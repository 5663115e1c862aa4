//! Runs one request repeatedly, for a profiler: `instructions <bytes> <requests>`.
//!
//! `.ci/instructions` counts its instructions.

use std::{
    convert::Infallible,
    env,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tests::{layer, mail_of, measure::finish, signed};
use openmail_tower::{
    VerifiedEvent,
    webhook::{VerifiedBody, Verify},
};
use tower::{Layer, Service};

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

fn main() {
    let mut numbers = env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (Some(bytes), Some(count)) = (numbers.next(), numbers.next()) else {
        println!("instructions <bytes> <requests>; .ci/instructions runs it");
        return;
    };
    let body = Bytes::from(mail_of(bytes));
    let (parts, ()) = signed(&body, ()).into_parts();
    let requests: Vec<_> =
        (0..count).map(|_| Request::from_parts(parts.clone(), Full::new(body.clone()))).collect();
    let mut service = layer().layer(Take);
    // Once, for everything that is initialised lazily.
    finish(service.call(Request::from_parts(parts, Full::new(body)))).expect("an answer");
    for request in requests {
        serve(&mut service, request);
    }
}

/// The code whose instructions are counted.
#[inline(never)]
fn serve(service: &mut Verify<Take>, request: Request<Full<Bytes>>) {
    assert_eq!(finish(service.call(request)).expect("an answer").status(), 200);
}
