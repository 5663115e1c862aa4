//! Bodies of all shapes, through the layer.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use openmail_tests::{ScriptedBody, Step, fixture, inner, layer, signed};
use openmail_tower::{VerifiedEvent, VerifyLayer, webhook::VerifiedBody};
use tower::{Layer, Service, ServiceExt, service_fn};

async fn status<B>(layer: VerifyLayer, request: Request<B>) -> (u16, Option<VerifiedEvent>)
where
    B: http_body::Body,
    B::Error: Into<openmail_tower::BoxError>,
{
    let (inner, seen) = inner();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    (response.status().as_u16(), seen.last())
}

#[tokio::test]
async fn frames_of_any_size_give_the_same_event() {
    let json = fixture("message.received.classified");
    for size in [1, 2, 3, 63, 64, 65, 1000, json.len()] {
        let (status, event) =
            status(layer(), signed(&json, ScriptedBody::frames(&json, size))).await;
        assert_eq!(status, 200, "{size}");
        assert_eq!(event.unwrap().raw_body(), &json, "{size}");
    }
}

#[tokio::test]
async fn waits_for_a_body_that_is_not_ready() {
    let json = fixture("message.received");
    let steps = json.chunks(7).flat_map(|chunk| {
        [Step::Yield, Step::Data(Bytes::copy_from_slice(chunk)), Step::Data(Bytes::new())]
    });
    let (status, event) = status(layer(), signed(&json, ScriptedBody::new(steps).0)).await;
    assert_eq!((status, event.unwrap().raw_body()), (200, &Bytes::from(json)));
}

#[tokio::test]
async fn single_frame_is_not_copied() {
    let json = Bytes::from(fixture("message.received"));
    let (_, event) = status(layer(), signed(&json, Full::new(json.clone()))).await;
    assert_eq!(event.unwrap().raw_body().as_ptr(), json.as_ptr());
}

#[tokio::test]
async fn empty_body_is_not_an_event() {
    assert_eq!(status(layer(), signed(b"", Empty::<Bytes>::new())).await.0, 422);
    assert_eq!(status(layer(), signed(b"{}", Empty::<Bytes>::new())).await.0, 401);
}

#[tokio::test]
async fn drops_trailers() {
    let json = fixture("message.received");
    let trailers = HeaderMap::from_iter([("x-event-id".parse().unwrap(), "x".parse().unwrap())]);
    let (body, _) =
        ScriptedBody::new([Step::Data(Bytes::from(json.clone())), Step::Trailers(trailers)]);
    let service = layer().layer(service_fn(async |request: Request<VerifiedBody>| {
        let collected = request.into_body().collect().await?;
        assert!(collected.trailers().is_none());
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(collected.to_bytes())))
    }));
    let response = service.oneshot(signed(&json, body)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), json);
}

#[tokio::test]
async fn dropped_request_releases_its_budget() {
    let json = fixture("message.received");
    // Room for a single event and its body: if a dropped request kept any of it, the last request
    // would fail.
    let layer = layer().body_budget(json.len() * 3);
    let steps = || {
        json.chunks(100)
            .flat_map(|chunk| [Step::Yield, Step::Data(Bytes::copy_from_slice(chunk))])
            .chain([Step::Yield])
    };
    let awaits = steps().filter(|step| matches!(step, Step::Yield)).count();
    let (inner, seen) = inner();
    let service = layer.layer(inner);
    for polls in 0..=awaits {
        let request = signed(&json, ScriptedBody::new(steps()).0);
        let mut future = Box::pin(service.clone().oneshot(request));
        for _ in 0..polls {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_pending());
        }
    }
    assert_eq!(seen.count(), 0);
    let request = signed(&json, ScriptedBody::new(steps()).0);
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(seen.count(), 1);
}

/// Panics if it is called without having been polled ready; its clones are not ready.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<VerifiedBody>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<VerifiedBody>) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn calls_the_service_that_was_polled_ready() {
    let json = fixture("message.received");
    let mut service = layer().layer(Strict::default());
    for _ in 0..3 {
        let request = signed(&json, Full::new(Bytes::from(json.clone())));
        let response = ServiceExt::<Request<Full<Bytes>>>::ready(&mut service)
            .await
            .unwrap()
            .call(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn waits_for_a_service_that_is_not_ready() {
    let json = fixture("message.received");
    let (service, mut handle) =
        tower_test::mock::pair::<Request<VerifiedBody>, Response<Full<Bytes>>>();
    handle.allow(0);
    let mut service = layer().layer(service);
    let mut cx = Context::from_waker(Waker::noop());
    let poll = Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut cx);
    assert!(poll.is_pending());
    handle.allow(1);
    let request = signed(&json, Full::new(Bytes::from(json.clone())));
    let answer = tokio::spawn(async move {
        ServiceExt::<Request<Full<Bytes>>>::ready(&mut service).await.unwrap().call(request).await
    });
    let (request, respond) = handle.next_request().await.unwrap();
    assert!(request.extensions().get::<VerifiedEvent>().is_some());
    respond.send_response(Response::default());
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
}
