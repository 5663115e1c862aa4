//! Replies that are sent before their event counts as done.

use std::{sync::Arc, time::Duration};

use http::Response;
use http_body_util::Full;
use openmail_tests::{FakeApi, Log, error_code, fake_api::Fault, layer, signed};
use openmail_tower::{
    HandlerError, IntoOutcome, Outcome, VerifiedEvent,
    api::File,
    layers::guard::{GuardLayer, Rate},
    reply::{Reply, ReplyLayer},
    testing::TestEvent,
    webhook,
};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};

fn api() -> FakeApi {
    FakeApi::start(env!("CARGO_BIN_EXE_fake_api"))
}

/// Adds the event's mail, from `ada@example.com`, to its thread in the API, with `more` fields.
async fn known(api: &FakeApi, event: &TestEvent, more: &[(&str, Value)]) {
    let mut message = json!({
        "id": event.json()["message"]["id"], "direction": "inbound", "fromAddr": "Ada <ada@example.com>",
        "toAddr": "agent@openmail.sh", "headerTo": "agent@openmail.sh", "deliveryRole": "to",
        "createdAt": "2024-03-21T10:05:00Z",
    });
    for (field, value) in more {
        message[*field] = value.clone();
    }
    api.message(event.json()["thread_id"].as_str().unwrap(), message).await;
}

fn mail() -> TestEvent {
    TestEvent::message_received().from("Ada <ada@example.com>").subject("Help")
}

/// Returns the status and the code of the response to a delivery whose handler returns this.
async fn delivered<R>(api: &FakeApi, event: &TestEvent, returns: R) -> (u16, String)
where
    R: Fn() -> Result<Outcome, HandlerError> + Send + Sync + 'static,
{
    let returns = Arc::new(returns);
    let events = service_fn(move |_: VerifiedEvent| std::future::ready(returns()));
    let webhook = webhook(layer(), ReplyLayer::new(api.openmail()).layer(events));
    answered(webhook, event).await
}

async fn answered<S, B>(webhook: S, event: &TestEvent) -> (u16, String)
where
    S: Service<http::Request<Full<bytes::Bytes>>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let json = serde_json::to_vec(event.json()).unwrap();
    let response = webhook.oneshot(signed(&json, Full::from(json.clone()))).await.unwrap();
    (response.status().as_u16(), error_code(response).await)
}

