//! Receives [OpenMail](https://openmail.sh)'s webhooks as a tower service. Each delivery is
//! verified and becomes a typed event for the handler of its inbox. Events can be deduplicated and
//! stored in a durable queue, so that none is lost once it has been answered with 2xx. The reply
//! that a handler returns is sent once.
//!
//! # The path of an event
//!
//! ```text
//! http::Request
//!   └ Verify         head, body, signature, event        VerifyLayer
//!   └ Endpoint       outcome → HTTP response, deadline   webhook(layer, events)
//! ── from here on there is no HTTP: Service<VerifiedEvent, Response = Outcome> ──
//!   └ Dedupe         one run for each event              layers::DedupeLayer
//!   └ Enqueue        stored, and run later by a Worker   queue::Enqueue
//!   └ Guard          spam, loops and floods              layers::GuardLayer
//!   └ EventRouter    event → inbox_id → handler
//!   └ handler        #[openmail_handler] async fn
//!   └ reply          sent by the Worker or a layer       reply::ReplyLayer
//! ```
//!
//! Each part is an ordinary tower [`Layer`](tower_layer::Layer) or
//! [`Service`](tower_service::Service), so tower's own layers can be added in between. `Dedupe`,
//! `Enqueue`, `Guard` and replies are optional. `Enqueue` also deduplicates, so it needs no
//! `Dedupe`.
//!
#![cfg_attr(
    all(
        feature = "agents",
        feature = "api",
        feature = "axum",
        feature = "dedupe-memory",
        feature = "dedupe-redis",
        feature = "forward",
        feature = "guard",
        feature = "macros",
        feature = "queue-postgres",
        feature = "queue-sqlite",
        feature = "test-util"
    ),
    doc = include_str!("../docs/steps.md")
)]
//!
//! # Design principles
//!
//! - *Verification is a type.* Only this crate can create a [`VerifiedEvent`]: by verifying a
//!   request, or from a store that you trust ([`VerifiedEvent::from_stored`]); in tests, also from
//!   a `TestEvent`. So a request that has not been verified cannot reach a handler, however the
//!   services are combined.
//! - *Only signed data is trusted.* Routing and identity come from the signed body. `X-Event-Id` is
//!   not signed, so it is ignored.
//! - *Unknown data is never an error.* Unknown events, fields and values are parsed and kept.
//! - *The outcome decides whether an event is delivered again.* A handler's error means "retry"
//!   unless it says otherwise; see [`HandlerError`].
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `macros` | `#[openmail_handler]` | yes |
//! | `tracing` | [spans and log lines](telemetry) | yes |
//! | `metrics` | [metrics](telemetry::metric) through the crate `metrics` | |
//! | `opentelemetry` | joins the spans of several processes into one trace, through the crate `tracing-opentelemetry` | |
//! | `agents` | [`layers::AgentResolver`]: looks up the agent behind an inbox and remembers it | |
//! | `forward` | [`layers::Forward`]: forwards events over HTTP | |
//! | `guard` | `layers::guard`: decides which mails run a handler, and which replies are sent | |
//! | `api` | `api`: OpenMail's REST API, with a client over hyper and rustls; `reply`: handlers that answer mails | |
//! | `idn` | [`event::Address`]: treats a domain in Unicode and its ASCII form as equal | |
//! | `axum` | [`VerifiedEvent`] as an axum extractor | |
//! | `anyhow` | converts [`HandlerError`] into `anyhow::Error` with `?` | |
//! | `dedupe` | `layers::dedupe`: runs each event once, with your own store | |
//! | `dedupe-memory` | `layers::dedupe` with a store in memory | |
//! | `dedupe-redis` | `layers::dedupe` with a store in Redis | |
//! | `queue` | `queue`: a durable queue, with your own store | |
//! | `queue-sqlite` | `queue` with a store in SQLite | |
//! | `queue-postgres` | `queue` with a store in PostgreSQL | |
//! | `queue-postgres-tls` | TLS to PostgreSQL, with rustls and the system's root certificates | |
//! | `test-util` | `testing`: builds and signs events, and delivers them as OpenMail does; `layers::dedupe::contract`, `layers::guard::contract`, `queue::contract`: tests for your own store | |
//!
//! The default features need Rust 1.88. `agents`, `dedupe` and `test-util` need 1.89;
//! `queue-sqlite` and `queue-postgres` need 1.94. Their dependencies set these versions.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

#[cfg(feature = "api")]
pub mod api;
pub mod event;
// The pages link to items of these features, but have no badge that names them: readers of a page
// do not need all of these features.
#[cfg_attr(docsrs, doc(auto_cfg = false))]
#[cfg(all(
    any(doc, doctest),
    feature = "agents",
    feature = "api",
    feature = "axum",
    feature = "dedupe-memory",
    feature = "dedupe-redis",
    feature = "forward",
    feature = "guard",
    feature = "macros",
    feature = "queue-postgres",
    feature = "queue-sqlite",
    feature = "test-util"
))]
pub mod guide;
pub mod handler;
pub mod layers;
// The minimum Rust version of sqlx, which the stores need.
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
#[cfg(any(feature = "dedupe", feature = "guard", feature = "queue"))]
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
