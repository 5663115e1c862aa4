//! [`SqliteStore`].

mod changes;
mod claim;
mod clock;
#[cfg(feature = "guard")]
mod counts;
mod dead;
mod file;
mod insert;
mod lanes;
mod open;
mod options;
mod presence;
mod read;
mod settle;
mod store;
mod write;

pub use changes::SqliteChanges;
pub use options::SqliteOptions;
pub use store::SqliteStore;
