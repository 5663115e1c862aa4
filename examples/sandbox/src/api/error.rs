//! Refusals as OpenMail answers them.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderName, header::RETRY_AFTER};
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
