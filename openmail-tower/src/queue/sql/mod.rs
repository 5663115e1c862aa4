//! What the SQL stores share.

pub(super) mod batch;
#[cfg(all(feature = "guard", any(feature = "queue-postgres", feature = "queue-sqlite")))]
pub(super) mod counts;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(super) mod error_text;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(super) mod migrate;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(super) mod row;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(super) mod sweep;
#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
mod units;

#[cfg(any(feature = "queue-postgres", feature = "queue-sqlite"))]
pub(super) use units::{many, millis};
