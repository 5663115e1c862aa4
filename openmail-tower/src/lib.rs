//! [OpenMail](https://openmail.sh)'s webhooks as a tower service: one verified, typed event, handed
//! to the right inbox's handler exactly as often as it should be, and never lost once answered with
//! 2xx.
//!
//! # The way of an event
//!
//! ```text
//! http::Request
//!   └ Verify         head, body, signature, form      VerifyLayer
//!   └ Endpoint       outcome → HTTP answer, deadline  webhook(layer, events)
//! ── from here on there is no HTTP: Service<VerifiedEvent, Response = Outcome> ──
//!   └ Dedupe         one run an event                 dedupe::DedupeLayer
//!   └ Enqueue        written down, run by a Worker    queue::Enqueue
//!   └ EventRouter    event → inbox_id → handler
//!   └ handler        #[openmail_handler] async fn
//! ```
//!
//! Each is an ordinary tower [`Layer`](tower_layer::Layer) or [`Service`](tower_service::Service),
//! so tower's own go between them. `Dedupe` and `Enqueue` are there where you put them.
//!
#![cfg_attr(
    all(
        feature = "agents",
        feature = "api",
        feature = "axum",
        feature = "dedupe-memory",
        feature = "forward",
        feature = "guard",
        feature = "macros",
        feature = "queue-sqlite",
        feature = "test-util"
    ),
    doc = include_str!("../docs/steps.md")
)]
//!
//! # What it stands on
//!
//! - *Verified is a type.* Only this crate's sources make a [`VerifiedEvent`]; what has not been
//!   verified cannot reach a handler, whatever the wiring.
//! - *Only what is signed is trusted.* Routing and identity come from the signed body. `X-Event-Id`
//!   is not signed: it is reported and never used.
//! - *News never fails.* Unknown events, fields and words parse and are kept.
//! - *An outcome is about the next delivery.* A handler's error means "try again" unless it says
//!   otherwise; see [`HandlerError`].
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `macros` | `#[openmail_handler]` | yes |
//! | `tracing` | [spans and log lines](telemetry) | yes |
//! | `metrics` | [metrics](telemetry::metric) by the crate `metrics` | |
//! | `opentelemetry` | links between the spans of several processes, by the crate `tracing-opentelemetry` | |
//! | `agents` | [`layers::AgentResolver`]: the agent behind an inbox, looked up and remembered | |
//! | `forward` | [`layers::Forward`]: events handed on over HTTP | |
//! | `guard` | `layers::guard`: which mails run a handler, and which replies are sent | |
//! | `api` | `api`: OpenMail's REST API, with a client over hyper and rustls; `reply`: handlers that answer mails | |
//! | `idn` | [`event::Address`]: domains in Unicode equal their form in ASCII | |
//! | `axum` | [`VerifiedEvent`] as an axum extractor | |
//! | `anyhow` | [`HandlerError`] into `anyhow::Error` by `?` | |
//! | `dedupe` | `dedupe`: one run an event, with a store of your own | |
//! | `dedupe-memory` | the same with a store in memory | |
//! | `dedupe-redis` | the same with a store in Redis | |
//! | `queue` | `queue`: a durable queue, with a store of your own | |
//! | `queue-sqlite` | the same with a store in SQLite | |
//! | `queue-postgres` | the same with a store in PostgreSQL | |
//! | `queue-postgres-tls` | and TLS to it, by rustls and the system's roots | |
//! | `test-util` | `testing`: events to build and sign, and OpenMail's deliveries; `dedupe::contract`, `queue::contract`: tests for a store of your own | |
//!
//! The default features need Rust 1.88; `dedupe` and `test-util` need 1.89, `queue-sqlite` and
//! `queue-postgres` 1.94, since their dependencies do.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

#[cfg(feature = "api")]
pub mod api;
pub mod event;
// The pages name items of every feature.
#[cfg(all(
    any(doc, doctest),
    feature = "agents",
    feature = "api",
    feature = "axum",
    feature = "dedupe-memory",
    feature = "forward",
    feature = "guard",
    feature = "macros",
    feature = "queue-sqlite",
    feature = "test-util"
))]
pub mod guide;
pub mod handler;
pub mod layers;
// As sqlx, which its stores are built on.
#[cfg(feature = "queue")]
#[clippy::msrv = "1.94"]
pub mod queue;
#[cfg(feature = "api")]
pub mod reply;
pub mod router;
mod seam;
pub mod telemetry;
#[cfg(feature = "test-util")]
pub mod testing;
pub mod webhook;

pub use event::{
    Event, EventId, EventKind, InboxId, Lifecycle, Message, MessageId, MessageReceived, ThreadId,
};
#[cfg(feature = "macros")]
pub use handler::openmail_handler;
pub use handler::{FromEvent, IntoOutcome, Payload};
pub use router::EventRouter;
#[cfg(any(feature = "dedupe", feature = "queue"))]
pub use seam::DedupeKey;
pub use seam::{
    BoxError, HandlerError, HandlerErrorKind, InvalidTraceContext, Outcome, OutcomeFuture, Replies,
    StoredEvent, TraceContext, VerifiedEvent,
};
pub use webhook::{Endpoint, Secret, Secrets, VerifyLayer, webhook};

#[cfg(all(
    doctest,
    feature = "api",
    feature = "guard",
    feature = "macros",
    feature = "queue-sqlite"
))]
#[doc = include_str!("../README.md")]
struct Readme;
