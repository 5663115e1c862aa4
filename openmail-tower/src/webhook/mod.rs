//! From an HTTP request to a [`VerifiedEvent`](crate::VerifiedEvent), and from its outcome to the
//! HTTP response.
//!
//! [`VerifyLayer`] checks a request: its head, its body, its signature, and its event. [`Endpoint`]
//! calls the service of events and turns its outcome into the response. [`webhook()`] is both in
//! one call.

mod answer;
#[cfg(feature = "axum")]
mod axum;
mod endpoint;
pub mod keyring;
mod secret;
pub mod signature;
mod verify;

#[cfg(feature = "axum")]
pub use axum::MissingVerifyLayer;
pub use endpoint::{Endpoint, EndpointFuture, webhook};
pub use keyring::{InboxKeyring, Keyring};
pub use secret::{
    PREVIOUS_SECRET_VARIABLE, SECRET_VARIABLE, Secret, SecretError, SecretErrorKind, Secrets,
};
pub use verify::{
    Rejection, RejectionKind, ResponseBody, ResponseFuture, VerifiedBody, Verify, VerifyLayer,
};
