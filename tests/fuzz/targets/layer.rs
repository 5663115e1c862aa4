//! Fuzzes the layer: it never panics, never passes on a request that is not signed, and always
//! passes on a signed event that meets its limits, however the body is split.
//!
//! The input resembles an HTTP/1 request: a line whose bytes say how the body is split, then the
//! method, the headers, an empty line and the body. `@` as `X-Signature` stands for the right
//! signature. An independent check, which shares only the parser of events with the layer, decides
//! whether the request must pass.

#![no_main]

use std::{
    cell::RefCell,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use openmail_tower::{Event, Secret, VerifiedEvent, VerifyLayer, webhook::VerifiedBody};
use sha2::Sha256;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};

const SECRET: &str = "whsec_16xf3d4ngxcpjd2kql81b319h6rew2on";
const NOW: u64 = 1_711_015_500;
const LIMIT: usize = 1024;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
    // One layer for all inputs, with a small budget. If requests did not release what they use,
    // later requests would fail.
    static LAYER: VerifyLayer = VerifyLayer::new(Secret::new(SECRET).unwrap())
        .clock(|| UNIX_EPOCH + Duration::from_secs(NOW))
        .body_limit(LIMIT)
        .body_budget(1024 * LIMIT);
    static SEEN: RefCell<Option<VerifiedEvent>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some(Input { split, method, headers, body }) = Input::read(input) else { return };
    let expected = passes(&method, &headers, &body) && !split.contains(&FAIL);
    let mut request = Request::new(Frames { split, next: 0, left: body.clone() });
    *request.method_mut() = method;
    *request.headers_mut() = headers;

    SEEN.take();
    let service = LAYER.with(|layer| layer.layer(service_fn(inner)));
    let response = RUNTIME.with(|it| it.block_on(service.oneshot(request))).unwrap();
    let seen = SEEN.take();
    assert_eq!(response.status().is_success(), expected, "{:?}", response.status());
    assert_eq!(seen.is_some(), expected);
    if let Some(event) = seen {
        assert_eq!(event.raw_body(), &body);
    }
});

async fn inner(request: Request<VerifiedBody>) -> Result<Response<VerifiedBody>, Infallible> {
    SEEN.set(request.extensions().get().cloned());
    Ok(Response::new(request.into_body()))
}

/// The independent check.
fn passes(method: &Method, headers: &HeaderMap, body: &[u8]) -> bool {
    let single = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        <[&[u8]; 1]>::try_from(values).ok().map(|[value]| value)
    };
    let (Some(timestamp), Some(signature)) = (single("x-timestamp"), single("x-signature")) else {
        return false;
    };
    let text = std::str::from_utf8(timestamp).unwrap_or("");
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let fresh = text.parse().is_ok_and(|at: u64| (NOW - 300..=NOW + 300).contains(&at));
    let declared = headers.get("content-length").and_then(|it| it.to_str().ok());
    let declared = declared.filter(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_digit()));
    let small = declared.is_none_or(|it| it.parse().is_ok_and(|length: usize| length <= LIMIT));
    method == Method::POST
        && digits
        && fresh
        && small
        && body.len() <= LIMIT
        && signature.to_ascii_lowercase() == sign(timestamp, body).as_bytes()
        && Event::from_slice(body).is_ok()
}

fn sign(timestamp: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(&[timestamp, b".", body].concat());
    hex::encode(mac.finalize().into_bytes())
}

struct Input {
    split: Vec<u8>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Input {
    fn read(input: &[u8]) -> Option<Self> {
        let (split, input) = line(input)?;
        let (method, mut input) = line(input)?;
        let mut headers = HeaderMap::new();
        loop {
            let (header, rest) = line(input)?;
            input = rest;
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|&byte| byte == b':')?;
            let name = HeaderName::from_bytes(&header[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(header[colon + 1..].trim_ascii()).ok()?);
        }
        if headers.get("x-signature").is_some_and(|it| it == "@") {
            let timestamp = headers.get("x-timestamp").map_or(&b""[..], HeaderValue::as_bytes);
            let signature = sign(timestamp, input).parse().ok()?;
            headers.insert("x-signature", signature);
        }
        Some(Self {
            split: split.to_owned(),
            method: Method::from_bytes(method).ok()?,
            headers,
            body: Bytes::copy_from_slice(input),
        })
    }
}

fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    Some((&input[..end], &input[end + 1..]))
}

/// In `split`: the body fails here.
const FAIL: u8 = 255;
/// In `split`: the body yields trailers.
const TRAILERS: u8 = 254;
/// In `split`: the body is pending once.
const PENDING: u8 = 253;

/// A body in frames whose lengths are the other bytes of `split`, and a last frame with the rest.
struct Frames {
    split: Vec<u8>,
    next: usize,
    left: Bytes,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let step = self.split.get(self.next).copied();
        self.next += 1;
        Poll::Ready(match step {
            Some(FAIL) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            Some(TRAILERS) => {
                let name = HeaderName::from_static("x-timestamp");
                Some(Ok(Frame::trailers(HeaderMap::from_iter([(name, 0.into())]))))
            }
            Some(PENDING) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(length) => {
                let length = self.left.len().min(length.into());
                Some(Ok(Frame::data(self.left.split_to(length))))
            }
            None if self.left.is_empty() => None,
            None => Some(Ok(Frame::data(std::mem::take(&mut self.left)))),
        })
    }
}
