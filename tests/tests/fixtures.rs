//! Bodies of each kind that OpenMail is known to send, and of some that it may send, through the
//! layer.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use openmail_tests::{fixture, fixtures, inner, layer, signed};
use openmail_tower::{
    Event, EventKind, Message, VerifiedEvent,
    event::{Category, ExtractionMethod, SuspensionReason, Verdict},
};
use tower::{Layer, ServiceExt};

async fn through_the_layer(json: &[u8]) -> VerifiedEvent {
    let (inner, seen) = inner();
    let body = Full::new(Bytes::copy_from_slice(json));
    let response = layer().layer(inner).oneshot(signed(json, body)).await.unwrap();
    assert_eq!(response.status(), 200);
    seen.last().unwrap()
}

async fn message(name: &str) -> Message {
    let event = through_the_layer(&fixture(name)).await;
    event.event().message_received().unwrap().message.clone()
}

#[tokio::test]
async fn accepts_every_fixture_and_keeps_its_bytes() {
    let fixtures = fixtures();
    assert_eq!(fixtures.len(), 12);
    for (name, json) in fixtures {
        let event = through_the_layer(&json).await;
        assert!(name.starts_with(event.kind().as_str()) || name == "unknown", "{name}");
        assert_eq!(event.raw_body(), &json, "{name}");
        let again = serde_json::to_vec(event.event()).unwrap();
        assert_eq!(&Event::from_slice(&again).unwrap(), event.event(), "{name}");
    }
}

#[tokio::test]
async fn inner_service_can_read_the_raw_body() {
    let json = fixture("message.received");
    let service = layer().layer(tower::service_fn(
        async |request: http::Request<openmail_tower::webhook::VerifiedBody>| {
            let bytes = request.into_body().collect().await?.to_bytes();
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(bytes)))
        },
    ));
    let request = signed(&json, Full::new(Bytes::from(json.clone())));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), json);
}

#[tokio::test]
async fn parses_a_received_message() {
    let event = through_the_layer(&fixture("message.received")).await;
    assert_eq!(event.event_id().unwrap(), &"evt_abc123");
    assert_eq!(event.inbox_id().unwrap(), &"inb_92ma0001");
    assert_eq!(event.thread_id().unwrap(), &"thr_xyz0001");
    assert_eq!(event.attempt(), Some(1));
    let occurred_at = event.event().occurred_at().unwrap();
    assert_eq!(occurred_at.to_string(), "2024-03-21T10:05:00Z");
    let mail = &event.event().message_received().unwrap().message;
    assert_eq!(mail.sender().unwrap().address, "sender@example.com");
    assert_eq!(
        (mail.cc.as_slice(), mail.to.as_slice()),
        (&[][..], &["inbox@openmail.sh".into()][..])
    );
    assert_eq!(mail.body_text.as_deref(), Some("Plain text body"));
    let file = &mail.attachments[0];
    assert_eq!((file.content_type.as_deref(), file.size), (Some("application/pdf"), Some(12345)));
    assert_eq!(file.extraction_method, Some(ExtractionMethod::Pdf));
    assert!(file.parsed_text.as_deref().unwrap().starts_with("Invoice #2847\nDate"));
    assert!(mail.extra.is_empty() && file.extra.is_empty() && mail.may_auto_reply());
}

#[tokio::test]
async fn reads_openmails_judgement_of_a_message() {
    let mail = message("message.received.classified").await;
    let sender = mail.sender().unwrap();
    assert_eq!(sender.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(sender.address, "Ada@Example.com");
    let copied: Vec<_> = mail.copied().iter().map(ToString::to_string).collect();
    assert_eq!(copied, ["bob@example.com", "Carol <carol@example.org>"]);
    assert_eq!(mail.category, Some(Category::Automated));
    assert_eq!((mail.verdict.clone(), mail.spam_score), (Some(Verdict::Clean), Some(0.4)));
    assert!(mail.is_trustworthy() && !mail.may_auto_reply());
    assert_eq!(mail.extra["x_new_field"]["nested"][2], 3);
}

#[tokio::test]
async fn null_equals_absence() {
    for name in ["message.received.nulls", "message.received.minimal"] {
        let mail = message(name).await;
        assert!(mail.to.is_empty() && mail.cc.is_empty() && mail.attachments.is_empty(), "{name}");
        assert_eq!(
            (mail.subject, mail.body_text, mail.auto_replyable),
            (None, None, None),
            "{name}"
        );
        assert!(mail.extra.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn reads_attachments_of_both_forms() {
    let mail = message("message.received.snake-attachments").await;
    let [photo, archive] = &mail.attachments[..] else { panic!("{mail:?}") };
    assert_eq!(photo.id.as_deref(), Some("att_1"));
    assert_eq!((photo.content_type.as_deref(), photo.size), (Some("image/jpeg"), Some(48123)));
    assert_eq!(archive.filename.as_deref(), Some("архив.zip"));
    assert_eq!(archive.extraction_method, Some(ExtractionMethod::Unsupported));
}

#[tokio::test]
async fn parses_the_lifecycle_events() {
    let reason = async |name: &str| {
        let event = through_the_layer(&fixture(name)).await;
        let lifecycle = event.event().lifecycle().unwrap().clone();
        assert_eq!(lifecycle.pod_id.as_ref().unwrap(), &"pod_abc0001");
        assert_eq!(lifecycle.inbox_id.is_some(), name.starts_with("inbox."));
        assert_eq!(event.kind().as_str(), name);
        lifecycle.reason
    };
    assert_eq!(reason("inbox.suspended").await, Some(SuspensionReason::HighBounceRate));
    assert_eq!(reason("inbox.reactivated").await, None);
    assert_eq!(reason("pod.reactivated").await, None);
    let news = reason("pod.suspended").await.unwrap();
    assert_eq!(news.as_str(), "a_reason_not_documented_yet");
    assert!(matches!(news, SuspensionReason::Other(_)));
}

#[tokio::test]
async fn unknown_events_and_fields_are_kept() {
    let event = through_the_layer(&fixture("unknown")).await;
    assert_eq!(event.kind(), EventKind::Other("thread.archived".into()));
    assert_eq!(event.inbox_id().unwrap(), &"inb_92ma0001");
    let Event::Unknown(news) = event.event() else { panic!() };
    assert_eq!(news.extra["thread"]["id"], "thr_xyz0001");
}
