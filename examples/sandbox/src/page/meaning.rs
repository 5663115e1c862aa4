//! Explains what a receiver's response means.

use crate::state::Attempt;

/// Explains a failed attempt to a person.
pub(super) fn of(attempt: &Attempt) -> &'static str {
    if let Some(meaning) = attempt.error.as_deref().and_then(of_code) {
        return meaning;
    }
    match attempt.status {
        None => "No response: the connection failed, or the receiver took longer than 15 s.",
        Some(300..=399) => "A redirect. OpenMail does not follow it: set the final URL.",
        Some(401 | 403) => "The receiver, or something in front of it, rejects the request.",
        Some(404) => "Nothing is served at this path.",
        Some(405) => "The path exists, but does not accept POST.",
        Some(413) => "The body is too large for the receiver or for a proxy in front of it.",
        Some(429) => "The receiver asks for fewer requests.",
        Some(502 | 504) => "A proxy cannot reach the receiver.",
        Some(500..=599) => "The receiver failed.",
        Some(_) => "Not a 2xx, so not accepted.",
    }
}

fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "method_not_allowed" => "The webhook accepts only POST.",
        "missing_header" => "A signature header is missing: something in between dropped it.",
        "ambiguous_header" => "A signature header was sent twice.",
        "malformed_timestamp" | "malformed_signature" => "A signature header cannot be read.",
        "stale_timestamp" => {
            "The sandbox's clock and the receiver's differ by more than the receiver allows \
             (5 minutes by default)."
        }
        "body_too_large" => "The body is larger than the receiver's limit.",
        "body_timeout" => "The body did not arrive in time.",
        "body_incomplete" => "The body broke off.",
        "overloaded" => "The receiver's memory for bodies is used up at the moment.",
        "signature_mismatch" => "The receiver's secret is not that of this webhook.",
        "inbox_mismatch" => "The secret or the webhook's URL is that of another inbox.",
        "invalid_payload" => "The signature is right, but the receiver cannot read the event.",
        "in_flight" => "The same event is being handled right now.",
        "handler_failed" => {
            "The handler returned an error or panicked. The receiver's log says why."
        }
        "unrouted" => "No handler of the receiver matches the event.",
        "retry_later" => "The handler, or a layer in front of it, asked for a later retry.",
        "deadline_exceeded" => "The handler took longer than the receiver's deadline.",
        "unavailable" => {
            "Something that the receiver needs is unavailable, such as its store or queue."
        }
        "missing_layer" => "The receiver lacks a layer that it needs. Its log names the layer.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn unrouted_event_is_not_explained_as_a_wrong_path() {
        let not_found = |error: Option<&str>| {
            of(&Attempt {
                number: 1,
                url: String::new(),
                at: Timestamp::UNIX_EPOCH,
                status: Some(404),
                failure: None,
                elapsed_ms: 1,
                error: error.map(str::to_owned),
                answer: String::new(),
                headers: Vec::new(),
                body: String::new(),
            })
        };
        assert!(not_found(None).contains("path"));
        assert!(not_found(Some("unrouted")).contains("handler"));
    }
}
