//! Helpers that the tests share: signed requests, scripted bodies, services that record events, and
//! servers.

mod body;
mod database;
mod discard;
mod event;
pub mod fake_api;
#[cfg(target_os = "linux")]
mod file_locks;
mod handler;
mod log;
mod mail;
pub mod measure;
mod nginx;
mod pgbouncer;
mod postgres;
mod process;
mod proxy;
mod queue;
mod receiver;
mod redis;
mod request;
mod service;
mod store;
mod wire;

pub use body::{Polls, ScriptedBody, Step};
pub use database::{PostgresDatabase, PostgresRole, until_settled};
pub use discard::{Discard, Discarding};
pub use event::{EVENTS, event, mail, mail_to};
pub use fake_api::FakeApi;
#[cfg(target_os = "linux")]
pub use file_locks::FileLocks;
pub use handler::{Script, ScriptedHandler, scripted};
pub use log::{Log, listen};
pub use mail::mail_of;
pub use nginx::Nginx;
pub use pgbouncer::PgBouncer;
pub use postgres::{PostgresSchema, PostgresServer};
pub use process::{Memory, Process};
pub use proxy::Proxy;
pub use queue::{States, states};
pub use receiver::{Receiver, receiver_at};
pub use redis::RedisServer;
pub use request::{NOW, SECRET, clock, fixture, fixtures, layer, secret, signed, signed_at};
pub use service::{Recorder, Seen, Take, error_code, inner};
pub use store::{Fault, FaultyStore};
pub use wire::{head, raw, serve};
