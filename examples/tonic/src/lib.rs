//! The webhook, the gRPC service and what is between them.

mod hub;
mod server;
mod service;
mod token;

pub use server::serve;
pub use token::Token;

/// What `build.rs` makes of `proto/agents.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod proto {
    tonic::include_proto!("openmail.agents.v1");
}
