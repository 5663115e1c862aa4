//! The form of every response of our own: a status, a code for machines, a sentence for people.
//!
//! Nothing here logs or counts: that is for those who send a response.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};

use crate::seam::{HandlerError, HandlerErrorKind, Outcome};

/// After how many seconds to try again where nothing better is known.
pub(crate) const RETRY_SOON: Duration = Duration::from_secs(5);

/// A refusal. Neither text is ever made of anything from outside or of a secret, nor does it hold
/// what JSON would want escaped.
pub(crate) fn refusal(
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
        // Rounded up, and never 0: that would ask for another attempt at once.
        let seconds = delay.as_secs().saturating_add((delay.subsec_nanos() > 0).into());
        headers.insert(RETRY_AFTER, seconds.max(1).into());
    }
    response
}

/// An event that was not handled; the response says only what sort of failure it is.
pub(crate) fn failure(error: &HandlerError) -> Response<Bytes> {
    let delay = error.delay();
    let (status, code, message, retry_after) = match error.kind() {
        // Trying again would be of no use.
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
            "The event cannot be taken at the moment.",
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
    refusal(status, code, message, retry_after)
}

/// The handler has not come to its end in time.
pub(crate) fn late() -> Response<Bytes> {
    let message = "The event was not handled in time.";
    refusal(StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded", message, Some(RETRY_SOON))
}

/// The status of an event that does not fit the type of its name, where nothing takes it.
pub(crate) const MISFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// An event that need not come again; `unrouted` is the status of one that no handler asks for.
pub(crate) fn outcome(outcome: &Outcome, unrouted: StatusCode) -> Response<Bytes> {
    if *outcome == Outcome::Unrouted && unrouted == MISFIT {
        let message = "The event does not fit the type of its name, and nothing takes it.";
        return refusal(unrouted, "invalid_payload", message, None);
    }
    if *outcome == Outcome::Unrouted && !unrouted.is_success() {
        return refusal(unrouted, "unrouted", "No handler asks for this event.", None);
    }
    Response::default()
}

/// Nothing has taken the handler's replies. Wired wrongly: the event must come again, so that they are
/// not lost.
pub(crate) fn unsent() -> Response<Bytes> {
    let message = "The handler's reply was not sent: ReplyLayer is missing.";
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", message, None)
}

/// Nothing has verified the request: wired wrongly, and to be refused whatever it holds.
pub(crate) fn unverified() -> Response<Bytes> {
    let message = "The request was not verified: VerifyLayer is missing.";
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "missing_layer", message, None)
}
