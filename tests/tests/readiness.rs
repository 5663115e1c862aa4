//! When events take a place in a service of limited concurrency.

use std::{
    convert::Infallible,
    future::{Ready, pending},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use openmail_tests::{ScriptedBody, Step, clock, error_code, fixture, scripted, secret, signed};
use openmail_tower::{
    Endpoint, HandlerError, InboxId, Outcome, StoredEvent, VerifiedEvent, VerifyLayer,
    layers::{AgentResolver, InboxLimitLayer},
    webhook,
};
use tokio::{
    task::{JoinHandle, yield_now},
    time::Instant,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};

fn layer() -> VerifyLayer {
    VerifyLayer::new(secret()).clock(clock(0))
}

fn good() -> Request<Full<Bytes>> {
    let json = fixture("message.received");
    signed(&json.clone(), Full::from(json))
}

fn event(inbox: &str) -> VerifiedEvent {
    let json = format!(r#"{{"event":"inbox.suspended","event_id":"e","inbox_id":"{inbox}"}}"#);
    let stored = StoredEvent { raw_body: Bytes::from(json), timestamp: 0, inbox_id: None };
    VerifiedEvent::from_stored(stored).unwrap()
}

/// Starts a request as a server does, once the service is ready.
async fn start<S, R>(service: &S, request: R) -> JoinHandle<S::Response>
where
    S: Service<R, Error: std::fmt::Debug, Response: Send, Future: Send + 'static> + Clone + 'static,
    S::Response: 'static,
    R: 'static,
{
    let mut service = service.clone();
    let call = service.ready().await.unwrap().call(request);
    let run = tokio::spawn(async { call.await.unwrap() });
    for _ in 0..20 {
        yield_now().await;
    }
    run
}

#[tokio::test(start_paused = true)]
async fn request_takes_no_place_before_it_is_verified() {
    let (handler, script) = scripted();
    let webhook = webhook(layer(), ConcurrencyLimit::new(handler, 1));
    // The head looks valid, but the body never arrives.
    let (body, _) = ScriptedBody::new([Step::Hang]);
    let silent = start(&webhook, good().map(|_| body)).await;
    script.answer(Ok(Outcome::Done));
    let answer = start(&webhook, good()).await.await.unwrap();
    assert_eq!((answer.status().as_u16(), script.ended()), (200, 1));
    assert!(!silent.is_finished());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_counts_towards_the_deadline() {
    let (handler, script) = scripted();
    let webhook = webhook(layer(), ConcurrencyLimit::new(handler, 1));
    let begun = Instant::now();
    let first = start(&webhook, good()).await;
    let second = start(&webhook, good()).await;
    for late in [first, second] {
        let late = late.await.unwrap();
        assert_eq!(late.status(), 503);
        assert_eq!(error_code(late).await, "deadline_exceeded");
    }
    assert_eq!(begun.elapsed().as_secs(), 12);
    drop(script);
}

#[tokio::test(start_paused = true)]
async fn maximum_deadline_is_accepted() {
    let (handler, script) = scripted();
    let endpoint = Endpoint::new(handler).deadline(Duration::MAX);
    let run = start(&layer().layer(endpoint), good()).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    script.answer(Ok(Outcome::Done));
    assert_eq!(run.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn event_that_waits_for_its_turn_takes_no_place() {
    let (handler, script) = scripted();
    let limit = InboxLimitLayer::new(1).wait(Duration::MAX);
    let events = limit.layer(ConcurrencyLimit::new(handler, 2));
    for _ in 0..4 {
        start(&events, event("busy")).await;
    }
    start(&events, event("other")).await;
    assert_eq!(script.begun(), 2, "one of each");
}

#[tokio::test(start_paused = true)]
async fn event_takes_no_place_while_its_agent_is_looked_up() {
    let (handler, script) = scripted();
    let find = |inbox: InboxId| async move {
        if inbox.as_str() == "slow" {
            pending::<()>().await;
        }
        Ok::<_, Infallible>(Some(7))
    };
    let events = AgentResolver::new(find).layer(ConcurrencyLimit::new(handler, 1));
    start(&events, event("slow")).await;
    start(&events, event("quick")).await;
    assert_eq!(script.begun(), 1);
}

/// A service that fails to become ready.
#[derive(Clone)]
struct Broken;

impl Service<VerifiedEvent> for Broken {
    type Response = Outcome;
    type Error = HandlerError;
    type Future = Ready<Result<Outcome, HandlerError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Err(HandlerError::failed("broken")))
    }

    fn call(&mut self, _: VerifiedEvent) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[tokio::test]
async fn service_that_fails_to_become_ready_fails_the_event() {
    let answer = webhook(layer(), Broken).oneshot(good()).await.unwrap();
    assert_eq!(error_code(answer).await, "handler_failed");
}
