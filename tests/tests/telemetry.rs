//! The spans and log lines of a delivery.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use openmail_tests::{Log, ScriptedBody, Step, fixture, layer, signed};
use openmail_tower::{
    Endpoint, EventRouter, HandlerError, MessageReceived, Outcome, VerifiedEvent, handler::Attempt,
    openmail_handler, webhook,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::timeout::TimeoutLayer;
use tracing::Level;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn request() -> Request<Full<Bytes>> {
    let json = fixture("message.received");
    signed(&json, Full::new(json.clone().into()))
}

fn event(json: &str) -> Request<Full<Bytes>> {
    signed(json.as_bytes(), Full::new(json.to_owned().into()))
}

#[openmail_handler(event = "message.received")]
async fn answer(_: &MessageReceived) {
    tracing::info!("thinking");
}

#[openmail_handler(event = "message.received")]
async fn fails(_: Attempt) -> Result<(), HandlerError> {
    Err(HandlerError::failed("the model is away"))
}

#[openmail_handler(event = "message.received")]
async fn panics(_: Attempt) {
    panic!("no such tool")
}

#[openmail_handler(event = "message.received")]
async fn hangs(_: Attempt) {
    pending::<()>().await;
}

#[tokio::test]
async fn info_log_shows_the_life_of_an_event() {
    let log = Log::default();
    let _listening = log.listen(Level::INFO);
    let mut request = request();
    request.headers_mut().insert("traceparent", HeaderValue::from_static(TRACEPARENT));
    let events = EventRouter::new().handler(answer);
    webhook(layer(), events).oneshot(request).await.unwrap();

    let text = log.text();
    let lines: Vec<_> = text.lines().collect();
    let [received, thinking, ended, run, delivery] = lines[..] else { panic!("{text}") };
    let ids = "kind=message.received event_id=evt_abc123 inbox_id=inb_92ma0001 \
               thread_id=thr_xyz0001 attempt=1";
    for line in lines.iter() {
        assert!(
            line.contains(&format!("openmail.delivery{{otel.kind=\"consumer\" {ids}")),
            "{text}"
        );
        assert!(line.contains("trace_id=4bf92f3577b34da6a3ce929d0e0e4736"), "{text}");
    }
    assert!(received.starts_with(" INFO ") && received.contains(": received bytes="), "{text}");
    for line in [thinking, ended, run] {
        assert!(line.contains(&format!("openmail.run{{otel.kind=\"consumer\" {ids}")), "{text}");
    }
    assert!(thinking.contains(": thinking"), "{text}");
    assert!(ended.contains("openmail_tower: run ended outcome=\"done\" duration="), "{text}");
    assert!(run.contains("outcome=\"done\" duration=") && run.contains(": close"), "{text}");
    assert!(delivery.contains("outcome=\"done\" status=200 duration="), "{text}");
    assert!(!delivery.contains("openmail.run"), "{text}");
}

#[tokio::test]
async fn failure_is_logged_once_with_its_event() {
    for (events, level, outcome, error) in [
        (EventRouter::new().handler(fails), "WARN", "failed", "the model is away"),
        (EventRouter::new().handler(panics), "WARN", "panicked", "no such tool"),
    ] {
        let log = Log::default();
        // Spans are enabled at this level too, so a line shows the event.
        let _listening = log.listen(Level::WARN);
        let response = webhook(layer(), events).oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!log.text().contains("outcome=\"dropped\""), "{}", log.text());
        let told = log.lines(&[level, "event_id=evt_abc123", error]);
        assert_eq!(told.len(), 1, "{}", log.text());
        assert!(told[0].contains(&format!("outcome=\"{outcome}\"")), "{}", log.text());
    }
}

#[tokio::test]
async fn error_that_no_run_has_logged_is_logged_by_the_delivery() {
    let log = Log::default();
    let _listening = log.listen(Level::INFO);
    let error = || HandlerError::failed("the disk\nis full").after(Duration::from_secs(9));
    let events = service_fn(move |_: VerifiedEvent| async move { Err::<Outcome, _>(error()) });
    webhook(layer(), events).oneshot(request()).await.unwrap();
    let told = log.lines(&["WARN", r"error=the disk\nis full", "retry_in=9s"]);
    assert_eq!(told.len(), 1, "{}", log.text());
}

