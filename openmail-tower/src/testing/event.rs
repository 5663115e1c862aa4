//! [`TestEvent`]: an event as OpenMail would send it.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::event::EventKind;

use super::mail;

/// An event for tests: a body as OpenMail sends it, with sensible defaults.
///
/// Each event has its own ids, except that all are about the same inbox and pod until you set
/// others; a clone is the same event. A setter writes the JSON field that it names, even if events
/// of that kind do not have it.
///
/// ```
/// use http::Request;
/// use http_body_util::Full;
/// use openmail_tower::{Secret, testing::TestEvent};
///
/// let secret = Secret::new("whsec_test")?;
/// let mail = TestEvent::message_received()
///     .inbox("inb_support")
///     .from("Ada <ada@example.com>")
///     .subject("Help")
///     .message_field("category", "personal");
/// let request: Request<Full<bytes::Bytes>> = mail.sign(&secret);
/// assert!(request.headers().contains_key("x-signature"));
///
/// let pod = TestEvent::new("pod.suspended").field("reason", "abuse");
/// assert_eq!(pod.json()["reason"], "abuse");
/// # Ok::<(), openmail_tower::webhook::SecretError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TestEvent {
    pub(super) body: Map<String, Value>,
    // The value of `X-Event-Id`: a UUID, the same in every attempt.
    pub(super) delivery: Uuid,
}

impl TestEvent {
    /// Creates an event by its name. One that this crate does not know has an `event_id`, an
    /// `inbox_id`, an `attempt` and times, but no payload.
    pub fn new(event: impl Into<EventKind>) -> Self {
        let kind = event.into();
        let common = json!({"event": kind.as_str(), "event_id": unique("evt"), "occurred_at": ""});
        let about_inbox = json!({
            "inbox_id": "inb_test", "inbox_address": "agent@openmail.sh", "pod_id": "pod_test",
        });
        let about_pod = json!({"inbox_id": null, "inbox_address": null, "pod_id": "pod_test"});
        let attempt = json!({"attempt": 1, "delivered_at": "", "inbox_id": "inb_test"});
        let parts = match kind {
            EventKind::MessageReceived => {
                let mail = json!({"thread_id": unique("thr"), "message": mail::message()});
                vec![common, attempt, mail]
            }
            EventKind::InboxSuspended => {
                vec![common, about_inbox, json!({"reason": "high_bounce_rate"})]
            }
            EventKind::InboxReactivated => vec![common, about_inbox, json!({"reason": null})],
            EventKind::PodSuspended => vec![common, about_pod, json!({"reason": "pod_degraded"})],
            EventKind::PodReactivated => vec![common, about_pod, json!({"reason": null})],
            // Undocumented: kept minimal, so that nobody relies on more.
            EventKind::SetupTest => vec![json!({"event": kind.as_str()})],
            EventKind::Other(_) => vec![common, attempt],
        };
        let objects = parts.into_iter().map(|part| match part {
            Value::Object(fields) => fields,
            _ => Map::new(),
        });
        let event = Self { body: objects.flatten().collect(), delivery: Uuid::new_v4() };
        event.at(SystemTime::now())
    }

    /// Creates a mail: `message.received`.
    pub fn message_received() -> Self {
        Self::new(EventKind::MessageReceived)
    }

    /// Creates an event from its JSON, for example from a log.
    ///
    /// # Errors
    /// If it is not a JSON object. Whether it is an event is up to the receiver.
    pub fn from_slice(json: &[u8]) -> Result<Self, serde_json::Error> {
        let body = serde_json::from_slice(json)?;
        Ok(Self { body, delivery: Uuid::new_v4() })
    }

    /// Returns the body.
    pub fn json(&self) -> &Map<String, Value> {
        &self.body
    }

    /// Sets `inbox_id`.
    #[must_use]
    pub fn inbox(self, id: impl AsRef<str>) -> Self {
        self.field("inbox_id", id.as_ref())
    }

    /// Sets `thread_id`.
    #[must_use]
    pub fn thread(self, id: impl AsRef<str>) -> Self {
        self.field("thread_id", id.as_ref())
    }

    /// Sets `event_id`, the signed id by which events are deduplicated.
    #[must_use]
    pub fn event_id(self, id: impl AsRef<str>) -> Self {
        self.field("event_id", id.as_ref())
    }

    /// Sets `attempt`, from 1.
    #[must_use]
    pub fn attempt(self, number: u32) -> Self {
        self.field("attempt", number)
    }

