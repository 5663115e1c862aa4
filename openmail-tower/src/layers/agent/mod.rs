//! Looks up the agent of an inbox when its events arrive: for inboxes that are created at run time
//! and handlers that were written before.

mod extract;
mod forgotten;
mod resolver;
mod service;

pub use extract::Agent;
pub use resolver::AgentResolver;
pub use service::ResolveAgent;
