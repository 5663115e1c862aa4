//! The middleware that turns a request into a [`VerifiedEvent`](crate::VerifiedEvent).
//!
//! The head is checked before any byte of the body is read. The body is then read under a size
//! limit, a time limit and a memory budget shared by all requests, and hashed as it arrives. It is
//! parsed only after the signature is verified. If the body names the inbox, the whole body is
//! received first. Then its `inbox_id` is read, the secrets are looked up, and the body is hashed.

mod body;
mod budget;
mod buffer;
mod direct;
mod discard;
mod future;
mod head;
mod layer;
mod pace;
mod receive;
mod rejection;
mod service;
mod verdict;

pub use body::{ResponseBody, VerifiedBody};
pub(super) use discard::{DISCARD_LIMIT, Discard, expects_continue, is_worth_reading};
pub use future::ResponseFuture;
pub use layer::VerifyLayer;
pub(super) use pace::Limits;
pub use rejection::{Rejection, RejectionKind};
pub use service::Verify;
