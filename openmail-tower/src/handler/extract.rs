//! What a handler may take.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    event::{
        Event, EventId, EventKind, InboxId, Lifecycle, Message, MessageReceived, SetupTest,
        ThreadId, Unfit, UnknownEvent, mending,
    },
    seam::{HandlerError, VerifiedEvent},
};

/// An argument of a handler, taken from an event and the router's state `S`.
///
/// | argument | of which events |
/// |---|---|
/// | `&MessageReceived`, `&Message` | `message.received` |
/// | `&Lifecycle` | the four lifecycle events |
/// | `&SetupTest` | `setup.test` |
/// | `&UnknownEvent` | those that are `unlisted` |
/// | `ThreadId`, `Attempt` | `message.received`, `unlisted` |
/// | `InboxId` | `message.received`, `inbox.*`, `unlisted` |
/// | `EventId` | all but `setup.test` |
/// | `Option<EventId>`, `Option<InboxId>`, `Option<ThreadId>`, `Option<Attempt>` | every |
/// | `&Event`, `&VerifiedEvent`, `EventKind`, `RawBody`, `State<T>`, `Payload<T>` | every |
///
/// Whatever can be borrowed can be taken by value as well, which copies it.
///
/// The attribute refuses an argument that the handler's events do not have, where that argument
/// stands. An event may still lack what its kind usually has: a handler that takes the bare id or
/// `Attempt` then fails and is tried again. `Option` takes it as it comes.
///
/// # Your own
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
    note = "the router's state is taken by `openmail_tower::handler::State`; axum's `State` is another type",
    note = "`FromEvent` may be implemented for another type of state than `{S}` only"
)]
pub trait FromEvent<'e, S>: Sized {
    /// Extracts the argument.
    ///
    /// # Errors
    /// When the event does not have it after all. The handler is then not run, and the event is
    /// tried again unless the error is [permanent](HandlerError::permanent).
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
    Lifecycle, "inbox or pod", event => event.lifecycle();
    SetupTest, "test", event => match event { Event::SetupTest(test) => Some(test), _ => None };
    UnknownEvent, "news", event => match event { Event::Unknown(news) => Some(news), _ => None };
}

macro_rules! ids {
    ($($type:ty, $name:literal, $event:ident => $take:expr;)*) => {$(
        impl<'e, S> FromEvent<'e, S> for $type {
            fn from_event($event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
                // Not for good: it is news that an event of this kind lacks it, and no mail is to be
                // lost to news.
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

/// Which attempt this is, from 1: OpenMail's to deliver the event or, once a queue has it, the
/// queue's to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

/// The body as it was signed, to the byte. `Debug` shows its size.
#[derive(Clone)]
pub struct RawBody(pub Bytes);

impl fmt::Debug for RawBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawBody({} bytes)", self.0.len())
    }
}

/// The whole event, read into a type of your own: for events that this crate does not know yet.
///
/// Half an emoji, as JavaScript writes it where it cuts a text (`\ud83d`), is read as U+FFFD. An
/// event that does not fit the type has failed and is tried again: a corrected type may read it. The
/// error names the type's field and the place, and quotes nothing of the event.
#[derive(Debug, Clone, Copy)]
pub struct Payload<T>(pub T);

impl<'e, S, T: DeserializeOwned> FromEvent<'e, S> for Payload<T> {
    fn from_event(event: &'e VerifiedEvent, _: &'e S) -> Result<Self, HandlerError> {
        let payload = mending(event.raw_body(), |json| serde_json::from_slice(json));
        payload.map(Self).map_err(|error| HandlerError::failed(Unfit::from(error)))
    }
}

/// The router's state, or a part of it by [`FromRef`].
///
/// Each run takes a clone, so the state (or the part) must be [`Clone`]: an `Arc` where it is not
/// cheap to clone. This is not axum's `State`, which takes from requests.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

impl<'e, S, T: FromRef<S>> FromEvent<'e, S> for State<T> {
    fn from_event(_: &'e VerifiedEvent, state: &'e S) -> Result<Self, HandlerError> {
        Ok(Self(T::from_ref(state)))
    }
}

/// A part of a state, or the whole of it where that is [`Clone`].
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
    note = "`EventRouter::with_state` takes the state; `FromRef` says what its parts are"
)]
pub trait FromRef<S> {
    /// Takes the part.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}
