//! [`PostgresStore`].

mod cause;
mod claim;
#[cfg(feature = "guard")]
mod counts;
mod database;
mod dead;
mod insert;
mod lanes;
mod open;
mod options;
mod pooler;
mod presence;
mod read;
mod session;
mod settle;
mod store;

pub use options::PostgresOptions;
pub use store::{PostgresChanges, PostgresStore};
