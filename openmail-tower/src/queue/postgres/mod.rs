//! [`PostgresStore`].

mod claim;
mod insert;
mod lanes;
mod listener;
mod open;
mod read;
mod settle;
mod store;

pub use store::{PostgresChanges, PostgresStore};
