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

/// Around an HTTP service: verifies each request, and hands it on with a
/// [`VerifiedEvent`](crate::VerifiedEvent) in its extensions and the raw body as its body.
///
/// What is not OpenMail's never reaches the inner service. What is judged, in this order: the
/// method, the headers' number and form, the timestamp, `Content-Length`; the body's size, time and
/// share of the budget while it is read; the signature over its raw bytes; whether the secret is
/// the inbox's; the event's form. Runs on a tokio runtime with time enabled.
#[derive(Debug, Clone)]
pub struct Verify<S, K = Secrets> {
    inner: S,
    settings: Arc<Settings<K>>,
}

impl<S, K> Verify<S, K> {
    pub(super) fn new(inner: S, settings: Settings<K>) -> Self {
        Self { inner, settings: Arc::new(settings) }
    }

    /// The service within.
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
        // Some bodies know their length where no header tells it.
        let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let checked = check_method(&parts.method)
            .and_then(|()| Head::check(&parts.headers, least, clock(), *tolerance, *body_limit));
        match checked {
            Ok(head) => {
                // The service that was polled ready is the one to call; its clone is not ready.
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
