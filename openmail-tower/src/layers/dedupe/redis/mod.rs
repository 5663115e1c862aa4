//! [`RedisStore`].

mod connection;
mod error;
mod store;

pub use error::RedisStoreError;
pub use store::RedisStore;
