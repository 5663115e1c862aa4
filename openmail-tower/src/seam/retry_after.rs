//! Reads `Retry-After`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// The shortest wait. By this machine's clock, a date may have passed already, and some of these
/// waits use up no attempt: without a minimum, immediate retries could go on forever.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the delay that `Retry-After` asks for, in seconds or as a date, but at least 1 s and at
/// most 24 h. Returns `None` if the header is absent or malformed.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(delay.clamp(SHORTEST, LONGEST))
}
