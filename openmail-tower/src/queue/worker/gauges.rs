//! The gauges of a queue: how deep it is, how old, how many workers it has.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::time::sleep;

use crate::{
    queue::{entry::Counts, error::QueueError, store::QueueStore},
    seam::within,
    telemetry::queue::{self as telemetry, Depth},
};

/// How often they are refreshed: about as often as metrics are scraped.
const PERIOD: Duration = Duration::from_secs(15);

/// Refreshes the gauges with one query each time. The first time is at once, so that they are there
/// when the worker is.
pub(super) async fn refresh<St: QueueStore>(store: &St, limit: Duration) -> Infallible {
    if !telemetry::HAS_GAUGES {
        return pending().await;
    }
    loop {
        // A store that is away is reported by what needs it.
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
