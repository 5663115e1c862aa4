//! Layers and services for verified events: each wraps a `Service<VerifiedEvent>` or is one.

#[cfg(feature = "agents")]
pub mod agent;
#[cfg(feature = "dedupe")]
pub mod dedupe;
#[cfg(feature = "forward")]
pub mod forward;
#[cfg(feature = "guard")]
pub mod guard;
pub mod limit;

#[cfg(feature = "agents")]
pub use agent::AgentResolver;
#[cfg(feature = "dedupe")]
pub use dedupe::DedupeLayer;
#[cfg(feature = "forward")]
pub use forward::Forward;
#[cfg(feature = "guard")]
pub use guard::GuardLayer;
pub use limit::InboxLimitLayer;
