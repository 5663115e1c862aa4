//! A handler, and what it says of itself.

use std::{fmt, sync::Arc};

use crate::seam::{OutcomeFuture, VerifiedEvent};

/// Handles events, given the router's state `S`. `#[openmail_handler]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for a router with the state `{S}`",
    note = "handlers are made by `#[openmail_handler]`; each of their arguments must come from the event or the state"
)]
pub trait Handler<S>: Send + Sync + 'static {
    /// Runs it.
    fn call(&self, event: VerifiedEvent, state: Arc<S>) -> OutcomeFuture;
}

/// A handler that names its events: what [`EventRouter::handler`](crate::EventRouter::handler)
/// takes. `#[openmail_handler(event = "…")]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of named events for a router with the state `{S}`",
    note = "`#[openmail_handler(event = \"message.received\")]` makes one; `EventRouter::fallback` takes a handler without `event`"
)]
pub trait EventHandler<S>: Handler<S> {
    /// The events and inboxes that it asks for.
    const ROUTE: Route;
}

/// Which events a handler asks for.
#[derive(Debug, Clone, Copy)]
#[doc(hidden)]
pub struct Route {
    pub name: &'static str,
    pub events: &'static [&'static str],
    /// None means every inbox that no other handler asks for.
    pub inboxes: &'static [&'static str],
    pub location: Location,
}

/// Where a handler stands in the source.
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
