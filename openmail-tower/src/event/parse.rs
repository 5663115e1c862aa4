//! [`Event`], and what all events have.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    id::{EventId, InboxId, ThreadId},
    kind::EventKind,
    lifecycle::Lifecycle,
    message::MessageReceived,
    read,
    unlisted::{SetupTest, UnknownEvent},
};

/// One event, with the payload that its name says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly every event is the largest one")]
pub enum Event {
    /// A mail has arrived in an inbox.
    MessageReceived(MessageReceived),
    /// An inbox was suspended.
    InboxSuspended(Lifecycle),
    /// An inbox is back.
    InboxReactivated(Lifecycle),
    /// A pod was suspended.
    PodSuspended(Lifecycle),
    /// A pod is back.
    PodReactivated(Lifecycle),
    /// "Test webhook" was pressed in OpenMail's settings.
    SetupTest(SetupTest),
    /// An event this crate does not know.
    Unknown(UnknownEvent),
}

impl Event {
    /// Reads an event from its JSON.
    ///
    /// ```
    /// use openmail_tower::Event;
    ///
    /// let event = Event::from_slice(br#"{"event":"thread.archived","thread":{"id":"thr_1"}}"#)?;
    /// let Event::Unknown(news) = event else { panic!() };
    /// assert_eq!(news.event, "thread.archived");
    /// assert_eq!(news.extra["thread"]["id"], "thr_1");
    /// # Ok::<(), openmail_tower::event::InvalidPayload>(())
    /// ```
    ///
    /// # Errors
    /// When it is no JSON object with a text as `event`, or is a `message.received` without
    /// `event_id`, `inbox_id`, `message.id` or `message.from`. Also when a field of it has the name
    /// by which `serde_json` knows its raw values: it would read the text there as JSON once more.
    pub fn from_slice(json: &[u8]) -> Result<Self, InvalidPayload> {
        read::event(json).map_err(InvalidPayload)
    }

    /// Its name.
    pub fn kind(&self) -> EventKind {
        self.name().into()
    }

    /// Its name as text: unlike [`kind`](Self::kind), without an allocation for one that is not
    /// known.
    pub(crate) fn name(&self) -> &str {
        let known = match self {
            Self::MessageReceived(_) => &EventKind::MessageReceived,
            Self::InboxSuspended(_) => &EventKind::InboxSuspended,
            Self::InboxReactivated(_) => &EventKind::InboxReactivated,
            Self::PodSuspended(_) => &EventKind::PodSuspended,
            Self::PodReactivated(_) => &EventKind::PodReactivated,
            Self::SetupTest(_) => &EventKind::SetupTest,
            Self::Unknown(event) => return &event.event,
        };
        known.as_str()
    }

    /// The id that stays the same in every attempt to deliver it.
    pub fn event_id(&self) -> Option<&EventId> {
        match self {
            Self::MessageReceived(event) => Some(&event.event_id),
            Self::SetupTest(event) => event.event_id.as_ref(),
            Self::Unknown(event) => event.event_id.as_ref(),
            _ => self.lifecycle()?.event_id.as_ref(),
        }
    }

    /// The inbox it is about.
    pub fn inbox_id(&self) -> Option<&InboxId> {
        match self {
            Self::MessageReceived(event) => Some(&event.inbox_id),
            Self::SetupTest(event) => event.inbox_id.as_ref(),
            Self::Unknown(event) => event.inbox_id.as_ref(),
            _ => self.lifecycle()?.inbox_id.as_ref(),
        }
    }

    /// The conversation it belongs to.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        match self {
            Self::MessageReceived(event) => event.thread_id.as_ref(),
            Self::Unknown(event) => event.thread_id.as_ref(),
            _ => None,
        }
    }

    /// When it happened.
    pub fn occurred_at(&self) -> Option<Timestamp> {
        match self {
            Self::MessageReceived(event) => event.occurred_at,
            Self::Unknown(event) => event.occurred_at,
            _ => self.lifecycle()?.occurred_at,
        }
    }

    /// Which attempt to deliver it this is, from 1.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::MessageReceived(event) => event.attempt,
            Self::Unknown(event) => event.attempt,
            _ => None,
        }
    }

    /// The payload of a `message.received`.
    pub fn message_received(&self) -> Option<&MessageReceived> {
        match self {
            Self::MessageReceived(event) => Some(event),
            _ => None,
        }
    }

    /// The payload of one of the four lifecycle events.
    pub fn lifecycle(&self) -> Option<&Lifecycle> {
        match self {
            Self::InboxSuspended(event)
            | Self::InboxReactivated(event)
            | Self::PodSuspended(event)
            | Self::PodReactivated(event) => Some(event),
            _ => None,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Unknown(event) => event.entries(&mut map)?,
            known => {
                map.serialize_entry("event", &known.kind())?;
                match known {
                    Self::MessageReceived(event) => event.entries(&mut map)?,
                    Self::SetupTest(event) => event.entries(&mut map)?,
                    _ => known.lifecycle().map_or(Ok(()), |event| event.entries(&mut map))?,
                }
            }
        }
        map.end()
    }
}

