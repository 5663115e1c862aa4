//! The metrics of deliveries and rejections.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use openmail_tests::{fixture, layer, signed};
use openmail_tower::{HandlerError, Outcome, VerifiedEvent, webhook};
use tower::{ServiceExt, service_fn};

#[test]
fn counts_requests_and_events_by_outcome() {
    let recorder = DebuggingRecorder::new();
    let counts = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(deliveries()));
    let found: BTreeMap<String, u64> = counts
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            let count = match value {
                DebugValue::Counter(count) => count,
                DebugValue::Histogram(values) => values.len() as u64,
                // Every gauge is 0 at the end: nothing is in memory, and the clocks agree.
                DebugValue::Gauge(value) => {
                    assert!(value.abs() < 1e-9, "{key:?} {value}");
                    0
                }
            };
            (format!("{} {}", key.key().name(), labels.join(",")), count)
        })
        .collect();
    let expected = [
        ("openmail_answer_duration_seconds done", 1),
        ("openmail_answer_duration_seconds permanent", 1),
        ("openmail_bodies_in_flight ", 0),
        ("openmail_body_budget_used_bytes ", 0),
        ("openmail_body_bytes ", 2),
        ("openmail_clock_difference_seconds ", 0),
        ("openmail_deliveries_total message.received,done", 1),
        ("openmail_deliveries_total message.received,permanent", 1),
        ("openmail_rejections_total signature_mismatch", 1),
    ];
    assert_eq!(found, expected.map(|(key, count)| (key.to_owned(), count)).into());
}

async fn deliveries() {
    let json = fixture("message.received");
    let body = || Full::new(Bytes::from(json.clone()));
    let done = service_fn(async |_: VerifiedEvent| Ok::<_, HandlerError>(Outcome::Done));
    let fails =
        service_fn(async |_: VerifiedEvent| Err::<Outcome, _>(HandlerError::permanent("no")));
    webhook(layer(), done).oneshot(signed(&json, body())).await.unwrap();
    webhook(layer(), fails).oneshot(signed(&json, body())).await.unwrap();
    webhook(layer(), done).oneshot(signed(b"{}", body())).await.unwrap();
}
