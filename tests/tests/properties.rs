//! Properties that hold for every input.

use std::{
    future::Future,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::StatusCode;
use openmail_tests::{EVENTS, NOW, ScriptedBody, Step, inner, layer, signed};
use openmail_tower::{
    Event, Secret,
    webhook::signature::{SignatureError, sign, verify_at},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;
use tower::{Layer, ServiceExt};

/// A tolerance that accepts every timestamp, so that only the signature can fail.
const EVER: Duration = Duration::MAX;

fn text() -> impl Strategy<Value = String> {
    // Quotes, backslashes, control characters and an emoji, more often than by chance.
    prop_oneof![any::<String>(), "[\\PC\u{0}\"\\\\/\n\r\t\u{8}\u{c}\u{7f}\u{1f48c}]{0,40}"]
}

fn secret() -> impl Strategy<Value = Secret> {
    any::<String>().prop_filter_map("no secret", |text| Secret::new(text).ok())
}

/// Returns secrets with their texts. A text in quotation marks is rejected.
fn printable_secret() -> impl Strategy<Value = (String, Secret)> {
    "[!-~]{1,64}".prop_filter_map("in quotation marks", |text| {
        Secret::new(&text).ok().map(|secret| (text, secret))
    })
}

fn verify(secret: &Secret, timestamp: &[u8], signature: &str, body: &[u8]) -> bool {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    verify_at(&secret.clone().into(), timestamp, signature, body, now, EVER).is_ok()
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

proptest! {
    // Failures are not recorded in a file: each gets its own test instead.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signed_delivery_verifies(secret in secret(), timestamp: u64, body: Vec<u8>) {
        let signature = sign(&secret, timestamp, &body);
        prop_assert!(verify(&secret, timestamp.to_string().as_bytes(), &signature, &body));
    }

    #[test]
    fn one_changed_bit_of_the_body_fails(
        secret in secret(), body in vec(any::<u8>(), 1..512), at: prop::sample::Index,
    ) {
        let signature = sign(&secret, NOW, &body);
        let other = flip(&body, at.index(body.len() * 8));
        prop_assert!(!verify(&secret, NOW.to_string().as_bytes(), &signature, &other));
    }

    #[test]
    fn one_changed_bit_of_the_timestamp_fails(
        secret in secret(), timestamp: u64, body: Vec<u8>, at: prop::sample::Index,
    ) {
        let signature = sign(&secret, timestamp, &body);
        let text = timestamp.to_string();
        let other = flip(text.as_bytes(), at.index(text.len() * 8));
        prop_assert!(!verify(&secret, &other, &signature, &body));
    }

    #[test]
    fn one_changed_bit_of_the_signature_fails(
        secret in secret(), timestamp: u64, body: Vec<u8>, at in 0..256_usize,
    ) {
        let signature = hex::decode(sign(&secret, timestamp, &body)).unwrap();
        let other = hex::encode(flip(&signature, at));
        prop_assert!(!verify(&secret, timestamp.to_string().as_bytes(), &other, &body));
    }

    #[test]
    fn one_changed_bit_of_the_secret_fails(
        (text, secret) in printable_secret(), timestamp: u64, body: Vec<u8>,
        at: prop::sample::Index,
    ) {
        let other = String::from_utf8(flip(text.as_bytes(), at.index(text.len() * 8)));
        let other = other.ok().and_then(|text| Secret::new(text).ok());
        let signature = sign(&secret, timestamp, &body);
        if let Some(other) = other {
            prop_assert!(!verify(&other, timestamp.to_string().as_bytes(), &signature, &body));
        }
    }

    #[test]
    fn random_headers_are_rejected(timestamp: Vec<u8>, signature: Vec<u8>, body: Vec<u8>) {
        let secret = Secret::new("k").unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let verdict = verify_at(&secret.into(), timestamp, signature, &body, now, EVER);
        let expected = [
            SignatureError::MalformedTimestamp,
            SignatureError::MalformedSignature,
            SignatureError::Mismatch,
        ];
        prop_assert!(expected.contains(&verdict.unwrap_err()));
    }

    #[test]
    fn body_may_be_split_anywhere(
        text in text(), cuts in vec(any::<prop::sample::Index>(), 0..12), pauses in vec(any::<bool>(), 13),
        flipped in option::of(any::<prop::sample::Index>()),
    ) {
        let body = serde_json::json!({"event": "setup.test", "text": text}).to_string().into_bytes();
        let sent = match flipped {
            Some(at) => flip(&body, at.index(body.len() * 8)),
            None => body.clone(),
        };
        let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(sent.len() + 1)).collect();
        cuts.extend([0, sent.len()]);
        cuts.sort_unstable();
        // Two equal cuts give an empty frame.
        let frames = cuts.windows(2).map(|cut| Bytes::copy_from_slice(&sent[cut[0]..cut[1]]));
        let steps = frames.zip(pauses).flat_map(|(frame, pause)| {
            pause.then_some(Step::Yield).into_iter().chain([Step::Data(frame)])
        });
        let (inner, seen) = inner();
        let request = signed(&body, ScriptedBody::new(steps).0);
        let status = run(layer().layer(inner).oneshot(request)).unwrap().status();
        if flipped.is_some() {
            prop_assert_eq!((status, seen.count()), (StatusCode::UNAUTHORIZED, 0));
        } else {
            prop_assert_eq!(status, StatusCode::OK);
            let event = seen.last().unwrap();
            prop_assert_eq!(event.raw_body(), &body);
        }
    }

    #[test]
    fn no_body_panics_the_parser(body: Vec<u8>, json in event()) {
        let _ = Event::from_slice(&body);
        // Cut anywhere, and with any bytes inserted.
        let cut = body.len() % (json.len() + 1);
        let _ = Event::from_slice(&json.as_bytes()[..cut]);
        let _ = Event::from_slice(&[&json.as_bytes()[..cut], &body, &json.as_bytes()[cut..]].concat());
    }

    #[test]
    fn serialised_event_parses_to_the_same_event(json in event()) {
        if let Ok(event) = Event::from_slice(json.as_bytes()) {
            let again = serde_json::to_vec(&event).unwrap();
            prop_assert_eq!(Event::from_slice(&again).unwrap(), event);
        }
    }

    #[test]
    fn unknown_field_is_kept_unchanged(event in event_name(), key in text(), value in value()) {
        let key = format!("x_{key}");
        let json = serde_json::json!({
            "event": event, key.clone(): value, "event_id": "e", "inbox_id": "i",
            "message": {"id": "m", "from": "f", key.clone(): value},
        });
        let value = reparsed(&value);
        let event = Event::from_slice(json.to_string().as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&serde_json::to_vec(&event).unwrap()).unwrap();
        prop_assert_eq!(&written[&key], &value);
        prop_assert_eq!(&written["message"][&key], &value);
    }
}

/// Returns a value as it is after being written and parsed.
fn reparsed(value: &Value) -> Value {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

/// Returns the name of a documented event, or an unknown one.
fn event_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![select(&EVENTS[..]), Just("thread.archived")]
}

/// All names that have a meaning somewhere, their aliases, and some names without a meaning.
const FIELDS: [&str; 42] = [
    "event",
    "event_id",
    "inbox_id",
    "thread_id",
    "message",
    "occurred_at",
    "delivered_at",
    "attempt",
    "external_id",
    "id",
    "from",
    "to",
    "cc",
    "subject",
    "body_text",
    "attachments",
    "received_at",
    "rfc_message_id",
    "category",
    "auto_replyable",
    "verdict",
    "spam_score",
    "inbox_address",
    "pod_id",
    "reason",
    "filename",
    "contentType",
    "content_type",
    "sizeBytes",
    "size",
    "url",
    "parsedText",
    "parsed_text",
    "extractionMethod",
    "extraction_method",
    "extra",
    "kind",
    "type",
    "",
    "Event",
    "EVENT_ID",
    "event\u{0}",
];

const TEXTS: [&str; 8] = [
    "2024-03-21T10:05:00.000Z",
    "2024-03-21T10:05:00.123456789+02:00",
    "yesterday",
    "spam",
    "pdf",
    "high_bounce_rate",
    "Ada <ada@example.com>",
    "",
];

/// Any JSON value.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..20_u32).prop_map(Value::from),
        select(&TEXTS[..]).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![select(&FIELDS[..]).prop_map(str::to_owned), text()];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((key, inner), 0..5).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// The text of an object: fields in any order, some of them repeated.
fn object(fields: &[(String, String)]) -> String {
    let fields = fields.iter().map(|(key, value)| format!("{}:{value}", Value::from(&**key)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop_oneof![9 => select(&FIELDS[..]).prop_map(str::to_owned), 1 => text()];
    vec((key, value().prop_map(|value| value.to_string())), 0..8)
}

/// Often an event, with fields of every form.
fn event() -> impl Strategy<Value = String> {
    let required = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields
            .iter()
            .map(|(key, text)| ((*key).to_owned(), Value::from(*text).to_string()))
            .collect()
    };
    let message = fields().prop_flat_map(move |others| {
        Just([required(&[("id", "m"), ("from", "f")]), others].concat()).prop_shuffle()
    });
    (event_name(), message, fields()).prop_flat_map(move |(event, message, others)| {
        let all = [
            required(&[("event", event), ("event_id", "e"), ("inbox_id", "i")]),
            vec![("message".to_owned(), object(&message))],
            others,
        ];
        Just(all.concat()).prop_shuffle().prop_map(|fields| object(&fields))
    })
}

#[test]
fn enough_generated_bodies_are_events() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let json = (0..200).map(|_| event().new_tree(&mut runner).unwrap().current());
    let events = json.filter(|json| Event::from_slice(json.as_bytes()).is_ok()).count();
    assert!(events > 50, "{events} of 200");
}
