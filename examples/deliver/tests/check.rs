//! `deliver check` against a good server, and against one with each fault.

mod common;

use std::{
    future::{pending, ready},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    response::Redirect,
    routing::{get, post},
};
use common::{Output, app, by_hand, deduplicating, layer, nowhere, run, secret, serve};
use http::{HeaderValue, Request, Response, StatusCode, header::DATE};
use openmail_tower::{
    Endpoint, EventRouter, Outcome, Secret, VerifiedEvent, VerifyLayer,
    webhook::signature::{DEFAULT_TOLERANCE, sign, verify_at},
};
use serde_json::Value;
use tower::{Layer, util::MapResponseLayer};

const QUICK: Duration = Duration::ZERO;
const NOTICEABLE: Duration = Duration::from_secs(1);

async fn check(url: &str) -> Output {
    run(["check", "--url", url]).await
}

/// Asserts that the program finds exactly these faults, with these words in their texts.
async fn finds(app: Router, faults: &[(&str, &str)]) {
    let output = check(&serve(app).await).await;
    assert_faults(&output, faults);
}

fn assert_faults(output: &Output, faults: &[(&str, &str)]) {
    let wrong: Vec<_> = output.stdout.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(wrong.len(), faults.len(), "{output:?}");
    for (line, (what, text)) in wrong.iter().zip(faults) {
        assert!(line.starts_with(&format!("WRONG {what}: ")), "{line}");
        assert!(line.contains(text), "{line}");
    }
    assert_eq!(output.status.code(), Some(i32::from(!faults.is_empty())), "{output:?}");
}

/// Returns the body if `VerifyLayer` would accept the signature.
async fn signed(request: Request<Body>) -> Option<Vec<u8>> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.ok()?;
    let header = |name| parts.headers.get(name).map(HeaderValue::as_bytes);
    let (timestamp, signature) = (header("x-timestamp")?, header("x-signature")?);
    let now = SystemTime::now();
    verify_at(&secret().into(), timestamp, signature, &body, now, DEFAULT_TOLERANCE).ok()?;
    Some(body.to_vec())
}

#[tokio::test]
async fn finds_nothing_wrong_with_a_good_endpoint() {
    let url = serve(deduplicating(layer(), NOTICEABLE)).await;
    let output = check(&url).await;
    assert_faults(&output, &[]);
    assert!(output.stdout.contains("the other is answered 409"), "{output:?}");
    assert!(output.stdout.ends_with("Nothing is wrong with this endpoint.\n"), "{output:?}");

    let output = run(["check", "--url", &url, "--json"]).await;
    let findings = output.json();
    assert!(findings.len() >= 7, "{findings:?}");
    let is_good = |it: &Value| it["verdict"] == "good" && it["text"].is_string();
    assert!(findings.iter().all(is_good), "{findings:?}");
}

#[tokio::test]
async fn does_not_judge_the_deduplication_of_a_quick_endpoint() {
    let output = check(&serve(app(layer(), |_| ready(Ok(Outcome::Done)))).await).await;
    assert_faults(&output, &[]);
    assert!(output.stdout.contains("?     duplicates: too quick to tell"), "{output:?}");
}

#[tokio::test]
async fn finds_an_unreachable_endpoint() {
    let output = check(&nowhere().await).await;
    assert_faults(&output, &[("reachable", "refused")]);
}

#[tokio::test]
async fn finds_a_route_for_get_only() {
    let app = Router::new().route("/webhooks", get(|| ready("hello")));
    finds(app, &[("method", "answers GET with 200 but POST with 405")]).await;
}

#[tokio::test]
async fn finds_a_wrong_path_and_a_missing_handler() {
    finds(Router::new(), &[("method", "nothing is at this path")]).await;
    let endpoint = layer().layer(Endpoint::new(EventRouter::new()).refuse_unrouted());
    let app = Router::new().route_service("/webhooks", endpoint);
    finds(app, &[("setup.test", "no handler takes a signed setup.test")]).await;
}

#[tokio::test]
async fn finds_a_redirect() {
    let app = Router::new().route("/webhooks", post(|| ready(Redirect::permanent("/hooks"))));
    finds(app, &[("reachable", "it redirects to /hooks")]).await;
}