#[tokio::test]
async fn unhandled_event_is_logged() {
    let log = Log::default();
    let _listening = log.listen(Level::INFO);
    let events = EventRouter::new().handler(answer);
    let json = r#"{"event":"message.lost","event_id":"evt_7"}"#;
    webhook(layer(), events).oneshot(event(json)).await.unwrap();
    let told = log.lines(&["INFO", "event_id=evt_7", "answered outcome=\"unrouted\""]);
    assert_eq!(told.len(), 1, "{}", log.text());
}

#[tokio::test]
async fn logs_why_an_event_does_not_fit_its_name() {
    let log = Log::default();
    let _listening = log.listen(Level::INFO);
    let events = EventRouter::new().handler(answer);
    let json = r#"{"event":"message.received","event_id":"evt_8","inbox_id":"inb_1"}"#;
    webhook(layer(), events).oneshot(event(json)).await.unwrap();
    let words =
        ["WARN", "event_id=evt_8", "event does not fit its type reason=`message` is missing"];
    assert_eq!(log.lines(&words).len(), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn delivery_dropped_by_its_sender_is_logged() {
    let log = Log::default();
    let _listening = log.listen(Level::INFO);
    {
        let app = webhook(layer(), EventRouter::new().handler(hangs));
        let mut delivery = pin!(app.oneshot(request()));
        let polled = poll_fn(|cx| Poll::Ready(delivery.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
    let told = log.lines(&["WARN", "event_id=evt_abc123", "dropped", "phase=\"handling\""]);
    assert_eq!(told.len(), 1, "{}", log.text());
    let closed = log.lines(&["outcome=\"dropped\"", ": close"]);
    assert_eq!(closed.len(), 2, "the run and the delivery: {}", log.text());
}

#[tokio::test(start_paused = true)]
async fn request_dropped_while_it_arrives_is_logged() {
    let log = Log::default();
    let _listening = log.listen(Level::DEBUG);
    let body = ScriptedBody::new(vec![Step::Hang]).0;
    {
        let app = webhook(layer(), EventRouter::new());
        let mut delivery = pin!(app.oneshot(signed(b"{}", body)));
        let polled = poll_fn(|cx| Poll::Ready(delivery.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
    let told = log.lines(&["DEBUG", "request rejected", "reason=\"dropped\""]);
    assert_eq!(told.len(), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn timeout_inside_or_outside_the_verification_is_logged() {
    let short = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let events = || Endpoint::new(EventRouter::new().handler(hangs));
    let inside = Log::default();
    {
        let _listening = inside.listen(Level::INFO);
        let response = layer().layer(short.layer(events())).oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    }
    let outside = Log::default();
    {
        let _listening = outside.listen(Level::INFO);
        let response = short.layer(layer().layer(events())).oneshot(request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    }
    for log in [inside, outside] {
        let told = log.lines(&["WARN", "event_id=evt_abc123", "dropped", "phase=\"handling\""]);
        assert_eq!(told.len(), 1, "{}", log.text());
        let delivery = log.lines(&["outcome=\"dropped\"", "openmail.delivery", ": close"]);
        assert!(!delivery.is_empty(), "{}", log.text());
    }
}

#[tokio::test]
async fn no_line_is_longer_than_4_kib_and_none_can_be_forged() {
    let log = Log::default();
    let _listening = log.listen(Level::TRACE);
    for char in [r"\n", r"\u0001", "x", r"\udbff\udfff"] {
        let text = char.repeat(20_000);
        let json = format!(
            r#"{{"event":"message.received","event_id":"{text}","inbox_id":"{text}",
                "thread_id":"{text}","message":{{"id":"{text}","from":"a@example.com"}}}}"#
        );
        let long = text.clone();
        let events = service_fn(move |_: VerifiedEvent| {
            let error = HandlerError::failed(long.clone());
            async { Err::<Outcome, _>(error) }
        });
        webhook(layer(), events.clone()).oneshot(event(&json)).await.unwrap();
        let broken = format!(r#"{{"event":"message.received","inbox_id":{{"{text}":1}}}}"#);
        webhook(layer(), events).oneshot(event(&broken)).await.unwrap();
    }
    let text = log.text();
    assert!(text.contains("not handled"), "{text}");
    for line in text.lines() {
        assert!(line.len() <= 4096, "{} bytes: {line}", line.len());
        assert!(line.contains(" openmail.delivery{"), "{line}");
    }
}
