//! The responses of `VerifyLayer` that concern the memory budget.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use openmail_tests::{ScriptedBody, Step, error_code, fixture, inner, layer, mail_of, signed};
use openmail_tower::BoxError;
use tower::{Layer, ServiceExt, service_fn};

use super::{Answer, answer, good, with};

/// Returns a budget in which events can use this many bytes: an eighth is reserved for small
/// bodies.
fn budget_for(bytes: usize) -> usize {
    (bytes * 8).div_ceil(7)
}

/// Holds its event forever.
fn hold<B: Send>() -> impl tower::Service<
    Request<B>,
    Response = http::Response<String>,
    Error = BoxError,
    Future = impl Future<Output = Result<http::Response<String>, BoxError>>,
> + Clone {
    service_fn(async |request: Request<B>| {
        std::future::pending::<()>().await;
        drop(request);
        Ok::<_, BoxError>(http::Response::new(String::new()))
    })
}

#[tokio::test(start_paused = true)]
async fn budget_is_held_until_the_response_and_no_longer() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(budget_for(2 * length));
    let request = good().map(|(body, _)| body);
    let mut held = by_hand(layer.clone().layer(hold()).oneshot(request));
    assert!(held.poll().is_pending());
    let started = tokio::time::Instant::now();
    let rejected = answer(layer.clone(), good()).await;
    assert_eq!(
        (rejected.status.as_u16(), &*rejected.code, rejected.ran),
        (503, "overloaded", false)
    );
    assert_eq!(rejected.headers[header::RETRY_AFTER], "5");
    assert_eq!(started.elapsed().as_secs(), 2, "it waits for room");
    drop(held);
    for _ in 0..3 {
        assert_eq!(answer(layer.clone(), good()).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_for_room_in_the_budget() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(budget_for(2 * length));
    let request = good().map(|(body, _)| body);
    let mut held = by_hand(layer.clone().layer(hold()).oneshot(request));
    assert!(held.poll().is_pending());
    let freed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
    };
    let (waited, ()) = tokio::join!(answer(layer, good()), freed);
    assert_eq!(waited.status, 200);
}

#[tokio::test]
async fn event_evicts_an_unfinished_body() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(budget_for(2 * length));
    let body = ScriptedBody::new([
        Step::Data(Bytes::from(vec![0; length])),
        Step::Yield,
        Step::Yield,
        Step::Hang,
    ]);
    // The rest of a rejected body is read as well, so the body still yields after its rejection.
    let stuck = tokio::spawn(answer(layer.clone(), signed(b"", body)));
    tokio::task::yield_now().await;
    assert_eq!(answer(layer.clone(), good()).await.status, 200);
    let rejected = stuck.await.unwrap();
    assert_eq!(
        (rejected.status.as_u16(), &*rejected.code, rejected.ran),
        (503, "overloaded", false)
    );
}

#[tokio::test(start_paused = true)]
async fn large_event_of_very_many_parts_evicts_no_body() {
    const MIB: usize = 1 << 20;
    let layer = layer().body_budget(budget_for(14 * MIB));
    let parts = vec!["{}"; 7000].join(",");
    let json = format!(r#"{{"event":"many.parts","parts":[{parts}]}}"#);
    let event = || signed(json.as_bytes(), ScriptedBody::new([Step::Data(json.clone().into())]));
    assert_eq!(answer(layer.clone(), event()).await.status, 200, "it fits if it is alone");
    let half = Step::Data(Bytes::from(vec![0; 7 * MIB]));
    let body = ScriptedBody::new([half, Step::Yield, Step::Hang]);
    let stuck = tokio::spawn(answer(layer.clone(), signed(b"", body)));
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(layer.clone(), event()).await.code, "overloaded");
    let (head, _) = event().into_parts();
    assert_eq!(layer.verify(&head, json).await.unwrap_err().code(), "overloaded");
    assert_eq!(stuck.await.unwrap().code, "body_timeout", "it was not evicted");
}

