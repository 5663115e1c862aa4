//! Each event with an id runs once, and again only if it found no handler, if its replies were not
//! sent, if it failed but not permanently, if its process died, or once it is no longer remembered.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use openmail_tests::{event, mail, scripted};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    layers::dedupe::{DedupeKey, DedupeLayer, MemoryStore},
};
use tokio::{task::JoinSet, time};
use tower::{Layer, Service, ServiceExt};

fn layer() -> DedupeLayer<MemoryStore> {
    DedupeLayer::new(MemoryStore::new(10_000))
}

fn kind(answer: &Result<Outcome, HandlerError>) -> HandlerErrorKind {
    answer.as_ref().unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn duplicate_is_in_flight_and_then_done() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
    while script.begun() == 0 {
        time::sleep(Duration::from_millis(10)).await;
    }

    let duplicate = events.clone().oneshot(mail("evt_1")).await;
    assert_eq!(kind(&duplicate), HandlerErrorKind::InFlight);
    let delay = duplicate.unwrap_err().delay().unwrap();
    assert!(delay > Duration::ZERO && delay <= Duration::from_secs(30), "{delay:?}");

    script.answer(Ok(Outcome::Done));
    assert_eq!(first.await.unwrap().unwrap(), Outcome::Done);
    for _ in 0..3 {
        assert_eq!(events.clone().oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate);
    }
    assert_eq!(script.begun(), 1);

    script.answer(Ok(Outcome::Done));
    assert_eq!(events.oneshot(mail("evt_2")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn failed_or_unrouted_event_runs_again() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    let deliver = || events.clone().oneshot(mail("evt_1"));

    script.answer(Err(HandlerError::failed("busy").after(Duration::from_secs(7))));
    let failed = deliver().await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.delay()),
        (HandlerErrorKind::Failed, Some(Duration::from_secs(7)))
    );
    script.answer(Ok(Outcome::Unrouted));
    assert_eq!(deliver().await.unwrap(), Outcome::Unrouted);
    script.answer(Err(HandlerError::unavailable("the queue is down")));
    assert_eq!(kind(&deliver().await), HandlerErrorKind::Unavailable);
    script.answer(Ok(Outcome::Done));
    assert_eq!(deliver().await.unwrap(), Outcome::Done);
    assert_eq!(deliver().await.unwrap(), Outcome::Duplicate);
    assert_eq!(script.begun(), 4);
}

#[tokio::test(start_paused = true)]
async fn permanent_failure_does_not_run_again() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    script.answer(Err(HandlerError::permanent("there is no order 0")));
    assert_eq!(kind(&events.clone().oneshot(mail("evt_1")).await), HandlerErrorKind::Permanent);
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn panic_releases_the_claim() {
    let runs = Arc::new(AtomicUsize::new(0));
    let events = layer().layer(tower::service_fn({
        let runs = Arc::clone(&runs);
        move |_: VerifiedEvent| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            assert_ne!(run, 0, "while the service is called");
            async move {
                tokio::task::yield_now().await;
                assert_ne!(run, 1, "while its future is polled");
                Ok::<_, HandlerError>(Outcome::Done)
            }
        }
    }));
    for text in ["while the service is called", "while its future is polled"] {
        let error = events.clone().oneshot(mail("evt_1")).await.unwrap_err();
        assert_eq!(error.kind(), HandlerErrorKind::Panicked);
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn every_delivery_without_an_id_runs() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    for runs in 1..=3 {
        script.answer(Ok(Outcome::Done));
        let test = event(r#"{"event":"setup.test"}"#);
        assert_eq!(events.clone().oneshot(test).await.unwrap(), Outcome::Done);
        assert_eq!(script.begun(), runs);
    }
}

#[tokio::test(start_paused = true)]
async fn message_key_runs_each_mail_once() {
    for (key, second) in
        [(DedupeKey::Message, Outcome::Duplicate), (DedupeKey::EventId, Outcome::Done)]
    {
        let (handler, script) = scripted();
        let events = layer().key(key).layer(handler);
        script.answer(Ok(Outcome::Done));
        script.answer(Ok(Outcome::Done));
        assert_eq!(events.clone().oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
        assert_eq!(events.oneshot(mail("evt_2")).await.unwrap(), second);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_concurrent_deliveries_run_once() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    let mut deliveries = JoinSet::new();
    for _ in 0..1000 {
        deliveries.spawn(events.clone().oneshot(mail("evt_1")));
    }
    // All except the one that runs.
    let others = async {
        for _ in 0..999 {
            let answer = deliveries.join_next().await.unwrap().unwrap();
            assert_eq!(kind(&answer), HandlerErrorKind::InFlight);
        }
    };
    time::timeout(Duration::from_secs(60), others).await.expect("more than one runs");
    script.answer(Ok(Outcome::Done));
    assert_eq!(deliveries.join_next().await.unwrap().unwrap().unwrap(), Outcome::Done);
    assert_eq!(script.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn claim_is_renewed_while_the_handler_runs() {
    let (handler, script) = scripted();
    let events = layer().run_timeout(Duration::from_secs(7200)).layer(handler);
    let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
    for _ in 0..500 {
        time::sleep(Duration::from_secs(7)).await;
        let duplicate = events.clone().oneshot(mail("evt_1")).await;
        assert_eq!(kind(&duplicate), HandlerErrorKind::InFlight);
    }
    script.answer(Ok(Outcome::Done));
    assert_eq!(first.await.unwrap().unwrap(), Outcome::Done);
    assert_eq!(script.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn done_event_is_remembered_for_a_day() {
    let (handler, script) = scripted();
    let events = layer().layer(handler);
    script.answer(Ok(Outcome::Done));
    events.clone().oneshot(mail("evt_1")).await.unwrap();
    time::sleep(Duration::from_secs(24 * 3600 - 1)).await;
    assert_eq!(events.clone().oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate);
    time::sleep(Duration::from_secs(2)).await;
    script.answer(Ok(Outcome::Done));
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
}

/// Must be polled ready before each call; its clones are not ready.
struct OnceReady(bool);

impl Clone for OnceReady {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<VerifiedEvent> for OnceReady {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = std::future::Ready<Result<Outcome, HandlerError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: VerifiedEvent) -> Self::Future {
        std::future::ready(match std::mem::take(&mut self.0) {
            true => Ok(Outcome::Done),
            false => Err(HandlerError::permanent("called before it was ready")),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn calls_the_service_that_was_ready() {
    let mut events = layer().layer(OnceReady(false));
    for (event, answer) in [
        (mail("evt_1"), Outcome::Done),
        (mail("evt_1"), Outcome::Duplicate),
        (mail("evt_2"), Outcome::Done),
        (event(r#"{"event":"setup.test"}"#), Outcome::Done),
    ] {
        assert_eq!(events.ready().await.unwrap().call(event).await.unwrap(), answer);
    }
}

#[tokio::test(start_paused = true)]
async fn unready_service_causes_backpressure() {
    let (handler, script) = scripted();
    let mut events = layer().layer(tower::limit::ConcurrencyLimit::new(handler, 1));
    let first = tokio::spawn(events.ready().await.unwrap().call(mail("evt_1")));
    assert!(poll_fn(|cx| Poll::Ready(events.poll_ready(cx).is_pending())).await);
    script.answer(Ok(Outcome::Done));
    first.await.unwrap().unwrap();
    events.ready().await.unwrap();
}
