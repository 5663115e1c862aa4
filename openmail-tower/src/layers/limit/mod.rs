//! Limits the number of concurrent runs for each inbox.

mod layer;
mod service;
mod slots;

pub use layer::InboxLimitLayer;
pub use service::InboxLimit;
