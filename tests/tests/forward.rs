//! Events forwarded over HTTP.

use std::{
    convert::Infallible,
    future::pending,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use openmail_tests::{ScriptedBody, Step, fixture};
use openmail_tower::{
    HandlerErrorKind, Outcome, Secret, Secrets, StoredEvent, VerifiedEvent,
    layers::Forward,
    webhook::signature::{DEFAULT_TOLERANCE, verify_at},
};
use tower::{ServiceExt, service_fn};

fn event(raw_body: impl Into<Bytes>) -> VerifiedEvent {
    VerifiedEvent::from_stored(StoredEvent {
        raw_body: raw_body.into(),
        timestamp: 0,
        inbox_id: None,
    })
    .unwrap()
}

type Seen = Arc<Mutex<Vec<Request<Bytes>>>>;

/// Forwards an event to an agent that records it and answers 204. Returns the request.
async fn forwarded(event: VerifiedEvent, secret: Option<Secret>) -> Request<Bytes> {
    let seen = Seen::default();
    let client = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<Full<Bytes>>| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                seen.lock().unwrap().push(Request::from_parts(head, body));
                let response = Response::builder().status(StatusCode::NO_CONTENT);
                Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
            }
        })
    };
    let mut forward = Forward::new(client, "http://agent.test:4001/mail?x=1".parse().unwrap());
    if let Some(secret) = secret {
        forward = forward.sign_with(secret);
    }
    assert_eq!(forward.oneshot(event).await.unwrap(), Outcome::Done);
    seen.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn forwards_the_raw_body_with_the_signed_id_and_the_attempt() {
    let body = fixture("message.received");
    let request = forwarded(event(body.clone()).with_attempt(3), None).await;
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "http://agent.test:4001/mail?x=1");
    assert_eq!(request.body(), &body);
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-event-id"), Some("evt_abc123"));
    assert_eq!(header("x-openmail-attempt"), Some("3"));
    assert_eq!((header("x-timestamp"), header("x-signature")), (None, None));
}

#[tokio::test]
async fn omits_an_id_that_fits_no_header() {
    let long = format!("\"{}\"", "a".repeat(256));
    for (id, sent) in [(r#""a\nb""#, None), ("null", None), (&long, None), (r#""é""#, Some("é"))]
    {
        let json = format!(r#"{{"event":"thread.archived","event_id":{id}}}"#);
        let request = forwarded(event(json), None).await;
        let header = request.headers().get("x-event-id").map(|value| value.as_bytes());
        assert_eq!(header, sent.map(str::as_bytes), "{id}");
        assert_eq!(request.headers()["x-openmail-attempt"], "1");
    }
}

#[tokio::test]
async fn signed_forward_verifies() {
    let secret = Secret::new("whsec_of_the_agent").unwrap();
    let request = forwarded(event(fixture("message.received")), Some(secret.clone())).await;
    let (headers, now) = (request.headers(), SystemTime::now());
    let (timestamp, signature) = (&headers["x-timestamp"], &headers["x-signature"]);
    let verify = |secret: Secret| {
        let secrets = Secrets::new(secret);
        verify_at(&secrets, timestamp, signature, request.body(), now, DEFAULT_TOLERANCE)
    };
    verify(secret).unwrap();
    verify(Secret::new("another").unwrap()).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn unreachable_or_silent_agent_is_retried() {
    let url = || "http://agent.test/".parse().unwrap();
    let hangs = service_fn(|_: Request<Full<Bytes>>| {
        pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let begun = tokio::time::Instant::now();
    let forward = Forward::new(hangs, url()).timeout(Duration::from_secs(3));
    let error = forward.oneshot(event(fixture("setup.test"))).await.unwrap_err();
    assert_eq!((error.kind(), error.delay()), (HandlerErrorKind::Failed, None));
    assert_eq!(begun.elapsed(), Duration::from_secs(3));

    // Only a refused connection shows that the agent has not received the event.
    for (cause, kind, says) in [
        (ErrorKind::ConnectionRefused, HandlerErrorKind::Unavailable, "reached: client error"),
        (ErrorKind::ConnectionReset, HandlerErrorKind::Failed, "or the connection to it broke"),
    ] {
        let away = service_fn(move |_: Request<Full<Bytes>>| async move {
            let error = ClientError(cause.into());
            Err::<Response<Full<Bytes>>, _>(error)
        });
        let forward = Forward::new(away, url());
        let error = forward.oneshot(event(fixture("setup.test"))).await.unwrap_err();
        assert_eq!((error.kind(), error.delay()), (kind, None));
        let error = error.to_string();
        assert!(error.starts_with("the agent could not be reached"), "{error}");
        assert!(error.contains(says) && error.ends_with(&cause.to_string()), "{error}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("client error (Connect)")]
struct ClientError(#[source] io::Error);

#[tokio::test(start_paused = true)]
async fn status_decides_even_if_the_body_of_the_response_fails() {
    for step in [Step::Hang, Step::Fail, Step::Spin] {
        let body = Arc::new(Mutex::new(Some(ScriptedBody::new([step]).0)));
        let client = service_fn(move |_: Request<Full<Bytes>>| {
            let body = body.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(Response::new(body)) }
        });
        let forward = Forward::new(client, "http://agent.test/".parse().unwrap());
        let outcome = forward.oneshot(event(fixture("setup.test"))).await;
        assert_eq!(outcome.unwrap(), Outcome::Done);
    }
}

#[test]
fn secrets_in_a_url_are_not_shown() {
    let shown = |url: &str| format!("{:?}", Forward::new((), url.parse().unwrap()));
    let text = shown("https://bot:hunter2@agent.test:4001/mail?token=hunter3");
    assert!(text.contains("https://agent.test:4001/mail?…"), "{text}");
    assert!(!text.contains("hunter") && !text.contains("bot"), "{text}");
    let text = shown("http://[::1]/");
    assert!(text.contains("http://[::1]/,"), "{text}");
}
