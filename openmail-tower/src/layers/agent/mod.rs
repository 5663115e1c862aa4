//! Looks up the agent of an inbox when its events arrive: for handlers that serve inboxes created
//! at run time.

mod extract;
mod forgotten;
mod resolver;
mod service;

pub use extract::Agent;
pub use resolver::AgentResolver;
pub use service::ResolveAgent;
