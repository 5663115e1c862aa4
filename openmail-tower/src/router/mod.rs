//! Routing: from a verified event to the handler for it.
//!
//! [`EventRouter`] is a `tower::Service<VerifiedEvent>`. It looks up the event's name and its
//! `inbox_id` in a table that is fixed at start-up, and among the bindings that [`Inboxes`] makes
//! at run time.

mod binding;
mod inboxes;
mod service;
mod service_handler;
mod table;

pub use inboxes::{AlreadyBound, Inboxes};
pub use service::EventRouter;
