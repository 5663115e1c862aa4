//! The arguments that a handler may take.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    event::{
        DeserializeError, Event, EventId, EventKind, InboxId, Lifecycle, Message, MessageReceived,
        SetupTest, ThreadId, UnknownEvent, mending,
    },
    seam::{HandlerError, VerifiedEvent},
};

/// An argument of a handler, extracted from an event and the router's state `S`.
///
/// | argument | available in |
/// |---|---|
/// | `&MessageReceived`, `&Message` | `message.received` |
/// | `&Lifecycle` | the four lifecycle events |
/// | `&SetupTest` | `setup.test` |
/// | `&UnknownEvent` | events that are `unlisted` |
/// | `ThreadId`, `Attempt` | `message.received`, `unlisted` |
/// | `InboxId` | `message.received`, `inbox.*`, `unlisted` |
/// | `EventId` | all events but `setup.test` |
/// | `Option<EventId>`, `Option<InboxId>`, `Option<ThreadId>`, `Option<Attempt>` | all events |
/// | `&Event`, `&VerifiedEvent`, `EventKind`, `RawBody`, `State<T>`, `Payload<T>` | all events |
/// | [`Agent<T>`](crate::layers::agent::Agent) | all events, behind an `AgentResolver`; fails permanently for an event without an inbox |
/// | [`Guarded`](crate::layers::guard::Guarded) | all events |
///
/// Everything that can be borrowed can also be taken by value, which clones it.
///
/// An argument that the handler's events do not have is a compile error at that argument. An event
/// may still lack an id, or the number of the attempt, that events of its kind usually have. A
/// handler that takes it without `Option` then fails, and the event is retried; with `Option`, the
/// handler gets `None`.
///
/// # Implementing your own
/// ```
/// use openmail_tower::{FromEvent, HandlerError, VerifiedEvent, handler::FromRef};
///
/// #[derive(Clone)]
/// struct Clock;
/// struct Age(std::time::Duration);
///
/// impl<'e, S> FromEvent<'e, S> for Age {
///     fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
///         Ok(Self(event.timestamp().elapsed()?))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "an event handler cannot take `{Self}`",
    label = "not an argument of a handler",
    note = "see the table of arguments at `openmail_tower::FromEvent`",
    note = "to take the router's state, use `openmail_tower::handler::State`; axum's `State` is a different type",
    note = "perhaps `{Self}` implements `FromEvent` only for a state other than `{S}`"
)]
pub trait FromEvent<'e, S>: Sized {
    /// Extracts the argument.
    ///
    /// # Errors
    /// If the event does not have it. The handler is then not run, and the event is retried unless
    /// the error is [permanent](HandlerError::permanent).
    fn from_event(event: &'e VerifiedEvent, state: &'e S) -> Result<Self, HandlerError>;
}

fn absent(what: &str) -> String {
    format!("the event has no {what}")
}

macro_rules! payloads {
    ($($type:ty, $name:literal, $event:ident => $take:expr;)*) => {$(
        impl<'e, S> FromEvent<'e, S> for &'e $type {
            fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
                let $event = event.event();
                $take.ok_or_else(|| HandlerError::permanent(absent($name)))
            }
        }

        impl<'e, S> FromEvent<'e, S> for $type {
            fn from_event(event: &'e VerifiedEvent, state: &'e S) -> Result<Self, HandlerError> {
                <&$type as FromEvent<'e, S>>::from_event(event, state).cloned()
            }
        }
    )*};
}

payloads! {
    MessageReceived, "mail", event => event.message_received();
    Message, "mail", event => event.message_received().map(|event| &event.message);
    Lifecycle, "lifecycle payload", event => event.lifecycle();
    SetupTest, "test payload", event => match event { Event::SetupTest(test) => Some(test), _ => None };
    UnknownEvent, "unlisted payload", event => match event { Event::Unknown(news) => Some(news), _ => None };
}

