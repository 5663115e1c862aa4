//! One test a row of the table of answers: the status, the code, whether the handler ran, whether
//! the body was polled.

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

/// What a request was answered with, and what it cost.
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

/// Refused by its head alone.
async fn assert_refused(
    layer: VerifyLayer,
    request: Request<(ScriptedBody, Polls)>,
    row: (u16, &str),
) {
    let Answer { status, code, ran, polls, .. } = answer(layer, request).await;
    assert_eq!((status.as_u16(), &*code, ran, polls), (row.0, row.1, false, 0));
}

#[tokio::test]
async fn a_good_request_is_handled() {
    let Answer { status, code, ran, polls, .. } = answer(layer(), good()).await;
    assert_eq!((status, &*code, ran, polls), (StatusCode::OK, "", true, 2));
}

#[tokio::test]
async fn other_methods() {
    for method in ["GET", "HEAD", "PUT", "OPTIONS", "post"] {
        let mut request = good();
        *request.method_mut() = method.parse().unwrap();
        let answer = answer(layer(), request).await;
        assert_eq!((answer.status.as_u16(), &*answer.code), (405, "method_not_allowed"));
        assert_eq!((answer.ran, answer.polls), (false, 0));
        assert_eq!(answer.headers[header::ALLOW], "POST");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    }
}

#[tokio::test]
async fn headers_missing_or_given_twice() {
    for name in ["x-timestamp", "x-signature"] {
        assert_refused(layer(), without(name), (400, "missing_header")).await;
        assert_refused(layer(), twice(name), (400, "ambiguous_header")).await;
    }
}

#[tokio::test]
async fn headers_malformed() {
    for text in ["", "now", "-1", "+1711015500", "1711015500.0", "0x65fc0b8c", "1e9"] {
        assert_refused(layer(), with("x-timestamp", text), (400, "malformed_timestamp")).await;
    }
    for text in ["", "sha256=00", "00", "zz", "0000 0000"] {
        assert_refused(layer(), with("x-signature", text), (400, "malformed_signature")).await;
    }
}

#[tokio::test]
async fn a_stale_timestamp_that_is_signed() {
    for (ahead, fresh) in [(301, false), (300, true), (-300, true), (-301, false)] {
        let Answer { status, code, .. } = answer(layer().clock(clock(ahead)), good()).await;
        let expected = if fresh { (200, "") } else { (400, "stale_timestamp") };
        assert_eq!((status.as_u16(), &*code), expected, "{ahead}");
    }
    assert_refused(layer().clock(clock(301)), good(), (400, "stale_timestamp")).await;
    let narrow = layer().tolerance(Duration::from_secs(10));
    assert_refused(narrow.clock(clock(11)), good(), (400, "stale_timestamp")).await;
}

#[tokio::test]
async fn too_large_by_its_own_word() {
    let declared = with("content-length", "8388609");
    assert_refused(layer(), declared, (413, "body_too_large")).await;
    let beyond = with("content-length", "99999999999999999999999");
    assert_refused(layer(), beyond, (413, "body_too_large")).await;
    let hinted = good().map(|(body, polls)| (body.at_least((8 << 20) + 1), polls));
    assert_refused(layer(), hinted, (413, "body_too_large")).await;
}

#[tokio::test]
async fn too_large_in_fact() {
    let length = fixture("message.received").len();
    for (limit, expected) in [(length, 200), (length - 1, 413)] {
        let Answer { status, ran, .. } = answer(layer().body_limit(limit), good()).await;
        assert_eq!((status.as_u16(), ran), (expected, expected == 200));
    }
    // It stops at the frame that is too much.
    let frames =
        [Step::Data(Bytes::from_static(&[0; 60])), Step::Data(Bytes::from_static(&[0; 60]))];
    let body = ScriptedBody::new(frames.into_iter().chain([Step::Hang]));
    let Answer { status, code, ran, polls, .. } =
        answer(layer().body_limit(100), signed(b"", body)).await;
    assert_eq!((status.as_u16(), &*code, ran, polls), (413, "body_too_large", false, 2));
}

#[tokio::test]
async fn a_limit_that_an_outer_layer_has_set_is_413_too() {
    let (inner, seen) = inner();
    let limit = tower_http::limit::RequestBodyLimitLayer::new(10);
    let (body, _) = ScriptedBody::new([Step::Data(Bytes::from_static(&[0; 60]))]);
    let service = limit.layer(layer().layer(inner));
    let response = service.oneshot(signed(b"", body)).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.count()), (413, 0));
}

