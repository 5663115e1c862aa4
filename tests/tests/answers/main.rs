//! The responses of `VerifyLayer`: the status, the code, whether the handler ran, and whether the
//! body was read.

mod budget;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use openmail_tests::{
    NOW, Polls, ScriptedBody, Step, clock, error_code, fixture, inner, layer, secret, signed,
};
use openmail_tower::{
    BoxError, EventRouter, Outcome, Secret, Secrets, VerifiedEvent, VerifyLayer,
    event::Misfit,
    webhook,
    webhook::{Rejection, RejectionKind, signature::sign},
};
use tower::{Layer, ServiceExt, service_fn};

/// The response to a request, and what it cost.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    code: String,
    ran: bool,
    polls: usize,
}

async fn answer(layer: VerifyLayer, request: Request<(ScriptedBody, Polls)>) -> Answer {
    let (inner, seen) = inner();
    let polls = request.body().1.clone();
    let response = layer.layer(inner).oneshot(request.map(|(body, _)| body)).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let left = response.extensions().get::<Rejection>().map(Rejection::code);
    let code = error_code(response).await;
    assert_eq!(left.unwrap_or_default(), code, "the rejection is left in the extensions");
    Answer { status, headers, code, ran: seen.count() > 0, polls: polls.count() }
}

fn good() -> Request<(ScriptedBody, Polls)> {
    let json = fixture("message.received");
    signed(&json, ScriptedBody::new([Step::Data(Bytes::from(json.clone()))]))
}

