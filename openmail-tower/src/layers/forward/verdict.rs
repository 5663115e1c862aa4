//! Decides what an agent's response, or the lack of one, means for its event.

use std::{error::Error, io, iter, time::SystemTime};

use http::{HeaderMap, StatusCode};

use crate::seam::{BoxError, HandlerError, Outcome, retry_after};

/// The statuses that are about the event itself. Any other 4xx may come from a proxy, a tunnel, or
/// an agent that is being deployed.
pub(super) const DEFAULT_PERMANENT: [StatusCode; 2] =
    [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];

pub(super) fn verdict(
    status: StatusCode,
    headers: &HeaderMap,
    permanent: &[StatusCode],
    now: SystemTime,
) -> Result<Outcome, HandlerError> {
    if status.is_success() {
        return Ok(Outcome::Done);
    }
    let delay = retry_after(headers, now);
    let answer = format!("the agent answered {status}");
    if permanent.contains(&status) {
        return Err(HandlerError::permanent(answer));
    }
    Err(match delay {
        // An agent's own `Dedupe` answers this while it handles the event. Without `Retry-After`,
        // 409 may mean anything, including something that never changes, and counts as a failure.
        Some(delay) if status == StatusCode::CONFLICT => HandlerError::in_flight(delay),
        Some(delay) => HandlerError::failed(answer).after(delay),
        None => HandlerError::failed(answer),
    })
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the agent could not be reached")]
    Refused(#[source] BoxError),
    #[error("the agent could not be reached, or the connection to it broke")]
    Unknown(#[source] BoxError),
}

/// Decides what an error of the client means. A refused connection shows that the agent has not
/// received the event. After any other error, it may have received it.
pub(super) fn unanswered(error: BoxError) -> HandlerError {
    if is_refused(&*error) {
        HandlerError::unavailable(Unanswered::Refused(error))
    } else {
        HandlerError::failed(Unanswered::Unknown(error))
    }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    // Maximum number of sources that are followed: an error may be its own source.
    const DEEPEST: usize = 16;
    iter::successors(Some(error), |error| (*error).source()).take(DEEPEST).any(|error| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::header::RETRY_AFTER;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    use crate::seam::HandlerErrorKind;

    fn judge(status: u16, retry_after: Option<&str>) -> Result<Outcome, HandlerError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, text.parse().unwrap());
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        verdict(StatusCode::from_u16(status).unwrap(), &headers, &DEFAULT_PERMANENT, now)
    }

    #[test]
    fn maps_each_status_to_an_outcome() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(status, None).unwrap(), Outcome::Done, "{status}");
        }
        for status in [
            301, 302, 307, 308, 401, 402, 403, 404, 405, 407, 408, 409, 410, 411, 413, 414, 415,
            421, 423, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 508, 511, 599,
        ] {
            let error = judge(status, None).unwrap_err();
            assert_eq!(error.kind(), HandlerErrorKind::Failed, "{status}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
        for status in [400, 422] {
            let error = judge(status, Some("5")).unwrap_err();
            assert_eq!(error.kind(), HandlerErrorKind::Permanent, "{status}");
        }
    }

    #[test]
    fn permanent_statuses_are_exactly_those_given() {
        let judge = |status, permanent: &[_]| {
            verdict(status, &HeaderMap::new(), permanent, UNIX_EPOCH).unwrap_err().kind()
        };
        let gone = [StatusCode::GONE, StatusCode::CONFLICT];
        assert_eq!(judge(StatusCode::GONE, &gone), HandlerErrorKind::Permanent);
        assert_eq!(judge(StatusCode::CONFLICT, &gone), HandlerErrorKind::Permanent);
        assert_eq!(judge(StatusCode::BAD_REQUEST, &gone), HandlerErrorKind::Failed);
        assert_eq!(judge(StatusCode::UNPROCESSABLE_ENTITY, &[]), HandlerErrorKind::Failed);
    }

    #[test]
    fn busy_agent_is_asked_again() {
        let busy = |text| {
            let error = judge(409, Some(text)).unwrap_err();
            (error.kind(), error.delay())
        };
        for (text, seconds) in [
            ("30", 30),
            ("0", 1),
            ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 1),
            ("86401", 86400),
        ] {
            let delay = Some(Duration::from_secs(seconds));
            assert_eq!(busy(text), (HandlerErrorKind::InFlight, delay), "{text}");
        }
        assert_eq!(busy("soon"), (HandlerErrorKind::Failed, None));
    }

    #[test]
    fn waits_as_long_as_retry_after_says() {
        let delay = |text| judge(503, Some(text)).unwrap_err().delay();
        assert_eq!(delay("7"), Some(Duration::from_secs(7)));
        assert_eq!(delay("0"), Some(Duration::from_secs(1)));
        assert_eq!(delay("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(delay("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::from_secs(1)));
        for text in ["99999999999999999999999", "86401", "Sat, 06 Nov 2094 08:49:37 GMT"] {
            assert_eq!(delay(text), Some(LONGEST), "{text}");
        }
        for text in ["", "soon", "-1", "+5", "1.5"] {
            assert_eq!(delay(text), None, "{text}");
        }
        assert_eq!(judge(429, Some("7")).unwrap_err().delay(), Some(Duration::from_secs(7)));
    }
}
