//! Limits the number of concurrent runs for each inbox.
//!
//! Without a queue, put the layer around the handlers. A queue's worker has its own limit,
//! [`per_inbox`](crate::queue::Worker::per_inbox).
//!
//! ```
//! use openmail_tower::{EventRouter, Secret, VerifyLayer, layers::InboxLimitLayer, webhook};
//! use tower::Layer;
//!
//! let router: EventRouter = EventRouter::new();
//! let events = InboxLimitLayer::new(4).layer(router);
//! let webhook = webhook(VerifyLayer::new(Secret::new("whsec_test")?), events);
//! # Ok::<(), openmail_tower::webhook::SecretError>(())
//! ```

mod layer;
mod service;
mod slots;

pub use layer::InboxLimitLayer;
pub use service::InboxLimit;
