//! A durable queue: [`Enqueue`] stores an event before the delivery is answered, and a [`Worker`]
//! runs it afterwards.
//!
//! OpenMail hangs up after 15 s, gives up after five attempts in about 7.5 minutes, and never
//! delivers an event again once it has been answered with 2xx. So use a queue if a handler takes a
//! long time, or if an event must survive a restart of the process:
//!
//! ```text
//! delivery ─► Verify ─► Endpoint ─► Enqueue ─► commit ─► 200
//!                                                │ openmail_events
//!               Worker ◄── lease ────────────────┘
//!                  └─► EventRouter ─► handler ─► done │ retry, after a back-off │ dead letter
//! ```
//!
#![cfg_attr(feature = "queue-sqlite", doc = "```no_run")]
#![cfg_attr(not(feature = "queue-sqlite"), doc = "```ignore")]
//! use openmail_tower::{EventRouter, VerifyLayer, queue::Enqueue, webhook};
//!
//! # async fn shutdown_signal() {}
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handlers = EventRouter::new(); // with your handlers
//! let queue = Enqueue::sqlite("inbox.db").await?;
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let worker = tokio::spawn(queue.worker(handlers).run(async { drop(stopped.await) }));
//!
//! let app: axum::Router =
//!     axum::Router::new().route_service("/webhooks", webhook(VerifyLayer::from_env()?, queue));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()).await?;
//! drop(stop); // stops the worker
//! worker.await?;
//! # Ok(())
//! # }
//! ```
//!
//! `SqliteStore` (feature `queue-sqlite`) is the embedded store; `PostgresStore` (feature
//! `queue-postgres`) is the store for several machines. The worker may also run in another process,
//! or in several. To use another engine, implement [`QueueStore`], or a `Service<VerifiedEvent>`
//! that resolves once the engine has stored the event
//! ([`into_stored`](crate::VerifiedEvent::into_stored) returns what to store).
//!
//! # Once, and in order
//! Each event is stored once: the insert skips an event whose inbox and signed `event_id` are
//! already in the queue. The key of an event that is done is [kept](Worker::keep) for 24 h by
//! default. The worker runs an event until it is done or becomes a dead letter. If a process dies
//! during a run, the run is repeated, so a handler that sends mail itself should derive the
//! `Idempotency-Key` from the event.
//!
//! Events in the same [`Lane`], by default those of one thread, run one at a time, in order of
//! arrival, whichever processes run them. By default, only a mail that a guard puts off because of
//! its sender or thread lets later ones run before it (see [`Worker::overtake_retries`]).
//!
//! # Dead letters
//! An event that fails permanently, whose last attempt fails, that no handler matches (except a
//! `setup.test`), or that waits for too long becomes a dead letter. It is kept until it is dropped
//! or requeued, or until its retention ends (default: 30 days). Any program that opens the store,
//! even while the worker runs, can list, requeue and drop dead letters:
//!
#![cfg_attr(feature = "queue-sqlite", doc = "```no_run")]
#![cfg_attr(not(feature = "queue-sqlite"), doc = "```ignore")]
//! use openmail_tower::queue::{QueueStore, SqliteStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("inbox.db").await?;
//! println!("{:?}", store.counts().await?);
//! for letter in store.dead_letters(None, 100).await? {
//!     println!("{} {}: {}", letter.id, letter.kind, letter.error);
//!     store.requeue(letter.id).await?;
//! }
//! store.close().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
#[cfg(any(test, feature = "test-util"))]
pub mod contract;
mod enqueue;
mod entry;
mod error;
mod lane;
mod lease;
mod policy;
#[cfg(feature = "queue-postgres")]
mod postgres;
mod report;
mod request;
mod settlement;
#[cfg(any(test, feature = "queue-postgres", feature = "queue-sqlite"))]
mod sql;
#[cfg(feature = "queue-sqlite")]
mod sqlite;
mod store;
mod text;
mod url;
mod worker;

pub use crate::seam::DedupeKey;
pub use backoff::Backoff;
pub use enqueue::Enqueue;
pub use entry::{Counts, DeadLetter, EntryId, NewEntry, NewReply, Retention, Role};
pub use error::{QueueError, QueueErrorKind};
pub use lane::Lane;
pub use lease::{Claimed, Claims, DeadReport, Lease, Registration, WorkerId};
pub use policy::{RetryPolicy, Run};
#[cfg(feature = "queue-postgres")]
pub use postgres::{PostgresChanges, PostgresOptions, PostgresStore};
pub use report::{ReplyReport, ReplyState};
pub use request::{Choice, ClaimRequest, InboxLimits, InboxShare};
pub use settlement::Settlement;
#[cfg(feature = "queue-sqlite")]
pub use sqlite::{SqliteChanges, SqliteOptions, SqliteStore};
pub use store::{Changes, QueueStore};
pub use url::StoreUrl;
pub use worker::Worker;
