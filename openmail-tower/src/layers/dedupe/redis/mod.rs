//! [`RedisStore`].

mod connection;
mod store;

pub use store::{RedisStore, RedisStoreError};
