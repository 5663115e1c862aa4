//! From a verified event to the handler that asked for it.
//!
//! [`EventRouter`] is a `tower::Service<VerifiedEvent>`: it looks up the event's name, then its
//! `inbox_id`, and runs the handler that `#[openmail_handler]` made of an async function. What the
//! handler takes is extracted by [`FromEvent`], what it returns becomes an [`Outcome`] or a
//! [`HandlerError`].

mod binding;
mod error;
mod extract;
mod handler;
mod inboxes;
mod kind;
mod oneshot;
mod outcome;
mod panic;
mod service;
mod service_handler;
mod table;

pub use error::{BoxError, HandlerError, HandlerErrorKind};
pub use extract::{Attempt, FromEvent, FromRef, Payload, RawBody, State};
pub use handler::{EventHandler, Handler, HandlerFuture, Location, Route};
pub use inboxes::{AlreadyBound, Inboxes};
pub use kind::{AnyState, Carries, argument, kinds};
pub(crate) use oneshot::Oneshot;
pub use outcome::{IntoOutcome, Outcome};
pub(crate) use panic::CatchPanic;
pub use service::{EventRouter, RouterFuture};
