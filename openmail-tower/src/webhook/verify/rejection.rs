//! [`Rejection`]: why a request was rejected.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::ALLOW};

use crate::{
    seam::BoxError,
    webhook::{
        answer::{RETRY_SOON, error_response},
        signature::SignatureError,
    },
};

/// Why a request was rejected.
///
/// `Display` writes the [`message`](Self::message), which the sender gets as well. The `source` is
/// for the log: it contains details that help to fix the problem, such as how many seconds the
/// clock is off. The layer logs both, and puts the rejection into the response's extensions for
/// outer layers.
#[derive(Debug, Clone)]
pub struct Rejection {
    kind: RejectionKind,
    header: Option<&'static str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Rejection {
    pub(super) fn header(kind: RejectionKind, header: &'static str) -> Self {
        Self { header: Some(header), ..kind.into() }
    }

    pub(super) fn because(kind: RejectionKind, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into().into()), ..kind.into() }
    }

    /// Returns the kind of rejection.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        self.kind.entry().0
    }

    /// Returns the code in the response's field `error`.
    pub fn code(&self) -> &'static str {
        self.kind.entry().1
    }

    /// Returns the sentence in the response's field `message`. It contains no secret.
    pub fn message(&self) -> Cow<'static, str> {
        let message = self.kind.entry().2;
        match self.header {
            Some(header) => message.replace("{header}", header).into(),
            None => message.into(),
        }
    }

    /// Returns the `Retry-After` of the response: 5 s with a 503, otherwise `None`.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_SOON)
    }

    /// Returns the response that OpenMail gets by default.
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response =
            error_response(self.status(), self.code(), &self.message(), self.retry_after());
        if self.kind == RejectionKind::MethodNotAllowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self { kind, header: None, source: None }
    }
}

impl From<SignatureError> for Rejection {
    fn from(error: SignatureError) -> Self {
        let kind = match error {
            SignatureError::MalformedTimestamp => RejectionKind::MalformedTimestamp,
            SignatureError::MalformedSignature => RejectionKind::MalformedSignature,
            SignatureError::Stale { .. } => RejectionKind::StaleTimestamp,
            SignatureError::Mismatch => RejectionKind::SignatureMismatch,
        };
        // The other errors say no more than the kind does.
        let details = matches!(error, SignatureError::Stale { .. });
        Self { source: details.then(|| Arc::new(error) as _), ..kind.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// A rejection with its source, for the log.
pub(super) struct Detailed<'r>(pub(super) &'r Rejection);

impl fmt::Display for Detailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.0.message();
        match &self.0.source {
            // The message is a sentence, and the source continues it.
            Some(source) => write!(f, "{}: {source}", message.trim_end_matches('.')),
            None => f.write_str(&message),
        }
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident $code:literal $message:literal,)*) => {
        /// The kind of a [`Rejection`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RejectionKind {
            $($(#[$doc])* $kind,)*
        }

        impl RejectionKind {
            fn entry(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$kind => (StatusCode::$status, $code, $message),)*
                }
            }
        }
    };
}

kinds! {
    /// Not a `POST`.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed"
        "Webhooks are delivered by POST.",
    /// `X-Timestamp` or `X-Signature` is missing.
    MissingHeader = BAD_REQUEST "missing_header"
        "The header {header} is missing.",
    /// `X-Timestamp` or `X-Signature` was given more than once.
    AmbiguousHeader = BAD_REQUEST "ambiguous_header"
        "The header {header} was given more than once.",
    /// `X-Timestamp` is not a number of seconds.
    MalformedTimestamp = BAD_REQUEST "malformed_timestamp"
        "The header X-Timestamp is not a Unix time in whole seconds.",
    /// `X-Signature` is not 64 hex digits.
    MalformedSignature = BAD_REQUEST "malformed_signature"
        "The header X-Signature is not 64 hex digits.",
    /// `X-Timestamp` is outside the window.
    StaleTimestamp = BAD_REQUEST "stale_timestamp"
        "The header X-Timestamp is too far from the current time.",
    /// The body exceeds the size limit, or its declared length does.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large"
        "The body is too large.",
    /// The body did not arrive in time, or arrived more slowly than the minimum rate.
    BodyTimeout = REQUEST_TIMEOUT "body_timeout"
        "The body did not arrive in time.",
    /// The connection was lost before the whole body had arrived.
    BodyIncomplete = BAD_REQUEST "body_incomplete"
        "The body ended before it was complete.",
    /// The budget for bodies and events has no room for this one.
    Overloaded = SERVICE_UNAVAILABLE "overloaded"
        "There is not enough memory for the body and its event.",
    /// The secrets could not be looked up.
    Unavailable = SERVICE_UNAVAILABLE "unavailable"
        "The request cannot be verified at the moment.",
    /// None of the secrets produces this signature.
    SignatureMismatch = UNAUTHORIZED "signature_mismatch"
        "The signature does not match.",
    /// The secret that produces the signature may not sign for the event's inbox, for example
    /// because it belongs to another inbox. Or the request names an inbox that is not the event's.
    InboxMismatch = UNAUTHORIZED "inbox_mismatch"
        "The request or its signature is not for the event's inbox.",
    /// The body is signed, but is not an event.
    InvalidPayload = UNPROCESSABLE_ENTITY "invalid_payload"
        "The signed body is not an event.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_in_the_source_and_in_the_log_but_not_in_the_message() {
        let stale = SignatureError::Stale { seconds: 601, ahead: false, milliseconds: false };
        let details = stale.to_string();
        let rejection = Rejection::from(stale);
        assert_eq!(rejection.to_string(), rejection.message());
        assert_eq!(rejection.source().unwrap().to_string(), details);
        let logged = Detailed(&rejection).to_string();
        let logged_before = "The header X-Timestamp is too far from the current time: ";
        assert_eq!(logged, format!("{logged_before}{details}"));
        let plain = Rejection::from(SignatureError::Mismatch);
        assert_eq!(Detailed(&plain).to_string(), plain.message());
    }
}
