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
#[expect(clippy::large_enum_variant, reason = "nearly every event is of the largest variant")]
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
    /// The webhook was tested, with "Test webhook" in OpenMail's settings or through its API.
    SetupTest(SetupTest),
    /// An event with an unknown name, a known event that does not fit its type, or an event that is
    /// nested too deeply. In the last two cases, [`misfit`](Self::misfit) says why.
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
    /// A known event that does not fit its type becomes `Unknown`, and `misfit` says why:
    ///
    /// ```
    /// use openmail_tower::event::{Event, Misfit};
    ///
    /// let event = Event::from_slice(br#"{"event":"message.received","inbox_id":"inb_1"}"#)?;
    /// assert_eq!(event.misfit(), Some(Misfit::MissingField("message")));
    /// # Ok::<(), openmail_tower::event::InvalidPayload>(())
    /// ```
    ///
    /// A number that does not fit an `f64` is kept as a string, as it was written (with
    /// `serde_json`'s feature `arbitrary_precision`, as a number). Other fractions
    /// in unknown fields are as exact as `serde_json` reads them: without its feature
    /// `float_roundtrip`, the last digit may differ.
    ///
    /// # Errors
    /// If the body is not a JSON object with a string `event`. If `event`, `event_id` or `inbox_id`
    /// appears more than once; in a `message.received` or an unknown event, also if `message` or
    /// the `id` in it does. If an object has the key that `serde_json` reserves for raw values:
    /// with its feature `raw_value`, the parser would read the text in that field as JSON.
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

    /// Returns the name by which the event is routed. Empty for an event that has a
    /// [`misfit`](Self::misfit), so that no handler for its name takes it.
    pub(crate) fn routing_name(&self) -> &str {
        if self.misfit().is_some() { "" } else { self.name() }
    }

    /// Returns why a known event does not fit its type, or that the event is nested too deeply.
    /// `None` for every other event, including one with an unknown name.
    pub fn misfit(&self) -> Option<Misfit> {
        match self {
            Self::Unknown(event) => event.misfit,
            _ => None,
        }
    }

    /// Returns the event's id, the same in every delivery attempt. `None` if `event_id` is missing,
    /// as it may be in a `setup.test`, or is not a string.
    pub fn event_id(&self) -> Option<&EventId> {
        match self {
            Self::MessageReceived(event) => event.event_id.as_ref(),
            Self::SetupTest(event) => event.event_id.as_ref(),
            Self::Unknown(event) => event.event_id.as_ref(),
            _ => self.lifecycle()?.event_id.as_ref(),
        }
    }

    /// Returns the inbox that the event is about. `None` if the body has no `inbox_id`, as for
    /// `pod.*`, or one that is not a string.
    pub fn inbox_id(&self) -> Option<&InboxId> {
        match self {
            Self::MessageReceived(event) => Some(&event.inbox_id),
            Self::SetupTest(event) => event.inbox_id.as_ref(),
            Self::Unknown(event) => event.inbox_id.as_ref(),
            _ => self.lifecycle()?.inbox_id.as_ref(),
        }
    }

    /// Returns the conversation that the event belongs to. `None` for a lifecycle event or a
    /// `setup.test`, and if the body has no `thread_id` or one that is not a string.
    pub fn thread_id(&self) -> Option<&ThreadId> {
        match self {
            Self::MessageReceived(event) => event.thread_id.as_ref(),
            Self::Unknown(event) => event.thread_id.as_ref(),
            _ => None,
        }
    }

    /// Returns when the event happened. `None` for a `setup.test`, if `occurred_at` is missing or
    /// not a time, and if the event is nested too deeply.
    pub fn occurred_at(&self) -> Option<Timestamp> {
        match self {
            Self::MessageReceived(event) => event.occurred_at,
            Self::Unknown(event) => event.occurred_at,
            _ => self.lifecycle()?.occurred_at,
        }
    }

    /// Returns the number of this delivery attempt, from 1. `None` for a lifecycle event or a
    /// `setup.test`, if `attempt` is missing or not a `u32`, and if the event is nested too deeply.
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
mod tests;