fn with(name: &'static str, value: &'static str) -> Request<(ScriptedBody, Polls)> {
    let mut request = good();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn without(name: &str) -> Request<(ScriptedBody, Polls)> {
    let mut request = good();
    request.headers_mut().remove(name);
    request
}

fn twice(name: &'static str) -> Request<(ScriptedBody, Polls)> {
    let mut request = good();
    let value = request.headers()[name].clone();
    request.headers_mut().append(name, value);
    request
}

/// Asserts that the request is rejected and runs no handler, and that its body is still read to its
/// end.
async fn assert_rejected(
    layer: VerifyLayer,
    request: Request<(ScriptedBody, Polls)>,
    row: (u16, &str),
) {
    let Answer { status, code, ran, polls, .. } = answer(layer, request).await;
    assert_eq!((status.as_u16(), &*code, ran, polls), (row.0, row.1, false, 2));
}

#[tokio::test]
async fn handles_a_good_request() {
    let Answer { status, code, ran, polls, .. } = answer(layer(), good()).await;
    assert_eq!((status, &*code, ran, polls), (StatusCode::OK, "", true, 2));
}

#[tokio::test]
async fn answers_405_to_other_methods() {
    for method in ["GET", "HEAD", "PUT", "OPTIONS", "post"] {
        let mut request = good();
        *request.method_mut() = method.parse().unwrap();
        let answer = answer(layer(), request).await;
        assert_eq!((answer.status.as_u16(), &*answer.code), (405, "method_not_allowed"));
        assert_eq!((answer.ran, answer.polls), (false, 2));
        assert_eq!(answer.headers[header::ALLOW], "POST");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    }
}

#[tokio::test]
async fn rejects_missing_or_repeated_headers() {
    for name in ["x-timestamp", "x-signature"] {
        assert_rejected(layer(), without(name), (400, "missing_header")).await;
        assert_rejected(layer(), twice(name), (400, "ambiguous_header")).await;
    }
}

#[tokio::test]
async fn rejects_malformed_headers() {
    for text in ["", "now", "-1", "+1711015500", "1711015500.0", "0x65fc0b8c", "1e9"] {
        assert_rejected(layer(), with("x-timestamp", text), (400, "malformed_timestamp")).await;
    }
    for text in ["", "sha256=00", "00", "zz", "0000 0000"] {
        assert_rejected(layer(), with("x-signature", text), (400, "malformed_signature")).await;
    }
}

#[tokio::test]
async fn rejects_a_signed_stale_timestamp() {
    for (ahead, fresh) in [(301, false), (300, true), (-300, true), (-301, false)] {
        let Answer { status, code, .. } = answer(layer().clock(clock(ahead)), good()).await;
        let expected = if fresh { (200, "") } else { (400, "stale_timestamp") };
        assert_eq!((status.as_u16(), &*code), expected, "{ahead}");
    }
    assert_rejected(layer().clock(clock(301)), good(), (400, "stale_timestamp")).await;
    let narrow = layer().tolerance(Duration::from_secs(10));
    assert_rejected(narrow.clock(clock(11)), good(), (400, "stale_timestamp")).await;
}

#[tokio::test]
async fn rejects_a_body_declared_too_large() {
    let declared = with("content-length", "8388609");
    assert_rejected(layer(), declared, (413, "body_too_large")).await;
    let beyond = with("content-length", "99999999999999999999999");
    assert_rejected(layer(), beyond, (413, "body_too_large")).await;
    let hinted = good().map(|(body, polls)| (body.at_least((8 << 20) + 1), polls));
    assert_rejected(layer(), hinted, (413, "body_too_large")).await;
}

#[tokio::test]
async fn rejects_a_body_that_is_too_large() {
    let length = fixture("message.received").len();
    for (limit, expected) in [(length, 200), (length - 1, 413)] {
        let Answer { status, ran, .. } = answer(layer().body_limit(limit), good()).await;
        assert_eq!((status.as_u16(), ran), (expected, expected == 200));
    }
    // The frames after the one that exceeds the limit are read and thrown away.
    let body = ScriptedBody::new((0..10).map(|_| Step::Data(Bytes::from_static(&[0; 60]))));
    let Answer { status, code, ran, polls, .. } =
        answer(layer().body_limit(100), signed(b"", body)).await;
    assert_eq!((status.as_u16(), &*code, ran, polls), (413, "body_too_large", false, 11));
}

#[tokio::test]
async fn reads_the_rest_of_a_rejected_body_up_to_a_limit() {
    const FRAME: usize = 1 << 16;
    let frame = || Step::Data(Bytes::from_static(&[0; FRAME]));
    let rejected = async |frames: usize, limit: usize| {
        let body = ScriptedBody::new((0..frames).map(|_| frame()));
        let answer = answer(layer().body_limit(limit), signed(b"x", body).map(|body| body)).await;
        assert_eq!((answer.status.as_u16(), answer.ran), (413, false));
        answer.polls
    };
    let whole = (16 << 20) / FRAME;
    // Frames received before the rejection do not count.
    assert_eq!(rejected(whole, 100).await, whole + 1);
    assert_eq!(rejected(whole + 100, 100).await, whole + 2);
    assert_eq!(rejected(3 * whole, 2 * (16 << 20)).await, 3 * whole + 1);
    // The body is known to exceed the limit, so none of it is read.
    let mut stale = signed(b"", ScriptedBody::new((0..10).map(|_| frame())));
    stale = stale.map(|(body, polls)| (body.at_least((16 << 20) + 1), polls));
    assert_eq!(answer(layer().clock(clock(301)), stale).await.polls, 0);
}

#[tokio::test]
async fn rejects_an_expect_continue_request_without_reading_its_body() {
    let mut request = without("x-signature");
    request.headers_mut().insert(header::EXPECT, "100-continue".parse().unwrap());
    let Answer { status, polls, .. } = answer(layer(), request).await;
    assert_eq!((status.as_u16(), polls), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn cuts_off_a_slow_rejected_body() {
    for (steps, seconds) in [
        (vec![Step::Hang], 2),
        (vec![Step::Data(Bytes::from_static(&[0; 160 << 10])), Step::Hang], 10),
    ] {
        let started = tokio::time::Instant::now();
        let stale = signed(b"", ScriptedBody::new(steps));
        let Answer { status, .. } = answer(layer().clock(clock(301)), stale).await;
        assert_eq!((status.as_u16(), started.elapsed().as_secs()), (400, seconds));
    }
}

#[tokio::test]
async fn limit_of_an_outer_layer_is_answered_413() {
    let (inner, seen) = inner();
    let limit = tower_http::limit::RequestBodyLimitLayer::new(10);
    let (body, _) = ScriptedBody::new([Step::Data(Bytes::from_static(&[0; 60]))]);
    let service = limit.layer(layer().layer(inner));
    let response = service.oneshot(signed(b"", body)).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.count()), (413, 0));
}

/// Sends the whole event followed by this step. Returns how it ends.
async fn unended(layer: VerifyLayer, end: Step) -> (u16, String, bool) {
    let json = fixture("message.received");
    let body = ScriptedBody::new([Step::Data(Bytes::from(json.clone())), end]);
    let Answer { status, code, ran, .. } = answer(layer, signed(&json, body)).await;
    (status.as_u16(), code, ran)
}

#[tokio::test(start_paused = true)]
async fn times_out_a_body_that_never_ends() {
    let started = tokio::time::Instant::now();
    let layer = layer().body_minimum_rate(0);
    assert_eq!(unended(layer, Step::Hang).await, (408, "body_timeout".into(), false));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn times_out_a_slow_body() {
    for (bytes, seconds) in [(1, 2), (32 << 10, 2), (80 << 10, 5), (1 << 20, 10)] {
        let started = tokio::time::Instant::now();
        let body = ScriptedBody::new([Step::Data(Bytes::from(vec![0; bytes])), Step::Hang]);
        let Answer { status, code, .. } = answer(layer(), signed(b"", body)).await;
        assert_eq!((status.as_u16(), &*code), (408, "body_timeout"));
        assert_eq!(started.elapsed().as_secs(), seconds, "{bytes}");
    }
}

#[tokio::test]
async fn times_out_an_endless_body_of_empty_frames() {
    let layer = layer().body_timeout(Duration::from_millis(5));
    assert_eq!(unended(layer, Step::Spin).await, (408, "body_timeout".into(), false));
}

#[tokio::test]
async fn rejects_a_body_that_breaks_off() {
    let json = fixture("message.received");
    let body = ScriptedBody::new([Step::Data(Bytes::from(json.clone())), Step::Fail]);
    let Answer { status, code, ran, .. } = answer(layer(), signed(&json, body)).await;
    assert_eq!((status.as_u16(), &*code, ran), (400, "body_incomplete", false));
}

#[tokio::test]
async fn answers_401_if_no_secret_verifies() {
    let forged =
        with("x-signature", "00000000000000000000000000000000000000000000000000000000000000ff");
    let Answer { status, code, ran, .. } = answer(layer(), forged).await;
    assert_eq!((status.as_u16(), &*code, ran), (401, "signature_mismatch", false));
}

#[tokio::test]
async fn rejects_a_signed_body_that_is_not_an_event() {
    for json in ["", "[]", "{}", r#"{"event":1}"#, r#"{"event":"a.b","event":"a.b"}"#] {
        let body = ScriptedBody::new([Step::Data(Bytes::from_static(json.as_bytes()))]);
        let Answer { status, code, ran, .. } = answer(layer(), signed(json.as_bytes(), body)).await;
        assert_eq!((status.as_u16(), &*code, ran), (422, "invalid_payload", false), "{json}");
    }
}

#[tokio::test]
async fn mail_without_its_id_goes_to_the_fallback_or_is_rejected() {
    let json = br#"{"event":"message.received","event_id":"e","inbox_id":"i","message":{}}"#;
    let request = || {
        let body = ScriptedBody::new([Step::Data(Bytes::from_static(json))]);
        signed(json, body).map(|(body, _)| body)
    };
    let others = service_fn(async |event: VerifiedEvent| {
        assert_eq!(event.event().misfit(), Some(Misfit::MissingField("message.id")));
        Ok::<_, BoxError>(Outcome::Done)
    });
    for (events, expected) in [
        (EventRouter::new(), (422, "invalid_payload")),
        (EventRouter::new().fallback_service(others), (200, "")),
    ] {
        let response = webhook(layer(), events).oneshot(request()).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!((status, &*error_code(response).await), expected);
    }
}

#[tokio::test]
async fn accepts_both_secrets_during_a_rotation() {
    let (old, new) = (Secret::new("old").unwrap(), Secret::new("new").unwrap());
    let secrets = Secrets::new(new.clone()).and(old.clone());
    for (secret, expected) in [(&old, 200), (&new, 200), (&secret(), 401)] {
        let mut request = good();
        let signature = sign(secret, NOW, &fixture("message.received"));
        request.headers_mut().insert("x-signature", signature.parse().unwrap());
        let layer = VerifyLayer::new(secrets.clone()).clock(clock(0));
        assert_eq!(answer(layer, request).await.status.as_u16(), expected);
    }
}

#[tokio::test]
async fn on_rejection_replaces_the_response() {
    let layer = layer().on_rejection(|rejection| {
        assert_eq!(rejection.kind(), RejectionKind::MissingHeader);
        http::Response::builder().status(418).body(Bytes::new()).unwrap()
    });
    let (inner, _) = inner();
    let request = without("x-signature").map(|(body, _)| body);
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 418);
    assert!(response.extensions().get::<Rejection>().is_some());
}
