//! Forwards events over HTTP to an agent that runs elsewhere.

mod service;
mod verdict;

pub use service::Forward;
