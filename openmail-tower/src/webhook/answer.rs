//! The form of this crate's own responses: a status, a code for machines, and a sentence for
//! people.
//!
//! Nothing here logs or counts: that is up to the code that sends the response.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::seam::{HandlerError, HandlerErrorKind, Outcome};

/// The default `Retry-After`.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(5);

/// Creates a response that reports an error. `code` and `message` are never built from input or
/// from a secret, and contain no character that JSON would have to escape.
pub(crate) fn error_response(
    status: StatusCode,
    code: &str,
    message: &str,
    retry_after: Option<Duration>,
) -> Response<Bytes> {
    let body = [r#"{"error":""#, code, r#"","message":""#, message, r#""}"#].concat();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(delay) = retry_after {
        // Rounded up, and never 0, which would ask for an immediate retry.
        let seconds = delay.as_secs().saturating_add((delay.subsec_nanos() > 0).into());
        headers.insert(RETRY_AFTER, seconds.max(1).into());
    }
    response
}

/// Creates the response for an event that was not handled. It says only what kind of failure it is.
pub(crate) fn failure(error: &HandlerError) -> Response<Bytes> {
    let delay = error.delay();
    let (status, code, message, retry_after) = match error.kind() {
        // A retry would not help, so OpenMail gets a 200.
        HandlerErrorKind::Permanent => return Response::default(),
        HandlerErrorKind::InFlight => (
            StatusCode::CONFLICT,
            "in_flight",
            "The event is being handled.",
            Some(delay.unwrap_or(RETRY_SOON)),
        ),
        HandlerErrorKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The event cannot be accepted at the moment.",
            Some(delay.unwrap_or(RETRY_SOON)),
        ),
        HandlerErrorKind::PutOff => (
            StatusCode::SERVICE_UNAVAILABLE,
            "retry_later",
            "The event cannot be handled yet.",
            Some(delay.unwrap_or(RETRY_SOON)),
        ),
        HandlerErrorKind::Failed if delay.is_some() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "retry_later",
            "The event cannot be handled yet.",
            delay,
        ),
        HandlerErrorKind::Failed | HandlerErrorKind::Panicked => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "handler_failed",
            "The event could not be handled.",
            None,
        ),
    };
    error_response(status, code, message, retry_after)
}

/// Creates the response for a handler that did not finish in time.
pub(crate) fn late() -> Response<Bytes> {
    let message = "The event was not handled in time.";
    error_response(StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded", message, Some(RETRY_SOON))
}

/// The status for an event that does not fit its type, or is nested too deeply, and that no handler
/// accepts.
pub(crate) const MISFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// Creates the response for an outcome; `unrouted` is the status for an event that no handler
/// matches.
pub(crate) fn outcome(outcome: &Outcome, unrouted: StatusCode) -> Response<Bytes> {
    if *outcome == Outcome::Unrouted && unrouted == MISFIT {
        let message = "The event does not fit its type, and no handler accepts it.";
        return error_response(unrouted, "invalid_payload", message, None);
    }
    if *outcome == Outcome::Unrouted && !unrouted.is_success() {
        return error_response(unrouted, "unrouted", "No handler matches this event.", None);
    }
    Response::default()
}

/// Creates the response for replies that nothing has sent or stored. The program is misconfigured,
/// and the event must be delivered again so that they are not lost.
pub(crate) fn unsent() -> Response<Bytes> {
    let message = "The handler's reply was not sent: ReplyLayer is missing.";
    error_response(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", message, None)
}

/// Creates the response for a request that nothing has verified. The program is misconfigured, and
/// requests of every sender are rejected.
pub(crate) fn unverified() -> Response<Bytes> {
    let message = "The request was not verified: VerifyLayer is missing.";
    error_response(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", message, None)
}