#[tokio::test]
async fn finds_a_wrong_secret() {
    let wrong = [("secret", "wrong secret")];
    let other = Secret::new("another").unwrap();
    finds(deduplicating(VerifyLayer::new(other.clone()), QUICK), &wrong).await;
    // A wrong secret is reported even if the response has no text.
    let app = by_hand(move |request: Request<Body>| {
        let other = other.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 8 << 20).await.unwrap();
            let timestamp = parts.headers["x-timestamp"].to_str().unwrap().parse().unwrap();
            match parts.headers["x-signature"] == sign(&other, timestamp, &body) {
                true => StatusCode::OK,
                false => StatusCode::FORBIDDEN,
            }
        }
    });
    finds(app, &wrong).await;
}

fn off(by: Duration) -> impl Fn() -> SystemTime + Clone + Send + Sync + 'static {
    move || SystemTime::now() - by
}

#[tokio::test]
async fn finds_a_wrong_clock() {
    let hour = Duration::from_secs(3600);
    // hyper's `Date` header is right, so only the code in the response reveals the layer's clock.
    let app = deduplicating(layer().clock(off(hour)), QUICK);
    finds(app, &[("clock", "off by more than 300 s")]).await;

    // If the server sends its time, the report says how far its clock is off.
    let dated = |by: Duration| {
        let date = move |mut response: Response<Body>| {
            let date = httpdate::fmt_http_date(off(by)());
            response.headers_mut().insert(DATE, HeaderValue::try_from(date).expect("a date"));
            response
        };
        deduplicating(layer().clock(off(by)), QUICK).layer(MapResponseLayer::new(date))
    };
    let output = check(&serve(dated(hour)).await).await;
    assert_faults(&output, &[("clock", "the clock of its machine is ")]);
    assert!(output.stdout.contains(" s behind"), "{output:?}");
    let output = check(&serve(dated(Duration::from_secs(100))).await).await;
    assert!(output.stdout.contains("?     clock: "), "{output:?}");
}

#[tokio::test]
async fn finds_a_body_limit_that_is_too_small() {
    let small = deduplicating(layer().body_limit(1 << 20), QUICK);
    finds(small, &[("size", "512 KiB are accepted, but 1 MiB is not (413 (body_too_large))")])
        .await;
    let tiny = deduplicating(layer().body_limit(10 << 10), QUICK);
    finds(tiny, &[("size", "smaller bodies are accepted, but 64 KiB is not")]).await;
}

#[tokio::test]
async fn finds_a_handler_slower_than_15_seconds() {
    let always = app(layer().body_limit(8 << 20), |_| pending());
    // Without an `Endpoint`, whose deadline would come first.
    let hangs = by_hand(|_| pending());
    let mails = by_hand(async |request: Request<Body>| match signed(request).await {
        Some(body) if body.windows(16).any(|it| it == b"message.received") => pending().await,
        Some(_) => StatusCode::OK,
        None => StatusCode::UNAUTHORIZED,
    });
    tokio::join!(
        finds(always, &[("setup.test", "503 (deadline_exceeded)")]),
        finds(hangs, &[("slow", "no response within 15 s")]),
        finds(mails, &[("slow", "a mail is not answered within 15 s")]),
    );
}

#[tokio::test]
async fn finds_missing_deduplication() {
    let app = app(layer(), async |event: VerifiedEvent| {
        if event.event().message_received().is_some() {
            tokio::time::sleep(NOTICEABLE).await;
        }
        Ok(Outcome::Done)
    });
    finds(app, &[("duplicates", "it does not deduplicate")]).await;
}

#[tokio::test]
async fn recognises_deduplication_by_a_lock() {
    // The second delivery waits for the first, as with a lock, instead of being answered 409.
    let memory = std::sync::Arc::new(tokio::sync::Mutex::new(std::collections::HashSet::new()));
    let app = app(layer(), move |event: VerifiedEvent| {
        let memory = std::sync::Arc::clone(&memory);
        async move {
            let mut known = memory.lock().await;
            if event.event_id().is_some_and(|id| known.insert(id.clone())) {
                tokio::time::sleep(NOTICEABLE).await;
            }
            Ok(Outcome::Done)
        }
    });
    let output = check(&serve(app).await).await;
    assert_faults(&output, &[]);
    assert!(output.stdout.contains("ok    duplicates: a mail is not handled twice"), "{output:?}");
}

