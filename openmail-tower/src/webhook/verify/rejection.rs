//! Why a request was not let through.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::ALLOW};

use crate::{
    seam::BoxError,
    webhook::{
        answer::{RETRY_SOON, refusal},
        signature::SignatureError,
    },
};

/// Why a request was not let through.
///
/// Its `Display` is for the log: it tells what helps to mend the matter, as by how many seconds the
/// clock is off. What the sender is told is [`message`](Self::message), and less. The layer leaves
/// it in the response's extensions, for outer layers to see.
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

    /// What sort of rejection it is.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.kind.entry().0
    }

    /// The answer's `error`.
    pub fn code(&self) -> &'static str {
        self.kind.entry().1
    }

    /// The answer's `message`: one sentence that tells no secret.
    pub fn message(&self) -> Cow<'static, str> {
        let message = self.kind.entry().2;
        match self.header {
            Some(header) => message.replace("{header}", header).into(),
            None => message.into(),
        }
    }

    /// The answer's `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_SOON)
    }

    /// The answer as OpenMail is given it by default.
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = refusal(self.status(), self.code(), &self.message(), self.retry_after());
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
        Self { source: Some(Arc::new(error)), ..kind.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
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
        /// What sort of rejection it is.
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
    /// One of them is there twice.
    AmbiguousHeader = BAD_REQUEST "ambiguous_header"
        "The header {header} was given more than once.",
    /// `X-Timestamp` is no number of seconds.
    MalformedTimestamp = BAD_REQUEST "malformed_timestamp"
        "The header X-Timestamp is not a Unix time in whole seconds.",
    /// `X-Signature` is not 64 hex digits.
    MalformedSignature = BAD_REQUEST "malformed_signature"
        "The header X-Signature is not 64 hex digits.",
    /// `X-Timestamp` is outside the window.
    StaleTimestamp = BAD_REQUEST "stale_timestamp"
        "The header X-Timestamp is too far from the present.",
    /// The body is, or says it is, over the limit.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large"
        "The body is too large.",
    /// The body did not come to its end in time.
    BodyTimeout = REQUEST_TIMEOUT "body_timeout"
        "The body did not arrive in time.",
    /// The body broke off.
    BodyIncomplete = BAD_REQUEST "body_incomplete"
        "The body broke off before its end.",
    /// The bodies in flight take all the memory they may.
    Overloaded = SERVICE_UNAVAILABLE "overloaded"
        "Too many bodies are being received.",
    /// The secrets could not be looked up.
    Unavailable = SERVICE_UNAVAILABLE "unavailable"
        "The request cannot be verified at the moment.",
    /// No secret gives this signature.
    SignatureMismatch = UNAUTHORIZED "signature_mismatch"
        "The signature does not match.",
    /// The secret that does is another inbox's.
    InboxMismatch = UNAUTHORIZED "inbox_mismatch"
        "The signature is not that of the event's inbox.",
    /// Signed, but no event.
    InvalidPayload = UNPROCESSABLE_ENTITY "invalid_payload"
        "The signed body is not an event.",
}
