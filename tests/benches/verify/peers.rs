//! Other crates that do the same work: verify, check freshness, parse into types, pass on.
//!
//! Each gets a request in the form that it expects, signed with its own scheme if it has one.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::State,
    handler::Handler,
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use openmail_tests::{SECRET, measure::finish};
use serde::Deserialize;
use sha2::Sha256;
use tower::{Layer, Service};

use crate::ours::{now, prepared};

/// The type that one would write from the example in OpenMail's documentation.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "parsing the fields is what is measured")]
pub(crate) struct Mail {
    event: String,
    event_id: String,
    occurred_at: Option<Timestamp>,
    delivered_at: Option<Timestamp>,
    attempt: Option<u32>,
    inbox_id: String,
    thread_id: Option<String>,
    message: Message,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "parsing the fields is what is measured")]
struct Message {
    id: String,
    rfc_message_id: Option<String>,
    from: String,
    to: String,
    cc: Vec<String>,
    subject: Option<String>,
    body_text: Option<String>,
    attachments: Vec<Attachment>,
    received_at: Option<Timestamp>,
    category: Option<String>,
    auto_replyable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsing the fields is what is measured")]
struct Attachment {
    filename: Option<String>,
    content_type: Option<String>,
    size_bytes: Option<u64>,
    url: Option<String>,
    parsed_text: Option<String>,
    extraction_method: Option<String>,
}

impl Mail {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mail: Self = serde_json::from_slice(body).expect("an event");
        assert_eq!(mail.event, "message.received");
        mail
    }
}

fn fresh(headers: &HeaderMap) -> bool {
    let timestamp = headers.get("x-timestamp").and_then(|text| text.to_str().ok()?.parse().ok());
    timestamp.is_some_and(|timestamp: u64| timestamp.abs_diff(now()) <= 300)
}

/// The service inside a layer that has verified the body. It reads and parses the body.
#[derive(Clone)]
struct Parse {
    judge_freshness: bool,
}

impl Parse {
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        if self.judge_freshness && !fresh(headers) {
            return StatusCode::BAD_REQUEST;
        }
        black_box(Mail::parse(body));
        StatusCode::OK
    }
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::<Full<Bytes>>::default();
    *response.status_mut() = status;
    response
}

impl Service<Request<Bytes>> for Parse {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        ready(Ok(response(self.take(request.headers(), request.body()))))
    }
}

impl Service<Request<Full<Bytes>>> for Parse {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let body = finish(body.collect()).expect("a body in memory").to_bytes();
        ready(Ok(response(self.take(&parts.headers, &body))))
    }
}

/// An axum handler of about twenty lines, as people often write it.
async fn handler(State(secret): State<Arc<str>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(timestamp), Some(signature)) = (header("x-timestamp"), header("x-signature")) else {
        return StatusCode::BAD_REQUEST;
    };
    if !fresh(&headers) {
        return StatusCode::BAD_REQUEST;
    }
    let Ok(signature) = hex::decode(signature) else { return StatusCode::BAD_REQUEST };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(&body);
    if mac.verify_slice(&signature).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    black_box(Mail::parse(&body));
    StatusCode::OK
}

pub(crate) fn by_hand_requests(body: &Bytes) -> impl FnMut() -> Request<Body> + use<> {
    let frame = body.clone();
    prepared(body, move || Body::from(frame.clone()))
}

pub(crate) fn by_hand() -> impl FnMut(Request<Body>) {
    let mut service = handler.with_state(SECRET.into());
    move |request| {
        let response = finish(service.call(request)).expect("an answer");
        assert_eq!(response.status(), 200);
    }
}

pub(crate) fn custom_requests(body: &Bytes) -> impl FnMut() -> Request<Full<Bytes>> + use<> {
    crate::ours::requests(body)
}

pub(crate) fn webhook_verify() -> impl FnMut(Request<Full<Bytes>>) {
    use webhook_verify::{CustomScheme, Encoding, HashAlg, Provider, Secret, tower::VerifyLayer};
    let scheme = CustomScheme {
        hash: HashAlg::Sha256,
        signature_header: "x-signature",
        timestamp_header: Some("x-timestamp"),
        encoding: Encoding::Hex,
        prefix: None,
        signed_string: |headers, body| {
            let timestamp = headers.get("x-timestamp").unwrap_or_default();
            [timestamp.as_bytes(), b".", body].concat()
        },
    };
    let layer = VerifyLayer::<Bytes>::new(Provider::Custom(scheme), Secret::new(SECRET));
    let mut service = layer.layer(Parse { judge_freshness: false });
    move |request| {
        let response: Response<Full<Bytes>> = finish(service.call(request)).expect("an answer");
        assert_eq!(response.status(), 200);
    }
}

pub(crate) fn standard_requests(body: &Bytes) -> impl FnMut() -> Request<Full<Bytes>> + use<> {
    let webhook = standardwebhooks::Webhook::from_bytes(SECRET.into()).expect("a key");
    let timestamp = i64::try_from(now()).expect("a time");
    let signature = webhook.sign("evt_1", timestamp, body).expect("a signature");
    let mut request = crate::ours::requests(body);
    move || {
        let mut request = request();
        let headers = request.headers_mut();
        headers.remove("x-signature");
        headers.remove("x-timestamp");
        headers.insert("webhook-id", http::HeaderValue::from_static("evt_1"));
        headers.insert("webhook-timestamp", timestamp.into());
        headers.insert("webhook-signature", signature.parse().expect("a header"));
        request
    }
}

/// `standardwebhooks` has no layer, so a service collects the body and calls the crate.
pub(crate) fn standardwebhooks() -> impl FnMut(Request<Full<Bytes>>) {
    let webhook = standardwebhooks::Webhook::from_bytes(SECRET.into()).expect("a key");
    let mut inner = Parse { judge_freshness: false };
    move |request| {
        let (parts, body) = request.into_parts();
        let body = finish(body.collect()).expect("a body in memory").to_bytes();
        webhook.verify(&body, &parts.headers).expect("the signature");
        let response = finish(inner.call(Request::from_parts(parts, body))).expect("an answer");
        assert_eq!(response.status(), 200);
    }
}

pub(crate) fn github_requests(body: &Bytes) -> impl FnMut() -> Request<Full<Bytes>> + use<> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut request = crate::ours::requests(body);
    move || {
        let mut request = request();
        request.headers_mut().remove("x-signature");
        let signature = signature.parse().expect("a header");
        request.headers_mut().insert("x-hub-signature-256", signature);
        request
    }
}

/// GitHub's signature covers only the body, so freshness is checked afterwards.
pub(crate) fn github_webhook() -> impl FnMut(Request<Full<Bytes>>) {
    let layer = tower_github_webhook::ValidateGitHubWebhookLayer::new(SECRET);
    let mut service = layer.layer(Parse { judge_freshness: true });
    move |request| {
        let response = finish(service.call(request)).expect("an answer");
        assert_eq!(response.status(), 200);
    }
}
