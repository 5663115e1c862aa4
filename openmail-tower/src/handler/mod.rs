//! What a handler is, what it may take and what it may return.
//!
//! `#[openmail_handler]` makes a [`Handler`] of an async function. What the function takes is
//! extracted by [`FromEvent`], what it returns becomes an [`Outcome`](crate::Outcome) or a
//! [`HandlerError`](crate::HandlerError) by [`IntoOutcome`].

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