#[tokio::test]
async fn finds_a_missing_verification() {
    let app = by_hand(async |request: Request<Body>| {
        to_bytes(request.into_body(), 8 << 20)
            .await
            .map_or(StatusCode::BAD_REQUEST, |_| StatusCode::OK)
    });
    let output = check(&serve(app).await).await;
    let wrong = output.stdout.lines().filter(|it| it.starts_with("WRONG forgery: it accepts "));
    assert_eq!(wrong.count(), 14, "{output:?}");
    assert!(output.stdout.contains("14 things are wrong"), "{output:?}");
}

/// A receiver that verifies with `judge`, which gets the timestamp, the signature and the body.
fn careless(judge: impl Fn(&str, &str, &[u8]) -> bool + Clone + Send + Sync + 'static) -> Router {
    by_hand(move |request: Request<Body>| {
        let judge = judge.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 8 << 20).await.unwrap();
            let header = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
            match (header("x-timestamp"), header("x-signature")) {
                (Some(timestamp), Some(signature)) if judge(timestamp, signature, &body) => {
                    StatusCode::OK
                }
                _ => StatusCode::UNAUTHORIZED,
            }
        }
    })
}

/// Returns the signature of a timestamp and a body. `sign` takes a number as the timestamp. So with
/// a timestamp such as `1000.x`, this passes `x.` before the body: the same signed bytes.
fn expected(timestamp: &str, body: &[u8]) -> Option<String> {
    let (digits, rest) = match timestamp.split_once('.') {
        Some((digits, rest)) => (digits, [rest.as_bytes(), b".", body].concat()),
        None => (timestamp, body.to_vec()),
    };
    Some(sign(&secret(), digits.parse().ok()?, &rest))
}

fn fresh(timestamp: &str) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    timestamp.parse::<u64>().is_ok_and(|it| it.abs_diff(now) <= 300)
}

#[tokio::test]
async fn finds_a_comparison_of_prefixes() {
    let app = careless(|timestamp, signature, body| {
        fresh(timestamp) && expected(timestamp, body).is_some_and(|it| it.starts_with(signature))
    });
    let short = [("forgery", "the first half of a signature"), ("forgery", "an empty signature")];
    finds(app, &short).await;
    let app = careless(|timestamp, signature, body| {
        fresh(timestamp) && expected(timestamp, body).is_some_and(|it| signature.starts_with(&it))
    });
    finds(app, &[("forgery", "a valid signature with more text after it")]).await;
}

#[tokio::test]
async fn finds_an_unchecked_timestamp() {
    let app = careless(|timestamp, signature, body| {
        expected(timestamp, body).is_some_and(|it| it == signature)
    });
    let stale = [
        ("forgery", "a timestamp ten minutes in the past"),
        ("forgery", "a timestamp ten minutes in the future"),
        ("forgery", "a timestamp that is not a number"),
    ];
    finds(app, &stale).await;
    // As in JavaScript, where no comparison with NaN is true.
    let app = careless(|timestamp, signature, body| {
        (timestamp.parse::<u64>().is_err() || fresh(timestamp))
            && expected(timestamp, body).is_some_and(|it| it == signature)
    });
    finds(app, &[("forgery", "a timestamp that is not a number")]).await;
}

#[tokio::test]
async fn finds_reserialised_json() {
    let app = careless(|timestamp, signature, body| {
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return false };
        let again = serde_json::to_vec(&json).unwrap();
        fresh(timestamp) && expected(timestamp, &again).is_some_and(|it| it == signature)
    });
    let wrong = [("raw body", "verify the bytes"), ("forgery", "a body other than the signed one")];
    finds(app, &wrong).await;
}

