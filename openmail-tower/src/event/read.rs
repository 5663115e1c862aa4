//! From the body to the event, in one pass: its name usually comes first, and says into which type
//! the rest is to be read. Where it comes later, it is looked for before.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Error, de::Read};

use super::{kind::EventKind, parse::Event, payload::Text, unlisted::UnknownEvent};

/// Reads an event.
pub(super) fn event(json: &[u8]) -> Result<Event, Error> {
    mending(json, read)
}

/// Reads JSON, and where that fails for a surrogate that stands alone, once more without it.
pub(crate) fn mending<T>(
    json: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<T, Error> {
    read(json).or_else(|error| match mend_surrogates(json) {
        Cow::Owned(mended) => read(&mended),
        Cow::Borrowed(_) => Err(error),
    })
}

fn read(json: &[u8]) -> Result<Event, Error> {
    // One fast look at the whole spares the parser a slow one at each text in it.
    match simdutf8::basic::from_utf8(json) {
        Ok(text) => read_with(|| serde_json::Deserializer::from_str(text)),
        Err(_) => read_with(|| serde_json::Deserializer::from_slice(json)),
    }
}

fn read_with<'de, R: Read<'de>>(
    json: impl Fn() -> serde_json::Deserializer<R>,
) -> Result<Event, Error> {
    let mut name_first = true;
    let mut deserializer = json();
    let mut read = deserializer.deserialize_map(NameFirst(&mut name_first));
    if !name_first {
        let kind = name(&mut json())?;
        deserializer = json();
        read = payload(&kind, &mut deserializer);
    }
    let event = read?;
    deserializer.end()?;
    Ok(event)
}

/// Reads what stands around or after the name.
fn payload<'de, D: Deserializer<'de>>(kind: &EventKind, json: D) -> Result<Event, D::Error> {
    Ok(match kind {
        EventKind::MessageReceived => Event::MessageReceived(Deserialize::deserialize(json)?),
        EventKind::InboxSuspended => Event::InboxSuspended(Deserialize::deserialize(json)?),
        EventKind::InboxReactivated => Event::InboxReactivated(Deserialize::deserialize(json)?),
        EventKind::PodSuspended => Event::PodSuspended(Deserialize::deserialize(json)?),
        EventKind::PodReactivated => Event::PodReactivated(Deserialize::deserialize(json)?),
        EventKind::SetupTest => Event::SetupTest(Deserialize::deserialize(json)?),
        // Where it is said twice, what it was taken for is what it says of itself.
        EventKind::Other(name) => {
            let event = name.to_string();
            Event::Unknown(UnknownEvent { event, ..Deserialize::deserialize(json)? })
        }
    })
}

/// Reads an event whose name comes first, and is known; says where it is not so.
struct NameFirst<'a>(&'a mut bool);

impl<'de> Visitor<'de> for NameFirst<'_> {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        if map.next_key::<Text<'de>>()?.is_some_and(|key| key.as_str() == "event") {
            let kind = map.next_value::<Text<'de>>()?.as_str().into();
            // An event that is not known keeps its name with the rest.
            if !matches!(kind, EventKind::Other(_)) {
                return payload(&kind, MapAccessDeserializer::new(map));
            }
        }
        *self.0 = false;
        Err(A::Error::custom("to be read again"))
    }
}

/// Finds the event's name, and reads no further than there.
fn name<'de, R: Read<'de>>(json: &mut serde_json::Deserializer<R>) -> Result<EventKind, Error> {
    struct Name<'a>(&'a mut Option<EventKind>);

    impl<'de> Visitor<'de> for Name<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Text<'de>>()? {
                if key.as_str() == "event" {
                    *self.0 = Some(map.next_value::<Text<'de>>()?.as_str().into());
                    return Ok(());
                }
                map.next_value::<IgnoredAny>()?;
            }
            Err(A::Error::missing_field("event"))
        }
    }

    let mut found = None;
    let rest = json.deserialize_map(Name(&mut found));
    // That the object goes on after the name is no error here.
    found.ok_or_else(|| rest.err().unwrap_or_else(|| Error::missing_field("event")))
}

/// Replaces surrogates that stand alone by U+FFFD.
///
/// JavaScript cuts text between the two halves of an emoji without a blink (`parsedText` is cut at
/// 50,000 characters) and writes the half as `\ud83d`. Rust's text cannot hold that, and a mail must
/// not be lost to it.
fn mend_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let unit = |at: usize| -> Option<u16> {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|&byte| byte == b'\\') {
        at += found;
        let alone = match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => {
                at += 12;
                continue;
            }
            Some(0xD800..=0xDFFF) => true,
            _ => false,
        };
        if alone {
            mended.to_mut()[at + 2..at + 6].copy_from_slice(b"fffd");
            at += 6;
        } else {
            at = json.len().min(at + 2);
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mending_stops_at_the_end() {
        for json in ["\\", "x\\", "\\u", "\\ud83", "\\ud83d", "\\ud83d\\", "\\ud83d\\u+c8c"] {
            mend_surrogates(json.as_bytes());
        }
    }
}
