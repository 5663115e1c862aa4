//! The handlers and services bound to an inbox.

use std::{fmt, panic::Location, slice, sync::Arc};

use crate::{
    handler::{Handler, Route},
    seam::{OutcomeFuture, VerifiedEvent},
};

/// A handler in a table, and what is known about it.
pub(super) struct Entry<S> {
    pub(super) handler: Arc<dyn Handler<S>>,
    pub(super) about: About,
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), about: self.about }
    }
}

/// What an entry is: enough to name it in an error, and to decide which events it takes.
#[derive(Clone, Copy)]
pub(super) enum About {
    Handler(&'static Route),
    /// A service, and where it was bound. It takes all events.
    Service(&'static Location<'static>),
}

impl About {
    pub(super) fn takes(self, event: &str) -> bool {
        match self {
            Self::Handler(route) => route.events.contains(&event),
            Self::Service(_) => true,
        }
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        match self {
            Self::Handler(route) => route.events.iter().any(|event| other.takes(event)),
            Self::Service(_) => true,
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(route) => write!(f, "`{}` ({})", route.name, route.location),
            Self::Service(place) => {
                write!(f, "the service given at {}:{}", place.file(), place.line())
            }
        }
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Everything bound to one inbox. Usually this is a single entry, which is then stored in the map
/// itself: at a million inboxes, access to memory takes most of the time of a lookup.
#[derive(Clone)]
pub(super) enum Bound<T> {
    One(T),
    Many(Arc<[T]>),
}

impl<T: Clone> Bound<T> {
    pub(super) fn all(&self) -> &[T] {
        match self {
            Self::One(bound) => slice::from_ref(bound),
            Self::Many(bound) => bound,
        }
    }

    #[must_use]
    pub(super) fn and(&self, another: T) -> Self {
        Self::Many(self.all().iter().cloned().chain([another]).collect())
    }
}

/// Wraps a handler that already has its state.
pub(super) fn stateful<F>(call: F) -> Arc<dyn Handler<()>>
where
    F: Fn(VerifiedEvent) -> OutcomeFuture + Send + Sync + 'static,
{
    Arc::new(Stateful(call))
}

struct Stateful<F>(F);

impl<F> Handler<()> for Stateful<F>
where
    F: Fn(VerifiedEvent) -> OutcomeFuture + Send + Sync + 'static,
{
    fn call(&self, event: VerifiedEvent, _: Arc<()>) -> OutcomeFuture {
        (self.0)(event)
    }
}
