//! Who owns the tasks.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The runs under way, of a layer and all its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    tracker: TaskTracker,
    cut_off: CancellationToken,
}

impl Runs {
    /// Starts a run, unless shutting down has begun.
    pub(super) fn spawn(&self, run: impl Future<Output = ()> + Send + 'static) -> bool {
        // Counted before it looks: either it sees that shutting down has begun, or that waits for it.
        let _counted = self.tracker.token();
        let open = !self.tracker.is_closed();
        if open {
            self.tracker.spawn(run);
        }
        open
    }

    /// Ready once runs are to stop where they are.
    pub(super) async fn cut_off(&self) {
        self.cut_off.cancelled().await;
    }

    /// Waits for the runs; past `limit` it cuts them off, and gives them `grace` to release their
    /// claims. Gives how many were cut off.
    pub(super) async fn shutdown(&self, limit: Duration, grace: Duration) -> usize {
        self.tracker.close();
        if timeout(limit, self.tracker.wait()).await.is_ok() {
            return 0;
        }
        let count = self.tracker.len();
        self.cut_off.cancel();
        // A run that never comes to an `.await` cannot be cut off; it is not waited for any longer.
        let _ = timeout(grace, self.tracker.wait()).await;
        count
    }
}
