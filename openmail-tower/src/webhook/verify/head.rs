//! Checks of the request's head: cheap, and done before any byte of the body is read.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue, Method,
    header::{CONTENT_LENGTH, HeaderName},
};

use crate::webhook::signature::{Signature, Timestamp};

use super::rejection::{Rejection, RejectionKind};

pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A valid head.
#[derive(Debug)]
pub(super) struct Head {
    /// The exact text of the header, which was signed.
    pub(super) timestamp_text: HeaderValue,
    pub(super) timestamp: Timestamp,
    /// When the request arrived.
    pub(super) now: SystemTime,
    pub(super) signature: Signature,
    pub(super) content_length: Option<usize>,
}

/// Rejects every method but `POST`.
pub(super) fn check_method(method: &Method) -> Result<(), Rejection> {
    if method == Method::POST { Ok(()) } else { Err(RejectionKind::MethodNotAllowed.into()) }
}

impl Head {
    /// Checks the headers. `body` is the known minimum size of the body.
    pub(super) fn check(
        headers: &HeaderMap,
        body: usize,
        now: SystemTime,
        tolerance: Duration,
        body_limit: usize,
    ) -> Result<Self, Rejection> {
        let (mut timestamp, mut signature) = (Single::Missing, Single::Missing);
        // One pass takes fewer instructions than two lookups, which hash the names.
        for (name, value) in headers {
            match name.as_str() {
                "x-timestamp" => timestamp.add(value),
                "x-signature" => signature.add(value),
                _ => {}
            }
        }
        let timestamp_text = timestamp.value("X-Timestamp")?;
        let signature = signature.value("X-Signature")?;
        let timestamp = Timestamp::parse(timestamp_text.as_bytes())?;
        let signature = Signature::parse(signature.as_bytes())?;
        timestamp.check(now, tolerance)?;
        let content_length = content_length(headers);
        if content_length.unwrap_or(0).max(body) > body_limit {
            return Err(RejectionKind::BodyTooLarge.into());
        }
        let timestamp_text = timestamp_text.clone();
        Ok(Self { timestamp_text, timestamp, now, signature, content_length })
    }
}

impl Head {
    /// Returns by how many seconds the signed time precedes the arrival.
    pub(super) fn clock_difference(&self) -> f64 {
        match self.now.duration_since(self.timestamp.time()) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        }
    }
}

/// The value of a header that must occur once.
#[derive(Debug, Clone, Copy)]
enum Single<'h> {
    Missing,
    Once(&'h HeaderValue),
    Repeated,
}

impl<'h> Single<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = if let Self::Missing = self { Self::Once(value) } else { Self::Repeated };
    }

    fn value(self, name: &'static str) -> Result<&'h HeaderValue, Rejection> {
        match self {
            Self::Once(value) => Ok(value),
            Self::Missing => Err(Rejection::header(RejectionKind::MissingHeader, name)),
            Self::Repeated => Err(Rejection::header(RejectionKind::AmbiguousHeader, name)),
        }
    }
}

/// Returns the length that the sender announces. A malformed value is ignored, since finding the
/// end of the body is up to the HTTP server. A number too large for a `usize` counts as larger than
/// any limit.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}
