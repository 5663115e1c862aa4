//! Handlers: what they are, what they take and what they return.
//!
//! `#[openmail_handler]` turns an async function into a [`Handler`]. [`FromEvent`] extracts its
//! arguments, and [`IntoOutcome`] turns what it returns into an [`Outcome`](crate::Outcome) or a
//! [`HandlerError`](crate::HandlerError).

#[cfg(feature = "macros")]
mod attribute;
mod extract;
#[expect(clippy::module_inception, reason = "the trait's own file")]
mod handler;
mod kind;
mod returns;

#[cfg(feature = "macros")]
pub use attribute::openmail_handler;
pub use extract::{Attempt, FromEvent, FromRef, Payload, RawBody, State};
pub use handler::{EventHandler, Handler};
#[doc(hidden)]
pub use handler::{Location, Route};
#[doc(hidden)]
pub use kind::{AnyArgument, Argument, Carries, Part, PartOfEvent, kinds};
pub use returns::IntoOutcome;
