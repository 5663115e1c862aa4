//! A mail that fails twice and is then answered, across a restart of the worker: its story as shown
//! by the logs, the trace and the metrics.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use openmail_tests::{FakeApi, Log, fixture, layer, signed};
use openmail_tower::{
    HandlerError, IntoOutcome, VerifiedEvent,
    queue::{Backoff, Enqueue},
    reply::Reply,
    telemetry::{metric, span},
    webhook,
};
use opentelemetry::{
    KeyValue, SpanId, TraceId,
    trace::{SpanKind, Status, TracerProvider as _},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;
use tokio::{sync::Notify, time::sleep};
use tower::{ServiceExt, service_fn};
use tracing_subscriber::{Registry, filter::LevelFilter, layer::SubscriberExt};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const EVENT: &str = "evt_abc123";
const INBOX: &str = "inb_92ma0001";
const THREAD: &str = "thr_xyz0001";

/// Delivers the mail to the queue in this file.
async fn deliver(file: &Path) {
    let json = fixture("message.received");
    let mut request = signed(&json, Full::new(Bytes::from(json.clone())));
    let traceparent = format!("00-{TRACE}-{CALLER}-01").parse().unwrap();
    request.headers_mut().insert("traceparent", traceparent);
    let queue = Enqueue::sqlite(file).await.unwrap();
    let response = webhook(layer(), queue.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    queue.store().close().await;
}

/// Runs a worker that stops after this attempt. The third attempt answers, and its reply is sent.
async fn work_until(last: u32, file: &Path, api: &FakeApi) {
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let events = service_fn(move |event: VerifiedEvent| {
        let attempt = event.attempt().unwrap();
        if attempt == last {
            stop.notify_one();
        }
        async move {
            tracing::info!("thinking");
            match attempt {
                3 => Reply::text("Hello.").into_outcome(),
                _ => Err(HandlerError::failed("the model is away")),
            }
        }
    });
    let queue = Enqueue::sqlite(file).await.unwrap();
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).attempts(5);
    let worker = queue.worker(events).backoff(backoff).replies(api.openmail());
    let stop = async {
        stopped.notified().await;
        while last == 3 && api.sends().await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let cut = worker.run(stop).await;
    assert_eq!(cut, 0);
    queue.store().close().await;
}

#[test]
fn logs_trace_and_metrics_each_tell_the_whole_story() {
    let log = Log::default();
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = Registry::default().with(LevelFilter::INFO).with(log.layer()).with(traces);
    let _listening = openmail_tests::listen(subscriber);
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inbox.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let api = FakeApi::start(env!("CARGO_BIN_EXE_fake_api"));
            api.message(
                THREAD,
                json!({
                    "id": "msg_0001", "direction": "inbound", "fromAddr": "sender@example.com",
                    "toAddr": "agent@openmail.sh", "deliveryRole": "to",
                    "createdAt": "2024-03-21T10:05:00Z",
                }),
            )
            .await;
            deliver(&file).await;
            work_until(1, &file, &api).await;
            work_until(3, &file, &api).await;
        });
    });

    by_logs(&log);
    by_trace(&exporter.get_finished_spans().unwrap());
    by_metrics(&counted);
}

