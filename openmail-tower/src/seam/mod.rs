//! The seam of the whole design: `Service<VerifiedEvent, Response = Outcome>`.
//!
//! Sources of events call such a service, layers wrap one, and handlers end the chain: they take
//! the event and return the outcome. Nothing here depends on a source of events, a store or a
//! handler.

#[cfg(feature = "api")]
mod advice;
#[cfg(feature = "guard")]
mod counts;
mod error;
mod future;
#[cfg(any(feature = "dedupe", feature = "guard", feature = "queue"))]
mod key;
mod oneshot;
mod outcome;
mod panic;
mod replies;
#[cfg(any(feature = "api", feature = "forward"))]
mod retry_after;
mod text;
mod timer;
mod trace;
mod verified;

#[cfg(feature = "api")]
pub(crate) use advice::Advice;
#[cfg(feature = "guard")]
pub(crate) use counts::OfferedCounts;
#[cfg(feature = "guard")]
pub use counts::{CountFuture, CountLimit, CountNote, CountRequest, CountStore, Counted};
pub use error::{BoxError, HandlerError, HandlerErrorKind};
pub use future::OutcomeFuture;
#[cfg(any(feature = "dedupe", feature = "guard", feature = "queue"))]
pub use key::DedupeKey;
#[cfg(feature = "guard")]
pub(crate) use key::bounded_key;
pub(crate) use oneshot::Oneshot;
pub use outcome::Outcome;
pub(crate) use panic::CatchPanic;
pub use replies::Replies;
#[cfg(any(feature = "api", feature = "forward"))]
pub(crate) use retry_after::retry_after;
pub(crate) use timer::{Timer, within};
pub use trace::{InvalidTraceContext, TraceContext};
#[cfg(feature = "agents")]
pub(crate) use verified::ForFallback;
pub(crate) use verified::OutcomeSlot;
pub use verified::{StoredEvent, VerifiedEvent};
