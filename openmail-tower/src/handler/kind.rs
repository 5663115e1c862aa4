//! Events as types: what lets the compiler refuse an argument that the event does not have.

use std::marker::PhantomData;

use crate::{
    event::{
        EventId, InboxId, Lifecycle, Message, MessageReceived, SetupTest, ThreadId, UnknownEvent,
    },
    handler::Attempt,
};

/// The events that `#[openmail_handler(event = "…")]` can name.
pub mod kinds {
    use std::marker::PhantomData;

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
    /// Either of two: a list of events.
    #[derive(Debug)]
    pub struct Either<A, B>(PhantomData<(A, B)>);
}

/// Says that events of this kind have a `P`.
#[diagnostic::on_unimplemented(
    message = "this handler's event has no `{P}`",
    label = "not in a `{Self}`",
    note = "every event has `&VerifiedEvent`, `&Event`, `EventKind`, `RawBody`, `State<T>`, `Payload<T>` and `Option` of the ids"
)]
pub trait Carries<P> {}

impl<P, A: Carries<P>, B: Carries<P>> Carries<P> for kinds::Either<A, B> {}

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

/// An extractor that only some events have the part for. Extractors without it are for every event.
pub trait Part {
    /// What must be in the event.
    type Payload;
}

macro_rules! parts {
    ($($payload:ty: $($extractor:ty),*;)*) => {$($(
        impl Part for $extractor {
            type Payload = $payload;
        }
    )*)*};
}

parts! {
    MessageReceived: MessageReceived, &MessageReceived;
    Message: Message, &Message;
    Lifecycle: Lifecycle, &Lifecycle;
    SetupTest: SetupTest, &SetupTest;
    UnknownEvent: UnknownEvent, &UnknownEvent;
    EventId: EventId;
    InboxId: InboxId;
    ThreadId: ThreadId;
    Attempt: Attempt;
}

/// The type of a handler's argument, to ask whether its event has it.
///
/// `(&&Argument::<T>::new()).of::<Kind>()` finds [`PartOfEvent::of`] where `T` is a [`Part`] and, one
/// dereference later, [`AnyArgument::of`] where it is not.
#[derive(Debug)]
pub struct Argument<T>(PhantomData<T>);

impl<T> Argument<T> {
    /// Makes one.
    #[expect(clippy::new_without_default, reason = "only the attribute uses it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// See [`Argument`].
pub trait PartOfEvent {
    /// What must be in the event.
    type Payload;

    /// Compiles where events of kind `K` have it.
    fn of<K: Carries<Self::Payload>>(&self) {}
}

impl<T: Part> PartOfEvent for &Argument<T> {
    type Payload = T::Payload;
}

/// See [`Argument`].
pub trait AnyArgument {
    /// Compiles.
    fn of<K>(&self) {}
}

impl<T> AnyArgument for Argument<T> {}
