//! The delivery emulator, against services that fail, hang, or are real.

mod recorder;

use std::{
    convert::Infallible,
    future::{pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use openmail_tests::{NOW, ScriptedBody, Step, inner, secret};
use openmail_tower::{
    EventRouter, Secret, Secrets, VerifyLayer,
    testing::{Delivery, Emulator, SCHEDULE, TestEvent},
    webhook,
    webhook::signature::{DEFAULT_TOLERANCE, verify_at},
};
use serde_json::Value;
use tokio::time::Instant;
use tower::{Layer, Service, limit::ConcurrencyLimit, service_fn};

use recorder::recorder;

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn answer(status: u16) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Ok(Response::builder().status(status).body(Full::from("{}")).expect("a response"))
}

/// A clock that follows tokio's, which the tests pause.
fn clock() -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let start = Instant::now();
    move || UNIX_EPOCH + Duration::from_secs(NOW) + start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_stamped_and_signed_on_openmails_schedule() {
    let (service, got) = recorder(|_| ready(answer(500)));
    let emulator = Emulator::new(secret()).clock(clock());
    let report = emulator.deliver(service, [TestEvent::message_received()]).await;

    let got = got.lock().unwrap();
    let after: Vec<_> = got.iter().map(|it| it.after.as_secs()).collect();
    assert_eq!(after, [0, 30, 90, 210, 450]);
    let secrets = Secrets::from(secret());
    for (number, it) in got.iter().enumerate() {
        assert_eq!(it.timestamp, NOW + after[number]);
        let now = UNIX_EPOCH + Duration::from_secs(it.timestamp);
        let timestamp = it.timestamp.to_string();
        verify_at(&secrets, timestamp, &it.signature, &it.body, now, DEFAULT_TOLERANCE).unwrap();
        let (json, first) = (it.json(), got[0].json());
        assert_eq!(json["attempt"], number + 1);
        let delivered_at: jiff::Timestamp = json["delivered_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(u64::try_from(delivered_at.as_second()).unwrap(), it.timestamp);
        assert_eq!((&it.id, &json["event_id"]), (&got[0].id, &first["event_id"]));
        assert_eq!(
            (&json["message"], &json["occurred_at"]),
            (&first["message"], &first["occurred_at"])
        );
    }
    assert!(uuid_like(&got[0].id), "{}", got[0].id);

    let [delivery] = &report.deliveries[..] else { panic!("{report:?}") };
    assert!(!delivery.is_accepted() && !report.all_accepted());
    assert_eq!(delivery.attempts.len(), SCHEDULE.len());
    assert!(
        report.attempts().all(|it| it.status.as_ref().unwrap() == &500 && it.response_body == "{}")
    );
    assert_eq!(delivery.event_id.as_deref(), got[0].json()["event_id"].as_str());
}

fn uuid_like(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

#[tokio::test(start_paused = true)]
async fn accepted_event_is_not_sent_again() {
    for status in [200, 204, 299] {
        let (service, got) =
            recorder(move |count| ready(answer(if count < 3 { 503 } else { status })));
        let report = Emulator::new(secret()).deliver(service, [TestEvent::new("setup.test")]).await;
        assert!(report.all_accepted());
        assert_eq!(got.lock().unwrap().len(), 3);
        // Fields that the event does not have are not added.
        assert_eq!(got.lock().unwrap()[2].body, r#"{"event":"setup.test"}"#);
    }
    for status in [199, 302, 400, 410] {
        let (service, got) = recorder(move |_| ready(answer(status)));
        let report = Emulator::new(secret()).deliver(service, [TestEvent::new("setup.test")]).await;
        assert!(!report.all_accepted());
        assert_eq!(got.lock().unwrap().len(), 5, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_response_within_15_seconds_fails_and_drops_the_run() {
    struct Ends(Arc<AtomicUsize>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (service, got) = recorder({
        let dropped = Arc::clone(&dropped);
        move |count| {
            let ends = Ends(Arc::clone(&dropped));
            async move {
                let _ends = ends;
                if count == 1 { pending().await } else { answer(200) }
            }
        }
    });
    let report = Emulator::new(secret()).deliver(service, [TestEvent::message_received()]).await;
    let [late, good] = &report.deliveries[0].attempts[..] else { panic!("{report:?}") };
    let error = late.status.as_ref().unwrap_err();
    assert!(
        error.is_timeout() && error.to_string() == "no response within the time limit",
        "{error}"
    );
    assert_eq!(late.elapsed.as_secs(), 15);
    assert!(good.is_accepted() && report.all_accepted());
    assert_eq!(got.lock().unwrap()[1].after.as_secs(), 15 + 30);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn speed_shortens_the_schedule() {
    let (service, got) =
        recorder(|count| async move { if count == 1 { pending().await } else { answer(500) } });
    let emulator = Emulator::new(secret()).speed(60.0).timeout(Duration::from_secs(3));
    emulator.deliver(service, [TestEvent::message_received()]).await;
    let after: Vec<_> = got.lock().unwrap().iter().map(|it| it.after.as_millis()).collect();
    // The time limit for a response is not shortened. Tokio's timers count whole milliseconds.
    for (after, expected) in after.iter().zip([0, 3000, 4000, 6000, 10_000]) {
        assert!(
            after.abs_diff(expected + u128::from(expected > 0) * 500) <= 4,
            "{after} {expected}"
        );
    }
    assert_eq!(after.len(), 5);
}

#[tokio::test]
async fn real_layer_accepts_every_event_however_it_is_sent() {
    let (inner, seen) = inner();
    let events = ["message.received", "inbox.suspended", "pod.reactivated", "setup.test", "a.b"];
    let emulator = Emulator::new(secret()).duplicates(1.0).shuffle().seed(1);
    let app = VerifyLayer::new(secret()).layer(inner);
    // A test can spawn the delivery as a task, and do something else meanwhile.
    let deliver = async move { emulator.deliver(app, events.map(TestEvent::new)).await };
    let report = tokio::spawn(deliver).await.expect("a report");
    assert!(report.all_accepted(), "{report:?}");
    assert_eq!((report.deliveries.len(), seen.count()), (10, 10));
    for event in events {
        let mut of: Vec<_> = report.deliveries.iter().filter(|it| it.event == event).collect();
        of.sort_unstable_by_key(|it| it.duplicate);
        let [first, second] = of[..] else { panic!("{event}: {of:?}") };
        assert_eq!((first.duplicate, second.duplicate), (false, true));
        assert_eq!(first.event_id, second.event_id);
    }
}

#[tokio::test(start_paused = true)]
async fn report_says_why_an_attempt_failed() {
    let app = webhook(VerifyLayer::new(Secret::new("another").unwrap()), EventRouter::new());
    let emulator = Emulator::new(secret()).schedule([Duration::ZERO]);
    let report = emulator.deliver(app, [TestEvent::message_received()]).await;
    let attempt = report.attempts().next().unwrap();
    assert_eq!(attempt.status.as_ref().unwrap(), &401);
    let answer: Value = serde_json::from_slice(&attempt.response_body).unwrap();
    assert_eq!(answer["error"], "signature_mismatch");

    let failing = service_fn(async |_: Request<Full<Bytes>>| {
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Err::<Response<Full<Bytes>>, _>(tower::BoxError::from(Outer(cause)))
    });
    let report = emulator.deliver(failing, [TestEvent::message_received()]).await;
    let error = report.attempts().next().unwrap().status.clone().unwrap_err();
    assert!(!error.is_timeout());
    assert_eq!(error.to_string(), "no connection: connection refused");
}

#[derive(Debug)]
struct Outer(std::io::Error);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no connection")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn status_of_an_endless_response_counts_and_only_its_beginning_is_kept() {
    for (steps, kept) in [
        (vec![Step::Data("head".into()), Step::Hang], 4),
        (vec![Step::Data("head".into()), Step::Fail], 4),
        (
            vec![
                Step::Data(vec![b'x'; 3000].into()),
                Step::Data(vec![b'x'; 3000].into()),
                Step::Hang,
            ],
            4096,
        ),
    ] {
        let steps = Mutex::new(Some(steps));
        let service = service_fn(|_: Request<Full<Bytes>>| {
            let (body, _) = ScriptedBody::new(steps.lock().unwrap().take().unwrap());
            ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let emulator = Emulator::new(secret());
        let report = emulator.deliver(service, [TestEvent::message_received()]).await;
        let [attempt] = &report.deliveries[0].attempts[..] else { panic!("{report:?}") };
        assert!(attempt.is_accepted() && attempt.elapsed.is_zero());
        assert_eq!(attempt.response_body.len(), kept);
    }
}

/// Panics if it is called without having been polled ready.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        ready(answer(500))
    }
}

#[tokio::test(start_paused = true)]
async fn calls_the_service_that_was_polled_ready() {
    let service = ConcurrencyLimit::new(Strict::default(), 2);
    let events = (0..10).map(|_| TestEvent::message_received());
    let report = Emulator::new(secret()).deliver(service, events).await;
    assert_eq!(report.attempts().count(), 50);
}

#[tokio::test(start_paused = true)]
async fn concurrency_limits_attempts_but_not_waits() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (service, got) = recorder({
        let most = Arc::clone(&most);
        move |count| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                answer(if count <= 2 { 500 } else { 200 })
            }
        }
    });
    let events = (0..6).map(|n| TestEvent::new("setup.test").event_id(n.to_string()));
    let report = Emulator::new(secret()).concurrency(2).deliver(service, events).await;
    assert!(report.all_accepted());
    assert_eq!(most.load(Ordering::Relaxed), 2);
    // The first two fail and wait; the other four continue meanwhile.
    let got = got.lock().unwrap();
    let after: Vec<_> = got.iter().map(|it| it.after.as_secs()).collect();
    assert_eq!(after, [0, 0, 1, 1, 2, 2, 31, 31]);
    let count = |it: &Delivery| (it.event_id.clone().unwrap(), it.attempts.len());
    let order: Vec<_> = report.deliveries.iter().map(count).collect();
    let expected = [("0", 2), ("1", 2), ("2", 1), ("3", 1), ("4", 1), ("5", 1)];
    assert_eq!(order, expected.map(|(id, attempts)| (id.to_owned(), attempts)));
}

#[tokio::test(start_paused = true)]
async fn rate_limits_events_per_second() {
    let (service, got) = recorder(|_| ready(answer(200)));
    let events = (0..10).map(|_| TestEvent::new("setup.test"));
    Emulator::new(secret()).rate(2.0).deliver(service, events).await;
    let after: Vec<_> = got.lock().unwrap().iter().map(|it| it.after.as_millis()).collect();
    assert_eq!(after, (0..10).map(|n| n * 500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn reports_each_attempt_as_it_ends() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (service, _) = recorder(|count| ready(answer(if count < 3 { 500 } else { 200 })));
    let emulator = Emulator::new(secret()).on_attempt({
        let told = Arc::clone(&told);
        move |delivery, attempt| {
            assert_eq!(delivery.attempts.len(), usize::try_from(attempt.number).unwrap());
            told.lock().unwrap().push((attempt.number, delivery.is_accepted()));
        }
    });
    emulator.deliver(service, [TestEvent::message_received()]).await;
    assert_eq!(*told.lock().unwrap(), [(1, false), (2, false), (3, true)]);
}

#[tokio::test(start_paused = true)]
async fn attempt_records_the_request_and_the_next_wait() {
    let (service, got) = recorder(|count| ready(answer(if count < 3 { 500 } else { 200 })));
    let emulator = Emulator::new(secret()).clock(clock()).speed(2.0);
    let report = emulator.deliver(service, [TestEvent::message_received()]).await;
    let attempts = &report.deliveries[0].attempts;
    let waits: Vec<_> = attempts.iter().map(|it| it.next_in.map(|wait| wait.as_secs())).collect();
    assert_eq!(waits, [Some(15), Some(30), None]);
    for (attempt, got) in attempts.iter().zip(got.lock().unwrap().iter()) {
        assert_eq!(attempt.headers["x-signature"], got.signature);
        assert_eq!(attempt.body, got.body);
        assert_eq!(attempt.sent_at, UNIX_EPOCH + Duration::from_secs(NOW) + got.after);
    }
    assert!(!format!("{report:?}").contains("sender@example.com"));
}

#[tokio::test(start_paused = true)]
async fn rotated_secret_signs_the_next_attempt() {
    let (service, got) = recorder(|count| ready(answer(if count < 2 { 401 } else { 200 })));
    let looked_up = AtomicUsize::new(0);
    let emulator = Emulator::new(secret()).clock(clock()).target(move || {
        let secret = format!("whsec_{}", looked_up.fetch_add(1, Ordering::Relaxed));
        ("/webhooks".parse().expect("a path"), Secret::new(secret).expect("a secret"))
    });
    emulator.deliver(service, [TestEvent::message_received()]).await;
    assert_eq!(got.lock().unwrap().len(), 2);
    for (number, got) in got.lock().unwrap().iter().enumerate() {
        let secrets = Secrets::from(Secret::new(format!("whsec_{number}")).unwrap());
        let now = UNIX_EPOCH + Duration::from_secs(got.timestamp);
        let timestamp = got.timestamp.to_string();
        verify_at(&secrets, timestamp, &got.signature, &got.body, now, DEFAULT_TOLERANCE).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_continues_where_an_earlier_run_ended() {
    let (service, got) = recorder(|_| ready(answer(500)));
    let emulator = Emulator::new(secret()).first_attempt(4).schedule(SCHEDULE[3..].to_vec());
    let report = emulator.deliver(service, [TestEvent::message_received()]).await;
    let numbers: Vec<_> = report.attempts().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [4, 5]);
    let sent: Vec<_> =
        got.lock().unwrap().iter().map(|got| got.json()["attempt"].clone()).collect();
    assert_eq!(sent, [4, 5]);
}

#[test]
fn secret_is_not_shown() {
    let shown = format!("{:?}", Emulator::new(Secret::new("hunter2").unwrap()));
    assert!(shown.contains("schedule") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_first_attempt_takes_no_slot() {
    let (service, got) = recorder(|_| ready(answer(200)));
    let emulator = Emulator::new(secret()).concurrency(1).schedule([Duration::from_secs(30)]);
    emulator.deliver(service, [(); 2].map(|()| TestEvent::message_received())).await;
    assert!(got.lock().unwrap().iter().all(|it| it.after.as_secs() == 30));
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_are_accepted() {
    for emulator in [
        Emulator::new(secret()).timeout(Duration::MAX),
        Emulator::new(secret()).rate(f64::INFINITY),
        Emulator::new(secret()).rate(1e12),
        Emulator::new(secret()).first_attempt(u32::MAX),
    ] {
        let (service, got) = recorder(|count| ready(answer(if count < 2 { 503 } else { 200 })));
        assert!(emulator.deliver(service, [TestEvent::new("setup.test")]).await.all_accepted());
        assert_eq!(got.lock().unwrap().len(), 2);
    }
}
