//! Error responses in OpenMail's format.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use jiff::Timestamp;
use serde_json::json;

use crate::state::Refusal;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": self.code, "message": self.message});
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let (Some(limit), Some(seconds)) = (self.limit, self.retry_after) {
            let name = HeaderName::from_static;
            headers.insert(name("x-ratelimit-limit"), limit.into());
            headers.insert(name("x-ratelimit-remaining"), 0.into());
            let reset = Timestamp::now().as_second().saturating_add(seconds);
            headers.insert(name("x-ratelimit-reset"), reset.into());
        }
        response
    }
}

/// Converts the framework's own error responses to OpenMail's format: for a path that is not UTF-8,
/// an invalid query, or a request that took too long.
pub(super) async fn in_form(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = match status {
        StatusCode::REQUEST_TIMEOUT => "request_timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        status if status.is_client_error() => "bad_request",
        _ => "internal_error",
    };
    let message = status.canonical_reason().unwrap_or("The request failed");
    Refusal::new(status, code, format!("{message}.")).into_response()
}
