//! Owns the tasks on which events run.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::event::InboxId;

use super::room::{MaxRuns, Room};

/// The runs in progress, of a layer and all its clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    tracker: TaskTracker,
    cut_off: CancellationToken,
    room: Room,
}

impl Runs {
    /// Starts a run of an inbox's event, or returns why it cannot start.
    pub(super) fn spawn(
        &self,
        inbox: Option<&InboxId>,
        most: MaxRuns,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), String> {
        // Counted before the check: either this sees that the shutdown has begun, or the shutdown
        // waits for this run.
        let _counted = self.tracker.token();
        if self.tracker.is_closed() {
            return Err("the service is shutting down".to_owned());
        }
        let place = self.room.enter(inbox, most)?;
        self.tracker.spawn(async move {
            let _place = place;
            run.await;
        });
        Ok(())
    }

    /// Waits until the runs must stop.
    pub(super) async fn cut_off(&self) {
        self.cut_off.cancelled().await;
    }

    /// Waits for the runs. After `limit` it cancels them and gives them `grace` to release their
    /// claims. Returns the number of cancelled runs.
    pub(super) async fn shutdown(&self, limit: Duration, grace: Duration) -> usize {
        self.tracker.close();
        if timeout(limit, self.tracker.wait()).await.is_ok() {
            return 0;
        }
        let count = self.tracker.len();
        self.cut_off.cancel();
        // A run that never reaches an `.await` cannot be cancelled and is not waited for any
        // longer.
        let _ = timeout(grace, self.tracker.wait()).await;
        count
    }
}
