//! [`Refusal`]: why a request is refused, with OpenMail's codes.

use http::StatusCode;

/// A status and a code as OpenMail uses them, with a human-readable message.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The number of seconds after which a retry makes sense.
    pub(crate) retry_after: Option<i64>,
    /// The limit that was reached: a number of mails per minute or per day.
    pub(crate) limit: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, limit: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "The API key is missing or wrong.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no such {what}."))
    }

    pub(crate) fn no_webhook_url() -> Self {
        let message = "No webhook URL is set.";
        Self::new(StatusCode::BAD_REQUEST, "no_webhook_url", message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn rate_limit(limit: usize, per: &str, retry_after: i64) -> Self {
        let message = format!(
            "The limit of {limit} mails per {per} is reached; try again in {retry_after} s."
        );
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
        Self { retry_after: Some(retry_after), limit: Some(limit), ..refusal }
    }
}
