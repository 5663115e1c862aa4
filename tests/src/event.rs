//! Events without a request.

use openmail_tower::{StoredEvent, VerifiedEvent};

use crate::NOW;

/// The name of each documented event.
pub const EVENTS: [&str; 6] = [
    "message.received",
    "inbox.suspended",
    "inbox.reactivated",
    "pod.suspended",
    "pod.reactivated",
    "setup.test",
];

/// Returns an event with this JSON as its body.
pub fn event(json: impl Into<String>) -> VerifiedEvent {
    let stored = StoredEvent { raw_body: json.into().into(), timestamp: NOW, inbox_id: None };
    VerifiedEvent::from_stored(stored).expect("a good event")
}

/// Returns a `message.received` of `inb_1` with this `event_id`.
pub fn mail(event_id: &str) -> VerifiedEvent {
    mail_to("inb_1", event_id)
}

/// Returns a `message.received` of this inbox with this `event_id`.
pub fn mail_to(inbox_id: &str, event_id: &str) -> VerifiedEvent {
    event(format!(
        r#"{{"event":"message.received","event_id":"{event_id}","inbox_id":"{inbox_id}",
            "message":{{"id":"msg_1","from":"a@example.com"}}}}"#
    ))
}
