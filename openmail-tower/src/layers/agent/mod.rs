//! Looks up the agent of an inbox when its events arrive: for handlers that serve inboxes created
//! at run time.
//!
//! One handler serves all inboxes, each with its own agent:
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use openmail_tower::{EventRouter, InboxId, MessageReceived, openmail_handler};
//! use openmail_tower::layers::agent::{Agent, AgentResolver};
//! use tower::Layer;
//!
//! #[derive(Clone)]
//! struct Tenant { prompt: String }
//!
//! async fn find(inbox: InboxId) -> Result<Option<Tenant>, std::io::Error> {
//!     Ok(Some(Tenant { prompt: format!("You answer for {inbox}.") })) // from a database
//! }
//!
//! #[openmail_handler(event = "message.received")]
//! async fn answer(mail: &MessageReceived, Agent(tenant): Agent<Tenant>) {
//!     println!("{} {}", tenant.prompt, mail.message.fenced());
//! }
//!
//! let agents = AgentResolver::new(find);
//! let router: EventRouter = EventRouter::new().handler(answer);
//! let events = agents.clone().layer(router);
//! # async fn changed(agents: AgentResolver<Tenant>) {
//! // When a tenant changes:
//! agents.forget("inb_support").await;
//! # }
//! ```

mod extract;
mod forgotten;
mod resolver;
mod service;

pub use extract::Agent;
pub use resolver::AgentResolver;
pub use service::ResolveAgent;
