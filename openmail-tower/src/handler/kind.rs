//! Events as types: what lets the compiler refuse an argument that the event does not have.

use crate::{
    event::{
        EventId, InboxId, Lifecycle, Message, MessageReceived, SetupTest, ThreadId, UnknownEvent,
    },
    handler::{Attempt, FromEvent},
};

/// The events that `#[openmail_handler(event = "…")]` can name. A list of them is nested pairs.
pub mod kinds {
    /// `message.received`
    #[derive(Debug)]
    pub enum MessageReceivedEvent {}
    /// `inbox.suspended`
    #[derive(Debug)]
    pub enum InboxSuspendedEvent {}
    /// `inbox.reactivated`
    #[derive(Debug)]
    pub enum InboxReactivatedEvent {}
    /// `pod.suspended`
    #[derive(Debug)]
    pub enum PodSuspendedEvent {}
    /// `pod.reactivated`
    #[derive(Debug)]
    pub enum PodReactivatedEvent {}
    /// `setup.test`
    #[derive(Debug)]
    pub enum SetupTestEvent {}
    /// An event this crate does not know (`unlisted`).
    #[derive(Debug)]
    pub enum UnlistedEvent {}
    /// Whatever comes: the event of a handler that names none.
    #[derive(Debug)]
    pub enum AnyEvent {}
    /// Whatever the handler names, once [`argument`](super::argument) has been asked.
    #[derive(Debug)]
    pub enum CheckedEvent {}
}

/// Says that events of this kind hold a `P`.
#[diagnostic::on_unimplemented(
    message = "this handler's event has no `{P}`",
    label = "not in a `{Self}`",
    note = "every event has `&VerifiedEvent`, `&Event`, `EventKind`, `RawBody`, `State<T>`, `Payload<T>` and `Option` of the ids"
)]
pub trait Carries<P> {}

impl<P, A: Carries<P>, B: Carries<P>> Carries<P> for (A, B) {}

impl<P> Carries<P> for kinds::CheckedEvent {}

macro_rules! carry {
    ($($kind:ident: $($payload:ty),*;)*) => {$($(impl Carries<$payload> for kinds::$kind {})*)*};
}

carry! {
    MessageReceivedEvent: MessageReceived, Message, EventId, InboxId, ThreadId, Attempt;
    InboxSuspendedEvent: Lifecycle, EventId, InboxId;
    InboxReactivatedEvent: Lifecycle, EventId, InboxId;
    PodSuspendedEvent: Lifecycle, EventId;
    PodReactivatedEvent: Lifecycle, EventId;
    SetupTestEvent: SetupTest;
    UnlistedEvent: UnknownEvent, EventId, InboxId, ThreadId, Attempt;
}

/// Stands for a state from which everything can be taken, while the macro asks whether an argument
/// suits the event: whether it suits the state is asked where the handler is registered.
#[derive(Debug)]
pub enum AnyState {}

/// Compiles where a `T` can be taken from an event of kind `K`.
pub fn argument<'e, K, T: FromEvent<'e, K, AnyState>>() {}
