//! The seam of the whole design: `Service<VerifiedEvent, Response = Outcome>`.
//!
//! What every source of events makes, what every layer passes on and what every handler ends in.
//! Nothing here knows HTTP, a store or a handler.

mod error;
mod future;
#[cfg(any(feature = "dedupe", feature = "queue"))]
mod key;
mod oneshot;
mod outcome;
mod panic;
mod timer;
mod verified;

pub use error::{BoxError, HandlerError, HandlerErrorKind};
pub use future::OutcomeFuture;
#[cfg(any(feature = "dedupe", feature = "queue"))]
pub use key::DedupeKey;
pub(crate) use oneshot::Oneshot;
pub use outcome::Outcome;
pub(crate) use panic::CatchPanic;
pub(crate) use timer::Timer;
#[cfg(any(feature = "agents", feature = "dedupe", feature = "queue"))]
pub(crate) use timer::within;
#[cfg(feature = "agents")]
pub(crate) use verified::ForFallback;
pub use verified::{StoredEvent, VerifiedEvent};
