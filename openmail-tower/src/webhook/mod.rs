//! From an HTTP request to a [`VerifiedEvent`](crate::VerifiedEvent), and from its outcome to the
//! HTTP response.
//!
//! [`VerifyLayer`] checks a request: its head, its body, its signature, and its event. [`Endpoint`]
//! calls the service that handles events and turns its outcome into the response. [`webhook()`]
//! combines both.
//!
//! # Responses
//!
//! | what | status | `error` |
//! |---|---|---|
//! | handled or queued; duplicate of a finished or queued event; refused or muted by a guard; no handler matches, as for a `setup.test` or an unknown event (404 `unrouted` with [`refuse_unrouted`](Endpoint::refuse_unrouted)); failed permanently, which is logged | 200 | |
//! | not `POST` | 405, `Allow: POST` | `method_not_allowed` |
//! | `X-Timestamp` or `X-Signature` missing, given more than once or malformed | 400 | `missing_header`, `ambiguous_header`, `malformed_timestamp`, `malformed_signature` |
//! | `X-Timestamp` outside the window (default: 300 s) | 400 | `stale_timestamp` |
//! | declared or actual size over the limit (default: 8 MiB) | 413 | `body_too_large` |
//! | body not complete in time (default: 10 s), or slower than the minimum rate (default: 16 KiB/s); connection lost before the end of the body | 408; 400 | `body_timeout`; `body_incomplete` |
//! | the shared budget for bodies and events has no room | 503, `Retry-After` | `overloaded` |
//! | no secret verifies the signature; the secret that verifies it may not sign for the event's inbox, or the request names another inbox | 401 | `signature_mismatch`, `inbox_mismatch` |
//! | signed, but not an event (see [`InvalidPayloadKind`](crate::event::InvalidPayloadKind)); or an event that does not fit its type, or is nested too deeply, and that no handler accepts | 422 | `invalid_payload` |
//! | duplicate of a running event | 409, `Retry-After` | `in_flight` |
//! | handler failed or panicked | 500 | `handler_failed` |
//! | handler failed with a delay, or the event is put off; deadline passed (default: 12 s); lookup of the secrets or the agent failed; store or queue unreachable or full, or agent refuses connections; limit on concurrent runs reached | 503, `Retry-After` | `retry_later`, `deadline_exceeded`, `unavailable` |
//! | [`Endpoint`] or axum extractor without [`VerifyLayer`]; a handler's reply without `ReplyLayer` | 500 | `missing_layer` |
//!
//! A 200 has no body. The body of any other response is
//! `{"error":"<code>","message":"<one sentence>"}`. It never contains a secret, an expected
//! signature or a handler's error text. The log contains the details.
//!
//! If `Enqueue` stores the events, the response says only whether the event was stored: what a
//! handler does with it later, and whether there is one, makes no difference.

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
