//! [`Event`], and the fields that all events share.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    id::{EventId, InboxId, ThreadId},
    invalid::InvalidPayload,
    kind::EventKind,
    lifecycle::Lifecycle,
    message::MessageReceived,
    misfit::Misfit,
    read,
    unlisted::{SetupTest, UnknownEvent},
};

/// One event, with the payload that belongs to its name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly every event is the largest one")]
pub enum Event {
    /// A mail arrived in an inbox.
    MessageReceived(MessageReceived),
    /// An inbox was suspended.
    InboxSuspended(Lifecycle),
    /// An inbox was reactivated.
    InboxReactivated(Lifecycle),
    /// A pod was suspended.
    PodSuspended(Lifecycle),
    /// A pod was reactivated.
    PodReactivated(Lifecycle),
    /// The "Test webhook" button in OpenMail's settings.
    SetupTest(SetupTest),
    /// An event with an unknown name, or one that does not fit the type of its name;
    /// [`misfit`](Self::misfit) tells them apart.
    Unknown(UnknownEvent),
}

impl Event {
    /// Parses an event from JSON.
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
    /// An event that does not fit the type of its name becomes `Unknown`, and `misfit` says why:
    ///
    /// ```
    /// use openmail_tower::event::{Event, Misfit};
    ///
    /// let event = Event::from_slice(br#"{"event":"message.received","inbox_id":"inb_1"}"#)?;
    /// assert_eq!(event.misfit(), Some(Misfit::MissingField("message")));
    /// # Ok::<(), openmail_tower::event::InvalidPayload>(())
    /// ```
    ///
    /// A number that does not fit an `f64` is kept as a string of its digits. Other fractions in
    /// unknown fields are as exact as `serde_json` reads them: without its feature
    /// `float_roundtrip`, the last digit may differ.
    ///
    /// # Errors
    /// If the body is not a JSON object with a string `event`; if `event`, `event_id`, `inbox_id`,
    /// `message` or the `id` in it appears more than once; or if an object has the key that
    /// `serde_json` reserves for raw values, since it would parse the text there as JSON.
    pub fn from_slice(json: &[u8]) -> Result<Self, InvalidPayload> {
        read::event(json)
    }

    /// Returns the event's name.
    pub fn kind(&self) -> EventKind {
        self.name().into()
    }

    /// Returns the event's name as text. Unlike [`kind`](Self::kind), this does not allocate for an
    /// unknown name.
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

    /// Returns the name by which the event is routed. Empty, and so matched by no handler, for an
    /// event that does not fit the type of its name.
    pub(crate) fn routing_name(&self) -> &str {
        if self.misfit().is_some() { "" } else { self.name() }
    }

    /// Returns why the event does not fit the type of its name; `None` if it fits, or if the name
    /// is unknown.
    pub fn misfit(&self) -> Option<Misfit> {
        match self {
            Self::Unknown(event) => event.misfit,
            _ => None,
        }
    }

    /// Returns the event's id, the same in every delivery attempt.
    pub fn event_id(&self) -> Option<&EventId> {
        match self {
            Self::MessageReceived(event) => event.event_id.as_ref(),
            Self::SetupTest(event) => event.event_id.as_ref(),
            Self::Unknown(event) => event.event_id.as_ref(),
            _ => self.lifecycle()?.event_id.as_ref(),
        }
    }

    /// Returns the inbox that the event is about.
    pub fn inbox_id(&self) -> Option<&InboxId> {
        match self {
            Self::MessageReceived(event) => Some(&event.inbox_id),
            Self::SetupTest(event) => event.inbox_id.as_ref(),
            Self::Unknown(event) => event.inbox_id.as_ref(),
            _ => self.lifecycle()?.inbox_id.as_ref(),
        }
    }

