//! What happens to events if their store fails or takes a claim away.

use std::time::Duration;

use openmail_tests::{Fault, FaultyStore, Script, mail, scripted};
use openmail_tower::{
    HandlerError, HandlerErrorKind, Outcome,
    layers::dedupe::{DedupeLayer, MemoryStore},
};
use tokio::{
    task::yield_now,
    time::{self, Instant},
};
use tower::{Layer, ServiceExt};

fn store() -> FaultyStore<MemoryStore> {
    FaultyStore::new(MemoryStore::new(100))
}

async fn begun(script: &Script, runs: usize) {
    while script.begun() < runs {
        time::sleep(Duration::from_millis(10)).await;
    }
}

fn kind(answer: Result<Outcome, HandlerError>) -> HandlerErrorKind {
    answer.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_while_the_store_is_unreachable() {
    for fault in [Fault::Down, Fault::Hangs, Fault::Mute, Fault::Panics] {
        let (handler, script) = scripted();
        let store = store();
        let events = DedupeLayer::new(store.clone()).layer(handler);
        store.set(fault);
        let begun = Instant::now();
        let error = events.clone().oneshot(mail("evt_1")).await.unwrap_err();
        if fault != Fault::Panics {
            assert_eq!(error.kind(), HandlerErrorKind::Unavailable, "{fault:?}: {error}");
        }
        assert!(begun.elapsed() <= Duration::from_secs(4), "{fault:?}");
        assert_eq!(script.begun(), 0, "{fault:?}");

        store.set(Fault::None);
        script.answer(Ok(Outcome::Done));
        // A claim whose answer was lost is released at once: no time passes here.
        for turn in 0.. {
            let Err(error) = events.clone().oneshot(mail("evt_1")).await else { break };
            assert_eq!(error.kind(), HandlerErrorKind::InFlight, "{fault:?}: {error}");
            assert!(turn < 100, "{fault:?}: the claim is not released");
            yield_now().await;
        }
        assert_eq!(script.begun(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn run_when_unavailable_runs_without_the_store_and_records_when_it_is_back() {
    for fault in [Fault::Down, Fault::Hangs, Fault::Mute] {
        let (handler, script) = scripted();
        let store = store();
        let events = DedupeLayer::new(store.clone()).run_when_unavailable().layer(handler);
        store.set(fault);
        let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
        begun(&script, 1).await;
        store.set(Fault::None);
        // The next renewal claims the event.
        time::sleep(Duration::from_secs(15)).await;
        assert_eq!(kind(events.clone().oneshot(mail("evt_1")).await), HandlerErrorKind::InFlight);
        script.answer(Ok(Outcome::Done));
        assert_eq!(first.await.unwrap().unwrap(), Outcome::Done);
        assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate);
    }
}

#[tokio::test(start_paused = true)]
async fn completion_is_recorded_once_the_store_is_back() {
    for fault in [Fault::Down, Fault::Hangs] {
        let (handler, script) = scripted();
        let store = store();
        let events = DedupeLayer::new(store.clone()).layer(handler);
        let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
        begun(&script, 1).await;
        store.set(fault);
        script.answer(Ok(Outcome::Done));
        let begun = Instant::now();
        assert_eq!(first.await.unwrap().unwrap(), Outcome::Done, "the handler has done its work");
        assert!(begun.elapsed() <= Duration::from_secs(4), "{fault:?}");
        time::sleep(Duration::from_secs(8)).await;
        store.set(Fault::None);
        // Long after the claim would have expired.
        time::sleep(Duration::from_secs(60)).await;
        assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn completion_is_recorded_soon_after_the_store_is_back() {
    // The handler finishes at 20 s. From then on the store is tried for the duration of a lease:
    // until 50 s.
    for (back, again) in [(35_000, 42_000), (49_900, 55_000)] {
        for fault in [Fault::Down, Fault::Hangs] {
            let (handler, script) = scripted();
            let store = store();
            let events = DedupeLayer::new(store.clone()).layer(handler);
            let start = Instant::now();
            let until = |millis| time::sleep_until(start + Duration::from_millis(millis));
            let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
            until(15_000).await;
            store.set(fault);
            until(20_000).await;
            script.answer(Ok(Outcome::Done));
            until(back).await;
            store.set(Fault::None);
            until(again).await;
            assert_eq!(first.await.unwrap().unwrap(), Outcome::Done);
            script.answer(Ok(Outcome::Done));
            let answer = events.oneshot(mail("evt_1")).await.unwrap();
            assert_eq!((answer, script.begun()), (Outcome::Duplicate, 1), "{fault:?}, {back}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_store_does_not_delay_the_next_renewal() {
    let (handler, script) = scripted();
    let store = store();
    let events = DedupeLayer::new(store.clone()).lease(Duration::from_secs(6)).layer(handler);
    let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
    begun(&script, 1).await;
    store.set(Fault::Hangs);
    time::sleep(Duration::from_millis(3_500)).await;
    store.set(Fault::None);
    // The renewal that began after 2 s hangs until the next one is due after 4 s.
    time::sleep(Duration::from_secs(1)).await;
    let in_flight = events.clone().oneshot(mail("evt_1")).await.unwrap_err();
    assert_eq!(in_flight.kind(), HandlerErrorKind::InFlight);
    let remaining = in_flight.delay().unwrap();
    assert!(remaining > Duration::from_secs(5), "not renewed: {remaining:?} remain");
    // Past the end of its first lease.
    time::sleep(Duration::from_secs(2)).await;
    assert_eq!(kind(events.clone().oneshot(mail("evt_1")).await), HandlerErrorKind::InFlight);
    script.answer(Ok(Outcome::Done));
    assert_eq!(first.await.unwrap().unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn claim_of_a_failed_run_is_released_once_the_store_is_back() {
    let (handler, script) = scripted();
    let store = store();
    let events = DedupeLayer::new(store.clone()).lease(Duration::from_secs(3600)).layer(handler);
    let first = tokio::spawn(events.clone().oneshot(mail("evt_1")));
    begun(&script, 1).await;
    store.set(Fault::Down);
    script.answer(Err(HandlerError::failed("no answer sent")));
    assert_eq!(kind(first.await.unwrap()), HandlerErrorKind::Failed);
    time::sleep(Duration::from_secs(8)).await;
    store.set(Fault::None);
    time::sleep(Duration::from_secs(60)).await;
    script.answer(Ok(Outcome::Done));
    assert_eq!(events.oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
}

#[tokio::test(start_paused = true)]
async fn stale_token_cannot_complete_or_release() {
    for end in [Ok(Outcome::Done), Err("it failed")] {
        let shared = MemoryStore::new(100);
        let cut_off = FaultyStore::new(shared.clone());
        let (handler, slow) = scripted();
        let here = DedupeLayer::new(cut_off.clone()).layer(handler);
        let (handler, other) = scripted();
        let there = DedupeLayer::new(shared).layer(handler);

        let first = tokio::spawn(here.oneshot(mail("evt_1")));
        begun(&slow, 1).await;
        cut_off.set(Fault::Down);
        time::sleep(Duration::from_secs(31)).await;
        let second = tokio::spawn(there.clone().oneshot(mail("evt_1")));
        begun(&other, 1).await;
        cut_off.set(Fault::None);

        // The next renewal finds that the claim is lost; the run ends normally.
        time::sleep(Duration::from_secs(15)).await;
        slow.answer(end.clone().map_err(HandlerError::failed));
        assert_eq!(
            first.await.unwrap().map_err(|error| error.to_string()),
            end.map_err(Into::into)
        );
        assert_eq!(kind(there.clone().oneshot(mail("evt_1")).await), HandlerErrorKind::InFlight);

        other.answer(Err(HandlerError::failed("it failed there")));
        assert_eq!(kind(second.await.unwrap()), HandlerErrorKind::Failed);
        other.answer(Ok(Outcome::Done));
        assert_eq!(there.clone().oneshot(mail("evt_1")).await.unwrap(), Outcome::Done);
        assert_eq!(there.oneshot(mail("evt_1")).await.unwrap(), Outcome::Duplicate);
    }
}

#[tokio::test(start_paused = true)]
async fn claim_of_a_dead_process_expires() {
    let shared = MemoryStore::new(100);
    // As if the process had died: it will not reach the store again.
    let dead = FaultyStore::new(shared.clone());
    let (handler, lost) = scripted();
    tokio::spawn(DedupeLayer::new(dead.clone()).layer(handler).oneshot(mail("evt_1")));
    begun(&lost, 1).await;
    dead.set(Fault::Hangs);

    let (handler, script) = scripted();
    script.answer(Ok(Outcome::Done));
    let events = DedupeLayer::new(shared).layer(handler);
    let begun = Instant::now();
    while let Err(error) = events.clone().oneshot(mail("evt_1")).await {
        assert_eq!(error.kind(), HandlerErrorKind::InFlight);
        time::sleep(error.delay().unwrap()).await;
    }
    assert!(begun.elapsed() <= Duration::from_secs(31), "{:?}", begun.elapsed());
}
