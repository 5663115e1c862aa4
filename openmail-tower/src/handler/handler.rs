//! [`Handler`], [`EventHandler`], and the route of a handler.

use std::{fmt, sync::Arc};

use crate::seam::{OutcomeFuture, VerifiedEvent};

/// Handles events, given the router's state `S`. `#[openmail_handler]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for a router with the state `{S}`",
    note = "`#[openmail_handler]` creates handlers; each argument must come from the event or the state"
)]
pub trait Handler<S>: Send + Sync + 'static {
    /// Runs the handler on an event.
    fn call(&self, event: VerifiedEvent, state: Arc<S>) -> OutcomeFuture;
}

/// A handler that names its events, to be passed to
/// [`EventRouter::handler`](crate::EventRouter::handler). `#[openmail_handler(event = "…")]`
/// implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of named events for a router with the state `{S}`",
    note = "`#[openmail_handler(event = \"message.received\")]` creates one; `EventRouter::fallback` takes a handler without `event`"
)]
pub trait EventHandler<S>: Handler<S> {
    /// The events and inboxes that it handles.
    const ROUTE: Route;
}

/// The events and inboxes that a handler handles.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Route {
    pub name: &'static str,
    pub events: &'static [&'static str],
    /// Empty means every inbox without its own handler for the event.
    pub inboxes: &'static [&'static str],
    pub location: Location,
}

/// The position of a handler in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub struct Location {
    pub file: &'static str,
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