#[tokio::test]
async fn finds_a_failure_instead_of_a_rejection() {
    let strict = |request: Request<Body>| async move {
        let signature = request.headers().get("x-signature").map(HeaderValue::as_bytes);
        match signature.is_none_or(|it| it.len() != 64) {
            true => at_once(StatusCode::INTERNAL_SERVER_ERROR, request),
            false if signed(request).await.is_some() => StatusCode::OK,
            false => StatusCode::UNAUTHORIZED,
        }
    };
    let fails = [
        ("forgery", "the first half of a signature makes it fail (500)"),
        ("forgery", "a valid signature with more text after it makes it fail (500)"),
        ("forgery", "an empty signature makes it fail (500)"),
        ("forgery", "a signature that is not ASCII makes it fail (500)"),
        ("forgery", "a delivery without a signature makes it fail (500)"),
        ("early", "a delivery without a signature is answered 500 before the endpoint"),
        ("early", "a malformed signature is answered 500 before the endpoint"),
    ];
    finds(by_hand(strict), &fails).await;
}

/// Answers before the body is read, but reads it in the background: if the server hung up, the
/// client might not see the response.
fn at_once(status: StatusCode, request: Request<Body>) -> StatusCode {
    tokio::spawn(to_bytes(request.into_body(), usize::MAX));
    status
}

fn has_good_headers(request: &Request<Body>) -> bool {
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    header("x-timestamp").is_some_and(fresh)
        && header("x-signature").is_some_and(|it| it.len() == 64)
}

#[tokio::test]
async fn finds_rejections_before_the_body_is_read() {
    // As many receivers do: the headers first, and the body only if they look right.
    let headers_first = |request: Request<Body>| async move {
        if !has_good_headers(&request) {
            return at_once(StatusCode::UNAUTHORIZED, request);
        }
        signed(request).await.map_or(StatusCode::UNAUTHORIZED, |_| StatusCode::OK)
    };
    let output = check(&serve(by_hand(headers_first)).await).await;
    let early = |what: &'static str| ("early", what);
    let wrong = [
        early("a delivery without a signature is answered 401 before the endpoint"),
        early("a delivery without a timestamp is answered 401 before the endpoint"),
        early("a malformed signature is answered 401 before the endpoint"),
        early("a stale delivery is answered 401 before the endpoint"),
    ];
    assert_faults(&output, &wrong);
    assert!(output.stdout.contains("?     early: a PUT is answered 405 before"), "{output:?}");
    assert!(output.stdout.contains("?     early: a body of 9 MiB is answered "), "{output:?}");
}

#[tokio::test]
async fn finds_a_hang_up_without_an_answer() {
    let app = by_hand(async |request: Request<Body>| {
        assert!(request.headers().contains_key("x-timestamp"), "a handler that panics");
        signed(request).await.map_or(StatusCode::UNAUTHORIZED, |_| StatusCode::OK)
    });
    let wrong = [
        ("forgery", "a delivery without a timestamp makes it fail: "),
        ("early", "a delivery without a timestamp is answered by hanging up ("),
    ];
    finds(app, &wrong).await;
}

#[tokio::test]
async fn finds_rejected_unknown_and_test_events() {
    let rejects = |name: &'static [u8]| {
        by_hand(move |request: Request<Body>| async move {
            match signed(request).await {
                Some(body) if body.windows(name.len()).any(|it| it == name) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
                Some(_) => StatusCode::OK,
                None => StatusCode::UNAUTHORIZED,
            }
        })
    };
    finds(rejects(b"setup.test"), &[("setup.test", "answers a signed setup.test with 422")]).await;
    finds(rejects(b"deliver.news"), &[("new events", "is answered 422")]).await;
    finds(rejects(b"message.received"), &[("mail", "inb_deliver_check is answered 422")]).await;
    finds(rejects(b"\"attempt\":2"), &[("duplicates", "second delivery is not accepted: 422")])
        .await;
}

#[tokio::test]
async fn finds_a_hang_up_on_a_large_body() {
    let app = by_hand(async |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        assert!(body.len() <= 100 << 10, "a handler that panics");
        let body = signed(Request::from_parts(parts, body.into())).await;
        body.map_or(StatusCode::UNAUTHORIZED, |_| StatusCode::OK)
    });
    finds(app, &[("size", "64 KiB are accepted, but 100 KiB is not (client error")]).await;
}
