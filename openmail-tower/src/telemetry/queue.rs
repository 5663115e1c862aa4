//! Reports from a queue and its workers.

use std::{error::Error, fmt, time::Duration};

use super::{log, metric};

/// How an entry was settled after its run. One that is done, on hold or given back is not counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settled {
    /// It failed and will be retried.
    Retry,
    /// It was released or put off, for this reason, to run later.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only metrics use it"))]
    Release(&'static str),
    /// It became a dead letter.
    DeadLetter,
}

/// The state of a queue, for its gauges.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only metrics use it"))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) states: [(&'static str, u64); 6],
    pub(crate) oldest: Option<Duration>,
    pub(crate) workers: u64,
}

/// Whether gauges are recorded. If not, nothing needs to query the store for them.
pub(crate) const HAS_GAUGES: bool = cfg!(feature = "metrics");

/// Records that an event was stored in the queue.
pub(crate) fn queued(duration: Duration) {
    log::queued(duration);
}

/// Records that an event was claimed for its first attempt, this long after its commit.
pub(crate) fn waited(duration: Duration) {
    metric::waited(duration);
}

/// Records that an entry was settled.
pub(crate) fn settled(settled: Settled) {
    metric::settled(settled);
}

/// Records that the lease of the entry `id` was lost, so that another worker may run it.
pub(crate) fn lost(id: impl fmt::Display) {
    log::lease_lost(&id);
}

/// Records that the lease of the entry `id` is given up, since its run still blocks a thread after
/// the maximum time for a run.
pub(crate) fn blocked(id: impl fmt::Display) {
    log::run_blocks(&id);
}

/// Records that the store refused to settle the entry `id`.
pub(crate) fn refused(id: impl fmt::Display, error: &dyn Error) {
    log::settlement_refused(&id, error);
}

/// Records that this many entries were recovered: a worker had died, or a lane had stalled.
pub(crate) fn recovered(entries: u64) {
    log::recovered(entries);
}

/// Records that the dead letter `id` could not be reported.
pub(crate) fn unreported(id: impl fmt::Display, error: &dyn fmt::Display) {
    log::dead_letter_not_reported(&id, error);
}

/// Records that the state of the reply with this key could not be reported.
pub(crate) fn untold(key: &str, error: &dyn fmt::Display) {
    log::reply_not_reported(key, error);
}

/// Records that a call to the store failed.
pub(crate) fn away(error: &dyn Error) {
    log::store_failed(error);
}

/// Records that the service of a worker failed before it took an event.
pub(crate) fn unready(error: &dyn fmt::Display) {
    log::unready(error);
}

/// Sets the gauges of the queue.
pub(crate) fn depth(depth: Depth) {
    metric::depth(depth);
}
