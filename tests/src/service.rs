//! HTTP services that record or take the events that reach them.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use openmail_tower::{VerifiedEvent, webhook::VerifiedBody};
use tower::Service;

/// The events that reached an inner service.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<VerifiedEvent>>>);

impl Seen {
    /// Adds an event.
    pub fn push(&self, event: VerifiedEvent) {
        self.0.lock().expect("no panic").push(event);
    }

    /// Returns the number of events.
    pub fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    /// Returns all events, and forgets them.
    ///
    /// # Panics
    /// If a holder of the lock has panicked.
    pub fn take(&self) -> Vec<VerifiedEvent> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }

    /// Returns the last event.
    pub fn last(&self) -> Option<VerifiedEvent> {
        self.0.lock().expect("no panic").last().cloned()
    }
}

/// An HTTP service that records its events and answers 200.
#[derive(Debug, Clone)]
pub struct Recorder(Seen);

/// Returns a [`Recorder`], and the events that it will record.
pub fn inner() -> (Recorder, Seen) {
    let seen = Seen::default();
    (Recorder(seen.clone()), seen)
}

impl Service<Request<VerifiedBody>> for Recorder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<VerifiedBody>) -> Self::Future {
        self.0.push(request.extensions().get::<VerifiedEvent>().expect("an event").clone());
        ready(Ok(Response::default()))
    }
}

/// An HTTP service that takes its event and does nothing else, so that only the layer is measured.
#[derive(Debug, Clone)]
pub struct Take;

impl Service<Request<VerifiedBody>> for Take {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, mut request: Request<VerifiedBody>) -> Self::Future {
        black_box(request.extensions_mut().remove::<VerifiedEvent>().expect("an event"));
        ready(Ok(Response::default()))
    }
}

/// Returns the body of a response as text.
async fn answer_text<B: Body>(response: Response<B>) -> String
where
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Returns the `error` in the body of a response; empty if there is no body.
pub async fn error_code<B: Body>(response: Response<B>) -> String
where
    B::Error: std::fmt::Debug,
{
    let text = answer_text(response).await;
    if text.is_empty() {
        return text;
    }
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(json["message"].as_str().is_some_and(|message| message.ends_with('.')), "{json}");
    json["error"].as_str().expect("a code").to_owned()
}
