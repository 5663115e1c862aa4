//! Finds the fields by which an event is routed and recognised, without reading the rest.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    invalid::{InvalidPayload, InvalidPayloadKind},
    kind::EventKind,
    misfit::Misfit,
    payload::Text,
    value::NUMBER,
};

/// The keys that route and identify an event. Each may appear only once, except `thread_id` and, in
/// an event that is not about a mail, `message` and its `id`.
#[derive(Default)]
pub(super) struct Routing {
    event: Option<Field>,
    event_id: Option<Field>,
    inbox_id: Option<Field>,
    thread_id: Option<Field>,
    message: Option<Field>,
    message_id: Option<Field>,
    /// A repeated key that routes or identifies the event.
    duplicate: Option<&'static str>,
    /// A repeated key that identifies a mail, which matters only in an event that may have one.
    duplicate_mail: Option<&'static str>,
}

/// A field's value, as far as it matters here.
enum Field {
    Null,
    Text(String),
    Object,
    Other,
}

impl Routing {
    /// Reads a whole body, however deeply it is nested.
    pub(super) fn read(json: &[u8]) -> Result<Self, InvalidPayload> {
        let mut routing = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let read = deserializer.deserialize_map(Keys {
            routing: &mut routing,
            inner: false,
            is_number: false,
        });
        let read = read.and_then(|()| deserializer.end());
        read.map_err(|error| InvalidPayload::of_json(&error))?;
        // Skipped values are not checked, but the body as a whole must be UTF-8.
        if simdutf8::basic::from_utf8(json).is_err() {
            return Err(InvalidPayload::new(InvalidPayloadKind::Malformed));
        }
        match (
            &routing.event,
            routing.duplicate.or(routing.duplicate_mail.filter(|_| routing.has_mail())),
        ) {
            (_, Some(key)) => Err(InvalidPayload::duplicate(key)),
            (Some(Field::Text(_)), None) => Ok(routing),
            _ => Err(InvalidPayload::new(InvalidPayloadKind::MissingEvent)),
        }
    }

    pub(super) fn kind(&self) -> EventKind {
        self.event().into()
    }

    /// Returns whether the field `message` may be a mail: in every event except those that are
    /// known to be about something else.
    fn has_mail(&self) -> bool {
        matches!(self.kind(), EventKind::MessageReceived | EventKind::Other(_))
    }

    pub(super) fn event(&self) -> &str {
        text(self.event.as_ref()).unwrap_or_default()
    }

    pub(super) fn event_id(&self) -> Option<&str> {
        text(self.event_id.as_ref())
    }

    pub(super) fn inbox_id(&self) -> Option<&str> {
        text(self.inbox_id.as_ref())
    }

    pub(super) fn thread_id(&self) -> Option<&str> {
        text(self.thread_id.as_ref())
    }

    /// Returns why a `message.received` is incomplete; `None` if it has all that it needs.
    pub(super) fn misfit(&self) -> Option<Misfit> {
        let is_text = |field: &Field| matches!(field, Field::Text(_));
        let is_object = |field: &Field| matches!(field, Field::Object);
        check(self.inbox_id.as_ref(), "inbox_id", is_text)
            .or_else(|| check(self.message.as_ref(), "message", is_object))
            .or_else(|| check(self.message_id.as_ref(), "message.id", is_text))
    }

    fn slot(&mut self, key: &str, inner: bool) -> Option<(&'static str, &mut Option<Field>)> {
        Some(match (key, inner) {
            ("event", false) => ("event", &mut self.event),
            ("event_id", false) => ("event_id", &mut self.event_id),
            ("inbox_id", false) => ("inbox_id", &mut self.inbox_id),
            ("message", false) => ("message", &mut self.message),
            ("id", true) => ("message.id", &mut self.message_id),
            _ => return None,
        })
    }
}

fn text(field: Option<&Field>) -> Option<&str> {
    match field {
        Some(Field::Text(text)) => Some(text),
        _ => None,
    }
}

fn check(
    field: Option<&Field>,
    name: &'static str,
    fits: impl Fn(&Field) -> bool,
) -> Option<Misfit> {
    match field {
        None | Some(Field::Null) => Some(Misfit::MissingField(name)),
        Some(field) if fits(field) => None,
        Some(_) => Some(Misfit::WrongType(name)),
    }
}

/// Reads the keys of the event, or of its `message`.
struct Keys<'a> {
    routing: &'a mut Routing,
    inner: bool,
    /// Whether the object is in fact a number: with `serde_json`'s `arbitrary_precision`, some
    /// numbers arrive as maps.
    is_number: bool,
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.read(&mut map)
    }
}

impl Keys<'_> {
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let Self { routing, inner, is_number } = self;
        let inner = *inner;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            *is_number = key.as_str() == NUMBER;
            if key.as_str() == "thread_id" && !inner {
                // Unlike the fields in the slots, it may appear twice. Here, the last one counts.
                routing.thread_id = Some(map.next_value()?);
                continue;
            }
            let Some((name, slot)) = routing.slot(key.as_str(), inner) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if slot.is_some() {
                let mail = name.starts_with("message");
                *(if mail { &mut routing.duplicate_mail } else { &mut routing.duplicate }) =
                    Some(name);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if name == "message" {
                *slot = Some(Field::Other);
                let field = map.next_value_seed(Inner(routing))?;
                routing.message = Some(field);
            } else {
                *slot = Some(map.next_value()?);
            }
        }
        Ok(())
    }
}

/// Reads `message`.
struct Inner<'a>(&'a mut Routing);

impl<'de> serde::de::DeserializeSeed<'de> for Inner<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_any(FieldVisitor(Some(self.0)))
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(None))
    }
}

struct FieldVisitor<'a>(Option<&'a mut Routing>);

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Field, E> {
        Ok(Field::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let Some(routing) = self.0 else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Field::Object);
        };
        let mut keys = Keys { routing, inner: true, is_number: false };
        keys.read(&mut map)?;
        Ok(if keys.is_number { Field::Other } else { Field::Object })
    }
}
