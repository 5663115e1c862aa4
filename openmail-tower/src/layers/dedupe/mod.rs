//! Runs each event once: [`DedupeLayer`].
//!
//! OpenMail delivers at least once: if a response is late or lost, the same event arrives again. An
//! agent that answers a mail twice is as bad as one that never answers. So before the handler runs,
//! the event is *claimed* in a [`DedupeStore`], and afterwards it is *completed* or *released*:
//!
//! ```text
//!                      ┌───────── released: error, panic, cancelled ──────┐
//!                      ▼                                                  │
//! delivery ──► claim ──┬── free ──────► claimed for 30 s, renewed ──► run ┴─ ok ──► done for 24 h
//!                      ├── in flight ─► 409, retry later
//!                      └── done ──────► 200, `Outcome::Duplicate`
//! ```
//!
//! A claim is not a completion. The event counts as done once its handler has succeeded, or has
//! returned [`HandlerError::permanent`](crate::HandlerError::permanent) because a retry would not
//! help. An event that no handler matches is released, since nothing was done; so is one whose
//! replies have not been sent. If the process dies, its claims expire, and the next delivery runs
//! the event.
//!
//! # The run has its own task
//! OpenMail hangs up after 15 s, and a web server then drops the request's future. [`Dedupe`] runs
//! the inner service on a separate task, so the run finishes, its result is recorded, and the next
//! delivery finds it done. [`DedupeLayer::shutdown`] waits for the runs in progress:
//!
//! ```
//! # #[cfg(feature = "dedupe-memory")]
//! # #[tokio::main]
//! # async fn main() {
//! use std::time::Duration;
//!
//! use openmail_tower::{EventRouter, layers::dedupe::{DedupeLayer, MemoryStore}};
//! use tower::Layer;
//!
//! let dedupe = DedupeLayer::new(MemoryStore::new(100_000));
//! let router: EventRouter = EventRouter::new(); // with your handlers
//! let events = dedupe.layer(router);
//! // Serve `webhook(VerifyLayer::from_env()?, events)`; at shutdown:
//! dedupe.shutdown(Duration::from_secs(30)).await;
//! # let _ = events;
//! # }
//! # #[cfg(not(feature = "dedupe-memory"))]
//! # fn main() {}
//! ```
//!
//! For what is guaranteed when a handler, a process, a machine or the store fails, see
//! [`guide::guarantees`](https://docs.rs/openmail-tower/latest/openmail_tower/guide/guarantees/).

#[cfg(any(test, feature = "test-util"))]
pub mod contract;
mod layer;
#[cfg(feature = "dedupe-memory")]
mod memory;
#[cfg(feature = "dedupe-redis")]
mod redis;
mod room;
mod run;
mod runs;
mod service;
mod store;

pub use crate::seam::DedupeKey;
pub use layer::DedupeLayer;
#[cfg(feature = "dedupe-memory")]
pub use memory::MemoryStore;
#[cfg(feature = "dedupe-redis")]
pub use redis::{RedisStore, RedisStoreError};
pub use service::{Dedupe, DedupeFuture};
pub use store::{Claim, ClaimToken, DedupeStore};
