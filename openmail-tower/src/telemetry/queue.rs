//! Reports from a queue and its workers.

use std::{error::Error, fmt, time::Duration};

use super::{log, metric};

/// How an entry was settled at the end of its lease, other than as done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settled {
    /// It failed and will be retried.
    Retry,
    /// It could not run, for this reason, and was postponed.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only metrics tell it"))]
    Release(&'static str),
    /// It became a dead letter.
    DeadLetter,
}

/// The state of a queue, for its gauges.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only metrics tell it"))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) states: [(&'static str, u64); 6],
    pub(crate) oldest: Option<Duration>,
    pub(crate) workers: u64,
}

/// Whether gauges are recorded. If not, nothing needs to query the store for them.
pub(crate) const HAS_GAUGES: bool = cfg!(feature = "metrics");

/// An event was stored in the queue.
pub(crate) fn queued(duration: Duration) {
    log::queued(duration);
}

/// An event was claimed for its first run, this long after it was queued.
pub(crate) fn waited(duration: Duration) {
    metric::waited(duration);
}

/// An entry was settled.
pub(crate) fn settled(settled: Settled) {
    metric::settled(settled);
}

/// The lease of the entry `id` was lost, and another worker runs it.
pub(crate) fn lost(id: impl fmt::Display) {
    log::lease_lost(&id);
}

/// The run of the entry `id` blocks its thread beyond its limit, so its lease is given up.
pub(crate) fn blocked(id: impl fmt::Display) {
    log::run_blocks(&id);
}

/// The store refused to settle the entry `id`.
pub(crate) fn refused(id: impl fmt::Display, error: &dyn Error) {
    log::settlement_refused(&id, error);
}

/// This many entries were recovered: a worker had died, or a lane had stalled.
pub(crate) fn recovered(entries: u64) {
    log::recovered(entries);
}

/// The dead letter `id` could not be reported.
pub(crate) fn unreported(id: impl fmt::Display, error: &dyn fmt::Display) {
    log::unreported(&id, error);
}

/// The state of the reply with this key could not be reported.
pub(crate) fn untold(key: &str, error: &dyn fmt::Display) {
    log::untold(key, error);
}

/// The store cannot be reached.
pub(crate) fn away(error: &dyn Error) {
    log::store_away(error);
}

/// The service of a worker failed before it took an event.
pub(crate) fn unready(error: &dyn fmt::Display) {
    log::unready(error);
}

/// Sets the gauges of the queue.
pub(crate) fn depth(depth: Depth) {
    metric::depth(depth);
}