/// Why a body is no event.
#[derive(Debug, thiserror::Error)]
#[error("the body is not an event: {0}")]
pub struct InvalidPayload(#[source] serde_json::Error);

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(extra: &str) -> String {
        format!(
            r#"{{"event":"message.received","event_id":"e","inbox_id":"i",{extra}
               "message":{{"id":"m","from":"a@b.c"}}}}"#
        )
    }

    fn read(json: &str) -> MessageReceived {
        match Event::from_slice(json.as_bytes()) {
            Ok(Event::MessageReceived(mail)) => mail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_name_may_stand_anywhere() {
        let first = r#"{"event":"setup.test","a":{"event":"x"}}"#;
        let last = r#"{"a":{"event":"x"},"event":"setup.test"}"#;
        for json in [first, last] {
            let event = Event::from_slice(json.as_bytes()).unwrap();
            assert_eq!(event.kind(), EventKind::SetupTest, "{json}");
        }
    }

    #[test]
    fn of_two_names_the_first_counts() {
        let json = r#"{"event":"a.b","event":"message.received"}"#;
        let event = Event::from_slice(json.as_bytes()).unwrap();
        assert_eq!(event.kind(), EventKind::from("a.b"));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            r#""event""#,
            r#"{"event":null}"#,
            r#"{"event":7}"#,
            r#"{"event":"setup.test""#,
            r#"{"event":"setup.test"} x"#,
            "\u{0}",
        ] {
            assert!(Event::from_slice(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Event::from_slice(b"{\"event\":\"setup.test\",\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_a_handler_cannot_do_without_is_required() {
        let whole = mail("");
        assert!(Event::from_slice(whole.as_bytes()).is_ok());
        for field in ["event_id", "inbox_id", "message", "id", "from"] {
            for without in [format!("\"x_{field}\":"), format!("\"{field}\":null,\"x\":")] {
                let json = whole.replace(&format!("\"{field}\":"), &without);
                assert!(Event::from_slice(json.as_bytes()).is_err(), "{json}");
            }
        }
    }

    #[test]
    fn an_optional_field_of_a_new_form_is_kept_and_costs_nothing() {
        let json = mail(r#""attempt":"first","occurred_at":"yesterday","thread_id":{"id":"t"},"#);
        let mail = read(&json);
        assert_eq!((mail.attempt, mail.occurred_at, &mail.thread_id), (None, None, &None));
        assert_eq!(mail.extra["attempt"], "first");
        assert_eq!(mail.extra["occurred_at"], "yesterday");
        assert_eq!(mail.extra["thread_id"]["id"], "t");
    }

    #[test]
    fn what_serde_json_would_parse_anew_is_refused_wherever_it_stands() {
        let raw = r#""$serde_json::private::RawValue":"[]""#;
        for extra in [
            format!("{raw},"),
            format!(r#""news":[{{{raw}}}],"#),
            format!(r#""thread_id":{{{raw}}},"#),
            format!(r#""thread_id":[{{{raw}}}],"#),
            format!(r#""event":{{{raw}}},"#),
        ] {
            assert!(Event::from_slice(mail(&extra).as_bytes()).is_err(), "{extra}");
        }
        for field in [
            raw.to_owned(),
            format!(r#""to":[{{{raw}}}]"#),
            format!(r#""attachments":[{{{raw}}}]"#),
            format!(r#""attachments":[{{"url":{{{raw}}}}}]"#),
        ] {
            let json = mail("").replace(r#""from""#, &format!(r#"{field},"from""#));
            assert!(Event::from_slice(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_mail() {
        let texts = [
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\udc8c first", "\u{fffd} first"),
            (r"\ud83d\ud83d\udc8c", "\u{fffd}\u{1f48c}"),
            (r"whole \ud83d\udc8c, half \ud83d\n", "whole \u{1f48c}, half \u{fffd}\n"),
            (r"no escape \\ud83d, half \ud83d", "no escape \\ud83d, half \u{fffd}"),
        ];
        for (text, expected) in texts {
            let mail = read(&mail(&format!(r#""external_id":"{text}","#)));
            assert_eq!(mail.external_id.as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_the_events_own_name_is_not_kept_as_a_field() {
        let json = mail("").replace(r#""from""#, r#""event":"launch","from""#);
        let mail = read(&json);
        assert_eq!(mail.message.extra["event"], "launch");
        assert!(mail.extra.is_empty());
    }

    #[test]
    fn serialising_keeps_everything() {
        for json in [
            mail(r#""attempt":"first","new":[1,{"deep":null}],"thread_id":"t","#),
            r#"{"event":"pod.suspended","pod_id":"p","reason":"news","x":1}"#.into(),
            r#"{"event":"setup.test","message":"hello"}"#.into(),
            r#"{"x":1,"event":"a.b","attempt":3}"#.into(),
            // One of the numbers that come back another where they are read less than exactly.
            r#"{"x":2.0725104815916087e-150,"event":"a.b"}"#.into(),
        ] {
            let event = Event::from_slice(json.as_bytes()).unwrap();
            let again = serde_json::to_vec(&event).unwrap();
            assert_eq!(Event::from_slice(&again).unwrap(), event, "{json}");
        }
    }
}
