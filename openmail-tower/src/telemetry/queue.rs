//! What a queue and its workers tell.

use std::{error::Error, fmt, time::Duration};

use super::{log, metric};

/// What became of an entry at the end of its lease, besides done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Settled {
    /// It failed, and runs again.
    Retry,
    /// It could not run, for this reason, and runs again.
    Release(&'static str),
    /// It is a dead letter.
    DeadLetter,
}

/// The state of a queue, for its gauges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) states: [(&'static str, u64); 6],
    pub(crate) oldest: Option<Duration>,
    pub(crate) workers: u64,
}

/// Whether anything takes the gauges: else they need not be asked for.
pub(crate) const HAS_GAUGES: bool = cfg!(feature = "metrics");

/// An event was written down.
pub(crate) fn queued(duration: Duration) {
    log::queued(duration);
}

/// An event was claimed for its first run, so long after it was queued.
pub(crate) fn waited(duration: Duration) {
    metric::waited(duration);
}

/// What became of an entry was written down.
pub(crate) fn settled(settled: Settled) {
    metric::settled(settled);
}

/// Another worker runs the entry `id`, whose lease was lost.
pub(crate) fn lost(id: impl fmt::Display) {
    log::lease_lost(&id);
}

/// The run of the entry `id` blocks its thread beyond its limit, and its lease is let go.
pub(crate) fn blocked(id: impl fmt::Display) {
    log::run_blocks(&id);
}

/// The store refused what became of the entry `id`.
pub(crate) fn refused(id: impl fmt::Display, error: &dyn Error) {
    log::settlement_refused(&id, error);
}

/// So many entries were taken over from a worker that is gone.
pub(crate) fn recovered(entries: u64) {
    log::recovered(entries);
}

/// The dead letter `id` could not be reported.
pub(crate) fn unreported(id: impl fmt::Display, error: &dyn fmt::Display) {
    log::unreported(&id, error);
}

/// The store cannot be reached.
pub(crate) fn away(error: &dyn Error) {
    log::store_away(error);
}

/// The service takes no events.
pub(crate) fn unready(error: &dyn fmt::Display) {
    log::unready(error);
}

/// How deep the queue is now.
pub(crate) fn depth(depth: Depth) {
    metric::depth(depth);
}
