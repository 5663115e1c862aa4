//! [`SqliteStore`].

mod claim;
mod open;
mod read;
mod settle;
mod store;
mod write;

pub use store::{SqliteChanges, SqliteStore};
