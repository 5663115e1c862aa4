//! What the tests share: signed requests, bodies that do as they are told, and services that count.

mod body;
mod request;
mod service;

pub use body::{Polls, ScriptedBody, Step};
pub use request::{NOW, SECRET, clock, fixture, fixtures, layer, secret, signed};
pub use service::{Recorder, Seen, error_code, inner};
