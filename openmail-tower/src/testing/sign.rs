//! Turns a [`TestEvent`] into a signed request, or into what a handler receives.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header::CONTENT_TYPE};

use crate::{
    seam::VerifiedEvent,
    webhook::{Secret, signature},
};

use super::event::TestEvent;

impl TestEvent {
    /// Returns the body as bytes.
    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(&self.body).expect("a JSON object can be written").into()
    }

    /// Returns a request to `/webhooks` as OpenMail would send it now.
    pub fn sign<B: From<Bytes>>(&self, secret: &Secret) -> Request<B> {
        self.sign_at(secret, SystemTime::now())
    }

    /// Returns a request to `/webhooks` as OpenMail would send it at `time`: stamped and signed
    /// with that time. The body is unchanged; use [`at`](Self::at) to set the times in it.
    pub fn sign_at<B: From<Bytes>>(&self, secret: &Secret, time: SystemTime) -> Request<B> {
        let body = self.to_bytes();
        let timestamp = unix(time);
        let signature = signature::sign(secret, timestamp, &body);
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/webhooks");
        let text = |text: String| HeaderValue::try_from(text).expect("hex digits and dashes");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-event-id"), text(self.delivery.to_string()));
        headers.insert(HeaderName::from_static("x-timestamp"), timestamp.into());
        headers.insert(HeaderName::from_static("x-signature"), text(signature));
        request
    }

    /// Returns the event as a handler receives it, without HTTP and without a signature.
    ///
    /// # Panics
    /// If the body is not an event, for example because `event` was removed. An event that lacks
    /// another required field becomes [`Unknown`](crate::Event::Unknown), as in production.
    #[track_caller]
    pub fn verified(&self) -> VerifiedEvent {
        match VerifiedEvent::parse(self.to_bytes(), SystemTime::now()) {
            Ok(event) => event,
            Err(error) => panic!("not an event: {error}"),
        }
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