/// What `grep evt_…` finds.
fn by_logs(log: &Log) {
    let lines = log.lines(&[EVENT]);
    let story: Vec<_> = lines.iter().filter(|line| !line.ends_with(": close")).collect();
    let expected: [&[&str]; 9] = [
        &[" INFO ", "openmail_tower: received bytes="],
        &[" INFO ", "openmail_tower: queued duration="],
        &[" INFO ", "attempt=1", ": thinking"],
        &[
            " WARN ",
            "attempt=1",
            "run ended outcome=\"failed\" duration=",
            "error=the model is away retry_in=",
        ],
        &[" INFO ", "attempt=2", ": thinking"],
        &[" WARN ", "attempt=2", "error=the model is away retry_in="],
        &[" INFO ", "attempt=3", ": thinking"],
        &[" INFO ", "attempt=3", "run ended outcome=\"done\" duration="],
        &[
            " INFO ",
            "openmail.reply{",
            "attempt=1",
            "reply attempt ended outcome=\"sent\" duration=",
        ],
    ];
    assert_eq!(story.len(), expected.len(), "{}", log.text());
    for (line, words) in story.into_iter().zip(expected) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
        for word in [INBOX, THREAD, TRACE] {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
}

fn attribute(span: &SpanData, name: &str) -> String {
    let found = span.attributes.iter().rfind(|KeyValue { key, .. }| key.as_str() == name);
    found.unwrap_or_else(|| panic!("{name} in {span:?}")).value.to_string()
}

fn by_trace(spans: &[SpanData]) {
    let mut spans: Vec<_> = spans.iter().collect();
    spans.sort_by_key(|span| span.start_time);
    let [delivery, runs @ .., reply] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(delivery.name, span::DELIVERY);
    assert_eq!(delivery.parent_span_id, SpanId::from_hex(CALLER).unwrap());
    assert!(delivery.parent_span_is_remote);
    assert_eq!(attribute(delivery, "outcome"), "queued");
    assert_eq!(attribute(delivery, "http.response.status_code"), "200");
    assert_eq!(attribute(delivery, "messaging.operation.type"), "receive");
    assert_eq!(reply.name, span::REPLY);
    assert_eq!(reply.parent_span_id, delivery.span_context.span_id());
    assert_eq!(reply.span_kind, SpanKind::Producer);
    assert_eq!(attribute(reply, "outcome"), "sent");
    assert_eq!(attribute(reply, "messaging.operation.type"), "send");
    assert_eq!(runs.len(), 3, "{spans:?}");
    for (attempt, (run, outcome)) in (1..).zip(runs.iter().zip(["failed", "failed", "done"])) {
        assert_eq!(run.name, span::RUN);
        assert_eq!(run.span_kind, SpanKind::Consumer);
        assert_eq!(run.parent_span_id, delivery.span_context.span_id());
        assert_eq!(attribute(run, "attempt"), format!("{attempt}"));
        assert_eq!(attribute(run, "outcome"), outcome);
        assert_eq!(attribute(run, "messaging.operation.type"), "process");
        match outcome {
            "failed" => {
                assert_eq!(run.status, Status::error("failed"));
                assert_eq!(attribute(run, "error.type"), "failed");
            }
            _ => assert_eq!(run.status, Status::Unset),
        }
    }
    for span in spans {
        assert_eq!(span.span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
        for (name, value) in [
            ("messaging.system", "openmail"),
            ("messaging.message.id", EVENT),
            ("messaging.destination.name", INBOX),
            ("messaging.message.conversation_id", THREAD),
        ] {
            assert_eq!(attribute(span, name), value);
        }
    }
}

fn by_metrics(counted: &Snapshotter) {
    let mut counts = BTreeMap::new();
    for (key, _, _, value) in counted.snapshot().into_vec() {
        let key = key.key();
        assert!(metric::ALL.contains(&key.name()), "{key:?} is not documented");
        let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
        let count = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(values) => values.len() as u64,
            DebugValue::Gauge(_) => continue,
        };
        counts.insert(format!("{} {}", key.name(), labels.join(" ")), count);
    }
    let expected = [
        ("openmail_answer_duration_seconds queued", 1),
        ("openmail_body_bytes ", 1),
        ("openmail_deliveries_total message.received queued", 1),
        ("openmail_queue_wait_seconds ", 1),
        ("openmail_replies_total sent", 1),
        ("openmail_reply_duration_seconds sent", 1),
        ("openmail_retries_total ", 2),
        ("openmail_run_duration_seconds done", 1),
        ("openmail_run_duration_seconds failed", 2),
        ("openmail_runs_total done", 1),
        ("openmail_runs_total failed", 2),
    ];
    assert_eq!(counts, expected.map(|(key, count)| (key.to_owned(), count)).into());
}
