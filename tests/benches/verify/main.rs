//! Measures verification: compared with a floor and with other crates, by frame size, for rejected
//! requests, and with subscribers.
//!
//! `cargo bench -p openmail-tests --bench verify`

mod floor;
mod ours;
mod peers;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use openmail_tests::{
    Discard, mail_of,
    measure::{Comparison, Figure, Table, steady_allocator, time},
};

/// The sizes of bodies, with their names.
const SIZES: [(usize, &str); 4] =
    [(1 << 10, "1 KiB"), (8 << 10, "8 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

/// The number of measurements of each side.
const ROUNDS: usize = 41;

fn main() {
    steady_allocator();
    // Reading a body of very many frames yields to other tasks and checks the time limit, which
    // needs a timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    against_floor_and_peers();
    by_frames();
    rejections();
    forged();
    subscribers();
}

fn row(table: &mut Table, size: &str, figure: &Figure) {
    let ratio = format!("{:.2}", figure.ratio);
    table.row([size.into(), figure.name.clone(), time(figure.time), ratio]);
}

/// Measures the time from a request to the event in the inner service.
fn against_floor_and_peers() {
    let mut table = Table::new(["body", "side", "median", "× floor"]);
    for (bytes, size) in SIZES {
        let body = Bytes::from(mail_of(bytes));
        let floor = floor::Floor::new(&body);
        let figures = Comparison::new()
            .side("floor: HMAC, parse", || (), |()| floor.run())
            .side("ours", ours::requests(&body), ours::service())
            .side("axum handler by hand", peers::by_hand_requests(&body), peers::by_hand())
            .side("webhook-verify", peers::custom_requests(&body), peers::webhook_verify())
            .side("standardwebhooks", peers::standard_requests(&body), peers::standardwebhooks())
            .side("tower-github-webhook", peers::github_requests(&body), peers::github_webhook())
            .side("HMAC alone", || (), |()| floor.mac())
            .side("parse alone", || (), |()| floor.parse())
            .side("parse alone, a derived struct", || (), |()| peers::Mail::parse(&body))
            .run(ROUNDS);
        figures.iter().for_each(|figure| row(&mut table, size, figure));
    }
    table.print("verify");
}

/// A body of many frames that does not copy them.
#[derive(Clone)]
struct Frames(Bytes, usize);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self(rest, size) = &mut *self;
        let frame = rest.split_to((*size).min(rest.len()));
        Poll::Ready((!frame.is_empty()).then(|| Ok(Frame::data(frame))))
    }
}

/// Measures the same body in one frame and in many.
fn by_frames() {
    let mut table = Table::new(["body", "side", "median", "× one frame"]);
    for (bytes, size) in &SIZES[1..] {
        let body = Bytes::from(mail_of(*bytes));
        let frames = |size: usize| {
            let frames = Frames(body.clone(), size);
            ours::prepared(&body, move || frames.clone())
        };
        let figures = Comparison::new()
            .side("one frame", frames(usize::MAX), ours::service())
            .side("16 KiB frames", frames(16 << 10), ours::service())
            .side("1 KiB frames", frames(1 << 10), ours::service())
            .run(ROUNDS);
        figures.iter().for_each(|figure| row(&mut table, size, figure));
    }
    table.print("frames");
}

/// Measures requests that are rejected because of their head.
fn rejections() {
    let body = Bytes::from(mail_of(8 << 10));
    let rejected = |edit: fn(&mut http::HeaderMap)| {
        let mut prepare = ours::requests(&body);
        move || {
            let mut request = prepare();
            edit(request.headers_mut());
            request
        }
    };
    let figures = Comparison::new()
        .side(
            "stale",
            rejected(|headers| insert(headers, "x-timestamp", "1")),
            ours::rejecting(400),
        )
        .side(
            "malformed",
            rejected(|headers| insert(headers, "x-signature", "nonsense")),
            ours::rejecting(400),
        )
        .side(
            "missing",
            rejected(|headers| drop(headers.remove("x-signature"))),
            ours::rejecting(400),
        )
        .side(
            "too long by Content-Length",
            rejected(|headers| insert(headers, "content-length", "8388609")),
            ours::rejecting(413),
        )
        .run(ROUNDS);
    let mut table = Table::new(["rejection", "median"]);
    for figure in figures {
        table.row([figure.name, time(figure.time)]);
    }
    table.print("rejections");
}

fn insert(headers: &mut http::HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(name, http::HeaderValue::from_static(value));
}

/// Measures requests whose signature has the right form but does not match the body.
fn forged() {
    let mut table = Table::new(["body", "side", "median", "× HMAC"]);
    for (bytes, size) in SIZES {
        let body = Bytes::from(mail_of(bytes));
        let floor = floor::Floor::new(&body);
        let mut prepare = ours::requests(&body);
        let forged = move || {
            let mut request = prepare();
            let zeros = "0000000000000000000000000000000000000000000000000000000000000000";
            insert(request.headers_mut(), "x-signature", zeros);
            request
        };
        let figures = Comparison::new()
            .side("HMAC alone", || (), |()| floor.mac())
            .side("forged", forged, ours::rejecting(401))
            .run(ROUNDS);
        figures.iter().for_each(|figure| row(&mut table, size, figure));
    }
    table.print("forged");
}

/// Measures the same requests with subscribers that discard everything. The second side shows the
/// noise.
fn subscribers() {
    let [at_once, unformatted, formatted] = Discard::all();
    let mut table = Table::new(["body", "subscriber", "median", "× none"]);
    for (bytes, size) in SIZES {
        let body = Bytes::from(mail_of(bytes));
        let figures = Comparison::new()
            .side("none", ours::requests(&body), ours::service())
            .side("none, again", ours::requests(&body), ours::service())
            .side("`info`, discarded", ours::requests(&body), ours::service())
            .within(|| at_once.begin())
            .side("`info`, in a registry", ours::requests(&body), ours::service())
            .within(|| unformatted.begin())
            .side("`info`, formatted", ours::requests(&body), ours::service())
            .within(|| formatted.begin())
            .run(ROUNDS);
        figures.iter().for_each(|figure| row(&mut table, size, figure));
    }
    table.print("subscribers");
}
