//! Routing: from a verified event to the handler that asked for it.
//!
//! [`EventRouter`] is a `tower::Service<VerifiedEvent>`. It looks up the event's name and its
//! `inbox_id` in a table fixed at start-up, and in the bindings that [`Inboxes`] makes at run time.

mod binding;
mod inboxes;
mod service;
mod service_handler;
mod table;

pub use inboxes::{AlreadyBound, Inboxes};
pub use service::EventRouter;
