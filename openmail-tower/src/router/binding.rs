//! What is bound to an inbox.

use std::{fmt, panic::Location, slice, sync::Arc};

use crate::{
    handler::{Handler, Route},
    seam::{OutcomeFuture, VerifiedEvent},
};

/// A handler in a table, and what it is.
pub(super) struct Entry<S> {
    pub(super) handler: Arc<dyn Handler<S>>,
    pub(super) about: About,
}

impl<S> Clone for Entry<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), about: self.about }
    }
}

/// What stands behind an entry: enough to name it, and which events it takes.
#[derive(Clone, Copy)]
pub(super) enum About {
    Handler(&'static Route),
    /// A service, bound there; it takes all events.
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
            Self::Service(place) => write!(f, "the service of {}:{}", place.file(), place.line()),
        }
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All that is bound to one inbox. Mostly one, which is then where the lookup has come to already:
/// at a million inboxes, each place further costs as much as the hash.
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

/// A handler that has its state already.
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
