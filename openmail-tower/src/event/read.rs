//! Reads a body into an event in one pass. The name usually comes first and decides which type the
//! rest is read into. If it comes later, it is looked up in a separate pass first.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::de::Read;

use super::{
    invalid::{InvalidPayload, InvalidPayloadKind},
    kind::EventKind,
    lifecycle::Lifecycle,
    mend::mend,
    message::MessageReceived,
    misfit::Misfit,
    parse::Event,
    payload::Text,
    routing::Routing,
    unlisted::{SetupTest, UnknownEvent},
};

/// Reads an event.
pub(super) fn event(json: &[u8]) -> Result<Event, InvalidPayload> {
    if let Some(event) = typed(json) {
        return Ok(event);
    }
    let mended = mend(json);
    if let Cow::Owned(mended) = &mended
        && let Some(event) = typed(mended)
    {
        return Ok(event);
    }
    untyped(&mended)
}

/// Reads the event into the type for its name; `None` if it does not fit.
fn typed(json: &[u8]) -> Option<Event> {
    // One fast check that the whole body is UTF-8 saves the parser a slow check of each string.
    match simdutf8::basic::from_utf8(json) {
        Ok(text) => typed_with(json, || serde_json::Deserializer::from_str(text)),
        Err(_) => None,
    }
}

fn typed_with<'de, R: Read<'de>>(
    json: &[u8],
    reader: impl Fn() -> serde_json::Deserializer<R>,
) -> Option<Event> {
    let (mut event, mut name_first) = (None, true);
    let mut deserializer = reader();
    let name = NameFirst { event: &mut event, name_first: &mut name_first };
    let read = deserializer.deserialize_map(name);
    if name_first {
        read.ok()?;
    } else {
        let kind = Routing::read(json).ok()?.kind();
        deserializer = reader();
        event = Some(payload(&kind, &mut deserializer, false).ok()?);
    }
    deserializer.end().ok()?;
    event
}

/// Reads the payload of a known or unknown event: the fields that follow the name if `after_name`,
/// otherwise the whole object.
fn payload<'de, D: Deserializer<'de>>(
    kind: &EventKind,
    json: D,
    after_name: bool,
) -> Result<Event, D::Error> {
    let lifecycle = |json| Lifecycle::read(json, after_name);
    Ok(match kind {
        EventKind::MessageReceived => {
            Event::MessageReceived(MessageReceived::read(json, after_name)?)
        }
        EventKind::InboxSuspended => Event::InboxSuspended(lifecycle(json)?),
        EventKind::InboxReactivated => Event::InboxReactivated(lifecycle(json)?),
        EventKind::PodSuspended => Event::PodSuspended(lifecycle(json)?),
        EventKind::PodReactivated => Event::PodReactivated(lifecycle(json)?),
        EventKind::SetupTest => Event::SetupTest(SetupTest::read(json, after_name)?),
        EventKind::Other(_) => Event::Unknown(UnknownEvent::deserialize(json)?),
    })
}

/// Reads an event that fits no type, or returns why the body is not an event.
fn untyped(json: &[u8]) -> Result<Event, InvalidPayload> {
    let routing = Routing::read(json)?;
    match serde_json::from_slice::<UnknownEvent>(json) {
        Ok(event) => {
            let is_mail = routing.kind() == EventKind::MessageReceived;
            let misfit = routing.misfit().filter(|_| is_mail);
            Ok(Event::Unknown(UnknownEvent { misfit, ..event }))
        }
        // Every field is lenient, so the only error left is a reserved key.
        Err(error) if error.is_data() => Err(InvalidPayload::new(InvalidPayloadKind::ReservedKey)),
        Err(_) => Ok(Event::Unknown(UnknownEvent::of(&routing, Misfit::TooDeep))),
    }
}

/// Reads an event whose name comes first and is known; otherwise, clears `name_first`. The event is
/// written to `event`, since it is large and each return would copy it.
struct NameFirst<'a> {
    event: &'a mut Option<Event>,
    name_first: &'a mut bool,
}

impl<'de> Visitor<'de> for NameFirst<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if map.next_key::<Text<'de>>()?.is_some_and(|key| key.as_str() == "event") {
            let kind = map.next_value::<Text<'de>>()?.as_str().into();
            // The name of an unknown event is one of its fields, so the event is read again as a
            // whole.
            if !matches!(kind, EventKind::Other(_)) {
                *self.event = Some(payload(&kind, MapAccessDeserializer::new(map), true)?);
                return Ok(());
            }
        }
        *self.name_first = false;
        Err(A::Error::custom("to be read again"))
    }
}
