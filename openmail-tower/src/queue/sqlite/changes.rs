//! [`SqliteChanges`].

use std::future::pending;

use tokio::sync::watch;

use crate::queue::store::Changes;

/// Notifications of changes made through this store and its clones.
#[derive(Debug)]
pub struct SqliteChanges(pub(super) watch::Receiver<()>);

impl Changes for SqliteChanges {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, so there will be no further changes.
            pending::<()>().await;
        }
    }
}