#[tokio::test(start_paused = true)]
async fn budget_is_held_while_a_clone_of_the_event_or_its_bytes_lives() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(budget_for(2 * length));
    let (inner, seen) = inner();
    let service = layer.clone().layer(inner);
    let request = || good().map(|(body, _)| body);
    assert_eq!(service.clone().oneshot(request()).await.unwrap().status(), 200);
    // The recorder still holds the event.
    assert_eq!(answer(layer.clone(), good()).await.code, "overloaded");
    let bytes = seen.take().pop().unwrap().raw_body().clone();
    assert_eq!(answer(layer.clone(), good()).await.code, "overloaded");
    drop(bytes);
    assert_eq!(answer(layer, good()).await.status, 200);
}

#[tokio::test]
async fn budget_counts_the_event_and_its_body() {
    let length = fixture("message.received").len();
    let enough = budget_for(2 * length);
    for (budget, expected) in [(enough, (200, "")), (enough - 2, (503, "overloaded"))] {
        let Answer { status, code, .. } = answer(layer().body_budget(budget), good()).await;
        assert_eq!((status.as_u16(), &*code), expected, "{budget}");
    }
    // Nothing is parsed from a request that is not OpenMail's.
    let forged =
        with("x-signature", "00000000000000000000000000000000000000000000000000000000000000ff");
    assert_eq!(answer(layer().body_budget(budget_for(length)), forged).await.status, 401);
}

/// The default limit of a body, in bytes.
const LARGEST: usize = 8 << 20;

#[tokio::test(start_paused = true)]
async fn default_budget_holds_three_events_of_maximum_size() {
    let (inner, seen) = inner();
    let service = layer().layer(inner);
    let largest = Bytes::from(mail_of(LARGEST));
    let send = |json: &Bytes| service.clone().oneshot(signed(json, Full::new(json.clone())));
    for _ in 0..3 {
        assert_eq!(send(&largest).await.unwrap().status(), 200);
    }
    // The recorder holds their events.
    assert_eq!(error_code(send(&largest).await.unwrap()).await, "overloaded");
    let small = Bytes::from(mail_of(64 << 10));
    for _ in 0..64 {
        assert_eq!(send(&small).await.unwrap().status(), 200);
    }
    drop(seen.take());
    assert_eq!(send(&largest).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn default_budget_holds_seven_arriving_bodies_of_maximum_size() {
    for (bodies, evicted) in [(7, 0), (8, 1)] {
        let layer = layer();
        let data = Bytes::from(vec![b' '; LARGEST]);
        let unfinished = |_| {
            let body = ScriptedBody::new([Step::Data(data.clone()), Step::Hang]);
            tokio::spawn(answer(layer.clone(), signed(b"", body)))
        };
        let unfinished: Vec<_> = (0..bodies).map(unfinished).collect();
        for (number, body) in unfinished.into_iter().enumerate() {
            let expected = if number < evicted { "overloaded" } else { "body_timeout" };
            assert_eq!(body.await.unwrap().code, expected, "{number} of {bodies}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn verification_without_tower_waits_for_room() {
    let length = fixture("message.received").len();
    let layer = layer().body_budget(budget_for(2 * length));
    let (parts, _) = good().into_parts();
    let verify = || layer.verify(&parts, fixture("message.received"));
    let held = verify().await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(verify().await.unwrap_err().code(), "overloaded");
    assert_eq!(begun.elapsed().as_secs(), 2);
    let freed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
    };
    assert!(tokio::join!(verify(), freed).0.is_ok());

    // An event that can never fit is rejected at once.
    let layer = layer.clone().body_budget(budget_for(length));
    let begun = tokio::time::Instant::now();
    let rejected = layer.verify(&parts, fixture("message.received")).await.unwrap_err();
    assert_eq!((rejected.code(), begun.elapsed().as_secs()), ("overloaded", 0));
}

/// Wraps a future, to poll it by hand.
fn by_hand<F: Future>(future: F) -> Task<F> {
    Task(Box::pin(future))
}

struct Task<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Task<F> {
    fn poll(&mut self) -> std::task::Poll<F::Output> {
        self.0.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