fn sent(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn reply_goes_to_the_sender_within_the_thread() {
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    let reply = || Reply::text("Hello.").into_outcome();
    assert_eq!(delivered(&api, &event, reply).await, (200, String::new()));
    let [send] = &api.sends().await[..] else { panic!() };
    let thread = &event.json()["thread_id"];
    let expected = json!({"to": "ada@example.com", "body": "Hello.", "threadId": thread});
    assert_eq!(sent(&send.body), expected);
    assert!(send.accepted && send.key.is_some());
    assert_eq!(send.path, "/v1/inboxes/inb_test/send");
}

#[tokio::test]
async fn reply_from_an_inbox_in_cc_goes_to_the_original_recipients() {
    let api = api();
    let event = mail();
    let more = [("deliveryRole", json!("cc")), ("headerTo", json!("Bob <bob@example.com>"))];
    known(&api, &event, &more).await;
    let reply = || Reply::html("<p>Hello.</p>").to_all().without_quote().into_outcome();
    assert_eq!(delivered(&api, &event, reply).await.0, 200);
    let body = sent(&api.sends().await[0].body);
    assert_eq!(body["to"], "bob@example.com");
    assert_eq!(body["cc"], json!(["ada@example.com"]));
    assert_eq!(body["includeQuote"], false);
}

#[tokio::test]
async fn reply_without_a_thread_goes_to_the_signed_sender() {
    let api = api();
    let event = mail().field("thread_id", Value::Null);
    let reply = || Reply::text("Hello.").attach(File::new("a.txt", "x")).into_outcome();
    assert_eq!(delivered(&api, &event, reply).await.0, 200);
    let [send] = &api.requests().await[..] else { panic!("no thread is read") };
    for part in ["name=\"to\"\r\n\r\nada@example.com", "name=\"subject\"\r\n\r\nRe: Help", "a.txt"]
    {
        assert!(send.body.contains(part), "{}", send.body);
    }
}

#[tokio::test]
async fn five_deliveries_to_two_replicas_send_one_reply() {
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    // Each run of the handler writes a different text, as a model does.
    let runs = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let handler = service_fn(move |_: VerifiedEvent| {
        let run = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        std::future::ready(Reply::text(format!("Hello {run}.")).into_outcome())
    });
    let replica = || webhook(layer(), ReplyLayer::new(api.openmail()).layer(handler.clone()));
    let replicas = [replica(), replica()];
    let deliveries = (1..=5).map(|attempt| {
        let event = event.clone().attempt(attempt);
        let replica = replicas[attempt as usize % 2].clone();
        async move { answered(replica, &event).await }
    });
    for answer in futures_util::future::join_all(deliveries).await {
        assert_eq!(answer.0, 200);
    }
    let sends = api.sends().await;
    assert_eq!(sends.len(), 5);
    assert_eq!(sends.iter().filter(|it| it.accepted).count(), 1);
    assert!(sends.iter().all(|it| it.key == sends[0].key));
}

#[tokio::test]
async fn delivery_after_a_lost_response_sends_the_same_key_and_bytes() {
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    api.faults([Fault::lost_answer().times(1)]).await;
    let reply = || Reply::text("Hello.").into_outcome();
    assert_eq!(delivered(&api, &event, reply).await, (500, "handler_failed".into()));
    assert_eq!(delivered(&api, &event.clone().attempt(2), reply).await.0, 200);
    let [first, second] = &api.sends().await[..] else { panic!() };
    assert!(first.accepted && !second.accepted);
    assert_eq!((&first.key, &first.body), (&second.key, &second.body));
}

/// The guard has counted the reply that was not sent.
#[tokio::test]
async fn guard_lets_a_reply_be_sent_by_a_later_delivery() {
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    api.faults([Fault::refusal(500, "internal").times(1)]).await;
    let guard = GuardLayer::default().replies_per_thread(Rate::new(1, Duration::from_secs(3600)));
    let handler = service_fn(async |_: VerifiedEvent| Reply::text("Hello.").into_outcome());
    let events = ReplyLayer::new(api.openmail()).layer(guard.layer(handler));
    let webhook = webhook(layer(), events);
    assert_eq!(answered(webhook.clone(), &event).await.0, 500);
    assert_eq!(answered(webhook, &event.clone().attempt(2)).await.0, 200);
    let accepted: Vec<_> = api.sends().await.into_iter().map(|it| it.accepted).collect();
    assert_eq!(accepted, [false, true]);
}

#[tokio::test]
async fn response_of_the_api_decides_the_response_to_the_delivery() {
    let api = api();
    let reused = Fault::refusal(422, "idempotency_key_reused");
    for (fault, status, code) in [
        (Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "7"), 503, "retry_later"),
        (Fault::refusal(402, "spend_cap_paused"), 503, "retry_later"),
        (Fault::refusal(403, "reputation_suspended"), 503, "retry_later"),
        (Fault::refusal(401, "unauthorized"), 503, "retry_later"),
        (Fault::refusal(500, "internal"), 500, "handler_failed"),
        // The reply fails permanently, the event does not.
        (Fault::refusal(422, "recipient_suppressed"), 200, ""),
        // It was sent before.
        (reused, 200, ""),
    ] {
        let event = mail();
        known(&api, &event, &[]).await;
        api.faults([fault.clone().times(1)]).await;
        let answer = delivered(&api, &event, || Reply::text("Hello.").into_outcome()).await;
        assert_eq!(answer, (status, code.to_owned()), "{fault:?}");
    }
}

