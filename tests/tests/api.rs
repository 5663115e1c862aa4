//! The client of OpenMail's API, against a fake that misbehaves on command.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Response};
use http_body_util::Full;
use openmail_tests::{
    FakeApi,
    fake_api::{Fault, Route},
};
use openmail_tower::{
    HandlerError, HandlerErrorKind, InboxId, ThreadId,
    api::{ApiErrorKind, ApiKey, File, OpenMail, Outgoing},
};
use serde_json::{Value, json};

fn api() -> FakeApi {
    FakeApi::start(env!("CARGO_BIN_EXE_fake_api"))
}

fn inbox() -> InboxId {
    InboxId::from("inb_1")
}

fn mail() -> Outgoing {
    Outgoing::to("ada@example.com").subject("s").text("t")
}

#[tokio::test]
async fn sends_json_or_a_form_if_there_are_files() {
    let api = api();
    let openmail = api.openmail();
    let sent = openmail.send(&inbox(), "key-1", &mail()).await.unwrap();
    assert!(sent.message_id.is_some());
    let file = File::new("a.txt", "hello");
    openmail.send(&InboxId::from("a/b"), "key-2", &mail().attach(file)).await.unwrap();
    let [json, form] = &api.sends().await[..] else { panic!() };
    assert_eq!(json.path, "/v1/inboxes/inb_1/send");
    assert_eq!(json.authorization.as_deref(), Some("Bearer om_test"));
    assert_eq!(json.key.as_deref(), Some("key-1"));
    assert_eq!(json.body, r#"{"to":"ada@example.com","subject":"s","body":"t"}"#);
    assert_eq!(form.path, "/v1/inboxes/a%2Fb/send");
    assert!(form.content_type.as_deref().unwrap().starts_with("multipart/form-data; boundary="));
    assert!(form.body.contains("filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n"));
}

#[tokio::test]
async fn retry_after_a_lost_response_sends_the_same_bytes_and_one_mail() {
    let api = api();
    let openmail = api.openmail();
    api.faults([Fault::lost_answer().times(1)]).await;
    let mail = mail().attach(File::new("a.bin", vec![7; 100_000]));
    let error = openmail.send(&inbox(), "key", &mail).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::Unavailable);
    assert!(error.may_have_been_sent());
    openmail.send(&inbox(), "key", &mail).await.unwrap();
    let sends = api.sends().await;
    assert_eq!(sends.len(), 2);
    assert_eq!(sends.iter().filter(|it| it.accepted).count(), 1);
    assert!(sends[0].body == sends[1].body && sends[0].content_type == sends[1].content_type);
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_its_kind_of_handler_error() {
    use ApiErrorKind as Kind;
    use HandlerErrorKind::{Failed, Permanent, PutOff};
    let api = api();
    for (fault, kind, handler) in [
        (
            Fault::refusal(429, "rate_limit_exceeded").header("retry-after", "7"),
            Kind::RateLimited,
            PutOff,
        ),
        (Fault::refusal(402, "spend_cap_paused"), Kind::SpendCapPaused, PutOff),
        (Fault::refusal(403, "reputation_suspended"), Kind::ReputationSuspended, PutOff),
        (Fault::refusal(401, "unauthorized"), Kind::Unauthorized, PutOff),
        (Fault::refusal(422, "recipient_suppressed"), Kind::RecipientSuppressed, Permanent),
        (Fault::refusal(403, "forbidden"), Kind::Forbidden, Permanent),
        (Fault::refusal(500, "internal"), Kind::Unavailable, Failed),
        (
            Fault { status: Some(502), body: "<html>".into(), ..Fault::default() },
            Kind::Unavailable,
            Failed,
        ),
        (
            Fault { status: Some(200), body: "<html>".into(), ..Fault::default() },
            Kind::Unavailable,
            Failed,
        ),
        (
            Fault { status: Some(404), body: "<html>".into(), ..Fault::default() },
            Kind::Unavailable,
            Failed,
        ),
        (Fault { cut: true, ..Fault::default() }, Kind::Unavailable, Failed),
    ] {
        let expected = fault.clone();
        api.faults([fault.times(1)]).await;
        let error = api.openmail().send(&inbox(), "key", &mail()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{expected:?}");
        if kind == Kind::RateLimited {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
        assert_eq!(HandlerError::from(error).kind(), handler, "{expected:?}");
    }
}

#[tokio::test]
async fn does_not_wait_for_a_missing_or_endless_response() {
    let api = api();
    api.faults([Fault { delay_ms: 3_600_000, ..Fault::default() }.times(1)]).await;
    let openmail = api.openmail().timeout(Duration::from_millis(200));
    let error = openmail.send(&inbox(), "key", &mail()).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::TimedOut);
    assert!(error.may_have_been_sent());
    let stalls = Route { stall: true, ..Route::body(200, "{") };
    api.route("/v1/threads/thr_1/messages", stalls).await;
    let error = openmail.thread(&ThreadId::from("thr_1")).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::TimedOut);
    let huge = Route::body(200, " ".repeat(2 << 20));
    api.route("/v1/inboxes/inb_1/send", huge).await;
    let error = api.openmail().send(&inbox(), "key", &mail()).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::UnexpectedAnswer);
}