    /// Returns the conversation that the event belongs to.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        match self {
            Self::MessageReceived(event) => event.thread_id.as_ref(),
            Self::Unknown(event) => event.thread_id.as_ref(),
            _ => None,
        }
    }

    /// Returns when it happened.
    pub fn occurred_at(&self) -> Option<Timestamp> {
        match self {
            Self::MessageReceived(event) => event.occurred_at,
            Self::Unknown(event) => event.occurred_at,
            _ => self.lifecycle()?.occurred_at,
        }
    }

    /// Returns the number of this delivery attempt, from 1.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::MessageReceived(event) => event.attempt,
            Self::Unknown(event) => event.attempt,
            _ => None,
        }
    }

    /// Returns the payload of a `message.received`.
    pub fn message_received(&self) -> Option<&MessageReceived> {
        match self {
            Self::MessageReceived(event) => Some(event),
            _ => None,
        }
    }

    /// Returns the payload of one of the four lifecycle events.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::InvalidPayloadKind;

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
    fn finds_the_event_name_anywhere() {
        let first = r#"{"event":"setup.test","a":{"event":"x"}}"#;
        let last = r#"{"a":{"event":"x"},"event":"setup.test"}"#;
        for json in [first, last] {
            let event = Event::from_slice(json.as_bytes()).unwrap();
            assert_eq!(event.kind(), EventKind::SetupTest, "{json}");
        }
    }

    #[test]
    fn refuses_a_body_that_is_not_an_event() {
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

    fn misfit(json: &str) -> UnknownEvent {
        match Event::from_slice(json.as_bytes()) {
            Ok(Event::Unknown(event)) => event,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn mail_requires_only_its_inbox_and_its_id() {
        let least = r#"{"event":"message.received","inbox_id":"i","message":{"id":"m"}}"#;
        let mail = read(least);
        assert_eq!((mail.event_id, mail.message.from), (None, None));
        for (field, name) in
            [("inbox_id", "inbox_id"), ("message", "message"), ("id", "message.id")]
        {
            let key = format!("\"{field}\":");
            let without = misfit(&least.replace(&key, &format!("\"x_{field}\":")));
            assert_eq!(without.misfit, Some(Misfit::MissingField(name)));
            let null = misfit(&least.replace(&key, &format!("\"{field}\":null,\"x\":")));
            assert_eq!(null.misfit, Some(Misfit::MissingField(name)));
            for other in ["7", "[]", "true", "0.5"] {
                let odd = misfit(&least.replace(&key, &format!("\"{field}\":{other},\"x\":")));
                assert_eq!(odd.misfit, Some(Misfit::WrongType(name)), "{other}");
                assert_eq!(odd.event, "message.received");
            }
        }
    }

    #[test]
    fn parses_a_bounce_without_a_sender() {
        for from in
            ["", r#","from":null"#, r#","from":{"a":"b"}"#, r#","from":["a@b.c"]"#, r#","from":7"#]
        {
            let json = format!(
                r#"{{"event":"message.received","event_id":"e1","inbox_id":"i",
                    "message":{{"id":"m","subject":"Undelivered Mail Returned to Sender"{from}}}}}"#
            );
            let mail = read(&json);
            assert_eq!(
                (mail.message.from.as_deref(), mail.message.sender()),
                (None, None),
                "{from}"
            );
        }
    }

    #[test]
    fn misfit_keeps_its_ids_and_fields() {
        let event = misfit(
            r#"{"event":"message.received","event_id":"e","inbox_id":"i","thread_id":"t",
               "message":{"from":"a@b.c"}}"#,
        );
        assert_eq!(event.event_id.unwrap(), "e");
        assert_eq!(event.inbox_id.unwrap(), "i");
        assert_eq!(event.extra["message"]["from"], "a@b.c");
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for json in [
            mail(&format!(r#""x":{deep},"#)),
            mail("")
                .replace("message.received", "a.b")
                .replace(r#""i""#, &format!(r#""i","x":{deep}"#)),
        ] {
            let event = misfit(&json);
            assert_eq!(event.misfit, Some(Misfit::TooDeep));
            assert_eq!(
                (event.event_id.unwrap().as_str(), event.inbox_id.unwrap().as_str()),
                ("e", "i")
            );
        }
    }

    #[test]
    fn refuses_a_repeated_routing_key() {
        for event in ["message.received", "inbox.suspended", "pod.reactivated", "setup.test", "a.b"]
        {
            let whole = format!(
                r#"{{"event":"{event}","event_id":"e","inbox_id":"i","message":{{"id":"m","x":{{"id":1,"id":2}}}}}}"#
            );
            assert!(Event::from_slice(whole.as_bytes()).is_ok());
            let moved = whole.replacen(r#""event""#, r#""x":1,"event""#, 1);
            for whole in [whole, moved] {
                // In events that are not about a mail, `message` is a field like any other.
                let about_mail = matches!(event, "message.received" | "a.b");
                let keys = ["event", "event_id", "inbox_id", "message"];
                for key in &keys[..if about_mail { 4 } else { 3 }] {
                    let escaped = key.replacen('e', "\\u0065", 1).replacen('i', "\\u0069", 1);
                    for key_again in [*key, &escaped] {
                        for value in ["null", r#""x""#, "7", r#"{"id":"n"}"#] {
                            let again =
                                format!(r#"{},"{key_again}":{value}}}"#, &whole[..whole.len() - 1]);
                            let error = Event::from_slice(again.as_bytes()).unwrap_err();
                            assert_eq!(error.kind(), InvalidPayloadKind::DuplicateKey, "{again}");
                        }
                    }
                }
                let again = whole.replace(r#""id":"m""#, r#""id":"m","i\u0064":"m""#);
                assert_ne!(again, whole);
                let event = Event::from_slice(again.as_bytes());
                assert_eq!(event.is_ok(), !about_mail, "{again}");
                let Err(error) = event else { continue };
                assert_eq!(
                    error.to_string(),
                    "the body is not an event: a key appears more than once (`message.id`)"
                );
            }
        }
    }

    #[test]
    fn keeps_a_mail_with_a_number_beyond_f64() {
        let digits = "9".repeat(400);
        for number in ["1e400", "-1E+999", &digits] {
            let mail = read(&mail(&format!(r#""new":[{{"a":{number}}}],"attempt":{number},"#)));
            let kept = mail.extra["new"][0]["a"].to_string();
            // `serde_json` adds a plus sign with `arbitrary_precision`.
            let kept = kept.trim_matches('"').replace("e+", "e").replace("E+", "e");
            assert_eq!(kept, number.replace("E+", "e"));
            assert_eq!(mail.attempt, None);
        }
    }

    #[test]
    fn errors_and_debug_contain_no_mail_text() {
        let secret = "Kaninchen";
        let fields = [
            "event_id",
            "inbox_id",
            "message",
            "from",
            "subject",
            "body_text",
            "url",
            "filename",
            "verdict",
        ];
        for json in [
            format!(r#""{secret}""#),
            format!(r#"{{"event":["{secret}"]}}"#),
            format!(r#"{{"event":"setup.test","a":"{secret}" {secret}"#),
            format!(r#"{{"event":"setup.test","event":"{secret}"}}"#),
        ] {
            let error = Event::from_slice(json.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error}");
            assert!(error.to_string().len() <= 200);
        }
        let mail = read(&format!(
            r#"{{"event":"message.received","event_id":"e-1","inbox_id":"i-1","x":"{secret}","external_id":"{secret}",
               "message":{{"id":"m-1","from":"{secret} <{secret}@b.c>","to":["{secret}@b.c"],"cc":["{secret}@b.c"],
               "subject":"{secret}","body_text":"{secret}","rfc_message_id":"<{secret}@b.c>","verdict":["{secret}"],
               "attachments":[{{"filename":"{secret}","url":"https://{secret}","parsedText":"{secret}"}}]}}}}"#
        ));
        let sender = mail.message.sender().unwrap();
        let shown = format!("{mail:?} {sender:?} {:?}", mail.message.attachments);
        assert!(!shown.contains(secret), "{shown}");
        for id in ["e-1", "i-1", "m-1"] {
            assert!(shown.contains(id), "{shown}");
        }
        for field in fields {
            let json = format!(r#"{{"event":"message.received","{field}":["{secret}"]}}"#);
            let event = Event::from_slice(json.as_bytes()).unwrap();
            assert!(
                !format!("{event:?} {}", event.misfit().unwrap()).contains(secret),
                "{event:?}"
            );
        }
        let long = "x".repeat(10_000);
        let event =
            Event::from_slice(format!(r#"{{"event":"{long}","event_id":"{long}"}}"#).as_bytes());
        assert!(format!("{event:?}").len() < 1000);
    }

    #[test]
    fn keeps_an_optional_field_of_a_new_form() {
        let json = mail(r#""attempt":"first","occurred_at":"yesterday","thread_id":{"id":"t"},"#);
        let mail = read(&json);
        assert_eq!((mail.attempt, mail.occurred_at, &mail.thread_id), (None, None, &None));
        assert_eq!(mail.extra["attempt"], "first");
        assert_eq!(mail.extra["occurred_at"], "yesterday");
        assert_eq!(mail.extra["thread_id"]["id"], "t");
    }

    #[test]
    fn refuses_reserved_keys_at_any_depth() {
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
    fn keeps_a_mail_with_half_an_emoji() {
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
    fn extra_omits_only_the_event_name() {
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
            r#"{"x":[0.5,1e400],"event":"a.b"}"#.into(),
            r#"{"event":"message.received","attempt":"x","message":{"from":"a@b.c"}}"#.into(),
        ] {
            let event = Event::from_slice(json.as_bytes()).unwrap();
            let again = serde_json::to_vec(&event).unwrap();
            assert_eq!(Event::from_slice(&again).unwrap(), event, "{json}");
        }
    }
}