#[tokio::test]
async fn unanswerable_mail_fails_the_reply_but_not_the_event() {
    let api = api();
    let own = mail();
    known(&api, &own, &[("fromAddr", json!("agent@openmail.sh"))]).await;
    let bounce = mail();
    known(&api, &bounce, &[("fromAddr", json!("<>"))]).await;
    let pod = TestEvent::new("pod.suspended");
    for event in [own, bounce, pod] {
        let answer = delivered(&api, &event, || Reply::text("Hello.").into_outcome()).await;
        assert_eq!(answer.0, 200);
    }
    assert!(api.sends().await.is_empty());
}

#[tokio::test]
async fn mail_missing_from_its_thread_is_answered_after_three_attempts() {
    let api = api();
    let event = mail();
    let reply = || Reply::text("Hello.").into_outcome();
    for attempt in 1..=3 {
        let event = event.clone().attempt(attempt);
        assert_eq!(delivered(&api, &event, reply).await.0, 500, "{attempt}");
    }
    known(&api, &event, &[]).await;
    assert_eq!(delivered(&api, &event, reply).await.0, 200);
    let other = mail();
    let thread = other.json()["thread_id"].as_str().unwrap();
    api.message(thread, json!({"id": "another"})).await;
    assert_eq!(delivered(&api, &other.clone().attempt(3), reply).await.0, 500);
    assert_eq!(delivered(&api, &other.clone().attempt(4), reply).await.0, 200);
    assert_eq!(api.sends().await.len(), 2);
}

#[tokio::test]
async fn replies_are_sent_in_order_and_a_retry_repeats_none() {
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    let replies = || vec![Reply::text("one"), Reply::text("two").named("receipt")].into_outcome();
    api.faults([
        Fault { accept: true, delay_ms: 1, ..Fault::default() }.times(1),
        Fault::refusal(500, "x").times(1),
    ])
    .await;
    assert_eq!(delivered(&api, &event, replies).await.0, 500);
    assert_eq!(delivered(&api, &event, replies).await.0, 200);
    let accepted: Vec<_> = api.sends().await.into_iter().filter(|it| it.accepted).collect();
    let bodies: Vec<_> = accepted.iter().map(|it| sent(&it.body)["body"].clone()).collect();
    assert_eq!(bodies, ["one", "two"]);
    assert_ne!(accepted[0].key, accepted[1].key);
}

#[tokio::test]
async fn reply_that_nothing_sends_is_a_wiring_error() {
    let events = service_fn(async |_: VerifiedEvent| Reply::text("Hello.").into_outcome());
    let answer = answered(webhook(layer(), events), &mail()).await;
    assert_eq!(answer, (500, "missing_layer".into()));
}

#[tokio::test]
async fn each_send_is_logged_with_its_event_but_without_its_text() {
    let log = Log::default();
    let _listening = log.listen(tracing::Level::INFO);
    let api = api();
    let event = mail();
    known(&api, &event, &[]).await;
    let reply = || Reply::text("Hello.").into_outcome();
    assert_eq!(delivered(&api, &event, reply).await.0, 200);
    let nobody = mail().from("no address").field("thread_id", Value::Null);
    assert_eq!(delivered(&api, &nobody, reply).await.0, 200);

    let id = event.json()["event_id"].as_str().unwrap();
    let told =
        log.lines(&[" INFO ", "openmail.reply{", id, "reply attempt ended outcome=\"sent\""]);
    assert_eq!(told.len(), 1, "{}", log.text());
    let id = nobody.json()["event_id"].as_str().unwrap();
    let told = log.lines(&["ERROR ", id, "reply attempt ended outcome=\"permanent\"", "error="]);
    assert_eq!(told.len(), 1, "{}", log.text());
    for private in ["Hello.", "ada@example.com", "Help", "no address"] {
        assert!(!log.text().contains(private), "{private} in {}", log.text());
    }
}
