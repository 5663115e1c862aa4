//! The end: what was not begun is given back, what runs may end.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::queue::{
    entry::{Claimed, Lease, Settlement},
    observe,
    store::QueueStore,
};

use super::{claim::within, held::Held, settings::Settings};

pub(super) async fn drain<St: QueueStore>(
    store: &St,
    waiting: VecDeque<Claimed>,
    running: &mut JoinSet<()>,
    held: &Held,
    settings: &Settings,
) -> usize {
    let begun = Instant::now();
    let waiting: Vec<_> = waiting.into_iter().map(|claimed| claimed.lease).collect();
    waiting.iter().for_each(|lease| held.remove(lease.id));
    give_back(store, waiting, settings).await;
    let _ = timeout(settings.grace.saturating_sub(begun.elapsed()), ended(running)).await;
    let cut = running.len();
    running.abort_all();
    // One that blocks its thread does not hear of it, and is not waited for: its lease runs out.
    let _ = timeout(settings.store_timeout, ended(running)).await;
    let idle = held.idle();
    idle.iter().for_each(|lease| held.remove(lease.id));
    give_back(store, idle, settings).await;
    cut
}

async fn ended(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

/// Has events run again at once, and elsewhere; that they were begun here does not count. What
/// cannot be given back runs elsewhere once its lease has run out.
async fn give_back<St: QueueStore>(store: &St, leases: Vec<Lease>, settings: &Settings) {
    for lease in leases {
        let settlement = Settlement::Release { after: Duration::ZERO };
        if let Err(error) = within(settings.store_timeout, store.settle(&lease, settlement)).await {
            return observe::away(&error);
        }
    }
}
