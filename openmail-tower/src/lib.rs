//! TODO guide

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used)]

mod answer;
#[cfg(feature = "axum")]
mod axum;
mod endpoint;
mod event;
mod keyring;
mod router;
mod secret;
pub mod signature;
mod verified;
mod verify;

#[cfg(feature = "axum")]
pub use axum::MissingVerifyLayer;
pub use endpoint::{Endpoint, EndpointFuture, webhook};
pub use event::{
    Attachment, Category, Event, EventId, EventKind, ExtractionMethod, InboxId, InvalidPayload,
    Lifecycle, Mailbox, Message, MessageId, MessageReceived, PodId, SetupTest, SuspensionReason,
    ThreadId, UnknownEvent, Verdict,
};
pub use keyring::{Keyring, Keys, Scope};
pub use router::{
    Attempt, BoxError, EventHandler, EventRouter, FromEvent, FromRef, Handler, HandlerError,
    HandlerErrorKind, HandlerFuture, IntoOutcome, Outcome, Payload, RawBody, RouterFuture, State,
};
pub use secret::{
    PREVIOUS_SECRET_VARIABLE, SECRET_VARIABLE, Secret, SecretError, SecretErrorKind, Secrets,
};
pub use verified::{StoredEvent, VerifiedEvent};
pub use verify::{
    Rejection, RejectionKind, ResponseBody, ResponseFuture, VerifiedBody, Verify, VerifyLayer,
};

#[cfg(feature = "macros")]
pub use openmail_macros::openmail_handler;

/// What `#[openmail_handler]` expands to. Not for anyone else.
#[doc(hidden)]
pub mod __private {
    pub use crate::router::{AnyState, Carries, Location, Route, kinds};
    pub use std::sync::Arc;
}
