//! [`Verify`].

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    seam::BoxError,
    telemetry::Delivery,
    webhook::{keyring::Keyring, secret::Secrets},
};

use super::{
    body::{ResponseBody, VerifiedBody},
    future::ResponseFuture,
    head::{Head, TRACEPARENT, check_method},
    layer::Settings,
};

/// Wraps an HTTP service: verifies each request, and passes it on with a
/// [`VerifiedEvent`](crate::VerifiedEvent) in its extensions and the raw body as its body.
///
/// A request that OpenMail did not sign never reaches the inner service. These are checked, in this
/// order: the method; the number and form of the headers; the timestamp; `Content-Length`; the
/// body's size, time and memory as it is read; the signature over its raw bytes; the memory for the
/// event; whether the secret may sign for the event's inbox; the form of the event. Must run on a
/// tokio runtime with time enabled.
#[derive(Debug, Clone)]
pub struct Verify<S, K = Secrets> {
    inner: S,
    settings: Arc<Settings<K>>,
}

impl<S, K> Verify<S, K> {
    pub(super) fn new(inner: S, settings: Settings<K>) -> Self {
        Self { inner, settings: Arc::new(settings) }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, K, ReqBody, ResBody> Service<Request<ReqBody>> for Verify<S, K>
where
    S: Service<Request<VerifiedBody>, Response = Response<ResBody>> + Clone,
    K: Keyring,
    ReqBody: Body,
    ReqBody::Data: Buf,
    ReqBody::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, K, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let Settings { clock, tolerance, body_limit, .. } = &*self.settings;
        let (parts, body) = request.into_parts();
        let delivery = Delivery::begin(parts.headers.get(&TRACEPARENT).map(HeaderValue::as_bytes));
        // Some bodies know their length even without a header.
        let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let checked = check_method(&parts.method)
            .and_then(|()| Head::check(&parts.headers, least, clock(), *tolerance, *body_limit));
        match checked {
            Ok(head) => {
                // The service that was polled ready must be the one that is called; a clone is not
                // ready.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                ResponseFuture::new(
                    service,
                    Arc::clone(&self.settings),
                    delivery,
                    head,
                    parts,
                    body,
                )
            }
            Err(rejection) => {
                ResponseFuture::rejected(&self.settings, delivery, rejection, &parts, body)
            }
        }
    }
}
