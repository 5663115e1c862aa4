//! The gauges of a queue: its depth, its age, and its number of workers.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::time::sleep;

use crate::{
    queue::{entry::Counts, error::QueueError, store::QueueStore},
    seam::within,
    telemetry::queue::{self as telemetry, Depth},
};

/// The interval at which the gauges are refreshed. Metrics are usually scraped about as often.
const PERIOD: Duration = Duration::from_secs(15);

/// Refreshes the gauges, each time with one call of the store. The first refresh is immediate, so
/// that the gauges exist from the worker's start.
pub(super) async fn refresh<St: QueueStore>(store: &St, limit: Duration) -> Infallible {
    if !telemetry::HAS_GAUGES {
        return pending().await;
    }
    loop {
        // An unreachable store is reported by the operations that need it.
        if let Ok(counts) = within(limit, store.counts(), QueueError::late).await {
            telemetry::depth(depth(&counts));
        }
        sleep(PERIOD).await;
    }
}

fn depth(counts: &Counts) -> Depth {
    let states = [
        ("ready", counts.ready),
        ("waiting", counts.waiting),
        ("running", counts.running),
        ("blocked", counts.blocked),
        ("held", counts.held),
        ("dead", counts.dead),
    ];
    Depth { states, oldest: counts.oldest, workers: counts.workers }
}
