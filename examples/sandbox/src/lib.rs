//! A local OpenMail: develop and watch an agent without an account.
//!
//! It answers OpenMail's REST API, delivers signed events to a webhook as OpenMail does, and has a
//! page on which to write mails and to see what becomes of them. [`Sandbox`] runs it inside another
//! program, as a test or a demo.

mod api;
mod app;
mod control;
mod deliverer;
mod files;
mod locality;
mod page;
mod sandbox;
mod server;
mod state;
mod text;

pub use sandbox::{InboxOption, Options, Sandbox, SandboxError};
