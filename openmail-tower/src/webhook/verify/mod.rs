//! The middleware: from a request to a [`VerifiedEvent`](crate::VerifiedEvent).
//!
//! The head is judged before one byte of the body is read; the body is then read under a size
//! limit, a time limit and a budget shared by all requests, and hashed as it arrives; only once the
//! signature holds is it parsed.

mod body;
mod budget;
mod buffer;
mod future;
mod head;
mod layer;
mod receive;
mod rejection;
mod service;

pub use body::{ResponseBody, VerifiedBody};
pub use future::ResponseFuture;
pub use layer::VerifyLayer;
pub use rejection::{Rejection, RejectionKind};
pub use service::Verify;