macro_rules! ids {
    ($($type:ty, $name:literal, $event:ident => $take:expr;)*) => {$(
        impl<'e, S> FromEvent<'e, S> for $type {
            fn from_event($event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
                // Not permanent: OpenMail may have changed this kind of event, and a mail must not
                // be lost because of that.
                $take.ok_or_else(|| HandlerError::failed(absent($name)))
            }
        }

        impl<'e, S> FromEvent<'e, S> for Option<$type> {
            fn from_event($event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
                Ok($take)
            }
        }
    )*};
}

ids! {
    EventId, "event_id", event => event.event_id().cloned();
    InboxId, "inbox_id", event => event.inbox_id().cloned();
    ThreadId, "thread_id", event => event.thread_id().cloned();
    Attempt, "attempt", event => event.attempt().map(Attempt);
}

macro_rules! always {
    ($($type:ty, $event:ident => $take:expr;)*) => {$(
        impl<'e, S> FromEvent<'e, S> for $type {
            fn from_event($event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
                Ok($take)
            }
        }
    )*};
}

always! {
    &'e VerifiedEvent, event => event;
    VerifiedEvent, event => event.clone();
    &'e Event, event => event.event();
    Event, event => event.event().clone();
    EventKind, event => event.kind();
    RawBody, event => RawBody(event.raw_body().clone());
}

/// The number of this attempt, from 1: OpenMail's attempt to deliver the event or, once a queue has
/// taken it, the queue's attempt to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

/// The body exactly as it was signed. `Debug` shows its size.
#[derive(Clone)]
pub struct RawBody(pub Bytes);

impl fmt::Debug for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawBody({} bytes)", self.0.len())
    }
}

/// The whole event, read into your own type: for events that this crate does not know yet.
///
/// A lone surrogate (`\ud83d`), which JavaScript writes where it cuts a text inside an emoji, is
/// read as U+FFFD. If the event does not fit the type, the run fails and the event is retried,
/// since a corrected type may be able to read it. The error says why and where it does not fit, but
/// quotes no value from the event.
#[derive(Debug, Clone, Copy)]
pub struct Payload<T>(pub T);

impl<'e, S, T: DeserializeOwned> FromEvent<'e, S> for Payload<T> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        let payload = mending(event.raw_body(), |json| serde_json::from_slice(json));
        payload.map(Self).map_err(|error| HandlerError::failed(DeserializeError::from(error)))
    }
}

/// The router's state, or a part of it by [`FromRef`].
///
/// Each run takes its own: a clone of the whole state, which must be [`Clone`], or the part that
/// `FromRef` returns, usually a clone as well. Use an `Arc` for what is expensive to clone. This is
/// not axum's `State`, which extracts from requests.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

impl<'e, S, T: FromRef<S>> FromEvent<'e, S> for State<T> {
    fn from_event(_: &'e VerifiedEvent, state: &'e S) -> Result<Self, HandlerError> {
        Ok(Self(T::from_ref(state)))
    }
}

/// A part of a state, or the whole state if that is [`Clone`].
///
/// ```
/// use openmail_tower::handler::FromRef;
///
/// #[derive(Clone)]
/// struct Database;
/// #[derive(Clone)]
/// struct AppState { database: Database }
///
/// impl FromRef<AppState> for Database {
///     fn from_ref(state: &AppState) -> Self {
///         state.database.clone()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of the router's state `{S}`",
    note = "`EventRouter::with_state` sets the state; `FromRef` defines its parts"
)]
pub trait FromRef<S> {
    /// Returns the part.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_absent_payload() {
        let json = r#"{"event":"message.received","inbox_id":"i","message":{"id":"m"}}"#;
        let mail = VerifiedEvent::parse(json.into(), std::time::UNIX_EPOCH).unwrap();
        let error = <&Lifecycle as FromEvent<'_, ()>>::from_event(&mail, &()).unwrap_err();
        assert_eq!(error.to_string(), "the event has no lifecycle payload");
        assert_eq!(error.kind(), crate::HandlerErrorKind::Permanent);
    }
}
