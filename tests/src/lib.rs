//! What the tests share: signed requests, bodies that do as they are told, and services that count.

mod body;
mod database;
mod event;
pub mod fake_api;
mod handler;
mod log;
mod mail;
pub mod measure;
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
pub use database::{PostgresDatabase, PostgresRole};
pub use event::{event, mail, mail_to};
pub use fake_api::FakeApi;
pub use handler::{Told, ToldHandler, told};
pub use log::Log;
pub use mail::mail_of;
pub use postgres::{PostgresSchema, PostgresServer};
pub use process::{Memory, Process};
pub use proxy::Proxy;
pub use queue::{States, states};
pub use receiver::Receiver;
pub use redis::RedisServer;
pub use request::{NOW, SECRET, clock, fixture, fixtures, layer, secret, signed, signed_at};
pub use service::{Recorder, Seen, error_code, inner};
pub use store::{Fault, FaultyStore};
pub use wire::{head, raw, serve};
