//! Runs have their own tasks: they finish without their caller, and shutdown waits for them.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use openmail_tests::{
    Fault, FaultyStore, Script, error_code, fixture, layer, mail, mail_to, scripted, signed,
};
use openmail_tower::{
    Endpoint, HandlerError, HandlerErrorKind, Outcome, VerifiedEvent,
    layers::dedupe::{DedupeLayer, MemoryStore},
};
use tokio::{task::yield_now, time};
use tower::{Layer, ServiceExt};
use tracing_subscriber::layer::SubscriberExt;

const LONG: Duration = Duration::from_secs(3600);

async fn begun(script: &Script) {
    while script.begun() == 0 {
        time::sleep(Duration::from_millis(10)).await;
    }
}

/// Delivers repeatedly until the event is no longer in flight.
async fn delivered<S>(events: S) -> Result<Outcome, HandlerError>
where
    S: tower::Service<VerifiedEvent, Response = Outcome, Error = HandlerError> + Clone,
{
    loop {
        match events.clone().oneshot(mail("evt_1")).await {
            Err(error) if error.kind() == HandlerErrorKind::InFlight => {
                time::sleep(Duration::from_millis(10)).await;
            }
            answer => return answer,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn run_continues_whenever_the_caller_leaves() {
    // Drops the caller's future after each possible number of polls, until it completes.
    for polls in 1.. {
        let (handler, script) = scripted();
        let events = DedupeLayer::new(FaultyStore::new(MemoryStore::new(10))).layer(handler);
        script.answer(Ok(Outcome::Done));
        let mut answered = false;
        {
            let mut caller = pin!(events.clone().oneshot(mail("evt_1")));
            for _ in 0..polls {
                yield_now().await;
                answered = poll_fn(|cx| Poll::Ready(caller.as_mut().poll(cx).is_ready())).await;
            }
        }
        // Without this, the second delivery might be the one that claims the event.
        begun(&script).await;
        assert_eq!(
            delivered(events).await.unwrap(),
            Outcome::Duplicate,
            "left after {polls} polls"
        );
        assert_eq!(script.begun(), 1, "left after {polls} polls");
        if answered {
            assert!(polls > 5, "the caller completed after only {polls} polls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn call_starts_the_run_without_being_polled() {
    let (handler, script) = scripted();
    let events = DedupeLayer::new(MemoryStore::new(10)).layer(handler);
    script.answer(Err(HandlerError::failed("nobody hears of it")));
    script.answer(Ok(Outcome::Done));
    // `oneshot` would call the service only when polled.
    drop(tower::Service::call(&mut events.clone(), mail("evt_1")));
    begun(&script).await;
    assert_eq!(delivered(events).await.unwrap(), Outcome::Done, "a failure releases the claim");
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_runs_and_rejects_new_events() {
    let (handler, script) = scripted();
    let dedupe = DedupeLayer::new(MemoryStore::new(10));
    let events = dedupe.layer(handler);
    drop(tower::Service::call(&mut events.clone(), mail("evt_1")));
    begun(&script).await;

    let mut shutdown = pin!(dedupe.shutdown(LONG));
    assert!(poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_pending())).await);
    let rejected = events.clone().oneshot(mail("evt_2")).await.unwrap_err();
    assert_eq!(rejected.kind(), HandlerErrorKind::Unavailable);
    assert!(poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_pending())).await);

    script.answer(Ok(Outcome::Done));
    assert_eq!(shutdown.await, 0);
    assert_eq!((script.begun(), script.ended()), (1, 1));
    assert_eq!(dedupe.shutdown(LONG).await, 0, "again");
}

#[tokio::test(start_paused = true)]
async fn shutdown_cancels_and_releases_slow_runs() {
    let store = MemoryStore::new(10);
    let dedupe = DedupeLayer::new(store.clone());
    let (handler, cut) = scripted();
    let caller = tokio::spawn(dedupe.layer(handler).oneshot(mail("evt_1")));
    begun(&cut).await;
    assert_eq!(dedupe.shutdown(Duration::from_secs(1)).await, 1);
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), cut.ended()), (HandlerErrorKind::Failed, 0));

    // Another process that shares the store.
    let (handler, script) = scripted();
    script.answer(Ok(Outcome::Done));
    let events = DedupeLayer::new(store).layer(handler);
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_even_if_the_store_hangs() {
    let store = FaultyStore::new(MemoryStore::new(10));
    let dedupe = DedupeLayer::new(store.clone());
    let (handler, script) = scripted();
    let events = dedupe.layer(handler);
    let running = tokio::spawn(events.clone().oneshot(mail("evt_1")));
    begun(&script).await;
    store.set(Fault::Hangs);
    let claiming = tokio::spawn(events.oneshot(mail("evt_2")));
    yield_now().await;
    assert_eq!(dedupe.shutdown(Duration::ZERO).await, 2);
    assert_eq!(running.await.unwrap().unwrap_err().kind(), HandlerErrorKind::Failed);
    assert_eq!(claiming.await.unwrap().unwrap_err().kind(), HandlerErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn run_continues_past_the_deadline_and_the_next_delivery_finds_it_done() {
    let (handler, script) = scripted();
    let app = layer().layer(Endpoint::new(DedupeLayer::new(MemoryStore::new(10)).layer(handler)));
    let json = fixture("message.received");
    let deliver = || app.clone().oneshot(signed(&json, Full::new(Bytes::from(json.clone()))));

    let late = deliver().await.unwrap();
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error_code(late).await, "deadline_exceeded");
    let meanwhile = deliver().await.unwrap();
    assert_eq!(meanwhile.status(), StatusCode::CONFLICT);
    assert_eq!(error_code(meanwhile).await, "in_flight");

    script.answer(Ok(Outcome::Done));
    // Time for the run to end and to be recorded.
    time::sleep(Duration::from_millis(10)).await;
    assert_eq!(deliver().await.unwrap().status(), StatusCode::OK);
    assert_eq!(script.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn run_is_in_the_span_of_its_caller() {
    let subscriber =
        tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().with_test_writer());
    let _default = openmail_tests::listen(subscriber);
    let handler = tower::service_fn(|_: VerifiedEvent| async {
        let span = tracing::Span::current();
        assert_eq!(span.metadata().map(tracing::Metadata::name), Some("delivery"));
        Ok::<_, HandlerError>(Outcome::Done)
    });
    let events = DedupeLayer::new(MemoryStore::new(10)).layer(handler);
    let caller = tracing::Instrument::instrument(
        events.oneshot(mail("evt_1")),
        tracing::info_span!("delivery"),
    );
    assert_eq!(caller.await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn slow_run_is_cancelled_and_released() {
    let (handler, script) = scripted();
    let limit = Duration::from_secs(90);
    let events = DedupeLayer::new(MemoryStore::new(10)).run_timeout(limit).layer(handler);
    let start = time::Instant::now();
    let error = events.clone().oneshot(mail("evt_1")).await.unwrap_err();
    assert_eq!(start.elapsed(), limit);
    assert_eq!(error.kind(), HandlerErrorKind::Failed);
    assert_eq!(error.to_string(), "the run was cancelled after 90s");
    script.answer(Ok(Outcome::Done));
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn abandoned_runs_count_towards_the_limit() {
    let (handler, script) = scripted();
    let dedupe = DedupeLayer::new(MemoryStore::new(10)).max_runs(2).run_timeout(LONG);
    let events = dedupe.layer(handler);
    for id in ["evt_1", "evt_2"] {
        drop(tower::Service::call(&mut events.clone(), mail(id)));
    }
    let error = events.clone().oneshot(mail("evt_3")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    time::sleep(LONG + Duration::from_secs(1)).await;
    script.answer(Ok(Outcome::Done));
    assert_eq!(events.oneshot(mail("evt_3")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn one_inbox_cannot_take_every_run() {
    let (handler, script) = scripted();
    let events = DedupeLayer::new(MemoryStore::new(10)).max_runs_per_inbox(1).layer(handler);
    drop(tower::Service::call(&mut events.clone(), mail("evt_1")));
    begun(&script).await;
    let error = events.clone().oneshot(mail("evt_2")).await.unwrap_err();
    assert_eq!(error.kind(), HandlerErrorKind::Unavailable);
    // One answer for each of the two runs, whichever takes it first.
    script.answer(Ok(Outcome::Done));
    script.answer(Ok(Outcome::Done));
    let other = mail_to("inb_other", "evt_3");
    assert_eq!(events.oneshot(other).await.unwrap(), Outcome::Done);
}