    /// Sets `occurred_at`, `delivered_at` and the message's `received_at`, if the event has them.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        let text = rfc3339(time);
        for name in ["occurred_at", "delivered_at"] {
            replace(&mut self.body, name, &*text);
        }
        if let Some(Value::Object(message)) = self.body.get_mut("message") {
            replace(message, "received_at", &*text);
        }
        self
    }

    /// Sets any field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.body.insert(name.into(), value.into());
        self
    }

    /// Removes a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.body.remove(name);
        self
    }

    /// Updates the fields that OpenMail changes from one attempt to the next, if the event has
    /// them.
    pub(super) fn stamp(&mut self, attempt: u32, time: SystemTime) {
        replace(&mut self.body, "attempt", attempt);
        replace(&mut self.body, "delivered_at", rfc3339(time));
    }
}

fn replace(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    if let Some(field) = fields.get_mut(name) {
        *field = value.into();
    }
}

pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

/// Formats a time as JavaScript does. A time outside the range of [`Timestamp`] becomes the nearest
/// one inside.
fn rfc3339(time: SystemTime) -> String {
    let nearest = if time < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
    format!("{:.3}", Timestamp::try_from(time).unwrap_or(nearest))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::event::Event;

    const NAMES: [&str; 7] = [
        "message.received",
        "inbox.suspended",
        "inbox.reactivated",
        "pod.suspended",
        "pod.reactivated",
        "setup.test",
        "thread.archived",
    ];

    #[test]
    fn every_test_event_parses_as_its_kind_and_its_fields_are_understood() {
        for name in NAMES {
            let event = TestEvent::new(name);
            let parsed = Event::from_slice(&event.to_bytes()).unwrap();
            assert_eq!(parsed.kind(), EventKind::from(name));
            let extra = match &parsed {
                Event::MessageReceived(mail) => &mail.extra,
                Event::SetupTest(test) => &test.extra,
                Event::Unknown(news) => &news.extra,
                other => &other.lifecycle().unwrap().extra,
            };
            // Fields that were not understood would be here.
            let unread: Vec<_> = extra.keys().filter(|key| *key != "delivered_at").collect();
            assert!(unread.is_empty(), "{name}: {unread:?}");
        }
    }

    #[test]
    fn events_have_distinct_ids_but_a_clone_has_the_same_ones() {
        let [a, b] = [(); 2].map(|()| TestEvent::message_received());
        assert_ne!(a.json()["event_id"], b.json()["event_id"]);
        assert_ne!(a.json()["message"]["id"], b.json()["message"]["id"]);
        assert_ne!(a.delivery, b.delivery);
        assert_eq!(a.clone(), a);
    }

    #[test]
    fn setters_reach_the_handler() {
        let time = UNIX_EPOCH + Duration::from_millis(1_711_015_500_250);
        let event = TestEvent::message_received()
            .inbox("i")
            .thread("t")
            .event_id("e")
            .attempt(3)
            .at(time)
            .field("external_id", "customer")
            .message_id("m")
            .from("a@b.c")
            .subject("s")
            .text("x")
            .attachment("a.txt", "one")
            .attachment("b.txt", "two")
            .message_field("verdict", "clean")
            .verified();
        let mail = event.event().message_received().unwrap();
        assert_eq!(mail.inbox_id, "i");
        assert_eq!(mail.event_id.as_ref().map(|id| id.as_str()), Some("e"));
        assert_eq!(mail.thread_id.as_ref().map(|id| id.as_str()), Some("t"));
        assert_eq!((mail.attempt, mail.external_id.as_deref()), (Some(3), Some("customer")));
        let message = &mail.message;
        assert_eq!((message.id.as_str(), message.from.as_deref()), ("m", Some("a@b.c")));
        assert_eq!(
            (message.subject.as_deref(), message.body_text.as_deref()),
            (Some("s"), Some("x"))
        );
        assert_eq!(message.verdict, Some(crate::event::Verdict::Clean));
        let texts = message.attachments.iter().map(|file| file.parsed_text.as_deref());
        assert_eq!(texts.collect::<Vec<_>>(), [Some("one"), Some("two")]);
        for at in [mail.occurred_at, mail.delivered_at, message.received_at] {
            assert_eq!(at.unwrap(), Timestamp::try_from(time).unwrap());
        }
    }

    #[test]
    fn writes_times_as_javascript_does() {
        let time = UNIX_EPOCH + Duration::from_secs(1_711_015_500);
        assert_eq!(rfc3339(time), "2024-03-21T10:05:00.000Z");
        let mail = TestEvent::message_received().without("occurred_at").at(time);
        assert!(!mail.json().contains_key("occurred_at"));
    }
}
