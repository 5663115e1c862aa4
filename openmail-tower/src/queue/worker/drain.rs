//! The end: what was not begun is given back, what runs may end.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::queue::{
    entry::{Claimed, Settlement},
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
    let deadline = Instant::now() + settings.grace;
    for claimed in waiting {
        held.remove(&claimed.lease);
        let settlement = Settlement::Release { after: Duration::ZERO };
        // What cannot be given back runs elsewhere once its lease has run out.
        match within(settings.store_timeout, store.settle(&claimed.lease, settlement)).await {
            Ok(_) => {}
            Err(error) => {
                observe::away(&error);
                break;
            }
        }
    }
    while let Ok(Some(_)) = timeout_at(deadline, running.join_next()).await {}
    let cut = running.len();
    running.shutdown().await;
    for lease in held.leases() {
        held.remove(&lease);
        let (after, error) = (Duration::ZERO, "cut off when its worker stopped".to_owned());
        let settlement = Settlement::Retry { after, error, holds_lane: true };
        if let Err(error) = within(settings.store_timeout, store.settle(&lease, settlement)).await {
            observe::away(&error);
            break;
        }
    }
    cut
}
