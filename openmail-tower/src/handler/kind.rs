//! Events as types, by which the compiler rejects an argument that the event does not have.

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
    /// An event that this crate does not know (`unlisted`).
    #[derive(Debug)]
    pub enum UnlistedEvent {}
    /// Any event: for a handler without `event`.
    #[derive(Debug)]
    pub enum AnyEvent {}
    /// One of two kinds; nested for a list of events.
    #[derive(Debug)]
    pub struct Either<A, B>(PhantomData<(A, B)>);
}

/// Implemented by kinds of events that carry a `P`.
#[diagnostic::on_unimplemented(
    message = "this handler's event has no `{P}`",
    label = "not in a `{Self}`",
    note = "a handler of any event can take `&VerifiedEvent`, `&Event`, `EventKind`, `RawBody`, `State<T>`, `Payload<T>`, `Option<EventId>`, `Option<InboxId>`, `Option<ThreadId>` and `Option<Attempt>`"
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

/// An extractor that only some events can provide. Extractors that do not implement it are
/// available in all events.
pub trait Part {
    /// What the event must carry.
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

/// The type of a handler's argument, to check whether its event provides it.
///
/// `(&&Argument::<T>::new()).of::<Kind>()` resolves to [`PartOfEvent::of`] if `T` is a [`Part`] and
/// otherwise, one dereference later, to [`AnyArgument::of`].
#[derive(Debug)]
pub struct Argument<T>(PhantomData<T>);

impl<T> Argument<T> {
    /// Creates the marker.
    #[expect(clippy::new_without_default, reason = "only the attribute uses it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// See [`Argument`].
pub trait PartOfEvent {
    /// What the event must carry.
    type Payload;

    /// Compiles only if events of kind `K` carry it.
    fn of<K: Carries<Self::Payload>>(&self) {}
}

impl<T: Part> PartOfEvent for &Argument<T> {
    type Payload = T::Payload;
}

/// See [`Argument`].
pub trait AnyArgument {
    /// Always compiles.
    fn of<K>(&self) {}
}

impl<T> AnyArgument for Argument<T> {}
