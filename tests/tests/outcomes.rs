//! The responses to verified events, by the outcome of the run.

use std::{
    convert::Infallible,
    future::{Ready, pending},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{Full, channel::Channel};
use openmail_tests::{ScriptedBody, Step, error_code, fixture, layer, signed};
use openmail_tower::{Endpoint, HandlerError, Outcome, VerifiedEvent, webhook};
use tower::{Layer, ServiceExt, service_fn};

fn good() -> Request<Full<Bytes>> {
    let json = fixture("message.received");
    signed(&json, Full::new(Bytes::from(json.clone())))
}

/// Returns the response to a good request whose event has this outcome.
async fn outcome<F>(run: impl Fn(VerifiedEvent) -> F + Clone) -> (u16, String, Option<String>)
where
    F: Future<Output = Result<Outcome, HandlerError>>,
{
    let service = webhook(layer(), service_fn(run));
    let response = service.oneshot(good()).await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
    (status, error_code(response).await, retry_after)
}

fn row(status: u16, code: &str, retry_after: Option<&str>) -> (u16, String, Option<String>) {
    (status, code.to_owned(), retry_after.map(Into::into))
}

#[tokio::test]
async fn answers_done_duplicate_and_unrouted() {
    for done in [Outcome::Done, Outcome::Duplicate, Outcome::Unrouted] {
        let done = |_| std::future::ready(Ok(done.clone()));
        assert_eq!(outcome(done).await, row(200, "", None));
    }
}

#[tokio::test]
async fn refuse_unrouted_answers_404() {
    let unrouted = service_fn(async |_: VerifiedEvent| Ok::<_, HandlerError>(Outcome::Unrouted));
    let endpoint = Endpoint::new(unrouted).refuse_unrouted();
    let response = layer().layer(endpoint).oneshot(good()).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(error_code(response).await, "unrouted");
}

#[tokio::test]
async fn answers_500_to_failures_and_panics() {
    let failed = outcome(async |_| Err(HandlerError::failed("hunter2"))).await;
    assert_eq!(failed, row(500, "handler_failed", None));
    let panicked = outcome(async |_| panic!("hunter2")).await;
    assert_eq!(panicked, row(500, "handler_failed", None));
    let in_call = outcome(|_| -> Ready<_> { panic!("hunter2") }).await;
    assert_eq!(in_call, row(500, "handler_failed", None));
}

#[tokio::test]
async fn answers_200_to_permanent_failures() {
    assert_eq!(outcome(async |_| Err(HandlerError::permanent("no"))).await, row(200, "", None));
}

#[tokio::test]
async fn answers_retry_later_unavailable_and_in_flight() {
    let later =
        outcome(async |_| Err(HandlerError::failed("busy").after(Duration::from_millis(6_001))));
    assert_eq!(later.await, row(503, "retry_later", Some("7")));
    let away = outcome(async |_| Err(HandlerError::unavailable("no database"))).await;
    assert_eq!(away, row(503, "unavailable", Some("5")));
    let running = outcome(async |_| Err(HandlerError::in_flight(Duration::ZERO))).await;
    assert_eq!(running, row(409, "in_flight", Some("1")));
    let never = outcome(async |_| Err(HandlerError::in_flight(Duration::MAX))).await;
    assert_eq!(never, row(409, "in_flight", Some("18446744073709551615")));
}

#[tokio::test(start_paused = true)]
async fn deadline_counts_from_the_requests_arrival() {
    let json = fixture("message.received");
    let (mut frames, body) = Channel::<Bytes, Infallible>::new(1);
    let started = tokio::time::Instant::now();
    let service = webhook(
        layer().body_minimum_rate(0),
        service_fn(async |_: VerifiedEvent| pending::<Result<Outcome, HandlerError>>().await),
    );
    let feeding = tokio::spawn({
        let json = json.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(8)).await;
            frames.send_data(Bytes::from(json)).await.unwrap();
        }
    });
    let response = service.oneshot(signed(&json, body)).await.unwrap();
    feeding.await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 12);
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    assert_eq!(error_code(response).await, "deadline_exceeded");
}

#[tokio::test(start_paused = true)]
async fn handler_is_dropped_past_the_deadline() {
    struct Bell(Arc<AtomicBool>);
    impl Drop for Bell {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let late = outcome(|_| {
        let bell = Bell(dropped.clone());
        async move {
            let _bell = bell;
            pending().await
        }
    });
    assert_eq!(late.await, row(503, "deadline_exceeded", Some("5")));
    assert!(dropped.load(Ordering::Relaxed));
}

#[tokio::test]
async fn endpoint_without_verification_answers_500() {
    let endpoint =
        Endpoint::new(service_fn(async |_: VerifiedEvent| -> Result<Outcome, HandlerError> {
            panic!("nothing unverified gets here")
        }));
    let (body, polls) = ScriptedBody::new([Step::Data(Bytes::from("{}"))]);
    let response = endpoint.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), polls.count()), (500, 2), "its body is read first");
    assert_eq!(error_code(response).await, "missing_layer");
}
