//! Counts the entries of a queue by state.

use openmail_tower::queue::QueueStore;

/// The states in [`Counts`](openmail_tower::queue::Counts), for comparison. `ready` includes the
/// entries that wait, since these become due as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States {
    /// Due, or waiting for their next attempt.
    pub ready: u64,
    /// Leased by a worker.
    pub running: u64,
    /// Behind another entry of their lane.
    pub blocked: u64,
    /// On hold.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Counts the entries of a store.
///
/// # Panics
/// If the store cannot be reached.
pub async fn states<St: QueueStore>(store: &St) -> States {
    let counts = store.counts().await.expect("they are counted");
    let (running, blocked) = (counts.running, counts.blocked);
    let (held, dead) = (counts.held, counts.dead);
    States { ready: counts.ready + counts.waiting, running, blocked, held, dead }
}