#[tokio::test]
async fn refused_connection_means_nothing_was_sent() {
    let openmail = OpenMail::at(ApiKey::new("k").unwrap(), "http://127.0.0.1:1").unwrap();
    let error = openmail.send(&inbox(), "key", &mail()).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::Unavailable);
    assert!(!error.may_have_been_sent());
}

#[tokio::test]
async fn reads_and_marks_a_thread() {
    let api = api();
    let openmail = api.openmail();
    let message = json!({"id": "msg_1", "direction": "inbound", "fromAddr": "a@b.c", "news": 1});
    api.message("thr_1", message).await;
    let thread = openmail.thread(&ThreadId::from("thr_1")).await.unwrap();
    assert_eq!(thread.messages[0].from_addr.as_deref(), Some("a@b.c"));
    assert_eq!(thread.messages[0].extra["news"], 1);
    openmail.mark_read(&thread.id).await.unwrap();
    openmail.mark_unread(&thread.id).await.unwrap();
    let requests = api.requests().await;
    let bodies: Vec<_> = requests.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(bodies, ["", r#"{"is_read":true}"#, r#"{"is_read":false}"#]);
    let error = openmail.thread(&ThreadId::from("thr_2")).await.unwrap_err();
    assert_eq!(error.kind(), ApiErrorKind::NotFound);
    let text = Route::body(200, r#"{"text":"Invoice","extractionMethod":"pdf"}"#);
    api.route("/v1/attachments/msg_1/a%20b.pdf/text", text).await;
    let text = openmail.attachment_text(&"msg_1".into(), "a b.pdf").await.unwrap();
    assert_eq!(text.text, "Invoice");
}

/// A list of 120 entries, whose newest id changes by `growth` whenever a page is read.
fn changing(growth: i64) -> OpenMail {
    let pages = Arc::new(AtomicI64::new(0));
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let query = request.uri().query().unwrap().to_owned();
        let number = |name: &str| -> usize {
            let value = query.split('&').find_map(|it| it.strip_prefix(name)).unwrap();
            value.parse().unwrap()
        };
        let count = 120 + growth * pages.fetch_add(1, Ordering::Relaxed);
        let page = (0..count).rev().skip(number("offset=")).take(number("limit="));
        let of = request.uri().path().rsplit('/').next().unwrap();
        let data: Vec<Value> = page.map(|id| json!({"id": format!("{of}_{id}")})).collect();
        let body = json!({"data": data, "total": count}).to_string();
        async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body))) }
    });
    let key = ApiKey::new("k").unwrap();
    OpenMail::with_client(client, key, "https://api.openmail.example").unwrap()
}

#[tokio::test]
async fn list_that_changes_while_it_is_read_yields_each_item_once() {
    for growth in [0, 1, 30, -10] {
        let openmail = changing(growth);
        let expected = |of| (0..120).rev().map(|id| format!("{of}_{id}")).collect::<Vec<_>>();
        let ids = openmail.messages(&inbox()).map_ok(|it| it.id.to_string());
        assert_eq!(ids.try_collect::<Vec<_>>().await.unwrap(), expected("messages"), "{growth}");
        let openmail = changing(growth);
        let ids = openmail.threads(&inbox()).map_ok(|it| it.id.to_string());
        assert_eq!(ids.try_collect::<Vec<_>>().await.unwrap(), expected("threads"), "{growth}");
    }
}

#[tokio::test]
async fn invalid_mail_key_or_id_is_not_sent() {
    let api = api();
    let openmail = api.openmail();
    let long = "k".repeat(256);
    for (inbox, key, mail) in [
        ("inb_1", "key", mail().text("x".repeat(100_001))),
        ("inb_1", "key", mail().cc("Ada <ada@example.com>")),
        ("inb_1", "key", mail().attach(File::new("a.bin", vec![0; (25 << 20) + 1]))),
        ("inb_1", "", mail()),
        ("inb_1", "a b", mail()),
        ("inb_1", "\u{17c}", mail()),
        ("inb_1", &*long, mail()),
        ("", "key", mail()),
        ("..", "key", mail()),
    ] {
        let error = openmail.send(&InboxId::from(inbox), key, &mail).await.unwrap_err();
        assert_eq!(error.kind(), ApiErrorKind::Invalid, "{inbox} {key} {mail:?}");
        assert!(!error.may_have_been_sent());
    }
    assert!(api.requests().await.is_empty());
}