/// Sends the whole event and then this; says how it ends.
async fn unended(layer: VerifyLayer, end: Step) -> (u16, String, bool) {
    let json = fixture("message.received");
    let body = ScriptedBody::new([Step::Data(Bytes::from(json.clone())), end]);
    let Answer { status, code, ran, .. } = answer(layer, signed(&json, body)).await;
    (status.as_u16(), code, ran)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends() {
    let started = tokio::time::Instant::now();
    assert_eq!(unended(layer(), Step::Hang).await, (408, "body_timeout".into(), false));
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_body_of_empty_frames_for_ever() {
    let layer = layer().body_timeout(Duration::from_millis(5));
    assert_eq!(unended(layer, Step::Spin).await, (408, "body_timeout".into(), false));
}

#[tokio::test]
async fn a_body_that_breaks_off() {
    let json = fixture("message.received");
    let body = ScriptedBody::new([Step::Data(Bytes::from(json.clone())), Step::Fail]);
    let Answer { status, code, ran, .. } = answer(layer(), signed(&json, body)).await;
    assert_eq!((status.as_u16(), &*code, ran), (400, "body_incomplete", false));
}

#[tokio::test]
async fn the_shared_budget_used_up() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(2 * length + 10);
    let (inner, seen) = inner();
    let service = layer.clone().layer(inner);
    // One request holds some of the budget, waiting for the rest of its body.
    let (body, polls) = ScriptedBody::new([Step::Data(Bytes::from_static(&[0; 100])), Step::Hang]);
    let mut waiting = by_hand(service.clone().oneshot(signed(b"", body)));
    assert!(waiting.poll().is_pending() && polls.count() == 2);
    let refused = answer(layer.clone(), good()).await;
    assert_eq!((refused.status.as_u16(), &*refused.code, refused.ran), (503, "overloaded", false));
    assert_eq!(refused.headers[header::RETRY_AFTER], "5");
    // Its part comes back when it is dropped.
    drop(waiting);
    assert_eq!(answer(layer, good()).await.status, 200);
    assert_eq!(seen.count(), 0);
}

#[tokio::test]
async fn the_budget_is_held_until_the_answer_and_no_longer() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(2 * length);
    let hold = service_fn(async |_| {
        std::future::pending::<()>().await;
        Ok::<_, BoxError>(http::Response::new(String::new()))
    });
    let request = good().map(|(body, _)| body);
    let mut held = by_hand(layer.clone().layer(hold).oneshot(request));
    assert!(held.poll().is_pending());
    assert_eq!(answer(layer.clone(), good()).await.code, "overloaded");
    drop(held);
    for _ in 0..3 {
        assert_eq!(answer(layer.clone(), good()).await.status, 200);
    }
}

#[tokio::test]
async fn the_budget_counts_the_event_beside_its_body() {
    let length = fixture("message.received").len();
    for (budget, expected) in [(2 * length, (200, "")), (2 * length - 1, (503, "overloaded"))] {
        let Answer { status, code, .. } = answer(layer().body_budget(budget), good()).await;
        assert_eq!((status.as_u16(), &*code), expected, "{budget}");
    }
    // Nothing is read from what is not OpenMail's.
    let forged =
        with("x-signature", "00000000000000000000000000000000000000000000000000000000000000ff");
    assert_eq!(answer(layer().body_budget(length), forged).await.status, 401);
}

/// A future to be polled by hand.
fn by_hand<F: Future>(future: F) -> Task<F> {
    Task(Box::pin(future))
}

struct Task<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Task<F> {
    fn poll(&mut self) -> std::task::Poll<F::Output> {
        self.0.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}

#[tokio::test]
async fn no_secret_verifies() {
    let forged =
        with("x-signature", "00000000000000000000000000000000000000000000000000000000000000ff");
    let Answer { status, code, ran, .. } = answer(layer(), forged).await;
    assert_eq!((status.as_u16(), &*code, ran), (401, "signature_mismatch", false));
}

#[tokio::test]
async fn signed_but_no_event() {
    for json in ["", "[]", "{}", r#"{"event":1}"#, r#"{"event":"a.b","event":"a.b"}"#] {
        let body = ScriptedBody::new([Step::Data(Bytes::from_static(json.as_bytes()))]);
        let Answer { status, code, ran, .. } = answer(layer(), signed(json.as_bytes(), body)).await;
        assert_eq!((status.as_u16(), &*code, ran), (422, "invalid_payload", false), "{json}");
    }
}

#[tokio::test]
async fn a_mail_without_its_id_goes_to_the_fallback_and_without_one_is_refused() {
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
async fn both_secrets_are_accepted_around_a_rotation() {
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
async fn the_rejection_can_be_answered_otherwise() {
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
