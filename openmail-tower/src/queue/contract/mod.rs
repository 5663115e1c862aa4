//! Tests that check the contract of a [`QueueStore`] (feature `test-util`).

mod concurrent;
mod dead;
mod lanes;
mod leases;
mod limits;
mod probe;
mod replies;

use super::store::QueueStore;
use probe::Probe;

/// Checks a store against the contract of [`QueueStore`]. The store must be empty, and nothing else
/// may use it during the check or afterwards: some entries are left behind.
///
/// ```
/// # #[cfg(feature = "queue-sqlite")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openmail_tower::queue::{SqliteStore, contract};
///
/// let folder = tempfile::tempdir()?;
/// contract::check(SqliteStore::open(folder.path().join("inbox.db")).await?).await;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "queue-sqlite"))]
/// # fn main() {}
/// ```
///
/// # Panics
/// If the store breaks the contract, or fails.
pub async fn check<St: QueueStore>(store: St) {
    let probe = Probe::new(store);
    leases::check(&probe).await;
    lanes::check(&probe).await;
    replies::check(&probe).await;
    limits::check(&probe).await;
    dead::check(&probe).await;
    concurrent::check(&probe).await;
    leases::check_last(&probe).await;
    probe.store.ping().await.expect("it can be reached");
}
