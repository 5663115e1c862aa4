//! Interprets OpenMail's error responses.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::seam::retry_after;

use super::error::{ApiError, ApiErrorKind};

/// Maximum length of a code, in characters; the rest is cut off.
const CODE: usize = 64;
/// Maximum length of a message, in characters; the rest is cut off.
const MESSAGE: usize = 500;
/// The default delay before the next attempt after a temporary 4xx: a 408, a 425, or a 409 or 422
/// while OpenMail is still processing a request with the same key.
const SOON: Duration = Duration::from_secs(2);

/// The body of OpenMail's errors. A response without a string `error` came from a proxy in between.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    message: serde_json::Value,
}

/// Converts a response whose status is not the expected one.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let delay = retry_after(headers, SystemTime::now());
    let Ok(Refusal { error, message }) = serde_json::from_slice(body) else {
        let detail = format!("{status}, with a response that is not OpenMail's");
        return ApiError::new(ApiErrorKind::Unavailable, detail)
            .answered(status, "", "")
            .after(delay)
            .maybe_sent(true);
    };
    let code = plain(&error, CODE);
    let message = plain(message.as_str().unwrap_or_default(), MESSAGE);
    let kind = kind(status, &code, &message);
    let is_busy = kind == ApiErrorKind::Unavailable && status.is_client_error();
    let maybe = matches!(kind, ApiErrorKind::Unavailable | ApiErrorKind::KeyReused);
    // The code goes into logs, so anything that does not look like a code is left out.
    let is_code = code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let shown = if is_code { code.as_str() } else { "with an invalid code" };
    ApiError::new(kind, format!("OpenMail answered {} {shown}", status.as_u16()))
        .answered(status, if is_code { &code } else { "" }, &message)
        .after(delay.or(is_busy.then_some(SOON)))
        .maybe_sent(maybe)
}

fn kind(status: StatusCode, code: &str, message: &str) -> ApiErrorKind {
    use ApiErrorKind as Kind;
    if status.is_server_error() {
        return Kind::Unavailable;
    }
    match code {
        "unauthorized" => return Kind::Unauthorized,
        "spend_cap_paused" => return Kind::SpendCapPaused,
        "account_banned" => return Kind::AccountBanned,
        "reputation_suspended" => return Kind::ReputationSuspended,
        "feature_requires_paid_plan" => return Kind::PaidPlanRequired,
        "recipient_suppressed" => return Kind::RecipientSuppressed,
        "unsafe_content" | "phishing_detected" => return Kind::UnsafeContent,
        "no_mx_records" => return Kind::NoMxRecords,
        "storage_limit_exceeded" => return Kind::StorageLimitExceeded,
        "cold_outreach_limit" => return Kind::ColdOutreachLimit,
        "rate_limit_exceeded" => return Kind::RateLimited,
        _ => {}
    }
    match status {
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY
            if is_about_the_key(code, message) =>
        {
            // The first request with the key is still in progress; its result is not known yet.
            if is_in_progress(code, message) { Kind::Unavailable } else { Kind::KeyReused }
        }
        StatusCode::BAD_REQUEST => Kind::BadRequest,
        StatusCode::UNAUTHORIZED => Kind::Unauthorized,
        StatusCode::PAYMENT_REQUIRED => Kind::SpendCapPaused,
        StatusCode::FORBIDDEN => Kind::Forbidden,
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => Kind::RateLimited,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Kind::Unavailable,
        status if status.is_client_error() => Kind::Rejected,
        _ => Kind::UnexpectedAnswer,
    }
}

/// Returns whether an error is about the idempotency key. How OpenMail reports a key that was used
/// with another body is not documented.
fn is_about_the_key(code: &str, message: &str) -> bool {
    [code, message].iter().any(|text| text.to_ascii_lowercase().contains("idempot"))
}

fn is_in_progress(code: &str, message: &str) -> bool {
    let signs = ["progress", "processing", "concurrent", "in_flight", "in flight"];
    [code, message].iter().any(|text| {
        let text = text.to_ascii_lowercase();
        signs.iter().any(|sign| text.contains(sign))
    })
}

/// Returns a text without control characters, cut to `longest` characters.
fn plain(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ApiErrorKind as Kind;

    fn read(status: u16, body: &str) -> ApiError {
        refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_status_and_code_has_its_error_kind() {
        for (status, code, kind) in [
            (400, "missing_idempotency_key", Kind::BadRequest),
            (400, "bad_request", Kind::BadRequest),
            (401, "unauthorized", Kind::Unauthorized),
            (401, "news", Kind::Unauthorized),
            (402, "spend_cap_paused", Kind::SpendCapPaused),
            (402, "news", Kind::SpendCapPaused),
            (408, "news", Kind::Unavailable),
            (425, "news", Kind::Unavailable),
            (403, "account_banned", Kind::AccountBanned),
            (403, "reputation_suspended", Kind::ReputationSuspended),
            (403, "forbidden", Kind::Forbidden),
            (403, "feature_requires_paid_plan", Kind::PaidPlanRequired),
            (404, "not_found", Kind::NotFound),
            (422, "recipient_suppressed", Kind::RecipientSuppressed),
            (422, "unsafe_content", Kind::UnsafeContent),
            (422, "phishing_detected", Kind::UnsafeContent),
            (422, "no_mx_records", Kind::NoMxRecords),
            (422, "storage_limit_exceeded", Kind::StorageLimitExceeded),
            (429, "rate_limit_exceeded", Kind::RateLimited),
            (429, "cold_outreach_limit", Kind::ColdOutreachLimit),
            (429, "news", Kind::RateLimited),
            (409, "news", Kind::Rejected),
            (422, "news", Kind::Rejected),
            (500, "internal", Kind::Unavailable),
            (503, "unauthorized", Kind::Unavailable),
            (302, "moved", Kind::UnexpectedAnswer),
        ] {
            let error = read(status, &format!(r#"{{"error":"{code}","message":"no"}}"#));
            assert_eq!(error.kind(), kind, "{status} {code}");
            assert_eq!(error.code(), Some(code));
            assert_eq!(error.message(), Some("no"));
        }
    }

    #[test]
    fn recognises_a_key_used_with_another_body() {
        for (status, code, message) in [
            (409, "idempotency_conflict", ""),
            (422, "IDEMPOTENCY_KEY_REUSED", ""),
            (422, "unprocessable", "This Idempotency-Key was used with another body."),
        ] {
            let error = read(status, &format!(r#"{{"error":"{code}","message":"{message}"}}"#));
            assert_eq!(error.kind(), Kind::KeyReused, "{code}");
            assert!(error.may_have_been_sent());
        }
        let busy = r#"{"error":"idempotency_conflict","message":"the request is in progress"}"#;
        assert_eq!(read(409, busy).kind(), Kind::Unavailable);
        assert_eq!(read(409, busy).retry_after(), Some(SOON));
    }

    #[test]
    fn response_of_a_proxy_means_unavailable() {
        for status in [400, 401, 403, 404, 413, 422, 429, 502] {
            for body in
                ["<html>no</html>", "", "{}", "[]", r#"{"error":{"code":7}}"#, r#"{"error":null}"#]
            {
                let error = read(status, body);
                assert_eq!(error.kind(), Kind::Unavailable, "{status} {body}");
                assert!(error.may_have_been_sent());
            }
        }
    }

    #[test]
    fn text_that_is_not_a_code_is_not_logged() {
        let error = read(422, r#"{"error":"ada@example.com\n bounced"}"#);
        assert_eq!(error.code(), None);
        let shown = format!("{error:?}");
        assert!(!shown.contains("ada"), "{shown}");
    }
}
