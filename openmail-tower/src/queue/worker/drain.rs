//! The end: what was not begun is given back, what runs may end.

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    queue::{error::QueueError, lease::Lease, settlement::Settlement, store::QueueStore},
    seam::within,
    telemetry::queue as telemetry,
};

use super::{held::Held, settings::Settings};

pub(super) async fn drain<St: QueueStore>(
    store: &St,
    running: &mut JoinSet<()>,
    held: &Held,
    settings: &Settings,
) -> usize {
    let begun = Instant::now();
    give_back(store, held.take_idle(), settings).await;
    let _ = timeout(settings.grace.saturating_sub(begun.elapsed()), ended(running)).await;
    let cut = held.cut_off();
    // One that blocks its thread does not hear of it, and is not waited for: its lease runs out.
    let _ = timeout(settings.store_timeout, ended(running)).await;
    give_back(store, held.take_idle(), settings).await;
    cut
}

async fn ended(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

/// Has events run again at once, and elsewhere; that they were begun here does not count. What
/// cannot be given back runs elsewhere once its lease has run out.
async fn give_back<St: QueueStore>(store: &St, leases: Vec<Lease>, settings: &Settings) {
    for lease in leases {
        let settlement = Settlement::GiveBack;
        if let Err(error) =
            within(settings.store_timeout, store.settle(&lease, settlement), QueueError::late).await
        {
            return telemetry::away(&error);
        }
    }
}
