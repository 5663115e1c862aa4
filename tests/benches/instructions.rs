//! Runs one request repeatedly, for a profiler: `instructions <bytes> <requests> [info]`. With
//! `info`, it runs under a subscriber of that level that discards everything. Prints the time of
//! one request.
//!
//! `.ci/instructions` counts its instructions.

use std::{env, time::Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use openmail_tests::{
    Discard, Take, layer, mail_of,
    measure::{finish, time},
    signed,
};
use openmail_tower::webhook::Verify;
use tower::{Layer, Service};

fn main() {
    let mut numbers = env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (Some(bytes), Some(count @ 1..)) = (numbers.next(), numbers.next()) else {
        println!("instructions <bytes> <requests> [info]; .ci/instructions runs it");
        return;
    };
    let has_subscriber = env::args().any(|text| text == "info");
    let _discarding = has_subscriber.then(|| Discard::at_once().begin());
    let body = Bytes::from(mail_of(bytes));
    let (parts, ()) = signed(&body, ()).into_parts();
    let requests: Vec<_> =
        (0..count).map(|_| Request::from_parts(parts.clone(), Full::new(body.clone()))).collect();
    let mut service = layer().layer(Take);
    // One request first, for everything that is initialised lazily.
    finish(service.call(Request::from_parts(parts, Full::new(body)))).expect("an answer");
    let begun = Instant::now();
    for request in requests {
        serve(&mut service, request);
    }
    let each = begun.elapsed().div_f64(count as f64);
    // On stderr, since `.ci/instructions` reads stdout.
    eprintln!("{} each", time(each));
}

/// The code whose instructions are counted.
#[inline(never)]
fn serve(service: &mut Verify<Take>, request: Request<Full<Bytes>>) {
    assert_eq!(finish(service.call(request)).expect("an answer").status(), 200);
}
